"""The training loop: one for every network of the book, on one device or on several.

Each step k draws its batch and its noise from a generator seeded by (seed, k). So a run that was
killed continues exactly where its last checkpoint left it, and a run on n processes sees the same
global batches as a run on one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..checks import positive, require, whole, within
from .weights import read_tensors, write_tensors


class Objective(Protocol):
    """draw(*batch, generator=…) gives the random tensors of a batch; calling it gives (batch,)
    losses."""

    draw: Callable[..., tuple[Tensor, ...]]
    __call__: Callable[..., Tensor]


@dataclass
class TrainingResult:
    """network: the exponential moving average, in eval mode.
    losses: one mean loss a step, shape (steps,)."""

    network: nn.Module
    losses: Tensor


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on (seed, step) only."""
    digest = hashlib.sha256(f"{seed}:{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def learning_rate(step: int, steps: int, lr: float, warmup: int) -> float:
    """lr·min(1, (k+1)/warmup)·½(1 + cos(π k/steps)): a linear warm-up, then a cosine to zero."""
    return lr * min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(
    network: nn.Module,
    objective: Objective,
    data: Sequence[Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    warmup: int = 100,
    ema: float = 0.999,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    every: int = 200,
    precision: str = "no",
    compiled: bool = False,
    cpu: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Minimise E[objective] by AdamW with gradient clipping; return the moving average of the
    weights.

    θ̄ ← β θ̄ + (1 − β) θ with β = min(ema, (1 + k)/(10 + k)), an exponential form of the averaging
    of Polyak & Juditsky 1992.

    data: a tuple of tensors with the same first axis, kept on the CPU; batches go to the device.
    checkpoint: a file written every `every` steps and at the end, atomically. If it exists,
    training resumes from it; it raises ValueError if it belongs to another run (another network,
    number of examples, or any other number given here) or is damaged.
    precision: "no" (float32) or "bf16".  compiled: torch.compile the network.
    cpu: stay on the CPU.
    Under `accelerate launch` each process takes its share of every batch.
    Raises ValueError for bad numbers, and when the loss stops being finite (the last checkpoint
    stays).
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from tqdm import tqdm

    whole(steps=steps, batch_size=batch_size, every=every), positive(lr=lr), within(0, 1, ema=ema)
    n = _examples(data, batch_size)
    cure = "it is a folder: give the name of a file in it"
    require(checkpoint is None or not Path(checkpoint).is_dir(), "checkpoint", checkpoint, cure)

    # else a process would keep the device and the precision of its first training
    if os.environ.get("WORLD_SIZE", "1") == "1":
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
    rank, processes = accelerator.process_index, accelerator.num_processes
    cure = f"give a multiple of the {processes} processes"
    require(batch_size % processes == 0, "batch_size", batch_size, cure)
    share = slice(rank * batch_size // processes, (rank + 1) * batch_size // processes)
    run = {
        "network": type(network).__name__,
        "parameters": sum(p.numel() for p in network.parameters()),
        "examples": n,
        "steps": steps,
        "batch_size": batch_size,
        "lr": lr,
        "warmup": warmup,
        "seed": seed,
        "ema": ema,
        "precision": precision,
    }

    network.train()
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    losses = torch.full((steps,), math.nan)
    first, moments = 0, None
    if checkpoint is not None and Path(checkpoint).exists():
        first, moments = _load(Path(checkpoint), run, network, average, losses)

    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    if moments is not None:
        for name, p in network.named_parameters():
            optimizer.state[p] = {
                key: moments[key, name] for key in ("step", "exp_avg", "exp_avg_sq")
            }
    model, optimizer = accelerator.prepare(network, optimizer)
    average = {name: a.to(accelerator.device) for name, a in average.items()}
    forward = torch.compile(model) if compiled else model

    bar = tqdm(
        range(first, steps),
        initial=first,
        total=steps,
        desc="training",
        mininterval=0.5,
        disable=not (progress and accelerator.is_main_process),
    )
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, lr, warmup)
        generator = step_generator(seed, step)
        index = _batch(n, batch_size, seed, step)
        batch = tuple(d[index] for d in data)
        noise = objective.draw(*batch, generator=generator)
        mine = [a[share].to(accelerator.device) for a in (*batch, *noise)]
        with accelerator.autocast():
            loss = objective(forward, *mine).mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses[step] = torch.as_tensor(accelerator.reduce(loss.detach(), "mean")).item()
        if not math.isfinite(losses[step]):
            raise ValueError(f"the loss is {losses[step]:g} at step {step}: lower lr = {lr}")
        beta = min(ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, p in network.named_parameters():
                average[name].lerp_(p, 1 - beta)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{losses[max(0, step - 99) : step + 1].nanmean():.4f}")
        due = (step + 1) % every == 0 or step + 1 == steps
        if checkpoint is not None and accelerator.is_main_process and due:
            _save(Path(checkpoint), run, step + 1, network, average, optimizer, losses)

    network = accelerator.unwrap_model(model)
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(average[name])
    return TrainingResult(network.eval(), losses)


def _examples(data: Sequence[Tensor], batch_size: int) -> int:
    """How many examples there are: the length that all tensors of the data share."""
    cure = "give a tuple of tensors, such as (images,)"
    require(not isinstance(data, Tensor) and len(data) > 0, "data", data, cure)
    lengths = [len(d) for d in data]
    cure = f"give tensors of one length, at least batch_size = {batch_size}"
    require(batch_size <= min(lengths) == max(lengths), "lengths of data", lengths, cure)
    return lengths[0]


def _batch(n: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Indices of the batch of this step: every epoch is one permutation, its incomplete rest left
    out."""
    per_epoch = n // batch_size
    epoch, k = divmod(step, per_epoch)
    order = torch.randperm(n, generator=step_generator(seed, -1 - epoch))
    return order[k * batch_size : (k + 1) * batch_size]


def _save(
    path: Path, run: dict, step: int, network: nn.Module, average: dict, optimizer, losses: Tensor
) -> None:
    tensors = {f"model.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in average.items()}
    for name, p in network.named_parameters():
        tensors |= {f"{key}.{name}": torch.as_tensor(v) for key, v in optimizer.state[p].items()}
    tensors |= {"losses": losses, "rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng_cuda"] = torch.cuda.get_rng_state()
    write_tensors(
        path,
        tensors,
        {
            "run": json.dumps(run, sort_keys=True, default=lambda number: number.item()),
            "step": str(step),
        },
    )


def _load(path: Path, run: dict, network: nn.Module, average: dict, losses: Tensor):
    tensors, meta = read_tensors(path)
    if "run" not in meta:
        raise ValueError(
            f"checkpoint {path} holds no training state; give the path of a checkpoint that "
            "`train` wrote"
        )
    there = json.loads(meta["run"])
    for key, value in run.items():
        if there.get(key) != value:
            raise ValueError(
                f"checkpoint {path} belongs to a run with {key} = {there.get(key)!r}, not "
                f"{value!r}: give another path, or delete it"
            )
    moments = {
        (key, name): f"{key}.{name}"
        for name in average
        for key in ("step", "exp_avg", "exp_avg_sq")
    }
    model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    wanted = {*moments.values(), *(f"ema.{name}" for name in average), "losses", "rng"}
    gone = sorted(wanted - tensors.keys()) or sorted(network.state_dict().keys() ^ model.keys())
    if gone:
        raise ValueError(
            f"checkpoint {path} was written by another version of sdelib (its {gone[0]} does not "
            "fit): give another path, or delete it"
        )
    network.load_state_dict(model)
    for name in average:
        average[name].copy_(tensors[f"ema.{name}"])
    losses.copy_(tensors["losses"])
    torch.set_rng_state(tensors["rng"])
    if "rng_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng_cuda"])
    return int(meta["step"]), {key: tensors[stored] for key, stored in moments.items()}
