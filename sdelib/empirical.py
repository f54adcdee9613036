"""A data set under noise: the score that a perfect network would learn from it, exactly.

Its sampler returns the data. So what a network draws that is new comes from what it has not learnt.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from .checks import a_generator, floats, glance, levels, like, number, require, shaped
from .reversal import Score
from .sdes import GaussianSDE


class EmpiricalDensity:
    """p(x) = (1/n) Σ_k N(x; scale·y_k, σ² I): a data set y_1 … y_n under noise, whose score is
    exact.

    ∇ log p(x) = (scale·E[x₀ | x] − x)/σ²,   E[x₀ | x] = Σ_k r_k(x) y_k,
    r = softmax_k(−‖x − scale·y_k‖²/(2σ²)).

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
        shape, cure = tuple(points.shape), "give (n, …), at least one point"
        require(floats(points, "points", axes=2).numel(), "shape of points", shape, cure)
        self.points, self.batch, self._centre = points, batch, points.mean(0).flatten()
        squares = [(y.flatten(1) - self._centre).square().sum(1) for y in points.split(batch)]
        self._squares = torch.cat(squares)
        self._blur(std, scale)

    def _blur(self, std: Tensor | float, scale: Tensor | float) -> None:
        levels("std", number(std, self.points))
        levels("scale", number(scale, self.points))
        self.std, self.scale = std, scale

    def __len__(self) -> int:
        return len(self.points)

    def blurred(self, std: Tensor | float, scale: Tensor | float = 1.0) -> EmpiricalDensity:
        """The same points under the noise `std` in place of this one's: p_std, not more noise on
        top."""
        other = copy.copy(self)
        other._blur(std, scale)
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
        shaped("x", x, "batch", *self.points.shape[1:])
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
        return (top + total.log())[:, 0], (mean / total).reshape(x.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_σ(x) for x of shape (batch, …); shape (batch,)."""
        log, std, d = self._parts(x)[0], like(self.std, x).reshape(-1), self.points[0].numel()
        return glance("log p", log - math.log(len(self)) - d / 2 * torch.log(2 * math.pi * std**2))

    def posterior_mean(self, x: Tensor) -> Tensor:
        """E[x₀ | x], the average of the points that x may have come from, shaped like x: the
        perfect denoiser."""
        return glance("E[x₀ | x]", self._parts(x)[1])

    def score(self, x: Tensor) -> Tensor:
        """(scale·E[x₀ | x] − x)/σ², shaped like x."""
        s = (like(self.scale, x) * self.posterior_mean(x) - x) / like(self.std, x) ** 2
        return glance("the score", s)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n draws scale·y + σz, shape (n, …); std and scale must be numbers."""
        k = torch.randint(len(self), (n,), generator=a_generator(generator))
        z = torch.randn((n, *self.points.shape[1:]), generator=generator, dtype=self.points.dtype)
        return self.scale * self.points[k] + self.std * z

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(distance, index) of the point nearest to each x: shapes (batch,).
        Ignores std and scale."""
        best = (
            x.new_full((len(x),), math.inf),
            torch.zeros(len(x), dtype=torch.long, device=x.device),
        )
        for start in range(0, len(self), self.batch):
            y = self.points[start : start + self.batch].to(x).flatten(1)
            d, i = torch.cdist(x.flatten(1), y, compute_mode="donot_use_mm_for_euclid_dist").min(1)
            closer = d < best[0]
            best = torch.where(closer, d, best[0]), torch.where(closer, i + start, best[1])
        return best
