"""The same code on a GPU: what it computes is what the CPU computes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sdelib.book.baking import RECIPES, stored_table
from sdelib.book.classifier import features
from sdelib.denoiser import DenoiserLoss
from sdelib.families import VE, VP, SubVP
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.by_name import SOLVERS, sample_denoiser
from sdelib.own.devices import device_name, in_bfloat16, on_gpu
from sdelib.own.training import train
from sdelib.widgets import Explorer
from sdelib.widgets.frames import decode

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
LEVEL = 1 / 255


@pytest.fixture(autouse=True)
def exact(tf32):
    """float32 products in float32: TF32 keeps 10 bits of 23."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def drawn(network, device, solver="dpm++2m", sde=VE(0.01, 80.0), n=20, evaluations=18, **how):
    return sample_denoiser(
        network,
        sde,
        n,
        solver=solver,
        evaluations=evaluations,
        label=torch.arange(n, device=device) % 10,
        generator=torch.Generator().manual_seed(0),
        device=device,
        **how,
    )[0]


@pytest.mark.parametrize("name", ["denoiser", "denoiser-small"])
def test_the_denoiser_is_the_same_function(name, generator):
    network = weights.load(name)
    x, sigma = torch.randn(20, 1, 28, 28, generator=generator), torch.logspace(-2.5, 2, 20)
    y = torch.arange(20) % 10
    here = network(sigma.view(-1, 1, 1, 1) * x, sigma, y)
    there = network.to(CUDA)(
        sigma.view(-1, 1, 1, 1).to(CUDA) * x.to(CUDA), sigma.to(CUDA), y.to(CUDA)
    ).cpu()
    assert (
        here - there
    ).abs().max() < 1e-4  # sums of some thousand products of float32, in another order


@pytest.mark.parametrize("sde", [VE(0.01, 80.0), VP(), SubVP()], ids=["VE", "VP", "sub-VP"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_draws_the_images_that_the_cpu_draws(solver, sde):
    """The random numbers are the CPU's. An image may differ by rounding that grows on the way: a
    grey level in the mean is allowed."""
    network = weights.load("denoiser-small")
    here = drawn(network, "cpu", solver, sde, n=4)
    there = drawn(network.to(CUDA), CUDA, solver, sde, n=4)
    assert (here - there).abs().mean() < LEVEL and torch.isfinite(there).all()


def test_bfloat16_draws_nearly_the_same_images():
    """A product is right to 2⁻⁹ of it. Without fresh noise an image keeps its identity: less than 4
    grey levels in the mean."""
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
        gradients[device] = torch.cat(
            [p.grad.flatten().cpu().clone() for p in net.parameters() if p.grad is not None]
        )
    here, there = gradients.values()
    assert (here - there).norm() < 1e-4 * here.norm()


def test_features_are_the_same(generator):
    images, classifier = torch.rand(200, 1, 28, 28, generator=generator), weights.load("classifier")
    here = features(images, classifier)
    assert torch.allclose(
        features(images.to(CUDA), classifier.to(CUDA)).cpu(), here, rtol=1e-3, atol=1e-3
    )


# ---------------------------------------------------------------- the chapters


def test_a_network_on_the_gpu_answers_where_it_was_asked(generator):
    """With float32 products, although TF32 is allowed to everything else."""
    torch.backends.cudnn.allow_tf32 = True
    here, there = weights.load("unet-sigma25"), on_gpu(weights.load("unet-sigma25"))
    x, t = torch.randn(8, 1, 28, 28, generator=generator), torch.tensor(0.5)
    x.requires_grad_()
    assert next(there.parameters()).is_cuda and on_gpu(there) is there
    assert type(there) is type(here)
    for net, known in ((there, here), (there.on(VE.power(10.0)), here.on(VE.power(10.0)))):
        answer, of_cpu = net(x, t), known(x, t)  # the second is a copy that shares the weights
        assert answer.device == x.device
        assert (answer - of_cpu).abs().max() < 1e-3 * of_cpu.abs().max()
        assert net(x.to(CUDA), t).is_cuda
        (slope,), (of_cpu,) = (torch.autograd.grad(a.sum(), x) for a in (answer, of_cpu))
        assert slope.device == x.device
        assert (slope - of_cpu).abs().max() < 1e-3 * of_cpu.abs().max()
        assert torch.backends.cudnn.allow_tf32


def test_the_gpu_is_named_where_networks_run():
    assert device_name() == device_name(
        CUDA
    ) == torch.cuda.get_device_name() and "CPU" in device_name(torch.device("cpu"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_slide_is_answered_from_the_gpu_with_the_frame_that_is_stored(name, say):
    """The stored frames were drawn on one machine. Float32 in another order, grown on the way: a
    grey level in the mean."""
    controls, compute = RECIPES[name]()
    table = stored_table(name)
    widget, heard, seconds = Explorer(controls, table, compute), [], []
    widget.send = lambda content, buffers=None: heard.append(content)
    for j in range(4):
        keys = {c.name: c.keys[(j * (len(c.keys) - 1)) // 3] for c in controls}
        start = time.perf_counter()
        widget._receive(widget, {"kind": "compute", "id": "1", "values": keys}, [])
        seconds.append(time.perf_counter() - start)
        assert heard[-1]["kind"] == "frame", heard[-1]
        (frame,), stored = decode(heard[-1]["frame"]), table.frame(**keys)
        off = np.abs(frame.arrays["pixels"].astype(int) - stored.arrays["pixels"].astype(int))
        assert off.mean() < 1, f"{keys}: {off.mean():.2f} grey levels"
    say(
        f"{name}: a slide took {1e3 * min(seconds):.0f} to {1e3 * max(seconds):.0f} "
        f"ms on {device_name()}"
    )


# ---------------------------------------------------------------- training


def learn(objective=DenoiserLoss(), **how):
    """The losses of a short training of a small denoiser."""
    torch.manual_seed(0)
    x, y = (
        torch.rand(256, 1, 28, 28, generator=torch.Generator().manual_seed(1)),
        torch.arange(256) % 10,
    )
    return train(
        Denoiser((16, 32)),
        objective,
        (x, y),
        steps=30,
        batch_size=64,
        lr=2e-3,
        warmup=5,
        progress=False,
        **how,
    ).losses


def test_training_on_the_gpu_learns_what_the_cpu_learns():
    """The same batches and the same noise, so the losses agree until rounding has grown through
    thirty steps."""
    assert torch.allclose(learn(), learn(cpu=True), rtol=2e-2)


def test_training_in_bfloat16_learns_nearly_the_same():
    exact, rounded = learn(), learn(precision="bf16")
    assert (exact - rounded).abs().max() > 0 and torch.allclose(
        exact, rounded, rtol=0.1
    )  # 8 bits in each product


def test_training_on_the_gpu_resumes(tmp_path):
    """Cut at the 25th step, it goes on from the checkpoint of the 20th to nearly the same losses: a
    GPU adds in any order."""

    class PowerCut(Exception):
        pass

    @dataclass(frozen=True)
    class Unplugged(DenoiserLoss):
        def draw(self, *batch, generator):
            drawn.append(batch)
            if len(drawn) > 25:
                raise PowerCut
            return super().draw(*batch, generator=generator)

    drawn, file = [], tmp_path / "run.ckpt"
    with pytest.raises(PowerCut):
        learn(Unplugged(), checkpoint=file, every=10)
    assert torch.allclose(learn(checkpoint=file, every=10), learn(), rtol=1e-2)
