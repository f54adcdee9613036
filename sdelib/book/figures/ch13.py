"""Chapter 13: samples of many solvers, and how far they are from real garments."""

from __future__ import annotations

import torch

from .. import plotting as plot
from ..quality_table import FLOWS, LARGE, NAMES, NOISY, runs

PALETTE = [
    plot.BLUE,
    plot.SKY,
    plot.GREEN,
    plot.ORANGE,
    plot.PINK,
    plot.YELLOW,
    plot.GREY,
    "#000000",
]
BESIDE = {
    "dpm++2m": (1, -6, -15),
    "ddim": (0, 8, 2),
    "edm-heun": (2, 6, 6),
    "probability-flow-heun": (3, -36, -6),
    "probability-flow-euler": (5, 6, 0),
    "probability-flow-rk45": (2, 8, 3),
    "dpm++2m-sde": (1, -46, -23),
    "edm-churn": (1, 6, 6),
    "ancestral": (0, -4, -46),
    "exponential": (1, -4, -30),
    "predictor-corrector": (8, 6, -4),
    "euler-maruyama": (8, 6, 5),
    "heun": (2, 4, 6),
    "sra": (4, -26, -10),
}
"""Where the name of a solver stands: beside which point of its line, and how far from it."""


def four_lines(drawn: dict[str, torch.Tensor]) -> None:
    """Ten garments of each of four solvers, a letter a line."""
    _, axes = plot.figure(1, rows=len(drawn), height=3.5, width=7.8)
    for ax, (letter, images) in zip(axes, drawn.items(), strict=True):
        plot.show_images(ax, images, columns=len(images))
        ax.text(-5, 15, letter, ha="right", va="center", fontsize=13)


def _beside(ax, text, point, dx, dy, color, **how):
    """`text` beside a point, `dx` and `dy` points from it."""
    ax.annotate(text, point, xytext=(dx, dy), textcoords="offset points", color=color, **how)


def _band(ax, floor, at):
    """The floor, from the least to the largest F of real images, and its name."""
    ax.axhspan(float(floor.min()), float(floor.max()), color=plot.GREEN, alpha=0.2, lw=0)
    ax.annotate("real images", (at, float(floor.mean())), color=plot.GREEN, va="center")


def bias(c: float, real, told) -> None:
    """F of n real images against the line c/n, random ones and as many of each class."""
    sizes = torch.logspace(2.3, 3.845, 50)
    _, (ax,) = plot.figure(1, height=3.3, width=7.4)
    ax.loglog(sizes, c / sizes, color=plot.GREY, ls="--")
    _beside(ax, "c / n", (float(sizes[34]), float(c / sizes[34])), 6, 6, plot.GREY)
    for group, color, shift in ((real, plot.BLUE, 0.96), (told, plot.GREEN, 1.04)):
        for n, v in group.items():
            ax.loglog([shift * n] * len(v), v, "o", color=color, alpha=0.5, ms=4.5)
    _beside(ax, "random test images", (500, float(real[500].max())), 4, 4, plot.BLUE)
    low = (520, float(told[500].min()))
    _beside(ax, "as many of each class", low, -8, -16, plot.GREEN, ha="right")
    ax.set(xlabel="images n", ylabel="Fréchet distance F", xlim=(140, 8000))
    ax.set_xticks([250, 500, 1000, 5000], ["250", "500", "1,000", "5,000"])
    ax.minorticks_off()


def solvers(curves, floor) -> None:
    """F against evaluations of the network, for solvers without noise (above) and with."""
    _, axes = plot.figure(1, rows=2, height=7.6, width=7.6, sharey=True)
    titles = "without noise (probability flow)", "with noise (reverse SDE)"
    for ax, family, title in zip(axes, (FLOWS, NOISY), titles, strict=True):
        for solver, color in zip(family, PALETTE, strict=False):
            x, y = zip(*curves[solver], strict=True)
            ax.loglog(x, y, color=color, marker="o", ms=3.5)
            at, dx, dy = BESIDE[solver]
            _beside(ax, NAMES[solver], (x[at], y[at]), dx, dy, color, fontsize=9.5)
        _band(ax, floor, 5)
        ticks = [5, 10, 18, 35, 100] + [1000] * (family is NOISY)
        ax.set(title=title, ylabel="F, n = 1,000", ylim=(0.3, 400))
        ax.set_xlim(4.6, 4400 if family is NOISY else 160)
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
        ax.minorticks_off()
    axes[1].set_xlabel("network evaluations for each image")


def other_measures(rows) -> None:
    """F against the sliced Wasserstein distance, and precision against recall, a point a run."""
    _, (left, right) = plot.figure(2, height=3.4, width=9.6, gridspec_kw={"wspace": 0.06})
    families = (FLOWS, plot.BLUE, "without noise"), (NOISY, plot.ORANGE, "with noise")
    for family, color, label in families:
        group = [r for r in rows if r["solver"] in family]
        sliced, f, recall, precision = (
            [r[k] for r in group] for k in ("sliced_wasserstein", "F", "recall", "precision")
        )
        left.loglog(sliced, f, "o", color=color, ms=4, alpha=0.7, label=label)
        right.plot(recall, precision, "o", color=color, ms=4, alpha=0.7)
    left.set(xlabel="sliced Wasserstein distance of the pixels", ylabel="Fréchet distance F")
    left.set_xticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    left.minorticks_off()
    left.legend(loc="lower right")
    right.set(xlabel="recall", ylabel="precision", xlim=(-0.03, 1), ylim=(0.3, 1.05))


def recipes(c: float, floor) -> None:
    """F against evaluations for the source's method and three denoisers."""
    lines = [
        ("the source's method, 25ᵗ", runs("source"), plot.ORANGE, 0),
        ("large, no class told", runs("untold", network="denoiser"), plot.PINK, 2),
        ("small, told", runs("main"), plot.SKY, 5),
        ("large, told", runs("large", network=LARGE), plot.BLUE, 3),
    ]
    _, (ax,) = plot.figure(1, height=3.6, width=7.4)
    for name, group, color, at in lines:
        points = sorted(
            (r["nfe"], r["F"] - (c / 500 - c / 1000) * (r["n"] == 500))
            for r in group
            if r["part"] == "source" or r["solver"] == "dpm++2m-sde"
        )
        x, y = zip(*points, strict=True)
        ax.loglog(x, y, color=color, marker="o", ms=4)
        _beside(ax, name, (x[at], y[at]), 6, 4 if at < 5 else 0, color)
    _band(ax, floor, 120)
    ax.set(xlabel="network evaluations for each image", ylabel="Fréchet distance F, n = 1,000")
    ax.set_ylim(0.3, 100)
    ax.set_xticks([5, 10, 18, 35, 100, 500], ["5", "10", "18", "35", "100", "500"])
    ax.minorticks_off()


def processes(pairs, bias: float) -> None:
    """F of every solver on three processes, a solver a line; dashed: the bias."""
    order, marks = list(pairs), (("VE 80", plot.BLUE, "o"), ("VP", plot.ORANGE, "s"))
    _, (ax,) = plot.figure(1, height=5.2, width=7.4)
    for process, color, marker in (*marks, ("sub-VP", plot.GREEN, "^")):
        f = [pairs[s][process] for s in order]
        ax.semilogx(f, range(len(order)), marker, color=color, ms=6, alpha=0.8, label=process)
    ax.axvline(bias, color=plot.GREY, ls="--")
    ax.set_yticks(range(len(order)), order)
    ax.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
    ax.minorticks_off()
    ax.legend(loc="upper right")
    ax.set(xlabel="Fréchet distance F, 250 images, 100 evaluations (dashed: the bias c/n)")


def nearest(samples, trained) -> None:
    """Samples above, and below each the training image that is nearest to it."""
    _, axes = plot.figure(1, rows=2, height=2.7, width=8.4)
    titles = "samples that are closest to a training image", "… and those training images"
    for ax, images, title in zip(axes, (samples, trained), titles, strict=True):
        plot.show_images(ax, images, columns=len(images), title=title)
