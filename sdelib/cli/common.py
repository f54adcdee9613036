"""What the commands share: numbers on a command line, a place to write, a device."""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from ..sdes import GaussianSDE


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a finite number above `low` and at most `high`."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low < value <= high):
            what = "whole number" if kind is int else "finite number"
            limit = f" and at most {high:g}" if math.isfinite(high) else ""
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed; give a {what} above {low:g}{limit}"
            )
        return value

    return parse


SEED = number(int, -1, 2**63 - 1)
COUNT, POSITIVE = number(int, 0), number(float, 0)


def writable(path: Path) -> None:
    """Raise OSError now, not after an hour, when `path` cannot be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error}): choose another folder") from error


def chosen_device(name: str) -> torch.device:
    """The device of --device; of the GPUs the one of this process."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no CUDA device here; allowed: cpu, auto")
    own = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", own) if name == "cuda" else torch.device(name)


def ratio(process: GaussianSDE, t: float) -> float:
    """std/scale at the time t: the noise-to-signal ratio."""
    return float(process.ratio(torch.tensor(t, dtype=torch.float64)))
