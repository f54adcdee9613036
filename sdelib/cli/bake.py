"""python -m sdelib bake: the widget tables that take minutes."""

from __future__ import annotations

import argparse

from ..own import weights
from .common import writable


def run(args: argparse.Namespace) -> None:
    """Run a recipe of sdelib.book.baking and bundle its table."""
    from ..book.baking import RECIPES
    from ..widgets import bake as table

    if args.name not in RECIPES:
        raise ValueError(f"recipe {args.name!r} is unknown; allowed: {', '.join(sorted(RECIPES))}")
    path = weights.BUNDLED / f"{args.name}.table"
    writable(path)
    table(*RECIPES[args.name](), progress=True).save(path)
    weights.record(path.name)
    print(f"{path}: {path.stat().st_size:,} bytes")


def kept(args: argparse.Namespace) -> str:
    return "nothing is written, and a table that was there is untouched"


def options(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", metavar="NAME", help="a recipe of sdelib.book.baking")
