"""The options of python -m sdelib train, and which of them make the run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import COUNT, POSITIVE, SEED, number

OWN = {
    "unet": ("sigma", "t_power"),
    "ladder": ("sigma_min",),
    "denoiser": (
        *("widths", "noise_mean", "noise_std", "spread", "drop", "dropout", "flips"),
        "preconditioned",
    ),
}
"""The options that only one kind of network has."""


def about(args: argparse.Namespace) -> dict[str, Any]:
    """What a checkpoint must agree with, by the names of the options; ValueError for an option that
    this kind of network does not have."""
    for what, names in OWN.items():
        for name in names:
            if what != args.what and (value := getattr(args, name)) != args.defaults[name]:
                option = args.options[name]
                words = f"only --what {what} has {option}, and this is --what {args.what}"
                raise ValueError(f"{option} {value}: {words}: leave it out")
    names = ("what", "init", *OWN.get(args.what, ()))
    return {args.options[name]: getattr(args, name) for name in names}


def add(p: argparse.ArgumentParser, kinds: list[str]) -> None:
    p.add_argument(
        "--what",
        choices=kinds,
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
    p.add_argument(
        "--extend",
        action="store_true",
        help="go on from a finished --checkpoint to more --steps: the learning rate warms up and "
        "falls again over the new ones",
    )
    p.add_argument("--every", type=COUNT, default=200, help="steps between checkpoints")
    p.add_argument(
        "--bundle", metavar="NAME", help="save the result as sdelib/bundled/NAME.safetensors"
    )
    p.add_argument("--force", action="store_true", help="replace what is bundled by that name")
    p.add_argument("--init", metavar="NAME", help="start from these bundled weights")
    p.add_argument("--precision", choices=("no", "bf16"), default="no", help="mixed precision")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    p.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train"
    )
    p.add_argument("--data", type=Path, metavar="ROOT", help="folder that holds FashionMNIST/raw")
    names = ("what", "init", *(name for names in OWN.values() for name in names))
    flags = {name: f"--{name.replace('_', '-')}" for name in names}
    p.set_defaults(
        defaults={name: p.get_default(name) for name in names},
        options=flags | {"preconditioned": "--no-preconditioning"},
    )
