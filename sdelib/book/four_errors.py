"""The four errors of a sampler, measured apart on a density whose score is exact.

    score   the learned score in place of ∇ log p_t
    step    a coarse time grid in place of a fine one
    start   draws of the prior π in place of p_T
    stop    the state at t_min in place of t → 0

Every run shares one Brownian path and one set of starting draws, so what differs between two runs
is what was switched, and not the luck of the draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..brownian import BrownianPath
from ..checks import a_generator, require, whole
from ..densities import GaussianMixture
from ..grids import geometric_times
from ..integration import solve
from ..own.metrics import sliced_wasserstein
from ..reversal import Reverse, Score
from ..sdes import GaussianSDE
from ..solvers import euler_maruyama, heun
from ..stepping import Step

ERRORS = ("score", "step", "start", "stop")


@dataclass(frozen=True)
class Distance:
    """From the perfect run to another.  law: sliced 2-Wasserstein distance of the two clouds;
    paths: root mean squared distance of the points, each to its own twin. law ≤ paths/√d, and both
    are in the units of x."""

    law: float
    paths: float


class FourErrors:
    """Runs of `Reverse(sde, score, eta)` from T to t_min in which each error is switched on or off.

    density: p_0, with the exact score.  score: the learned one.
    times: the coarse grid, from T down to t_min.
    step: the solver of the coarse grid.  n: samples.
    fine: steps of the perfect run, of `heun` on a grid that is geometric in std/scale and contains
    `times`.  Where "stop" is off, a run goes on from t_min to the time `tiny` with the exact score
    and fine steps; the noise left there has 1/100 of the std at t_min by default.
    Raises ValueError for a grid that does not fall from T to above 0, and an unknown name of an
    error.
    """

    def __init__(
        self,
        density: GaussianMixture,
        sde: GaussianSDE,
        score: Score,
        times: Tensor,
        step: Step = euler_maruyama,
        *,
        n: int,
        generator: torch.Generator,
        eta: float = 1.0,
        fine: int = 300,
    ):
        falls = (times.diff() < 0).all() and abs(float(times[0]) - sde.T) < 1e-9 * sde.T
        cure = f"give a grid that falls from T = {sde.T:g} to a t_min above 0"
        require(falls and times[-1] > 0, "times", times, cure)
        whole(n=n, fine=fine), a_generator(generator)
        self.density, self.sde, self.step, self.eta = density, sde, step, eta
        self.times = times.double()
        self.scores = {False: density.score_of(sde), True: score}
        t_min = self.times[-1]
        tiny = sde.time(sde.ratio(t_min) / 100)
        grid = geometric_times(sde, sde.T, float(tiny), fine)
        gap = (grid[:, None] - self.times).abs().min(1).values
        near = gap < 1e-5 * sde.T  # too close to a coarse time
        grid = torch.cat([grid[~near | (grid < t_min)], self.times]).unique().flip(0)
        self.fine, self.tail = grid[grid >= t_min], grid[grid <= t_min]
        x0 = density.sample(n, generator=generator)
        z = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
        self.starts = {False: sde.perturb(x0, torch.tensor(sde.T), z), True: sde.prior_std * z}
        self.noise = BrownianPath(grid, x0, generator=generator)
        self._known: dict[frozenset, Tensor] = {}

    def sample(self, *on: str) -> Tensor:
        """The samples, shape (n, d), of the run with the errors named in `on` and no other."""
        require(set(on) <= set(ERRORS), "on", on, f"choose among {', '.join(ERRORS)}")
        key = frozenset(on)
        if key not in self._known:
            back = Reverse(self.sde, self.scores["score" in key], self.eta)
            grid, step = (self.times, self.step) if "step" in key else (self.fine, heun)
            x = solve(back, self.starts["start" in key], grid, step, noise=self.noise)
            if "stop" not in key:
                x = solve(
                    Reverse(self.sde, self.scores[False], self.eta),
                    x,
                    self.tail,
                    heun,
                    noise=self.noise,
                )
            self._known[key] = x
        return self._known[key]

    def distance(self, *on: str) -> Distance:
        """How far the run with these errors is from the run with none."""
        x, perfect = self.sample(*on), self.sample()
        return Distance(
            sliced_wasserstein(x, perfect), float((x - perfect).square().sum(1).mean().sqrt())
        )

    def split(self) -> dict[str, Distance]:
        """{"score": …, "step": …, "start": …, "stop": …, "all": …}: each error alone, and all
        together."""
        return {name: self.distance(name) for name in ERRORS} | {"all": self.distance(*ERRORS)}

    def floor(self, *, generator: torch.Generator) -> float:
        """The law distance of the perfect run to n fresh exact draws: what luck alone would show
        without twins."""
        return sliced_wasserstein(
            self.sample(), self.density.sample(len(self.sample()), generator=generator)
        )
