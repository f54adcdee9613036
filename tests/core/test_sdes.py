"""Every SDE against its closed-form law, and every promise of the errors."""

import math

import pytest
import torch

from sdelib.book.toys import GeometricBrownian, OrnsteinUhlenbeck
from sdelib.brownian import Still, WhiteNoise
from sdelib.checks import like
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.grids import uniform_times
from sdelib.integration import solve
from sdelib.reversal import Reverse
from sdelib.sdes import SDE

GAUSSIAN = [
    VE(0.01, 5.0),
    VE(0.3, 4.0, T=2.0),
    VP(),
    VP(0.2, 8.0, T=2.0),
    SubVP(),
    VE.power(25.0),
    VE.power(50.0),
    NoiseLevel(5.0),
]
NAMES = [f"{type(sde).__name__}-{i}" for i, sde in enumerate(GAUSSIAN)]


def at(t: float) -> torch.Tensor:
    return torch.tensor(t, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.15, 0.6, 1.0])
@pytest.mark.parametrize("sde", GAUSSIAN, ids=NAMES)
def test_marginal_by_simulation(sde, part):
    generator = torch.Generator().manual_seed(int(100 * part))
    n, steps, t = 20_000, 400, part * sde.T
    x0 = torch.full((n,), 1.5, dtype=torch.float64)
    x = solve(sde, x0, uniform_times(0.0, t, steps), noise=WhiteNoise(x0, generator=generator))
    scale, std = sde.marginal(at(t))
    # The law of Euler–Maruyama is Gaussian, so the error of the mean is 4·std/√n and of the
    # standard deviation 4·std/√(2n). The scheme's own error is O(dt): its mean and variance obey
    # the recursions of the linear equation, m ← (1 + a dt) m and v ← (1 + a dt)² v + g² dt, which
    # are solved exactly below for the allowance, and are themselves within 3% of the closed form at
    # 400 steps.
    m, v = at(1.5), at(0.0)
    grid = uniform_times(0.0, t, steps)
    for s, dt in zip(grid[:-1], grid.diff()):
        a = sde.drift(at(1.0), s)
        m, v = (1 + a * dt) * m, (1 + a * dt) ** 2 * v + sde.diffusion(at(1.0), s) ** 2 * dt
    assert abs(x.mean() - m) < 4 * v.sqrt() / math.sqrt(n)
    assert abs(x.std() - v.sqrt()) < 4 * v.sqrt() / math.sqrt(2 * n)
    # and the scheme's law tends to the closed form: error ≤ 3% of it at 400 steps (first order,
    # tested below)
    assert abs(m - 1.5 * scale) < 0.03 * 1.5 * scale
    assert abs(v.sqrt() - std) < 0.03 * std


@pytest.mark.parametrize("sde", GAUSSIAN, ids=NAMES)
def test_marginal_solves_the_moment_equations(sde):
    """scale′ = a·scale and (std²)′ = 2a·std² + g², where f = a·x: central differences, error
    O(h²)."""
    h = 1e-5 * sde.T
    for t in torch.linspace(0.05, 0.95, 7, dtype=torch.float64) * sde.T:
        a, g = sde.drift(at(1.0), t), sde.diffusion(at(1.0), t)
        (m0, s0), (m1, s1), (m, s) = sde.marginal(t - h), sde.marginal(t + h), sde.marginal(t)
        # rounding 1e-16·σ²/h is below 1e-9 relative; truncation h²·(third derivative) is below 1e-6
        # relative
        assert torch.isclose((m1 - m0) / (2 * h), a * m, rtol=1e-5, atol=1e-9)
        assert torch.isclose((s1**2 - s0**2) / (2 * h), 2 * a * s**2 + g**2, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("sde", GAUSSIAN, ids=NAMES)
def test_marginal_at_zero_is_the_data(sde):
    scale, std = sde.marginal(at(0.0))
    assert scale == 1 and std == 0
    assert sde.prior_std == pytest.approx(float(sde.marginal(at(sde.T))[1]), rel=1e-15)


def test_ve_power_is_the_equation_of_the_source():
    """dx = σᵗ dw:  g(t) = σᵗ,  std(t)² = (σ²ᵗ − 1)/(2 ln σ)."""
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    for sigma in (1.5, 25.0, 50.0):
        sde = VE.power(sigma)
        torch.testing.assert_close(
            sde.diffusion(torch.zeros(11, dtype=torch.float64), t), sigma**t, rtol=1e-13, atol=0
        )
        torch.testing.assert_close(
            sde.marginal(t)[1] ** 2,
            (sigma ** (2 * t) - 1) / (2 * math.log(sigma)),
            rtol=1e-12,
            atol=1e-14,
        )
    assert VE.power(25.0).prior_std == pytest.approx(9.845, abs=5e-4)
    assert VE.power(50.0).prior_std == pytest.approx(17.87, abs=5e-3)
    # dx = eᵗ dw has variance (e² − 1)/2 = 3.19 at t = 1, not e
    assert VE.power(math.e).prior_std ** 2 == pytest.approx((math.e**2 - 1) / 2, rel=1e-12)


def test_vp_preserves_variance_and_subvp_stays_below():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    scale, std = VP().marginal(t)
    torch.testing.assert_close(scale**2 + std**2, torch.ones_like(t), rtol=1e-14, atol=0)
    assert bool((SubVP().marginal(t)[1][1:] < std[1:]).all())
    torch.testing.assert_close(SubVP().marginal(t)[0], scale, rtol=0, atol=0)


@pytest.mark.parametrize("sde", GAUSSIAN, ids=NAMES)
def test_perturb_and_prior(sde):
    generator = torch.Generator().manual_seed(3)
    x0 = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    t = torch.linspace(0.1, 1, 5, dtype=torch.float64) * sde.T
    x = sde.perturb(x0, t, z)
    for i in range(5):
        scale, std = sde.marginal(t[i])
        torch.testing.assert_close(x[i], scale * x0[i] + std * z[i], rtol=1e-14, atol=0)
    n = 40_000
    prior = sde.sample_prior((n, 2), generator=generator, dtype=torch.float64)
    assert prior.shape == (n, 2) and prior.dtype == torch.float64
    assert abs(prior.std() / sde.prior_std - 1) < 4 / math.sqrt(
        2 * 2 * n
    )  # 4 standard errors of a std from 2n draws
    assert bool((prior.mean(0).abs() < 4 * sde.prior_std / math.sqrt(n)).all())


def test_ornstein_uhlenbeck_law():
    sde = OrnsteinUhlenbeck(theta=1.7, mu=0.6, sigma=0.9)
    generator = torch.Generator().manual_seed(4)
    n, t = 40_000, 0.8
    x0 = torch.full((n,), -1.0, dtype=torch.float64)
    x = solve(sde, x0, uniform_times(0.0, t, 800), noise=WhiteNoise(x0, generator=generator))
    mean, std = sde.law(x0[:1], at(t))
    # 4 standard errors + Euler–Maruyama's O(dt) bias: θ² t dt/2 ≈ 0.0012 relative for mean and
    # variance
    assert abs(x.mean() - mean[0]) < 4 * std / math.sqrt(n) + 0.0012 * 1.6
    assert abs(x.std() / std - 1) < 4 / math.sqrt(2 * n) + 0.0012
    # for t → ∞ the stationary law N(μ, σ²/(2θ))
    mean, std = sde.law(x0[:1], at(60.0))
    assert mean[0] == pytest.approx(0.6) and std == pytest.approx(0.9 / math.sqrt(3.4))


def test_geometric_brownian_law():
    """E[x_t] = x_0 e^{μt} and Var[x_t] = x_0² e^{2μt}(e^{ν²t} − 1), from the exact path; and dx
    obeys the SDE."""
    sde = GeometricBrownian(mu=0.3, nu=0.4)
    generator = torch.Generator().manual_seed(5)
    n, t = 200_000, 1.5
    w = math.sqrt(t) * torch.randn(n, generator=generator, dtype=torch.float64)
    x = sde.path(torch.full((n,), 2.0, dtype=torch.float64), at(t), w)
    std = 2 * math.exp(0.3 * t) * math.sqrt(math.expm1(0.16 * t))
    assert abs(x.mean() - 2 * math.exp(0.3 * t)) < 4 * std / math.sqrt(n)
    # log x_t is Gaussian with variance ν²t: 4 standard errors of a standard deviation
    assert abs(x.log().std() / (0.4 * math.sqrt(t)) - 1) < 4 / math.sqrt(2 * n)
    one = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(sde.drift(2 * one, at(0.0)), 0.6 * one)
    torch.testing.assert_close(sde.diffusion(2 * one, at(0.0)), 0.8 * one)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: VE(0.5, 0.5), ["sigma_min", "0.5", "sigma_max"]),
        (lambda: VE(2.0, 1.0), ["sigma_min", "2.0", "sigma_max", "1.0"]),
        (lambda: VE(0.0, 1.0), ["sigma_min", "0.0"]),
        (lambda: VE(0.1, math.inf), ["sigma_max", "inf"]),
        (lambda: VE(0.1, 1.0, T=0.0), ["T", "0.0"]),
        (lambda: VE.power(1.0), ["base", "1.0"]),
        (lambda: VE.power(math.nan), ["base", "nan"]),
        (lambda: VP(1.0, 1.0), ["beta_min", "beta_max", "1.0"]),
        (lambda: VP(-1.0, 1.0), ["beta_min", "-1.0"]),
        (lambda: SubVP(0.1, 20.0, T=-1.0), ["T", "-1.0"]),
        (lambda: SubVP(3.0, 2.0), ["beta_min", "3.0"]),
        (lambda: OrnsteinUhlenbeck(theta=0.0), ["theta", "0.0"]),
        (lambda: OrnsteinUhlenbeck(sigma=-1.0), ["sigma", "-1.0"]),
        (lambda: GeometricBrownian(nu=0.0), ["nu", "0.0"]),
        (lambda: Reverse(VE(), lambda x, t: x, eta=-0.5), ["eta", "-0.5"]),
        (lambda: Reverse(VE(), lambda x, t: x, eta=math.nan), ["eta", "nan"]),
    ],
)
def test_bad_numbers_are_named(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("sde", GAUSSIAN, ids=NAMES)
@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.nan])
def test_time_outside_is_named(sde, wrong):
    for t in (at(wrong * sde.T), torch.tensor([0.5 * sde.T, wrong * sde.T], dtype=torch.float64)):
        with pytest.raises(
            ValueError,
            match=r"t = .*" + ("nan" if math.isnan(wrong) else f"{wrong * sde.T:.2f}".rstrip("0")),
        ):
            sde.marginal(t)
    with pytest.raises(ValueError, match=r"leaves \[0, "):
        sde.diffusion(at(0.0), at(wrong * sde.T))


def test_shapes_of_time():
    x = torch.zeros(4, 3, 2)
    assert like(0.5, x).shape == () and like(torch.arange(4), x).shape == (4, 1, 1)
    assert like(torch.arange(4), x.double()).dtype == torch.float64
    for t in (torch.zeros(3), torch.zeros(4, 1), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="t has shape"):
            like(t, x)
    with pytest.raises(ValueError, match="z has shape"):
        VP().perturb(x, torch.tensor(0.5), torch.zeros(4, 3))
    # a time for each of a batch gives what the loop gives
    t = torch.linspace(0.1, 0.9, 4)
    x = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1))
    for sde in GAUSSIAN:
        for f in (sde.drift, sde.diffusion):
            together = f(x, t).expand(4, 3, 2)
            torch.testing.assert_close(
                together, torch.stack([f(x[i], t[i]).expand(3, 2) for i in range(4)])
            )


class Linear(SDE):
    def drift(self, x, t):
        return -2.0 * x

    def diffusion(self, x, t):
        return torch.as_tensor(3.0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 2.0])
def test_reverse_drift_and_diffusion(eta):
    """f − ½(1 + η²) g² s and η g, with f = −2x, g = 3, s = −x/4."""
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    reverse = Reverse(Linear(), lambda x, t: -x / 4, eta)
    torch.testing.assert_close(reverse.drift(x, at(0.5)), -2 * x + (1 + eta**2) / 2 * 9 / 4 * x)
    assert float(reverse.diffusion(x, at(0.5))) == 3 * eta


def test_a_score_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"score.*shape \(3,\).*\(3, 2\)"):
        Reverse(VE(), lambda x, t: x.sum(1)).drift(torch.ones(3, 2), torch.tensor(0.5))


@pytest.mark.fault
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_named_with_its_time(bad):
    """By the loop, which looks once a step; a score alone may be asked for anything."""
    x = torch.ones(3, 2)
    sde = Reverse(VE(), lambda x, t: torch.where(t < 0.5, bad, -1.0) * x)
    times = uniform_times(1.0, 0.0, 4)
    with pytest.raises(ValueError, match=rf"from t = 0\.25 to 0: score.* -?{bad} at t = 0\.25"):
        solve(sde, x, times, noise=Still(x))


@pytest.mark.parametrize("declared", [True, False])
def test_reverse_refuses_a_noise_that_depends_on_x(declared):
    """At once where the forward equation declares it, and where it does not, at the first step."""

    class Own(Linear):
        noise = "own" if declared else "unknown"

        def diffusion(self, x, t):
            return x

    x = torch.ones(3, 2)
    with pytest.raises(ValueError, match="forward = |sde = .*'own'"):
        solve(Reverse(Own(), lambda x, t: -x), x, uniform_times(1.0, 0.5, 4), noise=Still(x))


def test_a_forward_equation_refuses_a_descending_grid():
    x = torch.ones(3, 2)
    for sde in GAUSSIAN:
        with pytest.raises(ValueError, match=r"times = \(.*it descends"):
            solve(sde, x, uniform_times(sde.T, 0.1 * sde.T, 4), noise=Still(x))


@pytest.mark.parametrize("sde", GAUSSIAN)
def test_time_is_the_inverse_of_ratio(sde):
    t = sde.T * torch.tensor([1e-4, 0.01, 0.3, 0.77, 1.0], dtype=torch.float64)
    torch.testing.assert_close(sde.time(sde.ratio(t)), t, rtol=1e-9, atol=0)
    assert bool((sde.ratio(t).diff() > 0).all())


@pytest.mark.parametrize("sde", GAUSSIAN)
def test_transition_composes_and_is_the_marginal_from_0(sde):
    """Chapman–Kolmogorov: r₁₃ = r₁₂ r₂₃ and v₁₃ = r₂₃² v₁₂ + v₂₃; from s = 0 it is (scale,
    std²)."""
    a, b, c = (sde.T * torch.tensor(u, dtype=torch.float64) for u in (0.2, 0.5, 0.9))
    (r1, v1), (r2, v2), (r, v) = sde.transition(a, b), sde.transition(b, c), sde.transition(a, c)
    torch.testing.assert_close(r, r1 * r2)
    torch.testing.assert_close(v, r2**2 * v1 + v2)
    scale, std = sde.marginal(c)
    torch.testing.assert_close(
        torch.stack(sde.transition(torch.tensor(0.0), c)), torch.stack([scale, std**2])
    )
    back_r, back_v = sde.transition(b, a)
    torch.testing.assert_close(torch.stack([back_r, back_v]), torch.stack([1 / r1, -v1 / r1**2]))
    # and to first order in t it is g² dt
    h = 1e-5 * sde.T
    g = sde.diffusion(torch.zeros(1, dtype=torch.float64), a)
    torch.testing.assert_close(
        sde.transition(a, a + h)[1] / h, (g**2).reshape(()), rtol=1e-3, atol=0
    )
