"""python -m sdelib sample: images, points, series or rows, from a bundled network or a file."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor

from ..own import samples, weights
from ..own.budget import Choice, choose
from ..own.devices import exact_products
from ..own.fitting import versions
from ..own.written import target
from ..sdes import GaussianSDE
from . import sample_options
from .common import chosen_device, writable
from .process import process, score, told
from .sources import Source, source


def run(args: argparse.Namespace) -> None:
    """Draw images, points, series or rows of a table from a bundled network or a model in a file,
    and write them as .png, .npz, .csv or a folder of pictures."""
    device, of = chosen_device(args.device), source(args.weights)
    place = _place(args, of)
    sde, labels = process(args, of), told(args.label, of)
    choice = _choice(args)
    if of.bundled:
        choice = replace(choice, why=choice.why.replace(", not on this data", ""))
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if args.chunk is None and processes > 1:
        raise ValueError(
            f"{processes} processes share the work chunk by chunk: give --chunk, "
            "how many are drawn together"
        )
    draw = _Draw(args, of, sde, device, labels, choice)
    torch.empty(args.n, *of.form.shape)  # said now, where they are more than the memory holds
    if args.chunk is None:
        x = draw(0, args.n)
    else:
        x = _draw_in_chunks(args, draw, rank, processes)
        if rank:
            return
    settings = draw.settings() | {"n": args.n, "evaluations": draw.evaluations}
    settings |= {"measured": choice.why}
    of.form.write(x, place, labels=labels(0, args.n), about=settings)
    if args.chunk is not None:
        shutil.rmtree(_parts(args), ignore_errors=True)
    what = {"table": "rows"}.get(of.form.kind, of.form.kind)
    print(
        f"{args.out}: {args.n} {what}, {draw.evaluations} network evaluations each "
        f"({choice.solver}, {choice.grid} grid, {choice.steps} steps to t = {draw.t_min:g})"
    )
    if args.evaluations is not None:
        print(f"{choice.solver} on the {choice.grid} grid: {choice.why}")


def _place(args: argparse.Namespace, of: Source) -> str:
    """Where to write, once it is known that this can be done."""
    path, suffix = target(args.out, of.form.kind)
    if suffix:
        writable(path)
        return args.out
    path.mkdir(parents=True, exist_ok=True)
    if not args.force and any(path.iterdir()):
        raise ValueError(
            f"--out {args.out} is a folder with files in it: give a new one, or --force"
        )
    writable(path / "00000.png")
    return args.out


def _choice(args: argparse.Namespace) -> Choice:
    price = 1 if args.guidance in (0, 1) else 2
    given = {k: getattr(args, k) for k in sample_options.USUAL if getattr(args, k) is not None}
    if args.evaluations is None:
        return choose(**(sample_options.USUAL | given), price=price)
    if given:
        raise ValueError(
            f"--evaluations {args.evaluations} chooses the solver, the steps and the grid: "
            f"leave --{next(iter(given))} out, or give all three in its place"
        )
    return choose(args.evaluations, price=price)


class _Draw:
    """draw(start, stop) → the examples number start to stop, in network units.

    The noise of number k depends on (--seed, k) only."""

    def __init__(
        self,
        args: argparse.Namespace,
        of: Source,
        sde: GaussianSDE,
        device: torch.device,
        labels: Callable[[int, int], Tensor | None],
        choice: Choice,
    ):
        self.args, self.of, self.sde, self.device = args, of, sde, device
        self.labels, self.choice, self.evaluations = labels, choice, choice.evaluations
        self.score, self.t_min = score(args, of, sde, device)

    def __call__(self, start: int, stop: int) -> Tensor:
        with exact_products():
            x, self.evaluations = samples.draw(
                self.score,
                self.sde,
                stop - start,
                self.of.form.shape,
                self.choice,
                labels=self.labels(start, stop),
                mean=self.of.form.mean,
                t_min=self.t_min,
                seed=self.args.seed,
                batch=self.args.batch,
                like=torch.empty(0, device=self.device),
                progress=True,
                start=start,
                denoised=self.args.denoise,
            )
        return x.clamp(0, 1) if self.of.form.kind == "images" else x

    def settings(self) -> dict[str, Any]:
        """All that the samples depend on, and the versions."""
        args = self.args
        return {
            **self.of.about(),
            "seed": args.seed,
            "label": args.label or ("each" if self.of.labelled else "none"),
            "guidance": args.guidance,
            "process": repr(self.sde),
            "solver": self.choice.solver,
            "grid": self.choice.grid,
            "steps": self.choice.steps,
            "t_min": self.t_min,
            "denoised": args.denoise,
            "precision": args.precision,
            **versions(),
        }


def _draw_in_chunks(args: argparse.Namespace, draw: _Draw, rank: int, processes: int) -> Tensor:
    """Each chunk is kept as soon as it is drawn, so a run that was killed goes on where it stopped;
    the set does not depend on the chunks, nor on the number of processes.  Process r draws the
    chunks r, r + processes, …; all but rank 0 return nothing of use."""
    settings = json.dumps(draw.settings())
    starts = range(0, args.n, args.chunk)

    def part(k: int) -> Path:
        return _parts(args) / f"{k:06d}.npz"

    def known(k: int) -> tuple[Tensor, int] | None:
        n = min(args.chunk, args.n - starts[k])
        try:
            with np.load(part(k), allow_pickle=False) as f:
                if str(f["settings"]) == settings and len(f["x"]) == n:
                    x = torch.from_numpy(f["x"])
                    x = x.float() / 255 if x.dtype == torch.uint8 else x
                    return x, int(f["nfe"])
        except Exception:  # missing or damaged, which np.load says in many ways: drawn again
            pass
        return None

    for k in range(rank, len(starts), processes):
        if known(k) is None:
            x = draw(starts[k], min(starts[k] + args.chunk, args.n))
            if draw.of.form.kind == "images":  # as they will be written
                x = (x * 255).round().to(torch.uint8)
            chunk = {"x": x.numpy(), "nfe": np.int64(draw.evaluations), "settings": settings}
            part(k).parent.mkdir(parents=True, exist_ok=True)
            weights.atomic(part(k), lambda path, chunk=chunk: _write(path, **chunk))
    if processes > 1:
        torch.distributed.init_process_group("gloo")  # until all of them have drawn their share
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if rank:
        return torch.empty(0)
    found = [known(k) for k in range(len(starts))]
    if lacks := [k for k, f in enumerate(found) if f is None]:
        raise OSError(
            f"{_parts(args)} lacks chunk {lacks[0]}: run the same command again, "
            "it draws only what is missing"
        )
    x, nfe = zip(*filter(None, found))
    draw.evaluations = nfe[0]
    return torch.cat(x)


def _parts(args: argparse.Namespace) -> Path:
    place = Path(args.out).expanduser()
    return place.with_name(place.name + ".parts")


def _write(path: Path, **arrays: Any) -> None:
    with open(path, "wb") as f:
        np.savez_compressed(f, **arrays)


def kept(args: argparse.Namespace) -> str:
    """What a run that was stopped leaves, and how to go on."""
    if args.chunk is None:
        return "nothing is written; with --chunk N a run goes on where it was stopped"
    done, of = len(list(_parts(args).glob("*.npz"))), -(-args.n // args.chunk)
    return f"{_parts(args)} keeps {done} of {of} chunks; the same command draws what is missing"


def options(p: argparse.ArgumentParser) -> None:
    sample_options.add(p)
