"""What a release needs and what it carries.

    python tools/book/release.py check v0.2.0     whether this may be released under the tag
    python tools/book/release.py build FOLDER     the wheel and the source, of committed files

Nothing is uploaded. They are built by the setuptools that is installed here, in a copy of the files
that Git has, so that nothing else comes into them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "not--yet--published"
NEEDED = ("sdelib/", "results/", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta as b; b.build_sdist(sys.argv[1])"


def missing(tag: str, root: Path = ROOT) -> list[str]:
    """What stands against a release under this tag, a sentence each."""
    text = lambda name: (root / name).read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"', text("sdelib/__init__.py"), re.M)
    said = []
    if version is None or tag != f"v{version[1]}":
        said.append(f"the tag is {tag}, and sdelib's version is {version and version[1]}")
    if not re.search(rf"^## \[{re.escape(tag[1:])}\] - ", text("CHANGELOG.md"), re.M):
        said.append(f"CHANGELOG.md has no section [{tag[1:]}] with a date")
    if not re.search(rf"^version: {re.escape(tag[1:])}$", text("CITATION.cff"), re.M):
        said.append(f"CITATION.cff has another version than {tag[1:]}")
    if PLACEHOLDER in text("_config.yml").partition("url: ")[2].partition("\n")[0]:
        said.append("the address in _config.yml is the placeholder: see CONTRIBUTING.md")
    return said


def committed(root: Path = ROOT) -> list[str]:
    git = ["git", "ls-files", "-z"]
    done = subprocess.run(git, cwd=root, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def build(out: Path, names: Iterable[str], root: Path = ROOT) -> list[Path]:
    """[wheel, source] in the folder `out`; the wheel is built from the source, so that the source
    is whole."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in names:
            if name.startswith(NEEDED):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name, copy / name)
        made = Path(folder) / "made"
        made.mkdir()
        subprocess.run([sys.executable, "-c", BUILD, made], cwd=copy, check=True, stdout=2)
        (source,) = made.iterdir()
        shutil.unpack_archive(source, Path(folder) / "unpacked", filter="data")
        (whole,) = (Path(folder) / "unpacked").iterdir()
        wheel = BUILD.replace("sdist", "wheel")
        subprocess.run([sys.executable, "-c", wheel, made], cwd=whole, check=True, stdout=2)
        found = sorted(made.iterdir(), key=lambda path: path.suffix != ".whl")
        return [Path(shutil.move(path, out / path.name)) for path in found]


def main(words: list[str]) -> int:
    if len(words) != 2 or words[0] not in ("check", "build"):
        print(__doc__, file=sys.stderr)
        return 2
    if words[0] == "build":
        for path in build(Path(words[1]).resolve(), committed()):
            print(path.name)
        return 0
    said = missing(words[1])
    print("\n".join(said) or f"{words[1]} may be released", file=sys.stderr if said else sys.stdout)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
