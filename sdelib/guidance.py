"""Steering a score to a class, with a classifier of noisy images or without one.

    ∇ₓ log p_t(x | y) = s(x, t) + ∇ₓ log p_t(y | x),
    w times the second term: guidance (Dhariwal & Nichol 2021).

p_t(y | x) is the class of the clean image seen through the noise, so the classifier must have been
trained on noisy images.
Without a classifier the second term is the difference of two scores of one network, with the label
and without (`score_from(denoiser, sde, label=…, guidance=w)`, Ho & Salimans 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .denoiser import SIGMA_MAX, SIGMA_MIN, DenoiserLoss
from .networks import NoiseEmbedding, ResBlock, fits
from .sdes import GaussianSDE, Score, _sound, floats, like

__all__ = ["NoisyClassifier", "NoisyClassificationLoss", "class_score", "guided"]


class NoisyClassifier(nn.Module):
    """Logits of p(y | x₀ + σz), shape (batch, classes), for images (batch, 1, 28, 28).

    The input is scaled as a `Denoiser`'s: c_in (x − m) has unit variance at every σ.
    widths: channels at half and at quarter size.  data_mean, data_std: m and σ_d.
    """

    def __init__(
        self,
        widths: tuple[int, int] = (32, 64),
        classes: int = 10,
        *,
        data_mean: float = 0.286,
        data_std: float = 0.353,
    ):
        super().__init__()
        self.config = {
            "widths": list(widths),
            "classes": classes,
            "data_mean": data_mean,
            "data_std": data_std,
        }
        self.data_mean, self.data_std = data_mean, data_std
        a, b = widths
        self.embed = NoiseEmbedding(2 * a)
        self.first, self.shrink = (
            nn.Conv2d(1, a, 4, stride=2, padding=1),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList(
            [ResBlock(a, a, 2 * a), ResBlock(b, b, 2 * a), ResBlock(b, b, 2 * a)]
        )
        self.norm = nn.GroupNorm(8, b)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * b, classes))

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Logits (batch, classes).  sigma: a scalar or (batch,).
        Raises ValueError for another shape, and σ outside the trained range."""
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28):
            raise ValueError(
                f"x has shape {tuple(x.shape)}: the classifier takes (batch, 1, 28, 28)"
            )
        sigma = like(sigma, fits(x, self)).reshape(-1).expand(len(x))
        if not torch.compiler.is_compiling() and not bool(
            ((sigma >= SIGMA_MIN * (1 - 1e-3)) & (sigma <= SIGMA_MAX * (1 + 1e-3))).all()
        ):
            raise ValueError(
                f"sigma = {float(sigma.min()):.4g} to {float(sigma.max()):.4g} leaves [{SIGMA_MIN}, {SIGMA_MAX:g}], "
                "the noise levels that the classifier was trained on"
            )
        e = self.embed(sigma)
        h = self.first(like((sigma**2 + self.data_std**2).rsqrt(), x) * (x - self.data_mean))
        h = self.shrink(self.blocks[0](h, e))
        return self.head(F.silu(self.norm(self.blocks[2](self.blocks[1](h, e), e))))


@dataclass(frozen=True)
class NoisyClassificationLoss:
    """−log p_φ(y | x₀ + σz) for each image, with ln σ as in `DenoiserLoss(mean, std, spread)`; an
    `Objective`.

    Its minimiser is the true p(y | x₀ + σz) at every σ, since the cross-entropy is a proper score.
    """

    mean: float = -0.6
    std: float = 1.4
    spread: float = 0.1

    def draw(
        self, images: Tensor, labels: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        sigma, z, _, _ = DenoiserLoss(self.mean, self.std, self.spread).draw(
            images, labels, generator=generator
        )
        return sigma, z

    def __call__(
        self, network: nn.Module, images: Tensor, labels: Tensor, sigma: Tensor, z: Tensor
    ) -> Tensor:
        return F.cross_entropy(
            network(images + like(sigma, images) * z, sigma).float(), labels, reduction="none"
        )


def class_score(classifier, sde: GaussianSDE, label: Tensor | int) -> Score:
    """∇ₓ log p_t(y | x), shaped like x, by a backward pass through classifier(x/scale, std/scale),
    which gives logits.

    label: y, one whole number for all x or one for each, shape (batch,).
    Raises ValueError for a label that the classifier does not have.
    """
    label = torch.as_tensor(label)
    if label.is_floating_point() or label.ndim > 1 or bool((label < 0).any()):
        raise ValueError(
            f"label = {label.tolist()}: give whole numbers from 0, one or one for each x"
        )

    def score(x: Tensor, t: Tensor) -> Tensor:
        if label.ndim and len(label) != len(x):
            raise ValueError(
                f"label has {len(label)} numbers: give one for all, or one for each of the {len(x)} x"
            )
        with torch.enable_grad():
            x = floats(x, axes=2).detach().requires_grad_()
            scale, std = sde.marginal(like(t, x).reshape(-1))
            log_p = classifier(x / like(scale, x), std / scale).log_softmax(-1)
            if int(label.max()) >= log_p.shape[-1]:
                raise ValueError(
                    f"label = {label.tolist()}: this classifier knows 0 to {log_p.shape[-1] - 1}"
                )
            chosen = log_p.gather(1, label.to(x.device).reshape(-1, 1).expand(len(x), 1))
            return torch.autograd.grad(chosen.sum(), x)[0]

    return score


def guided(score: Score, towards: Score, weight: float) -> Score:
    """s(x, t) + w·∇ₓ log p_t(y | x).  w = 1 is Bayes' rule; above 1 it is the score of no diffused
    density.

    towards: ∇ₓ log p_t(y | x), such as `class_score(…)`.
    Raises ValueError for a weight that is negative or not finite.
    Dhariwal & Nichol 2021 (arXiv:2105.05233), algorithm 1.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(
            f"weight = {weight!r}: give a finite number of at least 0; 1 is Bayes' rule"
        )
    return lambda x, t: _sound(score(floats(x), t) + weight * towards(x, t), x, t)
