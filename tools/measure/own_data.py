"""Train what chapter 17 begins with, and measure it: python tools/measure/own_data.py [CASE …]
[--bundle]

Every case is trained on one core in at most four minutes of its time, by `Model.train`. Its network
goes to sdelib/bundled/own-CASE.safetensors with --bundle; results/own_data.csv gets a row a figure,
each with its error, its floor of real examples, and what a Gaussian gets. A case that is there
already is not measured again unless it is named.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import table
import torch

from sdelib.book import known_law, own_cases
from sdelib.own import weights
from sdelib.own.compare import compare
from sdelib.own.data import Data
from sdelib.own.model import Model
from sdelib.own.validation import validate

OUT = table.RESULTS / "own_data.csv"
HEAD = [
    "command: python tools/measure/own_data.py --bundle",
    "value ± error: of the samples, or of the network where it is a loss; real ± real_error: of "
    "real examples drawn alike (the floor); gaussian: of one Gaussian fitted to the data.",
    "loss: on all that is held out; training loss: on as many training examples; paired: the loss "
    "less that of digits-600, example by example.  nothing: does not apply.",
    "seconds: processor time of the training, on one core.  samples: dpm++2m-sde in 18 steps, so "
    "36 evaluations of the network where guidance is not 1, seed 0.  seed: of the training.",
    table.versions("torch", "numpy", "scikit-learn"),
]
FIELDS = ["case", "guidance", "measure", "value", "error", "real", "real_error", "gaussian"]
FIELDS += ["gaussian_error", "n", "steps", "examples", "seed", "seconds", "device", "date"]


@dataclass(frozen=True)
class Case:
    """data: what it is trained on.  steps, make, train: as `Model` takes them.  samples: how many
    are compared, at each guidance.  bundled: whether the book starts from its network."""

    data: Callable[[], Data]
    steps: int
    samples: int = 0
    guidance: tuple[float, ...] = (1.0,)
    make: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    bundled: bool = True


def few(n: int) -> Callable[[], Data]:
    return lambda: own_cases.fewer(own_cases.digits(), n)


def tuned(steps: int = 600, make: dict | None = None, **train: Any) -> Case:
    return Case(own_cases.digits, steps, make=make or {}, train=train, bundled=False)


SMALL = {"make": {"dropout": 0.0}, "train": {"batch_size": 32}}
DROPPED = SMALL | {"make": {"dropout": 0.3}}
SHAPES = {"make": {"widths": (32, 56), "dropout": 0.0}}
CASES = {
    "shapes": Case(own_cases.coloured, 2400, 600, (1.0, 1.5, 2.0, 4.0), **SHAPES),
    "digits": Case(own_cases.digits, 3000, 359, (1.0, 2.0)),
    "shapes-short": Case(own_cases.coloured, 700, 600, (1.0, 2.0), **SHAPES),
    "shapes-free": Case(lambda: own_cases.coloured(False), 2400, 600, **SHAPES),
    "wine": Case(own_cases.wine, 800, 178, make={"widths": (128, 3)}),
    "digits-40": Case(few(40), 1000, 359, **SMALL, bundled=False),
    "digits-40-dropout": Case(few(40), 1000, 359, **DROPPED, bundled=False),
    "digits-360": Case(few(360), 1000, 359, bundled=False),
    "digits-600": tuned(),
    "digits-600-again": tuned(seed=1),
    "digits-600-lr": tuned(lr=4e-3),
    "digits-600-wide": tuned(make={"widths": (48, 80)}),
    "digits-600-plain": tuned(make={"preconditioned": False}),
}
EQUAL_TIME = "digits-wide-same-time"  # wide, as many steps as the time of digits-600 pays for


def labels(case: Case, data: Data) -> torch.Tensor | None:
    """The classes that the samples are asked for: those of the data, in the same shares."""
    if data.labels is None or data.held_labels is None:
        return None
    every = torch.cat([data.labels, data.held_labels])
    g = torch.Generator().manual_seed(7)
    return every[torch.randperm(len(every), generator=g)[: case.samples]]


def rows_of_samples(case: Case, model: Model, data: Data, guidance: float) -> list[dict]:
    """Of one set of samples: all of `compare`, and of coloured shapes their law."""
    asked = labels(case, data)
    coloured = data.form.shape == (3, 16, 16)
    judge = False if coloured else None  # the law says more
    how = {"evaluations": 18 if guidance == 1 else 36, "device": "cpu", "batch": 100}
    drawn = model.sample(case.samples, label=asked, guidance=guidance, **how)
    found, told = [], compare(drawn, data, classifier=judge)
    for r in told.rows:
        found.append(
            {"measure": r.measure, "value": r.samples, "error": r.samples_error, "n": r.n}
            | {"real": r.real, "real_error": r.real_error}
            | {"gaussian": r.gaussian, "gaussian_error": r.gaussian_error}
        )
    if coloured:
        seen = known_law.measured(drawn.x.clamp(0, 1))
        law = known_law.law(seen, generator=torch.Generator().manual_seed(0))
        if asked is not None:
            right = (seen.kind == asked).double().sum()
            p, e = known_law.share(right, len(asked))
            found.append({"measure": "kind as asked", "value": float(p), "error": float(e)})
        single = {"broken": (*law.broken, 0.003), "V": (*law.v, 0.6431)}
        single |= {"size": (*law.size, 0.2409)}
        for i, kind in enumerate(known_law.KINDS):
            true = float(known_law.P_KIND[i])
            single[f"P({kind})"] = (law.kinds[0][i], law.kinds[1][i], true)
            for j, hue in enumerate(known_law.HUES):
                true = float(known_law.P_HUE[i, j])
                cell = (law.given[0][i, j], law.given[1][i, j], true)
                single[f"P({hue} | {kind})"] = cell
        for name, (value, error, true) in single.items():
            found.append(
                {"measure": name, "value": float(value), "error": float(error), "real": true}
            )
    return [{"guidance": guidance, "n": case.samples} | row for row in found]


def one(
    name: str, case: Case, bundle: bool, base: Any = None, again: bool = False
) -> tuple[list[dict], Model]:
    """Train a case and measure it."""
    data, how = case.data(), {"batch_size": 64, "points": 0, "cpu": True} | case.train
    if data.form.kind == "table":
        how["batch_size"] = 128
    if again:
        model = Model.load(f"own-{name}")
        seconds = float(model.provenance.get("processor_seconds", math.nan))
    else:
        model = Model.make(data, **case.make)
        began = time.process_time()
        facts = {"command": f"python tools/measure/own_data.py {name} --bundle"}
        model.train(data, steps=case.steps, progress=False, provenance=facts, **how)
        seconds = time.process_time() - began
        model.provenance["processor_seconds"] = round(seconds)
        print(f"{name}: trained, {seconds:.0f} s", flush=True)
    if bundle and case.bundled:
        weights.save(f"own-{name}", model.network, model.provenance, data=model.form.to_json())
    seen = model.validation(data, limit=None, device="cpu")
    found = [{"measure": "loss", "value": seen.total, "error": seen.total_error}]
    again = Model(model.network, model.form).objective()
    k = torch.arange(min(len(data), len(data.held)))
    some = None if data.labels is None else data.labels[k]
    own = validate(model.network, again, data.batch(k), some)
    found.append({"measure": "training loss", "value": own.total, "error": own.total_error})
    for row in found:
        row["n"] = len(data.held)
    if base is not None:
        gap = seen.minus(base)
        found.append({"measure": "paired", "value": gap.total, "error": gap.total_error})
    for w in case.guidance if case.samples else ():
        found += rows_of_samples(case, model, data, w)
        print(f"{name}: guidance {w:g} measured", flush=True)
    facts = {"case": name, "steps": case.steps, "examples": len(data)}
    facts |= {"seed": case.train.get("seed", 0), "seconds": plain(seconds)}
    facts |= {"device": table.machine(), "date": table.today()}
    return [facts | {k: plain(v) for k, v in row.items()} for row in found], seen


def plain(value: Any) -> Any:
    """Six digits; nothing for NaN."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join([*CASES, EQUAL_TIME]))
    parser.add_argument("--bundle", action="store_true", help="write sdelib/bundled/own-CASE")
    parser.add_argument("--again", action="store_true", help="measure what is bundled, untrained")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    there = {row["case"] for row in table.read(OUT)}
    base = None
    for name in args.cases or [k for k in [*CASES, EQUAL_TIME] if k not in there]:
        case = CASES.get(name)
        if case is None:
            took = {r["case"]: float(r["seconds"]) / float(r["steps"]) for r in table.read(OUT)}
            steps = round(600 * took["digits-600"] / took["digits-600-wide"])
            case = tuned(steps, make={"widths": (48, 80)})
        compared = base if name.startswith("digits-") else None
        rows, seen = one(name, case, args.bundle, compared, args.again)
        base = seen if name == "digits-600" else base
        keep = lambda old, n=name: [r for r in old if r["case"] != n]
        table.change(OUT, HEAD, FIELDS, lambda old, new=rows, keep=keep: keep(old) + new)


if __name__ == "__main__":
    main()
