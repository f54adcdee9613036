"""The probability flow ODE: samples without noise, codes for data, and their likelihood.

    dx = [f(x, t) − ½ g(t)² s(x, t)] dt        is `Reverse(sde, score, eta=0)`,

with the marginals of the SDE when s is its score (Song et al. 2021, eq. 13). It runs both ways.
Along a solution the log-density changes by the divergence of the field, the instantaneous change of
variables (Chen et al. 2018, theorem 1; Song et al. 2021, eq. 39):

    log p_s(x_s) = log p_T(x_T) + ∫ₛᵀ ∇·[f − ½ g² s](x_t, t) dt.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import RK45, solve_ivp
from torch import Tensor

from .checks import finite, floats
from .reversal import Reverse, Score
from .score_matching import divergence, slope_along
from .sdes import SDE, GaussianSDE


def rk45(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + dt Σ_i b_i k_i,  k_i = f(x + dt Σ_j a_ij k_j, t + c_i dt): Dormand and Prince's
    fifth-order step.

    For an equation without noise. Six evaluations of f.  The coefficients are scipy's.
    Raises ValueError where the diffusion is not 0.   Dormand & Prince 1980.
    """
    if bool((sde.diffusion(x, t) != 0).any()):
        raise ValueError(
            f"sde has noise at t = {float(t):g}: rk45 solves ODEs, such as Reverse(..., eta=0)"
        )
    k = []
    for a, c in zip(RK45.A, RK45.C):
        k.append(sde.drift(x + dt * sum(float(w) * v for w, v in zip(a, k)), t + float(c) * dt))
    return x + dt * sum(float(b) * v for b, v in zip(RK45.B, k))


def _adaptive(
    f: Callable, y: np.ndarray, start: float, stop: float, rtol: float, atol: float
) -> tuple[np.ndarray, int]:
    """scipy's adaptive RK45 for y' = f(t, y): (the last y, calls of f)."""
    for name, value in {"rtol": rtol, "atol": atol}.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value!r}: give a finite number above 0")
    if start == stop:
        raise ValueError(f"start = stop = {start}: there is nothing to solve")
    finite("start, stop", torch.tensor([start, stop, stop - start], dtype=torch.float64))
    if len(y) == 0:
        return y, 0
    solution = solve_ivp(f, (start, stop), y, method="RK45", t_eval=[stop], rtol=rtol, atol=atol)
    if not solution.success:
        raise ValueError(
            f"the flow could not be solved from t = {start:g} to {stop:g}: {solution.message} "
            "Raise rtol or atol, or keep away from t = 0"
        )
    return solution.y[:, -1], solution.nfev


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
    Raises ValueError for tolerances that are not above 0, and when no step is short enough.
    """
    ode = Reverse(sde, score, eta=0.0)
    floats(x)

    def f(t, y):
        state = torch.as_tensor(y).reshape(x.shape).to(x)
        return ode.drift(state, torch.tensor(t).to(x)).double().cpu().numpy().ravel()

    y, nfe = _adaptive(f, x.double().cpu().numpy().ravel(), start, stop, rtol, atol)
    return torch.as_tensor(y).reshape(x.shape).to(x), nfe


def encode(
    sde: GaussianSDE,
    score: Score,
    x: Tensor,
    *,
    t_min: float = 1e-3,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """The x_T at which the probability flow from x at t_min arrives: about N(0, prior_std² I) for x
    ~ p_0."""
    return flow(sde, score, x, t_min, sde.T, rtol=rtol, atol=atol)[0]


def decode(
    sde: GaussianSDE,
    score: Score,
    x: Tensor,
    *,
    t_min: float = 1e-3,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """The x at t_min at which the probability flow from x_T arrives: the inverse of `encode`."""
    return flow(sde, score, x, sde.T, t_min, rtol=rtol, atol=atol)[0]


def interpolate(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """[sin((1−w)θ) a + sin(wθ) b]/sin θ,  cos θ = aᵀb/(‖a‖‖b‖): codes between two codes, shape
    (len(weights), *a.shape).

    The great circle keeps the norm, where a straight line would pass through codes that are too
    short to be drawn from the prior.  a, b: one code each, of one shape.
    weights: (n,), in [0, 1].   Shoemake 1985.
    Raises ValueError when a and b differ in shape or point in the same or in opposite directions.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"a has shape {tuple(a.shape)} but b has {tuple(b.shape)}: give two codes of one shape"
        )
    floats(a, "a"), floats(b, "b")
    cos = float((a * b).sum() / (a.norm() * b.norm()))
    if not abs(cos) < 1 - 1e-9:
        raise ValueError(f"a and b have the cosine {cos:g}: they span no circle; choose two others")
    angle = math.acos(cos)
    w = finite("weights", torch.as_tensor(weights).to(a)).reshape(-1, *[1] * a.ndim)
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / math.sin(angle)


# ---------------------------------------------------------------- likelihood

Trace = Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor]]
"""trace(field, x) → (field(x), k values of its divergence, shape (k, batch)); a random one says how
many in `probes`."""


def exact_trace(field: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """(v, ∇·v) with the exact divergence, shape (1, batch): one backward pass for each
    coordinate."""
    v, trace = divergence(field, x)
    return v, trace[None]


class Hutchinson:
    """(v, uᵀ∇v u) for k fixed probes u, shape (k, batch): E[uᵀ∇v u] = ∇·v when E[u uᵀ] = I.

    x: the batch whose likelihood is asked; probes shaped like it are drawn once, so the ODE that
    the solver sees is smooth. k probes cost k backward passes and give a standard error.
    gaussian: u ~ N(0, I) in place of random signs. For a symmetric ∇v the variance is then 2 ‖∇v‖²
    (Frobenius), its diagonal included, which signs leave out.
    Raises ValueError for k that is not a whole number above 0.
    Hutchinson 1990; Grathwohl et al. 2019.
    """

    def __init__(
        self, x: Tensor, k: int = 1, *, gaussian: bool = False, generator: torch.Generator
    ):
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"k = {k!r}: give a whole number above 0")
        floats(x, axes=2)
        self.probes = k
        if gaussian:
            u = torch.randn(
                (k, *x.shape), generator=generator, device=generator.device, dtype=x.dtype
            )
        else:
            u = (
                2 * torch.randint(0, 2, (k, *x.shape), generator=generator, device=generator.device)
                - 1
            )
        self.u = u.to(x)

    def __call__(self, field: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        return slope_along(field, x, self.u)


def prior_log_prob(sde: GaussianSDE) -> Callable[[Tensor], Tensor]:
    """log π(x) = −‖x‖²/(2 prior_std²) − (d/2) ln(2π prior_std²) for x of shape (batch, …); shape
    (batch,)."""

    def log_prob(x: Tensor) -> Tensor:
        x = floats(x, axes=2).flatten(1)
        return -(x / sde.prior_std).square().sum(1) / 2 - x.shape[1] * (
            math.log(sde.prior_std) + math.log(2 * math.pi) / 2
        )

    return log_prob


@dataclass(frozen=True)
class Likelihood:
    """log_p: (batch,) in nats.  std_error: (batch,), of the trace estimator; nan for one probe, 0
    for the exact trace.
    code: x_T.  nfe: evaluations of the score, each with the trace's backward passes."""

    log_p: Tensor
    std_error: Tensor
    code: Tensor
    nfe: int


@torch.no_grad()
def log_likelihood(
    sde: GaussianSDE,
    score: Score,
    x: Tensor,
    *,
    t_min: float,
    trace: Trace,
    terminal: Callable[[Tensor], Tensor],
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Likelihood:
    """log p(x) = terminal(x_T) + ∫ ∇·[f − ½ g² s] dt from t_min to T, the model's density at t_min
    evaluated at x.

    x: (batch, …), taken as a draw of x at t_min. What is usually left unsaid is an argument here:
    t_min: where the density is that of; `trace`: `exact_trace` or a `Hutchinson`; terminal:
    log-density at T, `prior_log_prob(sde)` for a model, the exact log p_T where it is known.
    rtol, atol: as in `flow`.
    Raises ValueError as `flow`.   Song et al. 2021, eq. 39 and section 4.3.
    """
    ode, n, d = Reverse(sde, score, eta=0.0), len(floats(x, axes=2)), x.numel()

    def f(t, y):
        state = torch.as_tensor(y[:d]).reshape(x.shape).to(x)
        v, div = trace(lambda z: ode.drift(z, torch.tensor(t).to(x)), state)
        return np.concatenate(
            [v.double().cpu().numpy().ravel(), div.double().cpu().numpy().ravel()]
        )

    probes = getattr(trace, "probes", 0)
    k = max(1, probes)
    start = np.concatenate([x.double().cpu().numpy().ravel(), np.zeros(k * n)])
    y, nfe = _adaptive(f, start, t_min, sde.T, rtol, atol)
    code = torch.as_tensor(y[:d]).reshape(x.shape).to(x)
    gain = torch.as_tensor(y[d:]).reshape(k, n).to(x.device)
    log_p = terminal(code).double() + gain.mean(0)
    error = (
        torch.zeros_like(log_p)
        if probes == 0
        else gain.std(0) / math.sqrt(k)
        if k > 1
        else torch.full_like(log_p, math.nan)
    )
    return Likelihood(log_p, error, code, nfe)


def grey_levels(images: Tensor) -> Tensor:
    """k for images k/255 of 256 grey levels, shaped and typed like the images.

    Raises ValueError when the images are not multiples of 1/255 in [0, 1].
    """
    k = (floats(images, "images") * 255).round()
    if bool(((k / 255 - images).abs() > 1e-4).any() | (k < 0).any() | (k > 255).any()):
        raise ValueError(
            "images are not multiples of 1/255 in [0, 1]: dequantise the images as they are stored, once"
        )
    return k


def dequantise(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """(k + u)/256 with u ~ U(0, 1) for images k/255 of 256 grey levels: a density over [0, 1]^d
    bounds a probability.

    For any density q, E_u[log q((k + u)/256)] − d ln 256 ≤ log P(k), the probability that q gives
    to the little cube of k (Theis, van den Oord & Bethge 2016).
    Raises ValueError when the images are not multiples of 1/255 in [0, 1].
    """
    k = grey_levels(images)
    return (k + torch.rand(k.shape, generator=generator, device=generator.device).to(k)) / 256


def bits_per_dim(log_p: Tensor, d: int, *, width: float = 1 / 256) -> Tensor:
    """−log p/(d ln 2) − log₂ width: nats of a density over d coordinates into bits for each, for
    grey levels `width` apart.

    The uniform density on [0, 1]^d has log p = 0 and 8 bits.
    Raises ValueError for d or width not above 0.
    """
    if not 0 < d < math.inf or not 0 < width < math.inf:
        raise ValueError(f"d = {d!r}, width = {width!r}: give finite numbers above 0")
    return -log_p / (d * math.log(2)) - math.log2(width)
