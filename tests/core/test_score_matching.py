"""Score matching: three losses against the Fisher divergence; the denoising losses of training,
their floor and their times."""

import math

import pytest
import torch

from sdelib.book.toys import garden
from sdelib.checks import like
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.networks import ScoreMLP
from sdelib.score_matching import (
    DenoisingLoss,
    LadderLoss,
    denoising_loss,
    fisher_divergence,
    implicit_loss,
    sliced_loss,
)

SDES = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP(), VP(T=3.0)]
NAMES = ["VE", "VE.power", "VP", "SubVP", "VP-T3"]


def draw(sde, x0, seed=0, **options):
    loss = DenoisingLoss(sde, t_min=1e-3, **options)
    return loss, *loss.draw(x0, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_for_data_at_zero_the_minimiser_has_loss_zero(sde):
    """x₀ = 0: the score is −x/std², and std·(−std·z/std²) + z = 0 with the same noise."""
    x0 = torch.zeros(1000, 3, dtype=torch.float64)
    loss, t, z = draw(sde, x0)
    exact = lambda x, t: -x / like(sde.marginal(t)[1], x) ** 2
    # three roundings of numbers of the size of z ≤ 5: (3·5·2.2e-16)² ≈ 1e-29
    assert float(loss(exact, x0, t, z).max()) < 1e-28
    assert (
        float(loss(lambda x, t: 0.99 * exact(x, t), x0, t, z).mean()) > 5e-5
    )  # (0.01)²·E z² = 1e-4


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_for_gaussian_data_the_loss_is_known(sde):
    """Data N(m, a²I), score −c(x − scale·m)/v with v = scale²a² + std²:

    std·s + z = (1 − c·std²/v) z − c·std·scale·a/v·ξ, so the loss at t is (1 − c·std²/v)² +
    c²·std²·scale²a²/v²; for the exact score, c = 1, it is scale²a²/v."""
    n, d, m, a = 4000, 4, 0.8, 0.6
    generator = torch.Generator().manual_seed(1)
    x0 = m + a * torch.randn(n, d, generator=generator, dtype=torch.float64)
    loss, t, z = draw(sde, x0, seed=2)
    scale, std = sde.marginal(t)
    v = scale**2 * a**2 + std**2

    def score(c):
        return lambda x, t: -c * (x - scale[:, None] * m) / v[:, None]

    values = {}
    for c in (0.8, 0.9, 1.0, 1.1, 1.2):
        found = loss(score(c), x0, t, z)
        known = (1 - c * std**2 / v) ** 2 + c**2 * std**2 * scale**2 * a**2 / v**2
        # 5 standard errors of a mean, given the times: the loss of one example is chi-squared, std
        # ≈ known·√(2/d)
        assert abs(float((found - known).mean())) < 5 * float((found - known).std()) / math.sqrt(n)
        values[c] = found.mean()
    assert all(values[1.0] < values[c] for c in values if c != 1.0)
    # the same noise with the mean put in the wrong place costs more, too
    wrong = loss(lambda x, t: -(x - scale[:, None] * (m + 0.1)) / v[:, None], x0, t, z).mean()
    assert values[1.0] < wrong


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_the_excess_loss_is_the_fisher_divergence(sde):
    """E[ℓ(s)] − E[ℓ(exact)] = E[std²‖s − exact‖²/d]: denoising differs from Fisher by a constant
    (Vincent 2011)."""
    mixture, n = garden(torch.float64), 20_000
    x0 = mixture.sample(n, generator=torch.Generator().manual_seed(3))
    loss, t, z = draw(sde, x0, seed=4)
    exact, error = mixture.score_of(sde), torch.tensor([0.3, -0.2], dtype=torch.float64)
    bent = lambda x, t: exact(x, t) + error * torch.cos(x) / like(sde.marginal(t)[1], x)
    std = sde.marginal(t)[1]
    xt = sde.perturb(x0, t, z)
    fisher = std**2 * (bent(xt, t) - exact(xt, t)).square().mean(1)
    gap = loss(bent, x0, t, z) - loss(exact, x0, t, z) - fisher
    assert abs(float(gap.mean())) < 5 * float(gap.std()) / math.sqrt(n)
    assert float(fisher.mean()) > 0.01


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_times_are_stratified(sde, power):
    n = 512
    loss, t, z = draw(sde, torch.zeros(n, 2, dtype=torch.float64), t_power=power)
    assert t.shape == (n,) and z.shape == (n, 2)
    assert float(t.min()) >= 1e-3 and float(t.max()) <= sde.T
    u = ((t - 1e-3) / (sde.T - 1e-3)) ** (1 / power)
    # exactly one u in each of the n equal strata
    assert torch.equal((u * n - 1e-9).floor().clamp(min=0).long().unique(), torch.arange(n))


def test_times_are_uniform_within_their_strata():
    """t_power = 1: over many draws each stratum's t is uniform; Kolmogorov–Smirnov at 1e-4
    (2.23/√n)."""
    sde, n = VP(), 20_000
    t = torch.cat(
        [draw(sde, torch.zeros(4, 1, dtype=torch.float64), seed=i)[1] for i in range(n // 4)]
    )
    u = (t - 1e-3) / (1 - 1e-3)
    within = (4 * u) % 1
    for sample in (u, within):
        sample = sample.sort().values
        i = torch.arange(n, dtype=torch.float64)
        distance = torch.maximum(sample - i / n, (i + 1) / n - sample).max()
        assert float(distance) < 2.23 / math.sqrt(n)


def test_noise_is_standard_normal_and_seeded():
    sde, x0 = VP(), torch.zeros(4000, 5, dtype=torch.float64)
    _, t, z = draw(sde, x0, seed=5)
    _, t2, z2 = draw(sde, x0, seed=5)
    _, t3, _ = draw(sde, x0, seed=6)
    assert torch.equal(t, t2) and torch.equal(z, z2) and not torch.equal(t, t3)
    assert abs(z.mean()) < 5 / math.sqrt(z.numel()) and abs(z.var() - 1) < 5 * math.sqrt(
        2 / z.numel()
    )
    assert abs(float(torch.corrcoef(torch.stack([t, z[:, 0]]))[0, 1])) < 5 / math.sqrt(len(t))


def test_float32_times_stay_inside():
    """In float32 the last stratum may round up: t must not leave [0, T]."""
    for seed in range(50):
        _, t, _ = draw(VE.power(25.0), torch.zeros(4096, 1), seed=seed)
        assert float(t.max()) <= 1.0 and float(t.min()) >= 1e-3 * (1 - 1e-6)


def test_shape_of_the_loss():
    x0 = torch.zeros(6, 1, 8, 8)
    loss, t, z = draw(VP(), x0)
    assert loss(lambda x, t: torch.zeros_like(x), x0, t, z).shape == (6,)
    torch.testing.assert_close(
        loss(lambda x, t: torch.zeros_like(x), x0, t, z), z.square().mean((1, 2, 3))
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"t_min": 0.0}, r"t_min = 0\.0"),
        ({"t_min": -1.0}, r"t_min = -1\.0"),
        ({"t_min": 1.0}, r"t_min = 1\.0"),
        ({"t_min": math.nan}, "t_min = nan"),
        ({"t_power": 0.0}, r"t_power = 0\.0"),
        ({"t_power": -2.0}, r"t_power = -2\.0"),
        ({"t_power": math.nan}, "t_power = nan"),
    ],
)
def test_bad_numbers_raise(options, words):
    with pytest.raises(ValueError, match=words):
        DenoisingLoss(VP(), **options)


def test_a_single_gaussian_component_agrees_with_the_mixture():
    """The closed form used above is what GaussianMixture says, so the two files test one thing."""
    p = GaussianMixture([1.0], torch.tensor([[0.8, 0.8]], dtype=torch.float64), 0.6)
    x, t = torch.tensor([[0.1, 2.0]], dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    scale, std = VP().marginal(t)
    torch.testing.assert_close(
        p.score_of(VP())(x, t), -(x - scale * 0.8) / (scale**2 * 0.36 + std**2)
    )


# ---------------------------------------------------------------- one density, one score s(x)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=gen(seed), dtype=torch.float64)


class Linear(torch.nn.Module):
    """s(x) = A x + b: everything about it is known."""

    def __init__(self, A, b):
        super().__init__()
        self.A, self.b = torch.nn.Parameter(A), torch.nn.Parameter(b)

    def forward(self, x):
        return x @ self.A.T + self.b


def test_the_implicit_loss_and_its_gradient_by_hand():
    """ℓ = ½‖Ax + b‖² + tr A:  ∂ℓ/∂A = (Ax + b) xᵀ + I,  ∂ℓ/∂b = Ax + b."""
    score, x = Linear(normal(3, 3, seed=1), normal(3, seed=2)), normal(5, 3, seed=3)
    s = (x @ score.A.T + score.b).detach()
    loss = implicit_loss(score, x)
    with torch.no_grad():
        torch.testing.assert_close(implicit_loss(score, x), loss)
    torch.testing.assert_close(loss, s.square().sum(1) / 2 + score.A.trace())
    loss.sum().backward()
    torch.testing.assert_close(score.A.grad, s.T @ x + 5 * torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(score.b.grad, s.sum(0))


def test_the_gradient_of_a_network_of_one_unit_by_hand():
    """s(x) = w tanh(ax) in one dimension: ℓ = ½w² tanh² + w a sech²; ∂ℓ/∂a through the second
    derivative."""
    a, w = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -1.3))
    x = normal(6, 1, seed=4)
    implicit_loss(lambda x: w * torch.tanh(a * x), x).sum().backward()
    T = torch.tanh(0.7 * x)
    S = 1 - T**2
    torch.testing.assert_close(w.grad, (-1.3 * T**2 + 0.7 * S).sum())
    torch.testing.assert_close(
        a.grad, (1.69 * T * S * x - 1.3 * S + 2 * 1.3 * 0.7 * T * S * x).sum()
    )


@pytest.mark.parametrize("variance_reduced", [False, True])
@pytest.mark.parametrize("directions", ["normal", "signs"])
def test_the_sliced_loss_is_unbiased_for_the_implicit_one(variance_reduced, directions):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.SiLU(), torch.nn.Linear(16, 4)
    ).double()
    x, n = normal(3, 4, seed=5), 40_000
    exact = implicit_loss(net, x)
    many = x.repeat_interleave(n, 0)
    v = normal(*many.shape, seed=6)
    v = v if directions == "normal" else v.sign()
    found = sliced_loss(net, many, v, variance_reduced=variance_reduced).reshape(3, n).detach()
    error = found.mean(1) - exact.detach()
    assert bool((error.abs() < 5 * found.std(1) / math.sqrt(n)).all())
    assert bool((found.std(1) > 0).all())


def test_variance_reduction_reduces_the_variance():
    """s = −x in d dimensions, v normal: Var[½(vᵀx)²] = ½‖x‖⁴, and vᵀ∇s v = −‖v‖² has variance 2d
    with both."""
    d, n = 20, 50_000
    x = normal(1, d, seed=7).expand(n, d)
    v = normal(n, d, seed=8)
    plain, reduced = (
        sliced_loss(lambda x: -x, x, v, variance_reduced=r).detach() for r in (False, True)
    )
    # a variance estimated from n draws is off by √((κ − 1)/n) of itself; κ ≤ 15 for a squared
    # Gaussian
    r = float(x[0].square().sum())
    assert float(reduced.var()) == pytest.approx(2 * d, rel=5 * math.sqrt(14 / n))
    # ½(vᵀx)² − ‖v‖²: variance ½r² + 2d − 2·Cov(½(vᵀx)², ‖v‖²) = ½r² + 2d − 2r
    assert float(plain.var()) == pytest.approx(r * r / 2 + 2 * d - 2 * r, rel=5 * math.sqrt(14 / n))


def test_the_three_losses_differ_from_the_fisher_divergence_by_constants():
    """On samples of p_σ, for a family of fields: Fisher + ½E‖∇log p_σ‖² cancels in all three
    (Hyvärinen, Vincent, Song)."""
    p, sigma, n = garden(torch.float64), 0.7, 60_000
    noisy = p.blurred(sigma)
    x0, z, v = p.sample(n, generator=gen(9)), normal(n, 2, seed=10), normal(n, 2, seed=11)
    x = x0 + sigma * z

    def terms(bend):
        s = lambda x: (
            (1 + bend) * noisy.score(x)
            + bend * torch.stack([torch.sin(x[:, 1]), x[:, 0] * x[:, 1] / 4], 1)
        )
        fisher = fisher_divergence(s, noisy.score, x)
        with torch.no_grad():
            return [
                loss - fisher
                for loss in (
                    implicit_loss(s, x),
                    sliced_loss(s, x, v),
                    sliced_loss(s, x, v, variance_reduced=True),
                    denoising_loss(s, x0, z, sigma),
                )
            ]

    base = terms(0.0)
    for bend in (-0.5, 0.3, 0.8):
        for at_zero, here in zip(base, terms(bend)):
            gap = here - at_zero
            assert abs(float(gap.mean())) < 5 * float(gap.std()) / math.sqrt(n)
    # and the constants themselves: −½E‖∇log p_σ‖² for the implicit loss; + ½ d/σ² more for
    # denoising
    square = noisy.score(x).square().sum(1) / 2
    for difference, constant in ((base[0] + square, 0.0), (base[3] + square, 2 / sigma**2 / 2)):
        assert abs(float(difference.mean()) - constant) < 5 * float(difference.std()) / math.sqrt(n)


def test_for_data_at_zero_denoising_has_loss_zero():
    x0, z, sigma = torch.zeros(100, 5, dtype=torch.float64), normal(100, 5), 0.3
    # (−σz/σ² + z/σ) is a rounding of numbers of size 5/0.3: its square is below (3·17·2.2e-16)²·5
    assert float(denoising_loss(lambda x: -x / sigma**2, x0, z, sigma).max()) < 1e-27
    assert float(denoising_loss(lambda x: -0.9 * x / sigma**2, x0, z, sigma).mean()) > 0.1


def test_the_denoising_optimum_of_a_gaussian_is_linear_and_known():
    """x₀ ~ N(m, a²): the least-squares line through (x̃, −z/σ) is −(x̃ − m)/(a² + σ²)."""
    m, a, sigma, n = 0.8, 0.6, 0.5, 200_000
    x0, z = m + a * normal(n, 1, seed=12), normal(n, 1, seed=13)
    score = Linear(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.LBFGS(score.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = denoising_loss(score, x0, z, sigma).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    v = a**2 + sigma**2
    # residual variance of the target given x̃: (1/σ²)·a²/v; the slope's standard error is
    # √(that/(n·v))
    error = math.sqrt(a**2 / sigma**2 / v / (n * v))
    assert float(score.A.detach()) == pytest.approx(-1 / v, abs=5 * error)
    # the line at the mean of x̃ is the mean of the residual: standard error √(a²/(σ²v)/n), and the
    # slope's m² error beside it
    assert float(score.b.detach()) == pytest.approx(
        m / v, abs=5 * error * math.hypot(math.sqrt(v), m)
    )


def test_losses_work_on_images_and_without_gradients():
    x, v = normal(2, 1, 3, 3, seed=14), normal(2, 1, 3, 3, seed=15)
    with torch.no_grad():
        loss = implicit_loss(lambda x: -2 * x, x)
        assert not loss.requires_grad
        torch.testing.assert_close(loss, 2 * x.square().sum((1, 2, 3)) - 18)
        sliced = sliced_loss(lambda x: -2 * x, x, v, variance_reduced=True)
        torch.testing.assert_close(
            sliced, 2 * x.square().sum((1, 2, 3)) - 2 * v.square().sum((1, 2, 3))
        )
    assert not x.requires_grad
    # a field that does not depend on x has no slope
    torch.testing.assert_close(
        implicit_loss(torch.ones_like, x), torch.full((2,), 4.5, dtype=torch.float64)
    )


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: sliced_loss(lambda x: x, torch.zeros(3, 2), torch.zeros(2)),
            r"u has shape \(2,\)",
        ),
        (
            lambda: denoising_loss(lambda x: x, torch.zeros(3, 2), torch.zeros(3, 1), 1.0),
            r"z has shape \(3, 1\)",
        ),
        (
            lambda: denoising_loss(lambda x: x, torch.zeros(3, 2), torch.zeros(3, 2), 0.0),
            r"sigma = 0\.0",
        ),
        (
            lambda: denoising_loss(lambda x: x, torch.zeros(3, 2), torch.zeros(3, 2), math.nan),
            "sigma = nan",
        ),
        (lambda: DenoisingLoss(VP()).draw(torch.zeros(3, 2), generator=None), "generator = None"),
        (lambda: LadderLoss((1.0,)).draw(torch.zeros(3, 2), generator=0), "generator = 0"),
        (lambda: LadderLoss(()), "sigmas"),
        (lambda: LadderLoss((0.0, 1.0)), "sigmas"),
        (lambda: LadderLoss((1.0, 0.5)), "sigmas"),
        (lambda: LadderLoss((0.5, math.nan)), "sigmas"),
    ],
)
def test_bad_losses_raise(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---------------------------------------------------------------- the ladder


def test_the_ladder_loss_draws_every_level_equally_often():
    sigmas = (0.1, 0.5, 2.0, 9.0)
    loss = LadderLoss(sigmas)
    sigma, z = loss.draw(torch.zeros(400, 3, dtype=torch.float64), generator=gen(16))
    assert [int((sigma == s).sum()) for s in sigmas] == [100] * 4
    assert z.shape == (400, 3) and sigma.shape == (400,)
    few = torch.cat([loss.draw(torch.zeros(1, 3), generator=gen(i))[0] for i in range(2000)])
    for s in sigmas:  # binomial with p = 1/4
        assert abs(int((few == s).sum()) - 500) < 5 * math.sqrt(2000 * 3 / 16)


def test_the_ladder_loss_is_the_weighted_sum_of_denoising_losses():
    """σ²·(2/d)·½‖s + z/σ‖² = ‖σs + z‖²/d."""
    loss, p = LadderLoss((0.1, 0.5, 2.0)), garden(torch.float64)
    x0 = p.sample(30, generator=gen(17))
    sigma, z = loss.draw(x0, generator=gen(18))
    score = lambda x, s: -x / (1 + like(s, x) ** 2)
    found = loss(score, x0, sigma, z)
    for s in loss.sigmas:
        mine = sigma == s
        one = denoising_loss(lambda x: score(x, torch.tensor(s)), x0[mine], z[mine], s)
        torch.testing.assert_close(found[mine], s**2 * one * 2 / 2)


@pytest.mark.slow
def test_the_ladder_loss_trains_a_network_towards_the_exact_score():
    """A few hundred steps on the garden: the excess over the exact score's loss falls to a
    tenth."""
    from sdelib.own.training import train

    p, loss = garden(), LadderLoss((0.1, 0.3, 1.0, 3.0))
    torch.manual_seed(0)
    data = p.sample(20_000, generator=gen(19))
    network = ScoreMLP(NoiseLevel(3.0), width=64)
    sigma, z = loss.draw(data, generator=gen(20))
    exact = loss(p.score_of(network.sde), data, sigma, z)
    before = loss(network, data, sigma, z).mean() - exact.mean()
    result = train(
        network,
        loss,
        (data,),
        steps=400,
        batch_size=512,
        lr=3e-3,
        ema=0.98,
        progress=False,
        cpu=True,
    )
    after = loss(result.network, data, sigma, z).mean() - exact.mean()
    assert 0 < float(after) < 0.1 * float(before)


@pytest.mark.parametrize("sde", [VE(0.01, 8.0), VP(), SubVP()], ids=["VE", "VP", "SubVP"])
def test_likelihood_weight_is_g_squared(sde, generator):
    """λ = g² by hand, for a score that is wrong by a known amount: s = −z/std + 1 leaves λ·d/d."""
    x0 = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    loss = DenoisingLoss(sde, t_min=0.01, likelihood_weighting=True)
    t, z = loss.draw(x0, generator=generator)
    std = sde.marginal(t)[1][:, None]
    found = loss(lambda x, t: -z / std + 1, x0, t, z)
    torch.testing.assert_close(found, sde.diffusion(x0, t).reshape(-1) ** 2)
    plain = DenoisingLoss(sde, t_min=0.01)(lambda x, t: -z / std + 1, x0, t, z)
    torch.testing.assert_close(plain, std[:, 0] ** 2)
