"""The figures of chapter 12: noise levels, scalings, losses by level, and a table of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import plotting as plot
from ..data import CLASSES
from .ch11 import head


def noise_levels(ratios: Mapping[str, Tensor], t: Tensor, low: float, high: float) -> None:
    """σ = std/scale against time for four processes, over the levels of the training (grey)."""
    _, (ax,) = plot.figure(1, height=3.3, width=6.6)
    heights = (0.017, 0.7, 0.2, 0.06)
    for (name, ratio), color, y in zip(
        ratios.items(), (plot.BLUE, plot.SKY, plot.ORANGE, plot.GREEN), heights
    ):
        ax.semilogy(t, ratio, color=color)
        ax.text(0.98, y, name, ha="right", va="center", color=color)
    ax.axhspan(low, high, color=plot.GREY, alpha=0.12, lw=0)
    words = "noise levels of the training"
    ax.text(0.98, low * 1.2, words, ha="right", va="bottom", color=plot.GREY)
    ax.set(xlabel="time t", ylabel="σ = std / scale", xlim=(0, 1), ylim=(1e-3, 400))


def scalings(sigma: Tensor, sd: float) -> None:
    """Left: how three guesses magnify errors.  Right: the factors of the mixed one."""
    v = sigma**2 + sd**2
    _, (left, right) = plot.figure(2, height=3.2, width=9.2, gridspec_kw={"wspace": 0.08})
    mixed = sigma * sd / v.sqrt()
    for y, name, color, at, dx, dy in (
        (sigma, "guess the noise", plot.ORANGE, 145, 12, -8),
        (sd + 0 * sigma, "guess the image", plot.SKY, 10, 7, 9),
        (mixed, "mixed", plot.BLUE, 110, 7, -13),
    ):
        left.loglog(sigma, y, color=color, lw=3 if name == "mixed" else 1.5)
        point = (float(sigma[at]), float(y[at]))
        left.annotate(name, point, xytext=(dx, dy), textcoords="offset points", color=color)
    left.set(xlabel="noise level σ", ylabel="$c_{out}$: how errors are magnified")
    left.set(ylim=(1e-3, 300), xlim=(None, 2e3))
    for y, name, color in (
        (sd**2 / v, "$c_{skip}$", plot.BLUE),
        (v.rsqrt(), "$c_{in}$", plot.GREEN),
    ):
        right.semilogx(sigma, y, color=color)
        point = (float(sigma[30]), float(y[30]))
        right.annotate(name, point, xytext=(2, -16), textcoords="offset points", color=color)
    right.axvline(sd, color=plot.GREY, lw=1, ls=":")
    right.text(sd * 1.15, 2.6, "$σ = σ_d$", color=plot.GREY)
    right.set(xlabel="noise level σ", ylabel="factor")


def loss_by_level(levels: Tensor, curves: Mapping[str, Tensor]) -> None:
    """The mean loss of three denoisers against σ, and where the training draws its levels."""
    _, (ax,) = plot.figure(1, height=3.5, width=7.2)
    ax.axhline(1, color=plot.GREY, ls=":")
    ax.text(0.0021, 1.02, "independent pixels (untrained)", color=plot.GREY, va="bottom")
    places = ((5, 7, 2, "left"), (1, 5, 9, "left"), (4, -5, -12, "right"))
    for (name, y), color, (at, dx, dy, side) in zip(
        curves.items(), (plot.GREEN, plot.SKY, plot.BLUE), places
    ):
        ax.semilogx(levels, y.mean(1), color=color, marker="o", ms=3)
        at = min(at, len(levels) - 2)
        point, away = (float(levels[at]), float(y.mean(1)[at])), {"xytext": (dx, dy), "ha": side}
        ax.annotate(name, point, textcoords="offset points", color=color, **away)
    bell = torch.exp(-((levels.log() + 1.2) ** 2) / (2 * 1.4**2))
    ax.fill_between(levels, 0, 0.25 * bell, color=plot.YELLOW, alpha=0.35, lw=0)
    words = "levels drawn in training"
    ax.annotate(words, (0.3, 0.02), ha="center", va="bottom", fontsize=9, color="#7a5200")
    ax.set(xlabel="noise level σ", ylabel="loss (test images)", ylim=(0, 1.15))


def changes(
    order: Sequence[str],
    effects: Mapping[str, Sequence[float]],
    distances: Mapping[str, Sequence[float]],
) -> None:
    """One row a change, one dot a seed: denoising error against the base, and Fréchet distance."""
    _, (left, right) = plot.figure(2, height=4.6, width=12.4, gridspec_kw={"wspace": 0.06})
    for i, c in enumerate(order):
        low, high = min(effects[c]), max(effects[c])
        color = plot.GREEN if high < 0 else plot.ORANGE if low > 0 else plot.GREY
        for ax, dots in ((left, effects[c]), (right, distances[c])):
            ax.plot(dots, [i] * len(dots), "o", color=color, ms=6, alpha=0.8)
    left.set_xscale("symlog", linthresh=5)
    left.set_xticks([-10, -3, 0, 3, 10, 50], ["−10", "−3", "0", "3", "10", "50"])
    left.axvline(0, color="#444444", lw=1)
    for v in distances["base"]:
        right.axvline(v, color="#444444", lw=1, ls="--")
    right.text(max(distances["base"]) + 1, 0, "base", color="#444444", va="center")
    for ax in (left, right):
        ax.set_yticks(range(len(order)), order)
    left.set(xlabel="denoising error against the base, %")
    right.set(xlabel="Fréchet distance of 500 samples (no class told)")


def copying_or_learning(grid: Tensor, found: Mapping[str, Mapping[str, Tensor]]) -> None:
    """The error of four denoisers against σ: left on training images, right on test images."""
    _, axes = plot.figure(2, height=3.7, width=9.6, sharey=True, gridspec_kw={"wspace": 0.08})
    colors = (plot.ORANGE, plot.GREEN, plot.SKY, plot.BLUE)
    for ax, (kind, errors) in zip(axes, found.items()):
        for y, color in zip(errors.values(), colors):
            ax.loglog(grid, y.mean(1).clamp(min=1e-7), color=color, marker="o", ms=3)
        ax.set(title=kind, xlabel="noise level σ", ylim=(3e-5, 0.15))
        ax.set_ylabel("mean square error of a pixel")
        ax.tick_params(labelleft=True)
    places = ((0, 0, 9), (2, -42, 8), (1, 22, -26), (4, 6, -18))
    for (name, y), color, (at, dx, dy) in zip(found["test images"].items(), colors, places):
        at = min(at, len(grid) - 1)
        point = (float(grid[at]), float(y.mean(1)[at]))
        how: dict[str, Any] = {"textcoords": "offset points"}
        if name == "small network":
            how["arrowprops"] = {"arrowstyle": "-", "color": color}
        axes[1].annotate(name, point, xytext=(dx, dy), color=color, **how)
    axes[0].text(0.62, 1e-4, "the floor", color=plot.ORANGE, va="center")


def told(images: Tensor, rows: int) -> None:
    """Garments that were ordered by class: one column for each of the ten."""
    _, (ax,) = plot.figure(1, height=4.4 if rows > 2 else 2.0)
    plot.show_images(ax, images, columns=10)
    head(ax, CLASSES)
