"""What an exercise is, and the tests that many of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from .expression import Unclear, value

COUNTS = {3: "three", 4: "four"}


@dataclass(frozen=True)
class Exercise:
    """test(answer) returns "" when the answer is right, else what is wrong with it; praise says why
    it matters."""

    hint: str
    test: Callable[[Any], str]
    praise: str

    @property
    def asks(self) -> str:
        """How many digits are asked for, where two do not do; else nothing."""
        return self.test.asks if isinstance(self.test, Number) else ""


@dataclass(frozen=True)
class Number:
    """A test for a number that is known. Right is what lies within a relative or an absolute error,

        |a − value| ≤ max(relative·max(|a|, |value|), absolute),

    and also the value itself, rounded to `digits` significant digits or more. Rounding to the k-th
    digit moves a value by up to half a unit of that digit, which is 5·10^(−k) of it where it begins
    with a 1 and ten times less where it begins with a 9. For two digits that is up to 5 %, and many
    a mistake is less off than that; so it is no tolerance: of all numbers within half a unit only
    the one that ends at that digit is taken. For 1.2345 that is 1.2, and 1.21 is close. Where a
    plausible mistake rounds to the same two digits, the exercise asks for three.

    Close is what is not right, and less than 10 % off.
    """

    value: float
    relative: float = field(default=1e-2, kw_only=True)
    absolute: float = field(default=0.0, kw_only=True)
    digits: int = field(default=2, kw_only=True)

    @property
    def asks(self) -> str:
        """What an exercise says where two digits do not do."""
        return "" if self.digits == 2 else f"to {COUNTS[self.digits]} digits"

    def rounded(self, found: float) -> bool:
        """Is it the value, rounded to so many digits or more?"""
        power = int(f"{self.value:.16e}".partition("e")[2])
        for digits in range(self.digits, 7):
            unit = 10.0 ** (power + 1 - digits)
            units = found / unit
            if abs(units - round(units)) < 1e-6 and abs(found - self.value) <= 0.5 * unit * (
                1 + 1e-9
            ):
                return True
        return False

    def judge(self, found: float) -> str:
        """ "right", "close" or "wrong"; book/_static/answer.js says the same."""
        if not math.isfinite(found):
            return "wrong"
        off = abs(found - self.value)
        allowed = max(self.relative * max(abs(found), abs(self.value)), self.absolute)
        if off <= allowed or self.rounded(found):
            return "right"
        return "close" if off < 0.1 * abs(self.value) else "wrong"

    def __call__(self, answer: Any) -> str:
        try:
            found = value(answer) if isinstance(answer, str) else float(answer)
        except Unclear as reason:
            return str(reason).removesuffix(".")
        verdict = self.judge(found)
        if verdict == "close":
            asked = f", and the number is asked {self.asks}" if self.asks else ""
            return f"close: {found:g} is less than 10 % off{asked}"
        return "" if verdict == "right" else f"{found:g} is not the number"


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
