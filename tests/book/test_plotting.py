"""The look of the figures: their colours can be seen, told apart, and read."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import javascript
from matplotlib.colors import to_hex, to_rgb

from sdelib.book import plotting as plot

NAMES = ("BLUE", "ORANGE", "GREEN", "YELLOW", "PINK", "SKY", "GREY")
# What protanopes, deuteranopes and tritanopes see of linear RGB: Machado, Oliveira & Fernandes
# 2009, table 1, severity 1.
SEEN = {
    "all": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def contrast(a, b) -> float:
    """(Y + 0.05)/(Y' + 0.05), the lighter one above: WCAG 2.2."""
    low, high = sorted((plot.luminance(a), plot.luminance(b)))
    return (high + 0.05) / (low + 0.05)


def lab(color, kind) -> np.ndarray:
    """L*, a*, b* (CIE 1976, white D65) of what is seen of a colour."""
    rgb = np.clip(np.array(SEEN[kind]) @ plot._linear(color), 0, 1)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    t = to_xyz @ rgb / (to_xyz @ np.ones(3))
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_is_that_of_wcag():
    assert contrast("black", "white") == pytest.approx(21) and contrast(
        "#777777", "white"
    ) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_marks_have_a_contrast_of_3_and_text_of_4_5(name):
    color = getattr(plot, name)
    assert contrast(color, "white") >= 3 and contrast(plot.ink(color), "white") >= 4.5 - 1e-9
    if contrast(color, "white") >= 4.5:
        assert to_hex(plot.ink(color)) == color.lower()
    assert (
        np.linalg.norm(np.cross(plot._linear(plot.ink(color)), plot._linear(color))) < 1e-9
    )  # the same colour, darker


@pytest.mark.parametrize("kind", SEEN)
def test_any_two_colours_can_be_told_apart(kind):
    """18 of CIE 1976's units, eight times what one can just see (2.3). With the colours of Okabe &
    Ito it is 13 at worst."""
    for a, b in itertools.combinations(NAMES, 2):
        assert np.linalg.norm(lab(getattr(plot, a), kind) - lab(getattr(plot, b), kind)) > 18, (
            a,
            b,
        )


def test_text_in_a_figure_is_set_in_ink_and_white_text_stays_white():
    fig, (ax,) = plot.figure(1)
    texts = [
        ax.annotate("a", (0, 0), color=plot.YELLOW),
        ax.text(0, 0, "b", color=plot.SKY),
        ax.text(0, 0, "c", color="white"),
        ax.text(0, 0, "d"),
    ]
    plot.label_line(ax, [0, 1], [0, 1], "e", plot.PINK)
    colors = [to_hex(t.get_color()) for t in [*texts, *ax.texts[-1:]]]
    plt.close(fig)
    assert colors == [
        to_hex(plot.ink(plot.YELLOW)),
        to_hex(plot.ink(plot.SKY)),
        "#ffffff",
        "#000000",
        to_hex(plot.ink(plot.PINK)),
    ]


@pytest.mark.parametrize(
    "theme, paper, panel", [("light", "#ffffff", "#f4f6f8"), ("dark", "#12181f", "#1c232b")]
)
def test_the_widgets_colours_too(theme, paper, panel):
    values = javascript("return m.THEMES", "drawing")[theme]
    groups = values["groups"]
    assert len(groups) == 7 and all(
        contrast(color, paper) >= 3 for color in [*groups, values["dot"]]
    )
    assert all(
        contrast(values[name], background) >= 4.5
        for name in ("ink", "soft")
        for background in (paper, panel)
    )
    if theme == "light":
        assert groups == [getattr(plot, name).lower() for name in NAMES] and to_rgb(
            values["dot"]
        ) == to_rgb(plot.ORANGE)
