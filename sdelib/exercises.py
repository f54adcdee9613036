"""The checks behind the exercises.

    check("1.1", answer)

prints the hint while the answer is still `...`, says so when it is right, and raises an
AssertionError with what is wrong and the hint when it is not.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .sdes import VE, GeometricBrownian
from .solvers import platen

__all__ = ["check", "EXERCISES", "Exercise"]


@dataclass(frozen=True)
class Exercise:
    """test(answer) returns "" when the answer is right, else what is wrong with it; praise says why it matters."""

    hint: str
    test: Callable[[object], str]
    praise: str


def check(name: str, answer: object = ...) -> None:
    """Check an answer.  Raises KeyError for an unknown exercise, AssertionError for a wrong answer."""
    if name not in EXERCISES:
        raise KeyError(f"there is no exercise {name!r}; there are {sorted(EXERCISES)}")
    exercise = EXERCISES[name]
    if answer is ... or answer is None:
        print(textwrap.fill(f"Exercise {name} is open. Hint: {exercise.hint}", 72))
        return
    try:
        wrong = exercise.test(answer)
    except AssertionError:
        raise
    except Exception as error:
        wrong = f"your answer raised {type(error).__name__}: {error}"
    if wrong:
        raise AssertionError(f"Exercise {name}: {wrong}. Hint: {exercise.hint}")
    print(textwrap.fill(f"Exercise {name}: right. {exercise.praise}", 72))


def number(value: float, *, relative: float = 1e-2) -> Callable[[object], str]:
    """A test for a number that is known: right within a relative error."""
    def test(answer: object) -> str:
        found = float(answer)
        return "" if math.isclose(found, value, rel_tol=relative) else f"{found:g} is not the number"
    return test


def function(truth: Callable, *inputs, tolerance: float = 1e-5) -> Callable[[object], str]:
    """A test for a function: it must agree with the true one on the given inputs, shape included."""
    def test(answer: object) -> str:
        if not callable(answer):
            return "give a function, not its value"
        for x in inputs:
            found, true = torch.as_tensor(answer(x)), torch.as_tensor(truth(x))
            if found.shape != true.shape:
                return f"the result has shape {tuple(found.shape)}, not {tuple(true.shape)}"
            if not torch.allclose(found, true, atol=tolerance, rtol=tolerance):
                worst = int((found - true).abs().argmax())
                return f"at input {torch.as_tensor(x).flatten()[min(worst, torch.as_tensor(x).numel() - 1)]:g} you give {found.flatten()[worst]:g}"
        return ""
    return test


def _student(x: torch.Tensor) -> torch.Tensor:
    return -4 * x / (3 + x**2)


def _power_for(std: float) -> float:
    """The σ with VE.power(σ).prior_std = std, by bisection."""
    low, high = 1.001, 1e6
    while high / low > 1 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if VE.power(middle).prior_std < std else (low, middle)
    return low


def _is_platen(step: object) -> str:
    if not callable(step):
        return "give a function of (sde, x, t, dt, dw)"
    sde, x = GeometricBrownian(), torch.linspace(0.5, 2, 7, dtype=torch.float64)
    t, dw = torch.tensor(0.5, dtype=torch.float64), torch.linspace(-0.4, 0.5, 7, dtype=torch.float64)
    for dt in (0.1, -0.1):
        dt = torch.tensor(dt, dtype=torch.float64)
        if not torch.allclose(step(sde, x, t, dt, dw), platen(sde, x, t, dt, dw), rtol=1e-9):
            return f"the step is not Platen's for Δt = {dt.item():g}"
    return ""


EXERCISES: dict[str, Exercise] = {
    "1.1": Exercise(
        "take the logarithm of the density first, then differentiate; the constant in front is gone after that.",
        function(_student, torch.linspace(-5, 5, 11), torch.tensor([0.0, 30.0])),
        "Far out it decays like -4/x: a heavy tail pulls back only weakly."),
    "1.2": Exercise(
        "along the line between the centres, write the score near 0 to first order in x; it changes sign "
        "where the variance of one blurred component equals the squared distance of its centre from 0.",
        number(math.sqrt(4 - 0.25), relative=2e-3),
        "Below it the origin is a valley, above it the only mode."),
    "1.3": Exercise(
        "for a Gaussian, s(x) = -(x - m)/variance in each coordinate; average its squared length over x ~ p.",
        number(784 / 0.1**2),
        "Scores of sharp densities in many dimensions are huge: chapter 5 weighs them by the variance."),
    "1.4": Exercise(
        "a gradient field has a symmetric Jacobian: compare the derivative of the first component by x2 with "
        "the derivative of the second by x1.",
        lambda answer: "" if str(answer).strip().lower() == "b" else f"{answer!r} is not the field that turns",
        "No density has that field as its score; a free network can still return one."),
    "11.1": Exercise(
        "std(1)² = (σ² − 1)/(2 ln σ) grows with σ: try values, or halve an interval that contains the answer.",
        number(_power_for(22.46), relative=5e-3),
        "A wider prior hides the data better and needs more steps."),
    "11.2": Exercise(
        "evaluate the diffusion at x and at x + g·√|Δt|; use |Δt| wherever a variance or a root is meant.",
        _is_platen,
        "On the reverse equation of this chapter the same code is Euler–Maruyama."),
    "11.3": Exercise(
        "std(t)² = (σ²ᵗ − 1)/(2 ln σ) is about t when t is small; multiply the root by 255.",
        number(255 * float(VE.power(25.0).marginal(torch.tensor(1e-3, dtype=torch.float64))[1])),
        "The noiseless last step costs one evaluation and removes it."),
}
