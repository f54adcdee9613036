"""The probability flow ODE: samples without noise, and a code x_T for each x of the data.

    dx = [f(x, t) − ½ g(t)² s(x, t)] dt        is `Reverse(sde, score, eta=0)`,

with the marginals of the SDE when s is its score (Song et al. 2021, eq. 13). It runs both ways.
What the density does along it is in `likelihood`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from scipy.integrate import RK45, solve_ivp
from torch import Tensor

from .checks import finite, floats, number, positive, require, same_shape
from .grids import two_times
from .reversal import Reverse, Score
from .sdes import SDE, GaussianSDE
from .stepping import one_step


@torch.no_grad()
def flow(
    sde: GaussianSDE,
    score: Score,
    x: Tensor,
    start: float,
    stop: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> tuple[Tensor, int]:
    """(x at stop, NFE): the probability flow from x at `start`, by scipy's adaptive Runge–Kutta
    method of order 5(4).

    One step length for the whole batch, with the local error rms[error/(atol + rtol·|x|)] ≤ 1 over
    all of its numbers.  The state is kept in float64; the score sees x in its own dtype and device.
    Raises ValueError where the score is not finite, and when no step is short enough.
    """
    ode = Reverse(sde, score, eta=0.0)
    slope = lambda t, x: [ode.drift(x, number(t, x))]
    (x,), nfe = solve_rk45(slope, [x], start, stop, rtol, atol)
    return x, nfe


def encode(
    sde: GaussianSDE, score: Score, x: Tensor, *, t_min: float = 1e-3, **tolerances: float
) -> Tensor:
    """The x_T at which the probability flow from x at t_min arrives: about N(0, prior_std² I) for x
    ~ p_0.  tolerances: rtol and atol of `flow`."""
    return flow(sde, score, x, t_min, sde.T, **tolerances)[0]


def decode(
    sde: GaussianSDE, score: Score, x: Tensor, *, t_min: float = 1e-3, **tolerances: float
) -> Tensor:
    """The x at t_min at which the probability flow from x_T arrives: `encode` undone."""
    return flow(sde, score, x, sde.T, t_min, **tolerances)[0]


def solve_rk45(
    slope: Callable[..., Sequence[Tensor]],
    parts: Sequence[Tensor],
    start: float,
    stop: float,
    rtol: float,
    atol: float,
) -> tuple[list[Tensor], int]:
    """(the parts at stop, calls of `slope`) for d(parts)/dt = slope(t, *parts), by scipy's RK45.

    The parts are one float64 vector for scipy; `slope` sees each with its own shape, dtype and
    device.  Raises ValueError as `flow`, and names the time where a slope is not finite.
    """
    positive(rtol=rtol, atol=atol), two_times(start, stop)

    def join(some: Sequence[Tensor]) -> Tensor:
        return torch.cat([a.cpu().double().flatten() for a in some])

    def split(y) -> list[Tensor]:
        each = torch.as_tensor(y).split([a.numel() for a in parts])
        return [b.reshape(a.shape).to(a) for a, b in zip(parts, each)]

    def rhs(t: float, y):
        return finite(f"the slope (the score?) at t = {t:g}", join(slope(t, *split(y)))).numpy()

    y = join(parts)
    if len(y) == 0:
        return list(parts), 0
    found = solve_ivp(rhs, (start, stop), y, method="RK45", t_eval=[stop], rtol=rtol, atol=atol)
    cure = f"{found.message} Raise rtol or atol, or keep away from t = 0"
    require(found.success, "start, stop", (start, stop), cure)
    return split(found.y[:, -1]), found.nfev


def interpolate(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """[sin((1−w)θ) a + sin(wθ) b]/sin θ,  cos θ = aᵀb/(‖a‖‖b‖): codes between two codes.

    The great circle keeps a norm that a and b share, where a straight line would pass through codes
    that are shorter than draws of the prior.  a, b: one code each, of one shape.
    weights: (n,), from 0 to 1; the result has the shape (n, *a.shape).   Shoemake 1985.
    Raises ValueError when a and b differ in shape or point in the same or in opposite directions.
    """
    w = finite("weights", torch.as_tensor(weights).to(floats(same_shape("b", b, a, "a"), "b")))
    cos = float((a * b).sum() / (a.norm() * b.norm()))
    require(abs(cos) < 1 - 1e-9, "cos(a, b)", cos, "they span no circle; choose two others")
    w, angle = w.reshape(-1, *[1] * a.ndim), math.acos(cos)
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / math.sin(angle)


@one_step(evaluations=6, order=5.0, kind="additive", silent=True)
def rk45(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + dt Σ_i b_i k_i,  k_i = f(x + dt Σ_j a_ij k_j, t + c_i dt): Dormand–Prince, order 5.

    For an equation without noise. Six evaluations of f.  The coefficients are scipy's.
    Raises ValueError where the diffusion is not 0.   Dormand & Prince 1980.
    """
    g = sde.diffusion(x, t)
    require(not g.any(), "diffusion", g, "rk45 solves ODEs, such as Reverse(sde, score, eta=0)")
    k = []
    for a, c in zip(RK45.A, RK45.C):
        k.append(sde.drift(x + dt * sum(float(w) * v for w, v in zip(a, k)), t + float(c) * dt))
    return x + dt * sum(float(b) * v for b, v in zip(RK45.B, k))
