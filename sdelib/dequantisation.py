"""From a density over real numbers to the probability of whole grey levels: bounds in nats and in
bits, for images of 256 levels.

A pixel is one of 256 levels k that lie at a_k; a model has a density p(x) over real numbers. Give
it a decoder, any probabilities P(k | x) that sum to 1 over k. Then P(k) = ∫ p(x) P(k | x) dx is a
model of whole levels, and for any q(x | k)

    log P(k) ≥ E_{x ~ q(x | k)} [log p(x) − log q(x | k) + log P(k | x)],

with equality where q(x | k) = p(x) P(k | x)/P(k). Uniform dequantisation (`dequantise`) takes q
uniform on the cube of k, and P(k | x) = 1 there (Theis, van den Oord & Bethge 2016). In the other
two bounds q(x | k) = N(a_k, σ² I), the law of x that a diffusion model is trained on, and the
decoder is a fitted one (Kingma, Salimans, Poole & Ho 2021, eq. 11 and 12).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import a_generator, finite, floats, like, positive, require, same_shape


def grey_levels(images: Tensor) -> Tensor:
    """k for images k/255 of 256 grey levels, shaped and typed like the images.

    Raises ValueError when the images are not multiples of 1/255 in [0, 1].
    """
    k = (floats(images, "images") * 255).round()
    holds = ((k / 255 - images).abs() <= 1e-4) & (k >= 0) & (k <= 255)
    require(holds.all(), "images", images, "give multiples of 1/255 in [0, 1], as they are stored")
    return k


def dequantise(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """(k + u)/256 with u ~ U(0, 1) for images k/255 of 256 grey levels: a density over [0, 1]^d
    bounds a probability.

    For any density q, E_u[log q((k + u)/256)] − d ln 256 ≤ log P(k), the probability that q gives
    to the little cube of k (Theis, van den Oord & Bethge 2016).
    Raises ValueError when the images are not multiples of 1/255 in [0, 1].
    """
    k, g = grey_levels(images), a_generator(generator)
    return (k + torch.rand(k.shape, generator=g, device=g.device).to(k)) / 256


def bits_per_dim(log_p: Tensor, d: int, *, width: float = 1 / 256) -> Tensor:
    """−log p/(d ln 2) − log₂ width: nats of a density over d coordinates into bits for each, for
    grey levels `width` apart.

    The uniform density on [0, 1]^d has log p = 0 and 8 bits.
    Raises ValueError for d or width not above 0.
    """
    positive(d=d, width=width)
    return -log_p / (d * math.log(2)) - math.log2(width)


@dataclass(frozen=True, eq=False)
class Decoder:
    """P(k | x, D) for each pixel:  π(D) for k = 0,
    (1 − π(D)) w_k N(x; a_k, σ²)/Σ_{j ≥ 1} w_j N(x; a_j, σ²) for k ≥ 1.

    Is the pixel black? That the denoised image D says best: π(D) is the share of black pixels among
    those of training images with such a D. Which other level is it? The one that x is near to, by
    Bayes' rule.
    levels: a_0 < … < a_{K−1}, (K,), K ≥ 2.  sigma: σ.
    weights: w, (K,), above 0; any scale; w_0 is not used.
    edges: of the bins of D, ascending, (m,).  black: π in the m + 1 bins, inside (0, 1).
    Raises ValueError for what is not so.
    """

    levels: Tensor
    sigma: float
    weights: Tensor
    edges: Tensor
    black: Tensor

    def __post_init__(self):
        positive(sigma=self.sigma)
        K, m, inf = self.levels.numel(), self.edges.numel(), math.inf
        for name, n, low, high in (
            ("levels", max(2, K), -inf, inf),
            ("weights", K, 0, inf),
            ("edges", m, -inf, inf),
            ("black", m + 1, 0, 1),
        ):
            a, rises = getattr(self, name), low < 0
            holds = a.shape == (n,) and ((low < a) & (a < high)).all()
            holds = holds and not (rises and (a.diff() <= 0).any())
            cure = f"give {n} numbers " + ("that ascend" if rises else f"inside ({low}, {high})")
            require(holds, name, a, cure)

    @classmethod
    def fit(
        cls, D: Tensor, k: Tensor, levels: Tensor, sigma: float, weights: Tensor, *, bins: int = 60
    ) -> Decoder:
        """π from examples: D and the true level k of each pixel, two tensors of one shape.

        The bins are 1/8 of the gap between two levels wide and begin 1½ gaps below black; half an
        example is added to both counts of each bin, so π is never 0 or 1.
        Raises ValueError when D and k differ in shape.
        """
        require(levels.ndim == 1 and len(levels) > 1, "levels", levels, "give 2 or more numbers")
        k, gap = same_shape("k", k, D, "D"), levels[1] - levels[0]
        edges = levels[0] + gap * (torch.arange(bins, dtype=levels.dtype) / 8 - 1.5)
        bin_ = torch.bucketize(D.to(levels).flatten(), edges)
        total, black = (
            torch.bincount(b, minlength=bins + 1).to(levels) for b in (bin_, bin_[k.flatten() == 0])
        )
        return cls(levels, sigma, weights, edges, (black + 0.5) / (total + 1))

    def probabilities(self, x: Tensor, D: Tensor) -> Tensor:
        """log P(k | x, D) for all K levels, shape (*x.shape, K)."""
        x, D = x.to(self.levels), D.to(self.levels)
        black = self.black[torch.bucketize(D, self.edges)][..., None]
        squares = (x[..., None] - self.levels[1:]).square()
        log = self.weights[1:].log() - squares / (2 * self.sigma**2)
        return torch.cat([black.log(), torch.log1p(-black) + torch.log_softmax(log, -1)], -1)

    def log_prob(self, x: Tensor, D: Tensor, k: Tensor) -> Tensor:
        """log P(k | x, D), the sum over the pixels of each image, shape (batch,).

        x, D, k: (batch, …).  Raises ValueError when the shapes differ or k is no level.
        """
        same_shape("D", D, floats(x, axes=2)), same_shape("k", k, x)
        index, last = k.long(), len(self.levels) - 1
        holds = (index == k) & (index >= 0) & (index <= last)
        require(holds.all(), "k", k, f"give whole numbers from 0 to {last}")
        parts = [
            self.probabilities(a, b).gather(-1, i[..., None]).flatten(1).sum(1)
            for a, b, i in zip(x.split(16), D.split(16), index.split(16))
        ]
        return finite("log P(k | x, D)", torch.cat(parts))


def gaussian_bound(
    log_p: Tensor, log_decoder: Tensor, x: Tensor, centre: Tensor, sigma: float
) -> Tensor:
    """log p(x) − log N(x; a_k, σ² I) + log P(k | x), shape (batch,): its mean over x = a_k + σz is
    at most log P(k).

    log_p: log p(x), and log_decoder: log P(k | x), (batch,).  centre: a_k, shaped like x.
    In float64, on the CPU.  Raises ValueError for a sigma not above 0, and other shapes.
    Kingma, Salimans, Poole & Ho 2021 (arXiv:2107.00630), eq. 11, with p(x) in place of its bound.
    """
    positive(sigma=sigma), same_shape("centre", centre, floats(x, axes=2))
    shapes, n = (tuple(log_p.shape), tuple(log_decoder.shape)), (len(x),)
    require(shapes == (n, n), "shapes of log_p, log_decoder", shapes, f"give {n}, one for each x")
    z = (x - centre).flatten(1).cpu().double() / sigma
    log_q = -z.square().sum(1) / 2 - z.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    return finite("the bound", log_p.cpu().double() - log_q + log_decoder.cpu().double())


@torch.no_grad()
def diffusion_bound(
    denoiser: Callable[..., Tensor],
    images: Tensor,
    decoder: Decoder,
    *,
    sigma_max: float,
    label: Tensor | int | None = None,
    generator: torch.Generator,
    batch: int = 100,
) -> Tensor:
    """log P(k | x, D) − ‖x₀‖²/(2 σ_max²) − ln(σ_max/σ_min) ‖x₀ − D(x₀ + σz; σ)‖²/σ² for one random
    σ: shape (batch,).

    Its mean is a lower bound of log P(k) under the reverse *SDE*, and needs no flow and no trace:
    the diffusion loss ∫ E‖x₀ − D‖²/σ² d ln σ, the divergence of the noise at σ_max from the prior
    N(0, σ_max² I), and the decoder.
    images: x₀, (n, …), at the decoder's levels.  In float64, on the CPU.
    ln σ is uniform from σ_min = decoder.sigma to sigma_max, stratified over the n images.
    Raises ValueError unless sigma_max > σ_min.
    Kingma, Salimans, Poole & Ho 2021 (arXiv:2107.00630), eq. 11 and 19.
    """
    n, low, g = len(floats(images, "images", axes=2)), decoder.sigma, a_generator(generator)
    require(low < sigma_max < 1e18, "sigma_max", sigma_max, f"give a number above σ_min = {low:g}")
    clock = math.log(sigma_max / low)
    u = (torch.randperm(n, generator=g) + torch.rand(n, generator=g)) / n
    sigma = low * torch.exp(u.double() * clock).to(images)
    middles, out = (decoder.levels[1:] + decoder.levels[:-1]) / 2, [torch.zeros(0).double()]
    for i in range(0, n, batch):
        x0, s = images[i : i + batch], sigma[i : i + batch]
        y = label[i : i + batch] if torch.is_tensor(label) and label.ndim else label
        z, first = (torch.randn(x0.shape, generator=g, dtype=x0.dtype).to(x0) for _ in range(2))
        off = denoiser(x0 + like(s, x0) * z, s, y) - x0
        loss = (off.flatten(1).cpu().double() / s.cpu()[:, None]).square().sum(1)
        prior = x0.flatten(1).cpu().double().square().sum(1) / (2 * sigma_max**2)
        x, k = x0 + low * first, torch.bucketize(x0.to(decoder.levels), middles)
        decoded = decoder.log_prob(x, denoiser(x, torch.tensor(low).to(x0), y), k)
        out.append(decoded.cpu().double() - prior - clock * loss)
    return finite("the bound", torch.cat(out))
