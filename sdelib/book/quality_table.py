"""The runs of results/quality.csv, as chapter 13 asks for them.

A run is a network, a process, a solver and a budget of evaluations, and what was measured of the
images that they drew: F, the squared Fréchet distance to the training set, and three others.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from .notebook import read_table

SMALL, LARGE = "denoiser-small told the class", "denoiser told the class"
FLOWS = {
    "dpm++2m": "DPM++(2M)",
    "ddim": "DDIM",
    "edm-heun": "EDM's Heun",
    "probability-flow-heun": "Heun",
    "probability-flow-euler": "Euler",
    "probability-flow-rk45": "RK45, fixed steps",
}
NOISY = {
    "dpm++2m-sde": "DPM++(2M) SDE",
    "edm-churn": "EDM, churn",
    "ancestral": "ancestral",
    "exponential": "exponential",
    "predictor-corrector": "predictor–corrector",
    "euler-maruyama": "Euler–Maruyama",
    "heun": "Heun",
    "sra": "SRA",
}
NAMES = FLOWS | NOISY
"""The solvers of the first figure, by their names in the table, with those on the page."""


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    def number(row, column):
        return float(row[column]) if row[column] else float("nan")

    return tuple(
        row
        | {"F": float(row["frechet"]), "n": int(row["n"]), "nfe": int(row["evaluations"] or 0)}
        | {k: number(row, k) for k in ("sliced_wasserstein", "precision", "recall")}
        for row in read_table("quality.csv")
    )


def runs(part: str, **match: object) -> list[dict[str, Any]]:
    """The runs of one part of the table whose columns are `match`."""
    return [
        row
        for row in _rows()
        if row["part"] == part and all(str(row[k]) == str(v) for k, v in match.items())
    ]


def stored(solver: str, budget: int, part: str = "main", network: str = SMALL) -> float:
    """F of one run, the first if there are several."""
    return runs(part, solver=solver, budget=budget, network=network)[0]["F"]


def floors(kind: str) -> dict[int, Tensor]:
    """n → F of each draw of n real test images, of the kind "real" or "real told the class" (as
    many of each class)."""
    found: dict[int, list[float]] = {}
    for row in runs("floor", solver=kind):
        found.setdefault(row["n"], []).append(row["F"])
    return {n: torch.tensor(each, dtype=torch.float64) for n, each in found.items()}


def curves() -> dict[str, list[tuple[int, float]]]:
    """solver → (evaluations, F) in their order, for one small network and 1,000 images.

    The longest runs drew 500: the difference of the two floors is taken away.
    """
    floor = floors("real told the class")
    shift = float(floor[500].mean() - floor[1000].mean())
    found: dict[str, list[tuple[int, float]]] = {}
    for row in runs("main"):
        found.setdefault(row["solver"], []).append((row["nfe"], row["F"]))
    for row in runs("beyond"):
        found[row["solver"]].append((row["nfe"], row["F"] - shift))
    return {solver: sorted(points) for solver, points in found.items()}


def pairs() -> dict[str, dict[str, float]]:
    """solver → process → F, with 250 images and at most 100 evaluations; the worst solver first."""
    found: dict[str, dict[str, float]] = {}
    for row in runs("pairs"):
        found.setdefault(row["solver"], {})[row["process"]] = row["F"]
    return dict(sorted(found.items(), key=lambda item: -max(item[1].values())))
