"""Itô equations with diagonal noise, and their Gaussian marginals.

    dx = f(x, t) dt + g(x, t) dw,        data at t = 0, noise at t = T.

The three Gaussian families are those of Song et al. 2021 (arXiv:2011.13456), section 3.4 and
appendix B. Because their drifts are linear in x, the law of x_t given x_0 is known exactly:

    x_t | x_0 ~ N(scale(t)·x_0, std(t)²·I).

A scalar t may have any precision and lie on the CPU, wherever x is: what it is multiplied with
keeps the type and the device of x. The time loop gives t in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .checks import align, floats, number, positive, require, same_shape

Kind = Literal["none", "additive", "own", "cross", "unknown"]
"""What g depends on: there is none; on t alone; each coordinate's on t and itself; on anything."""


class SDE(ABC):
    """dx = drift(x, t) dt + diffusion(x, t) dw, with a diagonal diffusion, a number a coordinate.

    noise: what the diffusion depends on. Where it is "unknown", the time loop finds out.
    """

    noise: ClassVar[Kind] | Kind = "unknown"

    @abstractmethod
    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t), shaped like x."""

    @abstractmethod
    def diffusion(self, x: Tensor, t: Tensor) -> Tensor:
        """g(x, t), of a shape that broadcasts to x."""

    def kind_of_noise(self, x: Tensor, t: Tensor) -> Kind:
        """What the diffusion depends on at (x, t): as the equation declares it, or by a probe.

        g_i depends on x_i alone if and only if (wᵀ ∂g/∂x)/w is the same for all w. Two fixed w
        with no common measure tell, but for chance; they cost two backward passes, once a solve.
        """
        if self.noise != "unknown":
            return self.noise
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            g = self.diffusion(y, t).expand_as(y)
            w = 1.5 + torch.arange(y.numel(), device=y.device).to(y).cos().reshape(y.shape)
            one, two = pull_back(g, y, torch.ones_like(y), w)
        if not bool(one.any() | two.any()):
            return "additive"
        alone = torch.allclose(two / w, one, rtol=1e-3, atol=1e-5 * float(one.abs().max()))
        return "own" if alone else "cross"

    def direction(self, start: float, stop: float) -> None:
        """Raise ValueError where the equation may not be solved from start to stop."""
        return None

    def blame(self, x: Tensor, t: Tensor) -> str:
        """Why a step from (x, t) went wrong, in words, or ""."""
        return ""


def pull_back(g: Tensor, y: Tensor, *weights: Tensor, create_graph: bool = False) -> list[Tensor]:
    """wᵀ ∂g/∂y for each of the weights; 0 where g does not depend on y."""
    if not g.requires_grad:
        return [torch.zeros_like(y) for _ in weights]
    how = {"create_graph": create_graph, "retain_graph": True, "materialize_grads": True}
    return [torch.autograd.grad(g, y, w, **how)[0] for w in weights]


class GaussianSDE(SDE):
    """An SDE with linear drift, so x_t | x_0 ~ N(scale(t)·x_0, std(t)²·I) in closed form."""

    T: float
    noise = "additive"

    @abstractmethod
    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(scale, std) of x_t | x_0, shaped like t.  Raises ValueError for t outside [0, T]."""

    @abstractmethod
    def time(self, ratio: Tensor) -> Tensor:
        """The t at which std/scale = ratio: the inverse of `ratio`, shaped like it.  Raises
        ValueError for a ratio that is negative, or above the one at T."""

    def direction(self, start: float, stop: float) -> None:
        """Raise ValueError for start > stop: the way back is another equation."""
        cure = f"it descends, but {self} runs from data to noise; the way back is a Reverse"
        require(start < stop, "times", (start, stop), cure)

    def ratio(self, t: Tensor) -> Tensor:
        """std/scale of x_t | x_0, the noise-to-signal ratio, shaped like t.  It grows with t."""
        scale, std = self.marginal(t)
        return std / scale

    def transition(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(scale, var) of x_t | x_s ~ N(scale·x_s, var·I) for s ≤ t:

            scale = scale_t/scale_s,   var = std_t² − scale² std_s².

        Computed in float64, since var is a small difference when s is near t. For s > t the
        formulas are those of the way back: scale becomes 1/scale and var becomes −var/scale².
        """
        scale_s, std_s = self.marginal(torch.as_tensor(s).double())
        scale_t, std_t = self.marginal(torch.as_tensor(t).double())
        scale = scale_t / scale_s
        return scale, std_t**2 - scale**2 * std_s**2

    @property
    def prior_std(self) -> float:
        """Standard deviation of the prior N(0, prior_std²·I) that stands in for p_T."""
        return float(self.marginal(torch.tensor(self.T, dtype=torch.float64))[1])

    def perturb(self, x0: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """x_t = scale(t)·x_0 + std(t)·z, one draw of the forward process when z ~ N(0, I).

        x0, z: the same shape (batch, …).  t: a scalar or shape (batch,).
        """
        scale, std = self.marginal(align(t, floats(x0, "x0")))
        return scale * x0 + std * same_shape("z", z, x0, "x0")

    def sample_prior(
        self,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """x ~ N(0, prior_std²·I) of the given shape, on `device` (default: the generator's)."""
        z = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
        return (self.prior_std * z).to(device or generator.device)

    # What the families below share: each message names the argument, its value and the cure.

    def _time(self, t: Tensor | float) -> Tensor:
        """t in [0, T]; one on a GPU is not looked at, since that would make it wait."""
        t = t if torch.is_tensor(t) and t.is_floating_point() else number(t, torch.empty(0))
        if not torch.compiler.is_compiling() and floats(t, "t").device.type == "cpu" and t.numel():
            now, slack = t.detach(), 1e-6 * self.T
            low, high = (float(a) for a in (now.aminmax() if now.ndim else (now, now)))
            if low >= 0 and high <= self.T:
                return t
            inside = -slack <= low and high <= self.T + slack
            require(inside, "t", t, f"it leaves [0, {self.T}]")
        return t.clamp(0.0, float(self.T))

    def _reached(self, ratio: Tensor | float) -> Tensor:
        """ratio, which the process has at some time."""
        ratio, last = torch.as_tensor(ratio), float(self.ratio(torch.tensor(self.T).double()))
        reached = ((ratio >= 0) & (ratio <= last * (1 + 1e-5))).all()
        require(reached, "ratio", ratio, f"give 0 to {last:g}, the std/scale of {self} at T")
        return ratio if ratio.is_floating_point() else number(ratio, torch.empty(0))

    def _holds(self) -> None:
        """T > 0, and float32 can hold the end of the process."""
        positive(T=self.T)
        scale, std = (float(a) for a in self.marginal(torch.tensor(self.T)))
        cure = f"{self} ends with numbers whose squares float32 cannot hold: give ordinary ones"
        require(scale > 1e-18 and 1e-18 < std < 1e18, "(scale, std)", (scale, std), cure)
