"""Bounds on the probability of whole grey levels, against a world in which that probability is
known."""

import math

import pytest
import torch

from sdelib.densities import GaussianMixture
from sdelib.dequantisation import (
    Decoder,
    bits_per_dim,
    dequantise,
    diffusion_bound,
    gaussian_bound,
    grey_levels,
)

LEVELS = torch.tensor([0.0, 0.1, 0.2, 0.3], dtype=torch.float64)
P = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64)  # P(k), of one pixel
SIGMA = 0.06
GENERATOR = dict(dtype=torch.float64)


def world():
    """p(x) = Σ_k P(k) N(x; a_k, σ²), and log P(k | x) by Bayes' rule: then P(k) = ∫ p(x) P(k | x)
    dx exactly."""
    return GaussianMixture(P, LEVELS[:, None], SIGMA)


def draws(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    k = torch.multinomial(P, n, replacement=True, generator=g)
    return k, LEVELS[k] + SIGMA * torch.randn(n, generator=g, **GENERATOR)


def test_the_bound_is_log_P_at_every_draw_when_model_and_decoder_are_exact():
    """log p(x) − log q(x | k) + log P(k | x) = log P(k) by Bayes' rule, for every x."""
    k, x = draws(200)
    p = world()
    bound = gaussian_bound(
        p.log_prob(x[:, None]),
        p.responsibilities(x[:, None])[torch.arange(200), k].log(),
        x[:, None],
        LEVELS[k][:, None],
        SIGMA,
    )
    torch.testing.assert_close(bound, P[k].log(), rtol=0, atol=1e-10)


def test_elsewhere_it_lies_below_by_the_divergence_that_is_left():
    """A wrong decoder R costs E_q[log P(k | x)/R(k | x)] ≥ 0 on average over k ~ P; on the line it
    is a sum, by quadrature."""
    p = world()
    x = torch.linspace(-1, 1.5, 20_001, **GENERATOR)
    right = p.responsibilities(x[:, None])
    wrong = 0.5 * right + 0.5 / 4
    density = torch.stack(
        [torch.distributions.Normal(a, SIGMA).log_prob(x).exp() for a in LEVELS], 1
    )
    for decoder in (right, wrong):
        each = torch.stack(
            [
                gaussian_bound(
                    p.log_prob(x[:, None]),
                    decoder[:, k].log(),
                    x[:, None],
                    LEVELS[k].expand(len(x), 1),
                    SIGMA,
                )
                for k in range(4)
            ],
            1,
        )
        mean = torch.trapezoid(density * each, x, dim=0)
        if decoder is right:
            torch.testing.assert_close(mean, P.log(), rtol=0, atol=1e-6)
        else:
            # P(k) under the wrong decoder is ∫ p R(k | x): the bound is below *its* logarithm, for
            # each k
            model = torch.trapezoid(p.log_prob(x[:, None]).exp()[:, None] * decoder, x, dim=0)
            assert float(model.sum()) == pytest.approx(1, abs=1e-9)
            assert bool((mean < model.log()).all()) and float((P * (P.log() - mean)).sum()) > 0.05


def fitted(n=20_000):
    k, x = draws(n, 1)
    D = (world().responsibilities(x[:, None]) * LEVELS).sum(1)  # the exact denoiser
    return Decoder.fit(D, k, LEVELS, SIGMA, P, bins=40)


def test_the_fitted_decoder_is_a_law_and_nearly_bayes():
    decoder = fitted()
    k, x = draws(4000, 2)
    r = world().responsibilities(x[:, None])
    D = (r * LEVELS).sum(1)
    log = decoder.probabilities(x, D)
    torch.testing.assert_close(log.exp().sum(-1), torch.ones(4000, **GENERATOR), rtol=0, atol=1e-12)
    found = decoder.log_prob(x[:, None], D[:, None], k[:, None])
    torch.testing.assert_close(found, log[torch.arange(4000), k])
    loss = (r[torch.arange(4000), k].log() - found).mean()
    assert (
        -0.005 < float(loss) < 0.01
    )  # D tells black here as x does; what is lost is the width of the bins


def test_decoder_adds_up_the_pixels_and_splits_large_batches():
    decoder = fitted(2000)
    k, x = draws(40 * 6, 3)
    k, x = k.reshape(40, 1, 2, 3), x.reshape(40, 1, 2, 3)
    D = x.clamp(0, 0.3)
    one = torch.cat([decoder.log_prob(a[None], b[None], c[None]) for a, b, c in zip(x, D, k)])
    torch.testing.assert_close(decoder.log_prob(x, D, k.float()), one)


def test_diffusion_bound_of_a_gaussian_pixel_world():
    """With the exact denoiser of the four levels the bound's mean over k ~ P is −H(P), the best
    that any model can have.

    The prior N(0, σ_max²) is not quite p_T: KL(q(x_T | x_0) ‖ π) = x₀²/(2 σ_max²) is given, but the
    *sum* of the three terms loses only KL(p_T ‖ π) < E x₀²/(2 σ_max²), below 1e-5 for σ_max = 40.
    """
    n = 40_000
    g = torch.Generator().manual_seed(4)
    k = torch.multinomial(P, n, replacement=True, generator=g)
    x0 = LEVELS[k][:, None]

    def denoiser(x, sigma, label=None):
        log = P.log() - (x - LEVELS) ** 2 / (2 * torch.as_tensor(sigma).reshape(-1, 1) ** 2)
        return (torch.softmax(log, 1) * LEVELS).sum(1, keepdim=True)

    decoder = fitted()
    bound = diffusion_bound(denoiser, x0, decoder, sigma_max=40.0, generator=g, batch=10_000)
    error = float(bound.std() / math.sqrt(n))
    assert float(bound.mean()) == pytest.approx(float((P * P.log()).sum()), abs=4 * error + 0.01)
    assert bound.shape == (n,) and error < 0.02
    worse = diffusion_bound(
        lambda x, s, y=None: 0.5 * denoiser(x, s) + 0.05,
        x0,
        decoder,
        sigma_max=40.0,
        generator=g,
        batch=10_000,
    )
    assert float(worse.mean()) < float(bound.mean()) - 0.1


def test_labels_go_with_their_images():
    seen = []
    decoder = fitted(2000)
    x0 = LEVELS[torch.arange(10) % 4][:, None]

    def denoiser(x, sigma, label=None):
        seen.append(None if label is None else torch.as_tensor(label).tolist())
        return x

    diffusion_bound(
        denoiser,
        x0,
        decoder,
        sigma_max=2.0,
        label=torch.arange(10),
        generator=torch.Generator(),
        batch=6,
    )
    assert seen == [list(range(6))] * 2 + [list(range(6, 10))] * 2


def test_bad_arguments_raise():
    decoder, x = fitted(2000), torch.zeros(2, 3, dtype=torch.float64)
    edges, black = decoder.edges, decoder.black
    for bad, words in (
        ((LEVELS.flip(0), SIGMA, P, edges, black), "levels"),
        ((LEVELS, 0.0, P, edges, black), "sigma"),
        ((LEVELS, SIGMA, P[:2], edges, black), "weights"),
        ((LEVELS, SIGMA, 0 * P, edges, black), "weights"),
        ((LEVELS, SIGMA, P, edges, black[1:]), "black"),
        ((LEVELS, SIGMA, P, edges, 0 * black), "black"),
    ):
        with pytest.raises(ValueError, match=words):
            Decoder(*bad)
    with pytest.raises(ValueError, match=r"k .*\(1, 3\)"):
        Decoder.fit(x, x[:1], LEVELS, SIGMA, P)
    with pytest.raises(ValueError, match=r"D .*\(1, 3\)"):
        decoder.log_prob(x, x[:1], x)
    for k in (x + 0.5, x - 1, x + 4):
        with pytest.raises(ValueError, match="k = "):
            decoder.log_prob(x, x, k)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="sigma = "):
            gaussian_bound(x[:, 0], x[:, 0], x, x, sigma)
    with pytest.raises(ValueError, match=r"centre .*\(1, 3\)"):
        gaussian_bound(x[:, 0], x[:, 0], x, x[:1], 0.1)
    with pytest.raises(ValueError, match="sigma_max = "):
        diffusion_bound(lambda x, s, y: x, x, decoder, sigma_max=SIGMA, generator=torch.Generator())


# ---- bits


def test_bits_per_dim():
    assert float(bits_per_dim(torch.tensor(0.0), 784)) == 8.0  # uniform on [0, 1]^d
    assert float(bits_per_dim(torch.tensor(-math.log(2) * 784), 784)) == pytest.approx(9.0)
    assert (
        float(bits_per_dim(torch.tensor(0.0), 10, width=2 / 256)) == 7.0
    )  # the same images on [0, 2]…
    assert float(bits_per_dim(torch.tensor(-10 * math.log(2)), 10, width=2 / 256)) == pytest.approx(
        8.0
    )  # …with density 2^-d
    for bad, says in (
        (dict(d=0), "d = 0"),
        (dict(d=-3), "d = -3"),
        (dict(d=2, width=0.0), "width = 0"),
    ):
        with pytest.raises(ValueError, match=says):
            bits_per_dim(torch.tensor(0.0), **bad)


def test_dequantise_stays_in_its_cube():
    k = torch.arange(256.0).reshape(1, 1, 16, 16)
    y = dequantise(k / 255, generator=torch.Generator().manual_seed(10))
    assert torch.equal((y * 256).floor(), k) and float(y.min()) >= 0 and float(y.max()) < 1
    u = (y * 256 - k).double()
    assert abs(float(u.mean()) - 0.5) < 5 / math.sqrt(12 * 256)
    assert torch.equal(grey_levels(k / 255), k)
    for bad in (y, k, torch.tensor([-1 / 255])):
        with pytest.raises(ValueError, match="images = "):
            dequantise(bad, generator=torch.Generator())
