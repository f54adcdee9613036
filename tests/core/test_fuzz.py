"""Every public function of sdelib, given odd shapes, types and numbers: a finite result, or a
ValueError in words. Never silence.

`fuzzed(f, g)` registers functions and runs the body below it for each, with values that hypothesis
draws.
A registry test at the end finds a public function that is neither fuzzed nor excused.
"""

import dataclasses
import importlib
import itertools
import math
import pkgutil
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import strategies as st

import sdelib
from sdelib import (
    brownian,
    checks,
    denoiser,
    densities,
    empirical,
    families,
    few_steps,
    flow_matching,
    grids,
    guidance,
    integration,
    inverse_problems,
    langevin,
    likelihood,
    networks,
    predictor_corrector,
    probability_flow,
    reversal,
    score_matching,
    solvers,
    stepping,
    widgets,
)
from sdelib.book import classifier, data, plotting, state_rules, toys
from sdelib.book import four_errors as errors
from sdelib.checks import finite
from sdelib.own import by_name, dequantisation, devices, metrics, operators, sampling
from sdelib.widgets import frames

configuration.set_hypothesis_home_dir(
    Path(tempfile.gettempdir()) / "sdelib-hypothesis"
)  # it leaves nothing in the checkout
HERE = Path(sdelib.__file__).parent
FUZZED: list = []


# ---------------------------------------------------------------- the judge


def numbers_in(thing):
    """Every number of a result, as arrays."""
    if isinstance(thing, torch.Tensor):
        yield thing.detach().double().numpy()
    elif isinstance(thing, (float, int, np.ndarray)):
        yield np.asarray(thing, dtype=np.float64)
    elif dataclasses.is_dataclass(thing):
        yield from numbers_in(list(vars(thing).values()))
    elif isinstance(thing, dict):
        yield from numbers_in(list(thing.values()))
    elif isinstance(thing, (list, tuple)):
        yield from itertools.chain.from_iterable(map(numbers_in, thing))


def sound(body) -> bool:
    """True for a finite result, False for a ValueError that sdelib itself raised in words. Anything
    else is a failure."""
    try:
        result = body()
    except ValueError as error:
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        assert HERE in raised.parents and len(str(error)) > 20, (
            f"{raised} said {error!r}: sdelib should say it in its own words"
        )
        return False
    assert all(np.isfinite(a).all() for a in numbers_in(result)), f"silence: {result}"
    return True


def fuzzed(*functions, examples=30):
    """Run the body as body(f, draw) for each f; body returns what must be finite. At least one of
    the examples must be answered."""
    FUZZED.extend(functions)

    def register(body):
        @pytest.mark.parametrize("f", functions, ids=lambda f: getattr(f, "__qualname__", str(f)))
        def test(f):
            answered = []

            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(st.data())
            def run(drawn):
                answered.append(sound(lambda: body(f, drawn.draw)))

            run()
            assert any(answered), "every example was refused: this test shows nothing"

        return test

    return register


# ---------------------------------------------------------------- what is drawn


def often(usual, *odd):
    """A value that is one of `usual` in about two draws of three, else one of `odd`."""
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(odd))


EXTREME = (0.0, 5e-324, 1e-40, 1e-12, 1e12, 1e38, 1e300, -1.0, -1e-3, math.nan, math.inf, -math.inf)


def size(*usual):
    """One of `usual`, or an extreme number."""
    return often(usual, *EXTREME)


POSITIVE = size(0.1, 0.5, 1.0, 3.0)  # a σ, a tolerance, a weight
TIME = size(0.001, 0.3, 0.5, 0.9)  # a t of a process on [0, 1]
DTYPE = often(
    (torch.float32, torch.float64), torch.float16, torch.bfloat16, torch.int64, torch.int32
)
COUNT = often((1, 2, 5), 0)
POINTS = often(((3, 2), (1, 2)), (0, 2), (2,), (), (3, 1), (4, 0), (2, 3, 2), (0,))
IMAGES = often(
    ((2, 1, 28, 28), (1, 1, 28, 28)),
    (0, 1, 28, 28),
    (2, 1, 8, 8),
    (2, 1, 7, 9),
    (2, 3, 28, 28),
    (28, 28),
    (2, 1, 0, 0),
    (),
)


def generator():
    return torch.Generator().manual_seed(0)


def tensor(shape, dtype=torch.float32, scale=1.0):
    return (scale * torch.randn(shape, generator=generator())).to(dtype)


def points(draw, shapes=POINTS, dtypes=DTYPE):
    """A tensor of an odd shape and type; its numbers are of ordinary or of extreme size, and finite
    in its type."""
    return tensor(draw(shapes), draw(dtypes), draw(often((1.0,), 0.0, 1e-6, 100.0)))


def time(draw, x, values=TIME):
    """t as a number, a scalar tensor, one for each x, or of a wrong shape; sometimes in another
    type than x."""
    t = draw(values)
    if draw(st.booleans()):
        return torch.tensor(t, dtype=torch.float64).to(
            draw(often((torch.float32, torch.float64), torch.float16))
        )
    n = len(x) if x.ndim else 1
    many = torch.full(draw(often(((n,), ()), (n + 1,), (n, 1))), t, dtype=torch.float64)
    return many.to(draw(st.sampled_from([torch.float32, torch.float64])))


def shaped(out, x):
    assert out.shape == x.shape and out.dtype == x.dtype and out.device == x.device, (
        f"{out.shape}, {out.dtype} for {x.shape}, {x.dtype}"
    )
    return out


def looped(out, x):
    """What the time loop does with a score or a velocity: it looks at its numbers once a step."""
    return finite("score(x, t)", shaped(out, x))


def made(draw, kind, **values):
    """kind(**some of the values), each drawn; the others have their defaults."""
    return kind(**{name: draw(v) for name, v in values.items() if draw(st.booleans())})


def normal(x, t):
    """The score of N(0, I), at every t."""
    return -x


PROCESSES = (
    families.VE(),
    families.VE.power(25.0),
    families.VP(),
    families.SubVP(),
    families.NoiseLevel(),
    flow_matching.StraightPath(),
)
PROCESS = st.sampled_from(PROCESSES)
GARDEN = toys.garden()


# ---------------------------------------------------------------- processes

KINDS = {
    families.VE: ("sigma_min", "sigma_max", "T"),
    families.VP: ("beta_min", "beta_max", "T"),
    families.SubVP: ("beta_min", "beta_max", "T"),
    families.NoiseLevel: ("T",),
    flow_matching.StraightPath: ("T",),
}


@fuzzed(*KINDS, examples=60)
def test_gaussian_processes(f, draw):
    sde = made(draw, f, **{name: POSITIVE for name in KINDS[f]})
    x = points(draw)
    t = time(draw, x)
    out = [
        shaped(sde.perturb(x, t, x), x),
        shaped(sde.drift(x, t), x),
        (sde.diffusion(x, t) * x).expand_as(x),
        sde.sample_prior((2, 2), generator=generator()),
    ]
    if torch.is_tensor(t):
        scale, std = sde.marginal(t)
        assert scale.shape == std.shape == t.shape and bool((scale > 0).all() & (std >= 0).all())
        t = t.double()
        (scale, std), there = sde.marginal(t), sde.time(sde.ratio(t))
        assert torch.allclose(
            there, t.clamp(0, sde.T), rtol=1e-5, atol=1e-7 * sde.T
        )  # the inverse, to float32's digits
        out += [scale, std, sde.ratio(t), *sde.transition(t / 2, t)]
        out.append(sde.time(torch.full((2,), draw(POSITIVE), dtype=torch.float64).to(draw(DTYPE))))
    return out


@fuzzed(families.VE.power, flow_matching.StraightPath.up_to)
def test_processes_by_one_number(f, draw):
    sde = f(draw(often((2.0, 25.0), *EXTREME, 1.0, 1 + 1e-15)))
    return (
        sde.T,
        sde.prior_std,
        sde.ratio(torch.tensor(sde.T)),
        sde.sample_prior((3,), generator=generator()),
    )


@fuzzed(toys.OrnsteinUhlenbeck, toys.GeometricBrownian)
def test_processes_with_exact_laws(f, draw):
    ou = f is toys.OrnsteinUhlenbeck
    sde = made(
        draw,
        f,
        mu=POSITIVE,
        **({"theta": POSITIVE, "sigma": POSITIVE} if ou else {"nu": POSITIVE}),
    )
    x = points(draw)
    t = time(draw, x)
    out = [shaped(sde.drift(x, t), x), (sde.diffusion(x, t) * x).expand_as(x)]
    return out + (
        [*sde.law(x, t)]
        if f is toys.OrnsteinUhlenbeck
        else [shaped(sde.path(x, t, torch.zeros_like(x)), x)]
    )


@fuzzed(langevin.Langevin, reversal.Reverse)
def test_processes_of_a_score(f, draw):
    x, bad = points(draw), draw(often((0.0,), math.nan, math.inf))
    forward, t = draw(PROCESS), time(draw, x)
    if f is langevin.Langevin:
        sde = f(lambda x: -x + bad, draw(POSITIVE))
    else:
        sde = f(forward, lambda x, t: -x + bad, draw(POSITIVE))
    if not math.isfinite(bad):  # which the loop finds, with its one look a step
        still, times = brownian.Still(x), torch.tensor([0.5, 0.4])
        return integration.solve(sde, x, times * forward.T, noise=still)
    return shaped(sde.drift(x, t), x), sde.diffusion(x, t) * torch.ones_like(x)


@fuzzed(checks.like)
def test_like(f, draw):
    x = points(draw)
    t = f(time(draw, x), x)
    shaped(x * t, x)  # what value t may have, the process judges


# ---------------------------------------------------------------- noise, grids, solvers


@fuzzed(brownian.WhiteNoise, brownian.BrownianPath, brownian.Still)
def test_noise(f, draw):
    x, a, b = points(draw), *(torch.tensor(draw(TIME), dtype=torch.float64) for _ in range(2))
    if f is brownian.BrownianPath:
        noise = f(torch.stack([a, b]), x, generator=generator())
        c = a + (b - a) * draw(TIME)
        return shaped(noise(a, c), x), shaped(noise(c, b), x), shaped(noise.area(a, b), x)
    noise = f(x) if f is brownian.Still else f(x, generator=generator())
    return [shaped(part, x) for part in (noise(a, b), *noise.with_area(a, b))]


@fuzzed(grids.uniform_times, grids.geometric_times, grids.karras_times)
def test_grids(f, draw):
    how = () if f is grids.uniform_times else (draw(PROCESS),)
    rho = {"rho": draw(size(1.0, 7.0))} if f is grids.karras_times and draw(st.booleans()) else {}
    times = f(*how, draw(TIME), draw(TIME), draw(often((1, 4), 0, -1, 2.5, math.nan)), **rho)
    gaps = times.diff()
    assert times.dtype == torch.float64 and bool((gaps > 0).all() | (gaps < 0).all())
    return times


STEPS = (
    solvers.euler_maruyama,
    solvers.milstein,
    solvers.platen,
    solvers.heun,
    solvers.heun_ito,
    solvers.sra,
    probability_flow.rk45,
    predictor_corrector.exponential,
    predictor_corrector.reverse_diffusion,
    predictor_corrector.ancestral,
    predictor_corrector.stay,
)


def grid(draw, sde):
    a, b = draw(size(0.9 * sde.T, 0.5 * sde.T)), draw(size(0.01, 0.1))
    times = torch.tensor([a, (a + b) / 2, b], dtype=torch.float64)
    return times.to(draw(often((torch.float64,), torch.float32, torch.float16, torch.int64)))


def solved(draw, step, eta, images=False):
    sde, x = draw(PROCESS), points(draw)
    sde, times = reversal.Reverse(sde, normal, eta), grid(draw, sde)
    noise = draw(
        st.sampled_from([brownian.Still(x), brownian.WhiteNoise(x, generator=generator())])
    )
    return shaped(integration.solve(sde, x, times, step, noise=noise), x)


@fuzzed(*STEPS)
def test_steps_in_the_loop(f, draw):
    return solved(draw, f, 0.0 if f is probability_flow.rk45 else draw(often((1.0,), 0.0)))


@fuzzed(few_steps.DPMSolver, few_steps.EDMHeun, predictor_corrector.PredictorCorrector)
def test_steps_with_settings(f, draw):
    if f is few_steps.DPMSolver:
        return solved(
            draw, f(draw(often((1, 2), 0, 3, 1.5, math.nan))), draw(often((0.0, 1.0), 0.5))
        )
    if f is few_steps.EDMHeun:
        how = dict(
            churn=POSITIVE,
            steps=often((1, 10), 0, -1, 2.5),
            s_noise=POSITIVE,
            s_min=POSITIVE,
            s_max=POSITIVE,
        )
        return solved(draw, made(draw, f, **how), 0.0)
    return solved(
        draw,
        f(
            predictor_corrector.stay,
            draw(POSITIVE),
            draw(often((0, 1, 2), -1, 1.5)),
            generator=generator(),
        ),
        1.0,
    )


@fuzzed(integration.integrate, integration.solve, integration.trajectory)
def test_the_time_loop(f, draw):
    x = points(draw)
    sde = draw(
        st.sampled_from(
            [toys.OrnsteinUhlenbeck(), toys.GeometricBrownian(), langevin.Langevin(lambda x: -x)]
        )
    )
    out = f(sde, x, grid(draw, families.VE()), noise=brownian.WhiteNoise(x, generator=generator()))
    return [shaped(a, x) for a in out] if f is not integration.solve else shaped(out, x)


@fuzzed(integration.adaptive, examples=20)
def test_adaptive(f, draw):
    x, (start, stop) = points(draw), (draw(size(0.9, 1.0)), draw(size(0.5, 0.6)))
    noise = brownian.WhiteNoise(x, generator=generator())
    how = {name: draw(size(0.1, 0.3)) for name in ("rtol", "atol", "first")}
    steps = list(
        itertools.islice(
            f(reversal.Reverse(families.VP(), normal), x, start, stop, noise=noise, **how), 200
        )
    )
    return [shaped(y, x) for _, y in steps]


@fuzzed(reversal.denoise)
def test_denoise(f, draw):
    x = points(draw)
    t = time(draw, x)
    return shaped(f(draw(PROCESS), normal, x, t), x)


@fuzzed(integration.Counted)
def test_counted(f, draw):
    counted, x = f(normal), points(draw)
    return shaped(counted(x, time(draw, x)), x), counted.calls


@fuzzed(predictor_corrector.langevin_step_size)
def test_langevin_step_size(f, draw):
    return f(points(draw), draw(POSITIVE))


# ---------------------------------------------------------------- densities


@fuzzed(densities.GaussianMixture, examples=60)
def test_mixtures(f, draw):
    mixture = f(
        draw(
            often(
                ([1.0, 2.0], [0.5, 0.5]),
                [1.0],
                [0.0, 1.0],
                [math.nan, 1.0],
                [1.0, -1.0],
                [1e300, 1.0],
            )
        ),
        points(draw, often(((2, 2),), (2, 1), (0, 2), (2,), (2, 0))),
        draw(often((0.5, 1.0, [0.3, 0.6]), [1.0], *EXTREME)),
    )
    d, x = mixture.dim, points(draw)
    mixture = mixture.blurred(draw(POSITIVE), draw(POSITIVE)) if draw(st.booleans()) else mixture
    s, p, r = shaped(mixture.score(x), x), mixture.log_prob(x), mixture.responsibilities(x)
    assert p.shape == x.shape[:-1] and torch.allclose(
        r.double().sum(-1), torch.ones(()).double(), atol=1e-2
    )
    y = x.double().requires_grad_()
    (known,) = torch.autograd.grad(mixture.log_prob(y).sum(), y)
    close = torch.allclose(
        mixture.score(y).detach(),
        known,
        rtol=1e-3,
        atol=1e-3 * float(known.abs().max() if known.numel() else 0) + 1e-9,
    )
    assert close, "the score is not the gradient of log_prob"
    t = time(draw, x)
    diffused = mixture.diffused(draw(PROCESS), t)
    n = draw(COUNT)
    drawn = mixture.sample(n, generator=generator())
    assert drawn.shape == (n, d)
    told = mixture.conditioned(
        points(draw, often(((1, d),), (1, d + 1), (0, d), (d,))), torch.zeros(1), draw(POSITIVE)
    )
    return (
        s,
        p,
        r,
        mixture.mean,
        mixture.covariance,
        shaped(diffused.score(x), x),
        drawn,
        told.mean,
        told.covariance,
    )


@fuzzed(empirical.EmpiricalDensity, examples=60)
def test_empirical_densities(f, draw):
    y = points(draw, often(((4, 2),), (1, 2), (0, 2), (4,), (4, 1, 3, 3), (4, 0)))
    x = points(draw, often(((3, 2), (1, 2)), (0, 2), (2,), (), (2, 1, 3, 3)))
    density = f(y, draw(POSITIVE), draw(size(1.0, 0.5)), batch=draw(st.sampled_from((4096, 3))))
    mean, s, p = density.posterior_mean(x), density.score(x), density.log_prob(x)
    assert p.shape == x.shape[:1]
    distance, index = density.nearest(x)
    if y.dtype == x.dtype == torch.float64 and float(torch.as_tensor(density.std)) >= 0.1:
        r = torch.softmax(
            -(x.flatten(1)[:, None] - density.scale * y.flatten(1)).square().sum(-1)
            / (2 * density.std**2),
            1,
        )
        assert torch.allclose(
            mean.flatten(1), r @ y.flatten(1), rtol=1e-4, atol=1e-4 * (1 + float(y.abs().max()))
        )
    later = density.diffused(draw(PROCESS), time(draw, x))
    return (
        shaped(mean, x),
        shaped(s, x),
        p,
        distance,
        index,
        shaped(later.score(x), x),
        density.sample(draw(COUNT), generator=generator()),
    )


@fuzzed(toys.two_modes, toys.garden)
def test_known_densities(f, draw):
    dtype = draw(DTYPE)
    mixture = f(dtype)
    x = tensor((3, 2), dtype)
    return shaped(mixture.score(x), x), mixture.mean, mixture.sample(2, generator=generator())


@fuzzed(data.two_moons, data.swiss_roll, data.checkerboard)
def test_point_sets(f, draw):
    n = draw(COUNT)
    how = {} if f is data.checkerboard else {"noise": draw(size(0.0, 0.1))}
    x = f(n, generator=generator(), **how)
    assert x.shape == (n, 2)
    return x


# ---------------------------------------------------------------- losses


@fuzzed(
    score_matching.fisher_divergence,
    score_matching.implicit_loss,
    score_matching.sliced_loss,
    score_matching.denoising_loss,
    score_matching.divergence,
    score_matching.slope_along,
)
def test_losses_of_one_density(f, draw):
    x = points(draw)
    field = lambda x: -x
    u = draw(st.sampled_from([x, torch.ones_like(x), x[..., :1] if x.ndim else x[None]]))
    sigma = draw(POSITIVE)
    out = {
        score_matching.fisher_divergence: lambda: f(field, lambda x: -2 * x, x),
        score_matching.implicit_loss: lambda: f(field, x),
        score_matching.sliced_loss: lambda: f(field, x, u),
        score_matching.denoising_loss: lambda: f(field, x, u, sigma),
        score_matching.divergence: lambda: f(field, x),
        score_matching.slope_along: lambda: f(field, x, u),
    }[f]()
    losses = out[1] if isinstance(out, tuple) else out
    assert losses.shape == x.shape[:1]
    if f is score_matching.divergence:
        assert torch.allclose(
            losses, torch.tensor(-float(x[:1].numel())).to(losses)
        )  # tr ∇(−x) = −d
    return out


@fuzzed(score_matching.DenoisingLoss, score_matching.LadderLoss, flow_matching.FlowMatchingLoss)
def test_losses_of_many_levels(f, draw):
    if f is score_matching.LadderLoss:
        loss = f(
            draw(
                often(
                    ((0.1, 1.0), (1.0,)),
                    (),
                    (1.0, 0.1),
                    (0.0, 1.0),
                    (0.1, math.inf),
                    (math.nan, 1.0),
                    (1e-40, 1e38),
                )
            )
        )
    elif f is flow_matching.FlowMatchingLoss:
        loss = f(draw(PROCESS), draw(size(1e-5, 0.1)))
    else:
        loss = f(draw(PROCESS), draw(size(1e-5, 0.1)), draw(POSITIVE), draw(st.booleans()))
    x = points(draw)
    t, z = loss.draw(x, generator=generator())
    out = loss(normal, x, t, shaped(z, x))
    assert t.shape == out.shape == x.shape[:1]
    return t, z, out


@fuzzed(flow_matching.velocity_from_score, flow_matching.score_from_velocity)
def test_velocities(f, draw):
    x = points(draw)
    return looped(f(normal, draw(PROCESS))(x, time(draw, x)), x)


@fuzzed(flow_matching.conditional_velocity)
def test_conditional_velocity(f, draw):
    x, sde = points(draw), draw(PROCESS)
    t = time(draw, x)
    v = shaped(f(sde, x, t, 2 * x), x)
    if (
        isinstance(sde, flow_matching.StraightPath)
        and x.dtype == torch.float64
        and float(torch.as_tensor(t).max()) < 0.95
    ):
        assert torch.allclose(
            v, x, rtol=1e-4, atol=1e-4 * (1 + float(x.abs().max())) if x.numel() else 0
        )  # z − x₀
    return v


# ---------------------------------------------------------------- networks, denoisers, classifiers

torch.manual_seed(0)
NETWORKS = {
    networks.ScoreMLP: networks.ScoreMLP(families.VE(), width=16),
    networks.ScoreUNet: networks.ScoreUNet(families.VE(), (16, 16)),
    networks.VelocityMLP: networks.VelocityMLP(families.VE(), width=16),
}
SERIES = networks.Denoiser((16, 16), dims=1, classes=3).requires_grad_(False)
TABLE = networks.DenoiserMLP(2, 16).requires_grad_(False)
DENOISER = networks.Denoiser((16, 16)).requires_grad_(False)
CLASSIFIER = classifier.GarmentClassifier(8, 12).requires_grad_(False)
NOISY = classifier.NoisyClassifier((16, 16)).requires_grad_(False)
LABEL = often((None, 3), -1, 10, -2, 2.5)


@fuzzed(*NETWORKS)
def test_networks(f, draw):
    x = points(draw, IMAGES if f is networks.ScoreUNet else POINTS)
    return shaped(NETWORKS[f](x, time(draw, x)), x)


@fuzzed(networks.UNet, networks.MLP)
def test_bodies(f, draw):
    kind = networks.ScoreUNet if f is networks.UNet else networks.ScoreMLP
    x = points(draw, IMAGES if f is networks.UNet else POINTS)
    ratio = torch.full((len(x) if x.ndim else 1,), draw(POSITIVE))
    return shaped(NETWORKS[kind].correction(x, ratio), x)


@fuzzed(networks.DenoiserMLP, networks.DenoiserNetwork)
def test_denoisers_of_points_and_series(f, draw):
    flat = f is networks.DenoiserMLP
    x = points(draw, POINTS if flat else often(((2, 28), (1, 1, 9)), (2, 3), (2, 2, 8), (), (0, 8)))
    return shaped((TABLE if flat else SERIES)(x, time(draw, x, POSITIVE), draw(LABEL)), x)


@fuzzed(networks.Denoiser, classifier.NoisyClassifier, classifier.GarmentClassifier)
def test_networks_of_noisy_images(f, draw):
    x = points(draw, IMAGES)
    if f is classifier.GarmentClassifier:
        return CLASSIFIER(x), CLASSIFIER.embed(x)
    sigma = time(draw, x, POSITIVE)
    return shaped(DENOISER(x, sigma, draw(LABEL)), x) if f is networks.Denoiser else NOISY(x, sigma)


@fuzzed(
    denoiser.DenoiserLoss,
    classifier.NoisyClassificationLoss,
    classifier.ClassificationLoss,
    examples=20,
)
def test_losses_of_images(f, draw):
    x, ordinary = points(draw, IMAGES), st.sampled_from((-1.2, 0.5))
    label = torch.zeros(draw(often((len(x) if x.ndim else 1,), 7)), dtype=torch.long)
    if f is classifier.ClassificationLoss:
        loss, network = f(draw(often((0.05,), -1.0, 2.0, math.nan))), CLASSIFIER
    elif f is denoiser.DenoiserLoss:
        how = dict(mean=size(-1.2), std=POSITIVE, spread=POSITIVE, drop=POSITIVE, data_std=POSITIVE)
        loss, network = made(draw, f, **how), DENOISER
    else:
        loss, network = made(draw, f, mean=ordinary, std=POSITIVE, spread=POSITIVE), NOISY
    out = loss(network, x, label, *loss.draw(x, label, generator=generator()))
    assert out.shape == x.shape[:1]
    return out


def mean_of_normal(x, sigma, label=None):
    """The exact denoiser of data ~ N(0, I)."""
    return x / (1 + checks.like(sigma, x) ** 2)


@fuzzed(denoiser.score_from, examples=60)
def test_score_from(f, draw):
    x, sde = points(draw), draw(PROCESS)
    t = time(draw, x)
    s = shaped(
        f(mean_of_normal, sde, label=draw(LABEL), guidance=draw(size(0.0, 1.0, 3.0)))(x, t), x
    )
    if x.dtype == torch.float64:
        scale, std = sde.marginal(torch.as_tensor(t).double().reshape(-1)[0])
        assert torch.allclose(
            s, -x / (scale**2 + std**2), rtol=1e-3, atol=1e-3 * float(1 / std)
        )  # the closed form of a Gaussian
    return s


@fuzzed(denoiser.first_time)
def test_first_time(f, draw):
    sde, sigma = draw(PROCESS), draw(size(0.002, 0.1))
    t = f(sde, sigma)
    assert math.isclose(
        float(sde.ratio(torch.tensor(t, dtype=torch.float64))), sigma, rel_tol=1e-5, abs_tol=1e-12
    )
    return t


@fuzzed(guidance.class_score, guidance.guided, examples=20)
def test_guidance(f, draw):
    if f is guidance.guided:
        x = points(draw)
        return shaped(f(normal, normal, draw(POSITIVE))(x, time(draw, x)), x)
    x = points(draw, IMAGES)
    return shaped(
        f(NOISY, families.VE(), draw(often((3, torch.tensor([1, 2])), 10, -1, 2.5)))(
            x, time(draw, x)
        ),
        x,
    )


# ---------------------------------------------------------------- inverse problems

LINEAR = (
    operators.Matrix,
    operators.Mask,
    operators.Pool,
    operators.Blur,
    operators.Identity,
)


def operator(draw, f):
    if f is operators.Matrix:
        return f(
            torch.full(
                draw(often(((1, 2), (2, 2)), (2,), (0, 2), (1, 3))), draw(often((1.0,), math.nan))
            )
        )
    if f is operators.Mask:
        seen = torch.tensor([True, False])
        return f(
            draw(
                often(
                    (seen,),
                    seen & False,
                    seen.float(),
                    torch.ones(28, 28).bool(),
                    torch.tensor(True),
                )
            )
        )
    if f is operators.Pool:
        return f(draw(often((2, 1), 0, -1, 3, 2.5, math.nan)))
    return f(draw(POSITIVE)) if f is operators.Blur else f()


def seen_by(f):
    return IMAGES if f in (operators.Pool, operators.Blur) else POINTS


@fuzzed(*LINEAR)
def test_operators(f, draw):
    A, x = operator(draw, f), points(draw, seen_by(f))
    y = A(x)
    back = shaped(A.adjoint(y), x)
    square = float(y.double().square().sum())
    assert math.isclose(
        float((x.double() * back.double()).sum()), square, rel_tol=1e-5, abs_tol=1e-30
    )  # ⟨x, Aᵀ A x⟩ = ‖A x‖²
    return y, back


@fuzzed(operators.observe)
def test_observe(f, draw):
    kind = draw(st.sampled_from(LINEAR))
    return f(
        operator(draw, kind), points(draw, seen_by(kind)), draw(POSITIVE), generator=generator()
    )


def posed(draw):
    """(operator, y, x): sometimes they fit."""
    A, x = (
        operator(draw, draw(st.sampled_from([operators.Mask, operators.Matrix]))),
        points(draw),
    )
    return (
        A,
        draw(
            often(
                (torch.zeros(1, 1),),
                torch.zeros(2, 1),
                torch.zeros(1),
                torch.full((1, 1), math.nan),
            )
        ),
        x,
    )


@fuzzed(
    inverse_problems.posterior_score,
    inverse_problems.no_covariance,
    inverse_problems.isotropic,
    inverse_problems.tweedie,
)
def test_posterior_scores(f, draw):
    A, y, x = posed(draw)
    covariance = {
        inverse_problems.posterior_score: inverse_problems.tweedie,
        inverse_problems.isotropic: None,
    }.get(f, f)
    covariance = inverse_problems.isotropic(draw(POSITIVE)) if covariance is None else covariance
    how = {"iterations": draw(often((1, 5), 0, -1, 1.5))}
    score = inverse_problems.posterior_score(
        normal, draw(PROCESS), A, y, draw(POSITIVE), covariance, **how
    )
    return looped(score(x, time(draw, x)), x)


@fuzzed(state_rules.Replacement, state_rules.DPS)
def test_steps_that_correct(f, draw):
    A, y, _ = posed(draw)
    how = {"generator": generator()} if f is state_rules.Replacement else {}
    return solved(draw, f(solvers.euler_maruyama, A, y, draw(POSITIVE), **how), 1.0)


# ---------------------------------------------------------------- Langevin


@fuzzed(langevin.langevin, langevin.Metropolis)
def test_langevin(f, draw):
    x = points(draw)
    how = {"temperature": draw(size(1.0)), "generator": generator()}
    step = (
        solvers.euler_maruyama
        if f is langevin.langevin
        else f(lambda x: -x.flatten(1).square().sum(1) / 2, generator=generator())
    )
    states = langevin.langevin(
        lambda x: -x, x, draw(size(0.01, 0.5)), draw(often((1, 3), 0, -1, 1.5)), step, **how
    )
    return [shaped(y, x) for y in states]


@fuzzed(langevin.annealed_langevin)
def test_annealed_langevin(f, draw):
    x, sigmas = (
        points(draw),
        draw(
            often(
                ((0.1, 0.5), (1.0,)),
                (),
                (1.0, 0.1),
                (0.0, 1.0),
                (0.1, math.inf),
                (math.nan,),
                (1e-40, 1e38),
            )
        ),
    )
    states = f(
        lambda x, sigma: -x / (1 + sigma**2),
        x,
        sigmas,
        draw(often((1, 3), 0, -1, 1.5)),
        rate=draw(size(0.1, 1.0)),
        consistent=draw(st.booleans()),
        generator=generator(),
    )
    return [shaped(y, x) for y in states]


@fuzzed(
    langevin.consistent_temperature, langevin.shell_overlap, langevin.ladder_ratio, langevin.ladder
)
def test_ladders(f, draw):
    dim = draw(often((10, 784), 0, -1, 1, math.nan, math.inf))
    if f is langevin.consistent_temperature:
        return f(draw(size(0.1, 0.5)), draw(often((5, 100), 0, -1, 1.5)), draw(size(1.0, 1.5)))
    if f is langevin.shell_overlap:
        c = f(draw(size(1.0, 1.2)), dim)
        assert 0 <= c <= 1
        return c
    if f is langevin.ladder_ratio:
        return f(dim, draw(size(0.5)))
    return f(
        draw(size(0.01, 0.1)),
        draw(size(1.0, 20.0)),
        draw(often((10, 784), 0, -1, math.nan)),
        draw(size(0.5)),
    )


@fuzzed(data.largest_distance)
def test_largest_distance(f, draw):
    x = points(draw)
    found = f(x, batch=draw(st.sampled_from((512, 2))))
    known = (
        0.0
        if x.numel() == 0
        else float((x.flatten(1)[:, None] - x.flatten(1)).double().norm(dim=-1).max())
    )
    assert math.isclose(found, known, rel_tol=1e-2, abs_tol=1e-2 * max(1.0, known))
    return found


# ---------------------------------------------------------------- the flow and the likelihood


@fuzzed(probability_flow.flow, probability_flow.encode, probability_flow.decode, examples=20)
def test_flows(f, draw):
    sde, x = draw(st.sampled_from((families.VP(), families.VE(0.1, 5.0)))), points(draw)
    how = {name: draw(often((0.01, 0.1), *EXTREME[4:])) for name in ("rtol", "atol")}
    if f is probability_flow.flow:
        y, nfe = f(sde, normal, x, draw(size(0.1, 1.0)), draw(size(0.5, 0.9)), **how)
        return shaped(y, x), nfe
    return shaped(f(sde, normal, x, t_min=draw(size(0.1, 0.5)), **how), x)


@fuzzed(
    likelihood.log_likelihood,
    likelihood.exact_trace,
    likelihood.Hutchinson,
    likelihood.prior_log_prob,
    examples=20,
)
def test_likelihoods(f, draw):
    sde, x = draw(st.sampled_from((families.VP(), families.VE(0.1, 5.0)))), points(draw)
    trace = likelihood.exact_trace
    if f is likelihood.Hutchinson:
        trace = f(
            x, draw(often((2, 3), 0, -1, 1.5)), gaussian=draw(st.booleans()), generator=generator()
        )
    terminal = likelihood.prior_log_prob(sde)
    if f is likelihood.prior_log_prob:
        assert terminal(x).shape == x.shape[:1]
        return terminal(x)
    out = likelihood.log_likelihood(
        sde,
        normal,
        x,
        t_min=draw(size(0.1, 0.5)),
        trace=trace,
        terminal=terminal,
        **{name: draw(often((0.01, 0.1), *EXTREME[4:])) for name in ("rtol", "atol")},
    )
    assert out.log_p.shape == out.std_error.shape == x.shape[:1]
    return out


@fuzzed(probability_flow.interpolate)
def test_interpolate(f, draw):
    a = points(draw)
    b = draw(
        often((a.flip(-1) if a.ndim else a,), a, torch.zeros_like(a), a[..., :1] if a.ndim else a)
    )
    return f(a, b, torch.tensor([0.0, draw(TIME)]))


@fuzzed(dequantisation.grey_levels, dequantisation.dequantise)
def test_grey_levels(f, draw):
    k = (points(draw, IMAGES).double().abs() * 50).round().clamp(0, draw(often((255,), 300)))
    x = (k / 255).to(draw(DTYPE))
    out = shaped(f(x) if f is dequantisation.grey_levels else f(x, generator=generator()), x)
    levels = out if f is dequantisation.grey_levels else (out.double() * 256).floor()
    assert torch.equal(levels.double(), k)
    return out


@fuzzed(dequantisation.bits_per_dim)
def test_bits_per_dim(f, draw):
    log_p = points(draw, often(((3,), ()), (0,)), often((torch.float64,), torch.float32))
    d, width = draw(often((1, 784), 0, -1, math.nan, math.inf)), draw(POSITIVE)
    out = f(log_p, d, width=width)
    assert torch.allclose(out, -log_p / (d * math.log(2)) - math.log2(width))
    return out


LEVELS = torch.linspace(0, 1, 4)


@fuzzed(dequantisation.Decoder, dequantisation.Decoder.fit, dequantisation.diffusion_bound)
def test_decoders(f, draw):
    levels = draw(
        often((LEVELS,), LEVELS[:1], LEVELS.flip(0), LEVELS[:, None], torch.full((4,), math.nan))
    )
    sigma, w = (
        draw(POSITIVE),
        draw(often((torch.ones(4),), torch.zeros(4), torch.ones(3), torch.full((4,), math.inf))),
    )
    x = points(draw, often(((3, 2),), (0, 2), (3,), ())).clamp(0, 1)
    k = (x.double() * 3).round()
    if f is dequantisation.Decoder:
        black = torch.full((3,), draw(size(0.5)), dtype=torch.float64).float()
        decoder = f(
            levels,
            sigma,
            w,
            draw(often((torch.tensor([0.1, 0.5]),), torch.tensor([0.5, 0.1]), torch.zeros(0))),
            black,
        )
    else:
        decoder = dequantisation.Decoder.fit(
            x, k, levels, sigma, w, bins=draw(st.sampled_from((60, 1)))
        )
    if f is dequantisation.diffusion_bound:
        out = f(
            mean_of_normal,
            x,
            decoder,
            sigma_max=draw(size(80.0)),
            generator=generator(),
            batch=draw(st.sampled_from((100, 2))),
        )
    else:
        out = decoder.log_prob(x, x, k)
    assert out.shape == x.shape[:1]
    return out


@fuzzed(dequantisation.gaussian_bound)
def test_gaussian_bound(f, draw):
    x = points(draw)
    n = len(x) if x.ndim else 1
    out = f(
        torch.zeros(n),
        torch.zeros(draw(often((n,), n + 1))),
        x,
        draw(often((x,), x.flatten())),
        draw(POSITIVE),
    )
    assert out.shape == x.shape[:1]
    return out


# ---------------------------------------------------------------- metrics

FEATURES = often(((6, 3), (2, 3)), (0, 3), (1, 3), (6,), (), (6, 1), (6, 0))


@fuzzed(metrics.moments, metrics.Moments, metrics.frechet_distance, metrics.frechet_bias)
def test_moments(f, draw):
    x, y = points(draw, FEATURES), points(draw, FEATURES)
    a, b = metrics.moments(x), metrics.moments(y)
    if f is metrics.Moments:
        a = f(a.mean, a.covariance * draw(often((1.0,), math.nan, math.inf)), a.n)
        return metrics.frechet_distance(a, b)
    return f(a, b) if f is metrics.frechet_distance else f(a) if f is metrics.frechet_bias else a


@fuzzed(metrics.split_floor, metrics.precision_recall, metrics.sliced_wasserstein, metrics.kid)
def test_distances_of_samples(f, draw):
    x, y = points(draw, FEATURES), points(draw, FEATURES)
    if f is metrics.kid:
        return f(x, y, groups=draw(often((2, 3), 0, 1, -1, 1.5)))
    if f is metrics.split_floor:
        return f(
            x,
            draw(often((2, 3), 0, 1, -1)),
            draws=draw(often((2, 3), 0, 1, -1)),
            generator=generator(),
        )
    if f is metrics.precision_recall:
        return f(x, y, draw(often((1, 3), 0, -1, 1.5)), batch=draw(st.sampled_from((1000, 2))))
    y = draw(st.sampled_from([x, 2 * x, y]))
    return f(
        x, y, draw(often((1, 64), 0, -1)), generator=draw(st.sampled_from([None, generator()]))
    )


@fuzzed(classifier.features, classifier.accuracy, examples=20)
def test_of_the_classifier(f, draw):
    x, batch = points(draw, IMAGES), draw(st.sampled_from((500, 1)))
    if f is classifier.features:
        return f(x, CLASSIFIER, batch=batch)
    return f(
        x,
        torch.zeros(draw(often((len(x) if x.ndim else 1,), 7)), dtype=torch.long),
        CLASSIFIER,
        batch=batch,
    )


@fuzzed(errors.FourErrors, examples=10)
def test_four_errors(f, draw):
    times = torch.tensor([draw(size(1.0)), 0.5, draw(size(0.1))])
    how = dict(
        n=draw(COUNT), eta=draw(often((1.0, 0.0), -1.0, math.nan)), fine=draw(often((10,), 0, -1))
    )
    four = f(GARDEN, families.VP(), normal, times, generator=generator(), **how)
    return four.split(), four.floor(generator=generator())


# ---------------------------------------------------------------- sampling


@fuzzed(sampling.sample_images, by_name.sample_score, by_name.sample_denoiser)
def test_sampling(f, draw):
    n, sde, shape = draw(often((1, 3), 0, -1, 1.5)), draw(PROCESS), (1, 28, 28)
    if f is sampling.sample_images:
        shape = draw(often(((2,), (1, 4, 4)), (), (0,)))
        how = dict(
            steps=draw(often((1, 4), 0, -1, 1.5)),
            t_min=draw(size(0.01, 0.1)),
            batch=draw(often((64, 2, None), 0, -1)),
            shape=shape,
            grid=by_name.GRIDS[draw(st.sampled_from(list(by_name.GRIDS)))],
            denoised=draw(st.booleans()),
            progress=False,
        )
        x, nfe = f(normal, sde, n, generator=generator(), **how)
    else:
        how = dict(
            solver=draw(often(tuple(by_name.SOLVERS), "none")),
            evaluations=draw(often((2, 5), 0, 1, -1, 2.5)),
        )
        if f is by_name.sample_denoiser:
            how |= dict(
                label=draw(LABEL), guidance=draw(size(1.0)), batch=draw(often((50, 1), 0, -1))
            )
        x, nfe = f(
            normal if f is by_name.sample_score else mean_of_normal,
            sde,
            n,
            generator=generator(),
            **how,
        )
    cut = len(shape) < 3 or bool(((x >= 0) & (x <= 1)).all())  # images are
    assert x.shape == (n, *shape) and cut and nfe >= 1
    return x


@fuzzed(sampling.in_batches, devices.in_bfloat16)
def test_in_batches(f, draw):
    x = points(draw)
    batch = (draw(often((64, 2), 0, -1, 1.5)),) if f is sampling.in_batches else ()
    return shaped(f(normal, *batch)(x, time(draw, x)), x)


@fuzzed(by_name.Solver)
def test_solver_names(f, draw):
    cost = draw(st.sampled_from((1, 2, 6)))
    step = stepping.one_step(evaluations=cost)(solvers.euler_maruyama.formula)
    solver = f(lambda steps, generator: step, 1.0)
    steps = solver.steps(draw(often((2, 35), 0, -1)))
    assert steps >= 1
    return steps


# ---------------------------------------------------------------- pictures

EXTENT = often(
    ((-3.0, 3.0, -2.0, 2.0),),
    (1.0, -1.0, 0.0, 1.0),
    (0.0, 0.0, 0.0, 1.0),
    (math.nan, 1.0, 0.0, 1.0),
    (0.0, math.inf, 0.0, 1.0),
    (0.0, 1.0),
)


@fuzzed(plotting.grid_points)
def test_grid_points(f, draw):
    n = draw(COUNT)
    x = f(draw(EXTENT), n)
    assert x.shape == (n, n, 2)
    return x


@fuzzed(plotting.luminance, plotting.ink)
def test_colours(f, draw):
    out = f(draw(st.sampled_from(["#1A5A94", "#ffffff", "#000000", (0.5, 0.2, 0.9)])))
    assert all(0 <= a <= 1 for a in np.atleast_1d(out))
    return out


@fuzzed(frames.field, frames.particles, frames.images)
def test_frames(f, draw):
    bad = draw(often((0.0,), math.nan, math.inf))
    if f is frames.images:
        frame = f(
            points(draw, IMAGES).abs().clamp(0, draw(often((1,), 2))) + bad,
            draw(often((None, 1), 0, -1, 9)),
        )
    elif f is frames.field:
        density, arrows = (
            tensor(draw(often(((4, 4),), (0, 4), (4,), ()))),
            tensor(draw(often(((3, 3, 2),), (3, 2), (0, 3, 2)))),
        )
        frame = f(density + bad, arrows, draw(EXTENT))
    else:
        paths = tensor(draw(often(((5, 3, 2),), (5, 2), (0, 3, 2), (5, 0, 2)))) + bad
        frame = f(paths, draw(EXTENT), times=draw(often((None, range(5)), [1.0], [math.nan] * 5)))
    (back,) = frames.decode(frames.encode([frame]))
    assert all(np.array_equal(a, back.arrays[name]) for name, a in frame.arrays.items())
    return [frame.values(name) for name in frame.arrays if name not in ("groups",)]


@fuzzed(frames.encode, frames.decode)
def test_frames_as_text(f, draw):
    text = frames.encode([frames.images(np.full((2, 3, 3), 0.5))])
    if f is frames.decode:
        k = draw(st.integers(0, len(text)))
        text = draw(st.sampled_from([text, text[:k], text[:k] + "?" + text[k:], "", "AAAA"]))
    return [frame.values("pixels") for frame in frames.decode(text)]


def still(**values):
    return frames.images(np.full((1, 2, 2), 0.5))


@fuzzed(
    widgets.Slider, widgets.Switch, widgets.Paint, widgets.Table, widgets.bake, widgets.Explorer
)
def test_controls(f, draw):
    values = draw(
        often(((0.1, 1.0),), (), (1.0,), (1.0, 0.1), (math.nan, 1.0), (0.0, math.inf), ("a", "b"))
    )
    if f is widgets.Switch:
        options = draw(often((("a", "b"), {"a": 1, "b": 2}), (), ("a",), ("a", "a"), (1, 2), "ab"))
        control = f("s", "s", options, start=draw(often((None, "a"), "c")))
    elif f is widgets.Paint:
        blocks = draw(often(((2, 2), (1, 2)), (0, 2), (3, 3), (1, 1)))
        control = f(
            "s", "s", draw(often((4,), 0, -1)), 4, blocks=blocks, start=draw(often(("",), "1"))
        )
    else:
        control = widgets.Slider(
            "s", "s", values, log=draw(st.booleans()), integer=draw(st.booleans())
        )
    if f in (widgets.Slider, widgets.Switch, widgets.Paint):
        control.resolve(draw(often((control.keys[0],), -1.0, math.nan, "z", 1e300)))
    table = widgets.bake([control], draw(often((still,), lambda **v: None)))
    if f is widgets.Table:
        table = f({"s": list(range(draw(COUNT)))}, table.frames)
    if f is widgets.Explorer:
        f(draw(often(([control],), [], [control, control])), table, draw(often((None, still), 3)))
    return [frame.values("pixels") for frame in table.frames]


@fuzzed(widgets.MixtureField, examples=20)
def test_mixture_field(f, draw):
    f(
        GARDEN,
        draw(often((None, "langevin", "reverse"), "?")),
        extent=draw(EXTENT),
        sigma=draw(size(None, 0.5)),
        sigma_max=draw(POSITIVE),
        particles=draw(often((5,), 0, -1)),
        start=draw(size(None, 1.0)),
        eps=draw(size(0.02)),
    )


# ---------------------------------------------------------------- nothing is left out

EXCUSED = {
    "sdelib.checks": "what refuses; test_checks, and every refusal of every other function",
    "sdelib.cli": "takes words; test_cli and test_faults",
    "sdelib.widgets.bundle": "takes the package's own JavaScript",
    "sdelib.widgets.controls": "inside Slider, Switch, Paint and Explorer",
    "sdelib.widgets.live": "made by Explorer",
    "sdelib.widgets.mixture": "made by MixtureField",
    "sdelib.widgets.still": "draws what a widget shows",
    "sdelib.widgets.frames.edges": "inside field and particles",
    "sdelib.widgets.table.frame_of": "inside bake and the live widget",
    "sdelib.brownian.NoiseWithArea": "a protocol",
    "sdelib.brownian.first_part": "inside BrownianPath",
    "sdelib.few_steps.Before": "what DPMSolver remembers",
    "sdelib.grids.uniform_grid": "uniform_times in another form",
    "sdelib.grids.two_times": "inside the grids",
    "sdelib.integration.fits": "inside integrate",
    "sdelib.networks.layers.fits": "inside the networks",
    "sdelib.networks.layers.silent": "inside the networks",
    "sdelib.networks.layers.NoiseEmbedding": "inside the networks",
    "sdelib.networks.layers.ResBlock": "inside the networks",
    "sdelib.networks.layers.Attention": "inside the networks",
    "sdelib.own.devices.exact_products": "takes nothing",
    "sdelib.own.checkpoints": "takes files; test_training and test_faults damage them",
    "sdelib.own.runs": "inside train; test_training changes one thing at a time",
    "sdelib.own.specs": "takes networks and files; test_weights",
    "sdelib.own.training.step_generator": "inside train",
    "sdelib.own.training.learning_rate": "inside train",
    "sdelib.own.adapters": "takes other people's models; test_adapters",
    "sdelib.own.budget": "reads tables of results/; test_budget",
    "sdelib.own.comparison": "takes samples and data; test_compare and its parts break both",
    "sdelib.own.curve": "what Model.train returns",
    "sdelib.own.data": "takes files and arrays; test_own_data, test_pictures and others",
    "sdelib.own.devices.chosen": "takes a device; test_model",
    "sdelib.own.devices.visiting": "takes a network; test_model",
    "sdelib.own.export": "writes a file; test_export",
    "sdelib.own.extras": "takes the name of a package; test_own_data",
    "sdelib.own.fitting": "inside Model.train",
    "sdelib.own.luck": "takes a key; test_noise",
    "sdelib.own.metrics.class_weights": "inside split_floor; test_metrics",
    "sdelib.own.metrics.jackknife": "inside kid; test_metrics",
    "sdelib.own.metrics.unit_vectors": "inside sliced_wasserstein",
    "sdelib.own.model": "takes data and files; test_model and test_own give bad ones",
    "sdelib.own.noise": "inside Model.sample; test_noise",
    "sdelib.own.samples": "inside Model.sample; test_model",
    "sdelib.own.schedule": "inside Model.train; test_model",
    "sdelib.own.schedules": "other libraries' numbers; test_adapters",
    "sdelib.own.sizes": "inside Model.make; test_model",
    "sdelib.own.training.Examples": "a protocol",
    "sdelib.own.tuning": "takes data and words; test_tuning and test_tune",
    "sdelib.own.validation": "takes a network and data; test_validation",
    "sdelib.book.own_cases": "the data sets of one chapter; test_own_cases",
    "sdelib.book.known_law": "pictures that it drew itself; test_known_law",
    "sdelib.predictor_corrector.correct": "inside PredictorCorrector",
    "sdelib.reversal.PricedScore": "a score and what it costs",
    "sdelib.reversal.evaluations_of": "takes a score",
    "sdelib.reversal.forward_of": "takes an SDE",
    "sdelib.sdes.pull_back": "inside the probe and Milstein's step",
    "sdelib.stepping": "what a step is; every step is fuzzed",
    "sdelib.book.figures": "draw what a chapter computed; the chapters run them",
    "sdelib.book.one_pixel": "one chapter's sum on one pixel; test_one_pixel",
    "sdelib.book.peers": "reads one table; test_peers",
    "sdelib.book.quality_table": "reads one table; test_quality_table",
    "sdelib.book.quadrature": "one chapter's sum over nodes; test_quadrature",
    "sdelib.book.data.stand_in": "takes a flag",
    "sdelib.book.baking": "recipes with fixed arguments; test_baking runs them",
    "sdelib.book.exercises": "answers of readers; test_exercises gives right and wrong ones",
    "sdelib.book.notebook": "takes code and words, no numbers",
    "sdelib.own.weights": "takes files; test_weights and test_faults damage them",
    "sdelib.own.training.train": "an hour's loop; test_training gives it bad numbers",
    "sdelib.own.training.TrainingResult": "what train returns",
    "sdelib.own.training.Objective": "a protocol",
    "sdelib.book.data.Garments": "what fashion_mnist returns",
    "sdelib.book.data.fashion_mnist": "takes files; test_data and test_faults",
    "sdelib.book.classifier.stored_moments": "reads one bundled file",
    "sdelib.book.four_errors.Distance": "what FourErrors returns",
    "sdelib.likelihood.Likelihood": "what log_likelihood returns",
    "sdelib.widgets.frames.Frame": "what field, particles and images return",
    "sdelib.sdes.SDE": "abstract",
    "sdelib.sdes.GaussianSDE": "abstract; all that it defines is fuzzed in its five kinds",
    "sdelib.own.devices.on_gpu": "takes a network; test_networks and test_gpu",
    "sdelib.own.devices.device_name": "takes a device; test_networks and test_gpu",
    "sdelib.networks.scores.ScoreNetwork": "abstract",
    "sdelib.networks.layers.Conditioned": "abstract; the bodies are fuzzed",
    "sdelib.networks.layers.unusual": "takes a config's values",
    "sdelib.networks.unet.Halving": "abstract; the bodies are fuzzed",
    "sdelib.networks.unet.Level": "a part of a UNet; test_unet",
    "sdelib.networks.unet.spread": "the last line of a UNet; test_unet",
    "sdelib.inverse_problems.Operator": "abstract",
    "sdelib.inverse_problems.measured": "judges y inside posterior_score, Replacement and DPS",
    "sdelib.inverse_problems.conjugate_gradients": "the solver inside posterior_score",
    "sdelib.probability_flow.solve_rk45": "the solver inside flow and log_likelihood",
    **{
        f"sdelib.book.plotting.{name}": "draws; matplotlib is the judge, and test_plotting"
        for name in ("style", "figure", "show_density", "show_arrows", "show_images", "label_line")
    },
}


def test_every_public_function_is_fuzzed_or_excused():
    public, excused = {}, set()
    for info in pkgutil.walk_packages(sdelib.__path__, "sdelib."):
        if info.name.rpartition(".")[2] == "__main__":
            continue
        module = importlib.import_module(info.name)
        for name, thing in vars(module).items():
            if not name.startswith("_") and getattr(thing, "__module__", "") == info.name:
                public[f"{info.name}.{name}"] = thing
    for name, thing in public.items():
        rooms = {name} | {name[:k] for k, letter in enumerate(name) if letter == "."}
        if reason := rooms & EXCUSED.keys():
            excused |= reason
        else:
            assert any(f is thing for f in FUZZED), f"{name} is neither fuzzed nor excused"
    assert excused == EXCUSED.keys(), f"excused, but gone: {EXCUSED.keys() - excused}"
