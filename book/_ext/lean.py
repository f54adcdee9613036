"""Sphinx: leave out what no page needs.

The theme sends its icons twice, as a font and as a script of 1.5 MB that draws them again. The font is enough.
"""

import re
from pathlib import Path

ICONS = re.compile(r'[ \t]*<script[^>]*_static/scripts/fontawesome\.js[^>]*></script>\n?')


def drop_icon_script(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (lean := ICONS.sub("", text)) != text:
            page.write_text(lean, encoding="utf-8")
    for file in Path(app.outdir, "_static", "scripts").glob("fontawesome.js*"):
        file.unlink()


def setup(app) -> dict:
    app.connect("build-finished", drop_icon_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
