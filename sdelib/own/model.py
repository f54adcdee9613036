"""One object that a reader holds: a denoiser made for a data set, trained, kept in a file, drawn
from.

    data = Data.open("photos/")
    model = Model.make(data)
    print(model.train(data, minutes=3))         the validation loss as it fell
    model.sample(16).write("grid.png")
    model.save("photos.safetensors")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import require
from ..denoiser import SIGMA_MAX, SIGMA_MIN, DenoiserLoss, score_from
from ..families import VE
from ..reversal import Score
from ..sdes import GaussianSDE
from . import weights
from .curve import Curve
from .data import Data
from .devices import chosen, visiting
from .fitting import fit, loss_for, suits
from .forms import Form
from .luck import undisturbed
from .samples import Samples, sampled
from .sizes import in_words, network_for, noise_in_words
from .training import Objective
from .validation import Validation, validate


@dataclass(eq=False)
class Model:
    """network: D(x; σ, label), in network units.  form: what it must know of its data.
    provenance: where its weights come from.  digest: the SHA-256 of its file, "" until it has one.
    """

    network: nn.Module
    form: Form
    provenance: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def make(
        cls,
        data: Data,
        *,
        widths: Sequence[int] | None = None,
        dropout: float | None = None,
        preconditioned: bool = True,
        seed: int = 0,
    ) -> Model:
        """A new model whose network fits the shape and the number of examples; `sizes` says how.

        seed: of its first weights; PyTorch's own generator is left as it was.
        Raises ValueError as `sizes.network_for`.
        """
        how = {"widths": widths, "dropout": dropout, "preconditioned": preconditioned}
        with undisturbed():
            torch.manual_seed(seed)
            return cls(network_for(data.form, len(data), **how), data.form)

    @classmethod
    def load(
        cls, path: str | Path, *, network: nn.Module | None = None, form: Form | None = None
    ) -> Model:
        """The model of a file, on the CPU, in the precision of the file.

        network: to be filled, where it is of a class of one's own.  form: where the file says
        nothing of its data, as the bundled networks.
        Raises ValueError as `weights.load`, and for a file that lacks a form.
        """
        made, said, own = weights.load(path, network), weights.data_of(path), weights.own(path)
        cure = "the file says nothing of its data: give form="
        require(said or form is not None, "path", str(path), cure)
        form = Form.from_json(said) if form is None else form
        at = weights.checked(f"{path}.safetensors") if own is None else own
        return cls(made, form, weights.provenance(path), weights.sha256(at))

    def save(self, path: str | Path) -> Path:
        """Write the model to a file, all that sampling needs, atomically; its path is returned."""
        cure = "a bare name is that of a bundled network: give a file, such as mine.safetensors"
        require(weights.own(path) is not None, "path", str(path), cure)
        path = weights.save(path, self.network, self.provenance, data=self.form.to_json())
        self.digest = weights.sha256(path)
        return path

    def describe(self) -> str:
        """The network, its size and its noise levels, in two lines."""
        return f"{in_words(self.network)}\n{noise_in_words(self.form, self.levels)}"

    @property
    def levels(self) -> tuple[float, float]:
        """The least and the largest noise level that the network knows."""
        low, high = getattr(self.network, "levels", (SIGMA_MIN, SIGMA_MAX))
        return low, high

    @property
    def sde(self) -> GaussianSDE:
        """The process that sampling undoes unless another is given: VE up to the form's sigma_max,
        the largest distance in the data (Song & Ermon 2020, technique 1)."""
        top = min(self.form.sigma_max, self.levels[1])
        return VE(min(0.01, top / 100), top)

    def objective(self, **how: Any) -> DenoiserLoss:
        """The loss that it is trained by; how: as `fitting.loss_for` takes it."""
        return loss_for(self.form, self.levels, **how)

    def train(
        self,
        data: Data,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        lr: float = 2e-3,
        warmup: int | None = None,
        ema: float | None = None,
        flips: bool = False,
        drop: float = 0.1,
        objective: Objective | None = None,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        extend: bool = False,
        points: int = 8,
        cpu: bool = False,
        progress: bool = True,
        provenance: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> Curve:
        """Train on the data's training part, and return the loss on what is held out as it went.

        steps, or minutes: of which the rate of the first steps, on a copy, makes steps; 3 minutes
        where neither is given. `schedule` says how that survives a kill.
        batch_size, warmup, ema: None for those of `sizes`.  flips, drop: of `objective`, or another
        loss in its place.  points: how often the held-out part is looked at, or 0.
        seed: of all that is random; the reader's generators are left as they were.  All else as
        `training.train`: with a checkpoint the same call after a kill ends as if there was none.
        Raises ValueError for data of another form, and as `schedule.scheduled` and `train`.
        """
        suits(self.form, data)
        loss = self.objective(flips=flips, drop=drop) if objective is None else objective
        result, curve = fit(
            self.network,
            loss,
            data,
            lambda net, device: Model(net, self.form).validation(data, limit=256, device=device),
            steps=steps,
            minutes=minutes,
            batch_size=batch_size,
            lr=lr,
            warmup=warmup,
            ema=ema,
            seed=seed,
            checkpoint=checkpoint,
            extend=extend,
            points=points,
            cpu=cpu,
            progress=progress,
            provenance=provenance,
            **how,
        )
        self.network, self.digest = result.network.cpu(), ""
        self.provenance = result.provenance
        return curve

    def validation(
        self,
        data: Data,
        *,
        limit: int | None = 512,
        bands: int = 8,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> Validation:
        """The loss by noise level on what is held out, with its standard errors: see `validation`.
        Models that are compared see the same noise: `a.minus(b)` is the paired difference.

        limit: at most so many examples.  device: None for the GPU, where there is one.
        Raises ValueError for data of another form.
        """
        suits(self.form, data)
        x, labels = data.held_out(limit)
        with visiting(self.network, chosen(device)) as network:
            return validate(network, self.objective(), x, labels, bands=bands, seed=seed)

    def score(
        self, sde: GaussianSDE | None = None, *, label: Any = None, guidance: float = 1.0
    ) -> Score:
        """∇ₓ log p_t(x | label), in network units, of any Gaussian SDE whose noise the network
        knows; None: `sde`.  label: a class by name or number, or a number for each x.
        Raises ValueError for an unknown class, and as `score_from`."""
        of = label if label is None or isinstance(label, Tensor) else self.form.label(label)
        sde = self.sde if sde is None else sde
        return score_from(self.network, sde, label=of, guidance=guidance)

    def sample(
        self,
        n: int,
        *,
        label: str | int | Tensor | Sequence[int] | None = None,
        guidance: float = 1.0,
        evaluations: int = 18,
        solver: str | None = None,
        steps: int | None = None,
        grid: str | None = None,
        sde: GaussianSDE | None = None,
        seed: int = 0,
        batch: int = 64,
        device: torch.device | str | None = None,
        progress: bool = False,
    ) -> Samples:
        """n samples; number k depends on the weights, the settings and (seed, k) only, so the first
        4 of n = 8 are those of n = 4, in any batch, but for rounding.

        label: a class by name or number, "each" for the classes in turn, one number for each
        sample, or None: no class is told, and samples are as the data are mixed.
        guidance: w of `score_from`; other w than 0 and 1 take two evaluations at once.
        evaluations: the most of the network that each sample may take; the solver and the grid that
        were best for so many are taken where none is named (see `budget`).  steps: in its place.
        batch: samples solved together.  device: None for the GPU, where there is one.
        Raises ValueError for a class or a solver that there is not, and for noise that the network
        never saw.
        """
        return sampled(
            self.network,
            self.form,
            self.sde if sde is None else sde,
            n,
            weights=self.digest,
            levels=self.levels,
            label=label,
            guidance=guidance,
            evaluations=evaluations,
            solver=solver,
            steps=steps,
            grid=grid,
            seed=seed,
            batch=batch,
            device=chosen(device),
            progress=progress,
        )
