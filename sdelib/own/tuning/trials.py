"""The trials of a search: as a table, and in words."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..weights import atomic
from .difference import BEYOND, wider
from .knobs import Setting, said

COLUMNS = ["trial", "difference", "over_seeds", "over_examples", "loss", "steps", "ratio"]


@dataclass(frozen=True)
class Trial:
    """number: of the trial.  setting: what was tried.  value: its loss less the base's, at equal
    time; over_seeds, over_examples: its errors; better: by the rule of `Difference`.
    seeds: how many.
    loss: its own.  steps: that the base's time buys, ratio: time of a step, the base's = 1."""

    number: int
    setting: Setting
    value: float
    over_seeds: float
    over_examples: float
    better: bool
    seeds: int
    loss: float
    steps: int
    ratio: float


@dataclass(frozen=True)
class Search:
    """path: the table.  base: what trials are held against, loss: its loss.  steps: of its
    training.  trials: those that are done, best first.  print(search) tells it."""

    path: Path
    base: Setting
    loss: float
    steps: int
    trials: tuple[Trial, ...]

    @property
    def setting(self) -> Setting:
        """The best trial's where it is better than the base by the rule of a table, else the base.
        Its error over seeds is widened as there."""
        if not self.trials or not self.trials[0].better:
            return self.base
        best, usual = self.trials[0], statistics.median(t.over_seeds for t in self.trials)
        error = math.hypot(wider(best.over_seeds, best.seeds, usual), best.over_examples)
        return best.setting if best.value < -BEYOND * error else self.base

    def __str__(self) -> str:
        lines = [
            f"base: {self.base}",
            f"loss {self.loss:.4f} after {self.steps} steps; of {len(self.trials)} trials the best",
            "(less the base's loss, at equal time, ± over seeds ± over held-out examples):",
        ]
        for t in self.trials[:5]:
            error = f"{t.over_seeds:.4f} ± {t.over_examples:.4f}"
            lines += [f"  {t.value:+.4f} ± {error}  {changed(self.base, t.setting)}"]
        lines += [
            "We took the best: it is below the base by more than two standard errors, with every "
            f"seed. As the best of {len(self.trials)} it is lucky too: expect a little less."
            if self.setting != self.base
            else "We took nothing: the best is not below the base by more than two standard errors "
            "with every seed."
        ]
        return "\n".join([*lines, "", f"train with  {self.setting}"])


def changed(base: Setting, setting: Setting) -> str:
    """What is not as in the base."""
    return " ".join(said(k, v) for k, v in setting.values if base[k] != v) or "as the base"


def trial_of(t: Any, start: Setting) -> Trial:
    """A trial of Optuna's that is done."""
    facts = dict(t.user_attrs["facts"])
    told = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.pop("values").items()}
    return Trial(t.number, start.with_(told), float(t.value), **facts)


def write(path: Path, head: list[str], knobs: list[str], done: Callable[[], list]) -> None:
    """The table of the trials that are done, whole; again, if others came to their end meanwhile,
    for the last to write has to write them all."""
    trials: list = []
    while len(trials) != len(now := done()) or not path.exists():
        trials, page = now, io.StringIO()
        page.write("".join(f"# {line}\n" for line in head))
        table = csv.writer(page, lineterminator="\n")
        table.writerow([*COLUMNS, *knobs])
        for t in trials:
            facts = t.user_attrs["facts"]
            shown = [t.number, f"{t.value:.6g}"]
            shown += [f"{facts[k]:.6g}" for k in COLUMNS[2:]]
            values = (facts["values"][k] for k in knobs)
            table.writerow([*shown, *(said(k, v).partition("=")[2] for k, v in zip(knobs, values))])
        atomic(path, lambda p: p.write_text(page.getvalue(), encoding="utf-8", newline="\n"))
