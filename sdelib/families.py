"""The processes of the field: one family, told apart by what scale and std do.

    VE            scale = 1,           std grows geometrically       Song et al. 2021, eq. 9
    NoiseLevel    scale = 1,           std = t                       Karras et al. 2022
    VP            scale = e^(−B/2),    scale² + std² = 1             Song et al. 2021, eq. 11
    SubVP         scale = e^(−B/2),    std = 1 − e^(−B)              Song et al. 2021, eq. 12

The straight path of flow matching is one more; it is in `flow_matching`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import align, floats, positive, require
from .sdes import GaussianSDE


@dataclass(frozen=True)
class VE(GaussianSDE):
    """Variance exploding:  dx = σ(t) √(2 ln(σ_max/σ_min)/T) dw,   σ(t) = σ_min (σ_max/σ_min)^(t/T).

    x_t | x_0 ~ N(x_0, (σ(t)² − σ_min²) I).   Song et al. 2021, eq. 9 and appendix C; the σ_min²
    that the paper leaves out there is kept here, so x_0 is the data and not the data blurred.
    Raises ValueError unless 0 < σ_min < σ_max and T > 0.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    T: float = 1.0

    def __post_init__(self):
        positive(sigma_min=self.sigma_min, sigma_max=self.sigma_max, T=self.T)
        below = f"give a number below sigma_max = {self.sigma_max}"
        require(self.sigma_min < self.sigma_max, "sigma_min", self.sigma_min, below)
        self._holds()

    @classmethod
    def power(cls, base: float) -> VE:
        """dx = baseᵗ dw, the equation of the source:  std(t)² = (base²ᵗ − 1)/(2 ln base).

        It is VE with σ_min = 1/√(2 ln base), σ_max = base/√(2 ln base) and T = 1. At t = 1 the
        noise has standard deviation 9.845 for 25ᵗ: the base of a power is not a noise level.
        Raises ValueError unless base > 1.
        """
        require(1 < base < math.inf, "base", base, "dx = base**t dw needs a finite number above 1")
        root = math.sqrt(2 * math.log(base))
        return cls(sigma_min=1 / root, sigma_max=base / root)

    @property
    def _rate(self) -> float:
        """ln(σ_max/σ_min)/T, the rate at which σ(t) grows."""
        return math.log(self.sigma_max / self.sigma_min) / self.T

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = 0."""
        return floats(x).new_zeros(()).expand_as(x)

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = σ(t) √(2 ln(σ_max/σ_min)/T)."""
        sigma = self.sigma_min * torch.exp(self._rate * self._time(align(t, x)))
        return sigma * math.sqrt(2 * self._rate)

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = 1,  std = σ_min √((σ_max/σ_min)^(2t/T) − 1)."""
        t = self._time(t)
        return torch.ones_like(t), self.sigma_min * torch.expm1(2 * self._rate * t).sqrt()

    def time(self, ratio: Tensor) -> Tensor:
        """t = T ln(1 + ratio²/σ_min²)/(2 ln(σ_max/σ_min))."""
        return torch.log1p((self._reached(ratio) / self.sigma_min) ** 2) / (2 * self._rate)


@dataclass(frozen=True)
class NoiseLevel(GaussianSDE):
    """dx = √(2t) dw:  x_t | x_0 ~ N(x_0, t² I), so time *is* the noise level σ, and p_t = p_σ.

    T: the largest noise level.   Karras et al. 2022 (arXiv:2206.00364), section 3, σ(t) = t.
    Raises ValueError unless T > 0.
    """

    T: float = 50.0

    def __post_init__(self):
        positive(T=self.T)
        self._holds()

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = 0."""
        return floats(x).new_zeros(()).expand_as(x)

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √(2t)."""
        return (2 * self._time(align(t, x))).sqrt()

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = 1,  std = t."""
        t = self._time(t)
        return torch.ones_like(t), t

    def time(self, ratio: Tensor) -> Tensor:
        """t = ratio."""
        return self._reached(ratio)


@dataclass(frozen=True)
class VP(GaussianSDE):
    """Variance preserving:  dx = −½ β(t) x dt + √β(t) dw,   β(t) = β_min + (β_max − β_min) t/T.

    With B(t) = ∫₀ᵗ β:  scale = e^(−B/2),  std² = 1 − e^(−B).   Song et al. 2021, eq. 11 and 29.
    Raises ValueError unless 0 < β_min < β_max and T > 0.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    T: float = 1.0

    def __post_init__(self):
        positive(beta_min=self.beta_min, beta_max=self.beta_max, T=self.T)
        below = f"give a number below beta_max = {self.beta_max}"
        require(self.beta_min < self.beta_max, "beta_min", self.beta_min, below)
        self._holds()

    @property
    def _rise(self) -> float:
        """(β_max − β_min)/T, the slope of β."""
        return (self.beta_max - self.beta_min) / self.T

    def beta(self, t: Tensor) -> Tensor:
        """β(t) = β_min + (β_max − β_min) t/T, shaped like t."""
        return self.beta_min + self._rise * self._time(t)

    def integral(self, t: Tensor) -> Tensor:
        """B(t) = ∫₀ᵗ β(s) ds = β_min t + ½ (β_max − β_min) t²/T, shaped like t."""
        t = self._time(t)
        return self.beta_min * t + self._rise * t**2 / 2

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = −½ β(t) x."""
        return -self.beta(align(t, x)) / 2 * x

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √β(t)."""
        return self.beta(align(t, x)).sqrt()

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = e^(−B/2),  std = √(1 − e^(−B))."""
        B = self.integral(t)
        return torch.exp(-B / 2), torch.sqrt(-torch.expm1(-B))

    def time(self, ratio: Tensor) -> Tensor:
        """The t with B(t) = ln(1 + ratio²)."""
        return self._when(torch.log1p(self._reached(ratio) ** 2))

    def _when(self, B: Tensor) -> Tensor:
        """The t ≥ 0 that solves β_min t + ½ (β_max − β_min) t²/T = B."""
        return 2 * B / (self.beta_min + (self.beta_min**2 + 2 * self._rise * B).sqrt())


@dataclass(frozen=True)
class SubVP(VP):
    """Sub-VP:  dx = −½ β(t) x dt + √(β(t)(1 − e^(−2B(t)))) dw,  with B as in VP.

    scale = e^(−B/2),  std = 1 − e^(−B).   Song et al. 2021, eq. 12 and 29.
    """

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √(β(t) (1 − e^(−2B(t))))."""
        t = align(t, x)
        return torch.sqrt(self.beta(t) * -torch.expm1(-2 * self.integral(t)))

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = e^(−B/2),  std = 1 − e^(−B)."""
        B = self.integral(t)
        return torch.exp(-B / 2), -torch.expm1(-B)

    def time(self, ratio: Tensor) -> Tensor:
        """The t with B(t) = 2 arsinh(ratio/2)."""
        return self._when(2 * torch.asinh(self._reached(ratio) / 2))
