"""The newest of everything in place of the pins: what will break is seen before a reader sees it.

    python tools/setup/newest.py book      .venv with the newest of what requirements.txt names
    python tools/setup/newest.py colab     .venv with what Colab has today, and with the rest newest
    python tools/setup/newest.py changes   which versions in .venv are not those of the pins

`make` then takes .venv as it is. For a clone that is thrown away afterwards, such as that of the
monthly workflow: it refuses where .venv is there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
COLAB = "https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.txt"
RUNS = ["nbclient", "nbformat", "papermill", "pyyaml", "filelock"]
"""What running the chapters needs besides what they import."""
BELOW = {"jupyter-book": "<2"}
"""Jupyter Book 2 is another program, which reads no _config.yml."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """name → version of the lines `name==version` and of those that name a wheel's address."""
    found = {}
    for line in text.splitlines():
        if hit := re.match(r"([\w.-]+)\s*==\s*([^\s;#]+)", line):
            found[canonical(hit[1])] = hit[2]
        elif hit := re.match(r"([\w.-]+)\s*@.*/[\w.]+?-(\d[^-]*?)-[^/]*\.whl", line):
            found[canonical(hit[1])] = hit[2].replace("%2B", "+")
    return found


def newest(text: str) -> list[str]:
    """What the lines of requirements.txt ask for, without the versions."""
    return [name + BELOW.get(name, "") for name in pins(text)]


def as_colab(frozen: str) -> list[str]:
    """What Colab has of what a chapter may use, at Colab's public versions, and what it lacks."""
    known = tomllib.loads((ROOT / "tools" / "setup" / "colab.toml").read_text(encoding="utf-8"))
    there = {name: version.partition("+")[0] for name, version in pins(frozen).items()}
    has = [n + (f"=={there[n]}" if n in there else "") for n in known["has"] if n != "pip"]
    return has + known["lacks"] + RUNS


def install(what: list[str]) -> int:
    if VENV.exists():
        sys.exit(f"{VENV} is there, and stays: do this in a fresh clone")
    venv.create(VENV, with_pip=True)
    done = subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--upgrade", "pip", *what])
    if done.returncode == 0:
        (VENV / ".requirements").touch()  # make's sign that the packages are there
    return done.returncode


def changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return [
        f"{name} {before[name]} → {now[name]}"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["book", "colab", "changes"])
    what = parser.parse_args().what
    if what == "book":
        return install(newest((ROOT / "requirements.txt").read_text(encoding="utf-8")))
    if what == "colab":
        with urllib.request.urlopen(COLAB, timeout=60) as answer:
            return install(as_colab(answer.read().decode("utf-8")))
    freeze = [PYTHON, "-m", "pip", "list", "--format", "freeze"]
    now = subprocess.run(freeze, capture_output=True, text=True, encoding="utf-8", check=True)
    before = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    print(*changes(before, pins(now.stdout)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
