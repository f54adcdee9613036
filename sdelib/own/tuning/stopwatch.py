"""What a step of training costs, beside a step of another setting: measured in alternation in one
process, by the processor's time where the processor computes, so that what else the machine does
is in both or in none."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..data import Data
from ..luck import undisturbed
from ..training import Objective, train
from .knobs import Setting

STEPS, BLOCKS, MOST, NEAR, LONG = 6, 6, 30, 0.01, 20.0
"""Steps in a block, and blocks of either setting: so many at least, at most, and until the error is
this share of the ratio or so many seconds are over. The first block and step are left out."""


@dataclass
class Clocked:
    """An objective that looks at both clocks when a step begins: [processor, wall] seconds."""

    loss: Objective
    seen: list[tuple[float, float]] = field(default_factory=list)

    def draw(self, *batch: Any, generator: torch.Generator) -> Any:
        self.seen.append((time.process_time(), time.perf_counter()))
        return self.loss.draw(*batch, generator=generator)

    def __call__(self, *args: Any) -> Any:
        return self.loss(*args)


def stepper(data: Data, setting: Setting, cpu: bool) -> Callable[[], tuple[float, float]]:
    """A function that trains a block of steps, and gives the (processor, wall) seconds of one."""
    model = setting.model(data)
    network: nn.Module = model.network
    how: dict[str, Any] = {"batch_size": setting["batch"], "lr": 1e-4, "ema": 0.9, "cpu": cpu}

    def block() -> tuple[float, float]:
        clocked = Clocked(setting.loss(model))
        with undisturbed():
            train(network, clocked, data.training(), steps=STEPS, progress=False, **how)
        ticks = list(zip(*clocked.seen))
        gaps = [[b - a for a, b in zip(tick[1:], tick[2:])] for tick in ticks]
        return statistics.median(gaps[0]), statistics.median(gaps[1])

    return block


def seconds(data: Data, setting: Setting, *, cpu: bool) -> float:
    """The wall time of a step."""
    block = stepper(data, setting, cpu)
    block()
    return statistics.median(block()[1] for _ in range(3))


def relative(data: Data, setting: Setting, base: Setting, *, cpu: bool) -> tuple[float, float]:
    """(time of a step)/(time of a step of the base), and its standard error: the median of pairs
    of blocks. Exactly 1 where they differ in nothing that costs time."""
    if setting.costs == base.costs:
        return 1.0, 0.0
    clock = 1 if torch.cuda.is_available() and not cpu else 0
    blocks = [stepper(data, s, cpu) for s in (setting, base)]
    ratios, began = [], time.perf_counter()
    for k in range(MOST + 1):
        mine, other = (block()[clock] for block in blocks)
        ratios += [mine / max(other, 1e-9)] if k else []
        if k < BLOCKS:
            continue
        error = 1.25 * statistics.stdev(ratios) / math.sqrt(len(ratios))
        if error < NEAR * statistics.median(ratios) or time.perf_counter() - began > LONG:
            break
    return statistics.median(ratios), error
