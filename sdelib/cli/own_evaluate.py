"""python -m sdelib evaluate --samples PLACE --data PATH: samples beside data of one's own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..own import arrays, pictures, weights
from ..own.compare import compare
from ..own.extras import package
from ..own.forms import Form
from ..own.written import plain
from .common import opened, writable

ASIDE = ("labels", "classes", "about")
"""What an .npz file of samples has besides the columns of a table."""


def run(args: argparse.Namespace) -> None:
    """The distances of samples from one's own data, beside those of real examples."""
    if args.json is not None:
        writable(args.json)
    if args.against not in (None, "held-out"):
        raise ValueError(
            f"--against {args.against} is for Fashion-MNIST; samples of your own data are held "
            "against what training held out where that is enough, else against all: leave it out"
        )
    about = about_of(args.samples)
    for name, value in about.get("opened", {}).items():  # as the model's data were opened
        if getattr(args, name, ...) in (None, ()):
            setattr(args, name, value)
    data, _ = opened(args)
    samples, names = read(args.samples, data.form)
    labels = None if names is None else [data.form.label(name) for name in names]
    print(data.describe(), flush=True)
    told = compare(samples, data, labels=labels, seed=args.seed, progress=True)
    print(f"\n{told.table()}\n\n{told.say()}")
    if args.json is not None:
        said = {"samples": str(args.samples), "data": data.form.source, "about": about}
        text = json.dumps(said | told.to_json(), indent=1, ensure_ascii=False) + "\n"
        weights.atomic(args.json, lambda p: p.write_text(text, encoding="utf-8"))


def about_of(path: Path) -> dict[str, Any]:
    """What a file or folder of samples says of how they were drawn; nothing where it does not."""
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as f:
                return json.loads(str(f["about"]))
        first = next(path.rglob("*.png")) if path.is_dir() else None
        if first is not None:
            looked_at = package("PIL.Image").open
            with looked_at(first) as picture:
                return json.loads(picture.info["sdelib"])
    except Exception:  # of another program, or damaged, which `read` says
        pass
    return {}


def read(path: Path, form: Form) -> tuple[Any, Sequence[str | int] | None]:
    """(samples in the data's own units, the name or number of the class of each, or None).
    Raises ValueError for a file that holds no such samples."""
    suffix = path.suffix.lower()
    if path.is_dir():
        c, h, w = form.shape if form.kind == "images" else (0, 0, 0)
        if not c:
            raise ValueError(f"--samples {path} is a folder, and the data are {form.kind}")
        found = pictures.read(path, size=(h, w), grey=c == 1)
        images = found.images if c == 1 or found.images.ndim == 4 else _coloured(found.images, c)
        names = {plain(name): name for name in form.classes}  # as folders are called
        called = None if found.labels is None else [names.get(k, k) for k in map(str, found.labels)]
        return images, called
    if not path.exists():
        raise ValueError(f"--samples {path}: there is no such file or folder")
    if suffix == ".csv" and form.kind != "images":
        return _frame(path, form)
    if suffix == ".npz" and form.kind == "table":
        with np.load(path, allow_pickle=False) as f:
            frame = package("pandas").DataFrame({k: f[k] for k in f.files if k not in ASIDE})
            return frame, _named(f.get("labels"), f.get("classes"))
    if suffix in (".npz", ".npy"):
        array, labels, classes, _ = arrays.read(path)
        return array, _named(labels, classes)
    raise ValueError(
        f"--samples {path}: give what python -m sdelib sample wrote as .npz, "
        + ("or as a folder of pictures" if form.kind == "images" else "or as .csv")
    )


def _coloured(grey: np.ndarray, channels: int) -> np.ndarray:
    return np.repeat(grey[..., None], channels, -1)


def _named(labels: Any, classes: Any) -> Sequence[str | int] | None:
    if labels is None:
        return None
    known = [] if classes is None else [str(name) for name in classes]
    return [known[k] if known and 0 <= k < len(known) else k for k in np.asarray(labels).tolist()]


def _frame(path: Path, form: Form) -> tuple[Any, Sequence[str | int] | None]:
    pandas = package("pandas")
    try:
        frame = pandas.read_csv(path)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"--samples {path} is no .csv file with a header ({error})") from error
    label = form.label_column or "label"
    columns = [c.name for c in form.columns]
    names = None
    if label in frame and label not in columns:
        names = [str(name) for name in frame.pop(label)]
    return (frame if form.kind == "table" else frame.to_numpy()), names
