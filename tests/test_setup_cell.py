"""The first cell of a chapter on Colab, rehearsed without Colab.

The cell runs as it stands, in an empty folder and a clean environment, with a stub of google.colab; git takes
this checkout for the public address. What is installed must then be all that a chapter needs: every committed
file of the package, with its weights and its widget.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv

import pytest

from conftest import ROOT, missing
from test_chapters import tool

CELL = """
import sys, types
sys.modules["google"] = types.ModuleType("google")
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
done = InteractiveShell.instance().run_cell({source!r})
sys.exit(0 if done.success else 1)
"""

LOOK = """
import sys, sdelib
from pathlib import Path
folder = Path(sdelib.__file__).parent
assert folder.parent == Path(sys.argv[1]), folder
print(*sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts), sep="\\n")
"""


@pytest.mark.slow
def test_the_setup_cell_installs_all_that_a_chapter_needs(tmp_path):
    if shutil.which("git") is None or subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode:
        missing("this is not a git checkout")
    work = tmp_path / "work"
    work.mkdir()
    # A clean environment that sees the packages of this one, but not the link to this checkout: links
    # are followed in an environment's own folder only, and not in PYTHONPATH.
    venv.create(tmp_path / "env", with_pip=False)
    python, site = tmp_path / "env" / "bin" / "python", sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")})
    env = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
           "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf", "GIT_CONFIG_VALUE_0": tool.address(),
           "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*", "IPYTHONDIR": str(tmp_path / "ipython")}
    before = subprocess.run([python, "-c", "import sdelib"], cwd=work, env=env, capture_output=True, text=True)
    assert "No module named 'sdelib'" in before.stderr
    source = "\n".join(line for line in tool.setup_source().splitlines() if "anywidget" not in line)  # that is here already
    done = subprocess.run([python, "-c", CELL.format(source=source)], cwd=work, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    look = subprocess.run([python, "-c", LOOK, site], cwd=work, env=env, capture_output=True, text=True, timeout=60)
    assert look.returncode == 0, done.stdout[-2000:] + look.stderr[-2000:]
    installed = set(look.stdout.split())
    tracked = subprocess.run(["git", "ls-tree", "-r", "--name-only", "HEAD", "sdelib", "results"], cwd=ROOT, capture_output=True, text=True)
    expected = {name.removeprefix("sdelib/") for name in tracked.stdout.split()}
    assert expected <= installed, f"committed, but not in the wheel: {sorted(expected - installed)}"
