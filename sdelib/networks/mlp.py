"""The network of points and of rows of a table: a few layers, told noise and label in each."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import require, shaped, whole
from .layers import Conditioned, NoiseEmbedding, fits, silent


class MLP(Conditioned):
    """F(u, ratio, label), shaped like u: `depth` layers h ← dropout(silu(W h + b + c)), then one
    linear layer; c is made of the noise level and the label.

    u: (batch, dim).  ratio: (batch,).  width: hidden units of each layer, an even number.
    label: (batch,) whole numbers, −1 or None for "not told".
    At initialisation F = 0, and no label makes a difference.  Raises ValueError for other sizes.
    """

    def __init__(
        self,
        dim: int = 2,
        width: int = 128,
        classes: int = 0,
        dropout: float = 0.0,
        depth: int = 3,
        **rest: Any,
    ):
        super().__init__(**rest)  # of ScoreMLP and DenoiserMLP: how F becomes a score, a denoiser
        whole(dim=dim, depth=depth, width=width)
        require(width % 2 == 0, "width", width, "give an even number, such as 128")
        self.embed = NoiseEmbedding(width)
        sizes = dim, *[width] * (depth - 1)
        self.layers = nn.ModuleList(nn.Linear(n, width) for n in sizes)
        self.out = silent(nn.Linear(width, dim))
        self.labelled(classes, width, dropout)

    def correction(self, u: Tensor, ratio: Tensor, label: Any = None) -> Tensor:
        """F(u, ratio, label)."""
        h = shaped("x", fits(u, self), "batch", self.out.out_features)
        c = self.told(u, ratio, label)
        for layer in self.layers:
            h = F.dropout(F.silu(layer(h) + c), self.dropout, self.training)
        return self.out(h)
