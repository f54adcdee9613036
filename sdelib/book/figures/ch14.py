"""Chapter 14: what guidance draws, and posteriors of what was not seen."""

from __future__ import annotations

import math

import torch

from .. import plotting as plot


def _sheet(ax, rows, columns, images, *, size: float = 9) -> None:
    """Images of 28×28, row after row, with the names of the rows and the columns."""
    plot.show_images(ax, torch.stack([x.reshape(28, 28) for x in images]), columns=len(columns))
    for k, text in enumerate(columns):
        ax.text(30 * k + 15, -2, text, ha="center", va="bottom", fontsize=size)
    for k, text in enumerate(rows):
        ax.text(-3, 30 * k + 15, text, ha="right", va="center", fontsize=size)


def seen_and_guessed(problems: dict[str, list]) -> None:
    """Four problems, a column each: what is seen, one guess, and the truth."""
    _, (ax,) = plot.figure(1, height=3.9, width=6.2)
    images = [images[k] for k in range(3) for images in problems.values()]
    _sheet(ax, ["seen", "one guess", "the truth"], problems, images, size=11)


def guidance_on_a_line(drawn, weight: float, x, right, tilted) -> None:
    """Histograms of guided draws for w = 1 and a larger one, with the component's density and the
    sharpened posterior's."""
    _, (ax,) = plot.figure(1, height=3.1, width=7.4)
    how = {"range": (-4, 6), "density": True, "alpha": 0.35}
    ax.hist(drawn[1.0], 60, color=plot.SKY, **how)
    ax.hist(drawn[weight], 60, color=plot.ORANGE, **how)
    ax.plot(x, right, color=plot.BLUE)
    ax.plot(x, tilted, color=plot.GREY, ls="--")
    ax.annotate("w = 1: the class", (-0.7, 0.2), color=plot.BLUE, ha="right")
    ax.annotate(f"w = {weight:.0f}: drawn", (2.8, 0.35), color=plot.ORANGE)
    at = (1.05, 0.53)
    ax.annotate(f"$p(x)\\,p(y\\mid x)^{weight:.0f}$", at, color=plot.GREY, ha="right")
    ax.set(xlabel="$x_0$", ylabel="density", ylim=(0, 0.6))


def classifiers(levels, noisy, clean, m: int) -> None:
    """The share that two classifiers get right, against the noise of the images."""
    _, (ax,) = plot.figure(1, height=2.9, width=7.0)
    ax.semilogx(levels, noisy, "o-", color=plot.BLUE)
    ax.semilogx(levels, clean, "o-", color=plot.ORANGE)
    ax.axhline(0.1, color=plot.GREY, ls="--")
    how = {"textcoords": "offset points"}
    at = (1.1, float(noisy[3]))
    ax.annotate("trained on noisy images", at, color=plot.BLUE, xytext=(4, 6), **how)
    at, beside = (0.3, float(clean[2])), {"ha": "right", "va": "top", "xytext": (-8, -4)}
    ax.annotate("trained on clean ones", at, color=plot.ORANGE, **beside, **how)
    ax.annotate("chance", (0.012, 0.13), color=plot.GREY)
    ax.set(xlabel="noise σ", ylabel=f"right, of {m:,} test images", ylim=(0, 1))


def dresses(drawn: dict[str, torch.Tensor]) -> None:
    """Ten images of each way to ask for a dress, a way a line."""
    _, axes = plot.figure(1, rows=len(drawn), height=5.0, width=7.4)
    for ax, (name, images) in zip(axes, drawn.items(), strict=True):
        plot.show_images(ax, images[:10], columns=10, title=name)


def _ellipse(ax, mean, covariance, color, **style) -> None:
    """Where the Mahalanobis distance is 2."""
    angle = torch.linspace(0, 2 * math.pi, 100, dtype=mean.dtype)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    root = torch.linalg.cholesky(covariance + 1e-12 * torch.eye(2, dtype=mean.dtype))
    ax.plot(*(mean + 2 * circle @ root.T).T, color=color, **style)


def posteriors(plane, prior, true) -> None:
    """Samples of each method in the plane with their ellipse, the prior's and the posterior's."""
    _, axes = plot.figure(5, height=2.7, width=10.4, sharey=True, gridspec_kw={"wspace": 0.08})
    for ax, (name, x) in zip(axes, plane.items(), strict=True):
        ax.scatter(*x[:400].T, s=3, color=plot.ORANGE, alpha=0.5, lw=0)
        _ellipse(ax, prior.mean, prior.covariance, plot.GREY, ls=":", lw=1.2)
        _ellipse(ax, true.mean, true.covariance, plot.BLUE)
        _ellipse(ax, x.mean(0), torch.cov(x.T), plot.ORANGE)
        ax.set(title=name, xlabel="$x_1$ (seen)", xlim=(-1.9, 3), ylim=(-4.4, 3.4))
    axes[0].set_ylabel("$x_2$ (not seen)")
    axes[0].annotate("prior", (-1.75, -3.8), color=plot.GREY, fontsize=9)
    axes[0].annotate("posterior", (0.6, -3.8), color=plot.BLUE, fontsize=9)


def means_and_doubts(seen, means, doubts) -> None:
    """Above, what is seen and the mean of each method; below, its standard deviation × 3."""
    _, axes = plot.figure(1, rows=2, height=3.4, width=7.4)
    _sheet(axes[0], ["mean"], ["what is seen", *means], [seen, *means.values()])
    doubts = [3 * x for x in doubts.values()]
    _sheet(axes[1], ["std × 3"], [""] * (len(doubts) + 1), [torch.zeros_like(seen), *doubts])


def four_problems(images: dict[str, list], ways: list[str]) -> None:
    """Truth, what is seen, and two guesses of each of two methods, a problem a row."""
    _, (ax,) = plot.figure(1, height=5.2, width=7.6)
    _sheet(
        ax, images, ["truth", "what is seen", *ways], [x for row in images.values() for x in row]
    )
