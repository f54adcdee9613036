"""A spec says how a network is rebuilt: {"class": "sdelib.networks.Denoiser", "config": {argument:
value}}; a process among the values is {"class": "sdelib.families.VE", …}."""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from typing import Any

from torch import nn

ROOT = __name__.partition(".")[0]
MOVED = {"sdelib.denoiser.Denoiser": "sdelib.networks.Denoiser"}
"""Classes that have another full name than when the first files with them were written."""


def spec_of(network: Any) -> dict:
    """How the network is rebuilt.  Raises ValueError for one that could not be."""
    if not hasattr(network, "config"):
        raise ValueError(
            f"network is a {type(network).__name__} without `config`, the arguments that it was "
            "made of, and could not be loaded again by its name: save it to a file of your own"
        )

    def spec(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return {"class": _name(value), **asdict(value)}
        return value

    values = {key: spec(value) for key, value in network.config.items()}
    return {"class": _name(network), "config": values}


def _name(thing: object) -> str:
    """The full name of the thing's class, by which `_class` finds it again."""
    module, name = type(thing).__module__, type(thing).__qualname__
    room = module.rpartition(".")[0]
    if room != ROOT and getattr(importlib.import_module(room or module), name, None) is type(thing):
        module = room  # the room that offers it, whatever the file there is called
    _class(f"{module}.{name}")
    return f"{module}.{name}"


def _class(path: str) -> type:
    """The class with this full name: a network or a dataclass, from a module of sdelib. No other
    module is imported."""
    module, _, name = MOVED.get(path, path).rpartition(".")
    known = None
    if module.startswith(f"{ROOT}."):
        with suppress(ModuleNotFoundError):
            known = getattr(importlib.import_module(module), name, None)
    if not (isinstance(known, type) and (issubclass(known, nn.Module) or is_dataclass(known))):
        raise ValueError(f"class = {path!r} is no network and no process of this {ROOT}")
    return known


def rebuilt(spec: dict) -> nn.Module:
    """The network of this spec, with new weights."""
    config = {
        key: _class(value["class"])(**{k: v for k, v in value.items() if k != "class"})
        if isinstance(value, dict)
        else value
        for key, value in spec["config"].items()
    }
    return _class(spec["class"])(**config)
