"""Part IV, Further: the exercises of chapter 17."""

from __future__ import annotations

import math
from typing import Any

import torch

from .mechanism import Exercise, Number

RUNS = {"A": (1.05, 1.04, 0.01, 0.00), "B": (0.31, 1.04, 0.62, 0.00), "C": (0.71, 1.04, 0.02, 0.01)}
"""Three runs: median distance of samples to the nearest training example, of held-out examples, and
of both the share that is nearer to one example than to a third of the second nearest."""


def _is_the_copy(answer: Any) -> str:
    said = str(answer).strip().upper()
    if said == "C":
        return "its samples are near, but near to no single example: guidance does that too"
    return "" if said == "B" else f"{answer!r} is not the run; give its letter"


def _is_chi_square(answer: Any) -> str:
    if not callable(answer):
        return "give a function of (counts, law)"
    law = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    counts = torch.tensor([[30.0, 20.0], [20.0, 30.0]], dtype=torch.float64)
    for scale, right in ((1, 25.0), (4, 100.0)):
        found = float(torch.as_tensor(answer(scale * counts, law)))
        if not math.isclose(found, right, rel_tol=1e-6):
            return f"for counts {(scale * counts).tolist()} it gives {found:g}, and not {right:g}"
    return ""


EXERCISES = {
    "17.1": Exercise(
        "the mean of the pictures has the length |m|√d; in that direction noise of std σ_max is "
        "all that the start has.",
        Number(-0.8665 * math.sqrt(768) / 20),
        "Brightness is size here, so all shapes came out too large, and no picture looked wrong.",
    ),
    "17.2": Exercise(
        "a copy is near to one example and not to its neighbours, and nearer than new data are.",
        _is_the_copy,
        "Samples that are merely typical lie near to many examples at once.",
    ),
    "17.3": Exercise(
        "sum (counts − n·law)²/(n·law) over the cells, where n is the sum of the counts.",
        _is_chi_square,
        "For samples of the law its mean is the number of cells less one, whatever n is; for any "
        "other law it grows with n.",
    ),
}
