"""One style for every figure of the book.

The colours are in the hues of Okabe & Ito 2008, with the lightness chosen anew: each has a contrast
of 3 to white, as WCAG 2.2 asks of marks, and colour-blind readers can tell any two apart. Text in a
colour is as dark as text must be, see `ink`. Densities use one sequential map from white to blue,
signed quantities a diverging one, images are grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.projections import register_projection
from torch import Tensor

from ..checks import require

BLUE, ORANGE, GREEN, YELLOW = "#1A5A94", "#B54700", "#0C8849", "#CC8300"
PINK, SKY, GREY = "#C47AAB", "#079CDE", "#6E6E6E"


def luminance(color) -> float:
    """Y = 0.2126 R + 0.7152 G + 0.0722 B of the linear values R, G, B in [0, 1]: WCAG 2.2, relative
    luminance."""
    return float(_linear(color) @ (0.2126, 0.7152, 0.0722))


def ink(color) -> tuple[float, float, float]:
    """The colour, darkened until text in it can be read on white: linear RGB · min(1, (1.05/4.5 −
    0.05)/Y), a contrast of at least 4.5."""
    linear = _linear(color) * min(1.0, (1.05 / 4.5 - 0.05) / max(luminance(color), 1e-9))
    return tuple(
        np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).tolist()
    )


def _linear(color) -> np.ndarray:
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


class _Readable(Axes):
    """Axes whose texts are set in `ink`."""

    name = "readable"

    def text(self, *args, **how):
        return _set_in_ink(super().text(*args, **how))

    def annotate(self, *args, **how):
        return _set_in_ink(super().annotate(*args, **how))


def _set_in_ink(text):
    if (
        text.get_bbox_patch() is None and luminance(text.get_color()) < 0.9
    ):  # white text stands on something dark
        text.set_color(ink(text.get_color()))
    return text


register_projection(_Readable)


def style() -> None:
    """Set matplotlib's defaults; every chapter calls it once."""
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#444444",
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, YELLOW, PINK, SKY]),
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "image.cmap": "gray_r",
            "svg.hashsalt": "sdelib",
        }
    )


def figure(
    columns: int = 1, *, rows: int = 1, width: float = 7.6, height: float = 3.2, **options
) -> tuple[Figure, np.ndarray]:
    """A figure `width` inches wide with rows×columns axes, as (figure, array of axes in reading
    order)."""
    fig, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        squeeze=False,
        subplot_kw={"projection": "readable"},
        **options,
    )
    return fig, axes.ravel()


def grid_points(extent: tuple[float, float, float, float], n: int) -> Tensor:
    """The n×n points of a regular grid over extent = (x₀, x₁, y₀, y₁): shape (n, n, 2), row 0 at
    y₀, float32."""
    holds = len(extent) == 4 and all(map(math.isfinite, extent))
    holds = holds and extent[0] < extent[1] and extent[2] < extent[3]
    require(holds, "extent", extent, "give (x0, x1, y0, y1), finite, with x0 < x1 and y0 < y1")
    x = torch.linspace(extent[0], extent[1], n)
    y = torch.linspace(extent[2], extent[3], n)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def show_density(
    ax: Axes, density: Tensor, extent: tuple[float, float, float, float], *, colorbar: bool = False
):
    """Draw a density on a grid from `grid_points` as filled colour, white for 0, blue for the
    maximum."""
    shown = ax.imshow(
        density.cpu(), origin="lower", extent=extent, cmap="Blues", vmin=0, interpolation="bilinear"
    )
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.grid(False)
    if colorbar:
        ax.figure.colorbar(shown, ax=ax, shrink=0.85, label="density")
    return shown


def show_arrows(
    ax: Axes, points: Tensor, arrows: Tensor, *, color: str = ORANGE, scale: float | None = None
) -> None:
    """Draw a vector field; arrows of length `scale` (default: the 80 % quantile) span one gap of
    the grid.

    points, arrows: (n, n, 2).  Lengths are compressed by a square root, so that weak arrows stay
    visible, and longer ones than `scale` are cut; directions are exact.
    """
    length = arrows.norm(dim=-1, keepdim=True)
    gap = float((points[0, 1] - points[0, 0]).norm())
    short = (
        arrows
        / length.clamp(min=1e-12)
        * (length / (scale or length.quantile(0.8))).sqrt().clamp(max=1)
        * gap
    )
    p, a = points.reshape(-1, 2), short.reshape(-1, 2)
    ax.quiver(
        p[:, 0],
        p[:, 1],
        a[:, 0],
        a[:, 1],
        color=color,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.005,
        headwidth=4,
        headlength=4.5,
        headaxislength=4,
    )


def show_images(ax: Axes, images: Tensor, *, columns: int, title: str = "") -> None:
    """Draw images (n, 1, H, W) or (n, H, W) in [0, 1] as one grid; ink is dark on white."""
    images = images.reshape(len(images), *images.shape[-2:]).clamp(0, 1).cpu()
    rows = -(-len(images) // columns)
    height, width = images.shape[1:]
    sheet = torch.zeros(rows * (height + 2), columns * (width + 2))
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 2) + 1, (i % columns) * (width + 2) + 1
        sheet[top : top + height, left : left + width] = image
    ax.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title)


def label_line(
    ax: Axes,
    x: Sequence[float] | Tensor,
    y: Sequence[float] | Tensor,
    text: str,
    color: str,
    *,
    dx: float = 4,
    dy: float = 0,
) -> None:
    """Write `text` in the line's colour beside its last point, in place of a legend."""
    ax.annotate(
        text,
        (float(x[-1]), float(y[-1])),
        xytext=(dx, dy),
        textcoords="offset points",
        color=color,
        va="center",
        annotation_clip=False,
    )
