"""Part II, Stochastic differential equations: the exercises of chapters 6 to 10."""

from __future__ import annotations

import math
from typing import Any

import torch

from ...families import VE, VP
from .mechanism import Exercise, Number, function


def _forward_drift(answer: Any) -> str:
    if not callable(answer):
        return "give a function of (f, g, s, eta)"
    f, g, s = torch.tensor([0.5, -1.0]), torch.tensor([1.5, 0.7]), torch.tensor([-2.0, 3.0])
    for eta in (0.0, 0.5, 1.0, 2.0):
        if not torch.allclose(
            torch.as_tensor(answer(f, g, s, eta)), f - (1 - eta**2) / 2 * g**2 * s, atol=1e-5
        ):
            return f"it is not the drift for η = {eta:g}"
    return ""


def _three_costs(answer: Any) -> str:
    found = [float(a) for a in answer]
    if len(found) != 3:
        return f"{len(found)} numbers are given, not three"
    wrong = [
        f"{a:g}"
        for a, b in zip(found, (100, 10, 10 ** (2 / 3)))
        if not math.isclose(a, b, rel_tol=2e-2)
    ]
    return f"{' and '.join(wrong)} is not right" if wrong else ""


EXERCISES = {
    "6.1": Exercise(
        "variances add up, so g² is the derivative of the variance, not of the standard deviation.",
        function(lambda t: 2 * t**1.5, torch.linspace(0, 1, 11), torch.tensor([2.0, 3.0])),
        "Any growing noise level is the clock of some g.",
    ),
    "6.2": Exercise(
        "solve the step for the new x; for small ΔW it multiplies the old x by e^ΔW. Then take "
        "the mean of e^W.",
        Number(math.exp(0.5), relative=5e-3),
        "The average rule is Stratonovich's. Itô's keeps the mean at 1.",
    ),
    "6.3": Exercise(
        "scale²/std² is 1/(e^B − 1); solve for B, and B at t = 1 is the mean of the two β.",
        Number(2 * math.log1p(161.9 / 0.02) - 0.1, relative=2e-3, digits=3),
        "The bound falls like e^(−B): a little more β goes a long way.",
    ),
    "6.4": Exercise(
        "two Gaussians of equal covariance: only the difference of their means counts, and its "
        "mean square is now the variance of the images, summed over the pixels.",
        Number((161.9 - 93.6) / (2 * VE.power(25.0).prior_std ** 2)),
        "More than half of the bound was the mean, and a prior may have a mean.",
    ),
    "7.1": Exercise(
        "for this data v_t = 1 and the score is -x at every time: put it into the drift and see "
        "what is left.",
        Number(1 + float(VP().integral(torch.tensor(1.0, dtype=torch.float64)))),
        "Half a score undoes the spreading, and the other half pays for the noise: with the "
        "noise you need both.",
    ),
    "7.2": Exercise(
        "mass flows with the velocity b − ½η²g²s; it has to be f − ½g²s.",
        _forward_drift,
        "For η = 0 it is the probability flow, the same equation in both directions.",
    ),
    "7.3": Exercise(
        "v_t = 1 at every time, so ρ is the scale at T, e^(−B/2) with B = 10.05; solve ρ^(η²) = "
        "½ for η.",
        Number(math.sqrt(2 * math.log(2) / 10.05), relative=5e-3),
        "The memory falls like the exponential of η²: a little noise forgets much.",
    ),
    "7.4": Exercise(
        "the means of a step differ by the whole drift's error, ½(1 + η²)g²(s_θ − s)|dt|, and "
        "its variance is η²g²|dt|.",
        function(
            lambda eta: (1 + eta**2) ** 2 / (4 * eta**2), torch.tensor([0.25, 0.5, 1.0, 2.0, 3.0])
        ),
        "Less noise makes the same error of the score easier to see, and more noise needs more "
        "of the score.",
    ),
    "8.1": Exercise(
        "an error N^(−a) falls to a tenth where N^a has grown tenfold; the strong orders are "
        "1/2, 1 and 3/2.",
        _three_costs,
        "On the reverse equation Euler–Maruyama belongs to the second kind, and only the area "
        "leads to the third.",
    ),
    "8.2": Exercise(
        "a step multiplies x by 1 + μΔt + σΔW; take the mean of its square, and raise it to the "
        "power N.",
        function(
            lambda N: ((1 + 0.75 / N) ** 2 + 1 / N) ** N,
            torch.tensor([1.0, 2.0, 4.0, 32.0, 1000.0], dtype=torch.float64),
        ),
        "It tends to e^2.5 with order 1, like every smooth average of Euler–Maruyama.",
    ),
    "8.3": Exercise(
        "Heun's limit is Stratonovich's solution; take ½ g ∂g/∂x off the drift, with g = 0.8 x.",
        Number(-0.02, relative=0, absolute=1e-4),
        "That is what heun_ito does at every step, with the derivative by automatic "
        "differentiation.",
    ),
    "8.4": Exercise(
        "for two Gaussian numbers the variance given the other one is Var A − Cov²/Var ΔW; take "
        "its root.",
        function(lambda h: (h**3 / 12) ** 0.5, torch.tensor([0.01, 0.1, 0.5, 1.0, 2.0])),
        "Half of the area's spread stays unknown, and that half bars order 3/2 to every method "
        "without the area.",
    ),
    "9.1": Exercise(
        "the step is ε = 2 snr² P²/V for particles of variance V; put V = R·P and find the R "
        "that stays.",
        Number(math.sqrt(0.05), relative=5e-3, digits=3),
        "More corrections do not bring it closer: only a smaller snr does.",
    ),
    "9.2": Exercise(
        "ε is 2 snr² over the mean square of a coordinate of the score, over all 784; then a "
        "wide direction, of variance 1, is multiplied by 1 − ε.",
        Number(math.log(2) * (50 + 734e4) / 784 / (2 * 0.16**2), relative=5e-3),
        "One step size for all directions: the wide ones wait for the narrow ones.",
    ),
    "9.3": Exercise(
        "for r = 1 it is the variance of x_t' given x_t for two Gaussians: v times their ratio, "
        "with v = 2² − 1².",
        function(lambda v0: 3 * (v0 + 1) / (v0 + 4), torch.tensor([0.0, 0.1, 1.0, 5.0, 1000.0])),
        "Between the two extremes lies every Gaussian; the predictors take the ends.",
    ),
    "9.4": Exercise(
        "put ε = ½v = 2 snr² P, where P = std(t)² and v = P − P', and P'/P is the same in every "
        "step.",
        Number(math.sqrt(1 - (0.01 / 50) ** (2 / 1000)) / 2, relative=5e-3),
        "The reverse SDE corrects itself, gently: more steps, smaller corrections.",
    ),
    "10.1": Exercise(
        "the flow keeps (x − m_t)/√v_t; for this process scale = 1, so the mean stays and v_T = "
        "v_0 + std(T)².",
        function(
            lambda x: 1 + math.sqrt((0.25 + VE.power(25.0).prior_std ** 2) / 0.25) * (x - 1),
            torch.linspace(-1, 3, 9),
        ),
        "One Gaussian's code is its position in units of its standard deviation.",
    ),
    "10.2": Exercise(
        "bits/dim = −log p/(d ln 2) − log₂ width, where the width is that of a grey level in the "
        "model's own units.",
        Number(7 - 5600 / (3072 * math.log(2)), relative=2e-3),
        "The same model in other units has another log-density and the same bits.",
    ),
    "10.3": Exercise(
        "the diagonal has e_i² = 1 and no noise; for i < j the product e_i e_j stands before "
        "J_ij + J_ji.",
        function(
            lambda J: ((J + J.T) ** 2).sum() / 2 - 2 * (J.diagonal() ** 2).sum(),
            torch.tensor([[1.0, 2.0], [0.0, 3.0]]),
            torch.tensor([[2.0, 1.0, 0.5], [-1.0, 1.0, 3.0], [0.0, 1.0, -1.0]]),
        ),
        "Choose a basis in which the matrix is nearly diagonal, and one probe will do.",
    ),
    "10.4": Exercise(
        "it is the divergence KL(N(0, λ) ‖ N(0, λ + s²)); write it with r = s²/λ.",
        function(
            lambda r: (torch.log1p(r) - r / (1 + r)) / 2,
            torch.tensor([0.01, 0.1, 1.0, 10.0, 1000.0]),
        ),
        "A stop costs only in directions that are narrower than the noise left, and there it "
        "costs much.",
    ),
}
