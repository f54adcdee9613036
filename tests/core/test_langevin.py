"""Langevin dynamics against exact laws: unadjusted, Metropolis-adjusted, annealed; and the
ladder."""

import math

import pytest
import torch

from sdelib.book.data import FASHION_MNIST_DISTANCE, largest_distance
from sdelib.book.toys import two_modes
from sdelib.brownian import WhiteNoise
from sdelib.families import NoiseLevel
from sdelib.integration import Counted
from sdelib.langevin import (
    Langevin,
    Metropolis,
    annealed_langevin,
    ladder,
    ladder_ratio,
    langevin,
    shell_overlap,
)
from sdelib.reversal import denoise
from sdelib.sdes import SDE

N = 20_000


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=gen(seed), dtype=torch.float64)


def last(states):
    for x in states:
        pass
    return x


def variance_within(x, expected, k=5):
    """A Gaussian's sample variance has standard error σ²√(2/n)."""
    return abs(float(x.var()) - expected) < k * expected * math.sqrt(2 / len(x))


# ---- unadjusted


def test_one_step_by_hand():
    x, eps = normal(4, 2, seed=1), 0.3
    (found,) = langevin(lambda x: -x, x, eps, 1, generator=gen(2))
    z = WhiteNoise(x, generator=gen(2))(torch.tensor(0.0), torch.tensor(1.0))
    torch.testing.assert_close(found, x - eps * x + math.sqrt(2 * eps) * z)


@pytest.mark.parametrize("eps", [0.05, 0.5, 1.0, 1.5])
def test_the_stationary_variance_is_one_over_one_minus_half_eps(eps):
    """x ← (1 − ε)x + √(2ε)z: v = (1 − ε)²v + 2ε, so v = 1/(1 − ε/2). From a start with that
    variance it stays there."""
    v = 1 / (1 - eps / 2)
    x = math.sqrt(v) * normal(N, 1, seed=3)
    x = last(langevin(lambda x: -x, x, eps, 50, generator=gen(4)))
    assert variance_within(x, v)
    assert (
        not variance_within(x, 1.0) or eps == 0.05
    )  # 2.6 % is three standard errors there: below what N shows


@pytest.mark.parametrize("eps, steps", [(0.1, 7), (0.5, 3), (1.9, 5)])
def test_the_variance_on_the_way_is_known(eps, steps):
    """From a point: v_k = (1 − (1 − ε)^(2k))/(1 − ε/2), and the mean is (1 − ε)^k x₀."""
    x = last(
        langevin(
            lambda x: -x, torch.full((N, 1), 3.0, dtype=torch.float64), eps, steps, generator=gen(5)
        )
    )
    v = (1 - (1 - eps) ** (2 * steps)) / (1 - eps / 2)
    assert variance_within(x, v)
    assert abs(float(x.mean()) - 3 * (1 - eps) ** steps) < 5 * math.sqrt(v / N)


def test_all_states_are_yielded_and_the_start_is_left_alone():
    x = normal(3, 2)
    before = x.clone()
    states = list(langevin(lambda x: -x, x, 0.1, 5, generator=gen()))
    assert len(states) == 5 and torch.equal(x, before) and not torch.equal(states[0], states[1])


# ---- Metropolis


@pytest.mark.parametrize("eps", [0.3, 1.0, 2.5])
def test_metropolis_keeps_the_exact_law(eps):
    """From N(0, 1) it stays N(0, 1) at any step; Kolmogorov–Smirnov at 1e-5 (2.47/√n). ULA leaves
    it."""
    x0 = normal(N, 1, seed=8)
    step = Metropolis(lambda x: -x.square().sum(1) / 2, generator=gen(9))
    x = last(langevin(lambda x: -x, x0, eps, 30, step, generator=gen(10)))
    assert ks(x) < 2.47 / math.sqrt(N) and variance_within(x, 1.0)
    assert step.proposed == 30 * N and 0 < step.accepted < step.proposed
    if eps < 2:
        assert ks(last(langevin(lambda x: -x, x0, eps, 30, generator=gen(10)))) > 2.47 / math.sqrt(
            N
        )


def ks(x):
    x = x[:, 0].sort().values
    cdf = torch.special.ndtr(x)
    i = torch.arange(len(x), dtype=torch.float64)
    return float(torch.maximum(cdf - i / len(x), (i + 1) / len(x) - cdf).max())


def test_metropolis_reaches_the_law_from_elsewhere():
    step = Metropolis(lambda x: -x.square().sum(1) / 2, generator=gen(11))
    x = last(
        langevin(
            lambda x: -x,
            torch.full((N, 1), 4.0, dtype=torch.float64),
            0.8,
            80,
            step,
            generator=gen(12),
        )
    )
    assert ks(x) < 2.47 / math.sqrt(N)


def test_the_acceptance_rate_of_a_gaussian_is_known():
    """For N(0, 1) it is a double integral over x and z, here on a grid."""
    eps = 0.9
    x = torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None]
    z = torch.linspace(-8, 8, 801, dtype=torch.float64)[None]
    y = (1 - eps) * x + math.sqrt(2 * eps) * z
    q = lambda to, origin: -((to - (1 - eps) * origin) ** 2) / (4 * eps)
    accept = torch.exp((-(y**2) / 2 + x**2 / 2 + q(x, y) - q(y, x)).clamp(max=0))
    expected = float(
        (accept * torch.exp(-(x**2 + z**2) / 2)).sum() / torch.exp(-(x**2 + z**2) / 2).sum()
    )
    step = Metropolis(lambda x: -x.square().sum(1) / 2, generator=gen(13))
    n = 200_000
    last(langevin(lambda x: -x, normal(n, 1, seed=14), eps, 1, step, generator=gen(15)))
    assert abs(step.rate - expected) < 5 * math.sqrt(expected * (1 - expected) / n)
    assert 0.8 < expected < 0.99


def test_metropolis_in_two_dimensions_and_on_images():
    p = two_modes(torch.float64)
    x0 = p.sample(N, generator=gen(16))
    step = Metropolis(p.log_prob, generator=gen(17))
    x = last(langevin(p.score, x0, 0.2, 30, step, generator=gen(18)))
    for f in (lambda x: x[:, 0], lambda x: x[:, 0] * x[:, 1], lambda x: p.log_prob(x)):
        a, b = f(x), f(p.sample(N, generator=gen(19)))
        assert abs(float(a.mean() - b.mean())) < 5 * math.hypot(
            float(a.std()), float(b.std())
        ) / math.sqrt(N)
    step = Metropolis(lambda x: -x.flatten(1).square().sum(1) / 2, generator=gen(20))
    x = last(langevin(lambda x: -x, normal(7, 1, 4, 4), 0.5, 3, step, generator=gen(21)))
    assert x.shape == (7, 1, 4, 4)


class Custom(SDE):
    """An SDE with any drift and diffusion."""

    def __init__(self, drift, diffusion):
        self.f, self.g = drift, diffusion

    def drift(self, x, t):
        return self.f(x, t)

    def diffusion(self, x, t):
        return self.g(x, t)


@pytest.mark.parametrize(
    "drift, diffusion, sign",
    [
        (lambda x, t: -x, lambda x, t: 0.3 + x.abs(), 1),  # noise that depends on x
        (
            lambda x, t: -x * (1 + t),
            lambda x, t: torch.tensor(1.4).to(x),
            1,
        ),  # a drift that depends on t
        (lambda x, t: -x, lambda x, t: torch.tensor(1.4).to(x), -1),  # time runs backwards
    ],
    ids=["noise of x", "drift of t", "backwards"],
)
def test_metropolis_corrects_any_proposal(drift, diffusion, sign):
    """Whatever proposes, N(0, 1) stays N(0, 1)."""
    from sdelib.grids import uniform_times
    from sdelib.integration import integrate

    x, step = normal(N, 1, seed=36), Metropolis(lambda x: -x.square().sum(1) / 2, generator=gen(37))
    noise = WhiteNoise(x, generator=gen(38))
    x = last(
        integrate(
            Custom(drift, diffusion), x, sign * uniform_times(0.0, 9.0, 30), step, noise=noise
        )
    )
    assert ks(x) < 2.47 / math.sqrt(N) and variance_within(x, 1.0) and 0.2 < step.rate < 0.99


def test_a_rejected_proposal_leaves_the_whole_point():
    step = Metropolis(
        lambda x: -1e6 * (x - 1).square().sum(1), generator=gen(22)
    )  # all moves away from 1 are refused
    x = torch.ones(5, 3, dtype=torch.float64)
    (y,) = langevin(torch.zeros_like, x, 1.0, 1, step, generator=gen(23))
    assert torch.equal(x, y) and step.accepted == 0 and step.rate == 0


# ---- annealed


def test_annealing_runs_from_large_to_small_with_steps_in_proportion_to_the_variance():
    seen, sigmas = [], [0.1, 0.5, 2.0]

    def score(x, sigma):
        seen.append(float(sigma))
        return torch.ones_like(x)

    x = torch.zeros(4, 1, dtype=torch.float64)
    states = list(annealed_langevin(score, x, sigmas, 3, rate=0.2, generator=gen(24)))
    assert seen == [2.0] * 3 + [0.5] * 3 + [0.1] * 4 and len(states) == 10
    noise = WhiteNoise(x, generator=gen(24))
    for sigma in (2.0, 0.5, 0.1):
        for _ in range(3):
            x = (
                x
                + 0.2 * sigma**2
                + math.sqrt(2 * 0.2) * sigma * noise(torch.tensor(0.0), torch.tensor(1.0))
            )
    torch.testing.assert_close(states[-2], x)
    torch.testing.assert_close(states[-1], x + 0.1**2)


def test_the_last_step_is_the_posterior_mean_and_can_be_left_out():
    p, sigmas = two_modes(torch.float64), [0.3, 1.0, 3.0]
    score = Counted(lambda x, s: p.blurred(s).score(x))
    states = list(annealed_langevin(score, normal(6, 2), sigmas, 2, generator=gen(25)))
    assert score.calls == 7
    bare = list(
        annealed_langevin(score, normal(6, 2), sigmas, 2, denoised=False, generator=gen(25))
    )
    assert len(bare) == 6 and torch.equal(bare[-1], states[-2])
    torch.testing.assert_close(
        states[-1],
        denoise(NoiseLevel(3.0), score, bare[-1], torch.tensor(0.3, dtype=torch.float64)),
    )


@pytest.mark.parametrize("rate, steps", [(0.15, 1), (0.27, 2), (1.0, 1), (0.1, 10)])
def test_consistent_annealing_leaves_every_level_with_its_own_noise(rate, steps):
    """Data {0}: after each level the variance is σ_i²; without `consistent` it follows the
    recursion, above it."""
    sigmas = torch.tensor([0.1, 0.115, 0.13, 0.145], dtype=torch.float64)
    start, score = 0.145 * normal(N, 1, seed=32), lambda x, s: -x / s**2
    for consistent in (True, False):
        run = annealed_langevin(
            score,
            start,
            sigmas,
            steps,
            rate=rate,
            consistent=consistent,
            denoised=False,
            generator=gen(33),
        )
        v, q = 1.0, (1 - rate) ** (2 * steps)
        for i, x in zip((3, 2, 1, 0), list(run)[steps - 1 :: steps]):
            gamma = float(sigmas[min(i + 1, 3)] / sigmas[i])
            v = 1.0 if consistent else q * gamma**2 * v + (1 - q) / (1 - rate / 2)
            assert variance_within(x, v * float(sigmas[i]) ** 2)
        assert v == 1.0 or v > 1.04


def test_temperature_scales_the_stationary_variance():
    """x ← (1 − ε)x + √(2Tε)z ends at T/(1 − ε/2)."""
    x = last(
        langevin(lambda x: -x, normal(N, 1, seed=34), 0.5, 40, temperature=0.3, generator=gen(35))
    )
    assert variance_within(x, 0.3 / 0.75)
    x = last(langevin(lambda x: -x, torch.ones(3, 1), 0.5, 2, temperature=0.0, generator=gen(35)))
    assert torch.equal(x, torch.full((3, 1), 0.25))


def test_annealing_repairs_the_weights_of_the_modes():
    """two_modes has weights 0.8 and 0.2. Plain Langevin keeps the start's ½; annealing comes near
    with effort."""
    p, n = two_modes(torch.float64), 4000
    start = 8 * normal(n, 2, seed=26)
    sigmas = torch.logspace(math.log10(0.1), math.log10(8), 12, dtype=torch.float64)
    heavy = lambda x: float((x.sum(1) < 0).double().mean())
    naive = heavy(last(langevin(p.score, start, 0.02, 500, generator=gen(27))))
    share = [
        heavy(
            last(
                annealed_langevin(
                    lambda x, s: p.blurred(s).score(x), start, sigmas, k, generator=gen(28)
                )
            )
        )
        for k in (2, 10, 60)
    ]
    error = math.sqrt(0.16 / n)
    assert abs(naive - 0.5) < 5 * math.sqrt(0.25 / n)
    assert share[0] < share[1] < share[2] and abs(share[2] - 0.8) < 0.02 + 3 * error


# ---- the ladder


def test_the_overlap_of_shells_is_that_of_gaussian_noise():
    """Draw ‖σz‖ and count how much lies within three deviations of the shell of γσ, as the formula
    says."""
    d, gamma, n = 784, 1.06, 100_000
    radius = (
        torch.distributions.Chi2(torch.tensor(float(d), dtype=torch.float64)).sample((n,)).sqrt()
    )
    share = float(
        ((radius - gamma * math.sqrt(d)).abs() < 3 * gamma / math.sqrt(2)).double().mean()
    )
    c = shell_overlap(gamma, d)
    # the shell's norm is a chi variable: its mean is below √d by 1/(4√d) = 0.009, of a deviation of
    # 0.707; density ≤ 0.4
    assert abs(share - c) < 5 * math.sqrt(c * (1 - c) / n) + 0.4 * 2 * 0.009 / 0.707
    assert shell_overlap(1.0, d) == pytest.approx(0.9973, abs=1e-4)


@pytest.mark.parametrize("dim", [5, 10, 784, 3072])
def test_a_ladder_has_the_overlap_that_was_asked_for(dim):
    for overlap in (0.3, 0.5, 0.9):
        assert shell_overlap(ladder_ratio(dim, overlap), dim) == pytest.approx(overlap, abs=1e-9)
    sigmas = ladder(0.01, 20.0, dim)
    ratio = sigmas[1:] / sigmas[:-1]
    assert float(sigmas[0]) == pytest.approx(0.01) and float(sigmas[-1]) == pytest.approx(20.0)
    assert float(ratio.max() / ratio.min()) == pytest.approx(1, abs=1e-9)
    assert shell_overlap(float(ratio[0]), dim) >= 0.5 - 1e-9
    if len(sigmas) > 2:  # one level fewer is too few
        assert shell_overlap((20.0 / 0.01) ** (1 / (len(sigmas) - 2)), dim) < 0.5


def test_the_ladder_of_cifar_is_about_that_of_the_paper():
    """Song & Ermon 2020 take 232 levels from 50 to 0.01 for d = 3072, which is an overlap of 0.55:
    "C ≈ 0.5"."""
    ratio = (50 / 0.01) ** (1 / 231)
    assert 0.5 < shell_overlap(ratio, 3072) < 0.6 and 210 < len(ladder(0.01, 50.0, 3072)) <= 232


def test_the_largest_distance_is_that_of_all_pairs():
    for seed, n in ((29, 2), (30, 50), (31, 1500)):
        x = normal(n, 3, 2, seed=seed)
        assert largest_distance(x, batch=64) == pytest.approx(
            float(torch.cdist(x.flatten(1), x.flatten(1)).max()), rel=1e-9
        )
    assert largest_distance(torch.ones(5, 2)) == 0.0


@pytest.mark.real_data
def test_the_largest_distance_of_fashion_mnist():
    """22.456, written with two decimals; the pairs are fewer than all 1.8e9."""
    from sdelib.book.data import fashion_mnist

    assert (
        abs(largest_distance(fashion_mnist(download=False).images) - FASHION_MNIST_DISTANCE) < 0.006
    )


# ---- bad input


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: langevin(lambda x: -x, torch.zeros(2, 1), 0.0, 5, generator=gen()), r"eps = 0\.0"),
        (
            lambda: langevin(lambda x: -x, torch.zeros(2, 1), math.inf, 5, generator=gen()),
            "eps = inf",
        ),
        (
            lambda: langevin(lambda x: -x, torch.zeros(2, 1), 0.1, 0, generator=gen()),
            "steps = 0|start = stop",
        ),
        (
            lambda: next(langevin(lambda x: -x[:1], torch.zeros(2, 1), 0.1, 2, generator=gen())),
            r"score\(x\) has shape",
        ),
        (
            lambda: next(langevin(lambda x: x / 0, torch.zeros(2, 1), 0.1, 2, generator=gen())),
            "not finite",
        ),
        (
            lambda: annealed_langevin(
                lambda x, s: -x, torch.zeros(2, 1), [1.0, 0.5], 2, generator=gen()
            ),
            "sigmas",
        ),
        (
            lambda: annealed_langevin(
                lambda x, s: -x, torch.zeros(2, 1), [0.0, 0.5], 2, generator=gen()
            ),
            "sigmas",
        ),
        (
            lambda: annealed_langevin(lambda x, s: -x, torch.zeros(2, 1), [], 2, generator=gen()),
            "sigmas",
        ),
        (
            lambda: annealed_langevin(
                lambda x, s: -x, torch.zeros(2, 1), [1.0], 2, rate=2.0, generator=gen()
            ),
            r"rate = 2\.0",
        ),
        (
            lambda: annealed_langevin(
                lambda x, s: -x, torch.zeros(2, 1), [1.0], 2.5, generator=gen()
            ),
            r"steps = 2\.5",
        ),
        (
            lambda: annealed_langevin(
                lambda x, s: -x,
                torch.zeros(2, 1),
                [1.0, 5.0],
                2,
                rate=0.1,
                consistent=True,
                generator=gen(),
            ),
            r"rate = 0\.1, steps = 2",
        ),
        (
            lambda: langevin(
                lambda x: -x, torch.zeros(2, 1), 0.1, 2, temperature=-1.0, generator=gen()
            ),
            r"temperature = -1\.0",
        ),
        (lambda: shell_overlap(0.9, 2), r"ratio = 0\.9"),
        (lambda: shell_overlap(1.1, 0), "dim = 0"),
        (lambda: ladder_ratio(9, 1.0), r"overlap = 1\.0"),
        (lambda: ladder_ratio(4), "dim = 4"),
        (lambda: ladder(1.0, 0.5, 2), r"sigma_min = 1\.0"),
        (lambda: ladder(0.0, 0.5, 2), r"sigma_min = 0\.0"),
        (lambda: largest_distance(torch.zeros(1, 2)), "points"),
    ],
)
def test_bad_input_raises(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_langevin_equation_is_the_one_of_the_sampler():
    sde, x = Langevin(lambda x: -3 * x), normal(4, 2)
    torch.testing.assert_close(sde.drift(x, torch.tensor(0.0)), -3 * x)
    assert float(sde.diffusion(x, torch.tensor(0.0))) == pytest.approx(math.sqrt(2))
