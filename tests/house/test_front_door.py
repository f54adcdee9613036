"""The front door: what is installed and under which names, what is promised, what a release is."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import api
import edition
import pytest
import release
import tomllib
import yaml
from helpers import ROOT, tracked
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sdelib
from sdelib.cli import COMMANDS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
CALLED = {
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "cycler": "matplotlib",
    "traitlets": "anywidget",
    "ipython": "ipywidgets",
}
"""Module → the package that brings it, where the names differ."""


# ---------------------------------------------------------------- what is promised


def test_the_public_names_are_those_of_the_list():
    assert api.listed() == sorted(set(api.listed()))
    now, then = set(api.public()), set(api.listed())
    assert (now - then, then - now) == (set(), set()), "python book/_ext/api.py"


@pytest.mark.parametrize("package", ["sdelib", "sdelib.networks", "sdelib.own"])
def test_all_that_a_room_offers_is_promised(package):
    room = importlib.import_module(package)
    offered = {name for name in getattr(room, "__all__", ())}
    assert {f"{package}.{name}" for name in offered} <= set(api.listed())
    assert all(hasattr(room, name) for name in offered)
    assert package != "sdelib" or len(offered) > 20
    assert len([name for name in api.listed() if name.startswith(f"{package}.")]) > 10


def test_a_name_that_comes_or_goes_is_seen(monkeypatch):
    monkeypatch.setattr(sdelib, "__all__", [n for n in sdelib.__all__ if n != "VE"] + ["new_name"])
    assert set(api.listed()) ^ set(api.public()) == {"sdelib.VE", "sdelib.new_name"}


def test_every_listed_name_is_there():
    assert [name for name in api.listed() if api.reach(name) is None] == []
    private = [n for n in api.listed() if any(part.startswith("_") for part in n.split("."))]
    assert private == [] and not [n for n in api.listed() if n.startswith("sdelib.checks.")]


def test_a_deprecation_looks_as_the_page_says():
    text = (ROOT / "book" / "api" / "index.md").read_text(encoding="utf-8")
    module = ModuleType("sdelib.module")
    module.new_name = object()
    exec(re.search(r"^```python\n(.*?)^```$", text, re.M | re.S)[1], vars(module))
    with pytest.warns(DeprecationWarning, match=r"old_name is new_name now, and goes in 0\.\d+"):
        assert module.old_name is module.new_name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module.new_name and not hasattr(module, "another")


# ---------------------------------------------------------------- what is installed


def brought(*extras: str) -> set[str]:
    """The packages of the plain installation and of these extras."""
    found, waiting = set(), [*PROJECT["dependencies"], *(r for e in extras for r in EXTRAS[e])]
    while waiting:
        asked = Requirement(waiting.pop())
        if asked.name == "sdelib":
            waiting += [r for extra in asked.extras for r in EXTRAS[extra]]
        else:
            found.add(canonicalize_name(asked.name))
    return found


def packages(path: Path) -> set[str]:
    """What a module imports that is neither Python's nor sdelib's, by the names of the packages."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    first = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"sdelib"}
    return {canonicalize_name(CALLED.get(name.lower(), name)) for name in first}


def test_what_is_imported_is_installed_by_the_package_or_by_an_extra():
    files = sorted((ROOT / "sdelib").rglob("*.py"))
    book = [p for p in files if p.relative_to(ROOT / "sdelib").parts[0] in ("book", "widgets")]
    assert {"torch", "pillow", "torchvision"} <= set().union(*map(packages, files))
    tool = {p: packages(p) - brought("all") for p in files if p not in book}
    assert {p.name: names for p, names in tool.items() if names} == {}
    assert {p.name: n for p in book if (n := packages(p) - brought("notebooks"))} == {}


def test_the_plain_installation_trains_and_samples():
    """README's first commands: a network from a folder of pictures, and a picture from it."""
    wanted = {"torch", "numpy", "safetensors", "tqdm", "accelerate", "pillow"}
    assert brought() == wanted
    assert "torchvision" in brought("data") and "pandas" in brought("data")
    assert "optuna" in brought("tune") and "diffusers" in brought("adapters")
    assert {"onnx", "onnxscript", "onnxruntime"} <= brought("export")
    assert brought("data", "tune", "adapters", "export", "flow") == brought("all")


ALONE = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {without!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
from sdelib.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_plain_installation_samples_without_what_the_extras_bring(tmp_path):
    more = brought("all", "notebooks") - brought()
    without = more | {module for module, package in CALLED.items() if package in more}
    assert {"torchvision", "scipy", "pandas", "matplotlib", "sklearn"} <= without
    words = ["sample", "--n", "2", "--steps", "2", "--out", str(tmp_path / "few.npz")]
    command = [sys.executable, "-c", ALONE.format(without=without), *words]
    here = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "few.npz").is_file(), done.stderr


def test_an_extra_that_is_named_exists():
    """In README, in the book and in the sentences of the package."""
    texts = {
        p: p.read_text(encoding="utf-8")
        for p in [ROOT / "README.md", *tracked()]
        if p.suffix in (".md", ".py") and p.is_file() and "CHANGELOG" not in p.name
    }
    named = {
        (path.name, extra)
        for path, text in texts.items()
        for hit in re.findall(r'install "?(?:\.|sdelib)\[([\w,]+)\]', text)
        for extra in hit.split(",")
    }
    assert {extra for _, extra in named} & set(EXTRAS) and "README.md" in {n for n, _ in named}
    assert [(where, extra) for where, extra in named if extra not in EXTRAS] == []


def test_the_marks_of_the_package():
    marks = PROJECT["classifiers"]
    assert marks == sorted(marks) and "Typing :: Typed" in marks
    assert (ROOT / "sdelib" / "py.typed").read_bytes() == b""
    assert not [m for m in marks if m.startswith("License")], "license = says it (PEP 639)"
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    assert PROJECT["urls"]["Repository"] == address["url"]
    assert all(url.startswith(address["url"]) for url in PROJECT["urls"].values())


def test_zenodo_and_the_citation_say_the_same():
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert zenodo["title"] == cited["title"] and zenodo["license"] == cited["license"]
    assert zenodo["creators"] == cited["authors"]
    assert zenodo["keywords"] == cited["keywords"] == PROJECT["keywords"]
    (method,) = cited["references"]
    assert [r["identifier"] for r in zenodo["related_identifiers"]] == [
        i["value"] for i in method["identifiers"]
    ]
    assert "://" not in json.dumps(zenodo), "the address stands in _config.yml"


# ---------------------------------------------------------------- a release


@pytest.mark.slow
def test_the_wheel_of_the_source_installs_into_an_empty_folder_and_runs(tmp_path):
    """Built offline from the files of the checkout; what is in the wheel of a checkout is for
    tests/chapters/test_colab.py."""
    names = [p.relative_to(ROOT).as_posix() for p in tracked("-co", "--exclude-standard")]
    wheel, source = release.build(tmp_path / "dist", [n for n in names if (ROOT / n).is_file()])
    version = sdelib.__version__
    assert (wheel.name, source.name) == (
        f"sdelib-{version}-py3-none-any.whl",
        f"sdelib-{version}.tar.gz",
    )
    with zipfile.ZipFile(wheel) as inside:
        found = set(inside.namelist())
    wanted = {n for n in names if n.startswith("sdelib/") and (ROOT / n).is_file()}
    assert len(wanted) > 60 and wanted <= found and "sdelib/py.typed" in found
    assert {n.partition("/")[0] for n in found} == {"sdelib", f"sdelib-{version}.dist-info"}

    there, nowhere = tmp_path / "there", {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", there, wheel]
    done = subprocess.run(pip, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone = os.environ | {"PYTHONPATH": str(there), "OMP_NUM_THREADS": "1"}
    look = "import sdelib; print(sdelib.__file__); from sdelib.own import weights"
    for command, says in (
        ([sys.executable, "-c", look], str(there / "sdelib")),
        ([there / "bin" / "sdelib", "--help"], "sample"),
        ([sys.executable, "-m", "sdelib", "--help"], "sample"),
    ):
        done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True)
        assert done.returncode == 0 and says in done.stdout, (command, done.stderr)
    (installed,) = metadata.distributions(name="sdelib", path=[str(there)])
    assert sorted(installed.metadata.get_all("Classifier")) == PROJECT["classifiers"]
    assert set(installed.metadata.get_all("Provides-Extra")) == set(EXTRAS)


def test_what_stands_against_a_release_is_said(tmp_path):
    for name in ("sdelib/__init__.py", "CHANGELOG.md", "CITATION.cff", "_config.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8").replace(release.PLACEHOLDER, "somebody")
        text = text.replace("[Unreleased]", f"[{sdelib.__version__}] - 2026-01-01")
        (tmp_path / name).write_text(text, encoding="utf-8")
    tag = f"v{sdelib.__version__}"
    assert release.missing(tag, tmp_path) == []
    assert len(release.missing("v9.9.9", tmp_path)) == 3
    config = tmp_path / "_config.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("somebody", release.PLACEHOLDER), encoding="utf-8")
    (said,) = release.missing(tag, tmp_path)
    assert "placeholder" in said and release.PLACEHOLDER == edition.PLACEHOLDER


def test_the_release_is_made_of_what_was_tested():
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}  # YAML 1.1's `on`
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job and job["timeout-minutes"] >= 60
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})", name) for name in uses), uses
    kept = {s["with"]["name"]: s["with"]["path"] for s in job["steps"] if "with" in s}
    assert kept == {"package": "dist", "site": "_build/html"}
    runs = [step["run"] for step in job["steps"] if "run" in step]
    order = [
        next(k for k, run in enumerate(runs) if part in run)
        for part in ("release.py check", ".ci/run", "release.py build dist")
    ]
    assert order == sorted(order)


def test_the_script_is_the_module():
    (point,) = PROJECT["scripts"].items()
    assert point == ("sdelib", "sdelib.__main__:run")
    from sdelib.__main__ import run

    assert callable(run) and {"train", "sample", "evaluate"} <= set(COMMANDS)
