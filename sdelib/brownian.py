"""Brownian increments that every solver and every step size can share.

    noise(t, t_next) = W(t_next) − W(t) ~ N(0, |t_next − t| I),

for either direction of time. To compare two solvers, or two step sizes, give them the same path.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Noise", "WhiteNoise", "BrownianPath"]

Noise = Callable[[Tensor, Tensor], Tensor]
"""noise(t, t_next) = W(t_next) − W(t), shaped like the state x."""


class WhiteNoise:
    """Fresh, independent increments √|t_next − t|·z with z ~ N(0, I): constant memory, for sampling.

    x: a tensor whose shape, dtype and device the increments take.  The draws are made on the
    generator's device, so a CPU generator gives the same noise to a run on any device.
    """

    def __init__(self, x: Tensor, *, generator: torch.Generator):
        self.x, self.generator = x, generator

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        z = torch.randn(self.x.shape, generator=self.generator, device=self.generator.device, dtype=self.x.dtype)
        return (t_next - t).abs().sqrt().to(self.x) * z.to(self.x.device)


class BrownianPath:
    """One path W, drawn at `times` and kept: any sub-grid of `times` sees the same path.

    times: strictly monotone, shape (n,).  x: a tensor whose shape, dtype and device W takes; the
    path needs n times the memory of x.  The path is pinned at W(times[0]) = 0.
    Raises ValueError when it is asked at a time that is not in `times`.
    """

    def __init__(self, times: Tensor, x: Tensor, *, generator: torch.Generator):
        step = times.diff()
        if times.ndim != 1 or len(times) < 2 or not bool((step > 0).all() | (step < 0).all()):
            raise ValueError(f"times has shape {tuple(times.shape)} or is not strictly monotone: give a grid")
        dw = WhiteNoise(x, generator=generator)
        self.times = times
        self.w = torch.stack([torch.zeros_like(x), *(dw(a, b) for a, b in zip(times[:-1], times[1:]))]).cumsum(0)

    def at(self, t: Tensor) -> Tensor:
        """W(t) − W(times[0])."""
        i = int((self.times - t).abs().argmin())
        if abs(float(self.times[i] - t)) > 1e-6 * float((self.times[-1] - self.times[0]).abs()):
            raise ValueError(f"t = {float(t):g} is not a time of this Brownian path: draw the path on the finest "
                             "grid that you compare, and take every other grid from its times")
        return self.w[i]

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        return self.at(t_next) - self.at(t)
