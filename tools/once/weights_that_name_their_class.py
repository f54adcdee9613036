"""Bundled weights whose spec names the class in full: {"class": "sdelib.denoiser.Denoiser",
"config": {…}} in place of {"class": "Denoiser", …}.

    python tools/once/weights_that_name_their_class.py

The provenance of a score also gets "ratios", the least and the largest noise-to-signal ratio that
it was trained on, which the command line kept in a table. Only the header of a file changes; the
bytes of the tensors and the rest of the provenance stay as they are. A file's hash changes with its
header, so it is renewed where it is named: SHA256SUMS, the provenance of moments.safetensors,
fallback.npz and denoiser-small.onnx, and the head lines of the tables in results/. A file that has
the new form already is left alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch

from sdelib.denoiser import SIGMA_MAX, SIGMA_MIN, Denoiser
from sdelib.families import NoiseLevel
from sdelib.networks import ScoreUNet
from sdelib.own import weights

RESULTS = Path(__file__).parents[2] / "results"
CLASSES = {
    "Denoiser": "sdelib.denoiser.Denoiser",
    "ScoreUNet": "sdelib.networks.ScoreUNet",
    "GarmentClassifier": "sdelib.book.classifier.GarmentClassifier",
    "NoisyClassifier": "sdelib.book.classifier.NoisyClassifier",
    "VE": "sdelib.families.VE",
    "NoiseLevel": "sdelib.families.NoiseLevel",
}


def in_full(spec: dict) -> dict:
    """The spec in its new form."""
    config = {key: value for key, value in spec.items() if key != "class"}
    if "sde" in config:
        config["sde"] = config["sde"] | {"class": CLASSES[config["sde"]["class"]]}
    return {"class": CLASSES[spec["class"]], "config": config}


def ratios(network: torch.nn.Module) -> dict:
    """What the provenance says beside what it said: DenoisingLoss draws t from 1e-5 on, the ladder
    begins at 0.01."""
    if isinstance(network, Denoiser):
        return {"ratios": (SIGMA_MIN, SIGMA_MAX)}
    if not isinstance(network, ScoreUNet):
        return {}
    least = 0.01 if isinstance(network.sde, NoiseLevel) else 1e-5
    times = (torch.tensor(t, dtype=torch.float64) for t in (least, network.sde.T))
    return {"ratios": [float(network.sde.ratio(t)) for t in times]}


def rewrite(path: Path, change) -> None:
    """Change the metadata of a safetensors file: 8 bytes with the length of the header, the header
    in JSON, filled with spaces to a multiple of 8 bytes, then the tensors."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    header["__metadata__"] = change(header["__metadata__"])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    new = len(text).to_bytes(8, "little") + text + raw[end:]
    weights.atomic(path, lambda p: p.write_bytes(new))


def main() -> int:
    folder, before, new = weights.BUNDLED, weights.sums(), {}

    def renewed(text: str) -> str:
        for old, digest in new.items():
            text = text.replace(old, digest)
        return text

    def done(name: str) -> None:
        weights.record(name)
        new[before[name]] = weights.sums()[name]

    for path in sorted(folder.glob("*.safetensors")):
        spec = json.loads(weights.read_tensors(path)[1].get("spec", "{}"))
        if spec and "config" not in spec:
            text = json.dumps(in_full(spec))
            rewrite(path, lambda meta, text=text: meta | {"spec": text})
            weights.record(path.name)
            more = ratios(weights.load(path.stem))
            text = json.dumps(weights.provenance(path.stem) | more, ensure_ascii=False)
            rewrite(path, lambda meta, text=text: meta | {"provenance": text})
            done(path.name)
    if not new:
        sys.exit("every bundled network names its class in full already")

    rewrite(folder / "moments.safetensors", lambda meta: {k: renewed(v) for k, v in meta.items()})
    done("moments.safetensors")

    with np.load(folder / "fallback.npz", allow_pickle=False) as f:
        arrays = dict(f)
    text = renewed(arrays["provenance"].tobytes().decode())
    arrays["provenance"] = np.frombuffer(text.encode(), np.uint8)

    def write(path: Path) -> None:
        with open(path, "wb") as f:
            np.savez_compressed(f, **arrays)

    weights.atomic(folder / "fallback.npz", write)
    done("fallback.npz")

    model = onnx.load(folder / "denoiser-small.onnx")
    for fact in model.metadata_props:
        fact.value = renewed(fact.value)
    data = model.SerializeToString(deterministic=True)
    weights.atomic(folder / "denoiser-small.onnx", lambda p: p.write_bytes(data))
    done("denoiser-small.onnx")

    new.update({old[:12]: digest[:12] for old, digest in new.items()})
    for path in RESULTS.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        if (changed := renewed(text)) != text:
            weights.atomic(path, lambda p, text=changed: p.write_text(text, encoding="utf-8"))
            print(f"{path.name}: its head line names the new hashes")
    for old, digest in new.items():
        print(f"{old} -> {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
