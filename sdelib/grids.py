"""Grids of times: what decides how far a solver comes with few steps.

    uniform     t_i equally spaced
    geometric   std/scale falls by one factor a step
    karras      (std/scale)^(1/ρ) falls by one amount a step        Karras et al. 2022, eq. 5

All are float64, of shape (steps + 1,), and run either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import require, whole
from .sdes import GaussianSDE

Grid = Callable[[GaussianSDE, float, float, int], Tensor]
"""grid(sde, start, stop, steps) → times."""


def uniform_times(start: float, stop: float, steps: int) -> Tensor:
    """steps + 1 equally spaced times from start to stop, in float64.  start > stop runs backwards.
    Raises ValueError when steps is not a whole number above 0, or start equals stop."""
    whole(steps=steps)
    return torch.linspace(*two_times(start, stop), steps + 1, dtype=torch.float64)


def geometric_times(sde: GaussianSDE, start: float, stop: float, steps: int) -> Tensor:
    """The times at which the ratio std/scale falls (or rises) by one factor a step.
    Raises ValueError for a time outside (0, T], and as `uniform_times`."""
    return _times_of(sde, torch.log, torch.exp, start, stop, steps)


def karras_times(
    sde: GaussianSDE, start: float, stop: float, steps: int, rho: float = 7.0
) -> Tensor:
    """The times at which (std/scale)^(1/ρ) is equally spaced from start to stop.

    ρ = 1 spaces the noise levels evenly, ρ → ∞ geometrically; 7 is the choice of Karras et al. 2022
    (arXiv:2206.00364), eq. 5.  Raises ValueError for rho not above 0, and as `geometric_times`.
    """
    require(0 < rho < math.inf, "rho", rho, "give a finite number above 0")
    return _times_of(sde, lambda a: a ** (1 / rho), lambda u: u**rho, start, stop, steps)


def uniform_grid(sde: GaussianSDE, start: float, stop: float, steps: int) -> Tensor:
    """`uniform_times` in the form of a Grid."""
    return uniform_times(start, stop, steps)


def two_times(start: float, stop: float) -> tuple[float, float]:
    """(start, stop).  Raises ValueError unless they are finite and differ."""
    fit, cure = 0 < abs(stop - start) < math.inf, f"stop = {stop}: give two times that differ"
    require(fit, "start", start, cure)
    return start, stop


def _times_of(
    sde: GaussianSDE, into: Callable, back: Callable, start: float, stop: float, steps: int
) -> Tensor:
    cure = f"give times in (0, {sde.T}]; at t = 0 there is no noise, and its ratio no logarithm"
    for name, t in zip(("start", "stop"), two_times(start, stop)):
        require(0 < t <= sde.T * (1 + 1e-6), name, t, cure)
    high, low = into(sde.ratio(torch.tensor([start, stop], dtype=torch.float64))).tolist()
    times = sde.time(back(uniform_times(high, low, steps)))
    times[0], times[-1] = start, stop  # to the last bit
    return times
