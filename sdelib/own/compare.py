"""How good are samples? One comparison with the data that they imitate.

    told = compare(model.sample(500), data)
    print(told.table()), print(told.say())

Four questions: how far are they from real examples, beside real ones from each other (the floor)
and a Gaussian from them (the baseline)? Are they copies? Are they what they were asked to be? And,
for pictures, how far are they in the features of a classifier?
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import require
from .cases import Case
from .data import Data
from .given import as_given
from .neighbours import Neighbours
from .small_classifier import trained
from .told import Row, near_rows, say, table


@dataclass(frozen=True)
class Comparison:
    """rows: all that was measured, each with its own error.  protocol, against: in words, how the
    samples were drawn, and what they are held against.
    neighbours: of the samples in the training part.  notes: what is to be known besides."""

    rows: tuple[Row, ...]
    protocol: str
    against: str
    neighbours: Neighbours
    notes: tuple[str, ...] = ()

    def __getitem__(self, measure: str) -> Row:
        """The row of this measure.  ValueError lists what there is."""
        there = {row.measure: row for row in self.rows}
        require(measure in there, "measure", measure, f"there are {[*there]}")
        return there[measure]

    def table(self) -> str:
        """A line a measure: samples, real examples (the floor), Gaussian, samples/real."""
        return table(self.rows)

    def say(self) -> str:
        """What follows, in sentences."""
        return say(self.rows, self.neighbours, self.protocol, self.against, self.notes)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and words; what is not finite is None."""
        plain = lambda v: None if isinstance(v, float) and not math.isfinite(v) else v
        facts = dataclasses.asdict(self)
        facts["rows"] = [{k: plain(v) for k, v in row.items()} for row in facts["rows"]]
        near = self.neighbours
        facts["neighbours"] = {k: plain(v) for k, v in facts["neighbours"].items()}
        facts["neighbours"] |= {"index": [*near.index], "copying": near.copying}
        return facts | {"notes": [*self.notes]}


def compare(
    samples: Any,
    data: Data,
    *,
    labels: Any = None,
    embed: Callable[[Tensor], Tensor] | None = None,
    classifier: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """The samples of a model beside the data that it learned.

    Sliced Wasserstein: √(mean over directions u of W₂(uᵀx, uᵀy)²), in network units.

    samples: n ≥ 20: a float tensor (n, *shape) in network units, what `Model.sample` returns, or an
    array or data frame in the data's own units.
    labels: (n,), the class that each was asked for; those of `samples` if it has any. All −1, or
    none: random ones. With labels, every real set has the same number of each class.
    embed: examples (batch, *shape) → features (batch, f), for KID and the Fréchet distance.
    classifier: a module that gives logits, in eval mode, and its `embed` features; None trains a
    small one on the training part where it is needed (15 s at most); False goes without.
    seed: the same gives the same figures.  progress: say what is being done.

    The samples are held against as many held-out examples, if there are enough, and the floor is
    that of training examples; else both are drawn from all examples, without a common one. A model
    has seen most of those, which lowers its distance, at worst to √½ of the floor.
    Features of a classifier that was trained on the training part are compared on held-out ones.
    KID's floor is 0 on average for random samples, and below 0 for fixed numbers of each class.
    Raises ValueError for another shape, labels of a part of the samples, classes that the data do
    not have, and fewer than 20 samples, or examples for each side of a comparison.
    """
    tell = print if progress else (lambda _: None)
    x, asked = as_given(samples, data, labels)
    case = Case(data, x, asked, seed, torch.Generator().manual_seed(seed))
    tell(f"sliced Wasserstein: {len(x)} samples, real examples, a Gaussian")
    rows, notes, judge = [case.distance()], [], classifier
    tell("the nearest training examples")
    near = case.neighbours()
    rows += near_rows(near)
    pictures, classes = data.form.kind == "images", data.labels
    wanted = judge is None and (asked is not None or (pictures and embed is None))
    if wanted and classes is not None and len(classes.unique()) > 1:
        tell("a small classifier")
        about = {"mean": data.form.mean, "std": data.form.std, "seed": seed}
        judge = trained(data.batch, classes, len(data.form.classes), **about)
    if judge and data.held_labels is not None:
        rows.append(case.agreement(judge, *data.held_out(5000)))
    own = embed is None
    if own and judge and pictures:
        embed = getattr(judge, "embed", judge)
    if embed is not None:
        tell("KID and the Fréchet distance")
        found, why = case.features(embed, own)
        rows, notes = rows + found, notes + why
    if rows[0].n < len(x):
        notes.append(f"{rows[0].n} of {len(x)} samples are compared at a time")
    return Comparison(tuple(rows), case.protocol, case.against, near, tuple(notes))
