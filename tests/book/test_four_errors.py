"""The four errors, against a Gaussian for which each is known, and what FourErrors refuses."""

import math

import pytest
import torch

from sdelib.book.four_errors import ERRORS, FourErrors
from sdelib.book.toys import garden
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel
from sdelib.grids import karras_times, uniform_times
from sdelib.solvers import euler_maruyama, heun

S, T, T_MIN = 0.5, 4.0, 0.2


def one_gaussian(score_factor=1.0, eta=0.0, step=euler_maruyama, n=1000, seed=0):
    p = GaussianMixture([1.0], torch.zeros(1, 1, dtype=torch.float64), S)
    sde = NoiseLevel(T)
    exact = p.score_of(sde)
    return FourErrors(
        p,
        sde,
        lambda x, t: score_factor * exact(x, t),
        uniform_times(T, T_MIN, 20),
        step,
        eta=eta,
        n=n,
        fine=500,
        generator=torch.Generator().manual_seed(seed),
    )


def test_each_error_of_the_flow_of_a_gaussian_is_known():
    """The flow of N(0, S² + t²) maps x_T to x_T √((S² + t²)/(S² + T²)). Every error is a factor on
    x, by hand."""
    runs = one_gaussian(score_factor=0.9)
    x = runs.starts[False]
    root = lambda t: math.sqrt(S**2 + t**2)
    perfect = x * S / root(T)
    close = dict(rtol=3e-3, atol=3e-3 * float(perfect.abs().max()))  # the fine grid's own error
    torch.testing.assert_close(runs.sample(), perfect, **close)
    # start: the prior's draw is std z where p_T's is x_0 + std z
    torch.testing.assert_close(runs.sample("start"), runs.starts[True] * S / root(T), **close)
    torch.testing.assert_close(runs.starts[True].std(), torch.tensor(T).double(), rtol=0.1, atol=0)
    # stop: at t_min the cloud is wider by a known factor
    torch.testing.assert_close(runs.sample("stop"), x * root(T_MIN) / root(T), **close)
    # score: 0.9 of the score gives the exponent 0.9 above t_min
    torch.testing.assert_close(
        runs.sample("score"), perfect * (root(T) / root(T_MIN)) ** 0.1, **close
    )
    # step: Euler's product of 20 factors
    factor, grid = 1.0, runs.times.tolist()
    for t, t_next in zip(grid, grid[1:]):
        factor *= 1 - t * (t - t_next) / (S**2 + t**2)
    torch.testing.assert_close(runs.sample("step"), x * factor * S / root(T_MIN), **close)
    # and the distances are those of the factors: law = paths on a line, where a positive factor
    # keeps the order
    for name, d in runs.split().items():
        gap = float(
            (runs.sample(*(ERRORS if name == "all" else [name])) - runs.sample())
            .square()
            .mean()
            .sqrt()
        )
        assert d.paths == pytest.approx(gap, rel=1e-12)
        if name not in ("start", "all"):  # the prior's draws come in another order
            assert d.law == pytest.approx(gap, rel=1e-6)


def test_with_nothing_switched_on_the_law_is_exact():
    for eta in (0.0, 1.0):
        runs = one_gaussian(eta=eta, n=3000)
        x = runs.sample()
        assert abs(float(x.square().mean()) / S**2 - 1) < 5 * math.sqrt(2 / 3000)
        assert runs.distance().law == runs.distance().paths == 0.0
        assert 0 < runs.floor(generator=torch.Generator().manual_seed(1)) < 0.1


def test_no_error_where_there_is_none():
    """With the exact score "score" is silent, with eta = 1 the start is nearly forgotten, and paths
    move more than laws."""
    p, sde = garden(torch.float64), VP()
    runs = FourErrors(
        p,
        sde,
        p.score_of(sde),
        uniform_times(1.0, 0.01, 40),
        n=500,
        generator=torch.Generator().manual_seed(2),
    )
    split = runs.split()
    assert set(split) == {*ERRORS, "all"}
    assert split["score"].paths == 0 and split["start"].paths < 0.01
    assert split["step"].paths > 0.1 > 3 * split["step"].law / 2
    for d in split.values():
        assert d.law <= d.paths / math.sqrt(2) * (1 + 1e-9)  # sliced W₂ in the plane


def test_a_better_grid_and_step_leave_less():
    p, sde = garden(torch.float64), VE(0.01, 8.0)
    found = {}
    for name, times, step in (
        ("uniform", uniform_times(1.0, 0.01, 20), euler_maruyama),
        ("karras", karras_times(sde, 1.0, 0.01, 20), heun),
    ):
        runs = FourErrors(
            p,
            sde,
            p.score_of(sde),
            times,
            step,
            n=300,
            eta=0.0,
            generator=torch.Generator().manual_seed(3),
        )
        found[name] = runs.distance("step").paths
    assert found["karras"] < found["uniform"] / 5


def test_what_it_refuses():
    p, sde = garden(torch.float64), VP()
    make = lambda times: FourErrors(
        p, sde, p.score_of(sde), torch.tensor(times), n=10, generator=torch.Generator()
    )
    for times in ([0.01, 1.0], [1.0, 0.5, 0.0], [0.9, 0.1], [1.0, 0.2, 0.3]):
        with pytest.raises(ValueError, match=r"times = \[.*T = 1"):
            make(times)
    with pytest.raises(ValueError, match="on = .*stopp.*score, step, start, stop"):
        make([1.0, 0.5, 0.1]).sample("stopp")
    for name, wrong in (("n", 0), ("n", 2.5), ("fine", 0), ("generator", None), ("generator", 0)):
        given = {"n": 5, "fine": 5, "generator": torch.Generator()} | {name: wrong}
        with pytest.raises(ValueError, match=f"{name} = {wrong}"):
            FourErrors(p, sde, p.score_of(sde), torch.tensor([1.0, 0.1]), **given)
