"""TODO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import floats
from .sdes import SDE

Score = Callable[[Tensor, Tensor], Tensor]
"""score(x, t) = ∇ₓ log p_t(x), shaped like x; t is a scalar tensor or has shape (batch,)."""


def sound(s: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """The score s, or a ValueError that says where it went wrong."""
    if s.shape != x.shape:
        raise ValueError(
            f"score(x, t) has shape {tuple(s.shape)} at t = {float(torch.as_tensor(t).max()):g}; "
            f"it must be shaped like x, {tuple(x.shape)}"
        )
    if not bool(torch.isfinite(s).all()):
        bad = s[~torch.isfinite(s)][0].item()
        raise ValueError(
            f"score(x, t) returned {bad} at t = {float(torch.as_tensor(t).max()):g}; "
            "check the network there, or stop at a larger t_min"
        )
    return s


@dataclass(frozen=True)
class Reverse(SDE):
    """dx = [f − ½(1 + η²) g² ∇ₓ log p_t(x)] dt + η g dw̄,  solved with dt < 0.

    η = 1 is the reverse SDE of Anderson 1982 (Song et al. 2021, eq. 6), η = 0 the probability
    flow ODE (eq. 13); every η ≥ 0 has the same marginals p_t when the score is exact and the
    start is p_T.  `forward` needs a diffusion that does not depend on x.
    Raises ValueError when η < 0, and, at the time it happens, when score(x, t) is not finite or
    is not shaped like x.
    """

    forward: SDE
    score: Score
    eta: float = 1.0

    def __post_init__(self):
        if not 0 <= self.eta < 1e18:
            raise ValueError(
                f"eta = {self.eta!r}: give 0 (probability flow), 1 (reverse SDE), or any number >= 0"
            )

    def checked_score(self, x: Tensor, t: Tensor) -> Tensor:
        """score(x, t), or a ValueError that says what is wrong with it and when."""
        return sound(self.score(floats(x), t), x, t)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t) − ½(1 + η²) g(t)² score(x, t)."""
        g = self.forward.diffusion(x, t)
        return self.forward.drift(x, t) - (1 + self.eta**2) / 2 * g**2 * self.checked_score(x, t)

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """η g(t)."""
        return self.eta * self.forward.diffusion(x, t)
