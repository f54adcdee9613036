"""Figures of chapter 2, score matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ...densities import GaussianMixture
from .. import plotting as plot

EXTENT = (-4.0, 4.0, -4.0, 4.0)
COLORS = {
    "Fisher": plot.BLUE,
    "implicit": plot.ORANGE,
    "sliced": plot.GREEN,
    "denoising": plot.PINK,
}
Losses = Sequence[Mapping[str, Tensor]]


def targets(x: Tensor, target: Tensor, bins: Sequence[Tensor], q: GaussianMixture) -> None:
    """Single targets against x̃, their means in bins, and the score of q on which the means lie."""
    _, (ax,) = plot.figure(1, height=3.3, width=6.4)
    ax.plot(x[:1500], target[:1500], ".", color=plot.SKY, ms=3, alpha=0.6)
    grid = torch.linspace(-4.2, 4.2, 300)[:, None]
    ax.plot(grid, q.score(grid), color=plot.ORANGE)
    centre, mean = ([float(y[mask].mean()) for mask in bins] for y in (x, target))
    ax.plot(centre, mean, "o", color=plot.BLUE, ms=5)
    words = (
        (-1.7, 5.2, "a target −z/σ for each draw", plot.SKY),
        (1.0, 4.0, "mean of the targets in a bin", plot.BLUE),
        (2.4, -5.4, "score ∇ log p$_σ$", plot.ORANGE),
    )
    white = dict(facecolor="white", edgecolor="none", pad=1.5, alpha=0.85)
    for left, low, text, color in words:
        ax.text(left, low, text, color=plot.ink(color), bbox=white)
    ax.set(xlabel="x̃", ylabel="score, target", xlim=(-4.3, 4.3), ylim=(-6, 6))


def where_it_is_wrong(true: GaussianMixture, model: GaussianMixture) -> None:
    """Two fields of arrows over the true density, and the integrand of the divergence between
    them."""
    fine, coarse = plot.grid_points(EXTENT, 160), plot.grid_points(EXTENT, 17)
    p = true.log_prob(fine).exp()
    _, axes = plot.figure(3, height=2.9, sharey=True, gridspec_kw={"wspace": 0.12})
    for ax, title, q in ((axes[0], "∇ log p", true), (axes[1], "the model", model)):
        plot.show_density(ax, p, EXTENT)
        plot.show_arrows(ax, coarse, q.score(coarse), scale=4.0)
        ax.set_title(title)
    error = (model.score(fine) - true.score(fine)).square().sum(-1) / 2
    plot.show_density(axes[2], p * error, EXTENT)
    axes[2].set_title("½‖difference‖² · p")
    for ax in axes[1:]:
        ax.set_ylabel("")


def two_heights(b: Tensor, fisher: Tensor, gap: float, some: Tensor, measured: Sequence) -> None:
    """The Fisher divergence against the model's variance b, and the implicit loss, `gap` lower."""
    _, (ax,) = plot.figure(1, height=2.9, width=5.8)
    ax.plot(b, fisher, color=plot.BLUE)
    ax.plot(b, fisher - gap, color=plot.ORANGE)
    ax.plot(some, measured, "o", color=plot.ORANGE)
    plot.label_line(ax, b, fisher, "Fisher", plot.BLUE)
    plot.label_line(ax, b, fisher - gap, "implicit", plot.ORANGE)
    ax.annotate("", (2, 0), (2, -gap), arrowprops=dict(arrowstyle="<->", color=plot.GREY))
    how = dict(xytext=(6, -4), textcoords="offset points", color=plot.GREY)
    ax.annotate("1/(2v)", (2, -0.1), **how)
    ax.axhline(0, color=plot.GREY, lw=0.8)
    ax.set(xlabel="b, the model's variance", ylabel="loss", xlim=(0.5, 9.3))


def directions(noise: Mapping[str, Tensor]) -> None:
    """Running averages of what a random direction adds, each in its band of two standard errors."""
    _, (ax,) = plot.figure(1, height=2.9, width=6.4)
    for (name, extra), color, dy in zip(noise.items(), (plot.ORANGE, plot.BLUE), (2, 12)):
        count = torch.arange(1, len(extra) + 1)
        mean, band = extra.cumsum(0) / count, 2 * extra.std() / count**0.5
        ax.fill_between(count[99:], -band[99:], band[99:], color=color, alpha=0.2, lw=0)
        ax.plot(count[99:], mean[99:], color=color)
        how = dict(xytext=(4, dy), textcoords="offset points", color=color)
        ax.annotate(name, (130, float(band[129])), **how)
    ax.axhline(0, color=plot.GREY, lw=0.8)
    ax.set(xscale="log", xlabel="number of draws averaged", ylabel="sliced − implicit")


def three_losses(lambdas: Sequence[float], means: Losses, gaps: Losses) -> None:
    """Four curves of one shape along a path of fields, and what is left of three of them without
    the Fisher divergence and their constants."""
    ratio = {"width_ratios": [1.2, 1], "wspace": 0.12}
    _, (left, right) = plot.figure(2, height=3.3, width=7.8, gridspec_kw=ratio)
    for k, (name, color) in enumerate(COLORS.items()):
        dashes = "--" if name == "sliced" else "-"
        how = dict(marker="osD^"[k], ls=dashes, color=color, ms=4)
        left.plot(lambdas, [float(row[name]) for row in means], **how)
        dy = {"Fisher": 8, "implicit": 3, "sliced": -10}.get(name, 0)
        end = [float(means[-1][name])]
        plot.label_line(left, lambdas[-1:], end, name, color, dx=8, dy=dy)
        if name != "Fisher":
            places = [lam + 0.05 * (k - 2) for lam in lambdas]
            errors = [float(2 * row[name].std() / len(row[name]) ** 0.5) for row in gaps]
            middles = [float(row[name].mean()) for row in gaps]
            right.errorbar(places, middles, errors, fmt="osD^"[k], color=color, ms=4)
    for ax in (left, right):
        ax.axhline(0, color=plot.GREY, lw=0.8)
    left.set(xlabel="λ: from wrong to exact", ylabel="loss", xlim=(-0.05, 1.85), ylim=(-6, 12))
    right.set(xlabel="λ", ylabel="loss − Fisher − constant", title="± 2 standard errors")


def cost(dims: Sequence[int], ratios: Mapping[str, Tensor]) -> None:
    """The time of each loss against the dimension, in units of the time of denoising."""
    _, (ax,) = plot.figure(1, height=3.2, width=6.2)
    for name in ("denoising", "sliced", "implicit"):
        middle = ratios[name].median(1).values
        bars = torch.stack([middle - ratios[name].amin(1), ratios[name].amax(1) - middle])
        how = dict(color=COLORS[name], marker="o", ms=4, capsize=3)
        ax.errorbar(dims, middle, bars.numpy(), **how)
        plot.label_line(ax, dims, middle, name, COLORS[name], dx=10)
    ax.plot(dims, dims, color=plot.GREY, ls=":")
    how = dict(xytext=(-12, 10), textcoords="offset points", ha="right", color=plot.GREY)
    ax.annotate("d times", (dims[2], dims[2]), **how)
    ax.set(xscale="log", yscale="log", xlabel="dimension d", ylabel="time, denoising = 1")
    ax.set_xlim(1.6, dims[-1] * 4)
    ax.set_xticks(dims, [str(d) for d in dims])
    ax.minorticks_off()


def reached(terms: Mapping[str, Tensor]) -> None:
    """The divergence that a network reached with each loss, with two standard errors."""
    _, (ax,) = plot.figure(1, height=2.7, width=6.4)
    for k, (name, t) in enumerate(terms.items()):
        color = plot.GREY if name == "exact score" else COLORS[name.split(",")[0]]
        error = float(2 * t.std() / len(t) ** 0.5)
        ax.errorbar(float(t.mean()), -k, xerr=error, fmt="o", capsize=3, color=color)
    ax.set_yticks([-k for k in range(len(terms))], list(terms))
    ax.set(xlabel="Fisher divergence reached (± 2 standard errors over test points)")
    ax.set(xlim=(0, None), ylim=(-4.6, 0.6))


def turning(fields: Mapping[str, Callable], curl: Callable, around: GaussianMixture) -> None:
    """The curl of three fields as colour under their arrows, and lines around the data."""
    fine, coarse = plot.grid_points(EXTENT, 160), plot.grid_points(EXTENT, 17)
    p = around.log_prob(fine).exp()
    space = {"wspace": 0.12}
    fig, axes = plot.figure(3, height=2.9, width=8.0, sharey=True, gridspec_kw=space)
    for ax, (title, s) in zip(axes, fields.items()):
        colour = curl(s, fine.double()).detach()
        how = dict(origin="lower", extent=EXTENT, cmap="RdBu_r", vmin=-3, vmax=3)
        shown = ax.imshow(colour, **how)
        lines = dict(colors=plot.GREY, linewidths=0.8)
        ax.contour(fine[..., 0], fine[..., 1], p, levels=[0.01, 0.06], **lines)
        plot.show_arrows(ax, coarse, s(coarse.double()).detach(), color="black")
        ax.set(title=title, xlabel="$x_1$", aspect="equal", xticks=range(-4, 5, 2))
        ax.grid(False)
    axes[0].set_ylabel("$x_2$")
    fig.colorbar(shown, ax=axes, shrink=0.8, label="curl", extend="both")


def how_much_noise(sigmas: Sequence[float], B: Tensor, V: Tensor, share: float, errors) -> None:
    """Bias and noise of the target against σ, and the error of estimates beside bias +
    share · noise."""
    _, (left, right) = plot.figure(
        2, height=3.3, width=7.8, sharey=True, gridspec_kw={"wspace": 0.1}
    )
    near = dict(textcoords="offset points")
    left.loglog(sigmas, B, color=plot.BLUE)
    left.loglog(sigmas, V, color=plot.ORANGE)
    left.annotate("bias B", (sigmas[3], B[3]), xytext=(8, -10), color=plot.BLUE, **near)
    how = dict(xytext=(6, 8), color=plot.ORANGE, **near)
    left.annotate("noise of the target V", (0.06, V[2]), **how)
    left.set(xlabel="noise σ", ylabel="½ mean squared error", title="exact", ylim=(1e-4, 2e4))
    right.loglog(sigmas, B + share * V, color=plot.GREY, ls="--")
    bars = 2 * errors.std(1) / errors.shape[1] ** 0.5
    how = dict(fmt="o", color=plot.GREEN, ms=4, capsize=2)
    right.errorbar(sigmas, errors.mean(1), bars, **how)
    right.loglog(sigmas, B, color=plot.BLUE, lw=1, alpha=0.6)
    right.loglog(sigmas, share * V, color=plot.ORANGE, lw=1, alpha=0.6)
    start = (0.02, float(errors[0].mean()))
    right.annotate("measured", start, xytext=(8, 4), color=plot.GREEN, **near)
    right.annotate("B + 63/2000 · V", (0.2, 20), xytext=(0, 0), color=plot.GREY, **near)
    right.set(xlabel="noise σ", title="one estimate from 2,000 pairs")


def one_scale(arrows: Tensor, longest: float) -> Tensor:
    """Arrows cut at `longest`, with one such arrow in the corner, which a field does not draw: so
    all frames of a widget have one scale."""
    arrows = arrows * (longest / arrows.norm(dim=-1, keepdim=True).clamp(min=longest))
    arrows[0, 0] = torch.tensor([longest, 0.0])
    return arrows
