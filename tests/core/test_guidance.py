"""Guidance: the exact classifier turns a mixture's score into a component's; the bundled one; what
is refused."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from sdelib.book.classifier import NoisyClassificationLoss, NoisyClassifier
from sdelib.book.data import fashion_mnist
from sdelib.book.toys import garden
from sdelib.denoiser import score_from
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel
from sdelib.guidance import class_score, guided
from sdelib.own import weights
from sdelib.own.training import train

f64 = dict(dtype=torch.float64)


@pytest.mark.parametrize(
    "sde", [NoiseLevel(10.0), VP(), VE(0.01, 10.0)], ids=lambda s: type(s).__name__
)
def test_bayes_rule_for_a_mixture(sde):
    """∇ log p_t + ∇ log r_k = the score of component k, at every t: exact, so to rounding."""
    mixture = garden(torch.float64)
    logits = lambda x, sigma: torch.stack(
        [mixture.blurred(s).responsibilities(y).log() for y, s in zip(x, sigma.expand(len(x)))]
    )
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), **f64)
    for k in range(3):
        component = GaussianMixture([1.0], mixture.means[k : k + 1], mixture.covariances[k : k + 1])
        for t in (0.1, 0.7):
            t = torch.tensor(t * sde.T, **f64)
            found = guided(mixture.score_of(sde), class_score(logits, sde, k), 1.0)(x, t)
            assert torch.allclose(found, component.score_of(sde)(x, t), rtol=1e-7, atol=1e-7)


def test_weight_0_is_the_score_and_each_x_may_have_its_own_label():
    mixture, sde, t = garden(torch.float64), NoiseLevel(10.0), torch.tensor(0.8, **f64)
    logits = lambda x, sigma: mixture.blurred(sigma[0]).responsibilities(x).log()
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), **f64)
    assert torch.equal(
        guided(mixture.score_of(sde), class_score(logits, sde, 1), 0.0)(x, t),
        mixture.score_of(sde)(x, t),
    )
    each = class_score(logits, sde, torch.tensor([0, 1, 2]))(x, t)
    assert torch.allclose(
        each,
        torch.cat([class_score(logits, sde, k)(x[k : k + 1], t) for k in range(3)]),
        atol=1e-12,
    )


def test_classifier_free_guidance_is_guidance_with_the_difference_of_the_scores():
    """score_from(label, guidance = w) = s_∅ + w (s_y − s_∅)."""
    network, sde, t = weights.load("denoiser-small"), VE(0.01, 80.0), torch.tensor(0.6)
    x = sde.marginal(t)[1] * torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    free, told = score_from(network, sde), score_from(network, sde, label=3)
    by_difference = guided(free, lambda x, t: told(x, t) - free(x, t), 2.5)(x, t)
    assert torch.allclose(
        score_from(network, sde, label=3, guidance=2.5)(x, t), by_difference, rtol=1e-4, atol=1e-5
    )


def test_a_new_classifier_knows_nothing_and_learns():
    torch.manual_seed(0)
    network, n = NoisyClassifier((8, 16)), 64
    x = torch.zeros(n, 1, 28, 28)
    x[: n // 2, :, 4:24, 4:24] = 1.0  # a square, or nothing
    y = (torch.arange(n) < n // 2).long()
    result = train(
        network,
        NoisyClassificationLoss(),
        (x, y),
        steps=60,
        batch_size=32,
        lr=3e-3,
        warmup=5,
        ema=0.9,
        seed=0,
        cpu=True,
        progress=False,
    )
    before, after = result.losses[:3].mean(), result.losses[-10:].mean()
    # under σ = 0.3 the square is plain; under σ = 160 nobody sees it: log 2 is the best there
    with torch.no_grad():
        easy = F.cross_entropy(
            result.network(
                x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)), 0.3
            ),
            y,
        )
    assert before > 1.5 and after < 0.6 and easy < 0.2


def test_the_loss_is_the_cross_entropy_under_noise():
    loss, logits = NoisyClassificationLoss(), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    x, y = torch.zeros(2, 1, 28, 28), torch.tensor([0, 0])
    sigma, z = loss.draw(x, y, generator=torch.Generator().manual_seed(0))
    assert sigma.shape == (2,) and z.shape == x.shape
    seen = []
    value = loss(lambda v, s: seen.append(v) or logits, x, y, sigma, z)
    assert torch.allclose(seen[0], sigma.reshape(2, 1, 1, 1) * z)
    assert torch.allclose(value, torch.tensor([math.log(1 + math.exp(-2)), math.log(1 + math.e)]))


def test_the_bundled_classifier():
    test, network = fashion_mnist(train=False), weights.load("noisy-classifier")
    n = min(500, len(test))
    z = torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    right = [
        (network(test.images[:n] + s * z, s).argmax(1) == test.labels[:n]).float().mean().item()
        for s in (0.01, 1.0, 100.0)
    ]
    # 0.9 and 0.7 were measured for real images; at σ = 100 it is chance, 0.1 with a standard error
    # of 0.013, more where classes are uneven
    assert right[0] > 0.75 and right[1] > 0.55 and right[2] < 0.25


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: class_score(None, VP(), -1), "label = -1"),
        (lambda: class_score(None, VP(), 0.5), "label = 0.5"),
        (
            lambda: class_score(lambda x, s: torch.zeros(len(x), 10) + x.sum(), VP(), 10)(
                torch.zeros(1, 2), torch.tensor(0.5)
            ),
            "label = 10: .*from 0 to 9",
        ),
        (lambda: guided(None, None, -0.5), "weight = -0.5"),
        (lambda: guided(None, None, math.inf), "weight = inf"),
        (lambda: NoisyClassifier()(torch.zeros(1, 28, 28), 0.1), "shape of x = "),
        (lambda: NoisyClassifier()(torch.zeros(1, 1, 28, 28), 1e-4), "sigma = .*0.002"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
