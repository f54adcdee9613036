"""How many steps a training has: as given, or as many as fit in so many minutes.

Minutes are turned into steps once, by the rate of the first steps on a copy, and that number is
kept in the checkpoint: the same command after a kill has the same steps, and so the same learning
rates, however busy the machine is by then.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..checks import positive, require, whole
from .checkpoints import said_in

DEFAULT_MINUTES = 3.0
TRIED_STEPS, TRIED_SHARE, LOOKING_SHARE = 22, 0.1, 0.15
"""The rate is taken of so many steps, or of those that this share of the time allows, five at
least; looking at what is held out may take another share."""


@dataclass(frozen=True)
class Schedule:
    """steps: where the training ends, counted from its beginning.  begin: where its learning rate
    begins, above 0 for what is extended.  points: how often the held-out part is looked at.
    facts: for the provenance.  words: what was fixed."""

    steps: int
    begin: int
    points: int
    facts: dict[str, Any] = field(default_factory=dict)
    words: str = ""

    @property
    def places(self) -> set[int]:
        """The steps after which the held-out part is looked at."""
        span = self.steps - self.begin
        return {self.begin + -(-span * k // self.points) for k in range(1, self.points + 1)}


class Enough(Exception):
    """The rate is known."""


def seconds_a_step(train: Callable[..., Any], minutes: float) -> float:
    """The median time of a step of train(steps=…, watch=…), without the first steps."""
    times: list[float] = []

    def watch(step: int, averaged: Any) -> None:
        times.append(time.perf_counter())
        if len(times) > 5 and times[-1] - times[0] > 60 * minutes * TRIED_SHARE:
            raise Enough

    with suppress(Enough):
        train(steps=TRIED_STEPS, watch=watch)
    gaps = [b - a for a, b in zip(times, times[1:])]
    return statistics.median(gaps[len(gaps) // 5 :])


def scheduled(
    steps: int | None,
    minutes: float | None,
    checkpoint: str | Path | None,
    extend: bool,
    points: int,
    rate: Callable[[float], tuple[float, float]],
) -> Schedule:
    """The schedule of a training by steps or by minutes, new, resumed or extended.

    points: the most looks at what is held out, 0 for none; minutes may allow fewer.
    rate: measures, in a share of the minutes, (seconds a step, seconds a look); it is asked for
    only where minutes have to become steps.
    Raises ValueError for both steps and minutes, and for other minutes than the checkpoint's.
    """
    cure = "give steps or minutes, not both"
    require(steps is None or minutes is None, "minutes", minutes, cure)
    there = checkpoint is not None and Path(checkpoint).is_file()
    said: Mapping[str, Any] = said_in(Path(checkpoint)) if checkpoint and there else {}
    last, done = int(said.get("run", {}).get("steps", 0)), int(said.get("step", 0))
    ends: list[int] = said.get("ends") or [0]
    longer = extend and done == last > 0
    if steps is not None:
        whole(steps=steps)
        return Schedule(int(steps), last if longer and steps > last else ends[-1], points)
    minutes = DEFAULT_MINUTES if minutes is None else minutes
    positive(minutes=minutes)
    if said and not longer:
        facts = said.get("provenance", {})
        facts = [facts, *facts.get("extended", [])][-1]
        cure = f"{checkpoint} was begun with minutes = {facts.get('minutes')}, which were {last} "
        cure += "steps: give the same, or another path"
        require(facts.get("minutes") == minutes, "minutes", minutes, cure)
        words = f"on to step {last}, as {checkpoint} has it"
        return Schedule(last, ends[-1], facts.get("points", points), {}, words)
    began = time.perf_counter()
    each, look = rate(minutes)
    points = min(points, max(1, int(60 * minutes * LOOKING_SHARE / look)))
    left = 60 * minutes - (time.perf_counter() - began) - points * look
    new, points = _of_all([max(1, int(left / each)), points])
    facts = {"minutes": minutes, "seconds_a_step": round(each, 6), "points": points}
    words = f"{minutes:g} minutes at {each:.3g} s a step: {new} steps"
    return Schedule(last + new, last, points, facts, words)


def _of_all(numbers: list[int]) -> list[int]:
    """Of several processes, the numbers of the first."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(numbers)
    return numbers
