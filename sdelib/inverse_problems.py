"""Inverse problems without retraining: y = A x₀ + σ_y n is seen, x₀ is asked for, and the score is
that of p(x₀) alone.

Bayes' rule at every noise level,

    ∇ₓ log p_t(x | y) = s(x, t) + ∇ₓ log p_t(y | x),
    p_t(y | x) = ∫ N(y; A x₀, σ_y² I) p(x₀ | x_t = x) dx₀,

needs an average over all clean images that x may have come from. It is approximated here by a
Gaussian,

    p(x₀ | x_t) ≈ N(D, C)   ⇒   ∇ₓ log p_t(y | x) ≈ Jᵀ Aᵀ (σ_y² I + A C Aᵀ)⁻¹ (y − A D),
    J = ∂D/∂x,

where D = E[x₀ | x_t] is the denoiser and C is a choice: `no_covariance`, `isotropic` or `tweedie`.
For a Gaussian prior the last is exact. `Replacement` and `DPS` are rules of another kind: they
correct the state after each step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .brownian import WhiteNoise
from .checks import finite, floats, like
from .reversal import Reverse, Score, denoise, forward_of, sound
from .sdes import GaussianSDE
from .stepping import Step

# ---------------------------------------------------------------- what is seen


class Operator(ABC):
    """A linear map x → A x and its adjoint y → Aᵀ y:
    ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for each of the batch."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A x, shape (batch, …)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ y, shaped like x."""


@dataclass(frozen=True)
class Matrix(Operator):
    """x → A x for points x of shape (batch, d);  A: (m, d)."""

    A: Tensor

    def __post_init__(self):
        if self.A.ndim != 2:
            raise ValueError(f"A has shape {tuple(self.A.shape)}: give a matrix (m, d)")
        finite("A", self.A)

    def __call__(self, x: Tensor) -> Tensor:
        if floats(x).ndim != 2 or x.shape[1] != self.A.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: this matrix takes (batch, {self.A.shape[1]})"
            )
        return x @ self.A.to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.A.to(y)


@dataclass(frozen=True)
class Mask(Operator):
    """x → the coordinates of x where `seen` is True, (batch, m): inpainting.
    seen: bool, shaped like one x.

    Raises ValueError for a mask that is not bool, sees nothing, or does not fit x.
    """

    seen: Tensor

    def __post_init__(self):
        if self.seen.dtype != torch.bool:
            raise ValueError(
                f"seen has type {self.seen.dtype}: give bool, True where a coordinate is seen"
            )
        if not bool(self.seen.any()):
            raise ValueError("seen is False everywhere: with nothing seen, draw from the prior")

    def __call__(self, x: Tensor) -> Tensor:
        if self.seen.ndim == 0 or x.shape[1:] != self.seen.shape:
            raise ValueError(
                f"seen has shape {tuple(self.seen.shape)}, but x has {tuple(x.shape)}: give a mask shaped like one x, {tuple(x.shape[1:])}"
            )
        return x[:, self.seen.to(x.device)]

    def adjoint(self, y: Tensor) -> Tensor:
        x = y.new_zeros(len(y), *self.seen.shape)
        x[:, self.seen.to(y.device)] = y
        return x


@dataclass(frozen=True)
class Pool(Operator):
    """x → means over k×k blocks, (batch, 1, H/k, W/k): super-resolution.
    k: a divisor of H and W."""

    k: int

    def __post_init__(self):
        if not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"k = {self.k!r}: give a whole number above 0")

    def __call__(self, x: Tensor) -> Tensor:
        if floats(x).ndim != 4 or x.shape[-1] % self.k or x.shape[-2] % self.k or 0 in x.shape[1:]:
            raise ValueError(
                f"k = {self.k} does not divide the size of x, {tuple(x.shape)}: give (batch, channels, H, W) with multiples of k"
            )
        return F.avg_pool2d(x, self.k)

    def adjoint(self, y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=float(self.k)) / self.k**2


@dataclass(frozen=True)
class Blur(Operator):
    """x → x * N(0, std² I), a Gaussian blur with zeros outside the image: deblurring.
    std: in pixels."""

    std: float

    def __post_init__(self):
        if not (math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"std = {self.std!r}: give a finite number of pixels above 0")

    def __call__(self, x: Tensor) -> Tensor:
        if floats(x).ndim != 4 or x.shape[1] != 1 or 0 in x.shape[1:]:
            raise ValueError(f"x has shape {tuple(x.shape)}: a blur takes (batch, 1, H, W)")
        if not 1e-6 < self.std <= max(x.shape):
            raise ValueError(
                f"std = {self.std:g} pixels: the image has {tuple(x.shape[2:])}; give a width between 1e-6 and that"
            )
        reach = math.ceil(3 * self.std)
        k = torch.exp(-((torch.arange(-reach, reach + 1).to(x) / self.std) ** 2) / 2)
        k = k / k.sum()
        x = F.conv2d(x, k.reshape(1, 1, -1, 1), padding=(reach, 0))
        return F.conv2d(x, k.reshape(1, 1, 1, -1), padding=(0, reach))

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)  # the kernel is even


class Identity(Operator):
    """x → x: denoising."""

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y


def observe(
    operator: Operator, x0: Tensor, sigma_y: float, *, generator: torch.Generator
) -> Tensor:
    """y = A x₀ + σ_y n with n ~ N(0, I)."""
    y = operator(floats(x0, "x0"))
    return finite(
        "y",
        y + _noise_level(sigma_y) * torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y),
    )


def _noise_level(sigma_y: float) -> float:
    if not (math.isfinite(sigma_y) and sigma_y > 0):
        raise ValueError(
            f"sigma_y = {sigma_y!r}: give the standard deviation of the noise in y, a finite number above 0"
        )
    return float(sigma_y)


# ---------------------------------------------------------------- p(x₀ | x_t) ≈ N(D, C)

Covariance = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]
"""covariance(scale, std, backward) → v ↦ C v, where backward(v) = Jᵀ v."""


def no_covariance(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
    """C = 0: D is taken for the truth. What DPS assumes (Chung et al. 2023, arXiv:2209.14687, eq.
    11)."""
    return torch.zeros_like


def isotropic(data_std: float = 1.0) -> Covariance:
    """C = σ_d² r²/(σ_d² + r²) I with r = std/scale: right for a prior N(m, σ_d² I).
    ΠGDM (Song, Vahdat et al. 2023), with σ_d = 1.

    Raises ValueError for data_std that is not above 0.
    """
    if not (math.isfinite(data_std) and data_std > 0):
        raise ValueError(f"data_std = {data_std!r}: give a finite number above 0")

    def covariance(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
        v = (std / scale) ** 2
        return lambda u: data_std**2 * v / (data_std**2 + v) * u

    return covariance


def tweedie(scale: Tensor, std: Tensor, backward: Callable) -> Callable[[Tensor], Tensor]:
    """C = (std²/scale) J, which *is* Cov[x₀ | x_t] for the true score (Efron 2011; used by MMPS,
    Rozet et al. 2024, arXiv:2405.13712).

    J of a true score is symmetric, so a backward pass gives C v.
    """
    return lambda u: std**2 / scale * backward(u)


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
    """s(x, t) + Jᵀ Aᵀ u  with  (σ_y² I + A C Aᵀ) u = y − A D,  D = (x + std² s)/scale,  J = ∂D/∂x.

    y: one observation for all x, shape (1, …), or one for each.
    covariance: C, see above; in its gradient C counts as constant.
    iterations: of the conjugate gradients that find u; with `no_covariance` and wherever A Aᵀ and C
    are multiples of I one is exact.
    A score costs one evaluation of s, and backward passes: 1 for no_covariance and isotropic, 1 +
    iterations for tweedie.
    Raises ValueError for sigma_y that is not above 0, y that does not fit A x, and iterations that
    is not a whole number above 0.
    """
    sigma_y = _noise_level(sigma_y)
    if not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations = {iterations!r}: give a whole number above 0")

    def guided(x: Tensor, t: Tensor) -> Tensor:
        scale, std = (like(a, x) for a in sde.marginal(torch.as_tensor(t).to(floats(x, axes=2))))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            s = score(x, t)
            d = (x + std**2 * s) / scale
        backward = lambda v: torch.autograd.grad(d, x, v, retain_graph=True)[0]
        residual = _fits(y, operator(d.detach())) - operator(d.detach())
        C = covariance(scale, std, backward)
        u = conjugate_gradients(
            lambda v: sigma_y**2 * v + operator(C(operator.adjoint(v))), residual, iterations
        )
        return sound(s.detach() + backward(operator.adjoint(u)), x, t)

    guided.evaluations = getattr(score, "evaluations", 1)
    return guided


def _fits(y: Tensor, seen: Tensor) -> Tensor:
    if y.ndim != seen.ndim or y.shape[1:] != seen.shape[1:] or len(y) not in (1, len(seen)):
        raise ValueError(
            f"y has shape {tuple(y.shape)}, but A x has {tuple(seen.shape)}: give one y for all, (1, …), or one for each"
        )
    return y.to(seen)


def conjugate_gradients(M: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """u with M u ≈ b, for each of the batch on its own; M symmetric and positive definite.
    Hestenes & Stiefel 1952."""
    dot = lambda a, c: like((a * c).flatten(1).sum(1), a)
    u, r = torch.zeros_like(b), b
    p, rr = r, dot(r, r)
    floor = torch.finfo(b.dtype).tiny
    for _ in range(iterations):
        q = M(p)
        curvature = dot(p, q)
        alpha = torch.where(
            curvature > floor, rr / curvature.clamp(min=floor), 0.0
        )  # a learned J may not be positive: stop there
        u, r = u + alpha * p, r - alpha * q
        new = dot(r, r)
        p, rr = r + new / rr.clamp(min=floor) * p, new
    return u


# ---------------------------------------------------------------- rules that correct the state


@dataclass(frozen=True)
class Replacement:
    """x ← step(x);  then x[seen] ← scale·y + √max(std² − scale² σ_y², 0) z:
    the seen part is put back at every noise level.

    A step for `integrate`, on a Reverse, for inpainting.
    What is put back is drawn anew each time and knows nothing of the rest of x, so it is no draw
    from p_t(x | y).  generator: draws z.
    Raises ValueError for an operator that is no Mask, and as `posterior_score`.
    Song et al. 2021 (arXiv:2011.13456), appendix I.2, where σ_y = 0.
    """

    step: Step
    operator: Mask
    y: Tensor
    sigma_y: float
    _: KW_ONLY
    generator: torch.Generator

    def __post_init__(self):
        if not isinstance(self.operator, Mask):
            raise ValueError(
                f"operator = {type(self.operator).__name__}: replacement puts coordinates back, so give a Mask"
            )
        _noise_level(self.sigma_y)

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        x = self.step(sde, x, t, dt, dw)
        scale, std = (a.to(x) for a in forward_of(sde).marginal(t + dt))
        seen = self.operator(x)
        z = WhiteNoise(seen, generator=self.generator)(torch.zeros(()), torch.ones(()))
        put = (
            scale * _fits(self.y, seen)
            + (std**2 - (scale * self.sigma_y) ** 2).clamp(min=0).sqrt() * z
        )
        return x + self.operator.adjoint(put - seen)


@dataclass(frozen=True)
class DPS:
    """x ← step(x) − ζ ∇ₓ‖y − A D(x)‖,  the gradient at the state before the step.

    A step for `integrate`, on a Reverse: diffusion posterior sampling with its authors' step size.
    ζ stands for the noise of y, whose standard deviation the rule does not ask for, and its best
    value depends on the number of steps.
    Raises ValueError for zeta that is negative or not finite.
    Chung et al. 2023 (arXiv:2209.14687), algorithm 1 and section 4.
    """

    step: Step
    operator: Operator
    y: Tensor
    zeta: float = 1.0

    def __post_init__(self):
        if not (math.isfinite(self.zeta) and self.zeta >= 0):
            raise ValueError(f"zeta = {self.zeta!r}: give a finite number of at least 0")

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            seen = self.operator(denoise(forward_of(sde), sde.checked_score, start, t))
            off = (_fits(self.y, seen) - seen).flatten(1).norm(dim=1)
            (gradient,) = torch.autograd.grad(off.sum(), start)
        return self.step(sde, x, t, dt, dw) - self.zeta * gradient
