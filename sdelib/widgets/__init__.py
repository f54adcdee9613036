"""The explorer: one interactive picture with controls, on a page, in Jupyter and in Colab.

    controls = [Slider("std", "noise σ", [0.1, 0.3, 1, 3], log=True), Switch("p", "law", ["garden",
    "moons"])]

    def compute(std, p):
        return field(density=..., arrows=..., extent=(-4, 4, -4, 4))

    table = bake(controls, compute)
    Explorer(controls, table, compute, caption="Slide σ: the modes merge.", alt="A density and its
    score.")

The table holds a frame for every combination of the controls' values. A value between them is
computed by the kernel where there is one; without one the nearest stored frame is shown, and said
so.
anywidget is imported when an Explorer is made, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .controls import Control, Paint, Slider, Switch, checked
from .frames import Frame, field, images, particles
from .table import BUDGET, Table, bake

__all__ = [
    "BUDGET",
    "Explorer",
    "Frame",
    "MixtureField",
    "Paint",
    "Slider",
    "Switch",
    "Table",
    "bake",
    "field",
    "images",
    "particles",
]


def Explorer(
    controls: Sequence[Control],
    table: Table,
    compute: Callable[..., Frame] | None = None,
    *,
    caption: str = "",
    alt: str = "",
    once: bool = False,
):
    """The widget.  Show it as the last value of a cell.

    controls: as given to `bake`.  table: their frames.
    compute: what a live kernel calls for a value that is not in the table; None when only stored
    values can be shown.  caption: what to try and what to see, under the picture.
    alt: the picture in words, for readers who do not see it.
    once: it plays by itself, once, when it is first seen, unless the reader asked for less motion.
    Raises ValueError when the table does not fit the controls; ImportError without anywidget.
    """
    controls = checked(controls)
    if not isinstance(table, Table):
        raise ValueError(
            f"table is a {type(table).__name__}: give what bake or Table.load returned"
        )
    if (axes := {c.name: list(c.keys) for c in controls}) != table.axes or list(axes) != list(
        table.axes
    ):
        raise ValueError(
            f"table was baked for {table.axes}, but the controls have {axes}: bake it again"
        )
    if compute is not None and not callable(compute):
        raise ValueError(
            f"compute = {compute!r} cannot be called: give the function that was given to bake"
        )
    try:
        from .live import ExplorerWidget
    except ImportError as error:
        raise ImportError("the explorer needs anywidget: pip install anywidget") from error
    return ExplorerWidget(controls, table, compute, caption=caption, alt=alt, once=once)


def MixtureField(
    mixture,
    dynamics: str | None = None,
    *,
    extent: Sequence[float],
    sigma: float | None = None,
    sigma_max: float = 3.0,
    particles: int = 200,
    start: float | None = None,
    eps: float = 0.02,
    seed: int = 0,
    caption: str = "",
    alt: str = "",
):
    """A Gaussian mixture of the plane that the reader drags: density, score and particles follow,
    without a kernel.

    mixture: a GaussianMixture with at most six components.
    extent: (x0, x1, y0, y1), the edges of the picture.
    sigma: the noise level at the beginning, by default none ("reverse": sigma_max).
    sigma_max: the largest one.
    dynamics: what the particles do.  None: there are none.
    "langevin": x ← x + ε s(x) + √(2ε) z with the score at the fixed σ, from N(0, start² I) around
    the middle of the picture, where start is by default a quarter of its width.
    "reverse": dx = −(1 + η²) σ s dσ + η √(2σ) dw̄, from N(0, σ_max² I) at σ_max down to σ_max/400,
    with η = 0 (probability flow) or η = 1 (reverse SDE); the slider moves along.
    seed: of the page's own generator.
    Raises ValueError that names the argument; ImportError without anywidget.
    """
    try:
        from .mixture import make
    except ImportError as error:
        raise ImportError("the mixture needs anywidget: pip install anywidget") from error
    return make(
        mixture, dynamics, sigma, sigma_max, particles, start, eps, seed, extent, caption, alt
    )
