"""Images from a score: start at the prior, solve the reverse equation down to t_min, denoise once.

    x_T ~ N(0, prior_std²·I),   dx = [f − ½(1 + η²) g² s(x, t)] dt + η g dw̄  from T to t_min,
    image = E[x_0 | x_{t_min}],

everything by `integrate`, the one time loop. All n images go through a step together; only the
network sees them in batches. So the noise of an image depends on (generator, n) and not on the
batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .checks import require, whole
from .denoiser import SIGMA_MIN, first_time, score_from
from .few_steps import DPMSolver, EDMHeun
from .grids import Grid, geometric_times, karras_times, uniform_grid
from .integration import AnyStep, Counted, integrate
from .predictor_corrector import PredictorCorrector, ancestral, exponential, reverse_diffusion, stay
from .reversal import Reverse, Score, denoise, evaluations_of
from .sdes import GaussianSDE
from .solvers import euler_maruyama, heun, heun_ito, milstein, platen, sra
from .stepping import Step, as_step


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
    from .probability_flow import rk45  # which needs scipy

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


def in_batches(f: Callable[..., Tensor], batch: int) -> Callable[..., Tensor]:
    """f(x, …), a score or a denoiser, evaluated on at most `batch` of the x at a time.

    What else it is given is split too when it is a tensor with one entry for each x, and passed
    whole otherwise.
    Where the device has too little memory it says so, and goes on with batches of half the size:
    the same result, but for rounding.
    Raises ValueError for a batch that is not a whole number above 0.
    """
    whole(batch=batch)

    def split(x: Tensor, *rest) -> Tensor:
        nonlocal batch
        each = [isinstance(a, Tensor) and a.ndim > 0 and len(a) == len(x) for a in rest]
        done = []
        while sum(map(len, done)) < len(x) or not done:
            part = slice(start := sum(map(len, done)), start + batch)
            try:
                done.append(f(x[part], *[a[part] if own else a for a, own in zip(rest, each)]))
            except torch.cuda.OutOfMemoryError:
                if batch == 1:
                    raise
                batch = min(batch, len(x)) // 2
                warnings.warn(
                    f"the device has too little memory: going on with batches of {batch}",
                    stacklevel=2,
                )
        return torch.cat(done)

    return split


def in_bfloat16(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f(x, …) with its convolutions and matrix products in bfloat16 (torch.autocast), and the
    result in the type of x.

    Faster on a GPU that has it. A value is then right to about 2⁻⁸, its 8 bits: less than a solver
    with few steps gets wrong.
    """

    def cast(x: Tensor, *rest, **more) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return f(x, *rest, **more).to(x.dtype)

    return cast


@torch.no_grad()
def sample_images(
    score: Score,
    sde: GaussianSDE,
    n: int,
    *,
    steps: int,
    step: AnyStep = euler_maruyama,
    eta: float = 1.0,
    t_min: float = 1e-3,
    grid: Grid = uniform_grid,
    generator: torch.Generator,
    batch: int | None = 64,
    shape: tuple[int, ...] = (1, 28, 28),
    denoised: bool = True,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> tuple[Tensor, int]:
    """(images, nfe): n images of `shape`, in [0, 1], on the CPU, and the score evaluations each one
    cost.

    score: ∇ log p_t on `device`, of the process `sde`.  steps: from T to t_min, at the times that
    `grid` gives.
    step, eta: the solver; eta = 1 is the reverse SDE, eta = 0 the probability flow, whose only
    randomness is its start.  denoised: end with E[x_0 | x_{t_min}], one more evaluation.
    batch: images the score sees at once, to bound memory; None: all (a score that has a label for
    each image splits them itself, see `in_batches`).  generator: draws the start, then the
    noise of every step; with a CPU generator, images of different batches or devices differ by
    rounding only.
    Raises ValueError unless n, steps and batch are whole numbers above 0 and 0 < t_min < T.
    """
    from tqdm import tqdm

    whole(n=n, steps=steps, batch=n if batch is None else batch)
    require(0 < t_min < sde.T, "t_min", t_min, f"give a time between 0 and T = {sde.T}")
    counted = Counted(score if batch is None else in_batches(score, batch))
    x = sde.sample_prior((n, *shape), generator=generator, device=device)
    times, noise = grid(sde, sde.T, t_min, steps), WhiteNoise(x, generator=generator)
    states = integrate(Reverse(sde, counted, eta), x, times, step, noise=noise)
    for x in tqdm(states, total=steps, desc="sampling", disable=not progress):
        pass
    if denoised:
        x = denoise(sde, counted, x, torch.tensor(t_min))
    return x.clamp(0, 1).cpu(), counted.calls * evaluations_of(score)


def sample_score(
    score: Score,
    sde: GaussianSDE,
    n: int,
    *,
    solver: str = "dpm++2m",
    evaluations: int = 18,
    grid: str = "karras",
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> tuple[Tensor, int]:
    """(images, nfe): n images from a score made of a denoiser (guided or posterior, too), by
    a solver and a grid given by name.

    evaluations: the most that the solver may take, the noiseless last one included. It stops where
    std/scale is the smallest noise that denoisers are trained on.
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
        t_min=first_time(sde, 1.0001 * SIGMA_MIN),
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
    **how: Any,
) -> tuple[Tensor, int]:
    """(images, nfe): `sample_score` of `score_from(denoiser, sde, label, guidance)`, with the
    keyword arguments `how`.

    batch: images the network sees at once.  Raises ValueError as `sample_score` and `score_from`.
    """
    network = in_batches(denoiser, batch)
    return sample_score(score_from(network, sde, label=label, guidance=guidance), sde, n, **how)
