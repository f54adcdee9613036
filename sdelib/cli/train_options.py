"""The options of python -m sdelib train: those of data of one's own (--out FILE), those of the
book's networks (--bundle NAME, --checkpoint FILE), and which of them make the run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import COUNT, POSITIVE, SEED, data_options, device_option, number

KINDS = {
    "unet": ("sigma", "t_power"),
    "ladder": ("sigma_min",),
    "denoiser": (
        *("widths", "noise_mean", "noise_std", "spread", "drop", "dropout", "flips"),
        "preconditioned",
    ),
}
"""The options that only one kind of the book's networks has."""

BOOK: dict[str, Any] = {
    "what": "unet",
    "widths": [64, 112],
    "noise_mean": -1.2,
    "noise_std": 1.4,
    "spread": 0.1,
    "drop": 0.1,
    "dropout": 0.0,
    "flips": False,
    "preconditioned": True,
    "sigma": 25.0,
    "t_power": 2.0,
    "sigma_min": 0.01,
    "steps": 4200,
    "batch": 128,
    "lr": 2e-3,
    "warmup": 200,
    "ema": 0.999,
    "every": 200,
    "precision": "no",
}
"""What is taken for a network of the book where an option is not given."""

ONLY_BOOK = (
    *("what", "bundle", "noise_mean", "noise_std", "spread", "drop", "preconditioned"),
    *("sigma", "t_power", "sigma_min"),
)
ONLY_OWN = ("kind", "size", "grey", "label_column", "categorical", "skip_unreadable", "minutes")


def flag(name: str) -> str:
    """The option that sets args.<name>."""
    return "--no-preconditioning" if name == "preconditioned" else f"--{name.replace('_', '-')}"


def refuse(args: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Raise ValueError for the first of these options that was given."""
    for name in names:
        if getattr(args, name) not in (None, ()):
            raise ValueError(f"{flag(name)}: {why}: leave it out")


def about(args: argparse.Namespace) -> dict[str, Any]:
    """What a checkpoint of the book must agree with, by the names of the options, those not given
    filled in; ValueError for an option that this kind of network does not have."""
    refuse(args, ONLY_OWN, "it belongs to data of your own, which --out FILE trains on")
    for name, value in BOOK.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    for what, names in KINDS.items():
        for name in names:
            if what != args.what and (value := getattr(args, name)) != BOOK[name]:
                words = f"only --what {what} has {flag(name)}, and this is --what {args.what}"
                raise ValueError(f"{flag(name)} {value}: {words}: leave it out")
    names = ("what", "init", *KINDS.get(args.what, ()))
    return {flag(name): getattr(args, name) for name in names}


def add(p: argparse.ArgumentParser, kinds: list[str]) -> None:
    p.usage = (
        "python -m sdelib train --data PATH --out FILE [options]\n"
        "       python -m sdelib train --what KIND [--checkpoint FILE] [--bundle NAME] [options]"
    )
    own = p.add_argument_group("data of your own: a model in a file")
    own.add_argument(
        "--out", type=str, metavar="FILE", help="the model's file, such as mine.safetensors"
    )
    data_options(own)
    own.add_argument(
        "--minutes",
        type=POSITIVE,
        metavar="M",
        help="train about so long: the rate of the first steps fixes --steps, the learning rate "
        "falls to 0 at the end",
    )
    _shared(p.add_argument_group("the training"))
    _book(p.add_argument_group("networks of the book, on Fashion-MNIST, without --out"), kinds)


def _shared(p: Any) -> None:
    p.add_argument("--steps", type=COUNT, help=f"optimiser steps{_says('steps')}")
    p.add_argument("--batch", type=COUNT, help=f"examples a step{_says('batch')}")
    p.add_argument("--lr", type=POSITIVE, help=f"largest learning rate{_says('lr')}")
    p.add_argument(
        "--warmup", type=COUNT, help=f"steps until the largest learning rate{_says('warmup')}"
    )
    p.add_argument(
        "--ema",
        type=number(float, -1e-9, 0.99999),
        help=f"β of the moving average of the weights{_says('ema')}",
    )
    p.add_argument(
        "--widths",
        type=COUNT,
        nargs="+",
        metavar="CHANNELS",
        help="channels at half, at quarter and perhaps at an eighth of the size, multiples of 8; "
        "of points and tables the hidden units, and perhaps how many hidden layers"
        + _says("widths"),
    )
    p.add_argument(
        "--dropout",
        type=number(float, -1e-9, 0.9),
        help=f"share of hidden units left out{_says('dropout')}",
    )
    p.add_argument("--flips", action="store_true", default=None, help="mirror half of the pictures")
    p.add_argument("--seed", type=SEED, default=0, help="of everything random")
    p.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="written while training; resumed from when it exists (of your own data: beside --out)",
    )
    p.add_argument(
        "--extend",
        action="store_true",
        help="go on from a finished checkpoint to more --steps or --minutes: the learning rate "
        "warms up and falls again over the new ones",
    )
    p.add_argument("--every", type=COUNT, help=f"steps between checkpoints{_says('every')}")
    p.add_argument("--force", action="store_true", help="replace what stands there by that name")
    p.add_argument(
        "--init", metavar="NAME|FILE", help="start from these weights: a bundled name, or a file"
    )
    p.add_argument("--precision", choices=("no", "bf16"), help="mixed precision (default: no)")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    device_option(p, "where to train")


def _says(name: str) -> str:
    value = BOOK[name]
    words = " ".join(map(str, value)) if isinstance(value, list) else value
    return f" (default: what fits the data; of the book's networks {words})"


def _book(p: Any, kinds: list[str]) -> None:
    p.add_argument(
        "--what",
        choices=kinds,
        help="a U-Net for an SDE, one for a ladder of noise levels, the denoiser, the classifier "
        "of the metrics, or one of noisy images (default: unet)",
    )
    p.add_argument(
        "--bundle", metavar="NAME", help="save the result as sdelib/bundled/NAME.safetensors"
    )
    for name, kind, words in (
        ("noise_mean", number(float, -6, 6), "denoiser: mean of ln σ"),
        ("noise_std", POSITIVE, "denoiser: standard deviation of ln σ"),
        ("spread", _SHARE, "denoiser: share of the batch with ln σ uniform over all levels"),
        ("drop", _SHARE, "denoiser: share of the labels that are not told"),
        ("sigma", number(float, 1), "unet: trained on dx = SIGMAᵗ dw"),
        ("t_power", POSITIVE, "unet: t ~ uᵖ; 1 is uniform"),
        (
            "sigma_min",
            POSITIVE,
            "ladder: its smallest σ; the largest is the largest distance",
        ),
    ):
        p.add_argument(flag(name), type=kind, help=f"{words} (default: {BOOK[name]})")
    p.add_argument(
        "--no-preconditioning",
        dest="preconditioned",
        action="store_false",
        default=None,
        help="denoiser: let the network give the denoised image itself",
    )


_SHARE = number(float, -1e-9, 1)
