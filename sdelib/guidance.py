"""Steering a score to a class, with a classifier of noisy images or without one.

    ∇ₓ log p_t(x | y) = s(x, t) + ∇ₓ log p_t(y | x),
    w times the second term: guidance (Dhariwal & Nichol 2021).

p_t(y | x) is the class of the clean image seen through the noise, so the classifier must have been
trained on noisy images.
Without a classifier the second term is the difference of two scores of one network, with the label
and without (`score_from(denoiser, sde, label=…, guidance=w)`, Ho & Salimans 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import floats, like, require, same_shape, within
from .reversal import Score
from .sdes import GaussianSDE


def class_score(classifier, sde: GaussianSDE, label: Tensor | int) -> Score:
    """∇ₓ log p_t(y | x), shaped like x, by a backward pass through classifier(x/scale, std/scale),
    which gives logits.

    label: y, one whole number for all x or one for each, shape (batch,).
    Raises ValueError for a label that the classifier does not have.
    """
    y = torch.as_tensor(label)
    whole = not y.is_floating_point() and y.ndim < 2 and (y >= 0).all()
    require(whole, "label", y, "give whole numbers from 0, one or one for each x")

    def score(x: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            x = floats(x, axes=2).detach().requires_grad_()
            scale, std = sde.marginal(like(t, x).reshape(-1))
            log_p = classifier(x / like(scale, x), std / scale).log_softmax(-1)
            n, known = log_p.shape
            cure = f"give one for all, or one for each of the {n} x, from 0 to {known - 1}"
            require(y.shape in ((), (n,)) and (y < known).all(), "label", y, cure)
            chosen = log_p.gather(1, y.to(x.device).reshape(-1, 1).expand(n, 1))
            return torch.autograd.grad(chosen.sum(), x)[0]

    return score


def guided(score: Score, towards: Score, weight: float) -> Score:
    """s(x, t) + w·∇ₓ log p_t(y | x).  w = 1 is Bayes' rule; above 1 it is the score of no diffused
    density.

    towards: ∇ₓ log p_t(y | x), such as `class_score(…)`.
    Raises ValueError for a weight that is negative or not finite.
    Dhariwal & Nichol 2021 (arXiv:2105.05233), algorithm 1.
    """
    within(0, 1e18, weight=weight)
    add = lambda x, t: score(x, t) + weight * towards(x, t)
    return lambda x, t: same_shape("the guided score", add(floats(x), t), x)
