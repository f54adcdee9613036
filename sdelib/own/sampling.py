"""Images from a score: start at the prior, solve the reverse equation down to t_min, denoise once.

    x_T ~ N(0, prior_std²·I),   dx = [f − ½(1 + η²) g² s(x, t)] dt + η g dw̄  from T to t_min,
    image = E[x_0 | x_{t_min}],

everything by `integrate`, the one time loop. All n images go through a step together; only the
network sees them in batches. So the noise of an image depends on (generator, n) and not on the
batch. Points and series are drawn likewise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import EllipsisType

import torch
from torch import Tensor

from ..brownian import WhiteNoise
from ..checks import require, whole
from ..grids import Grid, uniform_grid
from ..integration import AnyStep, Counted, integrate
from ..reversal import Reverse, Score, denoise, evaluations_of
from ..sdes import GaussianSDE
from ..solvers import euler_maruyama


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
    shape: Sequence[int] = (1, 28, 28),
    clamp: tuple[float, float] | EllipsisType | None = ...,
    denoised: bool = True,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> tuple[Tensor, int]:
    """(images, nfe): n images of `shape`, on the CPU, and the score evaluations each one cost.

    clamp: (low, high), the range of the data, to which the result is cut; None: it is not. Without
    it images, of shape (channels, height, width), are cut to [0, 1], and nothing else is.

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
    clamp = ((0.0, 1.0) if len(shape) == 3 else None) if clamp is ... else clamp
    fit = clamp is None or clamp[0] < clamp[1]
    require(fit, "clamp", clamp, "give (low, high), or None")
    counted = Counted(score if batch is None else in_batches(score, batch))
    x = sde.sample_prior((n, *shape), generator=generator, device=device)
    times, noise = grid(sde, sde.T, t_min, steps), WhiteNoise(x, generator=generator)
    states = integrate(Reverse(sde, counted, eta), x, times, step, noise=noise)
    for x in tqdm(states, total=steps, desc="sampling", disable=not progress):
        pass
    if denoised:
        x = denoise(sde, counted, x, torch.tensor(t_min))
    x = x if clamp is None else x.clamp(*clamp)
    return x.cpu(), counted.calls * evaluations_of(score)
