"""What `sample` is asked for: a process, labels, and the score of the process by a network."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoiser import score_from
from ..families import VE, VP, SubVP
from ..own.devices import in_bfloat16
from ..own.sampling import in_batches
from ..reversal import Score
from ..sdes import GaussianSDE
from .common import ratio
from .sources import Source


def told(text: str | None, source: Source) -> Callable[[int, int], Tensor | None]:
    """(start, stop) → the class of each example number start to stop, by --label's name or number,
    by `each` (the classes in turn, which is done where nothing is given), or by none."""
    if not source.labelled and text not in (None, "none"):
        raise ValueError(_LABELS.format(source.name))
    names = source.form.classes
    if not source.labelled or (text == "none" and text not in names):
        return lambda start, stop: None
    if text is None or (text == "each" and text not in names):
        return lambda start, stop: torch.arange(start, stop) % len(names)
    known = [f"{k} ({name})" for k, name in enumerate(names)]
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    if text not in names and not (text.isdecimal() and int(text) < len(names)):
        raise ValueError(
            f"argument --label: {text!r} is not allowed; give one of "
            f"{', '.join(known[:20])}{more}, or each, or none"
        )
    one = source.form.label(text)
    return lambda start, stop: torch.full((stop - start,), one)


def process(args: argparse.Namespace, source: Source) -> GaussianSDE:
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
    return VE.power(given["sigma"]) if given else VE(0.01, source.form.sigma_max)


def score(
    args: argparse.Namespace, source: Source, sde: GaussianSDE, device: torch.device
) -> tuple[Callable[[Tensor | int | None], Score], float]:
    """(labels, one for each example, or None → the score of `sde` by the network that was asked
    for, the time to stop at); ValueError where it was never trained."""
    if args.precision == "bf16" and device.type != "cuda":
        raise ValueError(
            "--precision bf16 needs --device cuda: most CPUs imitate bfloat16, "
            "and are far slower with it"
        )
    name, (low, high) = source.name, source.ratios
    if not low < (reached := ratio(sde, sde.T)) <= high * (1 + 1e-6):
        raise ValueError(
            f"{sde} ends at the noise-to-signal ratio {reached:.4g}, but {name} was trained from "
            f"{low:.2g} to {high:.4g}; allowed are --sigma-max up to {high:.4g}, "
            f"--beta-max up to {2 * math.log1p(high**2) - 0.1:.3g}"
        )
    denoises = not hasattr(source.network, "on")
    t_min = args.t_min
    if t_min is None:
        t_min = float(sde.time(torch.tensor(low * 1.0001, dtype=torch.float64)))
        if not denoises:  # as in chapter 11, unless the network knows no such small noise
            t_min = max(t_min, 1e-3 * sde.T)
    if not t_min < sde.T or ratio(sde, t_min) < low * (1 - 1e-6):
        raise ValueError(
            f"--t-min {t_min:g} is not allowed; it must lie below T = {sde.T:g}, and at a "
            f"noise-to-signal ratio of at least {low:.3g}, the smallest that {name} was trained on"
        )
    if args.guidance != 1 and not source.labelled:
        raise ValueError(_LABELS.format(name))
    if args.guidance != 1 and args.label == "none":
        raise ValueError(
            f"guidance = {args.guidance:g}: give the --label to guide to, or leave --guidance out"
        )
    cast = in_bfloat16 if args.precision == "bf16" else lambda f: f
    network = source.network.to(device)
    split = in_batches(cast(network if denoises else network.on(sde)), args.batch)
    if not denoises:
        return lambda labels: split, t_min
    return lambda labels: score_from(split, sde, label=labels, guidance=args.guidance), t_min


_LABELS = (
    "--label and --guidance need a network that knows labels, and {} does not: leave them out, or "
    "leave --weights out"
)
