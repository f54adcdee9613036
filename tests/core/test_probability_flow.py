"""The probability flow: orders, codes, and what is refused."""

import math

import pytest
import torch

from sdelib.book.toys import GeometricBrownian, garden
from sdelib.brownian import Still
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.grids import uniform_times
from sdelib.integration import Counted, solve
from sdelib.probability_flow import decode, encode, flow, interpolate, rk45
from sdelib.reversal import Reverse
from sdelib.solvers import euler_maruyama, heun

PROCESSES = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["VE", "VE.power", "VP", "SubVP", "NoiseLevel"]


def gaussian(sde, mean=0.7, std=0.4, d=2):
    return GaussianMixture([1.0], torch.full((1, d), mean, dtype=torch.float64), std)


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_the_flow_of_a_gaussian_is_known(sde):
    """x_t − scale_t m = √(scale_t² s² + std_t²) · const along the flow; solved to a tolerance of
    1e-8, one of 1e-6 holds."""
    p = gaussian(sde)
    x = torch.linspace(-2, 3, 14, dtype=torch.float64).reshape(7, 2)
    spread = lambda t: (lambda scale, std: (scale * 0.7, (scale**2 * 0.16 + std**2).sqrt()))(
        *sde.marginal(torch.tensor(t).double())
    )
    (m0, s0), (m1, s1) = spread(0.01 * sde.T), spread(sde.T)
    exact = m1 + (x - m0) / s0 * s1
    found, nfe = flow(sde, p.score_of(sde), x, 0.01 * sde.T, sde.T, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        encode(sde, p.score_of(sde), x, t_min=0.01 * sde.T, rtol=1e-8, atol=1e-8),
        found,
        rtol=0,
        atol=0,
    )
    assert 0 < nfe < 2000


@pytest.mark.parametrize(
    "step, order, steps",
    [(euler_maruyama, 1, (160, 320, 640)), (heun, 2, (40, 80, 160)), (rk45, 5, (20, 28, 40))],
)
def test_orders_of_the_ode_steps(step, order, steps):
    """On the exact flow of a mixture, against scipy's adaptive method at 1e-11."""
    mixture, sde = garden(torch.float64), VP()
    x = mixture.diffused(sde, 1.0).sample(40, generator=torch.Generator().manual_seed(1))
    exact, _ = flow(sde, mixture.score_of(sde), x, 1.0, 0.4, rtol=1e-11, atol=1e-11)
    ode = Reverse(sde, mixture.score_of(sde), eta=0.0)
    error = torch.stack(
        [
            (solve(ode, x, uniform_times(1.0, 0.4, n), step, noise=Still(x)) - exact)
            .square()
            .mean()
            .sqrt()
            for n in steps
        ]
    )
    a, b = torch.tensor(steps, dtype=torch.float64).log(), error.log()
    slope = -float(((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum())
    assert slope == pytest.approx(order, abs=0.15) if order < 5 else slope > 4


def test_rk45_is_scipys_own_step_and_costs_six():
    """On dx = t⁴ dt one step is exact (order 5); on x' = x it is the Taylor series to h⁵ with
    scipy's h⁶/600."""

    class Power(GeometricBrownian):
        def drift(self, x, t):
            return t**4 * torch.ones_like(x)

        def diffusion(self, x, t):
            return torch.zeros_like(x)

    x, t, h = (torch.tensor(a, dtype=torch.float64) for a in (0.5, 1.0, 0.3))
    assert float(rk45(Power(), x, t, h, 0 * x)) == pytest.approx(0.5 + (1.3**5 - 1) / 5, rel=1e-14)

    class Growth(Power):
        def drift(self, x, t):
            return x

    series = sum(0.3**k / math.factorial(k) for k in range(6)) + 0.3**6 / 600
    assert float(rk45(Growth(), x, t, h, 0 * x)) == pytest.approx(0.5 * series, rel=1e-14)
    score = Counted(lambda x, t: -x)
    y = torch.ones(3, dtype=torch.float64)
    solve(Reverse(VP(), score, 0.0), y, uniform_times(1.0, 0.5, 4), rk45, noise=Still(y))
    assert score.calls == 24
    with pytest.raises(ValueError, match=r"diffusion = 4\.47"):
        solve(Reverse(VP(), score, 1.0), y, uniform_times(1.0, 0.5, 4), rk45, noise=Still(y))


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
@pytest.mark.parametrize("tol", [1e-4, 1e-7])
def test_decode_undoes_encode_to_its_tolerance(sde, tol):
    mixture = garden(torch.float64)
    x = mixture.sample(30, generator=torch.Generator().manual_seed(2))
    t_min = 0.01 * sde.T
    z = encode(sde, mixture.score_of(sde), x, t_min=t_min, rtol=tol, atol=tol)
    back = decode(sde, mixture.score_of(sde), z, t_min=t_min, rtol=tol, atol=tol)
    # local errors of tol add up over some 10 to 100 steps, and the way back stretches them by at
    # most about 100
    assert float((back - x).square().mean().sqrt()) < 3e3 * tol
    assert float((z - x).square().mean().sqrt()) > 0.3


def test_float32_state_stays_float32():
    x = torch.ones(3, 1, 2, 2)
    y, nfe = flow(VP(), lambda x, t: -x, x, 1.0, 0.1)
    assert y.dtype == torch.float32 and y.shape == x.shape
    torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4)  # N(0, 1) does not move under VP


def test_interpolate_walks_the_great_circle():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    out = interpolate(a, b, torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    torch.testing.assert_close(
        out, 3 * torch.tensor([[1, 0], [math.cos(math.pi / 6), 0.5], [0.5**0.5, 0.5**0.5], [0, 1]])
    )
    g = torch.Generator().manual_seed(3)
    a, b = (torch.randn(1, 28, 28, generator=g) for _ in range(2))
    mid = interpolate(a, b, torch.tensor([0.5]))
    assert mid.shape == (1, 1, 28, 28)
    assert float(mid.norm()) == pytest.approx(28, rel=0.1) and float(((a + b) / 2).norm()) < 22
    with pytest.raises(ValueError, match=r"b .*\(28, 28\).*\(1, 28, 28\)"):
        interpolate(a, b[0], torch.tensor([0.5]))
    for other in (a, -2 * a):
        with pytest.raises(ValueError, match="cos\\(a, b\\) = -?1.0|cos\\(a, b\\) = -?0.99"):
            interpolate(a, other, torch.tensor([0.5]))


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_bad_arguments_raise(name):
    x = torch.ones(2, 2)
    for value in (0.0, -1e-3, math.nan):
        with pytest.raises(ValueError, match=name):
            flow(VP(), lambda x, t: -x, x, 1.0, 0.1, **{name: value})
    with pytest.raises(ValueError, match=r"start = 0\.5"):
        flow(VP(), lambda x, t: -x, x, 0.5, 0.5)
    with pytest.raises(ValueError, match=r"leaves \[0, 1"):
        flow(VP(), lambda x, t: -x, x, 1.5, 0.1)
    with pytest.raises(ValueError, match=r"score.*shape \(1, 2\)"):
        flow(VP(), lambda x, t: -x[:1], x, 1.0, 0.1)
    with pytest.raises(ValueError, match=r"(?=.*score)(?=.* t = 0\.)(?=.*nan)"):
        flow(VP(), lambda x, t: x / (t > 0.3), x * 0, 1.0, 0.1)
