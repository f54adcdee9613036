"""Inverse problems by rules that correct the state after each step, in place of the score.

Neither draws from p(x₀ | y): chapter 14 measures by how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .checks import positive, require, within
from .inverse_problems import Mask, Operator, measured
from .reversal import Reverse, denoise, forward_of
from .stepping import Around, Step, as_step


@dataclass(frozen=True)
class Replacement(Around):
    """x ← step(x);  then x[seen] ← scale·y + √max(std² − scale² σ_y², 0) z:
    the seen part is put back at every noise level.

    A step for `integrate`, on a Reverse, for inpainting.  generator: draws z.
    What is put back is drawn anew each time and knows nothing of the rest of x, so it is no draw
    from p_t(x | y).  Raises ValueError for an operator that is no Mask, and unless sigma_y > 0.
    Song et al. 2021 (arXiv:2011.13456), appendix I.2, where σ_y = 0.
    """

    step: Step | Callable[..., Tensor]
    operator: Mask
    y: Tensor
    sigma_y: float
    _: KW_ONLY
    generator: torch.Generator

    def __post_init__(self):
        is_mask, kind = isinstance(self.operator, Mask), type(self.operator).__name__
        require(is_mask, "operator", kind, "give a Mask, whose coordinates are put back")
        positive(sigma_y=self.sigma_y)

    @property
    def inner(self) -> Step:
        return as_step(self.step)

    @property
    def evaluations(self) -> int:
        return self.inner.evaluations

    def after(self, sde: Reverse, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        scale, std = forward_of(sde).marginal(t_next)
        seen = self.operator(x)
        z = WhiteNoise(seen, generator=self.generator).normal()
        std = (std**2 - (scale * self.sigma_y) ** 2).clamp(min=0).sqrt()
        put = scale * measured(self.y, seen) + std * z
        return x + self.operator.adjoint(put - seen)


@dataclass(frozen=True)
class DPS(Around):
    """x ← step(x) − ζ ∇ₓ‖y − A D(x)‖,  the gradient at the state before the step.

    A step for `integrate`, on a Reverse: diffusion posterior sampling with its authors' step size.
    ζ stands for the noise of y, whose standard deviation the rule does not ask for, and its best
    value depends on the number of steps.
    Raises ValueError for zeta that is negative or not finite.
    Chung et al. 2023 (arXiv:2209.14687), algorithm 1 and section 4.
    """

    step: Step | Callable[..., Tensor]
    operator: Operator
    y: Tensor
    zeta: float = 1.0

    def __post_init__(self):
        within(0, math.inf, zeta=self.zeta)

    @property
    def inner(self) -> Step:
        return as_step(self.step)

    @property
    def evaluations(self) -> int:
        return self.inner.evaluations + 1

    def after(self, sde: Reverse, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        with torch.enable_grad():
            start = before.detach().requires_grad_()
            seen = self.operator(denoise(forward_of(sde), sde.score_at, start, t))
            off = (measured(self.y, seen) - seen).flatten(1).norm(dim=1)
            (gradient,) = torch.autograd.grad(off.sum(), start)
        return x - self.zeta * gradient
