"""What a comparison found, as rows, as a table, and in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .neighbours import Neighbours, share_error

DISTANCE, KID, FRECHET = "sliced Wasserstein", "KID", "Fréchet distance"
AGREEMENT = "as asked"
NEAREST, CLOSE, THIRD = "nearest: median", "nearest: below 1%", "nearest: one third"
NAN = math.nan


@dataclass(frozen=True)
class Row:
    """One measure of the samples, of real examples drawn alike (the floor, or what is held out),
    and of a fitted Gaussian, each with its own standard error; ratio: samples/real. NaN is what
    does not apply.  n: samples in it."""

    measure: str
    n: int
    samples: float
    samples_error: float
    real: float
    real_error: float
    gaussian: float = NAN
    gaussian_error: float = NAN
    ratio: float = NAN
    ratio_error: float = NAN


def near_rows(near: Neighbours) -> list[Row]:
    """The rows of the nearest training examples."""
    error = share_error(near.close * near.n, near.n)
    median = (near.median, near.median_error, near.held_median, near.held_median_error)
    third = (near.third, near.third_error, near.held_third, near.held_third_error)
    return [
        Row(NEAREST, near.n, *median, ratio=near.ratio, ratio_error=near.ratio_error),
        Row(CLOSE, near.n, near.close, error, near.close_expected, near.close_error),
        Row(THIRD, near.n, *third),
    ]


def number(value: float, error: float = NAN) -> str:
    """The value and its error, to two digits of the error; — for what does not apply."""
    if not math.isfinite(value):
        return "—"
    if not math.isfinite(error) or error <= 0:
        return f"{value:.3g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """A line a measure, a column each for the samples, the real ones, a Gaussian, the ratio."""
    lines = [["measure", "n", "samples", "real", "Gaussian", "samples/real"]]
    for r in rows:
        columns = [(r.samples, r.samples_error), (r.real, r.real_error)]
        columns += [(r.gaussian, r.gaussian_error), (r.ratio, r.ratio_error)]
        lines.append([r.measure, str(r.n), *(number(*c) for c in columns)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    laid = ["  ".join(text.ljust(w) for text, w in zip(line, widths)).rstrip() for line in lines]
    return "\n".join(laid)


def say(
    rows: Sequence[Row], near: Neighbours, protocol: str, against: str, notes: Sequence[str]
) -> str:
    """What follows from the rows, in sentences."""
    there = {r.measure: r for r in rows}
    found = [f"{there[DISTANCE].n} samples, {protocol}, against {against}."]
    found += [_distance(there[DISTANCE])]
    if AGREEMENT in there:
        found.append(_agreement(there[AGREEMENT]))
    found += [_features(there[k]) for k in (KID, FRECHET) if k in there]
    found.append(_copying(near))
    return "\n".join([*found, *(f"Note: {note}." for note in notes)])


def _distance(r: Row) -> str:
    floor = f"real against real {number(r.real, r.real_error)}"
    gap, error = r.ratio - 1, r.ratio_error
    verdict = (
        "not told from real examples"
        if abs(gap) <= 2 * error
        else "farther than real examples are"
        if gap > 0
        else "nearer than other real examples are: do they repeat the training part?"
    )
    beside = (r.gaussian - r.samples) / math.hypot(r.gaussian_error, r.samples_error)
    baseline = "nearer than" if beside > 2 else "farther than" if beside < -2 else "no nearer than"
    return (
        f"{DISTANCE} {number(r.samples, r.samples_error)} ({floor}), "
        f"{number(r.ratio, r.ratio_error)} times the floor: {verdict}; {baseline} "
        f"a Gaussian fitted to the training part, {number(r.gaussian, r.gaussian_error)}."
    )


def _agreement(r: Row) -> str:
    right = f"the classifier is right on {number(r.real, r.real_error)} of the held-out examples"
    if not math.isfinite(r.samples):
        return f"The samples were asked for no class; {right}."
    return (
        f"As asked, by a classifier: {number(r.samples, r.samples_error)} of the samples; {right}."
    )


def _features(r: Row) -> str:
    floor = f"real against real {number(r.real, r.real_error)}"
    gaussian = f"a Gaussian {number(r.gaussian, r.gaussian_error)}"
    value = number(r.samples, r.samples_error)
    return f"{r.measure} in the features: {value} ({floor}, {gaussian})."


def _copying(near: Neighbours) -> str:
    ratio = number(near.ratio, near.ratio_error)
    first = (
        f"The nearest training example is {ratio} times as far as that of a held-out example "
        f"(medians); {near.close:.1%} of the samples are nearer than about 1% of the held-out ones "
        f"are, where {near.close_expected:.1%} ± {near.close_error:.1%} is expected"
    )
    if near.copying:
        return f"{first}. They are copying."
    if near.nearer:
        return f"{first}. They are no copies of one example, but smoother or more typical."
    return f"{first}. No copying is seen."
