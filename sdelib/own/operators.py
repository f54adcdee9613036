"""What may be seen of points and images: the linear maps A of y = A x₀ + σ_y n."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import a_generator, finite, floats, positive, require, whole, within
from ..inverse_problems import Operator


@dataclass(frozen=True)
class Matrix(Operator):
    """x → A x for points x of shape (batch, d);  A: (m, d)."""

    A: Tensor

    def __post_init__(self):
        require(self.A.ndim == 2, "shape of A", tuple(self.A.shape), "give a matrix (m, d)")
        finite("A", self.A)

    def __call__(self, x: Tensor) -> Tensor:
        fits = floats(x).ndim == 2 and x.shape[1] == self.A.shape[1]
        require(fits, "shape of x", tuple(x.shape), f"give (batch, {self.A.shape[1]}), as A asks")
        return x @ self.A.to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.A.to(y)


@dataclass(frozen=True)
class Mask(Operator):
    """x → the coordinates of x where `seen` is True, (batch, m): inpainting.
    seen: bool, shaped like one x, and True somewhere."""

    seen: Tensor

    def __post_init__(self):
        holds = self.seen.dtype == torch.bool and self.seen.ndim and self.seen.any()
        require(holds, "seen", self.seen, "give bool, True where a coordinate is seen")

    def __call__(self, x: Tensor) -> Tensor:
        shape = tuple(self.seen.shape)
        require(
            x.shape[1:] == shape, "shape of x", tuple(x.shape), f"give (batch, *{shape}), as seen"
        )
        return x[:, self.seen.to(x.device)]

    def adjoint(self, y: Tensor) -> Tensor:
        x = y.new_zeros(len(y), *self.seen.shape)
        x[:, self.seen.to(y.device)] = y
        return x


@dataclass(frozen=True)
class Pool(Operator):
    """x → means over k×k blocks, (batch, 1, H/k, W/k): super-resolution.
    k: a divisor of H and W."""

    k: int

    def __post_init__(self):
        whole(k=self.k)

    def __call__(self, x: Tensor) -> Tensor:
        fits = floats(x, axes=4).ndim == 4 and x.shape[2] % self.k == x.shape[3] % self.k == 0
        require(
            fits, "shape of x", tuple(x.shape), f"give images with sides of k = {self.k} times n"
        )
        return F.avg_pool2d(x, self.k)

    def adjoint(self, y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=float(self.k)) / self.k**2


@dataclass(frozen=True)
class Blur(Operator):
    """x → x * N(0, std² I), with zeros outside the image: deblurring.  std: in pixels."""

    std: float

    def __post_init__(self):
        positive(std=self.std)

    def __call__(self, x: Tensor) -> Tensor:
        fits = floats(x, axes=4).ndim == 4 and x.shape[1] == 1
        require(fits, "shape of x", tuple(x.shape), "a blur takes (batch, 1, H, W)")
        within(1e-6, max(x.shape[2:]), std=self.std)
        reach = math.ceil(3 * self.std)
        k = torch.exp(-((torch.arange(-reach, reach + 1).to(x) / self.std) ** 2) / 2)[None, None]
        k = k / k.sum()
        x = F.conv2d(x, k[..., None], padding=(reach, 0))
        return F.conv2d(x, k[:, :, None], padding=(0, reach))

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)  # the kernel is even


class Identity(Operator):
    """x → x: denoising."""

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y


def observe(
    operator: Operator, x0: Tensor, sigma_y: float, *, generator: torch.Generator
) -> Tensor:
    """y = A x₀ + σ_y n with n ~ N(0, I)."""
    positive(sigma_y=sigma_y)
    y, g = operator(finite("x0", floats(x0, "x0"))), a_generator(generator)
    return y + sigma_y * torch.randn(y.shape, generator=g, dtype=y.dtype).to(y)
