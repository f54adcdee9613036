"""The law of the shapes, and that the measuring program reads it back: calibrated on pictures whose
attributes are known, before any network is measured with it."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sdelib.book.known_law import (
    CHROMA,
    GROUND,
    HUES,
    INK,
    KINDS,
    P_HUE,
    P_KIND,
    PLACE,
    SIZE,
    SWAY,
    Attributes,
    covers,
    cramers_v,
    law,
    measured,
    shapes,
)

JOINT = P_KIND[:, None] * P_HUE
N = 4000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def near(found, true, error, k=4.5):
    """Within k standard errors; the errors are positive."""
    assert (torch.as_tensor(error) > 0).all()
    gap = torch.as_tensor(found) - torch.as_tensor(true)
    return bool((gap.abs() <= k * torch.as_tensor(error)).all())


RED = GROUND - INK + CHROMA * torch.tensor([1.0, -0.5, -0.5])

YELLOW = GROUND - INK + CHROMA * torch.tensor([0.5, 0.5, -1.0])


def painted(cover, colour=RED):
    """Pictures with a colour where `cover` is 1."""
    return GROUND + cover[:, None] * (colour[:, None, None] - GROUND)


# ---------------------------------------------------------------- the law of the pictures


def test_what_is_drawn_follows_the_tables():
    n = 20_000
    images, labels, truth = shapes(n, generator=generator(1))
    assert images.dtype == torch.uint8 and images.shape == (n, 3, 16, 16)
    assert torch.equal(labels, truth.kind) and not truth.broken.any()
    found = torch.bincount(3 * truth.kind + truth.hue, minlength=9).reshape(3, 3) / n
    assert near(found, JOINT, (JOINT * (1 - JOINT) / n).sqrt())
    for values, (low, high) in ((truth.size, SIZE), (truth.place, PLACE), (truth.off, (-15, 15))):
        middle, std = (low + high) / 2, (high - low) / 12**0.5
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert near(values.mean(0), middle, std / n**0.5)
        spread = std * (0.8 / 4 / n) ** 0.5  # a uniform's kurtosis is 1.8
        assert near(values.std(0), std, spread)


def test_kind_goes_with_hue_and_with_nothing_else():
    n = 20_000
    truth = shapes(n, generator=generator(2))[2]
    columns = torch.stack([truth.kind, truth.size, *truth.place.T, truth.off])
    correlation = torch.corrcoef(columns) - torch.eye(5)
    assert correlation.abs().max() < 4.5 / n**0.5
    assert torch.corrcoef(torch.stack([truth.kind, truth.hue]))[0, 1] > 0.5


def test_the_tables_are_probabilities_and_their_joint_is_far_from_independent():
    assert torch.allclose(P_KIND.sum(), torch.ones(()).double()) and len(KINDS) == len(HUES) == 3
    assert torch.allclose(P_HUE.sum(1), torch.ones(3).double())
    assert 0.6 < cramers_v(JOINT) < 0.7 and SWAY < 40


@pytest.mark.parametrize("side", [16, 24])
@pytest.mark.parametrize("kind, corners", [(0, math.pi), (1, 4), (2, 2 * 1.618034 + 2)])
def test_an_edge_a_pixel_wide_adds_what_its_corners_say(kind, corners, side):
    """An outline moved out by s has the area A + P·s + C·s², C the sum of cot(angle/2) over the
    corners (π for a circle); the mean over s from −½ to ½ is A + C/12."""
    n = 2000
    u = torch.rand(3, n, generator=generator(kind))
    size, place = 0.20 + 0.06 * u[0], 0.4 + 0.2 * u[1:].T
    cover = covers(torch.full((n,), kind), size, place, side)
    excess = cover.sum((1, 2)) - math.pi * (size * side) ** 2
    assert near(excess.mean(), corners / 12, excess.std() / n**0.5 + 0.002)


def test_the_same_generator_draws_the_same_pictures():
    a, b = (shapes(5, side=24, generator=generator(3))[0] for _ in range(2))
    assert torch.equal(a, b) and a.shape == (5, 3, 24, 24)


# ---------------------------------------------------------------- the measuring program


# (side, noise): largest shares of wrong kinds and of broken ones; bias and spread of size and place
# in pixels, of the hue in degrees. Found with 20,000 pictures each.
ERRORS = {
    (16, 0.00): (0.0, 0.0027, 0.015, 0.008, 0.018, 0.13),
    (16, 0.03): (0.0, 0.0022, 0.016, 0.016, 0.026, 0.79),
    (16, 0.06): (0.0, 0.0034, 0.030, 0.029, 0.042, 1.53),
    (16, 0.10): (0.0, 0.0073, 0.068, 0.046, 0.066, 2.51),
    (24, 0.00): (0.0, 0.0002, 0.011, 0.007, 0.012, 0.14),
    (24, 0.06): (0.0, 0.0001, 0.025, 0.027, 0.036, 0.95),
}


@pytest.mark.parametrize("side, noise", ERRORS)
def test_it_reads_real_pictures_as_well_as_it_is_said_to(side, noise):
    images, _, truth = shapes(N, side=side, generator=generator(4))
    x = images / 255 + noise * torch.randn(images.shape, generator=generator(5))
    found = measured(x.clamp(0, 1) if noise else images)
    kind, broken, bias, size, place, hue = ERRORS[side, noise]

    def few(wrong, rate):  # no more than a rate, found with 20,000, allows
        return int(wrong.sum()) <= N * rate + 4 * (N * rate * 1.2 + 1) ** 0.5

    assert few(found.kind != truth.kind, kind) and few(found.hue != truth.hue, 0)
    assert few(found.broken, broken)
    gap = side * (found.size - truth.size)
    assert near(gap.mean(), bias, gap.std() / N**0.5 + 0.001)
    error = 4.5 / N**0.5  # of a spread, relative, for tails twice as heavy as a Gaussian's
    assert gap.std() < size * (1 + error) + 5e-4
    gap = side * (found.place - truth.place)
    assert (gap.std(0) < place * (1 + error) + 5e-4).all() and gap.mean(0).abs().max() < 0.02
    assert (found.off - truth.off).std() < hue * (1 + error) + 0.005


def test_half_a_pixel_of_blur_makes_no_difference_and_a_whole_one_makes_squares_circles():
    from torchvision.transforms.functional import gaussian_blur

    images, kind, truth = shapes(1000, generator=generator(19))
    found = measured(gaussian_blur(images / 255, 9, 0.5))
    assert torch.equal(found.kind, kind) and torch.equal(found.hue, truth.hue)
    found = measured(gaussian_blur(images / 255, 9, 1.0))
    assert 0.3 < (found.kind[kind == 1] == 0).double().mean() < 0.6
    assert torch.equal(found.hue, truth.hue)


def test_numbers_and_bytes_are_read_alike():
    images = shapes(50, generator=generator(6))[0]
    for a, b in zip(vars(measured(images)).values(), vars(measured(images / 255)).values()):
        assert torch.equal(a, b)


def test_it_finds_what_is_broken():
    n, g = 1000, generator(7)
    truth = shapes(n, generator=g)[2]
    kind, size, place = truth.kind, truth.size, truth.place
    whole = covers(kind, size, place, 16)
    corner = torch.full((n, 2), 0.15)
    bad = {
        "nothing": torch.zeros(n, 16, 16),
        "two": torch.maximum(whole, covers(kind.flip(0), 0.7 * size, corner, 16)),
        "half": whole * (torch.arange(16) / 16 < place[:, :1])[:, None],
        "hollow": whole - covers(kind, 0.55 * size, place, 16),
        "noise": torch.rand(n, 16, 16, generator=g),
    }
    for name, cover in bad.items():
        assert measured(painted(cover)).broken.double().mean() > 0.95, name
    assert measured(painted(whole)).broken.double().mean() < 0.01
    assert measured(painted(whole, YELLOW)).broken.all()


# ---------------------------------------------------------------- the law read back


def part(attributes, rows):
    return Attributes(*(value[rows] for value in vars(attributes).values()))


@pytest.mark.parametrize("side", [16, 24])
def test_the_law_of_real_pictures_is_the_stated_one(side):
    images = shapes(N, side=side, generator=generator(8))[0]
    found = law(measured(images), generator=generator(9))
    assert found.n == N and near(found.kinds[0], P_KIND, found.kinds[1])
    assert near(found.hues[0], P_KIND @ P_HUE, found.hues[1])
    assert near(found.joint[0], JOINT, found.joint[1])
    assert near(found.given[0], P_HUE, found.given[1])
    assert near(found.v[0], cramers_v(JOINT), found.v[1])
    assert near(found.size[0], sum(SIZE) / 2, found.size[1] + 0.001)  # the bias of the reading
    assert near(found.place[0], sum(PLACE) / 2, found.place[1])


def test_the_errors_are_those_of_many_repeats():
    repeats, n = 80, 400
    truth, g = shapes(repeats * n, generator=generator(10))[2], generator(11)
    found = [law(part(truth, slice(i * n, (i + 1) * n)), generator=g) for i in range(repeats)]
    said = ("v", cramers_v(JOINT)), ("joint", JOINT), ("given", P_HUE), ("kinds", P_KIND)
    for name, true in (*said, ("size", torch.tensor(sum(SIZE) / 2))):
        values = torch.stack([getattr(one, name)[0] for one in found])
        errors = torch.stack([getattr(one, name)[1] for one in found])
        ratio = (values - true).square().mean(0) / errors.square().mean(0)
        # a mean of squares of `repeats` pulls; for the 9 cells of a table some are counts of a few
        assert (ratio - 1).abs().max() < 5 * (2 / repeats) ** 0.5, name


def test_right_marginals_with_a_wrong_joint_are_told_apart():
    truth = shapes(N, generator=generator(12))[2]
    order = torch.randperm(N, generator=generator(13))
    found = law(dataclasses.replace(truth, hue=truth.hue[order]), generator=generator(14))
    assert near(found.hues[0], P_KIND @ P_HUE, found.hues[1])
    assert near(found.kinds[0], P_KIND, found.kinds[1])
    assert not near(found.joint[0], JOINT, found.joint[1], k=10)
    assert found.v[0] < 4.5 / N**0.5 < cramers_v(JOINT) / 5


def test_broken_pictures_are_counted_and_left_out():
    truth = shapes(200, generator=generator(15))[2]
    broken = torch.arange(200) < 50
    found = law(dataclasses.replace(truth, broken=broken), generator=generator(16))
    rest = law(part(truth, ~broken), generator=generator(16))
    assert found.broken[0] == 0.25 and found.n == 200 and rest.broken[0] == 0 < rest.broken[1]
    assert torch.equal(found.joint[0], rest.joint[0]) and torch.equal(found.v[1], rest.v[1])


def test_a_pair_that_never_came_has_an_error_too():
    truth = shapes(300, generator=generator(17))[2]
    truth = part(truth, ~((truth.kind == 2) & (truth.hue == 0)))
    value, error = law(truth, generator=generator(18)).joint
    assert value[2, 0] == 0 and 0 < error[2, 0] < 0.01


def test_cramers_v_of_tables_on_paper_and_against_scipy():
    from scipy.stats.contingency import association

    independent = torch.outer(torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.6, 0.4]))
    assert cramers_v(independent) < 1e-6 and cramers_v(torch.eye(3)) == 1
    table = torch.tensor([[8, 1, 3], [2, 7, 0], [1, 1, 9]])
    assert abs(cramers_v(table) - association(table.numpy())) < 1e-12
    assert torch.equal(cramers_v(torch.stack([table, table])), cramers_v(table).expand(2))
    assert 0 < cramers_v(torch.tensor([[5, 1, 0], [1, 5, 0], [0, 0, 0]])) < 1


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.fault
@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: shapes(0, generator=generator()), "n = 0"),
        (lambda: shapes(5, side=4, generator=generator()), "side = 4"),
        (lambda: shapes(5, generator=0), "generator = 0"),
        (lambda: measured(torch.zeros(5, 1, 16, 16)), r"shape of images = \(5, 1, 16, 16\)"),
        (lambda: measured(torch.zeros(5, 3, 16, 24)), r"shape of images = \(5, 3, 16, 24\)"),
        (lambda: measured(torch.zeros(5, 3, 16, 16).int()), "images has shape .* torch.int32"),
        (lambda: law(measured(torch.ones(5, 3, 16, 16)), generator=generator()), "pictures = 0"),
    ],
)
def test_a_wrong_argument_is_named(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert len(str(caught.value)) < 500
