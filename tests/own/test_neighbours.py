"""The nearest training examples: the search, and what is called copying."""

import math

import pytest
import torch

from sdelib.own.neighbours import at_least, compared, nearest


def cloud(n, d, seed, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("chunk", [None, 2, 7, 100])
def test_the_two_nearest_are_those_of_all_distances(chunk):
    x, train = cloud(40, 3, 0) + 1000, cloud(61, 3, 1) + 1000
    distance, index = nearest(x, lambda i: train[i], len(train), chunk=chunk)
    known = torch.cdist(x.double(), train.double()).sort(dim=1)
    assert torch.equal(index, known.indices[:, :2])
    torch.testing.assert_close(distance.double(), known.values[:, :2], rtol=1e-4, atol=1e-4)


def test_a_copy_is_at_distance_zero_and_bytes_are_read_in_parts():
    pixels = torch.randint(0, 256, (500, 3, 8, 8), generator=torch.Generator().manual_seed(2))
    pixels, seen = pixels.to(torch.uint8), []

    def fetch(index):
        seen.append(len(index))
        return pixels[index].float() / 255

    where = torch.tensor([3, 499, 250])
    distance, index = nearest(pixels[where].float() / 255, fetch, 500, chunk=64)
    assert torch.equal(index[:, 0], where) and float(distance[:, 0].abs().max()) == 0.0
    assert float(distance[:, 1].min()) > 1 and max(seen) == 64


def near(samples, held, train, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return compared(samples, held, lambda i: train[i], len(train), generator=generator)


def test_copies_are_called_copies_and_examples_of_the_law_are_not():
    """Points in eight dimensions: other draws of the law are as far as held-out ones, within 4
    bootstrap errors; training examples, also with a little noise, are copies."""
    train, held, fresh = cloud(1000, 8, 3), cloud(300, 8, 4), cloud(300, 8, 5)
    told = near(fresh, held, train)
    assert not told.nearer and not told.copying
    assert abs(told.ratio - 1) < 4 * told.ratio_error < 0.2
    assert abs(told.close - told.close_expected) < 4 * told.close_error
    copies = near(train[:300], held, train)
    assert copies.copying and copies.ratio == 0 and copies.close == copies.third == 1
    assert copies.index == tuple(range(300))
    assert near(train[:300] + 0.02 * fresh, held, train).copying
    some = near(torch.cat([fresh[:240], train[:60]]), held, train)  # a fifth
    assert some.copying and abs(some.close - 0.2) < 0.05


def test_what_is_too_typical_is_nearer_but_no_copy():
    """Draws of half the spread lie where the training examples are dense."""
    told = near(0.5 * cloud(300, 8, 6), cloud(300, 8, 7), cloud(1000, 8, 8))
    assert told.nearer and not told.copying and told.ratio < 0.9


def test_the_chance_is_uniform_where_nobody_copies():
    """200 comparisons of equal laws: the chance is below 5% in at most 5% of them, within 4
    binomial errors (it is discrete, so it may be rarer), and the share has the stated spread."""
    told = [near(cloud(60, 3, 9 + k), cloud(50, 3, 999 + k), cloud(80, 3, 9999 + k))
            for k in range(200)]  # fmt: skip
    rare = sum(t.chance < 0.05 for t in told) / 200
    assert rare < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)
    close = torch.tensor([t.close for t in told])
    error = told[0].close_error
    assert told[0].close_expected == 1 / 51
    assert abs(float(close.mean()) - 1 / 51) < 4 * error / math.sqrt(200)
    assert 0.5 < float(close.std()) / error < 2


def test_at_least_by_hand():
    """One held-out example, one draw: below it in half of the cases; of two held-out ones, the
    smallest is above a draw in a third."""
    assert at_least(0, 5, 1, 7) == pytest.approx(1)
    assert at_least(1, 1, 1, 1) == pytest.approx(1 / 2)
    assert at_least(1, 1, 1, 2) == pytest.approx(1 / 3)
    assert at_least(2, 2, 1, 1) == pytest.approx(1 / 3)  # the held-out one is the largest of three


def test_examples_that_repeat_have_no_ratio():
    """Half of the held-out ones are in the training part, as rows of a small table are."""
    train = torch.tensor([[0.0], [1.0], [2.0]]).repeat(20, 1)
    told = near(train[:30], train[30:], train)
    assert math.isnan(told.ratio) and not told.nearer and not told.copying


@pytest.mark.fault
def test_the_search_refuses():
    train = cloud(9, 2, 0)
    with pytest.raises(ValueError, match="count = 1"):
        nearest(train, lambda i: train[i], 1)
    with pytest.raises(ValueError, match=r"x = \(9, 2\)"):
        nearest(train, lambda i: cloud(9, 3, 1)[i], 9)
    with pytest.raises(ValueError, match="x is not finite"):
        nearest(train * math.nan, lambda i: train[i], 9)
    with pytest.raises(ValueError, match="held = 1"):
        near(train, train[:1], train)
