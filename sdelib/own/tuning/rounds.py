"""What a tuning found, as numbers and in words: what we took, what we refused, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .difference import BEYOND, Difference
from .knobs import Setting


@dataclass(frozen=True)
class Change:
    """One setting beside the base of its round.  name: as `--vary` takes it; "back to …" undoes
    what an earlier round took.  knob: what it changes.  ratio: time of a step, the first base's =
    1, with its standard error.  steps, bought: of its runs at equal steps and at equal time.
    at_steps, at_time: the differences there.  taken: by the rule."""

    name: str
    knob: str
    setting: Setting
    ratio: tuple[float, float]
    steps: int
    bought: int
    at_steps: Difference
    at_time: Difference
    taken: bool = False

    @property
    def turns(self) -> bool:
        """The sign at equal time is not that at equal steps, both beyond their errors."""
        a, b = self.at_steps, self.at_time
        return (a.better and b.worse) or (a.worse and b.better)


@dataclass(frozen=True)
class Round:
    """base: what the changes are held against.  steps: of its training.  loss, error: its loss, and
    the standard error over held-out examples.  changes: in the order in which they were tried.
    since: of a later round, its base against the first base, at equal time."""

    number: int
    base: Setting
    steps: int
    loss: float
    error: float
    changes: tuple[Change, ...]
    since: Difference | None = None

    @property
    def taken(self) -> dict[str, Any]:
        """The knobs that were taken here, with their values."""
        return {c.knob: c.setting[c.knob] for c in self.changes if c.taken}


@dataclass(frozen=True)
class Tuning:
    """path: the table.  rounds: what was tried.  setting: the base with all that was taken.
    noise: the edges of the noise levels.  print(tuning) tells it in words."""

    path: Path
    rounds: tuple[Round, ...]
    setting: Setting
    seeds: int
    examples: int
    noise: tuple[float, ...] = field(repr=False)

    @property
    def taken(self) -> dict[str, Any]:
        """The knobs that are not as they were in the first base, with their values."""
        first = self.rounds[0].base
        return {k: v for k, v in self.setting.values if first[k] != v}

    def __str__(self) -> str:
        lines = [
            f"Differences are to the base of the round, paired: the same {self.seeds} seeds, "
            f"{self.examples} held-out examples",
            "and noise. The first ± is the standard error over seeds, widened, since so few agree "
            "by chance;",
            "the second that over held-out examples. At equal time a run has the steps that the "
            "base's time buys.",
        ]
        for found in self.rounds:
            lines += ["", *_told(found), *_why(found, self.noise)]
        last = self.rounds[len(self.rounds) - 1]
        if not last.taken and len(self.rounds) > 1:
            lines += ["", "The second look changes nothing more: each of these was weighed again."]
        elif len(self.rounds) == 1 and not self.taken:
            lines += ["", "Nothing was taken, so there is no second round."]
        elif len(last.taken) > 1:
            lines += ["", "What the last round took was tried one by one, and not together."]
        tries = sum(len(found.changes) for found in self.rounds)
        if tries > 8:
            lines += [f"Of {tries} comparisons one or so passes the rule by chance."]
        return "\n".join([*lines, "", f"train with  {self.setting}"])


def _told(found: Round) -> list[str]:
    """The table of a round."""
    head = f"Round {found.number}, from {found.base}"
    loss = f"loss {found.loss:.4f} ± {found.error:.4f} (over examples) after {found.steps} steps"
    lines = [head, loss]
    if found.since is not None:
        lines += [f"against the first base, at equal time: {found.since}"]
    if not found.changes:
        return lines
    wide = max(14, *(len(c.name) for c in found.changes))
    lines += [
        f"{'change':<{wide}} {'a step':>13}  {'at equal steps':<28}{'at equal time':<28}steps"
    ]
    for c in found.changes:
        ratio, error = c.ratio
        time = f"× {ratio:.2f}" + (f" ± {error:.2f}" if error else "       ")
        lines += [
            f"{c.name:<{wide}} {time:>13}  {c.at_steps!s:<28}{c.at_time!s:<28}{c.bought:>5}"
            + ("  taken" if c.taken else "")
        ]
    return lines


def _why(found: Round, noise: Sequence[float]) -> list[str]:
    lines = []
    for title, which in (("What we took", True), ("What we refused", False)):
        some = [c for c in found.changes if c.taken is which]
        lines += [f"{title}:"] + [f"  {c.name}: {reason(c, found, noise)}" for c in some]
        lines += [] if some else ["  nothing"]
    return lines


def reason(c: Change, found: Round, noise: Sequence[float]) -> str:
    """Why a change was taken or refused."""
    a, b, turn = c.at_steps, c.at_time, "the sign changes from equal steps to equal time"
    if not math.isfinite(b.value):
        return "its loss did not stay finite"
    part = f"{abs(b.value):.4f}, {abs(b.value) / b.error:.1f} errors" if b.error > 0 else "0"
    if c.taken:
        words = f"better by {part}, at equal time, with every seed"
        words += f"; {turn}" if c.turns else ""
        return words + _where(b, noise, "worse")
    if b.better:
        best = next(o.name for o in found.changes if o.taken and o.knob == c.knob)
        return f"better by {part}, but {best} is better still"
    if b.worse:
        words = f"worse by {part}, at equal time"
        if c.turns:
            words += f", and better by {-a.value:.4f} at equal steps: {turn}; a step takes "
            words += f"{c.ratio[0]:.2f} of the base's, so it may pay in a longer training"
        return words + _where(b, noise, "better")
    if not any(b.seeds):
        return "the same as the base to the last bit"
    if b.value < -BEYOND * b.error:
        return f"better by {part}, but not with every seed: chance"
    words = f"{b.value:+.4f}, within {BEYOND:g} errors ({b.error:.4f} each) at equal time"
    if a.better and c.steps != c.bought:
        words += f"; at equal steps it is better by {-a.value:.4f}, and a step takes "
        words += f"{c.ratio[0]:.2f} of the base's"
    return words


def _where(d: Difference, noise: Sequence[float], which: str) -> str:
    """The noise levels at which the difference goes the other way, beyond its error there."""
    sign = 1 if which == "worse" else -1
    spans: list[list[float]] = []
    for k, (value, error) in enumerate(zip(d.bands, d.band_errors)):
        if sign * value > BEYOND * error:
            if spans and spans[-1][1] == noise[k]:
                spans[-1][1] = noise[k + 1]
            else:
                spans += [[noise[k], noise[k + 1]]]
    said_of = " and ".join(f"{low:.3g} to {high:.3g}" for low, high in spans)
    return f"; but {which} at σ {said_of}" if spans else ""
