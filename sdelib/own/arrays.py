"""Arrays as data sets: which kind an array is, whether its numbers can be learned from, and .npy
and .npz files of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import require, show

POINTS_UP_TO = 8
"""(n, d) is points for d up to 8, else series, unless `kind` says so."""
DARKEST = 16
LABELS = ("labels", "label", "targets", "target", "y", "Y")
NAMED = ("images", "points", "series")
PLAIN = ("x", "X", "data", "samples", "arr_0")


def numbers(array: Any, where: str) -> np.ndarray:
    """The array, real numbers of at least three examples; (n,) is (n, 1).
    Raises ValueError for texts, objects and complex numbers."""
    cure = "give whole or real numbers"
    require(array.dtype.kind in "biuf", f"{where}: type", str(array.dtype), cure)
    array = array[:, None] if array.ndim == 1 else array
    enough = array.ndim >= 2 and len(array) > 2 and 0 not in array.shape
    cure = "give three or more examples, (n, d), (n, h, w), (n, h, w, c) or (n, c, h, w)"
    require(enough and array.ndim <= 4, f"{where}: shape", array.shape, cure)
    return array


def kind_of(array: np.ndarray, kind: str | None, where: str) -> str:
    """The kind of the array, by its shape where `kind` does not say so."""
    if array.ndim > 2:
        cure = "three or four axes are images: give (n, d) for points, (n, length) for series"
        require(kind in (None, "images"), f"{where}: kind", kind, cure)
        return "images"
    cure = f"{where} has shape {array.shape}: give 'points' or 'series', or images (n, h, w)"
    require(kind in (None, "points", "series"), "kind", kind, cure)
    return kind or ("points" if array.shape[1] <= POINTS_UP_TO else "series")


def channels_first(array: np.ndarray, where: str) -> np.ndarray:
    """(n, h, w), (n, h, w, c) or (n, c, h, w) as (n, c, h, w), without a copy. An axis of 1 or 3 is
    that of the channels, else one of 2 or 4; the first where both could be."""
    if array.ndim == 3:
        return array[:, None]
    axis = next((k for some in ((1, 3), (2, 4)) for k in (1, 3) if array.shape[k] in some), None)
    cure = "give (n, h, w, c) or (n, c, h, w) with 1 to 4 channels"
    require(axis is not None, f"{where}: shape", array.shape, cure)
    return array if axis == 1 else np.moveaxis(array, -1, 1)


def extremes(array: np.ndarray, where: str) -> tuple[float, float]:
    """(lowest, highest) of all numbers. Raises ValueError where one is not finite: its place."""
    low, high = np.inf, -np.inf
    size = max(1, (1 << 22) // int(np.prod(array.shape[1:])))
    for i in range(0, len(array), size):
        part = array[i : i + size]
        a, b = float(part.min()), float(part.max())
        if not (a > -1e30 and b < 1e30):
            at = np.argwhere(~(np.abs(np.asarray(part, np.float64)) < 1e30))[0].tolist()
            place = f"row {i + at[0] + 1}, column {at[1] + 1}" if len(at) == 2 else ""
            place = place or f"image {i + at[0]}, at {tuple(at[1:])},"
            cure = "give ordinary numbers, or leave it out"
            raise ValueError(f"{where}: {place} is {part[tuple(at)]}: {cure}")
        low, high = min(low, a), max(high, b)
    return low, high


def levels(array: np.ndarray, where: str) -> tuple[np.ndarray, float, str]:
    """(images, white, their range in words): images/white is in [0, 1].

    Bytes stay bytes, truths and other whole numbers become bytes, and 65,535 of 16 bits is white.
    Raises ValueError for a range that is neither [0, 1] nor [0, 255].
    """
    low, high = extremes(array, where)
    said, cure = f"{where}: range", "give bytes from 0 to 255, or floats in [0, 1]"
    range_ = f"{low:g} to {high:g}, {array.dtype}"
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), 255.0, range_
    wide = high if array.dtype.kind == "f" else max(high, 1.5)
    require((low >= 0 and wide <= 255) or array.dtype == np.uint16, said, (low, high), cure)
    require(low < high, said, (low, high), "every pixel of every image is the same")
    if array.dtype == np.uint16 and high > 255:
        return (array / np.float32(257)).round().astype(np.uint8), 255.0, range_
    if wide <= 1:
        return array, 1.0, range_
    dark = f"divide by the largest value that a pixel can have, x / {high:g}, and give floats"
    whole = array.dtype == np.uint8
    require(high > (DARKEST if whole else 127), f"{where}: largest pixel", high, dark)
    return (array if array.dtype.kind == "f" or whole else array.astype(np.uint8)), 255.0, range_


def read(path: Path) -> tuple[np.ndarray, Any, tuple[str, ...], str | None]:
    """(array, labels or None, names of the classes, kind or None) of a .npy file, which stays on
    the disk, or of a .npz file. Raises ValueError for a file that is damaged or pickled, and for
    several arrays of which none is called images, points or series."""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False), None, (), None
        with np.load(path, allow_pickle=False) as f:
            name, label = _chosen({k: _shape(f, k) for k in f.files}, path)
            names = tuple(map(str, f["classes"])) if "classes" in f.files and label else ()
            kind = name if name in NAMED else None
            return f[name], None if label is None else f[label], names, kind
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        pickled = "allow_pickle" in str(error) or "Object arrays" in str(error)
        cure = "it holds Python objects, not numbers: save an array of one shape and number type"
        cure = cure if pickled else f"it is no whole {path.suffix} file ({error}): write it again"
        raise ValueError(f"{path} cannot be read: {cure}") from error


def _shape(file: Any, name: str) -> tuple[int, ...]:
    """The shape of an array in a .npz file, without reading its numbers."""
    unpacked = file.zip.open
    with unpacked(f"{name}.npy") as f:
        version = np.lib.format.read_magic(f)
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        return header[min(version[0], 2)](f)[0]


def _chosen(shapes: dict[str, tuple[int, ...]], path: Path) -> tuple[str, str | None]:
    """The names of the examples and of the labels, of all arrays in a file."""
    label = next((k for k in LABELS if k in shapes), None)
    rest = [k for k, s in shapes.items() if k not in (label, "about", "classes") and len(s) > 0]
    named = [k for k in NAMED if k in rest]
    one = named if len(named) == 1 else rest if len(rest) == 1 else [k for k in PLAIN if k in rest]
    cure = "give one array called images, points or series, and labels"
    require(len(one) == 1, f"arrays of {path}", show([*shapes]), cure)
    if label is None and one == ["arr_0"] and len(shapes.get("arr_1", ())) == 1:
        label = "arr_1"
    return one[0], label
