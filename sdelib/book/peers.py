"""sdelib's solvers beside those of five libraries, as measured: results/solvers_vs_peers.csv."""

from __future__ import annotations

import math

from .notebook import read_table

Method = tuple[str, str, str]
"""The library, its solver, the grid."""

EULER, SRA = ("sdelib", "euler_maruyama", "uniform VE"), ("sdelib", "sra", "karras")
SHOWN: tuple[Method, ...] = (
    EULER,
    ("torchsde", "euler", "uniform VE"),
    ("diffrax", "Euler", "uniform VE"),
    ("sdelib", "ancestral", "karras"),
    ("k-diffusion", "euler_ancestral", "karras"),
    ("azula", "DDPM", "karras"),
    ("sdelib", "sra", "uniform VE"),
    ("diffrax", "SRA1", "uniform VE"),
    ("torchsde", "srk additive", "uniform VE"),
    SRA,
    ("k-diffusion", "dpmpp_sde", "karras"),
    ("k-diffusion", "dpmpp_2m_sde", "karras"),
    ("diffusers", "DPMSolverMultistep", "karras"),
)


class Peers:
    """The rows of the reverse SDE, by method and number of score evaluations."""

    def __init__(self):
        rows = [r for r in read_table("solvers_vs_peers.csv") if r["family"] == "sde"]
        self.rows = {
            (r["library"], r["solver"], r["grid"], int(r["budget"])): r for r in rows if r["budget"]
        }

    def value(self, method: Method, budget: int, column: str = "error") -> float:
        """One number of the table; the error is the squared energy distance to the exact law."""
        return float(self.rows[(*method, budget)][column])

    def alike(self, one: Method, other: Method, budget: int) -> bool:
        """Whether two errors are equal, up to 5 standard errors of both."""
        a, b = (self.value(m, budget) for m in (one, other))
        chance = math.hypot(*(self.value(m, budget, "error_se") for m in (one, other)))
        return abs(a - b) < 5 * chance

    def at(self, budget: int) -> dict[Method, float]:
        """The error of every method at one budget."""
        return {key[:3]: self.value(key[:3], budget) for key in self.rows if key[3] == budget}

    def line(self, method: Method) -> str:
        """A line of the chapter's table: errors in 1e-4 at 10, 20 and 50 evaluations, and the time
        at 50 in parts of ours."""
        errors = (
            f"{1e4 * self.value(method, b):.1f} ± {1e4 * self.value(method, b, 'error_se'):.1f}"
            for b in (10, 20, 50)
        )
        time = f"{self.value(method, 50, 'seconds_ratio_to_ours'):.1f}"
        return " | ".join((*method, *errors, time))
