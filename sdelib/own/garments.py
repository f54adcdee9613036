"""Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747): where its files are, whether they
are the right ones, and the bundled images that stand in for them."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import numpy as np

from . import idx, weights

CLASSES = (*"T-shirt trouser pullover dress coat sandal shirt sneaker bag".split(), "ankle boot")

SHA256 = {
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}


def searched(root: str | Path | None = None, download: bool = True) -> tuple[Path | None, str]:
    """(folder, "") of the first place that has the four files in FashionMNIST/raw/: `root`, the
    folder that the environment variable SDELIB_DATA names, the cache, a download into the cache; or
    (None, why there is none).

    Raises ValueError when `root` or SDELIB_DATA has no data.
    """
    asked = root or os.environ.get("SDELIB_DATA") or None
    if asked == "fallback":
        return None, "SDELIB_DATA=fallback asks for it"
    if asked is not None:
        folder = Path(os.path.expanduser(asked))
        if not complete(folder):
            raise ValueError(
                f"root = {str(folder)!r} has no Fashion-MNIST: FashionMNIST/raw/ with "
                f"{', '.join(SHA256)} was expected there; give another root, or none"
            )
        return folder, ""
    cache = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "sdelib"
    if cache.parts[0] == "~":
        return None, "there is no home folder to keep it in (SDELIB_DATA names another)"
    if complete(cache):
        return cache, ""
    if not download:
        return None, f"it is not in {cache}, and download=False"
    try:
        _download(cache)
    except Exception as error:  # no network, a full disk, a mirror that answers nonsense
        return None, f"the download into {cache} failed ({error})"
    return cache, ""


def complete(root: Path) -> bool:
    """All four files are there; half a download is none."""
    return all((root / "FashionMNIST" / "raw" / name).exists() for name in SHA256)


def read(root: Path, train: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 28, 28), labels (n,)), bytes, of the training or the test set.

    Raises ValueError, naming the file and the mend, where one is damaged or of another set.
    """
    raw = root / "FashionMNIST" / "raw"
    part = "train" if train else "t10k"
    for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        path = raw / name
        if (found := weights.sha256(path)) != SHA256[name]:
            differs = f"its SHA-256 is {found[:12]}…, not {SHA256[name][:12]}…"
            if idx.whole(path):
                raise ValueError(
                    f"{path} is whole, but of another data set than Fashion-MNIST, or changed "
                    f"inside ({differs}): give another root, or none; to train on it, open the "
                    "folder with sdelib.own.data.Data.open, or give it as `train --data`, --out"
                )
            raise ValueError(
                f"{path} is damaged or half downloaded, with {path.stat().st_size} bytes "
                f"({differs}): move it away and load again, or give another root"
            )
    images = idx.read(raw / f"{part}-images-idx3-ubyte", (3,))
    return images, idx.read(raw / f"{part}-labels-idx1-ubyte", (1,))


def is_real(images: Path) -> bool:
    """This file has the training or test images of Fashion-MNIST itself."""
    known = SHA256.get(images.name)
    return known is not None and weights.sha256(images) == known


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
            for name in SHA256:
                os.replace(
                    Path(own, "FashionMNIST", "raw", name), cache / "FashionMNIST" / "raw" / name
                )
    finally:
        socket.setdefaulttimeout(before)


def stand_in(train: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 28, 28), labels (n,)), bytes: the bundled ones that the book's own model drew,
    all but the last 500, or those."""
    with np.load(weights.checked("fallback.npz"), allow_pickle=False) as f:
        images, labels = f["images"], f["labels"]
    part = slice(None, -500) if train else slice(-500, None)
    return images[part], labels[part]
