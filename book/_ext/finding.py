"""Sphinx: the search finds and shows what a reader reads, and no set-up cells.

The index is made of a copy of the page without them, and the excerpts, which the reader's browser
cuts out of the pages, leave them out too.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from mends import missed

HIDDEN = ("tag_setup", "tag_preamble", "tag_parameters")
WRONG = '[".headerlink", "script", "style"]'
RIGHT = '[".headerlink", "script", "style", ".sde-panel", {}]'.format(
    ", ".join(f'".{name}"' for name in HIDDEN)
)


def hidden(node) -> bool:
    return isinstance(node, nodes.container) and bool(set(node.get("classes", ())) & set(HIDDEN))


def without(doctree):
    """The page without its set-up cells; the page itself where it has none."""
    if not any(map(hidden, doctree.findall(nodes.container))):
        return doctree
    copy = doctree.deepcopy()
    for cell in [c for c in copy.findall(nodes.container) if hidden(c)]:
        cell.parent.remove(cell)
    return copy


def wrap(app) -> None:
    index = getattr(app.builder, "index_page", None)
    if app.builder.format == "html" and index is not None:
        app.builder.index_page = lambda name, tree, title: index(name, without(tree), title)


def excerpts(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    file = Path(app.outdir) / "_static" / "searchtools.js"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if RIGHT in text:
        return
    if WRONG not in text:
        return missed("Sphinx's search cuts its excerpts in another way: see finding.WRONG")
    file.write_text(text.replace(WRONG, RIGHT), encoding="utf-8")


def setup(app) -> dict:
    app.connect("builder-inited", wrap)
    app.connect("build-finished", excerpts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
