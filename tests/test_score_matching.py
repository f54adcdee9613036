"""The denoising loss: its floor, its minimiser, and the times that it draws."""

import math

import pytest
import torch

from sdelib.densities import GaussianMixture, garden
from sdelib.score_matching import DenoisingLoss
from sdelib.sdes import VE, VP, SubVP, like

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
    assert float(loss(lambda x, t: 0.99 * exact(x, t), x0, t, z).mean()) > 5e-5  # (0.01)²·E z² = 1e-4


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_for_gaussian_data_the_loss_is_known(sde):
    """Data N(m, a²I), score −c(x − scale·m)/v with v = scale²a² + std²:

    std·s + z = (1 − c·std²/v) z − c·std·scale·a/v·ξ, so the loss at t is (1 − c·std²/v)² + c²·std²·scale²a²/v²;
    for the exact score, c = 1, it is scale²a²/v."""
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
        # 5 standard errors of a mean, given the times: the loss of one example is chi-squared, std ≈ known·√(2/d)
        assert abs(float((found - known).mean())) < 5 * float((found - known).std()) / math.sqrt(n)
        values[c] = found.mean()
    assert all(values[1.0] < values[c] for c in values if c != 1.0)
    # the same noise with the mean put in the wrong place costs more, too
    wrong = loss(lambda x, t: -(x - scale[:, None] * (m + 0.1)) / v[:, None], x0, t, z).mean()
    assert values[1.0] < wrong


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_the_excess_loss_is_the_fisher_divergence(sde):
    """E[ℓ(s)] − E[ℓ(exact)] = E[std²‖s − exact‖²/d]: denoising differs from Fisher by a constant (Vincent 2011)."""
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
    """t_power = 1: over many draws each stratum's t is uniform; Kolmogorov–Smirnov at 1e-4 (2.23/√n)."""
    sde, n = VP(), 20_000
    t = torch.cat([draw(sde, torch.zeros(4, 1, dtype=torch.float64), seed=i)[1] for i in range(n // 4)])
    u = ((t - 1e-3) / (1 - 1e-3))
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
    assert abs(z.mean()) < 5 / math.sqrt(z.numel()) and abs(z.var() - 1) < 5 * math.sqrt(2 / z.numel())
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
    torch.testing.assert_close(loss(lambda x, t: torch.zeros_like(x), x0, t, z), z.square().mean((1, 2, 3)))


@pytest.mark.parametrize("options, words", [
    ({"t_min": 0.0}, r"t_min = 0\.0"), ({"t_min": -1.0}, r"t_min = -1\.0"), ({"t_min": 1.0}, r"t_min = 1\.0"),
    ({"t_min": math.nan}, "t_min = nan"), ({"t_power": 0.0}, r"t_power = 0\.0"), ({"t_power": -2.0}, r"t_power = -2\.0"),
    ({"t_power": math.nan}, "t_power = nan"),
])
def test_bad_numbers_raise(options, words):
    with pytest.raises(ValueError, match=words):
        DenoisingLoss(VP(), **options)


def test_a_single_gaussian_component_agrees_with_the_mixture():
    """The closed form used above is what GaussianMixture says, so the two files test one thing."""
    p = GaussianMixture([1.0], torch.tensor([[0.8, 0.8]], dtype=torch.float64), 0.6)
    x, t = torch.tensor([[0.1, 2.0]], dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    scale, std = VP().marginal(t)
    torch.testing.assert_close(p.score_of(VP())(x, t), -(x - scale * 0.8) / (scale**2 * 0.36 + std**2))
