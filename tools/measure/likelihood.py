"""Measure chapter 16's audit of bits/dim: python tools/measure/likelihood.py [VARIANT …]
(without a VARIANT: all that is missing)

Each variant changes one thing of `reference`. The flow is solved for batches of test images;
results/likelihood_images.csv gets one row an image as soon as its batch is done, so a run that was
stopped goes on, and two may run side by side.
results/likelihood.csv has one row a variant. Needs the real Fashion-MNIST (see
sdelib.book.data.fashion_mnist).
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import table
import torch
from torch import Tensor

from sdelib.book.data import fashion_mnist
from sdelib.denoiser import first_time, score_from
from sdelib.densities import GaussianMixture
from sdelib.families import VE
from sdelib.likelihood import Hutchinson, log_likelihood, prior_log_prob
from sdelib.own import weights
from sdelib.own.dequantisation import (
    Decoder,
    bits_per_dim,
    dequantise,
    diffusion_bound,
    gaussian_bound,
    grey_levels,
)
from sdelib.own.devices import device_name, on_gpu

OUT = table.RESULTS / "likelihood.csv"
IMAGES = table.RESULTS / "likelihood_images.csv"
BATCH, D = 8, 784


@dataclass(frozen=True)
class Run:
    """What a row is known by."""

    variant: str
    model: str = "denoiser, clipped to [0, 1]"
    label: str = "told and paid for"
    dequantisation: str = "Gaussian with decoder"
    scaling: str = "k/255"
    prior: str = "N(0, 80^2)"
    stop: float = 0.002
    rtol: float = 1e-3
    trace: str = "1 probe of signs"
    draw: int = 0
    n: int = 64


REFERENCE = Run("reference", n=320)
CHANGES = {
    "uniform dequantisation": {"dequantisation": "uniform", "n": 160},
    "uniform, stop at 0.004": {"dequantisation": "uniform", "stop": 0.004},
    "not clipped": {"model": "denoiser"},
    "no class told": {"label": "not told"},
    "scaling (k + 1/2)/256": {"scaling": "(k + 1/2)/256"},
    "prior N(0, 10^2)": {"prior": "N(0, 10^2)"},
    "prior centred": {"prior": "N(m, 80^2 + s^2)"},
    "stop at 0.004": {"stop": 0.004},
    "tolerance 1e-2": {"rtol": 1e-2},
    "tolerance 1e-4": {"rtol": 1e-4},
    "Gaussian probe": {"trace": "1 Gaussian probe"},
    "other noise": {"draw": 1},
}
FLOWS = {REFERENCE.variant: REFERENCE} | {
    name: replace(REFERENCE, variant=name, **({"n": 64} | change))
    for name, change in CHANGES.items()
}
NONE = dict(label="-", scaling="(k + u)/256", prior="-", stop=0, rtol=0, trace="-", draw=0)
CHECKS = {
    run.variant: run
    for run in (
        Run(
            "uniform density",
            "uniform on the cube",
            **NONE | {"dequantisation": "uniform", "n": 10_000},
        ),
        Run(
            "Gaussian, closed form",
            "full-covariance Gaussian",
            **NONE | {"dequantisation": "uniform", "n": 10_000},
        ),
        Run(
            "Gaussian, through the flow",
            "full-covariance Gaussian",
            **NONE
            | {
                "dequantisation": "uniform",
                "prior": "N(0, 80^2)",
                "stop": 1e-5,
                "rtol": 1e-5,
                "trace": "1 probe of signs",
                "n": 1000,
            },
        ),
        Run(
            "mixture, closed form",
            "ten Gaussians",
            **NONE | {"dequantisation": "uniform", "n": 10_000},
        ),
        Run(
            "mixture, through the flow",
            "ten Gaussians",
            **NONE
            | {
                "dequantisation": "uniform",
                "prior": "N(0, 80^2)",
                "stop": 1e-5,
                "rtol": 1e-4,
                "trace": "1 probe of signs",
                "n": 200,
            },
        ),
        replace(REFERENCE, variant="diffusion bound", rtol=0, trace="-", n=10_000),
        replace(REFERENCE, variant="reference, all images", n=10_000),
    )
}
MEASURED = (
    "bits_per_dim",
    "se_images",
    "se_noise",
    "difference",
    "se_difference",
    "nfe",
    "seconds",
    "device",
    "date",
)
FIELDS = [f.name for f in fields(Run)] + list(MEASURED)
EACH = ("variant", "image", "bits_per_dim", "nfe", "seconds")

# ---------------------------------------------------------------- what is measured


@functools.cache
def data():
    train, test = fashion_mnist(), fashion_mnist(train=False)
    if not test.real:
        sys.exit("the audit needs the real Fashion-MNIST")
    return train, test, torch.randperm(len(test), generator=torch.Generator().manual_seed(0))


@functools.cache
def network():
    return on_gpu(weights.load("denoiser"))


def clipped(x, sigma, label=None):
    return network()(x, sigma, label).clamp(0, 1)


def model(run: Run):
    return clipped if "clipped" in run.model else network()


def places(run: Run) -> tuple[Tensor, float]:
    """(where the 256 levels lie, the gap between them)"""
    k = torch.arange(256, dtype=torch.float64)
    return (k / 255, 1 / 255) if run.scaling == "k/255" else ((k + 0.5) / 256, 1 / 256)


@functools.cache
def decoder(name: str, told: bool, scaling: str, stop: float) -> Decoder:
    """Fitted to 500 training images, with the frequencies of the grey levels in all of them."""
    run, (train, _, _), g = (
        Run("", model=name, scaling=scaling),
        data(),
        torch.Generator().manual_seed(1),
    )
    levels, _ = places(run)
    pick = torch.randperm(len(train), generator=g)[:500]
    k, label = (
        grey_levels(train.images[pick]),
        train.labels[pick] if told else torch.full((500,), -1),
    )
    x = levels[k.long()].float() + stop * torch.randn(k.shape, generator=g)
    with torch.no_grad():
        denoised = torch.cat(
            [model(run)(a, torch.tensor(stop), y) for a, y in zip(x.split(100), label.split(100))]
        )
    frequencies = (
        torch.bincount(grey_levels(train.images).long().flatten(), minlength=256).double() + 1
    )
    return Decoder.fit(denoised, k, levels, stop, frequencies)


def solve(run: Run, batch: int) -> tuple[Tensor, Tensor, int]:
    """(index in the test set, bits/dim, NFE) of the images of one batch."""
    _, test, order = data()
    pick, g = (
        order[BATCH * batch : BATCH * (batch + 1)],
        torch.Generator().manual_seed(10_000 * run.draw + batch),
    )
    images, told = test.images[pick], run.label != "not told"
    label, k, (levels, gap) = test.labels[pick] if told else None, grey_levels(images), places(run)
    centre, net = levels[k.long()].float(), model(run)
    z = torch.randn(k.shape, generator=g)
    x = (
        centre + run.stop * z
        if run.dequantisation.startswith("Gaussian")
        else centre + gap * (torch.rand(k.shape, generator=g) - 0.5)
    )
    sde = VE(0.0005, 10.0 if run.prior == "N(0, 10^2)" else 80.0)
    centred = torch.distributions.Normal(
        network().data_mean, math.hypot(sde.prior_std, network().data_std)
    )
    terminal = (
        prior_log_prob(sde)
        if run.prior != "N(m, 80^2 + s^2)"
        else lambda y: centred.log_prob(y.double()).flatten(1).sum(1)
    )
    found = log_likelihood(
        sde,
        score_from(net, sde, label=label),
        x,
        t_min=first_time(sde, run.stop),
        terminal=terminal,
        rtol=run.rtol,
        atol=run.rtol / 100,
        trace=Hutchinson(x, 1, gaussian="Gaussian" in run.trace, generator=g),
    )
    log_p = found.log_p - (math.log(10) if told else 0)
    if run.dequantisation == "uniform":
        return pick, bits_per_dim(log_p, D, width=gap), found.nfe
    with torch.no_grad():
        decoded = decoder(run.model, told, run.scaling, run.stop).log_prob(
            x, net(x, torch.tensor(run.stop), label), k
        )
    return (
        pick,
        bits_per_dim(gaussian_bound(log_p, decoded, x, centre, run.stop), D, width=1.0),
        found.nfe,
    )


@functools.cache
def stiff(name: str) -> GaussianMixture:
    """One Gaussian, or one for each class, with the moments of (k + u)/256 over the training
    images.

    Each class's covariance is drawn by 0.03 towards the mean of the ten: the best of five shares on
    held-out training images.
    """
    train, _, _ = data()
    x, flat = (
        (grey_levels(train.images).flatten(1) + 0.5) / 256,
        torch.eye(D, dtype=torch.float64) / 12 / 256**2,
    )

    def law(part):
        part = part.double()
        return part.mean(0), part.T @ part / len(part) - torch.outer(
            part.mean(0), part.mean(0)
        ) + flat

    if name == "full-covariance Gaussian":
        mean, covariance = law(x)
        return GaussianMixture([1.0], mean[None], covariance[None])
    means, covariances = (
        torch.stack(a) for a in zip(*[law(x[train.labels == c]) for c in range(10)])
    )
    return GaussianMixture([0.1] * 10, means, 0.97 * covariances + 0.03 * covariances.mean(0))


def checked(run: Run) -> dict:
    """A row that needs no network's flow."""
    _, test, order = data()
    start, nfe, noise = time.perf_counter(), 0, ""
    known = None
    if run.variant == "diffusion bound":
        passes = [-diffusion(order[: run.n], 50 + k) for k in range(4)]
        bits = torch.stack(passes).mean(0)
        noise = float(torch.stack([p.mean() for p in passes]).std() / 2)
    elif run.variant == "reference, all images":
        return carried(run)
    else:
        x = (
            dequantise(test.images[order[: run.n]], generator=torch.Generator().manual_seed(7))
            .flatten(1)
            .double()
        )
        p = stiff(run.model) if run.model != "uniform on the cube" else None
        known = torch.cat([p.log_prob(y) for y in x.split(500)]) if p else torch.zeros(run.n)
        bits = bits_per_dim(known, D)
        if run.trace != "-":
            sde, found, g = VE(0.0005, 80.0), [], torch.Generator().manual_seed(8)
            for y in x.split(100):
                one = log_likelihood(
                    sde,
                    p.score_of(sde),
                    y,
                    t_min=first_time(sde, run.stop),
                    terminal=prior_log_prob(sde),
                    rtol=run.rtol,
                    atol=run.rtol / 1000,
                    trace=Hutchinson(y, 1, generator=g),
                )
                found.append(one.log_p)
                nfe = one.nfe
            bits, known = bits_per_dim(torch.cat(found), D), bits
    row = {
        "bits_per_dim": f"{bits.mean():.4f}",
        "se_images": f"{bits.std() / math.sqrt(len(bits)):.4f}",
        "se_noise": noise and f"{noise:.4f}",
        "nfe": nfe,
    }
    if (
        run.trace != "-" and known is not None
    ):  # the difference is that from the closed form, image by image
        off = bits - known
        row |= {
            "difference": f"{off.mean():.5f}",
            "se_difference": f"{off.std() / math.sqrt(len(off)):.5f}",
        }
    return row | {"seconds": f"{(time.perf_counter() - start) / run.n:.3f}"}


def diffusion(pick: Tensor, seed: int) -> Tensor:
    """−bits/dim by the diffusion bound, one noise level an image, of the reference's model."""
    _, test, _ = data()
    found = diffusion_bound(
        clipped,
        test.images[pick],
        decoder(REFERENCE.model, True, REFERENCE.scaling, REFERENCE.stop),
        sigma_max=80.0,
        label=test.labels[pick],
        generator=torch.Generator().manual_seed(seed),
    )
    return -bits_per_dim(found - math.log(10), D, width=1.0)


def carried(run: Run) -> dict:
    """The mean over all test images: that of the diffusion bound, and the mean difference of flow
    and bound on the reference's images."""
    start = time.perf_counter()
    whole = {r["variant"]: r for r in table.read(OUT)}.get("diffusion bound")
    flow = {
        int(r["image"]): float(r["bits_per_dim"])
        for r in table.read(IMAGES)
        if r["variant"] == "reference"
    }
    if whole is None or len(flow) < REFERENCE.n:
        sys.exit("measure `reference` and `diffusion bound` first")
    bound = torch.stack(
        [-diffusion(torch.tensor(i).repeat(24), 1000 + i).mean() for i in flow]
    )  # 24 levels an image, stratified
    gap = torch.tensor(list(flow.values()), dtype=torch.float64) - bound
    error = math.hypot(float(gap.std() / math.sqrt(len(gap))), float(whole["se_noise"]))
    return {
        "bits_per_dim": f"{float(whole['bits_per_dim']) + gap.mean():.4f}",
        "se_images": f"{error:.4f}",
        "se_noise": "",
        "nfe": 24,
        "difference": f"{gap.mean():.4f}",
        "se_difference": f"{gap.std() / math.sqrt(len(gap)):.4f}",
        "seconds": f"{time.perf_counter() - start:.1f}",
    }


# ---------------------------------------------------------------- the tables


def write(path: Path, change) -> None:
    """Let `change` turn the rows into other rows, while no other run does."""
    table.change(path, header(path), list(FIELDS if path == OUT else EACH), change)


def summary(run: Run) -> dict:
    """The row of a variant from its images, beside the same images of the reference."""
    each = table.read(IMAGES)
    of = {
        v: {r["image"]: float(r["bits_per_dim"]) for r in each if r["variant"] == v}
        for v in (run.variant, "reference", "other noise")
    }
    mine, cost = (
        torch.tensor(list(of[run.variant].values()), dtype=torch.float64),
        [r for r in each if r["variant"] == run.variant],
    )
    row = {
        "bits_per_dim": f"{mine.mean():.4f}",
        "se_images": f"{mine.std() / math.sqrt(len(mine)):.4f}",
        "nfe": round(sum(int(r["nfe"]) for r in cost) / len(cost)),
        "seconds": f"{sum(float(r['seconds']) for r in cost) / len(cost):.2f}",
    }

    def gap(a, b):
        return torch.tensor([of[a][i] - of[b][i] for i in of[a] if i in of[b]], dtype=torch.float64)

    if run.variant != "reference" and len(off := gap(run.variant, "reference")) > 1:
        row |= {
            "difference": f"{off.mean():.4f}",
            "se_difference": f"{off.std() / math.sqrt(len(off)):.4f}",
        }
    if run.variant == "reference" and len(off := gap("other noise", "reference")) > 1:
        row["se_noise"] = f"{off.std() / math.sqrt(2 * len(mine)):.4f}"
    return row


def store(run: Run, row: dict) -> None:
    """Put the row of a variant in its place; one that only repeats what is there keeps its device
    and its date."""
    now = {
        "device": f"{device_name()}; {table.versions('torch')}",
        "date": table.today(),
    }
    before = {r["variant"]: r for r in table.read(OUT)}.get(run.variant, now)
    row = asdict(run) | row | {k: before[k] for k in now}
    order = [*FLOWS, *CHECKS]
    write(
        OUT,
        lambda rows: sorted(
            [*[r for r in rows if r["variant"] != run.variant], row],
            key=lambda r: order.index(r["variant"]),
        ),
    )


def header(path: Path) -> list[str]:
    start = ["command: python tools/measure/likelihood.py"]
    if path == IMAGES:
        return [
            *start,
            (
                "bits/dim of single test images; image: index in the test set.  seconds: "
                "of its share of a batch, rough: other jobs ran beside."
            ),
        ]
    return [
        *start,
        (
            "One row a variant; each but the checks changes one thing of `reference`. "
            "Test images: the first n of torch.randperm(10000), seed 0."
        ),
        (
            "label: told and paid for: log P = log P(k | y) - ln 10, a bound for the "
            "mixture of the ten classes.  stop: std at t_min.  atol = rtol/100; closed "
            "forms and their flows: rtol/1000."
        ),
        (
            "se_images: over images, noise included.  se_noise: of that, the noise of "
            "dequantisation and probes; diffusion bound: over 4 passes."
        ),
        (
            "difference: from the reference on the same images; `through the flow`: from "
            "the closed form; `all images`: of the reference from the diffusion bound."
        ),
        (
            "reference, all images: the diffusion bound of all 10,000 plus that "
            "difference; its se_images: of both, and no more over images.  nfe: mean "
            "over batches of 8.  seconds: an image (all images: in all), rough."
        ),
        (
            "device: where the network ran, in float32, and the version of torch; solver "
            "and densities: CPU, float64."
        ),
        f"weights: {table.networks('denoiser')}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help=f"of {', '.join([*FLOWS, *CHECKS])}"
    )
    variants = parser.parse_args().variants or [*FLOWS, *CHECKS]
    if unknown := set(variants) - set(FLOWS) - set(CHECKS):
        sys.exit(f"VARIANT {sorted(unknown)} is unknown; there are {', '.join([*FLOWS, *CHECKS])}")
    for name in variants:
        if name in CHECKS:
            if name not in {r["variant"] for r in table.read(OUT)}:
                store(CHECKS[name], checked(CHECKS[name]))
                print({r["variant"]: r for r in table.read(OUT)}[name], flush=True)
            continue
        run = FLOWS[name]
        for batch in range(run.n // BATCH):
            pick = data()[2][BATCH * batch : BATCH * (batch + 1)].tolist()
            if {str(i) for i in pick} <= {
                r["image"] for r in table.read(IMAGES) if r["variant"] == name
            }:
                continue
            start = time.perf_counter()
            _, bits, nfe = solve(run, batch)
            each = (time.perf_counter() - start) / len(pick)
            write(
                IMAGES,
                lambda rows: (
                    rows
                    + [
                        {
                            "variant": name,
                            "image": i,
                            "bits_per_dim": f"{b:.5f}",
                            "nfe": nfe,
                            "seconds": f"{each:.2f}",
                        }
                        for i, b in zip(pick, bits.tolist())
                    ]
                ),
            )
            print(name, batch, f"{bits.mean():.3f}", nfe, f"{each:.2f} s", flush=True)
        store(run, summary(run))
    for run in FLOWS.values():  # differences, where the reference has grown since
        if run.variant in {r["variant"] for r in table.read(OUT)}:
            store(run, summary(run))


if __name__ == "__main__":
    main()
