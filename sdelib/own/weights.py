"""Weights in safetensors, never pickled: the bundled networks of the book, networks of one's own,
and the training's checkpoints.

A bare name is that of a bundled network; what has a slash or a suffix is a file of one's own.
Every write is atomic: a temporary file beside the target, flushed to the disk, then renamed.
`sdelib/bundled/SHA256SUMS` holds the hash of each bundled file; a file that differs is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checks import require
from .specs import rebuilt, spec_of

BUNDLED = Path(__file__).parents[1] / "bundled"


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
    bare = Path(name).stem == name != "" and name[0] != "." and not set(name) & set("/\\:\0")
    cure = "a bundled name is a bare one, without a folder and a suffix: give such as mine"
    require(bare, "name", name, cure)
    return BUNDLED / f"{name}.safetensors"


def own(name: str | Path) -> Path | None:
    """The path of a file of one's own; None where the name is that of a bundled network."""
    path = Path(name)
    is_file = isinstance(name, Path) or "/" in str(name) or len(path.parts) > 1 or path.suffix
    return path.expanduser() if is_file else None


def save(
    name: str | Path,
    network: nn.Module,
    provenance: Mapping[str, Any] | None = None,
    *,
    data: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network to a file of one's own, in the precision that it has; or, by a bare name,
    bundle it as sdelib/bundled/<name>.safetensors in half precision, and record its hash.

    network: one of sdelib; a file takes any other too, and `load` is then given one to fill.
    provenance: where the weights come from: command, data, steps, device, versions, seed, date.
    data: what is to be known of the data, such as class names, shape and range; see `data_of`.
    Raises ValueError for a network that could not be loaded again.
    """
    path, tensors = own(name), network.state_dict()
    for key, value in tensors.items():
        require(isinstance(value, Tensor), f"network.{key}", value, "only tensors can be saved")
    words = {"provenance": json.dumps(dict(provenance or {}))}
    words |= {"data": json.dumps(dict(data))} if data else {}
    if path is not None:
        require(not path.is_dir(), "name", str(path), "it is a folder: give a file in it")
        try:
            spec = spec_of(network)
        except ValueError:  # a class of one's own
            spec = {"class": f"{type(network).__module__}.{type(network).__qualname__}"}
        write_tensors(path, tensors, words | {"spec": json.dumps(spec)})
        return path
    path, spec = place(str(name)), spec_of(network)
    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    write_tensors(path, half, words | {"spec": json.dumps(spec)})
    record(path.name)
    return path


def load(name: str | Path, network: nn.Module | None = None) -> Any:
    """The network of a file, in the precision of the file, or the bundled one of this name, in
    float32; on the CPU, in eval mode, without gradients.

    network: to be filled, where the file holds a network of a class of one's own.
    Raises ValueError when there is no such name, or when the file is missing, damaged or of another
    version of sdelib, and for a network that the weights do not fit.
    """
    path = own(name)
    if path is None and name not in names():
        raise ValueError(f"no bundled weights are called {name!r}; there are {names()}")
    tensors, meta = _read(name)
    file = f"{name}.safetensors" if path is None else str(path)
    if "spec" not in meta:
        raise ValueError(f"{file} holds {sorted(tensors)}, and no network")
    spec = json.loads(meta["spec"])
    if "config" not in spec and network is None:
        mend = f"give one to fill, load({str(name)!r}, network)"
        if path is None:
            mend = "run tools/once/weights_that_name_their_class.py, or bundle the network again"
        raise ValueError(f"{file} says of its network {spec}, and not how it is rebuilt: {mend}")
    try:
        network = (rebuilt(spec) if network is None else network).float()
        for key, p in (*network.named_parameters(), *network.named_buffers()):
            if path is not None and key in tensors and p.dtype != tensors[key].dtype:
                p.data = p.data.to(tensors[key].dtype)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # class, arguments or tensors
        raise ValueError(
            f"{file} was written by another version of sdelib, or of another network ({error}): "
            "update sdelib, or save the network again"
        ) from error
    return network.eval().requires_grad_(False)


def provenance(name: str | Path) -> dict:
    """Where the weights of this file or bundled name come from."""
    return json.loads(_read(name)[1]["provenance"])


def data_of(name: str | Path) -> dict:
    """What a file says of the data of its network; nothing where it was told nothing."""
    return json.loads(_read(name)[1].get("data", "{}"))


def _read(name: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    path = own(name)
    if path is None:
        return read_tensors(checked(f"{name}.safetensors"))
    require(
        path.is_file(), "name", str(path), "there is no such file; a bare name is a bundled one"
    )
    return read_tensors(path)
