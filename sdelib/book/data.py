"""Data: point sets in the plane, and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747).

Images are in [0, 1] everywhere. Where Fashion-MNIST cannot be had, a small set that was drawn from
this book's own model takes its place, and says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checks import a_generator, finite, floats, require, whole
from ..own import garments
from ..own.garments import CLASSES as CLASSES


@dataclass(frozen=True)
class Garments:
    """images: (n, 1, 28, 28) float32 in [0, 1].  labels: (n,) int64, an index into CLASSES.

    real: True for Fashion-MNIST itself, False for the set drawn from our model.  source: in words.
    """

    images: Tensor
    labels: Tensor
    real: bool
    source: str

    def __len__(self) -> int:
        return len(self.images)


def fashion_mnist(
    *, train: bool = True, root: str | Path | None = None, download: bool = True
) -> Garments:
    """The 60,000 training or 10,000 test images, or a visible notice and the bundled stand-in.

    Looked for in this order: `root` (which holds FashionMNIST/raw/), the folder named by the
    environment variable SDELIB_DATA, the cache folder ~/.cache/sdelib, a download into that cache.
    SDELIB_DATA=fallback skips the search and gives the stand-in; ~ is the home folder in all three.
    Raises ValueError when `root` or SDELIB_DATA has no data, and when a file there or in the cache
    is damaged, half a download or of another data set; the message names the file and the mend.
    """
    folder, why = garments.searched(root, download)
    return _fallback(why, train) if folder is None else _read(folder, train)


def _read(folder: Path, train: bool) -> Garments:
    images, labels = garments.read(folder, train)
    source = f"Fashion-MNIST, {'training' if train else 'test'} set, {len(images):,} images"
    return _garments(images, labels, True, source)


def stand_in(train: bool = True) -> Garments:
    """The bundled images that the book's own model drew, with the labels it was told: real is
    False."""
    images, labels = garments.stand_in(train)
    source = f"{len(images):,} images drawn from this book's own model, not Fashion-MNIST"
    return _garments(images, labels, False, source)


def _garments(images: np.ndarray, labels: np.ndarray, real: bool, source: str) -> Garments:
    """Bytes (n, 28, 28) and labels (n,) as tensors."""
    pixels = torch.from_numpy(images.astype(np.float32)).div_(255)
    return Garments(pixels[:, None], torch.from_numpy(labels.astype(np.int64)), real, source)


def _fallback(reason: str, train: bool) -> Garments:
    found = stand_in(train)
    warnings.warn(
        f"Fashion-MNIST cannot be had: {reason}. In its place: {found.source}. "
        "Numbers that hold for the real data set only are left out.",
        stacklevel=3,
    )
    return found


def _drawable(n: int, generator: torch.Generator, noise: float = 0.0) -> None:
    """Raise ValueError unless n points with this noise can be drawn from this generator."""
    whole(n=n), a_generator(generator)
    cure = "give a standard deviation, a finite number of at least 0"
    require(0 <= noise < 1e30, "noise", noise, cure)


def two_moons(n: int, *, noise: float = 0.08, generator: torch.Generator) -> Tensor:
    """n points on two interleaved half circles, shape (n, 2), centred, plus N(0, noise²)."""
    _drawable(n, generator, noise)
    angle = torch.pi * torch.rand(n, generator=generator)
    upper = torch.rand(n, generator=generator) < 0.5
    sign = torch.where(upper, 1.0, -1.0)
    x = torch.stack([sign * angle.cos() - sign / 2, sign * angle.sin() - sign / 4], dim=1)
    return x + noise * torch.randn(n, 2, generator=generator)


def swiss_roll(n: int, *, noise: float = 0.08, generator: torch.Generator) -> Tensor:
    """n points on a spiral r = φ/(3π) for φ in [1.5π, 4.5π], shape (n, 2), plus N(0, noise²)."""
    _drawable(n, generator, noise)
    angle = 1.5 * torch.pi * (1 + 2 * torch.rand(n, generator=generator))
    x = angle[:, None] / (3 * torch.pi) * torch.stack([angle.cos(), angle.sin()], dim=1)
    return x + noise * torch.randn(n, 2, generator=generator)


def checkerboard(n: int, *, generator: torch.Generator) -> Tensor:
    """n points, uniform on the eight dark squares of a 4×4 board over [−2, 2]², shape (n, 2)."""
    _drawable(n, generator)
    x = 4 * torch.rand(n, generator=generator) - 2
    row = 2 * torch.randint(0, 2, (n,), generator=generator) + (x.floor().long() % 2) - 2
    return torch.stack([x, row + torch.rand(n, generator=generator)], dim=1)


FASHION_MNIST_DISTANCE = 22.46
"""The largest distance between two training images of Fashion-MNIST in [0, 1], by
`largest_distance`."""


def largest_distance(points: Tensor, *, batch: int = 512) -> float:
    """max ‖x_i − x_j‖ over all pairs of points (n, …), exactly, without looking at all pairs.

    With r_i the distance of x_i from the mean, ‖x_i − x_j‖ ≤ r_i + r_j: pairs whose bound is below
    the largest distance found so far are skipped.  Raises ValueError for fewer than two points.
    """
    require(
        len(floats(points, "points", axes=2)) > 1, "len(points)", len(points), "give two or more"
    )
    finite("points", points)
    x = points.flatten(1)
    r = (x - x.mean(0)).norm(dim=1)
    order = r.argsort(descending=True)
    x, r, best = x[order], r[order], 0.0
    for i in range(0, len(x), batch):
        if 2 * float(r[i]) <= best:  # all later pairs are closer
            break
        reach = int((r + r[i] > best).sum())  # sorted: only the first `reach` can be far enough
        for j in range(i, reach, 8 * batch):
            best = max(
                best, float(torch.cdist(x[i : i + batch], x[j : min(reach, j + 8 * batch)]).max())
            )
    return best
