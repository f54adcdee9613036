"""Every chapter opens alone on Colab; rehearsed without Colab and without a network.

A chapter runs as it stands, set-up cell and all, with smoke parameters: in an empty folder, in an
environment of its own with a stub of google.colab and what `tools/setup/colab.toml` says Colab has, and
nothing else. Git takes a clone of this checkout, as it is now, for the public address, and pip
takes the packages that Colab lacks from a folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import time
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import matplotlib
import nbformat
import notebooks as tool
import pytest
import tomllib
from helpers import ROOT, chapters, code, missing, needed
from packaging.utils import canonicalize_name

SMOKE_SECONDS = 15
NOISY = float(
    os.environ.get("SDELIB_TIME_FACTOR", 2)
)  # machines that run tests are slow, or busy with other things
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


def tracked() -> list[str]:
    """The files of this checkout that git knows and that are there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        missing("this is not a git checkout")
    return [
        name
        for name in git("ls-files", "-z", folder=ROOT).split("\0")
        if name and (ROOT / name).is_file()
    ]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Path:
    """What stands for the public address: a repository with the files of this checkout as they are
    now, committed or not."""
    clone = tmp_path_factory.mktemp("address")
    for name in tracked():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    git("init", "-q", folder=clone)
    for key, value in {
        "user.name": "x",
        "user.email": "x@example.org",
        "commit.gpgsign": "false",
        "core.compression": "0",
        "pack.window": "0",
    }.items():  # it is cloned for each chapter, and from a disk
        git("config", key, value, folder=clone)
    git("add", "--all", "--force", folder=clone)
    git("commit", "-q", "--no-verify", "-m", "As it is now", folder=clone)
    return clone


@pytest.fixture(scope="module")
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


@pytest.fixture
def colab(address, wheels, tmp_path, monkeypatch) -> str:
    """The name of a kernel whose environment has only what Colab has."""
    python, site = (
        tmp_path / "env" / "bin" / "python",
        Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")})),
    )
    venv.create(tmp_path / "env", with_pip=False)
    for dist in map(metadata.distribution, HAS):
        for name in {file.parts[0] for file in dist.files} - {"..", "__pycache__"}:
            if not (site / name).exists():  # several share the folder of a namespace
                (site / name).symlink_to(dist.locate_file(name))
    stub, startup = site / "google" / "colab", tmp_path / "ipython" / "profile_default" / "startup"
    spec = tmp_path / "jupyter" / "kernels" / "colab"
    for new in (stub, startup, spec):
        new.mkdir(parents=True)
    (stub / "__init__.py").touch()
    (stub / "output.py").write_text(STUB, encoding="utf-8")
    (startup / "colab.py").write_text("import google.colab.output", encoding="utf-8")
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PYTHONPATH": "",
        "PYTHONNOUSERSITE": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
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
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
    }
    (spec / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Colab",
                "language": "python",
                "env": environment,
            }
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return "colab"


@pytest.fixture
def alone(tmp_path) -> Path:
    """An empty folder."""
    (folder := tmp_path / "content").mkdir()
    return folder


def smoke(path: Path, folder: Path, out: Path, kernel: str, say):
    """The notebook after a run in this folder with smoke parameters: to its end, without an error,
    and within the budget."""
    import papermill

    nb = nbformat.read(path, as_version=4)
    nb.cells.append(
        nbformat.v4.new_code_cell("__import__('time').process_time()", metadata={"tags": []})
    )
    start = time.monotonic()
    nb = papermill.execute_notebook(
        nb, out / path.name, {"SMOKE": True}, cwd=folder, kernel_name=kernel, progress_bar=False
    )
    setup = sum(cell.metadata.papermill.duration for cell in code(nb) if "setup" in tool.tags(cell))
    seconds = time.monotonic() - start - setup
    skipped = [
        k
        for k, cell in enumerate(nb.cells)
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None
    ]
    assert not skipped, f"the run stopped before cells {skipped}"
    for cell in code(nb):
        for output in cell.outputs:
            assert output.output_type != "error"
    busy = float(nb.cells[-1].outputs[0].data["text/plain"])
    say(
        f"{path.stem}, smoke parameters, as on Colab: {seconds:.1f} s, of which the processor worked {busy:.1f} s; the set-up cell {setup:.1f} s"
    )
    # On a busy machine the clock runs on while the chapter waits, so the smaller of the two is held
    # to the budget.
    assert min(seconds, busy) < NOISY * SMOKE_SECONDS, (
        f"the budget is {SMOKE_SECONDS} s, times {NOISY:g} here"
    )
    return nb


@pytest.mark.slow
@chapters
def test_it_runs_on_colab_with_smoke_parameters(path, colab, alone, tmp_path, say):
    smoke(Path(shutil.copy(path, alone)), alone, tmp_path, colab, say)


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
print(json.dumps([str(folder), *(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())]))
"""


@pytest.mark.slow
def test_the_setup_cell_installs_all_that_a_chapter_needs(colab, alone, tmp_path, say):
    """Every tracked file of the package, with its weights and its widgets, and what Colab lacks;
    what Colab has stays as it was, and every module of the wheel can be imported."""
    cells = [
        nbformat.v4.new_code_cell(source) for source in (LOOK, tool.setup_source(), LOOK, FILES)
    ]
    nbformat.write(tool.tidy(nbformat.v4.new_notebook(cells=cells), "setup"), alone / "setup.ipynb")
    nb = smoke(alone / "setup.ipynb", alone, tmp_path, colab, say)
    before, after, (folder, *files) = (
        json.loads(cell.outputs[0].text) for cell in nb.cells if "json" in cell.source
    )
    assert {canonicalize_name(name) for name in before} == HAS
    assert before.items() <= after.items()
    assert {canonicalize_name(name) for name in after.keys() - before.keys()} == LACKS | {"sdelib"}
    assert Path(folder).is_relative_to(tmp_path / "env")
    expected = {
        name.removeprefix("sdelib/")
        for name in tracked()
        if name.startswith(("sdelib/", "results/"))
    }
    assert expected <= set(files), f"tracked, but not in the wheel: {sorted(expected - set(files))}"
