"""The straight path and its velocity: against closed forms, against counted means, and what is
refused."""

import math

import pytest
import torch

from sdelib.book.toys import garden, two_modes
from sdelib.brownian import Still, WhiteNoise
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.few_steps import DPMSolver
from sdelib.flow_matching import (
    FlowMatchingLoss,
    StraightPath,
    conditional_velocity,
    score_from_velocity,
    velocity_from_score,
)
from sdelib.grids import karras_times, uniform_times
from sdelib.integration import solve
from sdelib.networks import VelocityMLP
from sdelib.own.training import train
from sdelib.reversal import Reverse, denoise
from sdelib.score_matching import DenoisingLoss
from sdelib.solvers import euler_maruyama, heun

PATHS = [StraightPath(), VE(0.01, 8.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["straight", "VE", "VP", "SubVP", "NoiseLevel"]
f64 = dict(dtype=torch.float64)
every_path = pytest.mark.parametrize("sde", PATHS, ids=NAMES)


def seeded(k=0):
    return torch.Generator().manual_seed(k)


# ---------------------------------------------------------------- the path


def test_the_path_is_the_straight_line_between_data_and_noise():
    x0, z, path = (
        torch.randn(6, 2, generator=seeded(), **f64),
        torch.randn(6, 2, generator=seeded(1), **f64),
        StraightPath(),
    )
    for t in (0.0, 0.3, 0.999):
        assert torch.allclose(
            path.perturb(x0, torch.tensor(t, **f64), z), x0 + t * (z - x0), rtol=0, atol=1e-14
        )  # rounding
    ratio = torch.tensor([1e-3, 1.0, 50.0], **f64)
    assert torch.allclose(path.ratio(path.time(ratio)), ratio, rtol=1e-12)
    assert StraightPath.up_to(80.0).ratio(torch.tensor(80 / 81, **f64)).item() == pytest.approx(
        80.0, rel=1e-12
    )


@every_path
def test_drift_and_diffusion_follow_from_scale_and_std(sde):
    """f = (ln scale)' x and g² = 2 std² (ln(std/scale))', with the derivatives by automatic
    differentiation."""
    t = torch.linspace(0.05, 0.95, 7, **f64) * sde.T
    t.requires_grad_()
    scale, std = sde.marginal(t)
    of_scale, of_std = (
        torch.autograd.grad(a.log().sum(), t, retain_graph=True)[0]
        if a.requires_grad
        else torch.zeros_like(t)
        for a in (scale, std)
    )  # a scale of 1 does not depend on t
    x = torch.full((7, 1), 1.7, **f64)
    assert torch.allclose(sde.drift(x, t)[:, 0], of_scale * 1.7, rtol=1e-10, atol=1e-12)
    assert torch.allclose(
        (sde.diffusion(x, t) ** 2).expand(7, 1)[:, 0], 2 * std**2 * (of_std - of_scale), rtol=1e-9
    )


def test_the_forward_equation_has_the_marginals_of_the_path():
    """Euler–Maruyama forwards from one point, 5 standard errors. Its mean telescopes to 0.3 x₀
    exactly; its variance is a recursion."""
    n, steps, path, x0 = 20_000, 200, StraightPath(), 1.5
    start = torch.full((n, 1), x0, **f64)
    x = solve(
        path, start, uniform_times(0.0, 0.7, steps), noise=WhiteNoise(start, generator=seeded(2))
    )
    v, dt = 0.0, 0.7 / steps
    for k in range(steps):
        v = (1 - dt / (1 - k * dt)) ** 2 * v + 2 * k * dt / (1 - k * dt) * dt
    assert v == pytest.approx(0.49, abs=0.02)  # the scheme's own error, of order dt
    assert abs(x.mean().item() - 0.3 * x0) < 5 * math.sqrt(v / n)
    assert abs(x.std().item() - math.sqrt(v)) < 5 * math.sqrt(v / (2 * n))


# ---------------------------------------------------------------- the velocity


def gaussian_velocity(x, t, m, s):
    """E[z − x₀ | x_t = x] for x₀ ~ N(m, s²): regression of z − x₀ on x_t, by hand."""
    v = (1 - t) ** 2 * s**2 + t**2
    return -m + (t - (1 - t) * s**2) / v * (x - (1 - t) * m)


def test_the_velocity_of_a_gaussian():
    p, path, x = (
        GaussianMixture([1.0], torch.tensor([[0.8]], **f64), 0.6),
        StraightPath(),
        torch.linspace(-3, 3, 9, **f64)[:, None],
    )
    v = velocity_from_score(p.score_of(path), path)
    for t in (0.0, 0.2, 0.7, 0.999):
        # both sides in float64; near T the drift −x/(1 − t) is 10³ times larger than the result
        assert torch.allclose(
            v(x, torch.tensor(t, **f64)), gaussian_velocity(x, t, 0.8, 0.6), rtol=1e-10, atol=1e-10
        )


@every_path
def test_the_velocity_is_the_mean_velocity_of_the_pairs_through_x(sde):
    """Against E[scale' x₀ + std' z | x_t = x], by weighing draws of x₀ with the density of x given
    x₀."""
    p, n = garden(torch.float64), 200_000
    t = sde.time(torch.tensor(1.3, **f64))
    x0, points = p.sample(n, generator=seeded(3)), torch.tensor([[0.2, 0.1], [-1.0, 0.7]], **f64)
    scale, std = sde.marginal(t)
    for x in points * scale:
        z = (x - scale * x0) / std  # the noise that brings x₀ to x
        w = torch.softmax(-z.square().sum(1) / 2, 0)[:, None]
        pair = conditional_velocity(sde, x0, t, z)
        mean = (w * pair).sum(0)
        error = (
            (w**2 * (pair - mean) ** 2).sum(0).sqrt()
        )  # of a self-normalised mean, by the delta method
        found = velocity_from_score(p.score_of(sde), sde)(x[None], t)[0]
        assert bool(((found - mean).abs() < 5 * error).all()) and bool(
            (error < 0.05 * (1 + mean.abs().max())).all()
        )


@every_path
def test_score_to_velocity_and_back(sde):
    p, t = garden(torch.float64), sde.time(torch.tensor([0.05, 0.5, 1.0, 3.0], **f64))
    x, score = torch.randn(4, 2, generator=seeded(4), **f64), p.score_of(sde)
    back = score_from_velocity(velocity_from_score(score, sde), sde)
    assert torch.allclose(back(x, t), score(x, t), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(velocity_from_score(score, sde)(x, t), score(x, t), rtol=0.1)
    v = velocity_from_score(score, sde)
    assert torch.allclose(
        velocity_from_score(score_from_velocity(v, sde), sde)(x, t), v(x, t), rtol=1e-10, atol=1e-10
    )


def test_the_straight_velocity_by_hand():
    """v = −(x + t s)/(1 − t) = (x − D)/t, and so D = x − t v."""
    p, path, x, t = (
        garden(torch.float64),
        StraightPath(),
        torch.randn(5, 2, generator=seeded(5), **f64),
        torch.tensor(0.4, **f64),
    )
    score = p.score_of(path)
    v, D = velocity_from_score(score, path)(x, t), denoise(path, score, x, t)
    assert torch.allclose(v, -(x + t * score(x, t)) / (1 - t), rtol=1e-12) and torch.allclose(
        D, x - t * v, rtol=1e-12
    )


def test_the_conditional_velocity_is_that_of_the_straight_line():
    x0, z = (
        torch.randn(50, 2, generator=seeded(6), **f64),
        torch.randn(50, 2, generator=seeded(7), **f64),
    )
    t = torch.linspace(1e-4, 0.999, 50, **f64)
    assert torch.allclose(
        conditional_velocity(StraightPath(), x0, t, z), z - x0, rtol=0, atol=1e-11
    )  # 10³ × rounding


@pytest.mark.parametrize("sde", PATHS[1:4], ids=NAMES[1:4])
def test_the_conditional_velocity_is_the_derivative_of_the_path(sde):
    x0, z, h = (
        torch.randn(5, 2, generator=seeded(8), **f64),
        torch.randn(5, 2, generator=seeded(9), **f64),
        1e-5,
    )
    t = torch.tensor(0.5, **f64)
    slope = (sde.perturb(x0, t + h, z) - sde.perturb(x0, t - h, z)) / (2 * h)
    assert torch.allclose(
        conditional_velocity(sde, x0, t, z), slope, rtol=1e-6, atol=1e-7
    )  # h² third derivatives


# ---------------------------------------------------------------- solvers on the straight path


def test_eulers_step_on_the_straight_path_is_ddim():
    """x' = x + (t' − t)(x − D)/t = (t'/t) x + (1 − t'/t) D, which is what DDIM gives at r = t/(1 −
    t): algebra, so rounding."""
    p, path = garden(torch.float64), StraightPath.up_to(50.0)
    x = path.sample_prior((300, 2), generator=seeded(10), dtype=torch.float64)
    ode, times = Reverse(path, p.score_of(path), 0.0), uniform_times(path.T, 1e-3, 12)
    one, other = (
        solve(ode, x, times, step, noise=Still(x)) for step in (euler_maruyama, DPMSolver(1))
    )
    assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(one, solve(ode, x, times, heun, noise=Still(x)), atol=1e-2)


def test_one_flow_for_all_paths():
    """From the same y at r = 8 to r = 0.05 on the same levels: DPM-Solver++ ends at the same y on
    every path."""
    p, levels = garden(torch.float64), torch.logspace(math.log10(8), math.log10(0.05), 11, **f64)
    y = p.blurred(8.0).sample(200, generator=seeded(11))
    ends = []
    for sde in (StraightPath(), VE(0.001, 20.0), VP(), SubVP(), NoiseLevel(20.0)):
        times = sde.time(levels)
        x = solve(
            Reverse(sde, p.score_of(sde), 0.0),
            sde.marginal(times[0])[0] * y,
            times,
            DPMSolver(),
            noise=Still(y),
        )
        ends.append(x / sde.marginal(times[-1])[0])
    for end in ends[1:]:  # rounding, enlarged by the roots in the clocks of VE and VP
        assert torch.allclose(end, ends[0], rtol=0, atol=1e-8)


def test_samples_of_the_straight_path_have_the_law_of_the_mixture():
    """Weight and mean of two modes, by the flow from the prior: 5 standard errors, and the bias of
    start, step and stop."""
    n, p, path = 20_000, two_modes(torch.float64), StraightPath.up_to(100.0)
    x = path.sample_prior((n, 2), generator=seeded(12), dtype=torch.float64)
    t_min = float(path.time(torch.tensor(0.01, **f64)))
    v = velocity_from_score(p.score_of(path), path)
    x = solve(
        Reverse(path, score_from_velocity(v, path), 0.0),
        x,
        karras_times(path, path.T, t_min, 40),
        heun,
        noise=Still(x),
    )
    share = (x.sum(1) < 0).double().mean().item()
    # start: the prior lacks the mean, |E x₀| = 1.7 against a noise of 100: at most 1.7/100 √(1/2π)
    # of the mass changes sides.
    assert abs(share - 0.8) < 5 * math.sqrt(0.16 / n) + 0.007
    heavy = x[x.sum(1) < 0]
    # 40 steps of Heun and the scale 1 − t_min = 0.99 move a mode's mean by at most 0.03, its std by
    # 2 %
    assert (heavy.mean(0) + 2).abs().max() < 5 * 0.5 / math.sqrt(len(heavy)) + 0.03
    assert (heavy.std(0) / 0.5 - 1).abs().max() < 5 / math.sqrt(2 * len(heavy)) + 0.02


# ---------------------------------------------------------------- the loss


def test_the_loss_of_the_perfect_velocity_of_a_gaussian_is_pi_s_over_2():
    """Var(z − x₀ | x_t) = s²/((1 − t)² s² + t²), whose integral over (0, 1) is π s/2."""
    n, s, path = 200_000, 0.6, StraightPath()
    x0 = s * torch.randn(n, 1, generator=seeded(13), **f64)
    loss = FlowMatchingLoss(path)
    t, z = loss.draw(x0, generator=seeded(14))
    p = GaussianMixture([1.0], torch.zeros(1, 1, **f64), s)
    each = loss(velocity_from_score(p.score_of(path), path), x0, t, z)
    assert (
        abs(each.mean().item() - math.pi * s / 2) < 5 * each.std().item() / math.sqrt(n) + 2e-3
    )  # 2e-3: t stops at 0.999


def test_the_gap_between_conditional_and_marginal_loss_is_a_constant():
    """E‖v_θ − (z − x₀)‖² − E‖v_θ − v‖² is the same for every v_θ: two fields, one set of draws, 5
    standard errors."""
    n, p, path = 100_000, garden(torch.float64), StraightPath()
    loss, x0 = FlowMatchingLoss(path), p.sample(n, generator=seeded(15))
    t, z = loss.draw(x0, generator=seeded(16))
    x, v = path.perturb(x0, t, z), velocity_from_score(p.score_of(path), path)
    fields = [lambda x, t: v(x, t), lambda x, t: torch.sin(x) - t[:, None], lambda x, t: 0 * x + 2]
    gaps = [loss(field, x0, t, z) - (field(x, t) - v(x, t)).square().mean(1) for field in fields]
    for gap in gaps[1:]:
        d = gap - gaps[0]
        assert abs(d.mean().item()) < 5 * d.std().item() / math.sqrt(n)
    assert all(
        loss(fields[0], x0, t, z).mean() < loss(field, x0, t, z).mean() for field in fields[1:]
    )


@every_path
def test_it_is_denoising_score_matching_with_another_weight(sde):
    """‖v_θ − u‖² = (g²/2 std)² std² ‖s_θ + z/std‖² for the velocity of any score s_θ."""
    x0 = torch.randn(40, 2, generator=seeded(17), **f64)
    loss = FlowMatchingLoss(sde, t_min=0.01 * sde.T)
    t, z = loss.draw(x0, generator=seeded(18))
    score = lambda x, t: torch.tanh(x) - 1
    weight = sde.diffusion(x0, t).reshape(-1) ** 2 / (2 * sde.marginal(t)[1])
    assert torch.allclose(
        loss(velocity_from_score(score, sde), x0, t, z),
        weight**2 * DenoisingLoss(sde)(score, x0, t, z),
        rtol=1e-8,
    )


def test_a_network_learns_the_velocity():
    """A short training beats the best field that is constant in x by far: E‖v_θ − v‖² under a tenth
    of E‖v‖²."""
    p, path = two_modes(), StraightPath()
    torch.manual_seed(0)
    data = p.sample(5000, generator=seeded(19))
    network = train(
        VelocityMLP(path, width=48, data_std=2.0),
        FlowMatchingLoss(path),
        (data,),
        steps=150,
        batch_size=256,
        lr=5e-3,
        ema=0.98,
        cpu=True,
        progress=False,
    ).network
    t, z = FlowMatchingLoss(path).draw(data, generator=seeded(20))
    x, v = path.perturb(data, t, z), velocity_from_score(p.score_of(path), path)
    with torch.no_grad():
        assert (network(x, t) - v(x, t)).square().mean() < 0.1 * v(x, t).square().mean()
        x = path.sample_prior((4, 2), generator=seeded(21))
        assert torch.equal(VelocityMLP(path)(x, torch.tensor(0.5)), torch.zeros(4, 2))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("T", [0.0, 1.0, -1.0, 1.5, math.nan])
def test_a_path_must_end_before_1(T):
    with pytest.raises(ValueError, match="T = "):
        StraightPath(T)


@pytest.mark.parametrize("ratio", [0.0, -2.0, math.inf, math.nan])
def test_up_to_needs_a_ratio(ratio):
    with pytest.raises(ValueError, match="ratio = "):
        StraightPath.up_to(ratio)


def test_bad_input_is_named():
    path, x = StraightPath(), torch.zeros(3, 2)
    with pytest.raises(ValueError, match="leaves"):
        path.marginal(torch.tensor(1.2))
    with pytest.raises(ValueError, match=r"t = 0\.0"):
        score_from_velocity(lambda x, t: x, path)(x, torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"t = 0\.0"):
        conditional_velocity(path, x, torch.tensor(0.0), x)
    with pytest.raises(ValueError, match="z has shape"):
        conditional_velocity(path, x, torch.tensor(0.5), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"score.*\(1, 2\)"):
        velocity_from_score(lambda x, t: x[:1], path)(x, torch.tensor(0.5))
    for wrong in (lambda x, t: x[:1], lambda x, t: x[:, :1]):
        with pytest.raises(ValueError, match="velocity"):
            score_from_velocity(wrong, path)(x, torch.tensor(0.5))
        with pytest.raises(ValueError, match="velocity"):
            FlowMatchingLoss(path)(wrong, x, torch.full((3,), 0.5), x)
    with pytest.raises(ValueError, match="t_min"):
        FlowMatchingLoss(path, t_min=1.0)
    with pytest.raises(ValueError, match="x has shape"):
        VelocityMLP(path)(torch.zeros(3, 5), torch.tensor(0.5))


def test_a_velocity_network_says_how_it_is_rebuilt():
    one = VelocityMLP(StraightPath(0.9), 3, 16, data_std=2.0)
    two = type(one)(**one.config)
    two.load_state_dict(one.state_dict())
    x, t = torch.ones(2, 3), torch.tensor(0.5)
    assert torch.equal(one(x, t), two(x, t)) and two.body.sde == StraightPath(0.9)
