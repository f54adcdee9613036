"""The networks: exact for a Gaussian before training, of the right shape, and able to learn."""

import math

import pytest
import torch

from sdelib.book.toys import two_modes
from sdelib.checks import like
from sdelib.densities import GaussianMixture
from sdelib.families import VE, VP, SubVP
from sdelib.networks import NoiseEmbedding, ScoreMLP, ScoreUNet
from sdelib.own.devices import device_name, on_gpu
from sdelib.own.training import train
from sdelib.score_matching import DenoisingLoss

SDES = [VE(0.01, 8.0), VE.power(25.0), VP(), SubVP()]
NAMES = ["VE", "VE.power", "VP", "SubVP"]


def networks(sde):
    torch.manual_seed(0)  # initialisation uses torch's global generator; it must not matter here
    yield ScoreMLP(sde, dim=3, width=16, data_mean=0.4, data_std=0.7), (5, 3)
    yield ScoreUNet(sde, (16, 24), data_mean=0.4, data_std=0.7), (5, 1, 8, 8)


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_at_initialisation_it_is_the_exact_score_of_a_gaussian(sde):
    """Data N(m, d²I): p_t = N(scale·m, (scale²d² + std²)I); the network starts as its score."""
    generator = torch.Generator().manual_seed(1)
    t = torch.linspace(0.01, 1, 5, dtype=torch.float64)
    p = GaussianMixture([1.0], torch.tensor([[0.4]], dtype=torch.float64), 0.7)
    for network, shape in networks(sde):
        network.double()
        x = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        scale, std = (like(a, x) for a in sde.marginal(t))
        exact = -(x - scale * 0.4) / (scale**2 * 0.49 + std**2)
        with torch.no_grad():
            torch.testing.assert_close(network(x, t), exact, rtol=1e-12, atol=1e-12)
        # … and so says the mixture, coordinate by coordinate
        flat = p.diffused(sde, t[2]).score(x[2].reshape(-1, 1)).reshape(shape[1:])
        torch.testing.assert_close(exact[2], flat, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_a_scalar_time_is_that_time_for_each(sde):
    for network, shape in networks(sde):
        torch.nn.init.normal_(
            list(network.parameters())[-2], std=0.3
        )  # so that the correction is not zero
        x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            one, many = network(x, torch.tensor(0.3)), network(x, torch.full((5,), 0.3))
            assert torch.equal(one, many) and one.shape == x.shape and one.dtype == x.dtype
            # each of the batch on its own: no image sees another (float32 rounding of other batch
            # sizes)
            alone = torch.cat([network(v[None], torch.tensor(0.3)) for v in x])
        torch.testing.assert_close(one, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sde", SDES, ids=NAMES)
def test_the_correction_is_added_as_documented(sde):
    """s = −(x − scale·m)/v + (scale·d/√v)·F/std: with F = 1 everywhere, the difference from F = 0
    is known."""
    for network, shape in networks(sde):
        x, t = torch.zeros(shape), torch.full((5,), 0.4)
        scale, std = sde.marginal(torch.tensor(0.4))
        v = std**2 + (scale * 0.7) ** 2
        with torch.no_grad():
            zero = network(x, t)
            torch.nn.init.ones_(list(network.parameters())[-1])  # the bias of the last layer: F = 1
            torch.testing.assert_close(
                network(x, t) - zero,
                (scale * 0.7 / v.sqrt() / std).expand(shape),
                rtol=1e-5,
                atol=1e-6,
            )


def test_the_same_weights_on_another_sde():
    """score(x, t) of VP and of VE are one function of (x/scale, std/scale), divided by scale."""
    torch.manual_seed(3)
    ve, vp = VE(0.01, 200.0), VP()
    for network, shape in (
        (ScoreMLP(ve, dim=3, width=16), (5, 3)),
        (ScoreUNet(ve, (16, 24)), (5, 1, 8, 8)),
    ):
        network.double()
        torch.nn.init.normal_(list(network.parameters())[-2], std=0.3)
        other = network.on(vp)
        assert other.sde == vp and network.sde == ve  # the first is left as it was
        x = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        t = torch.tensor(0.5, dtype=torch.float64)
        scale, std = vp.marginal(t)
        # the time at which VE has the same noise-to-signal ratio: σ_min² ((σ_max/σ_min)^{2t} − 1) =
        # (std/scale)²
        same = torch.log1p((std / scale / ve.sigma_min) ** 2) / (
            2 * math.log(ve.sigma_max / ve.sigma_min)
        )
        with torch.no_grad():
            torch.testing.assert_close(
                other(x, t), network(x / scale, same) / scale, rtol=1e-9, atol=1e-9
            )


def test_embedding_tells_times_apart():
    torch.manual_seed(5)
    embed = NoiseEmbedding(32)
    with torch.no_grad():
        e = embed(torch.logspace(-2, 1, 20))
    assert e.shape == (20, 32) and bool(torch.isfinite(e).all())
    assert float(torch.pdist(e).min()) > 1e-3


def test_bad_shapes_and_times_raise():
    mlp, unet = (n for n, _ in networks(VP()))
    half = torch.tensor(0.5)
    for shape in ((2, 3, 8, 8), (2, 1, 3, 8), (2, 1, 8, 2), (2, 64)):
        with pytest.raises(ValueError, match=r"x = \(2, "):
            unet(torch.zeros(shape), half)
    for shape in ((2, 4), (2, 1, 3)):
        with pytest.raises(ValueError, match=r"x has shape \(2, .*: give \(batch, 3\)"):
            mlp(torch.zeros(shape), half)
    for network, shape in networks(VP()):
        with pytest.raises(ValueError, match=r"ratio = \[0\.0"):
            network(torch.zeros(shape), torch.tensor(0.0))
        with pytest.raises(ValueError, match=r"t = 1\.5 leaves|leaves \[0, 1"):
            network(torch.zeros(shape), torch.tensor(1.5))
        with pytest.raises(ValueError, match=r"t .*\(4,\)"):
            network(torch.zeros(shape), torch.full((4,), 0.5))


@pytest.mark.parametrize("sde", [VE(0.02, 7.0, T=2.0), VP()], ids=["VE", "VP"])
def test_config_rebuilds_the_network(sde):
    for network, shape in networks(sde):
        for old in (network, network.on(SubVP())):
            new = type(old)(**old.config)
            new.load_state_dict(old.state_dict())
            assert new.config == old.config and new.sde == old.sde
            x, t = torch.rand(shape), torch.tensor(0.4)
            torch.testing.assert_close(new(x, t), old(x, t), rtol=0, atol=0)


def test_away_from_the_cpu_a_network_looks_at_no_number():
    """On the meta device there are none to look at: a check that read one would raise."""
    sde = VP()
    with torch.device("meta"):
        mlp, unet = (ScoreMLP(sde, 3, 16), (5, 3)), (ScoreUNet(sde, (16, 24)), (5, 1, 8, 8))
        for network, shape in (mlp, unet):
            assert network.correction(torch.empty(shape), torch.empty(5)).shape == shape


def fisher(score, mixture, sde, t, n=4000):
    """E_{p_t} std²‖s − exact‖²/d at one time."""
    p = mixture.diffused(sde, t)
    x = p.sample(n, generator=torch.Generator().manual_seed(6))
    t = torch.tensor(t)
    with torch.no_grad():
        return float(sde.marginal(t)[1] ** 2 * (score(x, t) - p.score(x)).square().mean())


@pytest.mark.slow
def test_it_learns_a_mixture():
    """A small ScoreMLP on 0.8/0.2 modes: its Fisher divergence falls below a tenth of the
    Gaussian's at every noise level."""
    sde, mixture = VE(0.05, 10.0), two_modes()
    torch.manual_seed(0)
    x0 = mixture.sample(8000, generator=torch.Generator().manual_seed(7))
    network = ScoreMLP(sde, width=48, data_std=1.7)
    times = (0.35, 0.5, 0.65)
    before = [fisher(network, mixture, sde, t) for t in times]
    network = train(
        network,
        DenoisingLoss(sde, t_min=0.1),
        (x0,),
        steps=500,
        batch_size=256,
        lr=4e-3,
        warmup=20,
        ema=0.98,
        cpu=True,
        progress=False,
    ).network
    after = [fisher(network, mixture, sde, t) for t in times]
    assert all(b > 0.02 for b in before)
    assert all(a < b / 10 for a, b in zip(after, before)), (before, after)


# ---- on a GPU (that it really is one: test_gpu.py)


def test_without_a_gpu_a_network_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network = ScoreMLP(VP(), width=8)
    assert on_gpu(network) is network and type(network) is ScoreMLP
    threads = torch.get_num_threads()
    assert (
        device_name() == device_name(torch.device("cpu"))
        and f"CPU ({threads} thread" in device_name()
    )


@pytest.fixture
def pretended_gpu(monkeypatch):
    """Networks do not move, and all else is as on a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: self)


def test_a_network_put_on_the_gpu_is_the_same_function(pretended_gpu):
    torch.manual_seed(0)
    network, x, t = (
        ScoreMLP(VP(), width=8),
        torch.randn(5, 2, requires_grad=True),
        torch.tensor(0.5),
    )
    with torch.no_grad():
        network.out.weight.normal_()
    here, on_ve = network(x, t), network.on(VE.power(10.0))(x, t)
    moved = on_gpu(network)
    assert moved is network is on_gpu(moved) and type(moved) is ScoreMLP
    assert torch.equal(moved(x, t), here) and torch.equal(moved.on(VE.power(10.0))(x, t), on_ve)
    assert torch.equal(
        torch.autograd.grad(moved(x, t).sum(), x)[0], torch.autograd.grad(here.sum(), x)[0]
    )


def tf32_allowed():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class Watch(torch.autograd.Function):
    """x, and the switches as they stand on the way there and on the way back."""

    @staticmethod
    def forward(ctx, x, seen):
        ctx.seen = seen
        seen.append(tf32_allowed())
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.seen.append(tf32_allowed())
        return gradient, None


class Watched(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.seen = []

    def forward(self, x):
        return Watch.apply(super().forward(Watch.apply(x, self.seen)), self.seen)


@pytest.mark.parametrize("before", [(True, True), (False, True), (False, False)])
def test_the_switch_of_tf32_is_turned_for_the_network_only(pretended_gpu, tf32, before):
    """Off inside the call and inside the derivative, and then as it was; two calls in one
    derivative, and a derivative of a derivative's result, too."""
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    network, x = on_gpu(Watched()), torch.randn(5, 2, requires_grad=True)
    y = network(x)
    assert tf32_allowed() == before
    torch.autograd.grad((y**2).sum(), x)
    assert network.seen == [(False, False)] * 4 and tf32_allowed() == before
    (network(x) + network(2 * x)).sum().backward()
    assert network.seen == [(False, False)] * 12 and tf32_allowed() == before
    (slope,) = torch.autograd.grad((network(x) ** 3).sum(), x, create_graph=True)
    slope.sum().backward()
    assert set(network.seen) == {(False, False)} and tf32_allowed() == before


@pytest.mark.fault
def test_a_call_that_fails_on_the_gpu_leaves_the_switch_and_the_network_as_they_were(
    pretended_gpu, tf32
):
    torch.backends.cudnn.allow_tf32 = True
    network, x = on_gpu(ScoreMLP(VP(), width=8)), torch.randn(5, 2)
    for wrong in (torch.randn(5, 3), torch.randn(5, 2).double()):
        with pytest.raises(ValueError, match="of x = |x has"):
            network(wrong, torch.tensor(0.5))
        assert torch.backends.cudnn.allow_tf32 and not network.visits.open
    assert network(x, torch.tensor(0.5)).shape == x.shape
