"""Networks that are scores: s_θ(x, t), shaped like x.

Both write the score as a Gaussian's plus a learned correction F_θ,

    s_θ(x, t) = −(x − scale·m)/v + (scale·σ_d/√v)·F_θ(…)/std,     v = std² + scale²·σ_d²,

where m and σ_d are the mean and the standard deviation of the data, per coordinate. With F_θ = 0,
how training begins, it is the exact score of data ~ N(m, σ_d²·I), and only the rest is learned: the
preconditioning of Karras et al. 2022 (arXiv:2206.00364, table 1) written for the score.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..checks import floats, like
from ..sdes import GaussianSDE
from .layers import unusual
from .mlp import MLP
from .unet import UNet


class ScoreNetwork(nn.Module):
    """s_θ(x, t) for a Gaussian SDE; subclasses define `correction(u, ratio)`, which is F_θ (with
    labels: `correction(u, ratio, label)`), and `config`, the arguments that make another one:
    type(network)(**network.config).

    sde: the process whose p_t the score belongs to.  data_mean, data_std: m and σ_d above.
    """

    config: dict

    def __init__(self, sde: GaussianSDE, data_mean: float, data_std: float):
        super().__init__()
        self.sde, self.data_mean, self.data_std = sde, data_mean, data_std

    def correction(self, u: Tensor, ratio: Tensor, *label: Any) -> Tensor:
        """F_θ(u, ratio): u has unit variance, ratio = std/scale has shape (batch,)."""
        raise NotImplementedError

    def on(self, sde: GaussianSDE) -> ScoreNetwork:
        """The same weights as the score of another SDE, since F_θ sees only std/scale of t. Trust
        it where the other SDE's ratios lie among those seen in training."""
        other = copy.copy(self)
        other.sde, other.config = sde, {**self.config, "sde": sde}
        return other

    def forward(self, x: Tensor, t: Tensor, label: Tensor | int | None = None) -> Tensor:
        """s_θ(x, t), shaped like x.  t: a scalar tensor or shape (batch,), where std > 0.
        label: whole numbers from 0, a scalar or (batch,); None: not told.
        Raises ValueError for another, and another shape or type of x."""
        t = like(t, floats(x, axes=2)).reshape(-1).expand(len(x))
        scale, std = self.sde.marginal(t)
        ratio = std / scale
        scale, std = like(scale, x), like(std, x)
        v = std**2 + (scale * self.data_std) ** 2
        centred = x - scale * self.data_mean
        told = () if label is None else (label,)
        f = self.correction(centred / v.sqrt(), ratio, *told).to(x.dtype)
        return -centred / v + scale * self.data_std / (std * v.sqrt()) * f


class ScoreMLP(MLP, ScoreNetwork):
    """A score for points in ℝᵈ, x: (batch, dim): three hidden layers, the noise level in each.

    classes: with labels, score(x, t, label).  dropout: share of the hidden units left out in
    training.  depth: hidden layers.
    """

    def __init__(
        self,
        sde: GaussianSDE,
        dim: int = 2,
        width: int = 128,
        *,
        data_mean: float = 0.0,
        data_std: float = 1.0,
        classes: int = 0,
        dropout: float = 0.0,
        depth: int = 3,
    ):
        numbers: dict[str, Any] = {"data_mean": data_mean, "data_std": data_std}
        super().__init__(dim, width, classes, dropout, depth, sde=sde, **numbers)
        more = unusual(classes=(classes, 0), dropout=(dropout, 0.0), depth=(depth, 3))
        self.config = {"sde": sde, "dim": dim, "width": width, **numbers, **more}


class ScoreUNet(UNet, ScoreNetwork):
    """A time-dependent U-Net, the score of images in [0, 1], or with dims = 1 of series.

    x, widths, channels, dims: see `UNet`.  data_mean, data_std: those of Fashion-MNIST.
    classes: with labels, score(x, t, label).
    """

    def __init__(
        self,
        sde: GaussianSDE,
        widths: Sequence[int] = (64, 112),
        *,
        data_mean: float = 0.286,
        data_std: float = 0.353,
        classes: int = 0,
        dropout: float = 0.0,
        channels: int = 1,
        dims: int = 2,
    ):
        numbers: dict[str, Any] = {"data_mean": data_mean, "data_std": data_std}
        kind: dict[str, Any] = {"channels": channels, "dims": dims}
        super().__init__(widths, classes, dropout, **kind, sde=sde, **numbers)
        more = unusual(classes=(classes, 0), dropout=(dropout, 0.0))
        more |= unusual(channels=(channels, 1), dims=(dims, 2))
        self.config = {"sde": sde, "widths": list(widths), **numbers, **more}


class VelocityMLP(nn.Module):
    """v_θ(x, t) for points in ℝᵈ: the layers of a `ScoreMLP`, whose output is the velocity itself.

    v_θ = F_θ(x/√(std² + scale² σ_d²), std/scale);
    a target such as z − x₀ has the size of the data at every t, so it needs no factor in front.
    x: (batch, dim).  t > 0.  data_std: σ_d.  It begins at v_θ = 0.
    config: how it is rebuilt, VelocityMLP(**config).
    """

    def __init__(self, sde: GaussianSDE, dim: int = 2, width: int = 128, *, data_std: float = 1.0):
        super().__init__()
        self.config = {"sde": sde, "dim": dim, "width": width, "data_std": data_std}
        self.body = ScoreMLP(sde, dim, width, data_std=data_std)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """v_θ(x, t), shaped like x.  Raises ValueError for x of another dimension."""
        scale, std = self.body.sde.marginal(like(t, floats(x, axes=2)).reshape(-1).expand(len(x)))
        size = (std**2 + (scale * self.body.data_std) ** 2).sqrt()
        return self.body.correction(x / like(size, x), std / scale).to(x.dtype)
