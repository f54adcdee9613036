"""tune, as a reader runs it: from points in a file to what was taken, through a kill, and a search
that two processes share."""

import csv
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, call

from sdelib.own.tuning import bench


@pytest.fixture
def spots(tmp_path):
    draws = np.random.default_rng(0)
    side = draws.integers(0, 2, (200, 1))
    path = tmp_path / "spots.npy"
    np.save(path, (0.2 * draws.normal(size=(200, 2)) + 2 * side).astype(np.float32))
    return path


def begun(*args):
    """The command in a process of its own."""
    words = [sys.executable, "-m", "sdelib", *map(str, args)]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def rows(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def timeless(path):
    return [{k: v for k, v in r.items() if k not in ("seconds", "date")} for r in rows(path)]


def words(spots, *more, steps=20):
    return [
        *("tune", "--data", spots, "--device", "cpu", "--steps", steps, "--base", "width=8"),
        *more,
    ]


def test_from_a_file_to_what_was_taken(spots, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "relative", lambda data, setting, base, cpu: (2.0, 0.1))
    out = tmp_path / "found"
    more = ("--vary", "lr=1e-9,2e-2", "--vary", "width=16", "--out", f"{out}/", "--rounds", 1)
    assert call(*words(spots, *more)) == 0
    said = capsys.readouterr().out
    for part in (
        "200 points",
        "What we took",
        "What we refused",
        "lr=1e-09",
        "× 2.00",
        "train with",
    ):
        assert part in said
    assert {p.name for p in out.iterdir()} == {
        f"tuning.{end}" for end in ("csv", "losses.npz", "txt", "png")
    }
    text = (out / "tuning.csv").read_text(encoding="utf-8")
    assert text.startswith("# command: python -m sdelib tune --data") and "base: lr=0.002" in text
    assert len(rows(out / "tuning.csv")) == 2 * (1 + 2 + 2)
    assert "What we refused" in (out / "tuning.txt").read_text(encoding="utf-8")


@pytest.mark.fault
def test_a_kill_loses_nothing(spots, tmp_path):
    how = lambda name: words(spots, "--vary", "lr=1e-9,2e-2", "--out", tmp_path / name, steps=40)
    part = tmp_path / "part.csv"
    process = begun(*how("part.csv"))
    while process.poll() is None and not (part.exists() and len(rows(part)) > 1):
        time.sleep(0.02)
    assert process.poll() is None
    process.kill()
    process.communicate()
    kept = timeless(part)
    assert 2 <= len(kept) < 6
    assert call(*how("part.csv")) == 0 == call(*how("whole.csv"))
    assert timeless(part)[: len(kept)] == kept and timeless(part) == timeless(
        tmp_path / "whole.csv"
    )
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".safetensors"]


def test_two_processes_share_a_search(spots, tmp_path, capsys):
    out = tmp_path / "s.csv"
    how = words(
        spots,
        "--vary",
        "lr=1e-4..1e-1",
        "--vary",
        "dropout=0.1",
        "--search",
        3,
        "--out",
        out,
        steps=10,
    )
    other = begun(*how)
    while other.poll() is None and not out.with_suffix(".db").exists():
        time.sleep(0.02)
    assert other.poll() is None
    assert call(*how) == 0
    told = capsys.readouterr().out
    assert other.wait(120) == 0, other.communicate()[0]
    assert "trials" in told and "train with" in told
    table = rows(out)
    assert len(table) in (3, 4) and len({r["trial"] for r in table}) == len(table)
    assert len({r["lr"] for r in table}) == len(table)
    theirs = other.communicate()[0]
    assert "train with" in theirs
    assert call(*how) == 0 and rows(out) == table  # nothing is left to do


@pytest.mark.fault
@pytest.mark.parametrize(
    "more, said",
    [
        (["--vary", "speed=1"], "vary = 'speed'"),
        (["--vary", "lr"], "--vary lr: give NAME=VALUE"),
        (["--vary", "lr="], "--vary lr=: give NAME=VALUE"),
        (["--vary", "lr=0"], "vary = 'lr=0'"),
        (["--vary", "lr=1e-3", "--base", "lr=fast"], "vary = 'lr=fast'"),
        (["--vary", "lr=1e-3", "--minutes", "1"], "minutes = 1.0"),
        (["--vary", "lr=1e-3", "--seeds", "1"], "--seeds"),
        (["--vary", "lr=1e-3", "--log", "nothing"], "log = 'nothing'"),
        (["--vary", "lr=1e-3", "--search", "2", "--rounds", "2"], "--rounds does not go"),
        (["--vary", "lr=1e-3", "--out", "t.png"], "out = 't.png'"),
    ],
)
def test_wrong_words(spots, tmp_path, capsys, more, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.iterdir()}
    assert call(*words(spots, *more)) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and {*tmp_path.iterdir()} == before


@pytest.mark.fault
def test_stopped_by_the_reader_and_another_command(spots, tmp_path, capsys, monkeypatch):
    out = tmp_path / "t.csv"
    how = words(spots, "--vary", "lr=2e-2", "--out", out, steps=5)
    train, runs = bench.trained, []

    def stops(*args, **more):
        runs.append(args)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return train(*args, **more)

    monkeypatch.setattr(bench, "trained", stops)
    assert call(*how) == 130
    assert f"{out} keeps the runs that are done" in capsys.readouterr().err and len(rows(out)) == 2
    assert call(*words(spots, "--vary", "lr=2e-2", "--out", out, steps=6)) == 2
    assert "steps = 5, not 6" in capsys.readouterr().err
    assert call(*how) == 0 and len(runs) >= 5


@pytest.mark.fault
def test_without_optuna_or_matplotlib(spots, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    how = words(spots, "--vary", "lr=2e-2", "--out", tmp_path / "t.csv", "--rounds", 1, steps=3)
    assert call(*how[:-2], "--search", 2) == 1
    assert 'optuna is not installed: pip install "sdelib[tune]"' in capsys.readouterr().err
    assert call(*how) == 0
    assert "no figure is drawn: matplotlib" in capsys.readouterr().err
