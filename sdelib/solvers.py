"""Solvers: the one time loop, and the steps that go into it.

A step is a function  step(sde, x, t, dt, dw) → x at t + dt.  Time may run either way: for dt < 0
the increment dw has variance |dt|, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .brownian import Noise
from .sdes import SDE, GaussianSDE, Reverse, Score

__all__ = ["Step", "euler_maruyama", "platen", "heun", "integrate", "solve", "trajectory",
           "uniform_times", "denoise", "Counted"]

Step = Callable[[SDE, Tensor, Tensor, Tensor, Tensor], Tensor]


def euler_maruyama(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f(x, t) dt + g(x, t) dw.  One evaluation of f.

    Strong order 1/2, weak order 1; strong order 1 where g does not depend on x.
    Maruyama 1955; Kloeden & Platen 1992, section 10.2.
    """
    return x + sde.drift(x, t) * dt + sde.diffusion(x, t) * dw


def platen(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f dt + g dw + ½ [g(x + g√|dt|) − g(x)] (dw² − |dt|)/√|dt|.  One evaluation of f, two of g.

    Milstein's method without the derivative of g: the "order-1 Runge–Kutta" of the source. Strong
    order 1. Where g does not depend on x the bracket is exactly zero, and what is left is
    `euler_maruyama` to the last bit.  Kloeden & Platen 1992, section 11.1, here without the drift in the
    supporting value, as the source has it, and with |dt| for backward time.
    """
    g = sde.diffusion(x, t)
    root = dt.abs().sqrt()
    bracket = sde.diffusion(x + g * root, t) - g
    return x + sde.drift(x, t) * dt + g * dw + bracket * ((dw**2 - dt.abs()) / (2 * root))


def heun(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x̂ = x + f dt + g dw;  x + ½ [f(x, t) + f(x̂, t+dt)] dt + ½ [g(x, t) + g(x̂, t+dt)] dw.  Two evaluations of f.

    With g = 0 it is the ODE method of order 2. With noise that depends on x it converges to the
    Stratonovich solution, not to Itô's; where g does not depend on x the two agree.
    Rümelin 1982; Kloeden & Platen 1992, section 15.1.
    """
    f, g = sde.drift(x, t), sde.diffusion(x, t)
    ahead = x + f * dt + g * dw
    return x + (f + sde.drift(ahead, t + dt)) / 2 * dt + (g + sde.diffusion(ahead, t + dt)) / 2 * dw


def uniform_times(start: float, stop: float, steps: int) -> Tensor:
    """steps + 1 equally spaced times from start to stop, in float64.  start > stop runs backwards.

    Raises ValueError when steps is not a whole number above 0 or start equals stop.
    """
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps = {steps!r}: give a whole number above 0")
    if start == stop:
        raise ValueError(f"start = stop = {start}: the grid is empty")
    return torch.linspace(start, stop, steps + 1, dtype=torch.float64)


def integrate(sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise) -> Iterator[Tensor]:
    """Yield x at times[1], times[2], …: the only loop over time in sdelib.

    times: shape (n,), strictly monotone; a descending grid runs backwards.  The step sees t and dt
    as scalar tensors of the dtype and device of x.
    Raises ValueError for a grid that is not strictly monotone, or that ascends under Reverse with
    eta > 0; for noise of the wrong shape; and at the step after which x is no longer finite.
    """
    times = torch.as_tensor(times)
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(f"times has shape {tuple(times.shape)}: give at least two times in one axis")
    gaps = times.diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()):
        bad = int((~(gaps * gaps[0] > 0)).nonzero()[0])
        raise ValueError(f"times is not strictly monotone: times[{bad}] = {float(times[bad]):g} is followed by "
                         f"times[{bad + 1}] = {float(times[bad + 1]):g}")
    if isinstance(sde, Reverse) and sde.eta > 0 and bool(gaps[0] > 0):
        raise ValueError(f"times ascends from {float(times[0]):g} to {float(times[-1]):g}, but Reverse with "
                         f"eta = {sde.eta:g} is solved backwards: give a descending grid, or eta = 0")
    return _integrate(sde, x, times, step, noise)


def _integrate(sde: SDE, x: Tensor, times: Tensor, step: Step, noise: Noise) -> Iterator[Tensor]:
    grid = times.to(x)
    gaps = times.diff().to(x)
    for i in range(len(gaps)):
        dw = noise(times[i], times[i + 1])
        if dw.shape != x.shape:
            raise ValueError(f"noise has shape {tuple(dw.shape)} at t = {float(times[i]):g}, but x has {tuple(x.shape)}")
        x = step(sde, x, grid[i], gaps[i], dw)
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"x is not finite after the step from t = {float(times[i]):g} to {float(times[i + 1]):g}: "
                             "take smaller steps there, or check the drift")
        yield x


def solve(sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise) -> Tensor:
    """The last state of `integrate`, shaped like x, in constant memory."""
    for last in integrate(sde, x, times, step, noise=noise):
        pass
    return last


def trajectory(sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise) -> Tensor:
    """All states of `integrate`, the start included: shape (len(times), *x.shape)."""
    return torch.stack([x, *integrate(sde, x, times, step, noise=noise)])


class Counted:
    """A score that counts its network evaluations (NFE) in `calls`."""

    def __init__(self, score: Score):
        self.score, self.calls = score, 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self.score(x, t)


def denoise(sde: GaussianSDE, score: Score, x: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t = x] = (x + std² score(x, t))/scale: the noiseless last step (Robbins 1956; Efron 2011)."""
    scale, std = sde.marginal(torch.as_tensor(t).to(x))
    return (x + std**2 * score(x, t)) / scale
