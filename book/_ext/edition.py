"""Sphinx: what a page says about the book: its version and date in the footer, its card where it is
shared, and where it is to be found once it is published.

The date is that of the last commit, or SOURCE_DATE_EPOCH, or the last day that CHANGELOG.md names:
never the clock's, so that the same sources give the same pages. As long as the address in
_config.yml is the placeholder, no page offers it as a place to go, and the rocket says so.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import subprocess
from base64 import b64decode
from pathlib import Path

from docutils import nodes
from mends import missed

ROOT = Path(__file__).parents[2]
PLACEHOLDER = "not--yet--published"
CARD = "_static/garments.png"
SIZE = (1200, 630)
TEX = {"nabla": "∇", "log": "log ", "sigma": "σ", "varepsilon": "ε", "theta": "θ", "to": "→"}


def date() -> str:
    """The day of this edition, YYYY-MM-DD."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).strftime("%Y-%m-%d")
    git = ["git", "-c", "safe.directory=*", "log", "-1", "--format=%cs"]
    try:
        done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0 and (ROOT / ".git").exists() and done.stdout.strip():
            return done.stdout.strip()
    except OSError:
        pass  # no git here
    days = re.findall(r"20\d\d-\d\d-\d\d", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    return max(days, default="")


def address(app) -> str:
    return app.config.html_theme_options.get("repository_url", "") or ""


def published(app) -> bool:
    return PLACEHOLDER not in address(app)


def prepare(app, config) -> None:
    """The footer, and the address of the site, which GitHub makes from that of the repository."""
    from sdelib import __version__

    day = date()
    when = f', <time datetime="{day}">{day}</time>' if day else ""
    config.html_theme_options["extra_footer"] = f"<p>Version {__version__}{when}.</p>"
    hit = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)/?", address(app))
    if hit and published(app) and not config.ogp_site_url:
        config.ogp_site_url = f"https://{hit[1]}.github.io/{hit[2]}/"


# ---------------------------------------------------------------- not yet published


def unlinked(app, doctree, docname) -> None:
    """The placeholder is no place to go: its links become words."""
    if published(app):
        return
    for link in list(doctree.findall(nodes.reference)):
        if PLACEHOLDER in link.get("refuri", ""):
            words = nodes.inline("", "", *link.children, classes=["not-yet"])
            link.parent.replace(link, [words, nodes.Text(" (once the book is published)")])


def buttons(app, pagename, templatename, context, doctree) -> None:
    if published(app) or "header_buttons" not in context:
        return
    kept, explained = [], False
    for button in context["header_buttons"]:
        inside = button.get("buttons", [])
        if not any(PLACEHOLDER in b.get("url", "") for b in [button, *inside]):
            kept.append(button)
        elif button.get("label") == "launch-buttons":
            explained = True
            why = {
                "type": "link",
                "url": context["pathto"]("book/intro").rstrip("#") + "#how-to-read",
                "text": "Colab can open this page once the book is published. Until then: "
                "run it on your own machine.",
                "tooltip": "How to read",
                "label": "not-yet",
            }
            kept.append(button | {"buttons": [why]})
    context["header_buttons"] = kept
    if pagename.startswith("chapters/") and not explained:
        missed(f"{pagename} has no rocket that could explain where Colab is")


# ---------------------------------------------------------------- the card


def plain(node) -> str:
    """A paragraph's words, with its formulas as far as letters can write them."""
    parts = []
    for part in node.findall():
        if isinstance(part, nodes.math):
            tex = re.sub(r"\\([a-zA-Z]+)\s*", lambda hit: TEX.get(hit[1], ""), part.astext())
            parts.append(re.sub(r"_\w|_\{[^}]*\}|[{}$\\,]", "", tex))
        elif isinstance(part, nodes.Text) and not isinstance(part.parent, nodes.math):
            parts.append(part.astext())
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def description(doctree, longest: int = 200) -> str:
    """The first paragraph below the title, up to the end of a sentence."""
    for section in doctree.findall(nodes.section):
        for node in section.children:
            if isinstance(node, nodes.paragraph) and len(text := plain(node)) > 40:
                if len(text) <= longest:
                    return text
                short = text[:longest]
                end = max(short.rfind(mark) for mark in (". ", "? ", "! "))
                return short[: end + 1] if end > 60 else short.rpartition(" ")[0] + " …"
        break
    return ""


def card(app, pagename, templatename, context, doctree) -> None:
    """The words of a shared page: its own first paragraph."""
    if not doctree or not (words := description(doctree)):
        return
    new = words.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    tag = re.compile(r'(<meta (?:property="og:description"|name="description") content=")[^"]*"')
    context["metatags"], n = tag.subn(lambda hit: f'{hit[1]}{new}"', context["metatags"])
    if not n:
        missed(f"{pagename} has no description to be shared with")


def picture(app, exception) -> None:
    """The card's picture: the garments of the first page's widget."""
    if exception is not None or app.builder.format != "html":
        return
    from PIL import Image

    cells = json.loads((ROOT / "book" / "intro.ipynb").read_text(encoding="utf-8"))["cells"]
    pngs = [o["data"]["image/png"] for c in cells for o in c.get("outputs", ()) if "data" in o]
    if not pngs:
        return missed("the first page has no picture for the card")
    with Image.open(io.BytesIO(b64decode("".join(pngs[0])))) as small:
        times = min((SIZE[0] - 60) / small.width, (SIZE[1] - 60) / small.height)
        size = round(small.width * times), round(small.height * times)
        made = Image.new("L", SIZE, 255)
        large = small.convert("L").resize(size, Image.Resampling.NEAREST)
        made.paste(large, ((SIZE[0] - size[0]) // 2, (SIZE[1] - size[1]) // 2))
    made.save(Path(app.outdir) / CARD, "PNG", optimize=True)


def setup(app) -> dict:
    app.connect("config-inited", prepare, priority=900)
    app.connect("doctree-resolved", unlinked)
    app.connect("html-page-context", buttons, priority=900)  # after the theme has made them
    app.connect("html-page-context", card, priority=901)
    app.connect("build-finished", picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
