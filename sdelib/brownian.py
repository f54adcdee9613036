"""Brownian paths that every solver and every step size can share.

    noise(t, t_next) = W(t_next) − W(t) ~ N(0, |t_next − t| I),
    noise.with_area(t, t_next) = that, and the area ∫ₜ^{t_next} (W(s) − W(t)) ds,

for either direction of time. To compare two solvers, or two step sizes, give them the same path.
The pair is Gaussian: over a step of length h the area has variance h³/3, and covariance ½h² with
the increment (½h|h| when h < 0), for each coordinate.  Kloeden & Platen 1992, section 10.4.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .checks import a_generator, floats, monotone, require

Noise = Callable[[Tensor, Tensor], Tensor]
"""noise(t, t_next) = W(t_next) − W(t), shaped like the state x."""


@runtime_checkable
class NoiseWithArea(Protocol):
    """A noise that knows the area under its path, too."""

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor: ...
    def with_area(self, t: Tensor, t_next: Tensor) -> tuple[Tensor, Tensor]: ...


class WhiteNoise:
    """Fresh, independent increments √|t_next − t|·z, z ~ N(0, I): constant memory, for sampling.

    x: a tensor whose shape, dtype and device the increments take.  The draws are made on the
    generator's device, so a CPU generator gives the same noise to a run on any device.
    """

    def __init__(self, x: Tensor, *, generator: torch.Generator):
        self.x, self.generator = floats(x), a_generator(generator)

    def normal(self) -> Tensor:
        """z ~ N(0, I), shaped like x."""
        where = {"device": self.generator.device, "dtype": self.x.dtype}
        return torch.randn(self.x.shape, generator=self.generator, **where).to(self.x.device)

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        h = abs(float(t_next - t))
        require(h < 1e36, "t_next − t", h, "give finite times of ordinary size")
        return math.sqrt(h) * self.normal()

    def with_area(self, t: Tensor, t_next: Tensor) -> tuple[Tensor, Tensor]:
        """(dw, ½h·dw + |h|^{3/2} z/√12) for h = t_next − t."""
        h, dw = float(t_next - t), self(t, t_next)
        return dw, h / 2 * dw + abs(h) * math.sqrt(abs(h) / 12) * self.normal()


class Still:
    """No noise: zeros shaped like x, for ordinary differential equations (Reverse with eta = 0)."""

    def __init__(self, x: Tensor):
        self.zero = torch.zeros_like(floats(x))

    def __call__(self, t: Tensor, t_next: Tensor) -> Tensor:
        return self.zero

    def with_area(self, t: Tensor, t_next: Tensor) -> tuple[Tensor, Tensor]:
        return self.zero, self.zero


class BrownianPath:
    """One path W, drawn at `times` and kept: every sub-grid and finer grid sees the same path.

    times: strictly monotone, shape (n,); two times are enough.  x: a tensor whose shape, dtype and
    device W takes; the path needs as many times the memory of x as it knows times.
    W(times[0]) = 0.
    Asked at a new time between the first and the last, it draws W there given all that it has told
    (a Brownian bridge), and keeps the answer; likewise for areas. So what it answers does not
    depend on the solver that asks, only which random numbers it takes depends on the order of the
    questions. Two times are one where the precision of the question cannot tell them apart.
    Raises ValueError when it is asked before its first or after its last time.
    """

    def __init__(self, times: Tensor, x: Tensor, *, generator: torch.Generator):
        at = list(monotone(times))
        self._white = WhiteNoise(x, generator=generator)
        increments = [self._white(a, b) for a, b in zip(at[:-1], at[1:])]
        self._sign = math.copysign(1.0, float(at[1] - at[0]))
        self._clock = [self._sign * float(t) for t in at]  # u_0 < u_1 < …, as seconds run
        self._w = list(torch.stack([torch.zeros_like(x), *increments]).cumsum(0))  # W at u_k
        # ∫ (W − W(u_k)) du over [u_k, u_{k+1}]
        self._areas: list[Tensor | None] = [None] * len(increments)

    @property
    def times(self) -> Tensor:
        """All times at which W is known, in the direction of the path, float64."""
        return self._sign * torch.tensor(self._clock, dtype=torch.float64)

    def _index(self, t: Tensor | float) -> int:
        """The place of t among the known times; a new time is inserted."""
        u, clock = self._sign * float(t), self._clock
        single = torch.is_tensor(t) and t.dtype != torch.float64
        blur = 4 * abs(u) * torch.finfo(torch.float32 if single else torch.float64).eps
        first, last = self._sign * clock[0], self._sign * clock[-1]
        cure = f"give a time of this Brownian path, which runs from {first:g} to {last:g}"
        require(clock[0] - blur <= u <= clock[-1] + blur, "t", float(t), cure)
        i = bisect.bisect(clock, u)
        near = min((k for k in (i - 1, i) if 0 <= k < len(clock)), key=lambda k: abs(clock[k] - u))
        if abs(clock[near] - u) <= blur:
            return near
        self._insert(i, u)
        return i

    def _insert(self, i: int, u: float) -> None:
        """Draw W(u) between the known u_{i−1} and u_i, given W there and, if known, the area."""
        left, rise, area = self._w[i - 1], self._w[i] - self._w[i - 1], self._areas[i - 1]
        h1, h2 = u - self._clock[i - 1], self._clock[i] - u
        areas: list[Tensor | None] = [None, None]
        if area is None:
            h = h1 + h2
            dw = h1 / h * rise + math.sqrt(h1 * h2 / h) * self._white.normal()
        else:
            dw, a = first_part(h1, h2, rise, area, self._white.normal)
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
        total = torch.zeros_like(self._white.x)
        for k in range(min(i, j), max(i, j)):
            h, rise = self._clock[k + 1] - self._clock[k], self._w[k + 1] - self._w[k]
            own = self._areas[k]
            if own is None:
                own = h / 2 * rise + h**1.5 / math.sqrt(12) * self._white.normal()
                self._areas[k] = own
            total = total + own + h * (self._w[k] - self._w[i])
        return math.copysign(1.0, float(t_next - t)) * total

    def with_area(self, t: Tensor, t_next: Tensor) -> tuple[Tensor, Tensor]:
        """(W(t_next) − W(t), its area)."""
        return self(t, t_next), self.area(t, t_next)


def first_part(
    h1: float, h2: float, rise: Tensor, area: Tensor, normal: Callable[[], Tensor]
) -> tuple[Tensor, Tensor]:
    """(dw, a), increment and area over the first h1 of a step of length h = h1 + h2, given those of
    the whole.  In units of h, with p = h1/h and q = 1 − p, by Gaussian conditioning from

        Cov(dw, a) = (p, ½p²; ½p², ⅓p³),    rise = dw + dw₂,    area = a + q dw + a₂.

    normal: draws z ~ N(0, I).  The shorter part is drawn, where nothing cancels: if that is the
    second, the step is read backwards.
    """
    h = h1 + h2
    if h1 > h2:
        dw2, a2 = first_part(h2, h1, rise, h * rise - area, normal)
        return rise - dw2, area - h2 * (rise - dw2) - (h2 * dw2 - a2)
    p, whole = h1 / h, torch.tensor([[1, 1 / 2], [1 / 2, 1 / 3]], dtype=torch.float64)
    own = torch.tensor([[p, p**2 / 2], [p**2 / 2, p**3 / 3]], dtype=torch.float64)
    cross = torch.stack([own[0], own[1] + (1 - p) * own[0]], dim=1)  # with (rise, area)
    gain = torch.linalg.solve(whole, cross.T).T
    (c00, c01), (_, c11) = (own - gain @ cross.T).tolist()
    (g00, g01), (g10, g11) = gain.tolist()
    root, z1, z2 = math.sqrt(c00), normal(), normal()
    dw = g00 * rise + g01 / h * area + math.sqrt(h) * root * z1
    rest = math.sqrt(c11 - (c01 / root) ** 2)
    return dw, g10 * h * rise + g11 * area + h**1.5 * (c01 / root * z1 + rest * z2)
