"""What keeps the book going: how it is published and cited, its one address, the template of a
chapter, and what is written about it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import moved
import new_chapter
import notebooks as tool
import pytest
import sweep
import tomllib
import yaml
from helpers import ROOT, missing, read, tracked

import sdelib
from sdelib.cli import COMMANDS

WORKFLOW = ROOT / ".github" / "workflows" / "book.yml"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.M))
PROGRAMS = {"set", "git", "cd", "tee", "grep", "make"}  # every machine has them


def commands(text: str) -> list[str]:
    """The commands of a shell text, one a line; pipes are parted, continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        part.strip()
        for line in lines
        for part in line.partition("#")[0].split(" | ")
        if part.strip()
    ]


def unknown(command: str) -> str | None:
    """What a command names that does not exist here, or None."""
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    first, rest = words[0], words[1:]
    if first == "make":
        return next((word for word in rest if "=" not in word and word not in TARGETS), None)
    if first == "pip":
        return None if rest[0] == "install" else rest[0]
    if first == "sdelib":
        return None if rest[0] in COMMANDS or rest[0] == "--help" else rest[0]
    if first in ("python", ".venv/bin/python"):
        if rest[0] == "-m":
            return None if rest[1] in ("sdelib", "pip", "ipykernel", "http.server") else rest[1]
        return None if (ROOT / rest[0]).is_file() else rest[0]
    if first.startswith((".", "/")):
        return None if os.access(ROOT / first, os.X_OK) else first
    return None if first in PROGRAMS else first


def test_an_unknown_command_is_seen():
    assert (
        unknown("make publish") == "publish"
        and unknown("python tools/nothing.py x") == "tools/nothing.py"
    )
    assert (
        unknown(".ci/walk") == ".ci/walk"
        and unknown("wget x") == "wget"
        and unknown("python -m nothing") == "nothing"
    )
    assert unknown("sdelib nothing") == "nothing" and unknown("sdelib sample --n 4") is None
    assert [
        unknown(c)
        for c in commands("make refresh CHAPTER=NN\n.ci/run | tee x  # a remark\nmake test")
    ] == [None] * 4


# ---------------------------------------------------------------- publishing


def steps() -> list[dict]:
    return [
        step
        for job in yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
        for step in job["steps"]
    ]


def test_the_workflow_calls_what_there_is():
    done = [command for step in steps() for command in commands(step.get("run", ""))]
    assert {".ci/run", "make refresh"} <= set(done) and any(
        "tools/book/moved.py" in command for command in done
    )
    assert not [command for command in done if unknown(command)]
    assert "make book" in (ROOT / ".ci" / "run").read_text(encoding="utf-8") and "make test" in (
        ROOT / ".ci" / "run"
    ).read_text(encoding="utf-8")


def test_actions_are_pinned_and_may_do_little():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used and all(
        re.fullmatch(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})", name) for name in used
    ), used
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert (
        jobs["publish"]["needs"] == "test"
        and "push" in jobs["publish"]["if"]
        and "main" in jobs["publish"]["if"]
    )
    assert all(job["timeout-minutes"] >= 60 for name, job in jobs.items() if name != "publish")
    events = workflow[True]  # YAML 1.1 reads `on` as a truth
    assert len(events["schedule"][0]["cron"].split()) == 5 and {"push", "pull_request"} <= set(
        events
    )
    assert (
        next(step["with"]["path"] for step in steps() if "upload-pages" in step.get("uses", ""))
        == "_build/html"
    )


def minimum() -> tuple[int, int]:
    """The least Python of the book: the Makefile's, which is not below the package's."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    book = tuple(map(int, re.search(r"v >= \((\d+), (\d+)\)", MAKEFILE).groups()))
    assert book >= tuple(map(int, re.search(r"(\d+)\.(\d+)", package).groups()))
    return book


def test_every_machine_that_is_described_has_a_python_that_is_new_enough():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    named = [job["container"] for job in jobs if "container" in job]
    named.append(
        json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))[
            "image"
        ]
    )
    named.append((ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8"))
    assert len(named) == 4
    for name in named:
        assert tuple(map(int, re.search(r"python[:-](\d+)\.(\d+)", name).groups())) >= minimum(), (
            name
        )


def test_binder_and_the_development_container_install_from_the_one_list():
    binder = ROOT / ".binder"
    (line,) = (binder / "requirements.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert (
        line.startswith("-r ")
        and (binder / line.removeprefix("-r ")).resolve() == ROOT / "requirements.txt"
    )
    assert sorted(path.name for path in binder.iterdir()) == [
        "postBuild",
        "requirements.txt",
        "runtime.txt",
    ]
    assert os.access(binder / "postBuild", os.X_OK)
    assert subprocess.run(["bash", "-n", binder / "postBuild"]).returncode == 0
    done = commands((binder / "postBuild").read_text(encoding="utf-8"))
    assert not [command for command in done if unknown(command)]
    assert [command for command in done if "install" in command] == [
        "python -m pip install --no-cache-dir --no-deps ."
    ]

    container = json.loads(
        (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    )
    assert {"name", "image", "postCreateCommand"} <= set(container) and unknown(
        container["postCreateCommand"]
    ) is None
    assert container["postCreateCommand"].startswith("make ")


# ---------------------------------------------------------------- the one address


def names(owner_and_name: str) -> re.Pattern:
    return re.compile(rf"(?<![\w-]){re.escape(owner_and_name)}(?![\w-])")


def mentions(folder: Path, paths: list[Path], what: re.Pattern) -> set[str]:
    found = set()
    for path in paths:
        try:
            text = (folder / path.relative_to(ROOT)).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if what.search(text):
            found.add(path.relative_to(ROOT).as_posix())
    return found


def test_one_command_changes_the_address_everywhere(tmp_path, monkeypatch):
    old, new = tool.address().removeprefix("https://github.com/"), "somebody-else/another.book"
    there = tracked("-co", "--exclude-standard")  # committed, or could be
    before = mentions(ROOT, there, names(old))
    assert {
        "README.md",
        "CITATION.cff",
        "chapters/README.md",
        "pyproject.toml",
        "book/teaching.md",
        "book/api/index.md",
        "chapters/01_the_score_function.ipynb",
    } <= before
    for path in there:
        name = path.relative_to(ROOT)
        if (
            name.as_posix() in before
            or name.parts[0] in ("chapters", "tools")
            or name.as_posix() in ("book/intro.ipynb", "sdelib/__init__.py")
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / name)
    config = tmp_path / "_config.yml"
    config.write_text(names(old).sub(new, config.read_text(encoding="utf-8")), encoding="utf-8")
    command = [sys.executable, tmp_path / "tools" / "book" / "notebooks.py", "address"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert mentions(tmp_path, there, names(old)) == set()
    assert mentions(tmp_path, there, names(new)) == before
    assert sorted(said) == sorted(before - {"_config.yml"})
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "INTRO", tmp_path / "book" / "intro.ipynb")
    assert tool.set_address() == ["nothing to change"]
    stored = read(
        tmp_path / "chapters" / "01_the_score_function.ipynb"
    )  # the outputs are still those of the code
    current = read(ROOT / "chapters" / "01_the_score_function.ipynb")
    up_to_date = [
        nb.metadata["sdelib"]["source_sha256"] == tool.source_hash(nb) for nb in (stored, current)
    ]
    assert up_to_date[0] == up_to_date[1]


def test_what_is_installed_is_named_without_an_address():
    """So every machine takes it from the index that it is set up for."""
    lists = [
        "requirements.txt",
        "constraints.txt",
        "requirements.lock",
        ".binder/requirements.txt",
        "package.json",
        "package-lock.json",
        ".npmrc",
    ]
    found = [
        f"{name}: {line.strip()}"
        for name in lists
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        # but for who may be thanked, in npm's
        if "://" in line
        and not re.match(
            r'\s*"url": "https://(github\.com/|opencollective\.com/|eslint\.org/)', line
        )
    ]
    assert not found


# ---------------------------------------------------------------- what is written about the book


def test_the_citation_is_valid_and_true():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited[
        "cff-version"
    ] == "1.2.0"
    assert set(cited) <= {
        "cff-version",
        "message",
        "title",
        "authors",
        "type",
        "version",
        "license",
        "repository-code",
        "keywords",
        "references",
        "abstract",
        "date-released",
        "doi",
        "identifiers",
        "url",
    }
    assert all(
        set(author) <= {"name", "family-names", "given-names", "orcid"} and author
        for author in cited["authors"]
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["version"] == sdelib.__version__ and cited["license"] == project["license"]
    assert cited["authors"] == project["authors"] and cited["repository-code"] == tool.address()
    assert cited["title"] in (ROOT / "README.md").read_text(encoding="utf-8")
    (method,) = cited["references"]
    assert {"type", "title", "authors"} <= set(method)
    entry = next(
        part
        for part in (ROOT / "book" / "references.bib").read_text(encoding="utf-8").split("\n@")
        if method["title"] in part
    )
    assert (
        " and ".join(f"{a['family-names']}, {a['given-names']}" for a in method["authors"]) in entry
        and str(method["year"]) in entry
    )


def test_the_changelog_keeps_its_format():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    releases = re.findall(r"^## (.*)$", text, re.M)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", name) for name in releases[1:])
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    assert re.findall(r"^- ", text, re.M) and not re.search(r"^### .*\n+(?=#|\Z)", text, re.M), (
        "a heading has no entry"
    )


PAPERS = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "chapters" / "README.md",
    ROOT / "book" / "teaching.md",
]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_commands_of_the_papers_exist(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s#]+)", text) if "://" not in link]
    assert not [link for link in links if not (path.parent / link).exists()]
    blocks = re.findall(r"^```(?!json)\w*\n(.*?)^```$", text, re.M | re.S)
    inline = [
        words
        for words in re.findall(
            r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        )
        if re.match(r"(make|python|\.venv/bin/python) ", words)
        and not words.startswith("make clean")
    ]
    strange = [
        command for block in [*blocks, *inline] for command in commands(block) if unknown(command)
    ]
    assert not strange


# ---------------------------------------------------------------- JupyterLab


def test_make_lab_starts_the_books_own_jupyter_on_the_port(tmp_path):
    """As in a terminal of a hub: below the user's address, and asked for by the hub's name."""

    def lab(**more) -> str:
        command = [
            "make",
            "--no-print-directory",
            "-n",
            "lab",
            *(f"{k}={v}" for k, v in more.items()),
        ]
        alone = {
            k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        }  # also where `make test` runs this
        return subprocess.run(
            command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]

    assert (
        "--port" not in lab()
        and "--port=8890" in lab(PORT=8890)
        and lab().startswith(".venv/bin/jupyter lab")
    )
    if not (ROOT / ".venv" / "bin" / "jupyter").is_file():
        missing("there is no .venv: make book")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    base = f"/user/me/proxy/absolute/{port}/"
    options = (
        "--no-browser --allow-root --ServerApp.allow_remote_access=True "
        f"--ServerApp.base_url={base}"
    )
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(tmp_path) for name in ("CONFIG", "DATA", "RUNTIME")},
    }
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(lab(PORT=port, LAB=options)),
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}{base}api", headers={"Host": "hub.example.org"}
        )
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(asked, timeout=5) as answer:
                    assert "version" in json.load(answer)
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end and process.poll() is None, (
                    tmp_path / "log.txt"
                ).read_text(encoding="utf-8")[-2000:]
                time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


# ---------------------------------------------------------------- a new chapter


@pytest.mark.parametrize(
    "words, said",
    [
        (["1", "x", "X"], "chapter 1 exists: 01_the_score_function.ipynb"),
        (["16", "My topic", "X"], "small letters"),
        (["100", "x", "X"], "1 to 99"),
    ],
)
def test_a_new_chapter_replaces_nothing(words, said, capsys):
    assert new_chapter.main(words) == 1 and said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real_data
def test_a_chapter_from_the_template_passes_its_tests_and_is_built(tmp_path):
    """The five steps of CONTRIBUTING.md in a copy of the book that has this one chapter."""
    copy = tmp_path / "book"
    shutil.copytree(
        ROOT,
        copy,
        ignore=lambda folder, found: [
            name
            for name in found
            if name in {".git", ".venv", "_build", "node_modules", "vendor", "__pycache__"}
            or (Path(folder).name == "chapters" and name.endswith(".ipynb"))
        ],
    )
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}

    def run(*words) -> str:
        done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    said = run(sys.executable, "tools/book/new_chapter.py", "17", "new_topic", "A new topic")
    entry = re.search(r"`- file: (chapters/17_new_topic)`", said)[1]
    toc = {
        "format": "jb-book",
        "root": "book/bibliography",
        "parts": [{"caption": "New", "chapters": [{"file": entry}]}],
    }
    (copy / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    assert "17_new_topic.ipynb" in run(sys.executable, "tools/book/notebooks.py", "refresh", "17")
    run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/chapters/test_chapters.py",
        "-k",
        "(17 or contents) and not smoke",
    )
    run(
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        ".",
        "-W",
        "-n",
        "--keep-going",
        "--quiet",
    )
    page = (copy / "_build" / "html" / f"{entry}.html").read_text(encoding="utf-8")
    assert "A new topic" in page and "The mean is" in page and "<img" in page
    nb = read(copy / f"{entry}.ipynb")
    assert moved.moved(nb, nb) == [] and "score of # draws is zero within" in " ".join(
        sweep.found(nb)
    )
