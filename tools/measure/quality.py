"""Measure chapter 13's tables: python tools/measure/quality.py [PART …]
(without a PART: all that is missing)

Each row draws images from a bundled network by one solver, on one process, with one number of
evaluations, and measures their distance to Fashion-MNIST's training set and the time. Rows are
added to results/quality.csv one at a time, so a run that was stopped goes on, and two may run side
by side. Needs the real Fashion-MNIST (see sdelib.book.data.fashion_mnist).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import astuple, dataclass, fields

import table
import torch

from sdelib.book.classifier import features, stored_moments
from sdelib.book.data import Garments, fashion_mnist
from sdelib.families import VE, VP, SubVP
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.by_name import GRIDS, SOLVERS, sample_denoiser
from sdelib.own.devices import device_name, on_gpu
from sdelib.own.metrics import frechet_distance, moments, precision_recall, sliced_wasserstein
from sdelib.own.sampling import sample_images
from sdelib.sdes import GaussianSDE

OUT = table.RESULTS / "quality.csv"
PROCESSES: dict[str, GaussianSDE] = {"power 25": VE.power(25.0), "VP": VP(), "sub-VP": SubVP()} | {
    f"VE {s}": VE(0.01, s) for s in (5, 10, 20, 40, 80)
}
BUDGETS = (5, 10, 18, 35, 50, 100)
TOLD = " told the class"
"""Ends the name of a network that is told a class for each image, the ten in turn."""


@dataclass(frozen=True)
class Run:
    """What a row is known by."""

    part: str
    network: str
    process: str
    solver: str
    grid: str
    budget: int
    n: int
    seed: int


MEASURED = (
    "steps",
    "evaluations",
    "frechet",
    "sliced_wasserstein",
    "precision",
    "recall",
    "seconds",
    "device",
    "date",
)
FIELDS = [f.name for f in fields(Run)] + list(MEASURED)

MAIN = [
    "dpm++2m",
    "ddim",
    "edm-heun",
    "euler-maruyama",
    "dpm++2m-sde",
    "exponential",
    "ancestral",
    "sra",
    "heun",
    "predictor-corrector",
    "probability-flow-euler",
    "probability-flow-heun",
    "probability-flow-rk45",
    "edm-churn",
]
"""The solvers of the table; the others of SOLVERS are one of these where noise is additive, or are
in the part `pairs`."""

SMALL, LARGE = "denoiser-small" + TOLD, "denoiser" + TOLD
PARTS: dict[str, list[Run]] = {
    "source": [
        Run("source", "unet-sigma25", "power 25", "euler-maruyama", "uniform", budget, 500, 0)
        for budget in (501, 100, 35)
    ],
    "main": [
        Run("main", SMALL, "VE 80", solver, "karras", budget, 1000, 0)
        for budget in BUDGETS
        for solver in MAIN
        if SOLVERS[solver].evaluations < budget
    ],
    "untold": [
        Run("untold", network, "VE 80", solver, "karras", budget, 1000, 0)
        for network in ("denoiser-small", "denoiser")
        for budget in (10, 18, 35)
        for solver in ("dpm++2m", "dpm++2m-sde", "edm-heun")
    ],
    "large": [
        Run("large", LARGE, "VE 80", solver, "karras", budget, 1000, 0)
        for budget in (5, 10, 18, 35)
        for solver in ("dpm++2m", "dpm++2m-sde", "edm-heun")
    ],
    "sigma_max": [
        Run("sigma_max", SMALL, f"VE {s}", "dpm++2m", "karras", 18, 1000, 0)
        for s in (5, 10, 20, 40)
    ],
    "pairs": [
        Run("pairs", SMALL, process, solver, "karras", 100, 250, 0)
        for solver in SOLVERS
        for process in ("VE 80", "VP", "sub-VP")
    ],
    "beyond": [
        Run("beyond", SMALL, "VE 80", solver, "karras", budget, 500, 0)
        for budget in (250, 500, 1000)
        for solver in ("euler-maruyama", "predictor-corrector", "dpm++2m-sde")
    ],
    "default": [
        Run("default", LARGE, "VE 80", "dpm++2m-sde", "karras", 35, 1000, seed)
        for seed in range(1, 5)
    ],
    "floor": [
        Run("floor", "-", "-", "real" + told, "-", 0, n, seed)
        for told in ("", TOLD)
        for n in (250, 500, 1000, 5000)
        for seed in range(10)
    ],
}


def measure(run: Run, test: Garments) -> dict:
    start, steps, nfe = time.perf_counter(), 0, 0
    if run.part == "floor":
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(run.seed))
        if run.solver.endswith(TOLD):  # as many of each class
            order = torch.cat([order[test.labels[order] == k][: run.n // 10] for k in range(10)])
        images = test.images[order[: run.n]]
    else:
        sde, network, generator = (
            PROCESSES[run.process],
            on_gpu(weights.load(run.network.removesuffix(TOLD))),
            torch.Generator().manual_seed(run.seed),
        )
        steps = SOLVERS[run.solver].steps(run.budget)
        if isinstance(network, Denoiser):
            label = torch.arange(run.n) % 10 if run.network.endswith(TOLD) else None
            images, nfe = sample_denoiser(
                network,
                sde,
                run.n,
                solver=run.solver,
                evaluations=run.budget,
                label=label,
                grid=run.grid,
                generator=generator,
            )
        else:
            images, nfe = sample_images(
                network,
                sde,
                run.n,
                steps=steps,
                step=SOLVERS[run.solver].make(steps, generator),
                batch=50,
                eta=SOLVERS[run.solver].eta,
                grid=GRIDS[run.grid],
                generator=generator,
                progress=False,
            )
    seconds = time.perf_counter() - start
    classifier, draws = weights.load("classifier"), torch.Generator().manual_seed(1)
    train = fashion_mnist()
    real = train.images[
        torch.randperm(len(train), generator=draws)[: run.n]
    ]  # as many, for what needs two samples of one size
    f = features(images, classifier)
    precision, recall = precision_recall(features(real, classifier), f)
    return {
        "steps": steps,
        "evaluations": nfe,
        "frechet": round(frechet_distance(moments(f), stored_moments()), 4),
        "sliced_wasserstein": round(sliced_wasserstein(images, real, 256, generator=draws), 5),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "seconds": round(seconds, 2),
        "device": f"{device_name()}; {table.versions('torch')}",
        "date": table.today(),
    }


def header() -> list[str]:
    return [
        "command: python tools/measure/quality.py",
        (
            "budget: the most evaluations of the network that a run may take, the "
            "noiseless last one included.  process: VE s is VE(0.01, s);"
        ),
        (
            "        VP is VP(0.1, 20); all stop where std/scale = 0.002, but power 25, "
            "the source's, at t = 0.001."
        ),
        (
            f"        {TOLD[1:]}: the ten in turn; else no class is told.  floor: n "
            f"random test images; {TOLD[1:]}: as many of each."
        ),
        (
            "frechet: squared, to the 60,000 training images in the bundled classifier's "
            "64 features; biased upward by about 1/n."
        ),
        (
            "sliced_wasserstein, precision, recall: against n random training images; "
            "256 directions, and 3 neighbours in those features."
        ),
        "seconds: wall time of the sampling alone, rough: other jobs ran beside.",
        (
            "device: where the network ran, in float32, and the version of torch; the "
            "classifier and the distances: CPU."
        ),
        f"weights: {table.networks('unet-sigma25', 'denoiser', 'denoiser-small')}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"PART {sorted(unknown)} is unknown; there are {', '.join(PARTS)}")
    test = fashion_mnist(train=False)
    if not test.real:
        sys.exit("the distances need the real Fashion-MNIST")
    for run in (run for part in parts for run in PARTS[part]):
        key = tuple(map(str, astuple(run)))
        if any(tuple(r[f.name] for f in fields(Run)) == key for r in table.read(OUT)):
            continue
        row = dict(zip([f.name for f in fields(Run)], astuple(run))) | measure(run, test)
        table.change(OUT, header(), FIELDS, lambda rows: [*rows, row])
        print(row, flush=True)


if __name__ == "__main__":
    main()
