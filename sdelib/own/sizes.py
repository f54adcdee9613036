"""A network made for its data: which kind, how wide, and how it is trained, by shape and count.

    images             a U-Net: (32, 56) channels below 10 million numbers in all, else (64, 112);
                       from 48 pixels on a third level, (32, 64, 96)
    series             a U-Net of one dimension, likewise; an MLP below 16 numbers
    points, a table    an MLP with three hidden layers of 128 units up to 4 numbers, else 256

A tenth of the hidden units is left out in training below 5,000 examples. These are starting points
that trained well in minutes on two cores; what is best for a data set is for `tune` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..checks import require, within
from ..denoiser import SIGMA_MAX, SIGMA_MIN
from ..networks import Denoiser, DenoiserMLP
from .forms import Form

SMALL, LARGE, DEEP = (32, 56), (64, 112), (32, 64, 96)
FEW, MANY, DEEP_FROM, SHORT = 5000, 10_000_000, 48, 16


def network_for(
    form: Form,
    n: int,
    *,
    widths: Sequence[int] | None = None,
    dropout: float | None = None,
    preconditioned: bool = True,
) -> Denoiser | DenoiserMLP:
    """A denoiser with new weights for n examples of this form, with its mean, its σ_d, its classes,
    and noise levels from SIGMA_MIN to its sigma_max or SIGMA_MAX, whichever is more, so that every
    process of the book may be solved with it.

    widths: in place of those above; of an MLP (units,) or (units, hidden layers).
    Raises ValueError for widths and a dropout that the network does not take.
    """
    dropout = (0.1 if n < FEW else 0.0) if dropout is None else dropout
    within(0, 1, dropout=dropout)
    how: dict[str, Any] = {"classes": len(form.classes), "dropout": dropout}
    how |= {"data_mean": form.mean, "data_std": form.std, "preconditioned": preconditioned}
    how |= {"levels": (SIGMA_MIN, max(SIGMA_MAX, form.sigma_max))}
    sides = form.shape[1:] if form.kind == "images" else form.shape
    if form.kind in ("points", "table") or (max(sides) < SHORT and form.kind == "series"):
        width = (128 if form.size <= 4 else 256,) if widths is None else tuple(widths)
        cure = "an MLP takes (units,) or (units, hidden layers), such as (128, 3)"
        require(len(width) in (1, 2), "widths", width, cure)
        how |= dict(zip(["depth"], width[1:]))
        return DenoiserMLP(form.size, width[0], **how)
    channels = form.shape[0] if form.kind == "images" else 1
    usual = SMALL if n * form.size < MANY else LARGE
    chosen = (DEEP if max(sides) >= DEEP_FROM else usual) if widths is None else tuple(widths)
    kind = {"channels": channels, "dims": len(sides), "shape": form.shape}
    return Denoiser(chosen, **how, **kind)


def batch_for(form: Form, n: int) -> int:
    """Examples a step: 128 images, 64 from 48 pixels on, 256 of all else; never more than n."""
    big = form.kind == "images" and max(form.shape[1:]) >= DEEP_FROM
    return min(n, 64 if big else 128 if form.kind == "images" else 256)


def pace_for(steps: int) -> tuple[int, float]:
    """(warm-up steps, β of the moving average) for a schedule of so many steps: a tenth of them, at
    most 200, and 1 − 5/steps, from 0.9 to 0.9995."""
    return max(1, min(200, steps // 10)), min(0.9995, max(0.9, 1 - 5 / steps))


def in_words(network: nn.Module) -> str:
    """The network and its size, in a line."""
    config = getattr(network, "config", {})
    names = ("dim", "widths", "width", "depth", "channels", "classes", "dropout")
    facts = ", ".join(f"{k} {config[k]}" for k in names if k in config)
    size = sum(p.numel() for p in network.parameters())
    return f"{type(network).__name__}: {facts}; {size:,} parameters"


def noise_in_words(form: Form, levels: tuple[float, float]) -> str:
    """The noise levels of training and of sampling, in a line."""
    known = f"noise levels {levels[0]:g} to {levels[1]:g}"
    return f"{known}; sampling starts at {form.sigma_max:g}, the data's σ_d is {form.std:g}"
