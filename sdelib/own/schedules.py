"""Discrete noise levels, as other libraries train on them.

    y_k = √ᾱ_k u₀ + √(1 − ᾱ_k) z,      ᾱ_k = (1 − β_0)(1 − β_1) … (1 − β_k),      k = 0, …, K − 1

(Ho et al. 2020, arXiv:2006.11239, eq. 4; there k begins at 1). Because y_k/√ᾱ_k = u₀ + ρ_k z, a
step is a noise-to-signal ratio

    ρ_k = √(1/ᾱ_k − 1),      and back      ᾱ = 1/(1 + ρ²).

Between two steps ln ρ is taken as linear in k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import floats, levels, number, require, rising, whole


def _linear(low: float, high: float, steps: int) -> Tensor:
    return torch.linspace(low, high, steps, dtype=torch.float64)


def _scaled_linear(low: float, high: float, steps: int) -> Tensor:
    return _linear(math.sqrt(low), math.sqrt(high), steps) ** 2


def _squared_cosine(low: float, high: float, steps: int) -> Tensor:
    f = torch.cos((_linear(0, 1, steps + 1) + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


BETAS: dict[str, Callable[[float, float, int], Tensor]] = {
    "linear": _linear,
    "scaled_linear": _scaled_linear,
    "squaredcos_cap_v2": _squared_cosine,
}
"""diffusers' name of a schedule → betas(β_first, β_last, K): β or √β evenly spaced (Ho et al. 2020;
Rombach et al. 2022); ᾱ_k ∝ cos²(½π (s + 0.008)/1.008) with s = (k + 1)/K and β ≤ 0.999, whatever
β_first and β_last (Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17)."""

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a model may predict, by diffusers' names."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """ᾱ_0 > … > ᾱ_{K−1}, and what a model says of them.

    alphas_cumprod: ᾱ, shape (K,), K ≥ 2, kept in float64 on the CPU.
    prediction: "epsilon" z;  "v_prediction" √ᾱ z − √(1 − ᾱ) u₀ (Salimans & Ho 2022,
    arXiv:2202.00512, appendix D);  "sample" u₀.
    Raises ValueError for another, and for ᾱ that do not fall inside (0, 1).
    """

    alphas_cumprod: Tensor
    prediction: str = "epsilon"

    def __post_init__(self):
        alphas = torch.as_tensor(self.alphas_cumprod).detach().cpu().double()
        falls = alphas.ndim == 1 and len(alphas) > 1 and alphas[-1] > 0 and alphas[0] < 1
        falls = falls and bool((alphas.diff() < 0).all())
        cure = "give two or more that fall, 1 > ᾱ_0 > … > 0; a step with ᾱ = 0 has no ratio"
        require(falls, "alphas_cumprod", alphas, cure)
        cure = f"there are {', '.join(PREDICTIONS)}"
        require(self.prediction in PREDICTIONS, "prediction", self.prediction, cure)
        object.__setattr__(self, "alphas_cumprod", alphas)

    @classmethod
    def named(
        cls,
        name: str = "linear",
        steps: int = 1000,
        first: float = 1e-4,
        last: float = 0.02,
        prediction: str = "epsilon",
    ) -> Schedule:
        """By diffusers' name of the β; first, last: β_0 and β_{K−1}.  Raises ValueError for a name
        that BETAS does not have, and β that do not rise within (0, 1)."""
        require(name in BETAS, "name", name, f"there are {', '.join(BETAS)}; or give ᾱ yourself")
        whole(2, steps=steps), rising(first=first, last=last, one=1.0)
        return cls(torch.cumprod(1 - BETAS[name](first, last, steps), 0), prediction)

    @classmethod
    def of(cls, scheduler: Any) -> Schedule:
        """That of a scheduler of diffusers, or of its configuration as a dictionary, as
        scheduler_config.json holds it; of the latter without diffusers, and in float64.

        A last step with ᾱ = 0 (rescale_betas_zero_snr) has no ratio and is left out.
        Raises ValueError where there is no ᾱ, as for flow matching.
        """
        bare = isinstance(scheduler, Mapping)
        config: Mapping[str, Any] = scheduler if bare else getattr(scheduler, "config", {})
        alphas = None if bare else getattr(scheduler, "alphas_cumprod", None)
        if alphas is None:
            alphas = _of_config(config)
        alphas = torch.as_tensor(alphas).detach().cpu().double()
        return cls(alphas[alphas > 0], config.get("prediction_type", "epsilon"))

    @property
    def ratios(self) -> Tensor:
        """ρ_k, shape (K,), ascending, in float64 on the CPU."""
        return (1 / self.alphas_cumprod - 1).sqrt()

    def ratio(self, k: Tensor) -> Tensor:
        """ρ at step k, which may lie between two; shaped like k, a float tensor.  Raises ValueError
        for k outside [0, K − 1]."""
        logs, last = self._logs(k), len(self.alphas_cumprod) - 1
        k = levels("timestep", k, 0, last, f"give steps from 0 to {last}")
        low = k.floor().clamp(max=last - 1).long()
        return torch.lerp(logs[low], logs[low + 1], k - low).exp()

    def step(self, ratio: Tensor) -> Tensor:
        """k at which ρ = ratio, the inverse of `ratio`; beyond the first and the last step, these.

        Rounded, it is the step nearest in ln ρ. What is closer to a step than a thousandth *is* the
        step, so that one which came through float32 is found again.
        """
        logs, log = self._logs(ratio), ratio.log()
        above = torch.searchsorted(logs, log).clamp(1, len(logs) - 1)
        low, high = logs[above - 1], logs[above]
        k = above - 1 + ((log - low) / (high - low)).clamp(0, 1)
        return torch.where((k - k.round()).abs() < 1e-3, k.round(), k)

    def _logs(self, like: Tensor) -> Tensor:
        return number(self.ratios.log(), floats(like, "timestep"))


def _of_config(config: Mapping[str, Any]) -> Tensor:
    known = "beta_schedule" in config or config.get("trained_betas") is not None
    cure = "give a scheduler with betas, such as DDIM, or Schedule(alphas_cumprod, prediction)"
    require(known, "scheduler", sorted(config), cure)
    if (given := config.get("trained_betas")) is not None:
        alphas = torch.cumprod(1 - torch.as_tensor(given, dtype=torch.float64), 0)
    else:
        first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
        steps = config.get("num_train_timesteps", 1000)
        alphas = Schedule.named(config["beta_schedule"], steps, first, last).alphas_cumprod
    if not config.get("rescale_betas_zero_snr"):
        return alphas
    root = alphas.sqrt()  # Lin et al. 2023 (arXiv:2305.08891), algorithm 1
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
