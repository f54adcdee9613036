"""The log-density of a model at given data, by the change of variables along its flow.

Along a solution of the probability flow the log-density changes by the divergence of the field
(Chen et al. 2018, theorem 1; Song et al. 2021, eq. 39):

    log p_s(x_s) = log p_T(x_T) + ∫ₛᵀ ∇·[f − ½ g² s](x_t, t) dt.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import a_generator, floats, number, whole
from .probability_flow import solve_rk45
from .reversal import Reverse, Score
from .score_matching import divergence, slope_along
from .sdes import GaussianSDE

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
        whole(k=k)
        shape, g = (k, *floats(x, axes=2).shape), a_generator(generator)
        if gaussian:
            u = torch.randn(shape, generator=g, device=g.device, dtype=x.dtype)
        else:
            u = 2 * torch.randint(0, 2, shape, generator=g, device=g.device) - 1
        self.probes, self.u = k, u.to(x)

    def __call__(self, field: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        return slope_along(field, x, self.u)


def prior_log_prob(sde: GaussianSDE) -> Callable[[Tensor], Tensor]:
    """log π(x) = −‖x‖²/(2 prior_std²) − (d/2) ln(2π prior_std²) for x of shape (batch, …); shape
    (batch,)."""

    def log_prob(x: Tensor) -> Tensor:
        x = floats(x, axes=2).flatten(1)
        constant = x.shape[1] * (math.log(sde.prior_std) + math.log(2 * math.pi) / 2)
        return -(x / sde.prior_std).square().sum(1) / 2 - constant

    return log_prob


@dataclass(frozen=True)
class Likelihood:
    """log_p: (batch,) in nats, and std_error: (batch,), of the trace estimator; nan for one probe,
    0 for the exact trace. Both are in float64, on the CPU.
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
    rtol, atol: as in `probability_flow.flow`, over x and the integral together.
    Raises ValueError as `flow`.   Song et al. 2021, eq. 39 and section 4.3.
    """
    ode, probes = Reverse(sde, score, eta=0.0), getattr(trace, "probes", 0)
    zero = torch.zeros(max(1, probes), len(floats(x, axes=2)), dtype=torch.float64)

    def slope(t: float, x: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        return trace(lambda y: ode.drift(y, number(t, y)), x)

    (code, gain), nfe = solve_rk45(slope, [x, zero], t_min, sde.T, rtol, atol)
    log_p = terminal(code).cpu().double() + gain.mean(0)
    if probes == 0:
        return Likelihood(log_p, torch.zeros_like(log_p), code, nfe)
    error = gain.std(0) / math.sqrt(probes) if probes > 1 else torch.full_like(log_p, math.nan)
    return Likelihood(log_p, error, code, nfe)
