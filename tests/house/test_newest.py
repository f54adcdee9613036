"""The monthly workflow and what it installs: names without pins, and Colab's versions."""

from __future__ import annotations

import re

import newest
import pytest
import yaml
from helpers import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "newest.yml"
FROZEN = """
torch @ https://example.org/whl/cu126/torch-2.8.0%2Bcu126-cp312-cp312-manylinux_2_28_x86_64.whl
torchvision==0.23.0+cu126
numpy==2.0.2
Some_Thing==1.0
"""


def test_every_name_is_asked_for_without_its_version():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    asked = newest.newest(text)
    lines = [line for line in text.splitlines() if line and line[0] not in "#-"]
    assert len(asked) == len(lines) and {"torch", "jupyter-book<2"} <= set(asked)
    assert not [name for name in asked if "=" in name]


def test_colabs_versions_are_taken_from_its_list():
    asked = newest.as_colab(FROZEN)
    assert {"torch==2.8.0", "torchvision==0.23.0", "numpy==2.0.2", "scipy"} <= set(asked)
    assert {"anywidget", "safetensors", "papermill"} <= set(asked) and "some-thing" not in asked


def test_only_versions_that_changed_are_told():
    before, now = newest.pins("a==1\nB_c==2\ngone==3\n"), newest.pins("a==1\nb-c==2.1\nnew==1\n")
    assert newest.changes(before, now) == ["b-c 2 → 2.1"]


def test_it_leaves_an_environment_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(newest, "VENV", tmp_path)
    with pytest.raises(SystemExit, match=re.escape(str(tmp_path))):
        newest.install(["torch"])


def test_the_workflow_runs_what_there_is_and_may_do_little():
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    ((cron,),) = ([event["cron"] for event in workflow[True]["schedule"]],)
    assert cron.split()[2:] == ["2", "*", "*"]  # YAML 1.1 reads `on` as a truth
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", s["uses"]) for s in steps if "uses" in s)
    said = "\n".join(step.get("run", "") for step in steps)
    assert all((ROOT / path).is_file() for path in re.findall(r"tools/[\w/]+\.py", said))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"make (\w+)", said)) <= set(re.findall(r"^([a-z]+):", makefile, re.M))
