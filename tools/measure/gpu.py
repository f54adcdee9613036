"""Measure what a GPU changes: python tools/measure/gpu.py [--images N] [--steps N] [--repeats N]

Rows of results/gpu.csv: images a second while sampling, images a second while training, and
milliseconds from a move of a widget's slider to the encoded frame. On a machine without a GPU, or
where CUDA_VISIBLE_DEVICES is empty, they are those of the CPU, and --out must say where they go.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import table
import torch

from sdelib.book.baking import RECIPES, stored_table
from sdelib.book.data import fashion_mnist
from sdelib.denoiser import DenoiserLoss
from sdelib.families import VE
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.by_name import sample_denoiser
from sdelib.own.devices import device_name, exact_products, in_bfloat16, on_gpu
from sdelib.own.training import train

OUT = table.RESULTS / "gpu.csv"
FIELDS = ("what", "subject", "device", "how", "batch", "value", "least", "most", "unit")
EVALUATIONS = 18
NAMES = ("denoiser", "denoiser-small")
AS_IN_THE_CHAPTERS = "float32, state on the CPU"


def spread(values: list[float]) -> dict:
    return {
        "value": f"{median(values):.4g}",
        "least": f"{min(values):.4g}",
        "most": f"{max(values):.4g}",
    }


def seconds(work: Callable[[], object]) -> float:
    """Wall time of work(), to the end of what it left on the GPU."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ways(name: str, gpu: bool) -> Iterator[tuple[str, str, Callable]]:
    """(how, device of the state, denoiser): the ways to evaluate a bundled denoiser."""
    yield AS_IN_THE_CHAPTERS, "cpu", on_gpu(weights.load(name))
    if gpu:
        network = weights.load(name).to("cuda")
        yield "float32", "cuda", network
        yield "bfloat16", "cuda", in_bfloat16(network)
        if name == "denoiser":
            yield (
                "bfloat16, channels last, compiled",
                "cuda",
                in_bfloat16(torch.compile(network.to(memory_format=torch.channels_last))),
            )


def sampling(gpu: bool, n: int, repeats: int) -> Iterator[dict]:
    for name in NAMES:
        for how, device, denoiser in ways(name, gpu):

            def draw(seed: int):
                return sample_denoiser(
                    denoiser,
                    VE(0.01, 80.0),
                    n,
                    solver="dpm++2m",
                    evaluations=EVALUATIONS,
                    label=torch.arange(n, device=device) % 10,
                    batch=n,
                    generator=torch.Generator(device).manual_seed(seed),
                    device=device,
                )

            draw(0)  # compiles, and warms up
            yield {
                "what": "sampling",
                "subject": name,
                "how": how,
                "batch": n,
                "unit": "images/s",
            } | spread([n / seconds(lambda: draw(k)) for k in range(1, 1 + repeats)])


class Timed:
    """An objective that notes when it is asked to draw: once a step."""

    def __init__(self, objective):
        self.objective, self.at = objective, []

    def draw(self, *batch, generator):
        self.at.append(time.perf_counter())
        return self.objective.draw(*batch, generator=generator)

    def __call__(self, *arguments):
        return self.objective(*arguments)


def training(gpu: bool, data, batch: int, steps: int) -> Iterator[dict]:
    """The loop waits for every loss, so the time from draw to draw is that of a whole step."""
    widths = weights.load("denoiser").config["widths"]
    for how, precision, compiled in (
        ("float32", "no", False),
        ("bfloat16", "bf16", False),
        ("bfloat16, compiled", "bf16", True),
    )[: 3 if gpu else 1]:
        torch.manual_seed(0)
        timed = Timed(DenoiserLoss())
        train(
            Denoiser(tuple(widths)),
            timed,
            (data.images, data.labels),
            steps=steps,
            batch_size=batch,
            precision=precision,
            compiled=compiled,
            cpu=not gpu,
            progress=False,
        )
        gaps = [b - a for a, b in zip(timed.at, timed.at[1:])][
            len(timed.at) // 2 :
        ]  # the first half compiles and warms up
        yield {
            "what": "training",
            "subject": "denoiser",
            "how": how,
            "batch": batch,
            "unit": "images/s",
        } | spread([batch / g for g in gaps])


def slides(repeats: int) -> Iterator[dict]:
    """A widget's callback, from the message of the page to the encoded frame, at numbers that no
    stored frame has."""
    from sdelib.widgets import Explorer, Slider

    for name, recipe in RECIPES.items():
        if name == "intro":  # it computes all its frames at once, and then looks them up
            continue
        controls, compute = recipe()
        widget, heard = Explorer(controls, stored_table(name), compute), []
        widget.send = lambda content, buffers=None: heard.append(content)
        slider = next(c for c in controls if isinstance(c, Slider))
        low, high, start = slider.values[0], slider.values[-1], {c.name: c.start for c in controls}

        def slide(k: int):
            share = (k + 0.5) / (repeats + 1)
            to = low * (high / low) ** share if slider.log else low + (high - low) * share
            widget._receive(
                widget,
                {
                    "kind": "compute",
                    "id": str(k),
                    "values": start | {slider.name: round(to) if slider.integer else to},
                },
                [],
            )
            assert heard[-1]["kind"] == "frame", heard[-1]

        slide(repeats)  # loads and warms up
        yield {
            "what": "slide",
            "subject": name,
            "how": AS_IN_THE_CHAPTERS,
            "batch": "",
            "unit": "ms",
        } | spread([1e3 * seconds(lambda: slide(k)) for k in range(repeats)])


def measured(gpu: bool, n: int, steps: int, repeats: int) -> Iterator[dict]:
    device, data = device_name(), fashion_mnist()
    for rows in (
        sampling(gpu, n, repeats),
        training(gpu, data, 512 if gpu else 64, steps),
        slides(repeats),
    ):
        for row in rows:
            yield row | {"device": device}


def write(out: Path, rows: list[dict], repeats: int) -> None:
    head = [
        "command: python tools/measure/gpu.py",
        (
            f"sampling: DPM++(2M), {EVALUATIONS} evaluations, told the class, the whole "
            f"batch at once; value: median of {repeats} draws after one that is not "
            "counted."
        ),
        (
            "training: from batch to batch of sdelib.own.training.train, the random "
            "numbers drawn on the CPU; median over the second half of the steps."
        ),
        "slide: from a widget's message to its encoded frame, at numbers that are not stored.",
        f"{AS_IN_THE_CHAPTERS}: as in the chapters; on a GPU only the network is there then.",
        (
            f"device: as named; the machine has {table.machine().removeprefix('CPU, ')}; "
            f"{table.versions('torch')}"
        ),
        f"date: {table.today()}",
    ]
    table.write(out, head, list(FIELDS), rows)
    print(out.read_text(encoding="utf-8"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4096, help="images a draw")
    parser.add_argument(
        "--steps",
        type=int,
        default=120,
        help="steps of training, of which the second half is timed",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="(default: results/gpu.csv)")
    args, gpu = parser.parse_args(), torch.cuda.is_available()
    if not gpu and args.out is None:
        sys.exit(
            "torch sees no GPU here: results/gpu.csv is measured on one; give --out "
            "FILE for the rows of the CPU"
        )
    rows = []
    with exact_products():  # "float32" is float32
        for row in measured(gpu, args.images, args.steps, args.repeats):
            rows.append(row)
            print(row, flush=True)
    write(args.out or OUT, rows, args.repeats)


if __name__ == "__main__":
    main()
