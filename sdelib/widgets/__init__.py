"""The explorer: one interactive picture with controls, on a page, in Jupyter and in Colab.

    controls = [Slider("std", "noise σ", [0.1, 0.3, 1, 3], log=True), Switch("p", "law", ["garden",
    "moons"])]

    def compute(std, p):
        return field(density=..., arrows=..., extent=(-4, 4, -4, 4))

    table = bake(controls, compute)
    Explorer(controls, table, compute, caption="Slide σ: the modes merge.", alt="A density and its
    score.")

The table holds a frame for every combination of the controls' values. A value between them is
computed by the kernel where there is one; without one the nearest stored frame is shown, and said
so.
anywidget is imported when an Explorer is made, not before.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..own.weights import atomic
from .frames import Frame, decode, encode, field, images, particles

__all__ = [
    "Explorer",
    "MixtureField",
    "Slider",
    "Switch",
    "Paint",
    "Table",
    "bake",
    "field",
    "particles",
    "images",
    "Frame",
    "BUDGET",
]

BUDGET = 1_500_000
"""The most characters that a table may take in a page."""


def _named(control) -> None:
    if not (isinstance(control.name, str) and control.name.isidentifier()):
        raise ValueError(f"name = {control.name!r}: give the name of an argument of compute")
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

    def __post_init__(self):
        _named(self)
        try:
            v = [float(a) for a in self.values]
        except (TypeError, ValueError) as error:
            raise ValueError(f"values of {self.name} = {self.values!r}: give numbers") from error
        if len(v) < 2 or not all(map(math.isfinite, v)) or any(a >= b for a, b in zip(v, v[1:])):
            raise ValueError(
                f"values of {self.name} = {v}: give at least two finite numbers in ascending order"
            )
        if self.integer and any(a != round(a) for a in v):
            raise ValueError(f"values of {self.name} = {v}: integer=True needs whole numbers")
        if self.log and v[0] <= 0:
            raise ValueError(
                f"values of {self.name} begin at {v[0]:g}: log=True needs numbers above 0"
            )
        v = tuple(int(a) if self.integer else a for a in v)
        start = v[0] if self.start is None else self.start
        if start not in v:
            raise ValueError(f"start of {self.name} = {start!r} is not one of its values {list(v)}")
        object.__setattr__(self, "values", v)
        object.__setattr__(self, "start", v[v.index(start)])

    @property
    def keys(self) -> tuple:
        """What the page calls the stored values."""
        return self.values

    def resolve(self, key: Any) -> float | int:
        """The argument for compute.  Raises ValueError when it is no number between the stored
        values."""
        low, high = self.values[0], self.values[-1]
        if isinstance(key, bool) or not isinstance(key, (int, float)) or not low <= key <= high:
            raise ValueError(f"{self.name} = {key!r}: give a number from {low:g} to {high:g}")
        if self.integer and key != round(key):
            raise ValueError(f"{self.name} = {key!r}: give a whole number")
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
        _named(self)
        if isinstance(self.options, str) or not all(isinstance(o, str) and o for o in self.options):
            raise ValueError(
                f"options of {self.name} = {self.options!r}: give a list of names, or a dict name → value"
            )
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise ValueError(
                f"options of {self.name} = {list(self.options)}: give at least two different names"
            )
        object.__setattr__(self, "start", self.keys[0] if self.start is None else self.start)
        if self.start not in self.keys:
            raise ValueError(
                f"start of {self.name} = {self.start!r} is not one of {list(self.keys)}"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.options)

    def resolve(self, key: Any) -> Any:
        """The argument for compute.  Raises ValueError when `key` is not among the names."""
        if not isinstance(key, str) or key not in self.keys:
            raise ValueError(f"{self.name} = {key!r}: give one of {list(self.keys)}")
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
        _named(self)
        r, c = self.blocks
        if not (
            all(isinstance(v, int) for v in (self.rows, self.columns, r, c))
            and 1 <= r <= self.rows
            and 1 <= c <= self.columns
        ):
            raise ValueError(
                f"blocks of {self.name} = {self.blocks}: give whole numbers from 1 to (rows, columns) = ({self.rows}, {self.columns})"
            )
        if not 1 < r * c <= 6:
            raise ValueError(
                f"blocks of {self.name} = {self.blocks}: give 2 to 6 of them, since a frame is stored for each of the 2^{r * c} choices"
            )
        start = self.start or "0" * (r * c)
        if len(start) != r * c or set(start) - {"0", "1"}:
            raise ValueError(
                f"start of {self.name} = {self.start!r}: give {r * c} of 0 and 1, one for each block"
            )
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
        if (
            not isinstance(key, str)
            or len(key) != self.rows * self.columns
            or set(key) - {"0", "1"}
        ):
            raise ValueError(
                f"{self.name} = {str(key)[:40]!r}: give {self.rows * self.columns} of 0 and 1, row by row"
            )
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


def _checked(controls: Sequence[Control]) -> list[Control]:
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


@dataclass(frozen=True)
class Table:
    """A frame for every combination of the controls' values; the last control runs fastest.

    axes: name → stored values, as JSON can hold them.
    Raises ValueError when the number of frames does not fit, their views differ, or BUDGET is
    exceeded.
    """

    axes: dict[str, list]
    frames: list[Frame]

    def __post_init__(self):
        n = math.prod(len(keys) for keys in self.axes.values())
        if len(self.frames) != n or n == 0:
            raise ValueError(
                f"frames: there are {len(self.frames)}, but {dict(self.axes)} has {n} combinations"
            )
        if len(views := {f.view for f in self.frames}) > 1:
            raise ValueError(
                f"compute returned frames of different views {sorted(views)}: one explorer has one view"
            )
        if (size := len(self.encoded)) > BUDGET:
            parts = " × ".join(f"{len(keys)} {name}" for name, keys in self.axes.items())
            shapes = ", ".join(f"{name} {a.shape}" for name, a in self.frames[0].arrays.items())
            raise ValueError(
                f"the table takes {size / 1e6:.2f} MB and a page has room for {BUDGET / 1e6:.1f} MB: {n} frames ({parts}) "
                f"of {size / n / 1e3:.1f} kB ({shapes}). Reduce the stored values of a control to "
                f"{BUDGET / size:.0%}, or the size of a frame"
            )

    @cached_property
    def encoded(self) -> str:
        """All frames as one base64 string, the same each time."""
        return encode(self.frames)

    def frame(self, **keys) -> Frame:
        """The stored frame of one value for each control.
        Raises ValueError when it is not stored."""
        if set(keys) != set(self.axes) or any(
            keys[name] not in stored for name, stored in self.axes.items()
        ):
            raise ValueError(f"{keys} is not stored; there are {self.axes}")
        index = 0
        for name, stored in self.axes.items():
            index = index * len(stored) + stored.index(keys[name])
        return self.frames[index]

    def save(self, path: str | Path) -> Path:
        """Write the table to an .npz file, atomically and without pickle."""
        path = Path(path)
        data = {
            "axes": np.frombuffer(json.dumps(self.axes, ensure_ascii=False).encode(), np.uint8),
            "frames": np.frombuffer(self.encoded.encode(), np.uint8),
        }

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as f:
                np.savez_compressed(f, **data)

        atomic(path, write)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """Read what `save` wrote.  Raises ValueError, naming the file, when it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as data:
                axes, text = (data[k].tobytes().decode() for k in ("axes", "frames"))
            return cls(json.loads(axes), decode(text))
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged zip raises many kinds of error
            raise ValueError(
                f"{path} is no table of frames, or a damaged one ({error}): bake it again"
            ) from error


def bake(
    controls: Sequence[Control], compute: Callable[..., Frame], progress: bool = False
) -> Table:
    """Call compute(**values) for every combination of the controls' values.

    compute returns a frame: field(…), particles(…) or images(…).  progress: show a bar.
    Raises ValueError for controls that do not fit, a compute that returns something else, and a
    table over BUDGET; what compute raises passes through.
    """
    controls = _checked(controls)
    combinations = list(itertools.product(*(c.keys for c in controls)))
    if progress:
        from tqdm import tqdm

        combinations = tqdm(combinations, desc="baking", leave=False)
    frames = [
        _call(compute, controls, dict(zip((c.name for c in controls), keys)))
        for keys in combinations
    ]
    return Table({c.name: list(c.keys) for c in controls}, frames)


def _call(compute: Callable[..., Frame], controls: list[Control], keys: Mapping) -> Frame:
    if not isinstance(keys, Mapping) or set(keys) != {c.name for c in controls}:
        raise ValueError(f"values = {keys!r}: give one for each of {[c.name for c in controls]}")
    frame = compute(**{c.name: c.resolve(keys[c.name]) for c in controls})
    if not isinstance(frame, Frame):
        raise ValueError(
            f"compute returned {type(frame).__name__} for {dict(keys)}: return field(…), particles(…) or images(…)"
        )
    return frame


def Explorer(
    controls: Sequence[Control],
    table: Table,
    compute: Callable[..., Frame] | None = None,
    *,
    caption: str = "",
    alt: str = "",
):
    """The widget.  Show it as the last value of a cell.

    controls: as given to `bake`.  table: their frames.
    compute: what a live kernel calls for a value that is not in the table; None when only stored
    values can be shown.  caption: what to try and what to see, under the picture.
    alt: the picture in words, for readers who do not see it.
    Raises ValueError when the table does not fit the controls; ImportError without anywidget.
    """
    controls = _checked(controls)
    if not isinstance(table, Table):
        raise ValueError(
            f"table is a {type(table).__name__}: give what bake or Table.load returned"
        )
    if (axes := {c.name: list(c.keys) for c in controls}) != table.axes or list(axes) != list(
        table.axes
    ):
        raise ValueError(
            f"table was baked for {table.axes}, but the controls have {axes}: bake it again"
        )
    if compute is not None and not callable(compute):
        raise ValueError(
            f"compute = {compute!r} cannot be called: give the function that was given to bake"
        )
    try:
        from .live import ExplorerWidget
    except ImportError as error:
        raise ImportError("the explorer needs anywidget: pip install anywidget") from error
    return ExplorerWidget(controls, table, compute, caption=caption, alt=alt)


def MixtureField(
    mixture,
    dynamics: str | None = None,
    *,
    extent: Sequence[float],
    sigma: float | None = None,
    sigma_max: float = 3.0,
    particles: int = 200,
    start: float | None = None,
    eps: float = 0.02,
    seed: int = 0,
    caption: str = "",
    alt: str = "",
):
    """A Gaussian mixture of the plane that the reader drags: density, score and particles follow,
    without a kernel.

    mixture: a GaussianMixture with at most six components.
    extent: (x0, x1, y0, y1), the edges of the picture.
    sigma: the noise level at the beginning, by default none ("reverse": sigma_max).
    sigma_max: the largest one.
    dynamics: what the particles do.  None: there are none.
    "langevin": x ← x + ε s(x) + √(2ε) z with the score at the fixed σ, from N(0, start² I) around
    the middle of the picture, where start is by default a quarter of its width.
    "reverse": dx = −(1 + η²) σ s dσ + η √(2σ) dw̄, from N(0, σ_max² I) at σ_max down to σ_max/400,
    with η = 0 (probability flow) or η = 1 (reverse SDE); the slider moves along.
    seed: of the page's own generator.
    Raises ValueError that names the argument; ImportError without anywidget.
    """
    try:
        from .mixture import make
    except ImportError as error:
        raise ImportError("the mixture needs anywidget: pip install anywidget") from error
    return make(
        mixture, dynamics, sigma, sigma_max, particles, start, eps, seed, extent, caption, alt
    )
