"""What the reader moves: a slider, a switch, a grid of cells to mark.

Each has a name (an argument of compute), a label, the keys for which frames are stored, a start
among them, `resolve` (key from the page → argument) and `spec` (what the page is told).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..checks import require, show


def named(control) -> None:
    """Refuse a control whose name no argument can have, and one without a label."""
    known = isinstance(control.name, str) and control.name.isidentifier()
    require(known, "name", control.name, "give the name of an argument of compute")
    if not control.label:
        raise ValueError(f"label of {control.name} is empty: say what the control does")


@dataclass(frozen=True)
class Slider:
    """A number.  values: the stored ones, ascending; a live kernel may be asked for any value
    between.

    Stored values stand at equal distances on the slider.  unit: shown after the number.
    start: one of values, by default the first.
    integer: whole numbers only, given to compute as int.
    log: numbers between two stored values are spaced by their ratio.
    play: where Play runs to: "down" to the left end, for noise that is left and for generation
    time, where the data are; "up" to the right one.  By default a label with the word "noise" plays
    down.
    Raises ValueError for values that are not ascending and finite, and for a start not among them.
    """

    name: str
    label: str
    values: Sequence[float]
    _: KW_ONLY
    unit: str = ""
    start: float | None = None
    integer: bool = False
    log: bool = False
    play: str = ""

    def __post_init__(self):
        named(self)
        try:
            v = [float(a) for a in self.values]
        except (TypeError, ValueError) as error:
            raise ValueError(f"values of {self.name} = {self.values!r}: give numbers") from error
        if len(v) < 2 or not all(map(math.isfinite, v)) or any(a >= b for a, b in zip(v, v[1:])):
            cure = "give at least two finite numbers in ascending order"
            raise ValueError(f"values of {self.name} = {show(v)}: {cure}")
        whole, above = not self.integer or all(a == round(a) for a in v), not self.log or v[0] > 0
        require(whole, f"values of {self.name}", v, "integer=True needs whole numbers")
        require(above, f"values of {self.name}", v, "log=True needs numbers above 0")
        v = tuple(int(a) if self.integer else a for a in v)
        start = v[0] if self.start is None else self.start
        require(start in v, f"start of {self.name}", start, f"give one of its values {list(v)}")
        object.__setattr__(self, "values", v)
        object.__setattr__(self, "start", v[v.index(start)])
        play = self.play or ("down" if "noise" in self.label.lower().split() else "up")
        require(play in ("down", "up"), f"play of {self.name}", play, 'give "down" or "up"')
        object.__setattr__(self, "play", play)

    @property
    def keys(self) -> tuple:
        """What the page calls the stored values."""
        return tuple(self.values)

    def resolve(self, key: Any) -> float | int:
        """The argument for compute.  Raises ValueError when it is no number between the stored
        values."""
        low, high = self.values[0], self.values[-1]
        if isinstance(key, bool) or not isinstance(key, (int, float)) or not low <= key <= high:
            raise ValueError(f"{self.name} = {key!r}: give a number from {low:g} to {high:g}")
        require(not self.integer or key == round(key), self.name, key, "give a whole number")
        return int(key) if self.integer else float(key)

    def spec(self) -> dict:
        return {
            "kind": "slider",
            "name": self.name,
            "label": self.label,
            "keys": list(self.values),
            "unit": self.unit,
            "start": self.values.index(self.start),
            "integer": self.integer,
            "log": self.log,
            "play": self.play,
        }


@dataclass(frozen=True)
class Switch:
    """One of a few.  options: names, or a dict name → the value that compute gets.
    start: a name, by default the first.

    Raises ValueError for fewer than two options, equal names, and a start not among them.
    """

    name: str
    label: str
    options: Sequence[str] | Mapping[str, Any]
    _: KW_ONLY
    start: str | None = None

    def __post_init__(self):
        named(self)
        if isinstance(self.options, str) or not all(isinstance(o, str) and o for o in self.options):
            cure = "give a list of names, or a dict name → value"
            raise ValueError(f"options of {self.name} = {show(self.options)}: {cure}")
        names = list(self.options)
        several = 1 < len(names) == len(set(names))
        require(several, f"options of {self.name}", names, "give at least two different names")
        object.__setattr__(self, "start", self.keys[0] if self.start is None else self.start)
        require(self.start in names, f"start of {self.name}", self.start, f"give one of {names}")

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.options)

    def resolve(self, key: Any) -> Any:
        """The argument for compute.  Raises ValueError when `key` is not among the names."""
        known = isinstance(key, str) and key in self.keys
        require(known, self.name, key, f"give one of {list(self.keys)}")
        return self.options[key] if isinstance(self.options, Mapping) else key

    def spec(self) -> dict:
        return {
            "kind": "switch",
            "name": self.name,
            "label": self.label,
            "keys": list(self.keys),
            "start": self.keys.index(self.start),
        }


@dataclass(frozen=True)
class Paint:
    """Cells of a grid that the reader marks; compute gets them as a bool array (rows, columns).

    blocks: (r, c): without a kernel the grid is cut into r×c blocks that are marked as a whole, and
    a frame is stored for every choice of blocks; a live kernel is asked for any choice of cells.
    start: the marked blocks, a string of 0 and 1 in reading order, by default none.
    picture: (H, W) in [0, 1], drawn under the grid.
    Raises ValueError for more than 6 blocks, blocks that do not fit the grid, a start of another
    length, and a picture outside [0, 1].
    """

    name: str
    label: str
    rows: int
    columns: int
    _: KW_ONLY
    blocks: tuple[int, int]
    start: str = ""
    picture: Any = None

    def __post_init__(self):
        named(self)
        (r, c), size = self.blocks, (self.rows, self.columns)
        whole = all(isinstance(v, int) for v in (*size, r, c))
        fit = whole and 1 <= r <= self.rows and 1 <= c <= self.columns
        cure = f"give whole numbers from 1 to (rows, columns) = {size}"
        require(fit, f"blocks of {self.name}", self.blocks, cure)
        cure = f"give 2 to 6 of them, since a frame is stored for each of the 2^{r * c} choices"
        require(1 < r * c <= 6, f"blocks of {self.name}", self.blocks, cure)
        start = self.start or "0" * (r * c)
        marks = len(start) == r * c and set(start) <= {"0", "1"}
        cure = f"give {r * c} of 0 and 1, one for each block"
        require(marks, f"start of {self.name}", self.start, cure)
        object.__setattr__(self, "start", self.cells(start))
        if self.picture is not None:
            p = np.asarray(self.picture, dtype=np.float64)
            if p.ndim != 2 or not np.isfinite(p).all() or p.min() < 0 or p.max() > 1:
                raise ValueError(
                    f"picture of {self.name} has shape {p.shape}: give (H, W) in [0, 1]"
                )
            object.__setattr__(self, "picture", p)

    def cells(self, blocks: str) -> str:
        """The string of cells in which these blocks are marked, in reading order."""
        (r, c), at = (
            self.blocks,
            lambda i, n, parts: sum(i >= round(n * k / parts) for k in range(1, parts)),
        )
        return "".join(
            blocks[at(i, self.rows, r) * c + at(j, self.columns, c)]
            for i in range(self.rows)
            for j in range(self.columns)
        )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The stored choices: the blocks read as a binary number, ascending."""
        n = self.blocks[0] * self.blocks[1]
        return tuple(self.cells(f"{k:0{n}b}") for k in range(2**n))

    def resolve(self, key: Any) -> np.ndarray:
        """The marked cells, bool of shape (rows, columns).
        Raises ValueError for anything but rows·columns of 0 and 1."""
        n = self.rows * self.columns
        marks = isinstance(key, str) and len(key) == n and set(key) <= {"0", "1"}
        require(marks, self.name, key, f"give {n} of 0 and 1, row by row")
        return np.array([c == "1" for c in key]).reshape(self.rows, self.columns)

    def spec(self) -> dict:
        picture = (
            None
            if self.picture is None
            else [np.rint(255 * row).astype(int).tolist() for row in self.picture]
        )
        return {
            "kind": "paint",
            "name": self.name,
            "label": self.label,
            "keys": list(self.keys),
            "rows": self.rows,
            "columns": self.columns,
            "blocks": list(self.blocks),
            "start": self.keys.index(self.start),
            "picture": picture,
        }


Control = Slider | Switch | Paint


def checked(controls: Sequence[Control]) -> list[Control]:
    """The controls as a list.  Raises ValueError where there is none, or two of one name."""
    controls = list(controls)
    if not controls:
        raise ValueError("controls is empty: give at least one Slider, Switch or Paint")
    for c in controls:
        if not isinstance(c, Control):
            raise ValueError(f"controls has {c!r}: give Slider, Switch and Paint only")
    names = [c.name for c in controls]
    if len(set(names)) < len(names):
        raise ValueError(f"controls has two of one name: {names}")
    return controls
