"""A network as ONNX: onnxruntime computes what torch does, for any batch; what cannot be exported
is refused, and leaves no file."""

import numpy as np
import pytest
import torch
from helpers import missing

from sdelib.denoiser import NO_LABEL
from sdelib.families import VP
from sdelib.networks import Denoiser, ScoreMLP, ScoreUNet
from sdelib.own import export
from sdelib.own.export import to_onnx


@pytest.fixture(autouse=True)
def onnx():
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        missing(f"needs {error.name}: pip install onnx onnxscript onnxruntime")
    return onnx


def shaken(network):
    torch.manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return network


def run(path, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == [*inputs]
    [found] = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return torch.from_numpy(found), session.get_outputs()[0].name


class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x, sigma):
        return self.layer(x) * sigma[:, None]


@pytest.mark.slow
def test_a_score_of_points(tmp_path):
    """At times from 1e-5 on, where √(1 − e^(−B)) needs expm1, which ONNX lacks; the network is left
    as it was."""
    network = shaken(ScoreMLP(VP(), 3, 16)).double().train()
    path = to_onnx(network, tmp_path / "new" / "a.onnx", (3,))
    assert network.training and next(network.parameters()).dtype == torch.float64
    x, t = torch.randn(7, 3), torch.logspace(-5, 0, 7).clamp(max=1)
    found, name = run(path, x=x, t=t)
    right = network(x.double(), t.double())
    off = (found - right).abs().amax(1) / right.abs().amax(1)
    assert name == "score" and off.max() < 1e-5 and right.abs().amax(1).max() > 100
    assert [p.name for p in path.parent.iterdir()] == ["a.onnx"]


@pytest.mark.slow
def test_a_denoiser_of_images_at_every_level_and_label(tmp_path):
    network = shaken(Denoiser((8, 8), classes=3)).half().float().eval()
    path = to_onnx(network, str(tmp_path / "d.onnx"), (1, 8, 12), half=True)
    sigma = torch.tensor([0.002, 0.1, 1.0, 10.0, 160.0])
    label = torch.tensor([NO_LABEL, 0, 1, 2, 2], dtype=torch.int32)
    inputs = {"x": torch.randn(5, 1, 8, 12), "sigma": sigma, "label": label}
    found, name = run(path, **inputs)
    right = network(*inputs.values())
    assert name == "D" and (found - right).abs().max() < 1e-4 and right.std() > 0.1
    assert (found - network(inputs["x"], sigma)).flatten(1).abs().amax(1)[1:].min() > 1e-3
    assert run(path, **{k: v[:1] for k, v in inputs.items()})[0].shape == (1, 1, 8, 12)
    weights = sum(p.numel() for p in network.parameters())
    assert path.stat().st_size < 2.4 * weights + 60_000  # the rest is the graph


@pytest.mark.slow
def test_a_score_of_images(tmp_path):
    network = shaken(ScoreUNet(VP(), (8, 8))).eval()
    path = to_onnx(network, tmp_path / "s.onnx", (1, 8, 8))
    x, t = torch.randn(4, 1, 8, 8), torch.tensor([0.01, 0.2, 0.5, 1.0])
    found, right = run(path, x=x, t=t)[0], network(x, t)
    assert (found - right).abs().max() < 1e-4 * right.abs().max()


def test_a_network_of_ones_own_the_same_file_twice(tmp_path, onnx):
    """With what it says of itself, in a file that is the same for the same versions."""
    network = shaken(Bare())
    how = {"facts": {"weights": "mine"}, "output": "y"}
    one, two = (to_onnx(network, tmp_path / f"{n}.onnx", (2,), **how) for n in "ab")
    assert one.read_bytes() == two.read_bytes()
    says = {p.key: p.value for p in onnx.load(one).metadata_props}
    assert says == {"weights": "mine", "torch": torch.__version__, "onnx": onnx.__version__}
    x, sigma = torch.randn(5, 2), torch.rand(5)
    found, name = run(one, x=x, sigma=sigma)
    assert name == "y" and (found - network(x, sigma)).abs().max() < 1e-6


@pytest.mark.fault
def test_a_graph_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"before")
    plain = export.__dict__["_strip"]

    def spoil(model):
        from onnx import numpy_helper

        plain(model)
        for tensor in model.graph.initializer:
            value = numpy_helper.to_array(tensor)
            if value.dtype == np.float32 and value.size == 4:
                tensor.CopyFrom(numpy_helper.from_array(value + np.float32(0.01), tensor.name))

    monkeypatch.setattr(export, "_strip", spoil)
    with pytest.raises(ValueError, match="difference = 0.0.*nothing was written"):
        to_onnx(Bare(), path, (2,))
    assert path.read_bytes() == b"before" and [*tmp_path.iterdir()] == [path]


class Named(torch.nn.Module):
    def forward(self, image, sigma):
        return image


@pytest.mark.fault
@pytest.mark.parametrize(
    "network, path, shape, words",
    [
        (Bare(), ".", (2,), "path = .*folder"),
        (Bare(), "a.onnx", (3,), r"shape = \(3,\)"),
        (Bare(), "a.onnx", (0,), r"shape\[0\] = 0"),
        (Bare(), "a.onnx", (2.0,), r"shape\[0\] = 2.0"),
        (ScoreMLP(VP(), 2, 16), "a.onnx", (3,), "shape"),
        (Named(), "a.onnx", (2,), "arguments of Named = .'image', 'sigma'"),
        (torch.nn.Linear(2, 2), "a.onnx", (2,), "arguments of Linear = .'input'"),
    ],
)
def test_what_does_not_fit_is_named(network, path, shape, words, tmp_path):
    with pytest.raises(ValueError, match=words) as error:
        to_onnx(network, tmp_path / path, shape)
    assert len(str(error.value)) < 500 and not [*tmp_path.iterdir()]
