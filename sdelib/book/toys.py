"""Problems whose answer is known: processes with exact solutions, and mixtures in the plane.

Each algorithm of the book meets them first, so that what goes wrong is seen as a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import finite, floats, like, number, positive, require
from ..densities import GaussianMixture
from ..sdes import SDE


def _later(t: Tensor | float, x: Tensor) -> Tensor:
    """like(t, x), which is a finite time from 0 on."""
    t = like(t, x)
    require(((t >= 0) & (t < math.inf)).all(), "t", t, "give finite times of at least 0")
    return t


@dataclass(frozen=True)
class OrnsteinUhlenbeck(SDE):
    """dx = θ (μ − x) dt + σ dw.   x_t | x_0 ~ N(μ + (x_0 − μ) e^(−θt), σ² (1 − e^(−2θt))/(2θ)).

    Uhlenbeck & Ornstein 1930. Raises ValueError unless θ > 0 and σ > 0.
    """

    theta: float = 1.0
    mu: float = 0.0
    sigma: float = 1.0

    def __post_init__(self):
        positive(theta=self.theta, sigma=self.sigma)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = θ (μ − x)."""
        return finite("drift", self.theta * (self.mu - floats(x)))

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g = σ."""
        return finite("sigma", number(self.sigma, x))

    def law(self, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, std) of x_t given x_0; the mean is shaped like x0, the std broadcasts to it."""
        t = _later(t, x0)
        mean = finite("mean", self.mu + (x0 - self.mu) * torch.exp(-self.theta * t))
        return mean, self.sigma * torch.sqrt(-torch.expm1(-2 * self.theta * t) / (2 * self.theta))


@dataclass(frozen=True)
class GeometricBrownian(SDE):
    """dx = μ x dt + ν x dw.   x_t = x_0 exp((μ − ν²/2) t + ν W_t), path by path.

    μ: rate of the growth, per time.  ν: rate of the noise, per root of time.  Black & Scholes 1973.
    Its exact path for a given Brownian path makes it the ruler for solvers.
    Raises ValueError unless ν > 0.
    """

    mu: float = 1.0
    nu: float = 0.5

    def __post_init__(self):
        positive(nu=self.nu)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = μ x."""
        return finite("drift", self.mu * floats(x))

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g = ν x."""
        return finite("diffusion", self.nu * floats(x))

    def path(self, x0: Tensor, t: Tensor, w: Tensor) -> Tensor:
        """The exact x_t = x_0 exp((μ − ν²/2) t + ν w) for the Brownian value w = W(t) − W(0)."""
        rate = self.mu - self.nu * self.nu / 2
        return finite("path", x0 * torch.exp(rate * _later(t, x0) + self.nu * w))


def two_modes(dtype: torch.dtype = torch.float32) -> GaussianMixture:
    """0.8 N((−2, −2), 0.5² I) + 0.2 N((2, 2), 0.5² I): two modes of unequal weight in the plane."""
    return GaussianMixture([0.8, 0.2], torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=dtype), 0.5)


def garden(dtype: torch.dtype = torch.float32) -> GaussianMixture:
    """Three modes in the plane, one round, one long and one tilted, with weights ½, 0.3 and 0.2."""
    means = torch.tensor([[-1.6, -0.8], [1.5, -1.1], [0.3, 1.6]], dtype=dtype)
    covariances = torch.tensor(
        [[[0.16, 0.0], [0.0, 0.16]], [[0.10, 0.09], [0.09, 0.30]], [[0.60, -0.12], [-0.12, 0.08]]],
        dtype=dtype,
    )
    return GaussianMixture([0.5, 0.3, 0.2], means, covariances)
