"""Samples as they are given to a comparison, checked, in network units and with their classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import finite, require
from .data import Data
from .forms import Form

FEWEST = 20
"""Samples that a comparison needs."""


def as_given(samples: Any, data: Data, labels: Any = None) -> tuple[Tensor, Tensor | None]:
    """(x, labels) of samples of this data, n ≥ 20: x in network units, as they would be written and
    read again; labels None where they are random.

    samples: a float tensor (n, *shape) in network units; an object with such an `x`, and `labels`;
    or an array, bytes or a data frame in the data's own units.  labels: (n,), or none.
    Raises ValueError for another shape, too few, labels of some samples only (the others −1), and
    of classes that the data do not have.
    """
    form, x = data.form, samples
    if not (torch.is_tensor(x) or isinstance(x, np.ndarray) or hasattr(x, "iloc")):
        require(hasattr(x, "x"), "samples", x, "give a tensor, an array, or what sample returns")
        x, labels = samples.x, getattr(samples, "labels", None) if labels is None else labels
    if torch.is_tensor(x) and x.is_floating_point():
        cure = f"give (n, {', '.join(map(str, form.shape))})"
        require(tuple(x.shape[1:]) == form.shape, "shape of samples", tuple(x.shape), cure)
        x = finite("samples", x.detach().cpu().float())
    else:
        x = form.encode(x)
    require(len(x) >= FEWEST, "len(samples)", len(x), f"give {FEWEST} or more")
    return written(x, form), None if labels is None else _asked(labels, len(x), data)


def _asked(labels: Any, n: int, data: Data) -> Tensor | None:
    y = torch.as_tensor(labels).cpu().long()
    require(y.shape == (n,), "shape of labels", tuple(y.shape), f"give ({n},)")
    if bool((y == -1).all()):
        return None
    mixed, none = int((y == -1).sum()), "the data have no classes: give labels=None"
    cure = f"{mixed} of {n} are −1: compare samples with and without a class apart"
    require(mixed == 0, "labels", y, cure)
    require(data.labels is not None, "labels", y, none)
    for k in y.unique().tolist():
        data.form.label(k)
    return y


def written(x: Tensor, form: Form) -> Tensor:
    """x as it would be read again from a file: pictures cut to [0, 1], of a table one value of each
    category and whole numbers rounded."""
    if form.kind == "images":
        return x.clamp(0, 1)
    return form.encode(form.decode(x)) if form.kind == "table" else x
