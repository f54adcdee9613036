"""What goes wrong on the way: each fault is a test of what the reader sees, of what is left behind,
and of the exit status.

Faults that belong to one module are tried beside it and carry the same mark; `pytest -m fault` runs
them all.
"""

import ast
import errno
import gzip
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

import nbformat
import numpy as np
import pytest
import tomllib
import torch
from helpers import ROOT, call, draw, drawn, gaussian, served, shell, small_train, tracked

import sdelib
from sdelib import widgets
from sdelib.book import baking, data
from sdelib.families import VP
from sdelib.networks import Denoiser
from sdelib.own import weights
from sdelib.own.data import garments
from sdelib.own.sampling import in_batches, sample_images

pytestmark = pytest.mark.fault

WRITTEN = [p for folder in ("sdelib", "tools") for p in sorted((ROOT / folder).rglob("*.py"))]
FORK = multiprocessing.get_context(
    "fork"
)  # a kernel beside this one, with what the test has replaced


def left_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def quiet(capsys) -> str:
    """What was said on stderr; never a traceback."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


# ---------------------------------------------------------------- no network, half a download


@pytest.fixture
def offline(monkeypatch):
    def refused(*args, **kwargs):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The empty folder in which sdelib keeps the data set."""
    monkeypatch.delenv("SDELIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sdelib"


def test_without_a_network_the_weights_load_and_images_are_drawn(offline, tmp_path):
    for name in weights.names():
        if "spec" in weights.read_tensors(weights.checked(f"{name}.safetensors"))[1]:
            weights.load(name)
    assert draw(tmp_path / "x.npz", n=1, steps=1) == 0 and len(drawn(tmp_path / "x.npz")[0]) == 1


def test_without_a_network_a_training_says_so_and_uses_the_stand_in(
    offline, bundled, cache, tmp_path
):
    words = (
        "(?s)cannot be had: the download into .* failed .*Network is unreachable.*In its "
        "place: .*not Fashion-MNIST"
    )
    with pytest.warns(UserWarning, match=words):
        assert (
            small_train(
                tmp_path,
                "--what",
                "classifier",
                "--checkpoint",
                tmp_path / "run.safetensors",
                steps=1,
            )
            == 0
        )
    assert left_in(cache) == set()


IMAGES, LABELS = 4, 2  # how many the mirror has for training and for the test


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror of a tiny data set on this machine: mirror(share) sends that share of each file."""
    folder, random = tmp_path / "mirror", np.random.default_rng(0)
    folder.mkdir()
    files = {}
    for part, n in (("train", IMAGES), ("t10k", LABELS)):
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">IIII", 0x803, n, 28, 28) + random.bytes(
            n * 28 * 28
        )
        files[f"{part}-labels-idx1-ubyte"] = (
            struct.pack(">II", 0x801, n) + random.integers(0, 10, n, dtype=np.uint8).tobytes()
        )
    packed = {name: gzip.compress(raw, mtime=0) for name, raw in files.items()}
    monkeypatch.setattr(
        garments, "SHA256", {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}
    )
    listed = [(f"{name}.gz", hashlib.md5(raw).hexdigest()) for name, raw in packed.items()]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", listed)

    def send(share: float):
        for name, raw in packed.items():
            (folder / f"{name}.gz").write_bytes(raw[: int(share * len(raw))])

    send(1.0)
    with served(folder) as address:
        monkeypatch.setattr(
            "torchvision.datasets.FashionMNIST.mirrors", [address.rstrip("/") + "/"]
        )
        yield send


def test_half_a_download_is_said_and_mended_at_the_next_try(mirror, cache):
    mirror(0.5)
    with pytest.warns(UserWarning, match="cannot be had: the download into"):
        assert not data.fashion_mnist().real
    assert left_in(cache) == set()
    mirror(1.0)
    found = data.fashion_mnist()
    assert (
        found.real
        and len(found) == IMAGES
        and left_in(cache) == {f"FashionMNIST/raw/{name}" for name in garments.SHA256}
    )


def test_half_a_file_of_an_earlier_download_is_not_in_the_way(mirror, cache):
    raw = cache / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b half")
    (raw / "train-images-idx3-ubyte").write_bytes(b"half")
    assert data.fashion_mnist().real


# ---------------------------------------------------------------- two kernels at once


def in_processes(*jobs) -> list[int]:
    """Run the functions at the same time, each in a process of its own; their exit codes."""
    gate = FORK.Barrier(len(jobs))

    def run(job):
        gate.wait()
        job()

    processes = [FORK.Process(target=run, args=(job,)) for job in jobs]
    for p in processes:
        p.start()
    for p in processes:
        p.join(60)
    return [p.exitcode for p in processes]


def test_two_kernels_download_into_one_cache_while_a_third_one_looks(mirror, cache):
    def load():
        assert data.fashion_mnist().real and data.fashion_mnist(train=False).real

    def look():
        for _ in range(300):  # a half file would raise ValueError, and end this process with 1
            if garments.complete(cache):
                garments.read(cache, True)
            time.sleep(0.003)

    assert in_processes(load, load, look) == [0, 0, 0]
    assert (
        left_in(cache) == {f"FashionMNIST/raw/{name}" for name in garments.SHA256}
        and data.fashion_mnist(download=False).real
    )


def test_two_kernels_write_one_file_while_a_third_one_reads(tmp_path):
    path, size = tmp_path / "shared.bin", 300_000
    weights.atomic(path, lambda p: p.write_bytes(bytes(size)))

    def write():
        for k in range(40):
            weights.atomic(path, lambda p: p.write_bytes(bytes([k]) * size))

    def look():
        for _ in range(200):
            raw = path.read_bytes()
            assert len(raw) == size and len(set(raw)) == 1

    assert in_processes(write, write, look) == [0, 0, 0] and left_in(tmp_path) == {"shared.bin"}


# ---------------------------------------------------------------- weights that are damaged, or of
# another version


def test_a_flipped_byte_of_the_weights_ends_in_words(bundled, tmp_path, capsys):
    path = bundled / "denoiser.safetensors"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert draw(tmp_path / "x.npz") == 2
    said = quiet(capsys)
    assert (
        f"{path} is damaged" in said
        and "install sdelib again" in said
        and not (tmp_path / "x.npz").exists()
    )


def other_version(path: Path, change) -> None:
    """Write the file again with a changed description, and record its hash as sound."""
    tensors, meta = weights.read_tensors(path)
    spec = json.loads(meta["spec"])
    change(spec, tensors)
    weights.write_tensors(path, tensors, meta | {"spec": json.dumps(spec)})
    weights.record(path.name)


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda spec, tensors: spec["config"].update(depth=3), "depth"),
        (lambda spec, tensors: spec["config"]["sde"].update({"class": "Poisson"}), "Poisson"),
        (lambda spec, tensors: spec["config"]["sde"].update(beta_mid=1.0), "beta_mid"),
        (lambda spec, tensors: tensors.pop("last.weight"), "last.weight"),
        (lambda spec, tensors: spec["config"].update(widths=[24, 24]), "size mismatch"),
    ],
    ids=[
        "unknown argument",
        "unknown process",
        "unknown constant",
        "missing tensor",
        "other widths",
    ],
)
def test_weights_of_another_version_say_so(bundled, tmp_path, capsys, change, word):
    other_version(bundled / "unet-sigma25.safetensors", change)
    assert draw(tmp_path / "x.npz", "--weights", "unet-sigma25", "--sigma", 25) == 2
    said = " ".join(quiet(capsys).split())
    assert (
        "unet-sigma25.safetensors was written by another version of sdelib" in said
        and word in said
        and "update sdelib" in said
    )


def test_a_checkpoint_of_another_version_says_so(bundled, stand_in, tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    train = lambda: small_train(tmp_path, "--what", "classifier", "--checkpoint", path, steps=1)
    with pytest.warns(UserWarning):
        assert train() == 0
    tensors, meta = weights.read_tensors(path)
    weights.write_tensors(
        path, {k: v for k, v in tensors.items() if not k.startswith("exp_avg.")}, meta
    )
    before = path.read_bytes()
    with pytest.warns(UserWarning):
        assert train() == 2
    said = quiet(capsys)
    assert (
        f"checkpoint {path} was written by another version" in said
        and "delete" not in said
        and path.read_bytes() == before
    )


# ---------------------------------------------------------------- a disk that is full, a folder
# that is read-only


@contextmanager
def a_disk_of(size: int):
    """No file of this process may grow beyond `size` bytes: the kernel refuses the write, as on a
    full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def small_table():
    pixels = np.random.default_rng(0).random((4, 28, 28))
    return widgets.bake([widgets.Slider("k", "k", [1, 2])], lambda k: widgets.images(pixels / k))


def writers(bundled, samples, tmp_path) -> dict:
    """Every command that writes: name → (its arguments, the file)."""
    out, run, report = tmp_path / "out.npz", tmp_path / "run.safetensors", tmp_path / "report.json"
    train = "train --what classifier --steps 1 --batch 4 --device cpu".split()
    return {
        "sample": (["sample", "--n", 20, "--steps", 1, "--device", "cpu", "--out", out], out),
        "train": ([*train, "--checkpoint", run], run),
        "bundle": ([*train, "--force", "--bundle", "mine"], bundled / "mine.safetensors"),
        "bake": (["bake", "small"], bundled / "small.table"),
        "evaluate": (["evaluate", "--samples", samples, "--json", report], report),
    }


WRITERS = list(writers(Path(), Path(), Path()))


@pytest.fixture
def recipe(monkeypatch):
    table = small_table()
    monkeypatch.setitem(
        baking.RECIPES,
        "small",
        lambda: ([widgets.Slider("k", "k", [1, 2], integer=True)], lambda k: table.frames[k - 1]),
    )


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(
    bundled, stand_in, samples, recipe, tmp_path, capsys, what
):
    args, path = writers(bundled, samples, tmp_path)[what]
    path.write_bytes(
        b"the old file"
    ) if what != "train" else None  # an old checkpoint would be resumed
    before = left_in(tmp_path)
    with a_disk_of(200 if what == "evaluate" else 2000):
        assert call(*args) == 1
    said = quiet(capsys)
    assert (
        f"{path} was not written" in said
        and "File too large" in said
        and "make room, or choose another folder" in said
    )
    assert left_in(tmp_path) == before and (what == "train" or path.read_bytes() == b"the old file")


def test_the_words_of_a_full_disk(tmp_path):
    def full(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x").write_text("old", encoding="utf-8")
    with pytest.raises(
        OSError,
        match=r"/x was not written \(.*No space left on device\), and what stood there .* "
        r"untouched: make room",
    ):
        weights.atomic(tmp_path / "x", full)
    assert (tmp_path / "x").read_text(encoding="utf-8") == "old" and left_in(tmp_path) == {"x"}
    with a_disk_of(500), pytest.raises(OSError, match=r"y\.table was not written .*make room"):
        small_table().save(tmp_path / "y.table")
    assert left_in(tmp_path) == {"x"}


READ_ONLY = Path("/sys")  # nobody creates a file there, root neither


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.filterwarnings("ignore:Fashion-MNIST cannot be had")
def test_a_read_only_folder_is_said_before_the_work(
    bundled, stand_in, samples, recipe, tmp_path, capsys, monkeypatch, what
):
    args, path = writers(bundled, samples, READ_ONLY)[what]
    if what in ("bundle", "bake"):
        monkeypatch.setattr(weights, "BUNDLED", READ_ONLY)
        path = READ_ONLY / path.name
    assert call(*args) == 1
    said = quiet(capsys)
    assert f"{path} cannot be written" in said and "choose another folder" in said
    assert not any(word in said for word in ("sampling", "training", "baking"))
    with pytest.raises(
        OSError, match="was not written .*choose another folder"
    ):  # a notebook has no such look ahead
        small_table().save(path)


# ---------------------------------------------------------------- killed

STEPS = 40


@pytest.mark.slow
def test_a_training_that_is_killed_ends_as_one_that_was_not(tmp_path):
    """The command line, killed at a random moment and in the middle of writing a checkpoint; the
    last checkpoints agree bit for bit."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "SDELIB_DATA": "fallback"}

    def start(path):
        words = (
            f"-m sdelib train --what classifier --steps {STEPS} --batch 8 --every 2 "
            "--device cpu --checkpoint"
        ).split()
        return subprocess.Popen(
            [sys.executable, *words, path],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    unbroken, killed = start(whole), []
    for writing in (False, True):
        process = start(broken)
        began = broken.stat().st_mtime_ns if broken.exists() else 0
        while process.poll() is None and not (
            broken.exists() and broken.stat().st_mtime_ns > began
        ):
            time.sleep(0.001)
        if writing:
            half = broken.with_name(f".{broken.name}.{process.pid}{broken.suffix}")
            while process.poll() is None and not half.exists():
                pass
        else:
            time.sleep(np.random.default_rng().uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        killed.append(process.wait() == -signal.SIGKILL)
    assert all(killed), "the run is too short to be killed in its middle: raise its steps"
    assert start(broken).wait() == 0 and unbroken.wait() == 0
    (one, meta), (two, again) = weights.read_tensors(whole), weights.read_tensors(broken)
    assert all(meta[key] == again[key] for key in ("run", "step", "numbers", "ends"))
    assert meta["step"] == str(STEPS) and one.keys() == two.keys()
    assert not [name for name in one if not torch.equal(one[name], two[name])]


# ---------------------------------------------------------------- a score that is not a number, a
# device that is not there or too small


def test_a_network_that_gives_nan_is_named_with_the_time(bundled, tmp_path, capsys):
    network = Denoiser((32, 32))
    torch.nn.init.constant_(network.last.bias, torch.nan)
    weights.save("denoiser", network, weights.provenance("denoiser"))
    assert draw(tmp_path / "x.npz") == 2
    assert (
        "score(x, t) returned nan at t = 1" in quiet(capsys) and not (tmp_path / "x.npz").exists()
    )


def test_training_where_there_is_no_gpu(bundled, stand_in, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (
        call("train", "--device", "cuda", "--steps", 1, "--checkpoint", tmp_path / "x.safetensors")
        == 2
    )
    assert "--device cuda: torch sees no CUDA device here; allowed: cpu, auto" in quiet(capsys)


def too_large(limit: int, score):
    """The score, on a device that holds `limit` images."""

    def on_a_small_device(x, t):
        if len(x) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return score(x, t)

    return on_a_small_device


def test_out_of_memory_draws_the_same_images_in_smaller_batches():
    sde = VP()
    how = dict(steps=4, shape=(1, 4, 4), progress=False)
    sample = lambda score: sample_images(
        score, sde, 11, generator=torch.Generator().manual_seed(0), **how
    )
    score = gaussian(0.5, 0.1, sde)
    with pytest.warns(UserWarning, match="too little memory: going on with batches of") as notices:
        images, nfe = sample(too_large(3, score))
    assert [str(w.message).split()[-1] for w in notices] == [
        "5",
        "2",
    ]  # once each, and not at every step
    known, cost = sample(score)
    assert torch.equal(images, known) and nfe == cost
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning):
        in_batches(too_large(0, score), 4)(torch.zeros(4, 2), torch.tensor(0.5))


def test_a_device_that_is_too_small_for_one_image_ends_in_words(
    bundled, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Denoiser, "forward", lambda self, x, *rest: too_large(0, None)(x, None))
    with pytest.warns(UserWarning, match="batches of 1"):
        assert draw(tmp_path / "x.npz", n=2) == 1
    said = quiet(capsys)
    assert (
        "too little memory" in said
        and "--batch" in said
        and "--device cpu" in said
        and left_in(tmp_path) == left_in(bundled.parent)
    )


# ---------------------------------------------------------------- a kernel that was restarted in
# the middle of a chapter

CHAPTERS = sorted((ROOT / "chapters").glob("[0-9]*.ipynb"))


def cells_of(path: Path) -> list[str]:
    """The code of a chapter without its set-up cell, with the smoke parameters."""
    cells = [
        c
        for c in nbformat.read(path, as_version=4).cells
        if c.cell_type == "code" and "setup" not in c.metadata.get("tags", [])
    ]
    return [re.sub(r"^SMOKE = False\b", "SMOKE = True", c.source, flags=re.M) for c in cells]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_after_a_restart_a_cell_names_what_is_missing(path):
    """The first cell that needs an earlier one stops with a NameError; it computes nothing from
    what is not there."""
    middle = cells_of(path)[len(cells_of(path)) // 2 :]
    with pytest.raises(NameError, match=r"name '\w+' is not defined"):
        kernel = {"__name__": "__main__"}
        for cell in middle:
            exec(compile(cell, path.stem, "exec"), kernel)


def test_after_a_restart_the_chapter_runs_again_from_the_top(monkeypatch, capsys):
    """In the kernel in which a cell of its middle has just failed."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells, kernel = cells_of(CHAPTERS[0]), {"__name__": "__main__"}
    with pytest.raises(NameError):
        exec(cells[len(cells) // 2], kernel)
    for cell in cells:
        exec(compile(cell, "chapter", "exec"), kernel)


# ---------------------------------------------------------------- an old torch


def test_an_old_torch_is_named_with_the_version_that_is_needed(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = next(d for d in project["dependencies"] if d.startswith("torch"))
    least = re.fullmatch(r"torch>=(\d+)\.(\d+)", wanted)
    major, minor = map(int, least.groups())
    with monkeypatch.context() as m:
        m.setattr(torch, "__version__", f"{major}.{minor - 1}.1+cu118")
        with pytest.raises(
            ImportError,
            match=rf"PyTorch {major}\.{minor - 1}\.1\S* is too old: sdelib needs "
            rf"{major}\.{minor} or later",
        ):
            importlib.reload(sdelib)
    for version in (f"{major}.{minor}.0", f"{major}.{minor + 6}.0", f"{major + 1}.0.0a0+git"):
        sdelib._check(version)
    importlib.reload(sdelib)


# ---------------------------------------------------------------- other languages, other file
# systems

POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # a terminal of ASCII only


@pytest.mark.slow
def test_a_terminal_of_ascii_and_a_path_with_accents(tmp_path):
    """A report is printed where é cannot be; files are still UTF-8, and paths are what they
    were."""
    folder = tmp_path / "mit Leerzeichen und é"
    folder.mkdir()
    np.savez(
        folder / "prüf 1.npz",
        images=np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8),
    )
    done = shell(
        "evaluate",
        "--samples",
        folder / "prüf 1.npz",
        "--json",
        folder / "bericht ü.json",
        SDELIB_DATA="fallback",
        **POSIX,
    )
    assert done.returncode == 0 and "Fr?chet distance" in done.stdout, done.stderr
    report = json.loads((folder / "bericht ü.json").read_text(encoding="utf-8"))
    assert report["samples"] == str(folder / "prüf 1.npz") and report["n"] == 4


@pytest.mark.slow
def test_a_locale_with_a_decimal_comma(tmp_path):
    """Numbers are read and written with a point; where this machine lacks the locale, a locale that
    does not exist is tried."""
    german = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
    words = "--n 1 --steps 1 --guidance 1.5 --label sandal --device cpu --out".split()
    done = shell("sample", *words, tmp_path / "x.npz", **german)
    assert done.returncode == 0 and re.search(r"t = \d\.?\d*", done.stdout), done.stderr


def test_paths_with_spaces_and_accents(bundled, mirror, tmp_path, monkeypatch, capsys):
    """The data, the weights, the result and the checkpoint, each in such a folder."""
    odd = tmp_path / "mes données, été 100%" / "#1 (neu)"
    monkeypatch.delenv("SDELIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(odd))
    assert data.fashion_mnist().real and data.fashion_mnist(root=odd / "sdelib").real
    bundled.rename(odd / "weights ü")
    monkeypatch.setattr(weights, "BUNDLED", odd / "weights ü")
    assert draw(odd / "out é.npz") == 0 and len(drawn(odd / "out é.npz")[0]) == 5
    files = (
        "--data",
        odd / "sdelib",
        "--checkpoint",
        odd / "run ß.safetensors",
        "--bundle",
        "mine é",
    )
    assert small_train(tmp_path, "--what", "classifier", *files, steps=1) == 0
    weights.load("mine é")
    small_table().save(odd / "tàble.table")
    assert len(widgets.Table.load(odd / "tàble.table").frames) == 2


def calls(path: Path):
    """(line, name, call) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) != "Data.open":
            yield node.lineno, getattr(node.func, "attr", getattr(node.func, "id", "")), node


@pytest.mark.parametrize(
    "path", [p for p in WRITTEN if p.is_relative_to(ROOT / "sdelib")], ids=lambda path: path.name
)
def test_text_files_are_read_and_written_with_an_encoding(path):
    for line, name, node in calls(path):
        given = {k.arg for k in node.keywords}
        mode = next((a.value for a in node.args[1:2] if isinstance(a, ast.Constant)), "r")
        if name in ("read_text", "write_text") or (name == "open" and "b" not in str(mode)):
            assert "encoding" in given, (
                f'{path.name}:{line} depends on the locale: give encoding="utf-8"'
            )


def joined_by_hand(node) -> bool:
    """a + "/" + b, or f"{a}/{b}"."""
    pieces = (
        node.values
        if isinstance(node, ast.JoinedStr)
        else [node.left, node.right]
        if isinstance(node, ast.BinOp)
        else []
    )
    return any(
        isinstance(p, ast.Constant)
        and isinstance(p.value, str)
        and re.search(r"^[/\\\\]|[/\\\\]$", p.value)
        for p in pieces
    )


PATHS = {
    "Path",
    "open",
    "exists",
    "glob",
    "rglob",
    "copy",
    "copytree",
    "rmtree",
    "replace",
    "rename",
    "joinpath",
    "with_name",
    "atomic",
    "load",
    "save",
    "safe_open",
    "save_file",
    "checked",
    "_writable",
}
"""What takes a path."""


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_no_path_is_joined_by_hand(path):
    for line, name, node in calls(path):
        by_hand = name in PATHS and any(map(joined_by_hand, node.args))
        assert not by_hand, f"{path.name}:{line} joins a path with a separator: use pathlib"
    assert not re.search(
        r"\bos\.(alt)?sep\b|\bos\.path\.join\b", path.read_text(encoding="utf-8")
    ), f"{path.name}: use pathlib"


def test_a_path_joined_by_hand_is_found():
    found = [
        joined_by_hand(ast.parse(text, mode="eval").body)
        for text in ('a + "/x"', 'f"{a}/{b}"', 'f"{a}.npz"', 'a / "x"', '"x"')
    ]
    assert found == [True, True, False, False, False]


def test_names_that_windows_allows(tmp_path, monkeypatch):
    """Of every file of the repository, and of every file that sdelib names itself."""
    listed = [path.relative_to(ROOT).as_posix() for path in tracked()]
    assert len({name.casefold() for name in listed}) == len(listed)
    made = []
    weights.atomic(tmp_path / "x.npz", lambda p: made.append(p.name) or p.write_bytes(b""))
    made += (
        [f"{name}.table" for name in baking.RECIPES] + list(weights.sums()) + list(garments.SHA256)
    )
    for name in [part for path in listed for part in Path(path).parts] + made:
        assert (
            not re.search(r'[<>:"/\\|?*\x00-\x1f]|[ .]$', name)
            and PureWindowsPath(name).name == name
        ), name
        assert not PureWindowsPath(name).is_reserved(), name


# ---------------------------------------------------------------- the count at the end

SOME = """
import pytest
@pytest.mark.fault
@pytest.mark.parametrize("k", range(4))
def test_fault(k):
    if k == 2: pytest.skip("left out")
    assert k != 1
@pytest.mark.fault
def test_of_a_broken_fixture(nothing): pass
def test_other(): pass
"""


@pytest.mark.slow
def test_the_summary_counts_faults_of_other_processes_too(tmp_path):
    (tmp_path / "test_some.py").write_text(SOME, encoding="utf-8")
    words = "-m pytest -p conftest -p no:cacheprovider -p no:nbval -n 1 --rootdir".split()
    done = subprocess.run(
        [
            sys.executable,
            *words,
            tmp_path,
            "-c",
            ROOT / "pyproject.toml",
            tmp_path / "test_some.py",
        ],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("SDELIB_SKIPPED", "SDELIB_FAULTS")}
        | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "tools" / "book")])},
    )
    assert "faults tried 4, survived 2" in done.stdout, done.stdout + done.stderr
