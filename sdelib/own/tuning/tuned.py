"""Tuning as chapter 12 does it, for any data: one change a row, the same noise for all, two seeds
or more, at equal steps and at equal time, and a second round that starts from what was taken.

    tuning = tune(data, {"lr": [1e-3, 4e-3], "widths": ["64:112"]}, out="tuning.csv", minutes=30)
    print(tuning)                        what was taken, what was refused, and why
    model = tuning.setting.model(data)   to be trained with tuning.setting.part("train")

A change is taken when at equal *time* its loss on what is held out is below the base's by more than
two standard errors of the paired difference, and with every seed (see `difference`). At equal time
it has the steps that the base's time buys: a wider network has fewer, so the sign may change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...checks import positive, require, whole
from ..data import Data
from ..devices import device_name
from ..runs import described, fingerprint, versions
from .bench import FIELDS, Bench, Log
from .difference import Difference, level
from .knobs import Setting, base_of, said, value_of
from .ledger import Ledger
from .rounds import Change, Round, Tuning

BASE, BOTH = "base", "both"
DEFAULT_MINUTES = 30.0

Tried = tuple[str, str, Setting]
"""(name, knob, setting) of a change."""


def tune(
    data: Data,
    vary: Mapping[str, Any],
    *,
    out: str | Path = "tuning.csv",
    base: Mapping[str, Any] | None = None,
    seeds: int = 2,
    steps: int | None = None,
    minutes: float | None = None,
    rounds: int = 2,
    limit: int | None = 512,
    cpu: bool = False,
    progress: bool = True,
    command: str = "",
    log: Log | None = None,
) -> Tuning:
    """Try one change at a time, and say what to take.

    vary: for each name in `knobs.KNOBS` a value or several, as they are or as text.  base: values
    in place of those that `Model` takes for this data.  seeds: runs of each setting, two at least.
    steps, or minutes: of each run of the base; or of all runs of two rounds, which fix the steps
    once; 30 minutes where neither is given.  limit: held-out examples that are used.
    out: the table, beside which stand the losses (`ledger`) and the checkpoint of the run under
    way: the same call goes on after a kill, and ends as if there was none. One process at a time.
    log: see `Bench`.
    Raises ValueError for what cannot be varied, for a base that does not train, and for the table
    of another call.
    """
    whole(2, seeds=seeds), whole(rounds=rounds)
    start, changes = base_of(data, base), planned(data, base, vary)
    asked = {"vary": [name for name, *_ in changes], "seeds": seeds, "rounds": rounds}
    how: dict[str, Any] = {"limit": limit, "cpu": cpu, "progress": progress, "log": log}
    bench = bench_for(data, start, out, asked, steps, minutes, command, seeds=seeds, **how)
    bench.fix_steps(steps, minutes_of(steps, minutes), [start, *(s for *_, s in changes)] * rounds)
    now, found, first = start, [], []
    for number in range(1, rounds + 1):
        back = {k: start[k] for k, v in now.values if v != start[k]}
        undone = [(f"back to {said(k, v)}", k, now.with_({k: v})) for k, v in back.items()]
        others = [(name, k, now.with_({k: s[k]})) for name, k, s in changes]
        tried = unlike(now, [*undone, *others]) if number > 1 else changes
        mine, one = _round(bench, number, now, tried)
        first = first or mine
        since = Difference.of(mine, first) if number > 1 else None
        found.append(replace(one, since=since))
        now = now.with_(one.taken)
        if not one.taken:
            break
    noise = tuple(bench.noise())
    return Tuning(bench.ledger.path, tuple(found), now, seeds, len(first[0]), noise)


def planned(data: Data, base: Mapping[str, Any] | None, vary: Mapping[str, Any]) -> list[Tried]:
    """The changes, one a row, each once."""
    start, found = base_of(data, base), []
    for knob, given in vary.items():
        for one in several(knob, given):
            value = value_of(knob, one, start, data)
            found += [(said(knob, value), knob, start.with_({knob: value}))]
    cure = "give one change at least, such as lr=1e-3"
    require(found, "vary", vary, cure)
    return list({name: tried for tried in found for name in tried[:1]}.values())


def several(knob: str, given: Any) -> list[Any]:
    """The values of a knob: of a text those between commas, of a list its own; one size of widths
    is a list of numbers."""
    if isinstance(given, str):
        return [part for part in given.split(",") if part.strip()]
    if isinstance(given, Iterable):
        values = list(given)
        flat = knob == "widths" and all(isinstance(v, int) for v in values)
        return [tuple(values)] if flat else values
    return [given]


def unlike(now: Setting, tried: list[Tried]) -> list[Tried]:
    """The changes that differ from the setting, each once."""
    once: dict[str, Tried] = {}
    for one in tried:
        if one[2] != now:
            once.setdefault(one[2].key, one)
    return list(once.values())


def minutes_of(steps: int | None, minutes: float | None) -> float | None:
    """The minutes, where no steps are given."""
    require(steps is None or minutes is None, "minutes", minutes, "give steps or minutes, not both")
    whole(steps=1 if steps is None else steps)
    minutes = DEFAULT_MINUTES if minutes is None else minutes
    positive(minutes=minutes)
    return minutes if steps is None else None


def table_at(out: str | Path) -> Path:
    """The .csv file; of a folder tuning.csv in it.  Raises ValueError for another suffix."""
    place = Path(out).expanduser()
    if str(out).endswith(("/", "\\")) or place.is_dir() or not place.suffix:
        place = place / "tuning.csv"
    require(place.suffix.lower() == ".csv", "out", str(out), "give a folder, or a file.csv")
    return place


def plan_of(data: Data, start: Setting, more: Mapping[str, Any]) -> dict[str, Any]:
    """What two calls must agree in to go on with one table, as a flat dictionary."""
    x, labels = data.held_out()
    held = [x] if labels is None else [x, labels]
    plan = {"data": fingerprint(data.training()), "held out": fingerprint(held), **more}
    facts = {f"base {k}": v for k, v in start.values}
    return {
        k: v for name, value in (plan | facts).items() for k, v in described(name, value).items()
    }


def bench_for(
    data: Data,
    start: Setting,
    out: str | Path,
    asked: Mapping[str, Any],
    steps: int | None,
    minutes: float | None,
    command: str,
    **how: Any,
) -> Bench:
    """The bench with its table, new or as it was left."""
    more = {**asked, "steps": steps, "minutes": minutes_of(steps, minutes)}
    more["held-out examples"] = how["limit"]
    plan, device = plan_of(data, start, more), torch.device("cpu") if how["cpu"] else None
    bench = Bench(data, start, Ledger(table_at(out), plan, [], FIELDS), **how)
    known = " ".join(f"{name} {v}" for name, v in versions().items())
    low, *bands = (f"{s:.3g}" for s in bench.noise())
    if not bench.ledger.words:
        bench.ledger.words = [
            f"command: {command}",
            f"data: {data.form.source}",
            f"base: {start}",
            f"device: {device_name(device)}, {known}",
            f"loss_k, error_k: noise levels from σ = {low} to {', to '.join(bands)}; errors are "
            "over held-out examples",
            "difference: to the base of the round with the same seed, paired, and its error; "
            "ratio: time of a step, the first base's = 1",
            "at: equal steps, equal time, or both in one run; seconds do not compare, the ratio "
            "does",
        ]
    return bench


def _round(
    bench: Bench, number: int, base: Setting, tried: list[Tried]
) -> tuple[list[np.ndarray], Round]:
    """(the losses of the base for each seed, the round)."""
    n, seeds = bench.bought(base), range(bench.seeds)
    mine = [bench.row((number, BOTH, BASE, s), base, n, None) for s in seeds]
    loss = np.stack(mine).mean(0)
    trained, cure = bool(np.isfinite(loss).all()), "the base does not train: lower its lr"
    require(trained, "base", str(base), cure)
    at_steps, at_time, bought = [], [], []
    for name, _, setting in tried:
        m, by_steps, by_time = bench.bought(setting), [], []
        for s in seeds:
            at = BOTH if m == n else "steps"
            by_steps += [bench.row((number, at, name, s), setting, n, mine[s])]
            if m != n:
                by_time += [bench.row((number, "time", name, s), setting, m, mine[s])]
        at_steps += [Difference.of(by_steps, mine)]
        at_time += [Difference.of(by_time or by_steps, mine)]
        bought += [m]
    both = level([*at_steps, *at_time])
    changes = [
        Change(name, knob, setting, bench.timed(setting), n, m, a, b)
        for (name, knob, setting), m, a, b in zip(tried, bought, both, both[len(tried) :])
    ]
    best: dict[str, Change] = {}
    for c in sorted(changes, key=lambda c: c.at_time.value):
        if c.at_time.better:
            best.setdefault(c.knob, c)
    changes = [replace(c, taken=best.get(c.knob) is c) for c in changes]
    examples = loss.mean(1)
    spread = examples.std(ddof=1) if len(examples) > 1 else math.nan
    error = float(spread / math.sqrt(len(examples)))
    return mine, Round(number, base, n, float(examples.mean()), error, tuple(changes))
