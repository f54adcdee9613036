"""The data sets of chapter 17, and a Gaussian for each class of one."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from ..own.data import Data
from ..own.extras import package
from .known_law import KINDS, shapes


def digits() -> Data:
    """The 1,797 digits of 8×8 pixels that scikit-learn carries, a fifth held out."""
    found = package("sklearn.datasets").load_digits()
    names = [str(k) for k in range(10)]
    source = "scikit-learn's digits"
    return Data.of(found.images / 16, found.target, classes=names, hold=0.2, source=source)


def fewer(data: Data, n: int) -> Data:
    """The same data with n of the training examples, by chance, and all that is held out."""
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:n]
    some = None if data.labels is None else data.labels[index]
    x = dataclasses.replace(data.x, rows=data.x.rows[index.numpy()])
    return dataclasses.replace(data, x=x, labels=some)


def coloured(labelled: bool = True, n: int = 8000) -> Data:
    """Pictures of `known_law.shapes`, 16×16×3, with or without the kind as the class."""
    x, kind, _ = shapes(n, generator=torch.Generator().manual_seed(100))
    classes = {"labels": kind, "classes": KINDS} if labelled else {}
    return Data.of(x, source="coloured shapes of a known law", **classes)


def wine() -> Data:
    """178 wines of three growers, 13 measurements each."""
    frame = package("sklearn.datasets").load_wine(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "first", 1: "second", 2: "third"})
    return Data.of(frame, label_column="target", source="scikit-learn's wines")


class Gaussians(nn.Module):
    """A Gaussian for each class, N(m_y, C_y) of its examples, with the best denoiser there is:

        D(x; σ, y) = m_y + C_y (C_y + σ² I)⁻¹ (x − m_y).

    x: (n, …); labels: (n,), or None for one Gaussian of all."""

    def __init__(self, x: Tensor, labels: Tensor | None = None):
        super().__init__()
        y = torch.zeros(len(x), dtype=torch.int64) if labels is None else labels
        groups = [x[y == k].flatten(1).double() for k in y.unique()]
        value, vector = zip(*(torch.linalg.eigh(torch.cov(g.T)) for g in groups))
        self.shape = x.shape[1:]
        self.mean = nn.Parameter(torch.stack([g.mean(0) for g in groups]), False)
        self.value = nn.Parameter(torch.stack(value).clamp(min=0), False)
        self.vector = nn.Parameter(torch.stack(vector), False)

    def _of(self, label: Tensor | None, n: int) -> Tensor:
        """The number of the Gaussian for each of n."""
        if label is None or len(self.mean) == 1:
            return torch.zeros(n, dtype=torch.int64)
        return label

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        k = self._of(label, len(x))
        gap = x.flatten(1).double() - self.mean[k]
        variance = sigma.double().reshape(-1, 1) ** 2
        along = torch.einsum("nij,ni->nj", self.vector[k], gap)
        along = along * self.value[k] / (self.value[k] + variance)
        found = self.mean[k] + torch.einsum("nij,nj->ni", self.vector[k], along)
        return found.reshape(x.shape).to(x)

    def sample(self, n: int, labels: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
        """n draws, of these classes."""
        k = self._of(labels, n)
        z = torch.randn(n, self.value.shape[1], generator=generator, dtype=torch.float64)
        drawn = torch.einsum("nij,nj->ni", self.vector[k], self.value[k].sqrt() * z)
        return (self.mean[k] + drawn).float().reshape(n, *self.shape)
