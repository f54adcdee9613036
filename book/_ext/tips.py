"""Sphinx: previews of citations, equations, figures and terms (book/_static/tips.js shows them).

sphinx-tippy collects what each link leads to. Its scripts are replaced: previews hold TeX and the
names of pictures that are no longer there, whole sections, ids that the page has already, and
files with a random name. Here they get the formulas that were set and the pictures as they are
stored, and each page's previews lie in `_static/tips/PAGE.js`. What was collected is kept beside
Sphinx's doctrees, because only pages that are written again are collected again.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path

from bs4 import BeautifulSoup
from formulas import FORMULA
from mends import missed
from sphinx_tippy import get_tippy_data

KINDS = ("citation", "math", "figure", "dt")
WRITTEN = re.compile(r"selector_to_html = (\{.*\})\nskip_classes", re.S)
LINK = re.compile(r'<a (?![^>]*class="[^"]*headerlink)[^>]*>')  # a headerlink leads to itself
HREF = re.compile(r'a\[href="(.*)"\]', re.S)
SCRIPT = re.compile(
    r'[ \t]*<script[^>]*src="[^"]*/(?:tippy/[^"]*|vendor/(?:tippy|popper)/[^"]*|tips/[^"]*|'
    r'tips\.js[^"]*)"[^>]*></script>\n?'
)


def memory(app) -> Path:
    return Path(app.doctreedir) / "tips.json"


def recall(app) -> None:
    """What earlier builds collected of pages that are not written again."""
    if app.builder.format != "html" or not memory(app).is_file():
        return
    pages = get_tippy_data(app)["pages"]
    for name, data in json.loads(memory(app).read_text(encoding="utf-8")).items():
        pages[name] = data | {
            "id_to_html": dict(data["id_to_html"]),
            "refs_in_page": {tuple(ref) for ref in data["refs_in_page"]},
            "js_path": Path(app.outdir, "_static", "tippy", f"{name}.js"),
        }


def remember(app, pages: dict) -> None:
    kept = {
        name: data
        | {
            "id_to_html": list(data["id_to_html"].items()),
            "refs_in_page": sorted(data["refs_in_page"], key=str),
            "js_path": "",
        }
        for name, data in pages.items()
    }
    text = json.dumps(kept, default=sorted, ensure_ascii=False)
    memory(app).write_text(text, encoding="utf-8")


def kind(tag) -> bool:
    """Whether this is something of which a preview helps: not a page, a section or a table."""
    return tag is not None and (tag.name in KINDS or bool(set(tag.get("class", ())) & set(KINDS)))


def preview(text: str, made: dict, page: Path) -> str:
    """One preview as the page can show it; empty where it is no preview that helps."""
    soup = BeautifulSoup(text, "html.parser")
    first = soup.find(True)
    if not kind(first):
        return ""
    for tag in soup.select(".headerlink, script, style, .eqno, .viewcode-link"):
        tag.decompose()
    for tag in soup.select("a.image-reference"):  # it leads to a picture that is stored anew
        tag.unwrap()
    for tag in soup.find_all(True):
        del tag["id"], tag["role"]
    for image in soup.find_all("img"):
        for suffix in (".webp", ".png"):
            other = re.sub(r"\.png$", suffix, image["src"])
            if (page.parent / other).is_file():
                image["src"] = other
                break
        else:
            image.decompose()
    if "sig" in first.get("class", ()):  # a name of the reference: its letters alone
        first.string = first.get_text().strip()
    if first.name == "dt":  # a term's name, and what it means
        first.name = "p"
        first["class"] = ["tip-term"]
        for tag in soup.find_all("dd"):
            tag.name = "div"

    def set_formula(hit) -> str:
        done = made.get((hit[4] == "[", html.unescape(hit[5])))
        return hit[1] + hit[3] + (done if done else html.escape(html.unescape(hit[5]))) + hit[6]

    return FORMULA.sub(set_formula, str(soup))


def formulas(app) -> dict:
    """(display, TeX) → HTML, as formulas.py has set them."""
    file = Path(app.doctreedir) / "formulas.json"
    if not file.is_file():
        return {}
    known = json.loads(file.read_text(encoding="utf-8"))
    return {tuple(f): s for f, s in zip(known["formulas"], known["set"], strict=True)}


def collected(script: Path) -> dict[str, str]:
    """Address → preview, from the script that sphinx-tippy wrote for a page."""
    text = script.read_text(encoding="utf-8") if script.is_file() else ""
    if not text.strip():
        return {}
    if not (hit := WRITTEN.search(text)):
        raise ValueError("sphinx-tippy writes its previews in another form: see tips.WRITTEN")
    return {
        where[1]: tip
        for select, tip in json.loads(hit[1]).items()
        if (where := HREF.fullmatch(select))
    }


def place(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out, made, pages, some = Path(app.outdir), formulas(app), get_tippy_data(app)["pages"], False
    pages = {name: data for name, data in pages.items() if name in app.env.found_docs}
    for name, data in pages.items():
        page, file = out / f"{name}.html", out / "_static" / "tips" / f"{name}.js"
        try:
            found = collected(data["js_path"])
        except ValueError as error:
            return missed(str(error))
        text = page.read_text(encoding="utf-8")
        asked = {hit[1] for tag in LINK.findall(text) if (hit := re.search(r'href="([^"]*)"', tag))}
        tips = {
            to: tip
            for to, html_ in found.items()
            if html.escape(to) in asked
            and not (to.startswith("#") and name.startswith("book/api/"))  # it stands on the page
            and (tip := preview(html_, made, page))
        }
        bare, up = SCRIPT.sub("", text), "../" * name.count("/")
        if tips:
            some = True
            words = json.dumps(tips, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"window.sdelibTips = {words};\n", encoding="utf-8")
            version = hashlib.sha256(words.encode()).hexdigest()[:8]
            script = (
                f'<script defer src="{up}_static/tips.js" '
                f'data-tips="tips/{name}.js?v={version}"></script>\n'
            )
            bare = bare.replace("</body>", f"{script}</body>")
            if "mjx-container" in words and "_static/formulas.css" not in bare:
                style = f'<link rel="stylesheet" href="{up}_static/formulas.css" />'
                bare = bare.replace("</title>", f"</title>\n    {style}", 1)
        elif file.is_file():
            file.unlink()
        if bare != text:
            page.write_text(bare, encoding="utf-8")
    if pages and not some:
        missed("no page has a preview of a citation, an equation, a figure or a term")
    for script in (out / "_static" / "tippy").rglob("*.js"):
        script.unlink()
    for cache in out.glob("tippy_*_cache.json"):
        cache.unlink()
    remember(app, pages)


def setup(app) -> dict:
    app.connect("builder-inited", recall, priority=900)
    app.connect("build-finished", place, priority=900)  # after sphinx-tippy, formulas and lean
    return {"parallel_read_safe": True, "parallel_write_safe": True}
