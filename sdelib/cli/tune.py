"""python -m sdelib tune: what to train with, one change at a time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ..own import weights
from ..own.tuning.figure import draw
from ..own.tuning.knobs import KNOBS
from ..own.tuning.rounds import Tuning
from ..own.tuning.search import search
from ..own.tuning.trackers import logging_to
from ..own.tuning.tuned import DEFAULT_MINUTES, table_at, tune
from .common import (
    COUNT,
    POSITIVE,
    chosen_device,
    data_options,
    device_option,
    number,
    opened,
    writable,
)


def run(args: argparse.Namespace) -> None:
    """Find what a denoiser of the data is best trained with: one change a row, at equal steps and
    at equal time, on the same noise, with several seeds, then again from what was taken."""
    vary, base = pairs("--vary", args.vary), pairs("--base", args.base or ())
    out = table_at(args.out)
    writable(out)
    data, _ = opened(args)
    print(data.describe(), flush=True)
    asked: dict[str, Any] = {"base": {k: v[-1] for k, v in base.items()}, "seeds": args.seeds}
    asked |= {"steps": args.steps, "minutes": args.minutes, "limit": args.limit, "out": out}
    asked |= {"cpu": chosen_device(args.device).type == "cpu", "command": args.command_line}
    if args.search is not None:
        if args.log is not None or args.rounds is not None:
            name = "--log" if args.log is not None else "--rounds"
            raise ValueError(f"{name} does not go with --search: leave one out")
        found: Any = search(data, vary, args.search, **asked)
        print(f"\n{found}\n\n{out}: a row a trial")
        return
    rounds = 2 if args.rounds is None else args.rounds
    log = None if args.log is None else logging_to(args.log, out.with_suffix(".log"))
    found = tune(data, vary, rounds=rounds, log=log, **asked)
    text = out.with_suffix(".txt")
    words = f"{args.command_line}\n\n{data.describe()}\n\n{found}\n"
    weights.atomic(text, lambda p: p.write_text(words, encoding="utf-8"))
    print(f"\n{found}\n\n{out}: a row a run; the words: {text}{_figure(found)}")


def pairs(option: str, given: Sequence[str]) -> dict[str, list[str]]:
    """name=value,value,… as {name: values}."""
    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, values = text.partition("=")
        each = [v.strip() for v in values.split(",") if v.strip()]
        if not (equals and each):
            raise ValueError(f"{option} {text}: give NAME=VALUE,VALUE, such as lr=1e-3,2e-3")
        found[name.strip()] = found.get(name.strip(), []) + each
    return found


def _figure(found: Tuning) -> str:
    """Where the figure is, in words; nothing without matplotlib, which is said."""
    try:
        return f"; the figure: {draw(found, found.path.with_suffix('.png'))}"
    except ImportError as error:
        print(f"no figure is drawn: {error}", file=sys.stderr)
        return ""


def kept(args: argparse.Namespace) -> str:
    """What a tuning that was stopped leaves, and how to go on."""
    out = table_at(args.out)
    if not (out.with_suffix(".db") if args.search else out).exists():
        return "nothing is kept yet; the table is written run by run"
    return f"{out} keeps the runs that are done; the same command goes on from there"


def options(p: argparse.ArgumentParser) -> None:
    data_options(p)
    names = ", ".join(f"{k} ({v.words})".replace("%", "%%") for k, v in KNOBS.items())
    p.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=VALUE,…",
        help="what is tried, one value at a time; may be given again. Names, types and ranges: "
        f"{names}; with --search also a range, lr=1e-4..1e-2",
    )
    p.add_argument(
        "--base",
        action="append",
        metavar="NAME=VALUE",
        help="begin with this in place of what train takes for the data",
    )
    p.add_argument("--seeds", type=number(int, 1), default=2, help="runs of each setting, from 2")
    p.add_argument(
        "--minutes",
        type=POSITIVE,
        help="for everything; the rate of the first steps makes steps of them "
        f"(default: {DEFAULT_MINUTES:g}, unless --steps is given)",
    )
    p.add_argument("--steps", type=COUNT, help="of each run of the base, in place of --minutes")
    p.add_argument("--rounds", type=COUNT, help="each starts from what was taken (default: 2)")
    p.add_argument("--limit", type=COUNT, default=512, help="held-out examples that are used")
    p.add_argument(
        "--out",
        default="tuning.csv",
        metavar="DIR|FILE.csv",
        help="the table, a row a run; beside it, with its name and another ending, stand the "
        "losses, the words, the figure and the search",
    )
    p.add_argument(
        "--search",
        type=COUNT,
        metavar="N",
        help="let Optuna choose, N trials; the same command in another process takes part",
    )
    p.add_argument(
        "--log",
        metavar="TRACKER",
        help="send the runs to a tracker that accelerate knows and that is installed, such as "
        "tensorboard, which writes beside the table",
    )
    device_option(p, "where to train")
