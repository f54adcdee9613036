"""Which training it is: one flat dictionary, name → value, of all that decides what it computes.

Its numbers, the objective and the network down to their fields, and fingerprints of the data and of
the weights that it starts with. `checkpoints` compares two of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checks import show

INTERNAL = vars(nn.Module()).keys()
ABSENT = "nothing"
PLAIN = (type(None), bool, int, float, str)


def fingerprint(tensors: Iterable[Any]) -> str:
    """The shapes, the types and, in sixteen digits, the SHA-256 of all numbers.

    Of tensors; of arrays, mapped files too, which are read part by part; of other examples by their
    own `digest()`, else by what they give by index."""
    digest, shapes = hashlib.sha256(), []
    for t in tensors:
        shape = tuple(t.shape) if hasattr(t, "shape") else (len(t),)
        kind = str(getattr(t, "dtype", type(t).__name__)).removeprefix("torch.")
        shapes.append(f"{shape} {kind}")
        digest.update(f"{shapes[-1]}:".encode())
        if hasattr(t, "digest"):
            digest.update(t.digest().encode())
            continue
        for numbers in _parts(t):
            numbers = numbers.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
            digest.update(numbers.view(torch.uint8).numpy().data)
    several = f"{len(shapes)} tensors" if len(shapes) > 1 else "".join(shapes)
    return f"{several}, SHA-256 {digest.hexdigest()[:16]}"


def _parts(t: Any, size: int = 1024) -> Iterator[Tensor]:
    """The numbers of t in tensors: a tensor whole, all else in parts of `size` examples."""
    if isinstance(t, Tensor):
        yield t
    elif isinstance(t, np.ndarray):
        t = t.reshape(1) if t.ndim == 0 else t
        yield from (torch.from_numpy(t[i : i + size].copy()) for i in range(0, len(t), size))
    else:
        rows = torch.arange(len(t)).split(size)
        yield from (torch.as_tensor(t[index]) for index in rows)


def versions() -> dict[str, str]:
    """Of sdelib and of PyTorch."""
    here = importlib.import_module(__name__.partition(".")[0])
    return {"sdelib": str(here.__version__), "torch": str(torch.__version__)}


def description(
    network: nn.Module, objective: Any, data: Sequence[Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole run: what is given as `more` first, then the objective, the data, the network."""
    size = sum(p.numel() for p in network.parameters())
    parts = [described(name, value) for name, value in more.items()]
    parts += [{"network": type(network).__qualname__, "parameters": size}]
    parts += [described("objective", objective), {"data": fingerprint(data)}]
    return {k: v for part in [*parts, described("network", network)] for k, v in part.items()}


def described(name: str, value: Any, depth: int = 6) -> dict[str, Any]:
    """The value as a flat dictionary: name → a number, a text or the class, name.field → ….

    An object is what its dataclass fields say, else its `config`, else its public attributes. One
    that is none of the first two and holds another objective as `loss` counts as that one.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        odd = isinstance(value, float) and not math.isfinite(value)
        return {name: str(value) if odd else value}
    if isinstance(value, (Tensor, np.ndarray)):
        return {name: fingerprint([value])}
    if isinstance(value, (list, tuple)) and all(isinstance(v, PLAIN) for v in value):
        return {name: list(value)}
    if inspect.isroutine(value) or inspect.isclass(value) or depth == 0:
        return {name: getattr(value, "__qualname__", type(value).__qualname__)}
    facts, kind = {}, {name: type(value).__qualname__}
    if isinstance(value, nn.Module):
        kind[f"{name}.start_weights"] = fingerprint(t for _, t in tensors_of(value))
        facts = dict(getattr(value, "config", None) or {}) | dict(attributes(value))
    elif isinstance(value, Mapping):
        kind, facts = {}, value
    elif isinstance(value, (list, tuple, set, frozenset)):
        kind, facts = {name: len(value)}, dict(enumerate(value))
    elif dataclasses.is_dataclass(value):
        facts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif isinstance(getattr(value, "config", None), Mapping):
        facts = value.config
    elif hasattr(value, "loss") and hasattr(value.loss, "draw"):
        return described(name, value.loss, depth - 1)
    else:
        public = getattr(value, "__dict__", {}).items()
        facts = {key: v for key, v in public if not key.startswith("_")}
    parts = (described(f"{name}.{key}", v, depth - 1) for key, v in facts.items())
    return kind | {key: v for part in parts for key, v in part.items()}


def differences(there: dict, here: dict) -> Iterator[str]:
    """ "name = value there, not value here", for each name whose values differ."""
    for name in here | there:
        a, b = there.get(name, ABSENT), here.get(name, ABSENT)
        if a != b and isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            k = next(k for k, (u, v) in enumerate(zip(a, b)) if u != v)
            yield f"{name}[{k}] = {show(a[k])}, not {show(b[k])}"
        elif a != b:
            yield f"{name} = {show(a)}, not {show(b)}"


def attributes(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """(module.attribute, value) of all that the modules keep beside parameters and buffers."""
    for prefix, module in network.named_modules():
        for key, value in vars(module).items():
            if key not in INTERNAL and key != "config":
                yield f"{prefix}.{key}".lstrip("."), value


def tensors_of(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Each parameter once, each buffer, persistent or not, and each tensor that is neither."""
    more = ((name, a) for name, a in attributes(network) if isinstance(a, Tensor))
    yield from itertools.chain(network.named_parameters(), network.named_buffers(), more)
