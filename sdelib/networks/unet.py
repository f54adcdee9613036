"""The network of the images: a U-Net, as the score of one process and as a denoiser for all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import checks
from ..checks import like, require
from ..denoiser import NO_LABEL, SIGMA_MAX, SIGMA_MIN
from ..sdes import GaussianSDE
from .layers import Attention, NoiseEmbedding, ResBlock, fits, silent
from .scores import ScoreNetwork

OUTSIDE = (
    f"stay in [{SIGMA_MIN}, {SIGMA_MAX:g}], the noise levels of training: "
    "stop at first_time(sde), or lower sigma_max"
)


class UNet(nn.Module):
    """F(u, ratio, label), shaped like u: a U-Net (Ronneberger et al. 2015), told noise and label.

    A stride-2 convolution takes the image to half its size before anything else, so the widths are
    spent at 14×14 (a channels) and 7×7 (b channels, with attention) and not at full resolution.
    u: (batch, 1, H, W), H and W multiples of 4.  ratio: (batch,).  widths: a and b, multiples of 8.
    label: (batch,) whole numbers, −1 for "not told"; without classes it is not asked for.
    At initialisation F = 0, and no label makes a difference.
    """

    def __init__(self, widths: tuple[int, int], classes: int = 0, dropout: float = 0.0):
        nn.Module.__init__(self)  # not the next class of ScoreUNet, which has a body and a process
        fit = len(widths) == 2 and all(n > 0 and n % 8 == 0 for n in widths)
        require(fit, "widths", widths, "give two multiples of 8, such as (32, 56)")
        (a, b), e, p = widths, 2 * widths[0], dropout
        self.embed = NoiseEmbedding(e)
        self.first = nn.Conv2d(1, a, 4, stride=2, padding=1)
        self.down = nn.ModuleList([ResBlock(a, a, e, p), ResBlock(a, a, e, p)])
        self.shrink = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([ResBlock(b, b, e, p), Attention(b), ResBlock(b, b, e, p)])
        self.grow = nn.Conv2d(b, a, 1)
        self.up = nn.ModuleList([ResBlock(2 * a, a, e, p), ResBlock(2 * a, a, e, p)])
        self.norm = nn.GroupNorm(8, a)
        self.last = silent(nn.Conv2d(a, 4, 3, padding=1))
        self.label = nn.Embedding(classes + 1, e) if classes else None
        if self.label is not None:
            nn.init.zeros_(self.label.weight)

    def correction(self, u: Tensor, ratio: Tensor, label: Any = None) -> Tensor:
        """F(u, ratio, label)."""
        fit = u.ndim == 4 and u.shape[1] == 1 and all(n > 0 and n % 4 == 0 for n in u.shape[2:])
        require(fit, "shape of x", tuple(u.shape), "give (batch, 1, H, W), multiples of 4")
        u, e = fits(u, self), self.embed(ratio)
        if self.label is not None:
            e = e + self.label(label + 1)
        h1 = self.down[0](self.first(u), e)
        h2 = self.down[1](h1, e)
        first, attention, second = self.middle
        h = second(attention(first(self.shrink(h2), e)), e)
        h = self.grow(F.interpolate(h, scale_factor=2.0))
        h = self.up[0](torch.cat([h, h2], dim=1), e)
        h = self.up[1](torch.cat([h, h1], dim=1), e)
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), 2)


class ScoreUNet(UNet, ScoreNetwork):
    """A time-dependent U-Net, the score of grey images in [0, 1].

    x: (batch, 1, H, W), H and W multiples of 4.  data_mean, data_std: those of Fashion-MNIST.
    """

    def __init__(
        self,
        sde: GaussianSDE,
        widths: tuple[int, int] = (64, 112),
        *,
        data_mean: float = 0.286,
        data_std: float = 0.353,
    ):
        UNet.__init__(self, widths)
        self.sde, self.data_mean, self.data_std = sde, data_mean, data_std
        numbers = {"data_mean": data_mean, "data_std": data_std}
        self.config = {"sde": sde, "widths": list(widths), **numbers}


class Denoiser(UNet):
    """D(x; σ, y) for grey images in [0, 1], shaped like x: a U-Net in the preconditioning above.

    widths: channels at half and at quarter size.
    classes: 10 garments; 0 for a network without labels, which trains as if there were none.
    dropout: share of the hidden units left out in training.
    preconditioned: False takes c_skip = 0 and c_out = 1, so F is the denoised image itself, for
    the tuning table.  data_mean, data_std: m and σ_d, those of Fashion-MNIST's training pixels.
    """

    def __init__(
        self,
        widths: tuple[int, int] = (64, 112),
        *,
        classes: int = 10,
        dropout: float = 0.0,
        preconditioned: bool = True,
        data_mean: float = 0.286,
        data_std: float = 0.353,
    ):
        super().__init__(widths, classes, dropout)
        self.data_mean, self.data_std, self.preconditioned = data_mean, data_std, preconditioned
        how = {"classes": classes, "dropout": dropout, "preconditioned": preconditioned}
        numbers = {"data_mean": data_mean, "data_std": data_std}
        self.config = {"widths": list(widths), **how, **numbers}

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | int | None = None) -> Tensor:
        """D(x; σ, y), shaped like x.

        x: (batch, 1, H, W).  sigma: σ > 0, a scalar or (batch,).
        label: whole numbers from 0, a scalar or (batch,); `NO_LABEL` or None: not told.
        Raises ValueError for an unknown label, and sigma outside [SIGMA_MIN, SIGMA_MAX].
        """
        sigma = like(sigma, checks.shaped("x", x, "batch", 1, "H", "W")).reshape(-1).expand(len(x))
        sigma = checks.levels("sigma", sigma, 0.999 * SIGMA_MIN, 1.001 * SIGMA_MAX, OUTSIDE)
        c_in = (sigma**2 + self.data_std**2).rsqrt()
        u = like(c_in, x) * (x - self.data_mean)
        f = self.correction(u, sigma, self._told(label, x)).to(x.dtype)
        skip, out = self.outer(sigma)
        return self.data_mean + like(skip, x) * (x - self.data_mean) + like(out, x) * f

    def outer(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """(c_skip, c_out), shaped like sigma."""
        if not self.preconditioned:
            return torch.zeros_like(sigma), torch.ones_like(sigma)
        v = sigma**2 + self.data_std**2
        return self.data_std**2 / v, sigma * self.data_std / v.sqrt()

    def _told(self, label: Tensor | int | None, x: Tensor) -> Tensor | None:
        """The label of each image, shape (batch,); None where the network has no labels."""
        y, n = torch.as_tensor(NO_LABEL if label is None else label), self.config["classes"]
        whole = not y.is_floating_point() and y.shape in ((), (len(x),))
        cure = f"give one or one for each x, whole, from 0 to {n - 1}; {NO_LABEL} for none"
        unseen = torch.compiler.is_compiling() or (
            not n and self.training
        )  # a look breaks the graph
        known = whole and (unseen or ((y >= NO_LABEL) & (y < n)).all())
        checks.require(known, "label", y, cure if n else "this denoiser has no labels: give None")
        return y.to(x.device).reshape(-1).expand(len(x)) if n else None
