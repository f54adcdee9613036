"""The difference of two settings in validation loss, and what it is worth.

    d_si = ℓ_si(change) − ℓ_si(base)     seed s, held-out example i, a mean over the noise levels

Both settings have the seed, the batches' noise, the held-out examples, and their noise in common,
so d is known far better than either loss. Its mean has two errors: over seeds sd_s(mean_i d)/√S,
over examples sd_i(mean_s d)/√n; they add in squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

BEYOND = 2.0
"""A difference counts from so many standard errors."""

WIDER = {2: 7.0, 3: 2.26, 4: 1.65, 5: 1.43, 6: 1.32, 7: 1.26, 8: 1.21, 9: 1.18, 10: 1.16}
"""Student: beyond so many times two errors of this many seeds, chance is as rare as beyond two
errors that are known."""


@dataclass(frozen=True)
class Difference:
    """value: mean of d, below 0 where the change is better; NaN where it did not train.
    over_seeds, over_examples: its standard errors.  seeds: the mean of each seed.
    bands, band_errors: by noise level, with errors over examples."""

    value: float
    over_seeds: float
    over_examples: float
    seeds: tuple[float, ...]
    bands: tuple[float, ...]
    band_errors: tuple[float, ...]

    @classmethod
    def of(cls, change: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> Difference:
        """From the losses (examples, bands) of each seed."""
        with np.errstate(invalid="ignore"):
            d = np.stack(change) - np.stack(base)
            seeds, bands = d.mean((1, 2)), d.mean(0)
            return cls(
                float(seeds.mean()),
                _error(seeds),
                _error(bands.mean(1)),
                tuple(seeds.tolist()),
                tuple(bands.mean(0).tolist()),
                tuple(_error(column) for column in bands.T),
            )

    @property
    def error(self) -> float:
        """Both errors in one."""
        return math.hypot(self.over_seeds, self.over_examples)

    @property
    def better(self) -> bool:
        """Below 0 by more than `BEYOND` standard errors, and with every seed."""
        return self.value < -BEYOND * self.error and max(self.seeds) < 0

    @property
    def worse(self) -> bool:
        """Above 0 by more than `BEYOND` standard errors, or not trained at all."""
        return not math.isfinite(self.value) or self.value > BEYOND * self.error

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "no finite loss"
        return f"{self.value:+.4f} ± {self.over_seeds:.4f} ± {self.over_examples:.4f}"


def _error(a: np.ndarray) -> float:
    """The standard error of the mean; NaN for one number."""
    return float(a.std(ddof=1) / math.sqrt(len(a))) if len(a) > 1 else math.nan


def level(found: Sequence[Difference]) -> list[Difference]:
    """The same with wider errors over seeds, e ← max(e, min(t e, median of all e)): few seeds agree
    by chance, so their own error counts t times (`WIDER`), unless the others of the table say how
    much seeds matter. Differences that are 0 throughout, or not finite, stay as they are."""
    known = [d.over_seeds for d in found if d.over_seeds > 0 and math.isfinite(d.over_seeds)]
    usual = float(np.median(known)) if known else 0.0

    wide = lambda d: replace(d, over_seeds=wider(d.over_seeds, len(d.seeds), usual))
    return [wide(d) if math.isfinite(d.value) and any(d.seeds) else d for d in found]


def wider(error: float, seeds: int, usual: float) -> float:
    """The error of so few seeds, as `level` has it; usual: the median."""
    return max(error, min(WIDER.get(seeds, 1.15) * error, usual))
