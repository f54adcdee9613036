"""Chapter 17: samples of a model of one's own, beside what they should be."""

from __future__ import annotations

import torch

from .. import plotting as plot
from ..known_law import HUES, KINDS, P_HUE

INKS = (plot.ORANGE, plot.GREEN, plot.BLUE)


def _strip(ax, images, name: str) -> None:
    """Coloured pictures (n, 3, h, w) in a row, with a name before it."""
    x = torch.nn.functional.pad(images.clamp(0, 1), (1, 1, 1, 1), value=1.0)
    ax.imshow(torch.cat([*x], 2).permute(1, 2, 0), interpolation="nearest")
    ax.set_axis_off()
    ax.text(-4, x.shape[-1] / 2, name, ha="right", va="center", fontsize=11)


def strips(rows: dict[str, torch.Tensor]) -> None:
    """Name → pictures, a row each."""
    _, axes = plot.figure(1, rows=len(rows), height=0.56 * len(rows), width=8.4)
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        _strip(ax, images, name)


def digits(rows: dict[str, torch.Tensor]) -> None:
    """Name → digits (n, 1, 8, 8), a row each."""
    _, axes = plot.figure(1, rows=len(rows), height=0.55 * len(rows), width=8.4)
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        plot.show_images(ax, images, columns=len(images))
        ax.text(-2, 5, name, ha="right", va="center", fontsize=11)


def price_of_guidance(weights, given, whole: dict[str, tuple]) -> None:
    """Left, P(hue | kind) of the commonest pairs against guidance, dashed what is true; right, the
    share of pictures that are whole and of the kind that was asked for.

    given: (len(weights), 3, 2), value and error.  whole: name → (weights, values, errors)."""
    _, (left, right) = plot.figure(2, height=3.2, width=9.2, gridspec_kw={"wspace": 0.28})
    for k, colour in enumerate(INKS):
        # the commonest hue of kind k is hue k
        shift = 0.02 * (k - 1)
        x = [w + shift for w in weights]
        left.errorbar(x, given[:, k, 0], yerr=2 * given[:, k, 1], fmt="o-", color=colour, ms=4)
        left.axhline(float(P_HUE[k, k]) + 0.004 * (k - 1), color=colour, ls="--", lw=1)
        name = f"{HUES[k]}, given {KINDS[k]}"
        left.text(4.1, (0.745, 0.65, 0.61)[k], name, color=colour, ha="right")
    left.text(4.1, 0.57, "dashed: the law", color=plot.GREY, ha="right")
    left.set(xlabel="guidance w", ylabel="share", ylim=(0.55, 1.03), xticks=[1, 1.5, 2, 3, 4])
    for (name, (x, value, error)), colour in zip(whole.items(), (plot.GREY, plot.PINK)):
        right.errorbar(x, value, yerr=[2 * e for e in error], fmt="o-", color=colour, ms=4)
        right.annotate(
            name,
            (x[-1], value[-1]),
            xytext=(6, 0) if x[-1] < 4 else (0, -16),
            textcoords="offset points",
            color=colour,
            ha="left" if x[-1] < 4 else "right",
        )
    right.set(xlabel="guidance w", ylabel="whole, and as asked", ylim=(0.4, 1.03))
    right.set_xticks([1, 1.5, 2, 3, 4])


def blind(distances: dict[str, torch.Tensor], chi: dict[str, torch.Tensor]) -> None:
    """Left, sliced Wasserstein distances of pairs of real sets, a row a law; right, χ² of their
    joint of kind and hue."""
    _, (left, right) = plot.figure(2, height=2.3, width=9.2, sharey=True)
    for k, name in enumerate(distances):
        for ax, found in ((left, distances), (right, chi)):
            colour = plot.GREY if k == 0 else plot.ORANGE
            ax.plot(found[name], [-k] * len(found[name]), "o", color=colour, ms=4, alpha=0.5)
            ax.plot([found[name].mean()], [-k], "|", color=colour, ms=22, mew=2)
    left.set_yticks([-k for k in range(len(distances))], [*distances])
    left.set(xlabel="sliced Wasserstein distance", ylim=(0.5 - len(distances), 0.5))
    right.set(xlabel="χ² of kind and hue, 8 degrees of freedom", xscale="log")
    right.axvline(26.1, color=plot.GREY, ls="--", lw=1)


def moons(clouds: dict[int, tuple]) -> None:
    """Number of examples → (examples, samples), points of the plane, a panel each."""
    _, axes = plot.figure(len(clouds), height=2.9, width=8.4, sharex=True, sharey=True)
    for ax, (k, (examples, samples)) in zip(axes, clouds.items(), strict=True):
        size = 26 if len(examples) < 100 else 4
        ax.scatter(*samples.T, s=5, color=plot.ORANGE, alpha=0.5, lw=0)
        ax.scatter(*examples[:500].T, s=size, color=plot.GREY, lw=0, zorder=3 if k < 100 else 1)
        ax.set(title=f"{k:,} examples", xlabel="$x_1$", xlim=(-1.6, 2.6), ylim=(-1.2, 1.7))
    axes[0].set_ylabel("$x_2$")
