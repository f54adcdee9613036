"""What an exercise is, and the tests that many of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Exercise:
    """test(answer) returns "" when the answer is right, else what is wrong with it; praise says why
    it matters."""

    hint: str
    test: Callable[[Any], str]
    praise: str


@dataclass(frozen=True)
class Number:
    """A test for a number that is known: right within a relative or an absolute error, |a − value|
    ≤ max(relative·max(|a|, |value|), absolute)."""

    value: float
    relative: float = field(default=1e-2, kw_only=True)
    absolute: float = field(default=0.0, kw_only=True)

    def __call__(self, answer: Any) -> str:
        found = float(answer)
        right = math.isclose(found, self.value, rel_tol=self.relative, abs_tol=self.absolute)
        return "" if right else f"{found:g} is not the number"


def function(truth: Callable, *inputs, tolerance: float = 1e-5) -> Callable[[Any], str]:
    """A test for a function: it must agree with the true one on the given inputs, shape
    included."""

    def test(answer: Any) -> str:
        if not callable(answer):
            return "give a function, not its value"
        for x in inputs:
            found, true = torch.as_tensor(answer(x)), torch.as_tensor(truth(x))
            if found.shape != true.shape:
                return f"the result has shape {tuple(found.shape)}, not {tuple(true.shape)}"
            if not torch.allclose(found, true, atol=tolerance, rtol=tolerance):
                worst, at = int((found - true).abs().argmax()), torch.as_tensor(x).flatten()
                given = found.flatten()[worst]
                return f"at input {at[min(worst, len(at) - 1)]:g} you give {given:g}"
        return ""

    return test
