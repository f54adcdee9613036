"""Inverse problems without retraining: y = A x₀ + σ_y n is seen, x₀ is asked for, and the score is
that of p(x₀) alone.

Bayes' rule at every noise level,

    ∇ₓ log p_t(x | y) = s(x, t) + ∇ₓ log p_t(y | x),
    p_t(y | x) = ∫ N(y; A x₀, σ_y² I) p(x₀ | x_t = x) dx₀,

needs an average over all clean images that x may have come from. It is approximated here by a
Gaussian,

    p(x₀ | x_t) ≈ N(D, C)   ⇒   ∇ₓ log p_t(y | x) ≈ ∇Dᵀ Aᵀ (σ_y² I + A C Aᵀ)⁻¹ (y − A D),

where D = E[x₀ | x_t] is the denoiser, ∇D its Jacobian ∂D/∂x, and C is a choice: `no_covariance`,
`isotropic` or `tweedie`. For a Gaussian prior the last is exact. Rules of another kind correct the
state after each step: `book.state_rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import floats, glance, like, positive, require, same_shape, whole
from .reversal import PricedScore, Score, evaluations_of
from .sdes import GaussianSDE


class Operator(ABC):
    """A linear map x → A x and its adjoint y → Aᵀ y:  ⟨A x, y⟩ = ⟨x, Aᵀ y⟩, each of the batch."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A x, shape (batch, …)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y, shaped like x."""


Covariance = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]
"""covariance(scale, std, backward) → w ↦ C w, where backward(w) = ∇Dᵀ w."""


def no_covariance(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
    """C = 0: D is taken for the truth, as in DPS (Chung et al. 2023, arXiv:2209.14687, eq. 11)."""
    return torch.zeros_like


def isotropic(data_std: float = 1.0) -> Covariance:
    """C = σ_d² σ²/(σ_d² + σ²) I with σ = std/scale: right for a prior N(m, σ_d² I).
    Raises ValueError for data_std not above 0.   ΠGDM (Song, Vahdat et al. 2023), with σ_d = 1."""
    positive(data_std=data_std)

    def covariance(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
        var = (std / scale) ** 2
        return lambda w: data_std**2 * var / (data_std**2 + var) * w

    return covariance


def tweedie(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
    """C = (std²/scale) ∇D, which *is* Cov[x₀ | x_t] for the true score (Efron 2011; used by MMPS,
    Rozet et al. 2024, arXiv:2405.13712). There ∇D is symmetric, so a backward pass gives C w."""
    return lambda w: std**2 / scale * backward(w)


def posterior_score(
    score: Score,
    sde: GaussianSDE,
    operator: Operator,
    y: Tensor,
    sigma_y: float,
    covariance: Covariance = tweedie,
    *,
    iterations: int = 5,
) -> Score:
    """s(x, t) + ∇Dᵀ Aᵀ ω  with  (σ_y² I + A C Aᵀ) ω = y − A D  and  D = (x + std² s)/scale.

    y: one observation for all x, shape (1, …), or one for each.
    covariance: C, see above; in its gradient C counts as constant.
    iterations: of the conjugate gradients that find ω; with `no_covariance` and wherever A Aᵀ and C
    are multiples of I one is exact.
    A score costs one evaluation of s, and backward passes: 1 for no_covariance and isotropic, 1 +
    iterations for tweedie.
    Raises ValueError unless sigma_y > 0, iterations is a whole number above 0, and y fits A x.
    """
    positive(sigma_y=sigma_y)
    whole(iterations=iterations)

    def guided(x: Tensor, t: Tensor) -> Tensor:
        scale, std = (like(a, x) for a in sde.marginal(torch.as_tensor(t).to(floats(x, axes=2))))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            s = score(x, t)
            D = (x + std**2 * same_shape("score(x, t)", s, x)) / scale
        backward = lambda w: torch.autograd.grad(D, x, w, retain_graph=True)[0]
        seen, C = operator(D.detach()), covariance(scale, std, backward)
        M = lambda w: sigma_y**2 * w + operator(C(operator.adjoint(w)))
        omega = conjugate_gradients(M, measured(y, seen) - seen, iterations)
        return s.detach() + backward(operator.adjoint(omega))

    return PricedScore(guided, evaluations_of(score))


def measured(y: Tensor, seen: Tensor) -> Tensor:
    """y in the type of A x: one for all x, shape (1, …), or one for each."""
    fits = y.ndim and y.shape[1:] == seen.shape[1:] and len(y) in (1, len(seen))
    cure = f"give one y for all, {(1, *seen.shape[1:])}, or one for each, {tuple(seen.shape)}"
    require(fits, "shape of y", tuple(y.shape), cure)
    return glance("y", y.to(seen))


def conjugate_gradients(M: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """ω with M ω ≈ b, for each of the batch on its own; M symmetric and positive definite.
    Hestenes & Stiefel 1952."""
    dot = lambda a, c: like((a * c).flatten(1).sum(1), a)
    omega, rest, floor = torch.zeros_like(b), b, torch.finfo(b.dtype).tiny
    p, square = rest, dot(rest, rest)
    for _ in range(iterations):
        q = M(p)
        curvature = dot(p, q)  # a learned ∇D may not be positive: stop there
        step = torch.where(curvature > floor, square / curvature.clamp(min=floor), 0.0)
        omega, rest = omega + step * p, rest - step * q
        before, square = square, dot(rest, rest)
        p = rest + square / before.clamp(min=floor) * p
    return omega
