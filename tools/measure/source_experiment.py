"""Measure chapter 11's table: python tools/measure/source_experiment.py

Draws images by each solver and seed, measures their Fréchet distance to the training set and the
time, and adds one row at a time to results/source_experiment.csv; a run that was stopped goes on.
Needs the real Fashion-MNIST for the floor (see sdelib.book.data.fashion_mnist).
"""

from __future__ import annotations

import sys
import time

import table
import torch

from sdelib.book.classifier import features, stored_moments
from sdelib.book.data import fashion_mnist
from sdelib.own import weights
from sdelib.own.metrics import frechet_distance, moments
from sdelib.own.sampling import sample_images
from sdelib.solvers import euler_maruyama, platen

OUT = table.RESULTS / "source_experiment.csv"
FIELDS = ["sigma", "solver", "seed", "n", "steps", "nfe", "frechet", "seconds"]
N, STEPS = 64, 500
RUNS = [
    ("25", "euler-maruyama", euler_maruyama, (0, 1, 2)),
    ("25", "platen", platen, (0,)),
    ("25", "platen-other", platen, (3, 4, 5, 6, 7)),
    ("50", "euler-maruyama", euler_maruyama, (0, 1, 2)),
]


def main() -> None:
    done = table.read(OUT)
    classifier, reference = weights.load("classifier"), stored_moments()
    test = fashion_mnist(train=False)
    if not test.real:
        sys.exit("the floor needs the real Fashion-MNIST")

    def add(row: dict) -> None:
        done.append({k: str(v) for k, v in row.items()})
        table.write(OUT, head(), FIELDS, done)
        print(row, flush=True)

    known = {(r["sigma"], r["solver"], r["seed"]) for r in done}
    for sigma, solver, step, seeds in RUNS:
        network = weights.load(f"unet-sigma{sigma}")
        for seed in seeds:
            if (sigma, solver, str(seed)) in known:
                continue
            start = time.perf_counter()
            images, nfe = sample_images(
                network,
                network.sde,
                N,
                steps=STEPS,
                step=step,
                batch=100,
                progress=False,
                generator=torch.Generator().manual_seed(seed),
            )
            seconds = time.perf_counter() - start
            distance = frechet_distance(moments(features(images, classifier)), reference)
            add(
                dict(
                    sigma=sigma,
                    solver=solver,
                    seed=seed,
                    n=N,
                    steps=STEPS,
                    nfe=nfe,
                    frechet=round(distance, 4),
                    seconds=round(seconds, 1),
                )
            )
    real = features(test.images, classifier)
    for seed in range(10):
        if ("-", "real", str(seed)) not in known:
            some = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))[:N]
            add(
                dict(
                    sigma="-",
                    solver="real",
                    seed=seed,
                    n=N,
                    steps="-",
                    nfe=0,
                    seconds=0,
                    frechet=round(frechet_distance(moments(real[some]), reference), 4),
                )
            )


def head() -> list[str]:
    return [
        "command: python tools/measure/source_experiment.py",
        (
            "frechet: distance of n images to the 60,000 training images, in the bundled "
            "classifier's 64"
        ),
        "         features; real: n random test images.  seconds: wall time of the sampling alone,",
        "         rough where other jobs ran beside.",
        f"device: {table.machine()}, float32; {table.versions('torch')}",
        f"weights: {table.networks('unet-sigma25', 'unet-sigma50')}",
        f"date: {table.today()}",
    ]


if __name__ == "__main__":
    main()
