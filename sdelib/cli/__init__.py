"""python -m sdelib train | sample | evaluate | bake: the book's long computations, from a shell.

Exit status: 0 done; 1 the disk or the device refused; 2 a wrong argument, answered with what is
allowed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch
import torch.distributed

from .. import __version__
from ..book.data import CLASSES
from ..own import weights
from ..reversal import Score
from ..sampling import GRIDS, SOLVERS
from ..sdes import VE, VP, GaussianSDE, NoiseLevel, SubVP

NETWORK = "denoiser"
"""The bundled network that serves every SDE."""

T_TRAINED = {VE: 1e-5, NoiseLevel: 0.01}
"""The smallest time of the training of the networks that are a score of one process: for a ladder
it is its lowest level."""


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a finite number above `low` and at most `high`."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low < value <= high):
            what = "whole number" if kind is int else "finite number"
            limit = f" and at most {high:g}" if math.isfinite(high) else ""
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed; give a {what} above {low:g}{limit}"
            )
        return value

    return parse


def label(text: str) -> int | str:
    """An argparse type: the number or the name of a class, "each" or "none"."""
    if text in ("each", "none"):
        return text
    if text in CLASSES:
        return CLASSES.index(text)
    if text.isdigit() and int(text) < len(CLASSES):
        return int(text)
    names = ", ".join(f"{k} ({name})" for k, name in enumerate(CLASSES))
    raise argparse.ArgumentTypeError(
        f"{text!r} is not allowed; give one of {names}, or each, or none"
    )


SEED = number(int, -1, 2**63 - 1)
COUNT, POSITIVE = number(int, 0), number(float, 0)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser, commands = _parser()
    args = parser.parse_args(argv)
    args.command_line = shlex.join(["python", "-m", "sdelib", *argv])
    try:
        args.run(args)
    except ValueError as error:
        commands[args.command].error(str(error))
    except torch.cuda.OutOfMemoryError as error:
        print(
            f"sdelib {args.command}: the device has too little memory ({error}): give a smaller --batch, or --device cpu",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"sdelib {args.command}: {error}", file=sys.stderr)
        return 1
    return 0


# ---- sample


def sample(args: argparse.Namespace) -> None:
    """Draw images from a bundled network and write them to a .npz file."""
    _writable(args.out)
    device, sde = _device(args.device), _sde(args)
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if args.chunk is None:
        if processes > 1:
            raise ValueError(
                f"{processes} processes share the work chunk by chunk: give --chunk, the images that are drawn together"
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
        f"{args.out}: {args.n} images, {nfe} network evaluations each ({args.solver}, {args.steps} steps to t = {t_min:g})"
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
    from ..sampling import sample_images

    score, t_min = _score(args, sde, device, torch.arange(start, stop))
    solver, generator = SOLVERS[args.solver], torch.Generator().manual_seed(seed)
    images, nfe = sample_images(
        score,
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
    ignored = {"run", "command", "command_line", "out", "device", "batch", "n"}
    settings = json.dumps({k: v for k, v in sorted(vars(args).items()) if k not in ignored})
    starts = range(0, args.n, args.chunk)

    def part(k: int) -> Path:
        return _parts(args) / f"{k:06d}.npz"

    def known(k: int) -> tuple[np.ndarray, int, float] | None:
        try:
            with np.load(part(k), allow_pickle=False) as f:
                if str(f["settings"]) == settings and len(f["images"]) == min(
                    args.chunk, args.n - starts[k]
                ):
                    return f["images"], int(f["nfe"]), float(f["t_min"])
        except (
            Exception
        ):  # it is missing or damaged, which np.load says in many ways: it is drawn again
            pass
        return None

    for k in range(rank, len(starts), processes):
        if known(k) is None:
            seed = int(
                np.random.SeedSequence((args.seed, k)).generate_state(1, np.uint64)[0]
                >> np.uint64(1)
            )
            images, nfe, t_min = _draw(
                args, sde, device, starts[k], min(starts[k] + args.chunk, args.n), seed
            )
            part(k).parent.mkdir(parents=True, exist_ok=True)
            weights.atomic(
                part(k),
                lambda path: _write(
                    path, images=images, nfe=np.int64(nfe), t_min=t_min, settings=settings
                ),
            )
    if processes > 1:
        torch.distributed.init_process_group("gloo")  # until all of them have drawn their share
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    if rank:
        return np.empty(0), 0, 0.0
    found = [known(k) for k in range(len(starts))]
    if any(f is None for f in found):
        raise OSError(
            f"{_parts(args)} lacks chunk {[f is None for f in found].index(True)}: run the same command again, it draws only what is missing"
        )
    return np.concatenate([images for images, _, _ in found]), found[0][1], found[0][2]


def _parts(args: argparse.Namespace) -> Path:
    return args.out.with_name(args.out.name + ".parts")


def _write(path: Path, **arrays) -> None:
    with open(path, "wb") as f:
        np.savez_compressed(f, **arrays)


def _sde(args: argparse.Namespace) -> GaussianSDE:
    given = {
        name: value
        for name in ("sigma", "sigma_min", "sigma_max", "beta_min", "beta_max")
        if (value := getattr(args, name)) is not None
    }
    allowed = {"ve": {"sigma", "sigma_min", "sigma_max"}}.get(args.sde, {"beta_min", "beta_max"})
    if extra := sorted(given.keys() - allowed):
        raise ValueError(
            f"--{extra[0].replace('_', '-')} does not belong to --sde {args.sde}; it takes "
            + ", ".join("--" + name.replace("_", "-") for name in sorted(allowed))
        )
    if args.sde != "ve":
        return {"vp": VP, "subvp": SubVP}[args.sde](**given)
    if "sigma_min" in given or "sigma_max" in given:
        if "sigma" in given or "sigma_max" not in given:
            raise ValueError(
                "give either --sigma S, which is dx = Sᵗ dw, or --sigma-max with or without --sigma-min"
            )
        return VE(**given)
    return VE.power(given["sigma"]) if given else VE(0.01, 80.0)


def _score(
    args: argparse.Namespace, sde: GaussianSDE, device: torch.device, numbers: torch.Tensor
) -> tuple[Score, float]:
    """The score of `sde` by the network that was asked for, for the images with these numbers, and
    the time to stop at; ValueError where it was never trained."""
    from ..denoiser import SIGMA_MAX, SIGMA_MIN, Denoiser, score_from
    from ..sampling import in_batches, in_bfloat16

    def ratio(process: GaussianSDE, t: float) -> float:
        return float(process.ratio(torch.tensor(t, dtype=torch.float64)))

    if args.precision == "bf16" and device.type != "cuda":
        raise ValueError(
            "--precision bf16 needs --device cuda: most CPUs imitate bfloat16, and are far slower with it"
        )
    name, network = args.weights, weights.load(args.weights)
    if not hasattr(network, "correction"):
        raise ValueError(f"--weights {name} is not a score; allowed: " + ", ".join(_scores()))
    labelled = isinstance(network, Denoiser)
    low, high = (
        (SIGMA_MIN, SIGMA_MAX)
        if labelled
        else (ratio(network.sde, T_TRAINED[type(network.sde)]), ratio(network.sde, network.sde.T))
    )
    if not low < (reached := ratio(sde, sde.T)) <= high * (1 + 1e-6):
        raise ValueError(
            f"{sde} ends at the noise-to-signal ratio {reached:.4g}, but {name} was trained from {low:.2g} to "
            f"{high:.4g}; allowed are --sigma-max up to {high:.4g}, --beta-max up to {2 * math.log1p(high**2) - 0.1:.3g}"
        )
    t_min = (
        float(sde.time(torch.tensor(low * 1.0001, dtype=torch.float64)))
        if args.t_min is None
        else args.t_min
    )
    if (
        args.t_min is None and not labelled
    ):  # as in chapter 11, unless the network knows no such small noise
        t_min = max(t_min, 1e-3 * sde.T)
    if not t_min < sde.T or ratio(sde, t_min) < low * (1 - 1e-6):
        raise ValueError(
            f"--t-min {t_min:g} is not allowed; it must lie below T = {sde.T:g}, and at a noise-to-signal "
            f"ratio of at least {low:.3g}, the smallest that {name} was trained on"
        )
    network = network.to(device)
    cast = in_bfloat16 if args.precision == "bf16" else lambda f: f
    if labelled:
        return score_from(
            in_batches(cast(network), args.batch),
            sde,
            label=_label(args, numbers.to(device)),
            guidance=args.guidance,
        ), t_min
    if args.label not in (None, "none") or args.guidance != 1:
        raise ValueError(
            f"--label and --guidance need a network that knows labels, and {name} does not: leave --weights out"
        )
    return in_batches(cast(network.on(sde)), args.batch), t_min


def _scores() -> list[str]:
    return [
        name
        for name in weights.names()
        if name not in ("classifier", "noisy-classifier", "moments")
    ]


def _label(args: argparse.Namespace, numbers: torch.Tensor) -> torch.Tensor | int | None:
    if args.label in (None, "each"):
        return numbers % len(CLASSES)
    return None if args.label == "none" else args.label


# ---- train


def train(args: argparse.Namespace) -> None:
    """Train a score, the denoiser or a classifier; resume from --checkpoint; bundle the result."""
    from ..book.classifier import (
        ClassificationLoss,
        GarmentClassifier,
        NoisyClassificationLoss,
        NoisyClassifier,
        accuracy,
    )
    from ..book.data import FASHION_MNIST_DISTANCE, fashion_mnist
    from ..denoiser import Denoiser, DenoiserLoss
    from ..langevin import ladder
    from ..networks import ScoreUNet
    from ..own.devices import device_name
    from ..own.training import train as run
    from ..score_matching import DenoisingLoss, LadderLoss

    if args.checkpoint is None and args.bundle is None:
        raise ValueError(
            "give --checkpoint FILE, --bundle NAME or both: without them nothing would be kept"
        )
    for path in (
        args.checkpoint,
        weights.BUNDLED / f"{args.bundle}.safetensors" if args.bundle else None,
    ):
        if path is not None:
            _writable(path)
    device = _device(args.device)
    torch.manual_seed(args.seed)
    if args.what == "classifier":
        network, objective = GarmentClassifier(), ClassificationLoss()
    elif args.what == "denoiser":
        network = Denoiser(
            tuple(args.widths), dropout=args.dropout, preconditioned=args.preconditioned
        )
        objective = DenoiserLoss(
            args.noise_mean, args.noise_std, args.spread, args.drop, args.flips
        )
    elif args.what == "noisy-classifier":
        network, objective = NoisyClassifier(), NoisyClassificationLoss()
    elif args.what == "ladder":
        sigmas = ladder(args.sigma_min, FASHION_MNIST_DISTANCE, 28 * 28).tolist()
        network, objective = ScoreUNet(NoiseLevel(sigmas[-1])), LadderLoss(sigmas)
    else:
        sde = VE.power(args.sigma)
        network, objective = ScoreUNet(sde), DenoisingLoss(sde, t_power=args.t_power)
    if args.init is not None:
        _start_from(network, args.init)
    data = fashion_mnist(root=args.data)
    tensors = (
        (data.images, data.labels)
        if args.what in ("classifier", "noisy-classifier", "denoiser")
        else (data.images,)
    )
    result = run(
        network,
        objective,
        tensors,
        steps=args.steps,
        batch_size=args.batch,
        lr=args.lr,
        warmup=args.warmup,
        ema=args.ema,
        seed=args.seed,
        checkpoint=args.checkpoint,
        every=args.every,
        precision=args.precision,
        compiled=args.compile,
        cpu=device.type == "cpu",
    )
    if int(os.environ.get("RANK", "0")):
        return
    facts = {
        "command": args.command_line,
        "data": data.source,
        "steps": args.steps,
        "seed": args.seed,
        "mean_loss_of_last_100_steps": round(result.losses[-100:].mean().item(), 5),
        "device": device_name(device),
        "torch": torch.__version__,
        "sdelib": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    network = result.network.cpu()
    if args.what == "classifier":
        test = fashion_mnist(root=args.data, train=False)
        facts |= {
            "test_accuracy": round(accuracy(test.images, test.labels, network), 4),
            "test_images": len(test),
        }
        print(f"accuracy on the {len(test):,} test images: {facts['test_accuracy']:.4f}")
    print(
        f"mean loss of the last {min(100, args.steps)} steps: {facts['mean_loss_of_last_100_steps']}"
    )
    if args.bundle is not None:
        print(f"bundled as {weights.save(args.bundle, network, facts)}")


def _start_from(network: torch.nn.Module, name: str) -> None:
    """Copy the bundled weights called `name`; a network with labels may start from one without."""
    start = weights.load(name)
    state = start.state_dict()
    new = {k for k in network.state_dict().keys() - state.keys() if k != "label.weight"}
    if (
        new
        or state.keys() - network.state_dict().keys()
        or any(network.state_dict()[k].shape != v.shape for k, v in state.items())
    ):
        raise ValueError(
            f"--init {name} is a {type(start).__name__} with {start.config}; this run trains a "
            f"{type(network).__name__} with {network.config}"
        )
    network.load_state_dict(state, strict=False)


# ---- evaluate


def evaluate(args: argparse.Namespace) -> None:
    """Fréchet distance of samples from real images, beside the distance of real images from each
    other."""
    from ..book.classifier import features, stored_moments
    from ..book.data import CLASSES, fashion_mnist
    from ..metrics import frechet_distance, moments, split_floor

    images, nfe = _read_samples(args.samples)
    if args.json is not None:
        _writable(args.json)
    classifier = weights.load("classifier")
    f = features(images, classifier)
    counts = torch.bincount(classifier.head(f.float()).argmax(1), minlength=len(CLASSES)).tolist()
    real = fashion_mnist(train=args.against == "train", root=args.data)
    floor = None
    if real.real:
        against, g = real.source, features(real.images, classifier)
        reference = moments(g)
        if len(f) <= len(g) - 2:
            floor = split_floor(g, len(f), generator=torch.Generator().manual_seed(args.seed))
    else:
        reference = stored_moments()
        against = f"the bundled moments of Fashion-MNIST's {reference.n:,} training images"
    report = {
        "samples": str(args.samples),
        "n": len(images),
        "nfe": nfe,
        "against": against,
        "frechet_distance": frechet_distance(moments(f), reference),
        "floor": floor and {"mean": floor[0], "standard_error": floor[1]},
        "labels": dict(zip(CLASSES, counts)),
    }
    said = (
        f"{floor[0]:.4f} ± {floor[1]:.4f}"
        if floor
        else "unknown: needs at least two real images more than samples"
    )
    print(
        f"{'samples':<28}{len(images)} from {args.samples}"
        + ("" if nfe is None else f", {nfe} evaluations each")
    )
    print(f"{'against':<28}{against}")
    print(f"{'Fréchet distance':<28}{report['frechet_distance']:.4f}")
    print(f"{'floor, real against real':<28}{said}")
    for name, count in report["labels"].items():
        print(f"{'  labelled ' + name:<28}{count:>6} {count / len(images):7.1%}")
    if args.json is not None:
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        weights.atomic(
            args.json, lambda p: p.write_text(text, encoding="utf-8", errors="surrogateescape")
        )


def _read_samples(path: Path) -> tuple[torch.Tensor, int | None]:
    try:
        with np.load(path, allow_pickle=False) as f:
            images = f["images"]
            nfe = int(f["nfe"].max()) if "nfe" in f else None
    except FileNotFoundError:
        raise
    # np.load says a damaged file in many ways: BadZipFile, EOFError, KeyError, ValueError
    except Exception as error:
        raise ValueError(
            f"--samples {path} is not a whole .npz with `images` ({error}): "
            "draw it again with python -m sdelib sample"
        ) from error
    if (
        images.dtype != np.uint8
        or images.ndim != 3
        or images.shape[1:] != (28, 28)
        or len(images) < 2
    ):
        raise ValueError(
            f"--samples {path} holds images of shape {images.shape} and type {images.dtype}; "
            "allowed is uint8 of shape (n, 28, 28) with n of at least 2"
        )
    return torch.from_numpy(images)[:, None].float() / 255, nfe


# ---- bake


def bake(args: argparse.Namespace) -> None:
    """Run a recipe of sdelib.book.baking and bundle its table."""
    from ..book.baking import RECIPES
    from ..widgets import bake as table

    if args.name not in RECIPES:
        raise ValueError(f"recipe {args.name!r} is unknown; allowed: {', '.join(sorted(RECIPES))}")
    path = weights.BUNDLED / f"{args.name}.table"
    _writable(path)
    table(*RECIPES[args.name](), progress=True).save(path)
    weights.record(path.name)
    print(f"{path}: {path.stat().st_size:,} bytes")


# ---- shared


def _writable(path: Path) -> None:
    """Raise OSError now, not after an hour, when `path` cannot be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error}): choose another folder") from error


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no CUDA device here; allowed: cpu, auto")
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if name == "cuda"
        else torch.device(name)
    )


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return (
            action.help
            if action.default in (None, False, True)
            else super()._get_help_string(action)
        )


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="python -m sdelib",
        description="The book's long computations, from a shell.",
        allow_abbrev=False,
    )
    add = parser.add_subparsers(
        dest="command", required=True, metavar="train | sample | evaluate | bake"
    )
    commands = {}
    for run in (train, sample, evaluate, bake):
        p = add.add_parser(
            run.__name__,
            help=run.__doc__,
            description=run.__doc__,
            allow_abbrev=False,
            formatter_class=_Help,
        )
        p.set_defaults(run=run)
        commands[run.__name__] = p

    p = commands["sample"]
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
        help="bundled network: " + ", ".join(_scores()),
    )
    p.add_argument(
        "--label",
        type=label,
        metavar="CLASS",
        help="0 to 9, a class by name, each (the ten in turn: what is done where nothing is given), or none",
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
        help="images drawn together, each chunk with a seed of its own: the work may be shared by the processes "
        "of torchrun, and goes on where it was stopped (one chunk with the seed itself when not given)",
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

    p = commands["train"]
    p.add_argument(
        "--what",
        choices=("unet", "ladder", "denoiser", "classifier", "noisy-classifier"),
        default="unet",
        help="the network: a U-Net for an SDE, one for a ladder of noise levels, the denoiser, the classifier of the metrics, or one of noisy images",
    )
    p.add_argument(
        "--widths",
        type=number(int, 31),
        nargs=2,
        default=[64, 112],
        metavar="CHANNELS",
        help="denoiser: channels at half and at quarter size, multiples of 8",
    )
    p.add_argument(
        "--noise-mean", type=number(float, -6, 6), default=-1.2, help="denoiser: mean of ln σ"
    )
    p.add_argument(
        "--noise-std", type=POSITIVE, default=1.4, help="denoiser: standard deviation of ln σ"
    )
    p.add_argument(
        "--spread",
        type=number(float, -1e-9, 1),
        default=0.1,
        help="denoiser: share of the batch with ln σ uniform over all levels",
    )
    p.add_argument(
        "--drop",
        type=number(float, -1e-9, 1),
        default=0.1,
        help="denoiser: share of the labels that are not told",
    )
    p.add_argument(
        "--dropout",
        type=number(float, -1e-9, 0.9),
        default=0.0,
        help="denoiser: share of hidden units left out",
    )
    p.add_argument("--flips", action="store_true", help="denoiser: mirror half of the images")
    p.add_argument(
        "--no-preconditioning",
        dest="preconditioned",
        action="store_false",
        help="denoiser: let the network give the denoised image itself",
    )
    p.add_argument(
        "--sigma", type=number(float, 1), default=25.0, help="unet: trained on dx = SIGMAᵗ dw"
    )
    p.add_argument("--t-power", type=POSITIVE, default=2.0, help="unet: t ~ uᵖ; 1 is uniform")
    p.add_argument(
        "--sigma-min",
        type=POSITIVE,
        default=0.01,
        help="ladder: its smallest σ; the largest is the largest distance",
    )
    p.add_argument("--steps", type=COUNT, default=4200, help="optimiser steps")
    p.add_argument("--batch", type=COUNT, default=128, help="images a step")
    p.add_argument("--lr", type=POSITIVE, default=2e-3, help="largest learning rate")
    p.add_argument(
        "--warmup", type=COUNT, default=200, help="steps until the largest learning rate"
    )
    p.add_argument(
        "--ema",
        type=number(float, -1e-9, 0.99999),
        default=0.999,
        help="β of the moving average of the weights",
    )
    p.add_argument("--seed", type=SEED, default=0, help="of everything random")
    p.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="written while training; resumed from when it exists",
    )
    p.add_argument("--every", type=COUNT, default=200, help="steps between checkpoints")
    p.add_argument(
        "--bundle", metavar="NAME", help="save the result as sdelib/bundled/NAME.safetensors"
    )
    p.add_argument("--init", metavar="NAME", help="start from these bundled weights")
    p.add_argument("--precision", choices=("no", "bf16"), default="no", help="mixed precision")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    p.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train"
    )
    p.add_argument("--data", type=Path, metavar="ROOT", help="folder that holds FashionMNIST/raw")

    p = commands["evaluate"]
    p.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .npz file of python -m sdelib sample",
    )
    p.add_argument("--against", choices=("train", "test"), default="train", help="the real images")
    p.add_argument("--data", type=Path, metavar="ROOT", help="folder that holds FashionMNIST/raw")
    p.add_argument("--seed", type=SEED, default=0, help="of the floor's random halves")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")

    p = commands["bake"]
    p.add_argument("name", metavar="NAME", help="a recipe of sdelib.book.baking")
    return parser, commands
