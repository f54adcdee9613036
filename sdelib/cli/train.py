"""python -m sdelib train: the networks of the book."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
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
from .common import COUNT, POSITIVE, SEED, chosen_device, number, ratio, writable


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
    """Train a score, the denoiser or a classifier; resume from --checkpoint; bundle the result."""
    if args.checkpoint is None and args.bundle is None:
        raise ValueError(
            "give --checkpoint FILE, --bundle NAME or both: without them nothing would be kept"
        )
    bundle = weights.BUNDLED / f"{args.bundle}.safetensors" if args.bundle else None
    for path in (args.checkpoint, bundle):
        if path is not None:
            writable(path)
    device = chosen_device(args.device)
    torch.manual_seed(args.seed)
    task = TASKS[args.what](args)
    if args.init is not None:
        _start_from(task.network, args.init)
    data = fashion_mnist(root=args.data)
    result = training.train(
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
        every=args.every,
        precision=args.precision,
        compiled=args.compile,
        cpu=device.type == "cpu",
    )
    if int(os.environ.get("RANK", "0")):
        return
    facts = {
        "command": args.command_line,
        "data": data.source,
        "steps": args.steps,
        "seed": args.seed,
        "mean_loss_of_last_100_steps": round(result.losses[-100:].mean().item(), 5),
        "device": device_name(device),
        "torch": torch.__version__,
        "sdelib": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if task.ratios:
        facts["ratios"] = task.ratios
    network: Any = result.network.cpu()
    if args.what == "classifier":
        test = fashion_mnist(root=args.data, train=False)
        right = round(accuracy(test.images, test.labels, network), 4)
        facts |= {"test_accuracy": right, "test_images": len(test)}
        print(f"accuracy on the {len(test):,} test images: {right:.4f}")
    last = min(100, args.steps)
    print(f"mean loss of the last {last} steps: {facts['mean_loss_of_last_100_steps']}")
    if args.bundle is not None:
        print(f"bundled as {weights.save(args.bundle, network, facts)}")


def kept(args: argparse.Namespace) -> str:
    """What a training that was stopped leaves, and how to go on."""
    if args.checkpoint is None:
        return "nothing is kept; with --checkpoint FILE a training goes on where it was stopped"
    if not args.checkpoint.exists():
        return f"nothing is kept; the first checkpoint is written after --every {args.every} steps"
    done = weights.read_tensors(args.checkpoint)[1].get("step")
    return (
        f"{args.checkpoint} keeps the first {done} of {args.steps} steps; "
        "the same command goes on from there"
    )


def _start_from(network: torch.nn.Module, name: str) -> None:
    """Copy the bundled weights called `name`; a network with labels may start from one without."""
    start = weights.load(name)
    state = start.state_dict()
    new = {k for k in network.state_dict().keys() - state.keys() if k != "label.weight"}
    if (
        new
        or state.keys() - network.state_dict().keys()
        or any(network.state_dict()[k].shape != v.shape for k, v in state.items())
    ):
        raise ValueError(
            f"--init {name} is a {type(start).__name__} with {start.config}; this run trains a "
            f"{type(network).__name__} with {network.config}"
        )
    network.load_state_dict(state, strict=False)


def options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--what",
        choices=TASKS,
        default="unet",
        help="the network: a U-Net for an SDE, one for a ladder of noise levels, the denoiser, the "
        "classifier of the metrics, or one of noisy images",
    )
    p.add_argument(
        "--widths",
        type=number(int, 31),
        nargs=2,
        default=[64, 112],
        metavar="CHANNELS",
        help="denoiser: channels at half and at quarter size, multiples of 8",
    )
    p.add_argument(
        "--noise-mean", type=number(float, -6, 6), default=-1.2, help="denoiser: mean of ln σ"
    )
    p.add_argument(
        "--noise-std", type=POSITIVE, default=1.4, help="denoiser: standard deviation of ln σ"
    )
    p.add_argument(
        "--spread",
        type=number(float, -1e-9, 1),
        default=0.1,
        help="denoiser: share of the batch with ln σ uniform over all levels",
    )
    p.add_argument(
        "--drop",
        type=number(float, -1e-9, 1),
        default=0.1,
        help="denoiser: share of the labels that are not told",
    )
    p.add_argument(
        "--dropout",
        type=number(float, -1e-9, 0.9),
        default=0.0,
        help="denoiser: share of hidden units left out",
    )
    p.add_argument("--flips", action="store_true", help="denoiser: mirror half of the images")
    p.add_argument(
        "--no-preconditioning",
        dest="preconditioned",
        action="store_false",
        help="denoiser: let the network give the denoised image itself",
    )
    p.add_argument(
        "--sigma", type=number(float, 1), default=25.0, help="unet: trained on dx = SIGMAᵗ dw"
    )
    p.add_argument("--t-power", type=POSITIVE, default=2.0, help="unet: t ~ uᵖ; 1 is uniform")
    p.add_argument(
        "--sigma-min",
        type=POSITIVE,
        default=0.01,
        help="ladder: its smallest σ; the largest is the largest distance",
    )
    p.add_argument("--steps", type=COUNT, default=4200, help="optimiser steps")
    p.add_argument("--batch", type=COUNT, default=128, help="images a step")
    p.add_argument("--lr", type=POSITIVE, default=2e-3, help="largest learning rate")
    p.add_argument(
        "--warmup", type=COUNT, default=200, help="steps until the largest learning rate"
    )
    p.add_argument(
        "--ema",
        type=number(float, -1e-9, 0.99999),
        default=0.999,
        help="β of the moving average of the weights",
    )
    p.add_argument("--seed", type=SEED, default=0, help="of everything random")
    p.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="written while training; resumed from when it exists",
    )
    p.add_argument("--every", type=COUNT, default=200, help="steps between checkpoints")
    p.add_argument(
        "--bundle", metavar="NAME", help="save the result as sdelib/bundled/NAME.safetensors"
    )
    p.add_argument("--init", metavar="NAME", help="start from these bundled weights")
    p.add_argument("--precision", choices=("no", "bf16"), default="no", help="mixed precision")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    p.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train"
    )
    p.add_argument("--data", type=Path, metavar="ROOT", help="folder that holds FashionMNIST/raw")
