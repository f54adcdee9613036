"""What `sample` is asked for: a process, and its score by a bundled network."""

from __future__ import annotations

import argparse
import math

import torch

from ..book.data import CLASSES
from ..denoiser import score_from
from ..families import VE, VP, SubVP
from ..networks import Denoiser
from ..own import weights
from ..own.devices import in_bfloat16
from ..own.sampling import in_batches
from ..reversal import Score
from ..sdes import GaussianSDE
from .common import ratio


def label(text: str) -> int | str:
    """An argparse type: the number or the name of a class, "each" or "none"."""
    if text in ("each", "none"):
        return text
    if text in CLASSES:
        return CLASSES.index(text)
    if text.isdigit() and int(text) < len(CLASSES):
        return int(text)
    names = ", ".join(f"{k} ({name})" for k, name in enumerate(CLASSES))
    raise argparse.ArgumentTypeError(
        f"{text!r} is not allowed; give one of {names}, or each, or none"
    )


def process(args: argparse.Namespace) -> GaussianSDE:
    """The forward process of --sde and its numbers."""
    given = {
        name: value
        for name in ("sigma", "sigma_min", "sigma_max", "beta_min", "beta_max")
        if (value := getattr(args, name)) is not None
    }
    allowed = {"ve": {"sigma", "sigma_min", "sigma_max"}}.get(args.sde, {"beta_min", "beta_max"})
    if extra := sorted(given.keys() - allowed):
        raise ValueError(
            f"--{extra[0].replace('_', '-')} does not belong to --sde {args.sde}; it takes "
            + ", ".join("--" + name.replace("_", "-") for name in sorted(allowed))
        )
    if args.sde != "ve":
        return {"vp": VP, "subvp": SubVP}[args.sde](**given)
    if "sigma_min" in given or "sigma_max" in given:
        if "sigma" in given or "sigma_max" not in given:
            raise ValueError(
                "give either --sigma S, which is dx = Sᵗ dw, "
                "or --sigma-max with or without --sigma-min"
            )
        return VE(**given)
    return VE.power(given["sigma"]) if given else VE(0.01, 80.0)


def score(
    args: argparse.Namespace, sde: GaussianSDE, device: torch.device, numbers: torch.Tensor
) -> tuple[Score, float]:
    """The score of `sde` by the network that was asked for, for the images with these numbers, and
    the time to stop at; ValueError where it was never trained."""
    if args.precision == "bf16" and device.type != "cuda":
        raise ValueError(
            "--precision bf16 needs --device cuda: most CPUs imitate bfloat16, "
            "and are far slower with it"
        )
    name, network = args.weights, weights.load(args.weights)
    if not hasattr(network, "correction"):
        raise ValueError(f"--weights {name} is not a score; allowed: " + ", ".join(scores()))
    labelled = isinstance(network, Denoiser)
    low, high = _trained(name)
    if not low < (reached := ratio(sde, sde.T)) <= high * (1 + 1e-6):
        raise ValueError(
            f"{sde} ends at the noise-to-signal ratio {reached:.4g}, but {name} was trained from "
            f"{low:.2g} to {high:.4g}; allowed are --sigma-max up to {high:.4g}, "
            f"--beta-max up to {2 * math.log1p(high**2) - 0.1:.3g}"
        )
    t_min = args.t_min
    if t_min is None:
        t_min = float(sde.time(torch.tensor(low * 1.0001, dtype=torch.float64)))
        if not labelled:  # as in chapter 11, unless the network knows no such small noise
            t_min = max(t_min, 1e-3 * sde.T)
    if not t_min < sde.T or ratio(sde, t_min) < low * (1 - 1e-6):
        raise ValueError(
            f"--t-min {t_min:g} is not allowed; it must lie below T = {sde.T:g}, and at a "
            f"noise-to-signal ratio of at least {low:.3g}, the smallest that {name} was trained on"
        )
    network = network.to(device)
    cast = in_bfloat16 if args.precision == "bf16" else lambda f: f
    if labelled:
        return score_from(
            in_batches(cast(network), args.batch),
            sde,
            label=_label(args, numbers.to(device)),
            guidance=args.guidance,
        ), t_min
    if args.label not in (None, "none") or args.guidance != 1:
        raise ValueError(
            f"--label and --guidance need a network that knows labels, and {name} does not: "
            "leave --weights out"
        )
    return in_batches(cast(network.on(sde)), args.batch), t_min


def _trained(name: str) -> tuple[float, float]:
    """The least and the largest noise-to-signal ratio that these weights were trained on."""
    facts = weights.provenance(name)
    if "ratios" not in facts:
        raise ValueError(
            f"--weights {name} does not say what noise it was trained on: "
            "bundle it by python -m sdelib train --bundle"
        )
    return facts["ratios"]


def scores() -> list[str]:
    """The bundled networks that `sample` knows, by their names alone: the help lists them."""
    others = ("classifier", "noisy-classifier", "moments")
    return [name for name in weights.names() if name not in others]


def _label(args: argparse.Namespace, numbers: torch.Tensor) -> torch.Tensor | int | None:
    if args.label in (None, "each"):
        return numbers % len(CLASSES)
    return None if args.label == "none" else args.label
