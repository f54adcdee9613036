"""Write the bundled denoiser-small as ONNX, for the page that draws garments in the browser.

    python tools/once/export_onnx.py

D(x; σ, label):  x (n, 1, 28, 28) float32, sigma (n,) float32, label (n,) int32 with NO_LABEL = −1
where the class is not told; the output D is shaped like x, and n is free (`own.export`). The
weights are bundled in half precision, so they are stored so here too. The file carries the SHA-256
of the weights that it came from, so tests/site/test_sampler.py finds one that is too old.
"""

from __future__ import annotations

import sys

from sdelib.own import weights
from sdelib.own.export import to_onnx

NAME = "denoiser-small"


def main() -> int:
    facts = {
        "weights": NAME,
        "weights_sha256": weights.sha256(weights.checked(f"{NAME}.safetensors")),
        "command": "python tools/once/export_onnx.py",
    }
    path = weights.BUNDLED / f"{NAME}.onnx"
    to_onnx(weights.load(NAME), path, (1, 28, 28), half=True, facts=facts)
    weights.record(path.name)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
