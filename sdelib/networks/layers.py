"""The layers that the networks share: noise level and label as features, a residual block,
attention; for images by convolutions in two dimensions, for series in one."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import glance, levels, require, whole, within
from ..denoiser import NO_LABEL

CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
"""The convolution over a series and over an image."""


def fits(x: Tensor, network: nn.Module) -> Tensor:
    """x, or a ValueError unless it is finite and has the type of the network's weights."""
    own = next(network.parameters()).dtype
    cure = f"the weights of this {type(network).__name__} have {own}: convert one with .to(dtype)"
    require(x.dtype == own, "type of x", x.dtype, cure)
    return glance("x", x)


def unusual(**pairs: tuple[Any, Any]) -> dict[str, Any]:
    """{name: value} of name = (value, default) where the two differ: what a `config` has to say
    beyond what the first files with such networks said."""
    return {name: value for name, (value, default) in pairs.items() if value != default}


def silent(layer: Any) -> Any:
    """The layer with its weights set to 0."""
    for weights in layer.parameters():
        nn.init.zeros_(weights)
    return layer


class NoiseEmbedding(nn.Module):
    """φ(t) = MLP([sin(2π ω c), cos(2π ω c)]) with c = ¼ ln(std/scale) and fixed ω ~ N(0, 1):
    Fourier features of the logarithm of the noise-to-signal ratio (Tancik et al. 2020)."""

    omega: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("omega", torch.randn(width // 2))
        layers = nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        self.mlp = nn.Sequential(*layers)

    def forward(self, ratio: Tensor) -> Tensor:
        phase = 2 * math.pi * (levels("ratio", ratio).log() / 4)[:, None] * self.omega
        return self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))


class Conditioned(nn.Module):
    """A network that is told c = φ(ratio) + e(label), with e = 0 at first: no label makes a
    difference then.  Its sub-classes set `embed`, which is φ, and last call `labelled`."""

    embed: NoiseEmbedding
    label: nn.Embedding | None

    def labelled(self, classes: int, width: int, dropout: float) -> None:
        """Make e, for so many classes and for "not told", and keep the share of the hidden units
        that training leaves out.  Raises ValueError for a share that is none."""
        whole(0, classes=classes), within(0, 1, dropout=dropout)
        self.classes, self.dropout = int(classes), dropout
        self.label = nn.Embedding(classes + 1, width) if classes else None
        if self.label is not None:
            nn.init.zeros_(self.label.weight)

    def told(self, u: Tensor, ratio: Tensor, label: Any = None) -> Tensor:
        """c of each example u, shape (batch, width).  label: see `labels_of`."""
        c, y = self.embed(ratio), self.labels_of(u, label)
        return c if self.label is None else c + self.label(y + 1)

    def labels_of(self, u: Tensor, label: Any) -> Tensor:
        """The label of each example, shape (batch,).

        label: whole numbers from 0, one or one for each; `NO_LABEL` or None: not told.  A network
        without classes trains as if there were none.  Raises ValueError for an unknown label.
        """
        y, n = torch.as_tensor(NO_LABEL if label is None else label), self.classes
        whole = not y.is_floating_point() and y.shape in ((), (len(u),))
        cure = f"give one or one for each x, whole, from 0 to {n - 1}; {NO_LABEL} for none"
        unseen = torch.compiler.is_compiling() or (not n and self.training)
        known = whole and (unseen or ((y >= NO_LABEL) & (y < n)).all())  # a look breaks the graph
        require(known, "label", y, cure if n else "this network has no labels: give None")
        return y.to(u.device).reshape(-1).expand(len(u))


class ResBlock(nn.Module):
    """h ← skip(h) + conv(dropout(silu(norm(conv(silu(norm(h)))·(1 + a) + b)))), (a, b) from c.

    n_in, n_out: multiples of 8.  dims: 2 for images, 1 for series."""

    def __init__(self, n_in: int, n_out: int, n_embed: int, dropout: float = 0.0, dims: int = 2):
        super().__init__()
        self.dropout, self.dims, conv = dropout, dims, CONV[dims]
        self.norm1 = nn.GroupNorm(min(8, n_in // 4), n_in)
        self.conv1 = conv(n_in, n_out, 3, padding=1)
        self.embed = nn.Linear(n_embed, 2 * n_out)
        self.norm2 = nn.GroupNorm(min(8, n_out // 4), n_out)
        self.conv2 = silent(conv(n_out, n_out, 3, padding=1))
        self.skip = conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        r = self.conv1(F.silu(self.norm1(h)))
        a, b = self.embed(c)[(..., *[None] * self.dims)].chunk(2, dim=1)
        r = F.silu(self.norm2(r) * (1 + a) + b)
        return self.skip(h) + self.conv2(F.dropout(r, self.dropout, self.training))


class Attention(nn.Module):
    """h ← h + softmax(QKᵀ/√d) V over the pixels, with `heads` heads (Vaswani et al. 2017).

    n: channels, a multiple of 8.  dims: 2 for images, 1 for series."""

    def __init__(self, n: int, heads: int = 4, dims: int = 2):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(min(8, n // 2), n)
        self.qkv = CONV[dims](n, 3 * n, 1)
        self.out = silent(CONV[dims](n, n, 1))

    def forward(self, h: Tensor) -> Tensor:
        batch, n, pixels = *h.shape[:2], h.shape[2:].numel()
        qkv = self.qkv(self.norm(h)).reshape(batch, 3, self.heads, n // self.heads, pixels)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        r = F.scaled_dot_product_attention(q, k, v)
        return h + self.out(r.transpose(-1, -2).reshape(h.shape))
