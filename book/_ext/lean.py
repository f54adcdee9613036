"""Sphinx: mend the theme's pages after they are written.

Its icons come twice, as a font and as a script of 1.5 MB that draws them again: the font is enough. The search button
is called "Search" and shows "Search Ctrl+K": who steers a page by voice says what is seen, so its text is its name. And the
bibliography is called a list, whose children may be entries only, but has anchors between them.
"""

import re
from pathlib import Path

MENDS = [(re.compile(r'[ \t]*<script[^>]*_static/scripts/fontawesome\.js[^>]*></script>\n?'), ""),
         (re.compile(r'(<button class="btn search-button-field[^>]*) aria-label="[^"]*"'), r"\1"),
         (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">')]


def mend(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = mended = page.read_text(encoding="utf-8")
        for wrong, right in MENDS:
            mended = wrong.sub(right, mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")
    for file in Path(app.outdir, "_static", "scripts").glob("fontawesome.js*"):
        file.unlink()


def setup(app) -> dict:
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
