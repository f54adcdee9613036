"""python -m sdelib sample: images, from a bundled network."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
import torch.distributed

from ..own import sampling, weights
from ..own.by_name import GRIDS, SOLVERS
from ..sdes import GaussianSDE
from .common import COUNT, POSITIVE, SEED, chosen_device, number, writable
from .process import label, process, score, scores

NETWORK = "denoiser"
"""The bundled network that serves every SDE."""


def run(args: argparse.Namespace) -> None:
    """Draw images from a bundled network and write them to a .npz file."""
    writable(args.out)
    device, sde = chosen_device(args.device), process(args)
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if args.chunk is None:
        if processes > 1:
            raise ValueError(
                f"{processes} processes share the work chunk by chunk: give --chunk, "
                "the images that are drawn together"
            )
        pixels, nfe, t_min = _draw(args, sde, device, 0, args.n, args.seed)
    else:
        pixels, nfe, t_min = _draw_in_chunks(args, sde, device, rank, processes)
        if rank:
            return
    weights.atomic(args.out, lambda path: _write(path, images=pixels, nfe=np.int64(nfe)))
    if args.chunk is not None:
        shutil.rmtree(_parts(args), ignore_errors=True)
    print(
        f"{args.out}: {args.n} images, {nfe} network evaluations each "
        f"({args.solver}, {args.steps} steps to t = {t_min:g})"
    )


def _draw(
    args: argparse.Namespace,
    sde: GaussianSDE,
    device: torch.device,
    start: int,
    stop: int,
    seed: int,
) -> tuple[np.ndarray, int, float]:
    """(grey levels, nfe, t_min) of the images number start to stop."""
    of_sde, t_min = score(args, sde, device, torch.arange(start, stop))
    solver, generator = SOLVERS[args.solver], torch.Generator().manual_seed(seed)
    images, nfe = sampling.sample_images(
        of_sde,
        sde,
        stop - start,
        steps=args.steps,
        step=solver.make(args.steps, generator),
        eta=solver.eta,
        t_min=t_min,
        grid=GRIDS[args.grid],
        generator=generator,
        batch=None,
        denoised=args.denoise,
        device=device,
    )
    return (images[:, 0] * 255).round().to(torch.uint8).numpy(), nfe, t_min


def _draw_in_chunks(
    args: argparse.Namespace, sde: GaussianSDE, device: torch.device, rank: int, processes: int
) -> tuple[np.ndarray, int, float]:
    """Chunk k has a seed of its own, made of --seed and k, and is kept as soon as it is drawn: so
    the set does not depend on the number of processes, and a run that was killed goes on where it
    stopped.  Process r draws the chunks r, r + processes, …; all but rank 0 return nothing of
    use."""
    ignored = {"command", "command_line", "out", "device", "batch", "n"}
    settings = json.dumps({k: v for k, v in sorted(vars(args).items()) if k not in ignored})
    starts = range(0, args.n, args.chunk)

    def part(k: int) -> Path:
        return _parts(args) / f"{k:06d}.npz"

    def known(k: int) -> tuple[np.ndarray, int, float] | None:
        n = min(args.chunk, args.n - starts[k])
        try:
            with np.load(part(k), allow_pickle=False) as f:
                if str(f["settings"]) == settings and len(f["images"]) == n:
                    return f["images"], int(f["nfe"]), float(f["t_min"])
        except Exception:  # missing or damaged, which np.load says in many ways: drawn again
            pass
        return None

    for k in range(rank, len(starts), processes):
        if known(k) is None:
            (bits,) = np.random.SeedSequence((args.seed, k)).generate_state(1, np.uint64)
            stop = min(starts[k] + args.chunk, args.n)
            images, nfe, t_min = _draw(
                args, sde, device, starts[k], stop, int(bits >> np.uint64(1))
            )
            chunk = {"images": images, "nfe": np.int64(nfe), "t_min": t_min, "settings": settings}
            part(k).parent.mkdir(parents=True, exist_ok=True)
            weights.atomic(part(k), lambda path, chunk=chunk: _write(path, **chunk))
    if processes > 1:
        torch.distributed.init_process_group("gloo")  # until all of them have drawn their share
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if rank:
        return np.empty(0), 0, 0.0
    found = [known(k) for k in range(len(starts))]
    if lacks := [k for k, f in enumerate(found) if f is None]:
        raise OSError(
            f"{_parts(args)} lacks chunk {lacks[0]}: run the same command again, "
            "it draws only what is missing"
        )
    images, nfe, t_min = zip(*filter(None, found))
    return np.concatenate(images), nfe[0], t_min[0]


def _parts(args: argparse.Namespace) -> Path:
    return args.out.with_name(args.out.name + ".parts")


def _write(path: Path, **arrays) -> None:
    with open(path, "wb") as f:
        np.savez_compressed(f, **arrays)


def kept(args: argparse.Namespace) -> str:
    """What a run that was stopped leaves, and how to go on."""
    if args.chunk is None:
        return "nothing is written; with --chunk N a run goes on where it was stopped"
    done, of = len(list(_parts(args).glob("*.npz"))), -(-args.n // args.chunk)
    return f"{_parts(args)} keeps {done} of {of} chunks; the same command draws what is missing"


def options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--sde", choices=("ve", "vp", "subvp"), default="ve", help="the forward process")
    p.add_argument(
        "--sigma", type=number(float, 1), help="ve: dx = SIGMAᵗ dw, the equation of the source"
    )
    p.add_argument(
        "--sigma-min",
        type=POSITIVE,
        help="ve: the smallest σ of the geometric schedule (0.01 when not given)",
    )
    p.add_argument(
        "--sigma-max",
        type=POSITIVE,
        help="ve: the largest σ of the geometric schedule (80 when nothing is given)",
    )
    p.add_argument("--beta-min", type=POSITIVE, help="vp, subvp: β at t = 0 (0.1 when not given)")
    p.add_argument("--beta-max", type=POSITIVE, help="vp, subvp: β at t = T (20 when not given)")
    p.add_argument(
        "--weights",
        metavar="NAME",
        default=NETWORK,
        help="bundled network: " + ", ".join(scores()),
    )
    p.add_argument(
        "--label",
        type=label,
        metavar="CLASS",
        help="0 to 9, a class by name, each (the ten in turn: what is done where nothing is "
        "given), or none",
    )
    p.add_argument(
        "--guidance",
        type=number(float, -1e-9),
        default=1.0,
        help="weight of the label; above 1: more typical garments, fewer kinds",
    )
    p.add_argument("--solver", choices=SOLVERS, default="dpm++2m-sde", help="the step")
    p.add_argument("--steps", type=COUNT, default=34, help="steps from T to t_min")
    p.add_argument("--grid", choices=GRIDS, default="karras", help="where the steps are")
    p.add_argument(
        "--t-min",
        type=POSITIVE,
        help="where the solver stops (where the noise is the least that the network knows)",
    )
    p.add_argument(
        "--no-denoise",
        dest="denoise",
        action="store_false",
        help="leave out the noiseless last step",
    )
    p.add_argument("--n", type=COUNT, default=64, help="images")
    p.add_argument("--seed", type=SEED, default=0, help="of the start and the noise")
    p.add_argument(
        "--batch",
        type=COUNT,
        default=64,
        help="images in the network at once; does not change the noise",
    )
    p.add_argument(
        "--chunk",
        type=COUNT,
        help="images drawn together, each chunk with a seed of its own: the work may be shared by "
        "the processes of torchrun, and goes on where it was stopped (one chunk with the seed "
        "itself when not given)",
    )
    p.add_argument(
        "--precision",
        choices=("float32", "bf16"),
        default="float32",
        help="bf16: the network's products in bfloat16",
    )
    p.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network runs"
    )
    p.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the .npz file to write or replace"
    )
