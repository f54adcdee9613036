"""Code out of the way: what folds on the built page, what the reader's switch does, paper; panels
that stack; long formulas broken for a phone."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, SITE, missing
from PIL import Image

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import folds
import formulas

CHAPTERS = sorted(str(p.relative_to(SITE)) for p in SITE.glob("chapters/*.html"))
OPEN = "() => [...document.querySelectorAll('details.fold')].map(fold => fold.open)"


# ---------------------------------------------------------------- a picture in panels


def picture(path, *bars):
    """A white picture 300 px wide with black bars [from, to)."""
    pixels = np.full((40, 300), 255, dtype=np.uint8)
    for start, end in bars:
        pixels[:, start:end] = 0
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_is_cut_in_the_gutters_between_its_panels(tmp_path):
    file = picture(tmp_path / "a.png", (10, 90), (110, 190), (215, 290))
    assert folds.cuts(file, 3) == pytest.approx([0, 100 / 300, 202.5 / 300, 1], abs=0.002)
    uneven = picture(tmp_path / "b.png", (10, 170), (190, 290))
    assert folds.cuts(uneven, 2) == pytest.approx([0, 180 / 300, 1], abs=0.002)


def test_a_picture_without_gutters_stays_whole(tmp_path):
    assert folds.cuts(picture(tmp_path / "a.png", (10, 290)), 2) == [0, 1]


# ---------------------------------------------------------------- formulas


def fitted(tex: str, line: float = 30):
    if not formulas.MATHJAX.is_file():
        missing("MathJax is not here: run `make book`")
    return formulas.fitted([tex], line).get(tex)


def test_a_formula_that_fits_is_left_alone():
    assert fitted("a = b + c") is None


def test_a_long_formula_breaks_before_a_relation_and_not_inside_a_bracket():
    tex = r"f(x + y) = \left( \frac{a}{b} + c \right) + dddddddddd + eeeeeeeeee + gggggggggg"
    found = fitted(tex)
    lines = found["tex"].split(r"\\")
    assert len(lines) > 1 and found["scale"] >= 0.8
    assert all(line.count(r"\left") == line.count(r"\right") for line in lines)
    assert all(line.count("(") == line.count(")") for line in lines)
    bare = found["tex"].replace(r"\begin{aligned}", "").replace(r"\end{aligned}", "")
    for mark in ("&", r"\\", r"\quad", "{}", " ", "\n"):
        bare = bare.replace(mark, "")
    assert bare == tex.replace(" ", ""), "nothing of the formula is lost"


def test_what_cannot_be_broken_is_set_smaller():
    found = fitted(r"\underbrace{aaaaaaaaaaaaaaaaaaaaaaaaaaaa}_{b}")
    assert found["tex"].startswith(r"\underbrace") and found["scale"] < 1


def test_the_mark_after_a_formula_stays_on_its_line():
    set_ = '<span class="math notranslate"><mjx-container><mjx-c></mjx-c></mjx-container></span>'
    put = lambda text: formulas.TOGETHER.sub(r"[\1\2]", text)
    assert put(f"<p>Let {set_}, and {set_} be</p>") == f"<p>Let [{set_},] and {set_} be</p>"
    display = (
        '<div class="math"><span class="eqno">(1)</span><mjx-container></mjx-container></div>.'
    )
    assert put(display) == display


# ---------------------------------------------------------------- the built page


@pytest.fixture
def chapter(site):
    if not CHAPTERS:
        missing("no chapter is built: run `make book`")
    return CHAPTERS[1]


@pytest.mark.browser
def test_one_switch_shows_and_hides_all_code_and_is_remembered(site, chapter, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 900})
    tab.goto(f"{site}/{chapter}")
    assert tab.evaluate(OPEN) and not any(tab.evaluate(OPEN)), "folded, as the page comes"
    switch = tab.get_by_role("button", name="Code: show")
    switch.focus()
    tab.keyboard.press("Enter")
    assert all(tab.evaluate(OPEN))
    tab.goto(f"{site}/{CHAPTERS[2]}")
    assert all(tab.evaluate(OPEN)), "the next chapter opens as the reader left this one"
    tab.get_by_role("button", name="Code: hide").click()
    assert not any(tab.evaluate(OPEN))
    first = tab.locator("details.fold > summary").first
    first.focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate(OPEN)[0] and not any(tab.evaluate(OPEN)[1:]), "one by itself"


@pytest.mark.browser
@pytest.mark.parametrize("page", CHAPTERS or [None])
def test_the_setup_is_one_closed_line_below_the_first_screen(page, site, new_tab):
    if page is None:
        missing("no chapter is built: run `make book`")
    tab = new_tab(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    tab.goto(f"{site}/{page}")
    found = tab.locator("details.preamble")
    assert found.count() == 1 and "import torch" in found.first.text_content()
    following = found.first.evaluate("e => e.nextElementSibling.querySelector('h2') !== null")
    assert following, "right before the first section"
    found.first.locator("summary").click()  # without JavaScript
    assert found.first.locator("pre").first.is_visible()


@pytest.mark.browser
def test_on_paper_every_fold_is_open(site, chapter, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 900})
    tab.goto(f"{site}/{chapter}")
    seen = tab.evaluate(
        """() => {
      const shown = () => [...document.querySelectorAll("details")].every(fold => fold.open);
      dispatchEvent(new Event("beforeprint"));
      const printed = shown();
      dispatchEvent(new Event("afterprint"));
      return [printed, shown()];
    }"""
    )
    assert seen == [True, False]


@pytest.mark.browser
def test_panels_stand_side_by_side_and_stack_on_a_phone(site, new_tab):
    page = next((p for p in CHAPTERS if 'class="panels"' in (SITE / p).read_text("utf-8")), None)
    assert page, "no figure of the book has panels"
    tops = "ps => ps.map(p => Math.round(p.getBoundingClientRect().top))"
    for width, stacked in ((1280, False), (390, True)):
        tab = new_tab(viewport={"width": width, "height": 900})
        tab.goto(f"{site}/{page}")
        panels = tab.locator(".panels").first.locator(".panel")
        found = panels.evaluate_all(tops)
        assert len(set(found)) == (len(found) if stacked else 1)
        heights = panels.evaluate_all("ps => ps.map(p => p.getBoundingClientRect().height)")
        assert min(heights) > 80
        tab.close()


# ---------------------------------------------------------------- numbers by chapter


def test_figures_and_equations_carry_the_number_of_their_chapter(site):
    import re

    for page in CHAPTERS:
        text, number = (SITE / page).read_text(encoding="utf-8"), str(int(page[9:11]))
        numbers = re.findall(r'class="caption-number">Figure ([\d.]+) ?<', text)
        assert numbers == [f"{number}.{k}" for k in range(1, len(numbers) + 1)], page
        equations = re.findall(r'class="eqno">\(([\d.]+)\)', text)
        assert equations == [f"{number}.{k}" for k in range(1, len(equations) + 1)], page


def test_a_page_is_not_folded_where_nothing_asks_for_it():
    """The extension on two cells: with the tag, and without."""
    program = """
import sys
sys.path.insert(0, "book/_ext")
from docutils import nodes
from folds import Fold, fold, is_cell
def cell(*tags):
    source = nodes.container(nb_element="cell_code_source")
    return nodes.container("", source, nb_element="cell_code", cell_metadata={"tags": list(tags)})
top = nodes.section("", cell("setup"), cell("preamble"), cell(), cell("hide-cell"),
                    cell("hide-cell"), nodes.paragraph(), cell("hide-cell"), nodes.section())
document = __import__("docutils.utils", fromlist=["x"]).new_document("x")
document += top
work = Fold(document)
work.join(top)
work.lower()
print([type(n).__name__ + "".join(n["classes"]) for n in top.children])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    kinds = ["container", "fold", "paragraph", "fold", "foldpreamble", "section"]
    assert json.loads(done.stdout.replace("'", '"')) == kinds
