"""Weights in safetensors, never pickled: the bundled networks of the book, and the training's
checkpoints.

Every write is atomic: a temporary file beside the target, flushed to the disk, then renamed.
`sdelib/bundled/SHA256SUMS` holds the hash of each bundled file; a file that differs is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

BUNDLED = Path(__file__).parents[1] / "bundled"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def atomic(path: Path, write: Callable[[Path], None]) -> None:
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
    """Write tensors and string metadata to a safetensors file, atomically."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # how it says that the disk is full
            raise OSError(str(error)) from error

    atomic(path, write)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file.  Raises ValueError when it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): delete it, or fetch it again"
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


def save(name: str, network: nn.Module, provenance: dict) -> Path:
    """Bundle a network as sdelib/bundled/<name>.safetensors in half precision, and record its hash.

    provenance: where the weights come from: command, data, steps, device, versions, seed, date.
    """
    spec = {"class": type(network).__name__, **network.config}
    if hasattr(network, "sde"):
        spec["sde"] = {"class": type(network.sde).__name__, **vars(network.sde)}
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    path = BUNDLED / f"{name}.safetensors"
    write_tensors(path, half, {"spec": json.dumps(spec), "provenance": json.dumps(provenance)})
    record(path.name)
    return path


def load(name: str) -> nn.Module:
    """The bundled network called `name`, in float32 on the CPU, in eval mode, without gradients.

    Raises ValueError when there is no such name, or when the file is missing, damaged or of another
    version of sdelib.
    """
    if name not in names():
        raise ValueError(f"no bundled weights are called {name!r}; there are {names()}")
    tensors, meta = read_tensors(checked(f"{name}.safetensors"))
    if "spec" not in meta:
        raise ValueError(f"{name}.safetensors holds {sorted(tensors)}, and no network")
    try:
        network = _build(json.loads(meta["spec"]))
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
        )
    except (
        KeyError,
        TypeError,
        RuntimeError,
    ) as error:  # an unknown process, an unknown argument, other tensors
        raise ValueError(
            f"{name}.safetensors was written by another version of sdelib ({error}): "
            "update sdelib, or install it again"
        ) from error
    return network.eval().requires_grad_(False)


def provenance(name: str) -> dict:
    """Where the bundled weights called `name` come from."""
    return json.loads(read_tensors(checked(f"{name}.safetensors"))[1]["provenance"])


def _build(spec: dict) -> nn.Module:
    from .. import denoiser, networks, sdes
    from ..book import classifier

    spec = dict(spec)
    kind = spec.pop("class")
    known = {
        c.__name__: c
        for c in (
            networks.ScoreMLP,
            networks.ScoreUNet,
            denoiser.Denoiser,
            classifier.GarmentClassifier,
            classifier.NoisyClassifier,
        )
    }
    if kind not in known:
        raise ValueError(
            f"these weights are for a {kind}, which this sdelib does not have: update sdelib"
        )
    if "sde" in spec:
        sde = spec["sde"]
        forward = {c.__name__: c for c in (sdes.VE, sdes.NoiseLevel, sdes.VP, sdes.SubVP)}[
            sde.pop("class")
        ]
        spec["sde"] = forward(**sde)
    return known[kind](**spec)
