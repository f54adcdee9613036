"""Begin a chapter from the template: the cells that every chapter has, with a small example to
replace.

python tools/book/new_chapter.py 18 my_topic "My topic"
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

sys.path.insert(0, str(Path(__file__).resolve().parent))
import notebooks as tool

CELLS: list[tuple[str, list[str] | None, dict]] = [
    (
        """# {number}. {title}

**Ask one question, in a sentence or two.** Below it stands the picture where the answer begins.""",
        None,
        {},
    ),
    ("{setup}", ["setup"], {}),
    (
        """import torch
from sdelib.book import plotting as plot
from sdelib.book.notebook import say, show_source
from sdelib.book.toys import two_modes

plot.style()""",
        ["preamble"],
        {},
    ),
    (
        """SMOKE = False   # True: fewer draws, for a quick run
SEED = 0""",
        ["parameters"],
        {},
    ),
    (
        """p, generator = two_modes(), torch.Generator().manual_seed(SEED)
n = 1000 if SMOKE else 100_000
s = p.score(p.sample(n, generator=generator))
fig, (ax,) = plot.figure(1, height=3, width=4)
ax.hist(s.norm(dim=1), bins=40, color=plot.BLUE)
ax.set(xlabel="length of the score", ylabel="draws");""",
        ["remove-input"],
        {
            "mystnb": {
                "figure": {
                    "caption": "**State what the picture shows.** Then say how to read it.",
                    "name": "fig-{number}-lengths",
                },
                "image": {
                    "alt": "A histogram of the length of the score over draws of two modes: say "
                    "where it peaks and where it ends."
                },
            }
        },
    ),
    (
        """**The road so far.** Retell it in two sentences.

When you have read this chapter you can

- say what the question is;
- answer it for a case whose answer is known;
- answer it for one whose answer is not.""",
        None,
        {},
    ),
    (
        """## The question

Write the formula, and the smallest version by hand. Here: is the mean of the score zero,
$\\mathbb E_p[s(x)] = 0$?""",
        None,
        {},
    ),
    (
        """mean, error = s.mean(0), s.std(0) / n**0.5
assert (mean.abs() < 5 * error).all()  # five standard errors""",
        [],
        {},
    ),
    (
        'say(f"The mean is ({{mean[0]:.3f}}, {{mean[1]:.3f}}) ± {{error.max():.3f}}.")',
        ["remove-input"],
        {},
    ),
    (
        """## In `sdelib`

Longer code lives in the package, with a test, and the text shows it. Figures are drawn by named
functions in `sdelib/book/figures/`.""",
        None,
        {},
    ),
    ("show_source(type(p).score)", ["remove-input"], {}),
    ("## What you found", None, {}),
    (
        """worst = (mean.abs() / error).max()
say(f"- The mean of the score of {{n:,}} draws is zero within "
    f"{{worst:.1f}} standard errors.")""",
        ["remove-input"],
        {},
    ),
    (
        """## Exercises

Write them as in chapter 1, each with a check in `sdelib/book/exercises/` and a solution to unfold.

## Further reading

Cite what the chapter rests on; the entries are in `book/references.bib`.

*The chapter runs in some seconds on one CPU core.*""",
        None,
        {},
    ),
]


def chapter(number: int, title: str):
    """The template as a notebook, not run."""
    words = {"number": number, "title": title, "setup": tool.setup_source()}
    cells = []
    for text, tags, more in CELLS:
        known = json.loads(json.dumps(more).replace("{number}", f"{number:02d}"))
        if tags is None:
            cells.append(new_markdown_cell(text.format(**words)))
        else:
            cells.append(new_code_cell(text.format(**words), metadata={"tags": tags, **known}))
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
