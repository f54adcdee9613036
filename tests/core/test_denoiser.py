"""The denoiser: exact for a Gaussian before training, one network for every SDE, and a loss with a
known floor."""

import math

import pytest
import torch

from sdelib.checks import like
from sdelib.denoiser import NO_LABEL, SIGMA_MAX, SIGMA_MIN, DenoiserLoss, first_time, score_from
from sdelib.densities import GaussianMixture
from sdelib.empirical import EmpiricalDensity
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.integration import Counted
from sdelib.networks import Denoiser, ScoreUNet
from sdelib.own import weights
from sdelib.own.training import train

PROCESSES = [VE(0.01, 50.0), VE.power(25.0), VP(), SubVP(), NoiseLevel(80.0)]
NAMES = ["VE", "VE.power", "VP", "SubVP", "NoiseLevel"]
f64 = dict(dtype=torch.float64)


def shaken(**options):
    """A small denoiser in double precision whose weights are random, so that every part of it
    matters."""
    torch.manual_seed(0)
    network = Denoiser((32, 32), **options).double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return network


def images(n, seed=1, **kind):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed), **{**f64, **kind})


def test_at_initialisation_it_is_the_exact_denoiser_of_a_gaussian():
    """E[x₀ | x₀ + σz = x] = m + σ_d²/(σ_d² + σ²) (x − m), at every level, with a label and
    without."""
    network, x = Denoiser((32, 32), data_mean=0.4, data_std=0.7).double(), images(5)
    sigma = torch.tensor([0.002, 0.1, 1.0, 10.0, 160.0], **f64)
    exact = 0.4 + like(0.49 / (0.49 + sigma**2), x) * (x - 0.4)
    with torch.no_grad():
        for label in (None, 3, torch.tensor([0, 9, 4, NO_LABEL, 1])):
            torch.testing.assert_close(network(x, sigma, label), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_one_denoiser_is_the_score_of_every_process(sde):
    """Before training, for each SDE: the exact score of data N(m, σ_d²), −(x − scale·m)/(scale²σ_d²
    + std²)."""
    network, x = Denoiser((32, 32)).double(), images(4)
    for t in (first_time(sde), 0.3 * sde.T, sde.T):
        scale, std = sde.marginal(torch.tensor(t, **f64))
        exact = -(x - scale * 0.286) / (scale**2 * 0.353**2 + std**2)
        with torch.no_grad():
            torch.testing.assert_close(
                score_from(network, sde)(x, torch.tensor(t, **f64)),
                exact,
                rtol=1e-8,
                atol=1e-8 * float(exact.abs().max()),
            )


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_score_from_is_exact_for_an_exact_denoiser(sde):
    """With E[x₀ | x] of a mixture in place of the network, score_from gives that mixture's own
    score of p_t."""
    mixture = GaussianMixture([0.3, 0.7], torch.tensor([[-1.0, 0.5], [2.0, 0.0]], **f64), 0.3)

    def exact(x, sigma, label):
        return x + sigma[0] ** 2 * mixture.blurred(sigma[0]).score(x)

    for t in (first_time(sde, 0.05), 0.4 * sde.T, sde.T):
        t = torch.tensor(t, **f64)
        scale, std = sde.marginal(t)
        x = scale * mixture.sample(
            50, generator=torch.Generator().manual_seed(2)
        ) + std * torch.randn(50, 2, generator=torch.Generator().manual_seed(3), **f64)
        torch.testing.assert_close(
            score_from(exact, sde)(x, t), mixture.diffused(sde, t).score(x), rtol=1e-7, atol=1e-7
        )


def test_it_is_the_score_network_in_other_words():
    """The same F in `ScoreUNet` on NoiseLevel: s = (D − x)/σ². So a score network's weights begin a
    denoiser."""
    network = shaken(classes=0)
    score = ScoreUNet(NoiseLevel(80.0), (32, 32)).double()
    score.load_state_dict(network.state_dict())
    x, sigma = images(3), torch.tensor([0.05, 1.0, 60.0], **f64)
    with torch.no_grad():
        torch.testing.assert_close(
            (network(x, sigma) - x) / like(sigma, x) ** 2, score(x, sigma), rtol=1e-9, atol=1e-9
        )


def test_labels_are_told_image_by_image():
    network, x = shaken(), images(4)
    with torch.no_grad():
        mixed = network(x, 0.5, torch.tensor([2, 7, NO_LABEL, 2]))
        for k, label in enumerate((2, 7, None, 2)):
            torch.testing.assert_close(
                mixed[k : k + 1], network(x[k : k + 1], 0.5, label), rtol=1e-9, atol=1e-12
            )
        assert (network(x, 0.5, 2) - network(x, 0.5, 7)).abs().max() > 1e-3
        assert torch.equal(network(x, 0.5, NO_LABEL), network(x, 0.5))


def test_guidance_is_linear_between_class_and_no_class():
    network, x, sde = shaken(), images(3), VP()
    counted = Counted(lambda x, sigma: None)

    def count(*args):
        counted.calls += 1
        return network(*args)

    t = torch.tensor(0.4, **f64)
    with torch.no_grad():
        s = {w: score_from(count, sde, label=3, guidance=w)(x, t) for w in (0.0, 1.0, 2.5)}
        assert counted.calls == 1 + 1 + 2
        torch.testing.assert_close(s[2.5], s[0.0] + 2.5 * (s[1.0] - s[0.0]), rtol=1e-9, atol=1e-9)
        assert torch.equal(s[0.0], score_from(network, sde)(x, t)) and not torch.equal(
            s[0.0], s[1.0]
        )


@pytest.mark.parametrize("sde", [VE(0.01, 50.0), VP(), SubVP()], ids=["VE", "VP", "SubVP"])
def test_first_time_is_where_training_ends(sde):
    t = torch.tensor(first_time(sde), **f64)
    assert float(sde.ratio(t)) == pytest.approx(SIGMA_MIN, rel=1e-9)
    assert float(sde.ratio(torch.tensor(sde.T, **f64))) <= SIGMA_MAX


# ---- the loss


def test_the_levels_of_training():
    """A share `spread` is uniform in ln σ over the whole range, the rest ln σ ~ N(mean, std²): mean
    and variance within 5 standard errors."""
    loss = DenoiserLoss(mean=-1.0, std=0.9, spread=0.25)
    n = 40_000
    sigma, z, told, mirrored = loss.draw(
        torch.zeros(n, 1), torch.zeros(n).long(), generator=torch.Generator().manual_seed(0)
    )
    u, low, high = sigma.double().log(), math.log(SIGMA_MIN), math.log(SIGMA_MAX)
    centre, width = (low + high) / 2, high - low
    mean = 0.25 * centre + 0.75 * -1.0
    second = 0.25 * (centre**2 + width**2 / 12) + 0.75 * (1.0 + 0.81)
    assert float(u.mean()) == pytest.approx(mean, abs=5 * math.sqrt(second - mean**2) / n**0.5)
    assert float(u.square().mean()) == pytest.approx(
        second, abs=5 * float(u.square().std()) / n**0.5
    )
    assert low - 1e-4 <= float(u.min()) and float(u.max()) <= high + 1e-4
    assert float((sigma > 20).double().mean()) == pytest.approx(
        0.25 * (high - math.log(20)) / width, abs=0.002
    )  # the bell ends before
    assert (
        float(told.double().mean()) == pytest.approx(0.9, abs=5 * (0.09 / n) ** 0.5)
        and not mirrored.any()
    )
    assert (
        abs(float(torch.corrcoef(torch.stack([torch.arange(n).double(), u]))[0, 1])) < 5 / n**0.5
    )  # no place in the batch has levels of its own


def test_the_loss_is_one_before_training():
    """For data N(m, σ_d²) the exact denoiser's squared error is σ²σ_d²/(σ² + σ_d²) a coordinate:
    times λ it is 1 at every level."""
    network, n = Denoiser((32, 32)).double(), 400
    x0 = 0.286 + 0.353 * torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1), **f64)
    loss = DenoiserLoss()
    draws = loss.draw(x0, torch.zeros(n).long(), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        value = loss(network, x0, torch.zeros(n).long(), *draws)
    assert float(value.mean()) == pytest.approx(
        1, abs=5 * (2 / 64 / n) ** 0.5
    )  # each is a χ² with 64 degrees of freedom over 64
    assert float(value[draws[0] > 1].mean()) == pytest.approx(
        1, abs=5 * float((2 / 64 / (draws[0] > 1).sum()) ** 0.5)
    )


def test_the_perfect_denoiser_of_the_data_has_the_least_loss():
    """On a training set of nine images no denoiser beats their own posterior mean: not a network,
    not a nudge of it."""
    x0 = images(9, dtype=torch.float64)
    density, loss, sigma = EmpiricalDensity(x0, 1.0), DenoiserLoss(), torch.full((9,), 0.4, **f64)
    told, flat = torch.ones(9).bool(), torch.zeros(9).bool()
    value = {}
    for name, f in {
        "perfect": lambda x: density.blurred(0.4).posterior_mean(x),
        "nudged": lambda x: density.blurred(0.4).posterior_mean(x) * 0.97,
        "network": lambda x: Denoiser((32, 32)).double()(x, 0.4).detach(),
    }.items():
        runs = [
            loss(
                lambda x, *_: f(x),
                x0,
                torch.zeros(9).long(),
                sigma,
                torch.randn(x0.shape, generator=torch.Generator().manual_seed(k), **f64),
                told,
                flat,
            )
            for k in range(60)
        ]
        value[name] = torch.cat(runs)
    for name in ("nudged", "network"):
        gap = value[name] - value["perfect"]  # on the same noise
        assert float(gap.mean()) > 5 * float(gap.std()) / len(gap) ** 0.5


def test_flips_and_dropped_labels_reach_the_network():
    seen = {}

    def spy(x, sigma, label):
        seen.update(x=x, label=label)
        return x

    x0, label = images(2), torch.tensor([4, 5])
    DenoiserLoss(flips=True)(
        spy,
        x0,
        label,
        torch.tensor([1.0, 1.0], **f64),
        0 * x0,
        torch.tensor([True, False]),
        torch.tensor([False, True]),
    )
    assert seen["label"].tolist() == [4, NO_LABEL]
    assert torch.equal(seen["x"][0], x0[0]) and torch.equal(seen["x"][1], x0[1].flip(-1))


@pytest.mark.slow
def test_it_learns_labels():
    """Two classes that differ in brightness: trained for a moment, at a σ that hides the image the
    label decides."""
    label = torch.arange(256) % 2
    x0 = 0.2 + 0.5 * label.float()[:, None, None, None] + 0.02 * images(256, dtype=torch.float32)
    torch.manual_seed(0)
    result = train(
        Denoiser((32, 32), classes=2),
        DenoiserLoss(drop=0.2),
        (x0, label),
        steps=120,
        batch_size=64,
        lr=3e-3,
        warmup=10,
        ema=0.9,
        cpu=True,
        progress=False,
    )
    with torch.no_grad():
        x = 20 * torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        dark, bright, any_ = (float(result.network(x, 20.0, y).mean()) for y in (0, 1, None))
    assert (
        dark == pytest.approx(0.21, abs=0.08)
        and bright == pytest.approx(0.71, abs=0.08)
        and dark + 0.1 < any_ < bright - 0.1
    )


# ---- what is bundled, and what is refused


@pytest.mark.parametrize("name", [n for n in weights.names() if n.startswith("denoiser")])
def test_the_bundled_denoisers_denoise(name):
    """On images of the stand-in, at three levels: below the error of the Gaussian denoiser, which
    is what they began as."""
    from sdelib.book.data import fashion_mnist

    with pytest.warns(UserWarning):
        import os

        before = os.environ.get("SDELIB_DATA")
        os.environ["SDELIB_DATA"] = "fallback"
        try:
            x0 = fashion_mnist(train=False).images[:200]
        finally:
            os.environ.pop("SDELIB_DATA") if before is None else os.environ.update(
                SDELIB_DATA=before
            )
    network, gaussian = weights.load(name), Denoiser((32, 32))
    for sigma in (0.1, 0.5, 2.0):
        x = x0 + sigma * torch.randn(x0.shape, generator=torch.Generator().manual_seed(7))
        with torch.no_grad():
            ours, theirs = ((f(x, sigma) - x0).square().mean() for f in (network, gaussian))
        assert ours < 0.5 * theirs, sigma


def test_config_rebuilds_the_denoiser():
    old = shaken(classes=3, dropout=0.2, preconditioned=False, data_mean=0.4, data_std=0.7)
    new = Denoiser(**old.config).double().eval()
    new.load_state_dict(old.state_dict())
    assert new.config == old.config
    assert torch.equal(new(images(2), 0.3, 1), old(images(2), 0.3, 1))


def test_without_classes_it_trains_as_if_there_were_no_labels():
    x0, label = images(8).float(), torch.arange(8)
    run = lambda label: train(
        Denoiser((16, 16), classes=0),
        DenoiserLoss(drop=0.0),
        (x0, label),
        steps=2,
        batch_size=4,
        seed=0,
        cpu=True,
        progress=False,
    )
    losses = []
    for labels in (label, 0 * label):
        torch.manual_seed(0)
        losses.append(run(labels).losses)
    assert torch.equal(*losses)


def test_away_from_the_cpu_the_denoiser_looks_at_no_number():
    """On the meta device there are none to look at: a check that read one would raise."""
    with torch.device("meta"):
        network, x = Denoiser((16, 16)), torch.empty(2, 1, 8, 8)
    assert network(x, torch.empty(2, device="meta"), 3).shape == x.shape
    assert network(x, torch.empty((), device="meta"), torch.tensor([1, 2])).shape == x.shape


@pytest.mark.parametrize(
    "act, says",
    [
        (
            lambda: Denoiser((32, 32))(images(2).float(), 0.001),
            r"sigma = \[0\.001.*\[0\.002, 160\]",
        ),
        (
            lambda: Denoiser((32, 32))(images(2).float(), torch.tensor([1.0, 200.0])),
            r"sigma = \[1\.0, 200\.0\]",
        ),
        (lambda: Denoiser((32, 32))(images(2).float(), math.nan), r"sigma = \[nan"),
        (
            lambda: Denoiser((32, 32))(images(2).float(), 1.0, 10),
            "label = 10: .* from 0 to 9",
        ),
        (lambda: Denoiser((32, 32))(images(2).float(), 1.0, -2), "label = -2"),
        (
            lambda: Denoiser((32, 32))(images(2).float(), 1.0, torch.tensor([1, 2, 3])),
            r"label = \[1, 2, 3\]",
        ),
        (lambda: Denoiser((32, 32))(images(2).float(), 1.0, 0.5), r"label = 0\.5"),
        (
            lambda: Denoiser((32, 32), classes=0).eval()(images(2).float(), 1.0, 1),
            "label = 1: this network has no labels",
        ),
        (lambda: Denoiser((32, 32))(torch.rand(2, 1, 3, 8), 1.0), r"x = \(2, 1, 3, 8\)"),
        (lambda: Denoiser((32, 32))(torch.rand(2, 3, 8, 8), 1.0), r"x = \(2, 3, 8, 8\)"),
        (lambda: Denoiser((33, 32)), r"widths = \(33, 32\)"),
        (lambda: score_from(Denoiser((32, 32)), VP(), label=1, guidance=-0.5), "guidance = -0.5"),
        (
            lambda: score_from(Denoiser((32, 32)), VP(), guidance=2.0),
            r"guidance = 2\.0: give the label",
        ),
        (
            lambda: score_from(Denoiser((32, 32)), VE(0.01, 300.0))(
                images(2).float(), torch.tensor(1.0)
            ),
            r"sigma = \[(300\.0|299\.9)",
        ),
        (lambda: DenoiserLoss(spread=1.5), "spread = 1.5"),
        (lambda: DenoiserLoss(drop=-0.1), "drop = -0.1"),
        (lambda: DenoiserLoss(std=0.0), "std = 0.0"),
    ],
)
def test_what_is_refused(act, says):
    with pytest.raises(ValueError, match=says):
        act()
