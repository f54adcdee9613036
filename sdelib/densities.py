"""Densities whose score is known exactly, at every noise level.

A Gaussian mixture stays a Gaussian mixture when a Gaussian SDE diffuses it. So every algorithm of
this book can first meet a problem whose answer is known.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .checks import a_generator, finite, floats, levels, number, require, shaped
from .reversal import Score
from .sdes import GaussianSDE


class GaussianMixture:
    """p(x) = Σ_k w_k N(x; m_k, C_k),   ∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x),

    with the responsibilities r_k(x) = w_k N(x; m_k, C_k)/p(x).

    weights: (K,), positive; they are divided by their sum.  means: (K, d).
    covariances: (K, d, d), symmetric positive definite; or a number or (K,) of standard deviations
    for round components.  Everything takes the dtype of `means`.
    Raises ValueError for what is not so.
    """

    def __init__(
        self,
        weights: Tensor | Sequence[float],
        means: Tensor | Sequence[Sequence[float]],
        covariances: Tensor | Sequence[float] | float,
    ):
        weights, self.means, covariances = _components(weights, means, covariances)
        self.weights = weights / weights.sum()
        # C_k = axes_k diag(variances_k) axes_kᵀ; diffusion changes the means and variances only,
        # which become (batch, K, d) when each x has a time of its own
        self.variances, self.axes = torch.linalg.eigh(covariances)
        cure = "give symmetric matrices, all of whose eigenvalues are above 0"
        require((self.variances > 0).all(), "covariances", covariances, cure)

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
        outer = lambda m: m[..., :, None] * m[..., None, :]
        second = self.weights[:, None, None] * (self.covariances + outer(self.means))
        return second.sum(-3) - outer(self.mean)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log(w_k N(x; m_k, C_k)), axes_kᵀ (x − m_k)) of shapes (…, K) and (…, K, d)."""
        x = shaped("x", floats(x), ..., *self.means.shape[:-2], self.dim)
        axes, v = self.axes.to(x), self.variances.to(x)
        turned = x @ axes.transpose(0, 1).flatten(1)  # axes_kᵀ x for all k at once
        centre = torch.einsum("kij,...ki->...kj", axes, self.means.to(x))
        y = turned.unflatten(-1, axes.shape[:2]) - centre
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
        pull = torch.softmax(log, -1)[..., None] * y / self.variances.to(x)
        return -pull.flatten(-2) @ self.axes.to(x).transpose(1, 2).flatten(0, 1)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n independent draws, shape (n, d)."""
        how: Any = {"generator": a_generator(generator)}
        k = torch.multinomial(self.weights, max(1, n), replacement=True, **how)[:n]
        z = torch.randn(n, self.dim, **how, dtype=self.means.dtype)
        spread = self.variances[k].sqrt() * z
        return self.means[k] + torch.einsum("nij,nj->ni", self.axes[k], spread)

    def blurred(self, std: Tensor | float, scale: Tensor | float = 1.0) -> GaussianMixture:
        """The law of scale·x + std·z with z ~ N(0, I):  m_k → scale·m_k,
        C_k → scale²·C_k + std²·I.

        std, scale: numbers ≥ 0 and not both 0, or one of each for every x, shape (batch,).
        """
        given = {"std": number(std, self.means), "scale": number(scale, self.means)}
        std, scale = (levels(name, a, 0, cure="give numbers ≥ 0") for name, a in given.items())
        std, scale = (a[:, None, None] if a.ndim else a for a in (std, scale))
        out = copy.copy(self)
        v, cure = scale**2 * self.variances + std**2, "give std or scale above 0"
        out.means, out.variances = scale * self.means, levels("variances", v, 1e-36, 1e36, cure)
        return out

    def diffused(self, sde: GaussianSDE, t: Tensor | float) -> GaussianMixture:
        """p_t, the exact law of x_t when x_0 has this law; t a scalar, or (batch,) for log_prob and
        score of a batch."""
        scale, std = sde.marginal(number(t, self.means))
        return self.blurred(std, scale)

    def score_of(self, sde: GaussianSDE) -> Score:
        """The exact score(x, t) = ∇ log p_t(x): what a perfect network would return."""
        return lambda x, t: self.diffused(sde, t).score(x)

    def conditioned(self, A: Tensor, y: Tensor, sigma_y: float) -> GaussianMixture:
        """p(x | y) for y = A x + σ_y n: again a mixture, with  K = C Aᵀ (A C Aᵀ + σ_y² I)⁻¹
        for each component,

            m → m + K (y − A m),   C → (I − K A) C (I − K A)ᵀ + σ_y² K Kᵀ,
            w → w N(y; A m, A C Aᵀ + σ_y² I), normalised.

        A: (m, d).  y: (m,).  sigma_y: above 0.   Raises ValueError for what is not so.
        """
        A, y = shaped("A", A.to(self.means), "m", self.dim), y.to(self.means)
        levels("sigma_y", number(sigma_y, shaped("y", y, len(A))))
        C, noise = self.covariances, sigma_y**2 * torch.eye(len(A)).to(A)
        seen = A @ C @ A.T + noise
        K = torch.linalg.solve(finite("A C Aᵀ + sigma_y² I", seen), A @ C).mT
        off, rest = y - self.means @ A.T, torch.eye(self.dim).to(A) - K @ A
        law = torch.distributions.MultivariateNormal(torch.zeros_like(y), seen)
        weights = torch.softmax(self.weights.log() + law.log_prob(off), 0)
        means = self.means + (K @ off[..., None])[..., 0]
        spread = rest @ C @ rest.mT + sigma_y**2 * K @ K.mT
        return GaussianMixture(weights, means, (spread + spread.mT) / 2)


def _components(weights, means, covariances) -> tuple[Tensor, Tensor, Tensor]:
    """The weights (K,), means (K, d) and covariances (K, d, d), which fit each other."""
    means = torch.as_tensor(means)
    means = means if means.is_floating_point() else means.to(torch.get_default_dtype())
    K, d = shaped("means", finite("means", floats(means, "means")), "K", "d").shape
    w, C = number(weights, means), number(covariances, means)
    ordinary = w.shape == (K,) and K > 0 and ((w > 0) & w.isfinite()).all()
    require(ordinary, "weights", w, f"give {K} positive numbers, one for each row of means")
    if C.shape in ((), (K,)):  # standard deviations
        C = levels("covariances", C).expand(K)[:, None, None] ** 2 * torch.eye(d).to(means)
    symmetric = C.shape == (K, d, d) and torch.allclose(finite("covariances", C), C.mT)
    cure = f"give one standard deviation, {K} of them, or symmetric matrices ({K}, {d}, {d})"
    require(symmetric, "covariances", C, cure)
    return w, means, C
