"""Is it copying? The nearest training examples of samples, beside those of examples held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import finite, floats, require, whole

CLOSE = 0.01
THIRD = 1 / 3


def nearest(
    x: Tensor, fetch: Callable[[Tensor], Tensor], count: int, *, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """(distances, positions), each (n, 2): the two nearest, nearer first, of `count` examples that
    fetch(index) gives as float32 (len(index), …).

    They are asked for `chunk` at a time (at most 16 MB if not given), so their number may be large.
    The search is by |a|² + |b|² − 2aᵀb, which loses digits; the distances are computed again from
    the differences, so that of a copy is 0.  Raises ValueError for fewer than two examples, another
    shape, or numbers that are not finite.
    """
    whole(2, count=count)
    x = finite("x", floats(x, axes=2)).float().flatten(1)
    chunk = max(2, min(8192, 2**22 // x.shape[1])) if chunk is None else chunk
    whole(chunk=chunk)
    best = torch.full((len(x), 2), math.inf)
    found = torch.zeros(len(x), 2, dtype=torch.long)
    origin = x.mean(0)  # fewer digits are lost about it
    near = x - origin
    squares = near.square().sum(1, keepdim=True)
    for start in range(0, count, chunk):
        index = torch.arange(start, min(count, start + chunk))
        part = fetch(index).float().flatten(1)
        cure = f"give examples of {part.shape[1]} numbers"
        require(part.shape[1] == x.shape[1], "shape of x", tuple(x.shape), cure)
        part = part - origin
        for i in range(0, len(x), 1024):
            rows = slice(i, i + 1024)
            gap = torch.addmm(part.square().sum(1), near[rows], part.T, alpha=-2).add_(
                squares[rows]
            )
            value, where = gap.topk(min(2, len(part)), dim=1, largest=False)
            value, order = torch.cat([best[rows], value], 1).sort(dim=1, stable=True)
            best[rows] = value[:, :2]
            found[rows] = torch.cat([found[rows], where + start], 1).gather(1, order[:, :2])
    exact = torch.stack([_apart(x, fetch, column) for column in found.T], 1)
    distance, order = exact.sort(dim=1, stable=True)
    return distance, found.gather(1, order)


def _apart(x: Tensor, fetch: Callable[[Tensor], Tensor], index: Tensor, part: int = 256) -> Tensor:
    pairs = zip(x.split(part), index.split(part))
    return torch.cat([(a - fetch(i).float().flatten(1)).norm(dim=1) for a, i in pairs])


@dataclass(frozen=True)
class Neighbours:
    """Distances to the nearest training example, of n samples and of `held` held-out examples.

    median, held_median: of the two, and ratio: of the medians; their errors by a bootstrap of both.
    close: the share of the samples nearer than 1% of the held-out examples are; close_expected ±
    close_error: of as many held-out ones; chance: the probability of so many among those.
    third, held_third: the share whose nearest example is at less than a third of the distance of
    the second nearest, the mark of a copy (Yoon et al. 2023), with binomial errors.
    index: the position in the training part of the nearest example of each of these samples.
    """

    n: int
    held: int
    median: float
    median_error: float
    held_median: float
    held_median_error: float
    ratio: float
    ratio_error: float
    close: float
    close_expected: float
    close_error: float
    chance: float
    third: float
    third_error: float
    held_third: float
    held_third_error: float
    index: tuple[int, ...] = ()

    @property
    def nearer(self) -> bool:
        """The samples are nearer than held-out examples: more of them are very near than chance
        (1 in 1,000) allows, or their median is, by more than 3 errors."""
        return self.chance < 1e-3 or self.ratio < 1 - 3 * self.ratio_error

    @property
    def copying(self) -> bool:
        """As `nearer`, and to *one* example: by more than 3 errors more than held-out ones."""
        error = math.hypot(self.third_error, self.held_third_error)
        return self.nearer and self.third - self.held_third > 3 * error


def compared(
    samples: Tensor,
    held: Tensor,
    fetch: Callable[[Tensor], Tensor],
    count: int,
    *,
    generator: torch.Generator,
    bootstrap: int = 500,
) -> Neighbours:
    """The nearest of `count` training examples, of the samples (n, …) and of held-out ones (h, …).

    The threshold of "close" is the k-th smallest distance of the h held-out ones, k = ⌈h/100⌉. If
    the samples are as far as those, a share k/(h + 1) of them is expected below it, and their
    number is beta-binomial, whatever the law of the distances: that gives error and chance.
    Raises ValueError for fewer than two of any.
    """
    whole(2, n=len(samples), held=len(held))
    (a, index), (b, _) = nearest(samples, fetch, count), nearest(held, fetch, count)
    n, h = len(a), len(b)
    pick = lambda d: d[torch.randint(len(d), (bootstrap, len(d)), generator=generator), 0]
    medians = [float(d[:, 0].median()) for d in (a, b)]
    mine, other = (pick(d).median(1).values for d in (a, b))
    k = math.ceil(CLOSE * h)
    close = int((a[:, 0] < b[:, 0].kthvalue(k).values).sum())
    expected = k / (h + 1)
    variance = expected * (1 - expected) / n * (1 + (n - 1) / (h + 2))
    third, held_third = (int((d[:, 0] <= THIRD * d[:, 1]).sum()) for d in (a, b))
    return Neighbours(
        n=n,
        held=h,
        median=medians[0],
        median_error=float(mine.std()),
        held_median=medians[1],
        held_median_error=float(other.std()),
        ratio=medians[0] / medians[1] if medians[1] > 0 else math.nan,
        ratio_error=float((mine / other).std()),
        close=close / n,
        close_expected=expected,
        close_error=math.sqrt(variance),
        chance=at_least(close, n, k, h),
        third=third / n,
        third_error=share_error(third, n),
        held_third=held_third / h,
        held_third_error=share_error(held_third, h),
        index=tuple(index[:, 0].tolist()),
    )


def share_error(hits: float, n: int) -> float:
    """√(a(1 − a)/n) with a = (hits + 1)/(n + 2), which is not 0 when there are no hits, or only."""
    a = (hits + 1) / (n + 2)
    return math.sqrt(a * (1 - a) / n)


def at_least(c: int, n: int, k: int, h: int) -> float:
    """P(C ≥ c) for C | p ~ Binomial(n, p), p ~ Beta(k, h + 1 − k): how many of n draws lie below
    the k-th smallest of h draws of the same continuous law."""
    i = torch.arange(c, n + 1, dtype=torch.float64)
    log = lambda a, b: torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    number = lambda v: torch.tensor(float(v), dtype=torch.float64)
    choose = -log(i + 1, n - i + 1) - math.log(n + 1)
    beta = log(i + k, n - i + h + 1 - k) - log(number(k), number(h + 1 - k))
    return min(1.0, float((choose + beta).exp().sum()))
