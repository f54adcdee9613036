"""Every exercise: its check takes a right answer, refuses wrong ones with the hint, and is silent about none."""

from __future__ import annotations

import math

import pytest
import torch

from sdelib.exercises import EXERCISES, check


def platen(sde, x, t, dt, dw, root=lambda dt: dt.abs().sqrt(), half=0.5):
    g = sde.diffusion(x, t)
    bracket = sde.diffusion(x + g * root(dt), t) - g
    return x + sde.drift(x, t) * dt + g * dw + half * bracket * (dw**2 - dt.abs()) / root(dt)


def forwards_only(sde, x, t, dt, dw):
    return platen(sde, x, t, dt, dw, root=lambda dt: dt.sqrt())


def without_half(sde, x, t, dt, dw):
    return platen(sde, x, t, dt, dw, half=1.0)


RIGHT = {
    "1.1": [lambda x: -4 * x / (3 + x**2)],
    "1.2": [math.sqrt(3.75), 1.936, torch.tensor(1.9365)],
    "1.3": [78400, 7.84e4],
    "1.4": ["b", " B "],
    "11.1": [64.9, 64.891],
    "11.2": [platen],
    "11.3": [8.08, 255 * 0.0316734],
}
WRONG = {
    "1.1": [lambda x: 4 * x / (3 + x**2), lambda x: -4 * x / (1 + x**2 / 3), lambda x: x.sum(), 3.0, lambda x: 1 / 0],
    "1.2": [2.0, 3.75, 1.87, "two"],
    "1.3": [7.84, 784, 280],
    "1.4": ["a", "c", "", 2],
    "11.1": [25, 22.46, 40.0],
    "11.2": [forwards_only, without_half, lambda sde, x, t, dt, dw: x + sde.drift(x, t) * dt + sde.diffusion(x, t) * dw, 7],
    "11.3": [0.0316, 1.0, 255 * 0.001],
}


def test_every_exercise_is_tried_both_ways():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_an_open_exercise_prints_its_hint(name, capsys):
    for answer in (..., None):
        check(name, answer)
        assert EXERCISES[name].hint in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_right_answers_pass(name, capsys):
    for answer in RIGHT[name]:
        check(name, answer)
        assert f"Exercise {name}: right." in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_wrong_answers_raise_with_the_hint(name):
    for answer in WRONG[name]:
        with pytest.raises(AssertionError, match=f"Exercise {name}: ") as error:
            check(name, answer)
        assert EXERCISES[name].hint in str(error.value)


def test_an_unknown_exercise():
    with pytest.raises(KeyError, match="no exercise '0.1'"):
        check("0.1", 3)
