"""Floors: real sets drawn as the samples were, and the errors of what is measured on them."""

import numpy as np
import pytest
import torch

from sdelib.own.baseline import gaussian_draws
from sdelib.own.floors import AGAINST, REAL, first_of, fitting, held_against


def zeros(n):
    return np.zeros(n, dtype=np.int64)


def test_fitting_counts_each_class_once():
    """Two of class 0 and four of class 1 from 3 and 9 real ones: a side has at most half of them,
    when both sides come from one pool."""
    mine, real = np.array([0, 0, 1, 1, 1, 1]), np.repeat([0, 1, 2], [3, 9, 5])
    assert fitting({"s": mine}, real).tolist() == [1, 4, 0]
    assert fitting({"s": mine}, real, real).tolist() == [2, 4, 0]
    assert fitting({"s": zeros(1000)}, zeros(3000), most=100).tolist() == [100]


def test_first_of_takes_the_smallest_keys_of_each_class():
    labels, key = np.array([1, 0, 1, 0, 1]), np.array([0.5, 0.9, 0.1, 0.2, 0.3])
    assert sorted(first_of(labels, key, np.array([1, 2])).tolist()) == [2, 3, 4]


@pytest.mark.parametrize("apart", [False, True])
def test_both_sides_have_the_classes_of_the_samples_and_no_common_member(apart):
    rng = np.random.default_rng(0)
    mine, real = np.repeat([0, 1, 2], [30, 10, 5]), rng.integers(0, 4, 400)
    other, seen = (rng.integers(0, 4, 300) if apart else real), []

    def distance(name, i, j):
        labels = {"s": mine, REAL: real}[name]
        for counted in (labels[i], other[j]):
            counts = np.bincount(counted, minlength=4)
            assert counts[3] == 0
            seen.append(counts)
        assert np.array_equal(seen[-1], seen[-2]) and len({*i}) == len(i)
        assert apart or name != REAL or not {*i} & {*j}
        return 1.0

    told = held_against({"s": mine}, real, other if apart else None, distance, draws=3)
    assert told.counts[:3] == (30, 10, 5) and told.n == 45 and len(seen) == 2 * 2 * 3 * 11
    assert told.value == {"s": 1, REAL: 1} and told.error == {"s": 0, REAL: 0}
    assert AGAINST not in told.value
    totals = {int(c.sum()) for c in seen[2 * 2 * 3 :]}  # without a tenth
    assert totals <= {40, 41}


def test_the_error_is_that_of_the_mean_where_it_is_known():
    """|mean a − mean b| + 9 of n standard normal numbers each, b averaged over draws from many: the
    samples' share of the variance is 1/n, and the jackknife finds it, over 30 data sets."""
    n, N, rng, values, errors = 60, 600, np.random.default_rng(1), [], []
    for seed in range(30):
        x = {"s": rng.normal(size=n), REAL: rng.normal(size=N)}
        told = held_against(
            {"s": zeros(n)},
            zeros(N),
            None,
            lambda name, i, j: x[name][i].mean() - x[REAL][j].mean() + 9,
            seed=seed,
        )
        values.append(told.value["s"]), errors.append(told.error["s"])
    # the samples, the data, and ten draws from them without replacement
    known = 1 / n + 1 / N + (1 - n / N) / (10 * n)
    assert np.var(values) == pytest.approx(known, rel=4 * np.sqrt(2 / 30))
    assert np.mean(np.square(errors)) == pytest.approx(known, rel=4 * np.sqrt(2 / (9 * 30)))


@pytest.mark.fault
def test_too_few_are_refused():
    with pytest.raises(ValueError, match="comparison = 19"):
        held_against({"s": zeros(19)}, zeros(50), None, lambda *a: 0.0)
    with pytest.raises(ValueError, match="comparison = 15"):
        held_against({"s": zeros(50)}, zeros(31), None, lambda *a: 0.0)


# ---- the Gaussian


def gaussian(x, n, weights=None, seed=0, index=None):
    index = torch.arange(len(x)) if index is None else index
    generator = torch.Generator().manual_seed(seed)
    return gaussian_draws(lambda i: x[i], index, n, weights=weights, generator=generator)


def test_the_gaussian_has_the_mean_and_the_covariance_of_the_examples():
    """Of 2,000 examples of strong correlation far from 0; the shrinkage is below 1/1000, and a
    covariance of n draws has the relative error √(2/n)."""
    g, n = torch.Generator().manual_seed(2), 20_000
    mix = torch.tensor([[3.0, 0, 0], [2.9, 0.3, 0], [0, 0, 0.01]])
    x = torch.rand(2000, 3, generator=g) @ mix.T + 100
    drawn = gaussian(x, n).double()
    known = torch.cov(x.double().T)
    scale = known.diagonal().sqrt()
    gap = (drawn.mean(0) - x.double().mean(0)) / scale
    assert float(gap[:2].abs().max()) < 5 / n**0.5
    found = torch.cov(drawn.T) / scale / scale[:, None]
    # of the third, 0.003 beside 100, float32 leaves a few digits, and the shrinkage lifts it
    assert float((found - known / scale / scale[:, None])[:2, :2].abs().max()) < 5 * (2 / n) ** 0.5
    skewness = ((drawn[:, 0] - drawn[:, 0].mean()) / drawn[:, 0].std()).pow(4).mean()
    assert float(skewness) == pytest.approx(3, abs=5 * (24 / n) ** 0.5)  # uniform ones have 1.8


def test_the_shrinkage_is_the_formula_of_chen():
    """15 examples of N(0, I) in 40 dimensions: tr of the draws' covariance stays tr S, and that of
    its square is the one of (1 − ρ)S + ρ tr S/d with ρ by hand."""
    m, d, n = 15, 40, 4000
    x = torch.randn(m, d, generator=torch.Generator().manual_seed(3))
    s = torch.cov(x.double().T)
    t, t2 = float(s.trace()), float((s @ s).trace())
    rho = ((1 - 2 / d) * t2 + t**2) / ((m + 1 - 2 / d) * (t2 - t**2 / d))
    assert 0.2 < rho < 1
    drawn = torch.cov(gaussian(x, n).double().T)
    shrunk = (1 - rho) * s + rho * t / d * torch.eye(d, dtype=torch.float64)
    assert float(drawn.trace()) == pytest.approx(t, rel=0.03)
    expected = float(shrunk.square().sum()) + (t**2 + float(shrunk.square().sum())) / n
    assert float(drawn.square().sum()) == pytest.approx(expected, rel=0.05)


def test_the_gaussian_follows_weights_and_never_leaves_the_index():
    x = torch.cat([torch.zeros(50, 2), torch.ones(10, 2), torch.full((5, 2), 1e6)])
    weights = torch.cat([torch.full((50,), 1 / 50), torch.full((10,), 1 / 10)])
    drawn = gaussian(x, 4000, weights, index=torch.arange(60))
    assert float(drawn.mean()) == pytest.approx(0.5, abs=5 * 0.5 / 4000**0.5)
    assert torch.equal(drawn, gaussian(x, 4000, weights, index=torch.arange(60)))
    flat = gaussian(torch.full((30, 4), 7.0), 10)
    assert torch.equal(flat, torch.full((10, 4), 7.0))
    with pytest.raises(ValueError, match="fit = 1"):
        gaussian(x, 5, index=torch.arange(1))
