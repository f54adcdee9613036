"""Part IV, Further: the exercises of chapters 15 and 16."""

from __future__ import annotations

import math
from typing import Any

import torch

from .mechanism import Exercise, function


def _is_noise_of_velocity(answer: Any) -> str:
    if not callable(answer):
        return "give a function of (x, v, t)"
    x, v = (
        torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(3, 2),
        torch.linspace(1, -1, 6, dtype=torch.float64).reshape(3, 2),
    )
    for t in (0.2, 0.7):
        if not torch.allclose(torch.as_tensor(answer(x, v, t)), x + (1 - t) * v, atol=1e-8):
            return f"it is not the mean of z for t = {t:g}"
    return ""


def _is_two_bits(answer: Any) -> str:
    """(log₂ 255 − 2300/(784 ln 2), 2000/(784 ln 2))"""
    pair, nats = [float(a) for a in answer], 784 * math.log(2)
    right = math.log2(255) - 2300 / nats, 2000 / nats
    return (
        ""
        if len(pair) == 2 and all(abs(a - b) < 5e-3 for a, b in zip(pair, right))
        else f"{answer!r} is not the pair"
    )


EXERCISES = {
    "15.1": Exercise(
        "each step multiplies by the cosine of its angle, and the angles add up to 90 degrees.",
        function(
            lambda N: torch.cos(math.pi / (2 * N)) ** N,
            torch.tensor([2.0, 4.0, 10.0, 100.0], dtype=torch.float64),
        ),
        "It is 1 − π²/8N for many steps: order 1, with its constant.",
    ),
    "15.2": Exercise(
        "the image is D = x − t v, and v is the mean of z minus D.",
        _is_noise_of_velocity,
        "Follow the velocity to t = 1 and you meet the noise, to t = 0 and you meet the image.",
    ),
    "15.3": Exercise(
        "it is the variance of z − x₀ given x_t, which is s²/((1 − t)² s² + t²); integrate it "
        "with r = t/(1 − t).",
        function(
            lambda s: math.pi / 2 * s, torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64)
        ),
        "A loss that looks large may belong to a perfect network.",
    ),
    "15.4": Exercise(
        "the two scores at x = b z are −x/b² and −x/4; multiply their difference by z and take "
        "the mean.",
        function(lambda b: b / 4 - 1 / b, torch.tensor([0.5, 1.0, 2.0, 5.0], dtype=torch.float64)),
        "It pulls b to 2 from both sides, without a single pair of noise and image.",
    ),
    "16.1": Exercise(
        "bits/dim = −log p/(d ln 2) − log₂ width, with the width of a grey level in the units of "
        "each model: 1/255, and 1.",
        _is_two_bits,
        "The larger log-density was the worse code: compare bits of whole grey levels, never "
        "densities.",
    ),
}
