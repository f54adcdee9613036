"""A small classifier, trained on the spot: are samples what they were asked to be?

A few seconds on one core, for classes of one's own, where no classifier is at hand. Its features
stand behind KID and the Fréchet distance, and compare only with figures of the same classifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import require, whole

OPERATIONS, BESIDES = 1.2e11, (3e5, 2e6)
"""Products that a training may take, about fifteen seconds on one core, and what an example takes
beside its own, in as many products: in the plain network, and with convolutions."""
SIDE, PLAIN = 32, 64
"""A larger picture is first averaged to at most SIDE; one of at most PLAIN pixels needs no CNN."""


class SmallClassifier(nn.Module):
    """Logits (batch, classes) of examples (batch, *shape); `embed` gives the features before them.

    Pictures of more than 8×8 pixels: three convolutions of w, 2w and 4w channels; all else: two
    layers.  mean, std: of the examples, so that the first layer sees ordinary numbers.
    scale: what the features are divided by, 1 until it is set.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        *,
        width: int = 16,
        n_features: int = 32,
        mean: float = 0.0,
        std: float = 1.0,
    ):
        super().__init__()
        self.mean, self.std, self.shape, self.scale = mean, std, tuple(shape), 1.0
        self.pictures = len(shape) == 3 and shape[1] * shape[2] > PLAIN
        w, size = width, math.prod(shape)
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(size, 4 * w), nn.SiLU()]
        into = 4 * w
        if self.pictures:
            layers, into = [], 9 * 4 * w
            for a, b in ((shape[0], w), (w, 2 * w), (2 * w, 4 * w)):
                layers += [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(4, b), nn.SiLU()]
                layers += [nn.MaxPool2d(2, ceil_mode=True)] if b < 4 * w else []
            layers += [nn.AdaptiveAvgPool2d(3), nn.Flatten()]
        self.body = nn.Sequential(*layers, nn.Linear(into, n_features), nn.SiLU())
        self.head = nn.Linear(n_features, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Features (batch, n_features)."""
        require(x.shape[1:] == self.shape, "shape of x", tuple(x.shape), f"give {self.shape} each")
        if self.pictures and (times := math.ceil(max(x.shape[2:]) / SIDE)) > 1:
            x = F.avg_pool2d(x, times, ceil_mode=True)
        return self.body((x - self.mean) / self.std) / self.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.scale * self.embed(x))


def trained(
    fetch: Callable[[Tensor], Tensor],
    labels: Tensor,
    classes: int,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    seed: int = 0,
    batch: int = 64,
    rounds: int = 40,
) -> SmallClassifier:
    """A classifier of the examples fetch(index) with these labels (n,), in eval mode; the mean
    square of its features is 1.

    AdamW, label smoothing 0.05, pictures shifted by up to one pixel, a learning rate that falls to
    zero by a cosine; `rounds` over the examples, or fewer where that would take more than about
    fifteen seconds. The start weights come from the seed, and PyTorch's own generator stays as it
    was.
    Raises ValueError for fewer than two classes among the labels.
    """
    cure = "give two classes or more"
    require(len(labels.unique()) > 1, "classes among the labels", len(labels.unique()), cure)
    whole(batch=batch, rounds=rounds)
    generator = torch.Generator().manual_seed(seed)
    x = fetch(torch.arange(1))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = SmallClassifier(tuple(x.shape[1:]), classes, mean=mean, std=std)
    most = int(OPERATIONS / (3 * _operations(network, x) + BESIDES[network.pictures]))
    steps = max(50, min(rounds * len(labels), most) // batch)
    make = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    fall = torch.optim.lr_scheduler.LambdaLR(
        make, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps))
    )
    left = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(left) < min(batch, len(labels)):
            left = torch.cat([left, torch.randperm(len(labels), generator=generator)])
        index, left = left[:batch], left[batch:]
        loss = F.cross_entropy(
            network(_shifted(fetch(index), generator)), labels[index], label_smoothing=0.05
        )
        make.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        make.step()
        fall.step()
    with torch.no_grad():
        some = torch.randperm(len(labels), generator=generator)[:batch]
        network.scale = float(network.eval().embed(fetch(some)).square().mean().sqrt())
    return network


def _shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of more than 8×8, all of a batch, moved by up to one pixel; the edge is repeated."""
    if x.ndim != 4 or x.shape[2] * x.shape[3] <= PLAIN:
        return x
    a, b = torch.randint(-1, 2, (2,), generator=generator).tolist()
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return padded[:, :, 1 + a : 1 + a + x.shape[2], 1 + b : 1 + b + x.shape[3]]


@torch.no_grad()
def _operations(network: SmallClassifier, x: Tensor) -> int:
    """Products of numbers for one example."""
    seen = [0]

    def count(module, _, out):
        per = module.weight[0].numel()  # of one number that comes out
        seen[0] += per * out[0].numel()

    hooks = [
        m.register_forward_hook(count)
        for m in network.modules()
        if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return seen[0]


@torch.no_grad()
def answers(network: Callable[[Tensor], Tensor], x: Tensor, *, batch: int = 500) -> Tensor:
    """What a network gives for x (n, …), in batches, on the CPU in float64."""
    return torch.cat([network(part) for part in x.split(batch)]).cpu().double()


@dataclass(frozen=True)
class Share:
    """A share of n, and its binomial standard error."""

    value: float
    error: float
    n: int


def agreement(right: Tensor, labels: Tensor, shares: Tensor | None = None) -> Share:
    """The share of examples that are `right` (n,), and its error √(a(1 − a)/n), in which a counts
    one more hit and one more miss, so that it is not 0 when all are right.

    shares (classes,): of each class; then Σ_k shares_k a_k, over the classes that are there.
    """
    cure = "give one for each example"
    require(right.shape == labels.shape and len(right), "labels", tuple(labels.shape), cure)
    group = torch.zeros_like(labels) if shares is None else labels
    n = torch.bincount(group).double()
    hits = torch.bincount(group, weights=right.double())
    weight = torch.ones(1).double() if shares is None else shares.double()
    weight = F.pad(weight, (0, max(0, len(n) - len(weight))))[: len(n)] * (n > 0)
    weight = weight / weight.sum()
    a = (hits + 1) / (n + 2)
    variance = weight.square() * a * (1 - a) / n.clamp(min=1)
    value = float((weight * hits / n.clamp(min=1)).sum())
    return Share(value, math.sqrt(float(variance.sum())), len(right))
