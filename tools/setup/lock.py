"""requirements.lock: every package of the book with the SHA-256 of its wheel, so that pip installs
what was tested, byte for byte.

    python tools/setup/lock.py write      ask pip what requirements.txt comes to, and write the
                                          versions and the hashes
    python tools/setup/lock.py options    what `make` gives to pip: the lock where it fits, else
                                          requirements.txt

PyTorch, NumPy and others have a wheel for each system and each Python, and other packages come
along with them. One lock is for one
of these: its first line names it (CI's). Elsewhere `make` installs the same versions from
requirements.txt and constraints.txt without hashes. No address is recorded: pip takes the wheels
from the index that it is set up for, and refuses any with another hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"


def system() -> str:
    """The system and the Python that wheels are made for."""
    return (
        f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}, "
        f"{platform.system()} {platform.machine()}"
    )


def head() -> str:
    """The first lines of a lock for this system and the present requirements.txt and
    constraints.txt."""
    texts = b"".join(
        (ROOT / name).read_bytes().replace(b"\r\n", b"\n")
        for name in ("requirements.txt", "constraints.txt")
    )
    return (
        f"# for {system()}\n# of requirements.txt and constraints.txt with SHA-256 "
        f"{hashlib.sha256(texts).hexdigest()}\n"
    )


def lock(report: dict) -> str:
    """The lock from pip's installation report.  Raises ValueError for a package without a hash."""
    lines = []
    for item in report["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if not digest:
            raise ValueError(f"{name} {version} has no SHA-256: is it installed from a folder?")
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    return (
        head()
        + "# Written by `python tools/setup/lock.py write`; do not edit.\n"
        + "".join(sorted(lines, key=str.lower))
    )


def new_pip(folder: Path) -> Path:
    """A Python whose pip asks the index what a package needs; before version 25 pip fetched every
    wheel to learn it."""
    if int(metadata.version("pip").partition(".")[0]) >= 25:
        return Path(sys.executable)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
    return python


def write() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report, python = Path(folder) / "report.json", new_pip(Path(folder) / "pip")
        done = subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--dry-run",
                "--ignore-installed",
                "--only-binary",
                ":all:",
                "--quiet",
                "--report",
                report,
                "-r",
                ROOT / "requirements.txt",
            ]
        )
        if done.returncode:
            return done.returncode
        from sdelib.own.weights import atomic

        text = lock(json.loads(report.read_text(encoding="utf-8")))
    atomic(LOCK, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))
    print(f"{LOCK.name}: {text.count('--hash')} packages")
    return 0


def options() -> str:
    """pip's options; why there are no hashes is said on stderr."""
    first, second, *_ = (
        [*LOCK.read_text(encoding="utf-8").splitlines(), "", ""] if LOCK.is_file() else ["", ""]
    )
    if first != (mine := head().splitlines())[0]:
        print(
            "          without hashes: requirements.lock is "
            f"{first[2:] or 'missing'}, this is {system()}",
            file=sys.stderr,
        )
    elif second != mine[1]:
        print(
            "          without hashes: requirements.lock is older than the rest; run "
            "`python tools/setup/lock.py write`",
            file=sys.stderr,
        )
    else:
        return "--require-hashes --only-binary :all: -r requirements.lock"
    return "-r requirements.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["write", "options"])
    if parser.parse_args().what == "write":
        return write()
    print(options())
    return 0


if __name__ == "__main__":
    sys.exit(main())
