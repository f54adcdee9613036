"""Data of one's own by commands alone: train, sample, evaluate, export, and what they refuse."""

import json
import os
import shlex
import signal
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from helpers import ROOT, call
from PIL import Image

from sdelib.denoiser import DenoiserLoss
from sdelib.networks import DenoiserMLP
from sdelib.own import weights
from sdelib.own.model import Model

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(120, 2)) * [1, 30] + [0, 100]


# ---- data of every kind, small


def picture(path, size=(8, 8), mode="RGB", colour=None):
    """A picture of noise, or of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode in ("RGB", "P") else (size[1], size[0])
    noise = np.random.default_rng(len(str(path.stem))).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(noise if colour is None else np.full(shape, colour, np.uint8))
    (image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image).save(path)
    return path


def folder(root, classes=("cat", "dog"), n=20, **how):
    for k in range(n):
        inside = root / classes[k % len(classes)] if classes else root
        picture(inside / f"{'x' * (k + 1)}.png", **how)
    return root


def flat(root):
    return folder(root, classes=(), mode="L")


def npz_grey(root):
    images = RANDOM.integers(0, 256, (72, 9, 7), dtype=np.uint8)
    np.savez(path := root.with_suffix(".npz"), images=images, labels=np.arange(72) % 3)
    return path


def npz_colour(root):
    images = RANDOM.random((24, 8, 8, 3)).astype(np.float32)
    np.savez(path := root.with_suffix(".npz"), images)
    return path


def points(root):
    np.save(path := root.with_suffix(".npy"), POINTS)
    return path


def series(root):
    np.save(path := root.with_suffix(".npy"), RANDOM.normal(size=(40, 12)).cumsum(1))
    return path


def table(root):
    frame = pandas.DataFrame(
        {
            "height": RANDOM.normal(170, 10, 90),
            "age": RANDOM.integers(20, 60, 90),
            "town": RANDOM.choice(["Bern", "Genf"], 90),
            "kind": RANDOM.choice(["a", "b"], 90),
        }
    )
    frame.to_csv(path := root.with_suffix(".csv"), index=False)
    return path


def idx(root):
    (inside := root / "Other" / "raw").mkdir(parents=True)
    for name, array in (
        ("train-images-idx3-ubyte", RANDOM.integers(0, 256, (30, 8, 8), dtype=np.uint8)),
        ("train-labels-idx1-ubyte", (np.arange(30) % 3).astype(np.uint8)),
    ):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (inside / name).write_bytes(head + array.tobytes())
    return root


CASES = {
    "classes": (folder, [], (3, 8, 8), "png"),
    "flat": (flat, ["--size", 6], (1, 6, 6), "folder/"),
    "grey": (npz_grey, [], (1, 9, 7), "npz"),
    "colour": (npz_colour, [], (3, 8, 8), "folder/"),
    "points": (points, [], (2,), "npz"),
    "series": (series, [], (12,), "csv"),
    "table": (table, ["--label-column", "kind"], (4,), "csv"),
    "idx": (idx, [], (1, 8, 8), "npz"),
}


def train(data, out, *args, steps=2):
    small = ["--steps", steps] if steps else []
    small += [] if "--widths" in args else ["--widths", 16]
    return call("train", "--data", data, "--out", out, "--device", "cpu", *small, *args)


def images_too(kind):
    return ["--widths", 8, 16] if len(CASES[kind][2]) > 1 or kind == "series" else []


def sample(model, out, *args, n=4, steps=2):
    steps = ["--steps", steps] if steps else []
    return call("sample", "--weights", model, "--out", out, "--n", n, *steps, *args)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """model(kind) → (the data, the file of a model that two steps of `train` made of it)."""
    made = {}

    def one(kind):
        if kind not in made:
            room = tmp_path_factory.mktemp(kind)
            data = CASES[kind][0](room / "data")
            assert train(data, room / "m.safetensors", *CASES[kind][1], *images_too(kind)) == 0
            made[kind] = data, room / "m.safetensors"
        return made[kind]

    return one


def inside(path):
    with np.load(path, allow_pickle=False) as f:
        return dict(f)


# ---- every case, by the commands alone


@pytest.mark.parametrize("kind", CASES)
def test_train_says_what_it_found_and_what_comes_next(tmp_path, capsys, kind):
    """Five lines of the data, the network, the loss on what was held out; and the command that it
    names writes samples of the data's own shape and kind."""
    make, options, shape, suffix = CASES[kind]
    data, out = make(tmp_path / "data"), tmp_path / "m.safetensors"
    assert train(data, out, *options, *images_too(kind)) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    heads = [line.split()[0] for line in lines[:6]]
    assert heads == ["found", "shape", "range", "classes", "held", "network"]
    assert "loss on what is held out" in said
    one = Model.load(out)
    assert one.form.shape == shape and one.provenance["validation"]["loss"] > 0
    assert one.provenance["command"].startswith("python -m sdelib train --data")
    words = shlex.split(lines[-1])
    assert words[:6] == ["python", "-m", "sdelib", "sample", "--weights", str(out)]
    place = tmp_path / words[words.index("--out") + 1]
    words[words.index("--out") + 1] = str(place)
    assert call(*words[3:], "--steps", 1) == 0 and place.is_file()
    names = {p.name for p in tmp_path.iterdir() if not p.name.startswith("data")}
    assert names == {"m.safetensors", "m.safetensors.checkpoint.safetensors", place.name}


@pytest.mark.parametrize("kind", CASES)
def test_samples_are_written_in_the_units_of_the_data(model, tmp_path, capsys, kind):
    data, file = model(kind)
    _, _, shape, suffix = CASES[kind]
    out = f"{tmp_path}/out/" if suffix == "folder/" else tmp_path / f"x.{suffix}"
    assert sample(file, out, "--seed", 3) == 0
    assert str(out) in capsys.readouterr().out
    if suffix == "png":
        with Image.open(out) as grid:
            about = json.loads(grid.info["sdelib"])
            assert grid.mode == "RGB" and min(grid.size) >= 16
        assert about["weights"] == weights.sha256(file) and about["seed"] == 3
        assert about["sdelib"] and about["torch"] == torch.__version__
    elif suffix == "folder/":
        found = sorted((tmp_path / "out").rglob("*.png"))
        assert [p.name for p in found] == [f"{k:05d}.png" for k in range(4)]
        with Image.open(found[0]) as first:
            assert first.size == shape[:0:-1] and first.mode == ("L" if shape[0] == 1 else "RGB")
    elif kind == "points":
        found = inside(out)
        assert found["points"].shape == (4, 2) and "labels" not in found
        assert json.loads(str(found["about"]))["evaluations"] == 3
        assert 40 < np.abs(found["points"][:, 1]).max() < 300  # around 100, in steps of 30
    elif suffix == "npz":
        found = inside(out)
        assert found["images"].shape == (4, *shape[1:]) and found["images"].dtype == np.uint8
        assert found["labels"].tolist() == [0, 1, 2, 0] and [*found["classes"]] == ["0", "1", "2"]
    elif kind == "series":
        assert pandas.read_csv(out).shape == (4, 12)
    else:
        frame, raw = pandas.read_csv(out), pandas.read_csv(data)
        assert [*frame] == [*raw] and frame.age.dtype == raw.age.dtype == np.int64
        assert set(frame.town) <= {"Bern", "Genf"} and [*frame.kind] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("kind", ["points", "table", "grey", "series"])
def test_evaluate_beside_the_data(model, tmp_path, capsys, kind):
    """Samples of a file or a folder: a distance with its floor, a Gaussian, the neighbours; the
    options that opened the data are known from the samples."""
    data, file = model(kind)
    out = {"table": tmp_path / "x.csv", "grey": f"{tmp_path}/out/"}.get(kind, tmp_path / "x.npz")
    assert sample(file, out, n=24) == 0
    where = ["--samples", str(out).rstrip("/"), "--json", tmp_path / "r.json"]
    more = CASES[kind][1] if kind == "table" else []  # a .csv has no room for what it is
    assert call("evaluate", "--data", data, *where, *more) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    row = report["rows"][0]
    assert row["measure"] == "sliced Wasserstein" and row["samples"] > 0 and row["real"] > 0
    assert "sliced Wasserstein" in said and "Gaussian" in said
    assert report["protocol"].startswith("drawn class by class") == (kind in ("table", "grey"))
    assert (report["about"].get("steps") == 2) == (kind != "table")


def test_fashion_mnist_needs_no_data_option(bundled, stand_in, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    with pytest.warns(UserWarning, match="Fashion-MNIST cannot be had"):
        assert call("train", "--out", out, "--steps", 1, "--batch", 4, "--widths", 8, 16) == 0
    assert "T-shirt" in capsys.readouterr().out
    assert Model.load(out).form.shape == (1, 28, 28)
    assert sample(out, tmp_path / "x.png", "--label", "ankle boot", n=2) == 0


# ---- hostile folders


@pytest.mark.fault
def test_a_folder_of_mixed_sizes_with_a_corrupt_file(tmp_path, capsys):
    """Three sizes, a palette, a file that is none: each is named, with the option that goes on."""
    root = folder(tmp_path / "data", n=12)
    picture(root / "cat" / "wide.png", size=(12, 9), mode="P")
    bad = root / "dog" / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n half a picture")
    out = tmp_path / "m.safetensors"
    assert train(root, out) == 2
    said = capsys.readouterr().err
    assert "wide.png" in said or "bad.png" in said
    assert train(root, out, "--size", 8) == 2
    said = capsys.readouterr().err
    assert "bad.png" in said and "--skip-unreadable" in said and "Traceback" not in said
    assert train(root, out, "--skip-unreadable") == 2
    said = capsys.readouterr().err
    assert "wide.png" in said and "--size" in said and not out.exists()
    assert train(root, out, "--size", 8, "--skip-unreadable", "--widths", 8, 16) == 0
    said = capsys.readouterr().out
    assert "1 that cannot be read left out" in said and "found    13 images" in said
    assert bad.exists()  # nothing of the user's is touched


@pytest.mark.fault
def test_a_folder_of_one_class_with_palettes(tmp_path, capsys):
    root = folder(tmp_path / "data", classes=("only",), n=12, mode="P")
    assert train(root, tmp_path / "m.safetensors", "--widths", 8, 16) == 0
    assert "one sub-folder, so no classes" in capsys.readouterr().out
    assert sample(tmp_path / "m.safetensors", tmp_path / "x.png", "--label", 0) == 2
    assert "a network that knows labels" in capsys.readouterr().err


def text_column(root):
    frame = pandas.read_csv(table(root))
    frame["note"] = [f"no two alike {k}" for k in range(len(frame))]
    frame.to_csv(path := root.with_suffix(".csv"), index=False)
    return path


def nan(root):
    x = POINTS.copy()
    x[7, 1] = np.nan
    np.save(path := root.with_suffix(".npy"), x)
    return path


def one_picture_of_a_class(root):
    picture(folder(root) / "owl" / "alone.png")
    return root


def other_shapes(root):
    picture(folder(root) / "cat" / "large.png", size=(9, 8))
    return root


def empty(root):
    root.mkdir()
    return root


def objects(root):
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }".ljust(117) + "\n"
    raw = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + b"\x80\4N."
    (path := root.with_suffix(".npy")).write_bytes(raw)
    return path


def half_idx(root):
    file = idx(root) / "Other" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-7])
    return root


def words_only(root):
    (path := root.with_suffix(".txt")).write_text("hello", encoding="utf-8")
    return path


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, options, words",
    [
        (empty, [], ["data", "no pictures"]),
        (text_column, [], ["'note'"]),
        (nan, [], ["data.npy", "row 8, column 2", "nan"]),
        (one_picture_of_a_class, [], ["owl"]),
        (other_shapes, [], ["large.png", "--size"]),
        (objects, [], ["data.npy", "Python objects"]),
        (half_idx, [], ["train-images-idx3-ubyte", "half a file"]),
        (words_only, [], ["data.txt"]),
        (lambda root: root / "nowhere", [], ["nowhere", "no such file"]),
        (table, ["--label-column", "none"], ["none", "height"]),
        (points, ["--size", 8], ["size", "leave it out"]),
        (flat, ["--label-column", "a"], ["label_column", "leave it out"]),
        (npz_grey, ["--widths", 33, 47], ["33", "8"]),
        (points, ["--batch", 1_000_000], ["batch_size = 1000000", "at most 108"]),
        (points, ["--flips"], ["flips", "only images"]),
        (points, ["--init", "nothing"], ["'nothing'"]),
        (points, ["--init", "denoiser"], ["--init denoiser", "DenoiserMLP"]),
        (points, ["--sigma", 25], ["--sigma", "without --out"]),
        (points, ["--bundle", "x"], ["--bundle", "without --out"]),
        (points, ["--extend"], ["extend", "no finished checkpoint"]),
        (points, ["--minutes", 1], ["minutes", "not both"]),
        (points, ["--minutes", 0], ["--minutes", "above 0"]),
    ],
)
def test_bad_data_and_options_end_in_2_and_one_sentence(
    bundled, tmp_path, capsys, make, options, words
):
    data, out = make(tmp_path / "data"), tmp_path / "m.safetensors"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert train(data, out, *options) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said and len(said) < 1000 and "delete" not in said
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.fault
def test_out_must_be_a_file_and_data_needs_it(tmp_path, capsys):
    data = points(tmp_path / "data")
    assert train(data, "mine") == 2 and "mine.safetensors" in capsys.readouterr().err
    assert train(data, f"{tmp_path}/") == 1 and "is a folder" in capsys.readouterr().err
    assert call("train", "--data", data) == 2 and "--out FILE" in capsys.readouterr().err
    assert call("train", "--data", data, "--minutes", 1, "--bundle", "x") == 2
    assert "--minutes" in capsys.readouterr().err


@pytest.mark.fault
def test_a_package_that_is_missing_is_named(tmp_path, capsys, monkeypatch):
    data = table(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert train(data, tmp_path / "m.safetensors") == 1
    said = capsys.readouterr().err
    assert "pip install" in said and "pandas" in said and "Traceback" not in said


# ---- stopped, gone on, extended, replaced


def state(path):
    return weights.read_tensors(path)[0]


def same(a, b):
    a, b = state(a), state(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.fault
def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(tmp_path, monkeypatch, capsys):
    data, loss, calls = points(tmp_path / "data"), DenoiserLoss.__call__, []
    assert train(data, tmp_path / "whole.safetensors", "--every", 2, steps=6) == 0

    def stops(self, *args):
        if torch.is_grad_enabled():
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
        return loss(self, *args)

    monkeypatch.setattr(DenoiserLoss, "__call__", stops)
    out = tmp_path / "m.safetensors"
    assert train(data, out, "--every", 2, steps=6) == 130
    said = capsys.readouterr().err
    assert "m.safetensors.checkpoint.safetensors keeps the first 2 of 6 steps" in said
    assert "the same command goes on" in said and "Traceback" not in said and not out.exists()
    assert train(data, out, "--every", 2, steps=6) == 0
    assert len(calls) == 4 + 4 and same(out, tmp_path / "whole.safetensors")


KILLED = """
import os, signal, sys
from sdelib.cli import main
from sdelib.own import training

save = training.save


def once(*what):
    save(*what)
    os.kill(os.getpid(), signal.SIGKILL)


training.save = once
main(sys.argv[1:])
"""


@pytest.mark.fault
def test_the_same_command_goes_on_after_a_kill(tmp_path):
    """Killed outright, in a process of its own, when it had written its first checkpoint."""
    data, out = points(tmp_path / "data"), tmp_path / "m.safetensors"
    words = ["train", "--data", data, "--out", out, "--device", "cpu", "--steps", 6, "--every", 2]
    words = [str(word) for word in (*words, "--widths", 16)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    how = {"cwd": ROOT, "env": env, "capture_output": True, "timeout": 300}
    done = subprocess.run([sys.executable, "-c", KILLED, *words], **how)
    assert done.returncode == -signal.SIGKILL, done.stderr
    keeps = tmp_path / "m.safetensors.checkpoint.safetensors"
    assert weights.read_tensors(keeps)[1]["step"] == "2" and not out.exists()
    assert call(*words) == 0
    words[4] = str(tmp_path / "whole.safetensors")
    assert call(*words) == 0 and same(out, tmp_path / "whole.safetensors")


def test_extend_and_minutes(tmp_path, capsys):
    data, out = points(tmp_path / "data"), tmp_path / "m.safetensors"
    assert train(data, out, steps=2) == 0
    assert train(data, out, steps=4) == 2
    assert "steps = 2, not 4" in (said := capsys.readouterr().err) and "extend" in said
    assert train(data, out, "--extend", steps=4) == 0
    facts = Model.load(out).provenance
    assert facts["steps"] == 4 and facts["extended"][0]["from"] == 2
    assert "--extend" not in facts["command"] and "--extend" in facts["extended"][0]["command"]
    timed = tmp_path / "timed.safetensors"
    assert train(data, timed, "--minutes", 0.005, steps=None) == 0
    facts = Model.load(timed).provenance
    assert facts["minutes"] == 0.005 and facts["steps"] >= 1
    before = state(timed)
    assert train(data, timed, "--minutes", 0.005, steps=None) == 0  # it was finished
    assert all(torch.equal(v, before[k]) for k, v in state(timed).items())


@pytest.mark.fault
def test_a_file_of_another_run_is_replaced_by_force_only(tmp_path, capsys):
    data, out = points(tmp_path / "data"), tmp_path / "m.safetensors"
    out.write_bytes(b"mine")
    assert train(data, out) == 2 and "--force" in capsys.readouterr().err
    assert out.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 2
    assert train(data, out, "--force") == 0
    first = state(out)
    assert train(data, out) == 0  # the same command: it is this run's file
    assert all(torch.equal(v, first[k]) for k, v in state(out).items())
    assert train(data, out, "--seed", 1) == 2 and "seed = 0, not 1" in capsys.readouterr().err
    assert all(torch.equal(v, first[k]) for k, v in state(out).items())
    assert train(data, out, "--seed", 1, "--force") == 0
    assert Model.load(out).provenance["seed"] == 1
    keeps = out.with_name("m.safetensors.checkpoint.safetensors")
    keeps.rename(tmp_path / "elsewhere")
    assert train(data, out, "--seed", 1) == 2 and "--force" in capsys.readouterr().err


@pytest.mark.fault
def test_a_checkpoint_of_other_data_is_refused(tmp_path, capsys):
    data, out = points(tmp_path / "data"), tmp_path / "m.safetensors"
    assert train(data, out) == 0
    before = out.read_bytes()
    x = POINTS.copy()
    x[3, 0] += 1e-3
    np.save(data, x)
    assert train(data, out) == 2 and "data = " in capsys.readouterr().err
    assert out.read_bytes() == before


def test_weights_to_start_from(model, tmp_path, capsys):
    data, file = model("points")
    out = tmp_path / "m.safetensors"
    assert train(data, out, "--init", file, "--lr", 1e-12, "--seed", 5, steps=1) == 0
    for key, value in state(file).items():
        assert torch.allclose(state(out)[key], value, atol=1e-6), key
    assert train(data, tmp_path / "n.safetensors", "--init", file, "--widths", 24) == 2
    assert "'width': 16" in capsys.readouterr().err


# ---- sample


def close(a, b, kind):
    """Equal but for the rounding of products of another size."""
    if kind == "images":
        return np.abs(a.astype(int) - b.astype(int)).max() <= 1
    return np.allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize(
    "which, solver",
    [
        *[(which, "dpm++2m-sde") for which in ("points", "classes", "denoiser")],
        *[("points", solver) for solver in ("predictor-corrector", "sra", "edm-churn")],
        ("classes", "annealed-langevin"),
    ],
)
def test_the_first_four_of_eight(model, bundled, tmp_path, which, solver):
    """With and without chunks, in batches of any size, for solvers that draw more than one noise
    a step."""
    file = "denoiser" if which == "denoiser" else model(which)[1]
    kind = "points" if which == "points" else "images"
    how = ["--solver", solver, "--device", "cpu"]
    found = []
    for n, more in ((4, []), (8, []), (8, ["--chunk", 3]), (8, ["--batch", 5])):
        assert sample(file, tmp_path / "x.npz", *how, *more, n=n) == 0
        found.append(inside(tmp_path / "x.npz")[kind])
    assert all(close(x[:4], found[0], kind) for x in found[1:])
    assert all(close(x, found[1], kind) for x in found[2:])
    assert not close(found[1][4:], found[0], kind)


def test_labels_by_name_number_in_turn_or_none(model, tmp_path, capsys):
    _, file = model("classes")
    found = {}
    for label in (None, "each", "dog", "1", "none"):
        more = [] if label is None else ["--label", label]
        assert sample(file, tmp_path / "x.npz", *more) == 0
        found[label] = inside(tmp_path / "x.npz")
    assert found[None]["labels"].tolist() == found["each"]["labels"].tolist() == [0, 1, 0, 1]
    assert found["dog"]["labels"].tolist() == [1] * 4 and "labels" not in found["none"]
    assert np.array_equal(found["dog"]["images"], found["1"]["images"])
    assert [*found["dog"]["classes"]] == ["cat", "dog"]
    assert sample(file, f"{tmp_path}/out/", "--guidance", 2) == 0
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in tmp_path.rglob("0*.png"))
    assert names == ["cat/00000.png", "cat/00002.png", "dog/00001.png", "dog/00003.png"]
    assert "6 network evaluations each" in capsys.readouterr().out


def test_a_budget_takes_the_best_solver_and_says_how_good_it_was(model, tmp_path, capsys):
    _, file = model("points")
    for budget, solver in ((5, "dpm++2m"), (10, "dpm++2m"), (18, "dpm++2m-sde")):
        out = tmp_path / "x.npz"
        assert sample(file, out, "--evaluations", budget, steps=None) == 0
        said = capsys.readouterr().out
        about = json.loads(str(inside(out)["about"]))
        assert (about["solver"], about["evaluations"]) == (solver, budget)
        assert f"{budget} network evaluations" in said and "Fréchet distance" in said
        assert "not on this data" in said and about["measured"] in said
    assert sample("denoiser-small", out, "--evaluations", 5, steps=None, n=1) == 0
    said = capsys.readouterr().out
    assert "3.55" in said and "not on this data" not in said
    for option in (["--solver", "ddim"], ["--steps", 3], ["--grid", "uniform"]):
        assert sample(file, out, "--evaluations", 5, *option, steps=None) == 2
        assert option[0] in capsys.readouterr().err


@pytest.mark.fault
def test_where_samples_can_be_written(model, bundled, tmp_path, capsys):
    _, file = model("points")
    for out in ("x.png", f"{tmp_path}/folder/", tmp_path / "bare", tmp_path / "x.txt"):
        assert sample(file, out) == 2
        assert ".csv" in capsys.readouterr().err
    assert sample("denoiser", tmp_path / "a.csv") == 2 and ".png" in capsys.readouterr().err
    mine = picture(tmp_path / "photos" / "00000.png")
    before = mine.read_bytes()
    assert sample("denoiser", f"{tmp_path}/photos/") == 2
    assert "--force" in capsys.readouterr().err and mine.read_bytes() == before
    assert sample("denoiser", f"{tmp_path}/photos/", "--label", "none", "--force", n=1) == 0
    assert mine.read_bytes() != before
    assert sample("denoiser", tmp_path / "a.png") == 0
    with Image.open(tmp_path / "a.png") as grid:
        assert grid.mode == "L" and grid.size == (58, 58)
        assert json.loads(grid.info["sdelib"])["name"] == "denoiser"


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: None, "there is no such file"),
        (lambda p: p.write_bytes(b"half"), "not a whole safetensors file"),
        (lambda p: weights.save(p, DenoiserMLP(2)), "says nothing of its data"),
        (lambda p: weights.write_tensors(p, {"a": torch.zeros(1)}, {}), "nothing of its data"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, capsys, make, words):
    make(path := tmp_path / "m.safetensors")
    assert sample(path, tmp_path / "x.npz") == 2
    said = capsys.readouterr().err
    assert words in said, said
    assert str(path) in said and "Traceback" not in said


@pytest.mark.fault
def test_more_than_the_memory_holds(model, tmp_path, capsys):
    assert sample(model("classes")[1], tmp_path / "x.npz", n=10**12) == 1
    assert "--n than 1000000000000" in capsys.readouterr().err


# ---- evaluate refuses, export


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: np.savez(p, points=np.zeros((30, 3))), "(30, 3)"),
        (lambda p: np.savez(p, points=POINTS[:5]), "20"),
        (lambda p: np.savez(p, points=np.full((30, 2), np.nan)), "nan"),
        (lambda p: p.write_bytes(b"half"), "cannot be read"),
        (lambda p: np.savez(p, points=POINTS, labels=np.zeros(120, int)), "no classes"),
        (lambda p: None, "no such file"),
    ],
)
def test_evaluate_refuses(model, tmp_path, capsys, make, words):
    make(path := tmp_path / "x.npz")
    assert call("evaluate", "--samples", path, "--data", model("points")[0]) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said, said


def test_export(model, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    _, file = model("points")
    assert call("export", "--weights", file, "--onnx", tmp_path / "m.onnx") == 0
    assert "(n, 2)" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [i.name for i in session.get_inputs()] == ["x", "sigma"]
