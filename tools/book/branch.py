"""The branch that Colab installs sdelib from: v0.2 for version 0.2.x.

    python tools/book/branch.py          print its name
    python tools/book/branch.py push     let it be what is checked out, as the workflow does

It follows main as long as names stay, and a change of names begins another (raise the version in
sdelib/__init__.py): so a chapter that was opened before the change still runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def branch(root: Path = ROOT) -> str:
    """Its name, from sdelib.__version__."""
    text = (root / "sdelib" / "__init__.py").read_text(encoding="utf-8")
    return "v" + ".".join(re.findall(r'^__version__ = "(\d+)\.(\d+)\.', text, re.M)[0])


if __name__ == "__main__":
    if sys.argv[1:] == ["push"]:
        subprocess.run(["git", "push", "origin", f"HEAD:refs/heads/{branch()}"], check=True)
    else:
        print(branch())
