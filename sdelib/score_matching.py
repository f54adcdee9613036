"""Losses whose minimiser is the score.

Denoising score matching (Vincent 2011, section 4), continuous in t (Song et al. 2021, eq. 7):

    J(θ) = E_t E_{x₀, z} [ λ(t) ‖s_θ(x_t, t) − ∇ log p(x_t | x₀)‖² ],   x_t = scale·x₀ + std·z,

where ∇ log p(x_t | x₀) = −z/std for a Gaussian kernel. The target is a noisy one; its mean given
x_t is ∇ log p_t(x_t), so the minimiser is the score of p_t and not of p_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .sdes import GaussianSDE, Score, like

__all__ = ["DenoisingLoss"]


@dataclass(frozen=True)
class DenoisingLoss:
    """ℓ = ‖std(t)·s_θ(x_t, t) + z‖² / d  for each example: λ(t) = std(t)², d coordinates.

    sde: the forward process.  t_min: the smallest time drawn, above 0.
    t_power: times are t = t_min + (T − t_min)·u^t_power with u ~ U(0, 1), stratified over the
    batch. 1 is the paper's t ~ U(t_min, T); 2 spends more of the batch on small noise.
    Raises ValueError unless 0 < t_min < T and t_power > 0.
    """

    sde: GaussianSDE
    t_min: float = 1e-5
    t_power: float = 1.0

    def __post_init__(self):
        if not 0 < self.t_min < self.sde.T:
            raise ValueError(f"t_min = {self.t_min} is not between 0 and T = {self.sde.T}")
        if not self.t_power > 0:
            raise ValueError(f"t_power = {self.t_power}: give a number above 0")

    def draw(self, x0: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(t, z): times of shape (batch,) and z ~ N(0, I) shaped like x0, drawn on the generator's device."""
        n = len(x0)
        u = torch.rand(n, generator=generator, device=generator.device, dtype=x0.dtype)
        u = (u + torch.arange(n, device=generator.device)) / n
        z = torch.randn(x0.shape, generator=generator, device=generator.device, dtype=x0.dtype)
        t = self.t_min + (self.sde.T - self.t_min) * u**self.t_power
        return t.to(x0.device), z.to(x0.device)

    def __call__(self, score: Score, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """The loss of each example, shape (batch,), for the given times and noise."""
        std = like(self.sde.marginal(t)[1], x0)
        error = std * score(self.sde.perturb(x0, t, z), t) + z
        return error.flatten(1).square().mean(1)
