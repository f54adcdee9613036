"""Where a network computes: on the GPU where there is one, called as if it were on the CPU."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 in float32 until the block ends: TF32, PyTorch's default for convolutions
    on a GPU, keeps 10 bits of 23."""
    kinds: Any = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [kind.allow_tf32 for kind in kinds]
    try:
        for kind in kinds:
            kind.allow_tf32 = False
        yield
    finally:
        for kind, allowed in zip(kinds, before):
            kind.allow_tf32 = allowed


def _exact_derivatives(gradient: Tensor) -> None:
    """Called where a derivative begins its way back through a network: exact products until that
    backward pass ends."""
    if torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32:
        block = exact_products()
        block.__enter__()
        end: Any = lambda: block.__exit__(None, None, None)
        torch.autograd.Variable._execution_engine.queue_callback(end)


class _Visits:
    """The hooks of a network on the GPU: x goes to the weights, and the answer to where x was."""

    def __init__(self):
        self.open: list = []  # the calls under way: where x was, and the block that ends with it

    def arrive(self, network: nn.Module, args: tuple) -> tuple:
        x, *rest = args
        block = exact_products()
        block.__enter__()
        self.open.append((x.device, block))
        return (x.to(next(network.parameters()).device), *rest)

    def leave(self, network: nn.Module, args: tuple, answer: Tensor | None) -> Tensor | None:
        device, block = self.open.pop()
        block.__exit__(None, None, None)
        if answer is None:  # the call raised
            return None
        if answer.requires_grad:
            answer.register_hook(_exact_derivatives)
        return answer.to(device)


def on_gpu(network: Any) -> Any:
    """The network itself, moved to the GPU where there is one; without one, it stays as it is.

    On the GPU it still takes x, its first argument, from the CPU and answers there, so what is
    written for the CPU runs unchanged, with the CPU's random numbers. Its products are in float32,
    those of its derivatives too (`exact_products`); no others are touched.
    """
    if torch.cuda.is_available() and not hasattr(network, "visits"):
        network.to("cuda").visits = visits = _Visits()
        network.register_forward_pre_hook(visits.arrive)
        network.register_forward_hook(visits.leave, always_call=True)
    return network


def chosen(device: torch.device | str | None = None) -> torch.device:
    """The device; None: the GPU where there is one, else the CPU."""
    found = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(found if device is None else device)


@contextmanager
def visiting(network: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """The network on this device, in eval mode, until the block ends; then it is back."""
    home = next(network.parameters()).device
    try:
        yield network.eval().to(device)
    finally:
        network.to(home)


def device_name(device: torch.device | None = None) -> str:
    """What computes, in words: the name of the GPU, or the CPU and its threads.
    None: the device of `on_gpu`."""
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU ({threads} thread{'s' * (threads > 1)})"


def in_bfloat16(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f(x, …) with its convolutions and matrix products in bfloat16 (torch.autocast), and the
    result in the type of x.

    Faster on a GPU that has it. A value is then right to about 2⁻⁸, its 8 bits: less than a solver
    with few steps gets wrong.
    """

    def cast(x: Tensor, *rest, **more) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return f(x, *rest, **more).to(x.dtype)

    return cast
