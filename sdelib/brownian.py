"""Brownian paths that every solver and every step size can share.

    noise(t, t_next) = W(t_next) − W(t) ~ N(0, |t_next − t| I),
    noise.area(t, t_next) = ∫ₜ^{t_next} (W(s) − W(t)) ds,

for either direction of time. To compare two solvers, or two step sizes, give them the same path.
The pair is Gaussian: over a step of length h the area has variance h³/3, and covariance ½h² with
the increment (½h|h| when h < 0), for each coordinate.  Kloeden & Platen 1992, section 10.4.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import finite, floats

Noise = Callable[[Tensor, Tensor], Tensor]
"""noise(t, t_next) = W(t_next) − W(t), shaped like the state x."""


class WhiteNoise:
    """Fresh, independent increments √|t_next − t|·z with z ~ N(0, I): constant memory, for
    sampling.

    x: a tensor whose shape, dtype and device the increments take.  The draws are made on the
    generator's device, so a CPU generator gives the same noise to a run on any device.
    """

    def __init__(self, x: Tensor, *, generator: torch.Generator):
        self.x, self.generator, self._last = floats(x), generator, None

    def _normal(self) -> Tensor:
        z = torch.randn(
            self.x.shape, generator=self.generator, device=self.generator.device, dtype=self.x.dtype
        )
        return z.to(self.x.device)

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        dw = finite("noise", (t_next - t).abs().sqrt().to(self.x) * self._normal())
        self._last = (float(t), float(t_next), dw)
        return dw

    def area(self, t: Tensor, t_next: Tensor) -> Tensor:
        """∫ₜ^{t_next} (W(s) − W(t)) ds = ½h·dw + |h|^{3/2} z/√12, for the increment dw asked last,
        h = t_next − t.

        Raises ValueError when the last increment was another one.
        """
        if self._last is None or self._last[:2] != (float(t), float(t_next)):
            raise ValueError(
                f"area({float(t):g}, {float(t_next):g}) belongs to no increment: WhiteNoise forgets, so ask "
                "for the area right after noise(t, t_next), or take a BrownianPath"
            )
        h = float(t_next - t)
        return finite(
            "area", h / 2 * self._last[2] + abs(h) * math.sqrt(abs(h) / 12) * self._normal()
        )


class Still:
    """No noise: zeros shaped like x, for ordinary differential equations (Reverse with eta = 0)."""

    def __init__(self, x: Tensor):
        self.zero = torch.zeros_like(floats(x))

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        return self.zero

    def area(self, t: Tensor, t_next: Tensor) -> Tensor:
        return self.zero


class BrownianPath:
    """One path W, drawn at `times` and kept: every sub-grid, and every finer grid, sees the same
    path.

    times: strictly monotone, shape (n,); two times are enough.
    x: a tensor whose shape, dtype and device W takes; the path needs as many times the memory of x
    as it knows times.  W(times[0]) = 0.
    Asked at a new time between the first and the last, it draws W there given all that it has told
    (a Brownian bridge), and keeps the answer; likewise for areas. So what it answers does not
    depend on the solver that asks, only which random numbers it takes depends on the order of the
    questions.
    Raises ValueError when it is asked before its first or after its last time.
    """

    def __init__(self, times: Tensor, x: Tensor, *, generator: torch.Generator):
        step = times.diff()
        if (
            times.ndim != 1
            or len(times) < 2
            or not bool((step > 0).all() | (step < 0).all())
            or not bool(step.isfinite().all())
        ):
            raise ValueError(
                f"times has shape {tuple(times.shape)} or is not strictly monotone: give a grid of finite times"
            )
        self._noise = WhiteNoise(x, generator=generator)
        increments = [self._noise(a, b) for a, b in zip(times[:-1], times[1:])]
        self._first, self._sign = float(times[0]), math.copysign(1.0, float(step[0]))
        self._clock = [
            abs(float(t) - self._first) for t in times
        ]  # 0 = u_0 < u_1 < …, as seconds run
        self._w = list(torch.stack([torch.zeros_like(x), *increments]).cumsum(0))  # W at u_k
        self._areas: list[Tensor | None] = [None] * len(
            increments
        )  # ∫ (W − W(u_k)) du over [u_k, u_{k+1}]

    @property
    def times(self) -> Tensor:
        """All times at which W is known, in the direction of the path, float64."""
        return self._first + self._sign * torch.tensor(self._clock, dtype=torch.float64)

    def _index(self, t: Tensor | float) -> int:
        """The place of t among the known times; a new time is inserted."""
        u, slack = self._sign * (float(t) - self._first), 1e-6 * self._clock[-1]
        if not -slack <= u <= self._clock[-1] + slack:
            last = self._first + self._sign * self._clock[-1]
            raise ValueError(
                f"t = {float(t):g} is outside this Brownian path, which runs from {self._first:g} to {last:g}"
            )
        i = bisect.bisect(self._clock, u)
        near = min(
            range(max(0, i - 1), min(len(self._clock), i + 1)),
            key=lambda k: abs(self._clock[k] - u),
        )
        if abs(self._clock[near] - u) > slack:
            self._insert(i, u)
            return i
        return near

    def _insert(self, i: int, u: float) -> None:
        """Draw W(u) between the known u_{i−1} and u_i, given W there and, where it is known, the
        area."""
        left, right, area = self._w[i - 1], self._w[i], self._areas[i - 1]
        h1, h2 = u - self._clock[i - 1], self._clock[i] - u
        h = h1 + h2
        if area is None:
            dw = h1 / h * (right - left) + math.sqrt(h1 * h2 / h) * self._noise._normal()
            areas = [None, None]
        # (dw, a), increment and area of the first part, given those of the whole; lengths in units
        # of h
        else:
            p, q = h1 / h, h2 / h
            told = torch.tensor([[1, 1 / 2], [1 / 2, 1 / 3]], dtype=torch.float64)
            own = torch.tensor([[p, p**2 / 2], [p**2 / 2, p**3 / 3]], dtype=torch.float64)
            cross = torch.stack(
                [own[0], own[1] + q * own[0]], dim=1
            )  # with (dw + dw₂, a + q dw + a₂)
            gain = torch.linalg.solve(told, cross.T).T
            (c00, c01), (_, c11) = (own - gain @ cross.T).tolist()
            r0 = math.sqrt(max(c00, 1e-300))
            r1, r2 = c01 / r0, math.sqrt(max(c11 - (c01 / r0) ** 2, 0))
            z1, z2, gain = self._noise._normal(), self._noise._normal(), gain.tolist()
            dw = gain[0][0] * (right - left) + gain[0][1] / h * area + math.sqrt(h) * r0 * z1
            a = gain[1][0] * h * (right - left) + gain[1][1] * area + h**1.5 * (r1 * z1 + r2 * z2)
            areas = [a, area - a - h2 * dw]
        self._clock.insert(i, u)
        self._w.insert(i, left + dw)
        self._areas[i - 1 : i] = areas

    def at(self, t: Tensor | float) -> Tensor:
        """W(t) − W(times[0])."""
        return self._w[self._index(t)]

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        return self.at(t_next) - self.at(t)

    def area(self, t: Tensor, t_next: Tensor) -> Tensor:
        """∫ₜ^{t_next} (W(s) − W(t)) ds, of the same path."""
        self._index(t), self._index(t_next)  # both are known from here on
        i, j = self._index(t), self._index(t_next)
        low, high = min(i, j), max(i, j)
        total = torch.zeros_like(self._noise.x)
        for k in range(low, high):
            h = self._clock[k + 1] - self._clock[k]
            if self._areas[k] is None:
                self._areas[k] = (
                    h / 2 * (self._w[k + 1] - self._w[k])
                    + h**1.5 / math.sqrt(12) * self._noise._normal()
                )
            total = total + self._areas[k] + h * (self._w[k] - self._w[i])
        return math.copysign(1.0, float(t_next - t)) * total
