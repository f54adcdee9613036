"""Any data set, as a network trains on it: what it is, a part to train on, a tenth held out.

    data = Data.open("photos/", size=32)       pictures, .npz, .npy, .csv, IDX files, fashion-mnist
    data = Data.of(points)                     an array, a tensor or a data frame in memory
    print(data.describe())

Bytes stay bytes, and a .npy file stays on the disk: a batch becomes float32 when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import require
from ..denoiser import NO_LABEL
from .csv_files import ROWS
from .examples import Examples
from .forms import Form
from .opening import opened
from .prepared import of_array, of_table
from .tables import named


@dataclass(frozen=True, eq=False)
class Data:
    """form: what a model remembers of it.  x, held: the training part and what is held out, indexed
    like tensors.  labels, held_labels: int64 (n,), None where there are no classes.
    range: of the numbers as they were found, in words."""

    form: Form
    x: Examples
    labels: Tensor | None
    held: Examples
    held_labels: Tensor | None
    range: str = ""

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, held: bool = False) -> Tensor:
        """float32 (len(index), *form.shape) in network units, of the training part or `held`."""
        return (self.held if held else self.x)[index]

    def training(self) -> tuple[Any, Tensor]:
        """(examples, labels) for `own.training.train`; the label is −1 where there are none."""
        none = torch.full((len(self.x),), NO_LABEL)
        return self.x, none if self.labels is None else self.labels

    def held_out(
        self, limit: int | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(x, labels) of all that is held out, or of at most `limit`: the first ones, which are in
        a random order already, or others, by a generator."""
        n = len(self.held)
        order = torch.arange(n) if generator is None else torch.randperm(n, generator=generator)
        index = order[:limit]
        labels = self.held_labels
        return self.held[index], None if labels is None else labels[index]

    def describe(self) -> str:
        """Five lines: how many and of what, the shape, the range, the classes, what is held out."""
        form, n, m = self.form, len(self.x), len(self.held)
        what = "rows" if form.kind == "table" else form.kind
        if self.labels is None or self.held_labels is None:
            classes = "none"
        else:
            counts = torch.bincount(torch.cat([self.labels, self.held_labels])).tolist()
            pairs = [f"{name} {k:,}" for name, k in zip(form.classes, counts)]
            rest = f", and {len(pairs) - 12} more" if len(pairs) > 12 else ""
            classes = f"{len(pairs)}: {', '.join(pairs[:12])}{rest}"
        each = "" if self.labels is None else ", from each class its share"
        return "\n".join(
            [
                f"found    {n + m:,} {what}: {form.source}",
                f"shape    {self._shape()}",
                f"range    {self.range}",
                f"classes  {classes}",
                f"held out {m:,} of them for validation{each}; {n:,} to train on",
            ]
        )

    def _shape(self) -> str:
        form, sides = self.form, "×".join(map(str, self.form.shape))
        if form.kind == "images":
            c, h, w = form.shape
            return f"{h}×{w} pixels (height×width), {c} channel{'s'[: c != 1]}"
        if form.kind == "table":
            return f"{len(form.columns)} columns, {sides} numbers for the network"
        return f"{sides} numbers each"

    @classmethod
    def of(
        cls,
        x: Any,
        labels: Any = None,
        *,
        kind: str | None = None,
        classes: Sequence[str] = (),
        label_column: str | None = None,
        categorical: Sequence[str] = (),
        seed: int = 0,
        hold: float = 0.1,
        where: str = "x",
        source: str = "an array in memory",
    ) -> Data:
        """Data from an array, a tensor or a pandas data frame in memory, which is not copied.

        x: images (n, h, w), (n, h, w, c) or (n, c, h, w), bytes or floats in [0, 1] or [0, 255];
        points (n, d), by default for d ≤ 8; series (n, length), by default above; or a frame.
        kind: "points" or "series".  labels: one for each, numbers or names.  classes: names of
        labels that are numbers.  label_column, categorical: columns of a frame that are.
        seed: of the choice what is held out, the share `hold`.
        where, source: what messages and `describe` call it.
        Raises ValueError, naming the place and the cure, for what cannot be learned from.
        """
        common = {"classes": classes, "seed": seed, "hold": hold, "where": where}
        if hasattr(x, "columns") and hasattr(x, "iloc"):
            require(kind in (None, "table"), "kind", kind, "a data frame is a 'table'")
            size, source = ROWS, source.replace("an array", "a data frame")
            parts = lambda text: (
                _texts(x.iloc[i : i + size], text) for i in range(0, len(x), size)
            )
            how = {"label_column": label_column, "categorical": tuple(categorical)}
            return cls(**vars(of_table(parts, labels, source=source, **how, **common)))
        for name, value in {"label_column": label_column, "categorical": categorical}.items():
            require(not value, name, value, "an array has no named columns: give a data frame")
        if isinstance(x, Tensor):
            x = x.detach().cpu()
            x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
        try:
            x = np.asarray(x)
        except ValueError as error:  # a list of several lengths
            raise ValueError(
                f"{where} is no array ({error}): give examples of one shape"
            ) from error
        return cls(**vars(of_array(x, labels, kind=kind, source=source, **common)))

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        size: int | Sequence[int] | None = None,
        grey: bool = False,
        kind: str | None = None,
        label_column: str | None = None,
        categorical: Sequence[str] = (),
        skip_unreadable: bool = False,
        seed: int = 0,
        hold: float = 0.1,
    ) -> Data:
        """Data from a folder of pictures, flat or a sub-folder a class; from an .npy or .npz file
        of images, points or series; from a .csv file; from IDX files, such as a folder that has
        FashionMNIST/raw/; or Fashion-MNIST, by the word "fashion-mnist".

        size, grey, skip_unreadable: of pictures, see `pictures.read`.  kind: of an array, see `of`.
        label_column, categorical: columns of a .csv.  seed, hold: as in `of`.
        Raises ValueError, naming the file and the cure, for what is none of these, cannot be read
        or cannot be learned from.
        """
        options = {"size": size, "grey": grey, "skip_unreadable": skip_unreadable, "kind": kind}
        options |= {"label_column": label_column, "categorical": categorical}
        return cls(**vars(opened(path, **options, seed=seed, hold=hold)))


def _texts(frame: Any, text: frozenset) -> Any:
    """The frame with these columns as text."""
    return named(frame).astype(dict.fromkeys(text, "str")) if text else frame
