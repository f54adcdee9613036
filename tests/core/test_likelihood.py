"""The log-density along the flow, against densities that are known in closed form."""

import math

import pytest
import torch

from sdelib.book.toys import garden
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, NoiseLevel, SubVP
from sdelib.likelihood import Hutchinson, exact_trace, log_likelihood, prior_log_prob

PROCESSES = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP(), NoiseLevel(20.0)]
NAMES = ["VE", "VE.power", "VP", "SubVP", "NoiseLevel"]


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


@pytest.mark.slow
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


def test_bad_arguments_raise():
    x = torch.ones(2, 2)
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
