"""Images from a score: start at the prior, solve the reverse equation down to t_min, denoise once.

    x_T ~ N(0, prior_std²·I),   dx = [f − ½(1 + η²) g² s(x, t)] dt + η g dw̄  from T to t_min,
    image = E[x_0 | x_{t_min}],

everything by `integrate`, the one time loop. All n images go through a step together; only the
network sees them in batches. So the noise of an image depends on (generator, n) and not on the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .sdes import GaussianSDE, Reverse, Score
from .solvers import Counted, Step, denoise, euler_maruyama, integrate, uniform_times

__all__ = ["sample_images", "in_batches"]


def in_batches(score: Score, batch: int) -> Score:
    """The same score, evaluated on at most `batch` of the x at a time; t is a scalar tensor."""
    return lambda x, t: torch.cat([score(part, t) for part in x.split(batch)])


@torch.no_grad()
def sample_images(score: Score, sde: GaussianSDE, n: int, *, steps: int, step: Step = euler_maruyama,
                  eta: float = 1.0, t_min: float = 1e-3, generator: torch.Generator, batch: int = 64,
                  shape: tuple[int, ...] = (1, 28, 28), denoised: bool = True,
                  device: torch.device | str = "cpu", progress: bool = True) -> tuple[Tensor, int]:
    """(images, nfe): n images of `shape`, in [0, 1], on the CPU, and the score evaluations each one cost.

    score: ∇ log p_t on `device`, of the process `sde`.  steps: equal steps from T to t_min.
    step, eta: the solver; eta = 1 is the reverse SDE, eta = 0 the probability flow, whose only
    randomness is its start.  denoised: end with E[x_0 | x_{t_min}], one more evaluation.
    batch: images the score sees at once, to bound memory.  generator: draws the start, then the
    noise of every step; with a CPU generator, images of different batches or devices differ by
    rounding only.
    Raises ValueError unless n, steps and batch are whole numbers above 0 and 0 < t_min < T.
    """
    for name, value in {"n": n, "steps": steps, "batch": batch}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} = {value!r}: give a whole number above 0")
    if not 0 < t_min < sde.T:
        raise ValueError(f"t_min = {t_min!r} is not between 0 and T = {sde.T}")
    from tqdm import tqdm

    counted = Counted(in_batches(score, batch))
    x = sde.sample_prior((n, *shape), generator=generator, device=device)
    states = integrate(Reverse(sde, counted, eta), x, uniform_times(sde.T, t_min, steps), step,
                       noise=WhiteNoise(x, generator=generator))
    for x in tqdm(states, total=steps, desc="sampling", disable=not progress):
        pass
    if denoised:
        x = denoise(sde, counted, x, torch.tensor(t_min))
    return x.clamp(0, 1).cpu(), counted.calls
