"""The loss on what is held out, as training went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .validation import Validation


@dataclass(frozen=True, eq=False)
class Curve:
    """steps, seconds: where the held-out part was looked at, (points,), and the time that training
    alone had taken by then.  tables: what was seen there, by noise level.
    losses: of training, one a step.  words: how the number of steps was fixed.
    print(curve) shows it; `rows` is for a table or a figure."""

    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    tables: tuple[Validation, ...]
    losses: Tensor
    words: str = ""

    @classmethod
    def of(cls, watched: Sequence[Sequence[Any]], losses: Tensor, words: str = "") -> Curve:
        """From what `training.train` kept of the tables, as JSON."""
        steps, seconds, seen = zip(*watched) if watched else ((), (), ())
        return cls(steps, seconds, tuple(map(Validation.from_json, seen)), losses, words)

    @property
    def totals(self) -> Tensor:
        """The loss over all noise levels at each point, (points,), float64."""
        return torch.tensor([t.total for t in self.tables], dtype=torch.float64)

    @property
    def lowest(self) -> int:
        """The place of the lowest loss among the points."""
        return int(self.totals.argmin())

    def facts(self) -> dict[str, Any]:
        """What a model's file says of it."""
        if not self.tables:
            return {}
        last = self.tables[-1]
        numbers = {"loss": last.total, "error": last.total_error, "examples": last.examples}
        facts: dict[str, Any] = {"validation": {k: _short(v) for k, v in numbers.items()}}
        return facts | {"seconds": round(self.seconds[-1], 1)}

    def rows(self) -> list[dict[str, float]]:
        """One dict a point: step, seconds, loss, error, and loss and error of each band of σ."""
        found = []
        for step, seconds, t in zip(self.steps, self.seconds, self.tables):
            row = {"step": step, "seconds": seconds, "loss": t.total, "error": t.total_error}
            for k, band in enumerate(t.rows()):
                row |= {f"loss{k}": band["loss"], f"error{k}": band["error"]}
            found.append(row)
        return found

    def __str__(self) -> str:
        """A line a point, then the last table; and whether the loss has risen since its lowest."""
        if not self.tables:
            return "nothing was looked at"
        lines = [f"{'step':>8} {'seconds':>9}   loss on what is held out"]
        for row in self.rows():
            lines += ["{step:8d} {seconds:9.1f}   {loss:.4f} ± {error:.4f}".format(**row)]
        best, end = self.tables[self.lowest], self.tables[-1]
        if self.lowest + 1 < len(self.tables):
            lines += [
                f"lowest at step {self.steps[self.lowest]}, and {end.total - best.total:.4f} more "
                "at the end: fewer steps, more dropout or more data may do better"
            ]
        return "\n".join([*lines, "", str(end)])


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.6g}")
