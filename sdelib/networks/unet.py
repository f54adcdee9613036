"""The network of images and series: a U-Net, for any number of channels and any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import require, whole
from .layers import CONV, Attention, Conditioned, NoiseEmbedding, ResBlock, fits, silent


class Halving(nn.Module):
    """h ← two blocks; half the size, what is done there, and back; two blocks that see both.

    What is done there is another halving where there are more widths, and else two blocks with
    attention between them.
    """

    down: nn.ModuleList
    shrink: nn.Module
    middle: nn.ModuleList
    grow: nn.Module
    up: nn.ModuleList

    def halve(self, widths: Sequence[int], e: int, p: float, dims: int) -> None:
        """Make the layers.  widths: channels here, at half the size, …; e: features of noise and
        label; p: dropout."""
        a, b, how, conv = *widths[:2], (e, p, dims), CONV[dims]
        self.down = nn.ModuleList([ResBlock(a, a, *how), ResBlock(a, a, *how)])
        self.shrink = conv(a, b, 3, stride=2, padding=1)
        if len(widths) > 2:
            self.middle = nn.ModuleList([Level(widths[1:], *how)])
        else:
            blocks = ResBlock(b, b, *how), Attention(b, dims=dims), ResBlock(b, b, *how)
            self.middle = nn.ModuleList(blocks)
        self.grow = conv(b, a, 1)
        self.up = nn.ModuleList([ResBlock(2 * a, a, *how), ResBlock(2 * a, a, *how)])

    def through(self, h: Tensor, c: Tensor) -> Tensor:
        """h after all that, shaped as before."""
        h1 = self.down[0](h, c)
        h2 = self.down[1](h1, c)
        h = self.shrink(h2)
        for part in self.middle:
            h = part(h) if isinstance(part, Attention) else part(h, c)
        h = self.grow(F.interpolate(h, scale_factor=2.0))
        h = self.up[0](torch.cat([h, h2], dim=1), c)
        return self.up[1](torch.cat([h, h1], dim=1), c)


class Level(Halving):
    """A halving inside another."""

    def __init__(self, widths: Sequence[int], e: int, p: float, dims: int):
        super().__init__()
        self.halve(widths, e, p, dims)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return self.through(h, c)


class UNet(Halving, Conditioned):
    """F(u, ratio, label), shaped like u: a U-Net (Ronneberger et al. 2015), told noise and label.

    A stride-2 convolution takes the image to half its size before anything else, so the widths are
    spent at 14×14 (a channels) and 7×7 (b channels, with attention) and not at full resolution.
    u: (batch, channels, H, W), any sizes of at least 4; what no halving divides is mirrored at its
    edges, and cut again at the end.  dims = 1: a series, (batch, channels, length), or
    (batch, length) of one channel.  ratio: (batch,).
    widths: a and b, multiples of 8; a third, for the size of an eighth, from 48 pixels on.
    label: (batch,) whole numbers, −1 or None for "not told".
    At initialisation F = 0, and no label makes a difference.
    """

    def __init__(
        self,
        widths: Sequence[int],
        classes: int = 0,
        dropout: float = 0.0,
        *,
        channels: int = 1,
        dims: int = 2,
        **rest: Any,
    ):
        super().__init__(**rest)  # of ScoreUNet and Denoiser: how F becomes a score, a denoiser
        fit = len(widths) in (2, 3) and all(n > 0 and n % 8 == 0 for n in widths)
        require(fit, "widths", widths, "give two or three multiples of 8, such as (32, 56)")
        require(dims in CONV, "dims", dims, "give 2 for images, 1 for series")
        whole(channels=channels)
        a, e, conv = widths[0], 2 * widths[0], CONV[dims]
        self.channels, self.dims, self.stride = int(channels), dims, 2 ** len(widths)
        self.embed = NoiseEmbedding(e)
        self.first = conv(channels, a, 4, stride=2, padding=1)
        self.halve(widths, e, dropout, dims)
        self.norm = nn.GroupNorm(8, a)
        self.last = silent(conv(a, channels * 2**dims, 3, padding=1))
        self.labelled(classes, e, dropout)

    def correction(self, u: Tensor, ratio: Tensor, label: Any = None) -> Tensor:
        """F(u, ratio, label)."""
        h = fits(self.with_channels(u), self)
        c, sizes = self.told(u, ratio, label), h.shape[2:]
        gaps = [-n % self.stride for n in sizes]
        if any(gaps):
            edges = [n for gap in reversed(gaps) for n in (gap // 2, gap - gap // 2)]
            h = F.pad(h, edges, mode="reflect")
        h = self.through(self.first(h), c)
        h = spread(self.last(F.silu(self.norm(h))), self.dims)
        for axis, (gap, n) in enumerate(zip(gaps, sizes), start=2):
            h = h.narrow(axis, gap // 2, n) if gap else h
        return h if h.ndim == u.ndim else h.squeeze(1)

    def with_channels(self, u: Tensor, name: str = "shape of x") -> Tensor:
        """u, which has an axis of channels, or gets it where it is a series of one channel."""
        plain = self.dims == self.channels == 1 and u.ndim == 2
        v = u[:, None] if plain else u
        fit = v.ndim == 2 + self.dims and v.shape[1] == self.channels and min(v.shape[2:]) >= 4
        sizes = "H, W" if self.dims == 2 else "length"
        cure = f"give (batch, {self.channels}, {sizes}), sizes of at least 4"
        require(fit, name, tuple(u.shape), cure)
        return v


def spread(h: Tensor, dims: int) -> Tensor:
    """Channels to places, of which there are then twice as many along each axis: of four channels
    one (`pixel_shuffle`), of a series' two."""
    if dims == 2:
        return F.pixel_shuffle(h, 2)
    return h.unflatten(1, (-1, 2)).transpose(2, 3).flatten(2)
