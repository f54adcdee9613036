"""Draw the book's logo and favicon: the score of a mixture of two Gaussians, as arrows.

python tools/once/logo.py
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from sdelib.densities import GaussianMixture

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
EXTRA = STATIC.parent / "_extra"
MODES = GaussianMixture([0.6, 0.4], [[-0.9, -0.7], [0.95, 0.8]], 0.75)
ARROW, MODE = "#0072b2", "#d55e00"


def arrows(n: int, size: float) -> list[tuple[float, float, float, float]]:
    """(x, y, dx, dy) in pixels of a square picture, y downwards, n arrows along each side."""
    ticks = (torch.arange(n) + 0.5) / n * 4 - 2
    points = torch.cartesian_prod(ticks, ticks)
    s = MODES.score(points)
    length = s.norm(dim=1, keepdim=True)
    s = s / length * torch.tanh(0.9 * length) * size / n * 0.8
    place = (points + 2) / 4 * size
    return [(x, size - y, dx, -dy) for (x, y), (dx, dy) in zip(place.tolist(), s.tolist())]


def svg(n: int, size: float, width: float, head: float) -> str:
    """The picture as SVG, legible on white and on black."""
    lines = []
    for x, y, dx, dy in arrows(n, size):
        a, b, c, d = x - dx / 2, y - dy / 2, x + dx / 2, y + dy / 2
        angle = math.atan2(dy, dx)
        wings = [
            (c - head * math.cos(angle + t), d - head * math.sin(angle + t)) for t in (-0.5, 0.5)
        ]
        lines.append(
            f'<path d="M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}M{wings[0][0]:.1f} {wings[0][1]:.1f}'
            f'L{c:.1f} {d:.1f}L{wings[1][0]:.1f} {wings[1][1]:.1f}"/>'
        )
    dots = "".join(
        f'<circle cx="{(x + 2) / 4 * size:.1f}" cy="{size - (y + 2) / 4 * size:.1f}" '
        f'r="{width * 2:.1f}"/>'
        for x, y in MODES.means.tolist()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size:g} {size:g}" role="img" '
        f'aria-label="The score of two Gaussians, as arrows">\n'
        f'<g fill="none" stroke="{ARROW}" stroke-width="{width:g}" '
        'stroke-linecap="round" stroke-linejoin="round">\n'
        + "\n".join(lines)
        + f'\n</g>\n<g fill="{MODE}">{dots}</g>\n</svg>\n'
    )


def favicon(size: int = 64) -> None:
    """The picture with few arrows, as a PNG; four times too large and then reduced, for smooth
    edges."""
    from PIL import Image, ImageDraw

    big = 4 * size
    picture = Image.new("RGBA", (big, big), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for x, y, dx, dy in arrows(4, big):
        angle, head = math.atan2(dy, dx), big / 14
        draw.line([(x - dx / 2, y - dy / 2), (x + dx / 2, y + dy / 2)], fill=ARROW, width=big // 26)
        draw.polygon(
            [
                (x + dx / 2 + head * math.cos(angle + t), y + dy / 2 + head * math.sin(angle + t))
                for t in (0, 2.4, -2.4)
            ],
            fill=ARROW,
        )
    for x, y in MODES.means.tolist():
        cx, cy, r = (x + 2) / 4 * big, big - (y + 2) / 4 * big, big / 14
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=MODE)
    picture = picture.resize((size, size), Image.LANCZOS)
    picture.save(STATIC / "favicon.png", optimize=True)
    EXTRA.mkdir(exist_ok=True)
    picture.save(
        EXTRA / "favicon.ico", sizes=[(16, 16), (32, 32)]
    )  # for index.html, which names no icon


if __name__ == "__main__":
    (STATIC / "logo.svg").write_text(svg(7, 210, 3.2, 7), encoding="utf-8")
    favicon()
