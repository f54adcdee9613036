"""The chapters as text, for people who review a change: chapters/text/, without outputs.

    python tools/book/text.py write [11 …]   write the text of chapters (or intro; default: all)
    python tools/book/text.py check [11 …]   say which texts are not those of their notebooks

The notebook is the truth: a change of a text changes nothing, and the next `write` undoes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
import notebooks as tool

FOLDER = tool.ROOT / "chapters" / "text"
FORMAT = "md:myst"


def text(nb) -> str:
    """The sources, tags and metadata of the cells in MyST, under a header that names the kernel
    alone: no version, no outputs, so that nothing changes but what was changed."""
    bare = nbformat.v4.new_notebook(
        cells=nb.cells,
        metadata={
            "kernelspec": nb.metadata["kernelspec"],
            "jupytext": {
                "notebook_metadata_filter": "kernelspec,-all",
                "cell_metadata_filter": "all,-jupyter,-cellView",
            },
        },
    )
    return jupytext.writes(bare, fmt=FORMAT)


def stale(paths: list[Path]) -> dict[Path, str]:
    """The files whose text is another than that of their notebook, with the right one."""
    right = {FOLDER / f"{p.stem}.md": text(nbformat.read(p, as_version=4)) for p in paths}
    return {
        file: words
        for file, words in right.items()
        if not file.is_file() or file.read_text(encoding="utf-8") != words
    }


def orphans() -> list[Path]:
    """Texts without a notebook."""
    known = {path.stem for path in tool.notebooks()}
    return [file for file in sorted(FOLDER.glob("*.md")) if file.stem not in known]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("names", nargs="*", metavar="NN")
    args = parser.parse_args()
    try:
        changed, left = stale(tool.notebooks(args.names)), orphans()
    except tool.Refused as reason:
        sys.exit(str(reason))
    if args.what == "check":
        for file in [*changed, *left]:
            print(f"{file.relative_to(tool.ROOT)} is not the text of its notebook")
        if changed or left:
            print("Run `python tools/book/text.py write`; the notebook is the truth.")
        return bool(changed or left)
    FOLDER.mkdir(exist_ok=True)
    for file, words in changed.items():
        file.write_text(words, encoding="utf-8", newline="\n")
    for file in left:
        file.unlink()
    for file in [*changed, *left]:
        print(file.relative_to(tool.ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
