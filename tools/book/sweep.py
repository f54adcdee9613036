"""A laboratory: run one chapter for every combination of parameters, and put what it found into one
table.

    python tools/book/sweep.py 13 --set SEED=0,1,2 --set SMOKE=True --out _build/sweep

Each run is an executed notebook in the folder. `table.csv` has a row for each: the parameters, the
seconds, "failed" with the error when a run did not get to its end, and the numbers of the chapter's
section "What you found", each under the words before it.
A run that is there already, of the same code of the chapter, is not done again: stop the sweep when
you like, and go on with the same command. After a change of sdelib choose another folder.
"""

from __future__ import annotations

import argparse
import ast
import csv
import itertools
import os
import re
import sys
import time
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
import moved
import notebooks as tool

SECTION = "## What you found"


def settings(pairs: list[str], known: dict) -> dict[str, list]:
    """["SEED=0,1"] → {"SEED": [0, 1]}.  Raises Refused for a name that is not known, or a value
    that is no Python literal."""
    found = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            raise tool.Refused(
                f"--set {pair}: the chapter has no parameter {name!r}; it has "
                f"{', '.join(sorted(known))}"
            )
        try:
            values = ast.literal_eval(f"[{text}]")
        except (SyntaxError, ValueError):
            values = []
        if not values:
            raise tool.Refused(
                f"--set {pair}: give values of {name} as in {name}=0,1,2 or "
                f"{name}=True; text stands in quotes"
            )
        found[name] = values
    return found


def found(nb) -> dict[str, float]:
    """The numbers of the section "What you found", each under the words before it.
    Raises Refused where there is no such section."""
    at = [
        k
        for k, cell in enumerate(nb.cells)
        if cell.cell_type == "markdown" and re.search(rf"^{SECTION}", cell.source, re.M)
    ]
    if not at:
        raise tool.Refused(
            f"the notebook has no section {SECTION!r}, whose numbers the table would hold"
        )
    cells = itertools.takewhile(lambda cell: cell.cell_type == "code", nb.cells[at[0] + 1 :])
    return {
        name: float(v)
        for name, v in moved.numbers(
            "\n".join(moved.said(o) for cell in cells for o in cell.outputs)
        ).items()
    }


def run(chapter: Path, parameters: dict, out: Path) -> tuple[dict, bool]:
    """(row, whether it was run now).  The notebook gets its name when it has run to its end, so
    half of a run is never taken for one."""
    import papermill

    name = "-".join([chapter.stem, *(f"{k}={v}" for k, v in parameters.items())])
    done, partial = out / (re.sub(r"[^\w.=-]", "_", name) + ".ipynb"), out / "partial.ipynb"
    source = tool.source_hash(nbformat.read(chapter, as_version=4))
    if (
        done.is_file()
        and (sweep := (nb := nbformat.read(done, as_version=4)).metadata.get("sweep", {})).get(
            "source_sha256"
        )
        == source
    ):
        return {**parameters, "seconds": sweep["seconds"], "failed": "", **found(nb)}, False
    start, failed = time.monotonic(), ""
    try:
        papermill.execute_notebook(
            chapter,
            partial,
            parameters,
            cwd=chapter.parent,
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=["--log-level=40"],
        )
    except papermill.PapermillExecutionError as error:
        failed = f"{error.ename}: {error.evalue}"
    seconds = round(time.monotonic() - start, 1)
    if failed:
        os.replace(partial, done.with_suffix(".failed.ipynb"))
        return {**parameters, "seconds": seconds, "failed": failed}, True
    nb = nbformat.read(partial, as_version=4)
    row = {**parameters, "seconds": seconds, "failed": "", **found(nb)}
    nb.metadata["sweep"] = {"source_sha256": source, "seconds": seconds}
    tool.write(nb, done)
    partial.unlink()
    done.with_suffix(".failed.ipynb").unlink(missing_ok=True)
    return row, True


def table(rows: list[dict], path: Path) -> None:
    """Rows as CSV; a column for every name that any row has, in the order of their first
    appearance."""
    from sdelib.own.weights import atomic

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(
                f, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)

    atomic(path, write)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "chapter", help="its number, or the path of a notebook with a cell tagged `parameters`"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="the values of a parameter; may be repeated",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=tool.ROOT / "_build" / "sweep",
        help="the folder (default: _build/sweep)",
    )
    args = parser.parse_args(argv)
    import papermill

    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    rows = []
    try:
        (chapter,) = tool.notebooks([args.chapter])
        grid = settings(args.set, papermill.inspect_notebook(str(chapter)))
        args.out.mkdir(parents=True, exist_ok=True)
        for values in itertools.product(*grid.values()):
            parameters = dict(zip(grid, values))
            row, now = run(chapter, parameters, args.out)
            rows.append(row)
            table(rows, args.out / "table.csv")
            what = row["failed"].split("\n")[0] or ("run" if now else "there already")
            print(
                *(f"{k}={v}" for k, v in parameters.items()),
                f"{row['seconds']} s",
                what,
                flush=True,
            )
    except tool.Refused as reason:
        print(reason, file=sys.stderr)
        return 2
    print(f"{len(rows)} rows: {args.out / 'table.csv'}")
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
