"""python -m sdelib export: a network as an ONNX file, for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..own import weights
from ..own.export import to_onnx
from .common import writable


def run(args: argparse.Namespace) -> None:
    """Write a bundled network, or one in a file, as ONNX, and compare it with PyTorch."""
    writable(args.onnx)
    own, network = weights.own(args.weights), weights.load(args.weights)
    file = weights.checked(f"{args.weights}.safetensors") if own is None else own
    facts = {"weights": file.name, "weights_sha256": weights.sha256(file)}
    shape = _shape(network, weights.data_of(args.weights))
    path = to_onnx(network, args.onnx, shape, half=own is None, facts=facts)
    sides = ", ".join(map(str, shape))
    print(f"{path}: x of shape (n, {sides}); onnxruntime gives what torch gives")


def _shape(network: Any, data: dict[str, Any]) -> tuple[int, ...]:
    """Of one x: what the file says of its data, else the network's own, else a garment's."""
    own = data.get("shape") or getattr(network, "shape", None)
    dim = getattr(network, "config", {}).get("dim")
    return tuple(own or ((dim,) if dim else (1, 28, 28)))


def kept(args: argparse.Namespace) -> str:
    return "nothing is written"


def options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--weights", metavar="NAME|FILE", required=True, help="a bundled network, or a model's file"
    )
    p.add_argument(
        "--onnx", type=Path, metavar="FILE", required=True, help="the file to write or replace"
    )
