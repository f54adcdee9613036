"""python -m sdelib train --data PATH --out FILE: a denoiser of any data, in a file of its own."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..own import weights
from ..own.checkpoints import said_in
from ..own.model import Model
from . import train_options
from .common import chosen_device, compiled_or_said, keeps, opened, start_from, writable

NEXT = {"images": "png", "points": "csv", "series": "csv", "table": "csv"}


def run(args: argparse.Namespace) -> None:
    """Train a denoiser of the data, and write it as a model's file; the same command goes on after
    it was stopped."""
    words = "it belongs to the networks of the book, which are trained without --out"
    train_options.refuse(args, train_options.ONLY_BOOK, words)
    out, checkpoint, device = _out(args), _checkpoint(args), chosen_device(args.device)
    for path in (out, checkpoint):
        writable(path)
    if not args.force and out.exists() and not _by_this_run(out, checkpoint):
        raise ValueError(
            f"--out {args.out} is there, and this run did not write it: give another name, or "
            "--force to replace it"
        )
    data, data_options = opened(args)
    speaks = not int(os.environ.get("RANK", "0"))
    if speaks:
        print(data.describe())
    model = _made(args, data)
    if speaks:
        lines = model.describe().splitlines()
        lines += [f"made for {len(data):,} examples of shape {data.form.shape}"]
        print("network  " + "\n         ".join(lines), flush=True)
    names = ("minutes", "steps", "batch", "lr", "warmup", "ema", "every", "flips", "precision")
    asked = {name: value for name in names if (value := getattr(args, name)) is not None}
    if "batch" in asked:
        asked["batch_size"] = asked.pop("batch")
    how: dict[str, Any] = asked | {
        "seed": args.seed,
        "checkpoint": checkpoint,
        "extend": args.extend,
        "compiled": args.compile,
        "cpu": device.type == "cpu",
        "provenance": {"command": args.command_line, "opened": data_options},
    }
    try:
        curve = compiled_or_said(args.compile, model.train, data, **how)
    except ValueError as error:
        if not (args.force and args.checkpoint is None and _another_run(error, checkpoint)):
            raise
        checkpoint.unlink(missing_ok=True)  # of the run whose file --force replaces
        model = _made(args, data)
        curve = compiled_or_said(args.compile, model.train, data, **how)
    if not speaks:
        return
    model.save(out)
    print(curve)
    print(f"{out}: the model. Next:\n  {_next(args, data.form.kind)}")


def _made(args: argparse.Namespace, data: Any) -> Model:
    """A new model for the data, with the weights of --init if that is given."""
    widths = args.widths
    if args.init is not None and widths is None:
        config = weights.load(args.init).config
        small = [config[k] for k in ("width", "depth") if k in config]
        widths = config.get("widths", small) or None
    model = Model.make(data, widths=widths, dropout=args.dropout, seed=args.seed)
    if args.init is not None:
        start_from(model.network, args.init)
    return model


def _out(args: argparse.Namespace) -> Path:
    path = weights.own(args.out)
    if path is None:
        raise ValueError(
            f"--out {args.out} is a bare name, as bundled networks have: give that of a file, such "
            f"as {args.out}.safetensors"
        )
    return path


def _checkpoint(args: argparse.Namespace) -> Path:
    if args.checkpoint is not None:
        return args.checkpoint.expanduser()
    out = _out(args)
    return out.with_name(f"{out.name}.checkpoint.safetensors")


def _by_this_run(out: Path, checkpoint: Path) -> bool:
    """Whether the file came from the run that the checkpoint belongs to."""
    if checkpoint.is_file() and out.is_file():
        with suppress(ValueError, KeyError):
            begun, wrote = said_in(checkpoint)["provenance"], weights.provenance(out)
            return all(begun[k] == wrote[k] for k in ("command", "date", "seed"))
    return False


def _another_run(error: ValueError, checkpoint: Path) -> bool:
    said = str(error)
    words = ("belongs to another run", "was begun with", "another version")
    return str(checkpoint) in said and any(word in said for word in words)


def _next(args: argparse.Namespace, kind: str) -> str:
    words = ["python", "-m", "sdelib", "sample", "--weights", args.out, "--n", "16"]
    return shlex.join([*words, "--out", f"samples.{NEXT[kind]}"])


def kept(args: argparse.Namespace) -> str:
    """What a training that was stopped leaves, and how to go on."""
    return keeps(_checkpoint(args), args.every)
