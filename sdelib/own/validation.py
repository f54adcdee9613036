"""The loss on examples that training has not seen, by noise level, with its own standard error.

    L_b = E[ℓ(D; x₀, σ, z)]   over examples x₀, z ~ N(0, I) and the levels σ of band b,

where ℓ is the loss of `DenoiserLoss` and the B bands are equally likely under its bell of ln σ.
Each example goes through every band once, at a level and with a z that depend on (seed, number of
the example) only: so every model sees the same noise, and the difference of two is known far better
than either (`Validation.minus`). An example's mean over the bands is one independent draw, so the
errors are standard deviations over examples/√n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import require, same_shape, whole
from ..denoiser import NO_LABEL, DenoiserLoss
from .devices import exact_products
from .luck import generator_of


@dataclass(frozen=True)
class Validation:
    """Losses by noise level.  low, high: the edges of the bands of σ, loss, error: their means and
    standard errors, shape (B,) each, float64.  total, total_error: over all bands.
    each: the losses themselves, (examples, B); empty where the table was read from a file."""

    low: Tensor
    high: Tensor
    loss: Tensor
    error: Tensor
    total: float
    total_error: float
    examples: int
    each: Tensor

    @classmethod
    def of(cls, low: Tensor, high: Tensor, each: Tensor) -> Validation:
        """The table of the losses `each`, shape (examples, B)."""
        n, every = len(each), each.mean(1, keepdim=True)
        (loss, error), (total, total_error) = _mean(each), _mean(every)
        return cls(low, high, loss, error, float(total), float(total_error), n, each)

    def minus(self, other: Validation) -> Validation:
        """self − other, example by example, with the errors of the *differences*.
        Raises ValueError unless both saw the same number of examples and levels."""
        each = self.each - same_shape("other.each", other.each, self.each, "self.each")
        return Validation.of(self.low, self.high, each)

    def to_json(self) -> dict[str, Any]:
        """All but the losses of each example, as JSON holds it."""
        columns = {k: getattr(self, k).tolist() for k in ("low", "high", "loss", "error")}
        numbers = {k: getattr(self, k) for k in ("total", "total_error", "examples")}
        return columns | numbers

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Validation:
        """What `to_json` gave."""
        f = lambda a: torch.tensor(a, dtype=torch.float64) if isinstance(a, list) else a
        facts: Any = {k: f(v) for k, v in said.items()}
        return cls(**facts, each=torch.empty(0, 0))

    def rows(self) -> list[dict[str, float]]:
        """One dict a band: sigma_low, sigma_high, loss, error."""
        columns = (self.low, self.high, self.loss, self.error)
        names = ("sigma_low", "sigma_high", "loss", "error")
        return [dict(zip(names, row)) for row in zip(*(c.tolist() for c in columns))]

    def __str__(self) -> str:
        head = f"loss {self.total:.4f} ± {self.total_error:.4f} on {self.examples} examples"
        line = "  σ {sigma_low:8.4f} to {sigma_high:8.4f}   {loss:8.4f} ± {error:.4f}"
        return "\n".join([head, *(line.format(**row) for row in self.rows())])


def _mean(a: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, its standard error) of each column; the error of one row is not known, NaN."""
    spread = a.std(0) if len(a) > 1 else a[0] * math.nan
    return a.mean(0), spread / math.sqrt(len(a))


def edges(loss: DenoiserLoss, bands: int) -> Tensor:
    """The B + 1 edges of bands that are equally likely under ln σ ~ N(mean, std²), float64; the
    outermost are the levels of the loss."""
    u = torch.arange(1, bands, dtype=torch.float64) / bands
    inner = (loss.mean + loss.std * torch.special.ndtri(u)).exp()
    low, high = (torch.tensor([a], dtype=torch.float64) for a in loss.levels)
    return torch.cat([low, inner.clamp(*loss.levels), high])


def levels_and_noise(
    loss: DenoiserLoss, n: int, bands: int, seed: int = 0
) -> tuple[Tensor, list[torch.Generator]]:
    """(σ, generators): levels (n, bands), float64, one of each band for each example, and the
    generators that go on to draw its z. Example k depends on (seed, k) only; a shift of its place
    in the bands by the golden ratio a time spreads the levels of all examples evenly."""
    generators = [generator_of("validation", seed, k) for k in range(n)]
    start = torch.rand((), generator=generator_of("validation", seed), dtype=torch.float64)
    place = (start + torch.arange(n, dtype=torch.float64) * (math.sqrt(5) - 1) / 2) % 1
    u = (torch.arange(bands, dtype=torch.float64) + place[:, None]) / bands
    sigma = (loss.mean + loss.std * torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))).exp()
    return sigma.clamp(*loss.levels), generators


@torch.no_grad()
def validate(
    denoiser: nn.Module,
    loss: DenoiserLoss,
    x: Tensor,
    labels: Tensor | None = None,
    *,
    bands: int = 8,
    seed: int = 0,
    batch: int = 256,
) -> Validation:
    """The loss of D(x; σ, label) by noise level, on examples x (n, …) with their labels (n,).

    loss: gives the bands and the weights; the same for all models that are compared.  Its flips and
    its dropping of labels take no part.  batch: rows that the network sees at once.  The network
    stays where it is, and in its mode.
    Raises ValueError for no examples, and for bands or batch that are no whole number above 0.
    """
    whole(bands=bands, batch=batch), whole(0, seed=seed)
    require(len(x) > 0, "examples", len(x), "give at least one, two for a standard error")
    sigma, generators = levels_and_noise(loss, len(x), bands, seed)
    y = torch.full((len(x),), NO_LABEL) if labels is None else labels
    found, at_once, device = [], max(1, batch // bands), next(denoiser.parameters()).device
    for first in range(0, len(x), at_once):
        part = slice(first, first + at_once)
        z = torch.stack([torch.randn(bands, *x.shape[1:], generator=g) for g in generators[part]])
        rows = [a.repeat_interleave(bands, 0).to(device) for a in (x[part], y[part])]
        told = torch.ones(len(rows[0]), dtype=torch.bool, device=device)
        noise = sigma[part].flatten().to(rows[0]), z.flatten(0, 1).to(rows[0]), told, ~told
        with exact_products():
            each = loss(denoiser, rows[0], rows[1], *noise)
        found.append(each.reshape(-1, bands).double().cpu())
    at = edges(loss, bands)
    return Validation.of(at[:-1], at[1:], torch.cat(found))
