"""TODO."""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn


class _OnGPU:
    """Put before a network's class: x goes to the weights, which lie elsewhere, and the answer
    comes back to where x was."""

    def forward(self, x: Tensor, *rest, **more) -> Tensor:
        return super().forward(x.to(next(self.parameters()).device), *rest, **more).to(x.device)


def on_gpu(network: nn.Module) -> nn.Module:
    """The network itself, moved to the GPU where there is one; without one, it stays as it is.

    On the GPU it still takes x from the CPU and answers there, so what is written for the CPU runs
    unchanged, with the CPU's random numbers. Products are then in float32 for all of PyTorch: TF32,
    its default for convolutions, keeps 10 bits of 23.
    """
    if torch.cuda.is_available() and not isinstance(network, _OnGPU):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        network.__class__ = type(type(network).__name__, (_OnGPU, type(network)), {})
        network.to("cuda")
    return network


def device_name(device: torch.device | None = None) -> str:
    """What computes, in words: the name of the GPU, or the CPU and its threads.
    None: the device of `on_gpu`."""
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU ({threads} thread{'s' * (threads > 1)})"
