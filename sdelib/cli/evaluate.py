"""python -m sdelib evaluate: how good a file of samples is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ..book.classifier import features, stored_moments
from ..book.data import CLASSES, fashion_mnist
from ..own import weights
from ..own.metrics import frechet_distance, moments, split_floor
from . import own_evaluate
from .common import SEED, data_options, is_own, root_of, writable


def run(args: argparse.Namespace) -> None:
    """How far samples are from real ones, beside how far real ones are from each other."""
    if is_own(args.data):
        own_evaluate.run(args)
        return
    images, nfe = _read_samples(args.samples)
    if args.json is not None:
        writable(args.json)
    classifier = weights.load("classifier")
    f = features(images, classifier)
    counts = torch.bincount(classifier.head(f.float()).argmax(1), minlength=len(CLASSES)).tolist()
    real = fashion_mnist(train=args.against != "test", root=root_of(args.data))
    floor = None
    if real.real:
        against, g = real.source, features(real.images, classifier)
        reference = moments(g)
        if len(f) <= len(g) - 2:
            floor = split_floor(g, len(f), generator=torch.Generator().manual_seed(args.seed))
    else:
        reference = stored_moments()
        against = f"the bundled moments of Fashion-MNIST's {reference.n:,} training images"
    report = {
        "samples": str(args.samples),
        "n": len(images),
        "nfe": nfe,
        "against": against,
        "frechet_distance": frechet_distance(moments(f), reference),
        "floor": floor and {"mean": floor[0], "standard_error": floor[1]},
        "labels": dict(zip(CLASSES, counts)),
    }
    said = (
        f"{floor[0]:.4f} ± {floor[1]:.4f}"
        if floor
        else "unknown: needs at least two real images more than samples"
    )
    print(
        f"{'samples':<28}{len(images)} from {args.samples}"
        + ("" if nfe is None else f", {nfe} evaluations each")
    )
    print(f"{'against':<28}{against}")
    print(f"{'Fréchet distance':<28}{report['frechet_distance']:.4f}")
    print(f"{'floor, real against real':<28}{said}")
    for name, count in report["labels"].items():
        print(f"{'  labelled ' + name:<28}{count:>6} {count / len(images):7.1%}")
    if args.json is not None:
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        weights.atomic(
            args.json, lambda p: p.write_text(text, encoding="utf-8", errors="surrogateescape")
        )


def _read_samples(path: Path) -> tuple[torch.Tensor, int | None]:
    try:
        with np.load(path, allow_pickle=False) as f:
            images = f["images"]
            nfe = int(f["nfe"].max()) if "nfe" in f else None
    except FileNotFoundError:
        raise
    # np.load says a damaged file in many ways: BadZipFile, EOFError, KeyError, ValueError
    except Exception as error:
        raise ValueError(
            f"--samples {path} is not a whole .npz with `images` ({error}): "
            "draw it again with python -m sdelib sample"
        ) from error
    if (
        images.dtype != np.uint8
        or images.ndim != 3
        or images.shape[1:] != (28, 28)
        or len(images) < 2
    ):
        raise ValueError(
            f"--samples {path} holds images of shape {images.shape} and type {images.dtype}; "
            "allowed is uint8 of shape (n, 28, 28) with n of at least 2"
        )
    return torch.from_numpy(images)[:, None].float() / 255, nfe


def kept(args: argparse.Namespace) -> str:
    return "nothing is written"


def options(p: argparse.ArgumentParser) -> None:
    p.usage = "python -m sdelib evaluate --samples PLACE [--data PATH] [options]"
    p.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="PLACE",
        help="what python -m sdelib sample wrote, or others': .npz (arr_0 too), .npy, .csv, or a "
        "folder of pictures; labels are the classes that were asked for",
    )
    p.add_argument(
        "--against",
        choices=("train", "test", "held-out"),
        help="the real examples: of Fashion-MNIST train or test (default: train), of your own data "
        "what training held out",
    )
    data_options(p)
    p.add_argument("--seed", type=SEED, default=0, help="of the random halves and directions")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
