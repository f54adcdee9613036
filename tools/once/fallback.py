"""Draw the small set that stands in for Fashion-MNIST: python tools/once/fallback.py

2,400 images by the probability flow of the bundled network unet-sigma25 (Heun, 20 steps on times
u², equally spaced in u), labelled by the bundled classifier, into sdelib/bundled/fallback.npz.
Pixels are rounded to 32 grey levels and those below one level are 0, so that the file stays small.
"""

from __future__ import annotations

import datetime
import json

import numpy as np
import torch

from sdelib.book.classifier import features, stored_moments
from sdelib.brownian import WhiteNoise
from sdelib.grids import uniform_times
from sdelib.integration import solve
from sdelib.own import weights
from sdelib.own.metrics import frechet_distance, moments
from sdelib.reversal import Reverse, denoise
from sdelib.solvers import heun

N, BATCH, SEED, STEPS, T_MIN, LEVELS = 2400, 100, 2026, 20, 1e-3, 32


@torch.no_grad()
def draw() -> torch.Tensor:
    """The images, (N, 1, 28, 28) in [0, 1]."""
    network = weights.load("unet-sigma25")
    times = uniform_times(network.sde.T**0.5, T_MIN**0.5, STEPS) ** 2
    generator = torch.Generator().manual_seed(SEED)
    out = []
    for _ in range(N // BATCH):
        x = network.sde.sample_prior((BATCH, 1, 28, 28), generator=generator)
        x = solve(
            Reverse(network.sde, network, 0.0),
            x,
            times,
            heun,
            noise=WhiteNoise(x, generator=generator),
        )
        out.append(denoise(network.sde, network, x, times[-1]).clamp(0, 1))
    return torch.cat(out)


@torch.no_grad()
def bundle(images: torch.Tensor) -> None:
    """Label the images and write them."""
    classifier = weights.load("classifier")
    images = (images * (LEVELS - 1)).round() / (LEVELS - 1)
    labels = torch.cat([classifier(x).argmax(1) for x in images.split(BATCH)])
    distance = frechet_distance(moments(features(images, classifier)), stored_moments())
    provenance = {
        "command": "python tools/once/fallback.py",
        "weights": weights.sums()["unet-sigma25.safetensors"],
        "seed": SEED,
        "device": "CPU",
        "torch": torch.__version__,
        "frechet": round(distance, 3),
        "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
    }

    def write(path) -> None:
        with open(path, "wb") as f:
            np.savez_compressed(
                f,
                images=(images[:, 0] * 255).round().byte().numpy(),
                labels=labels.byte().numpy(),
                provenance=np.frombuffer(json.dumps(provenance).encode(), np.uint8),
            )

    path = weights.BUNDLED / "fallback.npz"
    weights.atomic(path, write)
    weights.record(path.name)
    print(
        f"{path.name}: {len(images)} images, {path.stat().st_size / 1e6:.2f} MB",
        provenance,
        torch.bincount(labels).tolist(),
    )


if __name__ == "__main__":
    bundle(draw())
