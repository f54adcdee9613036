"""Solvers that come far in few steps: they know the denoiser, and solve everything else exactly.

In the variable y = x/scale and the clock ℓ = −ln σ, where σ = std/scale is the noise-to-signal
ratio, the family `Reverse(sde, score, eta)` of every Gaussian SDE is the same equation,

    dy = (1 + η²) [D(y, ℓ) − y] dℓ + η σ √2 dw_ℓ,        D = E[x₀ | x_t], the denoiser,

which is linear but for D. `DPMSolver` solves it over a step with D a polynomial in ℓ; `EDMHeun`
takes σ itself as the time. Both are steps for `integrate`, on a Reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .checks import require, whole
from .reversal import Reverse, forward_of
from .sdes import SDE
from .stepping import Step, blend


class Before(NamedTuple):
    """What DPMSolver remembers of the step before: its length h in ℓ, and its denoised D."""

    h: Tensor
    denoised: Tensor


@dataclass(frozen=True)
class DPMSolver(Step):
    """y' = a y + (1 − a) D̃ + σ' √(1 − e^(−2η²h)) z,   a = e^(−(1+η²)h),   h = ln(σ/σ'),
    D̃ = D + h/(2 h₋) (D − D₋),

    with y = x/scale, z = dw/√|dt|, and D₋, h₋ of the step before.  η is that of the Reverse: 0 is
    DPM-Solver++(2M), 1 its SDE form. order = 1, and every first step, takes D̃ = D: for η = 0 that
    is DDIM (Song, Meng & Ermon 2021).  One evaluation of the score a step.  For η = 0 the order is
    the one that is given.
    Raises ValueError for another order.   Lu et al. 2022 (arXiv:2211.01095), eq. 9, algorithm 2 and
    appendix A; for 0 < η < 1 the same derivation.
    """

    order: int = 2

    def __post_init__(self):
        require(self.order in (1, 2), "order", self.order, "give 1 or 2")

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, *dw: Tensor) -> Tensor:
        return self.advance(None, sde, x, t, dt, *dw)[0]

    def advance(
        self, memory: Before | None, sde: Reverse, x: Tensor, *rest: Tensor
    ) -> tuple[Tensor, Before]:
        (t, dt, dw), forward = rest, forward_of(sde)
        scale, std = forward.marginal(t.double())
        scale_next, std_next = forward.marginal(t.double() + dt.double())
        sigma, sigma_next = std / scale, std_next / scale_next
        h, rate = (sigma / sigma_next).log(), 1 + sde.eta**2
        D = blend(1 / scale, x, std**2 / scale, sde.score_at(x, t))
        ahead = D
        if memory is not None and self.order == 2:
            ahead = D + h / (2 * memory.h) * (D - memory.denoised)
        a = torch.exp(-rate * h)
        x = blend(a * scale_next / scale, x, (1 - a) * scale_next, ahead)
        if sde.eta > 0:
            spread = torch.sqrt(-torch.expm1(-2 * sde.eta**2 * h) / dt.abs())
            x = x + std_next * spread * dw
        return x, Before(h, D)


@dataclass(frozen=True)
class EDMHeun(Step):
    """ŷ = y + s_noise √(σ̂² − σ²) z,  σ̂ = (1 + γ) σ;  then Heun's step of  dy/dσ = (y − D)/σ  from
    σ̂ to σ'.

    γ = min(churn/steps, √2 − 1) for s_min ≤ σ ≤ s_max, else 0; σ̂ is not taken above the ratio at
    T, so the first step of a full solve has no churn. Noise goes in, and the flow takes it out
    again: a corrector inside the step.
    churn: 0 is the deterministic sampler.  steps: of the whole solve.
    s_noise: slightly above 1 makes up for a denoiser that removes too much.
    Two evaluations of the score a step, on the Reverse of a Gaussian SDE with η = 0, or a
    ValueError.   Karras et al. 2022 (arXiv:2206.00364), algorithms 1 and 2.
    """

    churn: float = 0.0
    steps: int = 1
    s_min: float = 0.0
    s_max: float = math.inf
    s_noise: float = 1.0

    evaluations = 2
    order = 2.0

    def __post_init__(self):
        whole(steps=self.steps)
        require(0 <= self.churn < math.inf, "churn", self.churn, "give a finite number >= 0")

    def needs_noise(self, sde: SDE) -> bool:
        return self.churn > 0

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, *dw: Tensor) -> Tensor:
        forward, t, end = forward_of(sde, eta=0.0), t.double(), t.double() + dt.double()
        sigma, sigma_next = forward.ratio(t), forward.ratio(end)
        churned = self.churn > 0 and self.s_min <= float(sigma) <= self.s_max
        gamma = min(self.churn / self.steps, math.sqrt(2) - 1) if churned else 0.0
        last = forward.ratio(torch.tensor(forward.T).double())
        sigma_hat = torch.minimum((1 + gamma) * sigma, last)
        y = x / forward.marginal(t)[0]
        if sigma_hat > sigma:
            y = y + self.s_noise * ((sigma_hat**2 - sigma**2) / dt.abs()).sqrt() * dw[0]
            t = forward.time(sigma_hat)
        slope = self._slope(sde, y, t, sigma_hat)
        ahead = y + (sigma_next - sigma_hat) * slope
        slope = (slope + self._slope(sde, ahead, end, sigma_next)) / 2
        return forward.marginal(end)[0] * (y + (sigma_next - sigma_hat) * slope)

    @staticmethod
    def _slope(sde: Reverse, y: Tensor, t: Tensor, sigma: Tensor) -> Tensor:
        """dy/dσ = (y − D)/σ = −σ·scale·s."""
        scale = forward_of(sde).marginal(t)[0]
        return -sigma * scale * sde.score_at(scale * y, t)
