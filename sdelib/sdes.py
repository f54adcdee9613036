"""Itô equations with diagonal noise, their Gaussian marginals, and their reversal.

    dx = f(x, t) dt + g(x, t) dw,        data at t = 0, noise at t = T.

The three Gaussian families are those of Song et al. 2021 (arXiv:2011.13456), section 3.4 and
appendix B. Because their drifts are linear in x, the law of x_t given x_0 is known exactly:

    x_t | x_0 ~ N(scale(t)·x_0, std(t)²·I).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import floats, like, number, positive


class SDE(ABC):
    """dx = drift(x, t) dt + diffusion(x, t) dw, with a diagonal diffusion (one number a
    coordinate)."""

    @abstractmethod
    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t), shaped like x."""

    @abstractmethod
    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(x, t), of a shape that broadcasts to x."""


class GaussianSDE(SDE):
    """An SDE with linear drift, so x_t | x_0 ~ N(scale(t)·x_0, std(t)²·I) in closed form."""

    T: float

    @abstractmethod
    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(scale, std) of x_t | x_0, each shaped like t.
        Raises ValueError when t is outside [0, T]."""

    @abstractmethod
    def time(self, ratio: Tensor) -> Tensor:
        """The t at which std/scale = ratio: the inverse of `ratio`, shaped like ratio.

        Raises ValueError for a ratio that is negative, or above the one at T.
        """

    def _reached(self, ratio: Tensor | float) -> Tensor:
        """ratio as a tensor, or a ValueError where the process never has it."""
        ratio, last = (
            torch.as_tensor(ratio),
            float(self.ratio(torch.tensor(self.T, dtype=torch.float64))),
        )
        if not bool(((ratio >= 0) & (ratio <= last * (1 + 1e-5))).all()):
            raise ValueError(
                f"ratio = {ratio.tolist()} is not between 0 and {last:g}, the std/scale of {self} at T"
            )
        return ratio if ratio.is_floating_point() else number(ratio, torch.empty(0))

    def _holds(self) -> None:
        """Raise ValueError where float32 cannot hold the end of the process."""
        scale, std = self.marginal(torch.tensor(self.T))
        if not (1e-18 < float(scale) and 1e-18 < float(std) < 1e18):
            raise ValueError(
                f"{self} ends with scale = {float(scale):g} and std = {float(std):g}: "
                "float32 cannot compute with their squares; give numbers of ordinary size"
            )

    def ratio(self, t: Tensor) -> Tensor:
        """std/scale of x_t | x_0, the noise-to-signal ratio, shaped like t.  It grows with t."""
        scale, std = self.marginal(t)
        return std / scale

    def transition(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(r, v) of x_t | x_s ~ N(r·x_s, v·I) for s ≤ t:  r = scale_t/scale_s,
        v = std_t² − r² std_s².

        Computed in float64, since v is a small difference when s is near t. For s > t the formulas
        are
        those of the way back: r becomes 1/r and v becomes −v/r².
        """
        (scale_s, std_s), (scale_t, std_t) = (
            self.marginal(torch.as_tensor(a).double()) for a in (s, t)
        )
        r = scale_t / scale_s
        return r, std_t**2 - r**2 * std_s**2

    @property
    def prior_std(self) -> float:
        """Standard deviation of the prior N(0, prior_std²·I) that stands in for p_T."""
        return float(self.marginal(torch.tensor(self.T, dtype=torch.float64))[1])

    def perturb(self, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """x_t = scale(t)·x_0 + std(t)·z, one draw of the forward process when z ~ N(0, I).

        x0, z: the same shape (batch, …).  t: a scalar or shape (batch,).
        """
        if x0.shape != z.shape:
            raise ValueError(
                f"z has shape {tuple(z.shape)} but x0 has {tuple(x0.shape)}: give them the same"
            )
        scale, std = self.marginal(like(t, x0))
        return scale * x0 + std * z

    def sample_prior(
        self,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Draw x ~ N(0, prior_std²·I) of the given shape, on `device` (default: the
        generator's)."""
        z = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
        return (self.prior_std * z).to(device or generator.device)

    def _time(self, t: Tensor | float) -> Tensor:
        t = t if torch.is_tensor(t) and t.is_floating_point() else number(t, torch.empty(0))
        floats(t, "t")
        slack = 1e-6 * self.T
        if bool(((t < -slack) | (t > self.T + slack) | t.isnan()).any()):
            raise ValueError(f"t = {t.detach().cpu().tolist()} leaves [0, {self.T}]")
        return t.clamp(0, self.T)


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
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min = {self.sigma_min} is not below sigma_max = {self.sigma_max}"
            )
        self._holds()

    @classmethod
    def power(cls, sigma: float) -> VE:
        """dx = σᵗ dw, the equation of the source:  std(t)² = (σ²ᵗ − 1)/(2 ln σ).

        It is VE with σ_min = 1/√(2 ln σ), σ_max = σ/√(2 ln σ) and T = 1. At t = 1 the noise has
        standard deviation 9.845 for σ = 25: σ is the base of a power, not the noise level.
        Raises ValueError unless σ > 1.
        """
        if not (math.isfinite(sigma) and sigma > 1):
            raise ValueError(f"sigma = {sigma!r}: dx = sigma**t dw needs a finite sigma above 1")
        root = math.sqrt(2 * math.log(sigma))
        return cls(sigma_min=1 / root, sigma_max=sigma / root)

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = 0."""
        return torch.zeros_like(floats(x))

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = σ(t) √(2 ln(σ_max/σ_min)/T)."""
        rate = self._log_ratio / self.T
        return self.sigma_min * torch.exp(rate * self._time(like(t, x))) * math.sqrt(2 * rate)

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = 1,  std = σ_min √((σ_max/σ_min)^(2t/T) − 1)."""
        t = self._time(t)
        return torch.ones_like(t), self.sigma_min * torch.sqrt(
            torch.expm1(2 * self._log_ratio / self.T * t)
        )

    def time(self, ratio: Tensor) -> Tensor:
        """t = T ln(1 + ratio²/σ_min²)/(2 ln(σ_max/σ_min))."""
        return (
            self.T
            * torch.log1p((self._reached(ratio) / self.sigma_min) ** 2)
            / (2 * self._log_ratio)
        )


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
        return torch.zeros_like(floats(x))

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √(2t)."""
        return (2 * self._time(like(t, x))).sqrt()

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
        if self.beta_min >= self.beta_max:
            raise ValueError(f"beta_min = {self.beta_min} is not below beta_max = {self.beta_max}")
        self._holds()

    def beta(self, t: Tensor) -> Tensor:
        """β(t) = β_min + (β_max − β_min) t/T, shaped like t."""
        return self.beta_min + (self.beta_max - self.beta_min) * self._time(t) / self.T

    def integral(self, t: Tensor) -> Tensor:
        """B(t) = ∫₀ᵗ β(s) ds = β_min t + ½ (β_max − β_min) t²/T, shaped like t."""
        t = self._time(t)
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / (2 * self.T)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = −½ β(t) x."""
        return -self.beta(like(t, x)) / 2 * x

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √β(t)."""
        return self.beta(like(t, x)).sqrt()

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = e^(−B/2),  std = √(1 − e^(−B))."""
        B = self.integral(t)
        return torch.exp(-B / 2), torch.sqrt(-torch.expm1(-B))

    def time(self, ratio: Tensor) -> Tensor:
        """The t with B(t) = ln(1 + ratio²)."""
        return self._when(torch.log1p(self._reached(ratio) ** 2))

    def _when(self, B: Tensor) -> Tensor:
        """The t ≥ 0 that solves β_min t + ½ (β_max − β_min) t²/T = B."""
        return (
            2
            * B
            / (
                self.beta_min
                + (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) / self.T * B).sqrt()
            )
        )


@dataclass(frozen=True)
class SubVP(VP):
    """Sub-VP:  dx = −½ β(t) x dt + √(β(t)(1 − e^(−2B(t)))) dw,  with B as in VP.

    scale = e^(−B/2),  std = 1 − e^(−B).   Song et al. 2021, eq. 12 and 29.
    """

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √(β(t) (1 − e^(−2B(t))))."""
        t = like(t, x)
        return torch.sqrt(self.beta(t) * -torch.expm1(-2 * self.integral(t)))

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = e^(−B/2),  std = 1 − e^(−B)."""
        B = self.integral(t)
        return torch.exp(-B / 2), -torch.expm1(-B)

    def time(self, ratio: Tensor) -> Tensor:
        """The t with B(t) = 2 arsinh(ratio/2)."""
        return self._when(2 * torch.asinh(self._reached(ratio) / 2))
