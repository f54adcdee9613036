"""Inverse problems by rules that correct the state after each step, in place of the score.

Neither draws from p(x₀ | y): chapter 14 measures by how much.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .checks import positive, require, within
from .inverse_problems import Mask, Operator, measured
from .predictor_corrector import forward_of
from .reversal import Reverse
from .solvers import Step, denoise


@dataclass(frozen=True)
class Replacement:
    """x ← step(x);  then x[seen] ← scale·y + √max(std² − scale² σ_y², 0) z:
    the seen part is put back at every noise level.

    A step for `integrate`, on a Reverse, for inpainting.  generator: draws z.
    What is put back is drawn anew each time and knows nothing of the rest of x, so it is no draw
    from p_t(x | y).  Raises ValueError for an operator that is no Mask, and unless sigma_y > 0.
    Song et al. 2021 (arXiv:2011.13456), appendix I.2, where σ_y = 0.
    """

    step: Step
    operator: Mask
    y: Tensor
    sigma_y: float
    _: KW_ONLY
    generator: torch.Generator

    def __post_init__(self):
        is_mask, kind = isinstance(self.operator, Mask), type(self.operator).__name__
        require(is_mask, "operator", kind, "give a Mask, whose coordinates are put back")
        positive(sigma_y=self.sigma_y)

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        x = self.step(sde, x, t, dt, dw)
        scale, std = (a.to(x) for a in forward_of(sde).marginal(t + dt))
        seen = self.operator(x)
        z = WhiteNoise(seen, generator=self.generator)(torch.zeros(()), torch.ones(()))
        std = (std**2 - (scale * self.sigma_y) ** 2).clamp(min=0).sqrt()
        put = scale * measured(self.y, seen) + std * z
        return x + self.operator.adjoint(put - seen)


@dataclass(frozen=True)
class DPS:
    """x ← step(x) − ζ ∇ₓ‖y − A D(x)‖,  the gradient at the state before the step.

    A step for `integrate`, on a Reverse: diffusion posterior sampling with its authors' step size.
    ζ stands for the noise of y, whose standard deviation the rule does not ask for, and its best
    value depends on the number of steps.
    Raises ValueError for zeta that is negative or not finite.
    Chung et al. 2023 (arXiv:2209.14687), algorithm 1 and section 4.
    """

    step: Step
    operator: Operator
    y: Tensor
    zeta: float = 1.0

    def __post_init__(self):
        within(0, math.inf, zeta=self.zeta)

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            seen = self.operator(denoise(forward_of(sde), sde.checked_score, start, t))
            off = (measured(self.y, seen) - seen).flatten(1).norm(dim=1)
            (gradient,) = torch.autograd.grad(off.sum(), start)
        return self.step(sde, x, t, dt, dw) - self.zeta * gradient
