"""The checks behind the exercises.

    check("1.1", answer)

prints the hint while the answer is still `...`, says so when it is right, and raises an
AssertionError with what is wrong and the hint when it is not.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..denoiser import first_time
from ..langevin import ladder, langevin
from ..metrics import frechet_bias
from ..score_matching import implicit_loss
from ..sdes import VE, VP
from ..solvers import platen
from .classifier import stored_moments
from .toys import GeometricBrownian, two_modes


@dataclass(frozen=True)
class Exercise:
    """test(answer) returns "" when the answer is right, else what is wrong with it; praise says why
    it matters."""

    hint: str
    test: Callable[[object], str]
    praise: str


def check(name: str, answer: object = ...) -> None:
    """Check an answer.  Raises KeyError for an unknown exercise, AssertionError for a wrong
    answer."""
    if name not in EXERCISES:
        raise KeyError(f"there is no exercise {name!r}; there are {sorted(EXERCISES)}")
    exercise = EXERCISES[name]
    if answer is ... or answer is None:
        print(textwrap.fill(f"Exercise {name} is open. Hint: {exercise.hint}", 72))
        return
    try:
        wrong = exercise.test(answer)
    except AssertionError:
        raise
    except Exception as error:
        wrong = f"your answer raised {type(error).__name__}: {error}"
    if wrong:
        raise AssertionError(f"Exercise {name}: {wrong}. Hint: {exercise.hint}")
    print(textwrap.fill(f"Exercise {name}: right. {exercise.praise}", 72))


@dataclass(frozen=True)
class Number:
    """A test for a number that is known: right within a relative or an absolute error, |a − value|
    ≤ max(relative·max(|a|, |value|), absolute)."""

    value: float
    relative: float = field(default=1e-2, kw_only=True)
    absolute: float = field(default=0.0, kw_only=True)

    def __call__(self, answer: object) -> str:
        found = float(answer)
        right = math.isclose(found, self.value, rel_tol=self.relative, abs_tol=self.absolute)
        return "" if right else f"{found:g} is not the number"


def function(truth: Callable, *inputs, tolerance: float = 1e-5) -> Callable[[object], str]:
    """A test for a function: it must agree with the true one on the given inputs, shape
    included."""

    def test(answer: object) -> str:
        if not callable(answer):
            return "give a function, not its value"
        for x in inputs:
            found, true = torch.as_tensor(answer(x)), torch.as_tensor(truth(x))
            if found.shape != true.shape:
                return f"the result has shape {tuple(found.shape)}, not {tuple(true.shape)}"
            if not torch.allclose(found, true, atol=tolerance, rtol=tolerance):
                worst = int((found - true).abs().argmax())
                return f"at input {torch.as_tensor(x).flatten()[min(worst, torch.as_tensor(x).numel() - 1)]:g} you give {found.flatten()[worst]:g}"
        return ""

    return test


def _student(x: torch.Tensor) -> torch.Tensor:
    return -4 * x / (3 + x**2)


def _is_denoiser(answer: object) -> str:
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
        if not torch.allclose(
            answer(x, lambda y, mean=mean, s=sigma: (mean - y) / s**2, sigma), mean, atol=1e-8
        ):
            return f"it is not the mean of x₀ for σ = {sigma:g}"
    return ""


def _power_for(std: float) -> float:
    """The σ with VE.power(σ).prior_std = std, by bisection."""
    low, high = 1.001, 1e6
    while high / low > 1 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if VE.power(middle).prior_std < std else (low, middle)
    return low


def _is_platen(step: object) -> str:
    if not callable(step):
        return "give a function of (sde, x, t, dt, dw)"
    sde, x = GeometricBrownian(), torch.linspace(0.5, 2, 7, dtype=torch.float64)
    t, dw = (
        torch.tensor(0.5, dtype=torch.float64),
        torch.linspace(-0.4, 0.5, 7, dtype=torch.float64),
    )
    for dt in (0.1, -0.1):
        dt = torch.tensor(dt, dtype=torch.float64)
        if not torch.allclose(step(sde, x, t, dt, dw), platen(sde, x, t, dt, dw), rtol=1e-9):
            return f"the step is not Platen's for Δt = {dt.item():g}"
    return ""


def _is_score_of_noise(answer: object) -> str:
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


def _is_noise_of_velocity(answer: object) -> str:
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


def _fools_the_loss(field: object) -> str:
    if not callable(field):
        return "give a function of x"
    angle = torch.linspace(0, 6, 17, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], dim=1)
    if (shape := torch.as_tensor(field(x)).shape) != x.shape:
        return f"the result has shape {tuple(shape)}, not {tuple(x.shape)}"
    loss = implicit_loss(field, x).max().item()
    return "" if loss < -1e6 else f"at one point of the circle the loss is {loss:.4g}"


def _spends_well(answer: object) -> str:
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
        for x in langevin(p.blurred(sigma).score, x, 0.1 * sigma**2, k, generator=generator):
            pass
    share = float((x.sum(1) < 0).double().mean())
    return "" if share > 0.76 else f"with these steps the share of the heavy mode is {share:.3f}"


def _forward_drift(answer: object) -> str:
    if not callable(answer):
        return "give a function of (f, g, s, eta)"
    f, g, s = torch.tensor([0.5, -1.0]), torch.tensor([1.5, 0.7]), torch.tensor([-2.0, 3.0])
    for eta in (0.0, 0.5, 1.0, 2.0):
        if not torch.allclose(
            torch.as_tensor(answer(f, g, s, eta)), f - (1 - eta**2) / 2 * g**2 * s, atol=1e-5
        ):
            return f"it is not the drift for η = {eta:g}"
    return ""


def _three_costs(answer: object) -> str:
    found = [float(a) for a in answer]
    if len(found) != 3:
        return f"{len(found)} numbers are given, not three"
    wrong = [
        f"{a:g}"
        for a, b in zip(found, (100, 10, 10 ** (2 / 3)))
        if not math.isclose(a, b, rel_tol=2e-2)
    ]
    return f"{' and '.join(wrong)} is not right" if wrong else ""


def _is_two_bits(answer: object) -> str:
    """(log₂ 255 − 2300/(784 ln 2), 2000/(784 ln 2))"""
    pair, nats = [float(a) for a in answer], 784 * math.log(2)
    right = math.log2(255) - 2300 / nats, 2000 / nats
    return (
        ""
        if len(pair) == 2 and all(abs(a - b) < 5e-3 for a, b in zip(pair, right))
        else f"{answer!r} is not the pair"
    )


EXERCISES: dict[str, Exercise] = {
    "1.1": Exercise(
        "take the logarithm of the density first, then differentiate; the constant in front is gone after that.",
        function(_student, torch.linspace(-5, 5, 11), torch.tensor([0.0, 30.0])),
        "Far out it decays like -4/x: a heavy tail pulls back only weakly.",
    ),
    "1.2": Exercise(
        "along the line between the centres, write the score near 0 to first order in x; it changes sign "
        "where the variance of one blurred component equals the squared distance of its centre from 0.",
        Number(math.sqrt(4 - 0.25), relative=2e-3),
        "Below it the origin is a valley, above it the only mode.",
    ),
    "1.3": Exercise(
        "for a Gaussian, s(x) = -(x - m)/variance in each coordinate; average its squared length over x ~ p.",
        Number(784 / 0.1**2),
        "Scores of sharp densities in many dimensions are huge: chapter 5 weighs them by the variance.",
    ),
    "1.4": Exercise(
        "a gradient field has a symmetric Jacobian: compare the derivative of the first component by x2 with "
        "the derivative of the second by x1.",
        lambda answer: (
            "" if str(answer).strip().lower() == "b" else f"{answer!r} is not the field that turns"
        ),
        "No density has that field as its score; a free network can still return one.",
    ),
    "3.1": Exercise(
        "measure x in units of its standard deviation: then ε is measured in units of the variance, and the "
        "variance at rest is 1/(1 − ε/2) in these units.",
        Number(0.02 * (1 - 1 / 1.05), relative=2e-3),
        "A step size is a squared length: the narrowest direction of a density sets it.",
    ),
    "3.2": Exercise(
        "write the variance after a step as a function of the variance v before it, and solve for the v that stays.",
        function(lambda eps: 1 / (2 - eps), torch.tensor([0.01, 0.1, 0.5, 1.0, 1.5])),
        "With too little noise the chain samples p² instead of p: sharper hills, and the wrong weights.",
    ),
    "3.3": Exercise(
        "accepted(eps, wide) falls as ε grows: halve an interval that contains the answer. Or use P(|T₁| > c) with "
        "Cauchy's distribution.",
        Number(2.0, relative=5e-3),
        "Just where the unadjusted chain stops being stable, the adjusted one still takes every second step.",
    ),
    "3.4": Exercise(
        "ΔV = log p(2) − log p(0). At 0 both modes contribute, at 2 only one.",
        Number(8 - math.log(2), relative=5e-3),
        "Waiting grows like the exponential of this number; noise makes it small.",
    ),
    "4.1": Exercise(
        "the chains do not cross the pass: only the side of the line x₁ + x₂ = 2a on which they start counts, and 2a "
        "is about 0.09. Which law does x₁ + x₂ have at the start?",
        Number(0.2497, relative=0.02),
        "The weight 0.8 plays no part in it: the starts decide.",
    ),
    "4.2": Exercise(
        "split the mean into the two half planes; in one the error is zero, in the other it is the whole score of "
        "one Gaussian, with E‖s‖² = d/std².",
        Number(3.2),
        "On a mode of weight 0.001 the same mistake costs 0.004: the loss weighs every error by the density.",
    ),
    "4.3": Exercise(
        "let the field vanish on the circle and pull towards it from both sides, as steeply as you like.",
        _fools_the_loss,
        "A network that trains on the bare circle looks for such a field, and finds a steeper one at every step.",
    ),
    "4.4": Exercise(
        "count the directions across the subspace; in each the law is N(0, σ²), whose score is -x/σ².",
        Number((784 - 50) / 0.1**2),
        "Halve σ and it is four times as large: without noise there is nothing it could converge to.",
    ),
    "2.1": Exercise(
        "half the square of s(x) = -x³, plus its derivative; on the line the trace is the derivative.",
        function(
            lambda x: x**6 / 2 - 3 * x**2,
            torch.linspace(-2, 2, 9),
            torch.tensor([0.5, 3.0]),
            tolerance=1e-4,
        ),
        "It needed no density: you never said where the points come from.",
    ),
    "2.2": Exercise(
        "it is the constant between the denoising loss and the Fisher divergence from p_σ: half of "
        "d/σ² less the mean squared length of the score of p_σ, which is d/(0.5² + σ²).",
        Number(784 / 2 * 0.25 / (0.01 * 0.26)),
        "A large loss may belong to a perfect network: the noise of the target has no remedy.",
    ),
    "2.3": Exercise(
        "the score of p_σ is the mean of -z/σ given x; write x₀ as x - σz and take its mean.",
        _is_denoiser,
        "The score and the best denoiser are the same thing, in two scales.",
    ),
    "2.4": Exercise(
        "at a training point the field is zero; what is left is the trace of its derivatives, in two dimensions.",
        Number(-2 / 0.01**2),
        "On a finite set the implicit loss has no floor.",
    ),
    "5.1": Exercise(
        "`ladder` of sdelib.langevin takes the two ends and the dimension; its default overlap is one half.",
        Number(len(ladder(0.01, 50.0, 3072)), relative=2e-3),
        "Thinner shells need closer rungs: the number of levels grows like √d.",
    ),
    "5.2": Exercise(
        "write the two responsibilities as exponentials of (x − 1)² and (x + 1)², and cancel what they share.",
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
        "the shares move between σ = 8 and σ = 1 and are frozen below 0.7: take steps from σ₁ to σ₄ and give them to the rest.",
        _spends_well,
        "The effort belongs where the modes still talk to each other.",
    ),
    "6.1": Exercise(
        "variances add up, so g² is the derivative of the variance, not of the standard deviation.",
        function(lambda t: 2 * t**1.5, torch.linspace(0, 1, 11), torch.tensor([2.0, 3.0])),
        "Any growing noise level is the clock of some g.",
    ),
    "6.2": Exercise(
        "solve the step for the new x; for small ΔW it multiplies the old x by e^ΔW. Then take the mean of e^W.",
        Number(math.exp(0.5), relative=5e-3),
        "The average rule is Stratonovich's. Itô's keeps the mean at 1.",
    ),
    "6.3": Exercise(
        "scale²/std² is 1/(e^B − 1); solve for B, and B at t = 1 is the mean of the two β.",
        Number(2 * math.log1p(161.9 / 0.02) - 0.1, relative=2e-3),
        "The bound falls like e^(−B): a little more β goes a long way.",
    ),
    "6.4": Exercise(
        "two Gaussians of equal covariance: only the difference of their means counts, and its mean square is now the "
        "variance of the images, summed over the pixels.",
        Number((161.9 - 93.6) / (2 * VE.power(25.0).prior_std ** 2)),
        "More than half of the bound was the mean, and a prior may have a mean.",
    ),
    "7.1": Exercise(
        "for this data v_t = 1 and the score is -x at every time: put it into the drift and see what is left.",
        Number(1 + float(VP().integral(torch.tensor(1.0, dtype=torch.float64)))),
        "Half a score undoes the spreading, and the other half pays for the noise: with the noise you need both.",
    ),
    "7.2": Exercise(
        "mass flows with the velocity b − ½η²g²s; it has to be f − ½g²s.",
        _forward_drift,
        "For η = 0 it is the probability flow, the same equation in both directions.",
    ),
    "7.3": Exercise(
        "v_t = 1 at every time, so ρ is the scale at T, e^(−B/2) with B = 10.05; solve ρ^(η²) = ½ for η.",
        Number(math.sqrt(2 * math.log(2) / 10.05), relative=5e-3),
        "The memory falls like the exponential of η²: a little noise forgets much.",
    ),
    "7.4": Exercise(
        "the means of a step differ by the whole drift's error, ½(1 + η²)g²(s_θ − s)|dt|, and its variance is η²g²|dt|.",
        function(
            lambda eta: (1 + eta**2) ** 2 / (4 * eta**2), torch.tensor([0.25, 0.5, 1.0, 2.0, 3.0])
        ),
        "Less noise makes the same error of the score easier to see, and more noise needs more of the score.",
    ),
    "8.1": Exercise(
        "an error N^(−a) falls to a tenth where N^a has grown tenfold; the strong orders are 1/2, 1 and 3/2.",
        _three_costs,
        "On the reverse equation Euler–Maruyama belongs to the second kind, and only the area leads to the third.",
    ),
    "8.2": Exercise(
        "a step multiplies x by 1 + μΔt + σΔW; take the mean of its square, and raise it to the power N.",
        function(
            lambda N: ((1 + 0.75 / N) ** 2 + 1 / N) ** N,
            torch.tensor([1.0, 2.0, 4.0, 32.0, 1000.0], dtype=torch.float64),
        ),
        "It tends to e^2.5 with order 1, like every smooth average of Euler–Maruyama.",
    ),
    "8.3": Exercise(
        "Heun's limit is Stratonovich's solution; take ½ g ∂g/∂x off the drift, with g = 0.8 x.",
        Number(-0.02, relative=0, absolute=1e-4),
        "That is what heun_ito does at every step, with the derivative by automatic differentiation.",
    ),
    "8.4": Exercise(
        "for two Gaussian numbers the variance given the other one is Var A − Cov²/Var ΔW; take its root.",
        function(lambda h: (h**3 / 12) ** 0.5, torch.tensor([0.01, 0.1, 0.5, 1.0, 2.0])),
        "Half of the area's spread stays unknown, and that half bars order 3/2 to every method without the area.",
    ),
    "9.1": Exercise(
        "the step is ε = 2 snr² P²/V for particles of variance V; put V = R·P and find the R that stays.",
        Number(math.sqrt(0.05), relative=5e-3),
        "More corrections do not bring it closer: only a smaller snr does.",
    ),
    "9.2": Exercise(
        "ε is 2 snr² over the mean square of a coordinate of the score, over all 784; then a wide direction, of variance 1, "
        "is multiplied by 1 − ε.",
        Number(math.log(2) * (50 + 734e4) / 784 / (2 * 0.16**2), relative=5e-3),
        "One step size for all directions: the wide ones wait for the narrow ones.",
    ),
    "9.3": Exercise(
        "for r = 1 it is the variance of x_t' given x_t for two Gaussians: v times their ratio, with v = 2² − 1².",
        function(lambda v0: 3 * (v0 + 1) / (v0 + 4), torch.tensor([0.0, 0.1, 1.0, 5.0, 1000.0])),
        "Between the two extremes lies every Gaussian; the predictors take the ends.",
    ),
    "9.4": Exercise(
        "put ε = ½v = 2 snr² P, where P = std(t)² and v = P − P', and P'/P is the same in every step.",
        Number(math.sqrt(1 - (0.01 / 50) ** (2 / 1000)) / 2, relative=5e-3),
        "The reverse SDE corrects itself, gently: more steps, smaller corrections.",
    ),
    "10.1": Exercise(
        "the flow keeps (x − m_t)/√v_t; for this process scale = 1, so the mean stays and v_T = v_0 + std(T)².",
        function(
            lambda x: 1 + math.sqrt((0.25 + VE.power(25.0).prior_std ** 2) / 0.25) * (x - 1),
            torch.linspace(-1, 3, 9),
        ),
        "One Gaussian's code is its position in units of its standard deviation.",
    ),
    "10.2": Exercise(
        "bits/dim = −log p/(d ln 2) − log₂ width, where the width is that of a grey level in the model's own units.",
        Number(7 - 5600 / (3072 * math.log(2)), relative=2e-3),
        "The same model in other units has another log-density and the same bits.",
    ),
    "10.3": Exercise(
        "the diagonal has e_i² = 1 and no noise; for i < j the product e_i e_j stands before J_ij + J_ji.",
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
        "A stop costs only in directions that are narrower than the noise left, and there it costs much.",
    ),
    "11.1": Exercise(
        "std(1)² = (σ² − 1)/(2 ln σ) grows with σ: try values, or halve an interval that contains the answer.",
        Number(_power_for(22.46), relative=5e-3),
        "A wider prior hides the data better and needs more steps.",
    ),
    "11.2": Exercise(
        "evaluate the diffusion at x and at x + g·√|Δt|; use |Δt| wherever a variance or a root is meant.",
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
    "13.5": Exercise(
        "bits/dim = −log p/(d ln 2) − log₂ width, with the width of a grey level in the units of each model: 1/255, and 1.",
        _is_two_bits,
        "The larger log-density was the worse code: compare bits of whole grey levels, never densities.",
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
        "it is the variance of z − x₀ given x_t, which is s²/((1 − t)² s² + t²); integrate it with r = t/(1 − t).",
        function(
            lambda s: math.pi / 2 * s, torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64)
        ),
        "A loss that looks large may belong to a perfect network.",
    ),
    "15.4": Exercise(
        "the two scores at x = b z are −x/b² and −x/4; multiply their difference by z and take the mean.",
        function(lambda b: b / 4 - 1 / b, torch.tensor([0.5, 1.0, 2.0, 5.0], dtype=torch.float64)),
        "It pulls b to 2 from both sides, without a single pair of noise and image.",
    ),
}
