"""The mixture: its score, its law, and what diffusion makes of it."""

import math

import pytest
import torch

from sdelib.brownian import WhiteNoise
from sdelib.densities import GaussianMixture, garden, two_modes
from sdelib.sdes import VE, VP, SubVP
from sdelib.solvers import solve, uniform_times

ONE_D = GaussianMixture([0.3, 0.7], torch.tensor([[-1.0], [2.0]], dtype=torch.float64), [0.5, 1.2])
MIXTURES = {"garden": garden(torch.float64), "two_modes": two_modes(torch.float64), "one_d": ONE_D}


@pytest.fixture(params=MIXTURES)
def mixture(request):
    return MIXTURES[request.param]


def points(mixture, n, seed=0):
    return mixture.sample(n, generator=torch.Generator().manual_seed(seed))


def test_log_prob_by_hand():
    """0.3 N(x; −1, 0.25) + 0.7 N(x; 2, 1.44): a number given to the constructor is a standard deviation."""
    x = torch.tensor([[-0.4], [3.0]], dtype=torch.float64)
    normal = lambda x, m, s: torch.exp(-((x - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
    p = 0.3 * normal(x, -1, 0.5) + 0.7 * normal(x, 2, 1.2)
    torch.testing.assert_close(ONE_D.log_prob(x), p.log()[:, 0], rtol=1e-13, atol=1e-13)


def test_log_prob_is_torch_distributions(mixture):
    import torch.distributions as D
    reference = D.MixtureSameFamily(D.Categorical(mixture.weights), D.MultivariateNormal(mixture.means, mixture.covariances))
    x = 2 * points(mixture, 100)
    torch.testing.assert_close(mixture.log_prob(x), reference.log_prob(x), rtol=1e-11, atol=1e-11)


def test_score_is_the_gradient_of_log_prob(mixture):
    x = (2 * points(mixture, 200)).requires_grad_()
    gradient, = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    torch.testing.assert_close(mixture.score(x), gradient, rtol=1e-10, atol=1e-10)


def test_score_far_out_is_finite_and_points_home(mixture):
    x = torch.full((1, mixture.dim), 1e4, dtype=torch.float64)
    assert bool(torch.isfinite(mixture.score(x)).all()) and bool(torch.isfinite(mixture.log_prob(x)).all())
    assert bool((mixture.score(x) < 0).all())


def test_log_prob_integrates_to_one(mixture):
    """A Riemann sum over ±8 of a smooth density with width ≥ 0.16 and spacing 0.04 is exact to rounding."""
    axis = torch.arange(-8, 8, 0.04, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * mixture.dim).reshape(-1, mixture.dim)
    assert float(mixture.log_prob(x).exp().sum() * 0.04**mixture.dim) == pytest.approx(1, abs=1e-6)


def test_score_has_mean_zero_and_fishers_identity(mixture):
    """E[s] = 0 and E[s sᵀ] = −E[∇s], within 5 standard errors of the sample means, entry by entry."""
    n = 20_000
    x = points(mixture, n)
    s = mixture.score(x)
    assert bool((s.mean(0).abs() < 5 * s.std(0) / math.sqrt(n)).all())
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: mixture.score(x)))(x)
    both = s[:, :, None] * s[:, None, :] + jacobian
    assert bool((both.mean(0).abs() < 5 * both.std(0) / math.sqrt(n)).all())
    assert float((s[:, :, None] * s[:, None, :]).mean(0).abs().max()) > 0.3  # so that the sum is not trivially 0


def test_sample_moments(mixture):
    n = 40_000
    x = points(mixture, n, seed=1)
    assert x.shape == (n, mixture.dim) and x.dtype == torch.float64
    centred = x - mixture.mean
    assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n)).all())
    products = centred[:, :, None] * centred[:, None, :]
    assert bool(((products.mean(0) - mixture.covariance).abs() < 5 * products.std(0) / math.sqrt(n)).all())
    r = mixture.responsibilities(x)  # E[r_k] = w_k
    assert bool(((r.mean(0) - mixture.weights).abs() < 5 * r.std(0) / math.sqrt(n)).all())
    torch.testing.assert_close(r.sum(-1), torch.ones(n, dtype=torch.float64))


def test_moments_by_hand():
    assert ONE_D.mean.item() == pytest.approx(0.3 * -1 + 0.7 * 2)
    assert ONE_D.covariance.item() == pytest.approx(0.3 * (0.25 + 1) + 0.7 * (1.44 + 4) - 1.1**2)
    torch.testing.assert_close(two_modes().covariances[0], 0.25 * torch.eye(2))


def test_covariances_survive_the_constructor():
    c = torch.tensor([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.6], [-0.6, 0.5]]], dtype=torch.float64)
    m = GaussianMixture([1, 3], torch.zeros(2, 2, dtype=torch.float64), c)
    torch.testing.assert_close(m.covariances, c)
    torch.testing.assert_close(m.weights, torch.tensor([0.25, 0.75], dtype=torch.float64))


@pytest.mark.parametrize("sde", [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP()], ids=["VE", "VE.power", "VP", "SubVP"])
def test_diffused_is_what_simulation_gives(sde):
    mixture, n, t = MIXTURES["garden"], 4000, 0.5
    generator = torch.Generator().manual_seed(2)
    x = mixture.sample(n, generator=generator)
    x = solve(sde, x, uniform_times(0.0, t, 400), noise=WhiteNoise(x, generator=generator))
    p = mixture.diffused(sde, t)
    s = p.score(x)
    # E[s] = 0, E[x·s] = −1 and E[x] = m hold for samples of p_t only: 5 standard errors, plus 1% for 400 steps
    centred = x - p.mean
    assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n) + 0.01 * centred.std(0)).all())
    assert bool((s.mean(0).abs() < 5 * s.std(0) / math.sqrt(n) + 0.01 * s.std(0)).all())
    stein = centred * s
    assert bool(((stein.mean(0) + 1).abs() < 5 * stein.std(0) / math.sqrt(n) + 0.02).all())


def test_diffused_is_what_perturb_gives():
    """p_t is the law of scale·x₀ + std·z, with no discretisation: 5 standard errors."""
    mixture, n = MIXTURES["garden"], 40_000
    generator = torch.Generator().manual_seed(3)
    for sde in (VE.power(25.0), VP(), SubVP()):
        for t in (0.05, 0.4, 1.0):
            x0 = mixture.sample(n, generator=generator)
            z = torch.randn(n, 2, generator=generator, dtype=torch.float64)
            x, p = sde.perturb(x0, torch.tensor(t, dtype=torch.float64), z), mixture.diffused(sde, t)
            centred = x - p.mean
            products = centred[:, :, None] * centred[:, None, :]
            assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n)).all())
            assert bool(((products.mean(0) - p.covariance).abs() < 5 * products.std(0) / math.sqrt(n)).all())


def test_blurred_by_a_batch_is_the_loop(mixture):
    x = 2 * points(mixture, 6)
    std = torch.linspace(0.0, 3, 6, dtype=torch.float64)
    scale = torch.linspace(1, 0.2, 6, dtype=torch.float64)
    together = mixture.blurred(std, scale)
    one = [mixture.blurred(float(a), float(b)) for a, b in zip(std, scale)]
    torch.testing.assert_close(together.log_prob(x), torch.stack([m.log_prob(v) for m, v in zip(one, x)]))
    torch.testing.assert_close(together.score(x), torch.stack([m.score(v) for m, v in zip(one, x)]))
    torch.testing.assert_close(together.mean, torch.stack([m.mean for m in one]))
    torch.testing.assert_close(together.covariance, torch.stack([m.covariance for m in one]))
    # one of the two a batch, the other a number
    torch.testing.assert_close(mixture.blurred(std).score(x), torch.stack([mixture.blurred(float(a)).score(v) for a, v in zip(std, x)]))
    torch.testing.assert_close(mixture.blurred(0.5, scale).score(x),
                               torch.stack([mixture.blurred(0.5, float(b)).score(v) for b, v in zip(scale, x)]))


def test_blurred_by_nothing_is_the_same(mixture):
    x = points(mixture, 10)
    torch.testing.assert_close(mixture.blurred(0.0).log_prob(x), mixture.log_prob(x), rtol=1e-14, atol=1e-14)
    twice, once = mixture.blurred(0.3).blurred(0.4), mixture.blurred(0.5)  # variances add
    torch.testing.assert_close(twice.score(x), once.score(x))


def test_score_of_an_sde(mixture):
    sde = VP()
    score, x = mixture.score_of(sde), points(mixture, 5)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    torch.testing.assert_close(score(x, t), torch.stack([mixture.diffused(sde, float(a)).score(v) for a, v in zip(t, x)]))
    torch.testing.assert_close(score(x, t[2]), mixture.diffused(sde, float(t[2])).score(x))


def test_shapes_and_dtypes(mixture):
    d = mixture.dim
    for shape in ((d,), (7, d), (2, 3, d)):
        x = torch.zeros(shape)
        assert mixture.log_prob(x).shape == shape[:-1] and mixture.score(x).shape == shape
        assert mixture.responsibilities(x).shape == (*shape[:-1], len(mixture.weights))
        assert mixture.score(x).dtype == torch.float32  # the dtype of x, not of the mixture
    assert two_modes().sample(3, generator=torch.Generator()).dtype == torch.float32


@pytest.mark.parametrize("make, words", [
    (lambda: GaussianMixture([0.5], torch.zeros(2, 2), 1.0), "weights"),
    (lambda: GaussianMixture([0.5, 0.0], torch.zeros(2, 2), 1.0), r"weights = .*0\.0"),
    (lambda: GaussianMixture([0.5, -0.5], torch.zeros(2, 2), 1.0), r"weights = .*-0\.5"),
    (lambda: GaussianMixture([0.5, math.inf], torch.zeros(2, 2), 1.0), r"weights = .*inf"),
    (lambda: GaussianMixture([0.5, math.nan], torch.zeros(2, 2), 1.0), r"weights = .*nan"),
    (lambda: GaussianMixture([1.0], torch.zeros(2), 1.0), r"means has shape \(2,\)"),
    (lambda: GaussianMixture([1.0, 1.0], torch.zeros(2, 2), 0.0), r"covariances = 0\.0"),
    (lambda: GaussianMixture([1.0, 1.0], torch.zeros(2, 2), [1.0, 1.0, 1.0]), "covariances"),
    (lambda: GaussianMixture([1.0], torch.zeros(1, 2), torch.ones(1, 3, 3)), r"covariances has shape \(1, 3, 3\)"),
    (lambda: GaussianMixture([1.0], torch.zeros(1, 2), torch.tensor([[[1.0, 0.5], [0.2, 1.0]]])), "symmetric"),
    (lambda: GaussianMixture([1.0], torch.zeros(1, 2), torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])), "eigenvalue -1"),
    (lambda: two_modes().log_prob(torch.zeros(4, 3)), r"x has shape \(4, 3\)"),
    (lambda: two_modes().score(torch.tensor(1.0)), r"x has shape \(\)"),
    (lambda: two_modes().blurred(-0.1), r"std = -0\.1"),
    (lambda: two_modes().blurred(torch.tensor([0.1, math.nan])), "std = "),
    (lambda: two_modes().diffused(VP(), 1.5), r"t = 1\.5 leaves"),
])
def test_bad_input_raises(make, words):
    with pytest.raises(ValueError, match=words):
        make()
