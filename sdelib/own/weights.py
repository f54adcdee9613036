"""Weights in safetensors, never pickled: the bundled networks of the book, and the training's
checkpoints.

Every write is atomic: a temporary file beside the target, flushed to the disk, then renamed.
`sdelib/bundled/SHA256SUMS` holds the hash of each bundled file; a file that differs is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checks import require

BUNDLED = Path(__file__).parents[1] / "bundled"
ROOT = __name__.partition(".")[0]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it: all of it or
    nothing.

    Raises OSError, naming the path and the mend, where the disk is full or may not be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as f:
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            f"{path} was not written ({error}), and what stood there before is untouched: "
            "make room, or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and string metadata to a safetensors file, atomically. Tensors that share
    memory, as tied layers do, are written each."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    apart, memory = {}, set()
    for name, tensor in tensors.items():
        t = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        apart[name] = t.clone() if t.untyped_storage().data_ptr() in memory else t
        memory.add(t.untyped_storage().data_ptr())

    def write(temporary: Path) -> None:
        try:
            save_file(apart, temporary, metadata=metadata)
        except SafetensorError as error:  # how it says that the disk is full
            raise OSError(str(error)) from error

    atomic(path, write)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file.  Raises ValueError when it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): give another, or fetch it again"
        ) from error


def sums() -> dict[str, str]:
    """File name → SHA-256 of every bundled file."""
    path = BUNDLED / "SHA256SUMS"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def names() -> list[str]:
    """The names that `load` knows."""
    return sorted(
        name.removesuffix(".safetensors") for name in sums() if name.endswith(".safetensors")
    )


def checked(file: str) -> Path:
    """The path of a bundled file whose hash is right.

    Raises ValueError, naming the file and the mend, when it is missing, unknown or damaged.
    """
    known, path = sums(), BUNDLED / file
    if file not in known:
        raise ValueError(f"no bundled file is called {file!r}; there are {sorted(known)}")
    mend = "install sdelib again, or `git checkout -- sdelib/bundled`"
    if not path.exists():
        raise ValueError(f"{path} is missing: {mend}")
    if (found := sha256(path)) != known[file]:
        raise ValueError(
            f"{path} is damaged: its SHA-256 is {found[:12]}…, not {known[file][:12]}…: {mend}"
        )
    return path


def record(file: str) -> None:
    """Write the SHA-256 of sdelib/bundled/<file> into SHA256SUMS."""
    known = sums() | {file: sha256(BUNDLED / file)}
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items()))
    atomic(BUNDLED / "SHA256SUMS", lambda p: p.write_text(text, encoding="utf-8"))


def place(name: str) -> Path:
    """sdelib/bundled/<name>.safetensors.  Raises ValueError for a name that is not one of a file in
    that folder."""
    bare = Path(name).name == name != "" and name[0] != "." and not set(name) & set("/\\:\0")
    require(bare, "name", name, "a bundled name is a bare one, without a folder: give such as mine")
    return BUNDLED / f"{name}.safetensors"


def save(name: str, network: nn.Module, provenance: dict) -> Path:
    """Bundle a network as sdelib/bundled/<name>.safetensors in half precision, and record its hash.

    network: of a class of sdelib, whose `config` holds the arguments that it was made of.
    provenance: where the weights come from: command, data, steps, device, versions, seed, date.
    Raises ValueError for a network that could not be loaded again.
    """
    path, spec = place(name), _spec(network)
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    write_tensors(path, half, {"spec": json.dumps(spec), "provenance": json.dumps(provenance)})
    record(path.name)
    return path


def load(name: str) -> Any:
    """The bundled network called `name`, in float32 on the CPU, in eval mode, without gradients.

    Raises ValueError when there is no such name, or when the file is missing, damaged or of another
    version of sdelib.
    """
    if name not in names():
        raise ValueError(f"no bundled weights are called {name!r}; there are {names()}")
    tensors, meta = read_tensors(checked(f"{name}.safetensors"))
    if "spec" not in meta:
        raise ValueError(f"{name}.safetensors holds {sorted(tensors)}, and no network")
    spec = json.loads(meta["spec"])
    if "config" not in spec:
        raise ValueError(
            f"{name}.safetensors was written before a spec named its class in full: "
            "run tools/once/weights_that_name_their_class.py, or bundle the network again"
        )
    try:
        network = _rebuilt(spec).float()
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # class, arguments or tensors
        raise ValueError(
            f"{name}.safetensors was written by another version of sdelib ({error}): "
            "update sdelib, or bundle the network again"
        ) from error
    return network.eval().requires_grad_(False)


def provenance(name: str) -> dict:
    """Where the bundled weights called `name` come from."""
    return json.loads(read_tensors(checked(f"{name}.safetensors"))[1]["provenance"])


MOVED = {"sdelib.denoiser.Denoiser": "sdelib.networks.Denoiser"}
"""Classes that have another full name than when the first files with them were written."""

# ---- A spec says how a network is rebuilt: {"class": "sdelib.networks.Denoiser", "config":
#      {argument: value}}; a process among the values is {"class": "sdelib.families.VE", …}.


def _spec(network: Any) -> dict:
    if not hasattr(network, "config"):
        raise ValueError(
            f"network is a {type(network).__name__} without `config`, the arguments that it was "
            "made of: it could not be loaded again"
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
        with contextlib.suppress(ModuleNotFoundError):
            known = getattr(importlib.import_module(module), name, None)
    if not (isinstance(known, type) and (issubclass(known, nn.Module) or is_dataclass(known))):
        raise ValueError(f"class = {path!r} is no network and no process of this {ROOT}")
    return known


def _rebuilt(spec: dict) -> nn.Module:
    config = {
        key: _class(value["class"])(**{k: v for k, v in value.items() if k != "class"})
        if isinstance(value, dict)
        else value
        for key, value in spec["config"].items()
    }
    return _class(spec["class"])(**config)
