"""The probability flow: orders, codes, and likelihoods that are known in closed form."""

import math

import pytest
import torch

from sdelib.book.toys import GeometricBrownian, garden
from sdelib.brownian import Still
from sdelib.densities import GaussianMixture
from sdelib.grids import uniform_times
from sdelib.probability_flow import (
    Hutchinson,
    bits_per_dim,
    decode,
    dequantise,
    encode,
    exact_trace,
    flow,
    grey_levels,
    interpolate,
    log_likelihood,
    prior_log_prob,
    rk45,
)
from sdelib.reversal import Reverse
from sdelib.sdes import VE, VP, NoiseLevel, SubVP
from sdelib.solvers import Counted, euler_maruyama, heun, solve

PROCESSES = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["VE", "VE.power", "VP", "SubVP", "NoiseLevel"]


def gaussian(sde, mean=0.7, std=0.4, d=2):
    return GaussianMixture([1.0], torch.full((1, d), mean, dtype=torch.float64), std)


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_the_flow_of_a_gaussian_is_known(sde):
    """x_t − scale_t m = √(scale_t² s² + std_t²) · const along the flow; solved to a tolerance of
    1e-8, one of 1e-6 holds."""
    p = gaussian(sde)
    x = torch.linspace(-2, 3, 14, dtype=torch.float64).reshape(7, 2)
    spread = lambda t: (lambda scale, std: (scale * 0.7, (scale**2 * 0.16 + std**2).sqrt()))(
        *sde.marginal(torch.tensor(t).double())
    )
    (m0, s0), (m1, s1) = spread(0.01 * sde.T), spread(sde.T)
    exact = m1 + (x - m0) / s0 * s1
    found, nfe = flow(sde, p.score_of(sde), x, 0.01 * sde.T, sde.T, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        encode(sde, p.score_of(sde), x, t_min=0.01 * sde.T, rtol=1e-8, atol=1e-8),
        found,
        rtol=0,
        atol=0,
    )
    assert 0 < nfe < 2000


@pytest.mark.parametrize(
    "step, order, steps",
    [(euler_maruyama, 1, (160, 320, 640)), (heun, 2, (40, 80, 160)), (rk45, 5, (20, 28, 40))],
)
def test_orders_of_the_ode_steps(step, order, steps):
    """On the exact flow of a mixture, against scipy's adaptive method at 1e-11."""
    mixture, sde = garden(torch.float64), VP()
    x = mixture.diffused(sde, 1.0).sample(40, generator=torch.Generator().manual_seed(1))
    exact, _ = flow(sde, mixture.score_of(sde), x, 1.0, 0.4, rtol=1e-11, atol=1e-11)
    ode = Reverse(sde, mixture.score_of(sde), eta=0.0)
    error = torch.stack(
        [
            (solve(ode, x, uniform_times(1.0, 0.4, n), step, noise=Still(x)) - exact)
            .square()
            .mean()
            .sqrt()
            for n in steps
        ]
    )
    a, b = torch.tensor(steps, dtype=torch.float64).log(), error.log()
    slope = -float(((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum())
    assert slope == pytest.approx(order, abs=0.15) if order < 5 else slope > 4


def test_rk45_is_scipys_own_step_and_costs_six():
    """On dx = t⁴ dt one step is exact (order 5); on x' = x it is the Taylor series to h⁵ with
    scipy's h⁶/600."""

    class Power(GeometricBrownian):
        def drift(self, x, t):
            return t**4 * torch.ones_like(x)

        def diffusion(self, x, t):
            return torch.zeros_like(x)

    x, t, h = (torch.tensor(a, dtype=torch.float64) for a in (0.5, 1.0, 0.3))
    assert float(rk45(Power(), x, t, h, 0 * x)) == pytest.approx(0.5 + (1.3**5 - 1) / 5, rel=1e-14)

    class Growth(Power):
        def drift(self, x, t):
            return x

    series = sum(0.3**k / math.factorial(k) for k in range(6)) + 0.3**6 / 600
    assert float(rk45(Growth(), x, t, h, 0 * x)) == pytest.approx(0.5 * series, rel=1e-14)
    score = Counted(lambda x, t: -x)
    y = torch.ones(3, dtype=torch.float64)
    solve(Reverse(VP(), score, 0.0), y, uniform_times(1.0, 0.5, 4), rk45, noise=Still(y))
    assert score.calls == 24
    with pytest.raises(ValueError, match="sde has noise at t = 1: rk45 solves ODEs"):
        solve(Reverse(VP(), score, 1.0), y, uniform_times(1.0, 0.5, 4), rk45, noise=Still(y))


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
@pytest.mark.parametrize("tol", [1e-4, 1e-7])
def test_decode_undoes_encode_to_its_tolerance(sde, tol):
    mixture = garden(torch.float64)
    x = mixture.sample(30, generator=torch.Generator().manual_seed(2))
    t_min = 0.01 * sde.T
    z = encode(sde, mixture.score_of(sde), x, t_min=t_min, rtol=tol, atol=tol)
    back = decode(sde, mixture.score_of(sde), z, t_min=t_min, rtol=tol, atol=tol)
    # local errors of tol add up over some 10 to 100 steps, and the way back stretches them by at
    # most about 100
    assert float((back - x).square().mean().sqrt()) < 3e3 * tol
    assert float((z - x).square().mean().sqrt()) > 0.3


def test_float32_state_stays_float32():
    x = torch.ones(3, 1, 2, 2)
    y, nfe = flow(VP(), lambda x, t: -x, x, 1.0, 0.1)
    assert y.dtype == torch.float32 and y.shape == x.shape
    torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4)  # N(0, 1) does not move under VP


def test_interpolate_walks_the_great_circle():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    out = interpolate(a, b, torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    torch.testing.assert_close(
        out, 3 * torch.tensor([[1, 0], [math.cos(math.pi / 6), 0.5], [0.5**0.5, 0.5**0.5], [0, 1]])
    )
    g = torch.Generator().manual_seed(3)
    a, b = (torch.randn(1, 28, 28, generator=g) for _ in range(2))
    mid = interpolate(a, b, torch.tensor([0.5]))
    assert mid.shape == (1, 1, 28, 28)
    assert float(mid.norm()) == pytest.approx(28, rel=0.1) and float(((a + b) / 2).norm()) < 22
    with pytest.raises(ValueError, match="a has shape"):
        interpolate(a, b[0], torch.tensor([0.5]))
    for other in (a, -2 * a):
        with pytest.raises(ValueError, match="span no circle"):
            interpolate(a, other, torch.tensor([0.5]))


# ---- likelihood


@pytest.mark.parametrize("sde", PROCESSES, ids=NAMES)
def test_likelihood_of_a_mixture_to_1e_4_with_the_exact_terminal_density(sde):
    mixture = garden(torch.float64)
    t_min = 0.001 * sde.T
    x = mixture.diffused(sde, t_min).sample(20, generator=torch.Generator().manual_seed(4))
    found = log_likelihood(
        sde,
        mixture.score_of(sde),
        x,
        t_min=t_min,
        trace=exact_trace,
        terminal=mixture.diffused(sde, sde.T).log_prob,
        rtol=1e-8,
        atol=1e-8,
    )
    torch.testing.assert_close(
        found.log_p, mixture.diffused(sde, t_min).log_prob(x), rtol=0, atol=1e-4
    )
    assert bool((found.std_error == 0).all()) and found.code.shape == x.shape


@pytest.mark.parametrize("sde", [VE.power(25.0), VP()], ids=["VE.power", "VP"])
def test_with_the_prior_the_gap_is_the_start_error(sde):
    """The flow carries p_T to p_tmin and π to q, so log p − log q at x is log p_T − log π at its
    code, point by point."""
    mixture = garden(torch.float64)
    x = mixture.diffused(sde, 0.01).sample(20, generator=torch.Generator().manual_seed(5))
    options = dict(t_min=0.01, trace=exact_trace, rtol=1e-7, atol=1e-7)
    q = log_likelihood(sde, mixture.score_of(sde), x, terminal=prior_log_prob(sde), **options)
    p_T = mixture.diffused(sde, sde.T)
    gap = mixture.diffused(sde, 0.01).log_prob(x) - q.log_p
    torch.testing.assert_close(
        gap, p_T.log_prob(q.code) - prior_log_prob(sde)(q.code), rtol=0, atol=1e-4
    )
    assert float(gap.abs().max()) > 1e-3


def test_prior_log_prob():
    sde, x = (
        VE.power(25.0),
        torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64),
    )
    truth = (
        torch.distributions.Normal(0.0, torch.tensor(sde.prior_std).double())
        .log_prob(x)
        .sum((1, 2))
    )
    torch.testing.assert_close(prior_log_prob(sde)(x), truth)


def test_hutchinson_is_unbiased_with_the_error_it_states():
    """Against the exact trace of a correlated Gaussian in 6 dimensions, 64 probes: 18 of 20 within
    3 of its standard errors."""
    g = torch.Generator().manual_seed(7)
    a = torch.randn(6, 6, generator=g, dtype=torch.float64)
    p = GaussianMixture(
        [1.0], torch.zeros(1, 6, dtype=torch.float64), (a @ a.T / 6 + 0.1 * torch.eye(6))[None]
    )
    sde = VP()
    x = p.diffused(sde, 0.01).sample(20, generator=g)
    options = dict(t_min=0.01, terminal=p.diffused(sde, 1.0).log_prob, rtol=1e-5, atol=1e-5)
    exact = log_likelihood(sde, p.score_of(sde), x, trace=exact_trace, **options)
    rough = log_likelihood(sde, p.score_of(sde), x, trace=Hutchinson(x, 64, generator=g), **options)
    z = (rough.log_p - exact.log_p) / rough.std_error
    assert int((z.abs() < 3).sum()) >= 18 and 0.4 < float(z.square().mean()) < 2.2
    assert abs(float(z.mean())) < 5 / math.sqrt(20)
    one = log_likelihood(sde, p.score_of(sde), x, trace=Hutchinson(x, 1, generator=g), **options)
    assert bool(one.std_error.isnan().all()) and bool(one.log_p.isfinite().all())


def test_variance_of_hutchinsons_signs():
    """Var[uᵀJu] = 2 Σ_{i≠j} ((J_ij + J_ji)/2)² for random signs: the diagonal costs nothing."""
    J = torch.tensor([[3.0, 1.0, 0.0], [0.5, -2.0, 0.2], [0.0, 0.4, 1.0]], dtype=torch.float64)
    k = 20_000
    x = torch.zeros(1, 3, dtype=torch.float64)
    _, found = Hutchinson(x, k, generator=torch.Generator().manual_seed(8))(lambda y: y @ J.T, x)
    S = (J + J.T) / 2
    variance = 2 * float(S.square().sum() - S.diag().square().sum())
    assert found.shape == (k, 1)
    assert abs(float(found.mean()) - 2) < 5 * math.sqrt(variance / k)
    # the variance of a variance from k draws with a bounded fourth moment: 5 of its own standard
    # errors
    d = (found - 2).square().flatten()
    assert abs(float(d.mean()) - variance) < 5 * float(d.std()) / math.sqrt(k)


def test_gaussian_probes_agree_with_signs_and_are_noisier():
    """Var[uᵀJu] = 2‖S‖² for u ~ N(0, I), S the symmetric part: the diagonal's share is what signs
    do not have."""
    J = torch.tensor([[3.0, 1.0, 0.0], [0.5, -2.0, 0.2], [0.0, 0.4, 1.0]], dtype=torch.float64)
    k, x = 20_000, torch.zeros(1, 3, dtype=torch.float64)
    S, g = (J + J.T) / 2, torch.Generator().manual_seed(12)
    signs, normal = (
        Hutchinson(x, k, gaussian=kind, generator=g)(lambda y: y @ J.T, x)[1][:, 0]
        for kind in (False, True)
    )
    assert abs(float(signs.mean() - normal.mean())) < 3 * math.sqrt(
        float(signs.var() + normal.var()) / k
    )
    d = (normal - 2).square()
    assert abs(float(d.mean()) - 2 * float(S.square().sum())) < 5 * float(d.std()) / math.sqrt(k)
    assert Hutchinson(x.float(), 2, gaussian=True, generator=g).u.dtype == torch.float32


def test_networks_in_float32_give_likelihoods():
    """A float32 score of images: N(0, 1) under VP has log p = log π, to the tolerance and
    float32."""
    x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(9))
    sde = VP()
    found = log_likelihood(
        sde,
        lambda x, t: -x,
        x,
        t_min=1e-3,
        trace=Hutchinson(x, 2, generator=torch.Generator().manual_seed(1)),
        terminal=prior_log_prob(sde),
    )
    truth = -(x.flatten(1).double() ** 2).sum(1) / 2 - 8 * math.log(2 * math.pi)
    torch.testing.assert_close(found.log_p, truth, rtol=0, atol=2e-3)
    assert bool((found.std_error < 1e-4).all())  # the Jacobian is diagonal: no variance


# ---- bits


def test_bits_per_dim():
    assert float(bits_per_dim(torch.tensor(0.0), 784)) == 8.0  # uniform on [0, 1]^d
    assert float(bits_per_dim(torch.tensor(-math.log(2) * 784), 784)) == pytest.approx(9.0)
    assert (
        float(bits_per_dim(torch.tensor(0.0), 10, width=2 / 256)) == 7.0
    )  # the same images on [0, 2]…
    assert float(bits_per_dim(torch.tensor(-10 * math.log(2)), 10, width=2 / 256)) == pytest.approx(
        8.0
    )  # …with density 2^-d
    for bad in (dict(d=0), dict(d=-3), dict(d=2, width=0.0)):
        with pytest.raises(ValueError, match="d = "):
            bits_per_dim(torch.tensor(0.0), **bad)


def test_dequantise_stays_in_its_cube():
    k = torch.arange(256.0).reshape(1, 1, 16, 16)
    y = dequantise(k / 255, generator=torch.Generator().manual_seed(10))
    assert torch.equal((y * 256).floor(), k) and float(y.min()) >= 0 and float(y.max()) < 1
    u = (y * 256 - k).double()
    assert abs(float(u.mean()) - 0.5) < 5 / math.sqrt(12 * 256)
    assert torch.equal(grey_levels(k / 255), k)
    for bad in (y, k, torch.tensor([-1 / 255])):
        with pytest.raises(ValueError, match="not multiples of 1/255"):
            dequantise(bad, generator=torch.Generator())


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_bad_arguments_raise(name):
    x = torch.ones(2, 2)
    for value in (0.0, -1e-3, math.nan):
        with pytest.raises(ValueError, match=name):
            flow(VP(), lambda x, t: -x, x, 1.0, 0.1, **{name: value})
    with pytest.raises(ValueError, match="start = stop"):
        flow(VP(), lambda x, t: -x, x, 0.5, 0.5)
    with pytest.raises(ValueError, match=r"leaves \[0, 1"):
        flow(VP(), lambda x, t: -x, x, 1.5, 0.1)
    with pytest.raises(ValueError, match=r"score.*shape \(1, 2\)"):
        flow(VP(), lambda x, t: -x[:1], x, 1.0, 0.1)
    with pytest.raises(ValueError, match="score.*nan"):
        log_likelihood(
            VP(),
            lambda x, t: x * math.nan,
            x,
            t_min=0.1,
            trace=exact_trace,
            terminal=prior_log_prob(VP()),
        )
    for k in (0, 2.5):
        with pytest.raises(ValueError, match="k = "):
            Hutchinson(x, k, generator=torch.Generator())
