"""Coloured shapes whose law is known, and a program that reads the law back from pictures.

A network's samples of them are measured as a biologist measures cells: what kind, hue, size and
place has each? The answer is held against the law that made the training pictures, so it is seen
whether the network learned how kind and hue go together, or only how often each comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import a_generator, floats, require, whole

KINDS, HUES = ("circle", "square", "triangle"), ("red", "green", "blue")
P_KIND = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
P_HUE = torch.tensor([[0.80, 0.15, 0.05], [0.15, 0.70, 0.15], [0.05, 0.15, 0.80]]).double()
"""P(hue | kind), a row a kind."""

SIZE, PLACE, SWAY = (0.20, 0.28), (0.36, 0.64), 15.0
"""Where size and the two of place are uniform, as shares of the side; how many degrees a hue sways
to either side."""

GROUND, INK, CHROMA = 0.95, 0.45, 0.35
"""The ground is light grey; a colour is INK darker in the mean of its three channels, which differ
by CHROMA·cos(hue − 120°·channel)."""

BROKEN = 0.80
"""Below this overlap with the best of the three outlines a shape is broken: 1 real one in 400 at 16
pixels a side, 1 in 5,000 at 24."""


@dataclass(frozen=True)
class Attributes:
    """What n pictures show.

    kind, hue: (n,) numbers of KINDS and HUES.  size: (n,), √(area/π) as a share of the side.
    place: (n, 2), right and down, the middle of the shape's box as shares of the side.
    off: (n,), degrees between the colour and the hue it is named by.
    overlap: (n,), from 0 to 1, with the outline that fits best.  broken: (n,), whether none fits.
    """

    kind: Tensor
    hue: Tensor
    size: Tensor
    place: Tensor
    off: Tensor
    overlap: Tensor
    broken: Tensor


# ---------------------------------------------------------------- from the law to pictures


def covers(kind: Tensor, size: Tensor, place: Tensor, side: int) -> Tensor:
    """How much of each pixel a shape covers, (n, side, side), from its distance to the outline.

    The three kinds of one size have one area. A triangle points up and is as wide as high.
    """
    pixel = (torch.arange(side).to(size) + 0.5) / side
    x = (pixel - place[:, :1])[:, None, :]  # right of the middle
    y = (pixel - place[:, 1:])[:, :, None]  # below it
    r = size[:, None, None]
    circle = (x**2 + y**2).sqrt() - r
    square = torch.maximum(x.abs(), y.abs()) - r * math.sqrt(math.pi) / 2
    h = r * math.sqrt(math.pi / 2)  # half its width
    triangle = torch.maximum(y - h, (2 * x.abs() - y - h) / math.sqrt(5))
    outside = torch.stack([circle, square, triangle.expand(circle.shape)])
    return (0.5 - side * outside[kind, torch.arange(len(kind))]).clamp(0, 1)


def shapes(
    n: int, *, side: int = 16, given: Tensor = P_HUE, generator: torch.Generator
) -> tuple[Tensor, Tensor, Attributes]:
    """(images, labels, truth): n pictures, uint8 (n, 3, side, side), their kinds (n,), and all that
    was drawn for them.

    kind ~ P_KIND, hue ~ given[kind]; size, place and the hue's sway are uniform, each on its own.
    """
    whole(n=n), whole(8, side=side)
    kind = torch.multinomial(P_KIND, n, True, generator=a_generator(generator))
    hue = torch.multinomial(given[kind], 1, generator=generator)[:, 0]
    u = torch.rand(4, n, generator=generator)
    size = SIZE[0] + (SIZE[1] - SIZE[0]) * u[0]
    place = PLACE[0] + (PLACE[1] - PLACE[0]) * u[1:3].T
    off = SWAY * (2 * u[3] - 1)
    turn = (120 * hue + off)[:, None] - 120 * torch.arange(3)
    colour = GROUND - INK + CHROMA * torch.deg2rad(turn).cos()
    cover = covers(kind, size, place, side)[:, None]
    images = (1 - cover) * GROUND + cover * colour[:, :, None, None]
    truth = Attributes(kind, hue, size, place, off, torch.ones(n), torch.zeros(n) > 0)
    return (255 * images).round().to(torch.uint8), kind, truth


# ---------------------------------------------------------------- and from pictures to a law


def measured(images: Tensor) -> Attributes:
    """Read the attributes back from pictures (n, 3, side, side), uint8 or floats in [0, 1].

    Brightness says where the shape is, colour alone which hue, and the largest soft overlap
    Σ min(a, b)/Σ max(a, b) with outlines of its own size and place says which kind. It is broken
    where the overlap of the pixels that are more than half covered is below BROKEN, or the colour
    is further than 40° from all three hues. At 16 pixels a blur of half a pixel changes nothing,
    one of a pixel makes every other square a circle.
    """
    x = images / 255 if images.dtype == torch.uint8 else floats(images, "images")
    fit = x.ndim == 4 and x.shape[1] == 3 and x.shape[2] == x.shape[3] >= 8
    require(fit, "shape of images", tuple(x.shape), "give (n, 3, side, side) with side ≥ 8")
    side, pixel = x.shape[-1], (torch.arange(x.shape[-1]).to(x) + 0.5) / x.shape[-1]
    cover = (GROUND - x.mean(1)) / INK
    near = F.max_pool2d((cover > 0.5).to(x)[:, None], 3, 1, 1)[:, 0]  # a pixel beyond the shape
    cover = cover * near
    area = cover.sum((1, 2)).clamp(min=1e-6)
    size = (area / math.pi).sqrt() / side
    middle = torch.stack([cover.sum(1) @ pixel, cover.sum(2) @ pixel], 1) / area[:, None]
    cover = cover.clamp(0, 1)

    overlap, binary, places = [], [], []
    for k in range(len(KINDS)):
        place = middle.clone()
        if k == 2:  # a triangle's middle of mass lies below that of its box
            place[:, 1] -= size * math.sqrt(math.pi / 2) / 3
        outline = covers(torch.full((len(x),), k), size, place, side)
        both, either = torch.minimum(cover, outline), torch.maximum(cover, outline)
        overlap.append(both.sum((1, 2)) / either.sum((1, 2)).clamp(min=1e-6))
        both, either = (both > 0.5).sum((1, 2)), (either > 0.5).sum((1, 2))
        binary.append(both / either.clamp(min=1))
        places.append(place)
    kind = torch.stack(overlap).argmax(0)
    of = (kind, torch.arange(len(x)))

    turn = torch.deg2rad(120.0 * torch.arange(3).to(x))
    tint = (x * near[:, None]).sum((2, 3))
    angle = torch.rad2deg(torch.atan2(tint @ turn.sin(), tint @ turn.cos()))
    hue = (angle / 120).round().long() % 3
    off = (angle - 120 * hue + 180) % 360 - 180
    overlap = torch.stack(binary)[of]
    broken = (overlap < BROKEN) | (off.abs() > 40)
    return Attributes(kind, hue, size, torch.stack(places)[of], off, overlap, broken)


def cramers_v(joint: Tensor) -> Tensor:
    """V = √(Σ_ij (p_ij − p_i p_j)²/(p_i p_j)/(k − 1)), from 0 (independent) to 1 (one says the
    other).

    joint: (…, rows, columns), counts or probabilities; k the smaller of both numbers, where rows
    and columns that are empty are left out of the sum.  Cramér 1946, 21.9.
    """
    p = joint.double() / joint.sum((-2, -1), keepdim=True)
    free = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
    gap = torch.where(free > 0, (p - free) ** 2 / free.clamp(min=1e-300), 0.0)
    return (gap.sum((-2, -1)) / (min(joint.shape[-2:]) - 1)).sqrt()


@dataclass(frozen=True)
class Law:
    """What `law` found: each is (value, standard error).

    n: how many pictures.  broken: their share, left out of the rest.
    kinds, hues: (3,) probabilities.  joint: (3, 3), P(kind, hue).  given: (3, 3), P(hue | kind).
    v: Cramér's V of the joint.  size: () and place: (2,), means.
    """

    n: int
    broken: tuple[Tensor, Tensor]
    kinds: tuple[Tensor, Tensor]
    hues: tuple[Tensor, Tensor]
    joint: tuple[Tensor, Tensor]
    given: tuple[Tensor, Tensor]
    v: tuple[Tensor, Tensor]
    size: tuple[Tensor, Tensor]
    place: tuple[Tensor, Tensor]


def share(counts: Tensor, n: Tensor | int) -> tuple[Tensor, Tensor]:
    """(k/n, √(p (1 − p)/n)) with p = (k + ½)/(n + 1), so that a cell that is empty has an error
    too."""
    p = (counts + 0.5) / (n + 1)
    return counts / torch.as_tensor(n).clamp(min=1), (p * (1 - p) / n).sqrt()


def law(attributes: Attributes, *, generator: torch.Generator, draws: int = 200) -> Law:
    """The law of these pictures: marginals and joint with multinomial errors, Cramér's V with a
    bootstrap error from `draws` tables of as many pictures.

    Raises ValueError where fewer than two pictures are whole.
    """
    keep, n = ~attributes.broken, len(attributes.kind)
    left = int(keep.sum())
    require(left > 1, "whole pictures", left, f"of {n}; give more, or better ones")
    pairs = 3 * attributes.kind[keep] + attributes.hue[keep]
    joint = torch.bincount(pairs, minlength=9).reshape(3, 3).double()
    again = torch.multinomial(joint.flatten(), draws * left, True, generator=generator)
    again = F.one_hot(again.reshape(draws, left), 9).sum(1).reshape(draws, 3, 3)
    mean = lambda a: (a[keep].mean(0), a[keep].std(0) / math.sqrt(left))
    return Law(
        n,
        share(torch.tensor(float(n - left)), n),
        share(joint.sum(1), left),
        share(joint.sum(0), left),
        share(joint, left),
        share(joint, joint.sum(1, keepdim=True)),
        (cramers_v(joint), cramers_v(again).std()),
        mean(attributes.size),
        mean(attributes.place),
    )
