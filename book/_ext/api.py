"""Sphinx: the reference of sdelib, made from its docstrings, and links to it from the other pages.

On a page of book/api, the fence `{modules}` becomes a section for each module it names (`own.*`:
all of that room, so a new module needs no new line), `{module-table}` the table of modules and of
the chapters that import them, `{commands}` the help of each command. A docstring is plain text:
blocks indented by three or more stay as they are, and an argument begins a line.

A name between backticks and a name in a cell's code lead to the reference where they are one of
sdelib's. They are looked up and never demanded: what is not found stays as it is.

    python book/_ext/api.py        write book/api/names.txt, the list of the public names
"""

from __future__ import annotations

import ast
import contextlib
import functools
import html
import importlib
import inspect
import io
import os
import pkgutil
import re
import sys
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
NAMES = ROOT / "book" / "api" / "names.txt"
PROMISED = ("", "networks", "own", "own.data", "own.comparison")
"""The rooms whose names are promised, those in their `__all__`."""
WHOLE = ("adapters", "export", "metrics", "model", "operators", "samples", "schedules")
WHOLE += ("training", "validation", "weights")
"""The modules of own all of whose names are promised, as are those of the mathematics (but for
`checks`) and of networks. What else own has is how it is done, and may change."""
FENCE = re.compile(r"^```\{(modules|module-table|commands)\}([^\n]*)\n```$", re.M)
INLINE = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?", re.S)


# ---------------------------------------------------------------- what there is


def modules(room: str = "*") -> list[str]:
    """The dotted names of the modules of a room ("": those directly in sdelib; "*": all), without
    packages and without names that begin with an underscore."""
    import sdelib

    found = [m.name for m in pkgutil.walk_packages(sdelib.__path__, "sdelib.") if not m.ispkg]
    inside = {"*": found, "": [n for n in found if n.count(".") == 1]}
    found = inside.get(room, [n for n in found if n.startswith(f"sdelib.{room}.")])
    return sorted(n for n in found if "._" not in n)


def defined(name: str) -> list[str]:
    """The public functions and classes of a module that it defines itself, as dotted names."""
    module = importlib.import_module(name)
    return sorted(
        f"{name}.{key}"
        for key, value in vars(module).items()
        if not key.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == name
        and getattr(value, "__name__", "") == key
    )


def public() -> list[str]:
    """All names that are promised: `__all__` of sdelib and of the rooms that have one, and what
    the modules of the promised rooms define."""
    found = set()
    for room in PROMISED:
        package = importlib.import_module(f"sdelib.{room}".rstrip("."))
        found |= {f"{package.__name__}.{name}" for name in getattr(package, "__all__", ())}
    own = {f"sdelib.own.{name}" for name in WHOLE}
    for module in own | set(modules("") + modules("networks")) - {"sdelib.checks"}:
        found |= set(defined(module))
    return sorted(found)


def listed() -> list[str]:
    """The names of the list, without its remarks."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def home(value) -> str:
    """Where an object is defined, as a dotted name: sdelib.VE is sdelib.families.VE."""
    if inspect.ismodule(value):
        return value.__name__
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    return f"{getattr(value, '__module__', '')}.{name}"


@functools.cache
def reach(dotted: str):
    """The object of a dotted name below sdelib, or None."""
    first, *rest = dotted.split(".")
    if first != "sdelib" or any(part.startswith("_") or not part for part in rest):
        return None
    value = importlib.import_module(first)
    for k, part in enumerate(rest, start=2):
        if not hasattr(value, part):
            try:
                importlib.import_module(".".join([first, *rest][:k]))
            except ImportError:
                return None
        value = getattr(value, part, None)
    return value


def names_of(source: str) -> dict[str, object]:
    """What a cell imports from sdelib: the name that the code uses → the object."""
    with contextlib.suppress(SyntaxError):
        lines = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)
        found = {}
        for node in ast.walk(ast.parse(lines)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sdelib":
                for a in node.names:
                    found[a.asname or a.name] = reach(f"{node.module}.{a.name}")
            elif isinstance(node, ast.Import):
                for a in node.names:
                    if a.name.split(".")[0] == "sdelib":
                        here = a.asname or a.name.split(".")[0]
                        found[here] = reach(a.name if a.asname else "sdelib")
        return {name: value for name, value in found.items() if value is not None}
    return {}


# ---------------------------------------------------------------- the pages


def heading(dotted: str) -> str:
    """A module's section; its place has a name of its own."""
    short = dotted.removeprefix("sdelib.")
    return (
        f"(api-{short})=\n## {short}\n\n```{{eval-rst}}\n.. automodule:: {dotted}\n"
        "   :members:\n   :member-order: bysource\n```\n"
    )


def asked(words: str) -> list[str]:
    """The modules that a fence names."""
    found: list[str] = []
    for word in words.split():
        found += modules(word[:-2]) if word.endswith(".*") else [f"sdelib.{word}"]
    return found


def first_sentence(dotted: str) -> str:
    """What a module's docstring begins with, up to a colon or the end of the sentence."""
    text = (importlib.import_module(dotted).__doc__ or "").strip().split("\n\n")[0]
    text = re.split(r"(?<=[^.\d][.:;])\s", " ".join(text.split()))[0].rstrip(".:;")
    text = re.sub(r"\s*\([^()]*\d{4}[^()]*\)", "", text)
    return re.sub(r"([|*_<>\\$\[\]])", r"\\\1", re.sub(r"`([^`]*)`", r"\1", text))


def used(app) -> dict[str, list[str]]:
    """Module → the chapters that import from it, in their order."""
    import nbformat

    found: dict[str, list[str]] = {}
    for path in sorted((Path(app.srcdir) / "chapters").glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        source = [c.source for c in cells if c.cell_type == "code"]
        values = [v for text in source for v in names_of(text).values()]
        for name in {getattr(v, "__module__", getattr(v, "__name__", "")) for v in values}:
            found.setdefault(name, []).append(path.stem)
    return found


def table(app, pages: dict[str, str]) -> str:
    """The modules in the order of the pages, what each is, and the chapters that use it."""
    rows, chapters = ["| module | what | in chapter |", "|---|---|---|"], used(app)
    for module in pages:
        short = module.removeprefix("sdelib.")
        where = ", ".join(
            f"[{int(c[:2])}](/chapters/{c})"
            if f"chapters/{c}" in app.env.found_docs
            else str(int(c[:2]))
            for c in chapters.get(module, ())
        )
        rows.append(f"| [`{short}`](#api-{short}) | {first_sentence(module)} | {where} |")
    return "\n".join(rows)


def commands() -> str:
    """The help of every command, as it is printed on a terminal of 80 columns."""
    from sdelib.cli import COMMANDS, main

    parts, before = [], os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        for name in COMMANDS:
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
                main([name, "--help"])
            text = said.getvalue().strip()
            head = "```{code-block} text\n:class: api-block"
            parts.append(f"## {name}\n\n{head}\n\n{text}\n```\n")
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return "\n".join(parts)


def contents(folder: Path = NAMES.parent) -> dict[str, str]:
    """Module → the page of book/api that has it, in the order in which index.md lists the pages."""
    found = {}
    listed_in = re.findall(r"\]\((\w+)\.md\)", (folder / "index.md").read_text(encoding="utf-8"))
    for page in dict.fromkeys(listed_in):
        text = (folder / f"{page}.md").read_text(encoding="utf-8")
        for kind, words in FENCE.findall(text):
            if kind == "modules":
                found |= dict.fromkeys(asked(words), f"book/api/{page}")
    return found


def write_out(app, docname, source) -> None:
    """Put the sections, the table and the help into the text of a page."""
    if not docname.startswith("book/api/"):
        return

    def put(hit) -> str:
        if hit[1] == "modules":
            return "\n".join(map(heading, asked(hit[2])))
        return commands() if hit[1] == "commands" else table(app, contents())

    source[0] = FENCE.sub(put, source[0])


def tables_again(app, env, added, changed, removed) -> list[str]:
    """The table is made anew in every build, since any chapter may have a new import; the help of
    the commands too."""
    return [n for n in ("book/api/index", "book/api/commands") if n in env.found_docs]


# ---------------------------------------------------------------- a docstring as RST


def escaped(line: str) -> str:
    """A line of text whose marks mean nothing; `code` between backticks is code."""
    parts = re.split(r"`([^`]+)`", line)
    for k, part in enumerate(parts):
        parts[k] = f"``{part}``" if k % 2 else re.sub(r"([\\*|`_])", r"\\\1", part)
    joined = "".join(
        part if k % 2 == 0 else f"\\ {part}\\ " if parts[k - 1][-1:].strip() else f"{part}\\ "
        for k, part in enumerate(parts)
    )
    if re.match(r"[-+•:.>=~^\"'#]|\(?\w+[.)]\s", joined):
        joined = "\\" + joined
    return re.sub(r"::$", r":\\:", joined)


def arguments(obj) -> set[str]:
    """The names of what is given to a function or a class, and of a dataclass's fields."""
    found = set(getattr(obj, "__annotations__", {}))
    with contextlib.suppress(TypeError, ValueError):
        found |= set(inspect.signature(obj).parameters)
    return found


def as_rst(lines: list[str], given: set[str] = frozenset()) -> list[str]:
    """The lines of a docstring as RST: paragraphs, blocks that stay as they are, and a line for
    each argument that is given."""
    made: list[str] = []
    block = False
    for line in lines:
        indent, text = len(line) - len(line.lstrip()), line.strip()
        if not text:
            made.append("")
        elif indent >= 3:
            if not block:
                made += ["", ".. code-block:: text", "   :class: api-block", ""]
            made.append("   " + line)
            block = True
        else:
            named = re.match(r"((?:\w+, )*\w+):\s", text)
            starts = bool(named) and set(named[1].split(", ")) <= given
            if block or starts or text.startswith("Raises "):
                made.append("")
            made.append(escaped(text))
            block = False
    return [*made, ""]


def docstring(app, what, name, obj, options, lines) -> None:
    lines[:] = as_rst(lines, arguments(obj))


# ---------------------------------------------------------------- links


def find(app, value, docname: str) -> str | None:
    """The address of an object's entry as seen from a page, or None."""
    entry = app.env.get_domain("py").objects.get(home(value)) if value is not None else None
    if entry is None or entry.docname == docname:
        return f"#{entry.node_id}" if entry else None
    return app.builder.get_relative_uri(docname, entry.docname) + f"#{entry.node_id}"


def around(node) -> list[str]:
    """Where a name in a docstring is looked up: its class, its module, its room, sdelib."""
    while node is not None and node.tagname != "desc":
        node = node.parent
    if node is None:
        return ["sdelib"]
    module, full = node[0].get("module", ""), node[0].get("fullname", "")
    room = module.rpartition(".")[0]
    return [f"{module}.{full}", f"{module}.{full.rpartition('.')[0]}".rstrip("."), module, room]


def by_name(app, name: str, places: list[str], called: bool = False):
    """The first object of sdelib that a name means in one of these places; what is called is no
    module, and may stand in any module when only one has it."""
    if name.startswith("sdelib."):
        return reach(name)
    for place in places:
        value = reach(f"{place}.{name}")
        if value is not None and not (called and inspect.ismodule(value)):
            return value
    entries = app.env.get_domain("py").objects if called else {}
    found = [
        key for key, e in entries.items() if key.endswith(f".{name}") and e.objtype != "module"
    ]
    value = reach(found[0]) if len(found) == 1 else None
    return value if home(value) == "".join(found) else None


def link(app, doctree, docname) -> None:
    """Names between backticks lead to the reference: once a page in a chapter, always elsewhere."""
    if app.builder.format != "html" or not app.env.get_domain("py").objects:
        return
    chapter, reference = docname.startswith("chapters/"), docname.startswith("book/api/")
    given = page_names(app).get(docname, {})
    done: set[str] = set()
    for code in list(doctree.findall(nodes.literal)):
        hit = INLINE.fullmatch(code.astext())
        if not hit or any(isinstance(a, (nodes.reference, nodes.title)) for a in above(code)):
            continue
        first, _, rest = hit[1].partition(".")
        called = hit[0] != hit[1]
        if first in given:
            value = reach(f"{home(given[first])}.{rest}") if rest else given[first]
        elif reference or first == "sdelib" or called:
            value = by_name(app, hit[1], around(code), called)
        else:
            value = None
        to = find(app, value, docname)
        if to is None or (chapter and to in done) or to in own(code):
            continue
        done.add(to)
        new = nodes.reference("", "", internal=True, refuri=to, classes=["api"])
        code.parent.replace(code, new)
        new += code


def above(node):
    while (node := node.parent) is not None:
        yield node


def own(node) -> list[str]:
    """The addresses of the entries in which this stands: a name does not lead to itself."""
    return [f"#{i}" for a in above(node) if a.tagname == "desc" for i in a[0].get("ids", ())]


def page_names(app) -> dict[str, dict[str, object]]:
    """Page → the names of sdelib that its cells import."""
    if not hasattr(app, "sdelib_names"):
        app.sdelib_names = {}
    return app.sdelib_names


def collect(app, doctree, docname) -> None:
    """Note what the cells of a page import."""
    found = page_names(app).setdefault(docname, {})
    for cell in doctree.findall(nodes.literal_block):
        if "sdelib" in cell.astext():
            found |= names_of(cell.astext())


def code_links(app, pagename, templatename, context, doctree) -> None:
    """In the code of a page, the first place in each cell where a name of sdelib stands."""
    given = page_names(app).get(pagename, {})
    if not given or not context.get("body"):
        return
    names = "|".join(map(re.escape, sorted(given, key=len, reverse=True)))
    token = re.compile(
        rf'<span class="n">({names})</span>'
        r'(?:(<span class="o">\.</span>)<span class="n">(\w+)</span>)?'
    )

    def cell(block) -> str:
        done: set[str] = set()

        def put(hit) -> str:
            value = given[hit[1]]
            inside = inspect.ismodule(value) and hit[3]
            value = reach(f"{home(value)}.{hit[3]}") if inside else value
            to = find(app, value, pagename)
            if to is None or to in done:
                return hit[0]
            done.add(to)
            what = hit[0] if inside else f'<span class="n">{hit[1]}</span>'
            return f'<a class="api" href="{html.escape(to)}">{what}</a>{hit[0][len(what) :]}'

        return token.sub(put, block[0])

    block = re.compile(r'<div class="highlight"><pre>.*?</pre>', re.S)
    context["body"] = block.sub(cell, context["body"])


# ---------------------------------------------------------------- Sphinx


def documenter():
    """A step is an object that `one_step` makes of a formula; its entry is the formula's."""
    from sphinx.ext.autodoc import FunctionDocumenter

    from sdelib.stepping import OneStep

    class StepDocumenter(FunctionDocumenter):
        objtype = "step"
        directivetype = "function"
        priority = 20

        @classmethod
        def can_document_member(cls, member, membername, isattr, parent) -> bool:
            return isinstance(member, OneStep) and member.__name__ == membername

        def import_object(self, raiseerror: bool = False) -> bool:
            done = super().import_object(raiseerror)
            self.object = getattr(self.object, "formula", self.object)
            return done

    return StepDocumenter


def setup(app) -> dict:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.viewcode")
    app.add_autodocumenter(documenter())
    app.connect("source-read", write_out)
    app.connect("env-get-outdated", tables_again)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("doctree-resolved", collect, priority=600)
    app.connect("doctree-resolved", link, priority=790)  # before the terms of the glossary
    app.connect("html-page-context", code_links, priority=400)  # before previews are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def main() -> int:
    head = "# The public names of sdelib. What is promised of them: index.md. After a change:\n"
    head += "# python book/_ext/api.py\n"
    NAMES.write_text(head + "\n".join(public()) + "\n", encoding="utf-8")
    print(f"{NAMES.relative_to(ROOT)}: {len(public())} names")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
