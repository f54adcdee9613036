"""Langevin dynamics: unadjusted, Metropolis-adjusted, and annealed over a ladder of noise levels.

    x ← x + ε ∇ log p(x) + √(2ε) z,    z ~ N(0, I),

is `euler_maruyama` on `Langevin(score)` with dt = ε. So all three run in `integrate`, the one time
loop, and are generators of states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import checks
from .brownian import WhiteNoise
from .families import NoiseLevel
from .grids import uniform_times
from .integration import integrate
from .reversal import Score, denoise
from .sdes import SDE
from .solvers import euler_maruyama
from .stepping import Step


@dataclass(frozen=True)
class Langevin(SDE):
    """dx = ∇ₓ log p(x) dτ + √(2κ) dw,  whose stationary law is ∝ p^(1/κ), for κ = 1 p itself.

    score: x → ∇ log p(x), of one density.  τ is the time of the simulation, not a noise level.
    temperature: κ ≥ 0; 0 is gradient ascent.  For κ = 1 the Fokker–Planck equation is
    ∂q/∂τ = ∇·(q ∇ log(q/p)), at rest where q = p.   Roberts & Tweedie 1996.
    """

    score: Callable[[Tensor], Tensor]
    temperature: float = 1.0
    noise = "additive"

    def __post_init__(self):
        checks.within(0, 1e18, temperature=self.temperature)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """score(x)."""
        return checks.same_shape("score(x)", self.score(checks.floats(x)), x)

    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """√(2κ)."""
        return checks.number(math.sqrt(2 * self.temperature), x)

    def blame(self, x: Tensor, t: Tensor) -> str:
        """The score, where it is not finite at x."""
        return "" if self.score(x).isfinite().all() else "score(x) is not finite there"


def langevin(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    eps: float,
    steps: int,
    step: Step = euler_maruyama,
    *,
    temperature: float = 1.0,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Yield x after 1, 2, …, `steps` steps of Langevin dynamics with step size eps.

    score: x → ∇ log p(x), shaped like x, (batch, …).  eps: ε > 0, in squared units of x.
    step: `euler_maruyama` is the unadjusted algorithm (ULA), a `Metropolis` the adjusted (MALA).
    For p = N(0, 1) the stationary variance of ULA is exactly 1/(1 − ε/2), for ε < 2.
    temperature: κ multiplies the variance of the noise, √(2κε) z.
    Roberts & Tweedie 1996.
    """
    checks.positive(eps=eps)
    sde, noise = Langevin(score, temperature), WhiteNoise(x, generator=generator)
    return integrate(sde, x, uniform_times(0.0, eps * steps, steps), step, noise=noise)


class Metropolis(Step):
    """x' = x + f dt + g dw with probability min(1, p(x') q(x | x')/(p(x) q(x' | x))), else x stays.

    q(· | x) = N(x + f(x, t) dt, g(x, t)² |dt| I) is the law of the proposal, `euler_maruyama`, with
    the same t for the way back. With `Langevin(score)` this is MALA: its stationary law is p itself
    at every step size. Two evaluations of f a step.
    log_prob: x → log p(x) up to a constant, shape (batch,).  generator: draws the acceptances.
    accepted, proposed: how many proposals were taken, of how many, since the step was made.
    Besag 1994; Roberts & Tweedie 1996, section 1.4.
    """

    evaluations = 2
    kind = "own"

    def __init__(self, log_prob: Callable[[Tensor], Tensor], *, generator: torch.Generator):
        self.log_prob, self.generator = log_prob, checks.a_generator(generator)
        self.accepted = self.proposed = 0

    @property
    def rate(self) -> float:
        """The share of proposals that were accepted."""
        return int(self.accepted) / max(1, self.proposed)

    def __call__(self, sde: SDE, x: Tensor, t: Tensor, dt: Tensor, *dw: Tensor) -> Tensor:
        def log_q(to: Tensor, mean: Tensor, g: Tensor) -> Tensor:
            log = -(to - mean).square() / (2 * g**2 * dt.abs()) - g.abs().log()
            return log.flatten(1).sum(1)

        ahead = lambda x: (x + sde.drift(x, t) * dt, sde.diffusion(x, t))  # the law of a proposal
        forth, g = ahead(checks.floats(x, axes=2))
        proposal = forth + g * dw[0]
        back, h = ahead(proposal)
        log_p = self.log_prob(proposal) - self.log_prob(x)
        log_ratio = log_p + log_q(x, back, h) - log_q(proposal, forth, g)
        how = {"generator": self.generator, "device": self.generator.device}
        accept = torch.rand(len(x), **how, dtype=x.dtype).to(x.device).log() < log_ratio
        self.accepted, self.proposed = self.accepted + accept.sum(), self.proposed + len(x)
        return torch.where(accept.reshape(-1, *[1] * (x.ndim - 1)), proposal, x)


def annealed_langevin(
    score: Score,
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    steps: int,
    *,
    rate: float = 0.1,
    consistent: bool = False,
    denoised: bool = True,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Yield every state of Langevin dynamics at p_{σ_L}, then p_{σ_{L−1}}, …, then p_{σ_1}.

    At level i the step size is ε_i = rate·σ_i²: measured in units of σ_i, every level makes the
    same steps. The state after them is where level i − 1 starts. One more than L·steps is yielded,
    the noiseless last step, E[x_0 | x] = x + σ_1² score(x, σ_1); denoised=False leaves it out.
    score: score(x, σ) = ∇ log p_σ(x), shaped like x; σ is a scalar tensor.  sigmas: σ_1 < … < σ_L.
    x: the start, often N(0, σ_L² I).  rate: dimensionless, below 2, where N(0, σ_i² I) stops being
    stable.  steps: at each level, so the cost is L·steps + 1 evaluations.
    consistent: take each level's noise so much smaller (`consistent_temperature`) that a chain
    leaves level i with noise of std σ_i, as a network expects it (exactly so for data at a point).
    Raises ValueError for sigmas that do not ascend from above 0, and a rate that is not in (0, 2).
    Song & Ermon 2019 (arXiv:1907.05600), algorithm 1, where α_i = 2ε_i and L is the smallest level;
    last step and consistent noise after Jolicoeur-Martineau et al. 2021 (arXiv:2009.05475).
    """
    sigmas = checks.ascending("sigmas", sigmas)
    _has_steps(rate, steps)
    ratios = [*(sigmas[1:] / sigmas[:-1]).tolist(), 1.0]  # the top level starts at its own σ
    kappas = [consistent_temperature(rate, steps, r) if consistent else 1.0 for r in ratios]

    def states(x: Tensor) -> Iterator[Tensor]:
        for sigma, kappa in zip(sigmas.flip(0), reversed(kappas)):
            level, eps = checks.like(sigma, x), rate * float(sigma) ** 2
            at_level = lambda x: score(x, level)
            for y in langevin(at_level, x, eps, steps, temperature=kappa, generator=generator):
                yield y
            x = y
        if denoised:
            yield denoise(NoiseLevel(float(sigmas[-1])), score, x, level)

    return states(checks.floats(x))


def _has_steps(rate: float, steps: int) -> None:
    checks.require(0 < rate < 2, "rate", rate, "give a number between 0 and 2; ε_i = rate·σ_i²")
    checks.whole(steps=steps)


def consistent_temperature(rate: float, steps: int, ratio: float) -> float:
    """κ = (1 − qγ²)(1 − r/2)/(1 − q),  q = (1 − r)^(2K): with it a level ends at its own σ.

    For data at one point, K steps of rate r take the variance v (in σ²) to
    q v + κ (1 − q)/(1 − r/2); with v = γ² on arrival from the level above and this κ it is 1.
    ratio: γ.  steps: K.   Raises ValueError where q γ² > 1: they cannot shed that much noise.
    """
    _has_steps(rate, steps)
    checks.within(1, 1e100, ratio=ratio)
    q = (1 - rate) ** (2 * steps)
    cure = f"too little to come down from a level {ratio:.3g} times as noisy: raise one of them"
    checks.require(q < 1 >= q * ratio**2, f"rate = {rate}, steps", steps, cure)
    return (1 - q * ratio**2) * (1 - rate / 2) / (1 - q)


def shell_overlap(ratio: float, dim: int) -> float:
    """C = Φ(√(2d)(γ − 1) + 3γ) − Φ(√(2d)(γ − 1) − 3γ), the overlap of the shells of σ and γσ.

    In d dimensions ‖σz‖ is close to N(√d σ, σ²/2): a shell. The shell of γσ reaches three of its
    own standard deviations to either side, and C is the share of σ's noise in there.
    ratio: γ ≥ 1.  dim: d ≥ 1.   Song & Ermon 2020 (arXiv:2006.09011), technique 2, for C ≈ ½.
    """
    checks.within(1, math.inf, ratio=ratio, dim=dim)
    shift = math.sqrt(2 * dim) * (ratio - 1)
    phi = lambda a: (1 + math.erf(a / math.sqrt(2))) / 2
    return phi(shift + 3 * ratio) - phi(shift - 3 * ratio)


def ladder_ratio(dim: int, overlap: float = 0.5) -> float:
    """The ratio γ = σ_{i+1}/σ_i whose `shell_overlap` is `overlap`, by bisection.

    Raises ValueError unless 0 < overlap < 0.99, and below 5 dimensions: there noise is no shell,
    its norm reaches down to 0 at every level, and no ratio has a small overlap.
    """
    fit, cure = 0 < overlap < 0.99 and 5 <= dim < math.inf, "give 0 < overlap < 0.99 and dim ≥ 5"
    checks.require(fit, f"dim = {dim}, overlap", overlap, cure)
    low, high = 1.0, 2.0
    while shell_overlap(high, dim) > overlap:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if shell_overlap(middle, dim) > overlap else (low, middle)
    return low


def ladder(sigma_min: float, sigma_max: float, dim: int, overlap: float = 0.5) -> Tensor:
    """σ_1 < … < σ_L from sigma_min to sigma_max, geometric, as few as overlap so much; float64.

    Song & Ermon 2020, techniques 1 and 2.
    """
    checks.rising(sigma_min=sigma_min, sigma_max=sigma_max)
    gaps = math.ceil(math.log(sigma_max / sigma_min) / math.log(ladder_ratio(dim, overlap)) - 1e-9)
    ends = math.log10(sigma_min), math.log10(sigma_max)
    sigmas = torch.logspace(*ends, gaps + 1, dtype=torch.float64)
    sigmas[0], sigmas[-1] = sigma_min, sigma_max  # to the last bit
    return sigmas
