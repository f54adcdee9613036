"""Networks that are scores: s_θ(x, t), shaped like x.

Both write the score as a Gaussian's plus a learned correction F_θ,

    s_θ(x, t) = −(x − scale·m)/v + (scale·σ_d/√v)·F_θ(…)/std,     v = std² + scale²·σ_d²,

where m and σ_d are the mean and the standard deviation of the data, per coordinate. With F_θ = 0,
how training begins, it is the exact score of data ~ N(m, σ_d²·I), and only the rest is learned: the
preconditioning of Karras et al. 2022 (arXiv:2206.00364, table 1) written for the score.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checks import floats, glance, levels, like, require, shaped
from .sdes import GaussianSDE


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


class ScoreNetwork(nn.Module):
    """s_θ(x, t) for a Gaussian SDE; subclasses define `correction(u, ratio)`, which is F_θ, and
    `config`, the arguments that make another one: type(network)(**network.config).

    sde: the process whose p_t the score belongs to.  data_mean, data_std: m and σ_d above.
    """

    config: dict

    def __init__(self, sde: GaussianSDE, data_mean: float, data_std: float):
        super().__init__()
        self.sde, self.data_mean, self.data_std = sde, data_mean, data_std

    def correction(self, u: Tensor, ratio: Tensor) -> Tensor:
        """F_θ(u, ratio): u has unit variance, ratio = std/scale has shape (batch,)."""
        raise NotImplementedError

    def on(self, sde: GaussianSDE) -> ScoreNetwork:
        """The same weights as the score of another SDE, since F_θ sees only std/scale of t. Trust
        it where the other SDE's ratios lie among those seen in training."""
        other = copy.copy(self)
        other.sde, other.config = sde, {**self.config, "sde": sde}
        return other

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """s_θ(x, t), shaped like x.  t: a scalar tensor or shape (batch,), where std > 0.
        Raises ValueError for another, and another shape or type of x."""
        t = like(t, floats(x, axes=2)).reshape(-1).expand(len(x))
        scale, std = self.sde.marginal(t)
        ratio = std / scale
        scale, std = like(scale, x), like(std, x)
        v = std**2 + (scale * self.data_std) ** 2
        centred = x - scale * self.data_mean
        f = self.correction(centred / v.sqrt(), ratio).to(x.dtype)
        return -centred / v + scale * self.data_std / (std * v.sqrt()) * f


class ScoreMLP(ScoreNetwork):
    """A score for points in ℝᵈ, x: (batch, dim): three hidden layers, the noise level in each."""

    def __init__(
        self,
        sde: GaussianSDE,
        dim: int = 2,
        width: int = 128,
        *,
        data_mean: float = 0.0,
        data_std: float = 1.0,
    ):
        super().__init__(sde, data_mean, data_std)
        numbers = {"data_mean": data_mean, "data_std": data_std}
        self.config = {"sde": sde, "dim": dim, "width": width, **numbers}
        self.embed = NoiseEmbedding(width)
        self.layers = nn.ModuleList(nn.Linear(n, width) for n in (dim, width, width))
        self.out = silent(nn.Linear(width, dim))

    def correction(self, u: Tensor, ratio: Tensor) -> Tensor:
        u, c = shaped("x", fits(u, self), "batch", self.out.out_features), self.embed(ratio)
        for layer in self.layers:
            u = F.silu(layer(u) + c)
        return self.out(u)


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
