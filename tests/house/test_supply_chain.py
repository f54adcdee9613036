"""What the book is installed from, what its site carries, and that nothing is unpickled."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import zipfile

import lock
import pytest
import third_party
from helpers import PAGES, ROOT, SITE, code, missing, needed, read
from packaging.utils import canonicalize_name

# ---------------------------------------------------------------- requirements.lock


def locked() -> dict[str, str]:
    """Canonical name → version of each line of the lock."""
    lines = [
        line
        for line in lock.LOCK.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    hits = [re.fullmatch(r"([\w.-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert all(hits), [line for line, hit in zip(lines, hits) if not hit]
    return {canonicalize_name(hit[1]): hit[2] for hit in hits}


def pins(name: str) -> dict[str, str]:
    return {
        canonicalize_name(hit[0]): hit[1]
        for hit in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.M)
    }


def test_the_lock_is_that_of_the_requirements():
    lines = lock.LOCK.read_text(encoding="utf-8").splitlines()
    assert lines[1] == lock.head().splitlines()[1], (
        "requirements.txt or constraints.txt changed: python tools/setup/lock.py write"
    )
    assert "://" not in "".join(lines), "an address is recorded"
    found = locked()
    for name in ("requirements.txt", "constraints.txt"):
        wanted = pins(name)
        assert {k: v for k, v in wanted.items() if k in found and found[k] != v} == {}
    assert set(pins("requirements.txt")) <= set(found)


def test_the_lock_is_whole():
    """Everything that requirements.txt comes to is in it, and nothing else: seen by what the
    installed packages ask for."""
    if (made := lock.LOCK.read_text(encoding="utf-8").splitlines()[0]) != lock.head().splitlines()[
        0
    ]:
        pytest.skip(f"requirements.lock is {made[2:]}, and this is {lock.system()}")
    assert needed(
        f"{name}=={version}" for name, version in pins("requirements.txt").items()
    ) == set(locked())


def test_make_takes_the_lock_where_it_fits(monkeypatch, capsys):
    text = lock.LOCK.read_text(encoding="utf-8")
    if lock.head().splitlines()[0] == text.splitlines()[0]:
        assert (
            lock.options() == "--require-hashes --only-binary :all: -r requirements.lock"
            and not capsys.readouterr().err
        )
    monkeypatch.setattr(lock, "system", lambda: "cpython 3.14, Plan 9 mips")
    assert lock.options() == "-r requirements.txt" and "Plan 9" in capsys.readouterr().err
    assert "pip install --quiet $$($(PY) tools/setup/lock.py options)" in (
        ROOT / "Makefile"
    ).read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a wheel of a package that needs nothing, its requirements, and no index."""
    with zipfile.ZipFile(tmp_path / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_thing.py", "")
        wheel.writestr(
            "tiny_thing-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        )
        wheel.writestr(
            "tiny_thing-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("tiny_thing-1.0.dist-info/RECORD", "")
    (tmp_path / "requirements.txt").write_text("tiny-thing==1.0\n", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("", encoding="utf-8")
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(lock, "new_pip", lambda folder: sys.executable)
    for name, value in (
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(tmp_path)),
        ("PIP_CONFIG_FILE", "/dev/null"),
    ):
        monkeypatch.setenv(name, value)
    return tmp_path


def test_pip_refuses_a_wheel_with_another_hash(folder):
    """The lock as it is written, and as `make` hands it to pip: the wheel passes, and the same
    wheel with one byte more does not."""
    assert lock.write() == 0
    wheel = folder / "tiny_thing-1.0-py3-none-any.whl"
    assert (
        f"tiny-thing==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        in lock.LOCK.read_text(encoding="utf-8")
    )
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        folder / "there",
        *lock.options().split(),
    ]
    good = subprocess.run(pip, cwd=folder, capture_output=True, text=True)
    assert good.returncode == 0 and (folder / "there" / "tiny_thing.py").is_file(), good.stderr
    with zipfile.ZipFile(wheel, "a") as changed:
        changed.writestr("more.py", "")
    bad = subprocess.run([*pip, "--upgrade"], cwd=folder, capture_output=True, text=True)
    assert (
        bad.returncode != 0
        and "DO NOT MATCH THE HASHES" in bad.stderr
        and not (folder / "there" / "more.py").exists()
    )


def test_a_lock_older_than_the_requirements_is_not_used(folder, capsys):
    lock.LOCK.write_text(lock.head(), encoding="utf-8")
    assert lock.options().startswith("--require-hashes")
    (folder / "constraints.txt").write_text("tiny-thing==1.0\n", encoding="utf-8")
    assert (
        lock.options() == "-r requirements.txt"
        and "python tools/setup/lock.py write" in capsys.readouterr().err
    )


# ---------------------------------------------------------------- what the site carries


def test_every_package_tells_its_licence():
    for package in third_party.packages().values():
        assert package.licence and package.version, package.name
        assert any(len(text) > 500 for text in package.texts), f"{package.name} has no licence text"
    shown = " ".join(node.astext() for node in third_party.ThirdParty.run(None))
    for words in (
        "Font Awesome Free",
        "Bootstrap v",
        "clipboard.js",
        "mathjax 3",
        "onnxruntime-web",
        "protobufjs",
        "Permission is",
    ):
        assert words in shown, words


@pytest.mark.parametrize(
    "path, owner",
    [
        ("book.css", "the book"),
        ("vendor/mathjax/output/chtml/fonts/woff-v2/MathJax_Zero.woff", "mathjax"),
        ("basic.css", "Sphinx"),
        ("scripts/bootstrap.js", "pydata-sphinx-theme"),
        ("mystnb.0123456789abcdef0123456789abcdef.css", "myst-nb"),
        ("jquery-9.js", None),
    ],
)
def test_a_file_has_an_owner(path, owner):
    assert third_party.owner(path) == owner


def test_every_file_of_the_site_comes_from_the_book_or_a_package_on_the_list():
    static = SITE / "_static"
    if not static.is_dir():
        missing("the site is not built: run `make book`")
    owners = {
        path: third_party.owner(path)
        for file in static.rglob("*")
        if file.is_file()
        for path in [file.relative_to(static).as_posix()]
    }
    assert not [path for path, owner in owners.items() if owner is None], (
        "whose are these? See book/_ext/third_party.py"
    )
    assert set(third_party.packages()) <= set(owners.values()), (
        "a package on the list puts nothing into the site"
    )
    told = {words for package in third_party.packages().values() for words in package.brings}
    for path in owners:
        if path.endswith((".js", ".mjs", ".css")):
            for banner in third_party.banners([(static / path).read_text(encoding="utf-8")]):
                assert banner in told, f"{path} carries what the list does not tell: {banner[:80]}"


# ---------------------------------------------------------------- no pickle

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def unpickles(text: str) -> list[str]:
    """Where a program could unpickle, in words: an import, torch.load that may run code, NumPy's
    arrays of objects."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        found += [
            f"line {node.lineno}: import {name}" for name in names if name.split(".")[0] in PICKLES
        ]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if options.get("allow_pickle", "False") != "False":
            found.append(f"line {node.lineno}: {called}(allow_pickle={options['allow_pickle']})")
        if called == "torch.load" and options.get("weights_only") != "True":
            found.append(f"line {node.lineno}: torch.load without weights_only=True")
        if called.endswith(("read_pickle", "to_pickle")) or called == "__import__":
            found.append(f"line {node.lineno}: {called}")
    return found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import load",
        "import os, joblib.numpy_pickle",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
        "pd.read_pickle(f)",
        "__import__('pickle')",
    ],
)
def test_a_pickle_is_seen(text):
    assert unpickles(text)


@pytest.mark.parametrize(
    "text",
    [
        "import picklejar",
        "np.load(f)",
        "np.load(f, allow_pickle=False)",
        "torch.load(f, weights_only=True)",
        "# pickle",
    ],
)
def test_what_is_no_pickle_is_not_seen(text):
    assert not unpickles(text)


def test_nothing_is_unpickled():
    programs = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("sdelib", "tools", "tests", "book/_ext")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    for path in PAGES:
        lines = "\n".join(cell.source for cell in code(read(path)))
        programs[path.name] = re.sub(r"^(\s*)%.*$", r"\1pass", lines, flags=re.M)
    assert len(programs) > 60
    assert not {name: found for name, text in programs.items() if (found := unpickles(text))}
