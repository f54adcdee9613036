"""Flow matching: learn the velocity of the probability flow, along the straight path from data to
noise.

    x_t = (1 − t) x₀ + t z,   z ~ N(0, I),        data at t = 0, noise at t = 1.

This is one more Gaussian path, scale = 1 − t and std = t, so everything in this package runs on it.
For every Gaussian path the velocity of the flow is the mean of the velocities of the pairs (x₀, z)
that pass through x, and it is affine in the score:

    v(x, t) = E[scale' x₀ + std' z | x_t = x] = f(x, t) − ½ g(t)² s(x, t);

on the straight path v = E[z − x₀ | x_t = x] = −(x + t s)/(1 − t). A prime is the derivative in t.
Lipman et al. 2023 (arXiv:2210.02747), Liu, Gong & Liu 2023 (arXiv:2209.03003), Albergo &
Vanden-Eijnden 2023 (arXiv:2209.15571); their time runs the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import like, positive, require, same_shape
from .reversal import Reverse, Score
from .score_matching import DenoisingLoss
from .sdes import GaussianSDE

Velocity = Callable[[Tensor, Tensor], Tensor]
"""velocity(x, t) = v(x, t), shaped like x; t is a scalar tensor or has shape (batch,)."""


@dataclass(frozen=True)
class StraightPath(GaussianSDE):
    """dx = −x/(1 − t) dt + √(2t/(1 − t)) dw:   x_t | x_0 ~ N((1 − t) x_0, t² I).

    From scale = 1 − t and std = t by f = (ln scale)' x and g² = 2 std² (ln(std/scale))'.
    T: below 1, for there std/scale = t/(1 − t) has no bound, and no score is left of the data.
    """

    T: float = 0.999

    def __post_init__(self):
        require(0 < self.T < 1, "T", self.T, "give a time below 1, where std/scale is infinite")
        self._holds()

    @classmethod
    def up_to(cls, ratio: float) -> StraightPath:
        """The path that ends where std/scale = ratio > 0:  T = ratio/(1 + ratio)."""
        positive(ratio=ratio)
        return cls(ratio / (1 + ratio))

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f = −x/(1 − t)."""
        return -x / (1 - self._time(like(t, x)))

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(t) = √(2t/(1 − t))."""
        t = self._time(like(t, x))
        return (2 * t / (1 - t)).sqrt()

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """scale = 1 − t,  std = t."""
        t = self._time(t)
        return 1 - t, t

    def time(self, ratio: Tensor) -> Tensor:
        """t = ratio/(1 + ratio)."""
        ratio = self._reached(ratio)
        return ratio / (1 + ratio)


def velocity_from_score(score: Score, sde: GaussianSDE) -> Velocity:
    """v = f − ½ g² s:  the right side of the probability flow."""
    return Reverse(sde, score, eta=0.0).drift


def score_from_velocity(velocity: Velocity, sde: GaussianSDE) -> Score:
    """s = 2 (f − v)/g²:  the inverse of `velocity_from_score`, so that a learned velocity runs on
    every solver.

    Raises ValueError, when it is called, where g = 0, as at t = 0 of the straight path.
    """

    def score(x: Tensor, t: Tensor) -> Tensor:
        g = sde.diffusion(x, t)
        require((g > 0).all(), "t", t, "g = 0 there, and v tells nothing of s; stop above")
        return 2 * (sde.drift(x, t) - same_shape("velocity(x, t)", velocity(x, t), x)) / g**2

    return score


def conditional_velocity(sde: GaussianSDE, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
    """scale' x₀ + std' z = f(x_t, t) + g²/(2 std) z:
    the velocity of the pair (x₀, z) at time t > 0, shaped like x0.

    On the straight path it is z − x₀ at every t.   Lipman et al. 2023, theorem 3.
    """
    x, std = sde.perturb(x0, t, z), sde.marginal(like(t, x0))[1]
    require((std > 0).all(), "t", t, "there is no noise there (std = 0); draw times above 0")
    return sde.drift(x, t) + sde.diffusion(x, t) ** 2 / (2 * std) * z


@dataclass(frozen=True)
class FlowMatchingLoss:
    """ℓ = ‖v_θ(x_t, t) − (scale' x₀ + std' z)‖²/d
    for each example, t ~ U(t_min, T): conditional flow matching.

    On the straight path the target is z − x₀. Its mean given x_t is v(x_t, t), so the minimiser is
    the velocity of the flow, and the loss is E‖v_θ − v‖²/d plus a constant that does not contain θ.
    It is `DenoisingLoss` of the score that v_θ stands for, with the weight (g²/(2 std))²: on the
    straight path 1/(1 − t)².
    sde: the path.  t_min: the smallest time drawn, above 0, below T.
    Lipman et al. 2023, theorem 2; Liu et al. 2023.
    """

    sde: GaussianSDE = StraightPath()
    t_min: float = 1e-5

    def __post_init__(self):
        DenoisingLoss(self.sde, self.t_min)  # which has the same times, and checks them

    def draw(self, x0: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(t, z): times (batch,), stratified over the batch, and z ~ N(0, I) like x0."""
        return DenoisingLoss(self.sde, self.t_min).draw(x0, generator=generator)

    def __call__(self, velocity: Velocity, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """The loss of each example, shape (batch,), for the given times and noise."""
        v, target = (
            velocity(self.sde.perturb(x0, t, z), t),
            conditional_velocity(self.sde, x0, t, z),
        )
        return (same_shape("velocity(x, t)", v, x0) - target).flatten(1).square().mean(1)
