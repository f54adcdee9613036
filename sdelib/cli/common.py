"""What the commands share: numbers on a command line, a place to write, a device."""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..own import weights
from ..own.checkpoints import said_in
from ..own.data import Data
from ..own.opening import FASHION_MNIST
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


def compiled_or_said(here: bool, train: Callable[..., Any], /, *what: Any, **how: Any) -> Any:
    """train(…); where it compiles `here`, and cannot, a ValueError says why in one line."""
    try:
        return train(*what, **how)
    except RuntimeError as error:
        if not (here and type(error).__module__.startswith("torch._")):
            raise
        why = str(error).split("\n", 1)[0]
        mend = "it needs a compiler of C++; leave it out, or install one"
        raise ValueError(f"--compile does not work here ({why}): {mend}") from error


def keeps(checkpoint: Path, every: int | None) -> str:
    """What the checkpoint of a training that was stopped keeps, and how to go on."""
    if not checkpoint.exists():
        when = "" if every is None else f" after --every {every} steps"
        return f"nothing is kept; the first checkpoint is written{when}"
    said = said_in(checkpoint)
    done, of = said["step"], said["run"].get("steps")
    return f"{checkpoint} keeps the first {done} of {of} steps; the same command goes on from there"


def start_from(network: torch.nn.Module, name: str) -> None:
    """Copy the weights of this file or bundled name; a network with labels may start from one
    without, or with others."""
    start = weights.load(name)
    state, mine = start.state_dict(), network.state_dict()
    if "label.weight" in state and state["label.weight"].shape != getattr(
        mine.get("label.weight"), "shape", None
    ):
        del state["label.weight"]
    new = {k for k in mine.keys() - state.keys() if k != "label.weight"}
    if new or state.keys() - mine.keys() or any(mine[k].shape != v.shape for k, v in state.items()):
        config: Any = network
        raise ValueError(
            f"--init {name} is a {type(start).__name__} with {start.config}; this run trains a "
            f"{type(network).__name__} with {config.config}"
        )
    network.load_state_dict(state, strict=False)


def root_of(data: str | None) -> str | None:
    """--data as the root of Fashion-MNIST: None for the word, which searches for it."""
    return None if data == FASHION_MNIST else data


def is_own(data: str | None) -> bool:
    """--data is data of one's own, and not where Fashion-MNIST lies."""
    if root_of(data) is None:
        return False
    return not (Path(str(data)).expanduser() / "FashionMNIST").is_dir()


def data_options(p: Any) -> None:
    """The options that say what the data of one's own are: see `opened`."""
    p.add_argument(
        "--data",
        type=str,
        metavar="PATH",
        help="a folder of pictures (flat, or a sub-folder a class), .npz, .npy, .csv, IDX files, a "
        "folder that holds FashionMNIST/raw, or fashion-mnist (which is the default)",
    )
    p.add_argument(
        "--kind", choices=("points", "series"), help="what an array (n, d) is, where it is unclear"
    )
    p.add_argument("--size", type=COUNT, metavar="N", help="make the pictures N × N")
    p.add_argument("--grey", action="store_true", default=None, help="make the pictures grey")
    p.add_argument("--label-column", metavar="C", help="the column of a table that has the classes")
    p.add_argument(
        "--categorical",
        type=lambda text: tuple(filter(None, map(str.strip, text.split(",")))),
        default=(),
        metavar="A,B",
        help="columns of a table that are categories though they look like numbers",
    )
    p.add_argument(
        "--skip-unreadable",
        action="store_true",
        default=None,
        help="leave out pictures that cannot be read, and say how many",
    )


def device_option(p: Any, words: str) -> None:
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help=words)


def opened(args: Any) -> tuple[Data, dict[str, Any]]:
    """(the data of --data, the options that it was opened with).  What is held out depends on the
    data alone, so that `evaluate` knows it again."""
    names = ("kind", "size", "grey", "label_column", "categorical", "skip_unreadable")
    how = {name: v for name in names if (v := getattr(args, name)) not in (None, (), False)}
    try:
        return Data.open(args.data or FASHION_MNIST, **how), how
    except ValueError as error:  # says how a call is mended, and this is a command
        text = str(error)
        for name in names:
            flag = f"--{name.replace('_', '-')}"
            text = text.replace(f"{name}=True", flag).replace(f"{name}=", f"{flag} ")
        raise ValueError(text) from error
