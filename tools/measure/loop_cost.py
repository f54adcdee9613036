"""What the time loop costs: results/loop_cost.csv, ours beside four libraries in one run.

    python tools/measure/loop_cost.py

Every loop takes the same steps on the same grid with the same denoiser, which costs next to
nothing, so what is left is the loop. The peers go into an environment of their own, in a FOLDER
outside the repository, that looks into the book's environment, so PyTorch is there once:

    .venv/bin/python -m venv FOLDER
    ls -d "$PWD" .venv/lib/*/site-packages | xargs realpath > FOLDER/book.pth
    mv FOLDER/book.pth FOLDER/lib/*/site-packages/
    FOLDER/bin/pip install --no-deps torchsde==0.2.6 trampoline==0.1.2 diffusers==0.42.1 \\
        k-diffusion==0.1.1.post1 torchdiffeq==0.2.5 azula==0.11.1 einops==0.8.2
    FOLDER/bin/python tools/measure/loop_cost.py
"""

import importlib.util
import math
import os
import statistics
import sys
import time
import types
from importlib import metadata

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler is asked for its numbers only

import table
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from sdelib.brownian import WhiteNoise
from sdelib.denoiser import score_from
from sdelib.families import VE, NoiseLevel
from sdelib.few_steps import DPMSolver
from sdelib.grids import geometric_times, uniform_times
from sdelib.integration import solve
from sdelib.predictor_corrector import ancestral
from sdelib.reversal import Reverse
from sdelib.solvers import euler_maruyama

OUT = table.RESULTS / "loop_cost.csv"
PEERS = ("torchsde", "diffusers", "k-diffusion", "azula")
SHAPES, WRITTEN = [(100, 2), (64, 784), (500, 784)], "written out"
HIGH, LOW, STEPS, TURNS, DATA_STD = 10.0, 0.02, 50, 21, 0.5
# x_σ = x_0 + σ z with σ for its time.  Ours takes the times in float64, the others in x's type.
LEVEL = NoiseLevel(HIGH)
TIMES = geometric_times(LEVEL, HIGH, LOW, STEPS)
SIGMAS = TIMES.float()
# The same on a clock from 1 down to T_MIN in equal steps, which torchsde asks for.
VE_ = VE(0.01, math.hypot(HIGH, 0.01))
RATE, T_MIN = math.log(VE_.sigma_max / 0.01), float(VE_.time(torch.tensor(LOW).double()))
CLOCK = uniform_times(1.0, T_MIN, STEPS)


def denoiser(x, sigma, label=None):
    """E[x_0 | x_σ] for x_0 ~ N(0, DATA_STD²): one multiplication of x.  sigma: a number, or one for
    each x, all equal."""
    s = sigma if sigma.ndim == 0 else sigma[0]
    return x * (DATA_STD**2 / (DATA_STD**2 + s**2))


# ---- the loops: (step, library, what is called, run(x) → x at σ = LOW)


def fresh(x):
    return WhiteNoise(x, generator=torch.Generator().manual_seed(1))


def std_and_g(t):
    """The standard deviation and the diffusion of VE_ at t."""
    return 0.01 * torch.expm1(2 * RATE * t).sqrt(), 0.01 * math.sqrt(2 * RATE) * (RATE * t).exp()


def written_out():
    def ddim(x):
        for s, s_next in zip(SIGMAS[:-1], SIGMAS[1:]):
            x = x + (s_next - s) / s * (x - denoiser(x, s))
        return x

    def maruyama(x):
        noise, clock = fresh(x), CLOCK.to(x)
        for i, dt in enumerate(clock.diff()):
            s, g = std_and_g(clock[i])
            x = x + (g / s) ** 2 * dt * (x - denoiser(x, s)) + g * noise(CLOCK[i], CLOCK[i + 1])
        return x

    return [("DDIM", "-", WRITTEN, ddim), ("Euler–Maruyama", "-", WRITTEN, maruyama)]


def ours():
    def loop(step, sde, times, eta):
        reverse = Reverse(sde, score_from(denoiser, sde), eta)
        return lambda x: solve(reverse, x, times, step, noise=fresh(x))

    return [
        ("DDIM", "sdelib", "DPMSolver(1)", loop(DPMSolver(1), LEVEL, TIMES, 0.0)),
        ("DDIM", "sdelib", "euler_maruyama, η = 0", loop(euler_maruyama, LEVEL, TIMES, 0.0)),
        ("Euler–Maruyama", "sdelib", "euler_maruyama", loop(euler_maruyama, VE_, CLOCK, 1.0)),
        ("ancestral", "sdelib", "ancestral", loop(ancestral, LEVEL, TIMES, 1.0)),
    ]


def with_torchsde():
    import torchsde

    class Equation:  # in 1 − t, which ascends
        noise_type, sde_type = "diagonal", "ito"

        def f(self, ahead, x):
            s, g = std_and_g(1 - ahead)
            return -((g / s) ** 2) * (x - denoiser(x, s))

        def g(self, ahead, x):
            return std_and_g(1 - ahead)[1].expand_as(x)

    class Draws:
        """White noise in place of torchsde's Brownian tree."""

        levy_area_approximation = "none"

        def __init__(self, x):
            self.dtype, self.device, self.shape, self.noise = x.dtype, x.device, x.shape, fresh(x)

        def __call__(self, a, b, **asked):
            return self.noise(torch.as_tensor(a), torch.as_tensor(b))

    ends, dt = torch.tensor([0, 1 - T_MIN]), (1 - T_MIN) / STEPS * (1 + 1e-6)

    def loop(noise):
        return lambda x: torchsde.sdeint(Equation(), x, ends, bm=noise(x), method="euler", dt=dt)[
            -1
        ]

    return [
        ("Euler–Maruyama", "torchsde", "sdeint", loop(lambda x: None)),
        ("Euler–Maruyama", "torchsde", "sdeint, white noise", loop(Draws)),
    ]


def with_k_diffusion():
    # Its sampling alone: the package's own __init__ imports all that its training needs.
    package = types.ModuleType("k_diffusion")
    package.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
    sys.modules["k_diffusion"] = package
    from k_diffusion import sampling

    def loop(sample, **more):
        return lambda x: sample(denoiser, x, SIGMAS, disable=True, **more)

    def noisy(x):
        white = lambda sigma, sigma_next: torch.randn_like(x)
        return sampling.sample_euler_ancestral(
            denoiser, x, SIGMAS, disable=True, noise_sampler=white
        )

    return [
        ("DDIM", "k-diffusion", "sample_euler", loop(sampling.sample_euler)),
        ("ancestral", "k-diffusion", "sample_euler_ancestral", noisy),
    ]


def with_azula():
    from azula import denoise, noise, sample

    class Exact(denoise.Denoiser):
        schedule = noise.VESchedule(LOW, HIGH)

        def forward(self, x, t):
            return denoise.DiracPosterior(mean=denoiser(x, self.schedule(t)[1]))

    def loop(sampler):
        return lambda x: sampler(Exact(), steps=STEPS, silent=True)(x)

    return [
        ("DDIM", "azula", "DDIMSampler", loop(sample.DDIMSampler)),
        ("DDIM", "azula", "EulerSampler", loop(sample.EulerSampler)),
        ("ancestral", "azula", "DDPMSampler", loop(sample.DDPMSampler)),
    ]


def with_diffusers():
    import diffusers

    diffusers.logging.set_verbosity_error()  # it misses scale_model_input, which D does not need

    def loop(make):
        def run(x):
            s = make(num_train_timesteps=1000, prediction_type="sample")
            s.set_timesteps(sigmas=[*SIGMAS[:-1].tolist(), LOW])
            s.set_begin_index(0)
            for i, t in enumerate(s.timesteps[:STEPS]):
                x = s.step(denoiser(x, s.sigmas[i]), t, x).prev_sample
            return x

        return run

    euler = diffusers.EulerDiscreteScheduler
    return [("DDIM", "diffusers", euler.__name__, loop(euler))]


# ---- what is measured


class Reads(TorchDispatchMode):
    """Counts the numbers that Python reads from tensors on the meta device, which stands for a GPU:
    for each of them a GPU's queue would have to run empty."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            self.count += 1
            return 1.0
        return func(*args, **(kwargs or {}))


def reads(run, x):
    with Reads() as seen:
        run(torch.empty_like(x, device="meta"))
    return seen.count / STEPS


def peak(run, x):
    """The most memory that PyTorch's allocator held for the run at one time, over the bytes of the
    state; the start, which the caller holds, does not count."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run(x)
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held, most = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / (x.numel() * x.element_size())


def agree(step, ends):
    """The loops end at one place; those that draw their own noise have one spread, to within five
    standard errors of the ratio of two."""
    first = next(iter(ends.values()))
    for name, end in ends.items():
        same = torch.allclose(end, first, rtol=2e-3, atol=2e-4)
        ratio, room = float(end.std() / first.std()), 5 / math.sqrt(end.numel())
        own_noise = name[1] == "sdeint" or step == "ancestral"
        assert same or (own_noise and abs(ratio - 1) < room), f"{name} takes another step"


def turns(loops, x):
    """Milliseconds a step of each loop in each turn, there and back, so that a drift cancels: CPU
    time of the process, which the other jobs on the machine disturb less than wall time."""
    spent = {name: [] for name in loops}
    for turn in range(TURNS):
        for name in loops if turn % 2 else reversed(loops):
            begin = time.process_time()
            loops[name](x)
            spent[name].append(1000 * (time.process_time() - begin) / STEPS)
    return spent


def ratio(a, b):
    return statistics.median(x / y for x, y in zip(a, b))


def rows():
    found = [*written_out(), *ours(), *with_torchsde(), *with_k_diffusion()]
    found += [*with_azula(), *with_diffusers()]
    for step in dict.fromkeys(step for step, *_ in found):
        loops = {(library, what): run for s, library, what, run in found if s == step}
        for shape in SHAPES:
            x = HIGH * torch.randn(shape, generator=torch.Generator().manual_seed(0))
            agree(step, {name: run(x) for name, run in loops.items()})
            spent = turns(loops, x)
            peers = [name for name in loops if name[0] in PEERS]
            best = min(peers, key=lambda name: statistics.median(spent[name]))
            for name, run in loops.items():
                quartiles = statistics.quantiles(spent[name], n=4)
                yield {
                    "step": step,
                    "shape": "x".join(map(str, shape)),
                    "library": name[0],
                    "version": "" if name[0] == "-" else metadata.version(name[0]),
                    "loop": name[1],
                    "milliseconds_a_step": quartiles[1],
                    "quartile_1": quartiles[0],
                    "quartile_3": quartiles[2],
                    "ratio_to_best_peer": ratio(spent[name], spent[best]),
                    "peak_memory_in_states": peak(run, x),
                    "reads_a_step": reads(run, x) if name[0] == "sdelib" else "",
                }


HEAD = [
    "command: python tools/measure/loop_cost.py",
    f"all: {STEPS} steps from sigma = {HIGH:g} down to {LOW:g}, float32, with the denoiser",
    f"        D(x; sigma) = x d^2/(d^2 + sigma^2), d = {DATA_STD:g}",
    "DDIM: the first-order step of the flow, on a geometric grid; in sigma it is Euler's step, as",
    "        some call it.  Euler-Maruyama: of the reverse SDE, on equal steps of the time of",
    "        VE(0.01).  ancestral: DDPM's step, on the geometric grid",
    f"milliseconds_a_step: median of {TURNS} turns with its quartiles, all loops in turns, in CPU",
    "        time of the process, which other jobs disturb less than wall time",
    "ratio_to_best_peer: to the fastest loop of another library for the same step and shape, turn",
    "        by turn, median",
    "peak_memory_in_states: the most that PyTorch's allocator held at one time, the start not",
    "        counted, over the bytes of x",
    "reads_a_step: numbers that Python reads where the state lies, and for which it would wait",
    "        for a GPU; counted for ours, on PyTorch's meta device",
]


def main():
    missing = [name for name in PEERS if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        sys.exit(f"{', '.join(missing)}: not installed here.\n\n{__doc__}")
    with torch.no_grad():
        found = list(rows())
    head = [
        *HEAD,
        f"device: {table.machine(' shared with other jobs')}, one process; "
        + table.versions("torch"),
        f"date: {table.today()}",
    ]
    rounded = [
        {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in found
    ]
    table.write(OUT, head, list(found[0]), rounded)


if __name__ == "__main__":
    main()
