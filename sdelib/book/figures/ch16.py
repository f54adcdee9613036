"""Chapter 16: how likely garments are, and what each choice behind the number costs."""

from __future__ import annotations

import torch

from .. import plotting as plot


def garments_with_bits(images, bits) -> None:
    """Test images in a row, each above its bits/dim; without numbers where there are none."""
    _, (ax,) = plot.figure(1, height=1.6, width=8.4)
    plot.show_images(ax, images, columns=len(images))
    for k, b in enumerate(bits):
        ax.text(30 * k + 15, 33, f"{b:.2f}", ha="center", va="top", fontsize=12)


def what_a_cube_loses(blur: float, spreads, lost) -> None:
    """Left, the density of a black pixel and its cube; right, the bits that each bound loses."""
    _, (left, right) = plot.figure(2, height=3.1, width=9.2, gridspec_kw={"wspace": 0.06})
    x = torch.linspace(-2, 2, 401)
    density = torch.distributions.Normal(0, blur).log_prob(x).exp()
    left.plot(x, density, color=plot.BLUE)
    left.fill_between([-0.5, 0.5], 1, color=plot.ORANGE, alpha=0.3, lw=0)
    left.annotate("p(x)", (0.95, 0.25), color=plot.BLUE)
    left.annotate("uniform q", (-0.62, 0.92), ha="right", color=plot.ORANGE)
    left.set(xlabel="x, in grey levels", ylabel="density", title="a pixel that is surely black")
    how = {"textcoords": "offset points"}
    for b, ls in ((blur, "-"), (2 * blur, "--")):
        right.semilogx(spreads, lost[b][:, 0], color=plot.ORANGE, ls=ls)
        at = (float(spreads[0]), float(lost[b][0, 0]))
        name = f"uniform, {b / 255:.3f}"
        right.annotate(name, at, xytext=(0, 6), color=plot.ORANGE, **how)
    right.semilogx(spreads, lost[blur][:, 1], color=plot.BLUE)
    at = (float(spreads[0]), 0)
    right.annotate("Gaussian, perfect decoder", at, xytext=(0, -15), color=plot.BLUE, **how)
    right.set(xlabel="spread s of the pixel, in grey levels", ylabel="bits too many")
    right.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
    right.minorticks_off()
    right.set(ylim=(-0.3, 1.7), title="what the bound loses, for two stops")


def choices(gaps: dict[str, tuple[float, float]]) -> None:
    """Name → (difference from the reference, its standard error), a row a choice; orange beyond
    three standard errors."""
    _, (ax,) = plot.figure(1, height=3.9, width=8.0)
    for j, (gap, error) in enumerate(gaps.values()):
        color = plot.ORANGE if abs(gap) > 3 * error else plot.GREY
        ax.errorbar(gap, j, xerr=2 * error, fmt="o", color=color, ms=5)
        text = f"{gap:+.4f}" if abs(gap) < 0.01 else f"{gap:+.3f}"
        beside = {"textcoords": "offset points", "xytext": (7, 0), "va": "center"}
        ax.annotate(text, (gap + 2 * error, j), color=color, fontsize=9, **beside)
    ax.axvline(0, color=plot.GREY, lw=0.8)
    ax.set_xscale("symlog", linthresh=0.01)
    ax.set_yticks(range(len(gaps)), gaps)
    ax.set(xlabel="bits/dim more than the reference, ± two standard errors", xlim=(-0.25, 3))


def way(first, between, last) -> None:
    """Two test images at the ends, and what lies on the way between their codes."""
    _, (ax,) = plot.figure(1, height=1.4, width=8.6)
    plot.show_images(ax, torch.cat([first, between, last]), columns=len(between) + 2)
