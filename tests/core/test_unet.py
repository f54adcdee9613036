"""The networks' bodies: of any size and any number of channels, in one and in two dimensions; what
the bundled weights answer does not change."""

import json

import pytest
import torch
import torch.nn.functional as F

from sdelib.checks import like
from sdelib.families import VE, VP
from sdelib.networks import MLP, Denoiser, DenoiserMLP, ScoreMLP, ScoreNetwork, ScoreUNet, UNet
from sdelib.own import weights
from sdelib.own.training import train
from sdelib.score_matching import DenoisingLoss

f64 = dict(dtype=torch.float64)
NORMAL = dict(data_mean=0.4, data_std=0.7)
KINDS = {
    "garment": (lambda: Denoiser((8, 8), **NORMAL), (1, 28, 28)),
    "least": (lambda: Denoiser((8, 8), **NORMAL), (1, 4, 4)),
    "odd": (lambda: Denoiser((16, 24), **NORMAL), (1, 5, 11)),
    "colour": (lambda: Denoiser((24, 16), channels=3, classes=2, **NORMAL), (3, 9, 6)),
    "three levels": (lambda: Denoiser((8, 16, 40), channels=2, **NORMAL), (2, 17, 24)),
    "three levels, least": (lambda: Denoiser((8, 8, 8), channels=3, **NORMAL), (3, 4, 5)),
    "series": (lambda: Denoiser((8, 16), dims=1, classes=0, **NORMAL), (21,)),
    "series of two": (lambda: Denoiser((8, 8, 24), dims=1, channels=2, **NORMAL), (2, 50)),
    "least series": (lambda: Denoiser((8, 8), dims=1, **NORMAL), (4,)),
    "points": (lambda: DenoiserMLP(3, 16, classes=4, depth=2, **NORMAL), (3,)),
    "one hidden layer": (lambda: DenoiserMLP(1, 8, depth=1, **NORMAL), (1,)),
}


def draw(*shape, seed=1, **kind):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **{**f64, **kind})


def shaken(make):
    """The network in double precision, with random weights: every part of it matters."""
    torch.manual_seed(0)
    network = make().double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return network


# ---- what stood before stands


def published(w, u, ratio, label):
    """F(u, ratio, label) from the state dict of a bundled U-Net, written out."""

    def conv(name, h, **how):
        return F.conv2d(h, w[f"{name}.weight"], w[f"{name}.bias"], **how)

    def norm(name, h):
        n = h.shape[1]
        return F.group_norm(h, min(8, n // 4), w[f"{name}.weight"], w[f"{name}.bias"])

    def dense(name, h):
        return F.linear(h, w[f"{name}.weight"], w[f"{name}.bias"])

    def block(name, h):
        r = conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", h)), padding=1)
        a, b = dense(f"{name}.embed", c)[:, :, None, None].chunk(2, dim=1)
        r = F.silu(norm(f"{name}.norm2", r) * (1 + a) + b)
        skip = conv(f"{name}.skip", h) if f"{name}.skip.weight" in w else h
        return skip + conv(f"{name}.conv2", r, padding=1)

    def attention(name, h):
        batch, n, height, width = h.shape
        qkv = conv(f"{name}.qkv", norm(f"{name}.norm", h)).reshape(batch, 3, 4, n // 4, -1)
        r = F.scaled_dot_product_attention(*qkv.transpose(-1, -2).unbind(1))
        return h + conv(f"{name}.out", r.transpose(-1, -2).reshape(batch, n, height, width))

    phase = 2 * torch.pi * (ratio.log() / 4)[:, None] * w["embed.omega"]
    c = F.silu(dense("embed.mlp.0", torch.cat([phase.sin(), phase.cos()], dim=1)))
    c = F.silu(dense("embed.mlp.2", c))
    if "label.weight" in w:
        c = c + w["label.weight"][label + 1]
    h1 = block("down.0", conv("first", u, stride=2, padding=1))
    h2 = block("down.1", h1)
    h = block("middle.0", conv("shrink", h2, stride=2, padding=1))
    h = block("middle.2", attention("middle.1", h))
    h = conv("grow", F.interpolate(h, scale_factor=2.0))
    h = block("up.0", torch.cat([h, h2], dim=1))
    h = block("up.1", torch.cat([h, h1], dim=1))
    return F.pixel_shuffle(conv("last", F.silu(norm("norm", h)), padding=1), 2)


BUNDLED = [n for n in weights.names() if n.startswith(("denoiser", "unet"))]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_network_answers_bit_for_bit_as_published(name):
    assert len(BUNDLED) == 5
    network = weights.load(name)
    u, ratio = draw(4, 1, 28, 28, dtype=torch.float32), torch.tensor([0.01, 0.3, 2.0, 90.0])
    label = torch.tensor([-1, 0, 9, 4])
    with torch.no_grad():
        found = network.correction(u, ratio, label if isinstance(network, Denoiser) else None)
        assert torch.equal(found, published(network.state_dict(), u, ratio, label))
    assert not {"channels", "dims", "levels", "shape"} & network.config.keys()


# ---- any size


@pytest.mark.parametrize("make, shape", KINDS.values(), ids=KINDS)
def test_at_initialisation_it_is_the_exact_denoiser_of_a_gaussian_of_any_size(make, shape):
    """E[x₀ | x₀ + σz = x] = m + σ_d²/(σ_d² + σ²) (x − m)."""
    network, x, sigma = make().double(), draw(4, *shape), torch.tensor([0.01, 0.2, 3.0, 99.0])
    exact = 0.4 + like(0.49 / (0.49 + sigma.double() ** 2), x) * (x - 0.4)
    with torch.no_grad():
        torch.testing.assert_close(network(x, sigma), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make, shape", KINDS.values(), ids=KINDS)
def test_each_example_is_denoised_alone_and_all_of_it(make, shape):
    """No example sees another, also in a batch of one; and each place of x moves the answer."""
    network, x = shaken(make), draw(3, *shape)
    with torch.no_grad():
        once = network(x, 0.5)
        alone = torch.cat([network(v[None], 0.5) for v in x])
    torch.testing.assert_close(once, alone, rtol=1e-9, atol=1e-10)
    gaussian = 0.4 + 0.49 / (0.49 + 0.25) * (x - 0.4)
    assert once.shape == x.shape and float((once - gaussian).abs().amin()) > 0
    u = x.clone().requires_grad_()
    sum_ = network.correction(u, torch.full((3,), 0.5, **f64)).sum()
    assert (torch.autograd.grad(sum_, u)[0] != 0).all()


def test_what_no_halving_divides_is_mirrored_at_its_edges_and_cut():
    network, u = shaken(KINDS["odd"][0]), draw(2, 1, 5, 11)
    whole, ratio = F.pad(u, (0, 1, 1, 2), mode="reflect"), torch.tensor([0.3, 4.0], **f64)
    assert whole.shape[2:] == (8, 12)
    with torch.no_grad():
        found, there = network.correction(u, ratio), network.correction(whole, ratio)
    torch.testing.assert_close(found, there[:, :, 1:6, :11], rtol=1e-12, atol=1e-12)


def test_a_series_of_one_channel_may_say_so():
    network, x = shaken(KINDS["series"][0]), draw(2, 21)
    with torch.no_grad():
        told = network(x[:, None], 0.5)
        assert torch.equal(told[:, 0], network(x, 0.5)) and told.shape == (2, 1, 21)


def test_an_image_that_is_the_same_in_each_row_is_a_series():
    """A network of two dimensions with the kernels of one of one dimension in one row, and 0 in the
    others, answers in each row what that one answers."""
    one = shaken(lambda: UNet((8, 16), channels=2, dims=1))
    two = UNet((8, 16), channels=2).double().eval()
    flat = one.state_dict()
    with torch.no_grad():
        for name, p in two.state_dict().items():
            value = flat[name]
            if name.startswith("last."):  # its channels are (channel, row, column)
                value = (
                    value.unflatten(0, (2, 1, 2)).expand(2, 2, 2, *value.shape[1:]).flatten(0, 2)
                )
            if p.ndim == 4:
                p.zero_()[:, :, min(1, p.shape[2] - 1)] = value
            else:
                p.copy_(value)
        u, ratio = draw(3, 2, 13), torch.tensor([0.1, 1.0, 9.0], **f64)
        series = one.correction(u, ratio)
        image = two.correction(u[:, :, None].expand(3, 2, 7, 13), ratio)
    expected = series[:, :, None].expand_as(image)
    torch.testing.assert_close(image, expected, rtol=1e-9, atol=1e-9)


def test_every_second_channel_becomes_a_place_between():
    from sdelib.networks.unet import spread

    h = draw(2, 6, 5)
    for channel in range(3):
        assert torch.equal(spread(h, 1)[:, channel, 0::2], h[:, 2 * channel])
        assert torch.equal(spread(h, 1)[:, channel, 1::2], h[:, 2 * channel + 1])


def test_a_third_width_is_spent_at_an_eighth_of_the_size():
    seen = {}
    network = UNet((8, 16, 24), channels=3)
    for name, module in network.named_modules():
        if type(module).__name__ == "ResBlock":
            keep = lambda m, args, y, name=name: seen.update({name: tuple(y.shape[1:])})
            module.register_forward_hook(keep)
    network.correction(torch.zeros(1, 3, 48, 64), torch.ones(1))
    assert seen["down.0"] == seen["up.1"] == (8, 24, 32)
    assert seen["middle.0.down.1"] == seen["middle.0.up.0"] == (16, 12, 16)
    assert seen["middle.0.middle.0"] == seen["middle.0.middle.2"] == (24, 6, 8)


@pytest.mark.parametrize("a", [8, 16, 24, 40, 72])
def test_any_multiple_of_eight_is_a_width(a):
    network = UNet((a, a)).train()
    assert network.correction(torch.zeros(1, 1, 4, 4), torch.ones(1)).shape == (1, 1, 4, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["odd", "points"])
def test_it_compiles_in_one_graph(kind):
    make, shape = KINDS[kind]
    network, x, sigma = shaken(make), draw(2, *shape), torch.tensor([0.3, 4.0], **f64)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, sigma), network(x, sigma), rtol=1e-9, atol=1e-9)


# ---- rebuilt from a file


@pytest.mark.parametrize(
    "make, shape",
    [
        *KINDS.values(),
        (lambda: ScoreMLP(VP(), 3, 16, classes=2, dropout=0.1, depth=2), (3,)),
        (lambda: ScoreUNet(VE(), (8, 8), classes=2, channels=3), (3, 8, 8)),
        (lambda: ScoreUNet(VE(), (8, 8, 8), dims=1, dropout=0.2), (9,)),
        (lambda: Denoiser((8, 8), levels=(0.01, 50), shape=(1, 8, 8)), (1, 8, 8)),
        (lambda: DenoiserMLP(2, 8, levels=(0.01, 50.0), dropout=0.1), (2,)),
    ],
)
def test_what_is_saved_is_loaded(make, shape, tmp_path):
    network = make().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.2 * torch.randn_like(p))
    weights.save(tmp_path / "a.safetensors", network, {})
    other = weights.load(tmp_path / "a.safetensors")
    assert json.loads(json.dumps(other.config, default=str)) == json.loads(
        json.dumps(network.config, default=str)
    )
    x, t = draw(2, *shape, dtype=torch.float32), torch.tensor(0.5)
    with torch.no_grad():
        assert torch.equal(other(x, t), network(x, t))
    for name in ("levels", "shape"):
        assert getattr(other, name, None) == getattr(network, name, None)


# ---- labels of scores


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: ScoreMLP(VP(), 3, 16, classes=3), (3,)),
        (lambda: ScoreUNet(VP(), (8, 8), classes=3, channels=3), (3, 8, 8)),
        (lambda: DenoiserMLP(3, 16, classes=3), (3,)),
    ],
)
def test_labels_are_told_one_by_one(make, shape):
    network, x, t = shaken(make), draw(4, *shape), torch.tensor(0.5, **f64)
    with torch.no_grad():
        mixed = network(x, t, torch.tensor([2, 0, -1, 2]))
        for k, label in enumerate((2, 0, None, 2)):
            one = network(x[k : k + 1], t, label)
            torch.testing.assert_close(mixed[k : k + 1], one, rtol=1e-9, atol=1e-12)
        assert (network(x, t, 2) - network(x, t, 0)).abs().max() > 1e-3
        assert torch.equal(network(x, t), network(x, t, -1))
    for label, says in (
        (3, "label = 3: .* from 0 to 2"),
        (torch.tensor([0, 1]), r"label = \[0, 1"),
    ):
        with pytest.raises(ValueError, match=says):
            network(x, t, label)


@pytest.mark.parametrize("body", [MLP(3, 16, dropout=0.5), UNet((8, 8), dropout=0.5, dims=1)])
def test_dropout_is_for_training(body):
    u, ratio = draw(4, 8 if isinstance(body, UNet) else 3, dtype=torch.float32), torch.ones(4)
    with torch.no_grad():
        for p in body.parameters():
            p.copy_(torch.randn_like(p))
        assert torch.equal(body.eval().correction(u, ratio), body.correction(u, ratio))
        assert not torch.equal(body.train().correction(u, ratio), body.correction(u, ratio))


def test_a_score_of_ones_own_needs_no_labels():
    class Own(ScoreNetwork):
        def __init__(self):
            super().__init__(VP(), 0.0, 1.0)
            self.scale = torch.nn.Parameter(torch.zeros(()))

        def correction(self, u, ratio):
            return self.scale * u

    x = draw(8, 2, dtype=torch.float32)
    how = dict(steps=2, batch_size=4, cpu=True, progress=False)
    network = train(Own(), DenoisingLoss(VP(), t_min=0.1), (x,), **how).network
    assert network(x, torch.tensor(0.5)).shape == x.shape


# ---- what is refused


@pytest.mark.parametrize(
    "act, says",
    [
        (lambda: UNet((8,)), r"widths = \(8,\)"),
        (lambda: UNet((8, 8, 8, 8)), r"widths = \(8, 8, 8, 8\)"),
        (lambda: UNet((8, 12)), r"widths = \(8, 12\)"),
        (lambda: UNet((8, 8), dims=3), "dims = 3"),
        (lambda: UNet((8, 8), channels=0), "channels = 0"),
        (lambda: UNet((8, 8), classes=-1), "classes = -1"),
        (lambda: UNet((8, 8), dropout=1.0), r"dropout = 1\.0"),
        (lambda: MLP(2, 7), "width = 7"),
        (lambda: MLP(2, 8, depth=0), "depth = 0"),
        (lambda: MLP(0), "dim = 0"),
        (lambda: Denoiser((8, 8), channels=3)(torch.rand(2, 1, 8, 8), 1.0), r"\(2, 1, 8, 8\)"),
        (lambda: Denoiser((8, 8), dims=1)(torch.rand(2, 3), 1.0), r"x = \(2, 3\).*length"),
        (lambda: Denoiser((8, 8), dims=1)(torch.rand(2, 1, 8, 8), 1.0), r"x = \(2, 1, 8, 8\)"),
        (lambda: Denoiser((8, 8), shape=(3, 8, 8)), r"shape\) = \(1, 3, 8, 8\)"),
        (lambda: Denoiser((8, 8), dims=1, shape=(1, 8, 8)), r"shape\) = \(1, 1, 8, 8\)"),
        (lambda: DenoiserMLP(2, 8)(torch.rand(2, 3), 1.0), r"x has shape \(2, 3\)"),
        (lambda: DenoiserMLP(2, 8).eval()(torch.rand(2, 2), 1.0, 0), "label = 0: .* no labels"),
        (lambda: DenoiserMLP(2, 8, data_std=0.0), r"data_std = 0\.0"),
    ],
)
def test_what_is_refused(act, says):
    with pytest.raises(ValueError, match=says):
        act()
