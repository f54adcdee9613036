"""Small helpers for the chapters: show the source of a function, and say a sentence with numbers in
it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from typing import Any

from ..own import budget


def show_source(thing, *, docstring: bool = False):
    """The source of a function, class or method, or of the function that a thing wraps
    (`__wrapped__`), as a highlighted block; its docstring is left out by default."""
    from IPython.display import Code

    source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    if not docstring:
        node: Any = ast.parse(source).body[0]
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and len(node.body) > 1
        ):
            lines = source.splitlines()
            del lines[first.lineno - 1 : first.end_lineno]
            source = "\n".join(lines).replace("\n\n\n", "\n\n")
    return Code(source, language="python")


def say(text: str):
    """Markdown whose numbers come from the run: say(f"The variance is **{v:.3f}**.")."""
    from IPython.display import Markdown

    return Markdown(textwrap.dedent(text).strip())


def table(*rows: Iterable[Any] | str) -> str:
    """Rows of cells as a table in Markdown, for `say`; the first row is its head. A row that is a
    string has its cells parted by "|"."""
    lines = [row if isinstance(row, str) else " | ".join(map(str, row)) for row in rows]
    rule = "|".join(["---"] * (lines[0].count("|") + 1))
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a measured table, results/<name>, as dicts of strings; its comment lines start
    with '#'.

    Looked for in the repository's folder results/ and in the copy that the installed package has.
    Raises ValueError when it is in neither.
    """
    return [dict(row) for row in budget.table(name)]
