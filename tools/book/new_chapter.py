"""Begin a chapter from the template: the cells that every chapter has, with a small example to
replace.

python tools/book/new_chapter.py 17 my_topic "My topic"
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

sys.path.insert(0, str(Path(__file__).resolve().parent))
import notebooks as tool

CELLS = [
    (
        """# {number}. {title}

When you have read this chapter you can

- say what the question is;
- answer it for a case whose answer is known;
- answer it for one whose answer is not.

It runs in some seconds on one CPU core.""",
        None,
    ),
    ("{setup}", ["setup"]),
    (
        """import torch
from sdelib.book import plotting as plot
from sdelib.book.toys import two_modes
from sdelib.book.notebook import say, show_source

plot.style()""",
        [],
    ),
    (
        """SMOKE = False   # True: fewer draws, for a quick run
SEED = 0""",
        ["parameters"],
    ),
    (
        """## The question

Write a question, its formula, and the smallest version by hand. Here: is the mean of the score
zero, $\\mathbb E_p[s(x)] = 0$?""",
        None,
    ),
    (
        """p, generator = two_modes(), torch.Generator().manual_seed(SEED)
s = p.score(p.sample(1000 if SMOKE else 100_000, generator=generator))
mean, error = s.mean(0), s.std(0) / len(s)**0.5
assert (mean.abs() < 5 * error).all()                        # five standard errors
say(f"The mean is ({{mean[0]:.3f}}, {{mean[1]:.3f}}) ± {{error.max():.3f}}.")""",
        [],
    ),
    (
        "A picture, and then the sentence that reads it: the score of either mode points to its "
        "centre.",
        None,
    ),
    (
        """fig, (ax,) = plot.figure(1, height=3, width=4)
ax.hist(s.norm(dim=1), bins=40, color=plot.BLUE)
ax.set(xlabel="length of the score", ylabel="draws");""",
        [],
    ),
    (
        """## In `sdelib`

Longer code lives in the package, with a test, and the text shows it.""",
        None,
    ),
    ("show_source(type(p).score)", []),
    ("## What you found", None),
    (
        """n, worst = len(s), (mean.abs() / error).max()
say(f"- The mean of the score of {{n:,}} draws is zero within {{worst:.1f}} standard errors.")""",
        [],
    ),
    (
        """## Exercises

Write them as in chapter 1, each with a check in `sdelib/book/exercises/` and a solution to unfold.

## Further reading

Cite what the chapter rests on; the entries are in `book/references.bib`.""",
        None,
    ),
]


def chapter(number: int, title: str):
    """The template as a notebook, not run."""
    words = {"number": number, "title": title, "setup": tool.setup_source()}
    cells = [
        new_markdown_cell(text.format(**words))
        if tags is None
        else new_code_cell(text.format(**words), metadata={"tags": tags})
        for text, tags in CELLS
    ]
    return new_notebook(cells=cells)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "number", type=int, metavar="NN", help="its number, that of no other chapter"
    )
    parser.add_argument("topic", help="small letters, digits and _, for the file's name")
    parser.add_argument("title", help="as it stands on the page, without the number")
    args = parser.parse_args(argv)
    path = tool.ROOT / "chapters" / f"{args.number:02d}_{args.topic}.ipynb"
    if not 1 <= args.number <= 99 or not re.fullmatch(r"[a-z0-9_]+", args.topic):
        wrong = "NN is from 1 to 99, and the topic has small letters, digits and _ only"
    elif there := [old.name for old in path.parent.glob(f"{args.number:02d}_*.ipynb")]:
        wrong = f"chapter {args.number} exists: {there[0]}"
    else:
        path.parent.mkdir(exist_ok=True)
        tool.write(tool.tidy(chapter(args.number, args.title), path.stem), path)
        print(
            f"{path.relative_to(tool.ROOT)} is there. Next: add `- file: "
            f"chapters/{path.stem}` to its part in _toc.yml,"
        )
        print(f"and `make refresh CHAPTER={args.number:02d}`. CONTRIBUTING.md has all the steps.")
        return 0
    print(wrong, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
