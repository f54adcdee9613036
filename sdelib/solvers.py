"""The steps of the textbooks, for any Itô equation with diagonal noise.

    on paths, as |dt| → 0: an error like |dt|^order

                       general noise      g(t), additive   cost in f
    euler_maruyama     1/2                1                1
    milstein, platen   1                  1 (the same)     1
    heun               1, Stratonovich    1 (weak 2)       2
    heun_ito           1                  1 (weak 2)       2
    sra                –                  3/2              2

Steps that use more of a reverse SDE than its drift and diffusion are in `predictor_corrector` and
`few_steps`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .sdes import SDE, pull_back
from .stepping import one_step


@one_step(evaluations=1, order=1.0, kind="cross")
def euler_maruyama(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f(x, t) dt + g(x, t) dw.  One evaluation of f.

    Strong order 1/2, weak order 1; strong order 1 where g does not depend on x.
    Maruyama 1955; Kloeden & Platen 1992, section 10.2.
    """
    return x + sde.drift(x, t) * dt + sde.diffusion(x, t) * dw


@one_step(evaluations=1, order=1.0, kind="own")
def platen(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f dt + g dw + ½ [g(x + g√|dt|) − g(x)] (dw² − |dt|)/√|dt|.  One evaluation of f.

    Milstein's method without the derivative of g: the "order-1 Runge–Kutta" of the source. Strong
    order 1. Where g does not depend on x the bracket is exactly zero, and what is left is
    `euler_maruyama` to the last bit.  Kloeden & Platen 1992, section 11.1, here without the drift
    in the supporting value, as the source has it, and with |dt| for backward time.
    """
    g = sde.diffusion(x, t)
    root = dt.abs().sqrt()
    bracket = sde.diffusion(x + g * root, t) - g
    return x + sde.drift(x, t) * dt + g * dw + bracket * ((dw**2 - dt.abs()) / (2 * root))


@one_step(evaluations=2, order=1.0, kind="cross")
def heun(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x̂ = x + f dt + g dw;  x + ½ [f(x, t) + f(x̂, t+dt)] dt + ½ [g(x, t) + g(x̂, t+dt)] dw.

    Two evaluations of f. With g = 0 it is the ODE method of order 2. With noise that depends on x
    it converges to the Stratonovich solution, not to Itô's; where g does not, the two agree.
    Rümelin 1982; Kloeden & Platen 1992, section 15.1.
    """
    f, g = sde.drift(x, t), sde.diffusion(x, t)
    ahead = x + f * dt + g * dw
    f_mean = (f + sde.drift(ahead, t + dt)) / 2
    g_mean = (g + sde.diffusion(ahead, t + dt)) / 2
    return x + f_mean * dt + g_mean * dw


@one_step(evaluations=1, order=1.0, kind="own")
def milstein(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x + f dt + g dw + ½ g ∂g/∂x (dw² − |dt|), with the derivative by automatic differentiation.

    Strong order 1 where each coordinate's noise depends on no other coordinate. One evaluation of
    f.   Milstein 1975; Kloeden & Platen 1992, section 10.3.
    """
    g, slope = _slope(sde, x, t)
    return x + sde.drift(x, t) * dt + g * dw + slope / 2 * (dw**2 - dt.abs())


@one_step(evaluations=2, order=1.0, kind="own")
def heun_ito(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """`heun` with the drift f − ½ g ∂g/∂x (+ for dt < 0), whose Stratonovich solution is that of
    Itô for f.

    Two evaluations of f. Where g does not depend on x it is `heun`.
    Kloeden & Platen 1992, section 4.9.
    """
    return heun(_Stratonovich(sde, dt.sign()), x, t, dt, dw)


@one_step(evaluations=2, order=1.5, kind="additive", needs_area=True)
def sra(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor, area: Tensor) -> Tensor:
    """H = x + ¾ f(x, t) dt + 3/2 g(t+¼dt) J;
    x + [⅓ f(x, t) + ⅔ f(H, t+¾dt)] dt + g(t+dt) dw + [g(t) − g(t+dt)] J,

    with J = area/dt, the mean of W − W(t) over the step. For noise g(t) that does not depend on x.
    Strong order 3/2, and weak order 2; two evaluations of f.   Rößler 2010 (SIAM J. Numer. Anal.
    48), SRA1, except that his H has g(t+dt). H stands for ∫∫ g dW ds = ∫ g(s) (t+dt−s) dW(s). One
    value of g does that best at the mean of s under the weight (t+dt−s)², which is t + ¼dt. The
    order is the same; on steep g a coarse grid gains.
    """
    J = area / dt
    f, g, g_next = sde.drift(x, t), sde.diffusion(x, t), sde.diffusion(x, t + dt)
    H = x + 0.75 * f * dt + 1.5 * sde.diffusion(x, t + 0.25 * dt) * J
    f_mean = (f + 2 * sde.drift(H, t + 0.75 * dt)) / 3
    return x + f_mean * dt + g_next * dw + (g - g_next) * J


@dataclass(frozen=True)
class _Stratonovich(SDE):
    """The drift f ∓ ½ g ∂g/∂x in whose Stratonovich solution Itô's solution of `sde` is."""

    sde: SDE
    sign: Tensor

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        return self.sde.drift(x, t) - self.sign / 2 * _slope(self.sde, x, t)[1]

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        return self.sde.diffusion(x, t)


def _slope(sde: SDE, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """(g, g ∂g/∂x), each coordinate by itself; the second is shaped like x."""
    with torch.enable_grad():
        y = x if x.requires_grad else x.detach().requires_grad_()
        g = sde.diffusion(y, t)
        whole = g.expand_as(y)
        (slope,) = pull_back(whole, y, torch.ones_like(whole), create_graph=x.requires_grad)
    g = g if x.requires_grad else g.detach()
    return g, g * slope
