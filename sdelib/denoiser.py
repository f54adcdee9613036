"""One denoiser for every Gaussian SDE, every solver and every noise level.

A denoiser sees x₀ + σz and gives the mean of x₀. It is preconditioned (Karras et al. 2022,
arXiv:2206.00364, table 1):

    D(x; σ, y) = m + c_skip (x − m) + c_out F(c_in (x − m); σ, y),        v = σ² + σ_d²,
    c_skip = σ_d²/v,   c_out = σ σ_d/√v,   c_in = 1/√v,

with the mean m and the standard deviation σ_d of the data, per coordinate, and a label y. With F =
0 it is the exact denoiser of data ~ N(m, σ_d² I). Because x_t = scale·(x₀ + (std/scale)·z) for
every Gaussian SDE, the score of any of them follows (`score_from`):

    s(x, t) = [D(x/scale; std/scale) − x/scale]·scale/std².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import checks
from .checks import like
from .reversal import PricedScore, Score
from .sdes import GaussianSDE

SIGMA_MIN, SIGMA_MAX = 0.002, 160.0
"""The noise levels of training: VP(0.1, 20) ends at std/scale = 152."""

NO_LABEL = -1
"""The label of an image whose class is not told."""


@dataclass(frozen=True)
class DenoiserLoss:
    """ℓ = λ(σ) ‖D(x₀ + σz; σ, y) − x₀‖²/d  for each example, with λ = (σ² + σ_d²)/(σ σ_d)² (Karras
    et al. 2022, eq. 2 and table 1).

    With this λ the network's own target has unit variance, and the loss begins near 1, at every σ.
    ln σ ~ N(mean, std²) for most of the batch, the levels at which there is something to learn; for
    the share `spread` of it ln σ is uniform over `levels`, so no level that an SDE visits is
    unseen.  flips: half of the images are mirrored left to right.  data_std: σ_d.
    drop: share of the labels not told, for guidance without a classifier (Ho & Salimans 2022).
    """

    mean: float = -1.2
    std: float = 1.4
    spread: float = 0.1
    drop: float = 0.1
    flips: bool = False
    data_std: float = 0.353
    levels: tuple[float, float] = (SIGMA_MIN, SIGMA_MAX)

    def __post_init__(self):
        for name, share in {"spread": self.spread, "drop": self.drop}.items():
            checks.require(0 <= share <= 1, name, share, "give a share from 0 to 1")
        checks.positive(std=self.std, data_std=self.data_std), checks.span("levels", self.levels)

    def draw(
        self, x0: Tensor, label: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(sigma, z, told, mirrored): levels (batch,), z ~ N(0, I) like x0, and for each image
        whether its label is told and whether it is mirrored."""
        n = len(checks.shaped("label", label, len(checks.floats(x0, "x0", axes=2))))
        how: Any = {"generator": checks.a_generator(generator)}
        u, told, mirrored = (torch.rand(n, **how) for _ in range(3))
        u = ((u + torch.arange(n)) / n)[torch.randperm(n, **how)]  # stratified
        u = u.double().clamp(1e-6, 1 - 1e-6)
        low, high = (math.log(sigma) for sigma in self.levels)
        wide = low + (high - low) * u / max(self.spread, 1e-12)
        rest = ((u - self.spread) / (1 - self.spread + 1e-12)).clamp(1e-6, 1 - 1e-6)
        bell = self.mean + self.std * torch.special.ndtri(rest)
        sigma = torch.where(u < self.spread, wide, bell).clamp(low, high).exp()
        sigma, z = sigma.to(x0.dtype), torch.randn(x0.shape, **how, dtype=x0.dtype)
        return (
            checks.finite("e^(mean + std·z)", sigma),
            z,
            told >= self.drop,
            (mirrored < 0.5) & self.flips,
        )

    def __call__(self, denoiser: Callable, x0, label, sigma, z, told, mirrored) -> Tensor:
        """The loss of each example, shape (batch,)."""
        x0 = torch.where(like(mirrored, x0).bool(), x0.flip(-1), x0)
        label = torch.where(told, label, NO_LABEL)
        error = (denoiser(x0 + like(sigma, x0) * z, sigma, label) - x0).flatten(1).square().mean(1)
        return error * (sigma**2 + self.data_std**2) / (sigma * self.data_std) ** 2


def score_from(
    denoiser: Callable[..., Tensor],
    sde: GaussianSDE,
    *,
    label: Tensor | int | None = None,
    guidance: float = 1.0,
) -> Score:
    """s(x, t) = [D − x/scale]·scale/std²  with  D = D_∅ + w (D_y − D_∅),
    both at x/scale and σ = std/scale.

    denoiser: D(x, sigma, label), such as a `Denoiser`.
    label: y, one for all images or one for each; None: no label.
    guidance: w. 1 is the score of the class, 0 that of all garments; above 1 the images are more
    typical of the class, and not distributed like it. Other w than 0 and 1 cost two evaluations.
    Karras et al. 2022, eq. 3; Ho & Salimans 2022 (arXiv:2207.12598), eq. 6, whose w is ours − 1.
    """
    fit = 0 <= guidance < 1e18 and (label is not None or guidance == 1)
    checks.require(fit, "guidance", guidance, "give the label to guide to, and w ≥ 0")

    def score(x: Tensor, t: Tensor) -> Tensor:
        scale, std = sde.marginal(like(t, checks.floats(x, axes=1)).reshape(-1))
        clean, sigma = x / like(scale, x), checks.levels("sigma", std / scale).expand(len(x))
        d = denoiser(clean, sigma, None if guidance == 0 else label)
        if guidance not in (0, 1):
            free = denoiser(clean, sigma, None)
            d = free + guidance * (d - free)
        return checks.same_shape("score(x, t)", (d - clean) * like(scale / std**2, x), x)

    return PricedScore(score, 1 if guidance in (0, 1) else 2)


def first_time(sde: GaussianSDE, sigma_min: float = SIGMA_MIN) -> float:
    """The t with std/scale = sigma_min, where solvers of `score_from(denoiser, sde)` should end."""
    return float(sde.time(torch.tensor(sigma_min, dtype=torch.float64)))
