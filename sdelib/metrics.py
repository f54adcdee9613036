"""How good are samples? A small classifier of garments, and distances in its features.

Fréchet distances with different feature extractors do not compare. Ours uses `GarmentClassifier`,
so it compares only with other figures of this book; its floor is the distance between n real
images and the other real ones, and is never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import finite, floats, whole


@dataclass(frozen=True)
class Moments:
    """mean (f,), covariance (f, f) and number n of a set of feature vectors.
    Raises ValueError for what is not finite."""

    mean: Tensor
    covariance: Tensor
    n: int

    def __post_init__(self):
        finite("mean", self.mean), finite("covariance", self.covariance)


def moments(x: Tensor) -> Moments:
    """Sample mean and covariance (divided by n − 1) of feature vectors x of shape (n, f), n ≥ 2."""
    if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
        raise ValueError(f"x has shape {tuple(x.shape)}: give (n, features) with n of at least 2")
    x = finite("x", floats(x)).double()
    return Moments(x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1]), len(x))


def frechet_distance(a: Moments, b: Moments) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), in squared feature units.

    The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982; Heusel et al. 2017).
    tr (Σ_a Σ_b)^½ is the sum of the square roots of the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which is
    symmetric, so nothing complex appears.  Biased upward by about 1/n: compare equal n.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"a has {len(a.mean)} features and b has {len(b.mean)}: use one classifier for both"
        )
    value, vector = torch.linalg.eigh(a.covariance)
    root = (vector * value.clamp(min=0).sqrt()) @ vector.T
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    trace = a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, float((a.mean - b.mean).square().sum() + trace))


def frechet_bias(reference: Moments) -> float:
    """c = tr Σ + ½ Σ_ij λ_i λ_j (1 + δ_ij)/(λ_i + λ_j),
    with which E[F] ≈ c/n for n draws of the reference itself.

    λ: the eigenvalues of Σ. The first term is the error of the mean, the second that of the
    covariance: expand F to second order in it, with Gaussian features. In squared feature units.
    """
    v = torch.linalg.eigvalsh(reference.covariance).clamp(min=1e-300)
    pairs = v[:, None] * v / (v[:, None] + v)
    return float(v.sum() + (pairs.sum() + pairs.diagonal().sum()) / 2)


def split_floor(
    x: Tensor, n: int, *, draws: int = 10, generator: torch.Generator
) -> tuple[float, float]:
    """(mean, standard error) of the distance between n random rows of x and all other rows.

    The real-against-real floor for n samples.  Raises ValueError unless 2 ≤ n ≤ len(x) − 2.
    """
    floats(x, axes=2)
    if not 2 <= n <= len(x) - 2:
        raise ValueError(f"n = {n}: give at least 2 and at most {len(x) - 2}")
    whole(2, draws=draws)
    d = []
    for _ in range(draws):
        order = torch.randperm(len(x), generator=generator)
        d.append(frechet_distance(moments(x[order[:n]]), moments(x[order[n:]])))
    d = torch.tensor(d, dtype=torch.float64)
    return d.mean().item(), (d.std() / math.sqrt(draws)).item()


def precision_recall(
    real: Tensor, drawn: Tensor, k: int = 3, *, batch: int = 1000
) -> tuple[float, float]:
    """(precision, recall): the share of the drawn x inside the support of the real ones, and the
    other way round.

    The support of a set is the union of the balls about its points that reach to their k-th nearest
    neighbour in the set. Precision falls when garments are odd, recall when kinds of garments are
    missing. Both grow with the number of points, so compare equal numbers.
    real: (n, f), drawn: (m, f), feature vectors.
    Raises ValueError for a k that is not a whole number above 0 and below n and m, and when the
    features differ.
    Kynkäänniemi et al. 2019 (arXiv:1904.06991), eq. 1 to 3.
    """
    if (
        floats(real, "real").ndim != 2
        or floats(drawn, "drawn").ndim != 2
        or real.dtype != drawn.dtype
        or real.shape[1] != drawn.shape[1]
    ):
        raise ValueError(
            f"real has shape {tuple(real.shape)} and drawn has {tuple(drawn.shape)}: give feature vectors of one classifier"
        )
    if not isinstance(k, int) or not 0 < k < min(len(real), len(drawn)):
        raise ValueError(
            f"k = {k!r}: give a whole number above 0 and below the {min(len(real), len(drawn))} points"
        )

    def covered(points: Tensor, of: Tensor) -> float:
        radius = torch.cat(
            [torch.cdist(part, of).kthvalue(k + 1, dim=1).values for part in of.split(batch)]
        )  # the nearest is itself
        return (
            torch.cat([(torch.cdist(part, of) <= radius).any(1) for part in points.split(batch)])
            .double()
            .mean()
            .item()
        )

    return covered(drawn, real), covered(real, drawn)


def sliced_wasserstein(
    x: Tensor, y: Tensor, directions: int = 64, *, generator: torch.Generator | None = None
) -> float:
    """√( mean over directions u of W₂(uᵀx, uᵀy)² ),
    W₂² of equally many points on a line = mean (sorted − sorted)².

    It needs no network, and is in the units of x.  x, y: (n, …), equally many.
    On the line and in the plane the directions are equally spaced; in more dimensions they are
    random, from the generator. Two samples of one law have a distance of order n^(−1/2), not 0.
    Raises ValueError when x and y differ in shape, or a generator is missing.
    Bonneel et al. 2015.
    """
    if x.shape != y.shape or x.numel() == 0 or floats(x, axes=1).dtype != y.dtype:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and y has {tuple(y.shape)}: give equally many points of one shape and type"
        )
    whole(directions=directions)
    x, y = (a.reshape(len(a), -1) for a in (x, y))
    d = x.shape[1]
    if d <= 2:
        angle = torch.arange(directions, dtype=x.dtype) * math.pi / directions
        u = torch.stack([angle.cos(), angle.sin()]) if d == 2 else torch.ones(1, 1, dtype=x.dtype)
    elif generator is None:
        raise ValueError(f"generator is missing: in {d} dimensions the directions are random")
    else:
        u = torch.nn.functional.normalize(
            torch.randn(d, directions, generator=generator, dtype=x.dtype), dim=0
        )
    u = u.to(x)
    return float(((x @ u).sort(0).values - (y @ u).sort(0).values).square().mean().sqrt())
