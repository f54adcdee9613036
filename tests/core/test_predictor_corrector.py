"""The steps that know what they undo, and the corrector: exact laws, equal costs, what they
refuse."""

import math

import pytest
import torch

from sdelib.book.toys import GeometricBrownian, garden
from sdelib.brownian import BrownianPath, Still, WhiteNoise
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.grids import geometric_times, uniform_times
from sdelib.integration import Counted, solve, trajectory
from sdelib.predictor_corrector import (
    PredictorCorrector,
    ancestral,
    correct,
    exponential,
    langevin_step_size,
    reverse_diffusion,
    stay,
)
from sdelib.reversal import Reverse
from sdelib.solvers import euler_maruyama, heun, sra

PROCESSES = [VE(0.01, 8.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["VE", "VP", "SubVP", "NoiseLevel"]
PREDICTORS = [exponential, reverse_diffusion, ancestral]


def point_score(sde, m):
    """The score of a data set of one point m."""

    def score(x, t):
        scale, std = sde.marginal(t)
        return (scale * m - x) / std**2

    return score


def linear_law(sde, step, times, mean, variance):
    """(mean, variance) after `times` for a score that is linear in x, with no sampling: x ↦ a x + b
    + c·dw."""
    for t, t_next in zip(times[:-1], times[1:]):
        dt, one = t_next - t, torch.ones(1, dtype=torch.float64)
        b = step(sde, 0 * one, t, dt, 0 * one)
        a = step(sde, one, t, dt, 0 * one) - b
        c = step(sde, 0 * one, t, dt, one) - b
        mean, variance = a * mean + b, a**2 * variance + c**2 * dt.abs()
    return float(mean), float(variance)


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_ancestral_is_exact_for_one_point_at_any_step(sde):
    """x_0 = m is known then, so each step is a draw of the true posterior: four steps end in
    N(scale·m, std²)."""
    m, t_min = 0.7, 0.01 * sde.T
    back = Reverse(sde, point_score(sde, m))
    (scale, std), (scale_0, std_0) = (
        sde.marginal(torch.tensor(t, dtype=torch.float64)) for t in (sde.T, t_min)
    )
    mean, variance = linear_law(back, ancestral, uniform_times(sde.T, t_min, 4), scale * m, std**2)
    assert (mean, variance) == pytest.approx((float(scale_0 * m), float(std_0**2)), rel=1e-9)
    # so that the test can fail
    assert linear_law(back, exponential, uniform_times(sde.T, t_min, 4), scale * m, std**2)[
        1
    ] > 2 * float(std_0**2)


def test_ddpm_noise_is_exact_for_a_standard_normal():
    """For VP and x_0 ~ N(0, 1), (x + v s)/r + √v z has variance r² + v = 1: the paper's own choice
    of noise."""
    sde = VP()
    back = Reverse(sde, lambda x, t: -x)
    r, v = sde.transition(torch.tensor(0.3), torch.tensor(0.5))
    x, t, dt = (torch.tensor([a], dtype=torch.float64) for a in (1.0, 0.5, -0.2))
    factor = float(ancestral(back, x, t[0], dt[0], 0 * x))
    assert factor == pytest.approx(float(r), rel=1e-6) and factor**2 + float(v) == pytest.approx(
        1, rel=1e-6
    )


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_exponential_is_euler_maruyama_in_the_clock_of_the_variance(sde, eta):
    """y = x/scale, λ = (std/scale)²: dy = ½(1 + η²) ∇ log q dλ + η dw(λ), by hand."""
    mixture = garden(torch.float64)
    score = mixture.score_of(sde)
    x = mixture.diffused(sde, sde.T).sample(20, generator=torch.Generator().manual_seed(1))
    times = uniform_times(sde.T, 0.05 * sde.T, 6)
    w = BrownianPath(times, x, generator=torch.Generator().manual_seed(2))
    y = x / sde.marginal(times[0])[0]
    for t, t_next in zip(times[:-1], times[1:]):
        scale, step = sde.marginal(t)[0], sde.ratio(t) ** 2 - sde.ratio(t_next) ** 2
        y = (
            y
            + (1 + eta**2) / 2 * step * scale * score(scale * y, t)
            + eta * step.sqrt() * w(t, t_next) / (t - t_next).sqrt()
        )
    found = solve(Reverse(sde, score, eta), x, times, exponential, noise=w)
    torch.testing.assert_close(found, sde.marginal(times[-1])[0] * y, rtol=1e-9, atol=1e-9)


def test_exponential_runs_the_flow_both_ways():
    mixture, sde = garden(torch.float64), VP()
    flow = Reverse(sde, mixture.score_of(sde), eta=0.0)
    x = mixture.sample(50, generator=torch.Generator().manual_seed(3))
    up, gaps = geometric_times(sde, 0.01, 1.0, 400), []
    for times in (up, up[::2]):
        there = solve(flow, x, times, exponential, noise=Still(x))
        gaps.append(
            float(
                (solve(flow, there, times.flip(0), exponential, noise=Still(x)) - x).abs().median()
            )
        )
    assert 0.4 * gaps[1] < gaps[0] < 0.6 * gaps[1]  # order 1: half the step, half the gap


@pytest.mark.slow
@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
@pytest.mark.parametrize("step", PREDICTORS)
def test_predictors_have_strong_order_1(sde, step):
    """Towards the reverse SDE on the same path, whose reference is sra, of order 3/2, with twice
    the steps of the finest."""
    mixture = garden(torch.float64)
    back = Reverse(sde, mixture.score_of(sde))
    # from a noise-to-signal ratio of 2 to one of ½: long enough to be nonlinear, short enough to be
    # asymptotic
    start, stop = (float(sde.time(torch.tensor(r, dtype=torch.float64))) for r in (2.0, 0.5))
    x = mixture.diffused(sde, start).sample(500, generator=torch.Generator().manual_seed(4))
    times = uniform_times(start, stop, 1024)
    w = BrownianPath(times, x, generator=torch.Generator().manual_seed(5))
    exact = solve(back, x, times[::2], sra, noise=w)
    strides = torch.tensor([4, 8, 16, 32])
    error = torch.stack(
        [
            (solve(back, x, times[::k], step, noise=w) - exact).norm(dim=1).mean()
            for k in strides.tolist()
        ]
    )
    a, b = strides.double().log(), error.log()
    slope = float(((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum())
    assert slope == pytest.approx(1.0, abs=0.15)


def test_reverse_diffusion_is_exponential_for_ve():
    mixture, sde = garden(torch.float64), VE(0.01, 8.0)
    x = 8 * torch.randn(10, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    times = uniform_times(1.0, 0.1, 9)
    w = BrownianPath(times, x, generator=torch.Generator().manual_seed(7))
    back = Reverse(sde, mixture.score_of(sde))
    torch.testing.assert_close(
        *(solve(back, x, times, s, noise=w) for s in (exponential, reverse_diffusion)),
        rtol=1e-12,
        atol=1e-12,
    )


def test_reverse_diffusion_is_the_papers_vp_step():
    """Song et al. 2021, eq. 45: x_i = (2 − √(1−β)) x_{i+1} + β s + √β z, with 1 − β = r² of the
    forward step."""
    sde, x = VP(), torch.tensor([0.3, -1.2], dtype=torch.float64)
    t, dt, dw = (
        torch.tensor(0.6, dtype=torch.float64),
        torch.tensor(-0.01, dtype=torch.float64),
        torch.tensor([0.05, -0.02]).double(),
    )
    beta = -torch.expm1(-(sde.integral(t) - sde.integral(t + dt)))
    by_hand = (2 - (1 - beta).sqrt()) * x + beta * (-(x**3)) + beta.sqrt() * dw / 0.1
    torch.testing.assert_close(
        reverse_diffusion(Reverse(sde, lambda x, t: -(x**3)), x, t, dt, dw),
        by_hand,
        rtol=1e-10,
        atol=0,
    )


# ---- the corrector


@pytest.mark.parametrize("snr", [0.1, 0.3, 0.6])
def test_the_corrector_rests_at_one_plus_snr_squared(snr):
    """For p_t = N(0, v I) the chain rests at v (1 + snr²): 50 dimensions and 2,000 chains, 5
    standard errors."""
    v, n, d = 2.5, 2000, 50
    x = math.sqrt(v) * torch.randn(
        n, d, generator=torch.Generator().manual_seed(8), dtype=torch.float64
    )
    x = correct(
        lambda x, t: -x / v,
        x,
        torch.tensor(0.5),
        snr,
        400 if snr < 0.2 else 100,
        generator=torch.Generator().manual_seed(9),
    )
    assert abs(float(x.square().mean()) / (v * (1 + snr**2)) - 1) < 5 * math.sqrt(2 / (n * d))
    assert abs(float(x.mean())) < 5 * math.sqrt(v * (1 + snr**2) / (n * d))


def test_the_step_size_is_the_papers():
    s = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(10), dtype=torch.float64)
    assert float(langevin_step_size(s, 0.16)) == pytest.approx(
        2 * 0.16**2 * 12 / float(s.flatten(1).square().sum(1).mean())
    )
    assert float(
        langevin_step_size(-torch.randn(10**6, generator=torch.Generator().manual_seed(1)) / 3, 0.2)
    ) == pytest.approx(2 * 0.04 * 9, rel=0.01)


def test_prediction_first_then_correction_at_the_new_time():
    seen = []
    score = lambda x, t: (seen.append(round(float(t), 6)), -x)[1]
    x = torch.ones(4, 2)
    step = PredictorCorrector(euler_maruyama, 0.1, 2, generator=torch.Generator().manual_seed(0))
    solve(Reverse(VP(), score), x, uniform_times(1.0, 0.5, 2), step, noise=Still(x))
    assert seen == [1.0, 0.75, 0.75, 0.75, 0.5, 0.5]


@pytest.mark.parametrize(
    "predictor, cost",
    [
        (euler_maruyama, 1),
        (exponential, 1),
        (reverse_diffusion, 1),
        (ancestral, 1),
        (heun, 2),
        (sra, 2),
        (stay, 0),
    ],
)
@pytest.mark.parametrize("corrections", [0, 1, 3])
def test_cost_and_the_same_path_without_corrector(predictor, cost, corrections):
    score = Counted(lambda x, t: -x)
    x, times = torch.ones(6, 2), uniform_times(1.0, 0.5, 5)
    step = PredictorCorrector(
        predictor, 0.16, corrections, generator=torch.Generator().manual_seed(1)
    )
    w = lambda: WhiteNoise(x, generator=torch.Generator().manual_seed(2))
    y = solve(Reverse(VP(), score), x, times, step, noise=w())
    assert score.calls == 5 * (cost + corrections)
    if corrections == 0:
        assert torch.equal(y, solve(Reverse(VP(), score), x, times, predictor, noise=w()))


@pytest.mark.slow
def test_a_corrector_repairs_the_steps_of_its_predictor_and_not_the_score():
    """One Gaussian, few steps: with corrections the variance is nearer to the truth (snr² = 1%
    aside); with a score of a Gaussian twice as wide, more corrections bring it to the wrong one."""
    sde, v, n = VE(0.01, 8.0), 1.0, 4000
    x = math.sqrt(v + 64) * torch.randn(
        n, 20, generator=torch.Generator().manual_seed(11), dtype=torch.float64
    )
    times = geometric_times(sde, 1.0, 0.01, 10)
    found = {}
    for name, variance in (("right", v), ("wrong", 2 * v)):
        score = lambda x, t, variance=variance: -x / (variance + sde.marginal(t)[1] ** 2)
        for k in (0, 100):
            step = PredictorCorrector(
                reverse_diffusion, 0.1, k, generator=torch.Generator().manual_seed(12)
            )
            y = solve(
                Reverse(sde, score),
                x,
                times,
                step,
                noise=WhiteNoise(x, generator=torch.Generator().manual_seed(13)),
            )
            found[name, k] = float(y.square().mean())
    luck = 5 * math.sqrt(2 / (n * 20))
    std2 = float(sde.marginal(times[-1])[1] ** 2)
    assert (
        abs(found["right", 100] / (v + std2) - 1.01)
        < luck + 0.01
        < abs(found["right", 0] / (v + std2) - 1)
    )
    assert found["wrong", 100] > 1.5 * found["right", 100]


def test_what_they_refuse():
    x, times = torch.ones(2, 2), uniform_times(1.0, 0.5, 2)
    g = torch.Generator()
    for step in PREDICTORS:
        with pytest.raises(ValueError, match="sde = GeometricBrownian"):
            solve(GeometricBrownian(), x, times, step, noise=Still(x))
    for step in (reverse_diffusion, ancestral):
        with pytest.raises(ValueError, match=r"sde.eta = 0\.0: .*eta = 1"):
            solve(Reverse(VP(), lambda x, t: -x, 0.0), x, times, step, noise=Still(x))
    for snr in (0.0, -0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="snr ="):
            PredictorCorrector(euler_maruyama, snr, generator=g)
    for k in (-1, 1.5):
        with pytest.raises(ValueError, match="corrections ="):
            PredictorCorrector(euler_maruyama, 0.1, k, generator=g)
    with pytest.raises(ValueError, match=r"sde = VP\("):
        up = times.flip(0)
        solve(VP(), x, up, PredictorCorrector(euler_maruyama, 0.1, generator=g), noise=Still(x))
    with pytest.raises(ValueError, match=r"score.*nan at t = 0.75"):
        score = lambda x, t: -x if t > 0.8 else x * math.nan
        solve(
            Reverse(VP(), score),
            x,
            times,
            PredictorCorrector(euler_maruyama, 0.1, generator=g),
            noise=Still(x),
        )
    for step in PREDICTORS:
        with pytest.raises(ValueError, match=r"score.*nan at t = 0.75"):
            solve(Reverse(VP(), score), x, times, step, noise=Still(x))


@pytest.mark.parametrize(
    "step", [*PREDICTORS, PredictorCorrector(exponential, 0.1, generator=torch.Generator())]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_shape_stay(step, dtype):
    x = torch.ones(3, 1, 4, 4, dtype=dtype)
    states = trajectory(
        Reverse(VP(), lambda x, t: -x),
        x,
        uniform_times(1.0, 0.5, 3),
        step,
        noise=WhiteNoise(x, generator=torch.Generator()),
    )
    assert states.dtype == dtype and states.shape == (4, *x.shape)
