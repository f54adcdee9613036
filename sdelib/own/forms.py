"""What a model must remember of its data: enough to make noise of the right shape and level, and to
give samples back in the data's own units.

    own units  ⇄  network units:    x = (own − shift)/factor,    own = shift + factor·x

Of points and tables shift and factor are those of each coordinate, of series one for all; images
are k/255, from 0 to 1. A category of a table is 0, …, 1, …, 0 (see `tables`); its coordinates
share one factor, with which their variances average 1.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import finite, positive, require, show
from . import written
from .tables import Column, compact, frame_of, one_hot, pick

KINDS = ("images", "points", "series", "table")


@dataclass(frozen=True)
class Form:
    """kind: one of KINDS.  shape: of one example for the network: (c, h, w), (d,) or (length,).
    mean, std: of the training part, in the network's units.  sigma_max: the largest noise level: at
    least the largest distance between two examples, and at least 10 std.
    classes: names of the labels.  columns: of a table.  shift, factor: as above; () for images.
    label_column: what a table's file calls the labels.  source: in words.
    """

    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    sigma_max: float
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    shift: tuple[float, ...] = ()
    factor: tuple[float, ...] = ()
    label_column: str = ""
    source: str = ""

    def __post_init__(self):
        require(self.kind in KINDS, "kind", self.kind, f"give one of {KINDS}")
        positive(std=self.std, sigma_max=self.sigma_max)

    @property
    def size(self) -> int:
        """How many numbers an example has."""
        return math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """The form as plain dictionaries, lists, numbers and words."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Form:
        """The form that `to_json` described.  Raises ValueError for anything else."""
        known = {f.name for f in dataclasses.fields(cls)}
        cure = f"give what Form.to_json wrote, with {sorted(known)}"
        tuples: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()
        }
        try:
            columns = [{**c, "values": tuple(c["values"])} for c in facts.get("columns", ())]
            tuples["columns"] = tuple(Column(**c) for c in columns)
            return cls(**tuples)
        except (TypeError, KeyError) as error:
            raise ValueError(f"facts has {show([*facts])} ({error}): {cure}") from error

    def encode(self, raw: Any) -> Tensor:
        """Own units → network units, float32 (n, *shape).

        raw: images, (n, c, h, w), of one channel also (n, h, w), of three also (n, h, w, c): uint8,
        or floats in [0, 1]; points (n, d) or series (n, length); of a table a data frame.
        Raises ValueError for another shape, and for values that are not finite or unknown.
        """
        if self.kind == "table":
            return self.widen(compact(raw, self.columns))
        if isinstance(raw, Tensor):
            raw = raw.detach().cpu().numpy()
        raw = np.asarray(raw)
        if self.kind == "images":
            return self._pixels(raw)
        cure = f"give (n, {self.shape[0]})"
        require(raw.shape[1:] == self.shape, "shape of raw", raw.shape, cure)
        x = (raw.astype(np.float64) - np.array(self.shift)) / np.array(self.factor)
        return finite("raw", torch.from_numpy(x.astype(np.float32)))

    def widen(self, values: np.ndarray) -> Tensor:
        """Of a table float64 (n, columns), as `tables.compact` gives them → network units."""
        x = one_hot(values, self.columns) - np.array(self.shift)
        return torch.from_numpy((x / np.array(self.factor)).astype(np.float32))

    def _pixels(self, raw: np.ndarray) -> Tensor:
        if raw.shape[1:] != self.shape:
            c, *sides = self.shape
            flat = c == 1 and raw.shape[1:] == (*sides,)
            last = raw.shape[1:] == (*sides, c)
            cure = f"give (n, {', '.join(map(str, self.shape))})"
            require(flat or last, "shape of raw", raw.shape, cure)
            raw = raw[:, None] if flat else np.moveaxis(raw, -1, 1)
        x = torch.from_numpy(np.array(raw, np.uint8 if raw.dtype == np.uint8 else np.float32))
        return x.float().div_(255) if x.dtype == torch.uint8 else finite("raw", x)

    def decode(self, x: Tensor, labels: Any = None) -> Any:
        """Network units → own units.

        Images: uint8 (n, h, w) of one channel, else (n, h, w, c), cut to [0, 1] and rounded. Points
        and series: float32. A table: a data frame with the columns of the file, a category by its
        likeliest value, whole numbers rounded and kept in their range; with its labels, if given.
        """
        x = torch.as_tensor(x).detach().cpu()
        cure = f"give (n, {', '.join(map(str, self.shape))})"
        require(tuple(x.shape[1:]) == self.shape, "shape of x", tuple(x.shape), cure)
        finite("x", x)
        if self.kind == "images":
            pixels = (x.float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            return pixels[:, 0] if self.shape[0] == 1 else np.moveaxis(pixels, 1, -1)
        own = x.double().numpy() * np.array(self.factor) + np.array(self.shift)
        if self.kind != "table":
            return own.astype(np.float32)
        frame = frame_of(own, self.columns)
        if labels is not None:
            names = pick(self.classes, torch.as_tensor(labels).tolist())
            frame[self.label_column or "label"] = names
        return frame

    def label(self, name: str | int) -> int:
        """The number of a class, by its name or number.  ValueError lists what there is."""
        names = [*self.classes]
        if isinstance(name, str) and name in names:
            return names.index(name)
        number = int(name) if isinstance(name, str) and name.isdecimal() else name
        inside = hasattr(number, "__index__") and 0 <= int(number) < len(names)
        there = f"there are {show(names)}" if names else "this data has no classes"
        require(inside, "label", name, there)
        return int(number)

    def write(
        self, x: Tensor, path: str | Path, *, labels: Any = None, about: Mapping | None = None
    ) -> Path:
        """Write samples x (n, *shape), in network units, in the data's own; the path is returned.

        .png: images in a grid.  .npz: `images`, `points`, `series` or, of a table, a column each;
        labels too.  .csv: a table, points or series.  A folder, or what ends with a slash: a PNG an
        image, in a sub-folder a class where there are labels.
        labels: numbers of classes (n,).  about: settings, kept as JSON in the PNG or .npz.
        Raises ValueError for a path of another kind, or one that does not fit the data; OSError
        where nothing can be written.
        """
        numbers, names = self._names(labels, len(x))
        (target, suffix), own = written.target(path, self.kind), self.decode(x)
        note = {} if about is None else {"sdelib": json.dumps(dict(about), default=str)}
        if self.kind == "images" and suffix != ".npz":
            save = written.grid if suffix == ".png" else written.folder
            return save(target, own, names, note)
        table = suffix == ".csv" and self.kind != "table"
        columns = {f"x{i}": own[:, i] for i in range(self.size)} if table else {self.kind: own}
        if self.kind == "table":
            columns = {str(name): own[name].to_numpy() for name in own}
        if suffix == ".npz":
            return written.npz(target, columns, numbers, self.classes, note)
        more = {} if names is None else {self.label_column or "label": names}
        return written.csv(target, columns | more)

    def _names(self, labels: Any, n: int) -> tuple[Any, Any]:
        """(the numbers of the labels, their names), or nothing twice."""
        require(n > 0, "len(x)", n, "there is nothing to write")
        if labels is None:
            return None, None
        numbers, most = np.asarray(torch.as_tensor(labels).cpu()), len(self.classes) - 1
        fits = numbers.shape == (n,) and numbers.min() >= 0 and numbers.max() <= most
        require(fits, "labels", labels, f"give one for each example, ({n},), from 0 to {most}")
        return numbers, [self.classes[k] for k in numbers.tolist()]
