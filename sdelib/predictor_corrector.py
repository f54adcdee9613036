"""Steps that know which process they undo, and the Langevin corrector between them.

A reverse SDE is more than a drift and a diffusion: over a step from t to t' = t + dt the forward
process is known exactly, x_t | x_t' ~ N(r·x_t', v·I) with (r, v) = forward.transition(t', t). Three
predictors use it:

    reverse_diffusion    (2 − r) x + v s + √v z          Song et al. 2021, eq. 46 with eq. 45
    exponential          (x + v s + √v z)/r              the linear part solved exactly
    ancestral            (x + v s)/r + (std'/std) √v z   the posterior's own noise; eq. 47 for VE

They agree to first order in v. A corrector then moves x by Langevin dynamics at the new time.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .checks import finite, floats
from .langevin import Langevin
from .reversal import Reverse, Score
from .sdes import SDE, GaussianSDE
from .solvers import Step


def exponential(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """[x + ½(1 + η²) v s(x, t) + η √v z]/r,   z = dw/√|dt|.

    Exponential Euler–Maruyama: the linear drift and the noise of a Gaussian SDE are solved exactly,
    and only scale(t)·s is frozen over the step. In the variable x/scale and the clock (std/scale)²
    it *is* `euler_maruyama`. One evaluation of the score; any η.
    For η = 1 the mean is that of Ho et al. 2020, eq. 11.
    Raises ValueError when sde is not the Reverse of a Gaussian SDE.
    """
    r, v = _undone(sde, x, t, dt)
    noise = sde.eta * v.clamp(min=0).sqrt() * dw / dt.abs().sqrt()
    return (x + (1 + sde.eta**2) / 2 * v * sde.checked_score(x, t) + noise) / r


def reverse_diffusion(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """(2 − r) x + v s(x, t) + √v z,   z = dw/√|dt|: the forward step's discretisation, turned
    round.

    For VE (r = 1) it is `exponential`. One evaluation of the score.
    Song et al. 2021, eq. 46, appendix E.
    Raises ValueError when sde is not the Reverse of a Gaussian SDE with η = 1.
    """
    r, v = _undone(sde, x, t, dt, eta=1.0)
    return (2 - r) * x + v * sde.checked_score(x, t) + v.sqrt() * dw / dt.abs().sqrt()


def ancestral(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """(x + v s(x, t))/r + (std'/std) √v z,   z = dw/√|dt|: a draw of x_t' given x_t and x_0 = E[x_0
    | x_t].

    With std' = std(t + dt). The noise is that of the posterior of a single x_0; Ho et al. 2020,
    section 3.2, call it one of two extremes. For VP the paper's own choice is √v, right for x_0 ~
    N(0, I).
    One evaluation of the score.   Ho et al. 2020; Song et al. 2021, eq. 47.
    Raises ValueError when sde is not the Reverse of a Gaussian SDE with η = 1.
    """
    r, v = _undone(sde, x, t, dt, eta=1.0)
    share = (
        sde.forward.marginal(t.double() + dt.double())[1] / sde.forward.marginal(t.double())[1]
    ).to(x)
    return (x + v * sde.checked_score(x, t)) / r + share * v.sqrt() * dw / dt.abs().sqrt()


def stay(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x: no prediction at all. With a corrector it is annealed Langevin dynamics."""
    return x


def forward_of(sde: SDE) -> GaussianSDE:
    """The Gaussian SDE that `sde` reverses.  Raises ValueError when there is none."""
    if not isinstance(sde, Reverse) or not isinstance(sde.forward, GaussianSDE):
        raise ValueError(
            f"sde = {type(sde).__name__}: this step undoes a Gaussian SDE, so give Reverse(forward, score) "
            "with a forward of VE, VP, SubVP or NoiseLevel"
        )
    return sde.forward


def _undone(
    sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, eta: float | None = None
) -> tuple[Tensor, Tensor]:
    """(r, v) of the forward transition from t + dt to t, in the dtype of x."""
    forward = forward_of(sde)
    if eta is not None and sde.eta != eta:
        raise ValueError(
            f"sde.eta = {sde.eta:g}: this step is made for eta = {eta:g}; `exponential` takes any"
        )
    r, v = forward.transition(t.double() + dt.double(), t)
    return r.to(x), v.to(x)


def langevin_step_size(s: Tensor, snr: float) -> Tensor:
    """ε = 2 (snr ‖z‖/‖s‖)²  with ‖z‖² = d, its mean, and ‖s‖² averaged over the batch: a scalar.

    s: scores of shape (batch, …). For p_t = N(0, v I) it is 2 snr² v, whatever v and d are.
    Song et al. 2021, algorithms 4 and 5 (which take ‖z‖ and ‖s‖ of each draw; for VP times α_i ≈
    1).
    """
    return finite("the step size", 2 * snr * snr / floats(s, "s").square().mean())


@dataclass(frozen=True)
class PredictorCorrector:
    """x ← predictor(x) from t to t + dt;  then `corrections` times  x ← x + ε s(x, t+dt) + √(2ε) z.

    A step for `integrate`, on a Reverse. ε is `langevin_step_size(s, snr)`.
    predictor: any step; `stay` leaves the corrector alone.
    corrections: evaluations of the score on top of the predictor's, at least 0.
    generator: draws the corrector's noise; the predictor's comes from the loop, so runs with and
    without corrector can share a path. The predictor goes first, as in Song et al. 2021, algorithms
    1 to 3; their published code corrects first, at t, and leaves the last prediction uncorrected.
    The corrector is Langevin dynamics with a step of finite size: for a Gaussian p_t it rests at a
    variance 1 + snr² times too large, so a large snr mixes fast and is wrong.
    Raises ValueError for snr that is not a finite number above 0, and corrections that is not a
    whole number of at least 0.
    """

    predictor: Step
    snr: float
    corrections: int = 1
    _: KW_ONLY
    generator: torch.Generator

    def __post_init__(self):
        if not (math.isfinite(self.snr) and self.snr > 0):
            raise ValueError(f"snr = {self.snr!r}: give a finite number above 0")
        if not isinstance(self.corrections, int) or self.corrections < 0:
            raise ValueError(
                f"corrections = {self.corrections!r}: give a whole number of at least 0"
            )

    @property
    def needs_area(self) -> bool:
        return getattr(self.predictor, "needs_area", False)

    def __call__(
        self, sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor, *area: Tensor
    ) -> Tensor:
        if not isinstance(sde, Reverse):
            raise ValueError(
                f"sde = {type(sde).__name__}: a corrector needs the score, so give Reverse(forward, score)"
            )
        return correct(
            sde.score,
            self.predictor(sde, x, t, dt, dw, *area),
            t + dt,
            self.snr,
            self.corrections,
            generator=self.generator,
        )


def correct(
    score: Score, x: Tensor, t: Tensor, snr: float, corrections: int, *, generator: torch.Generator
) -> Tensor:
    """x after `corrections` steps of Langevin dynamics towards p_t, with ε from the signal-to-noise
    ratio snr."""
    noise = WhiteNoise(x, generator=generator)
    for _ in range(corrections):
        s = Langevin(lambda y: score(y, t)).drift(x, t)
        eps = langevin_step_size(s, snr)
        x = x + eps * s + math.sqrt(2) * noise(torch.zeros_like(eps), eps)
    return x
