"""Figures of chapter 1, the score function."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...densities import GaussianMixture
from .. import plotting as plot

EXTENT = (-4.0, 4.0, -4.0, 4.0)


def uphill(mixture: GaussianMixture) -> None:
    """A mixture and its score as arrows, and beside it the length of the score as colour."""
    fine, coarse = plot.grid_points(EXTENT, 160), plot.grid_points(EXTENT, 21)
    fig, (left, right) = plot.figure(2, height=3.5, gridspec_kw={"wspace": 0.12})
    plot.show_density(left, mixture.log_prob(fine).exp(), EXTENT)
    plot.show_arrows(left, coarse, mixture.score(coarse))
    left.set_title("the score points uphill")
    length = mixture.score(fine).norm(dim=-1)
    size = right.imshow(length, origin="lower", extent=EXTENT, cmap="viridis")
    right.set(title="its length", xlabel="$x_1$", ylabel="$x_2$")
    right.grid(False)
    fig.colorbar(size, ax=right, label="‖s(x)‖", shrink=0.85)


def one_score(x: Tensor, density: Tensor, slopes: Sequence[Tensor], score: Tensor) -> None:
    """A density and half of it, and the slopes of both logarithms under the score of the
    formula."""
    _, (left, right) = plot.figure(2, height=3.0, gridspec_kw={"wspace": 0.12})
    for c, color, y in ((1.0, plot.BLUE, 0.22), (0.5, plot.SKY, 0.03)):
        left.plot(x, c * density, color=color)
        left.text(0, y, f"{c:g} · p(x)", color=color, ha="center", va="center")
    left.set(xlabel="x", ylabel="density", title="two functions, one shape", xlim=(-3, 3))
    for slope, color, width in zip(slopes, (plot.SKY, "white"), (6, 3)):
        right.plot(x, slope, color=color, lw=width)
    right.plot(x, score, color=plot.BLUE, lw=1.5)
    right.axhline(0, color=plot.GREY, lw=0.8)
    right.set(xlabel="x", ylabel="score  s(x)", title="one score for both")
    right.set(xlim=(-3, 3), ylim=(-6, 6))


def noise(mixture: GaussianMixture, sigmas: Sequence[float]) -> None:
    """A mixture under more and more noise, each with its score."""
    fine, coarse = plot.grid_points(EXTENT, 160), plot.grid_points(EXTENT, 21)[::2, ::2]
    space = {"wspace": 0.12}
    _, axes = plot.figure(len(sigmas), height=2.9, sharey=True, gridspec_kw=space)
    for ax, sigma in zip(axes, sigmas):
        noisy = mixture.blurred(sigma)
        plot.show_density(ax, noisy.log_prob(fine).exp(), EXTENT)
        plot.show_arrows(ax, coarse, noisy.score(coarse))
        ax.set_title(f"σ = {sigma:g}")
    for ax in axes[1:]:
        ax.set_ylabel("")


def shorter(sigmas: Tensor, sizes: Sequence[Tensor], d: int) -> None:
    """The root mean square of the score against the noise, below the line √d/σ."""
    _, (ax,) = plot.figure(1, height=2.8, width=5.4)
    near = dict(textcoords="offset points")
    ax.loglog(sigmas, sizes, color=plot.BLUE)
    start = (0.1, float(sizes[5]))
    ax.annotate("measured", start, xytext=(0, -18), color=plot.BLUE, **near)
    ax.loglog(sigmas, d**0.5 / sigmas, color=plot.ORANGE, ls="--")
    there = (0.25, d**0.5 / 0.25)
    ax.annotate("√d / σ", there, xytext=(6, 6), color=plot.ORANGE, **near)
    ax.set(xlabel="noise σ", ylabel="root mean square of ‖s‖")


def three_fields(points: Tensor, fields: dict[str, Tensor]) -> None:
    """Three fields of arrows, one of which is no gradient."""
    space = {"wspace": 0.12}
    _, axes = plot.figure(len(fields), height=2.7, sharey=True, gridspec_kw=space)
    for ax, (name, arrows) in zip(axes, fields.items()):
        plot.show_arrows(ax, points, arrows, color=plot.BLUE)
        ax.set(title=name, aspect="equal", xlabel="$x_1$")
    axes[0].set_ylabel("$x_2$")
