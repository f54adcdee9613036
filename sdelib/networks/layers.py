"""The layers that the networks share: the noise level as features, a residual block, attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import glance, levels, require


def fits(x: Tensor, network: nn.Module) -> Tensor:
    """x, or a ValueError unless it is finite and has the type of the network's weights."""
    own = next(network.parameters()).dtype
    cure = f"the weights of this {type(network).__name__} have {own}: convert one with .to(dtype)"
    require(x.dtype == own, "type of x", x.dtype, cure)
    return glance("x", x)


def silent(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
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


class ResBlock(nn.Module):
    """h ← skip(h) + conv(dropout(silu(norm(conv(silu(norm(h)))·(1 + a) + b)))), (a, b) from c."""

    def __init__(self, n_in: int, n_out: int, n_embed: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.norm1 = nn.GroupNorm(min(8, n_in // 4), n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.embed = nn.Linear(n_embed, 2 * n_out)
        self.norm2 = nn.GroupNorm(min(8, n_out // 4), n_out)
        self.conv2 = silent(nn.Conv2d(n_out, n_out, 3, padding=1))
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        r = self.conv1(F.silu(self.norm1(h)))
        a, b = self.embed(c)[:, :, None, None].chunk(2, dim=1)
        r = F.silu(self.norm2(r) * (1 + a) + b)
        return self.skip(h) + self.conv2(F.dropout(r, self.dropout, self.training))


class Attention(nn.Module):
    """h ← h + softmax(QKᵀ/√d) V over the pixels, with `heads` heads (Vaswani et al. 2017)."""

    def __init__(self, n: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, n)
        self.qkv = nn.Conv2d(n, 3 * n, 1)
        self.out = silent(nn.Conv2d(n, n, 1))

    def forward(self, h: Tensor) -> Tensor:
        batch, n, height, width = h.shape
        qkv = self.qkv(self.norm(h)).reshape(batch, 3, self.heads, n // self.heads, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        r = F.scaled_dot_product_attention(q, k, v)
        return h + self.out(r.transpose(-1, -2).reshape(batch, n, height, width))
