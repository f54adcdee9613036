"""Part I, Scores: the exercises of chapters 1 to 5."""

from __future__ import annotations

import math
from typing import Any

import torch

from ...langevin import ladder, langevin
from ...score_matching import implicit_loss
from ..toys import two_modes
from .mechanism import Exercise, Number, function


def _student(x: torch.Tensor) -> torch.Tensor:
    return -4 * x / (3 + x**2)


def _is_denoiser(answer: Any) -> str:
    if not callable(answer):
        return "give a function of (x, score, sigma)"
    x = torch.tensor([[-2.5, -1.0], [0.5, 0.0], [1.0, 3.0]], dtype=torch.float64)
    for sigma in (0.4, 1.5):
        a, b = (
            torch.full((2,), -2.0).to(x),
            torch.full((2,), 2.0).to(x),
        )  # two points, equally likely
        r = torch.sigmoid(((x - a).square().sum(1) - (x - b).square().sum(1)) / (2 * sigma**2))[
            :, None
        ]
        mean = a + r * (b - a)
        given: Any = answer(x, lambda y, mean=mean, s=sigma: (mean - y) / s**2, sigma)
        if not torch.allclose(given, mean, atol=1e-8):
            return f"it is not the mean of x₀ for σ = {sigma:g}"
    return ""


def _fools_the_loss(field: Any) -> str:
    if not callable(field):
        return "give a function of x"
    score: Any = field
    angle = torch.linspace(0, 6, 17, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], dim=1)
    if (shape := torch.as_tensor(field(x)).shape) != x.shape:
        return f"the result has shape {tuple(shape)}, not {tuple(x.shape)}"
    loss = implicit_loss(score, x).max().item()
    return "" if loss < -1e6 else f"at one point of the circle the loss is {loss:.4g}"


def _spends_well(answer: Any) -> str:
    steps = [int(k) for k in answer]
    if (
        len(steps) != 10
        or min(steps) < 1
        or sum(steps) > 200
        or any(k != a for k, a in zip(steps, answer))
    ):
        return f"{answer!r} are not ten whole numbers of at least 1 that add up to 200 or less"
    p, n, generator = two_modes(), 10_000, torch.Generator().manual_seed(0)
    x = 8 * torch.randn(n, 2, generator=generator)
    levels = torch.logspace(-1, math.log10(8), 10).tolist()
    for sigma, k in reversed(list(zip(levels, steps))):
        *_, x = langevin(p.blurred(sigma).score, x, 0.1 * sigma**2, k, generator=generator)
    share = float((x.sum(1) < 0).double().mean())
    return "" if share > 0.76 else f"with these steps the share of the heavy mode is {share:.3f}"


EXERCISES = {
    "1.1": Exercise(
        "take the logarithm of the density first, then differentiate; the constant in front is "
        "gone after that.",
        function(_student, torch.linspace(-5, 5, 11), torch.tensor([0.0, 30.0])),
        "Far out it decays like -4/x: a heavy tail pulls back only weakly.",
    ),
    "1.2": Exercise(
        "along the line between the centres, write the score near 0 to first order in x; it "
        "changes sign where the variance of one blurred component equals the squared distance of "
        "its centre from 0.",
        Number(math.sqrt(4 - 0.25), relative=2e-3, digits=3),
        "Below it the origin is a valley, above it the only mode.",
    ),
    "1.3": Exercise(
        "for a Gaussian, s(x) = -(x - m)/variance in each coordinate; average its squared length "
        "over x ~ p.",
        Number(784 / 0.1**2),
        "Scores of sharp densities in many dimensions are huge: chapter 5 weighs them by the "
        "variance.",
    ),
    "1.4": Exercise(
        "a gradient field has a symmetric Jacobian: compare the derivative of the first "
        "component by x2 with the derivative of the second by x1.",
        lambda answer: (
            "" if str(answer).strip().lower() == "b" else f"{answer!r} is not the field that turns"
        ),
        "No density has that field as its score; a free network can still return one.",
    ),
    "2.1": Exercise(
        "half the square of s(x) = -x³, plus its derivative; on the line the trace is the "
        "derivative.",
        function(
            lambda x: x**6 / 2 - 3 * x**2,
            torch.linspace(-2, 2, 9),
            torch.tensor([0.5, 3.0]),
            tolerance=1e-4,
        ),
        "It needed no density: you never said where the points come from.",
    ),
    "2.2": Exercise(
        "it is the constant between the denoising loss and the Fisher divergence from p_σ: half "
        "of d/σ² less the mean squared length of the score of p_σ, which is d/(0.5² + σ²).",
        Number(784 / 2 * 0.25 / (0.01 * 0.26)),
        "A large loss may belong to a perfect network: the noise of the target has no remedy.",
    ),
    "2.3": Exercise(
        "the score of p_σ is the mean of -z/σ given x; write x₀ as x - σz and take its mean.",
        _is_denoiser,
        "The score and the best denoiser are the same thing, in two scales.",
    ),
    "2.4": Exercise(
        "at a training point the field is zero; what is left is the trace of its derivatives, in "
        "two dimensions.",
        Number(-2 / 0.01**2),
        "On a finite set the implicit loss has no floor.",
    ),
    "3.1": Exercise(
        "measure x in units of its standard deviation: then ε is measured in units of the "
        "variance, and the variance at rest is 1/(1 − ε/2) in these units.",
        Number(0.02 * (1 - 1 / 1.05), relative=2e-3),
        "A step size is a squared length: the narrowest direction of a density sets it.",
    ),
    "3.2": Exercise(
        "write the variance after a step as a function of the variance v before it, and solve "
        "for the v that stays.",
        function(lambda eps: 1 / (2 - eps), torch.tensor([0.01, 0.1, 0.5, 1.0, 1.5])),
        "With too little noise the chain samples p² instead of p: sharper hills, and the wrong "
        "weights.",
    ),
    "3.3": Exercise(
        "accepted(eps, wide) falls as ε grows: halve an interval that contains the answer. Or "
        "use P(|T₁| > c) with Cauchy's distribution.",
        Number(2.0, relative=5e-3),
        "Just where the unadjusted chain stops being stable, the adjusted one still takes every "
        "second step.",
    ),
    "3.4": Exercise(
        "ΔV = log p(2) − log p(0). At 0 both modes contribute, at 2 only one.",
        Number(8 - math.log(2), relative=5e-3),
        "Waiting grows like the exponential of this number; noise makes it small.",
    ),
    "4.1": Exercise(
        "the chains do not cross the pass: only the side of the line x₁ + x₂ = 2a on which they "
        "start counts, and 2a is about 0.09. Which law does x₁ + x₂ have at the start?",
        Number(0.2497, relative=0.02),
        "The weight 0.8 plays no part in it: the starts decide.",
    ),
    "4.2": Exercise(
        "split the mean into the two half planes; in one the error is zero, in the other it is "
        "the whole score of one Gaussian, with E‖s‖² = d/std².",
        Number(3.2),
        "On a mode of weight 0.001 the same mistake costs 0.004: the loss weighs every error by "
        "the density.",
    ),
    "4.3": Exercise(
        "let the field vanish on the circle and pull towards it from both sides, as steeply as "
        "you like.",
        _fools_the_loss,
        "A network that trains on the bare circle looks for such a field, and finds a steeper "
        "one at every step.",
    ),
    "4.4": Exercise(
        "count the directions across the subspace; in each the law is N(0, σ²), whose score is "
        "-x/σ².",
        Number((784 - 50) / 0.1**2),
        "Halve σ and it is four times as large: without noise there is nothing it could converge "
        "to.",
    ),
    "5.1": Exercise(
        "`ladder` of sdelib.langevin takes the two ends and the dimension; its default overlap "
        "is one half.",
        Number(len(ladder(0.01, 50.0, 3072)), relative=2e-3, digits=3),
        "Thinner shells need closer rungs: the number of levels grows like √d.",
    ),
    "5.2": Exercise(
        "write the two responsibilities as exponentials of (x − 1)² and (x + 1)², and cancel "
        "what they share.",
        function(
            lambda x: torch.tanh(x / 0.25), torch.linspace(-2, 2, 9), torch.tensor([0.0, 5.0])
        ),
        "A smooth sign function: the perfect denoiser of two points.",
    ),
    "5.3": Exercise(
        "the target is z/σ, so the loss is d/σ²; the dimension cancels in the ratio.",
        Number((22.46 / 0.01) ** 2),
        "So an unweighted sum trains the smallest levels and hardly the others.",
    ),
    "5.4": Exercise(
        "the shares move between σ = 8 and σ = 1 and are frozen below 0.7: take steps from σ₁ to "
        "σ₄ and give them to the rest.",
        _spends_well,
        "The effort belongs where the modes still talk to each other.",
    ),
}
