"""Measure what is promised to be fast: python tools/measure/times.py [NN … | widgets]
(`make measure`; without a name: everything)

Each chapter, with smoke parameters and with its default ones, in a kernel of its own: seconds of
the processor without the imports. Each widget of the built site, in Chromium: ms from a move
of its first slider to the picture. The sampler's page: a drawing, and how long the page stood still
meanwhile. Each number stands beside a fixed piece of work that the same process does in the same
run, so that tables of two machines, or of one that is busy, can be compared by their ratios.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import table
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools" / "book")]
import helpers  # noqa: E402
import notebooks  # noqa: E402

OUT = table.RESULTS / "times.csv"
FIELDS = ["what", "subject", "value", "unit", "ratio"]
PARAMETERS = {"smoke": {"SMOKE": True}, "default": {}}
TURNS = 7

CLOCK = "import os as _os; _spent = lambda: sum(_os.times()[:4])"
YARDSTICK = """
import json as _json, numpy as _np
_chapter, _a = _spent() - _before, _np.random.default_rng(0).random((400, 400))
_start = _spent()
for _ in range(200): _a @ _a
print(_json.dumps([_chapter, _spent() - _start]))
"""

IN_THE_PAGE = """() => { const start = performance.now(); let s = 0;
  for (let k = 1; k < 2e7; k++) s += Math.sin(k);
  window.kept = s; return performance.now() - start; }"""
SLIDE = """w => new Promise(done => {
  const slider = w.querySelector('input[type="range"]'), max = Number(slider.max),
    start = performance.now();
  new MutationObserver((_, me) => { me.disconnect(); done(performance.now() - start); })
    .observe(w, { attributeFilter: ["data-shown"] });
  slider.value = Number(slider.value) > max / 2 ? slider.min : slider.max;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""
WATCH = """() => { window.gaps = []; let before = performance.now();
  setInterval(() => { const now = performance.now(); gaps.push(now - before); before = now; }, 10);
}"""


def row(what: str, subject: str, value: float, unit: str, yardstick: float) -> dict:
    return {
        "what": what,
        "subject": subject,
        "value": f"{value:.3g}",
        "unit": unit,
        "ratio": f"{value / yardstick:.3g}",
    }


def imports(nb) -> str:
    """The imports of a chapter, all at once."""
    cells = [c for c in helpers.code(nb) if "setup" not in notebooks.tags(c)]
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    return "\n".join(ast.unparse(n) for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)))


def chapter(path: Path, how: str) -> dict:
    nb = parameterize_notebook(load_notebook_node(str(path)), PARAMETERS[how])
    first = f"{imports(nb)}\n{CLOCK}\n_before = _spent()"
    new = nbformat.v4.new_code_cell
    nb.cells = [new(first), *nb.cells, new(YARDSTICK)]
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(nb, timeout=1200, resources=where).execute()
    seconds, yardstick = json.loads(nb.cells[-1].outputs[-1].text)
    return row(how, path.stem, seconds, "s", yardstick)


def slides(browser, base: str, page: str) -> Iterator[dict]:
    with helpers.opened(browser, f"{base}/{page}") as tab:
        yardstick = tab.evaluate(IN_THE_PAGE)
        for k, widget in enumerate(helpers.widgets(tab)):
            if not widget.locator('input[type="range"]').count():
                continue
            widget.scroll_into_view_if_needed()
            spent = []
            for _ in range(TURNS):
                spent.append(widget.evaluate(SLIDE))
                helpers.look(widget)
            yield row("slide", f"{page}, widget {k}", statistics.median(spent), "ms", yardstick)


def sampler(browser, base: str) -> Iterator[dict]:
    """A drawing as the page offers it, the second one: the network is there."""
    page = "book/sampler.html"
    with helpers.opened(browser, f"{base}/{page}") as tab:
        yardstick = tab.evaluate(IN_THE_PAGE)
        (widget,) = helpers.widgets(tab)
        for name in ("Draw", "New seed"):
            tab.evaluate(WATCH)
            widget.get_by_role("button", name=name).click()
            tab.wait_for_function(
                "w => !w.hasAttribute('data-busy') && JSON.parse(w.dataset.shown).seconds",
                arg=widget.element_handle(),
                timeout=10 * helpers.SECONDS,
            )
        seconds = json.loads(widget.get_attribute("data-shown"))["seconds"]
        yield row("draw", page, 1e3 * seconds, "ms", yardstick)
        yield row("stands still", page, tab.evaluate("Math.max(...gaps)"), "ms", yardstick)


def measured(names: list[str]) -> Iterator[dict]:
    wanted = [name for name in names if name != "widgets"]
    for path in notebooks.notebooks(wanted) if wanted or not names else []:
        for how in PARAMETERS if path != notebooks.INTRO else ["default"]:
            yield chapter(path, how)
    if names and "widgets" not in names:
        return
    with helpers.served(helpers.SITE) as base, helpers.chromium() as browser:
        for page in helpers.pages_with_widgets():
            yield from slides(browser, base, page)
        yield from sampler(browser, base)


def head() -> list[str]:
    return [
        "command: python tools/measure/times.py",
        (
            "smoke, default: seconds of the processor for a chapter with these "
            "parameters, without the imports."
        ),
        (
            "slide: from the move of a widget's first slider to the picture, median of "
            f"{TURNS}.  draw: the"
        ),
        "        sampler's 16 garments.  stands still: the longest wait of that page meanwhile.",
        (
            "ratio: to a fixed piece of work in the same process: 200 products of "
            "400×400 matrices in float64,"
        ),
        "        in Chromium 2e7 sines.",
        f"device: {table.machine(' shared with other jobs')}; {table.versions('torch', 'numpy')}",
        f"date: {table.today()}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NN", help="chapters, intro, or widgets")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for new in measured(parser.parse_args().names):
        print(new, flush=True)
        key = (new["what"], new["subject"])
        others = [r for r in table.read(OUT) if (r["what"], r["subject"]) != key]
        table.write(
            OUT, head(), FIELDS, sorted([*others, new], key=lambda r: (r["what"], r["subject"]))
        )


if __name__ == "__main__":
    main()
