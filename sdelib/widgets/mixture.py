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

from ..densities import GaussianMixture
from . import Slider, Switch
from .frames import Frame, _extent, field
from .live import _aspect, module, with_still

MOST = 6  # components, as in mixture.js
COLUMNS = 97  # noise levels of the way back


class MixtureWidget(anywidget.AnyWidget):
    """Made by `sdelib.widgets.MixtureField`.  Trait: spec (components, controls, caption); nothing
    comes back from the page."""

    _esm = module("mixture.js")
    spec = traitlets.Dict().tag(sync=True)

    def __init__(self, spec: dict, still: Frame):
        self._still = still
        super().__init__(spec=spec)

    def _repr_mimebundle_(self, **kwargs):
        return with_still(super()._repr_mimebundle_(**kwargs), self._still, self.spec)


def _number(name: str, value, low: float, words: str) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not value >= low
    ):
        raise ValueError(f"{name} = {value!r}: give {words}")
    return float(value)


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
        raise ValueError(
            f"mixture = {mixture!r}: give a GaussianMixture of the plane with at most {MOST} components"
        )
    if dynamics not in (None, "langevin", "reverse"):
        raise ValueError(
            f'dynamics = {dynamics!r}: give "langevin", "reverse", or None for no particles'
        )
    extent = _extent(extent)
    x0, x1, y0, y1 = extent
    for m in mixture.means.tolist():
        if not (x0 <= m[0] <= x1 and y0 <= m[1] <= y1):
            raise ValueError(
                f"extent = {tuple(extent)} leaves out the component at ({m[0]:g}, {m[1]:g}): make it wider"
            )
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
    if isinstance(particles, bool) or not isinstance(particles, int) or not 1 <= particles <= 2000:
        raise ValueError(f"particles = {particles!r}: give a whole number from 1 to 2000")
    eps = _number("eps", eps, 1e-12, "a finite number above 0, the step size of Langevin dynamics")
    if dynamics == "langevin" and eps > (least := float(mixture.variances.min())):
        raise ValueError(
            f"eps = {eps:g} is above the smallest variance of a component, {least:.3g}: there a step overshoots the mean; give less"
        )
    start = _number(
        "start",
        min(x1 - x0, y1 - y0) / 4 if start is None else start,
        0.0,
        "a number of at least 0, a standard deviation",
    )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**53:
        raise ValueError(f"seed = {seed!r}: give a whole number from 0 to 2^53 − 1")
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
    controls = [
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
        "aspect": round(_aspect(still), 4),
        "dynamics": dynamics,
        "particles": particles if dynamics else 0,
        "start": top if back else start,
        "eps": eps,
        "seed": seed,
        "caption": str(caption),
        "alt": str(alt),
    }
    return MixtureWidget(spec, still)
