"""What a budget of evaluations buys: a solver and a grid, as measured.

The solvers were compared once, on Fashion-MNIST (results/quality.csv): a law of images, not of your
data, whose best solver may be another. What is said of a choice says so.
"""

from __future__ import annotations

import csv
import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..checks import require, whole
from .by_name import GRIDS, SOLVERS

MEASURED = "denoiser-small told the class"
"""The network of the comparison in results/quality.csv."""


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a measured table, results/<name>, as dicts of strings, without its comments.

    Looked for in the repository's folder results/ and in the copy that the installed package has.
    Raises ValueError when it is in neither.
    """
    own = Path(__file__).parents
    for folder in (own[2] / "results", own[1] / "results"):
        if (folder / name).exists():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            return tuple(csv.DictReader(line for line in lines if not line.startswith("#")))
    cure = "no such table in results/: clone the repository, or install sdelib again"
    raise ValueError(f"name = {name!r}: {cure}")


@dataclass(frozen=True)
class Choice:
    """A solver and a grid, by the names in `by_name`, and how many steps.
    evaluations: of the network, that each example costs.  why: what was measured of it, in words.
    """

    solver: str
    grid: str
    steps: int
    evaluations: int
    why: str


def choose(
    evaluations: int = 18,
    *,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    price: int = 1,
) -> Choice:
    """The best solver and grid for so many evaluations of the network, by the squared Fréchet
    distance measured on Fashion-MNIST; what is given is taken, and only the rest is chosen.

    evaluations: the most that each example may take, the noiseless last one included.  steps: in
    their place.  price: evaluations of the network that one of the score costs, 2 under guidance.
    Raises ValueError for a solver or a grid that there is not, and for fewer than 2·price
    evaluations, which buy no step.
    """
    whole(2 * price, evaluations=evaluations), whole(steps=1 if steps is None else steps)
    for name, value, known in (("solver", solver, SOLVERS), ("grid", grid, GRIDS)):
        require(value is None or value in known, name, value, f"there are {', '.join(known)}")
    rows = [r for r in table("quality.csv") if r["part"] == "main" and r["network"] == MEASURED]
    near = evaluations // price if steps is None or solver is None else _cost(solver, steps)
    budgets = sorted({int(r["budget"]) for r in rows})
    budget = max((b for b in budgets if b <= near), default=budgets[0])
    at = [r for r in rows if int(r["budget"]) == budget]
    fit = [r for r in at if (solver or r["solver"], grid or r["grid"]) == (r["solver"], r["grid"])]
    best = min(fit, key=lambda r: float(r["frechet"]), default=None)
    solver = solver or (best or min(at, key=lambda r: float(r["frechet"])))["solver"]
    steps = SOLVERS[solver].steps(evaluations // price) if steps is None else int(steps)
    grid = grid or (best or at[0])["grid"]
    fewer = [r for r in rows if int(r["budget"]) < budget and r["solver"] == solver]
    less = min(fewer, key=lambda r: float(r["frechet"]), default=None)
    return Choice(solver, grid, steps, price * _cost(solver, steps), _words(best, less, len(at)))


def _cost(solver: str, steps: int) -> int:
    """Evaluations of the score: those of the steps, and the denoising at the end."""
    return steps * SOLVERS[solver].evaluations + 1


def _words(row: dict[str, str] | None, less: dict[str, str] | None, others: int) -> str:
    if row is None:
        return "of your choice; not among what was measured on Fashion-MNIST (results/quality.csv)"
    real = [
        float(r["frechet"])
        for r in table("quality.csv")
        if (r["part"], r["solver"], r["n"]) == ("floor", "real told the class", row["n"])
    ]
    better = less is not None and float(less["frechet"]) < float(row["frechet"])
    more = f"; {less['evaluations']} had {float(less['frechet']):.2f}" if less and better else ""
    return (
        f"measured on Fashion-MNIST, not on this data (results/quality.csv): squared Fréchet "
        f"distance {float(row['frechet']):.2f} at {row['evaluations']} evaluations, one of "
        f"{others} solvers compared there ({row['n']} images, {row['process']}, one seed; "
        f"real images {statistics.mean(real):.2f}{more})"
    )
