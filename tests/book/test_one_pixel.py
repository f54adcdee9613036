"""The bits that a bound loses on one pixel, against a formula and against Bayes' rule."""

from __future__ import annotations

import math

import pytest

from sdelib.book.one_pixel import bits_lost

STOP = 255 * 0.002


@pytest.mark.parametrize("blur", [STOP, 2 * STOP])
@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 3.0])
def test_the_gaussian_bound_is_an_equality_with_a_perfect_decoder(spread, blur):
    assert abs(bits_lost(spread, blur)[1]) < 1e-4


def test_the_cube_loses_at_a_certain_pixel_what_it_does_on_paper_and_nothing_at_a_wide_one():
    on_paper = math.log2(STOP * (2 * math.pi) ** 0.5) + 1 / (24 * STOP**2 * math.log(2))
    assert abs(bits_lost(0.1, STOP)[0] - on_paper) < 0.01
    assert 0 <= bits_lost(10**0.5, STOP)[0] < 0.01
    assert bits_lost(0.1, 2 * STOP)[0] > 2 * on_paper
