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
from ..own.metrics import class_weights, frechet_distance, moments, split_floor
from ..own.small_classifier import agreement
from .common import SEED, writable


def run(args: argparse.Namespace) -> None:
    """Fréchet distance of samples from real images, beside the distance of real images from each
    other."""
    images, asked, nfe = _read_samples(args.samples)
    if args.json is not None:
        writable(args.json)
    classifier = weights.load("classifier")
    f = features(images, classifier)
    named = classifier.head(f.float()).argmax(1)
    counts = torch.bincount(named, minlength=len(CLASSES)).tolist()
    wanted = None if asked is None else torch.bincount(asked, minlength=len(CLASSES))
    real = fashion_mnist(train=args.against == "train", root=args.data)
    floor, why = None, "needs the real data set"
    if real.real:
        against, g = real.source, features(real.images, classifier)
        reference = moments(g, None if wanted is None else class_weights(real.labels, wanted))
        floor, why = _floor(g, real.labels, len(f), wanted, args.seed)
    else:
        reference = stored_moments()
        against = f"the bundled moments of Fashion-MNIST's {reference.n:,} training images"
    report = {
        "samples": str(args.samples),
        "n": len(images),
        "nfe": nfe,
        "protocol": _protocol(asked, wanted),
        "against": against,
        "frechet_distance": frechet_distance(moments(f), reference),
        "floor": floor and {"mean": floor[0], "standard_error": floor[1]},
        "labels": dict(zip(CLASSES, counts)),
    }
    said = f"{floor[0]:.4f} ± {floor[1]:.4f}" if floor else f"unknown: {why}"
    evaluations = "" if nfe is None else f", {nfe} evaluations each"
    lines = {
        "samples": f"{len(images)} from {args.samples}{evaluations}",
        "drawn": report["protocol"],
        "against": against,
        "Fréchet distance": f"{report['frechet_distance']:.4f}",
        "floor, real against real": said,
    }
    if asked is not None:
        share = agreement(named == asked, asked)
        report["as_asked"] = {"mean": share.value, "standard_error": share.error}
        lines["labelled as asked"] = f"{share.value:.1%} ± {share.error:.1%}"
    for name, count in report["labels"].items():
        lines[f"  labelled {name}"] = f"{count:>6} {count / len(images):7.1%}"
    print("\n".join(f"{name:<28}{text}" for name, text in lines.items()))
    if args.json is not None:
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        weights.atomic(
            args.json, lambda p: p.write_text(text, encoding="utf-8", errors="surrogateescape")
        )


def _protocol(asked: torch.Tensor | None, wanted: torch.Tensor | None) -> str:
    """How the samples were drawn, in words."""
    if asked is None or wanted is None:
        return "as random garments, it is assumed: the file tells no classes"
    pairs = [f"{name} {k}" for name, k in zip(CLASSES, wanted.tolist()) if k]
    return f"class by class: {', '.join(pairs)}"


def _floor(
    g: torch.Tensor, labels: torch.Tensor, n: int, wanted: torch.Tensor | None, seed: int
) -> tuple[tuple[float, float] | None, str]:
    """(the floor by the protocol of the samples, or None, and why)."""
    generator = torch.Generator().manual_seed(seed)
    if wanted is None:
        few = n > len(g) - 2
        why = "needs at least two real images more than samples"
        return (None if few else split_floor(g, n, generator=generator)), why
    why = "needs more real images of each class than samples of it"
    there = torch.bincount(labels, minlength=len(wanted))
    few = bool(((wanted > 0) & (wanted >= there)).any()) or n > len(g) - 2
    return (None if few else split_floor(g, wanted, labels=labels, generator=generator)), why


def _read_samples(path: Path) -> tuple[torch.Tensor, torch.Tensor | None, int | None]:
    """(images, the class that each was asked to be or None, evaluations or None)."""
    try:
        with np.load(path, allow_pickle=False) as f:
            images = f["images"] if "images" in f else f["arr_0"]
            asked = f.get("labels")
            nfe = int(f["nfe"].max()) if "nfe" in f else None
    except FileNotFoundError:
        raise
    # np.load says a damaged file in many ways: BadZipFile, EOFError, KeyError, ValueError
    except Exception as error:
        raise ValueError(
            f"--samples {path} is not a whole .npz with `images` or `arr_0` ({error}): "
            "draw it again with python -m sdelib sample"
        ) from error
    if images.shape[1:] == (1, 28, 28):
        images = images[:, 0]
    known = images.dtype == np.uint8 or images.dtype.kind == "f"
    if not known or images.ndim != 3 or images.shape[1:] != (28, 28) or len(images) < 2:
        raise ValueError(
            f"--samples {path} holds images of shape {images.shape} and type {images.dtype}; "
            "allowed is uint8, or floats in [0, 1], of shape (n, 28, 28) or (n, 1, 28, 28) with n "
            "of at least 2"
        )
    x = torch.from_numpy(images[:, None].astype(np.float32))
    if images.dtype == np.uint8:
        x = x / 255
    elif not (x.min() >= -1e-3 and x.max() <= 1 + 1e-3):  # NaN too
        raise ValueError(
            f"--samples {path} holds floats from {float(x.min()):g} to {float(x.max()):g}: "
            "give them in [0, 1]"
        )
    return x, None if asked is None else _labels(path, asked, len(x)), nfe


def _labels(path: Path, asked: np.ndarray, n: int) -> torch.Tensor | None:
    """The classes; None where all are −1, of no class."""
    if asked.shape != (n,) or asked.dtype.kind not in "iu":
        raise ValueError(
            f"--samples {path} holds labels of shape {asked.shape} and type {asked.dtype}; "
            f"allowed are whole numbers of shape ({n},)"
        )
    y = torch.from_numpy(asked.astype(np.int64))
    if bool((y == -1).all()):
        return None
    if int(y.min()) < -1 or int(y.max()) >= len(CLASSES):
        raise ValueError(
            f"--samples {path} holds labels from {int(y.min())} to {int(y.max())}; allowed are 0 "
            f"to {len(CLASSES) - 1}, or −1 for all images"
        )
    if mixed := int((y == -1).sum()):
        raise ValueError(
            f"--samples {path} mixes protocols: {mixed} of {n} labels are −1, of no class, the "
            "others have one; evaluate them apart"
        )
    return y


def kept(args: argparse.Namespace) -> str:
    return "nothing is written"


def options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .npz file of python -m sdelib sample: images or arr_0, and labels if it has any",
    )
    p.add_argument("--against", choices=("train", "test"), default="train", help="the real images")
    p.add_argument("--data", type=Path, metavar="ROOT", help="folder that holds FashionMNIST/raw")
    p.add_argument("--seed", type=SEED, default=0, help="of the floor's random halves")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
