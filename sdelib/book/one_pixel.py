"""What two bounds of chapter 16 lose on one pixel whose law is known."""

from __future__ import annotations

import math

import torch

from ..densities import GaussianMixture


def bits_lost(spread: float, blur: float) -> tuple[float, float]:
    """Bits above the entropy of P(k) ∝ exp(−k²/2s²), s the spread, by (uniform dequantisation, the
    Gaussian bound with Bayes' rule as its decoder), where p(x) is P(k) blurred by N(0, blur²).

    In grey levels. The integrals are sums over 50 points of the cube and 241 of the Gaussian.
    """
    v = (torch.arange(50).double() + 0.5) / 50 - 0.5
    u = torch.linspace(-6, 6, 241, dtype=torch.float64)
    k = torch.arange(-80, 81, dtype=torch.float64)
    k = k[k.abs() < 7.4 * spread + 0.5]  # the others have a probability below 1e-12
    P = torch.softmax(-(k**2) / (2 * spread**2), 0)
    world = GaussianMixture(P, k[:, None], blur)
    uniform = -world.log_prob(k[:, None, None] + v[:, None]).mean(1)
    x, q = (
        k[:, None, None] + blur * u[:, None],
        torch.exp(-(u**2) / 2) / (2 * math.pi) ** 0.5 / blur,
    )
    decoder = world.responsibilities(x).diagonal(dim1=0, dim2=2).T  # P(k | x) of the k that it was
    gaussian = torch.trapezoid(blur * q * (q.log() - world.log_prob(x) - decoder.log()), u)
    lost = (float((P * (a + P.log())).sum() / math.log(2)) for a in (uniform, gaussian))
    return next(lost), next(lost)
