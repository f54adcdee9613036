"""Chapter 7: paths and pairs of a diffusion that runs backwards, and what an error costs."""

from __future__ import annotations

import torch

from ...widgets import particles
from .. import plotting as plot


def film(sde, density, runs, *, half: float = 5.5, count: int = 14) -> None:
    """Paths over the density of x_t; runs: (title, times, paths (times, n, 1)), a panel each."""
    t, x = torch.linspace(0, 1, 120), torch.linspace(-half, half, 120)
    shade = torch.stack([density.diffused(sde, a).log_prob(x[:, None]).exp() for a in t], dim=1)
    fig, axes = plot.figure(len(runs), width=8.2, height=3.0, sharey=True)
    for ax, (title, times, paths) in zip(axes, runs):
        ax.imshow(
            shade / shade.max(0).values,
            origin="lower",
            extent=(0, 1, -half, half),
            aspect="auto",
            cmap="Blues",
            vmax=1.4,
        )
        ax.plot(times, paths[:, :count, 0], color=plot.ORANGE, lw=0.8)
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(-half, half), xlabel="t", title=title)
        ax.grid(False)
    _apart(fig, axes)
    axes[0].set_ylabel("x")


def kicks(ended, kick, rest, bins, curve) -> None:
    """Kicks against the place where the particle ended; right, without their mean.

    bins: (place, mean kick, mean rest) of each bin; curve: (x, −σ² s(x)).
    """
    fig, axes = plot.figure(2, width=8.0, height=3.1, sharey=True)
    for ax, y, means in zip(axes, (kick, rest), ([b[1] for b in bins], [b[2] for b in bins])):
        ax.plot(ended[:2500, 0], y[:2500, 0], ".", ms=1.5, color=plot.SKY)
        ax.plot([b[0] for b in bins], means, "o", ms=4, color=plot.ORANGE)
        ax.set(xlabel="x′, where the particle ended", xlim=(-4.8, 4.8), ylim=(-1.9, 2.3))
    _apart(fig, axes)
    axes[0].plot(*curve, color=plot.BLUE, lw=1.4)
    axes[0].set(title="the kick", ylabel="kick, in units of x")
    axes[0].annotate("−σ² s(x′)", (0.3, 1.15), color=plot.BLUE)
    axes[0].annotate("mean of a bin", (-4.6, 1.9), color=plot.ORANGE)
    axes[1].set_title("what is left of it")


def pairs(clouds) -> None:
    """Start x_T against end x_0, one panel for each entry of clouds: name → (x_T, x_0)."""
    fig, axes = plot.figure(len(clouds), height=2.5, width=9.8, sharey=True)
    for ax, (name, (a, b)) in zip(axes, clouds.items()):
        forwards = name == "forwards"
        ax.plot(a[:1000], b[:1000], ".", ms=2, color=plot.GREY if forwards else plot.BLUE)
        title = name if forwards else f"← η = {name:g}"
        ax.set(title=title, xlabel="$x_T$", ylim=(-4, 4), xlim=(-34, 34))
    _apart(fig, axes)
    axes[0].set_ylabel("$x_0$")


def two_weights(ts, std2, g2, errors) -> None:
    """The error of two networks (name → mean square at ts), beside the noise and in nats."""
    fig, (left, right) = plot.figure(2, width=8.4, height=3.1)
    spots = ((2e-3, 0.045), (0.032, 0.05))
    for (name, e), color, spot in zip(errors.items(), (plot.BLUE, plot.ORANGE), spots):
        left.loglog(ts, std2 * e / 2, color=color)
        right.semilogx(ts, g2 * e * ts / 2, color=color)
        first = (float(ts[0]), float((std2 * e / 2)[0]))
        left.annotate(name, first, xytext=(14, 3), textcoords="offset points", color=color)
        right.text(*spot, name, color=color)
    for ax in (left, right):
        ax.minorticks_off()
    fig.set_layout_engine("constrained", wspace=0.05)
    left.set(xlabel="t", ylabel="std² × error, per coordinate", title="error beside the noise")
    left.set_ylim(top=float((std2 * errors[next(iter(errors))] / 2).max()) * 2.5)
    title = "area over log t: the bound, in nats"
    right.set(xlabel="t", ylabel="½ g² t × error", title=title, ylim=(0, None))


def wrong_factor(c, kl, limit, runs) -> None:
    """KL and its bound against the factor c; runs: c → (low, middle, high) of particles."""
    _, (ax,) = plot.figure(1, height=3.1, width=6.4)
    ax.plot(c, limit, color=plot.ORANGE)
    ax.plot(c, kl, color=plot.BLUE)
    for factor, (low, mid, high) in runs.items():
        bar = [[mid - min(low, high)], [max(low, high) - mid]]
        ax.errorbar(factor, mid, yerr=bar, fmt="o", ms=5, color=plot.GREEN)
    ax.annotate("the bound", (1.3, 0.24), ha="right", color=plot.ORANGE)
    ax.annotate("KL(p₀‖q₀), exact", (1.33, 0.045), color=plot.BLUE)
    ax.annotate("particles", (0.64, 0.03), color=plot.GREEN)
    ax.set(xlabel="factor c on the score", ylabel="nats", ylim=(0, None))


def two_modes_filled(density, times, states, smooth, half: float):
    """Particles on their way to two modes, coloured by the mode where `smooth` puts them."""
    side, settled = (x[-1].sum(1) > 0 for x in (states, smooth))
    extent = (-half, half, -half, half)
    low, other = (float(a.double().mean()) for a in (~side, side != settled))
    return particles(
        states[::4],
        extent,
        density.log_prob(plot.grid_points(extent, 72).double()).exp(),
        groups=settled.int(),
        times=times[::4],
        labels=("lower left for η = 0", "upper right for η = 0"),
        note=f"{low:.0%} end in the lower left mode, right is 80 %; "
        f"{other:.0%} end in another mode than with η = 0",
    )


def _apart(fig, axes) -> None:
    """A white gutter between panels, each with its own numbers: a phone stacks them."""
    fig.set_layout_engine("constrained", wspace=0.03)
    for ax in axes:
        ax.tick_params(labelleft=True)
