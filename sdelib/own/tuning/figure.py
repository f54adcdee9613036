"""The picture of a tuning: each change beside the base, and at which noise it matters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..extras import package
from ..weights import atomic
from .difference import BEYOND
from .rounds import Round, Tuning

TAKEN, REFUSED, STEPS = "#1a7f4b", "#b5521b", "#8a8f98"


def draw(tuning: Tuning, path: str | Path) -> Path:
    """Write the figure, .png, .svg or .pdf; a row of panels for each round; the path is returned.
    Raises ImportError, with the command that installs it, without matplotlib."""
    place = Path(path).expanduser()
    shown = [found for found in tuning.rounds if found.changes]
    tall = sum(1.5 + 0.4 * len(found.changes) for found in shown)
    figure = package("matplotlib.figure", "tune").Figure(figsize=(11, tall), layout="constrained")
    heights = [1.5 + 0.4 * len(found.changes) for found in shown]
    axes = figure.subplots(len(shown), 2, squeeze=False, height_ratios=heights)
    for pair, found in zip(axes, shown):
        _changes(pair[0], found)
        _levels(pair[1], found, tuning.noise)
    kind = place.suffix.lstrip(".") or "png"
    atomic(place, lambda p: figure.savefig(p, format=kind, dpi=130))
    return place


def _changes(ax: Any, found: Round) -> None:
    """Differences at equal steps and at equal time, with both errors."""
    ax.axvline(0, color="black", linewidth=0.8)
    for y, c in enumerate(found.changes):
        for d, shift, colour, kind in (
            (c.at_steps, -0.13, STEPS, "o"),
            (c.at_time, 0.13, TAKEN if c.taken else REFUSED, "s"),
        ):
            if math.isfinite(d.value):
                how = {"color": colour, "markerfacecolor": "white" if kind == "o" else colour}
                ax.errorbar(d.value, y + shift, xerr=BEYOND * d.error, fmt=kind, capsize=3, **how)
    _near(ax.set_xscale, [c.at_time.value for c in found.changes])
    names = [f"{c.name}  (× {c.ratio[0]:.2f})" for c in found.changes]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(f"difference of the loss on what is held out, ± {BEYOND:g} errors")
    words = "grey ring: equal steps; square: equal time (green: taken); × time of a step"
    ax.set_title(f"Round {found.number}, from a loss of {found.loss:.3f}\n{words}", fontsize=9)


def _levels(ax: Any, found: Round, noise: tuple[float, ...]) -> None:
    """Differences at equal time by noise level, with their errors over examples."""
    ax.axhline(0, color="black", linewidth=0.8)
    inner = list(zip(noise, noise[1:]))
    middles = [math.sqrt(low * high) for low, high in inner]
    middles[0], middles[-1] = 0.7 * noise[1], 1.4 * noise[-2]  # the outer levels are wide
    for c in found.changes:
        if math.isfinite(c.at_time.value):
            values, errors = c.at_time.bands, c.at_time.band_errors
            ax.errorbar(middles, values, yerr=errors, marker=".", capsize=2, label=c.name)
    ax.set_xscale("log")
    _near(ax.set_yscale, [v for c in found.changes for v in c.at_time.bands])
    ax.set_xlabel("noise level σ")
    ax.set_title("at equal time, by noise level (± 1 error over examples)", fontsize=9)
    ax.legend(fontsize=7)


def _near(set_scale: Any, values: list[float]) -> None:
    """Where one difference is far larger than most, the scale is a logarithm beyond these."""
    sizes = sorted(abs(v) for v in values if v != 0 and math.isfinite(v))
    if sizes and sizes[-1] > 10 * (usual := sizes[len(sizes) // 2]):
        set_scale("symlog", linthresh=usual)
