"""Every exercise: its check takes a right answer, refuses wrong ones with the hint, and is silent
about none. Numbers may be typed in many ways, and be rounded, as long as no mistake passes for
one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from sdelib.book.classifier import stored_moments
from sdelib.book.exercises import EXERCISES, Number, check
from sdelib.book.exercises.expression import Unclear, value
from sdelib.families import VE
from sdelib.own.metrics import frechet_bias


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
    "2.1": [lambda x: x**6 / 2 - 3 * x**2],
    "2.2": [37692.3, 392 * (100 - 1 / 0.26)],
    "2.3": [lambda x, score, sigma: x + sigma**2 * score(x)],
    "2.4": [-20000, -2e4],
    "3.1": [9.5238e-4, 0.000952, 0.02 * (1 - 1 / 1.05)],
    "3.2": [lambda eps: 1 / (2 - eps), lambda eps: eps / (1 - (1 - eps) ** 2)],
    "3.3": [2, 1.999, torch.tensor(2.0)],
    "3.4": [7.307, 8 - math.log(2)],
    "4.1": [0.249, 0.25, torch.tensor(0.2497)],
    "4.2": [3.2, 16 / 5],
    "4.3": [
        lambda x: -1e6 * (x.square().sum(1, keepdim=True) - 1) * x,
        lambda x: (1 - 1 / x.norm(dim=1, keepdim=True)) * x * -1e8,
    ],
    "4.4": [73400, 7.34e4],
    "5.1": [220, 220.0],
    "5.2": [lambda x: torch.tanh(x / 0.25), lambda x: 2 * torch.sigmoid(8 * x) - 1],
    "5.3": [2246**2, 5.04e6],
    "5.4": [(2, 2, 2, 3, 21, 60, 50, 30, 20, 10), [1, 1, 1, 1, 1, 80, 60, 30, 20, 5]],
    "6.1": [lambda t: 2 * t**1.5, lambda t: (4 * t**3) ** 0.5],
    "6.2": [1.6487, math.exp(0.5)],
    "6.3": [17.9, 2 * 8.999 - 0.1],
    "6.4": [0.352, 68.3 / (2 * 96.93)],
    "7.1": [11.05, 1 + 10.05],
    "7.2": [
        lambda f, g, s, eta: f - (1 - eta**2) / 2 * g**2 * s,
        lambda f, g, s, eta: f - g**2 * s / 2 + eta**2 * g**2 * s / 2,
    ],
    "7.3": [0.3714, math.sqrt(math.log(2) / 5.025)],
    "7.4": [lambda eta: (1 + eta**2) ** 2 / (4 * eta**2), lambda eta: ((eta + 1 / eta) / 2) ** 2],
    "8.1": [(100, 10, 10 ** (2 / 3)), [100, 10, 4.64]],
    "8.2": [
        lambda N: ((1 + 0.75 / N) ** 2 + 1 / N) ** N,
        lambda N: (1 + 2.5 / N + 0.5625 / N**2) ** N,
    ],
    "8.3": [-0.02, 0.3 - 0.8**2 / 2],
    "8.4": [lambda h: (h**3 / 12) ** 0.5, lambda h: h**1.5 / 12**0.5],
    "9.1": [math.sqrt(0.05), 0.2236, torch.tensor(0.2236)],
    "9.2": [126740, 126745.0, math.log(2) / 5.469e-6],
    "9.3": [lambda v0: 3 * (v0 + 1) / (v0 + 4), lambda v0: 3 - 9 / (v0 + 4)],
    "9.4": [0.065, math.sqrt(0.0168894) / 2],
    "10.1": [lambda x: 1 + (1 + VE.power(25.0).prior_std ** 2 / 0.25) ** 0.5 * (x - 1)],
    "10.2": [4.3701, 7 - 5600 / (3072 * math.log(2))],
    "10.3": [
        lambda J: sum((J[i, j] + J[j, i]) ** 2 for i in range(len(J)) for j in range(i)),
        lambda J: ((J + J.T).square().sum() - (J + J.T).diagonal().square().sum()) / 2,
    ],
    "10.4": [
        lambda r: (torch.log1p(r) - r / (1 + r)) / 2,
        lambda r: 0.5 * torch.log(1 + r) + 0.5 / (1 + r) - 0.5,
    ],
    "11.1": [64.9, 64.891],
    "11.2": [platen],
    "11.3": [8.08, 255 * 0.0316734],
    "12.1": [lambda sigma: 1 - sigma**2 / (0.25 + sigma**2)],
    "12.2": [4e-5, 3.9842e-5],
    "12.3": [693, 692.8],
    "12.4": [lambda x, eps, scale, std: -eps / std],
    "13.1": [frechet_bias(stored_moments()) / 0.05],
    "13.2": [17, 17.0],
    "13.3": [lambda s: 0.5**2 + 1 + s**2 - 2 * s],
    "13.4": [(1, 0.9), [1.0, 0.9]],
    "14.1": [0.8, 4 / 5],
    "14.2": [lambda s: 1 / (1 / 4 + 1 / s**2), lambda s: s**2 * (4 / (4 + s**2))],
    "14.3": [1.1, 0.5 + 2 * 0.3],
    "14.4": [0.0625, 1 / 16],
    "15.1": [
        lambda N: torch.cos(math.pi / 2 / N) ** N,
        lambda N: torch.exp(N * torch.log(torch.sin(math.pi / 2 - math.pi / (2 * N)))),
    ],
    "15.2": [lambda x, v, t: x + (1 - t) * v, lambda x, v, t: (x - t * v) + v],
    "15.3": [lambda s: math.pi * s / 2, lambda s: s * math.asin(1)],
    "15.4": [lambda b: b / 4 - 1 / b, lambda b: (b**2 - 4) / (4 * b)],
    "16.1": [
        (math.log2(255) - 2300 / (784 * math.log(2)), 2000 / (784 * math.log(2))),
        [3.762, 3.680],
    ],
    "17.1": [-0.8665 * 768**0.5 / 20, -1.2, "-0.8665 sqrt(768)/20"],
    "17.2": ["B", " b "],
    "17.3": [
        lambda c, p: ((c - c.sum() * p) ** 2 / (c.sum() * p)).sum(),
        lambda c, p: (c**2 / (c.sum() * p)).sum() - c.sum(),
    ],
}
WRONG = {
    "1.1": [
        lambda x: 4 * x / (3 + x**2),
        lambda x: -4 * x / (1 + x**2 / 3),
        lambda x: x.sum(),
        3.0,
        lambda x: 1 / 0,
    ],
    "1.2": [2.0, 3.75, 1.87, "two"],
    "1.3": [7.84, 784, 280],
    "1.4": ["a", "c", "", 2],
    "2.1": [
        lambda x: x**6 - 3 * x**2,
        lambda x: x**6 / 2 + 3 * x**2,
        lambda x: x**6 / 2 - 3 * x,
        lambda x: (x**6 / 2 - 3 * x**2).mean(),
        4.0,
    ],
    "2.2": [
        0,
        39200,
        75384.6,
        48.08,
        0.48,
    ],  # zero at the optimum; all of ½E‖target‖²; without ½; one coordinate; weighted by σ²/d
    "2.3": [
        lambda x, score, sigma: x + sigma * score(x),
        lambda x, score, sigma: x - sigma**2 * score(x),
        lambda x, score, sigma: sigma**2 * score(x),
        lambda x: x,
        0.5,
    ],
    "2.4": [20000, 0, -10000, -200, float("-inf")],
    "3.1": [0.0952, 0.00952, 0.001, 0.00186, 0.00488],
    "3.2": [
        lambda eps: 1 / (1 - eps / 2),
        lambda eps: 0.5 + 0 * eps,
        lambda eps: 1 / (2 - eps) ** 0.5,
        lambda eps: 0.5 / (1 - eps / 2) ** 2,
        0.5,
    ],
    "3.3": [1.26, 1.0, 1.9, 4, 0.5],
    "3.4": [8, 7.0, 2.0, 8 + math.log(2), 8 - 2 * math.log(2), 1491.0],
    "4.1": [0.8, 0.24, 0.5, 0.75, 0.315, 0.169],
    "4.2": [1.6, 4, 0.4, 0.8, 6.4, 8],
    "4.3": [
        lambda x: -1000 * x,
        lambda x: 1e6 * (x.square().sum(1, keepdim=True) - 1) * x,
        lambda x: -1e6 * x,
        lambda x: -4e5 * (x.square().sum(1, keepdim=True) - 1) * x,
        lambda x: -1e6 * x.square().sum(1),
        -1e6,
    ],
    "4.4": [78400, 5000, 7340, 734],
    "5.1": [99, 232, 219],
    "5.2": [lambda x: torch.tanh(x / 0.5), lambda x: torch.sign(x), lambda x: torch.sigmoid(4 * x)],
    "5.3": [2246, 784 * 2246**2, 1 / 2246**2],
    "5.4": [(20,) * 10, (40, 40, 40, 40, 20, 5, 5, 5, 4, 1), (40,) * 10, (20.5,) * 10, 200],
    "6.1": [
        lambda t: 2 * t,
        lambda t: 4 * t**3,
        lambda t: t**2,
        lambda t: t**1.5,
        2.0,
    ],  # d std/dt; the root forgotten; std itself
    "6.2": [1, math.e, math.exp(-0.5), 2.0, 1.5],
    "6.3": [
        9.0,
        18.0,
        18.1,
        8.9,
        35.9,
        19.28,
    ],  # B itself; β_min forgotten; its sign; …; the 2 of the bound forgotten
    "6.4": [
        0.835,
        0.483,
        0.705,
        3.47,
        0.0546,
    ],  # unchanged; the part of the mean; the 2 forgotten; std for std²; 25 for std
    "7.1": [1.0, 10.05, 2.0, 20.9, math.exp(-10.05), 6.025],
    "7.2": [
        lambda f, g, s, eta: f - (1 + eta**2) / 2 * g**2 * s,
        lambda f, g, s, eta: f + (1 - eta**2) / 2 * g**2 * s,
        lambda f, g, s, eta: f,
        lambda f, g, s, eta: f - (1 - eta) / 2 * g**2 * s,
        lambda f, g, s, eta: f - (1 - eta**2) / 2 * g * s,
        0.5,
    ],
    "7.3": [0.138, 0.263, 0.5, 0.525, 1.0],
    "7.4": [
        lambda eta: (1 + eta**2) / 2,
        lambda eta: ((1 + eta**2) / 2) ** 2,
        lambda eta: (1 + eta**2) / (2 * eta),
        lambda eta: 1 / eta**2,
        1.5625,
    ],
    "8.1": [
        (10, 10, 10),
        (100, 10, 1000),
        (3.16, 10, 31.6),
        (20, 10, 6.7),
        (100, 10),
        100,
    ],  # the orders for their inverses; …
    "8.2": [
        lambda N: (1 + 0.75 / N) ** (2 * N),
        lambda N: (1 + 0.75 / N) ** N,
        lambda N: ((1 + 0.75 / N) ** 2 + 1 / N**2) ** N,
        lambda N: (1 + 2.5 / N) ** N,
        lambda N: math.exp(2.5) + 0 * N,
        12.18,
    ],  # no noise; the first moment; Δt² for Δt; …
    "8.3": [
        0.62,
        0.3,
        -0.34,
        -0.1,
        -0.2,
    ],  # the wrong sign; no change; the half forgotten; σ for σ²; a slip of the point
    "8.4": [
        lambda h: h**3 / 12,
        lambda h: (h**3 / 3) ** 0.5,
        lambda h: (h**3 / 4) ** 0.5,
        lambda h: h / 12**0.5,
        lambda h: h**1.5 / 12,
        0.29,
    ],
    "9.1": [
        0.05,
        0.0025,
        0.2182,
        0.1581,
        0.95,
    ],  # snr²; its square; a fixed step, 1/(1 − snr²); half; 1 − 0.05
    "9.2": [
        13.5,
        63370,
        6.8,
        212,
        1.99e6,
    ],  # all alike; ½ forgotten twice; …; the mean variance; 784 coordinates not averaged
    "9.3": [
        lambda v0: 3 + 0 * v0,
        lambda v0: 0.75 + 0 * v0,
        lambda v0: 3 * (v0 + 4) / (v0 + 1),
        lambda v0: 3 * v0 / (v0 + 4),
        lambda v0: (3 * (v0 + 1) / (v0 + 4)) ** 0.5,
        1.0,
    ],
    "9.4": [
        0.13,
        0.0919,
        0.00422,
        0.16,
        0.0461,
    ],  # ½ forgotten; ε = v; snr²; the paper's; std in place of its square
    "10.1": [
        lambda x: 19.7163 * x,
        lambda x: 1 + VE.power(25.0).prior_std / 0.5 * (x - 1),
        lambda x: 1 + (1 + VE.power(25.0).prior_std ** 2 / 0.25) * (x - 1),
        lambda x: (x - 1) / 0.5,
        9.86,
    ],  # the mean; the prior's std; no root; units of the data; a number
    "10.2": [
        5.37,
        3.37,
        9.63,
        5.177,
        -2.63,
        6.998,
    ],  # width 1/256; 1/128 twice; the sign; nats; no width; d forgotten
    "10.3": [
        lambda J: 2 * (J.square().sum() - J.diagonal().square().sum()),
        lambda J: 2 * ((J + J.T) / 2).square().sum(),
        lambda J: ((J + J.T) / 2).square().sum() - J.diagonal().square().sum(),
        lambda J: J.trace(),
        4.0,
    ],
    "10.4": [
        lambda r: torch.log1p(r) / 2,
        lambda r: (r - torch.log1p(r)) / 2,
        lambda r: torch.log1p(r) - r / (1 + r),
        lambda r: r**2 / 4,
        0.0,
    ],
    "11.1": [25, 22.46, 40.0],
    "11.2": [
        forwards_only,
        without_half,
        lambda sde, x, t, dt, dw: x + sde.drift(x, t) * dt + sde.diffusion(x, t) * dw,
        7,
    ],
    "11.3": [0.0316, 1.0, 255 * 0.001],
    "12.1": [
        lambda sigma: 0.5 / (0.5 + sigma),
        lambda sigma: (0.25 / (0.25 + sigma**2)) ** 0.5,
        lambda sigma: sigma**2 / (0.25 + sigma**2),
        lambda sigma: 1.0,
        0.5,
    ],
    "12.2": [
        0.002,
        0.02,
        2e-4,
        6.34e-4,
        1e-3,
    ],  # the ratio; B for the ratio's first power; …; without the linear term
    "12.3": [1000, 999, 500, 301, 1443],  # 1/(1 − β); …; log₁₀; without ln 2
    "12.4": [
        lambda x, eps, scale, std: -eps,
        lambda x, eps, scale, std: (x - std * eps) / scale,
        lambda x, eps, scale, std: -eps / std**2,
        lambda x, eps, scale, std: eps / std,
        lambda x, eps, scale, std: -scale * eps / std,
        1.0,
    ],
    "13.1": [
        20,
        1 / 0.05,
        frechet_bias(stored_moments()),
        2 * frechet_bias(stored_moments()) / 0.05,
    ],
    "13.2": [18, 35, 34, 17.5],  # EDM's own count; evaluations; …
    "13.3": [
        lambda s: 0.25 + (s**2 - 1) ** 2,
        lambda s: 0.5 + (s - 1).abs(),
        lambda s: (s - 1) ** 2,
        0.25,
    ],
    "13.4": [(0.9, 1), (1, 1), (0.9, 0.9), (1, 0.9, 0), (0.9,)],
    "14.1": [1.0, 0.5, 0.667],
    "14.2": [lambda s: 4 / (4 + s**2), lambda s: 2 * s**2 / (2 + s**2), lambda s: s**2, 4.0],
    "14.3": [1.5, 0.9, 0.5],
    "14.4": [1 / 4, 16, 1.0],
    "15.1": [
        lambda N: torch.cos(math.pi / (2 * N)),
        lambda N: 1 - math.pi**2 / (8 * N),
        lambda N: torch.cos(math.pi / N) ** N,
        0.9,
    ],
    "15.2": [lambda x, v, t: x - t * v, lambda x, v, t: x + t * v, lambda x, v, t: v, 1.0],
    "15.3": [lambda s: math.pi / 2 * s**2, lambda s: 0 * s, lambda s: s, math.pi / 2],
    "15.4": [lambda b: 1 / b - b / 4, lambda b: b / 4 - 1 / b**2, lambda b: b / 2 - 1 / b, 0.0],
    "16.1": [
        (3.680, 3.762),
        (3.768, 3.680),
        (-4.232, 3.680),
        (3.762, 11.675),
        (2.608, 2.551),
        (3.762,),
    ],  # …; log₂ 256; no width; …; nats
    "17.1": [0.8665 * 768**0.5 / 20, -0.8665 * 768 / 20, -0.8665 / 20, "text"],
    "17.2": ["A", "C", "none", 2],
    "17.3": [
        lambda c, p: ((c / c.sum() - p) ** 2 / p).sum(),
        lambda c, p: ((c - c.sum() * p) ** 2 / c).sum(),
        lambda c, p: 0 * c.sum(),
        25.0,
    ],
}


def test_every_exercise_is_tried_both_ways():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_an_open_exercise_says_how_to_see_its_hint(name, capsys):
    asks = f"; give the number {EXERCISES[name].asks}" if EXERCISES[name].asks else ""
    for answer in (..., None):
        check(name, answer)
        said = capsys.readouterr().out
        assert said == f'Exercise {name} is open{asks}. For a hint: check("{name}", hint=True)\n'
        assert EXERCISES[name].hint not in said
        check(name, answer, hint=True)
        assert EXERCISES[name].hint in " ".join(capsys.readouterr().out.split())


def test_a_hint_may_come_before_the_verdict(capsys):
    check("14.1", 0.8, hint=True)
    said = capsys.readouterr().out
    assert said.index("hint: K = 1/") < said.index("Exercise 14.1: right.")


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


# ---- numbers
# ---------------------------------------------------------------------------------------

TYPED, UNCLEAR = json.loads(
    (Path(__file__).parent / "expressions.json").read_text(encoding="utf-8")
).values()
NUMBERS = {name: e.test for name, e in EXERCISES.items() if isinstance(e.test, Number)}


def to_digits(number: float, digits: int) -> float:
    return float(f"{number:.{digits - 1}e}")


@pytest.mark.parametrize("typed, number", TYPED)
def test_a_number_may_be_typed_in_many_ways(typed, number):
    assert value(typed) == pytest.approx(number, rel=1e-14)


@pytest.mark.parametrize("typed, words", UNCLEAR)
def test_what_is_no_number_is_refused_with_a_reason(typed, words):
    with pytest.raises(Unclear) as error:
        value(typed)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "name, typed",
    [
        ("3.1", "0.00095"),
        ("9.2", "1.3e5"),
        ("9.2", "127,000.0"),
        ("6.2", "sqrt(e)"),
        ("6.2", "e^0.5"),
        ("1.2", "1.94"),
        ("3.4", "8 - ln(2)"),
        ("2.4", "−2×10⁴"),
        ("14.4", "1/16"),
        ("14.4", 0.062),
        ("14.4", 0.063),  # half-way: both are roundings
    ],
)
def test_any_sensible_form_is_right(name, typed, capsys):
    check(name, typed)
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_a_rounded_answer_is_right_and_no_mistake_rounds_to_it(name):
    test = NUMBERS[name]
    assert test.judge(test.value) == "right"
    assert test.judge(to_digits(test.value, test.digits)) == "right"
    assert test.judge(to_digits(test.value, test.digits + 1)) == "right"
    assert 3 * test.relative <= 0.1 and 3 * test.absolute <= 0.1 * abs(test.value)
    mistakes = [float(w) for w in WRONG[name] if not isinstance(w, str)]
    for mistake in filter(math.isfinite, mistakes):
        assert test.judge(mistake) in ("close", "wrong"), mistake
        for digits in (test.digits, test.digits + 1):
            assert test.judge(to_digits(mistake, digits)) != "right", (mistake, digits)


def test_digits_are_asked_for_only_where_a_mistake_would_pass_with_two():
    for name, test in NUMBERS.items():
        two = Number(test.value, relative=test.relative, absolute=test.absolute)
        passes = [
            w
            for w in WRONG[name]
            if not isinstance(w, str)
            and math.isfinite(float(w))
            and two.judge(to_digits(float(w), 2)) == "right"
        ]
        assert bool(passes) is (test.digits > 2), (name, passes)
        assert EXERCISES[name].asks == ("to three digits" if test.digits == 3 else "")


def test_close_is_said_and_is_not_right(capsys):
    for answer, words in (
        (1.9, "close: 1.9 is less than 10 % off, and the number is asked to three"),
        ("17/9", "close: 1.88889 is"),
        (1.6, "1.6 is not the number"),
    ):
        with pytest.raises(AssertionError, match=words) as error:
            check("1.2", answer)
        assert "Hint: along the line" in str(error.value) and capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_number_is_right_by_being_none(number):
    assert all(test.judge(number) == "wrong" for test in NUMBERS.values())
