"""Checkpoints: all that a training is at one step, and which training it is.

Parameters, buffers and what else the modules keep; their average; the optimiser's moments; the
losses; the generators. A network that keeps more than that is refused before the first step.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checks import require
from .luck import luck, put_back
from .runs import PLAIN, attributes, differences, tensors_of
from .weights import read_tensors, write_tensors

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


@dataclasses.dataclass
class Progress:
    """step: steps that are done.  moments: the optimiser's, by the name of the parameter.
    ends: where the schedule began anew, one number for each extension.
    provenance: what was said of the run when it began, and at each extension.
    watched: [steps done, seconds, value] of what was watched.  seconds: of the steps alone."""

    step: int = 0
    moments: dict[str, dict[str, Tensor]] = dataclasses.field(default_factory=dict)
    ends: list[int] = dataclasses.field(default_factory=list)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    watched: list[list] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


# ---------------------------------------------------------------- what is kept


def _numbers(network: nn.Module) -> dict[str, Any]:
    """The attributes that JSON gives back as they are: counters, flags, lists of numbers."""
    found = {}
    for name, value in attributes(network):
        if isinstance(value, (*PLAIN, list, dict)):
            try:
                if json.loads(json.dumps(value)) == value:
                    found[name] = value
            except (TypeError, ValueError):
                continue
    return found


def keepable(network: nn.Module) -> None:
    """Raise ValueError, naming the part, for a network whose training could not be resumed bit for
    bit."""
    from safetensors.torch import save

    cure = "it could not be resumed bit for bit: leave checkpoint out, or keep it in a buffer"
    for name, module in network.named_modules():
        own = type(module).get_extra_state is nn.Module.get_extra_state
        require(own, name or "network", type(module).__name__, f"get_extra_state: {cure}")
    numbers = _numbers(network)
    for name, value in attributes(network):
        inside = value.values() if isinstance(value, dict) else value
        holds = isinstance(value, (list, tuple, set, dict)) and name not in numbers
        hidden = holds and any(isinstance(v, (Tensor, nn.Module, *GENERATORS)) for v in inside)
        moves = isinstance(value, (*GENERATORS, deque, bytearray, np.ndarray))
        require(not (hidden or moves), f"network.{name}", value, cure)
    for name, tensor in tensors_of(network):
        try:
            save({name: torch.zeros(1, dtype=tensor.dtype)})
        except Exception:
            require(False, f"network.{name}", tensor.dtype, f"safetensors has no such type: {cure}")


def _restore(network: nn.Module, stored: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    for name, new in stored.items():
        prefix, _, key = name.rpartition(".")
        module = network.get_submodule(prefix)
        old = getattr(module, key, None)
        if isinstance(old, Tensor) and (old.shape, old.dtype) == (new.shape, new.dtype):
            with torch.no_grad():
                old.copy_(new)
        else:
            where = module._buffers if key in module._buffers else vars(module)
            where[key] = new.clone()
    for name, value in numbers.items():
        prefix, _, key = name.rpartition(".")
        vars(network.get_submodule(prefix))[key] = value


# ---------------------------------------------------------------- the file


def said_in(path: Path) -> dict[str, Any]:
    """What the checkpoint says of itself: its `run`, the `step` that it is at, its `provenance`, ….

    Raises ValueError for a file that is damaged, or no checkpoint."""
    meta = read_tensors(path)[1]
    if "run" not in meta:
        raise ValueError(f"checkpoint {path} holds no training state: give another path")
    return {key: json.loads(value) for key, value in meta.items()}


def mirror(network: nn.Module, average: dict[str, Tensor], twin: nn.Module) -> nn.Module:
    """The twin, a copy of the network, with the average for its weights, and with all else that the
    network keeps at this moment; in eval mode. The network is not touched."""
    now = {name: average.get(name, t) for name, t in tensors_of(network)}
    _restore(twin, now, copy.deepcopy(_numbers(network)))
    return twin.eval()


def save(
    path: Path,
    run: dict[str, Any],
    progress: Progress,
    network: nn.Module,
    average: dict[str, Tensor],
    optimizer: Any,
    losses: Tensor,
) -> None:
    """Write all that the training is after progress.step steps, atomically."""
    tensors = {f"model.{name}": t for name, t in tensors_of(network)}
    tensors |= {f"ema.{name}": a for name, a in average.items()}
    for name, p in network.named_parameters():  # frozen and unused ones have no moments
        kept = optimizer.state.get(p, {})
        tensors |= {f"{key}.{name}": torch.as_tensor(v) for key, v in kept.items()}
    generators, others = luck()
    tensors |= {"losses": losses, **generators}
    words = {
        "run": run,
        "ends": progress.ends,
        "step": progress.step,
        "provenance": progress.provenance,
        "numbers": _numbers(network),
        "luck": others,
        "watched": progress.watched,
        "seconds": progress.seconds,
    }
    write_tensors(path, tensors, {key: json.dumps(value) for key, value in words.items()})


def resume(
    path: Path,
    run: dict[str, Any],
    network: nn.Module,
    average: dict[str, Tensor],
    losses: Tensor,
    extend: bool = False,
) -> Progress:
    """Put the network, the average, the losses and the generators where the checkpoint left them.

    Raises ValueError, and changes nothing, where it belongs to another run, or is no checkpoint.
    """
    tensors, meta = read_tensors(path)
    cure = "give another path"
    if "run" not in meta:
        raise ValueError(f"checkpoint {path} holds no training state: {cure}")
    other = f"checkpoint {path} was written by another version of sdelib (its %s does not fit)"
    if not {"ends", "provenance", "numbers", "luck"} <= meta.keys():
        raise ValueError(f"{other % 'description'}: {cure}")
    said = {key: json.loads(value) for key, value in meta.items()}
    there, here, ends, done = said["run"], json.loads(json.dumps(run)), said["ends"], said["step"]
    last, asked = there["steps"], here["steps"]
    if extend and last < asked:
        words = f"checkpoint {path} has {done} of its {last} steps; finish them, then extend it"
        require(done == last, "extend", extend, words)
        ends, there["steps"] = [*ends, last], asked
    here |= {"extended_from": ends if extend else []}
    there |= {"extended_from": ends}
    if found := list(differences(there, here)):
        more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
        cure += ", or extend it" if last < asked and len(found) == 1 else ""
        raise ValueError(
            f"checkpoint {path} belongs to another run: {'; '.join(found[:8])}{more}: {cure}"
        )
    model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    wanted = {*(f"ema.{name}" for name in average), "losses", "rng"}
    gone = sorted(wanted - tensors.keys()) or sorted({n for n, _ in tensors_of(network)} - {*model})
    moments: dict[str, dict[str, Tensor]] = {}
    for stored, value in tensors.items():
        key, _, name = stored.partition(".")
        if key in MOMENTS:
            moments.setdefault(name, {})[key] = value
    gone = gone or sorted(f"moments of {n}" for n, m in moments.items() if m.keys() != MOMENTS)
    if gone:
        raise ValueError(f"{other % gone[0]}: {cure}")
    _restore(network, model, said["numbers"])
    for name in average:
        average[name].copy_(tensors[f"ema.{name}"])
    losses[: len(tensors["losses"])] = tensors["losses"]
    put_back(tensors, said["luck"])
    watched, seconds = said.get("watched", []), said.get("seconds", 0.0)
    return Progress(done, moments, ends, said["provenance"], watched, seconds)
