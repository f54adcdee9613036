"""The figures of chapter 5: many noise levels."""

from __future__ import annotations

import torch

from .. import plotting as plot


def _gutter(fig, width: float = 0.1) -> None:
    """White space between the panels."""
    fig.set_layout_engine("constrained", wspace=width)


def down_the_ladder(mixture, clouds) -> None:
    """The exact density of some levels and the chains that leave them. clouds: σ → points."""
    extent = (-14.0, 14.0, -14.0, 14.0)
    fig, axes = plot.figure(len(clouds), height=2.5, width=9.2)
    _gutter(fig, 0.06)
    grid = plot.grid_points(extent, 120).double()
    for ax, (sigma, x) in zip(axes, clouds.items()):
        plot.show_density(ax, mixture.blurred(sigma).log_prob(grid).exp(), extent)
        ax.plot(*x.T, ".", color=plot.ORANGE, ms=2)
        ax.set(title=f"σ = {sigma:.2g}", xlim=extent[:2], ylim=extent[2:], ylabel="")
    axes[0].set_ylabel("$x_2$")


def share_against_cost(evaluations, curves) -> None:
    """The share of the heavy mode against the evaluations, annealed and naive. curves: name →
    (shares, bars)."""
    _, (ax,) = plot.figure(1, height=3.2, width=7.0)
    for (name, (values, bars)), color, up in zip(
        curves.items(), (plot.BLUE, plot.ORANGE), (-26, 14)
    ):
        ax.errorbar(evaluations, values, yerr=bars, color=color, marker="o", ms=4, capsize=3)
        ax.annotate(
            name,
            (evaluations[-1], values[-1]),
            xytext=(0, up),
            textcoords="offset points",
            ha="right",
            color=color,
        )
    ax.axhline(0.8, color=plot.GREY, ls="--")
    ax.annotate(
        "truth",
        (evaluations[0], 0.8),
        xytext=(0, 5),
        textcoords="offset points",
        color=plot.GREY,
    )
    ax.set(xscale="log", xlabel="score evaluations per chain", ylim=(0.45, 0.86))
    ax.set_ylabel("share in the heavy mode")


def share_against_level(sigmas, right, paths) -> None:
    """The share of the heavy mode on leaving each level, beside the right one. paths: steps a level
    → shares, σ_1 first."""
    _, (ax,) = plot.figure(1, height=3.1, width=7.0)
    ax.semilogx(sigmas, right, color=plot.GREY, ls="--")
    plot.label_line(ax, sigmas[:1], right[:1], "right at this σ", plot.GREY, dx=8, dy=7)
    for (steps, path), color in zip(paths.items(), (plot.SKY, plot.BLUE, plot.GREEN)):
        ax.semilogx(sigmas, path, color=color, marker="o", ms=4)
        below = -7 if path[0] > 0.77 else 0
        plot.label_line(ax, sigmas[:1], path[:1], f"{steps} steps a level", color, dx=8, dy=below)
    ax.invert_xaxis()
    ax.set(xlabel="noise level σ (time runs to the right)", ylim=(0.47, 0.86))
    ax.set_ylabel("share in the heavy mode")


def loss_by_level(sigmas, rows) -> None:
    """What each level adds to the loss. rows: name → (values, place of the name)."""
    _, (ax,) = plot.figure(1, height=3.0, width=6.6)
    for (name, (values, at)), color in zip(rows.items(), (plot.ORANGE, plot.BLUE, plot.GREEN)):
        ax.loglog(sigmas, values, color=color)
        ax.text(*at, name, color=color)
    ax.set(xlabel="noise level σ", ylabel="loss of this level, per coordinate")


def distances_and_counts(pairs, farthest, widths, counts, many) -> None:
    """The distances between images, and how many images a noisy one may have come from."""
    fig, (left, right) = plot.figure(2, height=3.0)
    _gutter(fig)
    left.hist(pairs, bins=60, color=plot.SKY, density=True)
    left.axvline(farthest, color=plot.ORANGE)
    left.annotate(
        "largest\nof all",
        (farthest, 0.12),
        xytext=(-6, 0),
        textcoords="offset points",
        color=plot.ORANGE,
        ha="right",
    )
    left.set(xlabel="distance between two images", ylabel="share per unit of distance")
    left.set_xlim(0, None)
    right.semilogx(widths, counts, color=plot.BLUE)
    right.axvline(farthest, color=plot.ORANGE)
    right.axhline(many, color=plot.GREY, ls="--")
    right.annotate(
        f"all {many:,}",
        (0.1, many),
        xytext=(0, -14),
        textcoords="offset points",
        color=plot.GREY,
    )
    right.set(xlabel="noise level σ", ylabel="effective number of images")


def shells(radius, gamma, ratios, overlaps) -> None:
    """Lengths of noise at three levels, and the overlap of two shells against their ratio."""
    fig, (left, right) = plot.figure(2, height=3.0)
    _gutter(fig)
    for g, color in ((1.0, plot.BLUE), (gamma, plot.ORANGE), (1.3, plot.GREY)):
        left.hist(g * radius, bins=60, color=color, density=True, alpha=0.75)
        left.annotate(f"{g:.3g}", (28 * g, 0.62 / g), color=color, ha="center")
    left.set(xlabel="length of the noise, for σ as written", ylabel="density", ylim=(0, 0.7))
    right.plot(ratios, overlaps, color=plot.BLUE)
    right.plot(gamma, 0.5, "o", color=plot.ORANGE)
    right.annotate(
        f"γ = {gamma:.3f}",
        (gamma, 0.5),
        xytext=(9, 2),
        textcoords="offset points",
        color=plot.ORANGE,
    )
    right.set(xlabel="ratio γ of neighbouring levels", ylabel="overlap C(γ), d = 784")


def variance_against_rate(rates, curves, best) -> None:
    """The variance at the bottom of the ladder against the rate. curves: steps a level → values;
    best: steps → (value, rate)."""
    _, (ax,) = plot.figure(1, height=3.1, width=6.6)
    colors = plot.ORANGE, plot.YELLOW, plot.PINK, plot.SKY, plot.BLUE
    for (steps, values), color in zip(curves.items(), colors):
        ax.plot(rates, values, color=color)
        ax.plot(best[steps][1], best[steps][0], "o", color=color)
    names = ", ".join(map(str, curves))
    ax.text(0.2, 2.08, f"K = {names} steps, from the top; dots: the best rate")
    ax.axhline(1, color=plot.GREY, ls="--")
    ax.set(xlabel="rate r = ε/σ²", ylabel="variance at the bottom, in σ₁²", ylim=(0.9, 2.2))


def two_sheets(sheets, columns) -> None:
    """Two sheets of images side by side. sheets: title → images."""
    fig, axes = plot.figure(2, height=2.9, width=8.0)
    _gutter(fig, 0.06)
    for ax, (title, images) in zip(axes, sheets.items()):
        plot.show_images(ax, images, columns=columns, title=title)


def down_in_pictures(pictures) -> None:
    """Two images at levels of falling noise, one column a level. pictures: σ → two images."""
    _, axes = plot.figure(len(pictures), height=2.2, width=9.2)
    for ax, (sigma, images) in zip(axes, pictures.items()):
        plot.show_images(ax, images, columns=1, title=f"σ = {sigma:.2g}")


def beside_their_nearest(rows) -> None:
    """Rows of images, one under the other. rows: title → images."""
    _, axes = plot.figure(1, rows=len(rows), height=4.4, width=8.4)
    for ax, (title, images) in zip(axes, rows):
        plot.show_images(ax, torch.as_tensor(images), columns=len(images), title=title)
