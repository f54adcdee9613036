"""Solvers: the one time loop, the steps that go into it, and the grids it runs on.

A step is a function  step(sde, x, t, dt, dw) → x at t + dt.  Time may run either way: for dt < 0
the increment dw has variance |dt|, and nothing else changes. A step that needs the time integral of
the path too (`sra`) says  step.needs_area = True  and gets it as a sixth argument.

    on paths, as |dt| → 0: an error like |dt|^order      general noise     g(t), additive
    cost in f euler_maruyama                                       1/2               1
    1 milstein, platen                                     1                 1 (the same)       1
    heun                                                 1, Stratonovich   1 (weak 2)         2
    heun_ito                                             1                 1 (weak 2)         2
    sra                                                  –                 3/2                2

Steps that use more of a reverse SDE than its drift and diffusion are in `predictor_corrector`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .brownian import Noise
from .checks import finite, floats, like
from .reversal import Reverse, Score
from .sdes import SDE, GaussianSDE

Step = Callable[..., Tensor]
"""step(sde, x, t, dt, dw) → x at t + dt; with the area as a sixth argument where step.needs_area is
True."""


def euler_maruyama(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f(x, t) dt + g(x, t) dw.  One evaluation of f.

    Strong order 1/2, weak order 1; strong order 1 where g does not depend on x.
    Maruyama 1955; Kloeden & Platen 1992, section 10.2.
    """
    return x + sde.drift(x, t) * dt + sde.diffusion(x, t) * dw


def platen(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f dt + g dw + ½ [g(x + g√|dt|) − g(x)] (dw² − |dt|)/√|dt|.
    One evaluation of f, two of g.

    Milstein's method without the derivative of g: the "order-1 Runge–Kutta" of the source. Strong
    order 1. Where g does not depend on x the bracket is exactly zero, and what is left is
    `euler_maruyama` to the last bit.  Kloeden & Platen 1992, section 11.1, here without the drift
    in the supporting value, as the source has it, and with |dt| for backward time.
    """
    g = sde.diffusion(x, t)
    root = dt.abs().sqrt()
    bracket = sde.diffusion(x + g * root, t) - g
    return x + sde.drift(x, t) * dt + g * dw + bracket * ((dw**2 - dt.abs()) / (2 * root))


def heun(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x̂ = x + f dt + g dw;  x + ½ [f(x, t) + f(x̂, t+dt)] dt + ½ [g(x, t) + g(x̂, t+dt)] dw.
    Two evaluations of f.

    With g = 0 it is the ODE method of order 2. With noise that depends on x it converges to the
    Stratonovich solution, not to Itô's; where g does not depend on x the two agree.
    Rümelin 1982; Kloeden & Platen 1992, section 15.1.
    """
    f, g = sde.drift(x, t), sde.diffusion(x, t)
    ahead = x + f * dt + g * dw
    return x + (f + sde.drift(ahead, t + dt)) / 2 * dt + (g + sde.diffusion(ahead, t + dt)) / 2 * dw


def milstein(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f dt + g dw + ½ g ∂g/∂x (dw² − |dt|), with the derivative by automatic differentiation.

    Strong order 1 where each coordinate's noise depends on no other coordinate. One evaluation of
    f.
    Milstein 1975; Kloeden & Platen 1992, section 10.3.
    """
    g, slope = _slope(sde, x, t)
    return x + sde.drift(x, t) * dt + g * dw + slope / 2 * (dw**2 - dt.abs())


def heun_ito(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """`heun` with the drift f − ½ g ∂g/∂x (+ for dt < 0), whose Stratonovich solution is Itô's
    solution for f.

    Two evaluations of f. Where g does not depend on x it is `heun`.
    Kloeden & Platen 1992, section 4.9.
    """
    return heun(_Stratonovich(sde, dt.sign()), x, t, dt, dw)


def sra(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor, area: Tensor) -> Tensor:
    """H = x + ¾ f(x, t) dt + 3/2 g(t+¼dt) J;  x + [⅓ f(x, t) + ⅔ f(H, t+¾dt)] dt + g(t+dt) dw +
    [g(t) − g(t+dt)] J,

    with J = area/dt, the mean of W − W(t) over the step. For noise g(t) that does not depend on x.
    Strong order 3/2, and weak order 2; two evaluations of f.
    Rößler 2010 (SIAM J. Numer. Anal. 48), SRA1, except that his H has g(t+dt). H stands for ∫∫ g dW
    ds = ∫ g(s) (t+dt−s) dW(s). One value of g does that best at the mean of s under the weight
    (t+dt−s)², which is t + ¼dt. The order is the same; on steep g a coarse grid gains.
    """
    J = area / dt
    f, g, g_next = sde.drift(x, t), sde.diffusion(x, t), sde.diffusion(x, t + dt)
    H = x + 0.75 * f * dt + 1.5 * sde.diffusion(x, t + 0.25 * dt) * J
    return x + (f + 2 * sde.drift(H, t + 0.75 * dt)) / 3 * dt + g_next * dw + (g - g_next) * J


sra.needs_area = True


@dataclass(frozen=True)
class _Stratonovich(SDE):
    """The drift f ∓ ½ g ∂g/∂x in whose Stratonovich solution Itô's solution of `sde` is."""

    sde: SDE
    sign: Tensor

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        return self.sde.drift(x, t) - self.sign / 2 * _slope(self.sde, x, t)[1]

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        return self.sde.diffusion(x, t)


def _slope(sde: SDE, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """(g, g ∂g/∂x), each coordinate by itself, both shaped like x."""
    with torch.enable_grad():
        y = x if x.requires_grad else x.detach().requires_grad_()
        g = sde.diffusion(y, t).expand_as(y)
        slope = (
            torch.autograd.grad(g.sum(), y, create_graph=x.requires_grad, allow_unused=True)[0]
            if g.requires_grad
            else None
        )
        product = torch.zeros_like(x) if slope is None else g * slope
    return (g, product) if x.requires_grad else (g.detach(), product.detach())


def integrate(
    sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise
) -> Iterator[Tensor]:
    """Yield x at times[1], times[2], …: the only loop over time in sdelib.

    times: shape (n,), strictly monotone; a descending grid runs backwards.  The step sees t and dt
    as scalar tensors of the dtype and device of x.
    Raises ValueError for a grid that is not strictly monotone, or that ascends under Reverse with
    eta > 0; for noise of the wrong shape; and at the step after which x is no longer finite.
    """
    floats(x)
    times = torch.as_tensor(times)
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(
            f"times has shape {tuple(times.shape)}: give at least two times in one axis"
        )
    gaps = times.diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()):
        bad = int((~(gaps * gaps[0] > 0)).nonzero()[0])
        raise ValueError(
            f"times is not strictly monotone: times[{bad}] = {float(times[bad]):g} is followed by "
            f"times[{bad + 1}] = {float(times[bad + 1]):g}"
        )
    finite("times", times)
    _runs_back(sde, float(times[0]), float(times[-1]))
    if getattr(step, "needs_area", False) and not hasattr(noise, "area"):
        raise ValueError(
            f"noise = {noise!r} has no area(t, t_next), which this step needs: give WhiteNoise or BrownianPath"
        )
    return _integrate(sde, x, times, step, noise)


def _runs_back(sde: SDE, start: float, stop: float) -> None:
    if isinstance(sde, Reverse) and sde.eta > 0 and start < stop:
        raise ValueError(
            f"times ascends from {start:g} to {stop:g}, but Reverse with "
            f"eta = {sde.eta:g} is solved backwards: give a descending grid, or eta = 0"
        )


def _integrate(sde: SDE, x: Tensor, times: Tensor, step: Step, noise: Noise) -> Iterator[Tensor]:
    grid = times.to(x)
    gaps = times.diff().to(x)
    if bool((finite("times", grid).diff() == 0).any() | (gaps == 0).any()):
        raise ValueError(
            f"times has two neighbours that are one number in {x.dtype}: give a coarser grid, or x in float64"
        )
    for i in range(len(gaps)):
        dw = noise(times[i], times[i + 1])
        more = (noise.area(times[i], times[i + 1]),) if getattr(step, "needs_area", False) else ()
        if dw.shape != x.shape:
            raise ValueError(
                f"noise has shape {tuple(dw.shape)} at t = {float(times[i]):g}, but x has {tuple(x.shape)}"
            )
        x = step(sde, x, grid[i], gaps[i], dw, *more)
        _finite(x, times[i], times[i + 1])
        yield x


def _finite(x: Tensor, t: Tensor, t_next: Tensor) -> None:
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"x is not finite after the step from t = {float(t):g} to {float(t_next):g}: "
            "take smaller steps there, or check the drift"
        )


def solve(
    sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise
) -> Tensor:
    """The last state of `integrate`, shaped like x, in constant memory."""
    for last in integrate(sde, x, times, step, noise=noise):
        pass
    return last


def trajectory(
    sde: SDE, x: Tensor, times: Tensor, step: Step = euler_maruyama, *, noise: Noise
) -> Tensor:
    """All states of `integrate`, the start included: shape (len(times), *x.shape)."""
    return torch.stack([x, *integrate(sde, x, times, step, noise=noise)])


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
    *same*
    path, so a large increment cannot be thrown away: give a BrownianPath([start, stop]), which
    refines itself. Forgetting the refused increments, as WhiteNoise does, would bias the law.
    For noise g(t); each try costs one or two evaluations of f.
    first: the first |dt| as a share of |stop − start|.
    Raises ValueError for tolerances that are not above 0, and when a step shorter than 1e-5·|stop −
    start| would be needed.   After Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080), with a
    common step.
    """
    for name, value in {"rtol": rtol, "atol": atol, "first": first}.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value!r}: give a finite number above 0")
    if start == stop:
        raise ValueError(f"start = stop = {start}: there is nothing to solve")
    finite("start, stop", torch.tensor([start, stop, stop - start], dtype=torch.float64))
    floats(x)
    _runs_back(sde, start, stop)
    return _adaptive(sde, x, start, stop, noise, rtol, atol, first * (stop - start))


def _adaptive(sde, x, start, stop, noise, rtol, atol, dt):
    t, end = (torch.tensor(a, dtype=torch.float64) for a in (start, stop))
    f = None
    while t != end:
        if abs(dt) < 1e-5 * abs(stop - start):
            raise ValueError(
                f"at t = {float(t):g} a step below {1e-5 * abs(stop - start):g} would be needed: raise rtol "
                f"(= {rtol:g}) or atol (= {atol:g}), or stop earlier"
            )
        near = abs(float(end - t)) <= 1.0001 * abs(dt)
        t_next = end if near else t + dt
        h, now, then, dw = (t_next - t).to(x), t.to(x), t_next.to(x), noise(t, t_next)
        f, g = sde.drift(x, now) if f is None else f, sde.diffusion(x, now)
        low = x + f * h + g * dw
        high = low + (sde.drift(low, then) - f) / 2 * h + (sde.diffusion(low, then) - g) / 2 * dw
        _finite(high, t, t_next)
        error = float(
            ((high - low) / (atol + rtol * torch.maximum(x.abs(), low.abs())))
            .square()
            .mean()
            .sqrt()
        )
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


def denoise(sde: GaussianSDE, score: Score, x: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t = x] = (x + std² score(x, t))/scale: the noiseless last step (Robbins 1956; Efron
    2011)."""
    scale, std = (like(a, x) for a in sde.marginal(torch.as_tensor(t).to(floats(x))))
    return finite("the denoised x", (x + std**2 * score(x, t)) / scale)
