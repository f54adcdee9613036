"""Other people's models as denoisers, and our denoisers as models of theirs.

Their images u lie in [−1, 1], and a model predicts on discrete ᾱ_k (`schedules`). Ours lie in
[low, high], [0, 1] unless told otherwise. With the middle m and the half width h of that range,

    x = m + h u,      x₀ + σz = m + h (u₀ + ρz),      σ = h ρ,      ᾱ = 1/(1 + ρ²),

so a model asked at y = √ᾱ (x − m)/h sees what it was trained on: no noise is added, none taken
away. From its answer ε, v or u₀

    û₀ = (y − √(1 − ᾱ) ε)/√ᾱ = √ᾱ y − √(1 − ᾱ) v,      D(x; σ) = m + h û₀,

and `denoiser.score_from(D, sde)` is the score of any Gaussian SDE. diffusers is not imported here,
but in `pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..checks import floats, levels, like, number, require, same_shape
from ..denoiser import NO_LABEL, SIGMA_MAX, SIGMA_MIN
from ..sdes import GaussianSDE
from .schedules import Schedule


def _middle(span: tuple[float, float]) -> tuple[float, float]:
    """(m, h)."""
    low, high = span
    require(-1e18 < low < high < 1e18, "span", span, "give (low, high), such as (0.0, 1.0)")
    return (low + high) / 2, (high - low) / 2


def _parts(ratio: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """(√ᾱ, √(1 − ᾱ)) that multiply x."""
    scale = (1 + ratio**2).rsqrt()
    return like(scale, x), like(ratio * scale, x)


class DiscreteDenoiser(nn.Module):
    """D(x; σ, y), shaped like x, of a model(y, k) or model(y, k, label) that predicts on discrete
    ᾱ: diffusers' UNet2DModel, or any callable.

    model: gives a tensor, or what has one at [0]. It is asked in the type and on the device of its
    weights. Of an answer with twice the channels of x the second half, a learned variance, is left
    out.
    schedule: ᾱ and what is predicted, such as Schedule.of(scheduler).
    span: (low, high) of x, which are −1 and 1 of the model.
    fractional: False asks the model at the step nearest in ln σ, one that it was trained at. Δ away
    from it, in ln σ, D is off by a term of first order in Δ: a solver whose times are others
    than `times` then converges to a slightly wrong flow. True asks between the steps, with ln σ
    linear in k: of second order, for a model that takes a fraction (sines of k do, an embedding
    table does not).
    no_label: the model's number for "not told", what None and −1 become; None: it has none, and
    without a label the model is called without.
    clip: D is clamped to span, as by the clip_sample of a scheduler, which is not asked.
    sigmas: σ_k, shape (K,), ascending; levels: the first and the last.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        schedule: Schedule,
        *,
        span: tuple[float, float] = (0.0, 1.0),
        fractional: bool = False,
        no_label: int | None = None,
        clip: bool = False,
    ):
        super().__init__()
        self.model, self.schedule, self.span = model, schedule, span
        self.fractional, self.no_label, self.clip = fractional, no_label, clip
        self.m, self.h = _middle(span)
        self.sigmas = self.h * schedule.ratios
        self.levels = float(self.sigmas[0]), float(self.sigmas[-1])

    def forward(
        self, x: Tensor, sigma: Tensor | float, label: Tensor | int | None = None
    ) -> Tensor:
        """D(x; σ, y), shaped like x.

        x: (batch, …).  sigma: a scalar or (batch,).  label: whole numbers, a scalar or (batch,).
        Raises ValueError for sigma outside `levels`, and an answer that is not shaped like x.
        """
        low, high = self.levels
        cure = f"stay in [{low:.6g}, {high:.6g}], the levels of the schedule: stop at first_time("
        cure += f"sde, {low:.6g}), and begin at most at {high:.6g}, as NoiseLevel({high:.6g}) does"
        sigma = like(sigma, floats(x, axes=1)).reshape(-1).expand(len(x))
        ratio = levels("sigma", sigma, 0.999 * low, 1.001 * high, cure) / self.h
        k = self.schedule.step(ratio)
        scale, std = _parts(ratio, x)
        y = scale * (x - self.m) / self.h
        answer = self._asked(y, k if self.fractional else k.round().long(), label)
        if self.schedule.prediction == "epsilon":
            answer = (y - std * answer) / scale
        elif self.schedule.prediction == "v_prediction":
            answer = scale * y - std * answer
        d = self.m + self.h * answer
        return d.clamp(*self.span) if self.clip else d

    def _asked(self, y: Tensor, k: Tensor, label: Tensor | int | None) -> Tensor:
        there = next(self.parameters(), y)  # the weights: their type and device
        answer = self.model(y.to(there), k.to(there.device), *self._told(label, y, there.device))
        answer = answer if isinstance(answer, Tensor) else answer[0]
        if y.ndim > 1 and answer.shape[1:2] == (2 * y.shape[1],):
            answer = answer[:, : y.shape[1]]
        return same_shape("the model's answer", answer.to(y), y)

    def _told(
        self, label: Tensor | int | None, x: Tensor, device: torch.device
    ) -> tuple[Tensor, ...]:
        if label is None and self.no_label is None:
            return ()
        y = torch.as_tensor(NO_LABEL if label is None else label)
        cure = "give one, or one for each x, in whole numbers"
        require(not y.is_floating_point() and y.shape in ((), (len(x),)), "label", y, cure)
        cure = f"{NO_LABEL} is no class: give None, or the denoiser the model's no_label="
        require(self.no_label is not None or (y != NO_LABEL).all(), "label", y, cure)
        y = torch.where(y == NO_LABEL, NO_LABEL if self.no_label is None else self.no_label, y)
        return (y.to(device).reshape(-1).expand(len(x)),)

    def times(self, sde: GaussianSDE, k: Tensor) -> Tensor:
        """The times of a Gaussian SDE at which std/scale is σ_k, shaped like k, in float64.

        k: whole numbers, such as the timesteps of a scheduler. On this grid DPMSolver(1) with η = 0
        and one `denoise` at the end is that scheduler's DDIM, and `ancestral` is DDIM with its
        η = 1, which is DDPM's step.  Raises ValueError where the SDE does not reach a σ_k.
        """
        k, last = torch.as_tensor(k).cpu(), len(self.sigmas) - 1
        fit = not k.is_floating_point() and ((k >= 0) & (k <= last)).all()
        require(fit, "k", k, f"give whole numbers from 0 to {last}")
        return sde.time(self.sigmas[k.long()])


class DiscreteModel(nn.Module):
    """ε(y, k), v or u₀ as schedule.prediction says, shaped like y: a plain module of a denoiser.

    denoiser: D(x, sigma, label), such as a `Denoiser`.  schedule: Schedule.of(scheduler), say.
    span: (low, high) of the denoiser's data, which are −1 and 1 of y.
    label: the label where a call gives none.
    levels: the smallest and the largest σ that the denoiser is asked at; None: its own. A step
    with more noise is scaled down to the largest (no denoiser of such noise sees more than a
    mean), one with less is taken as the smallest.
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor],
        schedule: Schedule,
        *,
        span: tuple[float, float] = (0.0, 1.0),
        label: int | None = None,
        levels: tuple[float, float] | None = None,
    ):
        super().__init__()
        self.denoiser, self.schedule, self.label = denoiser, schedule, label
        self.m, self.h = _middle(span)
        self.levels = levels or getattr(denoiser, "levels", (SIGMA_MIN, SIGMA_MAX))

    def forward(self, y: Tensor, k: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """The prediction at y = √ᾱ_k u₀ + √(1 − ᾱ_k) z, shaped like y.

        y: (batch, …).  k: steps, a scalar or (batch,); a fraction lies between two steps.
        Raises ValueError for k outside [0, K − 1], and as the denoiser.
        """
        ratio = self.schedule.ratio(number(k, floats(y, "y", axes=1)).reshape(-1).expand(len(y)))
        scale, std = _parts(ratio, y)
        sigma = (self.h * ratio).clamp(*self.levels)
        shrunk = like((sigma / (self.h * ratio)).clamp(max=1), y)
        x = self.m + self.h * shrunk * y / scale
        clean = self.denoiser(x, sigma, self.label if label is None else label)
        clean = (same_shape("D(x; σ)", clean, y, "y") - self.m) / self.h
        if self.schedule.prediction == "epsilon":
            return (y - scale * clean) / std
        return (scale * y - clean) / std if self.schedule.prediction == "v_prediction" else clean


class Prediction(NamedTuple):
    """What diffusers finds as .sample, or at [0]."""

    sample: Tensor


class DiffusersModel(DiscreteModel):
    """A `DiscreteModel` with the call and the attributes of diffusers' UNet2DModel, so that its
    schedulers and pipelines run on our denoiser.

    shape: of one image, (channels, height, width).  Its images lie in [−1, 1].
    It is made anew from the denoiser and not saved: save_pretrained is diffusers' own.
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor],
        schedule: Schedule,
        shape: tuple[int, int, int],
        **how: Any,
    ):
        super().__init__(denoiser, schedule, **how)
        c, h, w = shape
        size = h if h == w else (h, w)
        self.config = SimpleNamespace(in_channels=c, out_channels=c, sample_size=size)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        sample: Tensor,
        timestep: Tensor | float,
        class_labels: Tensor | int | None = None,
        return_dict: bool = True,
    ) -> Prediction:
        """The prediction as .sample and at [0].  Shapes and errors as `DiscreteModel`."""
        return Prediction(super().forward(sample, timestep, class_labels))


def pipeline(
    denoiser: Callable[..., Tensor], scheduler: Any, shape: tuple[int, int, int], **how: Any
) -> Any:
    """diffusers' DDIMPipeline of our denoiser and a scheduler of theirs; how: span, label, levels.

    Raises ImportError without diffusers, and ValueError as `Schedule.of`.
    """
    try:
        from diffusers import DDIMPipeline  # pyright: ignore[reportPrivateImportUsage]
    except ImportError as error:
        raise ImportError("a pipeline needs diffusers: pip install diffusers") from error
    model = DiffusersModel(denoiser, Schedule.of(scheduler), shape, **how)
    return DDIMPipeline(unet=model, scheduler=scheduler)  # pyright: ignore[reportArgumentType]
