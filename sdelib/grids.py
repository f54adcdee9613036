"""TODO."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import finite
from .sdes import GaussianSDE


def uniform_times(start: float, stop: float, steps: int) -> Tensor:
    """steps + 1 equally spaced times from start to stop, in float64.  start > stop runs backwards.

    Raises ValueError when steps is not a whole number above 0 or start equals stop.
    """
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps = {steps!r}: give a whole number above 0")
    if start == stop:
        raise ValueError(f"start = stop = {start}: the grid is empty")
    finite("start, stop", torch.tensor([start, stop, stop - start], dtype=torch.float64))
    return torch.linspace(start, stop, steps + 1, dtype=torch.float64)


def geometric_times(sde: GaussianSDE, start: float, stop: float, steps: int) -> Tensor:
    """steps + 1 times from start to stop at which the ratio std/scale falls (or rises) by one
    factor, in float64.

    Raises ValueError for a time outside (0, T], and as `uniform_times`.
    """
    return _times_of(sde, torch.log, torch.exp, start, stop, steps)


def karras_times(
    sde: GaussianSDE, start: float, stop: float, steps: int, rho: float = 7.0
) -> Tensor:
    """steps + 1 times at which (std/scale)^(1/ρ) is equally spaced from start to stop, in float64.

    ρ = 1 spaces the noise levels evenly, ρ → ∞ geometrically; 7 is the choice of Karras et al. 2022
    (arXiv:2206.00364), eq. 5.  Raises ValueError for rho that is not above 0, and as
    `geometric_times`.
    """
    if not (math.isfinite(rho) and rho > 0):
        raise ValueError(f"rho = {rho!r}: give a finite number above 0")
    return _times_of(sde, lambda a: a ** (1 / rho), lambda u: u**rho, start, stop, steps)


def _times_of(
    sde: GaussianSDE, into: Callable, back: Callable, start: float, stop: float, steps: int
) -> Tensor:
    for name, t in {"start": start, "stop": stop}.items():
        if not 0 < t <= sde.T * (1 + 1e-6):
            raise ValueError(
                f"{name} = {t!r} is outside (0, {sde.T}]: at t = 0 there is no noise, and its ratio has "
                "no logarithm"
            )
    ends = into(sde.ratio(torch.tensor([start, stop], dtype=torch.float64)))
    times = sde.time(back(uniform_times(float(ends[0]), float(ends[1]), steps)))
    times[0], times[-1] = start, stop  # to the last bit
    return times
