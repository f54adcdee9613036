"""A mixture that the reader shapes, as an anywidget: its arguments, its one trait, and its still
picture.

The page computes log density, score and particles itself (mixture.js), so no kernel and no table is
needed.
"""

from __future__ import annotations

import math

import anywidget
import torch
import traitlets

from ..checks import require, show
from ..densities import GaussianMixture
from .bundle import module, style
from .controls import Slider, Switch
from .frames import Frame, edges, field
from .still import aspect, with_still

MOST = 6  # components, as in mixture.js
COLUMNS = 97  # noise levels of the way back


class MixtureWidget(anywidget.AnyWidget):
    """Made by `sdelib.widgets.MixtureField`.  Trait: spec (components, controls, caption); nothing
    comes back from the page."""

    _esm = module("mixture")
    _css = style("mixture")
    spec = traitlets.Dict().tag(sync=True)

    def __init__(self, spec: dict, still: Frame):
        self._still = still
        super().__init__(spec=spec)

    def _repr_mimebundle_(self, **kwargs):
        return with_still(super()._repr_mimebundle_(**kwargs), self._still, self.spec)


def _number(name: str, value, low: float, words: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(number and low <= value < math.inf, name, value, f"give {words}")
    return float(value)


def _whole(name: str, value, low: int, high: int, words: str) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(
        whole and low <= value <= high, name, value, f"give a whole number from {low} to {words}"
    )


def _grid(extent: list[float], n: int) -> torch.Tensor:
    """As plotting.grid_points, which needs matplotlib: (n, n, 2), row 0 at y0."""
    x, y = (
        torch.linspace(low, high, n, dtype=torch.float64) for low, high in (extent[:2], extent[2:])
    )
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def make(
    mixture, dynamics, sigma, sigma_max, particles, start, eps, seed, extent, caption, alt
) -> MixtureWidget:
    """See `sdelib.widgets.MixtureField`."""
    if (
        not isinstance(mixture, GaussianMixture)
        or mixture.means.ndim != 2
        or mixture.dim != 2
        or len(mixture.weights) > MOST
    ):
        cure = f"give a GaussianMixture of the plane with at most {MOST} components"
        raise ValueError(f"mixture = {show(mixture)}: {cure}")
    cure = 'give "langevin", "reverse", or None for no particles'
    require(dynamics in (None, "langevin", "reverse"), "dynamics", dynamics, cure)
    extent = edges(extent)
    x0, x1, y0, y1 = extent
    for m in mixture.means.tolist():
        if not (x0 <= m[0] <= x1 and y0 <= m[1] <= y1):
            where = f"leaves out the component at ({m[0]:g}, {m[1]:g})"
            raise ValueError(f"extent = {tuple(extent)} {where}: make it wider")
    top = _number("sigma_max", sigma_max, 1e-6, "a finite number above 0, the largest noise level")
    back = dynamics == "reverse"
    sigma = _number(
        "sigma",
        (top if back else 0.0) if sigma is None else sigma,
        0.0,
        f"a number from 0 to sigma_max = {top:g}",
    )
    n = COLUMNS if back else 40
    keys = [float(f"{top * (1 / 400 if back else 1 / 60) ** (k / (n - 1)):.4g}") for k in range(n)][
        ::-1
    ]
    keys = sorted({*keys[:-1], top, sigma} | (set() if back else {0.0}))
    if sigma > top or (back and sigma == 0):
        raise ValueError(
            f"sigma = {sigma:g}: give a number "
            + ("above 0 and " if back else "")
            + f"up to sigma_max = {top:g}"
        )
    _whole("particles", particles, 1, 2000, "2000")
    eps = _number("eps", eps, 1e-12, "a finite number above 0, the step size of Langevin dynamics")
    if dynamics == "langevin" and eps > (least := float(mixture.variances.min())):
        why = f"is above the smallest variance of a component, {least:.3g}"
        raise ValueError(f"eps = {eps:g} {why}: there a step overshoots the mean; give less")
    start = _number(
        "start",
        min(x1 - x0, y1 - y0) / 4 if start is None else start,
        0.0,
        "a number of at least 0, a standard deviation",
    )
    _whole("seed", seed, 0, 2**53 - 1, "2^53 − 1")
    noisy = mixture.blurred(sigma)
    still = field(
        density=noisy.log_prob(_grid(extent, 72)).exp(),
        arrows=noisy.score(_grid(extent, 17)),
        extent=extent,
    )
    components = [
        {"weight": w, "mean": m, "stds": v, "angle": math.atan2(a[1][0], a[0][0])}
        for w, m, v, a in zip(
            *(
                part.double().tolist()
                for part in (mixture.weights, mixture.means, mixture.variances.sqrt(), mixture.axes)
            )
        )
    ]
    controls: list[Slider | Switch] = [
        Slider("sigma", "noise σ", keys, start=sigma),
        Slider("weight", "weight of component 1", [k / 100 for k in range(1, 100)]),
    ]
    if back:
        controls.insert(
            1, Switch("eta", "the way back", ["probability flow", "reverse SDE"])
        )  # η = 0 and 1
    spec = {
        "view": "mixture",
        "components": components,
        "controls": [c.spec() for c in controls],
        "extent": extent,
        "aspect": round(aspect(still), 4),
        "dynamics": dynamics,
        "particles": particles if dynamics else 0,
        "start": top if back else start,
        "eps": eps,
        "seed": seed,
        "caption": str(caption),
        "alt": str(alt),
    }
    return MixtureWidget(spec, still)
