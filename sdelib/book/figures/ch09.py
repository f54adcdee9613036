"""The figures of chapter 9: predictor and corrector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from .. import plotting as plot

Pair = tuple[float, float]
COLORS = {"flow": plot.BLUE, "SDE": plot.ORANGE, "corrector alone": plot.GREEN}
"""One colour for each predictor; a corrector makes its line dashed."""


def corrected_clouds(target, clouds: Mapping[int, Tensor], shown: Sequence[int]) -> None:
    """A wrong cloud over the density of the right one, after some numbers of corrections."""
    extent = (-4.5, 4.5, -4.5, 4.5)
    shade = target.log_prob(plot.grid_points(extent, 90).double()).exp()
    fig, axes = plot.figure(len(shown), height=2.6, width=8.0)
    _gutters(fig, 0.06)
    for ax, k in zip(axes, shown):
        plot.show_density(ax, shade, extent)
        ax.plot(*clouds[k][:250].T, ".", ms=2.5, color=plot.ORANGE)
        ax.set(title=f"{k} corrections", xlim=extent[:2], ylim=extent[2:])
        ax.set(xticks=range(-4, 5, 2), yticks=range(-4, 5, 2))


def error_of_the_variance(
    snrs: Tensor, curves: Mapping[int, Tensor], dots: Mapping[tuple[int, float], float]
) -> None:
    """The error of the variance against snr after some numbers of corrections: curves on paper,
    dots measured."""
    _, (ax,) = plot.figure(1, height=3.3, width=6.8)
    colors = dict(zip(curves, (plot.ORANGE, plot.GREEN, plot.BLUE)))
    ax.loglog(snrs, snrs**2, color=plot.GREY, ls="--", lw=1.3)
    ax.text(0.085, 0.0042, "at rest: snr²", color=plot.GREY)
    for K, curve in curves.items():
        ax.loglog(snrs, curve, color=colors[K])
    for (K, snr), error in dots.items():
        ax.plot(snr, error, "o", ms=5, color=colors[K])
    for K, place in zip(curves, ((0.42, 1.15), (0.18, 0.255), (0.068, 0.11))):
        ax.text(*place, f"{K} correction" + "s" * (K > 1), color=colors[K], ha="right")
    ax.set(xlabel="snr", ylabel="error of the variance, |R − 1|", ylim=(2e-3, 2))


def one_step(widths: Tensor, off: Mapping[str, Sequence[float]]) -> None:
    """The error of the variance after one step of each predictor, for data of every width."""
    _, (ax,) = plot.figure(1, height=3.2, width=7.2)
    for (name, y), color in zip(off.items(), (plot.BLUE, plot.ORANGE, plot.GREEN, plot.PINK)):
        ax.semilogx(widths, y, color=color)
        ax.annotate(
            name,
            (float(widths[0]), y[0]),
            xytext=(2, -14 if name == "ancestral" else 4),
            textcoords="offset points",
            color=color,
        )
    ax.set(xlabel="variance of the data", ylabel="error of the variance, R − 1")
    ax.set(ylim=(-0.11, 0.34), title="one step of VP, t = 0.5 → 0.45")


def one_gaussian(
    budgets: Sequence[int],
    best: Mapping[tuple[float, str, int], float],
    fixed: Mapping[tuple[float, int], float],
) -> None:
    """The error of the variance against the number of evaluations, for a point and for one mode."""
    fig, axes = plot.figure(2, height=3.4, width=9.4)
    _gutters(fig, 0.05)
    beside = {
        0.0: {"corrector alone": 4, "flow": -6, "SDE + 1": 7, "SDE": -2, "flow + 1": -13},
        0.25: {"flow": 5, "corrector alone": -1, "SDE": 3, "flow + 1": 0, "SDE + 1": -9},
    }
    titles = ("data: one point", "data: one mode, variance 0.25")
    for ax, (v0, shifts), title in zip(axes, beside.items(), titles):
        for name, dy in shifts.items():
            y = [best[v0, name, N] for N in budgets]
            _line(ax.loglog, name)(budgets, y, marker="o", ms=3)
            plot.label_line(ax, budgets, y, name, _color(name), dx=6, dy=dy)
        y = [fixed[v0, N] for N in budgets]
        ax.loglog(budgets, y, color=plot.BLUE, ls=":", lw=1.2)
        ax.set(ylabel="error of the variance, |R − 1|", title=title, ylim=(0.008, 8))
        _evaluations(ax, budgets)


def at_equal_cost(
    spent: Sequence[int],
    spreads: Mapping[tuple[str, int], Pair],
    weights: Mapping[tuple[str, int], Pair],
) -> None:
    """Excess spread on the garden and weight of the heavy mode against the number of evaluations;
    bars are two standard errors."""
    fig, axes = plot.figure(2, height=3.3, width=9.4)
    _gutters(fig, 0.05)
    beside = (
        {"flow": -5, "flow + 1": -4, "SDE": -2, "SDE + 1": 7, "corrector alone": 5},
        {"flow": 0, "flow + 1": 0, "SDE": -2, "SDE + 1": 5, "corrector alone": -2},
    )
    for ax, table, shifts in zip(axes, (spreads, weights), beside):
        for i, (name, dy) in enumerate(shifts.items()):
            y, e = zip(*(table[name, NFE] for NFE in spent))
            at = [NFE * 1.02 ** (i - 2) for NFE in spent]
            bars = [2 * a for a in e]
            _line(ax.errorbar, name)(at, y, yerr=bars, marker="o", ms=3.5, capsize=2)
            plot.label_line(ax, spent, y, name, _color(name), dx=13, dy=dy)
    axes[0].set(xscale="log", yscale="log", ylim=(0.02, 150), title="garden, exact start")
    axes[0].set_ylabel("excess spread of the hills")
    axes[1].axhline(0.8, color=plot.GREY, lw=1, ls=":")
    axes[1].set(xscale="log", ylim=(0.55, 0.82), title="two modes, from the prior")
    axes[1].set_ylabel("weight of the heavy mode")
    for ax in axes:
        _evaluations(ax, spent)


def other_snr(
    scan: Sequence[float],
    measured: Mapping[str, Mapping[str, Sequence[Pair]]],
    alone: Mapping[str, Mapping[str, Pair]],
) -> None:
    """Excess spread and weight of the heaviest hill at one price, against snr; level lines are the
    predictors alone, and bars two standard errors."""
    colors = {"flow + 1": plot.BLUE, "flow + 3": plot.SKY, "SDE + 1": plot.ORANGE}
    fig, axes = plot.figure(2, height=3.3, width=9.4)
    _gutters(fig, 0.05)
    for ax, (label, curves) in zip(axes, measured.items()):
        for name, pairs in curves.items():
            y, e = zip(*pairs)
            mark = "s" if name == "flow + 3" else "o"
            how = {"color": colors[name], "ls": "--", "marker": mark, "ms": 4, "capsize": 2}
            ax.errorbar(scan, y, yerr=[2 * a for a in e], **how)
            dy = {"SDE + 1": -9}.get(name, 0) if ax is axes[0] else 0
            where = {"textcoords": "offset points", "ha": "right", "va": "center"}
            ax.annotate(name, (scan[0], y[0]), xytext=(-8, dy), color=colors[name], **where)
        for name, (level, _) in alone[label].items():
            ax.axhline(level, color=COLORS[name], lw=1.2)
            plot.label_line(ax, (0.85,), (level,), f"{name} alone", COLORS[name], dx=5)
        ax.set(xlabel="snr", ylabel=label, title=f"garden, {label.split(' of')[0]}")
        ax.set(xlim=(-0.22, 0.85), xticks=(0.2, 0.4, 0.6, 0.8))
    axes[0].set(yscale="log", ylim=(0.08, 8))
    axes[1].axhline(0.5, color=plot.GREY, lw=1, ls=":")


def what_is_mended(apart: Mapping[str, Mapping[str, float]], luck: float) -> None:
    """The error in law of three samplers with one error after another switched on."""
    _, (ax,) = plot.figure(1, height=3.3, width=7.2)
    for (name, values), color, mark in zip(
        apart.items(), (plot.ORANGE, plot.SKY, plot.BLUE), "osD", strict=True
    ):
        ax.plot(list(values.values()), range(4), mark, color=color, ms=8, label=name)
    ax.legend(loc="lower right")
    ax.axvspan(0, luck, color="#DDDDDD", zorder=0)
    ax.text(luck + 0.008, 3.55, "← luck of the draw", color=plot.GREY, va="center")
    rows = ["step alone", "step and start", "step and stop", "step and score"]
    ax.set(yticks=range(4), yticklabels=rows, ylim=(-0.6, 3.9), xlim=(0, 0.62))
    ax.set_xlabel("error in law, units of x")


# ---------------------------------------------------------------- marks that these figures share


def _gutters(fig, wide: float) -> None:
    """White between panels, as a share of the width, so that they can be cut apart."""
    fig.set_layout_engine("constrained", wspace=wide)


def _color(name: str) -> str:
    """The colour of a method: that of its predictor."""
    return COLORS[name.split(" +")[0]]


def _line(draw, name: str):
    """`draw` in the colour of a method, dashed if it has a predictor and a corrector."""
    return lambda *a, **how: draw(*a, color=_color(name), ls="--" if "+" in name else "-", **how)


def _evaluations(ax, numbers: Sequence[int]) -> None:
    """An axis of evaluations that names the numbers measured."""
    ax.set(xlabel="NFE", xticks=numbers, xticklabels=numbers)
    ax.minorticks_off()
