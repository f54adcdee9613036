"""The figures of chapter 15: few steps, their orders and grids, straight lines, and students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .. import plotting as plot


def slope(n: Sequence[float], error: Sequence[float]) -> float:
    """The least-squares slope of ln error against ln n, with its sign turned."""
    a, b = (torch.tensor(v, dtype=torch.float64).log() for v in (n, error))
    return -float(((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum())


def rows(sheets: Mapping[str, Tensor], height: float = 4.6) -> None:
    """One row of ten garments a method, under its title."""
    _, axes = plot.figure(1, rows=len(sheets), height=height, width=7.8)
    for ax, (title, images) in zip(axes, sheets.items()):
        plot.show_images(ax, images[:10], columns=10, title=title)


def position_and_guess(levels: Tensor, path: Tensor, guess: Tensor) -> None:
    """Twelve paths against the clock λ = −ln r: left the position, right the denoiser's guess."""
    _, axes = plot.figure(2, height=3.1, width=8.8, gridspec_kw={"wspace": 0.08})
    for ax, values, title, color in (
        (axes[0], path, "position y", plot.GREY),
        (axes[1], guess, "guess D", plot.BLUE),
    ):
        for k in range(12):
            ax.plot(-levels.log(), values[:, k, 0], color=color, lw=1.0)
        ax.set(xlabel="clock λ = −ln r", ylabel="first coordinate", title=title)
    ticks = [-100, -10, -1, 0, 1, 10, 100]
    axes[0].set_yscale("symlog", linthresh=1)
    axes[0].set_yticks(ticks, [str(k).replace("-", "−") for k in ticks])


def orders(
    counts: Sequence[int], errors: Mapping[str, Sequence[float]], slopes: Mapping[str, float]
) -> None:
    """Error against evaluations for five methods, log–log, the measured order beside each name."""
    _, (ax,) = plot.figure(1, height=3.9, width=7.0)
    colors = (plot.ORANGE, plot.YELLOW, plot.SKY, plot.GREEN, plot.BLUE)
    for (name, e), color in zip(errors.items(), colors):
        ax.loglog(counts, e, color=color, marker="o", ms=4)
        dy = {"DDIM": 6, "Euler in t, VP": -6}.get(name, 0)
        plot.label_line(ax, counts, e, f"{name}: {slopes[name]:.2f}", color, dx=7, dy=dy)
    ax.set(xlabel="evaluations of the score", ylabel="error of the typical point", xlim=(7, 2600))
    ax.set_xticks(counts, map(str, counts))
    ax.minorticks_off()


def where_to_step(
    middle: Tensor,
    change: Tensor,
    levels: Mapping[str, Tensor],
    errors: Mapping[str, Mapping[str, float]],
    title: str,
) -> None:
    """Left: how fast the guess changes, and the levels of five grids.  Right: the errors on each.

    errors: solver → grid → error of the typical point.
    """
    one = next(iter(levels.values()))
    low, high = float(one.min()), float(one.max())
    _, (left, right) = plot.figure(
        2, height=3.4, width=9.8, width_ratios=(1, 1.15), gridspec_kw={"wspace": 0.08}
    )
    left.semilogx(middle, change, color=plot.ORANGE)
    for k, (name, r) in enumerate(levels.items()):
        y, words = -0.13 - 0.13 * k, name.replace("from the measured", "from")
        left.plot(r, np.full(len(r), y), "|", color=plot.GREY, ms=7)
        how = {"fontsize": 8.5, "ha": "right", "va": "center"}
        left.text(low * 0.8, y, words, color=plot.GREY, **how)
    left.set(xlabel="noise-to-signal ratio r", title="how fast D changes: |dD/dλ|")
    left.set(ylim=(-0.75, None), yticks=(0, 0.5), xlim=(low * 0.9, high * 1.2))
    left.spines["left"].set_visible(False)
    for j, (solver, color) in enumerate(zip(errors, (plot.SKY, plot.GREEN, plot.BLUE))):
        right.semilogx(errors[solver].values(), range(len(levels)), "o", color=color, ms=7)
        place = (0.97, 0.62 - 0.09 * j)
        right.text(*place, solver, color=color, transform=right.transAxes, ha="right")
    right.set(yticks=range(len(levels)), yticklabels=levels, ylim=(-0.5, 4.5))
    right.set(xlabel="error of the typical point", title=title)


def straight_and_curved(lines: Tensor, paths: Tensor) -> None:
    """Left: pairs of data and noise joined by lines.  Right: paths of the flow of those lines."""
    _, axes = plot.figure(2, height=3.7, width=8.2, gridspec_kw={"wspace": 0.08})
    k = lines.shape[1]
    for ax, curves, color, title in (
        (axes[0], lines, plot.SKY, f"{k} pairs, each joined by its line"),
        (axes[1], paths.flip(0), plot.BLUE, f"{k} paths of the flow"),
    ):
        for j in range(k):
            ax.plot(*curves[:, j].T, color=color, lw=0.9)
        ax.plot(*curves[0].T, "o", color=plot.ORANGE, ms=4)
        ax.plot(*curves[-1].T, "o", color=plot.GREY, ms=3)
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$")
        ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    axes[0].text(-2.8, -2.4, "data", color=plot.ORANGE)
    axes[0].text(-2.8, -2.8, "noise", color=plot.GREY)


def learned_velocity(
    t: Sequence[float], relative: Sequence[float], learned: Tensor, exact: Tensor
) -> None:
    """Left: the relative error of a learned velocity against t.  Right: ends by both velocities."""
    _, (left, right) = plot.figure(2, height=3.3, width=8.4, gridspec_kw={"wspace": 0.08})
    left.plot(t, relative, color=plot.ORANGE, marker="o", ms=4)
    left.set(xlabel="t (0: data, 1: noise)", ylabel="‖vθ − v‖ / ‖v‖, rms", ylim=(0, None))
    left.set_title("error of the learned velocity")
    right.scatter(*exact.T, s=9, color=plot.GREY, lw=0)
    right.scatter(*learned.T, s=9, color=plot.ORANGE, lw=0, alpha=0.7)
    right.text(2.9, 2.55, "exact velocity", color=plot.GREY, ha="right")
    right.text(2.9, 2.1, "learned", color=plot.ORANGE, ha="right")
    right.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    right.set_title(f"{len(exact)} ends from the same noise")


def students(
    y: Tensor,
    maps: Mapping[str, Tensor],
    ends: Mapping[str, Tensor],
    density: tuple[Tensor, Tensor],
) -> None:
    """Left: the exact map near the border and what three students make of it.  Right: their laws.

    maps: the ends of y, "exact" first; ends: samples of each student; density: places and values.
    """
    _, (left, right) = plot.figure(2, height=3.4, width=9.2, gridspec_kw={"wspace": 0.08})
    edges, n = np.linspace(-4, 4, 65), len(next(iter(ends.values())))
    colors = dict(zip(maps, (plot.GREY, plot.ORANGE, plot.BLUE, plot.GREEN)))
    right.semilogy(*density, color=plot.GREY, lw=4, alpha=0.6)
    for j, (name, color) in enumerate(colors.items()):
        wide = {"lw": 4, "alpha": 0.6} if name == "exact" else {}
        left.plot(y, maps[name], color=color, **wide)
        left.text(0.03, 0.92 - 0.09 * j, name, color=color, transform=left.transAxes)
        if name in ends:
            counted = np.maximum(np.histogram(ends[name], edges)[0], 0.5)
            right.stairs(counted / n / (edges[1] - edges[0]), edges, color=color, lw=1.5)
    left.set(xlabel="noise y", ylabel="end", title="the map, near the border")
    right.set(xlabel="end", ylabel="density (log scale)", ylim=(2e-4, 2))
    right.set_title(f"the law of {n:,} ends")
