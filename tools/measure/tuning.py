"""Measure chapter 12's table: python tools/measure/tuning.py

Trains the small denoiser from nothing for a few minutes with one setting changed at a time, for
several seeds, and measures the denoising error on test images and the distance of samples. A row
for each run is added to results/tuning.csv; a run that was stopped goes on. Needs the real
Fashion-MNIST.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import table
import torch

from sdelib.book.classifier import features, stored_moments
from sdelib.book.data import fashion_mnist
from sdelib.denoiser import DenoiserLoss
from sdelib.families import VE
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.by_name import sample_denoiser
from sdelib.own.metrics import frechet_distance, moments
from sdelib.own.training import train

OUT = table.RESULTS / "tuning.csv"
STEPS, BATCH, N, SEEDS = 800, 128, 500, (0, 1)
FINE = (0.05, 0.2, 0.5, 1.0, 3.0)
"""The levels at which the error on test images is measured."""


@dataclass(frozen=True)
class Setting:
    """One change of the base setting, in words and as arguments."""

    change: str
    network: dict = field(default_factory=dict)
    loss: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)


SETTINGS = [
    Setting("base"),
    Setting("ln σ uniform (spread 1)", loss={"spread": 1.0}),
    Setting("ln σ lower (mean −2)", loss={"mean": -2.0}),
    Setting("ln σ higher (mean −0.4)", loss={"mean": -0.4}),
    Setting("ln σ narrower (std 1)", loss={"std": 1.0}),
    Setting("no preconditioning", network={"preconditioned": False}),
    Setting("learning rate × ¼", train={"lr": 5e-4}),
    Setting("learning rate × 2", train={"lr": 4e-3}),
    Setting("no average of the weights", train={"ema": 0.0}),
    Setting("shorter average (β 0.9)", train={"ema": 0.9}),
    Setting("narrower (24 and 40)", network={"widths": (24, 40)}),
    Setting("wider (64 and 112)", network={"widths": (64, 112)}),
    Setting("dropout 0.1", network={"dropout": 0.1}),
    Setting("mirrored images", loss={"flips": True}),
    Setting("no labels told", loss={"drop": 1.0}),
]
BASE = dict(lr=2e-3, warmup=100, ema=0.995)
FIELDS = [
    "change",
    "seed",
    "steps",
    "parameters",
    "train_loss",
    *(f"error_{s:g}" for s in FINE),
    "frechet",
    "seconds",
    "date",
]


def run(setting: Setting, seed: int, data, test) -> dict:
    torch.manual_seed(seed)
    network = Denoiser(**{"widths": (32, 56)} | setting.network)
    begin = time.perf_counter()
    result = train(
        network,
        DenoiserLoss(**setting.loss),
        (data.images, data.labels),
        steps=STEPS,
        batch_size=BATCH,
        seed=seed,
        cpu=True,
        precision="bf16",
        progress=False,
        **(BASE | setting.train),
    )
    seconds, network = time.perf_counter() - begin, result.network.eval().requires_grad_(False)
    row = {
        "change": setting.change,
        "seed": seed,
        "steps": STEPS,
        "parameters": sum(p.numel() for p in network.parameters()),
        "train_loss": round(result.losses[-100:].mean().item(), 5),
        "seconds": round(seconds, 1),
    }
    told = None if setting.loss.get("drop") == 1.0 else test.labels[:1000]
    for sigma in FINE:  # the same noise in every run
        z = torch.randn(1000, 1, 28, 28, generator=torch.Generator().manual_seed(17))
        row[f"error_{sigma:g}"] = round(
            (network(test.images[:1000] + sigma * z, sigma, told) - test.images[:1000])
            .square()
            .mean()
            .item(),
            7,
        )
    images, _ = sample_denoiser(
        network, VE(0.01, 80.0), N, evaluations=18, generator=torch.Generator().manual_seed(100)
    )
    row["frechet"] = round(
        frechet_distance(moments(features(images, weights.load("classifier"))), stored_moments()), 4
    )
    return row | {"date": table.today()}


def head() -> list[str]:
    return [
        "command: python tools/measure/tuning.py",
        (
            f"base: Denoiser((32, 56)), {STEPS} steps of batch {BATCH}, learning rate "
            f"{BASE['lr']:g} with {BASE['warmup']} steps of warm-up and a cosine to 0, "
            f"average β = min({BASE['ema']}, (1 + k)/(10 + k)) at step k,"
        ),
        (
            "      ln σ ~ N(−1.2, 1.4²) with a share of 0.1 uniform, no dropout, a tenth "
            "of the labels not told.  One change a row."
        ),
        (
            "train_loss: mean of the last 100 steps; only rows with the same "
            "distribution of σ compare."
        ),
        (
            "error_σ: mean square of D − x₀ on 1,000 test images with their labels, on "
            "the same noise in every run."
        ),
        (
            f"frechet: squared, of {N} samples (dpm++2m on VE(0.01, 80), 18 evaluations, "
            "no label, the same start in every run) to the 60,000 training images."
        ),
        f"device: {table.machine()}, bfloat16 in training; {table.versions('torch')}",
    ]


def main() -> None:
    rows = table.read(OUT)
    data, test = fashion_mnist(), fashion_mnist(train=False)
    if not data.real:
        sys.exit("the table needs the real Fashion-MNIST")
    for seed in SEEDS:
        for setting in SETTINGS:
            if any(r["change"] == setting.change and r["seed"] == str(seed) for r in rows):
                continue
            rows.append({k: str(v) for k, v in run(setting, seed, data, test).items()})
            table.write(OUT, head(), FIELDS, rows)
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
