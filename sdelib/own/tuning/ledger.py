"""A table of runs on the disk that the same command goes on with.

    tuning.csv           a row a run, below lines that say what run it is and what was fixed
    tuning.losses.npz    the losses of the runs, example by example: what differences are made of

Both are written whole after every run, the losses first; a run without a row is done again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import require
from ..runs import differences
from ..weights import atomic

PLAN, FIXED = "# plan: ", "# fixed: "
KEY = ("round", "at", "change", "seed")


class Ledger:
    """path: the .csv.  plan: what the command asks for, a flat dictionary of JSON: of another one
    is refused.  words: lines for the head of a new file.  fields: the columns.
    fixed: what was measured once, before the runs.  rows: the table, as strings.

    Raises ValueError, naming what differs and both values, for the table of another command, and
    for a file that is no such table.
    """

    def __init__(
        self, path: Path, plan: dict[str, Any], words: Sequence[str], fields: Sequence[str]
    ):
        self.path, self.plan = path, json.loads(json.dumps(plan))
        self.words, self.fields = [*words], [*fields]
        self.fixed: dict[str, Any] = {}
        self.rows: list[dict[str, str]] = []
        self.losses: dict[str, np.ndarray] = {}
        if path.exists():
            self._read()

    @property
    def numbers(self) -> Path:
        """Where the losses are."""
        return self.path.with_suffix(".losses.npz")

    def _read(self) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        head = [line for line in lines if line.startswith("#")]
        said = [json.loads(s[len(k) :]) for k in (PLAN, FIXED) for s in head if s.startswith(k)]
        cure = "it is there, and no table of tune: give another name"
        require(len(said) == 2, "out", str(self.path), cure)
        if unlike := list(differences(said[0], self.plan)):
            more = f" (and {len(unlike) - 3} more)" if len(unlike) > 3 else ""
            raise ValueError(
                f"out = {self.path} holds another tuning: {'; '.join(unlike[:3])}{more}: "
                "give that command, or another name"
            )
        self.fixed = said[1]
        self.words = [line[2:] for line in head if not line.startswith((PLAN, FIXED))]
        self.rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        if self.numbers.exists():
            with np.load(self.numbers, allow_pickle=False) as f:
                self.losses = {name: f[name] for name in f.files}

    def fix(self, name: str, value: Any) -> Any:
        """What was fixed by this name; `value`, which is kept, where nothing was."""
        if name not in self.fixed:
            self.fixed[name] = json.loads(json.dumps(value))
            self._write()
        return self.fixed[name]

    def known(self, run: str) -> np.ndarray | None:
        """The losses of a run, None where it has not been done."""
        return self.losses.get(name_of(run))

    def facts(self, run: str) -> list[float]:
        """What was kept with the losses of a run."""
        return self.losses[f"{name_of(run)}.facts"].tolist()

    def keep(self, run: str, each: np.ndarray, *facts: float) -> np.ndarray:
        """Write the losses of a run, float64 (examples, bands), and numbers that belong to them."""
        self.losses |= {name_of(run): each, f"{name_of(run)}.facts": np.array(facts)}
        atomic(self.numbers, lambda p: np.savez(p, **self.losses))  # type: ignore[arg-type]
        return each

    def add(self, row: dict[str, Any]) -> None:
        """Write a row, in the place of the one that it had."""
        text = {k: str(v) for k, v in row.items()}
        self.rows = [r for r in self.rows if any(r[k] != text[k] for k in KEY)] + [text]
        self._write()

    def row(self, **key: Any) -> dict[str, str] | None:
        """The row with these values in its columns."""
        text = {k: str(v) for k, v in key.items()}
        return next((r for r in self.rows if all(r[k] == v for k, v in text.items())), None)

    def _write(self) -> None:
        page = io.StringIO()
        head = [f"# {line}" for line in self.words]
        head += [
            f"{k}{json.dumps(v, ensure_ascii=False)}"
            for k, v in ((PLAN, self.plan), (FIXED, self.fixed))
        ]
        page.write("\n".join(head) + "\n")
        table = csv.DictWriter(page, self.fields, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        atomic(self.path, lambda p: p.write_text(page.getvalue(), encoding="utf-8", newline="\n"))


def name_of(run: str) -> str:
    """A short name of a run that says all of itself."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]
