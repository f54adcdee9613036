"""The mixture: its score, its law, and what diffusion makes of it."""

import math

import pytest
import torch

from sdelib.book.toys import garden, two_modes
from sdelib.brownian import WhiteNoise
from sdelib.densities import GaussianMixture
from sdelib.empirical import EmpiricalDensity
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.grids import uniform_times
from sdelib.integration import solve

ONE_D = GaussianMixture([0.3, 0.7], torch.tensor([[-1.0], [2.0]], dtype=torch.float64), [0.5, 1.2])
MIXTURES = {"garden": garden(torch.float64), "two_modes": two_modes(torch.float64), "one_d": ONE_D}


@pytest.fixture(params=MIXTURES)
def mixture(request):
    return MIXTURES[request.param]


def points(mixture, n, seed=0):
    return mixture.sample(n, generator=torch.Generator().manual_seed(seed))


def test_log_prob_by_hand():
    """0.3 N(x; −1, 0.25) + 0.7 N(x; 2, 1.44): a number given to the constructor is a standard
    deviation."""
    x = torch.tensor([[-0.4], [3.0]], dtype=torch.float64)
    normal = lambda x, m, s: torch.exp(-((x - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
    p = 0.3 * normal(x, -1, 0.5) + 0.7 * normal(x, 2, 1.2)
    torch.testing.assert_close(ONE_D.log_prob(x), p.log()[:, 0], rtol=1e-13, atol=1e-13)


def test_log_prob_is_torch_distributions(mixture):
    import torch.distributions as D

    reference = D.MixtureSameFamily(
        D.Categorical(mixture.weights), D.MultivariateNormal(mixture.means, mixture.covariances)
    )
    x = 2 * points(mixture, 100)
    torch.testing.assert_close(mixture.log_prob(x), reference.log_prob(x), rtol=1e-11, atol=1e-11)


def test_score_is_the_gradient_of_log_prob(mixture):
    x = (2 * points(mixture, 200)).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    torch.testing.assert_close(mixture.score(x), gradient, rtol=1e-10, atol=1e-10)


def test_score_far_out_is_finite_and_points_home(mixture):
    x = torch.full((1, mixture.dim), 1e4, dtype=torch.float64)
    assert bool(torch.isfinite(mixture.score(x)).all()) and bool(
        torch.isfinite(mixture.log_prob(x)).all()
    )
    assert bool((mixture.score(x) < 0).all())


def test_log_prob_integrates_to_one(mixture):
    """A Riemann sum over ±8 of a smooth density with width ≥ 0.16 and spacing 0.04 is exact to
    rounding."""
    axis = torch.arange(-8, 8, 0.04, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * mixture.dim).reshape(-1, mixture.dim)
    assert float(mixture.log_prob(x).exp().sum() * 0.04**mixture.dim) == pytest.approx(1, abs=1e-6)


def test_score_has_mean_zero_and_fishers_identity(mixture):
    """E[s] = 0 and E[s sᵀ] = −E[∇s], within 5 standard errors of the sample means, entry by
    entry."""
    n = 20_000
    x = points(mixture, n)
    s = mixture.score(x)
    assert bool((s.mean(0).abs() < 5 * s.std(0) / math.sqrt(n)).all())
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: mixture.score(x)))(x)
    both = s[:, :, None] * s[:, None, :] + jacobian
    assert bool((both.mean(0).abs() < 5 * both.std(0) / math.sqrt(n)).all())
    assert (
        float((s[:, :, None] * s[:, None, :]).mean(0).abs().max()) > 0.3
    )  # so that the sum is not trivially 0


def test_sample_moments(mixture):
    n = 40_000
    x = points(mixture, n, seed=1)
    assert x.shape == (n, mixture.dim) and x.dtype == torch.float64
    centred = x - mixture.mean
    assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n)).all())
    products = centred[:, :, None] * centred[:, None, :]
    assert bool(
        ((products.mean(0) - mixture.covariance).abs() < 5 * products.std(0) / math.sqrt(n)).all()
    )
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


@pytest.mark.parametrize(
    "sde", [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP()], ids=["VE", "VE.power", "VP", "SubVP"]
)
def test_diffused_is_what_simulation_gives(sde):
    mixture, n, t = MIXTURES["garden"], 4000, 0.5
    generator = torch.Generator().manual_seed(2)
    x = mixture.sample(n, generator=generator)
    x = solve(sde, x, uniform_times(0.0, t, 400), noise=WhiteNoise(x, generator=generator))
    p = mixture.diffused(sde, t)
    s = p.score(x)
    # E[s] = 0, E[x·s] = −1 and E[x] = m hold for samples of p_t only: 5 standard errors, plus 1%
    # for 400 steps
    centred = x - p.mean
    assert bool(
        (centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n) + 0.01 * centred.std(0)).all()
    )
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
            x, p = (
                sde.perturb(x0, torch.tensor(t, dtype=torch.float64), z),
                mixture.diffused(sde, t),
            )
            centred = x - p.mean
            products = centred[:, :, None] * centred[:, None, :]
            assert bool((centred.mean(0).abs() < 5 * centred.std(0) / math.sqrt(n)).all())
            assert bool(
                ((products.mean(0) - p.covariance).abs() < 5 * products.std(0) / math.sqrt(n)).all()
            )


def test_blurred_by_a_batch_is_the_loop(mixture):
    x = 2 * points(mixture, 6)
    std = torch.linspace(0.0, 3, 6, dtype=torch.float64)
    scale = torch.linspace(1, 0.2, 6, dtype=torch.float64)
    together = mixture.blurred(std, scale)
    one = [mixture.blurred(float(a), float(b)) for a, b in zip(std, scale)]
    torch.testing.assert_close(
        together.log_prob(x), torch.stack([m.log_prob(v) for m, v in zip(one, x)])
    )
    torch.testing.assert_close(together.score(x), torch.stack([m.score(v) for m, v in zip(one, x)]))
    torch.testing.assert_close(together.mean, torch.stack([m.mean for m in one]))
    torch.testing.assert_close(together.covariance, torch.stack([m.covariance for m in one]))
    # one of the two a batch, the other a number
    torch.testing.assert_close(
        mixture.blurred(std).score(x),
        torch.stack([mixture.blurred(float(a)).score(v) for a, v in zip(std, x)]),
    )
    torch.testing.assert_close(
        mixture.blurred(0.5, scale).score(x),
        torch.stack([mixture.blurred(0.5, float(b)).score(v) for b, v in zip(scale, x)]),
    )


def test_blurred_by_nothing_is_the_same(mixture):
    x = points(mixture, 10)
    torch.testing.assert_close(
        mixture.blurred(0.0).log_prob(x), mixture.log_prob(x), rtol=1e-14, atol=1e-14
    )
    twice, once = mixture.blurred(0.3).blurred(0.4), mixture.blurred(0.5)  # variances add
    torch.testing.assert_close(twice.score(x), once.score(x))


def test_score_of_an_sde(mixture):
    sde = VP()
    score, x = mixture.score_of(sde), points(mixture, 5)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    torch.testing.assert_close(
        score(x, t), torch.stack([mixture.diffused(sde, float(a)).score(v) for a, v in zip(t, x)])
    )
    torch.testing.assert_close(score(x, t[2]), mixture.diffused(sde, float(t[2])).score(x))


def test_shapes_and_dtypes(mixture):
    d = mixture.dim
    for shape in ((d,), (7, d), (2, 3, d)):
        x = torch.zeros(shape)
        assert mixture.log_prob(x).shape == shape[:-1] and mixture.score(x).shape == shape
        assert mixture.responsibilities(x).shape == (*shape[:-1], len(mixture.weights))
        assert mixture.score(x).dtype == torch.float32  # the dtype of x, not of the mixture
    assert two_modes().sample(3, generator=torch.Generator()).dtype == torch.float32


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: GaussianMixture([0.5], torch.zeros(2, 2), 1.0), "weights"),
        (lambda: GaussianMixture([0.5, 0.0], torch.zeros(2, 2), 1.0), r"weights = .*0\.0"),
        (lambda: GaussianMixture([0.5, -0.5], torch.zeros(2, 2), 1.0), r"weights = .*-0\.5"),
        (lambda: GaussianMixture([0.5, math.inf], torch.zeros(2, 2), 1.0), r"weights = .*inf"),
        (lambda: GaussianMixture([0.5, math.nan], torch.zeros(2, 2), 1.0), r"weights = .*nan"),
        (lambda: GaussianMixture([1.0], torch.zeros(2), 1.0), r"means has shape \(2,\)"),
        (lambda: GaussianMixture([1.0, 1.0], torch.zeros(2, 2), 0.0), r"covariances = 0\.0"),
        (lambda: GaussianMixture([1.0, 1.0], torch.zeros(2, 2), [1.0, 1.0, 1.0]), "covariances"),
        (
            lambda: GaussianMixture([1.0], torch.zeros(1, 2), torch.ones(1, 3, 3)),
            r"covariances.*\(1, 3, 3\)",
        ),
        (
            lambda: GaussianMixture(
                [1.0], torch.zeros(1, 2), torch.tensor([[[1.0, 0.5], [0.2, 1.0]]])
            ),
            r"covariances = .*0\.5",
        ),
        (
            lambda: GaussianMixture(
                [1.0], torch.zeros(1, 2), torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])
            ),
            r"covariances = .*2\.0",
        ),
        (lambda: two_modes().log_prob(torch.zeros(4, 3)), r"x has shape \(4, 3\)"),
        (lambda: two_modes().score(torch.tensor(1.0)), r"x has shape \(\)"),
        (lambda: two_modes().blurred(-0.1), r"std = -0\.1"),
        (lambda: two_modes().blurred(torch.tensor([0.1, math.nan])), "std = "),
        (lambda: two_modes().diffused(VP(), 1.5), r"t = 1\.5 leaves"),
    ],
)
def test_bad_input_raises(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# ---------------------------------------------------------------- a data set as a mixture


def data(n=50, *shape, seed=1):
    return torch.randn(
        n, *(shape or (3,)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


STDS = [0.05, 1.0, 30.0, torch.tensor([0.1, 0.5, 3.0, 1.0, 1.0], dtype=torch.float64)]


@pytest.mark.parametrize("std", STDS, ids=["small", "one", "large", "one for each x"])
@pytest.mark.parametrize("batch", [1, 7, 50, 4096])
def test_the_perfect_score_is_the_gradient_of_its_log_density(std, batch):
    p, x = EmpiricalDensity(data(), std, batch=batch), data(5, seed=2).requires_grad_()
    (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), x)
    torch.testing.assert_close(p.score(x), gradient, rtol=1e-9, atol=1e-9)


def test_a_data_set_under_noise_is_a_gaussian_mixture():
    y, x = data(), data(9, seed=3)
    p, mixture = (
        EmpiricalDensity(y, 0.4, batch=8),
        GaussianMixture(torch.ones(50, dtype=torch.float64), y, 0.4),
    )
    torch.testing.assert_close(p.log_prob(x), mixture.log_prob(x), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(p.score(x), mixture.score(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        p.posterior_mean(x), mixture.responsibilities(x) @ y, rtol=1e-10, atol=1e-10
    )
    torch.testing.assert_close(
        p.score(x), (p.posterior_mean(x) - x) / 0.4**2, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(
    "sde", [VP(), VE.power(25.0), SubVP(), NoiseLevel(5.0)], ids=lambda sde: type(sde).__name__
)
def test_a_diffused_data_set_is_the_diffused_mixture(sde):
    y, x, t = data(), data(4, seed=4), torch.tensor([0.05, 0.3, 0.7, 1.0], dtype=torch.float64)
    p, bare = EmpiricalDensity(y, 1.0, batch=13), EmpiricalDensity(y, 1.0)
    scale, std = sde.marginal(t)
    for k in range(
        4
    ):  # the mixture of points, each blurred from nothing: built from its definition
        mixture = GaussianMixture(torch.ones(50, dtype=torch.float64), scale[k] * y, float(std[k]))
        torch.testing.assert_close(
            p.score_of(sde)(x, t)[k], mixture.score(x)[k], rtol=1e-8, atol=1e-8
        )
        torch.testing.assert_close(
            bare.diffused(sde, t[k]).log_prob(x), mixture.log_prob(x), rtol=1e-9, atol=1e-9
        )


def test_float32_is_good_enough_for_images():
    """At σ = 0.05 beside 784-dimensional data the posterior mean of float32 is that of float64 to
    1e-3 a pixel."""
    y = torch.rand(300, 1, 28, 28, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = y[:20] + 0.05 * data(20, 1, 28, 28, seed=6)
    for std in (0.05, 0.5, 5.0):
        exact, rough = (
            EmpiricalDensity(y, std).posterior_mean(x),
            EmpiricalDensity(y.float(), std).posterior_mean(x.float()),
        )
        assert float((exact - rough).abs().max()) < 1e-3


def test_nothing_larger_than_the_stated_memory_is_made():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            storage = {id(a.untyped_storage()) for a in args if isinstance(a, torch.Tensor)}
            if (
                isinstance(out, torch.Tensor)
                and out.untyped_storage().data_ptr() != POINTS
                and id(out.untyped_storage()) not in storage
            ):
                Largest.numel = max(Largest.numel, out.numel())
            return out

    y, x, batch = data(2000, 40), data(16, 40, seed=7), 100
    POINTS = y.untyped_storage().data_ptr()
    with Largest():
        EmpiricalDensity(y, 0.3, batch=batch).score(x)
    assert Largest.numel <= max(batch * 40, 16 * batch, 2000), Largest.numel


def test_away_from_the_cpu_the_perfect_score_looks_at_no_number():
    """On the meta device there are none to look at: a check that read one would raise."""
    p, x = EmpiricalDensity(data().to("meta"), 1.0, batch=20), data(5, seed=2).to("meta")
    std = torch.empty((), device="meta")
    assert p.blurred(std).score(x).shape == x.shape and p.blurred(0.3).log_prob(x).shape == (5,)


def test_far_from_all_points_it_stays_finite():
    p, x = EmpiricalDensity(data(), 0.01), torch.full((1, 3), 1e3, dtype=torch.float64)
    assert bool(torch.isfinite(p.score(x)).all() & torch.isfinite(p.log_prob(x)).all())
    nearest = data()[p.nearest(x)[1]]
    torch.testing.assert_close(p.posterior_mean(x), nearest)


def test_samples_are_points_under_noise_and_nearest_finds_them():
    y = data(20, 2, 3)
    p = EmpiricalDensity(y, 1e-4)
    x = p.sample(500, generator=torch.Generator().manual_seed(8))
    distance, index = p.nearest(x)
    assert x.shape == (500, 2, 3) and float(distance.max()) < 1e-4 * 6 and len(index.unique()) == 20
    torch.testing.assert_close(distance, (x - y[index]).flatten(1).norm(dim=1))
    assert float(EmpiricalDensity(y.float(), 1.0).nearest(y.float())[0].max()) == 0.0
    assert len(p) == 20


def test_sampling_with_the_perfect_score_returns_the_points():
    """Annealed Langevin on the exact score of a data set ends on the data set: nearest distance 0
    after the last step."""
    from sdelib.langevin import annealed_langevin, ladder

    y = data(30, 16)
    p = EmpiricalDensity(y, 1.0)
    x = 10 * data(8, 16, seed=9)
    for x in annealed_langevin(
        lambda x, s: p.blurred(s).score(x),
        x,
        ladder(0.01, 10.0, 16),
        5,
        generator=torch.Generator().manual_seed(10),
    ):
        pass
    # the other points are ≥ 100 σ away: their responsibility underflows, so the last step lands on
    # the point itself
    assert float(p.nearest(x)[0].max()) < 1e-10


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: EmpiricalDensity(torch.zeros(0, 3), 1.0), r"points.*\(0, 3\)"),
        (lambda: EmpiricalDensity(torch.zeros(4), 1.0), r"points has shape \(4,\)"),
        (lambda: EmpiricalDensity(torch.zeros(4, 3, dtype=torch.long), 1.0), "int64"),
        (lambda: EmpiricalDensity(torch.zeros(4, 3), 0.0), r"std = 0\.0"),
        (lambda: EmpiricalDensity(torch.zeros(4, 3), 1.0).blurred(-1.0), r"std = -1\.0"),
        (lambda: EmpiricalDensity(torch.zeros(4, 3), 1.0).diffused(VP(), 0.0), "std ="),
        (
            lambda: EmpiricalDensity(torch.zeros(4, 3), 1.0).score(torch.zeros(2, 2)),
            r"x has shape \(2, 2\)",
        ),
    ],
)
def test_a_bad_data_set_raises(make, words):
    with pytest.raises(ValueError, match=words):
        make()
