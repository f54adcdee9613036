"""The whole book as one PDF that a teacher prints and a screen reader reads.

    python tools/book/pdf.py [--out _build/score-book.pdf] [--code] [PAGE …]   (or `make pdf`)

The articles of the built site are joined into one page, _build/book.html, in the order of the table
of contents, and Chromium prints it once for the page numbers of the contents and once more with
them. One page keeps what a merge of many PDFs loses: tags, language, outline, links.

What changes on paper: headings go one level down, below their part; ids are unique and links stay
in the document; a formula is a figure whose alternative text says it in words; a widget is its
picture. Hints and solutions stand at the end. Code that the site folds is left out, unless --code
asks for it; what else is folded is open. What only a browser can do is left out: buttons, boxes to
tick, the list of the reader's progress.
"""

from __future__ import annotations

import argparse
import datetime
import html
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("SDELIB_SITE", ROOT / "_build" / "html"))
OUT = ROOT / "_build" / "score-book.pdf"
ONLY_IN_A_BROWSER = {"book/progress"}
REFERENCE = "book/api/"  # looked up, and not read from its first page to its last
VOID = set("area base br col embed hr img input link meta source track wbr".split())
GONE = set("script noscript form input button select textarea label canvas iframe".split())
GONE_CLASSES = {
    "headerlink",
    "pst-js-only",
    "reader-exercise",
    "reader-chapter",
    "copybtn",
    "sde-panel",
    "sde-legend",
    "sde-off",
}
POINTING = ("for", "headers", "aria-labelledby", "aria-describedby", "aria-controls")
STYLE = """
@page { size: A4; margin: 18mm 17mm 20mm; }
html { font-size: 10.5pt; }
body { margin: 0; background: #fff; }
.bd-article { padding: 0; }
.bd-article :is(section, p, ul, ol, div) { max-width: none; }
.bd-article h1, .pdf-page { break-before: page; }
.bd-article h1 { margin: 35% 0 1rem; font-size: 2.2rem; }
.bd-article h1:first-child, .pdf-title h1 { break-before: auto; }
.bd-article h2 { font-size: 1.9rem; margin-top: 1.5rem; }
.bd-article h3 { font-size: 1.4rem; }
.bd-article h4 { font-size: 1.15rem; }
.bd-article :is(h2, h3, h4, h5) { break-after: avoid; }
.bd-article h1 + .pdf-page { break-before: auto; }
.bd-article :is(figure, img, mjx-container[display="true"], tr) { break-inside: avoid; }
.bd-article img { max-width: 100%; max-height: 22cm; object-fit: contain; height: auto; }
.bd-article pre { font-size: 7.6pt; white-space: pre-wrap; overflow: visible; }
.bd-article :is(.cell_output, .output, .math, .pst-scrollable-table-container, .highlight,
  mjx-container) { overflow: visible !important; }
.bd-article table { font-size: 0.85rem; width: auto; }
.bd-article :is(aside.margin, .margin) {
  float: none; width: auto; margin: 0.5rem 0 0.5rem 1.5rem; font-size: 0.9em;
}
.bd-article .admonition { break-inside: auto; box-shadow: none; }
.pdf-title { height: 24cm; display: flex; flex-direction: column; justify-content: center; }
.pdf-title h1 { margin: 0 0 2rem; font-size: 3rem; }
.pdf-contents ul { padding: 0; list-style: none; }
.pdf-contents li { display: flex; gap: 1rem; padding-left: 1.5rem; }
.pdf-contents li > a { flex: 1; }
.pdf-contents li.pdf-part { padding: 0.7rem 0 0; font-weight: 600; }
.pdf-number { min-width: 2.2rem; text-align: right; font-variant-numeric: tabular-nums; }
.pdf-see { font-size: 0.9rem; }
mjx-c[data-real]::before { content: none !important; }
mjx-letter { display: block; width: 0; }
figure.pdf-widget { margin: 1rem 0; }
figure.pdf-widget figcaption { color: #333; font-weight: 400; }
figure.pdf-widget figcaption p { color: inherit; }
figure.pdf-widget img { max-height: 11cm; }
"""
FOOTER = (
    '<div style="width: 100%; font: 8pt sans-serif; text-align: center; color: #444">'
    '<span class="pageNumber"></span></div>'
)


# ---------------------------------------------------------------- a tree of a page


class Element:
    """A tag, its attributes, and what stands in it: elements and text as it is written."""

    def __init__(self, tag: str, attrs: dict | None = None, *inside: Element | str):
        self.tag, self.attrs, self.inside = tag, dict(attrs or {}), list(inside)

    @property
    def classes(self) -> list[str]:
        return (self.attrs.get("class") or "").split()

    def all(self) -> Iterator[Element]:
        """This element and all in it, from the top."""
        yield self
        for part in self.inside:
            if isinstance(part, Element):
                yield from part.all()

    def find(self, wanted: Callable[[Element], bool]) -> Element | None:
        return next(filter(wanted, self.all()), None)

    def text(self) -> str:
        return "".join(
            html.unescape(part) if isinstance(part, str) else part.text() for part in self.inside
        )

    def change(self, how: Callable[[Element], list[Element | str] | None]) -> None:
        """Put `how(element)` in the place of every element in it that does not answer None, and go
        into the others."""
        inside: list[Element | str] = []
        for part in self.inside:
            new = None if isinstance(part, str) else how(part)
            if new is not None:
                inside += new
                continue
            if isinstance(part, Element):
                part.change(how)
            inside.append(part)
        self.inside = inside

    def __str__(self) -> str:
        attrs = "".join(
            f" {key}" if value is None else f' {key}="{html.escape(value)}"'
            for key, value in self.attrs.items()
        )
        if self.tag in VOID:
            return f"<{self.tag}{attrs}>"
        return f"<{self.tag}{attrs}>{''.join(map(str, self.inside))}</{self.tag}>"


class Tree(HTMLParser):
    """The tree of a piece of HTML, in `top`."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=False)
        self.top = Element("top")
        self.path = [self.top]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.path[-1].inside.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_startendtag(self, tag, attrs):
        self.path[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        for k in range(len(self.path) - 1, 0, -1):
            if self.path[k].tag == tag:
                del self.path[k:]
                return

    def handle_data(self, data):
        self.path[-1].inside.append(data)

    def handle_entityref(self, name):
        self.handle_data(f"&{name};")

    def handle_charref(self, name):
        self.handle_data(f"&#{name};")


# ---------------------------------------------------------------- formulas in words

ACCENTS = {"^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "¯": "bar", "―": "bar", "˙": "dot"}
ACCENTS |= {"→": "vector", "⏞": "", "⏟": "", "‾": "bar", "_": "bar"}
POWERS = {"2": "squared", "3": "cubed", "⊤": "transposed", "′": "prime", "∗": "star"}
SPACED = set("=≈≠<>≤≥+−→←∼∝∈∣↦⇒±≪≫:≡∘·×")


def in_words(math: ElementTree.Element) -> str:
    """A formula of MathML as one line to be read aloud."""
    tag = math.tag.rpartition("}")[2]
    kids = [in_words(kid) for kid in math]
    held = lambda k: kids[k] if re.fullmatch(r"\s*\S*\s*", kids[k]) else f"({kids[k].strip()})"
    if tag in ("mi", "mn", "mo", "mtext", "ms"):
        text = re.sub("[\u2061-\u2064]", "", math.text or "")
        name = tag == "mi" and len(text) > 1  # log, max
        return f" {text} " if name or (tag == "mo" and text in SPACED) else text
    if tag in ("mspace", "mphantom"):
        return " "
    if tag == "mfrac":
        return f" {held(0)} over {held(1)} "
    if tag == "msqrt":
        return f" the root of ({''.join(kids).strip()}) "
    if tag == "mroot":
        return f" the root of order {kids[1]} of {held(0)} "
    if tag == "munder" and kids[1].strip() in ACCENTS:
        return f"{kids[0]} {ACCENTS[kids[1].strip()]}"
    if tag == "munder" and math[0].tag.endswith("munder"):  # the words below a brace
        return f"{kids[0]} (that is: {kids[1].strip()}) "
    if tag in ("msub", "munder"):
        return f"{kids[0]} sub {held(1)} "
    if tag == "msup":
        power = kids[1].strip()
        return f"{kids[0]} {POWERS.get(power) or 'to the power ' + held(1)} "
    if tag == "mover":
        accent = kids[1].strip()
        return f"{kids[0]} {ACCENTS[accent]} " if accent in ACCENTS else f"{kids[0]} over {kids[1]}"
    if tag in ("msubsup", "munderover"):
        power = kids[2].strip()
        if math[0].text in ("∫", "∑", "∏"):
            return f"{kids[0]} from {held(1)} to {held(2)} "
        return f"{kids[0]} sub {held(1)} {POWERS.get(power) or 'to the power ' + held(2)} "
    if tag == "mtable":
        return "; ".join(kids)
    if tag == "mtr":
        cells = ", ".join(kid.strip() for kid in kids if kid.strip())
        return re.sub(r",\s+(?=[=≈≤≥<>←∝])", " ", cells)
    return "".join(kids)


def read_aloud(container: str) -> str:
    """MathJax's formula as a picture with an alternative text: the MathML beside it, which is there
    for browsers and would not be tagged, goes."""
    math = re.search(r"<math\b.*</math>", container, re.S)
    words = " ".join(in_words(ElementTree.fromstring(math[0])).split()) if math else "formula"
    container = re.sub(r"<mjx-assistive-mml.*?</mjx-assistive-mml>", "", container, flags=re.S)
    container = container.replace(' aria-hidden="true"', "")
    label = html.escape(words, quote=True)
    return container.replace("<mjx-container", f'<mjx-container role="img" aria-label="{label}"', 1)


# ---------------------------------------------------------------- the articles


class Book:
    """The pages joined, with what is set aside for the end."""

    def __init__(self, site: Path, docs: list[str], beside: Path, code: bool = False):
        """beside: the folder of the joined page, from which pictures are addressed."""
        self.site, self.docs, self.beside, self.code = site, docs, beside, code
        self.key = {doc: f"p{k}" for k, doc in enumerate(docs)}
        self.ids: set[str] = set()
        self.sheets: list[str] = []
        self.styles: list[str] = []
        self.titles: dict[str, str] = {}
        self.hints: dict[str, list[Element]] = {}
        self.solutions: dict[str, list[Element]] = {}

    def article(self, doc: str) -> Element:
        """The article of a page, for paper."""
        page = self.site / f"{doc}.html"
        text = page.read_text(encoding="utf-8")
        for sheet in re.findall(r"<link\b[^>]*>", text[: text.index("<body")]):
            if "stylesheet" in sheet and (found := re.search(r'href="([^"]+)"', sheet)):
                at = (page.parent / urlsplit(found[1]).path).resolve()
                if (where := at.relative_to(self.site.resolve()).as_posix()) not in self.sheets:
                    self.sheets.append(where)
        start = text.index("<article")
        text = text[start : text.index("</article>", start)]
        formulas: list[str] = []

        def set_aside(hit) -> str:
            formulas.append(read_aloud(hit[0]))
            return f'<x-formula n="{len(formulas) - 1}"></x-formula>'

        text = re.sub(r"<mjx-container.*?</mjx-container>", set_aside, text, flags=re.S)
        top = Tree(text).top.inside[0]
        assert isinstance(top, Element)
        top.tag, top.attrs = "div", {"class": "pdf-page", "id": self.key[doc]}
        self.ids.add(self.key[doc])
        self.titles[doc] = next((e.text() for e in top.all() if e.tag == "h1"), doc).rstrip("#")
        self.hints[doc], self.solutions[doc] = [], []
        top.change(lambda e: self.for_paper(e, doc))
        for e in [*top.all(), *(e for s in self.solutions[doc] for e in s.all())]:
            self.address(e, doc, page)
        for e in [top, *self.solutions[doc], *self.hints[doc]]:
            e.change(lambda f: [formulas[int(f.attrs["n"])]] if f.tag == "x-formula" else None)
        return top

    def for_paper(self, e: Element, doc: str) -> list[Element | str] | None:
        """What stands on paper in the place of this element; None: it stays, and what is in it is
        asked next."""
        if e.tag == "style":
            if (text := e.text()) not in self.styles:
                self.styles.append(text)
            return []
        if e.tag in GONE or GONE_CLASSES & set(e.classes):
            return []
        if "solution" in e.classes:
            e.change(lambda inner: self.for_paper(inner, doc))
            e.attrs["class"] = "solution admonition"
            number = re.search(r"\d+\.\d+", e.text())
            self.ids.add(at := f"{self.key[doc]}-sol-{number[0] if number else ''}")
            self.solutions[doc].append(Element("div", {"id": at}, e))
            return []
        if "exercise" in e.classes and e.tag == "div":
            return [self.exercise(e, doc)]
        if "widget-host" in e.classes and (picture := e.find(lambda f: f.tag == "img")):
            return [self.widget(e, picture, doc)]
        if e.tag == "details":
            has_code = e.find(lambda f: "cell_input" in f.classes or "highlight" in f.classes)
            if has_code and not self.code:
                return []
            e.attrs["open"] = None
        return None

    def exercise(self, e: Element, doc: str) -> Element:
        """An exercise, with the way to its hint and its solution in place of the boxes."""
        number = re.search(r"\d+\.\d+", e.text())
        name = number[0] if number else ""
        if hint := e.find(lambda f: "reader-hint" in f.classes):
            words = hint.find(lambda f: f.tag == "p")
            inside = words.inside if words else []
            back = Element("a", {"href": f"#{self.key[doc]}-{e.attrs.get('id')}"}, name)
            at = f"{self.key[doc]}-hint-{name}"
            self.ids.add(at)
            self.hints[doc].append(Element("p", {"id": at}, back, ". ", *inside))

        def inner(f: Element) -> list[Element | str] | None:
            if "reader-hint" in f.classes:
                return []
            if "cell" in f.classes and re.match(r"\s*answer\s*=\s*\.\.\.", f.text()):
                return []
            if "output" in f.classes and re.match(r"\s*Exercise \S+ is open", f.text()):
                return []
            return self.for_paper(f, doc)

        e.change(inner)
        links: list[Element | str] = []
        if hint:
            links += [
                Element("a", {"href": f"#{self.key[doc]}-hint-{name}"}, f"Hint {name}"),
                " · ",
            ]
        links.append(Element("a", {"href": f"#{self.key[doc]}-sol-{name}"}, f"Solution {name}"))
        e.inside.append(Element("p", {"class": "pdf-see"}, *links))
        return e

    def widget(self, e: Element, picture: Element, doc: str) -> Element:
        """A widget's picture with its words."""
        picture.attrs.pop("style", None)
        words: list[Element | str] = []
        for name in ("sde-note", "sde-caption"):
            if found := e.find(lambda f: name in f.classes):
                found.change(lambda inner: self.for_paper(inner, doc))
                words.append(Element("p", {}, *found.inside))
        for f in e.all():
            if f.tag == "style":
                self.for_paper(f, doc)
        return Element(
            "figure", {"class": "pdf-widget"}, picture, Element("figcaption", {}, *words)
        )

    def address(self, e: Element, doc: str, page: Path) -> None:
        """Ids, links and pictures of one element, for the joined page."""
        if level := re.fullmatch(r"h([1-5])", e.tag):
            e.tag = f"h{int(level[1]) + 1}"
        key = self.key[doc]
        if (id := e.attrs.get("id")) and id not in self.ids:
            if f"{key}-{id}" in self.ids:
                del e.attrs["id"]  # sphinx-exercise gives every exercise the same one inside
            else:
                e.attrs["id"] = f"{key}-{id}"
                self.ids.add(e.attrs["id"])
        for name in POINTING:
            if ids := e.attrs.get(name):
                e.attrs[name] = " ".join(f"{key}-{id}" for id in ids.split())
        if "src" in e.attrs and not urlsplit(e.attrs["src"] or "").scheme:
            at = (page.parent / unquote(urlsplit(e.attrs["src"]).path)).resolve()
            e.attrs["src"] = quote(os.path.relpath(at, self.beside))
            e.attrs.pop("loading", None)
        if e.tag == "a" and (href := e.attrs.get("href")):
            parts = urlsplit(href)
            if parts.scheme or parts.netloc or href.startswith(f"#{key}-"):
                return
            at = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
            to = next((d for d in self.docs if (self.site / f"{d}.html").resolve() == at), None)
            if to is None:  # a page that is not printed, or a file
                e.tag, e.attrs = "span", {k: v for k, v in e.attrs.items() if k != "href"}
            else:
                where = f"-{unquote(parts.fragment)}" if parts.fragment else ""
                e.attrs["href"] = f"#{self.key[to]}{where}"

    def joined(self, title: str, under: list[str], parts: list[tuple[str, list[str]]]) -> str:
        """The whole document. parts: (caption, pages), with "" for the pages before all parts."""
        pages = {doc: self.article(doc) for doc in self.docs}
        body: list[Element | str] = []
        rows: list[Element | str] = []

        def row(id: str, words: str, kind: str) -> None:
            link = Element("a", {"href": f"#{id}"}, html.escape(words))
            number = Element("span", {"class": "pdf-number", "data-of": id})
            rows.append(Element("li", {"class": kind}, link, number))

        def part(id: str, caption: str) -> None:
            self.ids.add(id)
            row(id, caption, "pdf-part")
            body.append(Element("h1", {"id": id}, html.escape(caption)))

        for k, (caption, docs) in enumerate(parts):
            if caption:
                part(f"part-{k}", caption)
            for doc in docs:
                row(self.key[doc], self.titles[doc], "pdf-page-of")
                body.append(pages[doc])
        for id, caption, aside in (
            ("hints", "Hints", self.hints),
            ("solutions", "Solutions", self.solutions),
        ):
            if any(aside.values()):
                part(id, caption)
                for doc, found in aside.items():
                    if found:
                        body.append(Element("h2", {}, html.escape(self.titles[doc])))
                        body += found
        front = [
            Element(
                "div",
                {"class": "pdf-title"},
                Element("h1", {}, html.escape(title)),
                *[Element("p", {}, html.escape(line)) for line in under],
            ),
            Element(
                "nav",
                {"class": "pdf-contents pdf-page", "aria-label": "Contents"},
                Element("h2", {}, "Contents"),
                Element("ul", {}, *rows),
            ),
        ]
        article = Element("article", {"class": "bd-article"}, *front, *body)
        broken = sorted(
            {
                href
                for e in article.all()
                if e.tag == "a" and (href := e.attrs.get("href") or "").startswith("#")
                if href[1:] not in self.ids
            }
        )
        if broken:
            raise SystemExit(f"links lead nowhere: {', '.join(broken[:10])}")
        up = quote(os.path.relpath(self.site, self.beside))
        sheets = "".join(f'<link rel="stylesheet" href="{up}/{sheet}">' for sheet in self.sheets)
        return (
            '<!doctype html>\n<html lang="en" data-theme="light" data-mode="light"><head>'
            f'<meta charset="utf-8"><title>{html.escape(title)}</title>{sheets}'
            f"<style>{''.join(self.styles)}{STYLE}</style></head><body>{article}</body></html>\n"
        )


# ---------------------------------------------------------------- the order, the title


def contents(only: list[str] | None = None) -> list[tuple[str, list[str]]]:
    """(caption, pages) of the table of contents, without what only a browser can show."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = [("", [toc["root"]])]
    parts += [(part["caption"], [c["file"] for c in part["chapters"]]) for part in toc["parts"]]
    on_paper = lambda doc: doc not in ONLY_IN_A_BROWSER and not doc.startswith(REFERENCE)
    kept = lambda doc: doc in only if only else on_paper(doc)
    parts = [(caption, [doc for doc in docs if kept(doc)]) for caption, docs in parts]
    return [(caption, docs) for caption, docs in parts if docs]


def version() -> str:
    text = (ROOT / "sdelib" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    return found[1] if found else "unknown"


def today() -> str:
    """The day of this build, or that of SOURCE_DATE_EPOCH."""
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{day.day} {day:%B %Y}"


# ---------------------------------------------------------------- the PDF


def objects(data: bytes) -> dict[int, bytes]:
    """The objects of a PDF that Chromium wrote: it packs streams, and nothing else."""
    found = re.finditer(rb"(?:^|\n)(\d+) 0 obj\n(.*?)(?:\nstream\n|\nendobj)", data, re.S)
    return {int(hit[1]): hit[2] for hit in found}


def sheets_of(data: bytes) -> tuple[dict[str, int], int]:
    """(name of a place in the document → its page, how many pages): the first is 1."""
    of = objects(data)

    def pages(number: int) -> Iterator[int]:
        if b"/Kids" not in of[number]:
            yield number
            return
        kids = re.search(rb"/Kids \[([^]]*)\]", of[number])
        for kid in re.findall(rb"(\d+) 0 R", kids[1] if kids else b""):
            yield from pages(int(kid))

    catalogue = next(text for text in of.values() if b"/Type /Catalog" in text)
    root = re.search(rb"/Pages (\d+) 0 R", catalogue)
    order = {page: k for k, page in enumerate(pages(int(root[1])), 1)} if root else {}
    named = re.search(rb"/Dests (\d+) 0 R", catalogue)
    places = of[int(named[1])] if named else b""
    hits = re.findall(rb"/([^\s/\[\]]+) \[(\d+) 0 R /XYZ", places)
    name = lambda raw: re.sub(rb"#([0-9A-Fa-f]{2})", lambda h: bytes([int(h[1], 16)]), raw).decode()
    return {name(raw): order[int(page)] for raw, page in hits}, len(order)


# Chromium tags text that stands in the page, and MathJax writes its letters by a stylesheet. Each
# is put into the page, where it was; long braces and roots stay as they are.
LETTERS = r"""() => {
  const letters = [...document.querySelectorAll("mjx-c")]
    .filter(c => !c.closest("mjx-stretchy-v, mjx-stretchy-h"))
    .map(c => [c, getComputedStyle(c, "::before")])
    .map(([c, style]) => [c, /^"(.*)"$/s.exec(style.content)?.[1], style.padding])
    .filter(([, text]) => text);
  for (const [c, text, padding] of letters) {
    const letter = document.createElement("mjx-letter");
    letter.textContent = text.replace(/\\(.)/g, "$1");
    letter.style.padding = padding;
    c.append(letter);
    c.setAttribute("data-real", "");
  }
}"""
FILL = """numbers => {
  for (const place of document.querySelectorAll(".pdf-number"))
    place.textContent = numbers[place.dataset.of] ?? "";
}"""


def printed(page: Path) -> bytes:
    """The joined page as PDF, printed twice: the second time its contents know their numbers."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("make pdf needs Chromium: apt install chromium")
    options = {
        "tagged": True,
        "outline": True,
        "format": "A4",
        "prefer_css_page_size": True,
        "display_header_footer": True,
        "header_template": "<span></span>",
        "footer_template": FOOTER,
    }
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.set_default_timeout(0)
        tab.goto(page.as_uri(), wait_until="load")
        tab.evaluate("() => document.fonts.ready")
        tab.evaluate(LETTERS)
        broken = tab.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
        if broken:
            raise SystemExit(f"pictures that do not load: {', '.join(broken[:5])}")
        numbers = sheets_of(tab.pdf(**options))[0]
        tab.evaluate(FILL, numbers)
        data = tab.pdf(**options)
        browser.close()
    return data


def make(out: Path, only: list[str] | None = None, code: bool = False, site: Path = SITE) -> bytes:
    """Join the pages beside `out`, print them, and write `out`."""
    parts = contents(only)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    book = Book(site, [doc for _, docs in parts for doc in docs], out.parent, code)
    under = [
        f"By {config['author']}",
        f"Version {version()}, printed {today()}",
        "Text and code: MIT licence. Widgets are shown as pictures; they move on the book's pages, "
        "where the folded code is too.",
    ]
    page = out.parent / "book.html"
    page.write_text(book.joined(config["title"], under, parts), encoding="utf-8")
    out.write_bytes(data := printed(page))
    return data


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("only", nargs="*", metavar="PAGE", help="as in _toc.yml (default: all)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--code", action="store_true", help="print folded code too")
    args = parser.parse_args(argv)
    if not (SITE / "index.html").is_file():
        print("The site is not built: make book", file=sys.stderr)
        return 1
    begin = time.monotonic()
    data = make(args.out.resolve(), args.only, args.code)
    pages = sheets_of(data)[1]
    print(f"{args.out}: {pages} pages, {len(data) / 1e6:.1f} MB, {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
