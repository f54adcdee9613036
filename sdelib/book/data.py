"""Data: point sets in the plane, and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747).

Images are in [0, 1] everywhere. Where Fashion-MNIST cannot be had, a small set that was drawn from
this book's own model takes its place, and says so.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checks import a_generator, finite, floats, require, whole
from ..own import weights

CLASSES = (*"T-shirt trouser pullover dress coat sandal shirt sneaker bag".split(), "ankle boot")

_SHA256 = {
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}


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
    asked = root or os.environ.get("SDELIB_DATA") or None
    if asked == "fallback":
        return _fallback("SDELIB_DATA=fallback asks for it", train)
    if asked is not None:
        folder = Path(os.path.expanduser(asked))
        if not _complete(folder):
            raise ValueError(
                f"root = {str(folder)!r} has no Fashion-MNIST: FashionMNIST/raw/ with "
                f"{', '.join(_SHA256)} was expected there; give another root, or none"
            )
        return _read(folder, train)
    cache = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "sdelib"
    if cache.parts[0] == "~":
        return _fallback("there is no home folder to keep it in (SDELIB_DATA names another)", train)
    if _complete(cache):
        return _read(cache, train)
    if not download:
        return _fallback(f"it is not in {cache}, and download=False", train)
    try:
        _download(cache)
    except Exception as error:  # no network, a full disk, a mirror that answers nonsense
        return _fallback(f"the download into {cache} failed ({error})", train)
    return _read(cache, train)


def _files(train: bool) -> list[str]:
    return [name for name in _SHA256 if name.startswith("train" if train else "t10k")]


def _complete(root: Path) -> bool:
    """torchvision wants all four files, whichever part is read."""
    return all((root / "FashionMNIST" / "raw" / name).exists() for name in _SHA256)


def _whole(path: Path) -> bool:
    """An IDX file of bytes that is as long as its header says: two zeros, the type 8, the number of
    axes, and the length of each in four bytes."""
    with open(path, "rb") as f:
        magic = f.read(4)
        if magic[:3] != b"\0\0\x08" or len(magic) < 4:
            return False
        lengths = [int.from_bytes(f.read(4), "big") for _ in range(magic[3])]
    return path.stat().st_size == 4 + 4 * len(lengths) + math.prod(lengths)


def _read(root: Path, train: bool) -> Garments:
    from torchvision.datasets import FashionMNIST

    for name in _files(train):
        path = root / "FashionMNIST" / "raw" / name
        if (found := weights.sha256(path)) != _SHA256[name]:
            differs = f"its SHA-256 is {found[:12]}…, not {_SHA256[name][:12]}…"
            if _whole(path):
                raise ValueError(
                    f"{path} is whole, but of another data set than Fashion-MNIST, or changed "
                    f"inside ({differs}): give another root, or none; to train on other images, "
                    "give them to sdelib.own.training.train as tensors"
                )
            raise ValueError(
                f"{path} is damaged or half downloaded, with {path.stat().st_size} bytes "
                f"({differs}): move it away and load again, or give another root"
            )
    data = FashionMNIST(str(root), train=train, download=False)
    return Garments(
        data.data[:, None].float().div_(255),
        data.targets,
        True,
        f"Fashion-MNIST, {'training' if train else 'test'} set, {len(data):,} images",
    )


def _download(cache: Path) -> None:
    """Fetch into a folder of this process, then move each file to its place: who looks meanwhile
    finds whole files only."""
    from torchvision.datasets import FashionMNIST

    cache.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as own:
            FashionMNIST(own, download=True)
            (cache / "FashionMNIST" / "raw").mkdir(parents=True, exist_ok=True)
            for name in _SHA256:
                os.replace(
                    Path(own, "FashionMNIST", "raw", name), cache / "FashionMNIST" / "raw" / name
                )
    finally:
        socket.setdefaulttimeout(before)


def stand_in(train: bool = True) -> Garments:
    """The bundled images that the book's own model drew, with the labels it was told: real is
    False."""
    with np.load(weights.checked("fallback.npz"), allow_pickle=False) as f:
        images, labels = f["images"], f["labels"]
    part = slice(None, -500) if train else slice(-500, None)
    images, labels = images[part], labels[part]
    source = f"{len(images):,} images drawn from this book's own model, not Fashion-MNIST"
    return Garments(
        torch.from_numpy(images).float()[:, None] / 255,
        torch.from_numpy(labels).long(),
        False,
        source,
    )


def _fallback(reason: str, train: bool) -> Garments:
    garments = stand_in(train)
    warnings.warn(
        f"Fashion-MNIST cannot be had: {reason}. In its place: {garments.source}. "
        "Numbers that hold for the real data set only are left out.",
        stacklevel=3,
    )
    return garments


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
