"""One path, seen alike by every step size."""

import itertools
import math

import pytest
import torch

from sdelib.brownian import BrownianPath, Still, WhiteNoise
from sdelib.grids import uniform_times


def path(start=0.0, stop=2.0, steps=64, shape=(3, 2), seed=0, dtype=torch.float64):
    times = uniform_times(start, stop, steps)
    return times, BrownianPath(
        times, torch.zeros(shape, dtype=dtype), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
def test_increments_of_a_sub_grid_add_up(ends):
    times, w = path(*ends)
    for stride in (2, 8, 64):
        coarse = times[::stride]
        for i in range(len(coarse) - 1):
            fine = sum(
                w(a, b)
                for a, b in zip(times[i * stride : (i + 1) * stride], times[i * stride + 1 :])
            )
            # the same differences of W, so only the rounding of `stride` additions of numbers ≲ 10
            # is left
            torch.testing.assert_close(
                w(coarse[i], coarse[i + 1]), fine, rtol=0, atol=stride * 10 * 2.3e-16
            )
    torch.testing.assert_close(
        w.at(times[0]), torch.zeros(3, 2, dtype=torch.float64), rtol=0, atol=0
    )
    assert torch.equal(
        w(times[3], times[9]), -w(times[9], times[3])
    )  # the same path, whichever way it is read
    assert torch.equal(w(times[3], times[9]), w(times[3], times[9]))


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
@pytest.mark.parametrize("kind", ["path", "white"])
def test_increments_are_independent_with_variance_dt(ends, kind):
    n = 100_000
    times = torch.tensor([0.0, 0.05, 0.35, 2.0], dtype=torch.float64)
    times = times if ends[0] == 0 else times.flip(0)
    x, generator = torch.zeros(n, dtype=torch.float64), torch.Generator().manual_seed(1)
    w = (
        BrownianPath(times, x, generator=generator)
        if kind == "path"
        else WhiteNoise(x, generator=generator)
    )
    dw = torch.stack([w(a, b) for a, b in zip(times[:-1], times[1:])])
    for d, dt in zip(dw, times.diff().abs()):
        assert abs(d.mean()) < 5 * math.sqrt(dt / n)  # 5 standard errors of a mean
        assert abs(d.var() / dt - 1) < 5 * math.sqrt(2 / n)  # and of a variance: Var = 2dt²/n
        assert abs((d**4).mean() / dt**2 - 3) < 5 * math.sqrt(
            96 / n
        )  # E z⁴ = 3, Var z⁴ = 96: Gaussian
    correlation = torch.corrcoef(dw)
    assert bool((correlation - torch.eye(3, dtype=torch.float64)).abs().max() < 5 / math.sqrt(n))


def test_asked_outside_it_raises():
    times, w = path(0.0, 1.0, 10)
    for t in (1.1, -0.2):
        with pytest.raises(ValueError, match=rf"t = {t}.*Brownian path, which runs from 0 to 1"):
            w.at(torch.tensor(t))


# ---- the area, and the bridge


def joint(d: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Second moments of (d, a, …) as a matrix with the standard errors of its entries, stacked."""
    x = torch.stack([d, a])
    products = x[:, None] * x[None]
    return torch.stack([products.mean(-1), products.std(-1) / math.sqrt(x.shape[-1])])


@pytest.mark.parametrize("h", [0.37, -0.37])
@pytest.mark.parametrize(
    "kind", ["white", "path", "path of parts", "refined before", "refined after"]
)
def test_increment_and_area_have_their_covariance(kind, h):
    """E dw² = |h|, E dw·area = ½h|h|, E area² = |h|³/3, however the path came to know them."""
    n, t = 200_000, torch.tensor([1.0, 1.0 + h], dtype=torch.float64)
    x, g = torch.zeros(n, dtype=torch.float64), torch.Generator().manual_seed(5)
    grid = (
        t[0] + h * torch.tensor([0.0, 0.3, 0.55, 1.0], dtype=torch.float64)
        if kind == "path of parts"
        else t
    )
    w = WhiteNoise(x, generator=g) if kind == "white" else BrownianPath(grid, x, generator=g)
    if kind == "refined after":
        w.area(t[0], t[1])
    if "refined" in kind:
        w.at(1 + 0.8 * h), w.at(1 + 0.15 * h)
    found, error = joint(*w.with_area(t[0], t[1]))
    true = torch.tensor(
        [[abs(h), h * abs(h) / 2], [h * abs(h) / 2, abs(h) ** 3 / 3]], dtype=torch.float64
    )
    assert bool(((found - true).abs() < 5 * error).all())


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
def test_areas_of_parts_add_up(ends):
    """∫ₐᶜ (W − W(a)) = ∫ₐᵇ (W − W(a)) + ∫ᵇᶜ (W − W(b)) + (c − b)(W(b) − W(a)), read in either
    direction."""
    _, w = path(*ends, steps=8)
    a, b, c = (torch.tensor(v, dtype=torch.float64) for v in (ends[0], 0.77, ends[1]))
    whole = w.area(a, c)
    torch.testing.assert_close(
        w.area(a, b) + w.area(b, c) + (c - b) * w(a, b), whole, rtol=1e-12, atol=1e-13
    )
    torch.testing.assert_close(w.area(a, c), whole, rtol=1e-12, atol=1e-13)
    # ∫_c^a (W − W(c)) ds = −∫ₐᶜ (W − W(a)) ds + (c − a)(W(c) − W(a))
    torch.testing.assert_close(w.area(c, a), -(whole - (c - a) * w(a, c)), rtol=1e-12, atol=1e-13)


def test_area_is_the_limit_of_riemann_sums():
    """area − left sum = Σ over cells of ∫(W − W_k) = ½h W(1) + h·z/√12 with z ~ N(0, 1), for 4,000
    cells of length h."""
    _, w = path(0.0, 1.0, steps=1, shape=(50,))
    t = uniform_times(0.0, 1.0, 4000)
    area = w.area(t[0], t[-1])
    left = sum(w(t[0], a) for a in t[:-1]) / 4000
    z = ((area - left) * 4000 - w(t[0], t[-1]) / 2) * math.sqrt(12)
    assert float(z.abs().max()) < 5 and abs(float(z.square().mean()) - 1) < 5 * math.sqrt(2 / 50)


@pytest.mark.parametrize("known_area", [False, True])
def test_bridge_points_are_those_of_one_brownian_motion(known_area):
    """Increments over all parts of a path that was refined in a crooked order are independent with
    variance h."""
    n = 100_000
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    w = BrownianPath(
        ends, torch.zeros(n, dtype=torch.float64), generator=torch.Generator().manual_seed(8)
    )
    if known_area:
        w.area(*ends)
    marks = [0.6, 0.25, 0.9, 0.26]
    for u in marks:
        w.at(u)
    t = torch.tensor([0.0, *sorted(marks), 1.0], dtype=torch.float64)
    torch.testing.assert_close(w.times, t)
    parts = torch.stack([w(a, b) for a, b in zip(t[:-1], t[1:])])
    areas = torch.stack([w.area(a, b) for a, b in zip(t[:-1], t[1:])])
    h = t.diff()[:, None]
    unit = torch.cat(
        [parts / h.sqrt(), (areas - h / 2 * parts) / (h**3 / 12).sqrt()]
    )  # all independent N(0, 1)
    products = unit[:, None] * unit[None]
    error = products.std(-1) / math.sqrt(n)
    assert bool(
        ((products.mean(-1) - torch.eye(len(unit), dtype=torch.float64)).abs() < 5 * error).all()
    )


def test_refining_changes_nothing_that_was_told():
    times, w = path(0.0, 1.0, 4)
    before, area = w(times[0], times[3]), w.area(times[1], times[4])
    w.at(0.1), w.at(0.6), w.area(torch.tensor(0.05), torch.tensor(0.95))
    assert torch.equal(w(times[0], times[3]), before)
    torch.testing.assert_close(w.area(times[1], times[4]), area, rtol=1e-12, atol=1e-14)


def test_still_is_zero():
    zero = torch.zeros(2, 3)
    still = Still(torch.ones(2, 3))
    assert torch.equal(still(0.0, 1.0), zero)
    assert all(torch.equal(part, zero) for part in still.with_area(0.0, 1.0))


@pytest.mark.parametrize("ends", [(1.0, 1e-5), (1e-5, 1.0), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("known_area", [False, True])
def test_a_path_that_knew_only_its_ends_is_right_at_every_scale(ends, known_area):
    """400 geometric steps: each increment has the variance of its step, to 5 standard errors, and
    so has each area, given its increment."""
    n = 20_000
    low, high = max(min(ends), 1e-9), max(ends)
    times = torch.logspace(math.log10(low), math.log10(high), 401, dtype=torch.float64)
    times[0], times[-1] = min(ends), high
    times = times if ends[0] < ends[1] else times.flip(0)
    x = torch.zeros(n, dtype=torch.float64)
    w = BrownianPath(times[[0, -1]], x, generator=torch.Generator().manual_seed(3))
    if known_area:
        w.area(times[0], times[-1])
    for a, b in itertools.pairwise(times):
        w(a, b)
    for a, b in itertools.pairwise(times):
        h, (dw, area) = float(b - a), w.with_area(a, b)
        assert float(dw.square().mean()) / abs(h) == pytest.approx(1, abs=5 * math.sqrt(2 / n))
        rest = (area - h / 2 * dw).square().mean() * 12 / abs(h) ** 3
        assert float(rest) == pytest.approx(1, abs=5 * math.sqrt(2 / n))


def test_another_resolution_of_the_same_number_is_on_the_grid():
    """A float32 grid finds the float64 times: rounding is not another time."""
    times, w = path(0.0, 1.0, 10)
    assert torch.equal(w.at(times[3].float()), w.at(times[3]))


@pytest.mark.parametrize(
    "times", [[0.0, 0.5, 0.5], [0.0, 0.6, 0.4], [0.3], [[0.0, 1.0]], [0.0, math.nan, 1.0]]
)
def test_bad_grids_raise(times):
    with pytest.raises(ValueError, match="times"):
        BrownianPath(torch.tensor(times), torch.zeros(2), generator=torch.Generator())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_seed(dtype):
    times = uniform_times(1.0, 0.0, 4)
    x = torch.zeros(2, 3, dtype=dtype)
    for kind in (WhiteNoise, lambda x, generator: BrownianPath(times, x, generator=generator)):
        one = kind(x, generator=torch.Generator().manual_seed(7))(times[0], times[1])
        same = kind(x, generator=torch.Generator().manual_seed(7))(times[0], times[1])
        other = kind(x, generator=torch.Generator().manual_seed(8))(times[0], times[1])
        assert one.shape == x.shape and one.dtype == dtype
        assert torch.equal(one, same) and not torch.equal(one, other)
