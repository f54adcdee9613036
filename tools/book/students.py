"""The chapters for students: without the solutions of the exercises.

    python tools/book/students.py [--out _build/students]   (or `make students`)

What stands between {solution-start} and {solution-end} is left out, text, code and outputs. The
answers stay `...`, and their
checks stay. Exercises get a heading that JupyterLab shows.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
import notebooks as tool

FENCE = re.compile(r"(```\{solution-start\}[^`]*```|```\{solution-end\}\s*```)")
EXERCISE = [
    (re.compile(r"```\{exercise-start\} ([^\n]*)\n[^`]*```"), r"### Exercise \1\n"),
    (re.compile(r"```\{exercise-end\}\s*```"), ""),
]


def without_solutions(nb):
    """The same notebook without its solutions.  Raises Refused where a fence has no partner."""
    kept, inside = [], False
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            text = ""
            for part in FENCE.split(cell.source):
                if FENCE.fullmatch(part):
                    if inside == ("solution-start" in part):
                        raise tool.Refused(
                            "two fences of the same kind follow each other at "
                            f"{part.splitlines()[0]!r}"
                        )
                    inside = not inside
                elif not inside:
                    text += part
            for fence, words in EXERCISE:
                text = fence.sub(words, text)
            cell.source = re.sub(r"\n{3,}", "\n\n", text.strip())
            kept += [cell] if cell.source else []
        elif not inside:
            kept.append(cell)
    if inside:
        raise tool.Refused("the last solution has no end")
    nb.cells = kept
    nb.metadata.pop("sdelib", None)  # its hash is that of the chapter, with the solutions
    return nb


def readme(names: list[str]) -> str:
    data = re.search(
        r"^## The data\n.*?(?=^## )",
        (tool.ROOT / "README.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )[0]
    return f"""# Exercises for students

These are the chapters of a book that runs, {tool.address()}, without the solutions of their
exercises. Write your answer in place of `...` and run the cell: it says whether the answer is
right, and prints a hint when it is not; check("2.1", hint=True) prints it at once. The solutions
are in the book.

{data.strip()}

## The chapters

{chr(10).join(f"- [{name}]({name})" for name in names)}
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=tool.ROOT / "_build" / "students",
        help="the folder (default: _build/students)",
    )
    args = parser.parse_args(argv)
    chapters = [path for path in tool.notebooks() if path != tool.INTRO]
    there = {path.name for path in args.out.glob("*")} - {"README.md"}
    if strange := sorted(name for name in there if not re.match(r"\d\d_\w+\.ipynb$", name)):
        print(
            f"--out {args.out} holds what this command did not make ({strange[0]}): "
            "name another folder",
            file=sys.stderr,
        )
        return 1
    try:
        copies = {
            path.name: tool.tidy(without_solutions(nbformat.read(path, as_version=4)), path.stem)
            for path in chapters
        }
    except tool.Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    shutil.rmtree(args.out, ignore_errors=True)
    for name, nb in copies.items():
        args.out.mkdir(parents=True, exist_ok=True)
        tool.write(nb, args.out / name)
    (args.out / "README.md").write_text(readme(list(copies)), encoding="utf-8")
    print(f"{len(copies)} chapters without solutions: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
