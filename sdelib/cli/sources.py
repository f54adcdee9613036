"""A network to sample from: a bundled one by its name, or a model in a file of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..book.data import CLASSES
from ..own import weights
from ..own.forms import Form
from ..own.model import Model

GARMENTS = Form("images", (1, 28, 28), 0.286, 0.353, 80.0, CLASSES, source="Fashion-MNIST")
"""Of the book's networks. Its sigma_max is where their denoisers begin; they know more, for VP."""


@dataclass(frozen=True)
class Source:
    """name: as it was asked for.  form: of its data; its sigma_max is where sampling begins when no
    process is asked for.  ratios: the least and the largest noise-to-signal ratio of its training.
    labelled: it knows the form's classes.  facts: where the weights come from.
    """

    name: str
    network: Any
    form: Form
    ratios: tuple[float, float]
    labelled: bool
    facts: dict[str, Any]
    bundled: bool

    def about(self) -> dict[str, Any]:
        """Which weights they are: the bare name, the SHA-256, class and configuration."""
        path = weights.own(self.name)
        file = weights.checked(f"{self.name}.safetensors") if path is None else path
        return {
            "weights": weights.sha256(file),
            "name": self.name if path is None else file.name,
            "network": type(self.network).__name__,
            "trained_on": self.facts.get("data", self.form.source),
            **{k: self.facts[k] for k in ("opened",) if self.facts.get(k)},
        }


def source(name: str) -> Source:
    """The network with this bundled name or in this file.  Raises ValueError for one that is not
    made for sampling, or does not say what noise or what data it knows."""
    if (path := weights.own(name)) is None:
        return _bundled(name)
    if not path.is_file():
        known = ", ".join(scores())
        raise ValueError(f"--weights {name}: there is no such file; bundled by name are {known}")
    if not weights.data_of(path):
        raise ValueError(
            f"--weights {name} says nothing of its data: give a file that "
            "python -m sdelib train --out wrote"
        )
    model = Model.load(path)
    network: Any = model.network
    low, high = model.provenance.get("ratios") or getattr(network, "levels", (None, None))
    if low is None or high is None or not hasattr(network, "correction"):
        raise ValueError(
            f"--weights {name} holds a {type(network).__name__} that does not say what noise it "
            "was trained on: give a file of python -m sdelib train --out"
        )
    known = bool(model.form.classes) and bool(network.config.get("classes"))
    return Source(name, network, model.form, (low, high), known, model.provenance, False)


def _bundled(name: str) -> Source:
    network = weights.load(name)
    if not hasattr(network, "correction"):
        raise ValueError(f"--weights {name} is not a score; allowed: " + ", ".join(scores()))
    facts = weights.provenance(name)
    if "ratios" not in facts:
        raise ValueError(
            f"--weights {name} does not say what noise it was trained on: "
            "bundle it by python -m sdelib train --bundle"
        )
    known = bool(network.config.get("classes"))
    low, high = facts["ratios"]
    form = replace(
        GARMENTS,
        mean=network.data_mean,
        std=network.data_std,
        sigma_max=min(GARMENTS.sigma_max, high),
        classes=CLASSES if known else (),
    )
    return Source(name, network, form, (low, high), known, facts, True)


def scores() -> list[str]:
    """The bundled networks that `sample` knows, by their names alone: the help lists them."""
    others = ("classifier", "noisy-classifier", "moments")
    return [name for name in weights.names() if name not in others]
