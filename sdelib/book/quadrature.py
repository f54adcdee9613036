"""The mean of a solver's result on the line, without particles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from ..sdes import SDE
from ..stepping import Step


def mean_at_end(
    phi: Callable[[Tensor], Tensor], sde: SDE, start: float, step: Step, N: int, *, half: float = 7
) -> float:
    """E φ(x(1)) for x(0) = start, in N steps.

    ω(x), the mean of φ at the end from x now, is followed back from t = 1: one step earlier it is
    the mean of ω(step(x)) over the step's Gaussian numbers, an 8 × 8 point Gauss–Hermite sum over a
    spline through 701 points of [−half, half].
    """
    node, weight = np.polynomial.hermite_e.hermegauss(8)
    z1, z2 = (torch.tensor(a.ravel()) for a in np.meshgrid(node, node))
    both = torch.tensor(np.outer(weight, weight).ravel() / weight.sum() ** 2)
    x = torch.linspace(-half, half, 701, dtype=torch.float64)
    omega, h = phi(x), torch.tensor(1 / N, dtype=torch.float64)
    for k in reversed(range(N)):
        dw = h.sqrt() * z1
        area = (h / 2 * dw + h**1.5 / 12**0.5 * z2,) if step.needs_area else ()
        there = step(sde, x[:, None], k * h, h, dw, *area).clamp(-half, half)
        omega = torch.as_tensor(CubicSpline(x, omega)(there)) @ both
    return float(CubicSpline(x, omega)(start))
