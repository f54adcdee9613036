"""IDX files, the format of MNIST and of the sets that were made after it: two zero bytes, the type
(8: bytes), the number of axes, the length of each in four bytes, then the numbers."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..checks import require, show

IMAGES = re.compile(r"(.*)images([-.])idx[34]-ubyte(\.gz)?")


def found_in(folder: Path) -> tuple[Path, Path | None] | None:
    """(images, labels or None) in a folder, in its raw/, or in the raw/ of a folder in it, as
    torchvision keeps them; None where there are none. Of several the one called train.

    Raises ValueError for several of which none, or more than one, is called so.
    """
    if folder.is_file():
        return (folder, _labels(folder)) if IMAGES.fullmatch(folder.name) else None
    for place in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        files = sorted(place.glob("*images*ubyte*")) if place.is_dir() else []
        names = {f.name.removesuffix(".gz"): f for f in reversed(files) if IMAGES.fullmatch(f.name)}
        if not names:
            continue
        chosen = [f for name, f in names.items() if "train" in name.lower()]
        chosen = [*names.values()] if len(names) == 1 else chosen
        cure = "give the one to train on, the file itself"
        require(len(chosen) == 1, f"images in {place}", sorted(names), cure)
        return chosen[0], _labels(chosen[0])
    return None


def _labels(images: Path) -> Path | None:
    """The file of the labels that belong to the images, if it is there."""
    stem = IMAGES.fullmatch(images.name)
    names = [f"{stem[1]}labels{s}idx1-ubyte{z}" for s in "-." for z in ("", ".gz")] if stem else []
    return next((p for name in names if (p := images.with_name(name)).is_file()), None)


def lengths(head: bytes) -> tuple[int, ...] | None:
    """The length of each axis that the first bytes of a file tell; None if it is no IDX file of
    bytes."""
    if head[:3] != b"\0\0\x08" or len(head) < 4 or len(head) < 4 + 4 * head[3]:
        return None
    return tuple(int.from_bytes(head[4 * k : 4 * k + 4], "big") for k in range(1, 1 + head[3]))


def whole(path: Path) -> bool:
    """It is an IDX file of bytes, as long as its header says."""
    with open(path, "rb") as f:
        shape = lengths(f.read(4 + 4 * 255))
    fits = shape is not None and path.stat().st_size == 4 + 4 * len(shape) + math.prod(shape)
    return fits


def read(path: Path, axes: Sequence[int]) -> np.ndarray:
    """The bytes of a file with one of these numbers of axes; a file that is not compressed stays on
    the disk.  Raises ValueError for one that is damaged, half a file or of another shape."""
    mend = "move it away and fetch it again"
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(path.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is damaged or half a file ({error}): {mend}") from error
        shape = lengths(raw[: 4 + 4 * 255])
        fits = shape is not None and len(raw) == 4 + 4 * len(shape) + math.prod(shape)
    else:
        raw, fits = None, whole(path)
        with open(path, "rb") as f:
            shape = lengths(f.read(4 + 4 * 255))
    if shape is None or not fits:
        raise ValueError(f"{path} is no IDX file of bytes, damaged or half a file: {mend}")
    cure = f"give a file with {' or '.join(map(str, axes))} axes"
    require(len(shape) in axes and 0 not in shape, f"{path}: shape", show(shape), cure)
    first = 4 + 4 * len(shape)
    if raw is not None:
        return np.frombuffer(raw, np.uint8, offset=first).reshape(shape)
    return np.memmap(path, np.uint8, "r", offset=first, shape=shape)
