"""What the tables in results/ share: the lines above each that say how it came about, and how it is
read and written."""

from __future__ import annotations

import csv
import datetime
import io
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import torch
from filelock import FileLock

from sdelib.own import weights

RESULTS = Path(__file__).resolve().parents[2] / "results"


def today() -> str:
    """The date of a row, in UTC."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"


def machine(more: str = "") -> str:
    """CPU, 2 cores (x86_64), 1 thread"""
    threads = torch.get_num_threads()
    cores = f"{os.cpu_count()} cores{more} ({platform.machine()})"
    return f"CPU, {cores}, {threads} thread{'s' if threads > 1 else ''}"


def versions(*packages: str) -> str:
    """torch 2.15.0, …: of those that are installed."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def networks(*names: str) -> str:
    """unet-sigma25 8170144aae5a, …: the bundled weights with the beginning of their SHA-256."""
    known = weights.sums()
    return ", ".join(
        f"{name} {known[file][:12]}" for name in names if (file := f"{name}.safetensors") in known
    )


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none where there is no table yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(line for line in f if not line.startswith("#")))


def write(path: Path, head: Iterable[str], fields: list[str], rows: Iterable[dict]) -> None:
    """Replace the table: `head` without its #, the fields, the rows."""
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in head)
    table = csv.DictWriter(text, fields, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    weights.atomic(path, lambda p: p.write_text(text.getvalue(), encoding="utf-8", newline="\n"))


def change(
    path: Path, head: Iterable[str], fields: list[str], by: Callable[[list[dict]], list[dict]]
) -> None:
    """Let `by` turn the rows of the table into other rows, while no other run does."""
    with FileLock(Path(tempfile.gettempdir()) / f"{path.name}.lock"):
        write(path, head, fields, by(read(path)))
