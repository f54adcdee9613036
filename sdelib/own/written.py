"""Samples into files, each of them written whole or not at all: a grid or a folder of PNGs, .npz,
.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import require
from .extras import package
from .weights import atomic

KNOWN = {
    "images": (".png", ".npz", ""),
    "points": (".npz", ".csv"),
    "series": (".npz", ".csv"),
    "table": (".csv", ".npz"),
}
GAP = 2


def target(path: str | Path, kind: str) -> tuple[Path, str]:
    """(the path, with ~ as the home folder; its suffix, "" of a folder) where data of this kind can
    be written.  Raises ValueError for another suffix."""
    text, place = str(path), Path(path).expanduser()
    suffix = place.suffix.lower()
    if text.endswith(("/", "\\")) or place.is_dir():
        suffix = ""
    allowed = [s or "a folder/" for s in KNOWN[kind]]
    cure = f"{kind} can be written as {', '.join(allowed)}"
    require(suffix in KNOWN[kind] and (suffix or not place.is_file()), "path", text, cure)
    bare = suffix == "" and not text.endswith(("/", "\\")) and not place.is_dir()
    require(not bare, "path", text, f"{cure}; the name of a folder ends with a slash")
    return place, suffix


def _png(array: np.ndarray, note: Mapping[str, str]) -> Any:
    """write(path) of one picture (h, w) or (h, w, c) with the note as text."""
    from_array, info = package("PIL.Image").fromarray, package("PIL.PngImagePlugin").PngInfo()
    colours = array.shape[2] if array.ndim == 3 else 1
    cure = "a PNG has 1, 3 or 4; write .npz"
    require(colours in (1, 3, 4), "channels", colours, cure)
    for key, text in note.items():
        info.add_text(key, text)
    picture = from_array(np.ascontiguousarray(array))
    return lambda path: picture.save(path, format="PNG", pnginfo=info)


def grid(path: Path, images: np.ndarray, names: Any, note: Mapping[str, str]) -> Path:
    """All images in rows, in about a square, white between them."""
    n, h, w = images.shape[:3]
    across = math.ceil(math.sqrt(n * h / w)) if n > 1 else 1
    across = min(n, max(1, across))
    down = math.ceil(n / across)
    size = (down * (h + GAP) - GAP, across * (w + GAP) - GAP, *images.shape[3:])
    page = np.full(size, 255, np.uint8)
    for k, image in enumerate(images):
        top, left = k // across * (h + GAP), k % across * (w + GAP)
        page[top : top + h, left : left + w] = image
    atomic(path, _png(page, note))
    return path


def folder(path: Path, images: np.ndarray, names: Any, note: Mapping[str, str]) -> Path:
    """One PNG an image, 00000.png …, in a sub-folder a class where there are names.

    Raises ValueError for a folder with other PNGs, as of a run with more images.
    """
    inside = [path if names is None else path / plain(name) for name in names or images]
    files = [place / f"{k:05d}.png" for k, place in enumerate(inside)]
    others = sorted({*path.rglob("*.png")} - {*files})
    cure = "pictures of another run would be mixed with these: give another folder"
    require(not others, "path", str(others[0]) if others else None, cure)
    for file, image in zip(files, images):
        atomic(file, _png(image, note))
    return path


def plain(name: str) -> str:
    """The name of a class as that of a folder on any system."""
    text = "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name).strip(" .")
    return text or "_"


def npz(
    path: Path, parts: Mapping[str, np.ndarray], labels: Any, classes: Sequence, note: Mapping
) -> Path:
    """The arrays by their names; labels, the names of the classes and the note where there are
    any. No array is pickled."""
    parts = {k: v if v.dtype != object else v.astype(str) for k, v in parts.items()}
    more = {} if labels is None else {"labels": labels, "classes": np.array(classes, dtype=str)}
    more |= {"about": np.array(*note.values())} if note else {}
    clash = sorted({*parts} & {*more, "file", "allow_pickle"})
    require(not clash, "columns", clash, "these names are taken: write .csv")

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as f:
            np.savez(f, **parts, **more)

    atomic(path, write)
    return path


def csv(path: Path, columns: Mapping[str, Any]) -> Path:
    """A table with a header, no row numbers."""
    frame = package("pandas").DataFrame(columns)
    atomic(path, lambda temporary: frame.to_csv(temporary, index=False, encoding="utf-8"))
    return path
