"""A folder of pictures as one array of bytes, decoded by several threads.

As Pillow and torchvision see them: turned as their EXIF says, the first frame of several, palettes
and CMYK as colours, sixteen bits of grey as eight. What is transparent lies on white. A folder with
pictures directly in it has no classes; otherwise each sub-folder is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import require, whole
from .extras import package

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TOGETHER = 256
"""Pictures that are decoded before they are put into the array."""


@dataclass(frozen=True)
class Pictures:
    """images: bytes (n, h, w) or (n, h, w, 3).  labels: the class of each, or None.
    said: what was found, in words."""

    images: np.ndarray
    labels: np.ndarray | None
    said: str


def read(
    folder: Path,
    *,
    size: int | Sequence[int] | None = None,
    grey: bool = False,
    skip_unreadable: bool = False,
) -> Pictures:
    """The pictures of a folder, or of its sub-folders, in the order of their names.

    size: pixels of a side, or (height, width): each is scaled to cover it and cut about its middle;
    None: as they are.  grey: without colours, as they are too if all pictures are grey.
    Raises ValueError for a folder without pictures, with pictures beside sub-folders of them, of
    several sizes where no `size` is given, and, unless skip_unreadable, for one that cannot be
    read.
    """
    files, said = listed(folder)
    sides = None if size is None else _sides(size)
    images, first, good, unread, blended = None, None, [], 0, 0
    for file, (pixels, white) in _decoded(files, sides, grey):
        if isinstance(pixels, Exception):
            cure = "move it out of the folder, or skip_unreadable=True goes on without such"
            why = f"{type(pixels).__name__}: {pixels}".replace(str(file), "it")[:120]
            require(skip_unreadable, str(file), why, f"no picture can be read there: {cure}")
            unread += 1
            continue
        if images is None:
            images, first = _room(len(files), pixels, folder), file
        (h, w), (a, b) = pixels.shape[:2], images.shape[1:3]
        if (h, w) != (a, b):
            words = f"{first} has {a}×{b} pixels (height×width) and {file} {h}×{w}"
            raise ValueError(f"{words}: give size=, such as size={min(64, a, b, h, w)}")
        if pixels.ndim == images.ndim:  # the first one with colours
            images = np.repeat(images[..., None], 3, -1)
        images[len(good)] = pixels[..., None] if pixels.ndim < images.ndim - 1 else pixels
        good.append(file.relative_to(folder).parts[0])
        blended += white
    cure = "none of its pictures can be read: give another folder"
    if images is None:
        raise ValueError(f"path = {str(folder)!r}: {cure}")
    labelled = len(files[0].relative_to(folder).parts) > 1
    said += ["one sub-folder, so no classes"] * (labelled and len({*good}) == 1)
    said += [f"{unread:,} that cannot be read left out"] * (unread > 0)
    said += [f"{blended:,} with transparent parts, which lie on white"] * (blended > 0)
    labels = np.array(good) if labelled and len({*good}) > 1 else None
    return Pictures(images[: len(good)], labels, "; ".join([str(folder), *said]))


def listed(folder: Path) -> tuple[list[Path], list[str]]:
    """(the pictures in order, what else is to be said). Hidden files are passed over."""
    top, inside, ignored = [], [], 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f[0] not in "._")
        for name in sorted(names):
            if name[0] == "." or name == "Thumbs.db":
                continue
            if not name.lower().endswith(SUFFIXES):
                ignored += 1
                continue
            (top if Path(place) == folder else inside).append(Path(place, name))
    if not top and not inside:
        others = [p.name for s in (".csv", ".npz", ".npy") for p in sorted(folder.glob(f"*{s}"))]
        cure = f"give the file, {others[0]}" if others else "give a folder that has some"
        raise ValueError(f"path = {str(folder)!r} has no pictures ({', '.join(SUFFIXES)}): {cure}")
    if top and inside:
        words = f"{top[0]} lies beside a sub-folder with {inside[0]}"
        raise ValueError(f"{words}: give each class a sub-folder, or put all into one folder")
    direct = {p.parent.name for p in inside if p.parent.parent == folder}
    for path in inside:
        first = path.relative_to(folder).parts[0]
        if first not in direct:
            parts = "has no pictures itself, but sub-folders of them"
            raise ValueError(f"{folder / first} {parts}: give one such folder, as {folder / first}")
    return top or inside, [f"{ignored:,} other files ignored"] * (ignored > 0)


def _sides(size: Any) -> tuple[int, int]:
    """(height, width) of what was given as size."""
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    require(len(pair) == 2, "size", size, "give pixels of a side, or (height, width)")
    whole(**{"height in size": pair[0], "width in size": pair[1]})
    return int(pair[0]), int(pair[1])


def _room(n: int, pixels: np.ndarray, folder: Path) -> np.ndarray:
    try:
        return np.empty((n, *pixels.shape), np.uint8)
    except MemoryError as error:
        words = f"{folder}: {n:,} pictures of {pixels.shape[0]}×{pixels.shape[1]} pixels"
        raise ValueError(f"{words} are too many for the memory: give size=, or fewer") from error


def _decoded(
    files: Sequence[Path], size: tuple[int, int] | None, grey: bool
) -> Iterator[tuple[Path, tuple[Any, bool]]]:
    """Each file with what `picture` makes of it, in order."""
    decode = partial(picture, size=size, grey=grey)
    package("PIL.Image")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for i in range(0, len(files), TOGETHER):
            yield from zip(files[i : i + TOGETHER], pool.map(decode, files[i : i + TOGETHER]))


def picture(
    file: Path, size: tuple[int, int] | None = None, grey: bool = False
) -> tuple[np.ndarray | Exception, bool]:
    """(bytes (h, w) of a grey picture or (h, w, 3), whether parts of it are transparent); instead
    of the bytes the error of one that cannot be read."""
    opened, ops = package("PIL.Image").open, package("PIL.ImageOps")
    try:
        with opened(file) as image:
            if size is not None:  # a JPEG is decoded at an eighth, a quarter or a half where it can
                image.draft(image.mode, (2 * max(size), 2 * max(size)))
            image = ops.exif_transpose(image)
            image, white = _on_white(_eight_bits(image))
            image = image if image.mode == "L" else image.convert("L" if grey else "RGB")
            if size is not None and image.size != size[::-1]:
                image = ops.fit(image, size[::-1], package("PIL.Image").Resampling.BICUBIC)
            return np.asarray(image), white
    except Exception as error:  # Pillow raises a dozen kinds, of every format its own
        return error, False


def _eight_bits(image: Any) -> Any:
    """Grey of 16 bits or 1 bit as grey of 8; Pillow's own conversion would cut at 255."""
    if image.mode[0] == "I":
        grey = np.asarray(image).astype(np.float64) / 257
        return package("PIL.Image").fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floats: write them as an .npy file")
    return image.convert("L") if image.mode == "1" else image


def _on_white(image: Any) -> tuple[Any, bool]:
    """(the picture without its transparency, whether it had any)."""
    if not image.has_transparency_data:
        return image, False
    grey, image = image.mode in ("L", "LA", "La"), image.convert("RGBA")
    clear = image.getchannel("A").getextrema()[0] < 255
    page = package("PIL.Image").new("RGBA", image.size, "white")
    page.alpha_composite(image)
    return page.convert("L" if grey else "RGB"), clear
