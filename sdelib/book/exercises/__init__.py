"""The checks behind the exercises.

    check("1.1", answer)

prints the hint while the answer is still `...`, says so when it is right, and raises an
AssertionError with what is wrong and the hint when it is not.
"""

from __future__ import annotations

import textwrap
from typing import Any

from . import part_1, part_2, part_3, part_4
from .mechanism import Exercise, Number, function

__all__ = ["EXERCISES", "Exercise", "Number", "check", "function"]

EXERCISES: dict[str, Exercise] = (
    part_1.EXERCISES | part_2.EXERCISES | part_3.EXERCISES | part_4.EXERCISES
)


def check(name: str, answer: Any = ...) -> None:
    """Check an answer.  Raises KeyError for an unknown exercise, AssertionError for a wrong
    answer."""
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
