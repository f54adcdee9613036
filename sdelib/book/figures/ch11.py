"""The figures of chapter 11: garments, noise, a training, and two solvers on the same noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from .. import plotting as plot
from ..data import CLASSES

SOLVERS = {
    "euler-maruyama": "Euler–Maruyama",
    "platen": "Platen, same noise",
    "platen-other": "Platen, other noise",
    "real": "real images (floor)",
}


def head(ax: Axes, words: Iterable[str], at: float = 15, **how) -> None:
    """Words above the columns of a sheet from `plot.show_images`, whose images are 28 wide."""
    for k, word in enumerate(words):
        ax.text(30 * k + at, -2, word, ha="center", va="bottom", fontsize=8, **how)


def one_a_class(images: Tensor) -> None:
    """Twenty garments: two rows, one column for each of the ten classes."""
    _, (ax,) = plot.figure(1, height=1.75)
    plot.show_images(ax, images, columns=10)
    head(ax, CLASSES)


def noise_against_time(stds: Mapping[float, Tensor], t: Tensor) -> None:
    """The std of the noise against time, one curve for each σ, with its end beside it."""
    _, (ax,) = plot.figure(1, height=2.8, width=5.6)
    for (sigma, std), color in zip(stds.items(), (plot.BLUE, plot.ORANGE)):
        ax.plot(t, std, color=color)
        plot.label_line(ax, t.tolist(), std.tolist(), f"σ = {sigma:g}: {std[-1]:.2f}", color)
    ax.axhspan(0, 1, color=plot.GREY, alpha=0.15, lw=0)
    ax.text(0.98, 1.2, "range of a pixel", color=plot.GREY, ha="right")
    ax.set(xlabel="time t", ylabel="std of the noise", xlim=(0, 1.0), ylim=(0, 19))


def under_noise(shown: Sequence[Tensor], stds: Sequence[float]) -> None:
    """Two garments under growing noise, the std above each column."""
    _, (ax,) = plot.figure(1, height=2.7)
    rows = [x[3:4] for x in shown] + [x[1:2] for x in shown]
    plot.show_images(ax, torch.cat(rows), columns=len(stds))
    head(ax, (f"{s:.2g}" for s in stds))
    ax.text(-2, -2, "std", ha="right", va="bottom", fontsize=8)


def training(losses: Tensor) -> None:
    """The loss of a training against its step; dotted, the loss it starts from."""
    _, (ax,) = plot.figure(1, height=2.6, width=5.4)
    steps, first = len(losses), losses[0]
    ax.plot(range(1, steps + 1), losses, color=plot.BLUE)
    ax.axhline(first, color=plot.GREY, ls=":", lw=1.2)
    ax.text(steps, first, "the Gaussian it starts from", ha="right", va="bottom", color=plot.GREY)
    ax.set(xlabel="training step", ylabel="loss a pixel", ylim=(0, None))


def loss_by_noise(levels: Tensor, curves: Mapping[str, Sequence[float]]) -> None:
    """The loss at fixed std on test images: the Gaussian, the small network, the bundled one."""
    _, (ax,) = plot.figure(1, height=3.0, width=6.0)
    k = len(levels) // 3
    places = ((k + 1, 8, 6, "left"), (k, -4, -14, "right"), (k, -4, -16, "right"))
    for (name, curve), color, (at, dx, dy, side) in zip(
        curves.items(), (plot.GREY, plot.SKY, plot.BLUE), places
    ):
        ax.loglog(levels, curve, color=color, marker="o", ms=3)
        point, away = (float(levels[at]), curve[at]), {"xytext": (dx, dy), "ha": side}
        ax.annotate(name, point, textcoords="offset points", color=color, **away)
    ax.set(xlabel="std of the noise", ylabel="loss a pixel, test images")


def samples(sheets: Mapping[str, Tensor], height: float) -> None:
    """Drawn garments, eight in a row, one sheet under the other, each under its title."""
    _, axes = plot.figure(1, rows=len(sheets), height=height)
    for ax, (title, images) in zip(axes, sheets.items()):
        plot.show_images(ax, images, columns=8, title=title)


def by_solver(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], list[float]]:
    """The Fréchet distances of results/source_experiment.csv by (σ, solver)."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["sigma"], row["solver"]), []).append(float(row["frechet"]))
    return groups


def distances_table(groups: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """A Markdown table: mean distance, its standard error over seeds, and how many there are."""
    lines = ["| images | $\\sigma$ | $F$ | seeds |", "|---|---|---|---|"]
    for (sigma, solver), values in groups.items():
        v = torch.tensor(values, dtype=torch.float64)
        error = f" ± {v.std() / len(v) ** 0.5:.2f}" if len(v) > 1 else ""
        sigma = sigma.replace("-", "–")
        lines.append(f"| {SOLVERS[solver]} | {sigma} | {v.mean():.2f}{error} | {len(v)} |")
    return "\n".join(lines)


def distances(groups: Mapping[tuple[str, str], Sequence[float]], size: int) -> None:
    """One dot a seed: the Fréchet distance of each solver's images, and of as many real ones."""
    _, (ax,) = plot.figure(1, height=2.5, width=6.6)
    for i, ((sigma, solver), values) in enumerate(groups.items()):
        color = plot.BLUE if sigma == "25" else plot.ORANGE if sigma == "50" else plot.GREEN
        ax.plot(values, [-i] * len(values), "o", color=color, alpha=0.7, ms=6)
    names = [SOLVERS[s] + (f", σ = {g}" if s != "real" else "") for g, s in groups]
    ax.set_yticks([-i for i in range(len(groups))], names)
    ax.set(xlabel=f"Fréchet distance of {size} images in the classifier's features")
    ax.set_xlim(0, None)
