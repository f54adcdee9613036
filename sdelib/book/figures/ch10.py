"""The figures of chapter 10: probability flow and likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.patches import Circle
from torch import Tensor

from .. import plotting as plot


def codes(x: Tensor, paths: Tensor, code: Tensor) -> None:
    """Two modes, the paths of the flow, and one round cloud of codes; a point has the colour of its
    mode."""
    colors = [plot.BLUE if s < 0 else plot.ORANGE for s in x.sum(1)]
    fig, axes = plot.figure(3, height=3.0, width=8.8)
    _gutters(fig, 0.06)
    for ax, points in zip(axes[::2], (x, code)):
        ax.scatter(*points.T, s=3, c=colors, lw=0)
    for path, color in zip(paths.transpose(0, 1), colors):
        axes[1].plot(*path.T, color=color, lw=0.7)
    for ax, title in zip(axes, ("data", "60 paths of the flow", "codes")):
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        ax.set(xlim=(-4, 4), ylim=(-4, 4), xticks=range(-4, 5, 2), yticks=range(-4, 5, 2))
    for r in (1, 2, 3):
        axes[2].add_patch(Circle((0, 0), r, fill=False, color=plot.GREY, lw=0.8))


def error_against_nfe(
    fixed: Mapping[str, tuple[Sequence[tuple[int, float]], float]],
    adaptive: Mapping[float, tuple[int, float]],
) -> None:
    """The error at the end of the flow against the evaluations, for three fixed steps and the
    adaptive one."""
    _, (ax,) = plot.figure(1, height=3.4, width=7.0)
    for (name, (runs, slope)), color in zip(fixed.items(), (plot.ORANGE, plot.GREEN, plot.SKY)):
        ax.loglog(*zip(*runs), color=color, marker="o", ms=4)
        name = {"euler_maruyama": "Euler"}.get(name, name)
        evaluations, errors = zip(*runs)
        plot.label_line(ax, evaluations, errors, f"{name}, slope −{slope:.2f}", color, dx=6)
    ax.loglog(*zip(*adaptive.values()), color=plot.BLUE, marker="s", ms=4)
    middle = min(adaptive.values(), key=lambda a: abs(math.log(a[1] / 1e-6)))
    _beside(ax, "adaptive", middle, (-10, -4), plot.BLUE, ha="right")
    ax.set(xlabel="NFE", ylabel="error of x at $t_{min}$, rms", xlim=(18, 6000))


def length_of_the_codes(w: Tensor, lengths: Mapping[str, Tensor], half: float) -> None:
    """The length of the codes between two codes, on two walks; the band is 1 ± half."""
    _, (ax,) = plot.figure(1, height=2.8, width=6.4)
    ax.axhspan(1 - half, 1 + half, color=plot.SKY, alpha=0.35, lw=0)
    _beside(ax, "95 % of the draws of π", (0.5, 1 + half), (0, 4), plot.GREY, ha="center")
    for (name, y), color, at in zip(lengths.items(), (plot.BLUE, plot.ORANGE), (0.3, 0.5)):
        ax.plot(w, y, color=color)
        place = (at, float(y[int(at * (len(w) - 1))]))
        _beside(ax, name, place, (0, 5 if at < 0.5 else 9), color, ha="center")
    ax.set(xlabel="position w", ylabel="‖code‖ / (std(T) √d)", ylim=(0.65, 1.15))


def two_walks(images: Mapping[str, Tensor], columns: int) -> None:
    """What lies between two garments on each walk, one row for each pair."""
    fig, axes = plot.figure(len(images), height=3.3, width=8.6)
    _gutters(fig, 0.04)
    for ax, (walk, x) in zip(axes, images.items()):
        plot.show_images(ax, x.flatten(0, 1), columns=columns, title=walk)


def density_along_the_flow(
    times: Tensor, path: Tensor, exact: Tensor, summed: Tensor, three: Sequence[int]
) -> None:
    """Paths of the flow, and log p along three of them, exact and from the divergence."""
    fig, (left, right) = plot.figure(2, height=3.2, width=8.8)
    _gutters(fig, 0.06)
    left.plot(times, path[:, :, 0], color=plot.GREY, lw=0.7)
    for i, color in zip(three, (plot.BLUE, plot.GREEN, plot.ORANGE), strict=True):
        left.plot(times, path[:, i, 0], color=color)
        right.plot(times, exact[:, i], color=color, lw=5, alpha=0.3)
        right.plot(times, summed[:, i], color=color, lw=1.2)
    left.set(xlabel="t", ylabel="x", title="5 % of the mass between two paths")
    right.set(xlabel="t", ylabel="log p at the particle")
    right.set_title("wide: exact; thin: divergence, summed")


def gap_of_the_prior(x: Tensor, known: Tensor, gaps: Mapping[str, Tensor]) -> None:
    """log p − log q at every point for each process, over the density p."""
    _, (ax,) = plot.figure(1, height=2.9, width=6.6)
    ax.fill_between(x, known.exp() - 0.6, -0.6, color=plot.SKY, alpha=0.35, lw=0)
    ax.text(-2.1, -0.36, "p", color=plot.GREY)
    for (name, y), color, dy in zip(gaps.items(), (plot.ORANGE, plot.BLUE), (-12, 10)):
        ax.plot(x, y, color=color)
        _beside(ax, name, (0.0, float(y[len(y) // 2])), (6, dy), color)
    ax.set(xlabel="x", ylabel="log p − log q, nats", xlim=(-5.5, 5.5), ylim=(-0.6, 1.2))


def bits_of_a_pixel(widths: Tensor, bits: Mapping[str, Sequence[float]], entropy: float) -> None:
    """Bits of one pixel against the width of the model's spikes: without noise, dequantised, and by
    the true probability."""
    _, (ax,) = plot.figure(1, height=3.2, width=6.8)
    places = ((0.3, 14, -6), (0.38, 8, 6), (0.02, 0, 7))
    colors = (plot.ORANGE, plot.BLUE, plot.GREEN)
    for (name, y), color, (i, dx, dy) in zip(bits.items(), colors, places, strict=True):
        j = int(i * len(widths))
        ax.semilogx(widths, y, color=color)
        _beside(ax, name, (float(widths[j]), y[j]), (dx, dy), color)
    ax.axhline(entropy, color=plot.GREY, ls="--", lw=1.2)
    end = (float(widths[-1]), entropy)
    _beside(ax, "entropy of the pixel", end, (0, -14), plot.GREY, ha="right")
    ax.set(xlabel="width s of the spikes, in grey levels", ylabel="bits", ylim=(-1, 5.5))


def price_of_the_stop(levels: Tensor, curve: Sequence[float], marked: Mapping[float, int]) -> None:
    """Bits per dimension of the Gaussian against the noise that is left at the stop."""
    _, (ax,) = plot.figure(1, height=2.9, width=6.4)
    ax.semilogx(levels, curve, color=plot.BLUE)
    for t, j in marked.items():
        place = (float(levels[j]), curve[j])
        ax.plot(*place, "o", color=plot.BLUE, ms=5)
        _beside(ax, f"$t_{{min}}$ = {t:g}: {curve[j]:.3f}", place, (-8, 8), "black", ha="right")
    ax.set(xlabel="noise left at $t_{min}$, in grey levels", ylabel="bits/dim, full Gaussian")


# ---------------------------------------------------------------- marks that these figures share


def _gutters(fig, wide: float) -> None:
    """White between panels, as a share of the width, so that they can be cut apart."""
    fig.set_layout_engine("constrained", wspace=wide)


def _beside(ax, text: str, point, shift: tuple[float, float], color: str, ha: str = "left") -> None:
    """A label at a point, shifted by so many points of type."""
    ax.annotate(text, point, xytext=shift, textcoords="offset points", color=color, ha=ha)
