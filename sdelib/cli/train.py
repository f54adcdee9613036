"""python -m sdelib train: a model of one's own data (--out: `own`), or a network of the book."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import torch

from .. import __version__
from ..book.classifier import (
    ClassificationLoss,
    GarmentClassifier,
    NoisyClassificationLoss,
    NoisyClassifier,
    accuracy,
)
from ..book.data import FASHION_MNIST_DISTANCE, fashion_mnist
from ..denoiser import SIGMA_MAX, SIGMA_MIN, DenoiserLoss
from ..families import VE, NoiseLevel
from ..langevin import ladder
from ..networks import Denoiser, ScoreUNet
from ..own import training, weights
from ..own.devices import device_name
from ..score_matching import DenoisingLoss, LadderLoss
from . import own, train_options
from .common import chosen_device, compiled_or_said, keeps, ratio, root_of, start_from, writable


@dataclass
class Task:
    """A network and its loss.  labels: the loss asks for them.  ratios: of a score, the least and
    the largest noise-to-signal ratio that it is trained on."""

    network: torch.nn.Module
    objective: training.Objective
    labels: bool = True
    ratios: tuple[float, float] | None = None


def _unet(args: argparse.Namespace) -> Task:
    sde = VE.power(args.sigma)
    loss = DenoisingLoss(sde, t_power=args.t_power)
    return Task(ScoreUNet(sde), loss, False, (ratio(sde, loss.t_min), ratio(sde, sde.T)))


def _ladder(args: argparse.Namespace) -> Task:
    sigmas = ladder(args.sigma_min, FASHION_MNIST_DISTANCE, 28 * 28).tolist()
    network = ScoreUNet(NoiseLevel(sigmas[-1]))
    return Task(network, LadderLoss(tuple(sigmas)), False, (sigmas[0], sigmas[-1]))


def _denoiser(args: argparse.Namespace) -> Task:
    widths, how = tuple(args.widths), {"preconditioned": args.preconditioned}
    network = Denoiser(widths, dropout=args.dropout, **how)
    loss = DenoiserLoss(args.noise_mean, args.noise_std, args.spread, args.drop, args.flips)
    return Task(network, loss, ratios=(SIGMA_MIN, SIGMA_MAX))


TASKS = {
    "unet": _unet,
    "ladder": _ladder,
    "denoiser": _denoiser,
    "classifier": lambda args: Task(GarmentClassifier(), ClassificationLoss()),
    "noisy-classifier": lambda args: Task(NoisyClassifier(), NoisyClassificationLoss()),
}


def run(args: argparse.Namespace) -> None:
    """Train a model of data of your own, or a network of the book; go on where it was stopped."""
    if args.out is not None:
        own.run(args)
        return
    if args.checkpoint is None and args.bundle is None:
        raise ValueError(
            "give --out FILE for a model of your data, or for a network of the book --checkpoint "
            "FILE, --bundle NAME or both: without them nothing would be kept"
        )
    about = train_options.about(args)
    bundle = None if args.bundle is None else weights.place(args.bundle)
    if bundle is not None and bundle.exists() and not args.force:
        raise ValueError(f"--bundle {args.bundle} is there: give another name, or --force")
    if args.extend and args.checkpoint is None:
        raise ValueError("--extend needs the --checkpoint FILE to go on from")
    for path in (args.checkpoint, bundle):
        if path is not None:
            writable(path)
    device = chosen_device(args.device)
    torch.manual_seed(args.seed)
    task = TASKS[args.what](args)
    if args.init is not None:
        start_from(task.network, args.init)
    data = fashion_mnist(root=root_of(args.data))
    facts = {
        "command": args.command_line,
        "data": data.source,
        "seed": args.seed,
        "device": device_name(device),
        "torch": torch.__version__,
        "sdelib": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    result = compiled_or_said(
        args.compile,
        training.train,
        task.network,
        task.objective,
        (data.images, data.labels) if task.labels else (data.images,),
        steps=args.steps,
        batch_size=args.batch,
        lr=args.lr,
        warmup=args.warmup,
        ema=args.ema,
        seed=args.seed,
        checkpoint=args.checkpoint,
        extend=args.extend,
        every=args.every,
        precision=args.precision,
        compiled=args.compile,
        cpu=device.type == "cpu",
        about=about,
        provenance=facts,
    )
    if int(os.environ.get("RANK", "0")):
        return
    facts = (
        result.provenance
        | {  # of the run that began it, whatever this command is
            "steps": args.steps,
            "mean_loss_of_last_100_steps": round(result.losses[-100:].mean().item(), 5),
        }
    )
    if task.ratios:
        facts["ratios"] = task.ratios
    network: Any = result.network.cpu()
    if args.what == "classifier":
        test = fashion_mnist(root=root_of(args.data), train=False)
        right = round(accuracy(test.images, test.labels, network), 4)
        facts |= {"test_accuracy": right, "test_images": len(test)}
        print(f"accuracy on the {len(test):,} test images: {right:.4f}")
    last = min(100, args.steps)
    print(f"mean loss of the last {last} steps: {facts['mean_loss_of_last_100_steps']}")
    if args.bundle is not None:
        print(f"bundled as {weights.save(args.bundle, network, facts)}")
        if f"{args.bundle}.onnx" in weights.sums():
            stale = f"{args.bundle}.onnx was made of the weights that stood here before"
            print(f"{stale}: tools/once/export_onnx.py makes it anew", file=sys.stderr)


def kept(args: argparse.Namespace) -> str:
    """What a training that was stopped leaves, and how to go on."""
    if args.out is not None:
        return own.kept(args)
    if args.checkpoint is None:
        return "nothing is kept; with --checkpoint FILE a training goes on where it was stopped"
    return keeps(args.checkpoint, args.every)


def options(p: argparse.ArgumentParser) -> None:
    train_options.add(p, list(TASKS))
