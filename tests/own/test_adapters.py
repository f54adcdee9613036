"""Other people's models: an exact ε, v or u₀ gives back the exact denoiser; diffusers' own DDIM is
what our solver does on the same noise; our denoiser runs under its schedulers."""

import math

import pytest
import torch
from helpers import missing

from sdelib.checks import like
from sdelib.denoiser import NO_LABEL, score_from
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel
from sdelib.few_steps import DPMSolver
from sdelib.integration import solve
from sdelib.networks import Denoiser
from sdelib.own.adapters import DiffusersModel, DiscreteDenoiser, DiscreteModel, pipeline
from sdelib.own.schedules import BETAS, PREDICTIONS, Schedule
from sdelib.predictor_corrector import ancestral
from sdelib.reversal import Reverse, denoise

f64 = {"dtype": torch.float64}
K = 50
M, H = 0.5, 0.5  # u = (x − M)/H: [0, 1] becomes [−1, 1]
MEAN, STD = 0.2, 0.6  # of Gaussian data u
MIXTURE = GaussianMixture(
    [0.3, 0.7], torch.tensor([[-0.5, 0.4], [0.6, -0.2]], dtype=torch.float64), [0.1, 0.2]
)


def draw(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **f64)


def plan(prediction="epsilon", name="linear"):
    return Schedule.named(name, K, 1e-3, 0.3, prediction)


def predicting(clean, schedule, alpha_of=None):
    """model(y, k) that predicts as the schedule says, from the exact clean(y, alpha)."""
    alpha_of = alpha_of or (lambda k: 1 / (1 + schedule.ratio(k) ** 2))

    def model(y, k):
        alpha = alpha_of(k.to(y))
        a, root, std = like(alpha, y), like(alpha.sqrt(), y), like((1 - alpha).sqrt(), y)
        u = clean(y, a)
        noise = (y - root * u) / std
        return {"epsilon": noise, "v_prediction": root * noise - std * u, "sample": u}[
            schedule.prediction
        ]

    return model


def gaussian(y, a):
    """E[u₀ | y] for u₀ ~ N(MEAN, STD²)."""
    return MEAN + STD**2 * a.sqrt() / (a * STD**2 + 1 - a) * (y - a.sqrt() * MEAN)


def of_mixture(y, a):
    """E[u₀ | y] for u₀ ~ MIXTURE, at one ᾱ for all y."""
    u, ratio = y / a.sqrt(), float((1 / a - 1).sqrt().flatten()[0])
    return u + ratio**2 * MIXTURE.blurred(ratio).score(u)


def exact(x, sigma):
    """E[x₀ | x₀ + σz = x] for the same Gaussian data as x = M + H u."""
    v = (H * STD) ** 2
    return M + H * MEAN + like(v / (v + sigma**2), x) * (x - M - H * MEAN)


# ---------------------------------------------------------------- known answers


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("fractional", [False, True])
def test_an_exact_model_gives_back_the_exact_denoiser(prediction, fractional):
    schedule = plan(prediction)
    D = DiscreteDenoiser(predicting(gaussian, schedule), schedule, fractional=fractional)
    x = M + like(1 + D.sigmas, torch.zeros(K, 3, **f64)) * draw(K, 3)
    torch.testing.assert_close(D(x, D.sigmas), exact(x, D.sigmas), rtol=1e-11, atol=1e-11)
    single = D(x.float(), D.sigmas.float())
    assert single.dtype == torch.float32
    off = (single - exact(x, D.sigmas)).abs().amax(1) / (1 + D.sigmas)
    assert off.max() < 1e-5  # the step is found again through float32


@pytest.mark.parametrize("sde", [VP(0.1, 8.0), VE(0.01, 6.0), NoiseLevel(8.0)], ids=repr)
def test_it_is_the_score_of_every_process(sde):
    """At the schedule's own times, for a mixture: ∇ log p_t of x = M + H u, in closed form."""
    schedule = plan()
    D = DiscreteDenoiser(predicting(of_mixture, schedule), schedule)
    reached = float(sde.ratio(torch.tensor(sde.T, **f64)))
    last = int((D.sigmas <= reached).sum()) - 1
    x, seen = draw(5, 2), [0, 7, last]
    for t, k in zip(D.times(sde, torch.tensor(seen)), seen):
        scale, std = sde.marginal(t)
        u, ratio = (x / scale - M) / H, float(schedule.ratios[k])
        right = MIXTURE.blurred(ratio).score(u) / (H * scale)
        torch.testing.assert_close(score_from(D, sde)(x, t), right, rtol=1e-9, atol=1e-9)
        assert abs(float(std / scale) - float(D.sigmas[k])) < 1e-9 * reached


def test_between_steps_the_nearest_is_off_to_first_order_and_a_fraction_to_second():
    """On twice as many steps of the same process one error halves, the other falls to a quarter."""
    sigma = torch.linspace(math.log(0.1), math.log(5.0), 2001, **f64).exp()
    x = M + H * MEAN + (sigma**2 + (H * STD) ** 2).sqrt()[:, None]
    errors = {}
    for steps in (100, 200):
        s = lambda k: (k + 1) / steps
        alpha_of = lambda k: torch.exp(-s(k) / 10 - 5 * s(k) ** 2)
        schedule = Schedule(alpha_of(torch.arange(steps, **f64)))
        model = predicting(gaussian, schedule, alpha_of)
        for fractional in (False, True):
            D = DiscreteDenoiser(model, schedule, fractional=fractional)
            errors[steps, fractional] = float((D(x, sigma) - exact(x, sigma)).abs().max())
    assert 0.4 < errors[200, False] / errors[100, False] < 0.6
    assert 0.2 < errors[200, True] / errors[100, True] < 0.3
    assert errors[100, True] < 0.1 * errors[100, False]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_denoiser_becomes_a_model_and_a_denoiser_again(prediction):
    """D → ε, v, u₀ → D, on another range and with labels."""
    schedule, span = plan(prediction, "squaredcos_cap_v2"), (-3.0, 5.0)
    D = lambda x, sigma, label: exact(x, sigma) + like(label, x)
    there = DiscreteModel(D, schedule, span=span, levels=(1e-9, 1e9))
    back = DiscreteDenoiser(there, schedule, span=span, fractional=True, no_label=9)
    sigma = torch.linspace(math.log(back.levels[0]), math.log(10.0), 9, **f64).exp()
    x, label = draw(9, 2), torch.arange(9) - 1
    right = D(x, sigma, torch.where(label == NO_LABEL, 9, label))
    torch.testing.assert_close(back(x, sigma, label), right, rtol=1e-9, atol=1e-9)
    told = back(x, sigma)
    torch.testing.assert_close(told, D(x, sigma, torch.full((9,), 9)), rtol=1e-9, atol=1e-9)


def test_a_model_of_another_type_and_a_learned_variance():
    schedule = plan("sample")
    network = torch.nn.Linear(4, 4).requires_grad_(False)
    seen = []

    def doubled(y, k):
        seen.append((y.dtype, k.dtype, k.tolist()))
        return (torch.cat([network(y), y], dim=1),)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network

        def forward(self, y, k):
            return doubled(y, k)

    D = DiscreteDenoiser(Model(), schedule, clip=True)
    x = 3 * draw(2, 4)
    d = D(x, D.sigmas[[3, 40]])
    assert seen == [(torch.float32, torch.int64, [3, 40])] and d.dtype == torch.float64
    assert d.min() >= 0 and d.max() <= 1 and d.unique().numel() > 2


def test_beyond_the_levels_of_a_denoiser_the_noise_is_scaled_down():
    """At ρ = 20,000 (the last step of squaredcos) a denoiser that knows σ ≤ 160 is asked at 160."""
    schedule = Schedule.named("squaredcos_cap_v2", prediction="sample")
    asked = []

    def D(x, sigma, label):
        asked.append((float(x.std()), float(sigma[0])))
        return exact(x, sigma)

    found = DiscreteModel(D, schedule)(y := draw(2000, 1), 999)
    assert asked[0][1] == 160 and 150 < asked[0][0] < 170
    torch.testing.assert_close(found, torch.full_like(y, MEAN), atol=0.02, rtol=0)
    DiscreteModel(D, schedule, levels=(0.1, 160.0))(y, 0)
    assert asked[1][1] == 0.1


@pytest.mark.fault
@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Schedule(torch.tensor([0.5])), "alphas_cumprod"),
        (lambda: Schedule(torch.tensor([0.5, 0.6])), "alphas_cumprod"),
        (lambda: Schedule(torch.tensor([0.5, 0.0])), "alphas_cumprod"),
        (lambda: Schedule(torch.tensor([0.9, float("nan")])), "alphas_cumprod"),
        (lambda: Schedule(torch.tensor([0.9, 0.8]), "flow"), "prediction = 'flow'"),
        (lambda: Schedule.named("sigmoid"), "name = 'sigmoid'.*scaled_linear"),
        (lambda: Schedule.named(first=0.2, last=0.1), "first = 0.2"),
        (lambda: Schedule.of({"num_train_timesteps": 1000, "shift": 3.0}), "scheduler"),
        (lambda: Schedule.of(object()), "scheduler"),
        (lambda: plan().ratio(torch.tensor([50.0])), "timestep = .50.*0 to 49"),
        (lambda: DiscreteDenoiser(abs, plan(), span=(1.0, 0.0)), "span = .1.0, 0.0"),
        (lambda: DiscreteDenoiser(abs, plan())(draw(2, 2), 100.0), "sigma = .*first_time"),
        (lambda: DiscreteDenoiser(abs, plan())(draw(2, 2), 1e-3), "sigma = .*first_time"),
        (lambda: DiscreteDenoiser(abs, plan())(draw(2, 2), 1.0, NO_LABEL), "label = -1.*None"),
        (lambda: DiscreteDenoiser(abs, plan())(draw(2, 2), 1.0, torch.arange(3)), "label = "),
        (
            lambda: DiscreteDenoiser(lambda y, k: y[:, :1], plan())(draw(2, 3), 1.0),
            r"model's answer has shape \(2, 1\)",
        ),
        (lambda: DiscreteDenoiser(abs, plan()).times(NoiseLevel(), torch.tensor([50])), "k = .50"),
        (lambda: DiscreteDenoiser(abs, plan()).times(NoiseLevel(0.1), torch.tensor([9])), "ratio"),
        (lambda: DiscreteModel(lambda x, s, y: x[:1], plan())(draw(2, 3), 4), "D.x; σ. has shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert len(str(error.value)) < 500


# ---------------------------------------------------------------- diffusers itself


@pytest.fixture
def diffusers(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        import diffusers
    except ImportError:
        missing("needs diffusers: pip install diffusers")
    return diffusers


def unet(diffusers, **more):
    """A small UNet2DModel with random weights, in float64."""
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D")}
    kinds |= {"up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    sizes = {"block_out_channels": (16, 16), "norm_num_groups": 4, "attention_head_dim": 4}
    return (
        diffusers.UNet2DModel(sample_size=8, layers_per_block=1, **kinds, **sizes, **more)
        .double()
        .eval()
        .requires_grad_(False)
    )


class Same:
    """Noise that is given: z of each step in turn, as increments."""

    def __init__(self, z):
        self.z = iter(z)

    def __call__(self, t, t_next):
        return next(self.z) * (t_next - t).abs().sqrt()


def theirs(scheduler, network, y, z, eta, clipped=False):
    """diffusers' DDIM from y, in [−1, 1], with this noise."""
    for k, noise in zip(scheduler.timesteps, z):
        how = {"eta": eta, "variance_noise": noise if eta else None}
        answer = network(y, k).sample
        y = scheduler.step(answer, k, y, use_clipped_model_output=clipped, **how).prev_sample
    return y


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(
    "prediction, name, clip",
    [
        *((prediction, "linear", False) for prediction in PREDICTIONS),
        ("epsilon", "scaled_linear", False),
        ("v_prediction", "squaredcos_cap_v2", False),
        ("epsilon", "linear", True),
        ("sample", "squaredcos_cap_v2", True),
    ],
)
def test_our_solver_is_their_ddim(diffusers, prediction, name, clip, eta):
    """On the same start and the same noise, by way of VP and of a plain noise level: to 1e-8 in
    float64 (with their ᾱ widened too), and 1e-4 in float32."""
    how = {"beta_schedule": name, "prediction_type": prediction, "clip_sample": clip}
    scheduler = diffusers.DDIMScheduler(200, beta_end=0.06, steps_offset=1, **how)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = torch.ones((), **f64)
    scheduler.set_timesteps(5)
    network, y, z = unet(diffusers), draw(2, 3, 8, 8), draw(5, 2, 3, 8, 8, seed=2)
    right = theirs(scheduler, network, y, z, eta, clip) / 2 + 0.5
    assert right.std() > 0.1 and (not clip or 0 <= right.min() < right.max() <= 1)
    alpha = scheduler.alphas_cumprod[scheduler.timesteps[0]]
    for kind, bound in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        D = DiscreteDenoiser(network.to(kind), Schedule.of(scheduler), clip=clip)
        for sde in (VP(0.1, 50.0), NoiseLevel(1.001 * D.levels[1])):
            times, score = D.times(sde, scheduler.timesteps), score_from(D, sde)
            x = (sde.marginal(times[0])[0] * (M + H * y / alpha.sqrt())).to(kind)
            step = DPMSolver(1) if eta == 0 else ancestral
            x = solve(Reverse(sde, score, eta), x, times, step, noise=Same(z.to(kind)))
            x = denoise(sde, score, x, times[-1])
            assert x.dtype == kind and (x - right).abs().max() < bound * max(1, right.abs().max())


def test_ancestral_sampling_is_their_ddpm(diffusers):
    """All 20 steps, clipped as by default, with the noise that their generator draws."""
    scheduler = diffusers.DDPMScheduler(20, beta_end=0.4)
    scheduler.alphas_cumprod, scheduler.one = scheduler.alphas_cumprod.double(), torch.ones(())
    network, start = unet(diffusers), draw(2, 3, 8, 8)
    D = DiscreteDenoiser(network, Schedule.of(scheduler), clip=True)
    sde = NoiseLevel(1.001 * D.levels[1])
    times, y = D.times(sde, scheduler.timesteps), start
    generator = torch.Generator().manual_seed(2)
    z = [torch.randn(y.shape, generator=generator, **f64) for _ in scheduler.timesteps]
    generator.manual_seed(2)
    for k in scheduler.timesteps:
        y = scheduler.step(network(y, k).sample, k, y, generator=generator).prev_sample
    x = M + H * start / scheduler.alphas_cumprod[-1].sqrt()
    x = solve(Reverse(sde, score_from(D, sde)), x, times, ancestral, noise=Same(z))
    x = denoise(sde, score_from(D, sde), x, times[-1])
    assert y.std() > 0.1
    torch.testing.assert_close(x, y / 2 + 0.5, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", BETAS)
def test_a_configuration_is_as_good_as_the_scheduler(diffusers, name):
    for zero in (False, True):
        how = {"beta_schedule": name, "prediction_type": "sample", "rescale_betas_zero_snr": zero}
        scheduler = diffusers.DDIMScheduler(400, **how)
        one, other = Schedule.of(scheduler), Schedule.of(dict(scheduler.config))
        assert one.prediction == other.prediction == "sample"
        assert len(one.ratios) == len(other.ratios) == 400 - zero
        torch.testing.assert_close(one.ratios, other.ratios, rtol=2e-3, atol=1e-5)
    betas = scheduler.betas.numpy()[:-1]
    given = diffusers.DDIMScheduler(399, trained_betas=betas)
    assert Schedule.of(given).prediction == "epsilon"
    torch.testing.assert_close(
        Schedule.of(given).ratios, Schedule.of(dict(given.config)).ratios, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="scheduler"):
        Schedule.of(diffusers.FlowMatchEulerDiscreteScheduler())


def test_labels_reach_their_network(diffusers):
    """Per image, by guidance, and −1 as the number that the model trained for "not told"."""
    network, x = unet(diffusers, num_class_embeds=4), 0.5 + draw(3, 3, 8, 8)
    D = DiscreteDenoiser(network, plan(), no_label=3, fractional=True)
    label, sigma = torch.tensor([0, NO_LABEL, 2]), torch.tensor([0.1, 1.0, 2.0], **f64)
    each = torch.cat([D(x[i : i + 1], sigma[i], int(label[i])) for i in range(3)])
    torch.testing.assert_close(D(x, sigma, label), each, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(D(x, sigma), D(x, sigma, 3), rtol=1e-12, atol=1e-12)
    assert (D(x, sigma) - D(x, sigma, 1)).abs().max() > 1e-4
    t = torch.tensor(1.0, **f64)
    score = score_from(D, NoiseLevel(3.0), label=1, guidance=2.0)(x, t)
    torch.testing.assert_close(score, 2 * D(x, t, 1) - D(x, t) - x, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------- ours among theirs


def ours():
    torch.manual_seed(0)
    network = Denoiser((8, 8), classes=3).double().eval().requires_grad_(False)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return network


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_their_schedulers_run_on_our_denoiser(diffusers, prediction):
    """DDIM on a `DiffusersModel` is DPMSolver(1) on the denoiser, and so is Euler on its own
    scale."""
    network, shape = ours(), (1, 12, 8)
    how = {"prediction_type": prediction}
    ddim = diffusers.DDIMScheduler(clip_sample=False, **how)
    schedule = Schedule.of(ddim)
    model = DiffusersModel(network, schedule, shape, label=1)
    assert model.dtype == torch.float64 and model.config.sample_size == (12, 8)
    D, z = DiscreteDenoiser(DiscreteModel(network, schedule, label=1), schedule), draw(2, *shape)
    sde = NoiseLevel(80.0)
    ddim.set_timesteps(6)
    euler = diffusers.EulerDiscreteScheduler(timestep_spacing="leading", **how)
    euler.set_timesteps(6)
    for scheduler in (ddim, euler):
        y = z * scheduler.init_noise_sigma
        for k in scheduler.timesteps:
            answer = model(scheduler.scale_model_input(y, k), k)
            assert answer.sample is answer[0]
            y = scheduler.step(answer.sample, k, y).prev_sample
        times = D.times(sde, scheduler.timesteps.long())
        first = schedule.ratios[int(scheduler.timesteps[0])]
        scale = (1 + first**2).sqrt() if scheduler is ddim else scheduler.init_noise_sigma
        score = score_from(network, sde, label=1)
        x = solve(Reverse(sde, score, 0.0), M + H * z * scale, times, DPMSolver(1), noise=Same([]))
        x = denoise(sde, score, x, times[-1])
        torch.testing.assert_close(x, y / 2 + 0.5, atol=1e-4, rtol=1e-4)


def test_a_pipeline_of_theirs_draws_with_our_denoiser(diffusers):
    scheduler = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False)
    pipe = pipeline(ours().float(), scheduler, (1, 8, 8), label=2)
    pipe.set_progress_bar_config(disable=True)
    drawn = [
        pipe(
            batch_size=2,
            num_inference_steps=4,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images
        for seed in (0, 0, 1)
    ]
    assert drawn[0].shape == (2, 8, 8, 1) and drawn[0].min() >= 0 and drawn[0].max() <= 1
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
