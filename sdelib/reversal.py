"""The way back: the reverse SDE and the probability flow ODE, one family in η.

dx = [f − ½(1 + η²) g² ∇ₓ log p_t(x)] dt + η g dw̄,      solved with dt < 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import align, number, require, same_shape
from .sdes import SDE, GaussianSDE, Kind

Score = Callable[[Tensor, Tensor], Tensor]
"""score(x, t) = ∇ₓ log p_t(x), shaped like x; t is a scalar tensor or has shape (batch,)."""


@dataclass(frozen=True)
class PricedScore:
    """A score that costs several evaluations of a network: of two labels, say."""

    score: Score
    evaluations: int

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return self.score(x, t)


def evaluations_of(score: Score) -> int:
    """How many evaluations of a network the score costs."""
    return score.evaluations if isinstance(score, PricedScore) else 1


@dataclass(frozen=True)
class Reverse(SDE):
    """dx = [f − ½(1 + η²) g² ∇ₓ log p_t(x)] dt + η g dw̄,  solved with dt < 0.

    η = 1 is the reverse SDE of Anderson 1982 (Song et al. 2021, eq. 6), η = 0 the probability
    flow ODE (eq. 13); every η ≥ 0 has the same marginals p_t when the score is exact and the
    start is p_T.  forward: an SDE whose diffusion does not depend on x.
    Raises ValueError when η < 0, and, when it happens, for a score(x, t) that is not shaped like x.
    """

    forward: SDE
    score: Score
    eta: float = 1.0

    def __post_init__(self):
        cure = "give 0 (probability flow), 1 (reverse SDE), or any number >= 0"
        require(0 <= self.eta < 1e18, "eta", self.eta, cure)
        require(self.forward.noise not in ("own", "cross"), "forward", self.forward, NEEDS_G_OF_T)

    @property
    def noise(self) -> Kind:
        """None for η = 0, and otherwise what the forward equation has, which is g(t)."""
        return "none" if self.eta == 0 else self.forward.noise

    def kind_of_noise(self, x: Tensor, t: Tensor) -> Kind:
        """That of the forward equation, which must be g(t); none for η = 0."""
        kind = self.forward.kind_of_noise(x, t)
        require(kind in ("none", "additive"), "forward", self.forward, NEEDS_G_OF_T)
        return "none" if self.eta == 0 else kind

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t) − ½(1 + η²) g(t)² score(x, t)."""
        g = self.forward.diffusion(x, t)
        pull = (1 + self.eta**2) / 2 * g**2 * self.score_at(x, t)
        return self.forward.drift(x, t) - pull

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """η g(t)."""
        return self.eta * self.forward.diffusion(x, t)

    def score_at(self, x: Tensor, t: Tensor) -> Tensor:
        """score(x, t), for t in any precision and on any device."""
        return same_shape("score(x, t)", self.score(x, number(t, x)), x)

    def direction(self, start: float, stop: float) -> None:
        """Raise ValueError for start < stop, unless η = 0."""
        cure = f"it ascends, but Reverse with eta = {self.eta:g} is solved backwards: descend"
        require(start > stop or self.eta == 0, "times", (start, stop), cure)

    def blame(self, x: Tensor, t: Tensor) -> str:
        """The score, where it is not finite at (x, t)."""
        s = self.score(x, number(t, x))
        if bool(s.isfinite().all()):
            return ""
        where = f"{s[~s.isfinite()][0].item()} at t = {float(t):g}"
        return f"score(x, t) returned {where}; check it, or stop at a larger t_min"


NEEDS_G_OF_T = "its diffusion depends on x, and the reversal is right for g(t) only"


def forward_of(sde: Any, eta: float | None = None) -> GaussianSDE:
    """The Gaussian SDE that `sde` reverses.  Raises ValueError when there is none, or η is another
    than is asked for."""
    forward: Any = sde.forward if isinstance(sde, Reverse) else None
    cure = "this step undoes a Gaussian SDE, so give Reverse(forward, score), its forward VE or VP"
    require(isinstance(forward, GaussianSDE), "sde", sde, cure)
    require(eta is None or sde.eta == eta, "sde.eta", sde.eta, f"this step is made for eta = {eta}")
    return forward


def denoise(sde: GaussianSDE, score: Score, x: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t = x] = (x + std² score(x, t))/scale: the noiseless last step (Robbins 1956; Efron
    2011)."""
    scale, std = (align(a, x) for a in sde.marginal(torch.as_tensor(t)))
    return (x + std**2 * score(x, number(t, x))) / scale
