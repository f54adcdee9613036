"""The training loop: one for every network of the book, on one device or on several.

Each step k draws its batch and its noise from a generator seeded by (seed, k). So a run that was
killed continues exactly where its last checkpoint left it, and a run on n processes sees the same
global batches as a run on one.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..checks import positive, require, whole, within
from .checkpoints import Progress, keepable, mirror, resume, save
from .luck import generator_of, undisturbed
from .runs import description


class Examples(Protocol):
    """len(…) examples; …[index], with a tensor of whole numbers, gives a batch of them as a tensor.
    A tensor is that, and so is what holds bytes, or a file, and makes floats of a batch."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...


class Objective(Protocol):
    """draw(*batch, generator=…) gives the random tensors of a batch; calling it gives (batch,)
    losses."""

    draw: Callable[..., tuple[Tensor, ...]]
    __call__: Callable[..., Tensor]


@dataclass
class TrainingResult:
    """network: the exponential moving average, in eval mode.
    losses: one mean loss a step, shape (steps,).
    provenance: what `train` was told of it, by the run that began it, and its extensions.
    watched: [steps done, seconds of these steps, what `watch` gave], from the run's beginning."""

    network: nn.Module
    losses: Tensor
    provenance: dict[str, Any] = field(default_factory=dict)
    watched: list[list] = field(default_factory=list)


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on (seed, step) only."""
    return generator_of(seed, step)


def learning_rate(step: int, steps: int, lr: float, warmup: int) -> float:
    """lr·min(1, (k+1)/warmup)·½(1 + cos(π k/steps)): a linear warm-up, then a cosine to zero."""
    return lr * min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(
    network: nn.Module,
    objective: Objective,
    data: Sequence[Examples],
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    warmup: int = 100,
    ema: float = 0.999,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    extend: bool = False,
    every: int = 200,
    precision: str = "no",
    compiled: bool = False,
    cpu: bool = False,
    progress: bool = True,
    about: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    watch: Callable[[int, Callable[[], nn.Module]], Any] | None = None,
) -> TrainingResult:
    """Minimise E[objective] by AdamW with gradient clipping; return the moving average of the
    weights.

    θ̄ ← β θ̄ + (1 − β) θ with β = min(ema, (1 + k)/(10 + k)), an exponential form of the averaging
    of Polyak & Juditsky 1992.

    data: a tuple of tensors with the same first axis, kept on the CPU, or of other `Examples`;
    batches go to the device.
    checkpoint: a file written every `every` steps and at the end, atomically. If it exists,
    training resumes from it, bit for bit: the network and its start weights, the objective and the
    data must be those of the run that wrote it, and so must every number given here.
    extend: go on from a finished checkpoint to more steps; the learning rate warms up and falls
    again over the new ones.  about: more that a checkpoint must agree with.
    provenance: kept in the checkpoint by the run that begins it; the result has it.
    precision: "no" (float32) or "bf16".  compiled: torch.compile the network.
    cpu: stay on the CPU.
    watch: watch(k, averaged) after each step, k of them done; averaged() is a copy of the network
    with the average for its weights, in eval mode. What it gives, if not None, is kept, in the
    checkpoint too (as JSON). Whatever it does or draws, the training's bits are the same.
    Under `accelerate launch` each process takes its share of every batch.
    Raises ValueError for bad numbers; for a checkpoint that is damaged or belongs to another run,
    by what differs; before the first step, for a network that could not be resumed; and when the
    loss stops being finite (the last checkpoint stays).
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
    _trainable(network)
    twin = copy.deepcopy(network) if watch is not None else network
    network.train()
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    losses = torch.full((steps,), math.nan)
    run, done = {}, Progress(provenance=dict(provenance or {}))
    if checkpoint is not None:
        keepable(network)
        numbers = dict(steps=steps, batch_size=batch_size, lr=lr, warmup=warmup, seed=seed, ema=ema)
        numbers |= {"precision": precision, "compiled": compiled, "examples": n}
        run = description(network, objective, data, dict(about or {}) | numbers)
    there = checkpoint is not None and Path(checkpoint).exists()
    cure = f"there is no finished checkpoint to go on from: {checkpoint}"
    require(there or not extend, "extend", extend, cure)
    if checkpoint is not None and there:
        done = resume(Path(checkpoint), run, network, average, losses, extend)
    begin = done.ends[-1] if done.ends else 0  # of the schedule
    if extend and done.step == begin < steps:
        words = f"a warm-up of {warmup} steps, then a cosine from {lr} to 0"
        part = {"from": begin, "to": steps, "learning_rate": words, **(provenance or {})}
        done.provenance["extended"] = [*done.provenance.get("extended", []), part]

    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    for name, p in network.named_parameters():
        if name in done.moments:
            optimizer.state[p] = done.moments[name]
    model, optimizer = accelerator.prepare(network, optimizer)
    average = {name: a.to(accelerator.device) for name, a in average.items()}
    forward, twin = torch.compile(model) if compiled else model, twin.to(accelerator.device)
    averaged = lambda: mirror(accelerator.unwrap_model(model), average, twin)

    bar = tqdm(
        range(done.step, steps),
        initial=done.step,
        total=steps,
        desc="training",
        mininterval=0.5,
        disable=not (progress and accelerator.is_main_process),
    )
    clock = time.perf_counter()
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step - begin, steps - begin, lr, warmup)
        generator = step_generator(seed, step)
        index = _batch(n, batch_size, seed, step)
        batch = tuple(torch.as_tensor(d[index]) for d in data)
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
                inexact = p.is_floating_point() or p.is_complex()
                average[name].lerp_(p, 1 - beta) if inexact else average[name].copy_(p)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{losses[max(0, step - 99) : step + 1].nanmean():.4f}")
        done.step, done.seconds = step + 1, done.seconds + time.perf_counter() - clock
        if watch is not None and accelerator.is_main_process:
            with undisturbed():
                seen = watch(step + 1, averaged)
            done.watched += [] if seen is None else [[step + 1, done.seconds, seen]]
        due = (step + 1) % every == 0 or step + 1 == steps
        if checkpoint is not None and accelerator.is_main_process and due:
            save(Path(checkpoint), run, done, network, average, optimizer, losses)
        clock = time.perf_counter()

    network = accelerator.unwrap_model(model)
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(average[name])
    return TrainingResult(network.eval(), losses, done.provenance, done.watched)


def _trainable(network: nn.Module) -> None:
    """Raise ValueError for a network without a weight that could be trained."""
    for name, p in network.named_parameters():
        lazy = isinstance(p, nn.parameter.UninitializedParameter)
        require(not lazy, f"network.{name}", type(p).__name__, "call the network once, first")
    kind, cure = type(network).__name__, "none of its parameters asks for a gradient"
    require(any(p.requires_grad for p in network.parameters()), "network", kind, cure)


def _examples(data: Sequence[Examples], batch_size: int) -> int:
    """How many examples there are: the length that all tensors of the data share."""
    cure = "give a tuple of tensors, such as (images,)"
    require(not isinstance(data, Tensor) and len(data) > 0, "data", data, cure)
    lengths = [len(d) for d in data]
    cure = "give tensors of one length"
    require(min(lengths) == max(lengths), "lengths of data", lengths, cure)
    cure = f"give at most {lengths[0]}, the number of examples"
    require(batch_size <= lengths[0], "batch_size", batch_size, cure)
    return lengths[0]


def _batch(n: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Indices of the batch of this step: every epoch is one permutation, its incomplete rest left
    out."""
    per_epoch = n // batch_size
    epoch, k = divmod(step, per_epoch)
    order = torch.randperm(n, generator=step_generator(seed, -1 - epoch))
    return order[k * batch_size : (k + 1) * batch_size]
