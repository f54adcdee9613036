"""How good are samples? Distances between sets of them, or between their features.

Fréchet distances (FD) with different feature extractors do not compare. The book's own uses its
`GarmentClassifier`, so it compares only with other figures of this book; its floor is the distance
between n real images and the other real ones, and is never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import a_generator, finite, floats, require, same_shape, whole


@dataclass(frozen=True)
class Moments:
    """mean (f,), covariance (f, f) and number n of a set of feature vectors, all finite."""

    mean: Tensor
    covariance: Tensor
    n: int

    def __post_init__(self):
        finite("mean, covariance", torch.cat([self.mean, self.covariance.flatten()]))


def moments(x: Tensor) -> Moments:
    """Sample mean and covariance (divided by n − 1) of feature vectors x of shape (n, f), n ≥ 2;
    in float64, on the CPU."""
    x = finite("x", floats(x, axes=2)).cpu().double()
    require(x.ndim == 2 and len(x) > 1, "shape of x", tuple(x.shape), "give (n, f) with n ≥ 2")
    return Moments(x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1]), len(x))


def frechet_distance(a: Moments, b: Moments) -> float:
    """FD = ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), in squared feature units.

    The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982; Heusel et al. 2017).
    tr (Σ_a Σ_b)^½ is the sum of the square roots of the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which is
    symmetric, so nothing complex appears.  Biased upward by about 1/n: compare equal n.
    """
    gap = a.mean - same_shape("b.mean", b.mean, a.mean, "a.mean")
    value, vector = torch.linalg.eigh(a.covariance)
    root = (vector * value.clamp(min=0).sqrt()) @ vector.T
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    trace = a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, float(gap.square().sum() + trace))


def frechet_bias(reference: Moments) -> float:
    """c = tr Σ + ½ Σ_ij Λ_i Λ_j (1 + δ_ij)/(Λ_i + Λ_j),
    with which E[FD] ≈ c/n for n draws of the reference itself.

    Λ: the eigenvalues of Σ. The first term is the error of the mean, the second that of the
    covariance: expand FD to second order in it, with Gaussian features. In squared feature units.
    """
    value = torch.linalg.eigvalsh(reference.covariance).clamp(min=1e-300)
    pairs = value[:, None] * value / (value[:, None] + value)
    return float(value.sum() + (pairs.sum() + pairs.diagonal().sum()) / 2)


def split_floor(
    x: Tensor, n: int, *, draws: int = 10, generator: torch.Generator
) -> tuple[float, float]:
    """(mean, standard error) of the FD between n random rows of x and all other rows: the floor,
    real against real, for n samples.  Raises ValueError unless 2 ≤ n ≤ len(x) − 2."""
    whole(2, n=n, draws=draws, **{f"n = {n}, len(x) − n": len(floats(x, axes=2)) - n})
    found = []
    for _ in range(draws):
        order = torch.randperm(len(x), generator=a_generator(generator))
        found.append(frechet_distance(moments(x[order[:n]]), moments(x[order[n:]])))
    found = torch.tensor(found, dtype=torch.float64)
    return found.mean().item(), (found.std() / math.sqrt(draws)).item()


def precision_recall(
    real: Tensor, drawn: Tensor, k: int = 3, *, batch: int = 1000
) -> tuple[float, float]:
    """(precision, recall): the share of the drawn x inside the support of the real ones, and the
    other way round.

    The support of a set is the union of the balls about its points that reach to their k-th nearest
    neighbour in the set. Precision falls when garments are odd, recall when kinds of garments are
    missing. Both grow with the number of points, so compare equal numbers.
    real: (n, f), drawn: (m, f), feature vectors.  k: whole, 0 < k < n, m.   Raises ValueError for
    what is not so.   Kynkäänniemi et al. 2019 (arXiv:1904.06991), eq. 1 to 3.
    """
    real, drawn = floats(real, "real", axes=2), floats(drawn, "drawn", axes=2).to(real)
    given = tuple(real.shape), tuple(drawn.shape), k
    fits = real.shape[1:] == drawn.shape[1:] and k in range(1, min(len(real), len(drawn)))
    cure = "give (n, f) and (m, f) of one classifier, and a whole number with 0 < k < n, m"
    require(real.ndim == 2 and fits, "real, drawn, k", given, cure)

    def share(points: Tensor, of: Tensor) -> float:
        near = [torch.cdist(part, of).kthvalue(int(k) + 1, 1).values for part in of.split(batch)]
        radius = torch.cat(near)  # the nearest is the point itself
        inside = [(torch.cdist(part, of) <= radius).any(1).sum() for part in points.split(batch)]
        return int(sum(inside)) / len(points)

    return share(drawn, real), share(real, drawn)


def sliced_wasserstein(
    x: Tensor, y: Tensor, directions: int = 64, *, generator: torch.Generator | None = None
) -> float:
    """√( mean over directions u of W₂(uᵀx, uᵀy)² ),
    W₂² of equally many points on a line = mean (sorted − sorted)².

    It needs no network, and is in the units of x.  x, y: (n, …), equally many.
    On the line and in the plane the directions are equally spaced; in more dimensions they are
    random, from the generator. Two samples of one law have a distance of order n^(−1/2), not 0.
    Raises ValueError when x and y differ in shape or a generator is missing.  Bonneel et al. 2015.
    """
    alike = floats(x, axes=1).shape == floats(y, "y").shape and x.numel() > 0
    require(alike, "shapes of x, y", (tuple(x.shape), tuple(y.shape)), "give equally many points")
    whole(directions=directions)
    x, y = (a.to(x).reshape(len(a), -1) for a in (x, y))
    d = x.shape[1]
    if d <= 2:
        angle = torch.arange(directions, dtype=x.dtype) * math.pi / directions
        u = torch.stack([angle.cos(), angle.sin()]) if d == 2 else torch.ones(1, 1, dtype=x.dtype)
    else:
        u = torch.randn(d, directions, generator=a_generator(generator), dtype=x.dtype)
        u = torch.nn.functional.normalize(u, dim=0)
    gap = (x @ u.to(x)).sort(0).values - (y @ u.to(x)).sort(0).values
    return float(gap.square().mean().sqrt())
