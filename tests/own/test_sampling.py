"""What is drawn has the shape and the range of the model."""

import pytest
import torch

from sdelib.denoiser import SIGMA_MIN, first_time
from sdelib.families import VE, VP
from sdelib.networks import Denoiser, DenoiserMLP
from sdelib.own.by_name import sample_denoiser, sample_score
from sdelib.own.sampling import sample_images

GARMENT = (1, 28, 28)
KINDS = {
    "8×8": (lambda **how: Denoiser((8, 8), shape=(1, 8, 8), **how), (1, 8, 8)),
    "colour": (lambda **how: Denoiser((8, 8), channels=3, shape=(3, 9, 7), **how), (3, 9, 7)),
    "garment": (lambda **how: Denoiser((8, 8), **how), GARMENT),
    "series": (lambda **how: Denoiser((8, 8), dims=1, shape=(30,), **how), (30,)),
    "points": (lambda **how: DenoiserMLP(3, 8, **how), (3,)),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.fault
@pytest.mark.parametrize("make, shape", KINDS.values(), ids=KINDS)
def test_the_shape_and_the_range_are_the_models(make, shape):
    """Untrained it is the denoiser of N(2, 0.5²): images of such data are cut at 1, and points and
    series are not: their mean is 2 within 5 standard errors."""
    network = make(data_mean=2.0, data_std=0.5)
    x, nfe = sample_denoiser(network, VE(0.01, 80.0), 60, evaluations=6, generator=generator())
    assert x.shape == (60, *shape) and nfe <= 6
    if len(shape) == 3:
        assert float(x.max()) == 1.0
        how = dict(evaluations=6, generator=generator(), clamp=None)
        x, _ = sample_denoiser(network, VE(0.01, 80.0), 60, **how)
    # a few steps from σ = 80 to a spread of 0.5 leave it right to a fifth
    assert float(x.mean()) == pytest.approx(2.0, abs=5 * 0.6 / x.numel() ** 0.5 + 0.02)
    assert float(x.std()) == pytest.approx(0.5, rel=0.2)


def test_a_shape_and_a_range_may_be_told():
    network, how = KINDS["8×8"][0](), dict(evaluations=4)
    draw = lambda **more: sample_denoiser(network, VP(), 5, generator=generator(), **how, **more)[0]
    assert draw(shape=(1, 12, 16)).shape == (5, 1, 12, 16)
    free = draw(clamp=None)
    assert float(free.min()) < 0 < 1 < float(free.max())
    assert torch.equal(draw(), free.clamp(0, 1))
    assert torch.equal(draw(clamp=(0.2, 0.3)), free.clamp(0.2, 0.3))


def test_it_stops_at_the_least_noise_of_the_denoiser():
    for levels, low in (((0.05, 30.0), 0.05), (None, SIGMA_MIN)):
        seen = []
        network = DenoiserMLP(2, 8, **({"levels": levels} if levels else {}))
        network.register_forward_pre_hook(lambda m, args: seen.append(float(args[1].min())))
        sample_denoiser(network, VE(0.01, 20.0), 2, evaluations=5, generator=generator())
        assert min(seen) == pytest.approx(low, rel=1e-3) and min(seen) >= 0.999 * low
    score = lambda x, t: -x
    sample = lambda **how: sample_score(
        score, VE(0.01, 20.0), 2, evaluations=5, shape=(2,), generator=generator(), **how
    )[0]
    t_min = first_time(VE(0.01, 20.0), 1.0001 * SIGMA_MIN)
    assert torch.equal(sample(), sample(t_min=t_min))


@pytest.mark.fault
def test_points_outside_the_unit_interval_are_not_cut():
    score = lambda x, t: -(x - 7.0) / 1.0
    how = dict(steps=3, progress=False, generator=generator())
    x, _ = sample_images(score, VP(), 9, shape=(2,), **how)
    assert float(x.max()) > 1


@pytest.mark.parametrize(
    "more, says",
    [
        ({"clamp": (1.0, 0.0)}, r"clamp = \(1\.0, 0\.0\)"),
        ({"network": Denoiser((8, 8), channels=3)}, "shape = None"),
        ({"network": Denoiser((8, 8), dims=1)}, "shape = None"),
        ({"network": DenoiserMLP(2, 8, levels=(0.002, 50.0))}, r"sigma = .*\[0\.002, 50\]"),
    ],
)
def test_what_is_refused(more, says):
    network = more.pop("network", KINDS["8×8"][0]())
    with pytest.raises(ValueError, match=says):
        sample_denoiser(network, VE(0.01, 80.0), 2, evaluations=4, generator=generator(), **more)
