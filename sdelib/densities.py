"""Densities whose score is known exactly, at every noise level.

A Gaussian mixture stays a Gaussian mixture when a Gaussian SDE diffuses it. So every algorithm of
this book can first meet a problem whose answer is known.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import finite, floats, like, number
from .reversal import Score
from .sdes import GaussianSDE


class GaussianMixture:
    """p(x) = Σ_k w_k N(x; m_k, C_k),   ∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x),

    with the responsibilities r_k(x) = w_k N(x; m_k, C_k)/p(x).

    weights: (K,), positive; they are divided by their sum.  means: (K, d).
    covariances: (K, d, d), symmetric positive definite; or a number or (K,) of standard deviations
    for round components.  Everything takes the dtype of `means`.
    Raises ValueError for shapes that do not fit, weights that are not positive, and covariances
    that are not symmetric positive definite.
    """

    def __init__(
        self,
        weights: Tensor | Sequence[float],
        means: Tensor | Sequence[Sequence[float]],
        covariances: Tensor | Sequence[float] | float,
    ):
        means = torch.as_tensor(means)
        means = finite(
            "means",
            floats(
                means if means.is_floating_point() else means.to(torch.get_default_dtype()), "means"
            ),
        )
        if means.ndim != 2:
            raise ValueError(
                f"means has shape {tuple(means.shape)}: give (K, d), one row a component"
            )
        K, d = means.shape
        weights = number(weights, means)
        if (
            weights.shape != (K,)
            or not bool((weights > 0).all())
            or not bool(torch.isfinite(weights).all())
        ):
            raise ValueError(
                f"weights = {weights.tolist()}: give {K} positive numbers, one for each row of means"
            )
        covariances = number(covariances, means)
        if covariances.ndim < 3:
            if covariances.shape not in ((), (K,)) or not bool((covariances > 0).all()):
                raise ValueError(
                    f"covariances = {covariances.tolist()}: give one standard deviation above 0, {K} of "
                    f"them, or matrices of shape ({K}, {d}, {d})"
                )
            covariances = covariances.expand(K)[:, None, None] ** 2 * torch.eye(d).to(means)
        if covariances.shape != (K, d, d) or not torch.allclose(covariances, covariances.mT):
            raise ValueError(
                f"covariances has shape {tuple(covariances.shape)}: give symmetric ({K}, {d}, {d})"
            )
        variances, axes = torch.linalg.eigh(finite("covariances", covariances))
        if not bool((variances > 0).all()):
            raise ValueError(
                f"covariances has the eigenvalue {variances.min().item():g}: all must be above 0"
            )
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
        return (self.weights[:, None, None] * second).sum(-3) - self.mean[..., :, None] * self.mean[
            ..., None, :
        ]

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log(w_k N(x; m_k, C_k)), axes_kᵀ (x − m_k)) of shapes (…, K) and (…, K, d)."""
        if floats(x).ndim == 0 or x.shape[-1] != self.dim:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: the last axis must have {self.dim} coordinates"
            )
        axes = self.axes.to(x)
        turned = x @ axes.transpose(0, 1).flatten(1)  # axes_kᵀ x for all k at once
        y = turned.unflatten(-1, axes.shape[:2]) - torch.einsum(
            "kij,...ki->...kj", axes, self.means.to(x)
        )
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
        pull = torch.softmax(log, -1)[..., None] * y / self.variances.to(x)
        return -pull.flatten(-2) @ self.axes.to(x).transpose(1, 2).flatten(0, 1)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n independent draws, shape (n, d)."""
        k = (
            torch.multinomial(self.weights, n, replacement=True, generator=generator)
            if n
            else torch.zeros(0, dtype=torch.long)
        )
        z = torch.randn(n, self.dim, generator=generator, dtype=self.means.dtype)
        return self.means[k] + torch.einsum(
            "nij,nj->ni", self.axes[k], self.variances[k].sqrt() * z
        )

    def blurred(self, std: Tensor | float, scale: Tensor | float = 1.0) -> GaussianMixture:
        """The law of scale·x + std·z with z ~ N(0, I):  m_k → scale·m_k,
        C_k → scale²·C_k + std²·I.

        std, scale: numbers ≥ 0, or one of each for every x, shape (batch,).
        """
        std, scale = (
            like(a, self.means)
            if not torch.is_tensor(a) or a.ndim == 0
            else a.to(self.means)[:, None, None]
            for a in (std, scale)
        )
        if not bool((std >= 0).all() & (scale >= 0).all()):
            raise ValueError(f"std = {std}, scale = {scale}: give numbers of at least 0")
        variances = finite("the variance under std and scale", scale**2 * self.variances + std**2)
        if not bool((variances > 0).all()):
            raise ValueError(
                f"std = {std}, scale = {scale}: what is left has no width; give one of them above 0"
            )
        out = object.__new__(GaussianMixture)
        out._set(self.weights, scale * self.means, variances, self.axes)
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

        A: (m, d).  y: (m,).   Raises ValueError for shapes that do not fit, and sigma_y that is not
        above 0.
        """
        A, y = A.to(self.means), y.to(self.means)
        if A.ndim != 2 or A.shape[1] != self.dim or y.shape != (len(A),):
            raise ValueError(
                f"A has shape {tuple(A.shape)} and y {tuple(y.shape)}: give (m, {self.dim}) and (m,)"
            )
        if not (
            math.isfinite(sigma_y) and float(number(sigma_y, A)) ** 2 >= torch.finfo(A.dtype).tiny
        ):
            raise ValueError(
                f"sigma_y = {sigma_y!r}: give a finite number above 0 that has a square in {A.dtype}"
            )
        C, noise = self.covariances, sigma_y**2 * torch.eye(len(A)).to(A)
        seen = A @ C @ A.T + noise
        K = torch.linalg.solve(finite("A C Aᵀ + sigma_y² I", seen), A @ C).mT
        off, rest = y - self.means @ A.T, torch.eye(self.dim).to(A) - K @ A
        log = self.weights.log() + torch.distributions.MultivariateNormal(
            torch.zeros_like(y), seen
        ).log_prob(off)
        spread = rest @ C @ rest.mT + sigma_y**2 * K @ K.mT
        return GaussianMixture(
            torch.softmax(log, 0),
            self.means + (K @ off[..., None])[..., 0],
            (spread + spread.mT) / 2,
        )


class EmpiricalDensity:
    """p(x) = (1/n) Σ_k N(x; scale·y_k, σ² I): a data set y_1 … y_n under noise, whose score is
    exact.

    ∇ log p(x) = (scale·E[x₀ | x] − x)/σ²,   E[x₀ | x] = Σ_k r_k(x) y_k,
    r = softmax_k(−‖x − scale·y_k‖²/(2σ²)).

    This is what a perfect network would learn from the data set, and sampling with it returns the
    data.
    points: y, (n, …), kept and not copied.  std: σ > 0, and scale: numbers, or one for each x,
    shape (batch,).
    batch: points looked at together. Beside the points and one number for each, the memory is at
    most (4·len(x) + d)·batch numbers: 60,000 images take 188 MB in float32, and 64 x beside them 17
    MB.
    ‖x − y‖² is computed as ‖x‖² − 2xᵀy + ‖y‖² around the mean of the data, so log r has an error of
    about eps·(‖x‖² + ‖y‖²)/(2σ²): give float64 points and x where log_prob matters at small σ.
    Raises ValueError for fewer than one point, and a std that is not above 0.
    Karras et al. 2022 (arXiv:2206.00364), appendix B.3.
    """

    def __init__(
        self, points: Tensor, std: Tensor | float, scale: Tensor | float = 1.0, *, batch: int = 4096
    ):
        if floats(points, "points").ndim < 2 or points.numel() == 0:
            raise ValueError(
                f"points has shape {tuple(points.shape)}: give (n, …), at least one point"
            )
        self._fits(std, scale, points)
        self.points, self.std, self.scale, self.batch = points, std, scale, batch
        self._centre = points.mean(0).flatten()
        self._squares = torch.cat(
            [(y.flatten(1) - self._centre).square().sum(1) for y in points.split(batch)]
        )

    @staticmethod
    def _fits(std: Tensor | float, scale: Tensor | float, points: Tensor) -> None:
        """Raise ValueError unless std and scale, and their squares, are ordinary numbers above 0 in
        the type of the points."""
        for name, a in (("std", number(std, points)), ("scale", number(scale, points))):
            if not bool(
                (a > 0).all() & (a**2 >= torch.finfo(a.dtype).tiny).all() & (a**2).isfinite().all()
            ):
                raise ValueError(
                    f"{name} = {a.tolist()}: give a number above 0 that has a square in {a.dtype}"
                )

    def __len__(self) -> int:
        return len(self.points)

    def blurred(self, std: Tensor | float, scale: Tensor | float = 1.0) -> EmpiricalDensity:
        """The same points under the noise `std` in place of this one's: p_std, not more noise on
        top."""
        self._fits(std, scale, self.points)
        other = copy.copy(self)
        other.std, other.scale = std, scale
        return other

    def diffused(self, sde: GaussianSDE, t: Tensor | float) -> EmpiricalDensity:
        """p_t, the exact law of x_t when x_0 is one of the points; t a scalar, or (batch,)."""
        scale, std = sde.marginal(number(t, self.points))
        return self.blurred(std, scale)

    def score_of(self, sde: GaussianSDE) -> Score:
        """The exact score(x, t) = ∇ log p_t(x) of the data set."""
        return lambda x, t: self.diffused(sde, t).score(x)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log Σ_k e^{−‖x − scale·y_k‖²/(2σ²)}, E[x₀ | x]), in one pass over the points."""
        if x.ndim == 0 or x.shape[1:] != self.points.shape[1:]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: give (batch, {', '.join(map(str, self.points.shape[1:]))})"
            )
        scale, std = (like(a, x).reshape(-1, 1) for a in (self.scale, self.std))
        c = self._centre.to(x)
        u = x.flatten(1) / scale - c
        uu, uc, precision = u.square().sum(1, keepdim=True), (u @ c)[:, None], (scale / std) ** 2
        top = x.new_full((len(x), 1), -math.inf)  # the largest exponent so far
        total, mean = torch.zeros_like(top), torch.zeros_like(u)
        for y, yy in zip(self.points.split(self.batch), self._squares.split(self.batch)):
            y, yy = y.to(x).flatten(1), yy.to(x)
            log = -precision * (uu / 2 - (u @ y.T - uc) + yy / 2)  # −‖u + c − y‖²/2, centred
            new = torch.maximum(top, log.max(1, keepdim=True).values)
            r, shrink = torch.exp(log - new), torch.exp(top - new)
            total, mean, top = shrink * total + r.sum(1, keepdim=True), shrink * mean + r @ y, new
        return finite("log p", top + total.log())[:, 0], finite("E[x₀ | x]", mean / total).reshape(
            x.shape
        )

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_σ(x) for x of shape (batch, …); shape (batch,)."""
        log, std, d = self._parts(x)[0], like(self.std, x).reshape(-1), self.points[0].numel()
        return log - math.log(len(self)) - d / 2 * torch.log(2 * math.pi * std**2)

    def posterior_mean(self, x: Tensor) -> Tensor:
        """E[x₀ | x], the average of the points that x may have come from, shaped like x: the
        perfect denoiser."""
        return self._parts(x)[1]

    def score(self, x: Tensor) -> Tensor:
        """(scale·E[x₀ | x] − x)/σ², shaped like x."""
        return finite(
            "the score", (like(self.scale, x) * self.posterior_mean(x) - x) / like(self.std, x) ** 2
        )

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n draws scale·y + σz, shape (n, …); std and scale must be numbers."""
        k = torch.randint(len(self), (n,), generator=generator)
        z = torch.randn((n, *self.points.shape[1:]), generator=generator, dtype=self.points.dtype)
        return self.scale * self.points[k] + self.std * z

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(distance, index) of the point nearest to each x: shapes (batch,).
        Ignores std and scale."""
        best = x.new_full((len(x),), math.inf), torch.zeros(len(x), dtype=torch.long)
        for start in range(0, len(self), self.batch):
            y = self.points[start : start + self.batch].to(x).flatten(1)
            d, i = torch.cdist(x.flatten(1), y, compute_mode="donot_use_mm_for_euclid_dist").min(1)
            closer = d < best[0]
            best = torch.where(closer, d, best[0]), torch.where(closer, i + start, best[1])
        return best
