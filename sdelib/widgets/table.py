"""A frame for every combination of the controls' values: made by `bake`, kept in a file."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..own.weights import atomic
from .controls import Control, checked
from .frames import Frame, decode, encode

BUDGET = 1_500_000
"""The most characters that a table may take in a page."""


@dataclass(frozen=True)
class Table:
    """A frame for every combination of the controls' values; the last control runs fastest.

    axes: name → stored values, as JSON can hold them.
    Raises ValueError when the number of frames does not fit, their views differ, or BUDGET is
    exceeded.
    """

    axes: dict[str, list]
    frames: list[Frame]

    def __post_init__(self):
        n = math.prod(len(keys) for keys in self.axes.values())
        if len(self.frames) != n or n == 0:
            raise ValueError(
                f"frames: there are {len(self.frames)}, but {dict(self.axes)} has {n} combinations"
            )
        views = sorted({f.view for f in self.frames})
        if len(views) > 1:
            seen = f"compute returned frames of different views {views}"
            raise ValueError(f"{seen}: one explorer has one view")
        if (size := len(self.encoded)) > BUDGET:
            parts = " × ".join(f"{len(keys)} {name}" for name, keys in self.axes.items())
            shapes = ", ".join(f"{name} {a.shape}" for name, a in self.frames[0].arrays.items())
            room = f"{size / 1e6:.2f} MB and a page has room for {BUDGET / 1e6:.1f} MB"
            raise ValueError(
                f"the table takes {room}: {n} frames ({parts}) of {size / n / 1e3:.1f} kB "
                f"({shapes}). Reduce the stored values of a control to {BUDGET / size:.0%}, "
                "or the size of a frame"
            )

    @cached_property
    def encoded(self) -> str:
        """All frames as one base64 string, the same each time."""
        return encode(self.frames)

    def frame(self, **keys) -> Frame:
        """The stored frame of one value for each control.
        Raises ValueError when it is not stored."""
        if set(keys) != set(self.axes) or any(
            keys[name] not in stored for name, stored in self.axes.items()
        ):
            raise ValueError(f"{keys} is not stored; there are {self.axes}")
        index = 0
        for name, stored in self.axes.items():
            index = index * len(stored) + stored.index(keys[name])
        return self.frames[index]

    def save(self, path: str | Path) -> Path:
        """Write the table to an .npz file, atomically and without pickle."""
        path = Path(path)
        data: Any = {
            "axes": np.frombuffer(json.dumps(self.axes, ensure_ascii=False).encode(), np.uint8),
            "frames": np.frombuffer(self.encoded.encode(), np.uint8),
        }

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as f:
                np.savez_compressed(f, **data)

        atomic(path, write)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """Read what `save` wrote.  Raises ValueError, naming the file, when it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as data:
                axes, text = (data[k].tobytes().decode() for k in ("axes", "frames"))
            return cls(json.loads(axes), decode(text))
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged zip raises many kinds of error
            raise ValueError(
                f"{path} is no table of frames, or a damaged one ({error}): bake it again"
            ) from error


def bake(
    controls: Sequence[Control], compute: Callable[..., Frame], progress: bool = False
) -> Table:
    """Call compute(**values) for every combination of the controls' values.

    compute returns a frame: field(…), particles(…) or images(…).  progress: show a bar.
    Raises ValueError for controls that do not fit, a compute that returns something else, and a
    table over BUDGET; what compute raises passes through.
    """
    controls = checked(controls)
    combinations = list(itertools.product(*(c.keys for c in controls)))
    if progress:
        from tqdm import tqdm

        combinations = tqdm(combinations, desc="baking", leave=False)
    frames = [
        frame_of(compute, controls, dict(zip((c.name for c in controls), keys)))
        for keys in combinations
    ]
    return Table({c.name: list(c.keys) for c in controls}, frames)


def frame_of(compute: Callable[..., Frame], controls: list[Control], keys: Any) -> Frame:
    """compute at these keys, one for each control.  Raises ValueError for keys that do not fit."""
    if not isinstance(keys, Mapping) or set(keys) != {c.name for c in controls}:
        raise ValueError(f"values = {keys!r}: give one for each of {[c.name for c in controls]}")
    frame = compute(**{c.name: c.resolve(keys[c.name]) for c in controls})
    if not isinstance(frame, Frame):
        seen = f"compute returned {type(frame).__name__} for {dict(keys)}"
        raise ValueError(f"{seen}: return field(…), particles(…) or images(…)")
    return frame
