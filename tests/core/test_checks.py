"""The one door: what it lets through, and what a refusal names."""

import math

import numpy as np
import pytest
import torch

from sdelib import checks


@pytest.mark.parametrize(
    "refuse, words",
    [
        (lambda: checks.require(False, "eta", -1.0, "give more"), ["eta = -1.0", "give more"]),
        (lambda: checks.positive(lr=0.0), ["lr = 0.0"]),
        (lambda: checks.positive(lr=math.nan), ["lr = nan"]),
        (lambda: checks.within(0, 1, ema=1), ["ema = 1"]),
        (lambda: checks.whole(n=2.5), ["n = 2.5"]),
        (lambda: checks.whole(n=True), ["n = True"]),
        (lambda: checks.whole(2, n=1), ["n = 1", "2"]),
        (lambda: checks.ascending("sigmas", [1.0, 0.5]), ["sigmas = [1.0, 0.5]"]),
        (lambda: checks.ascending("sigmas", []), ["sigmas = []"]),
        (lambda: checks.monotone(torch.tensor([0.0, 1.0, 1.0])), ["times[1] = 1", "times[2] = 1"]),
        (lambda: checks.monotone(torch.tensor([0.0])), ["times", "(1,)"]),
        (lambda: checks.floats(torch.arange(3)), ["x has", "torch.int64"]),
        (lambda: checks.floats(torch.zeros(2, 0), axes=2), ["x has", "(2, 0)"]),
        (lambda: checks.finite("y", torch.tensor([1.0, math.inf])), ["y", "inf", "2"]),
        (lambda: checks.same_shape("z", torch.ones(2), torch.ones(3)), ["z", "(2,)", "(3,)"]),
        (lambda: checks.like(torch.ones(3), torch.ones(2, 2)), ["t has", "(3,)", "(2,)"]),
        (lambda: checks.a_generator(0), ["generator = 0"]),
        (lambda: checks.levels("std", torch.tensor(1e-30)), ["std = ", "e-30"]),
        (lambda: checks.rising(low=2.0, high=1.0), ["low = 2.0", "high = 1.0"]),
        (lambda: checks.rising(low=0.0, high=1.0), ["low = 0.0"]),
        (lambda: checks.span("levels", (2.0, 1.0)), ["levels = (2.0, 1.0)"]),
        (lambda: checks.span("levels", [0.0, 1.0]), ["levels = [0.0, 1.0]"]),
        (lambda: checks.span("levels", (1.0, 2.0, 3.0)), ["levels = (1.0, 2.0, 3.0)"]),
    ],
)
def test_a_refusal_names_the_argument_and_its_value(refuse, words):
    with pytest.raises(ValueError) as error:
        refuse()
    assert all(word in str(error.value) for word in words), error.value
    assert ": " in str(error.value)  # and then the cure


def test_what_passes():
    checks.whole(n=np.int64(2), m=0 + 1)
    checks.positive(lr=1e-3)
    assert checks.monotone(torch.tensor([1.0, 0.5])).tolist() == [1.0, 0.5]
    assert checks.span("levels", [1, 2.5]) == (1.0, 2.5)
    assert checks.ascending("sigmas", (0.1, 1)).dtype == torch.float64


@pytest.mark.parametrize("value", [torch.zeros(60_000), ["word"] * 60_000, "x" * 60_000])
def test_no_message_prints_a_whole_tensor(value):
    with pytest.raises(ValueError) as error:
        checks.require(False, "t", value, "give one")
    assert len(str(error.value)) < 300


def test_a_scalar_stays_as_it_is_and_a_batch_gets_axes():
    x = torch.zeros(4, 3, 2)
    t = torch.tensor(0.1, dtype=torch.float64)
    assert checks.align(t, x) is t and (t * x).dtype == torch.float32
    assert checks.align(torch.ones(4), x).shape == (4, 1, 1)
    assert checks.align(t, torch.tensor(1.0)).dtype == torch.float32  # two scalars would promote


def test_a_generator_function_is_checked_when_it_is_called():
    @checks.at_once(lambda n: checks.whole(n=n))
    def count(n):
        """Up to n."""
        yield from range(n)

    assert list(count(3)) == [0, 1, 2] and count.__doc__ == "Up to n."
    with pytest.raises(ValueError, match="n = 0"):
        count(0)
