"""The widgets' ES modules as one text.

A browser refuses module files from file://, and a kernel sends a widget's code as one string. So a
module and all that it imports are written after each other, each in a function of its own that
returns what it exports: `const $frames = (() => { …; return { unpack }; })();`. That asks for named
imports from "./x.js", exports where a thing is declared, and no circle.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
STORED = "sdelib"
"""Where a notebook stores a widget: {spec, frames} and no code, in the metadata of the output that
has its picture."""

DRAWN_BY = {
    "field": "explorer",
    "particles": "explorer",
    "images": "explorer",
    "mixture": "mixture",
    "sampler": "sampler",
}
"""view of a spec → the module whose `render` draws it."""

IMPORT = re.compile(r'^import \{((?:\s*\w+,)*(?:\s*\w+)?\s*)\} from "\./(\w+)\.js";$', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|const|class) (\w+))", re.M)
BLANK = re.compile(r"^[ \t]*(?://.*)?\n|^[ \t]+", re.M)
"""Lines that are empty or a comment, and indentation: a third of the text, and nothing to run."""


def order(name: str, above: tuple[str, ...] = ()) -> list[str]:
    """The modules that `name` needs, each after all that it imports; `name` is the last.
    Raises ValueError for a circle."""
    if name in above:
        raise ValueError(f"name = {name!r}: its imports lead back to it: {' → '.join(above)}")
    parts = [hit[2] for hit in IMPORT.finditer(source(name))]
    return [*dict.fromkeys(m for part in parts for m in order(part, (*above, name))), name]


def source(name: str) -> str:
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def closed(name: str) -> str:
    """One module as a function that is called at once and returns what the module exports."""
    exports = ", ".join(EXPORT.findall(source(name)))
    text = EXPORT.sub("", IMPORT.sub(r"const {\1} = $\2;", source(name)))
    if left := re.search(r"^(?:import|export)\b.*", text, re.M):
        raise ValueError(f"{name}.js: {left[0]!r} is a form that the bundle does not know")
    return BLANK.sub("", f"const ${name} = (() => {{\n{text}return {{ {exports} }};\n}})();\n")


def module(name: str) -> str:
    """For anywidget: an ES module whose default is {render}."""
    return "".join(map(closed, order(name))) + f"export default {{ render: ${name}.render }};\n"


def script(name: str) -> str:
    """For a page: a classic script that puts `render` under its views into window.sdelib."""
    views = ", ".join(f"{view}: ${name}.render" for view, by in DRAWN_BY.items() if by == name)
    body = "".join(map(closed, order(name)))
    return f"(() => {{\n{body}window.sdelib = {{ ...window.sdelib, {views} }};\n}})();\n"


def style(*names: str) -> str:
    """What all widgets look like, and what those named add."""
    files = [FOLDER / f"{name}.css" for name in ("base", *names)]
    return "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
