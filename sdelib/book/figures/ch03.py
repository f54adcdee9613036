"""Figures of chapter 3, Langevin dynamics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ...densities import GaussianMixture
from .. import plotting as plot

EXTENT = (-4.0, 4.0, -4.0, 4.0)
NEAR = dict(textcoords="offset points")


def climb_and_shake(mixture: GaussianMixture, states: Mapping[str, Tensor]) -> None:
    """Particles over the density of a mixture, one panel for each entry of `states`."""
    density = mixture.log_prob(plot.grid_points(EXTENT, 160).to(mixture.means)).exp()
    space = {"wspace": 0.12}
    _, axes = plot.figure(len(states), height=2.9, sharey=True, gridspec_kw=space)
    for ax, (title, x) in zip(axes, states.items()):
        plot.show_density(ax, density, EXTENT)
        large = 30 if title.startswith("no noise") else 4
        ax.scatter(x[:, 0], x[:, 1], s=large, color=plot.ORANGE, lw=0)
        ax.set(title=title, xlim=EXTENT[:2], ylim=EXTENT[2:])
    for ax in axes[1:]:
        ax.set_ylabel("")


def mass_that_moves(line: Tensor, p: Tensor, laws: Mapping[float, tuple[Tensor, Tensor]]) -> None:
    """For some times the particles as bars, the law on the grid as a line, and p, dashed."""
    space = {"wspace": 0.12}
    _, axes = plot.figure(len(laws), height=2.8, sharex=True, gridspec_kw=space)
    for ax, (t, (q, x)) in zip(axes, laws.items()):
        bars = dict(bins=60, range=(-3.2, 3.2), density=True, color=plot.SKY)
        ax.hist(x.flatten().numpy(), **bars)
        ax.plot(line, q, color=plot.BLUE)
        ax.plot(line, p, color=plot.ORANGE, ls="--", lw=1.3)
        ax.set(title=f"τ = {t:g}", xlabel="x", xlim=(-3.2, 3.2))
    axes[0].set_ylabel("density")
    axes[0].text(0.75, 1.05, "particles\nand grid", color=plot.BLUE, ha="right")
    axes[0].text(-1.0, 0.55, "p", color=plot.ORANGE, ha="center")


def falling(tau: Tensor, kl: Tensor, slope: Tensor, fisher: Tensor) -> None:
    """The divergence from p against the simulated time, and its slope on that of the formula."""
    _, (left, right) = plot.figure(2, height=2.9, gridspec_kw={"wspace": 0.12})
    left.semilogy(tau, kl, color=plot.BLUE)
    left.set(xlabel="simulated time τ", ylabel="KL(q‖p), nats", title="the divergence falls")
    right.loglog(tau[1:-1], slope, color=plot.SKY, lw=6)
    right.loglog(tau[1:-1], fisher[1:-1], color=plot.BLUE, lw=1.5)
    words = "wide: −dKL/dτ\nthin: mean of ‖∇ log q/p‖²"
    right.text(0.025, 0.012, words, color=plot.BLUE)
    right.set(xlabel="simulated time τ", ylabel="nats per unit of τ")
    right.set_title("as fast as the formula says")


def settling(epsilons: Sequence[float], measured: Tensor, bars: Tensor, growth: Mapping) -> None:
    """The variance at rest against ε on its formula, and the variance step by step for three ε."""
    _, (left, right) = plot.figure(2, height=3.1, gridspec_kw={"wspace": 0.12})
    e = torch.linspace(0, 1.85, 200)
    left.plot(e, 1 / (1 - e / 2), color=plot.BLUE)
    dots = dict(fmt="o", ms=4, color=plot.ORANGE, zorder=3)
    left.errorbar(epsilons, measured, yerr=bars, **dots)
    left.axhline(1, color=plot.GREY, ls="--", lw=1)
    left.set(xlabel="step size ε", ylabel="variance", title="the law it settles at")
    left.set(xlim=(0, 1.95), ylim=(-1, 14))
    left.text(1.35, 6.4, "1/(1 − ε/2)", color=plot.BLUE, ha="right")
    left.text(0.8, 2.6, "measured", color=plot.ORANGE, ha="right")
    left.text(1.9, -0.1, "p has variance 1", color=plot.GREY, va="center", ha="right")
    colors = plot.GREEN, plot.BLUE, plot.ORANGE
    for (eps, (k, v, true)), color in zip(growth.items(), colors):
        right.semilogy(k, true, color=color)
        right.semilogy(k, v, "o", ms=3, color=color)
        plot.label_line(right, k, v, f"ε = {eps:g}", color, dx=6)
    right.set(xlabel="steps", ylabel="variance", title="stable, on the edge, lost")
    right.set_xlim(0, 39)


def bias_of_steps(tries: Sequence[float], bias: Sequence[float], seen: Mapping, n: int) -> None:
    """The gap between the law of the steps and p against ε: on a grid, and for n particles."""
    _, (ax,) = plot.figure(1, height=3.1, width=5.6)
    ax.loglog(tries, bias, color=plot.BLUE)
    how = dict(xytext=(-10, 8), color=plot.BLUE, ha="right", **NEAR)
    ax.annotate("the law of the steps, on a grid", (0.1, 0.026), **how)
    ax.loglog(list(seen), list(seen.values()), "o", color=plot.ORANGE)
    last = max(seen)
    how = dict(xytext=(-14, 2), color=plot.ORANGE, ha="right", **NEAR)
    ax.annotate(f"{n:,} particles", (last, seen[last]), **how)
    one = [bias[0] * e / tries[0] * 0.6 for e in tries]
    ax.loglog(tries, one, color=plot.GREY, ls=":")
    there = (0.02, bias[0] * 0.02 / tries[0] * 0.6)
    ax.annotate("slope 1", there, xytext=(6, -12), color=plot.GREY, **NEAR)
    ax.axhline(0.87 / n**0.5, color=plot.GREY, lw=1)
    there = (0.005, 0.87 / n**0.5)
    ax.annotate("exact draws", there, xytext=(0, 4), color=plot.GREY, **NEAR)
    ax.set(xlabel="step size ε", ylabel="largest gap to p's distribution")


def refused(grid: Sequence[float], table: Mapping, exact: Callable[[float, int], float]) -> None:
    """For some dimensions the share of accepted steps and the squared jump, against ε."""
    _, (left, right) = plot.figure(2, height=3.2, gridspec_kw={"wspace": 0.12})
    places = {1: (1.75, 0.66), 10: (1.25, 0.26), 100: (0.075, 0.6)}
    others = {1: (1.9, 1.75), 10: (1.75, 0.3), 100: (0.12, 0.02)}
    for d, color in zip(table, (plot.BLUE, plot.GREEN, plot.ORANGE)):
        left.plot(grid, [exact(float(eps), d) for eps in grid], color=color)
        left.plot(grid, [rate for rate, _ in table[d]], "o", ms=4, color=color)
        left.text(*places[d], f"d = {d}", color=color)
        jumps = [float(j.mean()) for _, j in table[d]]
        right.plot(grid, jumps, "o-", ms=4, color=color)
        right.text(*others[d], f"d = {d}", color=color)
    left.set(xscale="log", xlabel="step size ε", ylabel="accepted")
    left.set(title="more steps are refused", xlim=(0.025, 8))
    right.set(xscale="log", xlabel="step size ε", ylabel="squared jump per coordinate")
    right.set(title="how far a step gets", xlim=(0.025, 8))


def waiting(distances: Sequence[float], exact: Sequence[Tensor], share: Tensor) -> None:
    """The share of particles that are still in the first mode, for modes further and further
    apart."""
    _, (ax,) = plot.figure(1, height=3.3, width=6.4)
    colors = plot.BLUE, plot.GREEN, plot.ORANGE, plot.PINK, plot.GREY
    stop = len(share) - 1
    for j, (distance, color) in enumerate(zip(distances, colors)):
        ax.plot(exact[j], color=color)
        ax.plot(share[:, j], "o", ms=3, color=color)
        words, dy = f"distance {distance:.3g}", (-9, 6, 0, 0, 0)[j]
        plot.label_line(ax, [stop], exact[j][-1:], words, color, dy=dy)
    ax.axhline(0.2, color=plot.GREY, ls="--", lw=1)
    ax.text(0.2, 0.12, "at rest: 0.2", color=plot.GREY)
    ax.set(xlabel="simulated time τ", ylabel="still in the first mode")
    ax.set(ylim=(0, 1.04), xlim=(0, stop))


def barriers(heights: Sequence[float], waits, formula, dots: Sequence[tuple]) -> None:
    """The waiting time against the barrier: grid, formula, and particles as (barrier, low, middle,
    high)."""
    _, (ax,) = plot.figure(1, height=3.4, width=6.4)
    ax.semilogy(heights, waits, color=plot.BLUE)
    ax.semilogy(heights, formula, color=plot.ORANGE, ls="--")
    for x, low, mid, high in dots:
        bars = [[mid - low], [high - mid]]
        ax.errorbar(x, mid, yerr=bars, fmt="o", ms=5, color=plot.GREEN)
    x, _, mid, _ = dots[1]
    how = dict(xytext=(-12, 10), color=plot.GREEN, ha="right", **NEAR)
    ax.annotate("particles", (x, mid), **how)
    how = dict(xytext=(-8, 6), color=plot.BLUE, ha="right", **NEAR)
    ax.annotate("grid", (heights[6], waits[6]), **how)
    how = dict(xytext=(10, -12), color=plot.ORANGE, **NEAR)
    ax.annotate("Eyring–Kramers", (heights[6], formula[6]), **how)
    ax.plot(heights[-1], waits[-1], "s", ms=6, color=plot.BLUE)
    how = dict(xytext=(-10, 2), color=plot.BLUE, ha="right", **NEAR)
    ax.annotate("two_modes()", (heights[-1], waits[-1]), **how)
    ax.set(xlabel="barrier ΔV, nats", ylabel="waiting time T")
