"""Samples held against real examples, and real examples against each other, by one protocol.

A distance between two finite sets is never zero, so it says something only beside its floor: the
distance between two sets of *real* examples that are as large and were drawn the same way. Samples
drawn class by class, so many of each, spread less than samples of random classes; the real sets are
then drawn with the same number of each class.

Here a set is the array of its members' classes; what is measured is a function of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..checks import require, whole
from .metrics import jackknife

REAL, AGAINST = "real", "against"
Distance = Callable[[str, np.ndarray, np.ndarray], float]
"""distance(name, i, j): of the members i of the set `name` to the members j of the set that all are
held against."""


@dataclass(frozen=True)
class Held:
    """value[name] ± error[name] of every set and of "real", the floor; ratio[name] ±
    ratio_error[name] to the floor.  n: members of each set in one comparison, of them counts[k] of
    class k."""

    value: dict[str, float]
    error: dict[str, float]
    ratio: dict[str, float]
    ratio_error: dict[str, float]
    counts: tuple[int, ...]

    @property
    def n(self) -> int:
        return sum(self.counts)


def fitting(
    sets: Mapping[str, np.ndarray],
    real: np.ndarray,
    against: np.ndarray | None = None,
    most: int | None = None,
) -> np.ndarray:
    """How many of each class (classes,) every comparison has: as many as each set holds, and as the
    real ones allow, of which one set is judged and another is what all are held against: both from
    `real` when `against` is None, and then without a common member.
    most: in all; more are cut down in proportion."""
    pools = [*sets.values(), real, *([] if against is None else [against])]
    classes = 1 + max(int(p.max(initial=0)) for p in pools)
    counts = np.array([np.bincount(p, minlength=classes) for p in pools])
    if against is None:
        counts[-1] //= 2
    counts = counts.min(0)
    total = int(counts.sum())
    return counts if most is None or total <= most else counts * most // total


def held_against(
    sets: Mapping[str, np.ndarray],
    real: np.ndarray,
    against: np.ndarray | None,
    distance: Distance,
    *,
    draws: int = 10,
    groups: int = 10,
    most: int = 5000,
    seed: int = 0,
) -> Held:
    """The mean of `distance` over `draws` random choices of the members, for every set, and its
    floor.

    In each draw all sets, the real one among them, are held against the same real examples. The
    error is the jackknife's: a tenth of the members of every set and of the real ones is left out
    in turn, in all draws together; so it holds for the finite samples *and* the finite data, and a
    ratio has its own.  On average it is never too small (Efron & Stein 1981).
    most: members of a set in a comparison.
    Classes are numbers from 0; a set without classes is an array of zeros.
    Raises ValueError when fewer than two members a group can be drawn.
    """
    counts, rng = fitting(sets, real, against, most), np.random.default_rng(seed)
    whole(draws=draws, most=most), whole(2, groups=groups)
    cure = f"{2 * groups} or more are needed; give more samples, or data with more examples"
    require(counts.sum() >= 2 * groups, "examples in a comparison", int(counts.sum()), cure)
    pools = {**sets, REAL: real} | ({} if against is None else {AGAINST: against})
    group = {name: _grouped(p, groups, rng) for name, p in pools.items()}
    keys = [{name: rng.random(len(p)) for name, p in pools.items()} for _ in range(draws)]
    names = [*sets, REAL]
    table = torch.empty(1 + groups, len(names), dtype=torch.float64)
    for left_out in range(-1, groups):
        kept = {name: np.flatnonzero(g != left_out) for name, g in group.items()}
        there = {name: p[kept[name]] for name, p in pools.items()}
        m = fitting({name: there[name] for name in sets}, there[REAL], there.get(AGAINST))
        m = np.minimum(m, counts if left_out < 0 else -(-counts * (groups - 1) // groups))
        found = []
        for key in keys:
            chosen = {k: kept[k][first_of(there[k], key[k][kept[k]], m)] for k in pools}
            other = REAL if against is None else AGAINST
            last = first_of(there[other], -key[other][kept[other]], m)  # disjoint from the first
            found.append([distance(name, chosen[name], kept[other][last]) for name in names])
        table[1 + left_out] = torch.tensor(found, dtype=torch.float64).mean(0)
    ratio = table / table[:, -1:]
    columns = [table[0], jackknife(table[1:]), ratio[0], jackknife(ratio[1:])]
    told = [dict(zip(names, column.tolist())) for column in columns]
    return Held(told[0], told[1], told[2], told[3], tuple(counts.tolist()))


def _grouped(labels: np.ndarray, groups: int, rng: np.random.Generator) -> np.ndarray:
    """A group for each member, random within a class, so that the groups are alike in size and in
    classes."""
    found = np.empty(len(labels), dtype=np.int64)
    found[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % groups
    return found


def first_of(labels: np.ndarray, key: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The positions of those counts[k] members of class k that have the smallest keys."""
    order = np.lexsort((key, labels))
    there = np.bincount(labels, minlength=len(counts))
    rank = np.arange(len(order)) - (there.cumsum() - there)[labels[order]]
    return order[rank < counts[labels[order]]]
