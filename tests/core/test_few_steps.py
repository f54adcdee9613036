"""DPM-Solver++ and EDM's Heun: exact where they must be, of the order that they claim, and what
they refuse."""

import math

import pytest
import torch

from sdelib.book.toys import GeometricBrownian, garden
from sdelib.brownian import BrownianPath, Still, WhiteNoise
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.few_steps import DPMSolver, EDMHeun
from sdelib.grids import geometric_times, karras_times, uniform_times
from sdelib.integration import Counted, integrate, solve, trajectory
from sdelib.reversal import Reverse
from sdelib.solvers import heun

PROCESSES = [VE(0.01, 8.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["VE", "VP", "SubVP", "NoiseLevel"]
f64 = dict(dtype=torch.float64)


def point_score(sde, m):
    def score(x, t):
        scale, std = sde.marginal(t)
        return (scale * m - x) / std**2

    return score


def bell_score(sde, m, v):
    def score(x, t):
        scale, std = sde.marginal(t)
        return (scale * m - x) / (scale**2 * v + std**2)

    return score


class Kick:
    """Noise √|dt| in row k of x at step k and none elsewhere: the response of a linear solver to
    each draw of its own."""

    def __init__(self, steps):
        self.steps, self.k = steps, 0

    def __call__(self, t, t_next):
        e = torch.zeros(self.steps + 2, 1, **f64)
        e[self.k + 2] = (t_next - t).abs().sqrt()
        self.k += 1
        return e


def linear_law(sde, make_step, times, mean, variance):
    """(mean, variance) at the end, exactly, for a score that is affine in x; row 0 starts at 0, row
    1 at 1, then the kicks."""
    x = torch.zeros(len(times) + 1, 1, **f64)
    x[1] = 1
    end = solve(sde, x, times, make_step(), noise=Kick(len(times) - 1))[:, 0]
    from_start, kicks = end[1] - end[0], end[2:] - end[0]
    return float(end[0] + from_start * mean), float(from_start**2 * variance + kicks.square().sum())


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_dpm_is_exact_for_one_point_at_any_step(sde, order, eta):
    """The denoiser of one point is constant, so D̃ = D and the rest is solved exactly: three steps
    end in N(scale·m, std²)."""
    m, t_min = 0.7, 0.01 * sde.T
    (scale, std), (scale_0, std_0) = (sde.marginal(torch.tensor(t, **f64)) for t in (sde.T, t_min))
    times = uniform_times(sde.T, t_min, 3)
    mean, variance = linear_law(
        Reverse(sde, point_score(sde, m), eta),
        lambda: DPMSolver(order),
        times,
        float(scale * m),
        float(std**2),
    )
    assert (mean, variance) == pytest.approx((float(scale_0 * m), float(std_0**2)), rel=1e-9)


def slope(errors, steps):
    e, n = (torch.tensor(v, **f64).log() for v in (errors, [float(s) for s in steps]))
    e, n = e - e.mean(), n - n.mean()
    return -float((e * n).sum() / n.square().sum())


@pytest.mark.slow
@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
@pytest.mark.parametrize(
    "make, order",
    [(lambda: DPMSolver(1), 1), (lambda: DPMSolver(2), 2), (lambda: EDMHeun(), 2)],
    ids=["DDIM", "DPM-Solver++(2M)", "EDM Heun"],
)
def test_order_of_the_probability_flow(sde, make, order):
    """End points against a fine solution of the same flow, from the same starts; grids geometric in
    std/scale."""
    start, stop = (
        float(sde.time(torch.tensor(6.0, **f64))),
        float(sde.time(torch.tensor(0.2, **f64))),
    )
    x = (
        garden(torch.float64)
        .diffused(sde, start)
        .sample(60, generator=torch.Generator().manual_seed(0))
    )
    back = Reverse(sde, garden(torch.float64).score_of(sde), 0.0)
    exact = solve(back, x, geometric_times(sde, start, stop, 1500), EDMHeun(), noise=Still(x))
    steps = (64, 128, 256)
    errors = [
        float(
            (solve(back, x, geometric_times(sde, start, stop, n), make(), noise=Still(x)) - exact)
            .square()
            .sum(1)
            .mean()
            .sqrt()
        )
        for n in steps
    ]
    assert slope(errors, steps) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_weak_order_of_the_sde_form(eta):
    """For Gaussian data the variance at the end is computed exactly; its error falls with order 2,
    and with 1 for order = 1."""
    sde, m, v = VP(), 0.3, 0.25
    steps, start, stop = (128, 256, 512), 1.0, 0.05
    scale, std = sde.marginal(torch.tensor([start, stop], **f64))
    truth = float(scale[1] ** 2 * v + std[1] ** 2)
    for order, expected in ((1, 1), (2, 2)):
        errors = []
        for n in steps:
            _, variance = linear_law(
                Reverse(sde, bell_score(sde, m, v), eta),
                lambda: DPMSolver(order),
                geometric_times(sde, start, stop, n),
                float(scale[0] * m),
                float(scale[0] ** 2 * v + std[0] ** 2),
            )
            errors.append(abs(variance - truth))
        assert slope(errors, steps) == pytest.approx(expected, abs=0.15), errors


def test_first_order_without_noise_is_ddim():
    """x' = scale'·D + std'·ε with ε = −std·s: DDIM as its authors write it."""
    sde = VP()
    x, t, t_next = (
        torch.randn(5, 2, generator=torch.Generator().manual_seed(1), **f64),
        torch.tensor(0.6, **f64),
        torch.tensor(0.4, **f64),
    )
    score = garden(torch.float64).score_of(sde)
    (scale, std), (scale_next, std_next) = sde.marginal(t), sde.marginal(t_next)
    s = score(x, t)
    ddim = scale_next * (x + std**2 * s) / scale - std_next * std * s
    torch.testing.assert_close(
        DPMSolver(1)(Reverse(sde, score, 0.0), x, t, t_next - t, 0 * x),
        ddim,
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_one_object_serves_many_solves_at_a_time(eta):
    """Two interleaved solves, and one that begins where another ended, to the last bit as apart."""
    sde = VP()
    back = Reverse(sde, garden(torch.float64).score_of(sde), eta)
    times = geometric_times(sde, 1.0, 0.01, 8)
    one, two = torch.randn(2, 7, 2, generator=torch.Generator().manual_seed(2), **f64)
    noise = BrownianPath(times, one, generator=torch.Generator().manual_seed(3))
    apart = [trajectory(back, x, times, DPMSolver(), noise=noise) for x in (one, two)]
    step = DPMSolver()
    both = [integrate(back, x, times, step, noise=noise) for x in (one, two)]
    for k, states in enumerate(zip(*both, strict=True)):
        assert all(torch.equal(x, alone[k + 1]) for x, alone in zip(states, apart, strict=True))
    half = solve(back, one, times[:5], step, noise=noise)  # the second half begins anew
    fresh = solve(back, half, times[4:], DPMSolver(), noise=noise)
    assert torch.equal(solve(back, half, times[4:], step, noise=noise), fresh)
    assert not torch.equal(fresh, apart[0][-1])


def test_edm_without_churn_is_heun_where_time_is_the_noise_level():
    sde = NoiseLevel(20.0)
    back, times = (
        Reverse(sde, garden(torch.float64).score_of(sde), 0.0),
        karras_times(sde, 20.0, 0.05, 12),
    )
    x = 20 * torch.randn(9, 2, generator=torch.Generator().manual_seed(3), **f64)
    torch.testing.assert_close(
        trajectory(back, x, times, EDMHeun(), noise=Still(x)),
        trajectory(back, x, times, heun, noise=Still(x)),
        rtol=1e-10,
        atol=1e-10,
    )


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_edm_takes_the_same_steps_on_every_process(sde):
    """y = x/scale on one grid of ratios: VE, VP and sub-VP give the same y, with churn too."""
    ratios = geometric_times(NoiseLevel(20.0), 7.9, 0.05, 10)
    reference = NoiseLevel(7.9)
    y = 7.9 * torch.randn(4, 2, generator=torch.Generator().manual_seed(4), **f64)
    ends = []
    for process in (reference, sde):
        times = process.time(ratios.double())
        z = torch.Generator().manual_seed(5)
        x = process.marginal(times[0])[0] * y
        unit = lambda t, t_next: (t_next - t).abs().sqrt() * torch.randn(4, 2, generator=z, **f64)
        step = EDMHeun(churn=3.0, steps=10, s_max=7.0)  # no churn in the first step: T differs
        for x in integrate(
            Reverse(process, garden(torch.float64).score_of(process), 0.0),
            x,
            times,
            step,
            noise=unit,
        ):
            pass
        ends.append(x / process.marginal(times[-1])[0])
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-6)


def test_churn_keeps_the_law():
    """Mean and variance of N(m, v) after 40 steps with churn, computed exactly; and churn does add
    noise."""
    sde, m, v = NoiseLevel(20.0), 0.3, 0.25
    back, times = Reverse(sde, bell_score(sde, m, v), 0.0), karras_times(sde, 20.0, 0.02, 160)
    mean, variance = linear_law(back, lambda: EDMHeun(churn=30.0, steps=160), times, m, v + 400)
    still = linear_law(back, lambda: EDMHeun(), times, m, v + 400)
    assert (mean, variance) == pytest.approx(
        (m, v + 0.02**2), rel=5e-3
    )  # Heun's own error: below, a quarter of it with twice the steps
    finer = linear_law(
        back, lambda: EDMHeun(churn=30.0, steps=320), karras_times(sde, 20.0, 0.02, 320), m, v + 400
    )
    assert abs(finer[1] - (v + 0.0004)) < 0.4 * abs(variance - (v + 0.0004))
    assert abs(still[1] - variance) > 1e-9
    silent = linear_law(
        back, lambda: EDMHeun(churn=30.0, steps=160, s_noise=0.0), times, m, v + 400
    )
    assert silent[1] < 0.9 * variance  # without its noise the law is lost


def test_cost():
    sde = VP()
    x = torch.zeros(2, 2, **f64)
    for step, each in ((DPMSolver(), 1), (EDMHeun(), 2), (EDMHeun(churn=5.0, steps=6), 2)):
        counted = Counted(garden(torch.float64).score_of(sde))
        solve(
            Reverse(sde, counted, 0.0),
            x,
            uniform_times(1.0, 0.1, 6),
            step,
            noise=WhiteNoise(x, generator=torch.Generator()),
        )
        assert counted.calls == 6 * each


@pytest.mark.parametrize(
    "act, says",
    [
        (lambda: DPMSolver(3), "order = 3"),
        (lambda: EDMHeun(churn=-1.0), "churn = -1.0"),
        (lambda: EDMHeun(churn=math.nan), "churn = nan"),
        (lambda: EDMHeun(steps=0), "steps = 0"),
        (
            lambda: DPMSolver()(
                GeometricBrownian(),
                *[torch.ones(2, 1)] * 1,
                torch.tensor(1.0),
                torch.tensor(-0.1),
                torch.zeros(2, 1),
            ),
            "sde = GeometricBrownian",
        ),
        (
            lambda: EDMHeun()(
                Reverse(VP(), lambda x, t: -x, 1.0),
                torch.ones(2, 1),
                torch.tensor(1.0),
                torch.tensor(-0.1),
                torch.zeros(2, 1),
            ),
            "sde.eta = 1",
        ),
        (
            lambda: solve(
                Reverse(VP(), lambda x, t: x * math.nan),
                torch.ones(2, 1),
                uniform_times(1.0, 0.5, 2),
                DPMSolver(),
                noise=Still(torch.ones(2, 1)),
            ),
            "score",
        ),
    ],
)
def test_what_they_refuse(act, says):
    with pytest.raises(ValueError, match=says):
        act()
