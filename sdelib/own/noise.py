"""Noise that belongs to an example: number k draws from (seed, k) only.

So the first four of eight examples are the first four of four, whatever batches they go in: equal
but for the rounding of products of another size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from ..brownian import WhiteNoise
from ..checks import floats, require
from ..integration import AnyStep
from ..predictor_corrector import PredictorCorrector
from ..reversal import Reverse
from ..stepping import Step, as_step
from .luck import generator_of


class NoiseOfEach(WhiteNoise):
    """`WhiteNoise` whose part k, z[k] ~ N(0, I), depends on seed and numbers[k] only.

    x: a tensor whose shape (n, …), dtype and device the increments take.  numbers: n whole numbers,
    those of the examples.  The draws are made in float64 on the CPU, so a run in another precision,
    or on another device, sees the same noise.
    Raises ValueError for another count of numbers.
    """

    def __init__(self, x: Tensor, *, seed: int, numbers: Iterable[int]):
        self.x, numbers = floats(x, axes=1), list(numbers)
        cure = f"give one number for each of the {len(x)} x"
        require(len(numbers) == len(x), "numbers", len(numbers), cure)
        self.generators = [generator_of("noise", seed, k) for k in numbers]

    def normal(self) -> Tensor:
        """z ~ N(0, I), shaped like x."""
        z = torch.empty(self.x.shape, dtype=torch.float64)
        for part, generator in zip(z, self.generators):
            part.normal_(generator=generator)
        return z.to(self.x)


@dataclass(frozen=True)
class CorrectorOfEach(PredictorCorrector):
    """A `PredictorCorrector` whose Langevin moves take each example's own noise and its own step,
    ε_k = 2 (snr ‖z‖/‖s_k‖)²  with d for ‖z‖²: the rest of the batch has no part in it."""

    _: KW_ONLY
    generator: torch.Generator | None = None  # type: ignore[assignment]
    noise: NoiseOfEach

    def after(self, sde: Reverse, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        for _ in range(self.corrections):
            s = sde.score_at(x, t_next)
            axes = tuple(range(1, s.ndim))
            eps = 2 * self.snr**2 / s.square().mean(axes, keepdim=True)
            x = x + eps * s + (2 * eps).sqrt() * self.noise.normal()
        return x


def of_each(step: AnyStep, noise: NoiseOfEach) -> Step:
    """The step itself; one with a corrector as a `CorrectorOfEach`."""
    if isinstance(step, PredictorCorrector):
        return CorrectorOfEach(step.predictor, step.snr, step.corrections, noise=noise)
    return as_step(step)
