"""From what was read to what is trained on: labels numbered, a tenth held out, units chosen by the
training part, its mean, its spread and its largest distance measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import require
from . import arrays, tables
from .examples import Examples, largest_distance, moments, numbered, rounded_up, split, spread
from .forms import Form


@dataclass(frozen=True)
class Prepared:
    """What `Data` holds.  range: the data's own, in words."""

    form: Form
    x: Examples
    labels: Tensor | None
    held: Examples
    held_labels: Tensor | None
    range: str


def of_array(
    array: np.ndarray,
    labels: Any,
    *,
    kind: str | None,
    classes: Sequence[str],
    seed: int,
    hold: float,
    where: str,
    source: str,
) -> Prepared:
    """Images, points or series; see `Data.of`."""
    array = arrays.numbers(array, where)
    kind = arrays.kind_of(array, kind, where)
    places, names = _labels(labels, len(array), classes, where)
    source += "; all of one class, so no labels" * (labels is not None and places is None)
    rows = split(len(array), places, hold, seed)
    form = Form(kind, array.shape[1:], 0.0, 1.0, 1.0, names, source=source)
    if kind == "images":
        array, white, words = arrays.levels(arrays.channels_first(array, where), where)
        form = dataclasses.replace(form, shape=array.shape[1:])
        return _measured(form, array, partial(_scaled, white), rows, places, words, where)
    low, high = arrays.extremes(array, where)
    mean, std = spread(array, rows[0])
    if kind == "series":  # one mean and one standard deviation for all places
        mean, std = mean.mean()[None], np.sqrt(np.mean(std**2) + np.var(mean))[None]
    flat = np.flatnonzero(std <= 1e-12 * abs(mean))
    cure = "it never changes in the training part: leave it out"
    what = f"{where}: column {flat[0] + 1}" if len(flat) and kind == "points" else where
    require(not len(flat), what, f"{mean[flat[0]]:g}" if len(flat) else None, cure)
    units = {"shift": tuple(mean.tolist()), "factor": tuple(std.tolist())}
    form, words = dataclasses.replace(form, **units), f"{low:g} to {high:g}, {array.dtype}"
    return _measured(form, array, form.encode, rows, places, words, where)


def of_table(
    parts: tables.Parts,
    labels: Any,
    *,
    label_column: str | None,
    categorical: Sequence[str],
    classes: Sequence[str],
    seed: int,
    hold: float,
    where: str,
    source: str,
) -> Prepared:
    """A table; see `Data.of`."""
    columns, n, text = tables.survey(parts, where, categorical, label_column)
    stored = tables.Stored.of(parts(text), columns, n, where)
    if label_column is not None:
        cure = f"the column {label_column!r} has the labels: give one of the two"
        require(labels is None, "labels", labels, cure)
        *columns, last = columns
        names = last.values
        labels = np.array([str(v) for v in names])[stored.array[:, -1].astype(np.int64)]
        classes = classes or tuple(map(str, names))
        stored = tables.Stored(stored.array[:, :-1], stored.centre[:-1], stored.half[:-1])
    places, classes = _labels(labels, n, classes, where)
    source += "; all of one class, so no labels" * (labels is not None and places is None)
    rows = split(n, places, hold, seed)
    shift, factor = stored.units(rows[0], columns, where)
    form = Form("table", (len(shift),), 0.0, 1.0, 1.0)
    form = dataclasses.replace(
        form,
        classes=classes,
        columns=tuple(columns),
        shift=shift,
        factor=factor,
        label_column=label_column or "",
        source=source,
    )
    words = ", ".join(
        f"{c.name} {f'{len(c.values)} values' if c.values else f'{c.low:g} to {c.high:g}'}"
        for c in columns[:6]
    )
    words += f", and {len(columns) - 6} more" if len(columns) > 6 else ""
    return _measured(form, stored.array, partial(_cells, form, stored), rows, places, words, where)


def _measured(
    form: Form,
    array: np.ndarray,
    view: Callable[[np.ndarray], Tensor],
    rows: tuple[np.ndarray, np.ndarray],
    places: np.ndarray | None,
    words: str,
    where: str,
) -> Prepared:
    """The two parts, and the form with what is measured over the first."""
    x, held = (Examples(array, part, view) for part in rows)
    measured = Examples(array, np.sort(rows[0]), view)  # a file is read from its begin to its end
    mean, std = (float(f"{v:.6g}") if abs(v) > 1e-6 else 0.0 for v in moments(measured))
    require(std > 0, f"{where}: every number", mean, "there is nothing to learn in it")
    distance = max(largest_distance(measured), 10 * std)
    form = dataclasses.replace(form, mean=mean, std=std, sigma_max=rounded_up(distance))
    labels = [None if places is None else torch.from_numpy(places[part]) for part in rows]
    return Prepared(form, x, labels[0], held, labels[1], words)


def _labels(
    labels: Any, n: int, classes: Sequence[str], where: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Places of the labels and the names; neither where there is one class only, which says
    nothing."""
    if labels is None:
        require(not classes, "classes", classes, "they name labels: give labels too")
        return None, ()
    places, names = numbered(labels, n, tuple(classes), where)
    return (places, names) if len(names) > 1 else (None, ())


def _scaled(white: float, part: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(part, np.float32)).div_(white)


def _cells(form: Form, stored: tables.Stored, part: np.ndarray) -> Tensor:
    return form.widen(stored.values(part))
