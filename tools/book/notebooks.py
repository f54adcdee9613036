"""The book's notebooks: run them and store their outputs, so that an unchanged chapter gives no
diff.

    python tools/book/notebooks.py refresh [11 …]
        run chapters (or intro; default: all) and store their outputs
    python tools/book/notebooks.py tidy [11 …]
        give them the form in which they are stored; nothing is run
    python tools/book/notebooks.py address
        copy the address in _config.yml into every file that names it

What is stored is what was seen: a cell that fails, that warns, that prints an address in memory or
a path of this machine, or that had to do without the real Fashion-MNIST, is reported and not
stored.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import re
import sys
import time
import uuid
from pathlib import Path

import nbformat
import tomllib
import yaml
from branch import branch

ROOT = Path(__file__).resolve().parents[2]
INTRO = ROOT / "book" / "intro.ipynb"
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
COLAB = tomllib.loads((ROOT / "tools" / "setup" / "colab.toml").read_text(encoding="utf-8"))
SECONDS_PER_CELL = 300

# ---------------------------------------------------------------- reading


def notebooks(names: list[str] | None = None) -> list[Path]:
    """The intro and every chapter, or those that are named: "11", "intro", or a path."""
    chapters = sorted((ROOT / "chapters").glob("[0-9][0-9]_*.ipynb"))
    known = {path.name[:2]: path for path in chapters} | {"intro": INTRO}
    if not names:
        return [INTRO, *chapters]
    found = []
    for name in names:
        path = known.get(name.zfill(2) if name.isdigit() else name) or Path(name)
        if not path.is_file():
            raise Refused(f"there is no chapter {name!r}; there are {', '.join(sorted(known))}")
        found.append(path.resolve())
    return found


class Refused(Exception):
    """The reason why outputs are not stored."""


def address() -> str:
    """The one public address, from _config.yml."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"][
        "url"
    ].rstrip("/")


def setup_source() -> str:
    """The set-up cell that every chapter begins with."""
    return (
        'import sys\nif "google.colab" in sys.modules:\n    %pip install -q '
        f"{' '.join(COLAB['lacks'])}\n"
        f'    %pip install -q --no-deps "sdelib @ git+{address()}@{branch(ROOT)}"'
    )


def source_hash(nb) -> str:
    """SHA-256 of the sources of all code cells, in order."""
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code, ensure_ascii=False).encode()).hexdigest()


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def texts(output) -> list[str]:
    """Every readable text of an output: streams, plain text, HTML, Markdown; not pictures, not
    widget data."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return ["\n".join(output.traceback)]
    return [
        v if isinstance(v, str) else json.dumps(v)
        for k, v in output.data.items()
        if k.startswith("text/") or k == "application/json"
    ]


MACHINE = re.compile(
    r"(?<![\w.:/])(?:/(?:home|root|Users|work|tmp|usr|opt|mnt|content|private|var)/[\w.]|[A-Z]:\\\w)"
)
ADDRESS_IN_MEMORY = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def faults(nb) -> list[str]:
    """What is wrong with the stored outputs of a notebook, in words; empty when they may be
    stored."""
    found = []
    for k, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        where = f"cell {k} ({(cell.source.strip().splitlines() or ['empty'])[0][:50]!r})"
        if cell.source.strip() and cell.execution_count is None:
            found.append(f"{where} did not run")
        for output in cell.outputs:
            text = "\n".join(texts(output))
            if output.output_type == "error":
                found.append(f"{where} fails: {output.ename}: {output.evalue}")
            elif output.output_type == "stream" and output.name == "stderr":
                found.append(
                    f"{where} writes to stderr: {text.strip()[:300]!r}; mend the "
                    "cause of the warning"
                )
            if hit := MACHINE.search(text):
                found.append(
                    f"{where} shows a path of this machine: "
                    f"{text[max(0, hit.start() - 40) : hit.end() + 40]!r}"
                )
            if hit := ADDRESS_IN_MEMORY.search(text):
                found.append(
                    f"{where} shows an address in memory: "
                    f"{text[max(0, hit.start() - 40) : hit.end()]!r}"
                )
    return found


# ---------------------------------------------------------------- making outputs stable


def drop_progress(nb) -> None:
    """Remove progress bars: they say how fast this machine was, not what was found."""
    models = widget_models(nb)

    def is_bar(output) -> bool:
        view = output.get("data", {}).get(VIEW)
        model = models.get(view["model_id"], {}) if view else {}
        return model.get("model_module") == "@jupyter-widgets/controls" and any(
            models.get(m, {}).get("model_name") == "FloatProgressModel"
            for m in reachable(models, [view["model_id"]])
        )

    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if is_bar(output):
                continue
            if output.output_type == "stream" and output.name == "stderr":
                lines = [
                    line
                    for line in re.split(r"[\r\n]", output.text)
                    if line.strip()
                    and not re.search(r"\d+%\|.*\||\d+(it|/\d+) \[\d+:\d+.*\]", line)
                ]
                if not lines:
                    continue
                output.text = "\n".join(lines) + "\n"
            kept.append(output)
        cell.outputs = kept


def widget_models(nb) -> dict:
    return nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})


def reachable(models: dict, start: list[str]) -> list[str]:
    """The widget models that `start` show, by way of IPY_MODEL_ references; in order, without
    repeats."""
    order, queue = [], list(start)
    while queue:
        m = queue.pop(0)
        if m in order or m not in models:
            continue
        order.append(m)
        queue += re.findall(
            r"IPY_MODEL_([0-9a-f]{32})", json.dumps(models[m]["state"], sort_keys=True)
        )
    return order


def fix_widget_ids(nb, name: str):
    """Give the widgets ids that depend on the notebook's name and the order of appearance; drop the
    unseen ones."""
    models = widget_models(nb)
    if not models:
        nb.metadata.pop("widgets", None)
        return nb
    views = [
        o.data[VIEW]["model_id"]
        for c in nb.cells
        if c.cell_type == "code"
        for o in c.outputs
        if VIEW in o.get("data", {})
    ]
    order = reachable(models, views)
    if not order:
        nb.metadata.pop("widgets", None)
        return nb
    nb.metadata["widgets"][STATE]["state"] = {m: models[m] for m in order}
    text = json.dumps(nb)
    new = {m: uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/widget/{k}").hex for k, m in enumerate(order)}
    text = re.sub("|".join(map(re.escape, order)), lambda hit: new[hit.group()], text)
    return nbformat.reads(text, as_version=4)


def store_widgets(nb) -> None:
    """Of the book's own widgets keep the picture and, beside it, what the page needs to draw them:
    no code, and no view, so that whoever opens the notebook without a run sees the picture."""
    from sdelib.widgets.bundle import STORED

    models = widget_models(nb)
    for cell in nb.cells:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(VIEW, {})
            state = models.get(view.get("model_id"), {}).get("state", {})
            if state.get("_anywidget_id", "").startswith("sdelib."):
                output.metadata[STORED] = {k: state[k] for k in ("spec", "frames") if k in state}
                del output.data[VIEW]


FOLDED = {"setup", "parameters", "preamble", "hide-input", "hide-cell", "remove-input"}
"""Tags of cells whose code is out of the way: on the page, in JupyterLab and in Colab."""


def for_readers(cell) -> dict:
    """The metadata that is stored with a cell: its tags, what the page knows of its figure
    (caption, name and alternative text in `mystnb`, panels and garments in `figure`), and, where a
    tag folds the code, the same wish in the words of JupyterLab and of Colab."""
    kept = {k: cell.metadata[k] for k in ("tags", "mystnb", "figure") if cell.metadata.get(k)}
    if FOLDED & set(tags(cell)):
        kept |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return kept


def tidy(nb, name: str):
    """The same notebook with stable widget and cell ids, widgets without their code, and only the
    metadata that a reader needs."""
    drop_progress(nb)
    store_widgets(nb)
    nb = fix_widget_ids(nb, name)
    seen: dict[str, int] = {}
    for cell in nb.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cell.metadata = nbformat.from_dict(for_readers(cell))
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "metadata" in output:
                    output.metadata = nbformat.from_dict(
                        {k: v for k, v in output.metadata.items() if v}
                    )
    count = 0
    for cell in nb.cells:  # numbered as in a run from the top, whatever was run before it
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    kept = {k: nb.metadata[k] for k in ("sdelib", "widgets") if k in nb.metadata}
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **kept,
        }
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    return nb


TIME = re.compile(r"\d+(?:[.,]\d+)?(?=\s*(?:µs|ms|s|seconds|min|minutes)\b)")


def keep_timings(nb, before) -> None:
    """Where an output differs from the stored one in nothing but a time that was measured, keep the
    stored one."""
    old = {cell.id: cell for cell in before.cells if cell.cell_type == "code"}

    def masked(outputs) -> str:
        outputs = copy.deepcopy(outputs)
        for output in outputs:
            output.pop("execution_count", None)
        return TIME.sub("#", json.dumps(outputs, sort_keys=True))

    for cell in nb.cells:
        there = old.get(cell.get("id")) if cell.cell_type == "code" else None
        if (
            there is not None
            and there.source == cell.source
            and masked(there.outputs) == masked(cell.outputs)
        ):
            count = cell.execution_count
            cell.outputs = there.outputs
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count


def write(nb, path: Path) -> bool:
    """Write a notebook atomically; False when the file already says the same."""
    nbformat.validate(nb)
    text = nbformat.writes(nb)
    text = text.rstrip("\n") + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    from sdelib.own.weights import atomic

    atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return True


# ---------------------------------------------------------------- running


def find_data() -> None:
    """Let sdelib find the real Fashion-MNIST, or refuse: stored outputs are those of the real
    data."""
    shared = ROOT.parent / "shared" / "data"
    if "SDELIB_DATA" not in os.environ and (shared / "FashionMNIST" / "raw").is_dir():
        os.environ["SDELIB_DATA"] = str(shared)
    if os.environ.get("SDELIB_DATA") == "fallback":
        raise Refused("SDELIB_DATA=fallback: outputs are stored from the real Fashion-MNIST only")
    import warnings

    from sdelib.book.data import fashion_mnist

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            real = fashion_mnist(train=True).real and fashion_mnist(train=False).real
        except ValueError as error:
            raise Refused(str(error)) from error
    if not real:
        raise Refused(
            "Fashion-MNIST cannot be had here, and outputs are stored from the real data set only: "
            "name a folder that has it with SDELIB_DATA"
        )


def run(nb, folder: Path):
    """Execute a notebook at its own parameters, in its own folder, with this Python."""
    from nbclient import NotebookClient

    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.setdefault("PYTHONHASHSEED", "0")
    os.environ.setdefault("OMP_NUM_THREADS", "2")  # sums in another order have other last digits
    nb = copy.deepcopy(nb)
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(
        nb,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],
        record_timing=False,
        coalesce_streams=True,
        allow_errors=True,
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return nb


def refresh(path: Path) -> str:
    """Run one notebook and store its outputs; what happened, in words.  Raises Refused."""
    before = nbformat.read(path, as_version=4)
    start = time.monotonic()
    nb = tidy(run(before, path.parent), path.stem)
    seconds = time.monotonic() - start
    if found := faults(nb):
        raise Refused(
            "\n  ".join([f"{path.name} was run for {seconds:.0f} s and not stored:", *found])
        )
    nb.metadata["sdelib"] = {"source_sha256": source_hash(nb)}
    keep_timings(nb, before)
    changed = write(nb, path)
    return (
        f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB, "
        f"{'stored' if changed else 'no change'}"
    )


PLACES = (
    "*.md",
    "*.cff",
    "*.toml",
    "book/*.md",
    "book/api/*.md",
    "chapters/*.md",
    "chapters/text/*.md",
    ".github/**/*.yml",
    ".devcontainer/*",
    ".binder/*",
)
NAMED = re.compile(
    r"(?:git clone |git\+|repository-code: )https://github\.com/([\w.-]+/[\w.-]*[\w-])"
)


def set_address() -> list[str]:
    """Copy the address in _config.yml into every set-up cell and every file that names it; what
    changed, in words."""
    new = address().removeprefix("https://github.com/")
    pages = {path: nbformat.read(path, as_version=4) for path in notebooks()}
    texts = {
        path: path.read_text(encoding="utf-8")
        for pattern in PLACES
        for path in sorted(ROOT.glob(pattern))
    }
    setups = [cell.source for nb in pages.values() for cell in nb.cells if "setup" in tags(cell)]
    former = {
        name.removesuffix(".git")
        for text in [*texts.values(), *setups]
        for name in NAMED.findall(text)
    } - {new}
    old = (
        re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(former)))})(?![\w-])")
        if former
        else re.compile(r"(?!)")
    )

    said = []
    for path, nb in pages.items():
        current = nb.metadata.get("sdelib", {}).get("source_sha256") == source_hash(nb)
        for cell in nb.cells:
            cell.source = setup_source() if "setup" in tags(cell) else old.sub(new, cell.source)
        if (
            current
        ):  # the set-up cell does nothing here, so the outputs are still those of this code
            nb.metadata["sdelib"] = {"source_sha256": source_hash(nb)}
        if write(tidy(nb, path.stem), path):
            said.append(str(path.relative_to(ROOT)))
    for path, text in texts.items():
        if (changed := old.sub(new, text)) != text:
            path.write_text(changed, encoding="utf-8")
            said.append(str(path.relative_to(ROOT)))
    return said or ["nothing to change"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["refresh", "tidy", "address"])
    parser.add_argument(
        "chapters", nargs="*", metavar="NN", help="chapter numbers, or intro (default: all)"
    )
    args = parser.parse_args()
    try:
        if args.what == "address":
            print(*set_address(), sep="\n")
            return 0
        paths = notebooks(args.chapters)
        if args.what == "refresh":
            find_data()
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    bad = 0
    for path in paths:
        try:
            if args.what == "tidy":
                write(tidy(nbformat.read(path, as_version=4), path.stem), path)
            else:
                print(refresh(path), flush=True)
        except Refused as reason:
            print(reason, file=sys.stderr, flush=True)
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
