"""Frames of the explorer: one picture as small integers, and many frames as one string.

A frame is quantised when it is made. `encode` concatenates the frames, deflates them and writes
base64, which is what notebooks store, what Colab passes on, and what frames.js decodes.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from ..checks import require

__all__ = ["Frame", "decode", "encode", "field", "images", "particles"]

LEVELS = 4095  # positions: steps across the extent (a quarter of a pixel on a 1000-pixel canvas)
ORIGIN = 28672  # the number that stands for x0 and y0, so that paths may leave the extent sevenfold
GROUPS = 7  # colours of drawing.js


@dataclass(frozen=True)
class Frame:
    """view: "field", "particles" or "images".  meta: JSON.  arrays: uint8, int8 or uint16."""

    view: str
    meta: dict
    arrays: dict[str, np.ndarray]

    def values(self, name: str) -> np.ndarray:
        """The array called `name` in its own units again: off by half a quantum at most."""
        q = self.arrays[name].astype(np.float64)
        if name == "pixels":
            return q / 255
        if name == "density":
            low, high = self.meta["range"]
            return low + q / 255 * (high - low)
        if name == "arrows":
            u = q / 127
            return self.meta["longest"] * u * np.linalg.norm(u, axis=-1, keepdims=True)
        x0, x1, y0, y1 = self.meta["extent"]
        return np.array([x0, y0]) + (q - ORIGIN) / LEVELS * np.array([x1 - x0, y1 - y0])


def field(
    density=None,
    arrows=None,
    extent=None,
    points=None,
    *,
    note: str = "",
    label: str = "density",
    axes: tuple[str, str] = ("x₁", "x₂"),
) -> Frame:
    """A density as colour, a vector field as arrows, dots on top; each may be left out.

    density: (H, W), at the points of plotting.grid_points(extent, …): a regular grid that reaches
    the edges, row 0 at y0.  With negative values the colours diverge around 0.
    arrows: (h, w, 2), on such a grid too; their drawn length grows with the square root of the
    norm, and those on the edge are not drawn.  extent: (x0, x1, y0, y1).  points: (n, 2).
    note: shown under the picture.  label: what the colours mean.  axes: the names of the two axes.
    Raises ValueError, naming the argument, for wrong shapes and values that are not finite.
    """
    meta, arrays = {"extent": edges(extent), "note": str(note), "axes": _axes(axes)}, {}
    if density is None and arrows is None and points is None:
        raise ValueError("density, arrows and points are all None: give at least one of them")
    _density(density, label, meta, arrays)
    if arrows is not None:
        v = _array("arrows", arrows, (None, None, 2), "(h, w, 2)")
        norm = np.linalg.norm(v, axis=-1, keepdims=True)
        meta["longest"] = longest = float(norm.max())
        drawn = v / np.sqrt(np.maximum(norm, 1e-300) * (longest or 1))
        arrays["arrows"] = np.rint(127 * drawn).astype(np.int8)
    if points is not None:
        arrays["points"] = _positions(_array("points", points, (None, 2), "(n, 2)"), meta["extent"])
    return Frame("field", meta, arrays)


def particles(
    paths,
    extent=None,
    density=None,
    groups=None,
    times=None,
    *,
    note: str = "",
    label: str = "density",
    labels=None,
    axes: tuple[str, str] | None = None,
) -> Frame:
    """Trajectories, played along their first axis with fading trails, over an optional density.

    paths: (T, n, 2).  Paths of one coordinate are given as (t, x): where all particles share a
    first coordinate that only grows (or only falls), whole paths are drawn and the axes are called
    t and x.
    density: as in `field`.  groups: (n,) integers from 0 to 6, one colour each; labels: their
    names.
    times: (T,), shown at the scrub bar.
    Raises ValueError, naming the argument, for wrong shapes and values that are not finite.
    """
    x = _array("paths", paths, (None, None, 2), "(T, n, 2)")
    T, n = x.shape[:2]
    gaps = np.diff(x[:, 0, 0])
    one_way = (gaps > 0).all() or (gaps < 0).all()
    timelike = bool(T > 2 and (x[:, :, 0] == x[:, :1, 0]).all() and one_way)
    named = _axes(axes or (("t", "x") if timelike else ("x₁", "x₂")))
    meta = {"extent": edges(extent), "note": str(note), "timelike": timelike, "axes": named}
    arrays = {"paths": _positions(x, meta["extent"])}
    _density(density, label, meta, arrays)
    if groups is not None:
        g = _array("groups", groups, (n,), f"({n},), one for each particle")
        if (g != np.rint(g)).any() or g.min() < 0 or g.max() >= GROUPS:
            cure = f"give whole numbers from 0 to {GROUPS - 1}"
            raise ValueError(f"groups has values from {g.min():g} to {g.max():g}: {cure}")
        arrays["groups"] = g.astype(np.uint8)
    if labels is not None:
        meta["labels"] = [str(s) for s in labels]
        top, many = int(g.max()) if groups is not None else 0, len(meta["labels"])
        if many <= top:
            raise ValueError(f"labels has {many} names, but groups counts to {top}")
    if times is not None:
        t = _array("times", times, (T,), f"({T},), one for each state")
        meta["times"] = [float(f"{a:.6g}") for a in t]
    return Frame("particles", meta, arrays)


def images(pixels, columns: int | None = None, *, note: str = "") -> Frame:
    """A grid of grey images, drawn as ink: 0 is paper and 1 is ink (on a dark page, dark paper and
    light ink).

    pixels: (n, H, W) or (n, 1, H, W), in [0, 1].  columns: how many in a row; None makes a square.
    Raises ValueError for wrong shapes, values that are not finite, and values outside [0, 1].
    """
    p = _numpy("pixels", pixels)
    p = p[:, 0] if p.ndim == 4 and p.shape[1] == 1 else p
    p = _array("pixels", p, (None, None, None), "(n, H, W)")
    if p.min() < 0 or p.max() > 1:
        seen = f"pixels has values from {p.min():.4g} to {p.max():.4g}, but images are in [0, 1]"
        raise ValueError(f"{seen}: clip them first, pixels.clip(0, 1)")
    columns = math.ceil(math.sqrt(len(p))) if columns is None else columns
    cure = f"give a whole number from 1 to {len(p)}, the number of images"
    require(isinstance(columns, int) and 1 <= columns <= len(p), "columns", columns, cure)
    meta = {"note": str(note), "columns": columns}
    return Frame("images", meta, {"pixels": np.rint(p * 255).astype(np.uint8)})


def _numpy(name: str, a) -> np.ndarray:
    if hasattr(a, "detach"):
        a = a.detach().cpu().double().numpy()
    try:
        return np.asarray(a, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from error


def _array(name: str, a, shape: tuple, words: str) -> np.ndarray:
    a = _numpy(name, a)
    fits = a.ndim == len(shape) and all(s in (None, m) for s, m in zip(shape, a.shape))
    if not fits or a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}: give {words}")
    if bad := int((~np.isfinite(a)).sum()):
        cure = "leave them out, or look where they come from"
        raise ValueError(f"{name} has {bad} values that are not finite: {cure}")
    return a


def edges(extent) -> list[float]:
    """(x0, x1, y0, y1) as numbers.  Raises ValueError when they are no edges of a picture."""
    cure = "give (x0, x1, y0, y1), the edges of the picture"
    require(extent is not None, "extent", extent, cure)
    e = _array("extent", extent, (4,), "(x0, x1, y0, y1)").tolist()
    require(e[0] < e[1] and e[2] < e[3], "extent", tuple(e), "give x0 < x1 and y0 < y1")
    return e


def _axes(axes) -> list[str]:
    require(not isinstance(axes, str) and len(axes) == 2, "axes", axes, "give two names")
    return [str(a) for a in axes]


def _density(density, label: str, meta: dict, arrays: dict) -> None:
    if density is not None:
        p = _array("density", density, (None, None), "(H, W)")
        high = float(np.abs(p).max()) or 1.0
        low = -high if p.min() < 0 else 0.0
        meta["range"], meta["label"] = [low, high], str(label)
        arrays["density"] = np.rint((p - low) / (high - low) * 255).astype(np.uint8)


def _positions(x: np.ndarray, extent: list[float]) -> np.ndarray:
    x0, x1, y0, y1 = extent
    q = np.rint((x - np.array([x0, y0])) / np.array([x1 - x0, y1 - y0]) * LEVELS) + ORIGIN
    return q.clip(0, 65535).astype(np.uint16)


def encode(frames: list[Frame]) -> str:
    """Frames → base64 of deflated [header length, JSON header, numbers]: the same bytes every time.

    In the numbers, densities hold differences along a row, positions hold differences along the
    first axis (low bytes, then high bytes): small numbers deflate better. Equal arrays are stored
    once.
    """
    header, seen, size = [], {}, 0
    for frame in frames:
        arrays = {}
        for name, a in sorted(frame.arrays.items()):
            if a.dtype == np.uint16:
                d = np.diff(a, axis=0, prepend=np.zeros_like(a[:1]))
                raw = (d & 255).astype(np.uint8).tobytes() + (d >> 8).astype(np.uint8).tobytes()
            elif name == "density":
                raw = np.diff(a, axis=1, prepend=np.zeros_like(a[:, :1])).tobytes()
            else:
                raw = a.tobytes()
            if raw not in seen:
                seen[raw], size = size, size + len(raw)
            arrays[name] = [seen[raw], *a.shape]
        header.append({"view": frame.view, **frame.meta, "arrays": arrays})
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    raw = struct.pack("<I", len(text)) + text + b"".join(seen)
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def decode(text: str) -> list[Frame]:
    """The frames that `encode` wrote.  Raises ValueError when the text is damaged."""
    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
        start = 4 + struct.unpack_from("<I", raw)[0]
        return [_decode(meta, raw, start) for meta in json.loads(raw[4:start])]
    except (ValueError, KeyError, TypeError, struct.error, zlib.error) as error:
        raise ValueError(f"these frames are damaged ({error}): bake them again") from error


def _decode(meta: dict, raw: bytes, start: int) -> Frame:
    arrays = {}
    for name, (offset, *shape) in meta.pop("arrays").items():
        n, moves = math.prod(shape), name in ("paths", "points")
        kind = np.int8 if name == "arrows" else np.uint8
        a = np.frombuffer(raw, kind, 2 * n if moves else n, start + offset)
        if moves:
            d = a[:n].astype(np.uint16) | a[n:].astype(np.uint16) << 8
            arrays[name] = np.cumsum(d.reshape(shape), axis=0, dtype=np.uint16)
        else:
            a = a.reshape(shape)
            arrays[name] = np.cumsum(a, axis=1, dtype=np.uint8) if name == "density" else a
    return Frame(meta.pop("view"), meta, arrays)
