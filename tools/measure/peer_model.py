"""Train another library's Fashion-MNIST model at the cost of ours, and measure its samples: python
tools/measure/peer_model.py

The model is the U-Net of smalldiffusion's example `fashion_mnist_unet.py` with its own schedule,
loss, learning rate, average of the weights and sampler, and our batch size. It has as many seconds
of one core of this machine as the training of our network would
take here, in float32: the time of one of our steps, measured first, times our steps. Its authors
give it 300 epochs on a GPU.
Writes results/peer_model.csv.  Needs smalldiffusion (0.5.0 was used) and the real Fashion-MNIST.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import table
import torch

from sdelib.book.classifier import features, stored_moments
from sdelib.book.data import fashion_mnist
from sdelib.denoiser import DenoiserLoss
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.metrics import frechet_distance, moments, precision_recall

OUT = table.RESULTS / "peer_model.csv"
OURS = "denoiser-small"
N, EMA, LR, BATCH = 500, 0.999, 7e-4, 128
FIELDS = (
    "parameters",
    "train_seconds",
    "train_steps",
    "sampler",
    "evaluations",
    "n",
    "frechet",
    "precision",
    "recall",
    "seconds",
    "date",
)


class Mirrored(torch.utils.data.Dataset):
    """The training images in [−1, 1], each mirrored with probability ½: the example's transform."""

    def __init__(self, images: torch.Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> torch.Tensor:
        x = self.images[i] * 2 - 1
        return x.flip(-1) if torch.rand(()) < 0.5 else x


def our_cost(data) -> float:
    """Seconds of one core that the training of OURS would take here: its steps, times the least
    time of one of six."""
    network, loss, times = Denoiser(tuple(weights.load(OURS).config["widths"])), DenoiserLoss(), []
    optimiser, x, y = (
        torch.optim.AdamW(network.parameters()),
        data.images[:BATCH],
        data.labels[:BATCH],
    )
    for k in range(6):
        start = time.process_time()
        loss(
            network, x, y, *loss.draw(x, y, generator=torch.Generator().manual_seed(k))
        ).mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.process_time() - start)
    return min(times) * weights.provenance(OURS)["steps"]


def trained(seconds: float, images: torch.Tensor):
    """(the averaged network, its schedule, steps): the example's training, stopped after so much
    processor time."""
    from accelerate import Accelerator
    from smalldiffusion import Scaled, ScheduleLogLinear, Unet, training_loop

    torch.manual_seed(0)
    schedule = ScheduleLogLinear(sigma_min=0.01, sigma_max=20, N=800)
    network = Scaled(Unet)(28, 1, 1, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(14,))
    network.compile()
    loader = torch.utils.data.DataLoader(Mirrored(images), batch_size=BATCH, shuffle=True)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    start, step = time.process_time(), 0
    for state in training_loop(loader, network, schedule, Accelerator(cpu=True), lr=LR):
        step += 1  # it yields before the step, so the average is one step behind
        beta = min(EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            for k, v in network.state_dict().items():
                average[k].lerp_(v, 1 - beta)
        if step % 20 == 1:
            print(
                f"step {step}, {time.process_time() - start:.0f} s, loss {state.loss.item():.4f}",
                flush=True,
            )
        if time.process_time() - start > seconds:
            break
    spent, plain = (
        time.process_time() - start,
        Scaled(Unet)(28, 1, 1, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(14,)),
    )
    plain.load_state_dict(average)
    return plain.eval().requires_grad_(False), schedule, step, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"of processor time for the training (default: what {OURS} would take)",
    )
    given = parser.parse_args().seconds
    data = fashion_mnist()
    if not data.real:
        sys.exit("this needs the real Fashion-MNIST")
    from accelerate import Accelerator
    from smalldiffusion import samples

    seconds = our_cost(data) if given is None else given
    print(f"{seconds:.0f} s of one core", flush=True)
    network, schedule, steps, spent = trained(seconds, data.images)
    classifier = weights.load("classifier")
    real = data.images[torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[:N]]
    rows = []
    for evaluations in (20, 50):
        torch.manual_seed(1)
        start, drawn = time.perf_counter(), []
        for _ in range(N // 50):
            *_, x = samples(
                network,
                schedule.sample_sigmas(evaluations),
                gam=1.6,
                batchsize=50,
                accelerator=Accelerator(cpu=True),
            )
            drawn.append(((x + 1) / 2).clamp(0, 1))
        took, f = time.perf_counter() - start, features(torch.cat(drawn), classifier)
        precision, recall = precision_recall(features(real, classifier), f)
        rows.append(
            (
                sum(p.numel() for p in network.parameters()),
                round(spent),
                steps,
                "its own (gam 1.6)",
                evaluations,
                N,
                round(frechet_distance(moments(f), stored_moments()), 4),
                round(precision, 4),
                round(recall, 4),
                round(took, 1),
                table.today(),
            )
        )
        print(rows[-1], flush=True)
    head = [
        "command: python tools/measure/peer_model.py"
        + ("" if given is None else f" --seconds {given:g}"),
        (
            "smalldiffusion 0.5.0, the U-Net of its example fashion_mnist_unet.py: its "
            "schedule (σ from 20 to 0.01), loss, learning rate 7e-4,"
        ),
        (
            f"  β 0.999, mirrored images and sampler; batch {BATCH}, float32.  "
            "train_seconds: of one core of this machine"
        )
        + (f"; {OURS} would take as many here." if given is None else "."),
        "frechet, precision, recall: as in quality.csv.",
        f"device: {table.machine()}; {table.versions('torch')}",
    ]
    table.write(OUT, head, list(FIELDS), [dict(zip(FIELDS, row)) for row in rows])


if __name__ == "__main__":
    main()
