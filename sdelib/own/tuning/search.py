"""A search in place of a table: Optuna chooses what is tried next. Several processes share one.

    tuning.csv, tuning.db     a row a trial; the search itself, a sqlite file beside it

Each trial is held against the base at equal time, paired, with the same seeds, noise and held-out
examples as in `tuning`. The same command in another process joins in; after a kill it goes on.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import require, whole
from ..data import Data
from ..extras import package
from ..runs import differences
from .bench import trained
from .difference import Difference
from .knobs import KNOBS, Between, Setting, base_of, said, value_of
from .stopwatch import relative, seconds
from .trials import Search, trial_of, write
from .tuned import minutes_of, plan_of, several, table_at


class Shared:
    """Facts in the search's file that the first process that knows them writes for all."""

    def __init__(self, path: Path):
        self.path = path
        self._do("create table if not exists sdelib (name text primary key, value text)")

    def _do(self, words: str, *values: str) -> list[tuple]:
        with closing(sqlite3.connect(self.path, timeout=120)) as file, file:
            return file.execute(words, values).fetchall()

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """What is there by this name; else what `make` gives, unless another was first."""
        ask = "select value from sdelib where name = ?"
        found = self._do(ask, name)
        if not found:
            self._do("insert or ignore into sdelib values (?, ?)", name, json.dumps(make()))
            found = self._do(ask, name)
        return json.loads(found[0][0])


def search(
    data: Data,
    vary: Mapping[str, Any],
    trials: int,
    *,
    out: str | Path = "tuning.csv",
    base: Mapping[str, Any] | None = None,
    seeds: int = 2,
    steps: int | None = None,
    minutes: float | None = None,
    limit: int | None = 512,
    cpu: bool = False,
    progress: bool = True,
    command: str = "",
) -> Search:
    """Try so many settings, of all processes together; one that is under way when they are full is
    finished.

    vary: for each knob values, or a range "1e-4..1e-2".  minutes: of all trials on one process.
    All else as `tuning.tune`.  Raises ImportError without Optuna, ValueError as `tune`.
    """
    optuna = package("optuna", "tune")
    whole(2, seeds=seeds), whole(trials=trials), require(vary, "vary", vary, "give one at least")
    start, path = base_of(data, base), table_at(out)
    space = {
        k: [value_of(k, one, start, data, search=True) for one in several(k, v)]
        for k, v in vary.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    shared = Shared(path.with_suffix(".db"))
    words = [said(k, v) for k, values in space.items() for v in values]
    for k, values in space.items():
        alone = len(values) == 1 or not any(isinstance(v, Between) for v in values)
        require(alone, "vary", vary[k], f"give one range of {k}, or values")
    asked = {"vary": words, "seeds": seeds, "held-out examples": limit}
    plan = plan_of(data, start, {**asked, "steps": steps, "minutes": minutes_of(steps, minutes)})
    plan = json.loads(json.dumps(plan))
    there = shared.get("plan", lambda: plan)
    unlike = list(differences(there, plan))
    cure = f"the search in {shared.path} has {'; '.join(unlike[:3])}: give that, or another name"
    require(not unlike, "out", str(path), cure)

    def run(setting: Setting, steps: int) -> list[np.ndarray]:
        one = lambda seed: trained(data, setting, steps, seed, limit, cpu=cpu)[0]
        return [one(seed) for seed in range(seeds)]

    def affordable() -> int:
        each = seconds(data, start, cpu=cpu)
        bought = int(60 * float(minutes_of(None, minutes) or 0) / (each * seeds * (trials + 1)))
        cure = f"that buys {bought} steps for each of {seeds * (trials + 1)} runs: give more"
        require(bought >= 10, "minutes", minutes, cure)
        return bought

    n = shared.get("steps", lambda: affordable() if steps is None else steps)
    first = shared.get("base", lambda: [each.tolist() for each in run(start, n)])
    mine = [np.array(each) for each in first]
    study = _study(optuna, shared.path)

    def objective(trial: Any) -> float:
        chosen = {k: _suggested(trial, k, values) for k, values in space.items()}
        setting = start.with_(chosen)
        name = f"time {setting.costs}"
        ratio = shared.get(name, lambda: relative(data, setting, start, cpu=cpu)[0])
        bought = max(1, int(n / ratio + 1e-9))
        found = run(setting, bought)
        d = Difference.of(found, mine)
        loss = float(np.mean(found))
        facts = {"over_seeds": d.over_seeds, "over_examples": d.over_examples, "loss": loss}
        facts |= {"steps": bought, "ratio": round(ratio, 4), "better": d.better, "seeds": seeds}
        facts |= {"values": dict(setting.values)}
        trial.set_user_attr("facts", facts)
        return d.value if math.isfinite(d.value) else math.inf

    head = [command, f"base: {start}", f"steps of the base: {n}; differences are at equal time"]
    done = lambda: [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    while len(done()) < trials:
        study.optimize(objective, n_trials=1)
        write(path, head, [*space], done)
        if progress:
            print(f"{len(done())} of {trials} trials", file=sys.stderr, flush=True)
    write(path, head, [*space], done)
    found = [trial_of(t, start) for t in done()]
    found = tuple(sorted(found, key=lambda t: t.value))
    return Search(path, start, float(np.mean(mine)), n, found)


def _study(optuna: Any, path: Path) -> Any:
    """The study in this file, made by whoever comes first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for left in range(9, -1, -1):
        try:
            return optuna.create_study(
                study_name="sdelib",
                storage=f"sqlite:///{path}?timeout=120",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(constant_liar=True),
            )
        except Exception:  # another process makes the same tables at this moment
            if not left:
                raise
            time.sleep(0.5)


def _suggested(trial: Any, name: str, values: list[Any]) -> Any:
    """The value of a knob that Optuna chooses: in the range, or among the values."""
    one, knob = values[0], KNOBS[name]
    if isinstance(one, Between):
        if knob.kind == "whole":
            return trial.suggest_int(name, int(one.low), int(one.high), log=knob.log)
        return trial.suggest_float(name, one.low, one.high, log=knob.log)
    texts = [said(name, value) for value in values]
    return values[texts.index(trial.suggest_categorical(name, texts))]
