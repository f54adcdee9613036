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

from ..checks import require, whole, within
from ..denoiser import first_time, score_from
from ..integration import Counted, integrate
from ..reversal import Reverse, Score, denoise, evaluations_of
from ..sdes import GaussianSDE
from .budget import Choice, choose
from .by_name import GRIDS, SOLVERS
from .devices import exact_products, visiting
from .forms import Form
from .luck import generator_of
from .noise import NoiseOfEach, of_each
from .runs import fingerprint, tensors_of, versions
from .sampling import in_batches


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


def labels_for(form: Form, label: Any, n: int) -> Tensor | None:
    """The number of the class of each of n samples, int64 (n,); None where none is told.
    label: as `Model.sample` takes it.  Raises ValueError for a class that there is not."""
    names = form.classes
    if label is None:
        return None
    if isinstance(label, str) and label == "each" and names and label not in names:
        return torch.arange(n) % len(names)
    if isinstance(label, (str, int)) or (
        hasattr(label, "__index__") and not isinstance(label, Tensor)
    ):
        return torch.full((n,), form.label(label))
    numbers = torch.as_tensor(label)
    fit = numbers.shape == (n,) and not numbers.is_floating_point()
    fit = fit and int(numbers.min()) >= 0 and int(numbers.max()) < len(names)
    cure = f"give one for each of the {n} samples, from 0 to {len(names) - 1}"
    require(fit, "label", numbers, cure)
    return numbers.long()


@torch.no_grad()
def sampled(
    network: Any,
    form: Form,
    sde: GaussianSDE,
    n: int,
    *,
    weights: str,
    levels: tuple[float, float],
    label: Any,
    guidance: float,
    evaluations: int,
    solver: str | None,
    steps: int | None,
    grid: str | None,
    seed: int,
    batch: int,
    device: torch.device,
    progress: bool,
) -> Samples:
    """What `Model.sample` gives.  weights: their hash; "" for that of the tensors in memory.
    levels: the least and the largest noise that the network knows."""
    whole(n=n, batch=batch), whole(0, seed=seed)
    within(0, 1e18, guidance=guidance)
    labels, price = labels_for(form, label, n), 1 if guidance in (0, 1) else 2
    how = choose(evaluations, solver=solver, steps=steps, grid=grid, price=price)
    split = in_batches(network, batch)  # fewer at once where memory is short
    with visiting(network, device), exact_products():
        x, nfe = draw(
            lambda y: score_from(split, sde, label=y, guidance=guidance),
            sde,
            n,
            form.shape,
            how,
            labels=labels,
            mean=form.mean,
            t_min=first_time(sde, 1.0001 * levels[0]),
            seed=seed,
            batch=batch,
            like=next(network.parameters()),
            progress=progress,
        )
    about = {"weights": weights or fingerprint(t for _, t in tensors_of(network)), "n": n}
    about |= {"label": label if isinstance(label, (str, int)) or label is None else "given"}
    about |= {"guidance": guidance, "solver": how.solver, "grid": how.grid, "steps": how.steps}
    about |= {"evaluations": nfe, "measured": how.why, "process": repr(sde), "seed": seed}
    x = x.clamp(0, 1) if form.kind == "images" else x
    return Samples(x, labels, nfe, form, about | versions())


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
) -> tuple[Tensor, int]:
    """(x, nfe): n examples on the CPU, and the evaluations that each cost.

    score: the score for the labels of a batch, or for none.  how: the solver.
    batch: examples that are solved together, to bound memory; it changes their rounding only.
    like: a tensor whose dtype and device x takes.
    """
    from tqdm import tqdm

    solver, times = SOLVERS[how.solver], GRIDS[how.grid](sde, sde.T, t_min, how.steps)
    scale, std = (float(a) for a in sde.marginal(torch.tensor(sde.T, dtype=torch.float64)))
    done, nfe = [], 0
    with tqdm(total=n, desc="sampling", disable=not progress) as bar:
        for first in range(0, n, batch):
            numbers = range(first, min(n, first + batch))
            white = NoiseOfEach(like.new_empty(len(numbers), *shape), seed=seed, numbers=numbers)
            step = solver.make(how.steps, generator_of("noise", seed))
            s = score(None if labels is None else labels[first : first + batch].to(like.device))
            counted, x = Counted(s), scale * mean + std * white.normal()
            reverse = Reverse(sde, counted, solver.eta)
            for x in integrate(reverse, x, times, of_each(step, white), noise=white):
                pass
            done.append(denoise(sde, counted, x, torch.tensor(t_min)).cpu())
            nfe = counted.calls * evaluations_of(s)
            bar.update(len(numbers))
    return torch.cat(done), nfe
