"""From a density over real numbers to the probability of whole grey levels: bounds in nats, for
images of 256 levels.

A pixel is one of 256 levels k that lie at a_k; a model has a density p(x) over real numbers. Give
it a decoder, any probabilities P(k | x) that sum to 1 over k. Then P(k) = ∫ p(x) P(k | x) dx is a
model of whole levels, and for any q(x | k)

    log P(k) ≥ E_{x ~ q(x | k)} [log p(x) − log q(x | k) + log P(k | x)],

with equality where q(x | k) = p(x) P(k | x)/P(k). Uniform dequantisation (`dequantise`) takes q
uniform on the cube of k, and P(k | x) = 1 there (Theis, van den Oord & Bethge 2016). Here q(x | k)
= N(a_k, σ² I), the law of x that a diffusion model is trained on, and the decoder is a fitted one
(Kingma, Salimans, Poole & Ho 2021, eq. 11 and 12).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import finite, floats, like


class Decoder:
    """P(k | x, D) for each pixel:  π(D) for k = 0,
    (1 − π(D)) w_k N(x; a_k, σ²)/Σ_{j ≥ 1} w_j N(x; a_j, σ²) for k ≥ 1.

    Is the pixel black? That the denoised image D says best: π(D) is the share of black pixels among
    those of training images with such a D. Which other level is it? The one that x is near to, by
    Bayes' rule.
    levels: a_0 < … < a_{K−1}, (K,).  sigma: σ.
    weights: w, (K,), above 0; any scale; w_0 is not used.
    edges: of the bins of D, ascending, (m,).  black: π in the m + 1 bins, inside (0, 1).
    Raises ValueError for what is not so.
    """

    def __init__(self, levels: Tensor, sigma: float, weights: Tensor, edges: Tensor, black: Tensor):
        if levels.ndim != 1 or len(levels) < 2 or not bool((levels.diff() > 0).all()):
            raise ValueError(
                f"levels has shape {tuple(levels.shape)}: give at least 2 numbers that ascend"
            )
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma = {sigma!r}: give a finite number above 0")
        if weights.shape != levels.shape or not bool(
            (weights[1:] > 0).all() & weights.isfinite().all()
        ):
            raise ValueError(
                f"weights has shape {tuple(weights.shape)}: give one number above 0 for each of the {len(levels)} levels"
            )
        if (
            edges.ndim != 1
            or black.shape != (len(edges) + 1,)
            or not bool((edges.diff() > 0).all())
            or not bool(((black > 0) & (black < 1)).all())
        ):
            raise ValueError(
                f"edges and black have shapes {tuple(edges.shape)} and {tuple(black.shape)}: give m edges that ascend and m + 1 shares inside (0, 1)"
            )
        self.levels, self.sigma, self.weights, self.edges, self.black = (
            levels,
            sigma,
            weights,
            edges,
            black,
        )

    @classmethod
    def fit(
        cls,
        denoised: Tensor,
        k: Tensor,
        levels: Tensor,
        sigma: float,
        weights: Tensor,
        *,
        bins: int = 60,
    ) -> Decoder:
        """π from examples: D and the true level k of each pixel, two tensors of one shape.

        The bins are 1/8 of the gap between two levels wide and begin 1½ gaps below black; half an
        example is added to both counts of each bin, so π is never 0 or 1.
        Raises ValueError when D and k differ in shape.
        """
        if levels.ndim != 1 or len(levels) < 2:
            raise ValueError(
                f"levels has shape {tuple(levels.shape)}: give at least 2 numbers that ascend"
            )
        if denoised.shape != k.shape:
            raise ValueError(
                f"denoised has shape {tuple(denoised.shape)} but k has {tuple(k.shape)}: give one level for each pixel"
            )
        edges = levels[0] + (levels[1] - levels[0]) * (
            torch.arange(bins, dtype=levels.dtype) / 8 - 1.5
        )
        bin_ = torch.bucketize(denoised.to(levels).flatten(), edges)
        total, black = (
            torch.bincount(b, minlength=bins + 1).to(levels) for b in (bin_, bin_[k.flatten() == 0])
        )
        return cls(levels, sigma, weights, edges, (black + 0.5) / (total + 1))

    def probabilities(self, x: Tensor, denoised: Tensor) -> Tensor:
        """log P(k | x, D) for all K levels, shape (*x.shape, K)."""
        x, denoised = x.to(self.levels), denoised.to(self.levels)
        black = self.black[torch.bucketize(denoised, self.edges)]
        log = self.weights[1:].log() - (x[..., None] - self.levels[1:]).square() / (
            2 * self.sigma**2
        )
        return torch.cat(
            [black.log()[..., None], torch.log1p(-black)[..., None] + torch.log_softmax(log, -1)],
            -1,
        )

    def log_prob(self, x: Tensor, denoised: Tensor, k: Tensor) -> Tensor:
        """log P(k | x, D), the sum over the pixels of each image, shape (batch,).

        x, denoised, k: (batch, …); k whole.  Raises ValueError when the shapes differ or k is no
        level.
        """
        if not floats(x, axes=2).shape == denoised.shape == k.shape:
            raise ValueError(
                f"x, denoised and k have shapes {tuple(x.shape)}, {tuple(denoised.shape)} and {tuple(k.shape)}: give them the same"
            )
        index = k.long()
        if bool((index != k).any() | (index < 0).any() | (index >= len(self.levels)).any()):
            raise ValueError(
                f"k runs from {float(k.min()):g} to {float(k.max()):g}: give whole numbers from 0 to {len(self.levels) - 1}"
            )
        parts = [
            self.probabilities(a, b).gather(-1, i[..., None]).flatten(1).sum(1)
            for a, b, i in zip(x.split(16), denoised.split(16), index.split(16))
        ]
        return finite("log P(k | x, D)", torch.cat(parts))


def gaussian_bound(
    log_p: Tensor, log_decoder: Tensor, x: Tensor, centre: Tensor, sigma: float
) -> Tensor:
    """log p(x) − log N(x; a_k, σ² I) + log P(k | x), shape (batch,): its mean over x = a_k + σz is
    at most log P(k).

    log_p: log p(x), and log_decoder: log P(k | x), (batch,).  centre: a_k, shaped like x.
    Raises ValueError for a sigma that is not a finite number above 0, and a centre of another
    shape.
    Kingma, Salimans, Poole & Ho 2021 (arXiv:2107.00630), eq. 11, with p(x) in place of its bound.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma = {sigma!r}: give a finite number above 0")
    if x.shape != centre.shape:
        raise ValueError(
            f"centre has shape {tuple(centre.shape)} but x has {tuple(x.shape)}: give them the same"
        )
    if log_p.shape != log_decoder.shape or log_p.shape != floats(x, axes=2).shape[:1]:
        raise ValueError(
            f"log_p has shape {tuple(log_p.shape)} and log_decoder {tuple(log_decoder.shape)}: give one of each for each x"
        )
    z = (x - centre).flatten(1).double() / sigma
    log_q = -z.square().sum(1) / 2 - z.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    return finite("the bound", log_p.double() - log_q + log_decoder.double())


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
    images: x₀, (n, …), at the decoder's levels.
    ln σ is uniform from σ_min = decoder.sigma to sigma_max, stratified over the n images.
    Raises ValueError unless sigma_max > σ_min.
    Kingma, Salimans, Poole & Ho 2021 (arXiv:2107.00630), eq. 11 and 19.
    """
    n, low = len(floats(images, "images", axes=2)), decoder.sigma
    if not (math.isfinite(sigma_max) and sigma_max > low):
        raise ValueError(f"sigma_max = {sigma_max!r} is not above the decoder's sigma = {low}")
    u = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
    sigma = low * torch.exp(u.double() * math.log(sigma_max / low)).to(images)
    out = []
    for i in range(0, n, batch):
        x0, s = images[i : i + batch], sigma[i : i + batch]
        y = label[i : i + batch] if torch.is_tensor(label) and label.ndim else label
        z, first = (torch.randn(x0.shape, generator=generator, dtype=x0.dtype) for _ in range(2))
        loss = (
            ((denoiser(x0 + like(s, x0) * z, s, y) - x0).flatten(1).double() / s[:, None])
            .square()
            .sum(1)
        )
        x = x0 + low * first
        k = torch.bucketize(x0.to(decoder.levels), (decoder.levels[1:] + decoder.levels[:-1]) / 2)
        decoded = decoder.log_prob(x, denoiser(x, torch.tensor(low).to(x0), y), k)
        out.append(
            decoded.double()
            - x0.flatten(1).double().square().sum(1) / (2 * sigma_max**2)
            - math.log(sigma_max / low) * loss
        )
    return finite("the bound", torch.cat(out)) if out else images.new_zeros(0, dtype=torch.float64)
