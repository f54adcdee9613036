"""Densities whose score is known exactly, at every noise level.

A Gaussian mixture stays a Gaussian mixture when a Gaussian SDE diffuses it. So every algorithm of
this book can first meet a problem whose answer is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .sdes import GaussianSDE, Score, like

__all__ = ["GaussianMixture", "two_modes", "garden"]


class GaussianMixture:
    """p(x) = Σ_k w_k N(x; m_k, C_k),   ∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x),

    with the responsibilities r_k(x) = w_k N(x; m_k, C_k)/p(x).

    weights: (K,), positive; they are divided by their sum.  means: (K, d).
    covariances: (K, d, d), symmetric positive definite; or a number or (K,) of standard deviations
    for round components.  Everything takes the dtype of `means`.
    Raises ValueError for shapes that do not fit, weights that are not positive, and covariances that
    are not symmetric positive definite.
    """

    def __init__(self, weights: Tensor | Sequence[float], means: Tensor | Sequence[Sequence[float]],
                 covariances: Tensor | Sequence[float] | float):
        means = torch.as_tensor(means)
        means = means if means.is_floating_point() else means.to(torch.get_default_dtype())
        if means.ndim != 2:
            raise ValueError(f"means has shape {tuple(means.shape)}: give (K, d), one row a component")
        K, d = means.shape
        weights = torch.as_tensor(weights, dtype=means.dtype, device=means.device)
        if weights.shape != (K,) or not bool((weights > 0).all()) or not bool(torch.isfinite(weights).all()):
            raise ValueError(f"weights = {weights.tolist()}: give {K} positive numbers, one for each row of means")
        covariances = torch.as_tensor(covariances, dtype=means.dtype, device=means.device)
        if covariances.ndim < 3:
            if covariances.shape not in ((), (K,)) or not bool((covariances > 0).all()):
                raise ValueError(f"covariances = {covariances.tolist()}: give one standard deviation above 0, {K} of "
                                 f"them, or matrices of shape ({K}, {d}, {d})")
            covariances = covariances.expand(K)[:, None, None] ** 2 * torch.eye(d).to(means)
        if covariances.shape != (K, d, d) or not torch.allclose(covariances, covariances.mT):
            raise ValueError(f"covariances has shape {tuple(covariances.shape)}: give symmetric ({K}, {d}, {d})")
        variances, axes = torch.linalg.eigh(covariances)
        if not bool((variances > 0).all()):
            raise ValueError(f"covariances has the eigenvalue {variances.min().item():g}: all must be above 0")
        self._set(weights / weights.sum(), means, variances, axes)

    def _set(self, weights: Tensor, means: Tensor, variances: Tensor, axes: Tensor) -> None:
        # means and variances are (K, d), or (batch, K, d) when each x has a time of its own;
        # C_k = axes_k diag(variances_k) axes_kᵀ, and diffusion changes the variances only.
        self.weights, self.means, self.variances, self.axes = weights, means, variances, axes

    @property
    def dim(self) -> int:
        return self.means.shape[-1]

    @property
    def covariances(self) -> Tensor:
        """C_k, shape (K, d, d)."""
        return (self.axes * self.variances[..., None, :]) @ self.axes.mT

    @property
    def mean(self) -> Tensor:
        """E[x] = Σ w_k m_k, shape (d,)."""
        return (self.weights[:, None] * self.means).sum(-2)

    @property
    def covariance(self) -> Tensor:
        """Cov[x] = Σ w_k (C_k + m_k m_kᵀ) − E[x] E[x]ᵀ, shape (d, d)."""
        second = self.covariances + self.means[..., :, None] * self.means[..., None, :]
        return (self.weights[:, None, None] * second).sum(-3) - self.mean[..., :, None] * self.mean[..., None, :]

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log(w_k N(x; m_k, C_k)), axes_kᵀ (x − m_k)) of shapes (…, K) and (…, K, d)."""
        if x.ndim == 0 or x.shape[-1] != self.dim:
            raise ValueError(f"x has shape {tuple(x.shape)}: the last axis must have {self.dim} coordinates")
        y = torch.einsum("kij,...ki->...kj", self.axes.to(x), x[..., None, :] - self.means.to(x))
        v = self.variances.to(x)
        log = -(y**2 / v + v.log()).sum(-1) / 2 - self.dim / 2 * math.log(2 * math.pi)
        return log + self.weights.to(x).log(), y

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats; x has shape (…, d), the result (…)."""
        return torch.logsumexp(self._parts(x)[0], -1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """r_k(x), the probability that x came from component k; shape (…, K)."""
        return torch.softmax(self._parts(x)[0], -1)

    def score(self, x: Tensor) -> Tensor:
        """∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x), shaped like x, (…, d)."""
        log, y = self._parts(x)
        pull = -torch.einsum("kij,...kj->...ki", self.axes.to(x), y / self.variances.to(x))
        return (torch.softmax(log, -1)[..., None] * pull).sum(-2)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n independent draws, shape (n, d)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.dim, generator=generator, dtype=self.means.dtype)
        return self.means[k] + torch.einsum("nij,nj->ni", self.axes[k], self.variances[k].sqrt() * z)

    def blurred(self, std: Tensor | float, scale: Tensor | float = 1.0) -> GaussianMixture:
        """The law of scale·x + std·z with z ~ N(0, I):  m_k → scale·m_k,  C_k → scale²·C_k + std²·I.

        std, scale: numbers ≥ 0, or one of each for every x, shape (batch,).
        """
        std, scale = (like(a, self.means) if not torch.is_tensor(a) or a.ndim == 0
                      else a.to(self.means)[:, None, None] for a in (std, scale))
        if not bool((torch.as_tensor(std) >= 0).all()):
            raise ValueError(f"std = {std}: give a number of at least 0")
        out = object.__new__(GaussianMixture)
        out._set(self.weights, scale * self.means, scale**2 * self.variances + std**2, self.axes)
        return out

    def diffused(self, sde: GaussianSDE, t: Tensor | float) -> GaussianMixture:
        """p_t, the exact law of x_t when x_0 has this law; t a scalar, or (batch,) for log_prob and score of a batch."""
        scale, std = sde.marginal(torch.as_tensor(t).to(self.means))
        return self.blurred(std, scale)

    def score_of(self, sde: GaussianSDE) -> Score:
        """The exact score(x, t) = ∇ log p_t(x): what a perfect network would return."""
        return lambda x, t: self.diffused(sde, t).score(x)


def two_modes(dtype: torch.dtype = torch.float32) -> GaussianMixture:
    """0.8 N((−2, −2), 0.5² I) + 0.2 N((2, 2), 0.5² I): two modes of unequal weight in the plane."""
    return GaussianMixture([0.8, 0.2], torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=dtype), 0.5)


def garden(dtype: torch.dtype = torch.float32) -> GaussianMixture:
    """Three modes in the plane, one round, one long and one tilted, with weights ½, 0.3 and 0.2."""
    means = torch.tensor([[-1.6, -0.8], [1.5, -1.1], [0.3, 1.6]], dtype=dtype)
    covariances = torch.tensor([[[0.16, 0.0], [0.0, 0.16]], [[0.10, 0.09], [0.09, 0.30]],
                                [[0.60, -0.12], [-0.12, 0.08]]], dtype=dtype)
    return GaussianMixture([0.5, 0.3, 0.2], means, covariances)
