"""The solvers: their orders on the same Brownian paths, their exact laws, and what they refuse."""

import math
import types
from dataclasses import dataclass

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sdelib.book.toys import GeometricBrownian, OrnsteinUhlenbeck, garden
from sdelib.brownian import BrownianPath, Still, WhiteNoise
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.few_steps import DPMSolver, EDMHeun
from sdelib.grids import geometric_times, karras_times, uniform_times
from sdelib.integration import Counted, adaptive, integrate, solve, trajectory
from sdelib.predictor_corrector import exponential, stay
from sdelib.reversal import Reverse, denoise
from sdelib.sdes import SDE
from sdelib.solvers import euler_maruyama, heun, heun_ito, milstein, platen, sra

FORWARD = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP()]
NAMES = ["VE", "VE.power", "VP", "SubVP"]


def slope(h: torch.Tensor, error: torch.Tensor) -> float:
    """The least-squares slope of log error against log h."""
    a, b = h.log() - h.log().mean(), error.log() - error.log().mean()
    return float((a * b).sum() / (a * a).sum())


@pytest.fixture(scope="module")
def paths():
    """Paths of geometric Brownian motion on [0, 1], and of its exact solution, shared by all step
    sizes."""
    n, steps = 4000, 512
    times = uniform_times(0.0, 1.0, steps)
    x0 = torch.ones(n, dtype=torch.float64)
    return x0, times, BrownianPath(times, x0, generator=torch.Generator().manual_seed(11))


def strong_errors(paths, sde, exact, step, strides=(4, 8, 16, 32, 64)):
    """(dt, E|x_N − x(1)|) over the paths, for five or more step sizes on the same Brownian
    paths."""
    x0, times, w = paths
    errors = [(solve(sde, x0, times[::k], step, noise=w) - exact).abs().mean() for k in strides]
    return torch.tensor(strides, dtype=torch.float64) / (len(times) - 1), torch.stack(errors)


@pytest.mark.parametrize("step, order", [(euler_maruyama, 0.5), (platen, 1.0)])
def test_strong_order_on_geometric_brownian_motion(paths, step, order):
    # 4,000 paths: each error is known to about 2%, so the slope over a factor of 16 to 0.02; the
    # rest of ±0.15 is for the next order's term at the coarse end.
    sde = GeometricBrownian(mu=0.5, nu=1.0)
    exact = sde.path(paths[0], paths[1][-1], paths[2].at(paths[1][-1]))
    h, error = strong_errors(paths, sde, exact, step)
    assert slope(h, error) == pytest.approx(order, abs=0.15)


class Curved(SDE):
    """dx = −x dt + x² dw: where g is not linear, the support point of Platen's difference
    matters."""

    def drift(self, x, t):
        return -x

    def diffusion(self, x, t):
        return x**2


@pytest.mark.parametrize("dt", [0.25, -0.25])
def test_one_step_by_hand(dt):
    """x = 2, dw = 0.3, √|dt| = ½: f dt = ∓½, g = 4, g(2 + 4·½) = 16, in either direction of
    time."""
    x, t, h, dw = (torch.tensor(v, dtype=torch.float64) for v in (2.0, 1.0, dt, 0.3))
    euler = 2 - 2 * dt + 4 * 0.3
    assert float(euler_maruyama(Curved(), x, t, h, dw)) == pytest.approx(euler, rel=1e-15)
    assert float(platen(Curved(), x, t, h, dw)) == pytest.approx(
        euler + (16 - 4) * (0.09 - 0.25) / (2 * 0.5), rel=1e-15
    )
    assert float(heun(Curved(), x, t, h, dw)) == pytest.approx(
        2 + (-2 - euler) / 2 * dt + (4 + euler**2) / 2 * 0.3, rel=1e-15
    )


def test_strong_order_of_euler_maruyama_is_1_for_additive_noise(paths):
    """On Ornstein–Uhlenbeck, against its own finest grid (step 1/512, 1/8 of the finest that is
    compared)."""
    sde = OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=1.0)
    exact = solve(sde, paths[0], paths[1], heun, noise=paths[2])
    h, error = strong_errors(paths, sde, exact, euler_maruyama, strides=(8, 16, 32, 64, 128))
    assert slope(h, error) == pytest.approx(1.0, abs=0.15)


def test_heun_converges_to_stratonovich_and_not_to_ito(paths):
    sde = GeometricBrownian(mu=0.5, nu=1.0)
    w = paths[2].at(paths[1][-1])
    ito = sde.path(paths[0], paths[1][-1], w)
    stratonovich = torch.exp(0.5 + w)  # x∘dw: no −σ²/2 in the exponent
    h, error = strong_errors(paths, sde, stratonovich, heun)
    assert slope(h, error) == pytest.approx(1.0, abs=0.15)
    # against Itô's solution the error tends to E|e^{0.5 + W} − e^W| = e^{½}(e^{½} − 1) = 1.07 and
    # stays there
    _, wrong = strong_errors(paths, sde, ito, heun)
    gap = math.exp(0.5) * math.expm1(0.5)
    spread = float((stratonovich - ito).abs().std()) / math.sqrt(len(w))
    assert bool(((wrong - gap).abs() < 5 * spread + error).all())
    # with the drift lowered by σ²/2 Heun converges to Itô's solution of the unlowered one
    shifted = GeometricBrownian(mu=0.5 - 0.5, nu=1.0)
    h, error = strong_errors(paths, shifted, ito, heun)
    assert slope(h, error) == pytest.approx(1.0, abs=0.15)


class Logistic(SDE):
    """dx = x(1 − x) dt: x(t) = 1/(1 + (1/x₀ − 1)e^{−t}), an ODE with a nonlinear drift."""

    def drift(self, x, t):
        return x * (1 - x)

    def diffusion(self, x, t):
        return torch.zeros((), dtype=x.dtype)


@pytest.mark.parametrize("step, order", [(euler_maruyama, 1.0), (platen, 1.0), (heun, 2.0)])
@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
def test_order_on_an_ode(step, order, ends):
    x0 = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    exact = 1 / (1 + (1 / x0 - 1) * math.exp(-(ends[1] - ends[0])))
    counts = [40, 80, 160, 320, 640]
    still = lambda t, t_next: torch.zeros_like(x0)
    error = torch.stack(
        [
            (solve(Logistic(), x0, uniform_times(*ends, n), step, noise=still) - exact).abs().max()
            for n in counts
        ]
    )
    assert slope(1 / torch.tensor(counts, dtype=torch.float64), error) == pytest.approx(
        order, abs=0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize("sde", FORWARD, ids=NAMES)
def test_heun_has_order_2_on_the_probability_flow(sde):
    """Against 640 steps: the reference's own error is 1/16 of the smallest error that is compared,
    0.03 of slope."""
    mixture = garden(torch.float64)
    x = mixture.diffused(sde, 1.0).sample(50, generator=torch.Generator().manual_seed(2))
    flow = Reverse(sde, mixture.score_of(sde), eta=0.0)
    run = lambda n: solve(
        flow, x, uniform_times(1.0, 0.2, n), heun, noise=lambda t, t_next: torch.zeros_like(x)
    )
    exact, counts = run(640), [40, 80, 160]
    error = torch.stack([(run(n) - exact).square().mean().sqrt() for n in counts])
    assert slope(1 / torch.tensor(counts, dtype=torch.float64), error) == pytest.approx(
        2.0, abs=0.15
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sde", FORWARD, ids=NAMES)
def test_platen_is_euler_maruyama_where_g_does_not_depend_on_x(sde, dtype):
    """To the last bit, on the same noise: on the reverse SDE and on the forward one."""
    mixture = garden(dtype)
    generator = torch.Generator().manual_seed(3)
    for run, times in (
        (Reverse(sde, mixture.score_of(sde)), uniform_times(1.0, 1e-3, 60)),
        (sde, uniform_times(0.0, 1.0, 60)),
    ):
        x = sde.prior_std * torch.randn(200, 2, generator=generator, dtype=dtype)
        w = BrownianPath(times, x, generator=generator)
        one, two = (trajectory(run, x, times, step, noise=w) for step in (euler_maruyama, platen))
        assert torch.equal(one, two)
    # so that the test can fail: on a diffusion that depends on x they differ
    times, x = uniform_times(0.0, 1.0, 60), torch.ones(10, dtype=dtype)
    w = BrownianPath(times, x, generator=generator)
    gbm = GeometricBrownian()
    assert not torch.allclose(
        solve(gbm, x, times, euler_maruyama, noise=w), solve(gbm, x, times, platen, noise=w)
    )


# What the discretisation may add to any entry of (mean, covariance, mode weights). Measured with
# 200,000 samples and the same steps, bias and sampling error (0.003, 0.005, 0.001) together: at
# most (0.0062, 0.0141, 0.0014).
ALLOWED = (0.01, 0.02, 0.002)


@pytest.mark.parametrize(
    "eta, step, steps", [(1.0, euler_maruyama, 300), (0.5, euler_maruyama, 300), (0.0, heun, 100)]
)
@pytest.mark.parametrize("sde", FORWARD, ids=NAMES)
def test_reverse_ends_at_the_exact_moments(sde, eta, step, steps):
    mixture, n, t_min = garden(torch.float64), 2000, 1e-3
    generator = torch.Generator().manual_seed(4)
    x = mixture.diffused(sde, sde.T).sample(n, generator=generator)
    x = solve(
        Reverse(sde, mixture.score_of(sde), eta),
        x,
        uniform_times(sde.T, t_min, steps),
        step,
        noise=WhiteNoise(x, generator=generator),
    )
    p = mixture.diffused(sde, t_min)
    mean, covariance, weight = ALLOWED
    # 5 standard errors of a mean, of E[(x − m)(x − m)ᵀ] and of E[r_k] (= w_k for x ~ p), estimated
    # from the samples themselves, plus the discretisation allowance of the table.
    centred = x - p.mean
    products = centred[:, :, None] * centred[:, None, :]
    r = p.responsibilities(x)
    assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n) + mean).all())
    assert bool(
        (
            (products.mean(0) - p.covariance).abs()
            < 5 * products.std(0) / math.sqrt(n) + covariance
        ).all()
    )
    assert bool(((r.mean(0) - p.weights).abs() < 5 * r.std(0) / math.sqrt(n) + weight).all())


def test_a_wrong_score_misses_the_moments():
    """The test above can fail: with 0.7 of the score the law is another."""
    mixture, n = garden(torch.float64), 2000
    sde, generator = VE(0.01, 8.0), torch.Generator().manual_seed(5)
    x = mixture.diffused(sde, 1.0).sample(n, generator=generator)
    x = solve(
        Reverse(sde, lambda x, t: 0.7 * mixture.diffused(sde, t).score(x)),
        x,
        uniform_times(1.0, 1e-3, 300),
        noise=WhiteNoise(x, generator=generator),
    )
    assert float((torch.cov(x.T) - mixture.covariance).abs().max()) > 0.3


def test_encode_then_decode_is_the_identity():
    mixture, sde = garden(torch.float64), VP()
    x = mixture.sample(100, generator=torch.Generator().manual_seed(6))
    flow = Reverse(sde, mixture.score_of(sde), eta=0.0)
    still, up = (lambda t, t_next: torch.zeros_like(x)), uniform_times(1e-3, 1.0, 100)
    there = solve(flow, x, up, heun, noise=still)
    back = solve(flow, there, up.flip(0), heun, noise=still)
    # Heun's errors there and back cancel to C dt³: measured 2.7e-4 at 100 steps, 3.5e-5 at 200,
    # 4.3e-6 at 400
    assert float((back - x).abs().max()) < 1e-3
    assert float((there - x).abs().max()) > 0.5


@pytest.mark.parametrize("sde", FORWARD, ids=NAMES)
def test_denoise_is_the_posterior_mean(sde):
    """For x_0 ~ N(m, d²) the posterior mean given x_t is m + scale·d²(x − scale·m)/(scale²d² +
    std²)."""
    m, d, t = 0.7, 0.4, torch.tensor(0.3, dtype=torch.float64)
    scale, std = sde.marginal(t)
    v = scale**2 * d**2 + std**2
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    found = denoise(sde, lambda x, t: -(x - scale * m) / v, x, t)
    torch.testing.assert_close(
        found, m + scale * d**2 * (x - scale * m) / v, rtol=1e-10, atol=1e-12
    )


# ---- the loop


def test_integrate_is_lazy():
    x, calls = torch.zeros(3), []

    def noise(t, t_next):
        calls.append(float(t))
        return torch.zeros(3)

    states = integrate(VE(), x, uniform_times(0.0, 1.0, 10), noise=noise)
    assert isinstance(states, types.GeneratorType) and calls == []
    next(states)
    assert calls == [0.0]
    next(states)
    assert calls == [0.0, pytest.approx(0.1)]


def test_integrate_checks_its_arguments_before_the_first_step():
    with pytest.raises(ValueError, match="not strictly monotone"):
        integrate(
            VE(), torch.zeros(3), torch.tensor([0.0, 0.0]), noise=lambda t, t_next: torch.zeros(3)
        )


def test_solve_is_the_last_state_and_trajectory_all_of_them():
    times = uniform_times(0.0, 1.0, 7)
    x = torch.ones(2, 3, dtype=torch.float64)
    w = BrownianPath(times, x, generator=torch.Generator().manual_seed(7))
    sde = OrnsteinUhlenbeck()
    states = trajectory(sde, x, times, noise=w)
    assert states.shape == (8, 2, 3) and torch.equal(states[0], x)
    assert torch.equal(solve(sde, x, times, noise=w), states[-1])
    assert torch.equal(torch.stack(list(integrate(sde, x, times, noise=w))), states[1:])
    # each state by hand
    y = x
    for i in range(7):
        dt = times[i + 1] - times[i]
        y = y - y * dt + w(times[i], times[i + 1])
        torch.testing.assert_close(states[i + 1], y, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("step", [euler_maruyama, platen, heun])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_state_keeps_its_dtype(step, dtype):
    x = torch.ones(3, dtype=dtype)
    y = solve(
        VP(),
        x,
        uniform_times(0.0, 1.0, 5),
        step,
        noise=WhiteNoise(x, generator=torch.Generator().manual_seed(0)),
    )
    assert y.dtype == dtype and y.shape == x.shape


def test_counted():
    score = Counted(lambda x, t: -x)
    x = torch.zeros(2)
    for step, cost in ((euler_maruyama, 10), (platen, 10), (heun, 20)):
        score.calls = 0
        solve(
            Reverse(VP(), score),
            x,
            uniform_times(1.0, 0.1, 10),
            step,
            noise=lambda t, t_next: torch.zeros(2),
        )
        assert score.calls == cost


def test_uniform_times():
    torch.testing.assert_close(
        uniform_times(1.0, 0.0, 4), torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0], dtype=torch.float64)
    )
    for steps in (0, -3, 2.5, "4"):
        with pytest.raises(ValueError, match="steps = "):
            uniform_times(0.0, 1.0, steps)
    with pytest.raises(ValueError, match="start = 0.3"):
        uniform_times(0.3, 0.3, 5)


@pytest.mark.parametrize(
    "times, words",
    [
        ([0.0, 0.5, 0.5, 1.0], r"times\[1\] = 0\.5.*times\[2\] = 0\.5"),
        ([0.0, 0.5, 0.4, 1.0], r"times\[1\] = 0\.5.*times\[2\] = 0\.4"),
        ([1.0, 0.5, 0.6, 0.0], r"times\[1\] = 0\.5.*times\[2\] = 0\.6"),
        ([0.0, 0.0, 1.0], r"times\[0\] = 0.*times\[1\] = 0"),
        ([0.0, math.nan, 1.0], r"times\[0\] = 0.*times\[1\] = nan"),
        ([0.0, 0.5, math.nan], r"times\[1\] = 0\.5.*times\[2\] = nan"),
        ([0.3], r"times = \(1,\)"),
        ([[0.0, 1.0]], r"times = \(1, 2\)"),
    ],
)
def test_bad_grids_raise(times, words):
    for f in (integrate, solve, trajectory):
        with pytest.raises(ValueError, match=words):
            f(VE(), torch.zeros(3), torch.tensor(times), noise=lambda t, t_next: torch.zeros(3))


def test_reverse_wants_a_descending_grid():
    x, up = torch.zeros(3), uniform_times(0.1, 1.0, 5)
    still = lambda t, t_next: torch.zeros(3)
    for eta in (0.5, 1.0):
        with pytest.raises(ValueError, match=r"times = \(0\.1.*, 1\.0\).*eta = "):
            solve(Reverse(VE(), lambda x, t: -x, eta), x, up, noise=still)
    solve(Reverse(VE(), lambda x, t: -x, 0.0), x, up, noise=still)
    solve(Reverse(VE(), lambda x, t: -x, 1.0), x, up.flip(0), noise=still)


def test_noise_of_the_wrong_shape_raises():
    with pytest.raises(ValueError, match=r"noise at t = 0 has shape \(2,\), x has \(3,\)"):
        solve(
            VE(), torch.zeros(3), uniform_times(0.0, 1.0, 5), noise=lambda t, t_next: torch.zeros(2)
        )


@pytest.mark.fault
def test_a_score_that_fails_midway_is_named_with_its_time():
    still, seen = Still(torch.zeros(3, 1)), []
    score = lambda x, t: -x if t > 0.45 else x * torch.nan
    with pytest.raises(ValueError, match=r"score.*nan at t = 0\.4"):
        for x in integrate(
            Reverse(VP(), score), torch.ones(3, 1), uniform_times(1.0, 0.0, 5), noise=still
        ):
            seen.append(x)
    assert len(seen) == 3  # the states before the failure were handed out
    with pytest.raises(ValueError, match=r"score.*shape \(3,\)"):
        solve(
            Reverse(VP(), lambda x, t: x[:, 0]),
            torch.ones(3, 1),
            uniform_times(1.0, 0.0, 5),
            noise=still,
        )


@pytest.mark.fault
def test_a_state_that_overflows_is_named_with_its_step():
    class Explosive(Logistic):
        def drift(self, x, t):
            return x**3

    with pytest.raises(ValueError, match=r"x is not finite after the step from t = .* to "):
        solve(
            Explosive(),
            torch.tensor([100.0]),
            uniform_times(0.0, 1.0, 50),
            noise=lambda t, t_next: torch.zeros(1),
        )


# ---- Milstein, Heun towards Itô, SRA


@pytest.mark.parametrize("dt", [0.25, -0.25])
def test_one_milstein_step_by_hand(dt):
    """x = 2, g = x², ½ g ∂g/∂x = x³ = 8: euler + 8 (dw² − |dt|), in either direction of time."""
    x, t, h, dw = (torch.tensor(v, dtype=torch.float64) for v in (2.0, 1.0, dt, 0.3))
    euler = 2 - 2 * dt + 4 * 0.3
    assert float(milstein(Curved(), x, t, h, dw)) == pytest.approx(
        euler + 8 * (0.09 - 0.25), rel=1e-14
    )
    # heun_ito is heun with the drift −x ∓ x³ (− for dt > 0)
    drift = lambda y: -y - math.copysign(1, dt) * y**3
    ahead = 2 + drift(2) * dt + 4 * 0.3
    by_hand = 2 + (drift(2) + drift(ahead)) / 2 * dt + (4 + ahead**2) / 2 * 0.3
    assert float(heun_ito(Curved(), x, t, h, dw)) == pytest.approx(by_hand, rel=1e-14)


@pytest.mark.parametrize("step", [milstein, heun_ito])
def test_strong_order_1_towards_ito(paths, step):
    sde = GeometricBrownian(mu=0.5, nu=1.0)
    exact = sde.path(paths[0], paths[1][-1], paths[2].at(paths[1][-1]))
    h, error = strong_errors(paths, sde, exact, step)
    assert slope(h, error) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("step", [milstein, platen, heun_ito])
def test_backward_steps_solve_the_reversed_equation(paths, step):
    """With dt < 0, dx = f dt + g dw is Itô's equation with drift −f in the clock u = 1 − t."""
    x0, times, w = paths
    sde, reversed_ = GeometricBrownian(mu=-0.5, nu=1.0), GeometricBrownian(mu=0.5, nu=1.0)
    noise = lambda t, t_next: w(1 - t, 1 - t_next)
    back = solve(sde, x0, times.flip(0), step, noise=noise)
    torch.testing.assert_close(
        back, solve(reversed_, x0, times, step, noise=w), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("step", [milstein, platen, heun, heun_ito])
def test_general_steps_agree_with_the_simple_ones_where_noise_is_additive(step):
    """The slope of g is 0 there, so milstein and platen are euler_maruyama and heun_ito is heun, to
    the last bit."""
    sde, x = VP(), torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    times = uniform_times(0.1, 0.9, 7)
    w = BrownianPath(times, x, generator=torch.Generator().manual_seed(2))
    plain = heun if step in (heun, heun_ito) else euler_maruyama
    assert torch.equal(solve(sde, x, times, step, noise=w), solve(sde, x, times, plain, noise=w))


@dataclass(frozen=True)
class Swing(SDE):
    """dx = sin 2x dt + g(t) dw with g = 0.6 (1 + t/2): a nonlinear drift, and noise that is
    additive but not constant."""

    def drift(self, x, t):
        return torch.sin(2 * x)

    def diffusion(self, x, t):
        return 0.6 * (1 + t / 2)


@pytest.fixture(scope="module", params=[1.0, -1.0], ids=["forward", "backward"])
def additive(request):
    """Paths of `Swing` on [0, 1] or back, and x on them from 4,096 steps of sra."""
    n, steps = 1000, 4096
    times = uniform_times(0.0, 1.0, steps) if request.param > 0 else uniform_times(1.0, 0.0, steps)
    x0 = torch.linspace(-1.5, 1.5, n, dtype=torch.float64)
    w = BrownianPath(times, x0, generator=torch.Generator().manual_seed(21))
    return x0, times, w, solve(Swing(), x0, times, sra, noise=w)


@pytest.mark.parametrize("step, order", [(euler_maruyama, 1.0), (heun, 1.0), (sra, 1.5)])
def test_strong_orders_for_additive_noise(additive, step, order):
    """The reference's own error is 16^-1.5 = 1.6% of the finest error of sra: 0.01 of slope."""
    x0, times, w, exact = additive
    strides = (16, 32, 64, 128)
    error = torch.stack(
        [
            (solve(Swing(), x0, times[::k], step, noise=w) - exact).square().mean().sqrt()
            for k in strides
        ]
    )
    assert slope(torch.tensor(strides, dtype=torch.float64), error) == pytest.approx(
        order, abs=0.15
    )


@pytest.mark.parametrize("dt", [0.4, -0.4])
def test_one_sra_step_by_hand(dt):
    sde = Swing()
    x, t, h, dw, area = (torch.tensor(v, dtype=torch.float64) for v in (0.7, 0.5, dt, 0.3, 0.05))
    J, g = 0.05 / dt, lambda s: 0.6 * (1 + s / 2)
    H = 0.7 + 0.75 * math.sin(1.4) * dt + 1.5 * g(0.5 + dt / 4) * J
    by_hand = (
        0.7
        + (math.sin(1.4) + 2 * math.sin(2 * H)) / 3 * dt
        + g(0.5 + dt) * 0.3
        + (g(0.5) - g(0.5 + dt)) * J
    )
    assert float(sra(sde, x, t, h, dw, area)) == pytest.approx(by_hand, rel=1e-14)


def test_g_at_a_quarter_stands_best_for_the_double_integral():
    """E(∫ (g(s) − c)(h − s) dW)² over a step of length h = 1 with g = s is ∫ (s − c)²(1 − s)² ds:
    least at c = ¼."""
    s = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    cost = lambda c: float(((s - c) ** 2 * (1 - s) ** 2).mean())
    assert min((cost(c / 100), c) for c in range(101))[1] == 25


def test_sra_shows_order_2_on_a_linear_drift(paths):
    """Where the drift is linear the missing integrals drop out: that is why the test above uses sin
    2x."""
    x0, times, w = paths
    sde = OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=1.0)
    exact = solve(sde, x0, times, sra, noise=w)
    h, error = strong_errors(paths, sde, exact, sra, strides=(8, 16, 32, 64))
    assert slope(h, error) == pytest.approx(2.0, abs=0.15)


def weak_errors(sde, step, exact, x0, times, w, strides, phi):
    """(E φ(x_N) − E φ(exact), its standard error) on coupled paths: most of the luck cancels in the
    difference."""
    d = [phi(solve(sde, x0, times[::k], step, noise=w)) - phi(exact) for k in strides]
    return torch.stack([e.mean() for e in d]), torch.stack([e.std() / math.sqrt(len(e)) for e in d])


def test_weak_order_of_heun_is_1_towards_stratonovich():
    """dx = ½x dt + x∘dw, φ = x: E x(1) = e^{½ + ½}. Heun's mean after one step is 1 + h + …, the
    exact e^h."""
    n, steps = 200_000, 32
    times, x0 = uniform_times(0.0, 1.0, steps), torch.ones(n, dtype=torch.float64)
    w = BrownianPath(times, x0, generator=torch.Generator().manual_seed(31))
    exact = torch.exp(0.5 + w.at(times[-1]))
    strides = (1, 2, 4, 8)
    error, se = weak_errors(
        GeometricBrownian(mu=0.5, nu=1.0), heun, exact, x0, times, w, strides, lambda x: x
    )
    assert bool((error.abs() > 10 * se).all())  # so luck moves the slope by less than 0.05
    assert slope(torch.tensor(strides, dtype=torch.float64), error.abs()) == pytest.approx(
        1.0, abs=0.15
    )


@pytest.mark.slow
@pytest.mark.parametrize("step, order", [(euler_maruyama, 1.0), (heun, 2.0), (sra, 2.0)])
def test_weak_order_for_additive_noise(step, order):
    """φ = sin 2x on `Swing`, against 64 steps of sra on the same 200,000 paths, which refine
    themselves."""
    n = 200_000
    x0, fine = torch.full((n,), 0.3, dtype=torch.float64), uniform_times(0.0, 1.0, 64)
    w = BrownianPath(fine[::16], x0, generator=torch.Generator().manual_seed(41))
    exact = solve(Swing(), x0, fine, sra, noise=w)
    strides = torch.tensor([4, 8, 16])
    error, se = weak_errors(
        Swing(), step, exact, x0, fine, w, strides.tolist(), lambda x: torch.sin(2 * x)
    )
    assert bool((error.abs() > 6 * se).all())  # luck moves the slope by less than 0.1
    assert slope(strides.double(), error.abs()) == pytest.approx(order, abs=0.15)


def test_sra_needs_a_noise_with_area():
    x = torch.zeros(3)
    with pytest.raises(ValueError, match="noise = .*with_area"):
        solve(VE(), x, uniform_times(0.0, 1.0, 4), sra, noise=lambda t, t_next: torch.zeros(3))
    solve(
        VE(),
        x,
        uniform_times(0.0, 1.0, 4),
        sra,
        noise=WhiteNoise(x, generator=torch.Generator().manual_seed(0)),
    )


# ---- what a step is for, and what it draws


class Turning(SDE):
    """dx₁ = x₂ dW₁, dx₂ = x₁ dW₂: a coordinate's noise depends on the other one."""

    def drift(self, x, t):
        return torch.zeros_like(x)

    def diffusion(self, x, t):
        return x.flip(-1)


@pytest.mark.parametrize(
    "sde, kind",
    [(Turning(), "cross"), (Curved(), "own"), (Swing(), "additive"), (VP(), "additive")],
)
def test_the_kind_of_noise_is_found_by_a_probe(sde, kind):
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert sde.kind_of_noise(x, torch.tensor(0.3)) == kind


def test_steps_refuse_noise_that_they_are_not_made_for():
    x, times = torch.ones(4, 2, dtype=torch.float64), uniform_times(0.0, 1.0, 8)
    noise = BrownianPath(times, x, generator=torch.Generator().manual_seed(1))
    refused = {"own": [sra], "cross": [sra, milstein, platen, heun_ito]}
    for sde, kind in ((Curved(), "own"), (Turning(), "cross")):
        for step in (euler_maruyama, heun, milstein, platen, heun_ito, sra):
            if step in refused[kind]:
                with pytest.raises(ValueError, match=f"sde = .*{kind}"):
                    solve(sde, x, times, step, noise=noise)
            else:
                solve(sde, x, times, step, noise=noise)


def test_what_heun_ito_would_do_to_it():
    """The refusal is not for nothing: where W₁ and W₂ differ, `heun_ito` keeps its distance from
    Itô's solution at every step size, and Euler–Maruyama does not."""
    times = uniform_times(0.0, 1.0, 1024)
    x0 = torch.tensor([1.5, 0.5], dtype=torch.float64).expand(2000, 2)
    w = BrownianPath(times, x0, generator=torch.Generator().manual_seed(2))
    exact = solve(Turning(), x0, times, euler_maruyama, noise=w)
    unchecked = lambda *arguments: heun_ito.formula(*arguments)

    def error(step, stride):
        off = solve(Turning(), x0, times[::stride], step, noise=w) - exact
        return float(off.square().sum(1).mean().sqrt())

    assert error(euler_maruyama, 16) < 0.6 * error(euler_maruyama, 64)
    assert error(unchecked, 16) > 0.8 * error(unchecked, 64) and error(unchecked, 1) > 0.3


@pytest.mark.parametrize("step", [euler_maruyama, heun, exponential, DPMSolver(), EDMHeun(), stay])
def test_an_ode_draws_no_noise(step):
    def never(t, t_next):
        raise AssertionError("an increment was drawn")

    x = torch.ones(3, 2)
    flow = Reverse(VP(), lambda x, t: -x, eta=0.0)
    solve(flow, x, uniform_times(1.0, 0.5, 4), step, noise=never)
    with pytest.raises(AssertionError):  # so that the test can fail
        solve(Reverse(VP(), lambda x, t: -x), x, uniform_times(1.0, 0.5, 4), noise=never)


class Waits(TorchDispatchMode):
    """Stands for a GPU: tensors on the meta device, and a count of the numbers that are read there,
    for each of which a GPU's queue would have to run empty."""

    reads = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            self.reads += 1
            return 1.0
        return operator(*args, **kwargs or {})


class Unknown:
    """Noise on the meta device."""

    def __init__(self, x):
        self.x = x

    def __call__(self, t, t_next):
        return torch.empty_like(self.x)

    def with_area(self, t, t_next):
        return torch.empty_like(self.x), torch.empty_like(self.x)


@pytest.mark.parametrize(
    "step", [euler_maruyama, platen, heun, sra, exponential, DPMSolver(), EDMHeun()]
)
@pytest.mark.parametrize("sde", [VE(), VP(), SubVP()], ids=["VE", "VP", "SubVP"])
def test_a_step_waits_for_a_gpu_once(step, sde):
    """One look a step, at whether the numbers are finite, and none elsewhere."""
    x, steps = torch.empty(8, 2, device="meta"), 5
    back = Reverse(sde, lambda x, t: -x, 0.0 if isinstance(step, EDMHeun) else 1.0)
    with Waits() as waits:
        solve(back, x, uniform_times(1.0, 0.5, steps), step, noise=Unknown(x))
    assert waits.reads == steps


def test_time_is_exact_whatever_the_state_is():
    """Times a millionth of a millionth apart are two times to a float32 state, too."""
    seen = []

    class Clock(Logistic):
        def drift(self, x, t):
            seen.append(float(t))
            return super().drift(x, t)

    times = torch.tensor([0.5, 0.5 + 1e-12, 0.6], dtype=torch.float64)
    end = solve(Clock(), torch.ones(2), times, noise=Still(torch.ones(2)))
    assert seen == times[:-1].tolist() and end.dtype == torch.float32


@pytest.mark.parametrize(
    "step", [euler_maruyama, platen, milstein, heun, heun_ito, sra, exponential, DPMSolver(), stay]
)
def test_a_step_says_what_it_costs(step):
    sde, score = VP(), Counted(lambda x, t: -x)
    x = torch.ones(3, 2)
    noise = WhiteNoise(x, generator=torch.Generator().manual_seed(0))
    solve(Reverse(sde, score), x, uniform_times(1.0, 0.5, 4), step, noise=noise)
    assert score.calls == 4 * step.evaluations


# ---- grids


@pytest.mark.parametrize("sde", [*FORWARD, NoiseLevel(50.0)], ids=[*NAMES, "NoiseLevel"])
@pytest.mark.parametrize("back", [True, False])
def test_grids_space_the_noise_as_they_say(sde, back):
    ends = (sde.T, 1e-3 * sde.T) if back else (1e-3 * sde.T, sde.T)
    geometric, karras = geometric_times(sde, *ends, 20), karras_times(sde, *ends, 20)
    for times, into in (
        (geometric, torch.log),
        (karras, lambda a: a ** (1 / 7)),
        (karras_times(sde, *ends, 20, rho=1), lambda a: a),
    ):
        assert (
            times.dtype == torch.float64
            and (float(times[0]), float(times[-1])) == ends
            and len(times) == 21
        )
        gaps = into(sde.ratio(times)).diff()
        torch.testing.assert_close(gaps, gaps.mean().expand(20), rtol=1e-6, atol=0)
        assert bool((times.diff() < 0).all()) is back
    torch.testing.assert_close(
        karras_times(sde, *ends, 20, rho=1e5), geometric, rtol=1e-3, atol=1e-6
    )


def test_bad_grids_of_noise_raise():
    for grid in (geometric_times, karras_times):
        for start, stop, name in (
            (1.0, 0.0, "stop = 0.0"),
            (1.0, -0.1, "stop = -0.1"),
            (1.2, 0.1, "start = 1.2"),
            (math.nan, 0.1, "start = nan"),
        ):
            with pytest.raises(ValueError, match=name):
                grid(VP(), start, stop, 10)
        with pytest.raises(ValueError, match="steps = 0"):
            grid(VP(), 1.0, 0.1, 0)
        with pytest.raises(ValueError, match="start = 0.5"):
            grid(VP(), 0.5, 0.5, 4)
    with pytest.raises(ValueError, match="rho = 0"):
        karras_times(VP(), 1.0, 0.1, 10, rho=0)


# ---- the adaptive method


def run_adaptive(sde, x, start, stop, **options):
    states = list(adaptive(sde, x, start, stop, **options))
    return torch.stack([t for t, _ in states]), states[-1][1]


def test_adaptive_follows_the_path_as_closely_as_it_is_told():
    """Against 4,096 steps of sra on the same path; a tenth of the tolerance gives about a tenth of
    the error."""
    x = torch.linspace(-1.5, 1.5, 200, dtype=torch.float64)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    errors, counts = [], []
    for tol in (1e-2, 1e-3, 1e-4):
        w = BrownianPath(ends, x, generator=torch.Generator().manual_seed(5))
        times, found = run_adaptive(Swing(), x, 0.0, 1.0, noise=w, rtol=tol, atol=tol)
        assert float(times[-1]) == 1.0 and bool((times.diff() > 0).all())
        fine = torch.cat([uniform_times(0.0, 1.0, 2048), times]).unique()
        exact = solve(Swing(), x, fine, sra, noise=w)
        errors.append(float((found - exact).square().mean().sqrt()))
        counts.append(len(times))
    assert errors[0] < 5e-2 and errors[2] < errors[1] / 2 < errors[0] / 4
    assert counts[0] < counts[1] < counts[2]


def test_adaptive_makes_its_steps_where_they_are_needed():
    """On the reverse VE the noise level falls a thousandfold: late steps are far shorter than early
    ones."""
    mixture, sde = garden(torch.float64), VE(0.01, 8.0)
    x = mixture.diffused(sde, 1.0).sample(1000, generator=torch.Generator().manual_seed(6))
    score = Counted(mixture.score_of(sde))
    w = BrownianPath(
        torch.tensor([1.0, 1e-3], dtype=torch.float64),
        x,
        generator=torch.Generator().manual_seed(7),
    )
    times, found = run_adaptive(Reverse(sde, score), x, 1.0, 1e-3, noise=w)
    assert len(times) < score.calls <= 2.5 * len(times) + 30
    share = mixture.responsibilities(found)
    assert bool(
        ((share.mean(0) - mixture.weights).abs() < 5 * share.std(0) / math.sqrt(1000) + 0.01).all()
    )
    gaps = times.diff().abs()
    assert float(gaps.max() / gaps.min()) > 3


def test_adaptive_tries_a_refused_step_again_on_the_same_path():
    """Every increment it asks for is one of the same W: the parts of the accepted grid add up to
    W(T) − W(0)."""
    x = torch.linspace(-1.5, 1.5, 20, dtype=torch.float64)
    w = BrownianPath(
        torch.tensor([0.0, 1.0], dtype=torch.float64), x, generator=torch.Generator().manual_seed(5)
    )
    whole = w.at(1.0)
    times, _ = run_adaptive(Swing(), x, 0.0, 1.0, noise=w, rtol=1e-3, atol=1e-3, first=1.0)
    assert len(w.times) > len(times) + 1  # some tries were refused
    parts = sum(w(a, b) for a, b in zip(torch.cat([torch.zeros(1).double(), times[:-1]]), times))
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_adaptive_refuses_bad_arguments():
    x = torch.zeros(3)
    still = Still(x)
    for name in ("rtol", "atol", "first"):
        for value in (0.0, -1.0, math.nan):
            with pytest.raises(ValueError, match=name):
                adaptive(VE(), x, 0.0, 1.0, noise=still, **{name: value})
    with pytest.raises(ValueError, match="start = 0.5"):
        adaptive(VE(), x, 0.5, 0.5, noise=still)
    with pytest.raises(ValueError, match="times = "):
        adaptive(Reverse(VE(), lambda x, t: -x), x, 0.1, 0.5, noise=still)

    class Steep(Logistic):
        def drift(self, x, t):
            return 1 / (t - 0.5) ** 3 * torch.ones_like(x)

    with pytest.raises(
        ValueError, match=r"t = 0\.4.* a step below 1e-05 would be needed: raise rtol"
    ):
        for _ in adaptive(
            Steep(), x.double(), 0.0, 1.0, noise=Still(x.double()), rtol=1e-6, atol=1e-6
        ):
            pass
