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


def moments(x: Tensor, weights: Tensor | None = None) -> Moments:
    """Sample mean and covariance (divided by n − 1) of feature vectors x of shape (n, f), n ≥ 2;
    in float64, on the CPU.

    weights (n,), of at least 0 and not all on one row: with p = weights/Σ weights, mean Σ p_i x_i
    and covariance Σ p_i (x_i − mean)(x_i − mean)ᵀ / (1 − Σ p²); then n is 1/Σ p².
    """
    x = finite("x", floats(x, axes=2)).cpu().double()
    require(x.ndim == 2 and len(x) > 1, "shape of x", tuple(x.shape), "give (n, f) with n ≥ 2")
    if weights is None:
        return Moments(x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1]), len(x))
    p = weights.double() / weights.double().sum()
    fits, cure = p.shape == x.shape[:1] and p.min() >= 0 and p.max() < 1, "give one for each row"
    require(fits, "weights", weights, f"{cure}, of at least 0 and not all on one")
    mean, square = p @ x, float(p.square().sum())
    return Moments(mean, (p[:, None] * (x - mean)).T @ (x - mean) / (1 - square), round(1 / square))


def class_weights(labels: Tensor, counts: Tensor) -> Tensor:
    """counts_y/N_y for each row with the label y, of which there are N_y: rows so weighted have the
    shares of the classes that `counts` (classes,) has.  A class that is asked for is there."""
    there = torch.bincount(labels, minlength=len(counts))
    short = (counts > 0) & (there[: len(counts)] == 0)
    require(not short.any(), "counts", counts, "there is no example of one of these classes")
    counts = torch.nn.functional.pad(counts, (0, len(there) - len(counts)))
    return (counts.double() / there.clamp(min=1))[labels]


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
    x: Tensor,
    n: int | Tensor,
    *,
    labels: Tensor | None = None,
    draws: int = 10,
    generator: torch.Generator,
) -> tuple[float, float]:
    """(mean, standard error) of the FD between n random rows of x and all other rows: the floor,
    real against real, for n samples.

    With labels (len(x),), n holds how many of each class were drawn: so many random rows of each
    class, against the others, weighted to the same shares. A sample with fixed numbers of each
    class spreads less than one of random classes, and its floor is lower.
    Raises ValueError unless 2 ≤ n ≤ len(x) − 2, or some class has too few rows.
    """
    counts = torch.as_tensor(n)
    total = int(counts.sum())
    whole(2, n=total, draws=draws)
    whole(2, **{f"n = {total}, len(x) − n": len(floats(x, axes=2)) - total})
    found = []
    for _ in range(draws):
        order = torch.randperm(len(x), generator=a_generator(generator))
        weights, taken = None, order[:total]
        if labels is not None:
            each = [order[labels[order] == k][:c] for k, c in enumerate(counts.tolist())]
            taken = torch.cat(each)
            require(len(taken) == total, "n", n, "a class has fewer rows: draw fewer of it")
        rest = torch.ones(len(x), dtype=torch.bool)
        rest[taken] = False
        if labels is not None:
            weights = class_weights(labels[rest], counts)
        found.append(frechet_distance(moments(x[taken]), moments(x[rest], weights)))
    found = torch.tensor(found, dtype=torch.float64)
    return found.mean().item(), (found.std() / math.sqrt(draws)).item()


def kid(x: Tensor, y: Tensor, *, groups: int = 10) -> tuple[float, float]:
    """KID = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{ij} k(x_i, y_j),
    k(a, b) = (aᵀb/f + 1)³, and its standard error.

    The unbiased squared maximum mean discrepancy: its mean is 0 for two samples of one law,
    whatever n is, so single values may be negative.  x: (n, f), y: (m, f), features; n ≠ m may be.
    The error is the jackknife's, from leaving out every `groups`-th row of both in turn; on average
    it is never too small, and up to √2 too large where the laws agree (Efron & Stein 1981).
    Raises ValueError for other shapes and fewer than 2·groups rows.  Bińkowski et al. 2018
    (arXiv:1801.01401), eq. 4.
    """
    x, y = (finite(k, floats(v, k, axes=2)).cpu().double() for k, v in (("x", x), ("y", y)))
    fits = x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1] and min(len(x), len(y)) >= 2 * groups
    cure = f"give (n, f) and (m, f) with n, m ≥ {2 * groups}"
    require(fits and groups > 1, "shapes of x, y", (tuple(x.shape), tuple(y.shape)), cure)
    one_hot = [
        (torch.arange(len(a)) % groups == torch.arange(groups)[:, None]).double() for a in (x, y)
    ]
    sizes = [torch.cat([h.sum()[None], h.sum() - h.sum(1)]) for h in one_hot]

    def sums(i: int, j: int) -> Tensor:
        """Σ k over all pairs, and over those that stay when group 0, 1, … is left out."""
        k = ((x, y)[i] @ (x, y)[j].T / x.shape[1] + 1) ** 3
        if i == j:
            k.fill_diagonal_(0)
        block = one_hot[i] @ k @ one_hot[j].T
        return torch.cat(
            [block.sum()[None], block.sum() - block.sum(0) - block.sum(1) + block.diag()]
        )

    within = [sums(i, i) / (sizes[i] * (sizes[i] - 1)) for i in (0, 1)]
    value = within[0] + within[1] - 2 * sums(0, 1) / (sizes[0] * sizes[1])
    return float(value[0]), float(jackknife(value[1:]))


def jackknife(left_out: Tensor) -> Tensor:
    """√( (G − 1)/G · Σ_g (θ_g − mean θ)² ): the standard error of θ by its values θ_g, shape
    (G, …), each without one of G groups that are alike in size (Quenouille 1956, Tukey 1958)."""
    groups = len(left_out)
    return ((groups - 1) * (left_out - left_out.mean(0)).square().mean(0)).sqrt()


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
    u = unit_vectors(x.shape[1], directions, generator=generator, dtype=x.dtype).to(x)
    gap = (x @ u).sort(0).values - (y @ u).sort(0).values
    return float(gap.square().mean().sqrt())


def unit_vectors(
    d: int,
    directions: int,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The directions of `sliced_wasserstein`, as columns (d, directions): the one of the line,
    equally spaced ones of the half circle, and from three dimensions on random ones."""
    if d == 1:
        return torch.ones(1, 1, dtype=dtype)
    if d == 2:
        angle = torch.arange(directions, dtype=dtype) * math.pi / directions
        return torch.stack([angle.cos(), angle.sin()])
    u = torch.randn(d, directions, generator=a_generator(generator), dtype=dtype)
    return torch.nn.functional.normalize(u, dim=0)
