"""What a step is: a formula, and what the time loop should know about it.

    x at t + dt = step(sde, x, t, dt, dw)

Time may run either way: for dt < 0 the increment dw has variance |dt|, and nothing else changes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from .sdes import SDE, Kind


class Step:
    """x at t + dt, by step(sde, x, t, dt, dw); dw is 0 where the equation has no noise.

    evaluations: of the drift, that is of the score.  order: of the error on paths for noise g(t).
    kind: the most general noise that it accepts.  needs_area: it is given the area under the
    path as a sixth argument.  silent: it uses no increment.
    A multistep method defines `start` and `advance`: what it has to remember goes through the loop,
    so one object may serve many solves at a time.
    """

    evaluations: int = 1
    order: float = 1.0
    kind: Kind = "additive"
    needs_area: bool = False
    silent: bool = False

    def needs_noise(self, sde: SDE) -> bool:
        """Whether a Brownian increment is drawn for a step with this equation."""
        return not self.silent and sde.noise != "none"

    def __call__(self, sde: Any, x: Tensor, t: Tensor, dt: Tensor, *dw: Tensor) -> Tensor:
        """x at t + dt, without a memory; dw: the increment and, if needed, the area."""
        raise NotImplementedError

    def start(self) -> Any:
        """The memory before the first step."""
        return None

    def advance(self, memory: Any, sde: Any, x: Tensor, *rest: Tensor) -> tuple[Tensor, Any]:
        """(x at t + dt, the memory for the next step); rest: t, dt, dw and, if needed, the area."""
        return self(sde, x, *rest), None


class OneStep(Step):
    """A formula as a step; made by `one_step`."""

    def __init__(self, formula: Callable[..., Tensor], **facts: Any):
        self.formula = formula
        self.__dict__.update(facts)
        functools.update_wrapper(self, formula)

    def __call__(self, sde: SDE, x: Tensor, *rest: Tensor) -> Tensor:
        return self.formula(sde, x, *rest)


def one_step(
    *, evaluations: int = 1, order: float = 1.0, kind: Kind = "cross", **facts: bool
) -> Callable[[Callable[..., Tensor]], OneStep]:
    """Decorate a formula (sde, x, t, dt, dw) → x at t + dt with the facts of a `Step`."""
    return lambda f: OneStep(f, evaluations=evaluations, order=order, kind=kind, **facts)


def as_step(step: Step | Callable[..., Tensor]) -> Step:
    """The step itself; a plain formula as one that is trusted with any noise."""
    return step if isinstance(step, Step) else OneStep(step, kind="cross")


def blend(a: Tensor | float, x: Tensor, b: Tensor | float, y: Tensor) -> Tensor:
    """a x + b y for numbers a and b, in two passes over the memory and not in three."""
    return (a * x).add_(y, alpha=float(b))


class Around(Step):
    """A step around another one, `inner`, after which it changes x. What the loop should know of it
    is what it should know of `inner`."""

    inner: Step

    def after(self, sde: Any, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """What becomes of x, to which `inner` went from `before`."""
        raise NotImplementedError

    @property
    def kind(self) -> Kind:
        return self.inner.kind

    @property
    def needs_area(self) -> bool:
        return self.inner.needs_area

    def needs_noise(self, sde: SDE) -> bool:
        return self.inner.needs_noise(sde)

    def start(self) -> Any:
        return self.inner.start()

    def __call__(self, sde: Any, x: Tensor, t: Tensor, dt: Tensor, *dw: Tensor) -> Tensor:
        return self.after(sde, x, self.inner(sde, x, t, dt, *dw), t, t + dt)

    def advance(self, memory: Any, sde: Any, x: Tensor, *rest: Tensor) -> tuple[Tensor, Any]:
        there, memory = self.inner.advance(memory, sde, x, *rest)
        return self.after(sde, x, there, rest[0], rest[0] + rest[1]), memory
