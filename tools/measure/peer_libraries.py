"""The problem that solvers_vs_peers.py gives to every library, and how each is fed with its exact
score.

The problem is `garden` in float64 under noise of level σ from 10 down to 0.02, from the exact p_10
on; the right answer is p_0.02, so no method takes a last, denoising step. The same p_σ runs on two
clocks: NoiseLevel(10), on a Karras (ρ = 7) or geometric grid of σ, and VE(0.01, ·) on a uniform
grid of t.  How each peer is fed: torchsde and diffrax solve Reverse(VE) with s = 1 − t, and diffrax
the flow in σ; k-diffusion and azula take the denoiser x + σ² score on our own grid; diffusers takes
ε = −σ score on its own grid, ScoreSdeVe the score.
"""

import math
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # jax on one thread too

import torch

from sdelib import grids, integration, predictor_corrector, probability_flow, solvers
from sdelib.book.toys import garden
from sdelib.brownian import Still, WhiteNoise
from sdelib.families import VE, NoiseLevel
from sdelib.reversal import Reverse

N, FEW = 10_000, 64  # samples; in the run that counts
HIGH, LOW, RHO, BOTTOM = 10.0, 0.02, 7, 0.01
DENSITY = garden(torch.float64)
TARGET = DENSITY.blurred(LOW)
LEVEL, EXPLODE = NoiseLevel(HIGH), VE(BOTTOM, math.hypot(HIGH, BOTTOM))
RATE, T_MIN = (
    math.log(EXPLODE.sigma_max / BOTTOM),
    float(EXPLODE.time(torch.tensor(LOW, dtype=torch.float64))),
)
GRIDS = {
    "karras": (LEVEL, lambda steps: grids.karras_times(LEVEL, HIGH, LOW, steps, rho=RHO)),
    "geometric": (LEVEL, lambda steps: grids.geometric_times(LEVEL, HIGH, LOW, steps)),
    "uniform VE": (EXPLODE, lambda steps: grids.uniform_times(1.0, T_MIN, steps)),
}
calls = 0  # score evaluations so far


def score(x, sigma):
    """∇ log p_σ(x), counted: every torch method gets its numbers here."""
    global calls
    calls += 1
    return DENSITY.blurred(sigma).score(x)


def denoiser(x, sigma):
    return x + sigma**2 * score(x, sigma)


# ---- each library's run(x, steps, seed) → x at σ = LOW;  import errors fly to `ready`


def sdelib_(solver, grid, eta):
    sde, times = GRIDS[grid]
    step = next(
        getattr(m, solver)
        for m in (solvers, predictor_corrector, probability_flow)
        if hasattr(m, solver)
    )
    reverse = Reverse(sde, lambda x, t: score(x, sde.marginal(t)[1]), eta)

    def run(x, steps, seed):
        noise = WhiteNoise(x, generator=torch.Generator().manual_seed(seed)) if eta else Still(x)
        return integration.solve(reverse, x, times(steps), step, noise=noise)

    return run


class Ahead:
    """Reverse(VE) in the time s = 1 − t, as torchsde wants an equation."""

    def __init__(self, noise_type, sde_type):
        self.noise_type, self.sde_type = noise_type, sde_type
        self.sde = Reverse(EXPLODE, lambda x, t: score(x, EXPLODE.marginal(t)[1]))

    def f(self, s, x):
        return -self.sde.drift(x, 1 - s)

    def g(self, s, x):
        g = self.sde.diffusion(x, 1 - s)
        return (
            g.expand_as(x)
            if self.noise_type == "diagonal"
            else (g * torch.eye(2).to(x)).expand(len(x), 2, 2)
        )


def torchsde_(solver, grid, eta):
    import torchsde

    method, _, noise_type = solver.partition(" ")

    def run(x, steps, seed, bm=None):
        torch.manual_seed(seed)
        equation = Ahead(noise_type or "diagonal", "stratonovich" if "heun" in method else "ito")
        ends = torch.tensor(
            [0, 1 - T_MIN], dtype=x.dtype
        )  # dt a hair longer: rounding may add a step
        return torchsde.sdeint(
            equation, x, ends, bm=bm, method=method, dt=(1 - T_MIN) / steps * (1 + 1e-12)
        )[-1]

    return run


def diffrax_(solver, grid, eta):
    import diffrax
    import equinox
    import jax
    import jax.numpy as jnp
    import lineax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    solver = getattr(diffrax, solver)()
    w, m, v, a = (
        jnp.asarray(z.numpy())
        for z in (DENSITY.weights, DENSITY.means, DENSITY.variances, DENSITY.axes)
    )

    def count():
        global calls
        calls += 1

    def jax_score(x, sigma):  # the formula of GaussianMixture.score
        if len(x) == FEW:  # the runs that are timed carry no counter
            jax.debug.callback(count)
        y, u = jnp.einsum("kij,nki->nkj", a, x[:, None] - m), v + sigma**2
        r = jax.nn.softmax(jnp.log(w) - (y**2 / u + jnp.log(u)).sum(-1) / 2, -1)
        return -jnp.einsum("nk,kij,nkj->ni", r, a, y / u)

    def g(s):
        return BOTTOM * jnp.exp(RATE * (1 - s)) * math.sqrt(2 * RATE)

    @equinox.filter_jit
    def solve(x, key, grid):
        term = diffrax.ODETerm(lambda sigma, x, _: -sigma * jax_score(x, sigma))
        if eta:  # fresh draws, as our WhiteNoise
            area = (
                diffrax.SpaceTimeLevyArea
                if isinstance(solver, diffrax.AbstractSRK)
                else diffrax.BrownianIncrement
            )
            path = diffrax.UnsafeBrownianPath(x.shape, key, area)
            noise = diffrax.ControlTerm(
                lambda s, x, _: lineax.DiagonalLinearOperator(jnp.full(x.shape, g(s))), path
            )
            std = lambda s: BOTTOM * jnp.sqrt(jnp.expm1(2 * RATE * (1 - s)))
            term = diffrax.MultiTerm(
                diffrax.ODETerm(lambda s, x, _: g(s) ** 2 * jax_score(x, std(s))), noise
            )
        return diffrax.diffeqsolve(
            term,
            solver,
            grid[0],
            grid[-1],
            None,
            x,
            max_steps=len(grid),
            stepsize_controller=diffrax.StepTo(grid),
            adjoint=diffrax.ForwardMode(),
        ).ys[0]

    def run(x, steps, seed):
        times = 1 - GRIDS[grid][1](steps) if eta else GRIDS[grid][1](steps)
        return torch.from_numpy(
            np.array(
                solve(jnp.asarray(x.numpy()), jax.random.key(seed), jnp.asarray(times.numpy()))
            )
        )

    return run


def k_diffusion_(solver, grid, eta):
    from k_diffusion import sampling

    def run(x, steps, seed):
        torch.manual_seed(seed)
        model = lambda x, sigma: denoiser(x, sigma[0])  # all its sigma are equal
        more = (
            {"noise_sampler": lambda sigma, sigma_next: torch.randn_like(x)}
            if eta and solver != "dpmpp_sde"
            else {}
        )
        return getattr(sampling, f"sample_{solver}")(
            model, x, GRIDS[grid][1](steps), disable=True, **more
        )

    return run


def azula_(solver, grid, eta):
    from azula import denoise, noise, sample

    class Schedule(noise.Schedule):
        def __call__(self, t):  # α = 1 and σ(t), from LOW at 0 to HIGH at 1
            return torch.ones_like(t), (
                LOW ** (1 / RHO) + t * (HIGH ** (1 / RHO) - LOW ** (1 / RHO))
            ) ** RHO

    class Exact(denoise.Denoiser):
        schedule = Schedule() if grid == "karras" else noise.VESchedule(LOW, HIGH)

        def forward(self, x, t):
            return denoise.DiracPosterior(mean=denoiser(x, self.schedule(t)[1]))

    def run(x, steps, seed):
        torch.manual_seed(seed)
        return getattr(sample, solver + "Sampler")(
            Exact(), steps=steps, silent=True, dtype=x.dtype
        )(x)

    return run


def diffusers_(solver, grid, eta):
    import diffusers

    diffusers.logging.set_verbosity_error()  # it misses a call of scale_model_input, unneeded
    make = getattr(diffusers, solver + "Scheduler")
    vp = "DPM" in solver  # it works in the frame x/√(1 + σ²)
    options = {"algorithm_type": "sde-dpmsolver++"} if vp and eta else {}
    kept = [1 / (1 + LOW**2), (1 + LOW**2) / (1 + HIGH**2)]  # two betas whose σ are LOW and HIGH

    def run(x, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        frame = lambda sigma: (1 + sigma**2).sqrt() if vp else 1
        if solver == "ScoreSdeVe":  # its predictor, without corrections
            s = make(steps + 1, sigma_min=LOW, sigma_max=HIGH)
            for t, sigma in zip(s.timesteps[:-1], s.discrete_sigmas.flip(0)):
                x = s.step_pred(score(x, sigma.to(x)), t, x, generator=generator).prev_sample
            return x
        s = make(
            num_train_timesteps=2,
            trained_betas=[1 - k for k in kept],
            use_karras_sigmas=True,
            **options,
        )
        s.set_timesteps(steps + 1)
        s.set_begin_index(0)
        x, more = (
            x / frame(torch.tensor(HIGH)),
            {} if solver == "HeunDiscrete" else {"generator": generator},
        )
        for i in range(s.order * steps):  # then would come the denoising step
            sigma = s.sigmas[i].to(x)
            x = s.step(
                -sigma * score(x * frame(sigma), sigma), s.timesteps[i], x, **more
            ).prev_sample
        return x * frame(torch.tensor(LOW))

    return run


LIBRARIES = {
    "sdelib": sdelib_,
    "torchsde": torchsde_,
    "diffrax": diffrax_,
    "k-diffusion": k_diffusion_,
    "azula": azula_,
    "diffusers": diffusers_,
}
