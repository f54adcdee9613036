"""One path, seen alike by every step size."""

import math

import pytest
import torch

from sdelib.brownian import BrownianPath, WhiteNoise
from sdelib.solvers import uniform_times


def path(start=0.0, stop=2.0, steps=64, shape=(3, 2), seed=0, dtype=torch.float64):
    times = uniform_times(start, stop, steps)
    return times, BrownianPath(times, torch.zeros(shape, dtype=dtype), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
def test_increments_of_a_sub_grid_add_up(ends):
    times, w = path(*ends)
    for stride in (2, 8, 64):
        coarse = times[::stride]
        for i in range(len(coarse) - 1):
            fine = sum(w(a, b) for a, b in zip(times[i * stride:(i + 1) * stride], times[i * stride + 1:]))
            # the same differences of W, so only the rounding of `stride` additions of numbers ≲ 10 is left
            torch.testing.assert_close(w(coarse[i], coarse[i + 1]), fine, rtol=0, atol=stride * 10 * 2.3e-16)
    torch.testing.assert_close(w.at(times[0]), torch.zeros(3, 2, dtype=torch.float64), rtol=0, atol=0)
    assert torch.equal(w(times[3], times[9]), -w(times[9], times[3]))  # the same path, whichever way it is read
    assert torch.equal(w(times[3], times[9]), w(times[3], times[9]))


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)])
@pytest.mark.parametrize("kind", ["path", "white"])
def test_increments_are_independent_with_variance_dt(ends, kind):
    n = 100_000
    times = torch.tensor([0.0, 0.05, 0.35, 2.0], dtype=torch.float64)
    times = times if ends[0] == 0 else times.flip(0)
    x, generator = torch.zeros(n, dtype=torch.float64), torch.Generator().manual_seed(1)
    w = BrownianPath(times, x, generator=generator) if kind == "path" else WhiteNoise(x, generator=generator)
    dw = torch.stack([w(a, b) for a, b in zip(times[:-1], times[1:])])
    for d, dt in zip(dw, times.diff().abs()):
        assert abs(d.mean()) < 5 * math.sqrt(dt / n)                     # 5 standard errors of a mean
        assert abs(d.var() / dt - 1) < 5 * math.sqrt(2 / n)              # and of a variance: Var = 2dt²/n
        assert abs((d**4).mean() / dt**2 - 3) < 5 * math.sqrt(96 / n)    # E z⁴ = 3, Var z⁴ = 96: Gaussian
    correlation = torch.corrcoef(dw)
    assert bool((correlation - torch.eye(3, dtype=torch.float64)).abs().max() < 5 / math.sqrt(n))


def test_asked_off_its_grid_it_raises():
    times, w = path(0.0, 1.0, 10)
    with pytest.raises(ValueError, match=r"t = 0\.55 is not a time of this Brownian path"):
        w(times[0], torch.tensor(0.55))
    with pytest.raises(ValueError, match=r"t = 1\.1 "):
        w.at(torch.tensor(1.1))


def test_another_resolution_of_the_same_number_is_on_the_grid():
    """A float32 grid finds the float64 times: rounding is not another time."""
    times, w = path(0.0, 1.0, 10)
    assert torch.equal(w.at(times[3].float()), w.at(times[3]))


@pytest.mark.parametrize("times", [[0.0, 0.5, 0.5], [0.0, 0.6, 0.4], [0.3], [[0.0, 1.0]], [0.0, math.nan, 1.0]])
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
