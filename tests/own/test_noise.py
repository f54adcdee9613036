"""Noise that belongs to an example: the right law, and the same whatever else is in the batch."""

import math

import pytest
import torch

from sdelib.families import VE
from sdelib.own.by_name import SOLVERS
from sdelib.own.luck import generator_of, luck, undisturbed
from sdelib.own.noise import CorrectorOfEach, NoiseOfEach, of_each
from sdelib.predictor_corrector import PredictorCorrector, stay
from sdelib.reversal import Reverse
from sdelib.solvers import euler_maruyama

TIMES = torch.tensor(0.9, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)


def noise(n=8, shape=(3,), seed=0, first=0, dtype=torch.float64):
    return NoiseOfEach(
        torch.empty(n, *shape, dtype=dtype), seed=seed, numbers=range(first, n + first)
    )


def test_its_law():
    """dw ~ N(0, h), its area has variance h³/3 and covariance ½h² (½h|h| backwards), within five
    standard errors; over examples, and over the draws of one example."""
    h, n = -0.5, 20_000
    for white, draws in ((noise(n, (1,)), 1), (noise(4, (1,)), n // 4)):
        pairs = [white.with_area(*TIMES) for _ in range(draws)]
        dw, area = (torch.cat(a).flatten() for a in zip(*pairs))
        assert len(dw) == n and abs(float(dw.mean())) < 5 * math.sqrt(0.5 / n)
        for a, b, right in ((dw, dw, 0.5), (area, area, 0.5**3 / 3), (dw, area, h * 0.5 / 2)):
            product = a * b
            assert float(product.mean()) == pytest.approx(
                right, abs=5 * float(product.std()) / math.sqrt(n)
            )
    lag = dw[:-4] * dw[4:]  # one example, one draw and the next
    assert abs(float(lag.mean())) < 5 * float(lag.std()) / math.sqrt(n)


def test_an_example_has_its_own():
    whole, part, late = noise(8), noise(4), noise(4, first=4)
    for _ in range(3):
        z = whole(*TIMES)
        assert torch.equal(z, torch.cat([part(*TIMES), late(*TIMES)]))
        assert len(z.unique()) == z.numel()
    assert not torch.equal(noise(seed=1).normal(), noise().normal())


@pytest.mark.parametrize("shape", [(), (3,), (1, 8, 8)])
def test_precisions_see_one_noise(shape):
    single, double = noise(shape=shape, dtype=torch.float32), noise(shape=shape)
    for _ in range(2):
        a, b = single.normal(), double.normal()
        assert a.dtype == torch.float32 and torch.equal(a, b.float())


def test_numbers_are_counted():
    with pytest.raises(ValueError, match="numbers = 3"):
        NoiseOfEach(torch.empty(2, 1), seed=0, numbers=range(3))


def test_a_corrector_moves_each_example_by_itself():
    """Its steps are those of the book's corrector for a batch of one."""
    sde = Reverse(VE(), lambda x, t: -x / (1 + t**2), 1.0)
    x, dt = noise(5).normal(), TIMES[1] - TIMES[0]
    made = SOLVERS["annealed-langevin"].make(4, torch.Generator())
    assert (
        isinstance(made, PredictorCorrector) and of_each(euler_maruyama, noise()) is euler_maruyama
    )
    step = of_each(made, white := noise(5))
    assert isinstance(step, CorrectorOfEach) and step.inner is stay
    moved = step(sde, x, TIMES[0], dt, torch.zeros(()))
    z = noise(5).normal()
    assert torch.equal(white.normal(), [*(again := noise(5)).normal(), again.normal()][-1])
    for k in range(5):
        s = sde.score_at(x[k : k + 1], TIMES[1])
        eps = 2 * made.snr**2 / s.square().mean()
        torch.testing.assert_close(
            moved[k : k + 1], x[k : k + 1] + eps * s + (2 * eps).sqrt() * z[k]
        )


def test_a_key_and_the_global_generators():
    draw = lambda *key: torch.rand(2, generator=generator_of(*key)).tolist()
    assert draw("noise", 0, 1) == draw("noise", 0, 1) != draw("noise", 1, 0)
    before = luck()
    with pytest.raises(KeyError), undisturbed():
        torch.rand(3)
        raise KeyError
    after = luck()
    assert torch.equal(before[0]["rng"], after[0]["rng"]) and before[1] == after[1]
