"""Steps that know which process they undo, and the Langevin corrector between them.

A reverse SDE is more than a drift and a diffusion: over a step back from t to t' = t + dt < t the
forward process is known exactly,

    x_t | x_t' ~ N(r x_t', v I)    with (r, v) = forward.transition(t', t),

and with s = score(x, t), z = dw/√|dt| and std' = std(t') three predictors use it:

    reverse_diffusion    (2 − r) x + v s + √v z          Song et al. 2021, eq. 46 with eq. 45
    exponential          (x + v s + √v z)/r              the linear part solved exactly
    ancestral            (x + v s)/r + (std'/std) √v z   the posterior's own noise; eq. 47 for VE

They agree to first order in dt. A corrector then moves x by Langevin dynamics at the new time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from .brownian import WhiteNoise
from .checks import a_generator, floats, glance, require, whole
from .reversal import Reverse, Score, forward_of
from .sdes import SDE
from .stepping import Around, Step, as_step, one_step


@one_step(evaluations=1, order=1.0, kind="additive")
def exponential(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """[x + ½(1 + η²) v s(x, t) + η √v z]/r,   z = dw/√|dt|.

    Exponential Euler–Maruyama: the linear drift and the noise of a Gaussian SDE are solved exactly,
    and only scale(t)·s is frozen over the step. In the variable x/scale and the clock (std/scale)²
    it *is* `euler_maruyama`. One evaluation of the score; any η.  For η = 1 the mean is that of Ho
    et al. 2020, eq. 11.
    Raises ValueError when sde is not the Reverse of a Gaussian SDE.
    """
    r, v = _undone(sde, t, dt)
    noise = sde.eta * v.clamp(min=0).sqrt() / dt.abs().sqrt() * dw  # v < 0 upwards, where η = 0
    return (x + (1 + sde.eta**2) / 2 * v * sde.score_at(x, t) + noise) / r


@one_step(evaluations=1, order=1.0, kind="additive")
def reverse_diffusion(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """(2 − r) x + v s(x, t) + √v z,  z = dw/√|dt|: the forward step's discretisation, turned round.

    For VE (r = 1) it is `exponential`. One evaluation of the score.  Raises ValueError unless sde
    is the Reverse of a Gaussian SDE with η = 1.   Song et al. 2021, eq. 46, appendix E.
    """
    r, v = _undone(sde, t, dt, eta=1.0)
    return (2 - r) * x + v * sde.score_at(x, t) + v.sqrt() / dt.abs().sqrt() * dw


@one_step(evaluations=1, order=1.0, kind="additive")
def ancestral(sde: Reverse, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """(x + v s(x, t))/r + (std'/std) √v z,  z = dw/√|dt|: x_t' given x_t and x_0 = E[x_0 | x_t].

    With std' = std(t + dt). The noise is that of the posterior of a single x_0; Ho et al. 2020,
    section 3.2, call it one of two extremes. For VP Song et al. take √v, right for x_0 ~ N(0, I).
    Cost and ValueErrors as `reverse_diffusion`.   Ho et al. 2020; Song et al. 2021, eq. 47.
    """
    r, v = _undone(sde, t, dt, eta=1.0)
    forward = forward_of(sde)
    share = forward.marginal(t + dt)[1] / forward.marginal(t)[1]
    return (x + v * sde.score_at(x, t)) / r + share * v.sqrt() / dt.abs().sqrt() * dw


@one_step(evaluations=0, order=0.0, kind="cross", silent=True)
def stay(sde: SDE, x: Tensor, t: Tensor, dt: Tensor, dw: Tensor) -> Tensor:
    """x: no prediction at all. With a corrector it is annealed Langevin dynamics."""
    return x


def _undone(sde: Reverse, t: Tensor, dt: Tensor, eta: float | None = None) -> tuple[Tensor, Tensor]:
    """(r, v) of the forward transition from t + dt to t, in float64."""
    return forward_of(sde, eta).transition(t.double() + dt.double(), t)


def langevin_step_size(s: Tensor, snr: float) -> Tensor:
    """ε = 2 (snr ‖z‖/‖s‖)²  with d for ‖z‖², the numbers in one x, and the batch's mean for ‖s‖².

    s: scores of shape (batch, …). For p_t = N(0, v I) it is 2 snr² v, whatever v and d are.
    Song et al. 2021, algorithms 4 and 5 (there ‖z‖ and ‖s‖ of each draw; for VP times α_i ≈ 1).
    """
    return glance("the step size", _step_size(floats(s, "s"), snr))


def _step_size(s: Tensor, snr: float) -> Tensor:
    return 2 * snr * snr / s.square().mean()


@dataclass(frozen=True)
class PredictorCorrector(Around):
    """x ← predictor(x) from t to t + dt;  then `corrections` times  x ← x + ε s(x, t+dt) + √(2ε) z.

    A step for `integrate`, on a Reverse. ε is `langevin_step_size(s, snr)`.
    predictor: any step; `stay` leaves the corrector alone.
    corrections: Langevin moves after each prediction, at least 0, for one evaluation each.
    generator: draws the corrector's noise; the predictor's comes from the loop, so runs with and
    without corrector can share a path. The predictor goes first, as in Song et al. 2021, algorithms
    1 to 3; their published code corrects first, at t, and leaves the last prediction uncorrected.
    The corrector is Langevin dynamics with a step of finite size: for p_t = N(m, v I) it rests at a
    variance 1 + snr² times too large, so a large snr mixes fast and is wrong.
    """

    predictor: Step | Callable[..., Tensor]
    snr: float
    corrections: int = 1
    _: KW_ONLY
    generator: torch.Generator

    def __post_init__(self):
        whole(0, corrections=self.corrections)
        require(0 < self.snr < math.inf, "snr", self.snr, "give a finite number above 0")

    @property
    def inner(self) -> Step:
        return as_step(self.predictor)

    @property
    def evaluations(self) -> int:
        return self.inner.evaluations + self.corrections

    def after(self, sde: Reverse, before: Tensor, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        require(isinstance(sde, Reverse), "sde", sde, "a corrector needs the score: give a Reverse")
        score, generator = sde.score_at, self.generator
        return correct(score, x, t_next, self.snr, self.corrections, generator=generator)


def correct(
    score: Score, x: Tensor, t: Tensor, snr: float, corrections: int, *, generator: torch.Generator
) -> Tensor:
    """x after `corrections` times  x ← x + ε s(x, t) + √(2ε) z, with ε from the signal-to-noise
    ratio snr: Langevin dynamics towards p_t."""
    noise = WhiteNoise(x, generator=a_generator(generator))
    for _ in range(corrections):
        s = score(x, t)
        eps = _step_size(s, snr)
        x = x + eps * s + (2 * eps).sqrt() * noise.normal()
    return x
