"""Which numbers moved between two versions of a notebook's stored outputs.

    python tools/book/moved.py OLD.ipynb NEW.ipynb [--tolerance 0.02]
    python tools/book/moved.py --since REVISION [11 …]
    the chapters (default: all, and the intro) against a commit

A number moved when it differs by more than the tolerance, relative to the larger of the two, and
one unit of the last place printed, which rounding alone explains. Times that were measured do not
count. The status is 1 when something moved, 2 when the question has no answer. `make refresh` and
then `python tools/book/moved.py --since HEAD` is what the weekly run does.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
import notebooks as tool

NUMBER = re.compile(
    r"(?<![\w.])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*\d)"
)
TOLERANCE = 0.02


def value(text: str) -> Decimal:
    """The number that a text means: "−1,234.5", "3e-04"."""
    return Decimal(text.replace(",", "").replace("−", "-"))


def said(output) -> str:
    """What a reader reads of an output, without pictures and without the times that were
    measured."""
    data = output.get("data", {})
    text = (
        output.text
        if output.output_type == "stream"
        else data.get("text/markdown", data.get("text/plain", ""))
    )
    return tool.TIME.sub("#", text)


def words(text: str, start: int) -> str:
    """The last five words of its line before a place in a text, which name the number that stands
    there; # is another number."""
    line = NUMBER.sub("#", text[:start].rpartition("\n")[2])
    return " ".join(re.findall(r"[^\W\d_][\w’'-]*|[#=≈<>±√]", line)[-5:])


def numbers(text: str) -> dict[str, Decimal]:
    """The numbers of a text, each under the words before it; the second under the same words gets "
    (2)"."""
    found: dict[str, Decimal] = {}
    for hit in NUMBER.finditer(text):
        name, k = words(text, hit.start()) or "number", 1
        while (key := name if k == 1 else f"{name} ({k})") in found:
            k += 1
        found[key] = value(hit.group())
    return found


def differs(old: str, new: str, tolerance: float) -> bool:
    """Two printed numbers differ by more than the tolerance and a unit of the coarser last
    place."""
    a, b = value(old), value(new)
    unit = Decimal(1).scaleb(max(a.as_tuple().exponent, b.as_tuple().exponent))
    return abs(a - b) > Decimal(repr(tolerance)) * max(abs(a), abs(b)) + unit


def moved(old, new, tolerance: float = TOLERANCE) -> list[str]:
    """What moved from one notebook to another, in words.
    Cells are matched by their code, and numbers by their place in the text."""
    before: dict[str, list] = {}
    for cell in old.cells:
        if cell.cell_type == "code":
            before.setdefault(cell.source, []).append(cell)
    report = []
    for k, cell in enumerate(new.cells):
        if cell.cell_type != "code" or not before.get(cell.source):
            continue
        where = f"cell {k} ({(cell.source.strip().splitlines() or ['empty'])[0][:50]!r})"
        a, b = (
            "\n".join(filter(None, map(said, c.outputs)))
            for c in (before[cell.source].pop(0), cell)
        )
        if NUMBER.sub("#", a) != NUMBER.sub("#", b):
            report.append(f"{where}: other words: {a.strip()[:80]!r} → {b.strip()[:80]!r}")
            continue
        for was, now in zip(NUMBER.finditer(a), NUMBER.finditer(b)):
            if differs(was.group(), now.group(), tolerance):
                report.append(
                    f"{where}: {words(b, now.start()) or 'number'}: {was.group()} → {now.group()}"
                )
    return report


def at(revision: str, path: Path):
    """A notebook as it was committed.  Raises Refused."""
    name = path.relative_to(tool.ROOT).as_posix()
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "show", f"{revision}:{name}"],
        cwd=tool.ROOT,
        capture_output=True,
    )
    if done.returncode:
        raise tool.Refused(f"{name} at {revision!r}: {done.stderr.decode().strip()}")
    return nbformat.reads(done.stdout.decode("utf-8"), as_version=4)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "notebooks",
        nargs="*",
        metavar="NOTEBOOK",
        help="OLD and NEW, or with --since chapter numbers",
    )
    parser.add_argument(
        "--since", metavar="REVISION", help="compare with this commit, for example HEAD"
    )
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="relative (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    try:
        if args.since:
            pairs = [
                (path.name, at(args.since, path), nbformat.read(path, as_version=4))
                for path in tool.notebooks(args.notebooks)
            ]
        elif len(args.notebooks) == 2:
            old, new = tool.notebooks(args.notebooks)
            pairs = [(new.name, nbformat.read(old, as_version=4), nbformat.read(new, as_version=4))]
        else:
            parser.error("name two notebooks, or give --since REVISION")
    except tool.Refused as reason:
        print(reason, file=sys.stderr)
        return 2
    lines = [
        f"{name}: {line}" for name, old, new in pairs for line in moved(old, new, args.tolerance)
    ]
    print(
        *lines or [f"Nothing moved by more than {args.tolerance:g} in {len(pairs)} notebook(s)."],
        sep="\n",
    )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
