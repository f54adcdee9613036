"""What may be varied when a model is tuned: names, types, ranges; and a setting of them all.

value_of("widths", "32:56", data)       (32, 56)
base_of(data).with_(lr=1e-3)            one change of what `sizes` takes for this data
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...checks import require, show
from ...denoiser import DenoiserLoss
from ...networks import DenoiserMLP
from ..data import Data
from ..model import Model
from ..sizes import batch_for


@dataclass(frozen=True)
class Knob:
    """kind: "number", "whole", "yes or no" or "sizes".  low, high: its range.  of: what it belongs
    to, "network", "loss" or "train", and argument: its name there.  costs: a step may take another
    time.  only: the data or networks that have it, "" for all.  log: searched by its logarithm."""

    kind: str
    low: float
    high: float
    of: str
    argument: str
    costs: bool = False
    only: str = ""
    log: bool = False

    @property
    def words(self) -> str:
        """Type and range."""
        if self.kind == "yes or no":
            return self.kind
        return f"{self.kind} {self.low:g} to {self.high:g}"


KNOBS = {
    "lr": Knob("number", 1e-12, 1, "train", "lr", log=True),
    "batch": Knob("whole", 1, 65536, "train", "batch_size", costs=True, log=True),
    "ema": Knob("number", 0, 0.99999, "train", "ema"),
    "widths": Knob("sizes", 8, 4096, "network", "widths", costs=True, only="a U-Net"),
    "width": Knob("whole", 2, 65536, "network", "width", costs=True, only="an MLP", log=True),
    "depth": Knob("whole", 1, 64, "network", "depth", costs=True, only="an MLP"),
    "dropout": Knob("number", 0, 0.9, "network", "dropout", costs=True),
    "preconditioned": Knob("yes or no", 0, 1, "network", "preconditioned"),
    "flips": Knob("yes or no", 0, 1, "loss", "flips", only="images"),
    "noise-mean": Knob("number", -10, 10, "loss", "mean"),
    "noise-std": Knob("number", 0.01, 10, "loss", "std"),
    "spread": Knob("number", 0, 1, "loss", "spread"),
    "drop": Knob("number", 0, 1, "loss", "drop", only="classes"),
}
"""By the names of the command line. Widths are channels, 32:56; noise-mean and noise-std are those
of ln σ; spread and drop those of `DenoiserLoss`."""

SAID = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Between:
    """All values from low to high, for a search: 1e-4..1e-2."""

    low: float
    high: float


@dataclass(frozen=True)
class Setting:
    """A value for each knob that the data have; without ema it is that of `sizes.pace_for`."""

    values: tuple[tuple[str, Any], ...]

    def with_(self, changes: Mapping[str, Any]) -> Setting:
        """The setting with these values in place of its own."""
        told = dict(self.values) | dict(changes)
        return Setting(tuple((k, told[k]) for k in KNOBS if k in told))

    def __getitem__(self, name: str) -> Any:
        return dict(self.values).get(name)

    def __str__(self) -> str:
        return " ".join(said(name, value) for name, value in self.values)

    @property
    def key(self) -> str:
        """All values exactly, as JSON."""
        return json.dumps(dict(self.values))

    def part(self, of: str) -> dict[str, Any]:
        """The arguments of the network, the loss or the training."""
        return {KNOBS[k].argument: v for k, v in self.values if KNOBS[k].of == of}

    @property
    def costs(self) -> tuple[tuple[str, Any], ...]:
        """What the time of a step may depend on."""
        return tuple((k, v) for k, v in self.values if KNOBS[k].costs)

    def model(self, data: Data, seed: int = 0) -> Model:
        """A new model of the data."""
        how = self.part("network")
        if "width" in how:
            how["widths"] = (how.pop("width"), how.pop("depth"))
        return Model.make(data, **how, seed=seed)

    def loss(self, model: Model) -> DenoiserLoss:
        """The loss that it is trained by."""
        return model.objective(**self.part("loss"))


def said(name: str, value: Any) -> str:
    """name=value, as `--vary` takes it."""
    if isinstance(value, Between):
        return f"{name}={value.low:g}..{value.high:g}"
    if isinstance(value, bool):
        return f"{name}={'yes' if value else 'no'}"
    if isinstance(value, (tuple, list)):
        return f"{name}={':'.join(map(str, value))}"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def base_of(data: Data, changes: Mapping[str, Any] | None = None) -> Setting:
    """What `Model.make` and `Model.train` take for this data by themselves, but for the changes.
    Raises ValueError for a name or a value that there is not."""
    model = Model.make(data)
    config: Any = model.network.config
    mlp, loss = isinstance(model.network, DenoiserMLP), model.objective()
    values: dict[str, Any] = {"lr": 2e-3, "batch": batch_for(data.form, len(data))}
    names = ("width", "depth") if mlp else ("widths",)
    for name in (*names, "dropout", "preconditioned"):
        value = config[name]
        values[name] = tuple(value) if isinstance(value, (list, tuple)) else value
    values |= {"flips": False} if data.form.kind == "images" else {}
    values |= {"noise-mean": loss.mean, "noise-std": loss.std, "spread": loss.spread}
    values |= {"drop": loss.drop} if data.form.classes else {}
    base = Setting(()).with_(values)
    return base.with_({k: value_of(k, v, base, data) for k, v in (changes or {}).items()})


def value_of(name: str, given: Any, base: Setting, data: Data, search: bool = False) -> Any:
    """The value of a knob, from text or as it is.  search: may be a range, "1e-4..1e-2".
    Raises ValueError, with what there is, for another name, type or range."""
    here = {k: v for k, v in KNOBS.items() if k == "ema" or base[k] is not None}
    if name not in here:
        only = f"it belongs to {KNOBS[name].only}; " if name in KNOBS else ""
        there = ", ".join(f"{k} ({v.words})" for k, v in here.items())
        raise ValueError(f"vary = {show(name)}: {only}there are {there}")
    knob = KNOBS[name]
    top = min(knob.high, len(data)) if name == "batch" else knob.high
    text = given.strip() if isinstance(given, str) else given
    if isinstance(text, str) and ".." in text:
        text = Between(*(_number(end) for end in text.split("..", 1)))
    cure = f"give {name} as {knob.words}".replace(f"{knob.high:g}", f"{top:g}")
    if isinstance(text, Between):
        fits = knob.kind in ("number", "whole") and knob.low <= text.low < text.high <= top
        cure += " or, in a search, two of these with .. between them"
        require(fits and search, "vary", said(name, given), cure)
        return text
    value = _typed(knob, text)
    fits = value is not None and all(
        knob.low <= v <= top for v in (value if isinstance(value, tuple) else (value,))
    )
    if knob.kind == "sizes":
        cure += ", with colons, such as 32:56"
    require(fits, "vary", f"{name}={given}", cure)
    base.with_({name: value}).model(data)  # refuses what the network does not take
    return value


def _typed(knob: Knob, given: Any) -> Any:
    """The value in its type, None where it is of another."""
    if knob.kind == "yes or no":
        return SAID.get(str(given).lower())
    if knob.kind == "sizes":
        parts = given.split(":") if isinstance(given, str) else given
        parts = parts if isinstance(parts, Sequence) else [parts]
        sizes = [_number(part) for part in parts]
        return tuple(map(int, sizes)) if all(n % 1 == 0 for n in sizes) else None
    number = _number(given)
    if knob.kind == "whole":
        return int(number) if number % 1 == 0 else None
    return number


def _number(given: Any) -> float:
    """The number, NaN for what is none."""
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
