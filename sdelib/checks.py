"""The one door for arguments: whoever is refused here reads the argument, its value and the cure.

    checks.positive(sigma_min=sigma_min)           ValueError: sigma_min = -1.0: give a finite …
    checks.require(0 < t_min < T, "t_min", t_min, f"give a time between 0 and T = {T}")

A function of the mathematics calls it in at most two lines, so that no check buries a formula. No
message prints a whole tensor. What can only be seen by looking at every number (`finite`) costs a
device its queue, so the time loop does it once a step, and the formulas inside it do not.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
Value = TypeVar("Value")
ORDINARY = "give numbers above 0, of ordinary size"


def show(value: Any) -> str:
    """The value in at most 120 characters; of a tensor or array with many numbers its shape, type
    and range."""
    if isinstance(value, Tensor) and value.numel() > 8:
        low, high = (float(a) for a in value.detach().double().aminmax())
        return f"a tensor of shape {tuple(value.shape)}, {value.dtype}, from {low:g} to {high:g}"
    text = str(value.tolist()) if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def require(holds: Any, name: str, value: Any, cure: str) -> None:
    """Raise ValueError "name = value: cure" unless `holds`."""
    if not bool(holds):
        raise ValueError(f"{name} = {show(value)}: {cure}")


def positive(**values: float) -> None:
    """All values are numbers above 0 whose square float32 can hold."""
    for name, value in values.items():
        require(1e-18 < value < 1e18, name, value, ORDINARY)


def within(low: float, high: float, **values: float) -> None:
    """low ≤ value < high for all values."""
    for name, value in values.items():
        require(low <= value < high, name, value, f"give a number from {low:g} to below {high:g}")


def whole(least: int = 1, **values: int) -> None:
    """All values are whole numbers (of Python or numpy) of at least `least`."""
    for name, value in values.items():
        is_whole = not isinstance(value, bool) and hasattr(value, "__index__")
        cure = f"give a whole number of at least {least}"
        require(is_whole and operator.index(value) >= least, name, value, cure)


def rising(**values: float) -> None:
    """All values are numbers above 0, as in `positive`, and each is below the next."""
    positive(**values)
    for (name, value), (above, bound) in itertools.pairwise(values.items()):
        require(value < bound, name, value, f"give a number below {above} = {bound}")


def span(name: str, ends: Any) -> tuple[float, float]:
    """The two ends of a range as floats: numbers above 0, as in `positive`, the first below the
    second."""
    fits = isinstance(ends, (tuple, list)) and len(ends) == 2 and 1e-18 < ends[0] < ends[1] < 1e18
    require(fits, name, ends, "give (least, largest), two numbers above 0, of ordinary size")
    return float(ends[0]), float(ends[1])


def levels(
    name: str, x: Tensor, low: float = 1e-18, high: float = 1e18, cure: str = ORDINARY
) -> Tensor:
    """x, all of whose numbers lie in [low, high]. On a GPU a look would make it wait: there those
    outside become NaN, which the time loop finds."""
    if torch.compiler.is_compiling():
        return x
    inside = (x >= low) & (x <= high)
    if x.device.type != "cpu":
        return torch.where(inside, x, math.nan)
    require(inside.all(), name, x, cure)
    return x


def ascending(name: str, values: Sequence[float] | Tensor) -> Tensor:
    """The values as a float64 tensor (n,), n ≥ 1: finite numbers above 0 that ascend."""
    v = torch.as_tensor(values, dtype=torch.float64)
    holds = v.ndim == 1 and len(v) > 0 and v[0] > 0 and v[-1] < math.inf and (v.diff() > 0).all()
    require(holds, name, values, "give numbers above 0 that ascend, σ_1 < … < σ_L")
    return v


def monotone(times: Tensor) -> Tensor:
    """The times (n,), n ≥ 2: finite, and either all ascending or all descending."""
    times = torch.as_tensor(times)
    fits, cure = times.ndim == 1 and len(times) > 1, "give two or more, in one axis"
    require(fits, "shape of times", tuple(times.shape), cure)
    gaps = times.diff()
    for i in (~(gaps * gaps[0] > 0)).nonzero().flatten().tolist():
        a, b = times[i : i + 2].tolist()
        cure = f"then comes times[{i + 1}] = {b:g}, which is not strictly monotone"
        require(False, f"times[{i}]", a, cure)
    return finite("times", times)


def floats(x: Tensor, name: str = "x", axes: int = 0) -> Tensor:
    """x, which is float32 or float64 and has at least so many axes, beyond the first none empty."""
    fits = x.ndim >= axes and not (axes > 1 and 0 in x.shape[1:])
    if x.dtype not in (torch.float32, torch.float64) or not fits:
        cure = "give float32 or float64" + ", of shape (batch, …)" * (axes > 0)
        raise ValueError(f"{name} has shape {tuple(x.shape)} and type {x.dtype}: {cure}")
    return x


def finite(name: str, x: Tensor) -> Tensor:
    """x, all of whose numbers are finite."""
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(x).all()):
        bad = x[~torch.isfinite(x)][0].item()
        words = f"{bad} is among its {x.numel()} numbers: give ordinary ones"
        raise ValueError(f"{name} is not finite, {words}")
    return x


def glance(name: str, x: Tensor) -> Tensor:
    """As `finite` where a look is free, on the CPU. A GPU would have to wait for it, and there the
    time loop's one look a step finds what is not finite."""
    return finite(name, x) if x.device.type == "cpu" else x


def at_once(check: Callable[..., Any]) -> Callable[[Callable[P, Value]], Callable[P, Value]]:
    """Decorate a generator function: check(…) sees its arguments when it is called, and not only
    when its first value is asked for."""

    def decorate(generator_function: Callable[P, Value]) -> Callable[P, Value]:
        @functools.wraps(generator_function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Value:
            check(*args, **kwargs)
            return generator_function(*args, **kwargs)

        return call

    return decorate


def shaped(name: str, x: Tensor, *shape: Any) -> Tensor:
    """x, which has this shape. An axis that may have any length is given by its name; a leading ...
    stands for any number of axes."""
    rest = shape[1:] if shape[:1] == (...,) else shape
    axes = x.shape[max(0, x.ndim - len(rest)) :] if rest != shape else x.shape
    if len(axes) != len(rest) or any(m != n for n, m in zip(axes, rest) if not isinstance(m, str)):
        wanted = ", ".join("…" if n is ... else str(n) for n in shape) + "," * (len(shape) == 1)
        raise ValueError(f"{name} has shape {tuple(x.shape)}: give ({wanted})")
    return x


def same_shape(name: str, a: Tensor, x: Tensor, like_name: str = "x") -> Tensor:
    """a, which is shaped like x."""
    if a.shape != x.shape:
        other = f"{like_name} has {tuple(x.shape)}: give one shape"
        raise ValueError(f"{name} has shape {tuple(a.shape)}, {other}")
    return a


def number(t: Tensor | Sequence[float] | float, x: Tensor) -> Tensor:
    """t with the dtype and the device of x; a number that is too large for it becomes ∞."""
    t = t if torch.is_tensor(t) else torch.as_tensor(t, dtype=torch.float64)
    away = floats(x).device.type != "cpu"  # a copy towards the CPU has to be waited for
    return t.to(device=x.device, dtype=x.dtype, non_blocking=away)


def align(t: Tensor | float, x: Tensor) -> Tensor:
    """t with the trailing axes of x, so that t·x broadcasts.

    A number or a scalar tensor stays in its own precision and on its own device, since a scalar
    mixes with anything and the result has the type of x; with t of shape (batch,) it is `like`.
    """
    t = t if torch.is_tensor(t) else torch.as_tensor(t, dtype=torch.float64)
    mixes = t.ndim == 0 < x.ndim and (t.device == x.device or t.device.type == "cpu")
    return t if mixes else like(t, x)


def like(t: Tensor | float, x: Tensor) -> Tensor:
    """t with the dtype, the device and the trailing axes of x, so that t·x broadcasts.

    t: a number, a scalar tensor, or a tensor of shape (batch,) with batch = x.shape[0].
    Returns a tensor of shape () or (batch, 1, …, 1).
    """
    t = number(t, x)
    if t.ndim == 0:
        return t
    if not (t.ndim == 1 and x.ndim > 0 and t.shape[0] in (1, x.shape[0])):
        cure = f"give a scalar, or one for each x, {tuple(x.shape[:1])}"
        raise ValueError(f"t has shape {tuple(t.shape)}: {cure}")
    return t.reshape(-1, *[1] * (x.ndim - 1))


def a_generator(generator: Any) -> torch.Generator:
    """The generator, which is one of PyTorch's."""
    cure = "give a torch.Generator, such as torch.Generator().manual_seed(0)"
    require(isinstance(generator, torch.Generator), "generator", generator, cure)
    return generator
