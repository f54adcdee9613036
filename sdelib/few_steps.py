"""Solvers that come far in few steps: they know the denoiser, and solve everything else exactly.

In the variable y = x/scale and the clock λ = −ln r, where r = std/scale is the noise-to-signal
ratio, the family `Reverse(sde, score, eta)` of every Gaussian SDE is the same equation,

    dy = (1 + η²) [D(y, λ) − y] dλ + η r √2 dw_λ,        D = E[x₀ | x_t], the denoiser,

which is linear but for D. `DPMSolver` solves it over a step with D a polynomial in λ; `EDMHeun`
takes r itself as the time. Both are steps for `integrate`, on a Reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .predictor_corrector import forward_of
from .reversal import Reverse
from .solvers import denoise


class DPMSolver:
    """y' = a y + (1 − a) D̃ + r' √(1 − e^(−2η²h)) z,   a = e^(−(1+η²)h),   h = ln(r/r'),
    D̃ = D + h/(2 h₋) (D − D₋),

    with y = x/scale, z = dw/√|dt|, and D₋, h₋ of the step before.
    η is that of the Reverse: 0 is DPM-Solver++(2M), 1 its SDE form. order = 1, and every first
    step, takes D̃ = D: for η = 0 that is DDIM (Song, Meng & Ermon 2021).
    One evaluation of the score a step.  For η = 0 the order is 2.
    It remembers the step before, so it serves one solve at a time; a step that does not begin where
    the last one ended, or has another shape, is a first one.
    Raises ValueError for another order, and when sde is not the Reverse of a Gaussian SDE.
    Lu et al. 2022 (arXiv:2211.01095), eq. 9, algorithm 2 and appendix A; for 0 < η < 1 the same
    derivation.
    """

    def __init__(self, order: int = 2):
        if order not in (1, 2):
            raise ValueError(f"order = {order!r}: give 1 or 2")
        self.order = order
        self._end: float | None = None

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        forward, start, end = forward_of(sde), float(t), float(t.double() + dt.double())
        (scale, std), (scale_next, std_next) = (
            forward.marginal(torch.tensor(a, dtype=torch.float64)) for a in (start, end)
        )
        r, r_next = std / scale, std_next / scale_next
        h, rate = (r / r_next).log(), 1 + sde.eta**2
        d = denoise(forward, sde.checked_score, x, t)
        known = (
            self.order == 2
            and self._end is not None
            and self._d.shape == x.shape
            and abs(start - self._end) < 1e-6 * forward.T
        )
        ahead = d + float(h / (2 * self._h)) * (d - self._d) if known else d
        self._end, self._h, self._d = end, h, d
        shrink, noise = torch.exp(-rate * h), r_next * torch.sqrt(-torch.expm1(-2 * sde.eta**2 * h))
        return (
            (shrink * scale_next / scale).to(x) * x
            + (-torch.expm1(-rate * h) * scale_next).to(x) * ahead
            + (scale_next * noise).to(x) * dw / dt.abs().sqrt()
        )


@dataclass(frozen=True)
class EDMHeun:
    """ŷ = y + s_noise √(r̂² − r²) z,  r̂ = (1 + γ) r;   then Heun's step of  dy/dr = (y − D)/r
    from r̂ to r'.

    γ = min(churn/steps, √2 − 1) for s_min ≤ r ≤ s_max, else 0; r̂ is not taken above the ratio at
    T, so the first step of a full solve has no churn. Noise goes in, and the flow takes it out
    again: a corrector inside the step.
    churn: 0 is the deterministic sampler.  steps: of the whole solve.
    s_noise: slightly above 1 makes up for a denoiser that removes too much.
    Two evaluations of the score a step, on a Reverse with η = 0.
    Raises ValueError for a negative churn, steps that is not a whole number above 0, and when sde
    is not the Reverse of a Gaussian SDE with η = 0.
    Karras et al. 2022 (arXiv:2206.00364), algorithms 1 and 2.
    """

    churn: float = 0.0
    steps: int = 1
    s_min: float = 0.0
    s_max: float = math.inf
    s_noise: float = 1.0

    def __post_init__(self):
        if not (math.isfinite(self.churn) and self.churn >= 0):
            raise ValueError(f"churn = {self.churn!r}: give a finite number of at least 0")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps = {self.steps!r}: give a whole number above 0")

    def __call__(self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
        forward = forward_of(sde)
        if sde.eta != 0:
            raise ValueError(
                f"sde.eta = {sde.eta:g}: the noise of this step is its churn, so give Reverse(..., eta=0)"
            )
        end = t.double() + dt.double()
        r, r_next = forward.ratio(t.double()), forward.ratio(end)
        gamma = (
            min(self.churn / self.steps, math.sqrt(2) - 1)
            if self.s_min <= float(r) <= self.s_max
            else 0.0
        )
        r_hat = torch.minimum(
            (1 + gamma) * r,
            forward.ratio(torch.tensor(forward.T, dtype=torch.float64, device=r.device)),
        )
        now = t.double() if r_hat <= r else forward.time(r_hat)
        scale = forward.marginal(t.double())[0]
        y = x / scale.to(x)
        if r_hat > r:
            y = y + (self.s_noise * (r_hat**2 - r**2).sqrt()).to(x) * dw / dt.abs().sqrt()
        slope = self._slope(sde, y, now, r_hat)
        ahead = y + (r_next - r_hat).to(x) * slope
        slope = (slope + self._slope(sde, ahead, end, r_next)) / 2
        return forward.marginal(end)[0].to(x) * (y + (r_next - r_hat).to(x) * slope)

    @staticmethod
    def _slope(sde: Reverse, y: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """dy/dr = (y − D)/r = −r·scale·s."""
        scale = sde.forward.marginal(t)[0].to(y)
        return -r.to(y) * scale * sde.checked_score(scale * y, t.to(y))
