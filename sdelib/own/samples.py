"""Samples of a model: example k from the noise of (seed, k), solved batch by batch.

    x_T ~ N(scale·m, std² I),   dx = [f − ½(1 + η²) g² s(x, t)] dt + η g dw̄  from T to t_min,
    x = E[x_0 | x_{t_min}],

with the mean m of the data, so that the start is p_T of N(m, …) and not of N(0, …).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checks import require, whole
from ..integration import Counted, integrate
from ..reversal import Reverse, Score, denoise, evaluations_of
from ..sdes import GaussianSDE
from .budget import Choice
from .by_name import GRIDS, SOLVERS
from .forms import Form
from .luck import generator_of
from .noise import NoiseOfEach, of_each


@dataclass(frozen=True, eq=False)
class Samples:
    """x: (n, *form.shape), in network units, on the CPU.  labels: (n,) int64, None where no class
    was told.  nfe: evaluations of the network that each cost.  about: settings, seed, versions and
    the hash of the weights; `write` keeps them in the file."""

    x: Tensor
    labels: Tensor | None
    nfe: int
    form: Form
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def decode(self) -> Any:
        """The samples in the data's own units, as `Form.decode` gives them."""
        return self.form.decode(self.x, self.labels)

    def write(self, path: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
        """Write them by `Form.write`: .png, .npz, .csv or a folder.  about: more to be kept."""
        more = self.about | dict(about or {})
        return self.form.write(self.x, path, labels=self.labels, about=more)


def draw(
    score: Callable[[Tensor | int | None], Score],
    sde: GaussianSDE,
    n: int,
    shape: tuple[int, ...],
    how: Choice,
    *,
    labels: Tensor | None,
    mean: float,
    t_min: float,
    seed: int,
    batch: int,
    like: Tensor,
    progress: bool,
    start: int = 0,
    denoised: bool = True,
) -> tuple[Tensor, int]:
    """(x, nfe): the n examples from number `start` on, on the CPU, and the evaluations that each
    cost.

    score: the score for the labels of a batch, or for none.  how: the solver.
    batch: examples that are solved together, to bound memory; it changes their rounding only.
    like: a tensor whose dtype and device x takes.  denoised: end with E[x_0 | x_{t_min}].
    """
    from tqdm import tqdm

    whole(n=n, batch=batch), whole(0, seed=seed)
    require(0 < t_min < sde.T, "t_min", t_min, f"give a time between 0 and T = {sde.T}")
    solver, times = SOLVERS[how.solver], GRIDS[how.grid](sde, sde.T, t_min, how.steps)
    scale, std = (float(a) for a in sde.marginal(torch.tensor(sde.T, dtype=torch.float64)))
    done, nfe = [], 0
    with tqdm(total=n, desc="sampling", disable=not progress) as bar:
        for first in range(0, n, batch):
            numbers = range(start + first, start + min(n, first + batch))
            white = NoiseOfEach(like.new_empty(len(numbers), *shape), seed=seed, numbers=numbers)
            step = solver.make(how.steps, generator_of("noise", seed))
            s = score(None if labels is None else labels[first : first + batch].to(like.device))
            counted, x = Counted(s), scale * mean + std * white.normal()
            reverse = Reverse(sde, counted, solver.eta)
            for x in integrate(reverse, x, times, of_each(step, white), noise=white):
                pass
            x = denoise(sde, counted, x, torch.tensor(t_min)) if denoised else x
            done.append(x.cpu())
            nfe = counted.calls * evaluations_of(s)
            bar.update(len(numbers))
    return torch.cat(done), nfe
