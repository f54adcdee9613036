"""Every chapter opens alone on Colab; rehearsed without Colab and without a network.

A chapter runs with smoke parameters in an empty folder, in an environment with a stub of
google.colab and what `tools/setup/colab.toml` says Colab has, and nothing else. Git takes a clone
of this checkout, as it is now, for the public address, and pip takes the packages that Colab lacks
from a folder. The set-up cell runs in a test of its own; the chapters share what its commands
installed. How long each takes is measured by tools/measure/times.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import matplotlib
import nbformat
import notebooks as tool
import pytest
import tomllib
from helpers import ROOT, chapters, code, needed, read, tracked
from packaging.utils import canonicalize_name

HAS = needed(tool.COLAB["has"]) - set(tool.COLAB["lacks"])
LACKS = needed(tool.COLAB["lacks"]) - HAS
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
    "requires"
]

STUB = """
class _widgets:
    _installed_url = None

def enable_custom_widget_manager():
    _widgets._installed_url = "https://example.org/manager.js"
"""


def git(*words, folder: Path) -> str:
    """What git says in this folder, whatever a hook of git has set for another."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> Path:
    """What stands for the public address: a repository with the files of this checkout as they are
    now, committed or not."""
    clone = tmp_path_factory.mktemp("address")
    for name in [path.relative_to(ROOT) for path in tracked()]:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    git("init", "-q", folder=clone)
    for key, value in {
        "user.name": "x",
        "user.email": "x@example.org",
        "commit.gpgsign": "false",
    }.items():
        git("config", key, value, folder=clone)
    git("add", "--all", "--force", folder=clone)
    git("commit", "-q", "--no-verify", "-m", "As it is now", folder=clone)
    git("branch", tool.branch(ROOT), folder=clone)
    return clone


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    """What stands for the index of packages: those that Colab lacks and those that build sdelib,
    packed again as they are installed here."""
    folder = tmp_path_factory.mktemp("wheels")
    for dist in map(metadata.distribution, LACKS | needed(BUILD)):
        with zipfile.ZipFile(
            folder / f"{dist.name.replace('-', '_')}-{dist.version}-py3-none-any.whl", "w"
        ) as wheel:
            for file in dist.files:
                if file.parts[0] != ".." and file.suffix != ".pyc":
                    wheel.write(file.locate(), str(file))
    return folder


def variables(address: Path, wheels: Path, folder: Path) -> dict[str, str]:
    """What a process of the rehearsal sees: one index of packages, one address, no network."""
    nowhere = "http://127.0.0.1:9"
    return {
        "PYTHONPATH": "",
        "PYTHONNOUSERSITE": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.file://{address}.insteadOf",
        "GIT_CONFIG_VALUE_0": tool.address(),
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        # Without the real Fashion-MNIST: no folder is named, the cache is empty, and a download
        # finds no one.
        "SDELIB_DATA": "",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
    }


def colab(folder: Path) -> Path:
    """The Python of a new environment in this folder that has only what Colab has."""
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    venv.create(folder, with_pip=False)
    for dist in map(metadata.distribution, HAS):
        for name in {file.parts[0] for file in dist.files} - {"..", "__pycache__"}:
            if not (site / name).exists():  # several share the folder of a namespace
                (site / name).symlink_to(dist.locate_file(name))
    stub = site / "google" / "colab"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()
    (stub / "output.py").write_text(STUB, encoding="utf-8")
    return folder / "bin" / "python"


@pytest.fixture
def fresh(tmp_path) -> Path:
    """The Python of a Colab on which nothing was installed yet."""
    return colab(tmp_path / "env")


@pytest.fixture(scope="session")
def installed(address, wheels, tmp_path_factory) -> Path:
    """The Python of a Colab on which the set-up cell has run: its commands, word for word."""
    folder = tmp_path_factory.mktemp("colab")
    python = colab(folder / "env")
    environment = os.environ | variables(address, wheels, folder)
    for command in re.findall(r"^ +%(pip install .*)$", tool.setup_source(), re.M):
        done = subprocess.run(
            [python, "-m", *shlex.split(command)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def run(address, wheels, tmp_path, monkeypatch):
    """run(nb, python): the notebook after a run with smoke parameters, alone in an empty folder: to
    its end, without an error."""
    import papermill

    content, spec = tmp_path / "content", tmp_path / "jupyter" / "kernels" / "colab"
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    for new in (content, spec, startup):
        new.mkdir(parents=True)
    (startup / "colab.py").write_text("import google.colab.output", encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    def smoke(nb, python):
        kernel = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Colab",
            "language": "python",
            "env": variables(address, wheels, tmp_path),
        }
        (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
        nbformat.write(nb, content / "chapter.ipynb")
        nb = papermill.execute_notebook(
            content / "chapter.ipynb",
            tmp_path / "out.ipynb",
            {"SMOKE": True},
            cwd=content,
            kernel_name="colab",
            progress_bar=False,
        )
        assert not [
            k
            for k, cell in enumerate(nb.cells)
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None
        ], "the run stopped before these cells"
        assert not [o for cell in code(nb) for o in cell.outputs if o.output_type == "error"]
        return nb

    return smoke


@pytest.mark.slow
@chapters
def test_it_runs_on_colab_with_smoke_parameters(path, installed, run):
    nb = read(path)
    for cell in code(nb):
        if "setup" in tool.tags(cell):
            cell.source = "import google.colab"  # what the cell installs is there
    run(nb, installed)


LOOK = """
import json
from importlib.metadata import distributions
print(json.dumps({d.name: d.version for d in distributions()}))
"""

FILES = """
import importlib, pkgutil
from pathlib import Path
import sdelib
for module in pkgutil.walk_packages(sdelib.__path__, "sdelib."):
    importlib.import_module(module.name)
folder = Path(sdelib.__file__).parent
files = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
print(json.dumps([str(folder), *files]))
"""


@pytest.mark.slow
def test_the_setup_cell_installs_all_that_a_chapter_needs(fresh, run, tmp_path):
    """Every tracked file of the package, with its weights and its widgets, and what Colab lacks;
    what Colab has stays as it was, and every module of the wheel can be imported."""
    cells = [
        nbformat.v4.new_code_cell(source) for source in (LOOK, tool.setup_source(), LOOK, FILES)
    ]
    nb = run(tool.tidy(nbformat.v4.new_notebook(cells=cells), "setup"), fresh)
    before, after, (folder, *files) = (
        json.loads(cell.outputs[0].text) for cell in nb.cells if "json" in cell.source
    )
    assert {canonicalize_name(name) for name in before} == HAS
    assert before.items() <= after.items()
    assert {canonicalize_name(name) for name in after.keys() - before.keys()} == LACKS | {"sdelib"}
    assert Path(folder).is_relative_to(tmp_path / "env")
    expected = {
        name.removeprefix("sdelib/")
        for name in (path.relative_to(ROOT).as_posix() for path in tracked())
        if name.startswith(("sdelib/", "results/"))
    }
    assert expected <= set(files), f"tracked, but not in the wheel: {sorted(expected - set(files))}"
