"""One comparison: samples, the data, the protocol, and each measure of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .baseline import gaussian_draws
from .data import Data
from .floors import AGAINST, REAL, Held, first_of, fitting, held_against
from .given import FEWEST, written
from .metrics import class_weights, frechet_distance, kid, moments, unit_vectors
from .neighbours import Neighbours, compared
from .small_classifier import agreement, answers
from .told import AGREEMENT, DISTANCE, FRECHET, KID, NAN, Row

MOST, MOST_FEATURES, POOL, DIRECTIONS = 5000, 1000, 20_000, 128
"""At most so many samples are compared at a time, with so many real examples."""
NEIGHBOURS, OPERATIONS = 2000, 5e10
"""The nearest examples are sought of so many samples, or fewer where it takes more products."""
SAMPLES, GAUSSIAN = "samples", "gaussian"


@dataclass
class Case:
    """x: the samples, in network units.  asked: the class of each, None if they are random.
    `distance` comes first: it draws from the Gaussian, and says what all are held `against`."""

    data: Data
    x: Tensor
    asked: Tensor | None
    seed: int
    generator: torch.Generator
    alone: bool = False
    at: dict[str, Tensor] = field(default_factory=dict)
    sets: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """How the samples were drawn, in words."""
        if self.asked is None:
            return "of no given class"
        names = [*self.data.form.classes]
        counts = torch.bincount(self.asked, minlength=len(names)).tolist()
        pairs = [f"{name} {k}" for name, k in zip(names, counts) if k]
        more = f" and {len(pairs) - 12} classes more" if len(pairs) > 12 else ""
        return f"drawn class by class ({', '.join(pairs[:12])}{more})"

    @property
    def against(self) -> str:
        """What the samples are held against, in words."""
        return "examples held out" if self.alone else "all examples, trained on or held out"

    def distance(self) -> Row:
        """Sliced Wasserstein."""
        (train, real), (held, against) = self._pool(False), self._pool(True)
        sets = {SAMPLES: self._classes(self.asked, len(self.x))}
        whole = fitting(sets, sets[SAMPLES], sets[SAMPLES], MOST)
        self.alone = np.array_equal(fitting(sets, real, against, MOST)[: len(whole)], whole)
        pools = (real, against) if self.alone else (np.concatenate([real, against]), None)
        counts, weights = fitting(sets, *pools, MOST), None
        if self.asked is not None:
            weights = class_weights(torch.from_numpy(real), torch.from_numpy(counts))
        how = {"weights": weights, "generator": self.generator}
        drawn = gaussian_draws(self.data.batch, train, max(1, int(counts.sum())), **how)
        drawn = written(drawn.reshape(-1, *self.x.shape[1:]), self.data.form)
        self.at = {SAMPLES: self.x, GAUSSIAN: drawn}
        self.sets = sets | {GAUSSIAN: np.repeat(np.arange(len(counts)), counts)}
        u = unit_vectors(self.data.form.size, DIRECTIONS, generator=self.generator)
        line = lambda x: (x.flatten(1) @ u).numpy()
        lines = {name: line(x).T for name, x in self.at.items()}
        both = [self._real(line, train, False).T, self._real(line, held, True).T]
        lines |= dict(zip((REAL, AGAINST), both)) if self.alone else {REAL: np.hstack(both)}

        def distance(name: str, i: np.ndarray, j: np.ndarray) -> float:
            a, b = lines[name][:, i], lines[AGAINST if self.alone else REAL][:, j]
            gap = np.sort(a, axis=1) - np.sort(b, axis=1)
            return math.sqrt(np.square(gap, dtype=np.float64).mean())

        return _row(DISTANCE, held_against(self.sets, *pools, distance, most=MOST, seed=self.seed))

    def neighbours(self) -> Neighbours:
        """The nearest training examples of the samples, and of held-out ones of the same classes,
        in the same shares."""
        (held, classes), mine = self._pool(True), self._classes(self.asked, len(self.x))
        limit = OPERATIONS / max(1, len(self.data.x) * self.data.form.size)
        limit = int(min(NEIGHBOURS, max(50, limit)))
        c, h = (fitting({}, a, a, limit) for a in (mine, classes))
        if self.asked is not None:  # `each` samples to a held-out example
            c, h = (np.pad(a, (0, max(len(c), len(h)) - len(a))) for a in (c, h))
            each = max(1, int(c.sum()) // max(1, int(h.sum())))
            h = np.minimum(h, c // each)
            c = each * h
        rng = np.random.default_rng(self.seed)
        some, others = (first_of(a, rng.random(len(a)), k) for a, k in ((mine, c), (classes, h)))
        return compared(
            self.x[some],
            self.data.batch(held[others], True),
            self.data.batch,
            len(self.data.x),
            generator=self.generator,
        )

    def agreement(self, judge: Callable[[Tensor], Tensor], held: Tensor, labels: Any) -> Row:
        """The share of the samples that a classifier calls what they were asked to be, beside the
        share of held-out examples, in the same shares of classes, that it calls what they are."""
        right = answers(judge, held).argmax(1) == labels
        if self.asked is None:
            real = agreement(right, labels)
            return Row(AGREEMENT, real.n, NAN, NAN, real.value, real.error)
        among = torch.isin(labels, self.asked)
        shares = torch.bincount(self.asked).double()
        real = agreement(right[among], labels[among], shares)
        mine = agreement(answers(judge, self.x).argmax(1) == self.asked, self.asked)
        return Row(AGREEMENT, mine.n, mine.value, mine.error, real.value, real.error)

    def features(
        self, embed: Callable[[Tensor], Tensor], fitted: bool
    ) -> tuple[list[Row], list[str]]:
        """(the rows of KID and Fréchet distance, or none, and why).  fitted: `embed` was trained on
        the training part, so that only held-out examples may be used."""
        (train, real), (held, against) = self._pool(False, POOL // 4), self._pool(True, POOL // 4)
        pools, parts = (real, against), {REAL: (train, False), AGAINST: (held, True)}
        if fitted or not self.alone:
            pools = (against if fitted else np.concatenate([real, against]), None)
        total = int(fitting(self.sets, *pools, MOST_FEATURES).sum())
        if total < FEWEST:
            why = f"{total} examples on each side are too few for KID and the Fréchet distance"
            return [], [why]
        f = {name: answers(embed, x) for name, x in self.at.items()}
        where = lambda name: self._real(lambda x: answers(embed, x).numpy(), *parts[name])
        if fitted:
            f[REAL] = torch.from_numpy(where(AGAINST))
        else:
            both = {name: torch.from_numpy(where(name)) for name in (REAL, AGAINST)}
            f |= both if self.alone else {REAL: torch.cat([*both.values()])}
        other = REAL if pools[1] is None else AGAINST
        gaps = {
            KID: lambda a, b: kid(a, b, groups=2)[0],
            FRECHET: lambda a, b: frechet_distance(moments(a), moments(b)),
        }
        how: dict[str, Any] = {"draws": 4, "most": MOST_FEATURES, "seed": self.seed}
        return [
            _row(
                name,
                held_against(self.sets, *pools, lambda k, i, j: gap(f[k][i], f[other][j]), **how),
                ratio=name != KID,
            )
            for name, gap in gaps.items()
        ], []

    def _classes(self, labels: Tensor | None, n: int) -> np.ndarray:
        """The classes that count for the protocol: zeros where the samples are random."""
        if self.asked is None or labels is None:
            return np.zeros(n, dtype=np.int64)
        return labels.numpy()

    def _pool(self, held: bool, most: int = POOL) -> tuple[Tensor, np.ndarray]:
        """(positions, classes) of real examples of the classes that are asked for, at most so many
        random ones."""
        part, labels = self.data.x, self.data.labels
        if held:
            part, labels = self.data.held, self.data.held_labels
        order = torch.randperm(len(part), generator=self.generator)
        if self.asked is not None and labels is not None:
            order = order[torch.isin(labels[order], self.asked)]
        order = order[:most].sort().values
        return order, self._classes(None if labels is None else labels[order], len(order))

    def _real(self, what: Callable[[Tensor], np.ndarray], index: Tensor, held: bool) -> np.ndarray:
        """what(examples) of real ones, a few MB at a time."""
        size = max(1, 2**22 // self.data.form.size)
        return np.concatenate([what(self.data.batch(i, held)) for i in index.split(size)])


def _row(measure: str, h: Held, ratio: bool = True) -> Row:
    values = [v for name in (SAMPLES, REAL, GAUSSIAN) for v in (h.value[name], h.error[name])]
    more = (h.ratio[SAMPLES], h.ratio_error[SAMPLES]) if ratio else ()
    return Row(measure, h.n, *values, *more)
