"""Examples as they are stored, and as a network sees them: rows of an array in memory or in a
mapped file, made into float32 a batch at a time; and what is measured over all of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import require, show, whole

MOST_NUMBERS = 2**28
"""Of more numbers than these, a mean and a distance are taken over evenly spaced examples."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of an array, not copied.  examples[index] is float32 in the network's units, for a
    tensor of places (batch,), a slice or a number; len, shape, a loop, and torch.as_tensor for all
    of them at once are as of a tensor.

    array: uint8 images, floats, …, as `view` takes them.  rows: which of them, int64 (n,).
    view: own units (batch, …) → float32 (batch, *shape).
    """

    array: np.ndarray
    rows: np.ndarray
    view: Callable[[np.ndarray], Tensor]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Tensor:
        at = index.cpu().numpy() if isinstance(index, Tensor) else index
        rows = self.rows[at]
        if np.ndim(rows) == 0:
            return self.view(self.array[rows[None]])[0]
        return self.view(self.array[rows])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self[:1].shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def blocks(self, every: int = 1, numbers: int = 1 << 22) -> Iterator[Tensor]:
        """All examples in order, or one in `every`, in batches of about so many numbers."""
        size = max(1, numbers // max(1, math.prod(self.array.shape[1:]))) * every
        return (self[i : i + size : every] for i in range(0, len(self), size))

    def digest(self) -> str:
        """Sixteen digits of the SHA-256 of all examples as they are stored, without a copy."""
        digest = hashlib.sha256(f"{self.array.shape[1:]} {self.array.dtype}".encode())
        size = max(1, (1 << 22) // max(1, math.prod(self.array.shape[1:])))
        for i in range(0, len(self), size):
            digest.update(np.ascontiguousarray(self.array[self.rows[i : i + size]]).tobytes())
        return digest.hexdigest()[:16]

    def __dlpack__(self, **how: Any) -> Any:
        return self[:].__dlpack__(**how)

    def __dlpack_device__(self) -> Any:
        return torch.empty(0).__dlpack_device__()


def split(
    n: int, labels: np.ndarray | None, hold: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the training part, rows held out): a share of about `hold`, of each class where
    there are labels, at least one and never all; in a random order that the seed gives."""
    whole(0, seed=seed)
    require(0 < hold < 1, "hold", hold, "give a share between 0 and 1")
    random = np.random.default_rng(seed)
    order = random.permutation(n)
    held = np.zeros(n, bool)
    groups = [order] if labels is None else [order[labels[order] == k] for k in np.unique(labels)]
    seen = 0
    for group in groups:
        share = round(hold * (seen + len(group)) + 1e-9) - round(hold * seen + 1e-9)
        held[group[: min(max(1, share), len(group) - 1)]] = True
        seen += len(group)
    return order[~held[order]], order[held[order]]


def moments(examples: Examples) -> tuple[float, float]:
    """(mean, standard deviation) over all numbers of all examples."""
    every = -(-len(examples) * math.prod(examples.shape[1:]) // MOST_NUMBERS)
    n, mean, square = 0, 0.0, 0.0
    for block in examples.blocks(every):
        k, v = block.numel(), block.double()
        gap = float(v.mean()) - mean
        square += float(v.var(correction=0)) * k + gap**2 * n * k / (n + k)
        n, mean = n + k, mean + gap * k / (n + k)
    return mean, math.sqrt(square / n)


def spread(array: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) (d,) of each coordinate of these rows of (n, d), in float64."""
    mean, square, n = np.zeros(array.shape[1]), np.zeros(array.shape[1]), 0
    for i in range(0, len(rows), 1 << 18):
        part = np.asarray(array[rows[i : i + (1 << 18)]], np.float64)
        gap, k = part.mean(0) - mean, len(part)
        square += part.var(0) * k + gap**2 * (n * k / (n + k))
        mean, n = mean + gap * (k / (n + k)), n + k
    return mean, np.sqrt(square / n)


def largest_distance(examples: Examples, most: int = 512) -> float:
    """The largest distance between one of the `most` examples that are farthest from the mean and
    any other: exact where the rest lie within half of it of the mean, as one of two ends never
    does, and hardly too small elsewhere."""
    every = -(-len(examples) * math.prod(examples.shape[1:]) // MOST_NUMBERS)
    total, n = torch.zeros(examples.shape[1:], dtype=torch.float64), 0
    for block in examples.blocks(every):
        total, n = total + block.double().sum(0), n + len(block)
    mean = (total / n).float()
    radius = torch.cat([(b - mean).flatten(1).norm(dim=1) for b in examples.blocks(every)])
    far = examples[radius.topk(min(most, len(radius))).indices * every].flatten(1)
    best, at, reach = float(torch.cdist(far, far).max()), 0, float(radius.max())
    for block in examples.blocks(every):
        open_ = radius[at : at + len(block)] + reach > best  # others are near to all
        at += len(block)
        for part in block[open_].flatten(1).split(4096) if open_.any() else ():
            best = max(best, float(torch.cdist(part, far).max()))
    return best


def rounded_up(value: float) -> float:
    """The next number of two digits: 22.46 → 23."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")


def numbered(labels: Any, n: int, classes: tuple, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(int64 (n,), the names): labels of any kind as places in the sorted names.

    classes: the names where the labels are places already.
    Raises ValueError for labels of another length, and for a class with fewer than two examples.
    """
    labels = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    fits = labels.shape == (n,)
    require(fits, f"{where}: shape of labels", labels.shape, f"give one for each example, ({n},)")
    if labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all()):
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    kind = labels.dtype.kind in "iubUST"
    require(kind, f"{where}: type of labels", str(labels.dtype), "give whole numbers or names")
    values, places = np.unique(labels, return_inverse=True)
    names = tuple(str(v) for v in values.tolist())
    if classes and labels.dtype.kind in "iub":
        low, high = int(values[0]), int(values[-1])
        cure = f"give numbers from 0 to {len(classes) - 1}, one for each name of classes"
        require(low >= 0 and high < len(classes), f"{where}: labels", (low, high), cure)
        names, places = tuple(map(str, classes)), labels
    elif classes:
        cure = f"these are no labels: there are {show(names)}"
        odd = [*({*names} ^ {*map(str, classes)})]
        require(not odd, f"{where}: classes", odd, cure)
        names = tuple(map(str, classes))
        order = np.array([names.index(str(v)) for v in values.tolist()])
        places = order[places]
    counts = np.bincount(places, minlength=len(names))
    if (counts < 2).any():
        name, count = names[int(counts.argmin())], int(counts.min())
        cure = "give two or more, one to train on and one to hold out, or leave the class out"
        raise ValueError(f"{where}: class {name!r} has {count} example{'s'[: count != 1]}: {cure}")
    return places.astype(np.int64), names
