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

import torch
from torch import Tensor

from .checks import floats, like
from .reversal import Score, sound
from .sdes import GaussianSDE


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
    return lambda x, t: sound(score(floats(x), t) + weight * towards(x, t), x, t)
