"""The figures of chapter 6: from a ladder to a process."""

from __future__ import annotations

import math

import torch

from .. import plotting as plot


def _row(columns: int, height: float, gutter: float = 0.1, **options):
    """Panels side by side, with white gutters between them."""
    fig, axes = plot.figure(columns, height=height, **options)
    fig.set_layout_engine("constrained", wspace=gutter)
    return axes


def climbs(x0, W, T, rungs) -> None:
    """Six paths from two points, looked at on some of their rungs, coarse to fine."""
    most, half = len(W) - 1, len(x0) // 2
    axes = _row(len(rungs), 2.8, 0.06)
    low, high = float((x0 + W).min()) - 0.4, float((x0 + W).max()) + 0.4
    for ax, k in zip(axes, rungs):
        t, x = torch.linspace(0, T, k + 1), x0 + W[:: most // k]
        for part, color in ((x[:, :half], plot.BLUE), (x[:, half:], plot.ORANGE)):
            ax.plot(t, part, color=color, marker="o" if k < 9 else "", ms=4, lw=1.0)
        ax.set(title=f"{k:,} rungs", xlabel="time t = σ²", ylim=(low, high))
    axes[0].set_ylabel("x")


def two_sums(grids, length, squares) -> None:
    """Sums of |ΔW| and of ΔW² on ever finer grids: one grows, the other settles."""
    left, right = axes = _row(2, 2.9)
    k = torch.tensor(grids)
    titles = "Σ |ΔW|: no limit", "Σ ΔW²: tends to t = 1"
    for ax, values, color, title in zip(axes, (length, squares), (plot.ORANGE, plot.BLUE), titles):
        ax.plot(k, values, color=color, lw=1.1)
        ax.set(title=title, xlabel="steps on [0, 1]", xscale="log")
    left.plot(k, (2 * k / math.pi).sqrt(), color=plot.GREY, ls="--")
    left.set_yscale("log")
    left.text(300, 7, "√(2n/π)", color=plot.GREY, va="top")
    right.axhline(1, color=plot.GREY, ls="--")
    right.set_ylim(0, None)
    for ax in axes:
        ax.minorticks_off()


def two_variances(times, v, measured) -> None:
    """The variance of dx = eᵗ dw: by the formula, by the source, and measured."""
    _, (ax,) = plot.figure(1, height=3.0, width=6.2)
    every = max(1, len(times) // 20)
    ax.plot(times, v, color=plot.BLUE)
    ax.plot(times, times.exp(), color=plot.GREY, ls="--")
    ax.plot(times[::every], measured[::every], "o", ms=4, color=plot.ORANGE)
    ax.text(0.73, 1.38, "(e²ᵗ − 1)/2", color=plot.BLUE)
    ax.text(0.25, 1.47, "eᵗ, the source", color=plot.GREY, ha="right")
    ax.text(0.29, 0.6, "measured", color=plot.ORANGE, ha="right")
    ax.set(xlabel="t", ylabel="variance of x(t)", xlim=(0, 1), ylim=(0, 3.5))


def three_rules(time, runs, grids, gaps) -> None:
    """Left, average and right sum of one path, and the gap of right and left on finer grids. runs:
    name → sums; gaps: integrand → values."""
    left, right = _row(2, 3.1, width_ratios=(1.25, 1))
    every = max(1, (len(time) - 1) // 1024)  # what a screen can show
    for (name, run), color in zip(runs.items(), (plot.BLUE, plot.GREEN, plot.ORANGE)):
        thin = run[::every, 0]
        left.plot(torch.linspace(0, 1, len(thin)), thin, color=color, lw=1.2)
        plot.label_line(left, time, run[:, 0], name, color)
    left.set(title="three sums of one path", xlabel="t", ylabel="sum up to t")
    left.set(xlim=(0, 1.38), xticks=(0, 0.5, 1))
    for (name, values), color, dy in zip(gaps.items(), (plot.BLUE, plot.PINK), (8, 18)):
        right.loglog(grids, values, color=color, marker="o", ms=3)
        right.annotate(
            f"h = {name}",
            (grids[-4], values[-4]),
            xytext=(0, dy),
            textcoords="offset points",
            color=color,
            ha="center",
        )
    right.set(title="|right − left| at t = 1", xlabel="steps", ylim=(None, 12))
    right.minorticks_off()


def moments(families, tenths, parts) -> None:
    """Mean and std of three processes from x₀ = 2: the formulas and the particles of a simulation.
    parts: name → states at the tenths."""
    left, right = _row(2, 3.1)
    t = torch.linspace(0, 1, 201)
    for (name, sde), color in zip(families.items(), (plot.BLUE, plot.ORANGE, plot.GREEN)):
        scale, std = sde.marginal(t)
        x = parts[name]
        left.plot(t, 2 * scale, color=color, lw=4 if name == "VP" else 1.8)
        right.semilogy(t[1:], std[1:], color=color)
        bars = 2 * x.std(1) / x.shape[1] ** 0.5
        left.errorbar(tenths, x.mean(1), yerr=bars, fmt="o", ms=4, color=color)
        right.plot(tenths, x.std(1), "o", ms=4, color=color)
    left.set(xlabel="t", ylabel="mean of x(t)", ylim=(-0.1, 2.25), title="mean (line: formula)")
    right.set(xlabel="t", ylabel="std of x(t)", ylim=(0.005, 20))
    right.set_title("std (dots: simulation)")
    left.text(0.5, 1.78, "σᵗ", color=plot.BLUE)
    left.text(0.43, 1.15, "VP and sub-VP", color=plot.ORANGE)
    right.text(0.62, 4.6, "σᵗ", color=plot.BLUE, ha="right")
    right.text(0.97, 0.48, "VP", color=plot.ORANGE, ha="right")
    right.text(0.15, 0.03, "sub-VP", color=plot.GREEN)
    right.minorticks_off()


def one_family(families, at, sigma, law) -> None:
    """The noise-to-signal ratios of four processes, and one law at the same ratio in two of them.
    at: name → time when the ratio is sigma."""
    left, right = _row(2, 3.2)
    t = torch.linspace(0.003, 1, 200)
    colors = plot.SKY, plot.BLUE, plot.ORANGE, plot.GREEN
    places = (
        (0.44, 0.14, "VE(0.01, 50)"),
        (0.04, 2.4, "σᵗ"),
        (0.8, 90, "VP"),
        (0.05, 0.0011, "sub-VP"),
    )
    for (name, sde), color, (x, y, label) in zip(families.items(), colors, places):
        left.semilogy(t, sde.ratio(t), color=color)
        left.plot(at[name], sigma, "o", color=color, ms=5)
        left.text(x, y, label, color=color)
    left.axhline(sigma, color=plot.GREY, lw=1, ls="--")
    left.minorticks_off()
    left.set(xlabel="t", title="noise-to-signal ratio std/scale", xlim=(0, 1))
    line = torch.linspace(-8, 8, 401)[:, None]
    for name, color, width in (("σᵗ, σ = 25", plot.BLUE, 5), ("VP", plot.ORANGE, 1.8)):
        p = law.diffused(families[name], at[name]).log_prob(line).exp()
        right.plot(line, p, color=color, lw=width, alpha=0.45 if width > 2 else 1)
    scale, _ = families["VP"].marginal(at["VP"])
    right.plot(line / scale, p * scale, color=plot.ORANGE, ls="--", lw=1.6)
    right.text(-0.4, 0.33, "VP", color=plot.ORANGE)
    right.text(-7.9, 0.22, "σᵗ, and VP\nstretched", color=plot.BLUE)
    right.set(xlabel="x", title=f"density at ratio {sigma}", xlim=(-8, 8))


def end_and_prior(ratios, exact, upper, lower, marks) -> None:
    """The divergence of the end from the prior against the largest ratio, between its two bounds.
    marks: name → (ratio, divergence)."""
    _, (ax,) = plot.figure(1, height=3.4, width=6.2)
    for bound in (upper, lower):
        ax.loglog(ratios, bound, color=plot.GREY, ls="--", lw=1.3)
    ax.loglog(ratios, exact, color=plot.BLUE)
    for name, point in marks.items():
        ax.plot(*point, "o", ms=6, color=plot.ORANGE)
        ax.annotate(
            name,
            point,
            xytext=(-7, -9),
            textcoords="offset points",
            color=plot.ORANGE,
            ha="right",
        )
    ax.text(27, 0.08, "upper bound", color=plot.GREY)
    ax.text(1.9, 0.4, "lower bound", color=plot.GREY)
    ax.set(xlabel="noise-to-signal ratio std/scale at T", ylabel="KL($p_T$ ‖ π), nats")
    ax.minorticks_off()
