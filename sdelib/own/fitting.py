"""A network is fitted to a data set: how long, how fast, and what is looked at on the way."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checks import require, show, whole
from ..denoiser import DenoiserLoss
from .curve import Curve
from .data import Data
from .devices import device_name
from .forms import Form
from .luck import undisturbed
from .runs import described, versions
from .schedule import scheduled, seconds_a_step
from .sizes import batch_for, pace_for
from .training import Objective, TrainingResult, train
from .validation import Validation


def suits(form: Form, data: Data) -> None:
    """Raise ValueError, naming the first that differs, for data that a model of this form cannot be
    given: of another kind, shape, scale, or with other classes."""
    for name in ("kind", "shape", "classes", "columns", "shift", "factor"):
        own, other = getattr(form, name), getattr(data.form, name)
        cure = f"the model's is {show(own)}: give the data that it was made for, or make another"
        require(own == other, f"data.form.{name}", other, cure)


def loss_for(
    form: Form,
    levels: tuple[float, float],
    *,
    flips: bool = False,
    drop: float = 0.1,
    mean: float | None = None,
    std: float = 1.4,
    spread: float = 0.1,
) -> DenoiserLoss:
    """The loss of a denoiser of data of this form, over these noise levels.

    mean, std: of ln σ; None: −1.2 where σ_d = 0.353, as the book's denoisers have it, and moved
    with ln σ_d.  All else as `DenoiserLoss` has it.
    Raises ValueError as that does, and for flips of what are no images.
    """
    fit = not flips or form.kind == "images"
    require(fit, "flips", flips, f"only images are mirrored, and this is {form.kind}")
    mean = -1.2 + math.log(form.std / 0.353) if mean is None else mean
    return DenoiserLoss(mean, std, spread, drop, flips, data_std=form.std, levels=levels)


def fit(
    network: nn.Module,
    objective: Objective,
    data: Data,
    validate: Callable[[nn.Module, torch.device], Validation],
    *,
    steps: int | None,
    minutes: float | None,
    batch_size: int | None,
    warmup: int | None,
    ema: float | None,
    seed: int,
    checkpoint: str | Path | None,
    extend: bool,
    points: int,
    cpu: bool,
    progress: bool,
    provenance: Mapping[str, Any] | None,
    **how: Any,
) -> tuple[TrainingResult, Curve]:
    """`training.train` by steps or minutes, with a curve of validate(network, device) at `points`
    places.  how: what else `train` takes.  The global generators are left as they were."""
    whole(0, seed=seed, points=points)
    size = batch_for(data.form, len(data)) if batch_size is None else batch_size
    how |= {"batch_size": size, "seed": seed, "cpu": cpu}
    if not any(p.requires_grad for p in network.parameters()):  # as a file's
        network.requires_grad_(True)

    look = lambda network: validate(network, next(network.parameters()).device)

    def rate(minutes: float) -> tuple[float, float]:
        twin, fixed = copy.deepcopy(network), {**how, "progress": False}
        short = lambda **more: train(twin, objective, data.training(), **fixed, **more)
        each, began = seconds_a_step(short, minutes), time.perf_counter()
        look(twin.eval())
        return each, time.perf_counter() - began

    with undisturbed():
        plan = scheduled(steps, minutes, checkpoint, extend, points, rate)
        if progress and plan.words:
            print(plan.words, file=sys.stderr)
        span, at = max(1, plan.steps - plan.begin), plan.places
        pace = pace_for(span) if warmup is None else (warmup, pace_for(span)[1])
        pace = pace if ema is None else (pace[0], ema)
        how.setdefault("every", max(1, min(200, span // 10)))

        def watch(k: int, averaged: Callable[[], nn.Module]) -> dict[str, Any] | None:
            return look(averaged()).to_json() if k in at else None

        facts = _facts(data, cpu) | {k: how[k] for k in ("batch_size", "lr", "seed") if k in how}
        facts |= {"warmup": pace[0], "ema": pace[1]} | described("objective", objective)
        torch.manual_seed(seed)
        result = train(
            network,
            objective,
            data.training(),
            steps=plan.steps,
            warmup=pace[0],
            ema=pace[1],
            checkpoint=checkpoint,
            extend=extend,
            progress=progress,
            provenance=facts | plan.facts | dict(provenance or {}),
            watch=watch,
            **how,
        )
    curve = Curve.of(result.watched, result.losses, plan.words)
    result.provenance = result.provenance | {"steps": plan.steps} | curve.facts()
    return result, curve


def _facts(data: Data, cpu: bool) -> dict[str, Any]:
    """Where the weights come from, but for the numbers of the training."""
    return {
        "data": data.form.source,
        "examples": len(data),
        "held_out": len(data.held),
        "device": device_name(torch.device("cpu") if cpu else None),
        **versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
