"""The same code on a GPU: what it computes is what the CPU computes."""

from __future__ import annotations

import pytest
import torch

from sdelib import weights
from sdelib.denoiser import DenoiserLoss
from sdelib.metrics import features
from sdelib.sampling import SOLVERS, in_bfloat16, sample_denoiser
from sdelib.sdes import VE, VP, SubVP

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
LEVEL = 1 / 255


@pytest.fixture(autouse=True)
def exact():
    """float32 products in float32: TF32 keeps 10 bits of 23."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def drawn(network, device, solver="dpm++2m", sde=VE(0.01, 80.0), n=20, evaluations=18, **how):
    return sample_denoiser(network, sde, n, solver=solver, evaluations=evaluations, label=torch.arange(n, device=device) % 10,
                           generator=torch.Generator().manual_seed(0), device=device, **how)[0]


@pytest.mark.parametrize("name", ["denoiser", "denoiser-small"])
def test_the_denoiser_is_the_same_function(name, generator):
    network = weights.load(name)
    x, sigma = torch.randn(20, 1, 28, 28, generator=generator), torch.logspace(-2.5, 2, 20)
    y = torch.arange(20) % 10
    here = network(sigma.view(-1, 1, 1, 1) * x, sigma, y)
    there = network.to(CUDA)(sigma.view(-1, 1, 1, 1).to(CUDA) * x.to(CUDA), sigma.to(CUDA), y.to(CUDA)).cpu()
    assert (here - there).abs().max() < 1e-4                     # sums of some thousand products of float32, in another order


@pytest.mark.parametrize("sde", [VE(0.01, 80.0), VP(), SubVP()], ids=["VE", "VP", "sub-VP"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_draws_the_images_that_the_cpu_draws(solver, sde):
    """The random numbers are the CPU's. An image may differ by rounding that grows on the way: a grey level in the mean is allowed."""
    network = weights.load("denoiser-small")
    here = drawn(network, "cpu", solver, sde, n=4)
    there = drawn(network.to(CUDA), CUDA, solver, sde, n=4)
    assert (here - there).abs().mean() < LEVEL and torch.isfinite(there).all()


def test_bfloat16_draws_nearly_the_same_images():
    """A product is right to 2⁻⁹ of it. Without fresh noise an image keeps its identity: less than 4 grey levels in the mean."""
    network = weights.load("denoiser").to(CUDA)
    exact, rounded = drawn(network, CUDA), drawn(in_bfloat16(network), CUDA)
    assert 0 < (exact - rounded).abs().mean() < 4 * LEVEL


def test_a_step_of_training_is_the_same(generator):
    network, loss = weights.load("denoiser-small").requires_grad_(True), DenoiserLoss()
    x, y = torch.rand(16, 1, 28, 28, generator=generator), torch.arange(16) % 10
    draws = loss.draw(x, y, generator=generator)
    gradients = {}
    for device in ("cpu", CUDA):
        moved = [d.to(device) if isinstance(d, torch.Tensor) else d for d in draws]
        net = network.to(device)
        net.zero_grad()
        loss(net, x.to(device), y.to(device), *moved).mean().backward()
        gradients[device] = torch.cat([p.grad.flatten().cpu().clone() for p in net.parameters() if p.grad is not None])
    here, there = gradients.values()
    assert (here - there).norm() < 1e-4 * here.norm()


def test_features_are_the_same(generator):
    images, classifier = torch.rand(200, 1, 28, 28, generator=generator), weights.load("classifier")
    here = features(images, classifier)
    assert torch.allclose(features(images.to(CUDA), classifier.to(CUDA)).cpu(), here, rtol=1e-3, atol=1e-3)
