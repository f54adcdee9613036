"""Files of comma-separated values, read in parts: however long one is, the memory holds the table
as float32 and one part of the text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checks import require, show
from .extras import package

ROWS = 500_000
"""Rows that are read at a time."""


def parts_of(path: Path, text: frozenset = frozenset()) -> Iterator[Any]:
    """The data frames of a file, part by part. Between the columns stands a comma, a semicolon or a
    tab, as in the first line; the columns `text` are read as text.

    Raises ValueError for a file without a header, or one that is no table.
    """
    pandas = package("pandas")
    how: dict[str, Any] = {
        "encoding": "utf-8-sig",
        "sep": separator(path),
        "skipinitialspace": True,
    }
    try:
        with pandas.read_csv(
            path, chunksize=ROWS, dtype=dict.fromkeys(text, "str"), low_memory=False, **how
        ) as file:
            yield from file
    except pandas.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty: give a header and rows") from error
    except (pandas.errors.ParserError, UnicodeDecodeError, OverflowError) as error:
        reason = str(error).strip().splitlines()[-1][:200]
        cure = "give one line a row, as many cells in each, in UTF-8"
        raise ValueError(f"{path} is no table ({reason}): {cure}") from error


def separator(path: Path) -> str:
    """What stands between the columns of the first line, which names them."""
    try:
        with open(path, encoding="utf-8-sig") as f:
            first = f.readline()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): save it as UTF-8") from error
    found = next((s for s in ",;\t" if s in first), ",")
    names = next(csv.reader([first], delimiter=found, skipinitialspace=True), [])
    names = [name.strip() for name in names]
    cure = "the first line has to name the columns"
    require(any(names), f"first line of {path}", first[:80], cure)
    require(not all(map(_number, names)), f"first line of {path}", show(names), cure)
    cure = "it has no name, as row numbers have none: name it, or write with index=False"
    require(all(names), f"{path}: column", names.index("") + 1 if "" in names else 0, cure)
    double = [name for k, name in enumerate(names) if name in names[:k]]
    require(not double, f"{path}: columns", double, "two have this name: rename one")
    return found


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
