"""python -m sdelib: what it writes, what it says, and the status that it ends with."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import REAL, ROOT, call, draw, gaussian, shell, small_train
from helpers import drawn as read

from sdelib.book.classifier import ClassificationLoss, GarmentClassifier, features
from sdelib.book.data import CLASSES, FASHION_MNIST_DISTANCE
from sdelib.denoiser import SIGMA_MIN, first_time, score_from
from sdelib.families import VE, VP, NoiseLevel
from sdelib.few_steps import DPMSolver
from sdelib.grids import karras_times, uniform_grid
from sdelib.integration import solve
from sdelib.networks import ScoreUNet
from sdelib.own import samples as samples_of_own
from sdelib.own import weights
from sdelib.own.by_name import GRIDS, SOLVERS
from sdelib.own.metrics import moments
from sdelib.own.noise import NoiseOfEach
from sdelib.own.sampling import in_batches, sample_images
from sdelib.reversal import Reverse, denoise
from sdelib.solvers import euler_maruyama, heun

# ---- as a reader would run it


def test_the_command_of_the_readme(tmp_path):
    """The book's own command, with 3 of its 34 steps and 4 of its 64 images."""
    out = tmp_path / "samples.npz"
    command = next(
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("python -m sdelib sample")
    )
    words = [*command.split()[3:], "--steps", "3"]
    for option, small in (("--n", "4"), ("--out", str(out))):
        words[words.index(option) + 1] = small
    done = shell(*words)
    assert done.returncode == 0, done.stderr
    images, nfe = read(out)
    assert images.shape == (4, 28, 28) and images.dtype == np.uint8 and nfe == 4
    assert "sampling" in done.stderr and "4/4" in done.stderr  # the progress bar
    assert str(out) in done.stdout and "4 network evaluations each" in done.stdout
    assert list(tmp_path.iterdir()) == [out]


def test_help_and_wrong_arguments(tmp_path):
    done = shell("--help")
    assert done.returncode == 0 and all(
        word in done.stdout for word in ("train", "sample", "evaluate", "export", "bake")
    )
    done = shell("sample", "--solver", "magic", "--out", tmp_path / "x.npz")
    assert (
        done.returncode == 2
        and all(name in done.stderr for name in SOLVERS)
        and "Traceback" not in done.stderr
    )


# ---- sample


def test_each_command_has_help(capsys):
    for command in ("train", "sample", "evaluate", "export", "bake"):
        assert call(command, "--help") == 0
        assert f"python -m sdelib {command}" in capsys.readouterr().out


COST = {
    "heun": 2,
    "heun-ito": 2,
    "sra": 2,
    "predictor-corrector": 2,
    "probability-flow-heun": 2,
    "probability-flow-rk45": 6,
    "edm-heun": 2,
    "edm-churn": 2,
}
"""Evaluations a step where it is not one, by hand."""


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "process",
    [["--sigma", 25], [], ["--sde", "vp"], ["--sde", "subvp"]],
    ids=["power", "VE", "VP", "sub-VP"],
)
def test_every_solver_on_every_process(bundled, tmp_path, solver, process):
    """Finite images, at the cost that the table says, and the same again bit by bit."""
    args = ["--solver", solver, *process]
    assert draw(tmp_path / "a.npz", *args, n=2) == 0  # a state that is not finite would raise
    images, nfe = read(tmp_path / "a.npz")
    assert images.shape == (2, 28, 28)
    assert (
        nfe == 3 * COST.get(solver, 1) + 1 == 3 * SOLVERS[solver].evaluations + 1
    )  # and one for the denoising step
    assert draw(tmp_path / "b.npz", *args, n=2) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (
        draw(tmp_path / "a.npz", *args, "--no-denoise", n=2) == 0
        and read(tmp_path / "a.npz")[1] == nfe - 1
    )


def test_solvers_on_the_same_seed(bundled, tmp_path):
    images = {}
    for solver in SOLVERS:
        assert (
            draw(
                tmp_path / "a.npz",
                "--solver",
                solver,
                "--grid",
                "uniform",
                "--sde",
                "vp",
                n=3,
                steps=5,
            )
            == 0
        )
        images[solver] = read(tmp_path / "a.npz")[0]
    for same in (
        ("euler-maruyama", "platen", "milstein"),
        ("heun", "heun-ito"),
    ):  # additive noise: the bracket is zero
        assert all(np.array_equal(images[same[0]], images[s]) for s in same)
    different = [
        "euler-maruyama",
        *(s for s in SOLVERS if s not in ("euler-maruyama", "platen", "milstein", "heun-ito")),
    ]
    for i, a in enumerate(different):
        assert not any(np.array_equal(images[a], images[b]) for b in different[:i]), a


def test_grids(bundled, tmp_path):
    images = {}
    for grid in GRIDS:
        assert draw(tmp_path / "a.npz", "--grid", grid, n=2) == 0
        images[grid] = read(tmp_path / "a.npz")[0]
    assert len({x.tobytes() for x in images.values()}) == 3


def test_labels(bundled, tmp_path):
    """Each label gives its own images; `each` gives the ten in turn; guidance costs twice."""
    found = {}
    for label in ("sandal", 5, 7, "each"):
        assert draw(tmp_path / "a.npz", "--label", label, "--batch", 4, n=11) == 0
        found[label], nfe = read(tmp_path / "a.npz")
        assert nfe == 4
    assert np.array_equal(found["sandal"], found[5]) and not np.array_equal(found[5], found[7])
    # float32 rounding may move a pixel by one of 255 levels where the batches differ
    assert (
        abs(found["each"][5].astype(int) - found[5][5]).max() <= 1
        and abs(found["each"][7].astype(int) - found[7][7]).max() <= 1
    )
    assert (
        draw(tmp_path / "a.npz", "--label", 5, "--guidance", 3, n=11) == 0
        and read(tmp_path / "a.npz")[1] == 8
    )
    assert not np.array_equal(read(tmp_path / "a.npz")[0], found[5])
    assert draw(tmp_path / "a.npz", "--label", 5, "--guidance", 0, n=11) == 0
    free = read(tmp_path / "a.npz")[0]
    assert draw(tmp_path / "a.npz", "--label", "none", n=11) == 0 and np.array_equal(
        read(tmp_path / "a.npz")[0], free
    )
    assert draw(tmp_path / "a.npz", n=11) == 0 and np.array_equal(
        read(tmp_path / "a.npz")[0], found["each"]
    )  # with no --label
    assert CLASSES.index("sandal") == 5


def test_in_batches_splits_what_belongs_to_each_x():
    seen = []

    def f(x, sigma, label, name):
        seen.append((len(x), sigma.shape, label.shape, name))
        return x * label[:, None]

    x, label = torch.arange(10.0).reshape(5, 2), torch.arange(5)
    out = in_batches(f, 2)(x, torch.tensor(3.0), label, "whole")
    assert torch.equal(out, x * label[:, None])
    assert seen == [(k, torch.Size([]), torch.Size([k]), "whole") for k in (2, 2, 1)]


def test_seed_and_batch(bundled, tmp_path):
    found = {}
    for key in (("0", "64"), ("0", "2"), ("0", "1"), ("1", "64")):
        assert draw(tmp_path / "a.npz", "--seed", key[0], "--batch", key[1]) == 0
        found[key] = read(tmp_path / "a.npz")[0].astype(int)
    # the noise is the same whatever the batch; float32 rounding may move a pixel by one of 255
    # levels
    assert (
        abs(found["0", "64"] - found["0", "2"]).max() <= 1
        and abs(found["0", "64"] - found["0", "1"]).max() <= 1
    )
    assert abs(found["0", "64"] - found["1", "64"]).max() > 50


def test_the_first_images_are_those_of_a_shorter_run_whatever_the_chunks(bundled, tmp_path):
    assert (
        draw(tmp_path / "a.npz", "--chunk", 4, n=10) == 0
        and draw(tmp_path / "b.npz", "--chunk", 4, n=6) == 0
    )
    images = read(tmp_path / "a.npz")[0]
    assert images.shape == (10, 28, 28) and np.array_equal(
        images[:4], read(tmp_path / "b.npz")[0][:4]
    )
    assert len({im.tobytes() for im in images}) == 10 and read(tmp_path / "a.npz")[1] == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.npz",
        "b.npz",
        "bundled",
    ]  # the parts are gone
    assert draw(tmp_path / "b.npz", "--chunk", 4, "--label", 6, n=8) == 0
    six = [i for i in range(8) if i % 10 == 6]
    assert np.array_equal(
        read(tmp_path / "b.npz")[0][six], images[six]
    )  # image 6 was told the class 6


def test_a_bulk_run_that_was_stopped_goes_on(bundled, tmp_path, monkeypatch, capsys):
    out, drawn = tmp_path / "a.npz", []
    whole = tmp_path / "whole.npz"
    assert draw(whole, "--chunk", 2, n=7) == 0
    once = samples_of_own.draw

    def stops(*args, **how):
        drawn.append(args[2])
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return once(*args, **how)

    monkeypatch.setattr(samples_of_own, "draw", stops)
    assert draw(out, "--chunk", 2, n=7) == 130
    said = capsys.readouterr().err
    assert f"{out}.parts keeps 2 of 4 chunks" in said and "Traceback" not in said
    assert not out.exists() and [p.name for p in sorted((tmp_path / "a.npz.parts").iterdir())] == [
        "000000.npz",
        "000001.npz",
    ]
    (tmp_path / "a.npz.parts" / "000001.npz").write_bytes(b"half")  # and one part is damaged
    assert draw(out, "--chunk", 2, n=7) == 0
    assert drawn == [2, 2, 2, 2, 2, 1] and np.array_equal(read(out)[0], read(whole)[0])
    assert not (tmp_path / "a.npz.parts").exists()
    drawn.clear()
    assert draw(out, "--chunk", 2, n=7) == 130
    drawn.extend([0])
    assert draw(out, "--chunk", 2, "--seed", 1, n=7) == 0 and drawn[4:] == [
        2,
        2,
        2,
        1,
    ]  # parts of other settings are not taken


def interrupt(*args, **how):
    raise KeyboardInterrupt


@pytest.mark.fault
def test_a_run_without_chunks_that_was_stopped_keeps_nothing(
    bundled, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("sdelib.own.samples.draw", interrupt)
    assert draw(tmp_path / "a.npz") == 130
    assert "--chunk" in capsys.readouterr().err and not (tmp_path / "a.npz").exists()


@pytest.mark.slow
def test_two_processes_draw_the_set_that_one_draws(tmp_path):
    """torchrun with two CPU processes: they share the chunks, and the set is the same to the last
    grey level."""
    options = [
        "sample",
        "--weights",
        "denoiser-small",
        "--n",
        "6",
        "--chunk",
        "2",
        "--steps",
        "2",
        "--device",
        "cpu",
        "--seed",
        "5",
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    two = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "--",
            "sdelib",
            *options,
            "--out",
            str(tmp_path / "two.npz"),
        ],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert two.returncode == 0, two.stderr[-3000:]
    assert shell(*options, "--out", tmp_path / "one.npz").returncode == 0
    assert two.stdout.count("6 images, 3 network evaluations each") == 1  # one of them speaks
    assert np.array_equal(read(tmp_path / "one.npz")[0], read(tmp_path / "two.npz")[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def test_several_processes_need_chunks(bundled, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert draw(tmp_path / "a.npz") == 2
    assert "2 processes share the work chunk by chunk: give --chunk" in capsys.readouterr().err


def by_hand(score, sde, n, seed, mean, t_min, grid, steps, step, eta):
    """Images from the noise of each: no function that the command uses but `integrate`."""
    z = NoiseOfEach(torch.empty(n, 1, 28, 28), seed=seed, numbers=range(n))
    scale, std = sde.marginal(torch.tensor(sde.T, dtype=torch.float64))
    x = float(scale) * mean + float(std) * z.normal()
    x = solve(Reverse(sde, score, eta), x, grid(sde, sde.T, t_min, steps), step, noise=z)
    x = denoise(sde, score, x, torch.tensor(t_min))
    return (x[:, 0].clamp(0, 1) * 255).round().byte().numpy()


@torch.no_grad()
def test_the_command_is_the_equation_solved(bundled, tmp_path):
    power = ["--weights", "unet-sigma25", "--sigma", 25, "--solver", "euler-maruyama"]
    assert draw(tmp_path / "a.npz", "--seed", 3, *power, "--grid", "uniform") == 0
    sde, network = VE.power(25.0), weights.load("unet-sigma25")
    x = by_hand(network, sde, 5, 3, 0.286, 1e-3, uniform_grid, 3, euler_maruyama, 1.0)
    images, nfe = read(tmp_path / "a.npz")
    assert np.array_equal(images, x) and nfe == 4
    flow = ["--sde", "vp", "--solver", "ddim", "--label", "none"]
    assert draw(tmp_path / "a.npz", "--seed", 3, *flow) == 0
    score, sde = score_from(weights.load("denoiser"), VP()), VP()
    t_min = first_time(sde, SIGMA_MIN * 1.0001)
    x = by_hand(score, sde, 5, 3, 0.286, t_min, karras_times, 3, DPMSolver(1), 0.0)
    images, nfe = read(tmp_path / "a.npz")
    assert np.array_equal(images, x) and nfe == 4


def test_the_denoiser_serves_every_sde(bundled, tmp_path, monkeypatch):
    asked, load = [], weights.load
    monkeypatch.setattr(weights, "load", lambda name: asked.append(name) or load(name))
    for options in (
        [],
        ["--sigma", 25],
        ["--sigma", 50],
        ["--sigma-max", 10],
        ["--sigma-min", 0.1, "--sigma-max", 160],
        ["--sde", "vp"],
        ["--sde", "subvp"],
        ["--sde", "vp", "--beta-max", 9],
        ["--weights", "unet-sigma50", "--sigma", 50],
    ):
        assert draw(tmp_path / "a.npz", *options, n=1, steps=2) == 0, options
    assert asked == ["denoiser"] * 8 + ["unet-sigma50"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--solver", "rk4"], list(SOLVERS)),
        (["--sde", "sub-vp"], ["'ve'", "'vp'", "'subvp'"]),
        (["--steps", "0"], ["--steps", "'0'", "whole number above 0"]),
        (["--steps", "2.5"], ["--steps", "'2.5'", "whole number above 0"]),
        (["--n", "-1"], ["--n", "'-1'", "whole number above 0"]),
        (["--batch", "x"], ["--batch", "'x'", "whole number above 0"]),
        (["--chunk", "0"], ["--chunk", "'0'", "whole number above 0"]),
        (["--seed", "-1"], ["--seed", "'-1'"]),
        (["--sigma", "1"], ["--sigma", "'1'", "above 1"]),
        (["--sigma", "nan"], ["--sigma", "'nan'", "finite number above 1"]),
        (["--sigma", "60", "--weights", "unet-sigma50"], ["20.9", "up to 17.87"]),
        (["--sigma-max", "40", "--weights", "unet-sigma50"], ["unet-sigma50", "17.87"]),
        (["--sigma-max", "161"], ["denoiser", "up to 160"]),
        (["--label", "10"], ["'10'", "9 (ankle boot)", "each"]),
        (["--label", "hat"], ["'hat'", "0 (T-shirt)"]),
        (["--guidance", "-1", "--label", "1"], ["--guidance", "'-1'"]),
        (["--guidance", "2", "--label", "none"], ["guidance = 2", "label"]),
        (
            ["--label", "1", "--weights", "unet-sigma25", "--sigma", "25"],
            ["--label", "unet-sigma25", "leave --weights out"],
        ),
        (["--grid", "chebyshev"], ["'uniform'", "'karras'"]),
        (["--sigma", "25", "--sigma-max", "4"], ["--sigma", "--sigma-max"]),
        (["--sigma-min", "0.1"], ["--sigma-max"]),
        (["--sigma-min", "4", "--sigma-max", "2"], ["sigma_min = 4", "sigma_max = 2"]),
        (["--sde", "vp", "--sigma", "25"], ["--sigma does not belong to --sde vp", "--beta-max"]),
        (["--beta-max", "9"], ["--beta-max does not belong to --sde ve", "--sigma-max"]),
        (
            ["--sde", "vp", "--beta-max", "20", "--weights", "unet-sigma50"],
            ["152", "--beta-max up to 11.4"],
        ),
        (["--sde", "vp", "--beta-max", "20.3"], ["--beta-max up to 20.2"]),
        (["--t-min", "1"], ["--t-min 1", "below T = 1"]),
        (
            ["--t-min", "1e-7", "--weights", "unet-sigma25", "--sigma", "25"],
            ["--t-min 1e-07", "0.00316"],
        ),
        (["--t-min", "1e-9"], ["--t-min 1e-09", "at least 0.002"]),
        (["--t-min", "0"], ["--t-min", "above 0"]),
        (["--weights", "nothing"], ["'nothing'", "unet-sigma25", "unet-sigma50"]),
        (["--weights", "classifier"], ["classifier", "unet-sigma25", "unet-sigma50"]),
        (["--weights", "unet-sigma25", "--sigma", "30"], ["11.5", "up to 9.845"]),
        (["--precision", "fp8"], ["'float32'", "'bf16'"]),
        (["--precision", "bf16"], ["--precision bf16 needs --device cuda"]),
        (["--device", "tpu"], ["'auto'", "'cpu'", "'cuda'"]),
    ],
)
def test_wrong_arguments_end_in_2_with_what_is_allowed(bundled, tmp_path, capsys, options, words):
    out = tmp_path / "x.npz"
    assert call("sample", "--steps", 2, "--n", 1, "--device", "cpu", "--out", out, *options) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert not out.exists() and "Traceback" not in said


@pytest.mark.fault
def test_a_score_that_does_not_say_what_noise_it_knows(bundled, tmp_path, capsys):
    weights.save("denoiser", weights.load("denoiser"), {})
    assert draw(tmp_path / "x.npz") == 2
    assert "denoiser does not say what noise" in " ".join(capsys.readouterr().err.split())


@pytest.mark.fault
def test_cuda_that_is_missing(bundled, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call("sample", "--device", "cuda", "--out", tmp_path / "x.npz") == 2
    assert (
        "--device cuda: torch sees no CUDA device here; allowed: cpu, auto"
        in capsys.readouterr().err
    )
    assert (
        call("sample", "--device", "auto", "--steps", 1, "--n", 1, "--out", tmp_path / "x.npz") == 0
    )


@pytest.mark.fault
def test_a_place_that_cannot_be_written(bundled, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    inside, folder = tmp_path / "file" / "x.npz", tmp_path
    for out, status, words in ((inside, 1, "file"), (folder, 2, "is a folder with files in it")):
        assert draw(out) == status
        said = capsys.readouterr().err
        assert (
            words in said and "Traceback" not in said and "sampling" not in said
        )  # said before the work, not after it
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundled", "file"]


@pytest.mark.fault
def test_replacing_is_atomic(bundled, tmp_path, monkeypatch, capsys):
    out = tmp_path / "deep" / "x.npz"
    assert draw(out, "--seed", 1) == 0
    first = out.read_bytes()

    def broken(f, **arrays):
        f.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    assert draw(out, "--seed", 2) == 1 and "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert out.read_bytes() == first and list(out.parent.iterdir()) == [out]
    monkeypatch.setattr(weights, "BUNDLED", bundled)
    assert draw(out, "--seed", 2) == 0 and out.read_bytes() != first
    assert draw(tmp_path / "no-suffix") == 2 and "ends with a slash" in capsys.readouterr().err


# ---- sampling.sample_images


@pytest.mark.parametrize("step, eta", [(euler_maruyama, 1.0), (heun, 0.0)])
def test_samples_of_a_gaussian_have_its_moments(step, eta):
    """Data N(0.5, 0.1²) in every pixel: the samples' mean and standard deviation over 8,000
    pixels."""
    sde, n = VP(), 500
    x, _ = sample_images(
        gaussian(0.5, 0.1, sde),
        sde,
        n,
        steps=400,
        step=step,
        eta=eta,
        shape=(1, 4, 4),
        generator=torch.Generator().manual_seed(0),
        denoised=False,
        progress=False,
    )
    std = (0.1**2 + float(sde.marginal(torch.tensor(1e-3))[1]) ** 2) ** 0.5
    # 4 standard errors, and 2% of the standard deviation for 400 steps; VP's prior is off by less
    # than 0.01%
    assert abs(float(x.mean()) - 0.5) < 4 * std / (16 * n) ** 0.5 + 0.02 * std
    assert abs(float(x.std()) / std - 1) < 4 / (2 * 16 * n) ** 0.5 + 0.02


def test_the_batch_does_not_change_the_noise():
    sde = VP()
    draw = lambda batch: sample_images(
        gaussian(0.5, 0.1, sde),
        sde,
        7,
        steps=5,
        batch=batch,
        shape=(1, 4, 4),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    for batch in (1, 3, 7, 100):
        assert (
            torch.equal(draw(batch)[0], draw(64)[0]) and draw(batch)[1] == 6
        )  # evaluations an image, not calls


def test_sample_images_refuses():
    sde = VP()
    for options, words in (
        ({"n": 0}, "n = 0"),
        ({"n": 2.0}, r"n = 2\.0"),
        ({"steps": 0}, "steps = 0"),
        ({"batch": -1}, "batch = -1"),
        ({"t_min": 0.0}, r"t_min = 0\.0"),
        ({"t_min": 1.0}, r"t_min = 1\.0"),
        ({"eta": -1.0}, r"eta = -1\.0"),
    ):
        given = {"n": 2, "steps": 3, "generator": torch.Generator(), "progress": False} | options
        with pytest.raises(ValueError, match=words):
            sample_images(gaussian(0.5, 0.1, sde), sde, given.pop("n"), **given)


# ---- train


def test_train_bundles_with_provenance(bundled, stand_in, tmp_path, capsys):
    with pytest.warns(UserWarning, match="Fashion-MNIST cannot be had"):
        assert (
            small_train(
                tmp_path,
                "--sigma",
                30,
                "--seed",
                7,
                "--checkpoint",
                tmp_path / "run" / "x.safetensors",
                "--bundle",
                "mine",
            )
            == 0
        )
    assert "bundled as" in capsys.readouterr().out
    sde = weights.load("mine").sde
    assert sde == VE.power(30.0)
    facts = weights.provenance("mine")
    ends = sde.ratio(torch.tensor([1e-5, 1.0], dtype=torch.float64))
    assert facts["ratios"] == ends.tolist()  # the times that DenoisingLoss draws
    assert (
        facts["steps"] == 3
        and facts["seed"] == 7
        and "not Fashion-MNIST" in facts["data"]
        and facts["torch"] == torch.__version__
    )
    assert (
        facts["command"].startswith("python -m sdelib train --steps 3") and "CPU" in facts["device"]
    )
    assert facts["date"].endswith("+00:00") and len(facts["date"]) == 25  # UTC, to the second
    # the same command resumes from the finished checkpoint and gives the same network; another seed
    # is refused
    before = weights.sums()["mine.safetensors"]
    with pytest.warns(UserWarning):
        assert (
            small_train(
                tmp_path,
                "--sigma",
                30,
                "--seed",
                8,
                "--checkpoint",
                tmp_path / "run" / "x.safetensors",
            )
            == 2
        )
    assert (
        "seed = 7, not 8" in capsys.readouterr().err
        and weights.sums()["mine.safetensors"] == before
    )


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
@pytest.mark.parametrize("stop, word", [(4, "keeps the first 2 of 5"), (1, "--every 2"), (1, None)])
def test_a_training_that_was_stopped_says_what_is_kept(
    bundled, stand_in, tmp_path, monkeypatch, capsys, stop, word
):
    """Ctrl-C in the step `stop`, where a checkpoint is written every second step."""
    calls, loss, path = [], ClassificationLoss.__call__, tmp_path / "run.safetensors"

    def interrupted(self, *args):
        calls.append(len(calls))
        return loss(self, *args) if len(calls) < stop else interrupt()

    monkeypatch.setattr(ClassificationLoss, "__call__", interrupted)
    keep = ["--bundle", "mine"] + (["--checkpoint", path] if word else [])
    assert small_train(tmp_path, "--what", "classifier", *keep, steps=5) == 130
    said = capsys.readouterr().err
    assert (word or "--checkpoint FILE") in said and "Traceback" not in said
    assert path.exists() == (stop == 4) and "mine" not in weights.names()


def test_train_from_bundled_weights(bundled, stand_in, tmp_path, capsys):
    torch.manual_seed(1)
    start = ScoreUNet(VE.power(25.0))
    torch.nn.init.normal_(start.last.weight)
    weights.save("start", start, {})
    with pytest.warns(UserWarning):
        assert (
            small_train(
                tmp_path,
                "--sigma",
                50,
                "--init",
                "start",
                "--bundle",
                "mine",
                "--lr",
                1e-12,
                steps=1,
            )
            == 0
        )
    mine = weights.load("mine")
    assert mine.sde == VE.power(50.0) and torch.equal(
        mine.last.weight, weights.load("start").last.weight
    )
    assert (
        small_train(tmp_path, "--init", "unet-sigma25", "--bundle", "x") == 2
    )  # the small one of this test
    assert "[16, 24]" in capsys.readouterr().err


def test_train_on_a_ladder(bundled, stand_in, tmp_path, capsys):
    with pytest.warns(UserWarning):
        assert small_train(tmp_path, "--what", "ladder", "--bundle", "mine") == 0
    assert weights.load("mine").sde == NoiseLevel(FASHION_MNIST_DISTANCE)
    assert weights.provenance("mine")["ratios"] == pytest.approx([0.01, FASHION_MNIST_DISTANCE])
    for options in (["--sigma-min", 30], ["--sigma-min", 0]):
        assert small_train(tmp_path, "--what", "ladder", "--bundle", "x", *options) == 2
    assert "sigma" in capsys.readouterr().err


def test_train_the_denoiser(bundled, stand_in, tmp_path, capsys):
    """Every option of the tuning table reaches the network or its loss; a score's weights may begin
    it, labels and all."""
    common = ["--what", "denoiser", "--widths", 32, 32]
    with pytest.warns(UserWarning):
        assert (
            small_train(
                tmp_path,
                *common,
                "--dropout",
                0.1,
                "--no-preconditioning",
                "--flips",
                "--bundle",
                "mine",
                "--ema",
                0.5,
            )
            == 0
        )
    config = weights.load("mine").config
    assert (
        config["widths"] == [32, 32]
        and config["dropout"] == 0.1
        and config["preconditioned"] is False
        and config["classes"] == 10
    )
    torch.manual_seed(1)
    start = ScoreUNet(NoiseLevel(20.0), (32, 32))
    torch.nn.init.normal_(start.last.weight)
    weights.save("start", start, {})
    with pytest.warns(UserWarning):
        assert (
            small_train(
                tmp_path, *common, "--init", "start", "--bundle", "warm", "--lr", 1e-12, steps=1
            )
            == 0
        )
    assert torch.equal(weights.load("warm").last.weight, weights.load("start").last.weight)
    with pytest.warns(UserWarning):
        assert (
            small_train(
                tmp_path, *common, "--init", "warm", "--bundle", "warmer", "--lr", 1e-12, steps=1
            )
            == 0
        )
    assert (
        small_train(tmp_path, "--what", "denoiser", "--init", "start", "--bundle", "x") == 2
    )  # of other widths
    assert "[32, 32]" in capsys.readouterr().err
    assert (
        small_train(tmp_path, "--init", "warm", "--bundle", "x") == 2
    )  # a label has no place in a score
    assert "Denoiser" in capsys.readouterr().err


def test_train_the_classifier(bundled, stand_in, tmp_path, capsys):
    with pytest.warns(UserWarning):
        assert small_train(tmp_path, "--what", "classifier", "--bundle", "mine") == 0
    assert isinstance(weights.load("mine"), GarmentClassifier)
    facts = weights.provenance("mine")
    assert 0 <= facts["test_accuracy"] <= 0.5 and facts["test_images"] == 500
    assert "accuracy on the 500 test images" in capsys.readouterr().out


def test_a_network_of_a_ladder_serves_the_ratios_of_its_ladder(tmp_path, capsys):
    out = tmp_path / "x.npz"
    assert (
        call(
            "sample",
            "--steps",
            2,
            "--n",
            1,
            "--out",
            out,
            "--weights",
            "unet-ladder",
            "--sigma",
            25,
            "--t-min",
            "1e-5",
        )
        == 2
    )
    assert (
        "ratio of at least 0.01, the smallest that unet-ladder was trained on"
        in capsys.readouterr().err
    )
    assert (
        call(
            "sample",
            "--steps",
            2,
            "--n",
            1,
            "--out",
            out,
            "--weights",
            "unet-ladder",
            "--sigma",
            25,
        )
        == 0
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ([], ["--checkpoint", "--bundle"]),
        (["--bundle", "x", "--lr", "0"], ["--lr", "above 0"]),
        (["--bundle", "x", "--batch", "5000"], ["batch_size = 5000"]),
        (["--bundle", "x", "--precision", "fp8"], ["'no'", "'bf16'"]),
        (["--bundle", "x", "--what", "gan"], ["'unet'", "'ladder'", "'denoiser'", "'classifier'"]),
        (["--bundle", "x", "--sigma", "0.5"], ["--sigma", "above 1"]),
        (["--bundle", "x", "--data", "/nowhere"], ["/nowhere", "no Fashion-MNIST"]),
        (["--bundle", "x", "--init", "nothing"], ["'nothing'"]),
        (["--bundle", "x", "--what", "unet", "--widths", 32, 64], ["--widths", "--what denoiser"]),
        (["--bundle", "x", "--what", "denoiser", "--widths", 33, 47], ["(33, 47)", "of 8"]),
        (["--bundle", "x", "--what", "denoiser", "--sigma", 30], ["--sigma", "--what unet"]),
        (["--bundle", "x", "--what", "ladder", "--flips"], ["--flips", "--what denoiser"]),
        (["--bundle", "x", "--no-preconditioning"], ["--no-preconditioning", "--what denoiser"]),
        (["--bundle", "denoiser"], ["--bundle denoiser", "--force"]),
        (["--bundle", "x", "--extend"], ["--extend", "--checkpoint"]),
        (["--bundle", "x", "--batch", 1_000_000], ["batch_size = 1000000", "at most 1600"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_train_refuses(bundled, stand_in, tmp_path, capsys, options, words):
    assert call("train", "--steps", 1, "--device", "cpu", *options) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
@pytest.mark.parametrize("name", ["../../x", "a/b", "/tmp/x", "..", ".x", "a\\b", ""])
def test_nothing_is_bundled_outside_the_folder(bundled, stand_in, tmp_path, capsys, name):
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert small_train(tmp_path, "--bundle", name) == 2
    said = capsys.readouterr().err
    assert f"name = {name!r}" in said and "training" not in said
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_what_is_bundled_is_replaced_by_force_only(bundled, stand_in, tmp_path, capsys):
    before, one = weights.sums(), ["--what", "classifier", "--bundle", "classifier"]
    (bundled / "classifier.onnx").write_bytes(b"")
    weights.record("classifier.onnx")
    assert small_train(tmp_path, *one, steps=1) == 2
    assert weights.sums().items() >= before.items()
    assert small_train(tmp_path, *one, "--force", steps=1) == 0
    assert weights.sums()["classifier.safetensors"] != before["classifier.safetensors"]
    assert "classifier.onnx" in capsys.readouterr().err  # which is made of the former ones


DENOISER = ["--what", "denoiser", "--widths", 32, 32]
START = ["--what", "denoiser", "--widths", 32, 32, "--init", "denoiser"]


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
@pytest.mark.parametrize(
    "first, then, words",
    [
        (["--sigma", 25], ["--sigma", 50], "--sigma = 25.0, not 50.0"),
        ([], ["--t-power", 1], "--t-power = 2.0, not 1.0"),
        ([], ["--what", "ladder"], "--what = 'unet', not 'ladder'"),
        ([], ["--init", "unet-sigma25-wide"], "--init = None, not 'unet-sigma25-wide'"),
        (DENOISER, [*DENOISER, "--noise-std", 1], "--noise-std = 1.4, not 1.0"),
        (DENOISER, [*DENOISER, "--noise-mean", 1], "--noise-mean = -1.2, not 1.0"),
        (DENOISER, [*DENOISER, "--drop", 0.2], "--drop = 0.1, not 0.2"),
        (DENOISER, [*DENOISER, "--flips"], "--flips = False, not True"),
        (DENOISER, START, "--init = None, not 'denoiser'"),
        ([], ["--lr", 1], "lr = 0.002, not 1.0"),
    ],
)
def test_a_checkpoint_is_not_handed_out_as_that_of_another_run(
    bundled, stand_in, tmp_path, capsys, first, then, words
):
    torch.manual_seed(1)
    weights.save("unet-sigma25-wide", ScoreUNet(VE.power(25.0)), {})
    keep = ["--checkpoint", tmp_path / "run.safetensors", "--bundle"]
    assert small_train(tmp_path, *first, *keep, "a", steps=1) == 0
    before = (tmp_path / "run.safetensors").read_bytes()
    assert small_train(tmp_path, *then, *keep, "b", steps=1) == 2
    assert words in capsys.readouterr().err and "b" not in weights.names()
    assert (tmp_path / "run.safetensors").read_bytes() == before


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_the_data_belong_to_a_checkpoint(bundled, stand_in, tmp_path, capsys):
    """As many images, and one grey level changed."""
    keep = ["--what", "classifier", "--checkpoint", tmp_path / "run.safetensors"]
    assert small_train(tmp_path, *keep, steps=1) == 0
    with np.load(bundled / "fallback.npz") as f:
        images, labels = f["images"].copy(), f["labels"]
    images[0, 0, 0] ^= 1
    np.savez_compressed(bundled / "fallback.npz", images=images, labels=labels)
    weights.record("fallback.npz")
    assert small_train(tmp_path, *keep, steps=1) == 2
    assert "data = '2 tensors, SHA-256 " in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_the_provenance_is_that_of_the_run_and_of_its_extensions(
    bundled, stand_in, tmp_path, capsys
):
    keep = ["--what", "classifier", "--checkpoint", tmp_path / "run.safetensors"]
    assert small_train(tmp_path, *keep, steps=2) == 0
    assert small_train(tmp_path, *keep, "--bundle", "again", steps=2) == 0
    assert "again" not in weights.provenance("again")["command"]  # that command trained nothing
    assert small_train(tmp_path, *keep, "--bundle", "x", steps=3) == 2
    assert "steps = 2, not 3" in capsys.readouterr().err
    assert small_train(tmp_path, *keep, "--bundle", "longer", "--extend", steps=3) == 0
    facts = weights.provenance("longer")
    (part,) = facts["extended"]
    assert facts["steps"] == 3 and "--extend" not in facts["command"]
    assert "--extend" in part["command"] and (part["from"], part["to"]) == (2, 3)
    assert "a cosine" in part["learning_rate"]


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_compile_without_a_compiler(bundled, stand_in, tmp_path, capsys, monkeypatch):
    def no_compiler(*args, **how):
        raise torch._dynamo.exc.TorchDynamoException("InvalidCxxCompiler\nand much more")

    monkeypatch.setattr(ClassificationLoss, "__call__", no_compiler)
    one = ["--what", "classifier", "--compile", "--checkpoint", tmp_path / "run.safetensors"]
    assert small_train(tmp_path, *one, steps=1) == 2
    said = capsys.readouterr().err
    assert "--compile" in said and "InvalidCxxCompiler" in said and "much more" not in said


@pytest.mark.fault
def test_more_images_than_memory(bundled, tmp_path, capsys, monkeypatch):
    def too_many(*args, **how):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate …")

    monkeypatch.setattr("sdelib.own.samples.draw", too_many)
    assert draw(tmp_path / "x.npz", n=1000) == 1
    assert "--n than 1000" in capsys.readouterr().err


# ---- evaluate


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_evaluate_without_real_data_uses_the_bundled_moments(
    bundled, stand_in, samples, tmp_path, capsys
):
    assert call("evaluate", "--samples", samples, "--json", tmp_path / "r.json") == 0
    said, report = (
        capsys.readouterr().out,
        json.loads((tmp_path / "r.json").read_text(encoding="utf-8")),
    )
    assert "bundled moments" in report["against"] and report["floor"] is None
    assert (
        report["n"] == 60
        and report["nfe"] == 501
        and sum(report["labels"].values()) == 60
        and len(report["labels"]) == 10
    )
    # the same numbers by hand
    classifier = weights.load("classifier")
    with np.load(samples) as f:
        x = torch.from_numpy(f["images"])[:, None].float() / 255
    from sdelib.own.metrics import Moments, frechet_distance

    there, _ = weights.read_tensors(bundled / "moments.safetensors")
    known = frechet_distance(
        moments(features(x, classifier)), Moments(there["mean"], there["covariance"], 300)
    )
    assert report["frechet_distance"] == pytest.approx(known, rel=1e-6) and f"{known:.4f}" in said
    assert (
        list(report["labels"].values())
        == torch.bincount(classifier(x).argmax(1), minlength=10).tolist()
    )


def labelled(path, labels):
    """A file of four images with these labels."""
    pixels = np.random.default_rng(3).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    np.savez(path, images=pixels, labels=labels)


def evaluated(samples, tmp_path, *args) -> dict:
    report = tmp_path / "r.json"
    assert call("evaluate", "--samples", samples, "--json", report, *args) == 0
    return json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
@pytest.mark.parametrize("made", ["arr_0", "floats", "channel", "labels of nobody"])
def test_evaluate_reads_what_others_write(bundled, stand_in, samples, tmp_path, made):
    """The same images as `sample` writes them, as np.savez(path, images) does, as floats, with the
    axis of the channel, and with labels that say nothing: one figure."""
    with np.load(samples) as f:
        x = f["images"]
    path = tmp_path / "other.npz"
    if made == "arr_0":
        np.savez(path, x)
    elif made == "labels of nobody":
        np.savez(path, images=x, labels=np.full(len(x), -1))
    else:
        np.savez(path, images=x / 255 if made == "floats" else x[:, None])
    told, known = evaluated(path, tmp_path), evaluated(samples, tmp_path)
    assert told["frechet_distance"] == pytest.approx(known["frechet_distance"], rel=1e-5)
    assert told["labels"] == known["labels"] and "assumed" in told["protocol"]


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_evaluate_tells_the_classes_that_were_asked_for(bundled, stand_in, tmp_path, capsys):
    labelled(tmp_path / "x.npz", [9, 9, 2, 9])
    told = evaluated(tmp_path / "x.npz", tmp_path)
    assert told["protocol"] == "class by class: pullover 1, ankle boot 3"
    named = told["labels"]
    assert told["as_asked"]["mean"] <= (named["pullover"] + named["ankle boot"]) / 4
    assert told["as_asked"]["standard_error"] > 0 and "labelled as asked" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_the_floor_of_evaluate_follows_the_classes(stand_in, tmp_path, monkeypatch):
    """Images of the stand-in, twenty of each class, by the book's own classifier, with and without
    their labels: the floor of such sets is lower than that of random ones, and with labels the
    images are at it."""
    from sdelib.book import data
    from sdelib.cli import evaluate

    all_of_them = data.stand_in()
    garments = data.Garments(all_of_them.images, all_of_them.labels, True, "taken for real")
    monkeypatch.setattr(evaluate, "fashion_mnist", lambda **how: garments)
    where = torch.cat([(garments.labels == k).nonzero()[:20, 0] for k in range(10)])
    x, y = garments.images[where, 0].numpy(), garments.labels[where].numpy()
    assert len(x) == 200
    np.savez(tmp_path / "with.npz", images=x, labels=y)
    np.savez(tmp_path / "without.npz", images=x)
    told, random = (evaluated(tmp_path / f"{k}.npz", tmp_path) for k in ("with", "without"))
    low, high = told["floor"], random["floor"]
    error = np.hypot(low["standard_error"], high["standard_error"])
    assert low["mean"] < high["mean"] - 2 * error
    # one set of 200 spreads by √10 standard errors of the mean of ten
    assert abs(told["frechet_distance"] - low["mean"]) < 5 * 10**0.5 * low["standard_error"]
    np.savez(tmp_path / "one.npz", images=x[:20], labels=y[:20])  # the first class only
    one = evaluated(tmp_path / "one.npz", tmp_path)
    assert (
        one["frechet_distance"]
        < one["floor"]["mean"] + 5 * 10**0.5 * (one["floor"]["standard_error"])
    )


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="Fashion-MNIST is not here")
def test_evaluate_against_real_images(bundled, tmp_path, capsys):
    """1,000 real test images against the 10,000: the distance is near the floor; noise images are
    far from it."""
    from sdelib.book.data import fashion_mnist

    real = (fashion_mnist(root=REAL, train=False).images[:1000, 0] * 255).round().byte().numpy()
    found = {}
    for name, images in (
        ("real", real),
        ("noise", np.random.default_rng(2).integers(0, 256, real.shape, dtype=np.uint8)),
    ):
        np.savez(tmp_path / f"{name}.npz", images=images)
        assert (
            call(
                "evaluate",
                "--samples",
                tmp_path / f"{name}.npz",
                "--against",
                "test",
                "--data",
                REAL,
                "--json",
                tmp_path / "r.json",
            )
            == 0
        )
        found[name] = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert "floor, real against real" in capsys.readouterr().out
    floor = found["real"]["floor"]
    assert floor["mean"] > 0 and floor["standard_error"] > 0 and found["real"]["nfe"] is None
    assert found["real"]["against"] == "Fashion-MNIST, test set, 10,000 images"
    # 10 draws of 1,000 from the 9,000 others; the first 1,000 are one more draw, within 10 of their
    # spreads
    assert (
        abs(found["real"]["frechet_distance"] - floor["mean"])
        < 10 * floor["standard_error"] * 10**0.5
    )
    assert found["noise"]["frechet_distance"] > 10 * floor["mean"]


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: p.write_bytes(b"not a zip"), "is not a whole .npz"),
        (lambda p: np.savez(p, other=np.zeros(3)), "is not a whole .npz with `images`"),
        (lambda p: np.savez(p, images=np.zeros((4, 28, 28), np.int32)), "int32; allowed is uint8"),
        (lambda p: np.savez(p, images=np.full((4, 28, 28), 2.0)), "floats from 2 to 2"),
        (lambda p: np.savez(p, images=np.full((4, 28, 28), np.nan)), "floats from nan to nan"),
        (lambda p: labelled(p, [0, 1, -1, 3]), "mixes protocols: 1 of 4 labels are −1"),
        (lambda p: labelled(p, [0, 1, 2, 10]), "labels from 0 to 10"),
        (lambda p: labelled(p, [0, 1, 2]), "labels of shape (3,)"),
        (lambda p: labelled(p, [0.0, 1.0, 2.0, 3.0]), "type float64"),
        (lambda p: np.savez(p, images=np.zeros((4, 32, 32), np.uint8)), "(4, 32, 32)"),
        (lambda p: np.savez(p, images=np.zeros((1, 28, 28), np.uint8)), "n of at least 2"),
    ],
)
def test_evaluate_refuses(bundled, stand_in, tmp_path, capsys, make, words):
    make(tmp_path / "x.npz")
    assert call("evaluate", "--samples", tmp_path / "x.npz") == 2
    assert words in capsys.readouterr().err


@pytest.mark.fault
def test_evaluate_of_a_missing_file(bundled, stand_in, tmp_path, capsys):
    assert call("evaluate", "--samples", tmp_path / "none.npz") == 1
    assert "none.npz" in capsys.readouterr().err


# ---- bake


def test_bake(bundled, monkeypatch, capsys):
    baking = pytest.importorskip("sdelib.book.baking")
    from sdelib.widgets import Slider, Table
    from sdelib.widgets.frames import images

    def small():
        return [Slider("k", "k", [1, 2, 3], integer=True)], lambda k: images(
            np.full((2, 28, 28), k / 4), note=str(k)
        )

    monkeypatch.setitem(baking.RECIPES, "small", small)
    assert call("bake", "small") == 0
    path = bundled / "small.table"
    assert weights.checked("small.table") == path and str(path) in capsys.readouterr().out
    assert len(Table.load(path).frames) == 3
    assert call("bake", "large") == 2
    assert "recipe 'large' is unknown; allowed: " in capsys.readouterr().err
