"""Tables: a data frame or a .csv file into numbers and back.

A column is one of three kinds. A *number* stays one, a *whole* number is rounded back, and a
*category* becomes as many numbers as it has values, of which one is 1 and the others are 0. In
memory a table is float32 (n, columns), a category by the place of its value, so it takes four bytes
a cell however many values there are; `one_hot` widens it a batch at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import require, show
from .examples import spread
from .extras import package

MOST_VALUES, FEW_VALUES = 1000, 50
"""A category has at most so many values; a column of text that nobody calls one, at most so few."""
LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class Column:
    """kind: "number", "whole" or "category".  values: of a category, in order.
    low, high: the range of the others in the data."""

    name: str
    kind: str
    values: tuple = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def width(self) -> int:
        """How many coordinates the network sees of it."""
        return len(self.values) if self.kind == "category" else 1


class Survey:
    """What a column turns out to be while its parts come by."""

    def __init__(self, name: str, told: bool):
        self.name, self.told, self.text, self.numeric = name, told, 0, 0
        self.whole, self.low, self.high = True, math.inf, -math.inf
        self.likely, self.odd = 0, ""  # texts that are numbers, and the first that is none
        self.values: dict[Any, None] = {}

    def see(self, part: Any, first: int, where: str) -> None:
        """Take in the next rows, a series that begins with row `first`."""
        missing = part.isna().to_numpy()
        if missing.any():
            row = first + int(missing.argmax())
            cure = "fill it, or leave the row or the column out"
            raise ValueError(f"{where}: row {row + 1} has no value in column {self.name!r}: {cure}")
        is_number = part.dtype.kind in "iuf"
        self.numeric += is_number
        self.text += not is_number
        if self.told or not is_number:
            if len(self.values) <= MOST_VALUES:
                self.values |= dict.fromkeys(part.unique().tolist())
            if not is_number and not self.told:
                none = package("pandas").to_numeric(part, errors="coerce").isna().to_numpy()
                self.likely += int((~none).sum())
                if none.any() and not self.odd:
                    row = int(none.argmax())
                    self.odd = f"row {first + row + 1} is {show(part.iloc[row])}"
            return
        numbers = part.to_numpy(np.float64)
        fine = np.abs(numbers) < 1e30
        if not fine.all():
            row = first + int((~fine).argmax())
            value = numbers[row - first]
            cure = "give ordinary numbers, or leave the row out"
            raise ValueError(f"{where}: row {row + 1}, column {self.name!r} is {value}: {cure}")
        self.low = min(self.low, float(numbers.min()))
        self.high = max(self.high, float(numbers.max()))
        rounded = (numbers == np.rint(numbers)) & (np.abs(numbers) <= LARGEST_WHOLE)
        self.whole = self.whole and bool(rounded.all())

    def column(self, n: int, where: str) -> Column:
        """The column.  Raises ValueError for one that nothing can be learned from."""
        here = f"{where}: column {self.name!r}"
        if self.text or self.told:
            count, most = len(self.values), MOST_VALUES if self.told else min(FEW_VALUES, n // 2)
            if count > most and self.likely > n // 2:
                cure = "mend it, or leave the row out"
                raise ValueError(f"{here}: {self.odd}, and most others are numbers: {cure}")
            if count > most:
                many = f"more than {MOST_VALUES}" if count > MOST_VALUES else f"{count}"
                cure = "" if self.told else f", or say categorical=[{self.name!r}]"
                raise ValueError(
                    f"{here} is text such as {show(next(iter(self.values)))} with {many} values in "
                    f"{n} rows, too many for a category: leave it out{cure}"
                )
            odd = [v for v in self.values if not isinstance(v, (str, bool, int, float))]
            cure = "make it a number or a text"
            require(not odd, here, odd[0] if odd else None, cure)
            values = tuple(sorted(self.values, key=lambda v: (str(type(v)), v)))
            require(len(values) > 1, here, values[0], "it never changes: leave it out")
            return Column(self.name, "category", values)
        require(self.low < self.high, here, self.low, "it never changes: leave it out")
        return Column(self.name, "whole" if self.whole else "number", (), self.low, self.high)


Parts = Callable[[frozenset], Iterable[Any]]
"""A table part by part, the columns that are named as text; anew each time."""


def survey(
    parts: Parts, where: str, categorical: Sequence[str], label: str | None
) -> tuple[list[Column], int, frozenset]:
    """(columns, rows, the columns to be read as text) of a table; the label's column comes last."""
    text: frozenset = frozenset()
    while True:
        found: dict[str, Survey] = {}
        n = 0
        for part in map(named, parts(text)):
            found = found or {str(k): Survey(str(k), k in (*categorical, label)) for k in part}
            for name, one in found.items():
                one.see(part[name], n, where)
            n += len(part)
        for name in (*categorical, *([] if label is None else [label])):
            require(name in found, "column", name, f"{where} has the columns {show([*found])}")
        require(n > 2, "rows", n, f"{where} has too few: give three or more")
        mixed = frozenset(k for k, one in found.items() if one.text and one.numeric)
        if mixed <= text:
            break
        text = text | mixed  # a number in one part, text in another
    columns = [one.column(n, where) for name, one in found.items() if name != label]
    require(columns, "columns", 0, f"{where} has none beside the label")
    return columns + ([found[label].column(n, where)] if label is not None else []), n, text


def named(frame: Any) -> Any:
    """The frame with its columns named by text.  Raises ValueError for two of one name."""
    names = [str(name).strip() for name in frame.columns]
    double = [name for k, name in enumerate(names) if name in names[:k]]
    require(not double, "columns", double, "two have this name: rename one")
    return frame.set_axis(names, axis=1)


def compact(frame: Any, columns: Sequence[Column], where: str = "the table") -> np.ndarray:
    """float64 (n, columns): the numbers of a data frame, a category by the place of its value.

    Raises ValueError for a column that is missing and for a value that is none of a category's.
    """
    frame, out = named(frame), np.empty((len(frame), len(columns)))
    for k, column in enumerate(columns):
        names = show([*map(str, frame.columns)])
        require(column.name in frame, "column", column.name, f"{where} has the columns {names}")
        part = frame[column.name]
        if column.kind == "category":
            place = {value: i for i, value in enumerate(column.values)}
            part = part.map(place).astype("float64")
        try:
            out[:, k] = part.to_numpy(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: column {column.name!r} is not all numbers") from error
        if (bad := ~np.isfinite(out[:, k])).any():
            row = int(bad.argmax())
            value = f"{column.name!r} is {show(frame[column.name].iloc[row])}"
            allowed = f"one of {show(column.values)}" if column.values else "a finite number"
            raise ValueError(f"{where}: row {row + 1}, column {value}: give {allowed}")
    return out


def one_hot(values: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """(n, width) of the type of `values` (n, columns): a category becomes 0, …, 1, …, 0."""
    out = np.zeros((len(values), sum(c.width for c in columns)), values.dtype)
    first, rows = 0, np.arange(len(values))
    for k, column in enumerate(columns):
        if column.kind == "category":
            out[rows, first + values[:, k].astype(np.int64)] = 1
        else:
            out[:, first] = values[:, k]
        first += column.width
    return out


def frame_of(wide: np.ndarray, columns: Sequence[Column]) -> Any:
    """The data frame of (n, width) in the table's own units: of a category the likeliest value;
    whole numbers are rounded and kept in the range that they have in the data."""
    pandas = package("pandas")
    found, first = {}, 0
    for column in columns:
        part = wide[:, first : first + column.width]
        if column.kind == "category":
            found[column.name] = pick(column.values, part.argmax(1))
        elif column.kind == "whole":
            whole = np.rint(part[:, 0]).clip(column.low, column.high)
            found[column.name] = whole.astype(np.int64)
        else:
            found[column.name] = part[:, 0]
        first += column.width
    return pandas.DataFrame(found)


def pick(values: Sequence[Any], places: Any) -> Any:
    """A series of the values at these places."""
    return package("pandas").Series([values[i] for i in np.asarray(places).tolist()])


@dataclass(frozen=True, eq=False)
class Stored:
    """A table in memory: own units = centre + half·array, with array (n, columns) float32 and
    numbers in [−1, 1]; a category by the place of its value."""

    array: np.ndarray
    centre: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[Any], columns: Sequence[Column], n: int, where: str) -> Stored:
        """The table of these parts, which have n rows together."""
        bounds = np.array([[c.low, c.high] if c.kind != "category" else [-1, 1] for c in columns])
        centre, half = bounds.mean(1), (bounds[:, 1] - bounds[:, 0]) / 2
        array, done = np.empty((n, len(columns)), np.float32), 0
        for part in parts:
            array[done : done + len(part)] = (compact(part, columns, where) - centre) / half
            done += len(part)
        return cls(array, centre, half)

    def values(self, part: np.ndarray) -> np.ndarray:
        """float64 own units of some rows of the array, as `compact` gives them."""
        return part * self.half + self.centre

    def units(
        self, rows: np.ndarray, columns: Sequence[Column], where: str
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(shift, factor) of each coordinate, by these rows: a number's mean and standard
        deviation; of a category the shares p of its values, and one √(mean of p (1 − p))."""
        mean, std = spread(self.array, rows)
        shift, factor = [], []
        for k, c in enumerate(columns):
            cure = "it never changes in the training part: leave it out"
            require(std[k] > 0, f"{where}: column", c.name, cure)
            if c.kind == "category":
                places = self.array[:, k][rows].astype(np.int64)
                share = np.bincount(places, minlength=c.width) / len(rows)
                shift += share.tolist()
                factor += [math.sqrt(np.mean(share * (1 - share)))] * c.width
            else:
                shift.append(float(self.centre[k] + self.half[k] * mean[k]))
                factor.append(float(self.half[k] * std[k]))
        return tuple(shift), tuple(factor)
