"""Networks that are denoisers: D(x; σ, y), shaped like x, by the preconditioning of
`sdelib.denoiser` around a U-Net or an MLP. With F = 0, how training begins, each is the exact
denoiser of data ~ N(m, σ_d²·I)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import floats, like, positive, span
from ..checks import levels as inside
from ..denoiser import SIGMA_MAX, SIGMA_MIN
from .layers import unusual
from .mlp import MLP
from .unet import UNet

LEVELS = (SIGMA_MIN, SIGMA_MAX)
GARMENT = (1, 28, 28)


class DenoiserNetwork(nn.Module):
    """D(x; σ, y) = m + c_skip (x − m) + c_out F(c_in (x − m); σ, y),  as `sdelib.denoiser` has it;
    subclasses define `correction(u, sigma, label)`, which is F, and `config`, the arguments that
    make another one: type(network)(**network.config).

    data_mean, data_std: m and σ_d above.
    preconditioned: False takes c_skip = 0 and c_out = 1, so F is the denoised example itself, for
    the tuning table.
    levels: the least and the largest σ of training; others are refused.
    shape: of one example, as `sample_denoiser` draws it; None: it has to be told.
    """

    config: dict

    def __init__(
        self,
        data_mean: float = 0.0,
        data_std: float = 1.0,
        preconditioned: bool = True,
        levels: Sequence[float] = LEVELS,
        shape: Sequence[int] | None = None,
    ):
        super().__init__()
        positive(data_std=data_std)
        self.data_mean, self.data_std, self.preconditioned = data_mean, data_std, preconditioned
        self.levels = span("levels", levels)
        self.shape = None if shape is None else tuple(int(n) for n in shape)

    def correction(self, u: Tensor, ratio: Tensor, label: Any = None) -> Tensor:
        """F(u, σ, label): u has unit variance, ratio is σ, of shape (batch,)."""
        raise NotImplementedError

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | int | None = None) -> Tensor:
        """D(x; σ, y), shaped like x.

        x: (batch, …).  sigma: σ > 0, a scalar or (batch,).
        label: whole numbers from 0, a scalar or (batch,); `NO_LABEL` or None: not told.
        Raises ValueError for an unknown label, and sigma outside `levels`.
        """
        low, high = self.levels
        sigma = like(sigma, floats(x, axes=2)).reshape(-1).expand(len(x))
        cure = f"stay in [{low:g}, {high:g}], the noise levels of training: "
        cure += "stop at first_time(sde, the least of them), or lower sigma_max"
        sigma = inside("sigma", sigma, 0.999 * low, 1.001 * high, cure)
        c_in = (sigma**2 + self.data_std**2).rsqrt()
        u = like(c_in, x) * (x - self.data_mean)
        f = self.correction(u, sigma, label).to(x.dtype)
        skip, out = self.outer(sigma)
        return self.data_mean + like(skip, x) * (x - self.data_mean) + like(out, x) * f

    def outer(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """(c_skip, c_out), shaped like sigma."""
        if not self.preconditioned:
            return torch.zeros_like(sigma), torch.ones_like(sigma)
        v = sigma**2 + self.data_std**2
        return self.data_std**2 / v, sigma * self.data_std / v.sqrt()


class Denoiser(UNet, DenoiserNetwork):
    """D(x; σ, y) for images in [0, 1], or with dims = 1 for series: a U-Net, preconditioned.

    x, widths, channels, dims: see `UNet`.
    classes: 10 garments; 0 for a network without labels, which trains as if there were none.
    dropout: share of the hidden units left out in training.
    data_mean, data_std: m and σ_d, those of Fashion-MNIST's training pixels.
    preconditioned, levels, shape: see `DenoiserNetwork`; an image of one channel is a garment,
    (1, 28, 28), where no shape is given.  F works at any size, whatever the shape.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 112),
        *,
        classes: int = 10,
        dropout: float = 0.0,
        preconditioned: bool = True,
        data_mean: float = 0.286,
        data_std: float = 0.353,
        channels: int = 1,
        dims: int = 2,
        levels: Sequence[float] = LEVELS,
        shape: Sequence[int] | None = None,
    ):
        numbers: dict[str, Any] = {"data_mean": data_mean, "data_std": data_std}
        how: dict[str, Any] = {"preconditioned": preconditioned}
        kind: dict[str, Any] = {"channels": channels, "dims": dims}
        usual = GARMENT if (channels, dims) == (1, 2) else None
        more: dict[str, Any] = {"levels": levels, "shape": usual if shape is None else shape}
        super().__init__(widths, classes, dropout, **kind, **how, **numbers, **more)
        if self.shape is not None:
            self.with_channels(torch.empty(1, *self.shape, device="meta"), "(1, *shape)")
        said = unusual(channels=(channels, 1), dims=(dims, 2), levels=(self.levels, LEVELS))
        said |= unusual(shape=(self.shape, usual))
        how = {"classes": classes, "dropout": dropout, **how}
        self.config = {"widths": list(widths), **how, **numbers, **said}


class DenoiserMLP(MLP, DenoiserNetwork):
    """D(x; σ, y) for points in ℝᵈ and rows of a table, x: (batch, dim): an MLP, preconditioned.

    width, depth: hidden units and hidden layers.  classes: 0 for a network without labels.
    dropout: share of the hidden units left out in training.
    data_mean, data_std: m and σ_d, 0 and 1 for standardised data.
    preconditioned, levels: see `DenoiserNetwork`.
    """

    def __init__(
        self,
        dim: int = 2,
        width: int = 128,
        *,
        classes: int = 0,
        dropout: float = 0.0,
        depth: int = 3,
        preconditioned: bool = True,
        data_mean: float = 0.0,
        data_std: float = 1.0,
        levels: Sequence[float] = LEVELS,
    ):
        numbers: dict[str, Any] = {"data_mean": data_mean, "data_std": data_std}
        how: dict[str, Any] = {"preconditioned": preconditioned, "levels": levels}
        super().__init__(dim, width, classes, dropout, depth, shape=(dim,), **how, **numbers)
        how |= {"classes": classes, "dropout": dropout, "depth": depth, "levels": self.levels}
        self.config = {"dim": dim, "width": width, **how, **numbers}
