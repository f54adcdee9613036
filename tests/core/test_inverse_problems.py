"""Inverse problems: operators against their adjoints, posteriors against the linear-Gaussian
answer, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from sdelib.book.state_rules import DPS, Replacement
from sdelib.book.toys import garden
from sdelib.brownian import WhiteNoise
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.few_steps import DPMSolver
from sdelib.grids import karras_times
from sdelib.integration import integrate
from sdelib.inverse_problems import (
    conjugate_gradients,
    isotropic,
    no_covariance,
    posterior_score,
    tweedie,
)
from sdelib.own.operators import Blur, Identity, Mask, Matrix, Pool, observe
from sdelib.reversal import Reverse
from sdelib.solvers import euler_maruyama

f64 = dict(dtype=torch.float64)
PRIOR = GaussianMixture(
    [1.0], torch.tensor([[0.5, -0.3]], **f64), torch.tensor([[[1.0, 0.8], [0.8, 1.5]]], **f64)
)
A, Y, SIGMA_Y = torch.tensor([[1.0, 0.0]], **f64), torch.tensor([[1.2]], **f64), 0.3
SEEN = Mask(torch.tensor([True, False]))
SDE = NoiseLevel(40.0)


def seeded(k: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(k)


def solve(step, score, n: int, steps: int = 100, seed: int = 0, sde=SDE) -> torch.Tensor:
    x = sde.sample_prior((n, 2), generator=seeded(seed), **f64)
    t_min = float(sde.time(torch.tensor(0.002, **f64)))
    for x in integrate(
        Reverse(sde, score, 1.0),
        x,
        karras_times(sde, sde.T, t_min, steps),
        step,
        noise=WhiteNoise(x, generator=seeded(seed + 1)),
    ):
        pass
    return x


# ---- what is seen


@pytest.mark.parametrize(
    "operator, shape",
    [
        (Matrix(torch.arange(6.0, **f64).reshape(2, 3)), (4, 3)),
        (Mask(torch.rand(1, 8, 8, generator=seeded(3)) > 0.4), (4, 1, 8, 8)),
        (Pool(4), (4, 1, 8, 8)),
        (Blur(1.3), (4, 1, 8, 8)),
        (Identity(), (4, 1, 8, 8)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_adjoint(operator, shape):
    x = torch.randn(shape, generator=seeded(1), **f64)
    seen = operator(x)
    y = torch.randn(seen.shape, generator=seeded(2), **f64)
    assert operator.adjoint(y).shape == x.shape
    # ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ for each of the batch, to float64's rounding
    assert torch.allclose(
        (seen * y).flatten(1).sum(1), (x * operator.adjoint(y)).flatten(1).sum(1), atol=1e-12
    )
    assert torch.allclose(
        operator(2 * x - 1), 2 * seen - operator(torch.ones_like(x)), atol=1e-12
    ), "not linear"


def test_operators_by_hand():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Pool(2)(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    inner = Blur(0.7)(torch.ones(1, 1, 15, 15))[0, 0]
    assert torch.allclose(inner[5:10, 5:10], torch.ones(5, 5), atol=1e-6), (
        "a blur keeps the sum of the kernel at 1"
    )
    k = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * 0.7**2))
    assert torch.allclose(inner[0, 0], (k[3:].sum() / k.sum()) ** 2), (
        "outside the image there are zeros: at a corner a quadrant of the kernel is left"
    )
    assert Mask(torch.tensor([True, False, True]))(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [
        [1.0, 3.0]
    ]


def test_observe_adds_the_noise_that_it_says():
    n = 20_000
    y = observe(Identity(), torch.full((n, 1), 2.0, **f64), 0.5, generator=seeded())
    assert (
        abs(float(y.mean()) - 2) < 4 * 0.5 / n**0.5
        and abs(float(y.std()) - 0.5) < 4 * 0.5 / (2 * n) ** 0.5
    )


# ---- the posterior of a mixture


def test_conditioned_by_hand():
    one = GaussianMixture([1.0], torch.zeros(1, 1, **f64), 1.0).conditioned(
        torch.ones(1, 1, **f64), torch.ones(1, **f64), 0.5
    )
    assert torch.allclose(one.mean, torch.tensor([0.8], **f64)) and torch.allclose(
        one.covariance, torch.tensor([[0.2]], **f64)
    )


def test_conditioned_is_bayes_rule():
    prior, A, y, sigma_y = (
        garden(torch.float64),
        torch.tensor([[0.7, -1.1]], **f64),
        torch.tensor([0.4], **f64),
        0.6,
    )
    posterior = prior.conditioned(A, y, sigma_y)
    x = torch.randn(50, 2, generator=seeded(), **f64)
    product = prior.log_prob(x) - (x @ A.T - y).square().sum(1) / (2 * sigma_y**2)
    gap = posterior.log_prob(x) - product  # −log p(y), the same for every x
    assert gap.std() < 1e-10
    with pytest.raises(ValueError, match=r"A .*\(1, 3\)"):
        prior.conditioned(torch.ones(1, 3), y, 0.6)
    with pytest.raises(ValueError, match="sigma_y = 0"):
        prior.conditioned(A, y, 0)


# ---- the score of the posterior


@pytest.mark.parametrize(
    "sde", [VE(0.01, 40.0), VP(), SubVP(), SDE], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize(
    "operator",
    [Matrix(A), Matrix(torch.tensor([[0.3, 1.0], [1.0, 2.0]], **f64))],
    ids=["one", "two"],
)
def test_tweedie_is_exact_for_a_gaussian(sde, operator):
    y = torch.tensor([[1.2, -0.4]], **f64)[:, : len(operator.A)]
    exact = PRIOR.conditioned(operator.A, y[0], SIGMA_Y).score_of(sde)
    found = posterior_score(
        PRIOR.score_of(sde), sde, operator, y, SIGMA_Y, tweedie, iterations=2
    )  # CG in 2 dimensions ends after 2
    for t in (0.05, 0.4, 1.0):
        t = torch.tensor(t * sde.T, **f64)
        x = PRIOR.diffused(sde, t).sample(20, generator=seeded())
        assert torch.allclose(found(x, t), exact(x, t), rtol=1e-8, atol=1e-8)


def test_isotropic_is_exact_for_a_round_gaussian_and_no_other():
    for s, right in ((0.7, True), (1.0, False)):
        prior = GaussianMixture([1.0], torch.tensor([[0.5, -0.3]], **f64), s)
        exact = prior.conditioned(A, Y[0], SIGMA_Y).score_of(SDE)
        found = posterior_score(
            prior.score_of(SDE), SDE, Matrix(A), Y, SIGMA_Y, isotropic(0.7), iterations=1
        )
        t, x = torch.tensor(1.0, **f64), torch.randn(10, 2, generator=seeded(), **f64)
        assert torch.allclose(found(x, t), exact(x, t), atol=1e-9) == right


def test_no_covariance_is_the_gradient_of_the_misfit():
    score, t, x = (
        PRIOR.score_of(SDE),
        torch.tensor(0.8, **f64),
        torch.randn(5, 2, generator=seeded(), **f64).requires_grad_(),
    )
    d = x + t**2 * score(x, t)
    misfit = -((d[:, :1] - Y) ** 2).sum() / (2 * SIGMA_Y**2)
    by_hand = score(x, t) + torch.autograd.grad(misfit, x)[0]
    assert torch.allclose(
        posterior_score(score, SDE, SEEN, Y, SIGMA_Y, no_covariance)(x.detach(), t),
        by_hand,
        atol=1e-9,
    )


def test_each_x_may_have_its_own_y():
    score, t, x = (
        PRIOR.score_of(SDE),
        torch.tensor(0.8, **f64),
        torch.randn(3, 2, generator=seeded(), **f64),
    )
    y = torch.tensor([[0.0], [1.0], [2.0]], **f64)
    together = posterior_score(score, SDE, SEEN, y, SIGMA_Y)(x, t)
    alone = torch.cat(
        [
            posterior_score(score, SDE, SEEN, y[k : k + 1], SIGMA_Y)(x[k : k + 1], t)
            for k in range(3)
        ]
    )
    assert torch.allclose(together, alone, atol=1e-10)


def test_conjugate_gradients_solve_each_system_and_stop_where_the_matrix_is_not_positive():
    root = torch.randn(4, 4, generator=seeded(), **f64)
    M, b = root @ root.T + torch.eye(4, **f64), torch.randn(3, 4, generator=seeded(1), **f64)
    assert torch.allclose(conjugate_gradients(lambda v: v @ M, b, 4) @ M, b, atol=1e-9)
    assert bool(torch.isfinite(conjugate_gradients(lambda v: -v, b, 5)).all())
    assert bool((conjugate_gradients(lambda v: v, torch.zeros_like(b), 3) == 0).all())


# ---- samples against the known answer

N = 4000
TRUE = PRIOR.conditioned(A, Y[0], SIGMA_Y)


def off(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(errors of the mean in standard errors, variances over the true ones)."""
    v = TRUE.covariance.diagonal()
    return (x.mean(0) - TRUE.mean) / (v / len(x)).sqrt(), x.var(0) / v


def test_samples_with_tweedie_are_the_posterior():
    x = solve(
        DPMSolver(),
        posterior_score(PRIOR.score_of(SDE), SDE, SEEN, Y, SIGMA_Y, tweedie, iterations=2),
        N,
    )
    z, ratio = off(x)
    # 4 standard errors; 0.02 for the 100 steps, whose order is 2
    assert z.abs().max() < 4 and (ratio - 1).abs().max() < 4 * (2 / N) ** 0.5 + 0.02
    true = TRUE.covariance[0, 1] / (TRUE.covariance[0, 0] * TRUE.covariance[1, 1]).sqrt()
    assert abs(torch.corrcoef(x.T)[0, 1] - true) < 4 / N**0.5 + 0.02


@pytest.mark.parametrize("name", ["replacement", "DPS", "no covariance"])
def test_the_others_are_biased(name):
    score = PRIOR.score_of(SDE)
    step, s = {
        "replacement": (Replacement(DPMSolver(), SEEN, Y, SIGMA_Y, generator=seeded(5)), score),
        "DPS": (DPS(DPMSolver(), SEEN, Y), score),
        "no covariance": (
            DPMSolver(),
            posterior_score(score, SDE, SEEN, Y, SIGMA_Y, no_covariance),
        ),
    }[name]
    z, _ = off(solve(step, s, N))
    assert z.abs().max() > 8


def test_replacement_puts_the_seen_back():
    """At the last step std² < (scale σ_y)², so what is put back is scale·y itself; the rest moves
    as without it."""
    score = PRIOR.score_of(SDE)
    x = solve(Replacement(euler_maruyama, SEEN, Y, SIGMA_Y, generator=seeded(5)), score, 50, 30)
    assert (
        torch.allclose(x[:, 0], torch.full((50,), 1.2, **f64), atol=1e-12) and x[:, 1].std() > 0.1
    )


def test_dps_with_zeta_0_is_the_step_alone():
    score = PRIOR.score_of(SDE)
    a, b = (
        solve(DPS(euler_maruyama, SEEN, Y, 0.0), score, 20, 10),
        solve(euler_maruyama, score, 20, 10),
    )
    assert torch.equal(a, b)


def test_inpainting_keeps_the_seen_pixels_to_their_noise():
    """y − x₀ at the seen pixels has standard deviation σ_y, since the posterior of a pixel that is
    seen well is N(y, σ_y²)."""
    d, sigma_y = 16, 0.05
    prior = GaussianMixture([1.0], torch.zeros(1, d, **f64), 1.0)
    seen = Mask(torch.arange(d) < 10)
    y = observe(seen, prior.sample(1, generator=seeded()), sigma_y, generator=seeded(1))
    x = SDE.sample_prior((200, d), generator=seeded(2), **f64)
    score = posterior_score(prior.score_of(SDE), SDE, seen, y, sigma_y, isotropic(1.0))
    for x in integrate(
        Reverse(SDE, score, 1.0),
        x,
        karras_times(SDE, SDE.T, 0.002, 100),
        DPMSolver(),
        noise=WhiteNoise(x, generator=seeded(3)),
    ):
        pass
    assert (
        abs(float((seen(x) - y).std()) / sigma_y - 1) < 0.05
    )  # 4/√(2·2000) = 0.06 of chance and steps


# ---- bad input


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Mask(torch.ones(3)), "seen = "),
        (lambda: Mask(torch.zeros(3, dtype=torch.bool)), "seen = .*False"),
        (
            lambda: Mask(torch.ones(1, 28, 27, dtype=torch.bool))(torch.zeros(2, 1, 28, 28)),
            r"x = \(2, 1, 28, 28\).*\(1, 28, 27\)",
        ),
        (lambda: Matrix(torch.ones(3)), r"A = \(3,\)"),
        (lambda: Pool(0), "k = 0"),
        (lambda: Pool(3)(torch.zeros(1, 1, 28, 28)), r"x = \(1, 1, 28, 28\).*k = 3"),
        (lambda: Blur(0.0), "std = 0.0"),
        (lambda: Blur(1.0)(torch.zeros(1, 3, 8, 8)), r"x = \(1, 3, 8, 8\)"),
        (
            lambda: observe(Identity(), torch.zeros(1, 2), -1.0, generator=seeded()),
            "sigma_y = -1.0",
        ),
        (lambda: isotropic(0.0), "data_std = 0.0"),
        (lambda: isotropic(-1.0), "data_std = -1.0"),
        (lambda: posterior_score(PRIOR.score_of(SDE), SDE, SEEN, Y, 0.0), "sigma_y = 0.0"),
        (lambda: posterior_score(PRIOR.score_of(SDE), SDE, SEEN, Y, math.nan), "sigma_y = nan"),
        (
            lambda: posterior_score(PRIOR.score_of(SDE), SDE, SEEN, Y, 0.1, iterations=0),
            "iterations = 0",
        ),
        (
            lambda: posterior_score(PRIOR.score_of(SDE), SDE, SEEN, torch.zeros(1, 2), 0.1)(
                torch.zeros(3, 2), torch.tensor(1.0)
            ),
            r"y = \(1, 2\)",
        ),
        (
            lambda: posterior_score(PRIOR.score_of(SDE), SDE, SEEN, torch.zeros(2, 1), 0.1)(
                torch.zeros(3, 2), torch.tensor(1.0)
            ),
            r"y = \(2, 1\)",
        ),
        (
            lambda: Replacement(euler_maruyama, Identity(), Y, 0.1, generator=seeded()),
            "operator = .Identity",
        ),
        (lambda: Replacement(euler_maruyama, SEEN, Y, 0.0, generator=seeded()), "sigma_y = 0.0"),
        (lambda: DPS(euler_maruyama, SEEN, Y, -1.0), "zeta = -1.0"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
