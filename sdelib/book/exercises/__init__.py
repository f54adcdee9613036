"""The checks behind the exercises.

    check("1.1", answer)

says that the exercise is open while the answer is still `...`, says so when it is right, and raises
an AssertionError with what is wrong and a hint when it is not. check("1.1", hint=True) prints the
hint at once. A number may be given as text too, "sqrt(15)/2", as on the page.
"""

from __future__ import annotations

import textwrap
from typing import Any

from . import part_1, part_2, part_3, part_4, part_5
from .mechanism import Exercise, Number, function

__all__ = ["EXERCISES", "Exercise", "Number", "check", "function"]

EXERCISES: dict[str, Exercise] = (
    part_1.EXERCISES | part_2.EXERCISES | part_3.EXERCISES | part_4.EXERCISES | part_5.EXERCISES
)


def check(name: str, answer: Any = ..., *, hint: bool = False) -> None:
    """Check an answer, after its hint where one is asked for.  Raises KeyError for an unknown
    exercise, AssertionError for a wrong answer."""
    if name not in EXERCISES:
        raise KeyError(f"there is no exercise {name!r}; there are {sorted(EXERCISES)}")
    exercise = EXERCISES[name]
    unanswered = answer is ... or answer is None
    if hint:
        print(textwrap.fill(f"Exercise {name}, hint: {exercise.hint}", 72))
    elif unanswered:
        asks = f"; give the number {exercise.asks}" if exercise.asks else ""
        print(f'Exercise {name} is open{asks}. For a hint: check("{name}", hint=True)')
    if unanswered:
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
