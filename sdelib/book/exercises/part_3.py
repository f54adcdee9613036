"""Part III, Fashion-MNIST: the exercises of chapters 11 to 14."""

from __future__ import annotations

import math
from typing import Any

import torch

from ...denoiser import first_time
from ...families import VE, VP
from ...own.metrics import frechet_bias
from ...solvers import platen
from ..classifier import stored_moments
from ..toys import GeometricBrownian
from .mechanism import Exercise, Number, function


def _power_for(std: float) -> float:
    """The σ with VE.power(σ).prior_std = std, by bisection."""
    low, high = 1.001, 1e6
    while high / low > 1 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if VE.power(middle).prior_std < std else (low, middle)
    return low


def _is_platen(step: Any) -> str:
    if not callable(step):
        return "give a function of (sde, x, t, dt, dw)"
    sde, x = GeometricBrownian(), torch.linspace(0.5, 2, 7, dtype=torch.float64)
    t, dw = (
        torch.tensor(0.5, dtype=torch.float64),
        torch.linspace(-0.4, 0.5, 7, dtype=torch.float64),
    )
    for dt in (0.1, -0.1):
        dt = torch.tensor(dt, dtype=torch.float64)
        given: Any = step(sde, x, t, dt, dw)
        if not torch.allclose(given, platen(sde, x, t, dt, dw), rtol=1e-9):
            return f"the step is not Platen's for Δt = {dt.item():g}"
    return ""


def _is_score_of_noise(answer: Any) -> str:
    if not callable(answer):
        return "give a function of (x, eps, scale, std)"
    x, eps = (
        torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(3, 2),
        torch.linspace(1, -1, 6, dtype=torch.float64).reshape(3, 2),
    )
    for scale, std in ((1.0, 3.0), (0.6, 0.8)):
        if not torch.allclose(
            torch.as_tensor(answer(x, eps, scale, std)),
            ((x - std * eps) / scale - x / scale) * scale / std**2,
            atol=1e-8,
        ):
            return f"it is not the score for scale = {scale:g} and std = {std:g}"
    return ""


EXERCISES = {
    "11.1": Exercise(
        "std(1)² = (σ² − 1)/(2 ln σ) grows with σ: try values, or halve an interval that "
        "contains the answer.",
        Number(_power_for(22.46), relative=5e-3),
        "A wider prior hides the data better and needs more steps.",
    ),
    "11.2": Exercise(
        "evaluate the diffusion at x and at x + g·√|Δt|; use |Δt| wherever a variance or a root "
        "is meant.",
        _is_platen,
        "On the reverse equation of this chapter the same code is Euler–Maruyama.",
    ),
    "11.3": Exercise(
        "std(t)² = (σ²ᵗ − 1)/(2 ln σ) is about t when t is small; multiply the root by 255.",
        Number(255 * float(VE.power(25.0).marginal(torch.tensor(1e-3, dtype=torch.float64))[1])),
        "The noiseless last step costs one evaluation and removes it.",
    ),
    "12.1": Exercise(
        "c_out² = (1 − c)² σ_d² + c² σ² is a parabola in c = c_skip: set its derivative to zero.",
        function(
            lambda sigma: 0.25 / (0.25 + sigma**2), torch.tensor([0.01, 0.3, 0.5, 2.0, 100.0])
        ),
        "It passes through what is signal, in proportion.",
    ),
    "12.2": Exercise(
        "e^B − 1 = 0.002², so B is about 4e-6; solve 0.1 t + 9.95 t² = B.",
        Number(first_time(VP())),
        "A time means nothing before you know the noise level that it has.",
    ),
    "12.3": Exercise(
        "what is older than k steps has the weight βᵏ: set it to one half.",
        Number(math.log(2) / -math.log(0.999)),
        "An average that looks back further than the training is long keeps its beginning.",
    ),
    "12.4": Exercise(
        "D = (x − std·eps)/scale; put it into the formula from the denoiser to the score.",
        _is_score_of_noise,
        "Guessing the noise, the image or the score is one thing in three units.",
    ),
    "13.1": Exercise(
        "the bias is c/n: divide c by 0.05.",
        Number(frechet_bias(stored_moments()) / 0.05, relative=2e-2),
        "Two figures with different numbers of images do not compare.",
    ),
    "13.2": Exercise(
        "a step costs two evaluations, and the noiseless last one costs one more.",
        Number(17, relative=1e-6),
        "A method of two evaluations a step has half as many steps to be better in.",
    ),
    "13.3": Exercise(
        "for Gaussians on the line the trace term is (s_a − s_b)².",
        function(lambda s: 0.25 + (s - 1) ** 2, torch.tensor([0.0, 0.5, 1.0, 3.0])),
        "It is the squared cost of moving one onto the other.",
    ),
    "13.4": Exercise(
        "every sample is where real ones are; which share of the real ones is where samples are?",
        lambda answer: (
            ""
            if len(pair := [float(a) for a in answer]) == 2 and pair == [1.0, 0.9]
            else f"{answer!r} is not it"
        ),
        "Two numbers, since two different things can go wrong.",
    ),
    "14.1": Exercise(
        "K = 1/(1 + σ_y²) with σ_y = ½; the prior's mean is 0.",
        Number(0.8, relative=1e-4),
        "What is seen counts by how much surer it is than the prior.",
    ),
    "14.2": Exercise(
        "for this prior D = 4x/(4 + σ²); the variance is σ² dD/dx.",
        function(lambda sigma: 4 * sigma**2 / (4 + sigma**2), torch.tensor([0.01, 0.5, 2.0, 50.0])),
        "The slope of the denoiser tells what it cannot know.",
    ),
    "14.3": Exercise(
        "D = D_∅ + w (D_y − D_∅).",
        Number(1.1, relative=1e-4),
        "Guidance extrapolates, and an extrapolation may leave the range of images.",
    ),
    "14.4": Exercise(
        "a row of A has sixteen entries of 1/16: take the product of a row with itself.",
        Number(1 / 16, relative=1e-4),
        "Where A Aᵀ is a multiple of the identity, one conjugate gradient is exact.",
    ),
}
