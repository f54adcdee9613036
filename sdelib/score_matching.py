"""Losses whose minimiser is the score.

The Fisher divergence ½ E_p‖s_θ − ∇ log p‖² needs the score that one wants to learn. Three losses
have the same minimiser and do not need it. Each function returns the term of every example, shape
(batch,), so that a mean has a standard error; their means differ by constants:

    implicit     ½‖s‖² + tr ∇s                 d backward passes    Hyvärinen 2005
    sliced       ½(uᵀs)² + uᵀ(∇s)u             one                  Song et al. 2019
    denoising    ½‖s(x₀ + σz) + z/σ‖²          none; learns p_σ     Vincent 2011

Here a score is a function of x alone; the rows of a batch must not influence each other.
`LadderLoss` and `DenoisingLoss` are denoising losses over many noise levels, for `train`:

    J(θ) = (1/d) E_t E_{x₀, z} [ λ(t) ‖s_θ(x_t, t) + z/std‖² ],      x_t = scale·x₀ + std·z,

where −z/std = ∇ log p(x_t | x₀) for a Gaussian kernel (Song et al. 2021, eq. 7). The target is a
noisy one; its mean given x_t is ∇ log p_t(x_t), so the minimiser is the score of p_t, not of p_0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import checks
from .families import NoiseLevel
from .reversal import Score
from .sdes import GaussianSDE

Field = Callable[[Tensor], Tensor]
"""field(x), shaped like x, (batch, …): a score of one density."""


def fisher_divergence(score: Field, true_score: Field, x: Tensor) -> Tensor:
    """½‖s(x) − ∇ log p(x)‖² for each x ~ p, shape (batch,); its mean is the Fisher divergence, a
    p-weighted squared error and no metric: where p has no mass, s may be anything."""
    return (score(checks.floats(x, axes=2)) - true_score(x)).flatten(1).square().sum(1) / 2


def implicit_loss(score: Field, x: Tensor) -> Tensor:
    """½‖s(x)‖² + tr ∇s(x) for each x ~ p, shape (batch,).

    Its mean is the Fisher divergence minus ½ E_p‖∇ log p‖², by integration by parts. The trace
    costs one backward pass for each of the d coordinates.   Hyvärinen 2005 (JMLR 6).
    """
    s, trace = divergence(score, x)
    return s.flatten(1).square().sum(1) / 2 + trace


def sliced_loss(score: Field, x: Tensor, u: Tensor, *, variance_reduced: bool = False) -> Tensor:
    """½(uᵀs)² + uᵀ(∇s)u for each x ~ p, shape (batch,).

    u: random directions shaped like x, or a ValueError, with E[u uᵀ] = I (standard normal, or
    random signs). The mean over u is the implicit loss, at the cost of one backward pass.
    variance_reduced: ½‖s‖² in place of ½(uᵀs)².   Song et al. 2019 (arXiv:1905.07088).
    """
    s, slope = slope_along(score, x, checks.same_shape("u", u, x))
    square = s.flatten(1).square().sum(1) if variance_reduced else (u * s).flatten(1).sum(1) ** 2
    return square / 2 + slope


def denoising_loss(score: Field, x0: Tensor, z: Tensor, sigma: float) -> Tensor:
    """½‖s(x₀ + σz) + z/σ‖² for each x₀ ~ p with its z ~ N(0, I), shape (batch,).

    −z/σ = −(x̃ − x₀)/σ² is the score of x̃ = x₀ + σz given x₀. The mean is the Fisher divergence
    from p_σ plus a constant: the minimiser is ∇ log p_σ.     Vincent 2011 (Neural Computation 23).
    """
    checks.positive(sigma=sigma)
    x = checks.floats(x0, "x0", axes=2) + sigma * checks.same_shape("z", z, x0, "x0")
    return (score(x) + z / sigma).flatten(1).square().sum(1) / 2


def divergence(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    """(v(x), tr ∇v(x)), the second of shape (batch,), by one backward pass for each coordinate."""
    with _slopes(x) as (y, slope):
        flat = (v := field(y)).flatten(1)  # its columns one by one: unbind(1) would cost twice
        diagonal = (slope(flat[:, i]).flatten(1)[:, i] for i in range(flat.shape[1]))
        trace = sum(diagonal, x.new_zeros(len(x)))
    return (v, trace) if torch.is_grad_enabled() else (v.detach(), trace.detach())


def slope_along(field: Field, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """(v(x), uᵀ∇v(x) u), the second of shape (batch,), by one backward pass.

    u: directions shaped like x, or k of them for each x, (k, *x.shape); then k passes, (k, batch).
    """
    fits = u.shape == x.shape or (u.shape[1:] == x.shape and len(u) > 0)
    cure = f"give directions shaped like x, {tuple(x.shape)}, or k of them for each"
    checks.require(fits, "shape of u", tuple(u.shape), cure)
    with _slopes(x) as (y, slope):
        v = field(y)
        along = lambda w: (w * slope((w * v).flatten(1).sum(1))).flatten(1).sum(1)
        slopes = along(u) if u.ndim == x.ndim else torch.stack([along(w) for w in u])
    return (v, slopes) if torch.is_grad_enabled() else (v.detach(), slopes.detach())


@contextmanager
def _slopes(x: Tensor) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """(x, slope): slope(y) = ∂y/∂x row by row for y of shape (batch,), inside torch.no_grad() too;
    it can be differentiated again where gradients are on."""
    how: Any = dict(create_graph=torch.is_grad_enabled(), retain_graph=True, allow_unused=True)

    def slope(y: Tensor) -> Tensor:
        g = torch.autograd.grad(y.sum(), x, **how)[0] if y.requires_grad else None
        return torch.zeros_like(x) if g is None else g

    with torch.enable_grad():
        x = checks.floats(x, axes=2).detach().requires_grad_()
        yield x, slope


@dataclass(frozen=True)
class DenoisingLoss:
    """ℓ = λ(t) ‖s_θ(x_t, t) + z/std(t)‖² / d  for each example, with λ(t) = std(t)²; d coordinates.

    sde: the forward process.  t_min: the smallest time drawn, above 0, below T.
    t_power: t = t_min + (T − t_min)·u^t_power with u ~ U(0, 1), stratified over the batch. 1 is the
    paper's t ~ U(t_min, T); 2 spends more of the batch on small noise.
    likelihood_weighting: λ(t) = g(t)² in place of std(t)². With t_power = 1 the loss then bounds,
    up to a constant and a factor, the negative log-likelihood (Song, Durkan, Murray & Ermon 2021,
    arXiv:2101.09258, theorem 1).
    """

    sde: GaussianSDE
    t_min: float = 1e-5
    t_power: float = 1.0
    likelihood_weighting: bool = False

    def __post_init__(self):
        cure = f"give a time between 0 and T = {self.sde.T}"
        checks.require(0 < self.t_min < self.sde.T, "t_min", self.t_min, cure)
        checks.positive(t_power=self.t_power)

    def draw(self, x0: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(t, z): times (batch,), and z ~ N(0, I) like x0, drawn on the generator's device."""
        u, z = _draw(x0, x0.dtype, generator)
        t = self.t_min + (self.sde.T - self.t_min) * u**self.t_power
        return t.to(x0.device), z.to(x0.device)

    def __call__(self, score: Score, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """The loss of each example, shape (batch,), for the given times and noise."""
        loss = _weighted(score, self.sde, x0, t, z)
        if not self.likelihood_weighting:
            return loss
        g = self.sde.diffusion(x0, t).reshape(-1)
        return loss * (g / self.sde.marginal(t)[1].to(g)) ** 2


@dataclass(frozen=True)
class LadderLoss:
    """J(θ) = 1/(L·d) Σ_i λ(σ_i) E‖s_θ(x₀ + σ_i z, σ_i) + z/σ_i‖²,  λ(σ) = σ²:
    one network, L noise levels.

    ℓ = ‖σ_i s_θ(x, σ_i) + z‖²/d for each example: `DenoisingLoss` of `NoiseLevel` with its times on
    the ladder.  sigmas: σ_1 < … < σ_L, or a ValueError.
    Song & Ermon 2019 (arXiv:1907.05600), eq. 5 and 6, with 1/d in place of their ½.
    """

    sigmas: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(self, "sigmas", tuple(checks.ascending("sigmas", self.sigmas).tolist()))

    def draw(self, x0: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(sigma, z): levels (batch,), each equally often, and z ~ N(0, I) like x0."""
        u, z = _draw(x0, torch.float32, generator)
        i = (u * len(self.sigmas)).long().clamp(max=len(self.sigmas) - 1)
        sigmas = torch.tensor(self.sigmas, dtype=x0.dtype, device=x0.device)
        return sigmas[i.to(x0.device)], z.to(x0.device)

    def __call__(self, score: Score, x0: Tensor, sigma: Tensor, z: Tensor) -> Tensor:
        """The loss of each example, shape (batch,), for the given levels and noise."""
        return _weighted(score, NoiseLevel(self.sigmas[-1]), x0, sigma, z)


def _weighted(score: Score, sde: GaussianSDE, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
    error = checks.like(sde.marginal(t)[1], x0) * score(sde.perturb(x0, t, z), t) + z
    return checks.glance("the loss", error.flatten(1).square().mean(1))


def _draw(x0: Tensor, dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(u, z): u_i ~ U(i − 1, i)/n for each of the n examples, and z ~ N(0, I) like x0."""
    n, device = len(checks.floats(x0, "x0", axes=2)), checks.a_generator(generator).device
    u = torch.rand(n, generator=generator, device=device, dtype=dtype)
    z = torch.randn(x0.shape, generator=generator, device=device, dtype=x0.dtype)
    return (u + torch.arange(n, device=device)) / n, z
