"""Luck: a generator that depends on a key only, and the global generators, kept and put back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def generator_of(*key: int | str) -> torch.Generator:
    """A CPU generator that depends on the key only: such as (seed, step), ("noise", seed, k)."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def luck() -> tuple[dict[str, Tensor], list]:
    """The states of PyTorch's global generators as tensors, and those of Python's and numpy's as
    JSON holds them."""
    tensors = {"rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng_cuda"] = torch.cuda.get_rng_state()
    numpys: Any = np.random.get_state()
    return tensors, [random.getstate(), [numpys[0], numpys[1].tolist(), *numpys[2:]]]


def put_back(tensors: Mapping[str, Tensor], others: list) -> None:
    """Set all global generators to what `luck` gave."""
    torch.set_rng_state(tensors["rng"])
    if "rng_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng_cuda"])
    (version, state, gauss), numpys = others
    random.setstate((version, tuple(state), gauss))
    np.random.set_state((numpys[0], np.array(numpys[1], np.uint32), *numpys[2:]))


@contextmanager
def undisturbed() -> Iterator[None]:
    """What the block draws from global generators is undone when it ends."""
    before = luck()
    try:
        yield
    finally:
        put_back(*before)
