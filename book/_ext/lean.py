"""Sphinx: mend the theme's pages after they are written, so that they are light, paint early, do
not jump, and can be heard.

Weight. The theme's icons come as a script of 1.5 MB and as fonts of 300 KB: the few that the book
shows go into the stylesheet. Out of
it go the rules for classes that no page and no script names: nine tenths of them. Pictures are
stored again without loss as WebP. A page loads no stylesheet or script of a feature that it lacks.
Paint. Scripts wait for the text, and the stored frames of the widgets stand after it. Pictures tell
their size, and load when they are near.
Ears. The search button is called what it shows. A list has entries only. An empty table cell heads
nothing. The logo belongs to the navigation.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from mends import missed

from sdelib.widgets.bundle import DRAWN_BY

MENDS = [
    (re.compile(wrong, re.S), right)
    for wrong, right in [
        (r"[ \t]*<script[^>]*_static/scripts/fontawesome\.js[^>]*></script>\n?", ""),
        (r'(<button class="btn search-button-field[^>]*) aria-label="[^"]*"', r"\1"),
        (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
        (r' role="doc-biblioentry"', ""),
        (r'<th class="head">(?:<p></p>)?</th>', "<td></td>"),
        (
            r'<div class="sidebar-primary-item">(?=\s*<a class="navbar-brand)',
            '<div class="sidebar-primary-item" role="navigation" aria-label="First page">',
        ),
        (r'<link rel="preload" as="script"[^>]*/>\s*', ""),
        (
            r'<link href="([^"]*)styles/theme\.css[^"]*" rel="stylesheet" />',
            r'<link href="\1basic.css" rel="stylesheet" />',
        ),
        (r"<script(?![^>]*\bdefer\b)((?:(?!type=)[^>])*\bsrc=)", r"<script defer\1"),
        # The reader's system chooses the colours until the reader does, also where storage is
        # blocked; without JavaScript they are the light ones.
        (r'(<html[^>]*) data-theme="auto"', r'\1 data-theme="light"'),
        (
            r'(<script data-cfasync="false">\s*)'
            r"document\.documentElement\.dataset\.mode = localStorage[^<]*?\s*</script>",
            r"\1(function (page) {\n    try { page.mode = localStorage.getItem("
            r'"mode") || "auto"; } catch (error) { page.mode = "auto"; }\n'
            r'    page.theme = page.mode !== "auto" ? page.mode : matchMedia('
            r'"(prefers-color-scheme: dark)").matches ? "dark" : "light";\n'
            r"  })(document.documentElement.dataset);\n  </script>",
        ),
    ]
]
OPTIONS = re.compile(r'<script[^>]*src="[^"]*documentation_options\.js[^"]*"></script>')
SEARCH = re.compile(
    r'[ \t]*<script[^>]*src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>\n?'
)
DESIGN = re.compile(
    r"[ \t]*<(?:link|script)[^>]*(?:sphinx-design\.min\.css|design-tabs\.js)[^>]*>(?:</script>)?\n?"
)
STATE = re.compile(
    r'[ \t]*<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>\n?', re.S
)
IMAGE = re.compile(r'<img\b[^>]*?\bsrc="([^":?]+)"[^>]*>')
CSS = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^{};"'/]+|/""", re.S)
GROUPS = ("@media", "@supports", "@layer", "@container")
MADE_BY_SCRIPTS = ("bs-", "fade", "show", "collaps", "tooltip", "dropdown", "offcanvas")
FACE = re.compile(r"@font-face\{[^}]*webfonts/([\w-]+)\.woff2[^}]*\}")


def mend(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    options = (out / "_static" / "documentation_options.js").read_text(encoding="utf-8")
    mended_by, whole = dict.fromkeys(MENDS, 0), True
    for page in sorted(out.rglob("*.html")):
        if "_static" in page.parts:
            continue
        text = page.read_text(encoding="utf-8")
        mended = OPTIONS.sub(lambda _: f"<script>{options}</script>", text)
        whole &= mended != text or page.name == "index.html"  # index.html only leads on
        for mend_ in MENDS:
            mended, hits = mend_[0].subn(mend_[1], mended)
            mended_by[mend_] += hits
        if page.name != "search.html":
            mended = SEARCH.sub("", mended)
        if not re.search(r'class="[^"]*\bsd-', mended):
            mended = DESIGN.sub("", mended)
        states = STATE.findall(mended)
        mended = STATE.sub("", mended)
        mended = mended.replace("</body>", "".join(states) + "</body>") if states else mended
        mended = with_sizes(page, mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")
    for (wrong, _), hits in mended_by.items():
        if whole and not hits:  # where pages were left from an earlier build, it cannot be known
            missed(f"lean.py: no page has {wrong.pattern[:90]!r} any more")
    for file in (out / "_static" / "scripts").glob("fontawesome.js*"):
        file.unlink()
    dress(out)


# ---------------------------------------------------------------- pictures


def webp(file: Path) -> Path:
    """The picture as WebP, without loss, where that is smaller; its PNG goes."""
    from PIL import Image

    new = file.with_suffix(".webp")
    if not file.is_file():
        return new
    with Image.open(file) as picture:
        opaque = picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255)
        made = io.BytesIO()
        (picture.convert("RGB") if opaque else picture).save(
            made, "WEBP", lossless=True, quality=100, method=4
        )
    if made.tell() >= file.stat().st_size:
        return file
    new.write_bytes(made.getvalue())
    file.unlink()
    return new


def size(file: Path) -> tuple[int, int]:
    """Width and height in CSS pixels."""
    from PIL import Image

    if file.suffix == ".svg":
        box = re.search(
            r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', file.read_text(encoding="utf-8")
        )
        return round(float(box[1])), round(float(box[2]))
    with Image.open(file) as picture:
        return picture.size


def with_sizes(page: Path, text: str) -> str:
    """Every picture tells its size; those after the first load when they come near. Pictures of the
    notebooks become WebP."""
    article = text.find('<article class="bd-article')
    seen = 0

    def tell(hit) -> str:
        nonlocal seen
        tag, file = hit[0], (page.parent / hit[1]).resolve()
        if file.parent.name == "_images" and file.suffix == ".png":
            new = webp(file)
            tag, file = tag.replace(hit[1], hit[1].removesuffix(file.name) + new.name), new
        if not file.is_file():
            return tag
        more = ""
        if " width=" not in tag and "sde-" not in text[max(0, hit.start() - 60) : hit.start()]:
            width, height = size(file)
            more += f' width="{width}" height="{height}"'
        if hit.start() > article >= 0:
            seen += 1
            if seen > 1 and " loading=" not in tag:
                more += ' loading="lazy"'
        return re.sub(r"\s*/?>$", f"{more} />", tag) if more else tag

    return IMAGE.sub(tell, text)


# ---------------------------------------------------------------- the theme's stylesheet


def pruned(css: str, words: set[str]) -> str:
    """The stylesheet without the selectors that ask for a class which is not among the words;
    licences in comments stay."""
    tokens = iter(CSS.findall(css))

    def asked(selector: str) -> set[str]:
        while (
            less := re.sub(r"\([^()]*\)|\[[^][]*\]", "", selector)
        ) != selector:  # :not(.a) holds where a is unknown
            selector = less
        return {name.replace("\\", "") for name in re.findall(r"\.((?:[\w-]|\\.)+)", selector)}

    def wanted(selector: str) -> bool:
        return all(name in words or name.startswith(MADE_BY_SCRIPTS) for name in asked(selector))

    def block() -> str:
        text, depth = "", 1
        for token in tokens:
            depth += (token == "{") - (token == "}")
            if not depth:
                return text
            text += "" if token.startswith("/*") else token
        raise ValueError("a brace of the stylesheet is not closed")

    def rules(until: str) -> str:
        result, prelude = "", ""
        for token in tokens:
            if token == until:
                break
            if token.startswith("/*"):
                result += token if token.startswith("/*!") else ""
            elif token == ";":
                result, prelude = result + prelude + ";", ""
            elif token != "{":
                prelude += token
            elif prelude.strip().startswith(GROUPS):
                inside = rules("}")
                result, prelude = result + (f"{prelude}{{{inside}}}" if inside.strip() else ""), ""
            elif prelude.strip().startswith("@"):
                result, prelude = f"{result}{prelude}{{{block()}}}", ""
            else:
                selectors = [part for part in re.split(r",(?![^()]*\))", prelude) if wanted(part)]
                inside = block()
                result, prelude = (
                    result + (f"{','.join(selectors)}{{{inside}}}" if selectors else ""),
                    "",
                )
        return result

    return rules("")


def icons(css: str, others: list[str], fonts: Path) -> str:
    """The stylesheet with the icons that it and the other stylesheets name inside it, in place of
    the fonts' addresses."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    points = {
        int(code, 16)
        for text in [css, *others]
        for code in re.findall(r'"\\([0-9a-fA-F]{4})\b', text)
    }

    def inside(hit) -> str:
        font = TTFont(fonts / f"{hit[1]}.ttf")
        if not points & set(font.getBestCmap()):
            return ""
        cut = Subsetter(Options(hinting=False, notdef_outline=True))
        cut.populate(unicodes=points)
        cut.subset(font)
        font.flavor, made = "woff", io.BytesIO()
        font.save(made)
        data = base64.b64encode(made.getvalue()).decode()
        return re.sub(
            r"src:[^}]*", lambda _: f'src:url(data:font/woff;base64,{data}) format("woff")', hit[0]
        )

    return FACE.sub(inside, css)


def dress(out: Path) -> None:
    """The stylesheets again, with what the site shows and nothing else."""
    import pydata_sphinx_theme

    source = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
    static = out / "_static"
    words = {
        word
        for file in [*out.rglob("*.html"), *static.rglob("*.js")]
        if "vendor" not in file.parts and file.stem not in DRAWN_BY.values()  # these bring a style
        for word in re.findall(
            r"[\w-]+", re.sub(r"[A-Za-z0-9+/=]{200,}", "", file.read_text(encoding="utf-8"))
        )
    }
    others = [
        file.read_text(encoding="utf-8")
        for file in static.rglob("*.css")
        if file.name != "pydata-sphinx-theme.css"
    ]
    css = pruned((source / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8"), words)
    (static / "styles" / "pydata-sphinx-theme.css").write_text(
        icons(css, others, source / "vendor" / "fontawesome" / "webfonts"), encoding="utf-8"
    )
    for file in [
        *(static / "vendor" / "fontawesome" / "webfonts").glob("*"),
        *static.rglob("*.map"),
    ]:
        file.unlink()


def setup(app) -> dict:
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
