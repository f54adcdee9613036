"""The house in order: who imports whom, how long a module is, where an argument is refused.

All but one test read the code by ast and import nothing of it, so they are over in a second or two.
"""

from __future__ import annotations

import ast
import fnmatch
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sdelib"
LONGEST, ALL_LINES, CHECK_LINES, CHECK_SHARE = 250, 3000, 2, 0.05
ROOMS = ["checks", "mathematics", "networks", "own", "widgets", "book", "cli"]
"""A room knows itself and those before it."""
CONVERSIONS = {"align", "like", "number", "show"}
"""What `checks` holds besides refusals: a value made to fit another is part of the formula."""


@cache
def modules() -> dict[str, ast.Module]:
    """The modules of sdelib by their dotted names."""
    return {
        ".".join(["sdelib", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def mathematics() -> dict[str, Path]:
    """The modules directly in sdelib/ that are read: without __init__ and __main__."""
    return {p.stem: p for p in sorted(PACKAGE.glob("*.py")) if not p.stem.startswith("__")}


def room(name: str) -> str:
    """The room of a module; `sdelib` itself stands with `own`, and `sdelib.__main__` with `cli`."""
    first = [*name.split("."), ""][1]
    if first in ROOMS:
        return first
    return {"": "own", "__main__": "cli"}.get(first, "mathematics")


def imports(name: str, tree: ast.Module, known: set[str]) -> list[tuple[str, str, str]]:
    """What a module imports from sdelib, at its top or inside a function: (module, name there, name
    here), with "" for the whole module."""
    package = (
        name
        if (PACKAGE.joinpath(*name.split(".")[1:]) / "__init__.py").is_file()
        else (name.rpartition(".")[0])
    )
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [
                (a.name, "", a.asname or a.name)
                for a in node.names
                if a.name.split(".")[0] == "sdelib"
            ]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, *([node.module] if node.module else [])])
            base = base if node.level else node.module or ""
            if base.split(".")[0] != "sdelib":
                continue
            for a in node.names:
                whole = f"{base}.{a.name}" in known
                target = (f"{base}.{a.name}", "") if whole else (base, a.name)
                found.append((*target, a.asname or a.name))
    return found


def arrows(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    return {n: {m for m, *_ in imports(n, t, set(trees))} - {n} for n, t in trees.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The circles that a walk along the arrows meets."""
    found, done = [], set()

    def walk(node, path):
        if node in path:
            found.append(" → ".join([*path[path.index(node) :], node]))
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                walk(other, [*path, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private(name: str, tree: ast.Module, known: set[str]) -> list[str]:
    """The private names of another module of sdelib that this one uses."""
    taken = imports(name, tree, known)
    whole = {here: module for module, there, here in taken if not there}
    found = [f"{m}.{there}" for m, there, _ in taken if is_private(there)]
    found += [m for m, there, _ in taken if not there and is_private(m.rpartition(".")[2])]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            module = whole.get(ast.unparse(node.value))
            found += [f"{module}.{node.attr}"] if module else []
    return found


# ---------------------------------------------------------------- lines that check


def refuses(node: ast.stmt, doors: set[str]) -> bool:
    """A statement that only checks: `if …: raise ValueError(…)`, calls into `checks`, or names that
    are set to what such calls let through."""
    if isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], ast.Raise):
        raised = node.body[-1].exc
        return ast.unparse(getattr(raised, "func", raised) or node) in ("ValueError", "TypeError")
    value = getattr(node, "value", None)
    if not isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)):
        return False
    for call in value.elts if isinstance(value, ast.Tuple) else [value]:
        called = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        door, _, function = called.rpartition(".")
        if not (called in doors or (door == "checks" and function not in CONVERSIONS)):
            return False
    return True


def doors(tree: ast.Module) -> set[str]:
    """The names under which a module has the functions of `checks` that refuse."""
    return {
        a.asname or a.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] == "checks"
        for a in node.names
        if a.name not in CONVERSIONS
    }


def checking(tree: ast.AST, names: set[str]) -> list[ast.stmt]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and refuses(n, names)]


def public(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """The public functions of a module, and of its public classes the public methods and those with
    two underscores on each side."""
    found = {}
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for f in inside:
            if isinstance(f, ast.FunctionDef) and not is_private(f.name) | is_private(prefix[:-1]):
                found[prefix + f.name] = f
    return found


def code_lines(text: str) -> set[int]:
    """The lines that hold code: no blank ones, no comments, no docstrings."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in nothing | {tokenize.ENDMARKER}
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            lines -= set(range(node.lineno, node.end_lineno + 1))  # a docstring
    return lines


def check_lines(text: str, names: set[str] = frozenset()) -> tuple[int, int]:
    """(lines of code that only check, lines of code)."""
    tree, lines = ast.parse(text), code_lines(text)
    seen = {
        line
        for node in checking(tree, doors(tree) | names)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    return len(seen & lines), len(lines)


# ---------------------------------------------------------------- the tests


def test_no_module_imports_itself_by_a_detour():
    assert not circles(arrows(modules()))


def test_arrows_run_from_the_wings_to_the_mathematics_to_the_checks():
    rank = {name: ROOMS.index(room(name)) for name in modules()}
    wrong = [
        f"{name} ({room(name)}) imports {other} ({room(other)})"
        for name, others in arrows(modules()).items()
        for other in sorted(others)
        if other in rank and (rank[other] > rank[name] or room(name) == "checks")
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["sdelib", "tools", "book/_ext"])
def test_no_private_name_leaves_its_module(folder):
    known, found = set(modules()), {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if names := private(name, tree, known):
            found[name] = names
    assert not found


def test_a_module_is_read_in_one_sitting():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: n for name, n in lengths.items() if n > LONGEST}


def test_the_mathematics_is_read_in_one_sitting():
    texts = [path.read_text(encoding="utf-8") for path in mathematics().values()]
    assert sum(len(text.splitlines()) for text in texts) <= ALL_LINES


def test_a_public_function_checks_in_two_lines_at_most():
    found = {}
    for name, path in mathematics().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function, node in public(tree).items():
            if (n := len(checking(node, doors(tree)))) > CHECK_LINES and name != "checks":
                found[f"{name}.{function}"] = n
    assert not found


def test_few_lines_of_the_mathematics_check():
    texts = [p.read_text(encoding="utf-8") for n, p in mathematics().items() if n != "checks"]
    checks, code = (sum(column) for column in zip(*map(check_lines, texts)))
    print(f"{checks} of {code} lines of code check: {checks / code:.1%}")
    assert checks <= CHECK_SHARE * code


def test_importing_sdelib_takes_torch_and_numpy():
    program = """
import sys, torch, numpy
before = set(sys.modules)
import sdelib
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - set(sys.stdlib_module_names) - {name.partition(".")[0] for name in before}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sdelib"]


def test_every_package_is_in_the_wheel():
    """pyproject.toml lists packages and their data by hand, and an editable install hides what is
    missing there."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = listed["tool"]["setuptools"]
    here = {
        ".".join(path.parent.relative_to(ROOT).parts): path.parent
        for path in PACKAGE.rglob("__init__.py")
    }
    assert {*here, "sdelib.results"} == set(listed["packages"])
    data = listed["package-data"]
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            owner = next(name for name in sorted(here, reverse=True) if here[name] in path.parents)
            inside = path.relative_to(here[owner]).as_posix()
            assert any(fnmatch.fnmatch(inside, pattern) for pattern in data.get(owner, ())), path


def unspoken(text: str) -> list[int]:
    """The lines that open a text file in the encoding of whatever machine they run on."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr, len(node.args)) in (("read_text", 0), ("write_text", 1))
        and "encoding" not in {keyword.arg for keyword in node.keywords}
    ]


@pytest.mark.parametrize("folder", ["sdelib", "tools", "tests", "book/_ext"])
def test_a_text_file_is_opened_with_its_encoding(folder):
    """Of `open` ruff says it (PLW1514); of a path's read_text and write_text only this does."""
    texts = {p: p.read_text(encoding="utf-8") for p in sorted((ROOT / folder).rglob("*.py"))}
    assert not {str(p.relative_to(ROOT)): n for p, text in texts.items() if (n := unspoken(text))}


# ---------------------------------------------------------------- they see what they look for


def test_a_circle_is_seen():
    graph = {"a": {"b", "d"}, "b": {"c"}, "c": {"a"}, "d": set()}
    assert circles(graph) == ["a → b → c → a"] and not circles(graph | {"c": {"d"}})


@pytest.mark.parametrize(
    "text, target",
    [
        ("from . import checks", ("sdelib.checks", "", "checks")),
        ("from .checks import like as fit", ("sdelib.checks", "like", "fit")),
        ("import sdelib.checks as c", ("sdelib.checks", "", "c")),
        ("def f():\n    from sdelib.checks import like", ("sdelib.checks", "like", "like")),
    ],
)
def test_an_import_is_seen(text, target):
    assert imports("sdelib.sdes", ast.parse(text), {"sdelib.checks"}) == [target]


@pytest.mark.parametrize(
    "text",
    [
        "from .checks import _a",
        "from . import checks\nchecks._a()",
        "import sdelib.checks as c\nc._a",
    ],
)
def test_a_private_name_is_seen(text):
    assert private("sdelib.sdes", ast.parse(text), {"sdelib.checks"}) == ["sdelib.checks._a"]


def test_a_line_that_checks_is_seen():
    text = '''
from . import checks
from .checks import finite, like

def f(x, t):
    """A docstring."""
    checks.require(t > 0, "t", t, "give a time")
    t = finite("t", like(t, x))  # lets t through
    s = like(t, x)
    if s < 0:
        raise ValueError(
            "s"
        )
    return finite("f", x * s)
'''
    assert check_lines(text) == (6, 11)
    tree = ast.parse(text)
    assert len(checking(public(tree)["f"], doors(tree))) == 3


def test_an_unspoken_encoding_is_seen():
    assert unspoken("p.read_text()\np.write_text(x)\np.read_text(encoding='utf-8')") == [1, 2]
