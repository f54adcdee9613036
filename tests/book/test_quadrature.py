"""Averages of a solver by quadrature: exact where they are known."""

from __future__ import annotations

import pytest

from sdelib import euler_maruyama, heun, sra
from sdelib.book.quadrature import mean_at_end
from sdelib.book.toys import OrnsteinUhlenbeck

OU = OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=0.5)


@pytest.mark.parametrize("step, factor", [(euler_maruyama, 1 - 1 / 4), (heun, 1 - 1 / 4 + 1 / 32)])
def test_the_mean_of_a_linear_equation(step, factor):
    assert mean_at_end(lambda x: x, OU, 0.8, step, 4) == pytest.approx(0.8 * factor**4, abs=1e-9)


def test_the_second_moment_of_euler_maruyama():
    m, v = 0.8, 0.0
    for _ in range(4):
        m, v = 0.75 * m, 0.75**2 * v + 0.25 / 4
    found = mean_at_end(lambda x: x**2, OU, 0.8, euler_maruyama, 4)
    assert found == pytest.approx(m**2 + v, abs=1e-9)


def test_a_step_that_is_given_the_area_converges():
    errors = [
        abs(mean_at_end(lambda x: x, OU, 0.8, sra, N) - 0.8 * 2.718281828**-1) for N in (4, 8)
    ]
    assert errors[1] < errors[0] / 3
