"""The one loop over time.

    x at times[0], times[1], …  by a step, along one Brownian path, in either direction of time.

Times are kept in float64 on the CPU, whatever x is, so a fine grid stays fine and no step has to
ask a GPU what time it is. A step looks at the numbers of x once, to see that they are finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from .brownian import Noise, NoiseWithArea
from .checks import at_once, floats, monotone, positive, require, same_shape
from .grids import two_times
from .reversal import Score
from .sdes import SDE
from .solvers import euler_maruyama
from .stepping import Step, as_step

AnyStep = Step | Callable[..., Tensor]
"""A Step, or a plain formula (sde, x, t, dt, dw) → x at t + dt."""


def fits(
    sde: SDE, x: Tensor, times: Tensor, step: AnyStep = euler_maruyama, *, noise: Noise
) -> None:
    """Raise ValueError for arguments with which `integrate` cannot begin."""
    times, step = monotone(torch.as_tensor(times).to("cpu", torch.float64)), as_step(step)
    sde.direction(float(times[0]), float(times[-1]))
    kind, order = sde.kind_of_noise(floats(x), times[0]), ("none", "additive", "own", "cross")
    cure = f"its noise is of the kind {kind!r}, and this step is right up to {step.kind!r}"
    require(order.index(kind) <= order.index(step.kind), "sde", sde, cure)
    cure = "this step needs noise.with_area(t, t_next): give WhiteNoise or BrownianPath"
    require(not step.needs_area or isinstance(noise, NoiseWithArea), "noise", noise, cure)


@at_once(fits)
def integrate(
    sde: SDE, x: Tensor, times: Tensor, step: AnyStep = euler_maruyama, *, noise: Noise
) -> Iterator[Tensor]:
    """Yield x at times[1], times[2], …: the only loop over time in sdelib.

    times: shape (n,), strictly monotone; a descending grid runs backwards.  noise: drawn only where
    equation and step use it.  The step sees t and dt as float64 scalars on the CPU.
    Raises ValueError for a grid that is not strictly monotone, or runs the wrong way for this
    equation; for noise of the wrong shape or of a kind that the step is not made for; and at the
    step after which x is no longer finite.
    """
    step, clock = as_step(step), torch.as_tensor(times).to("cpu", torch.float64)
    memory = step.start()
    for t, t_next in pairwise(clock if x.ndim else clock.to(x)):
        dw = _increments(sde, x, t, t_next, step, noise)
        before, (x, memory) = x, step.advance(memory, sde, x, t, t_next - t, *dw)
        if not math.isfinite(x.sum()):
            _not_finite(sde, before, x, t, t_next)
        yield x


def solve(
    sde: SDE, x: Tensor, times: Tensor, step: AnyStep = euler_maruyama, *, noise: Noise
) -> Tensor:
    """The last state of `integrate`, shaped like x, in constant memory."""
    for x in integrate(sde, x, times, step, noise=noise):
        pass
    return x


def trajectory(
    sde: SDE, x: Tensor, times: Tensor, step: AnyStep = euler_maruyama, *, noise: Noise
) -> Tensor:
    """All states of `integrate`, the start included: shape (len(times), *x.shape)."""
    return torch.stack([x, *integrate(sde, x, times, step, noise=noise)])


def _increments(
    sde: SDE, x: Tensor, t: Tensor, t_next: Tensor, step: Step, noise: Noise
) -> tuple[Tensor, ...]:
    """(dw,), or (dw, area) for a step that needs it; zeros without a draw where none is used."""
    if not step.needs_noise(sde):
        return (torch.zeros((), dtype=x.dtype),) * (2 if step.needs_area else 1)
    if step.needs_area and isinstance(noise, NoiseWithArea):
        return noise.with_area(t, t_next)
    return (same_shape(f"noise at t = {float(t):g}", noise(t, t_next), x),)


def _not_finite(sde: SDE, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> None:
    """Raise ValueError where x is not finite (its sum alone may overflow), and say why."""
    if bool(x.isfinite().all()):
        return
    why = (
        sde.blame(before, t)
        or sde.blame(before, t_next)
        or "take smaller steps there, or check the drift"
    )
    raise ValueError(
        f"x is not finite after the step from t = {float(t):g} to {float(t_next):g}: {why}"
    )


def _adaptive_fits(
    sde: SDE,
    x: Tensor,
    start: float,
    stop: float,
    *,
    noise: Noise,
    rtol: float = 0.01,
    atol: float = 0.01,
    first: float = 0.01,
) -> None:
    positive(rtol=rtol, atol=atol, first=first)
    sde.direction(*two_times(start, stop))
    require(
        sde.kind_of_noise(floats(x), torch.tensor(start)) in ("none", "additive"),
        "sde",
        sde,
        "give noise g(t)",
    )


@at_once(_adaptive_fits)
def adaptive(
    sde: SDE,
    x: Tensor,
    start: float,
    stop: float,
    *,
    noise: Noise,
    rtol: float = 0.01,
    atol: float = 0.01,
    first: float = 0.01,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (t, x) after each accepted step of `heun` whose length keeps its distance from
    `euler_maruyama` in bounds:

        error = rms[(x_heun − x_em)/(atol + rtol·max(|x|, |x_em|))] ≤ 1,
        |dt| ← |dt|·min(5, max(⅕, 0.9 error^(−2/3))).

    One step length for the whole batch. A step that is refused is tried again, shorter, on the
    *same* path, so a large increment cannot be thrown away: give a BrownianPath([start, stop]),
    which refines itself. Forgetting the refused increments, as WhiteNoise does, would bias the law.
    For noise g(t); each try costs one or two evaluations of f.  first: the first |dt| as a share of
    |stop − start|.  Raises ValueError for tolerances that are not above 0, and when a step shorter
    than 1e-5·|stop − start| would be needed.
    After Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080), with a common step.
    """
    t, end = (torch.tensor(a, dtype=torch.float64) for a in (start, stop))
    f, dt, shortest = None, first * (stop - start), 1e-5 * abs(stop - start)
    while t != end:
        cure = (
            f"a step below {shortest:g} would be needed: raise rtol ({rtol:g}) or atol ({atol:g})"
        )
        require(abs(dt) >= shortest, "t", float(t), cure)
        t_next = end if abs(end - t) <= 1.0001 * abs(dt) else t + dt
        h, dw = t_next - t, noise(t, t_next)
        f, g = sde.drift(x, t) if f is None else f, sde.diffusion(x, t)
        low = x + f * h + g * dw
        high = (
            low + (sde.drift(low, t_next) - f) / 2 * h + (sde.diffusion(low, t_next) - g) / 2 * dw
        )
        _not_finite(sde, x, high, t, t_next)
        unit = atol + rtol * torch.maximum(x.abs(), low.abs())
        error = float(((high - low) / unit).square().mean().sqrt())
        if error <= 1:
            t, x, f = t_next, high, None
            yield t, x
        dt = float(h) * min(5.0, max(0.2, 0.9 * max(error, 1e-12) ** (-2 / 3)))


class Counted:
    """A score that counts its network evaluations (NFE) in `calls`."""

    def __init__(self, score: Score):
        self.score, self.calls = score, 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self.score(x, t)
