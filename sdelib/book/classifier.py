"""The garment classifiers: one whose features stand behind the Fréchet distance of the book, and
one for noisy images, whose gradient guides the sampler of chapter 14.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import a_generator, floats, like, require
from ..denoiser import SIGMA_MAX, SIGMA_MIN, DenoiserLoss
from ..networks import NoiseEmbedding, ResBlock, fits
from ..own import weights
from ..own.metrics import Moments


def _images(x: Tensor) -> Tensor:
    """x, which has the shape (batch, 1, 28, 28)."""
    require(x.shape[1:] == (1, 28, 28), "shape of x", tuple(x.shape), "give (batch, 1, 28, 28)")
    return x


class GarmentClassifier(nn.Module):
    """Ten logits for (batch, 1, 28, 28) images in [0, 1]; `embed` gives the features before them.

    width: channels of the first of three convolutions (then 2×, 4×); n_features: size of `embed`.
    """

    def __init__(self, width: int = 24, n_features: int = 64):
        super().__init__()
        self.config = {"width": width, "n_features": n_features}
        w = width
        self.body = nn.Sequential(
            nn.Conv2d(1, w, 3, padding=1),
            nn.GroupNorm(8, w),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(w, 2 * w, 3, padding=1),
            nn.GroupNorm(8, 2 * w),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * w, 4 * w, 3, padding=1),
            nn.GroupNorm(8, 4 * w),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(9 * 4 * w, n_features),
            nn.SiLU(),
        )
        self.head = nn.Linear(n_features, 10)

    def embed(self, x: Tensor) -> Tensor:
        """Features of shape (batch, n_features)."""
        return self.body(fits(_images(x), self) - 0.286)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def _one_label_each(images: Tensor, labels: Tensor) -> None:
    holds = len(images) > 0 and labels.shape == images.shape[:1]
    cure = f"give one for each of the {len(images)} images, and one image or more"
    require(holds, "shape of labels", tuple(labels.shape), cure)


@dataclass(frozen=True)
class ClassificationLoss:
    """Cross-entropy with label smoothing 0.05, on images shifted by up to one pixel; an
    `Objective`."""

    smoothing: float = 0.05

    def __post_init__(self):
        require(0 <= self.smoothing <= 1, "smoothing", self.smoothing, "give a share from 0 to 1")

    def draw(self, images: Tensor, labels: Tensor, *, generator: torch.Generator) -> tuple[Tensor]:
        _one_label_each(_images(images), labels), a_generator(generator)
        return (torch.randint(-1, 2, (len(images), 2), generator=generator),)

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, shift: Tensor) -> Tensor:
        padded = F.pad(images, (1, 1, 1, 1))
        rows = torch.arange(28, device=images.device) + 1 + shift[:, :1]
        columns = torch.arange(28, device=images.device) + 1 + shift[:, 1:]
        index = torch.arange(len(images), device=images.device)[:, None, None]
        images = padded[index, 0, rows[:, :, None], columns[:, None, :]][:, None]
        return F.cross_entropy(
            network(images), labels, label_smoothing=self.smoothing, reduction="none"
        )


@torch.no_grad()
def features(images: Tensor, classifier: GarmentClassifier, *, batch: int = 500) -> Tensor:
    """Float64 features (n, n_features) of images (n, 1, 28, 28), clipped to [0, 1] first."""
    return torch.cat(
        [classifier.embed(x.clamp(0, 1)) for x in floats(images, "images", axes=1).split(batch)]
    ).double()


@torch.no_grad()
def accuracy(
    images: Tensor, labels: Tensor, classifier: GarmentClassifier, *, batch: int = 500
) -> float:
    """The share of images whose largest logit is their label."""
    _one_label_each(floats(images, "images", axes=1), labels)
    right = [classifier(x).argmax(1) == y for x, y in zip(images.split(batch), labels.split(batch))]
    return torch.cat(right).double().mean().item()


def stored_moments() -> Moments:
    """Moments of the bundled classifier's features of the 60,000 real training images."""
    t, _ = weights.read_tensors(weights.checked("moments.safetensors"))
    return Moments(t["mean"], t["covariance"], int(t["n"]))


class NoisyClassifier(nn.Module):
    """Logits of p(y | x₀ + σz), shape (batch, classes), for images (batch, 1, 28, 28).

    The input is scaled as a `Denoiser`'s: c_in (x − m) has unit variance at every σ.
    widths: channels at half and at quarter size.  data_mean, data_std: m and σ_d.
    """

    def __init__(
        self,
        widths: tuple[int, int] = (32, 64),
        classes: int = 10,
        *,
        data_mean: float = 0.286,
        data_std: float = 0.353,
    ):
        super().__init__()
        self.config = {
            "widths": list(widths),
            "classes": classes,
            "data_mean": data_mean,
            "data_std": data_std,
        }
        self.data_mean, self.data_std = data_mean, data_std
        a, b = widths
        self.embed = NoiseEmbedding(2 * a)
        self.first, self.shrink = (
            nn.Conv2d(1, a, 4, stride=2, padding=1),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList(
            [ResBlock(a, a, 2 * a), ResBlock(b, b, 2 * a), ResBlock(b, b, 2 * a)]
        )
        self.norm = nn.GroupNorm(8, b)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * b, classes))

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Logits (batch, classes).  sigma: a scalar or (batch,).
        Raises ValueError for another shape, and σ outside the trained range."""
        sigma = like(sigma, fits(_images(x), self)).reshape(-1).expand(len(x))
        if not torch.compiler.is_compiling():
            known = (sigma >= SIGMA_MIN * (1 - 1e-3)) & (sigma <= SIGMA_MAX * (1 + 1e-3))
            cure = f"it leaves [{SIGMA_MIN}, {SIGMA_MAX:g}], the noise levels of the training"
            require(known.all(), "sigma", sigma, cure)
        e = self.embed(sigma)
        h = self.first(like((sigma**2 + self.data_std**2).rsqrt(), x) * (x - self.data_mean))
        h = self.shrink(self.blocks[0](h, e))
        return self.head(F.silu(self.norm(self.blocks[2](self.blocks[1](h, e), e))))


@dataclass(frozen=True)
class NoisyClassificationLoss:
    """−log p_φ(y | x₀ + σz) for each image, with ln σ as in `DenoiserLoss(mean, std, spread)`; an
    `Objective`.

    Its minimiser is the true p(y | x₀ + σz) at every σ, since the cross-entropy is a proper score.
    """

    mean: float = -0.6
    std: float = 1.4
    spread: float = 0.1

    def draw(
        self, images: Tensor, labels: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        sigma, z, _, _ = DenoiserLoss(self.mean, self.std, self.spread).draw(
            images, labels, generator=generator
        )
        return sigma, z

    def __call__(
        self, network: nn.Module, images: Tensor, labels: Tensor, sigma: Tensor, z: Tensor
    ) -> Tensor:
        return F.cross_entropy(
            network(images + like(sigma, images) * z, sigma).float(), labels, reduction="none"
        )
