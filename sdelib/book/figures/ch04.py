"""The figures of chapter 4: why one noise level is not enough."""

from __future__ import annotations

import torch

from .. import plotting as plot


def _pair(height: float, **options):
    """Two panels with a white gutter between them."""
    fig, axes = plot.figure(2, height=height, **options)
    fig.set_layout_engine("constrained", wspace=0.1)
    return fig, axes


def weights_lost(law, drawn, ended, shares) -> None:
    """Draws of the data beside the ends of chains that follow the exact score: the weights
    differ."""
    extent = (-4.5, 4.5, -4.5, 4.5)
    density = law.log_prob(plot.grid_points(extent, 120)).exp()
    _, axes = _pair(3.6)
    names = "the data", "Langevin dynamics, exact score"
    for ax, x, share, name in zip(axes, (drawn, ended), shares, names):
        plot.show_density(ax, density, extent)
        ax.plot(*x.T, ".", color=plot.ORANGE, ms=1.5)
        for text, at in ((f"{1 - share:.0%}", (2, 3.7)), (f"{share:.0%}", (-2, -0.1))):
            ax.text(*at, text, color=plot.ORANGE, fontsize=13, ha="center")
        ax.set(title=name, xlim=extent[:2], ylim=extent[2:])


def error_map(grid, error, log_p, bins, medians) -> None:
    """The error of a learned score in the plane, and the median error of several trainings (the
    last one on the whole square) against the density."""
    x = grid[..., 0], grid[..., 1]
    square = (float(x[0].min()), float(x[0].max()), float(x[1].min()), float(x[1].max()))
    fig, (left, right) = plot.figure(2, height=3.7)
    fig.set_layout_engine("constrained", wspace=0.12)
    shown = left.imshow(
        error, origin="lower", extent=square, cmap="magma_r", norm="log", vmin=0.03, vmax=30
    )
    lines = left.contour(
        *x, log_p, levels=[-20, -6, -2], colors="black", linewidths=0.9, linestyles="solid"
    )
    left.clabel(lines, fmt=lambda v: f"$10^{{{v:.0f}}}$", fontsize=8)
    left.set(xlabel="$x_1$", ylabel="$x_2$", title="error ‖$s_θ$ − s‖, first training")
    left.set_aspect("equal")
    left.grid(False)
    fig.colorbar(shown, ax=left, shrink=0.85)
    middle = (bins[1:] + bins[:-1]) / 2
    for k, line in enumerate(medians):
        everywhere = k == len(medians) - 1
        right.semilogy(middle, line, color=plot.ORANGE if everywhere else plot.BLUE, lw=1.3)
    right.text(-58, 14, "trained on the data", color=plot.BLUE)
    right.text(-58, 0.045, "trained everywhere", color=plot.ORANGE)
    right.set(
        xlabel="$\\log_{10}$ of the density $p_σ(x)$",
        ylabel="median error",
        title="and against the density",
        ylim=(0.03, 40),
    )


def shares_over_time(far, corrected, near, foretold) -> None:
    """The share of the heavy mode against time: modes far apart with two samplers, modes close by,
    and what the relaxation rate foretells. Each is (times, shares)."""
    _, (ax,) = plot.figure(1, width=6.6, height=3.0)
    ax.axhline(0.8, color=plot.GREY, ls="--", lw=1.2)
    ax.plot(*far, color=plot.BLUE)
    ax.plot(*corrected, color=plot.SKY, ls=":", lw=2.5)
    ax.plot(*near, color=plot.ORANGE)
    ax.plot(*foretold, color="black", lw=1)
    end, there = float(far[0][-1]), float(near[0][-1])
    ax.text(end, 0.815, "truth", color=plot.GREY, ha="right")
    ax.text(end, 0.53, "modes at ±2: both samplers", color=plot.BLUE, ha="right")
    ax.text(there + end / 60, 0.725, "modes at ±1;\nblack: from λ", color=plot.ORANGE)
    ax.set(xlabel="time εK", ylabel="share in the heavy mode", ylim=(0.4, 0.87))


def mode_weights(rows) -> None:
    """Shares of the heavy mode with bars of two standard errors; rows: (name, share, error)."""
    _, (ax,) = plot.figure(1, width=6.6, height=3.0)
    for k, (name, share, error) in enumerate(rows):
        color = plot.GREY if not error else plot.ORANGE if "learned" in name else plot.BLUE
        ax.errorbar(share, -k, xerr=2 * error, fmt="o", color=color, capsize=3)
        high = share > 0.7
        ax.annotate(
            name,
            (share + 2 * error, -k),
            xytext=(-9, 0) if high else (9, 0),
            textcoords="offset points",
            color=color,
            va="center",
            ha="right" if high else "left",
        )
    ax.set(yticks=[], xlim=(0.4, 0.87), xlabel="share in the heavy mode")


def two_losses(histories, floor) -> None:
    """Sliced losses of two trainings, averaged over 50 steps, and the floor that one of them has.
    histories: name → losses."""
    _, (ax,) = plot.figure(1, width=6.0, height=3.2)
    for (name, history), color in zip(histories.items(), (plot.ORANGE, plot.BLUE)):
        smooth, n = history.unfold(0, 50, 10).mean(1), len(history)
        ax.plot(torch.arange(len(smooth)) * 10 + 25, smooth, color=color)
        ax.annotate(
            name,
            (n * 0.62, float(smooth[int(len(smooth) * 0.62)])),
            xytext=(0, 9),
            textcoords="offset points",
            color=color,
        )
    ax.axhline(floor, color=plot.GREY, ls="--", lw=1.2)
    ax.text(n, floor * 1.25, "floor with noise", color=plot.GREY, va="top", ha="right")
    ax.set_yscale("symlog", linthresh=10)
    ax.set(ylim=(None, 8), xlabel="training step", ylabel="sliced loss")


def garments_and_noise(sheets) -> None:
    """Four garments, their nearest others, and noise as long as the step between them. sheets:
    title → images."""
    fig, panels = plot.figure(len(sheets), height=2.6)
    fig.set_layout_engine("constrained", wspace=0.08)
    for ax, (title, images) in zip(panels, sheets.items()):
        plot.show_images(ax, images.reshape(-1, 28, 28), columns=2, title=title)


def directions_and_scores(held, marks, levels, curves) -> None:
    """The variance that the leading directions of images hold, and how three scores grow as noise
    goes. marks: number of directions → share; curves: name → sizes."""
    _, (left, right) = _pair(3.1)
    left.plot(torch.arange(1, len(held) + 1), held, color=plot.BLUE)
    left.plot(list(marks), list(marks.values()), "o", color=plot.ORANGE)
    for (count, share), at in zip(marks.items(), ((10, -9), (0, -17))):
        left.annotate(
            f"{count} directions",
            (count, share),
            xytext=at,
            textcoords="offset points",
            color=plot.ORANGE,
        )
    left.set(xlabel="number of directions", ylabel="share of the variance", ylim=(0, 1.05))
    left.set_title("images, without noise")
    colors, places = (plot.BLUE, plot.ORANGE, plot.GREEN), ((6, 4), (-40, -10), (-30, -15))
    for (name, curve), color, at in zip(curves.items(), colors, places):
        right.loglog(levels, curve, color=color)
        right.annotate(
            name,
            (float(levels[3]), float(curve[3])),
            xytext=at,
            textcoords="offset points",
            color=color,
        )
    right.set(xlabel="noise σ", ylabel="size of one coordinate of $s_σ$")
    right.set_title("the score as noise goes")


def right_score_wrong_density(levels, relative, wrong, steps, ran) -> None:
    """Against the noise: the error of the score at the starts, the error of the density, and the
    steps that a chain needs to forget its start."""
    _, (left, right) = _pair(3.2)
    left.semilogx(levels, relative, "o", color=plot.BLUE, ms=4)
    left.semilogx(levels, relative.mean(1), color=plot.BLUE)
    left.semilogx(levels, wrong, "s-", color=plot.ORANGE, ms=4)
    above = float(relative[0].max()) + 0.05
    left.text(0.1, above, "error of the score\nat the starts", color=plot.BLUE)
    left.text(0.9, 0.42, "error of\nthe density", color=plot.ORANGE, va="top")
    left.set(xlabel="noise σ", ylabel="relative error, total variation", ylim=(0, 1.05))
    left.set_title("right score, wrong density")
    right.loglog(levels, steps, "o-", color=plot.GREEN, ms=4)
    right.axhline(ran, color=plot.GREY, ls="--", lw=1.2)
    right.text(levels[-1], ran * 1.4, "what we ran", color=plot.GREY, ha="right")
    right.set(xlabel="noise σ", ylabel="steps", title="steps to forget the start")
