"""Solvers and grids by name, for the command line, the widgets and the tables; in the chapters a
step is passed as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor

from ..checks import require, whole
from ..denoiser import SIGMA_MAX, SIGMA_MIN, first_time, score_from
from ..few_steps import DPMSolver, EDMHeun
from ..grids import Grid, geometric_times, karras_times, uniform_grid
from ..predictor_corrector import (
    PredictorCorrector,
    ancestral,
    exponential,
    reverse_diffusion,
    stay,
)
from ..reversal import Score
from ..sdes import GaussianSDE
from ..solvers import euler_maruyama, heun, heun_ito, milstein, platen, sra
from ..stepping import Step, as_step
from .sampling import in_batches, sample_images


@dataclass(frozen=True)
class Solver:
    """make(steps, generator) → a step for one solve of that many steps, and the η of the Reverse it
    runs on."""

    make: Callable[[int, torch.Generator], Step]
    eta: float

    @property
    def evaluations(self) -> int:
        """Evaluations of the score that each step costs."""
        return self.make(1, torch.Generator()).evaluations

    def steps(self, evaluations: int) -> int:
        """The most steps that, with the denoising at the end, cost at most so many evaluations; at
        least 1."""
        return max(1, (evaluations - 1) // self.evaluations)


def _always(step: Step) -> Callable[[int, torch.Generator], Step]:
    return lambda steps, generator: step


def _rk45(steps: int, generator: torch.Generator) -> Step:
    from ..probability_flow import rk45  # which needs scipy

    return as_step(rk45)


def _corrected(predictor: Step) -> Callable[[int, torch.Generator], Step]:
    return lambda steps, generator: PredictorCorrector(predictor, 0.16, generator=generator)


def _churned(steps: int, generator: torch.Generator) -> Step:
    return EDMHeun(churn=10.0, steps=steps, s_min=0.05, s_max=50.0)


SOLVERS: dict[str, Solver] = {
    "euler-maruyama": Solver(_always(euler_maruyama), 1.0),
    "platen": Solver(_always(platen), 1.0),
    "milstein": Solver(_always(milstein), 1.0),
    "heun": Solver(_always(heun), 1.0),
    "heun-ito": Solver(_always(heun_ito), 1.0),
    "sra": Solver(_always(sra), 1.0),
    "exponential": Solver(_always(exponential), 1.0),
    "reverse-diffusion": Solver(_always(reverse_diffusion), 1.0),
    "ancestral": Solver(_always(ancestral), 1.0),
    "predictor-corrector": Solver(_corrected(reverse_diffusion), 1.0),
    "annealed-langevin": Solver(_corrected(stay), 1.0),
    "dpm++2m-sde": Solver(_always(DPMSolver()), 1.0),
    "probability-flow-euler": Solver(_always(euler_maruyama), 0.0),
    "probability-flow-heun": Solver(_always(heun), 0.0),
    "probability-flow-rk45": Solver(_rk45, 0.0),
    "ddim": Solver(_always(DPMSolver(1)), 0.0),
    "dpm++2m": Solver(_always(DPMSolver()), 0.0),
    "edm-heun": Solver(_always(EDMHeun()), 0.0),
    "edm-churn": Solver(_churned, 0.0),
}
"""Name → Solver, for the command line, the widgets and the tables; in the notebooks a step is
passed as a function."""

GRIDS: dict[str, Grid] = {
    "uniform": uniform_grid,
    "geometric": geometric_times,
    "karras": karras_times,
}
"""Name → grid, likewise."""


def sample_score(
    score: Score,
    sde: GaussianSDE,
    n: int,
    *,
    solver: str = "dpm++2m",
    evaluations: int = 18,
    grid: str = "karras",
    generator: torch.Generator,
    shape: Sequence[int] = (1, 28, 28),
    clamp: tuple[float, float] | EllipsisType | None = ...,
    t_min: float | None = None,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> tuple[Tensor, int]:
    """(images, nfe): n images from a score made of a denoiser (also a guided or a posterior one),
    by a solver and a grid given by name.

    evaluations: the most that the solver may take, the noiseless last one included.
    shape, clamp: of one image and of its range, see `sample_images`.
    t_min: where it stops; None: where std/scale is the smallest noise of the book's denoisers.
    Raises ValueError for a solver or a grid that SOLVERS and GRIDS do not have, evaluations below
    2, and as `sample_images`.
    """
    for name, value, known in (("solver", solver, SOLVERS), ("grid", grid, GRIDS)):
        require(value in known, name, value, f"there are {', '.join(known)}")
    whole(2, evaluations=evaluations)  # one step, and the denoising at the end
    chosen = SOLVERS[solver]
    steps = chosen.steps(evaluations)
    return sample_images(
        score,
        sde,
        n,
        steps=steps,
        step=chosen.make(steps, generator),
        eta=chosen.eta,
        grid=GRIDS[grid],
        generator=generator,
        t_min=first_time(sde, 1.0001 * SIGMA_MIN) if t_min is None else t_min,
        shape=shape,
        clamp=clamp,
        batch=None,
        device=device,
        progress=progress,
    )


def sample_denoiser(
    denoiser: Callable[..., Tensor],
    sde: GaussianSDE,
    n: int,
    *,
    label: Tensor | int | None = None,
    guidance: float = 1.0,
    batch: int = 50,
    shape: Sequence[int] | None = None,
    **how: Any,
) -> tuple[Tensor, int]:
    """(images, nfe): `sample_score` of `score_from(denoiser, sde, label, guidance)`, with the
    keyword arguments `how`.

    batch: images the network sees at once.
    shape: of one image; None: the denoiser's own, and (1, 28, 28) for a function that has none.
    It stops at the least noise of the denoiser's own `levels`.
    Raises ValueError for a denoiser that has no shape (None), and as `sample_score` and
    `score_from`.
    """
    own: Any = getattr(denoiser, "shape", (1, 28, 28)) if shape is None else shape
    require(own is not None, "shape", own, "give that of one example: this denoiser has none")
    low, _ = getattr(denoiser, "levels", (SIGMA_MIN, SIGMA_MAX))
    how = {"t_min": first_time(sde, 1.0001 * low), "shape": own} | how
    network = in_batches(denoiser, batch)
    return sample_score(score_from(network, sde, label=label, guidance=guidance), sde, n, **how)
