"""The compulsory baseline: what a Gaussian fitted to the data draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..checks import a_generator, require, whole

OPERATIONS, PAIRS = 1e11, 500
"""Products of numbers that a fit may take, a few seconds on one core; draws that give tr S²."""


def gaussian_draws(
    fetch: Callable[[Tensor], Tensor],
    index: Tensor,
    n: int,
    *,
    weights: Tensor | None = None,
    generator: torch.Generator,
) -> Tensor:
    """n draws of N(μ, (1 − ρ) S + ρ (tr S/d) I), shape (n, d), d numbers an example.

    μ, S: mean and covariance of the examples fetch(index), by weights (len(index),) if given.
    ρ: the shrinkage of Chen et al. 2010 (doi:10.1109/TSP.2010.2053029), eq. 23 (OAS), near 0 where
    there are many more examples than dimensions:
        ρ = ((1 − 2/d) tr S² + tr² S) / ((m + 1 − 2/d)(tr S² − tr² S/d)),  at most 1, m examples.
    S is never formed. With p the weights, of sum 1, and w ~ N(0, I),
        Σ √p_i w_i (x_i − μ) / √(1 − Σ p²)
    has this covariance exactly, and tr S² is the mean square of the products of two draws; so
    nothing larger than (n, d) is held, and `fetch` is called for a few MB at a time. Where the
    products would take more than a few seconds, as many random examples are fitted as take less.
    Raises ValueError for fewer than two examples.
    """
    whole(n=n), a_generator(generator)
    cure = "give two examples or more"
    require(len(index) > 1, "examples to fit", len(index), cure)
    first = fetch(index[:1]).flatten(1)
    d, m = first.shape[1], max(n, 200)  # 200 and more, for tr S²
    most = max(2, int(OPERATIONS / (m * d)))
    p = torch.ones(len(index)) if weights is None else weights.float()
    if len(index) > most:
        some = torch.randperm(len(index), generator=generator)[:most]
        index, p = index[some], p[some]
    p = p / p.sum()
    origin, size = first.double(), max(1, 2**22 // d)  # sums about an example lose no digits
    total, square = torch.zeros(d, dtype=torch.float64), 0.0
    drawn, sum_w = torch.zeros(m, d), torch.zeros(m, 1)
    for i, q in zip(index.split(size), p.split(size)):
        x = fetch(i).flatten(1) - first
        w = torch.randn(m, len(i), generator=generator) * q.sqrt()
        drawn += w @ x
        sum_w += w.sum(1, keepdim=True)
        total += (q @ x).double()
        square += float((q * x.square().sum(1)).sum())
    scale = 1 - float(p.square().sum())
    drawn = (drawn - sum_w * total.float()) / math.sqrt(scale)
    trace = (square - float(total.square().sum())) / scale
    some = drawn[:PAIRS]
    gram = (some @ some.T).double().square()
    trace2 = float(gram.sum() - gram.trace()) / (len(some) * (len(some) - 1))
    examples = 1 / float(p.square().sum())
    gap = (examples + 1 - 2 / d) * (trace2 - trace**2 / d)
    rho = min(1.0, ((1 - 2 / d) * trace2 + trace**2) / gap) if gap > 0 else 1.0
    z = torch.randn(n, d, generator=generator)
    spread = math.sqrt(1 - rho) * drawn[:n] + math.sqrt(rho * max(trace, 0.0) / d) * z
    return (origin + total).float() + spread
