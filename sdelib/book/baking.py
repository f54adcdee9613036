"""Recipes for widget tables that take minutes to compute: `python -m sdelib bake NAME` runs one.

A recipe gives the controls and compute(**values) → frame; the table of all frames is stored in
sdelib/bundled/NAME.table, and the chapter loads it and re-computes a part of it live.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ..brownian import WhiteNoise
from ..denoiser import score_from
from ..families import VE
from ..grids import uniform_times
from ..integration import integrate
from ..inverse_problems import isotropic, posterior_score
from ..own import weights
from ..own.by_name import SOLVERS, sample_denoiser, sample_score
from ..own.devices import on_gpu
from ..own.operators import Mask, observe
from ..own.sampling import sample_images
from ..reversal import Reverse, denoise
from ..solvers import euler_maruyama, heun, platen
from ..widgets import Paint, Slider, Switch, Table
from ..widgets.frames import images
from .data import stand_in

SOURCE = {
    "Euler–Maruyama": (euler_maruyama, 1.0),
    "Platen": (platen, 1.0),
    "probability flow": (euler_maruyama, 0.0),
}


def stored_table(name: str) -> Table:
    """The bundled table of a recipe.  Raises ValueError when it is missing or damaged."""
    return Table.load(weights.checked(f"{name}.table"))


def as_picture(x: Tensor, std: float) -> Tensor:
    """½ + (x − ½)/(1 + 2·std), clipped to [0, 1]: grey at any noise level, the image itself at std
    = 0."""
    return (0.5 + (x - 0.5) / (1 + 2 * std)).clamp(0, 1)[:, 0]


def intro(n: int = 12, steps: int = 250):
    """Noise becoming garments: slide the noise that is left, switch solver, see the state or the
    network's guess."""
    network = on_gpu(weights.load("unet-sigma25"))
    sde = network.sde
    times = uniform_times(sde.T, 1e-3, steps)
    stds = sde.marginal(times)[1]
    wanted = torch.logspace(torch.log10(stds[0]), torch.log10(stds[-1]), 13, dtype=torch.float64)
    index = sorted({int((stds - w).abs().argmin()) for w in wanted})  # descending in std
    levels = [round(float(stds[i]), 3) for i in index]

    @cache
    @torch.no_grad()
    def run(solver: str) -> list[tuple[Tensor, Tensor]]:
        step, eta = {"reverse SDE": (euler_maruyama, 1.0), "probability flow": (heun, 0.0)}[solver]
        generator = torch.Generator().manual_seed(4)
        x = sde.sample_prior((n, 1, 28, 28), generator=generator)
        states = [
            x,
            *integrate(
                Reverse(sde, network, eta), x, times, step, noise=WhiteNoise(x, generator=generator)
            ),
        ]
        return [(states[i], denoise(sde, network, states[i], times[i].float())) for i in index]

    def compute(sigma: float, solver: str, show: str):
        k = min(range(len(levels)), key=lambda i: abs(levels[i] - sigma))
        state, guess = run(solver)[k]
        pixels = as_picture(state, levels[k]) if show == "the state" else guess.clamp(0, 1)[:, 0]
        return images(
            pixels=pixels,
            columns=n // 2,
            note=f"noise left: {levels[k]:.3g} a pixel, where the data go from 0 to 1",
        )

    controls = [
        Slider(
            "sigma",
            "noise left σ",
            levels[::-1],
            log=True,
            start=min(levels, key=lambda s: abs(s - 0.35)),
        ),
        Switch("solver", "solver", ["reverse SDE", "probability flow"]),
        Switch("show", "show", ["the state", "the network's guess"]),
    ]
    return controls, compute


def source_experiment(n: int = 15):
    """The source's knobs: σ of dx = σᵗ dw, the number of steps, and the solver, on the same
    noise."""
    network = on_gpu(weights.load("unet-sigma50"))

    def compute(sigma: float, steps: int, solver: str):
        step, eta = SOURCE[solver]
        sde = VE.power(sigma)
        pixels, nfe = sample_images(
            network.on(sde),
            sde,
            n,
            steps=steps,
            step=step,
            eta=eta,
            generator=torch.Generator().manual_seed(1),
            progress=False,
        )
        return images(
            pixels=pixels[:, 0],
            columns=5,
            note=f"{nfe} network evaluations; the noise starts at std {sde.prior_std:.2f}",
        )

    controls = [
        Slider("sigma", "σ", [2.0, 5.0, 10.0, 25.0, 50.0], start=25.0),
        Slider("steps", "steps", [20, 60, 200], integer=True, log=True, start=200),
        Switch("solver", "solver", list(SOURCE)),
    ]
    return controls, compute


def quality():
    """Chapter 13's knobs: solver, evaluations of the network, and σ_max of VE(0.01, σ_max), from
    the same start."""
    network, label = on_gpu(weights.load("denoiser")), torch.tensor([0, 1, 2, 3, 5, 7, 8, 9])
    n = len(label)
    names = {
        "DPM++(2M)": "dpm++2m",
        "DPM++(2M) SDE": "dpm++2m-sde",
        "EDM's Heun": "edm-heun",
        "ancestral": "ancestral",
        "Euler–Maruyama": "euler-maruyama",
        "flow, Heun": "probability-flow-heun",
    }

    def compute(solver: str, evaluations: int, sigma_max: float):
        pixels, nfe = sample_denoiser(
            network,
            VE(0.01, sigma_max),
            n,
            solver=solver,
            evaluations=evaluations,
            label=label,
            generator=torch.Generator().manual_seed(8),
        )
        return images(
            pixels=pixels[:, 0],
            columns=n // 2,
            note=f"{nfe} network evaluations, {SOLVERS[solver].steps(evaluations)} steps",
        )

    controls = [
        Switch("solver", "solver", names),
        Slider(
            "evaluations", "evaluations", [5, 10, 18, 35, 100], integer=True, log=True, start=18
        ),
        Slider("sigma_max", "σ max", [5.0, 10.0, 20.0, 40.0, 80.0], log=True, start=80.0),
    ]
    return controls, compute


def inpainting(n: int = 4, evaluations: int = 35, sigma_y: float = 0.02):
    """Chapter 14's knobs: what is hidden of a garment, the class that is told, and how much it
    counts."""
    network, garment, sde = (
        on_gpu(weights.load("denoiser")),
        stand_in().images[381:382],
        VE(0.01, 80.0),
    )

    @cache
    def drawn(hidden: bytes, label: int | None, guidance: float) -> tuple[Tensor, Tensor, int]:
        seen = ~torch.frombuffer(bytearray(hidden), dtype=torch.bool).reshape(
            1, 14, 14
        ).repeat_interleave(2, 1).repeat_interleave(2, 2)
        score = score_from(network, sde, label=label, guidance=guidance)
        if seen.any():  # else the prior is the posterior
            operator = Mask(seen)
            y = observe(operator, garment, sigma_y, generator=torch.Generator().manual_seed(1))
            score = posterior_score(score, sde, operator, y, sigma_y, isotropic(network.data_std))
        pixels, nfe = sample_score(
            score,
            sde,
            n,
            solver="dpm++2m-sde",
            evaluations=evaluations,
            generator=torch.Generator().manual_seed(2),
        )
        return seen, pixels, nfe

    def compute(hidden, label: int, guidance: float):
        seen, pixels, nfe = drawn(
            hidden.tobytes(), None if guidance == 0 else label, guidance or 1.0
        )
        what = torch.where(seen, garment[0], 0.5)  # what is hidden is grey
        return images(
            pixels=torch.cat([what[None], pixels[:2], garment, pixels[2:]])[:, 0],
            columns=3,
            note="left: what is seen, and the whole garment; "
            f"right: {n} guesses, {nfe} network evaluations each",
        )

    controls = [
        Paint("hidden", "hide", 14, 14, blocks=(2, 3), start="101000", picture=garment[0, 0]),
        Switch("label", "class told", {"T-shirt": 0, "pullover": 2, "dress": 3}),
        Slider("guidance", "guidance w", [0.0, 1.0, 3.0], start=1.0),
    ]
    return controls, compute


RECIPES = {
    "intro": intro,
    "source-experiment": source_experiment,
    "quality": quality,
    "inpainting": inpainting,
}
