"""Chapter 8: paths and averages of solvers, where they spend their steps, and four errors."""

from __future__ import annotations

import numpy as np
import torch

from ...widgets import particles
from .. import plotting as plot

COLORS = {
    "Euler–Maruyama": plot.ORANGE,
    "Platen": plot.BLUE,
    "Heun for Itô": plot.GREEN,
    "Heun": plot.PINK,
    "SRA": plot.GREEN,
    "exponential": plot.YELLOW,
}


def ten_paths(density, sde, fine, coarse, *, cost: int):
    """Ten paths by very fine steps and by a solver, over the density of x_t; fine, coarse: (times,
    states)."""
    times, smooth = fine
    film = times[:: len(times) // 80]  # 81 times for the picture
    grid, states = coarse
    drawn = [np.interp(-film, -grid, states[:, j, 0]) for j in range(10)]  # straight between steps
    x = torch.cat([smooth[:: len(times) // 80, :10, 0], torch.as_tensor(np.array(drawn)).T], 1)
    off = float((states[-1] - smooth[-1]).abs().median())
    moved = int(((states[-1] < 0) != (smooth[-1] < 0)).sum())
    return particles(
        torch.stack([film[:, None].expand_as(x), x], -1),
        (0, 1, -5.5, 5.5),
        _density_in_time(density, sde),
        groups=[0] * 10 + [1] * 10,
        times=film,
        labels=("very fine steps", "this solver"),
        label="density, in parts of its maximum",
        note=f"{cost} score evaluations; of {states.shape[1]} points the typical one ends "
        f"{off:.2g} off, {moved} end in another mode",
    )


def ten_evaluations(density, sde, fine, runs, *, count: int = 5) -> None:
    """A few paths of ten_paths, one panel for each solver; runs: title → (times, states)."""
    fig, axes = plot.figure(len(runs), width=9.8, height=2.7, sharey=True)
    for ax, (title, (times, states)) in zip(axes, runs.items()):
        shade, extent = _density_in_time(density, sde), (0, 1, -5.5, 5.5)
        ax.imshow(shade, origin="lower", extent=extent, aspect="auto", cmap="Blues", vmax=1.4)
        ax.plot(fine[0], fine[1][:, :count, 0], color=plot.BLUE, lw=0.7)
        ax.plot(times, states[:, :count, 0], color=plot.ORANGE, lw=1.2)
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(-5.5, 5.5), xlabel="t", title=title)
        ax.grid(False)
    _apart(fig, axes, own=True)
    axes[0].set_ylabel("x")


def _density_in_time(density, sde):
    """p_t(x) for t from 0 to 1 and |x| ≤ 5.5, each column in parts of its maximum: (60, 80)."""
    t, x = torch.linspace(0, 1, 80).clamp(min=1e-3), torch.linspace(-5.5, 5.5, 60)
    columns = [density.diffused(sde, a).log_prob(x[:, None]).exp() for a in t]
    shade = torch.stack(columns, dim=1)
    return shade / shade.max(0).values


def one_path(times, exact, runs) -> None:
    """One path and its solution by Euler–Maruyama and Platen; runs: a panel each, name → (t, x)."""
    fig, axes = plot.figure(2, width=8.0, height=3.0, sharey=True)
    for ax, run in zip(axes, runs):
        ax.plot(times, exact, color=plot.GREY, lw=1.0)
        for name, (t, x) in run.items():
            few = len(t) < 20
            ax.plot(t, x, color=COLORS[name], marker="o", ms=3 if few else 2, lw=1.3)
        ax.set(title=f"{len(t) - 1} steps", xlabel="t", xticks=(0, 0.5, 1))
    _apart(fig, axes, own=True)
    _legend(axes[0], {"Platen": plot.BLUE, "Euler–Maruyama": plot.ORANGE, "exact": plot.GREY}, 0.96)
    axes[0].set_ylabel("x")


def two_orders(h, strong, slopes, h_weak, weak, paper, slope) -> None:
    """Left, errors of paths, with slopes. Right, errors of the mean: (mean, error) by method, and
    on paper, with its slope."""
    fig, (left, right) = plot.figure(2, height=3.4, width=8.6)
    text = {"Euler–Maruyama": 11, "Platen": 20, "Heun for Itô": -22, "Heun": 9}
    for name, dy in text.items():
        left.loglog(h, strong[name], color=COLORS[name], marker="o", ms=4)
        said = name.replace("Platen", "Platen = Milstein")
        left.annotate(
            said + (": stays" if name == "Heun" else f": {slopes[name]:.2f}"),
            (h[1], strong[name][1]),
            xytext=(14 if dy < 0 else -2 if dy == 20 else -6, dy),
            textcoords="offset points",
            color=COLORS[name],
            ha="left" if dy < 0 else "center",
        )
    title = "strong: one's own path"
    left.set(xlabel="step Δt", ylabel="strong error", title=title, ylim=(0.01, 3.0))
    for name, shift in (("Euler–Maruyama", 0.94), ("Platen", 1.06)):
        mean, se = torch.tensor(weak[name]).T
        at = torch.as_tensor(h_weak) * shift
        right.errorbar(at, mean, yerr=2 * se, fmt="o", ms=4, color=COLORS[name])
    right.loglog(h_weak, paper, color=plot.GREY, lw=1.2)
    right.annotate(
        f"on paper, both: {slope:.2f}",
        (h_weak[2], paper[2]),
        xytext=(-14, 10),
        textcoords="offset points",
        color=plot.GREY,
        ha="right",
    )
    right.set(xlabel="step Δt", ylabel="weak error, φ(x) = x", title="weak: the average")
    right.set(yticks=(0.02, 0.05, 0.1), yticklabels=("0.02", "0.05", "0.1"))
    _fractions(left, (64, 32, 16, 8))
    _fractions(right, (32, 16, 8, 4))
    _apart(fig, (left, right))


def areas(s, bridges) -> None:
    """Brownian bridges with one increment, and the areas under them; bridges: (times, 3)."""
    fig, axes = plot.figure(3, height=2.4, width=8.6, sharey=True)
    for ax, W, color in zip(axes, bridges.T, (plot.BLUE, plot.GREEN, plot.ORANGE)):
        ax.fill_between(s, W, color=color, alpha=0.25, lw=0)
        ax.plot(s, W, color=color, lw=1.1)
        title = f"ΔW = {W[-1]:.1f}, area {torch.trapezoid(W, s):.2f}"
        ax.set(title=title, xlabel="s", xticks=(0, 0.5, 1))
    _apart(fig, axes, own=True)
    axes[0].set_ylabel("$W_s$")


def additive(strong, weak, slopes) -> None:
    """Errors against the step for noise g(t); strong, weak: (steps, errors by method); slopes: two
    by method."""
    fig, (left, right) = plot.figure(2, height=3.3, width=8.6)
    place = {
        "Euler–Maruyama": ((2, -4, 10, "right"), (1, -4, 8, "right")),
        "Heun": ((2, 6, -14, "left"), (2, -8, 4, "right")),
        "SRA": ((2, -4, 10, "right"), (2, 8, -12, "left")),
    }
    for k, (ax, (h, errors)) in enumerate(zip((left, right), (strong, weak))):
        for name, e in errors.items():
            i, dx, dy, side = place[name][k]
            ax.loglog(h, e, color=COLORS[name], marker="o", ms=4)
            ax.annotate(
                f"{name}: {slopes[name][k]:.2f}",
                (h[i], e[i]),
                xytext=(dx, dy),
                textcoords="offset points",
                color=COLORS[name],
                ha=side,
            )
    left.set(xlabel="step Δt", ylabel="RMS error", title="strong")
    right.set(xlabel="step Δt", ylabel="error of E sin 2x", title="weak")
    _fractions(left, (128, 64, 32, 16))
    _fractions(right, (16, 8, 4, 2))
    _apart(fig, (left, right))


def on_the_mixture(nfe, errors, slopes, platen, adaptive) -> None:
    """Distances from the fine run, RMS and median, against evaluations; errors, platen, adaptive:
    two lists each."""
    fig, axes = plot.figure(2, height=4.2, width=9.4, sharey=True)
    lift = {"Euler–Maruyama": 14, "exponential": -15}
    for k, (ax, title) in enumerate(zip(axes, ("root mean square", "the typical point: median"))):
        for name, calls in nfe.items():
            e, color = errors[name][k], COLORS[name]
            ax.loglog(calls, e, color=color, marker="o", ms=4)
            text = f"{slopes[name][k]:.2f}"
            plot.label_line(ax, calls, e, text, color, dx=9, dy=lift.get(name, 0))
        diamond = {"ms": 7, "mfc": "none", "color": plot.BLUE}
        ax.loglog(nfe["Euler–Maruyama"], platen[k], "D", **diamond)
        calls, e = adaptive[0], adaptive[k + 1]
        ax.loglog(calls, e, color=plot.GREY, marker="s", ms=4, ls=":")
        ax.set(xlabel="score evaluations, NFE", title=title, xlim=(8, 700))
    _apart(fig, axes, own=True)
    axes[0].set_ylabel("distance from the fine run")
    names = {"Euler–Maruyama = Platen" if "Euler" in k else k: COLORS[k] for k in nfe}
    _legend(axes[0], names | {"adaptive": plot.GREY, "◇ Platen": plot.BLUE}, 0.48)


def grids(powers, by_rho, levels) -> None:
    """Left, error against ρ of the grid. Right, where each grid (name → levels) spends steps."""
    fig, (left, right) = plot.figure(2, height=3.5, width=9.0)
    for name, e in by_rho.items():
        left.loglog(powers, e, color=COLORS[name], marker="o", ms=4)
        dy = {"Heun": -13, "exponential": 9}.get(name, 0)
        plot.label_line(left, powers, e, name, COLORS[name], dx=6, dy=dy)
    title, marks = "40 evaluations each", (0.02, 0.05, 0.1, 0.2)
    left.set(xlabel="ρ of the grid", ylabel="median distance from the fine run", title=title)
    left.set(xlim=(0.9, 150), xticks=(1, 2, 5, 10, 20), xticklabels=("1", "2", "5", "10", "20"))
    left.set(yticks=marks, yticklabels=[str(a) for a in marks])
    left.tick_params(which="minor", labelbottom=False, labelleft=False)
    colors = dict(zip(levels, (plot.SKY, plot.BLUE, plot.GREY, plot.ORANGE)))
    for name, g in levels.items():
        marker = "o" if name == "adaptive" else None
        middle, dense = (g[1:] * g[:-1]).sqrt(), -1 / g.log().diff()
        right.loglog(middle, dense, color=colors[name], marker=marker, ms=3.5)
    _legend(right, colors, 0.97, x=0.04)
    title = f"where {len(g) - 1} steps are spent"
    right.set(xlabel="noise level σ (time runs to the left)", title=title, ylim=(0.3, 150))
    right.set(ylabel="steps per factor e of σ")
    _apart(fig, (left, right))


def four_errors(split, chance) -> None:
    """Distance of the law (full) and of the paths (open) from the perfect run, by error; a panel
    for each process; chance: from … to."""
    fig, axes = plot.figure(2, height=3.3, width=8.8, sharex=True, sharey=True)
    for ax, (name, parts) in zip(axes, split.items()):
        ax.axvspan(*chance, color=plot.GREY, alpha=0.18, lw=0)
        for y, d in enumerate(reversed(parts.values())):
            law, paths = max(d.law, 1e-4), max(d.paths / 2**0.5, 1e-4)
            ax.plot([law, paths], [y, y], color=plot.GREY, lw=1)
            ax.plot(law, y, "o", ms=7, color=plot.BLUE)
            ax.plot(paths, y, "o", ms=7, mfc="white", color=plot.ORANGE)
        ax.set(xscale="log", xlabel="distance from the perfect run", title=name)
        ax.set(yticks=range(5), yticklabels=list(reversed(parts)), xlim=(1e-4, 3), ylim=(-0.7, 5.1))
    _apart(fig, axes, own=True)
    d = next(iter(split.values()))["score"]
    how = {"xytext": (3, 9), "textcoords": "offset points"}
    axes[0].annotate("law", (d.law, 4), color=plot.BLUE, ha="right", **how)
    how["xytext"] = (-10, 9)
    axes[0].annotate("paths/√2", (d.paths / 2**0.5, 4), color=plot.ORANGE, ha="left", **how)
    axes[1].text(chance[0] * 0.85, -0.45, "chance", color=plot.GREY, ha="right")


def _legend(ax, colors, top: float, *, x: float = 0.03) -> None:
    """The names in their colours, one below the other."""
    height = 0.25 / ax.figure.get_figheight() * 1.25
    for j, (name, color) in enumerate(colors.items()):
        y = top - height * j
        ax.text(x, y, name, color=color, va="top", transform=ax.transAxes)


def _fractions(ax, parts) -> None:
    """Ticks at 1/parts on the axis of the step."""
    ax.set(xticks=[1 / k for k in parts], xticklabels=[f"1/{k}" for k in parts])
    ax.tick_params(which="minor", labelbottom=False, labelleft=False)


def _apart(fig, axes, *, own: bool = False) -> None:
    """A white gutter between panels, each with its own numbers: a phone stacks them."""
    fig.set_layout_engine("constrained", wspace=0.04)
    for ax in axes:
        if own:
            ax.tick_params(labelleft=True)
