"""One bench on which all settings of a tuning are tried: the same data, held-out examples, noise
and steps or time, and each run once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import require
from ..data import Data
from ..validation import edges
from .knobs import Setting, said
from .ledger import Ledger, name_of
from .stopwatch import relative, seconds

BANDS, FEWEST = 8, 10
"""Noise levels of the validation, and the fewest steps that are worth a comparison."""
FIELDS = ["round", "at", "change", "seed", "steps", "ratio", "parameters", "loss", "error"]
FIELDS += ["difference", "difference_error", *(f"loss_{k + 1}" for k in range(BANDS))]
FIELDS += [*(f"error_{k + 1}" for k in range(BANDS)), "seconds", "date"]

Log = Callable[[str, dict[str, Any], Any, dict[str, float]], None]


def trained(
    data: Data,
    setting: Setting,
    steps: int,
    seed: int,
    limit: int | None,
    *,
    cpu: bool = False,
    checkpoint: Path | None = None,
) -> tuple[np.ndarray, Any, int]:
    """(losses on what is held out, float64 (examples, bands), those of the steps, parameters) of a
    model with this setting; NaN where its training did not stay finite."""
    model, how = setting.model(data, seed), setting.part("train")
    how |= {"objective": setting.loss(model), "points": 0, "progress": False}
    how |= {"checkpoint": checkpoint, "every": max(20, steps // 10), "seed": seed, "cpu": cpu}
    size = sum(p.numel() for p in model.network.parameters())
    try:
        curve = model.train(data, steps=steps, **how)
        found = model.validation(data, limit=limit, bands=BANDS, device="cpu" if cpu else None)
        return found.each.numpy(), curve.losses, size
    except ValueError as error:
        if "finite" not in str(error) and not str(error).startswith("the loss is"):
            raise
        n = len(data.held_out(limit)[0])
        return np.full((n, BANDS), np.nan), [], size


@dataclass
class Bench:
    """data, base: what all is held against.  ledger: where runs are kept.  seeds: 0, 1, ….
    limit: held-out examples.  cpu: stay on it.  log: log(name, settings, losses, results)."""

    data: Data
    base: Setting
    ledger: Ledger
    seeds: int = 2
    limit: int | None = 512
    cpu: bool = False
    progress: bool = True
    log: Log | None = None

    @property
    def steps(self) -> int:
        """Of the base; `fix_steps` has to be called first."""
        return self.ledger.fixed["steps"]

    def fix_steps(self, steps: int | None, minutes: float | None, settings: list[Setting]) -> None:
        """As given; or such that all runs, one a seed of each of these settings at equal steps or
        at equal time, take so many minutes. Fixed once for a file."""
        if steps is not None or "steps" in self.ledger.fixed:
            self.ledger.fix("steps", steps)
            return
        budget, began = 60 * float(minutes or 0), time.perf_counter()
        each, units = seconds(self.data, self.base, cpu=self.cpu), 0.0
        for setting in settings:
            ratio = self.ratio(setting)
            units += ratio + (ratio != 1)
        model, runs = self.base.model(self.data), self.seeds * len(settings)
        looking = time.perf_counter()
        model.validation(self.data, limit=self.limit, bands=BANDS, device=self.device)
        now = time.perf_counter()
        left = budget - (now - began) - 2 * runs * (now - looking)
        bought = int(left / (each * self.seeds * units))
        cure = f"that buys {max(0, bought)} steps for each of {runs} runs, and {FEWEST} are needed"
        require(bought >= FEWEST, "minutes", minutes, f"{cure}: give more, or vary less")
        words = f"{minutes:g} minutes at {each:.3g} s a step of the base: {bought} steps"
        self.ledger.words.append(words)
        self.ledger.fix("steps", bought)
        self.say(words)

    @property
    def device(self) -> str | None:
        return "cpu" if self.cpu else None

    def ratio(self, setting: Setting) -> float:
        """Time of a step, the base's = 1."""
        return self.timed(setting)[0]

    def timed(self, setting: Setting) -> tuple[float, float]:
        """Time of a step, the base's = 1, and its standard error; measured once."""
        if setting.costs == self.base.costs:
            return 1.0, 0.0
        name = "time of " + " ".join(said(*pair) for pair in setting.costs)
        if name not in self.ledger.fixed:
            found = relative(self.data, setting, self.base, cpu=self.cpu)
            self.ledger.fix(name, [round(a, 4) for a in found])
        ratio, error = self.ledger.fixed[name]
        return ratio, error

    def bought(self, setting: Setting) -> int:
        """The steps that the time of the base's buys."""
        return max(1, int(self.steps / self.ratio(setting) + 1e-9))

    def run(self, setting: Setting, steps: int, seed: int) -> np.ndarray:
        """The losses on what is held out, (examples, bands): trained once, then known. NaN where
        the training did not stay finite."""
        name = f"{setting.key} {steps} {seed}"
        place = self.checkpoint(name)
        found = self.ledger.known(name)
        if found is not None:
            place.unlink(missing_ok=True)
            return found
        began = time.perf_counter()
        each, losses, size = trained(
            self.data, setting, steps, seed, self.limit, cpu=self.cpu, checkpoint=place
        )
        took = round(time.perf_counter() - began, 2)
        self.ledger.keep(name, each, took, size)
        if self.log is not None:
            results = {"validation loss": float(each.mean()), "seconds": took}
            self.log(f"{setting} steps={steps} seed={seed}", dict(setting.values), losses, results)
        with suppress(OSError):
            place.unlink(missing_ok=True)
        return each

    def checkpoint(self, name: str) -> Path:
        """Of the run under way, beside the table; it goes when the run is done."""
        return self.ledger.path.with_suffix(f".{name_of(name)}.run.safetensors")

    def row(
        self,
        place: tuple[int, str, str, int],
        setting: Setting,
        steps: int,
        against: np.ndarray | None,
    ) -> np.ndarray:
        """Run, and write the row: place: (round, at, change, seed).  against: the base's."""
        number, at, change, seed = place
        key = {"round": number, "at": at, "change": change, "seed": seed}
        each = self.run(setting, steps, seed)
        if self.ledger.row(**key) is None:
            took, size = self.ledger.facts(f"{setting.key} {steps} {seed}")
            d = np.zeros_like(each) if against is None else each - against
            facts = {"steps": steps, "ratio": self.ratio(setting), "parameters": int(size)}
            totals = zip(("loss", "difference"), (each, d))
            for name, a in totals:
                own = name if name == "difference" else ""
                facts |= {name: _short(a.mean()), f"{own}_error".strip("_"): _error(a.mean(1))}
            for k in range(BANDS):
                column = each[:, k]
                facts |= {f"loss_{k + 1}": _short(column.mean()), f"error_{k + 1}": _error(column)}
            self.ledger.add(key | facts | {"seconds": took, "date": date.today().isoformat()})
            self.say(f"round {number}, {change}, seed {seed}, {steps} steps: {facts['loss']}")
        return each

    def say(self, words: str) -> None:
        if self.progress:
            print(words, file=sys.stderr, flush=True)

    def noise(self) -> list[float]:
        """The edges of the noise levels of the validation."""
        return [float(s) for s in edges(self.base.model(self.data).objective(), BANDS)]


def _short(a: float) -> str:
    return f"{a:.6g}"


def _error(a: np.ndarray) -> str:
    return _short(a.std(ddof=1) / len(a) ** 0.5) if len(a) > 1 else "nan"
