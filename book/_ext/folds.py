"""Sphinx: the code of a chapter, out of the reader's way.

A cell says by its tags what shows. `hide-input` folds the code under its output; `hide-cell` folds
the whole cell; what is folded and stands side by side shares one fold. The cells at the top of a
chapter (set-up, imports, parameters: `preamble`) come first in the notebook, because they run
first; on the page they are one closed line below the first screen. A fold is a native <details>:
it opens by Enter and without JavaScript. Titles of the folds: what their code makes.

A picture of several panels (cell metadata `figure: {panels: 3}`) is cut at its white gutters, so
that the panels stand side by side on a wide screen and one below the other on a phone; each shows
its part of the one file. `figure: {garments: true}` marks pictures that keep their grey levels in
the dark theme, and `as_is: true` others whose colours mean something by themselves.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

PREAMBLE = {"setup", "parameters", "preamble"}
TOP = "Set-up: imports and parameters"
log = logging.getLogger(__name__)


class fold(nodes.Element):
    """A closed <details> with a title; its children are the containers of code."""


class panels(nodes.Element):
    """One picture, shown in parts: `cuts` are the borders of its panels, from 0 to 1."""


def visit_fold(self, node) -> None:
    classes = " ".join(["fold", *node["classes"]])
    self.body.append(f'<details class="{classes}"><summary>{node["title"]}</summary>\n')


def depart_fold(self, node) -> None:
    self.body.append("</details>\n")


def visit_panels(self, node) -> None:
    cuts, image = node["cuts"], node.children[0]
    self.body.append('<span class="panels">')
    for k, (start, end) in enumerate(zip(cuts, cuts[1:])):
        part = f"--from:{start:.4f};--part:{end - start:.4f}"
        self.body.append(f'<span class="panel" style="{part}">')
        shown = image.deepcopy()
        if k:
            shown["alt"] = ""  # said once
        shown.walkabout(self)
        self.body.append("</span>")
    self.body.append("</span>")
    raise nodes.SkipNode


def skip(self, node) -> None:
    """In other formats a fold is its children, and so is a picture of panels."""


# ---------------------------------------------------------------- what a cell says


def is_cell(node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def tags(cell) -> set[str]:
    return set(cell.get("cell_metadata", {}).get("tags", ()))


def parts(cell, kind: str) -> list:
    """The source or the output containers of a cell."""
    return [c for c in cell.children if c.get("nb_element") == f"cell_code_{kind}"]


def title(cell) -> str:
    """What the folded code makes."""
    outputs = parts(cell, "output")
    if any(out.next_node(nodes.figure) or out.next_node(nodes.image) for out in outputs):
        return "Code of this figure"
    if any(out.next_node(nodes.table) for out in outputs):
        return "Code of this table"
    return "Code of these numbers" if outputs else "Code"


def cuts(file: Path, n: int) -> list[float]:
    """[0, …, 1]: where a picture of n panels side by side is cut: in the widest white gutter near
    each k/n. Shorter where there is none, and the picture stays whole."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as picture:
        white = np.asarray(picture.convert("L")).min(axis=0) > 250
    width, found = len(white), [0.0]
    for k in range(1, n):
        low, high = round((k - 0.3) / n * width), round((k + 0.3) / n * width)
        runs, start = [], None
        for x in range(low, high + 1):
            if x < high and white[x]:
                start = x if start is None else start
            elif start is not None:
                runs.append((x - start, (x + start) / 2))
                start = None
        if not runs or max(runs)[0] < 4:
            return [0.0, 1.0]
        found.append(max(runs)[1] / width)
    return [*found, 1.0]


# ---------------------------------------------------------------- the page


class Fold(SphinxPostTransform):
    default_priority = 150  # before myst-nb's own folds, which then find nothing to do
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for cell in list(self.document.findall(is_cell)):
            cell.attributes.pop("hide_mode", None)
        self.figures()
        for parent in {id(c.parent): c.parent for c in self.document.findall(is_cell)}.values():
            if not isinstance(parent, fold):
                self.join(parent)
        self.lower()

    def join(self, parent) -> None:
        """Fold the cells of one parent; neighbours share a fold."""
        waiting, last = [], None  # code that waits for a fold below, and the fold just above
        for node in list(parent.children):
            if not is_cell(node) or not tags(node) & {"hide-input", "hide-cell", *PREAMBLE}:
                last = self.close(parent, waiting, node, last)
                waiting, last = [], None
                continue
            if tags(node) & PREAMBLE:
                waiting = [*waiting, node]
                continue
            if "hide-cell" in tags(node):
                waiting = [*waiting, node]
                continue
            sources = parts(node, "source")
            made = fold(title=title(node), classes=[])
            for other in waiting:
                parent.remove(other)
                made += other.children
            for source in sources:
                node.remove(source)
                made += source
            if made.children:
                node += made
            waiting, last = [], made
        self.close(parent, waiting, None, last)

    def close(self, parent, waiting, before, last):
        """Code that found no output below: into the fold above it, or into one of its own."""
        if not waiting:
            return last
        if last is None:
            top = all(tags(cell) & PREAMBLE for cell in waiting)
            last = fold(title=TOP if top else "Code", classes=["preamble"] if top else [])
            parent.insert(parent.index(waiting[0]), last)
        for cell in waiting:
            parent.remove(cell)
            last += cell.children if "preamble" not in last["classes"] else cell
        return last

    def lower(self) -> None:
        """The set-up goes below the first screen: before the page's first section."""
        top = next(iter(self.document.findall(nodes.section)), None)
        if top is None:
            return
        first = [n for n in top.children if isinstance(n, fold) and "preamble" in n["classes"]]
        sections = [n for n in top.children if isinstance(n, nodes.section)]
        if first and sections:
            for node in first[1:]:
                top.remove(node)
                first[0] += node.children
            top.remove(first[0])
            top.insert(top.index(sections[0]), first[0])

    def figures(self) -> None:
        for cell in self.document.findall(is_cell):
            wish = cell["cell_metadata"].get("figure", {})
            for image in list(cell.findall(nodes.image)) if wish else ():
                if wish.get("garments") or wish.get("as_is"):
                    cell["classes"].append("garments")
                if (n := wish.get("panels", 1)) > 1:
                    found = cuts(Path(self.app.srcdir) / image["uri"], n)
                    if len(found) == n + 1:
                        around = panels(cuts=found)
                        image.parent.replace(image, around)
                        around += image
                    else:
                        name = self.env.docname
                        log.info("%s: a figure of %d panels has no white gutters", name, n)


# ---------------------------------------------------------------- numbers by chapter


def numbers(app, env) -> list[str]:
    """Figures and equations are counted by chapter: 7.1 with the 7 of the title, and not 93."""
    for name, kinds in env.toc_fignumbers.items():
        title = env.titles[name].astext() if name in env.titles else ""
        chapter = [int(title.partition(".")[0])] if title.partition(".")[0].isdigit() else []
        for found in kinds.values():
            for k, id in enumerate(found, start=1):
                found[id] = (*chapter, k)
    return []


def setup(app) -> dict:
    for node, visit, depart in ((fold, visit_fold, depart_fold), (panels, visit_panels, skip)):
        others = {f: (skip, skip) for f in ("latex", "text", "man", "texinfo")}
        app.add_node(node, html=(visit, depart), **others)
    app.add_post_transform(Fold)
    app.connect("env-get-updated", numbers, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
