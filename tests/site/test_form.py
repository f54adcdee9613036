"""How a chapter reads: code out of the way, nothing cut, a picture on the first screen, figures
that speak.  Measured in Chromium on the built site."""

from __future__ import annotations

import statistics

import pytest
from helpers import SITE, measured_by

tool = measured_by("site")
CHAPTERS = sorted(str(p.relative_to(SITE)) for p in SITE.glob("chapters/*.html"))
MOST_CODE, MEAN_CODE, FIRST_SCREEN = 0.15, 0.12, 800


@pytest.fixture(scope="module")
def forms(site, browser) -> dict[str, dict[int, dict]]:
    """Page → width → what the measuring tool sees of it."""
    seen: dict[str, dict[int, dict]] = {}
    for page in [*CHAPTERS, "book/intro.html"]:
        for width in tool.WIDTHS:
            with tool.fresh(browser, width) as tab:
                seen.setdefault(page, {})[width] = tool.form(tab, f"{site}/{page}")
    return seen


@pytest.mark.browser
@pytest.mark.xdist_group("form")
def test_code_is_out_of_the_way(forms):
    share = {page: forms[page][1280]["code"] for page in CHAPTERS}
    assert {page: s for page, s in share.items() if s > MOST_CODE} == {}
    assert statistics.mean(share.values()) <= MEAN_CODE
    assert all(s > 0.02 for s in share.values()), f"the method by hand is not to be seen: {share}"


@pytest.mark.browser
@pytest.mark.xdist_group("form")
@pytest.mark.parametrize("width", tool.WIDTHS)
def test_no_code_formula_or_figure_is_cut(forms, width):
    assert {page: seen[width]["cut"] for page, seen in forms.items() if seen[width]["cut"]} == {}


@pytest.mark.browser
@pytest.mark.xdist_group("form")
def test_question_and_whole_picture_stand_on_the_first_screen(forms):
    ends = {page: (f[1280]["question"], f[1280]["picture"]) for page, f in forms.items()}
    late = {p: e for p, e in ends.items() if not (e[0] and e[1] and e[0] < e[1] <= FIRST_SCREEN)}
    assert late == {}


@pytest.mark.browser
@pytest.mark.xdist_group("form")
def test_the_first_widget_stands_in_the_upper_half(forms):
    at = {page: f[1280]["widget"] for page, f in forms.items() if f[1280]["widget"] is not None}
    assert {page: share for page, share in at.items() if share > 0.5} == {}


@pytest.mark.browser
@pytest.mark.xdist_group("form")
def test_every_figure_speaks(forms):
    alts = [alt for page in CHAPTERS for alt in forms[page][1280]["alts"]]
    assert len(set(alts)) == len(alts) > 60
    assert [alt for alt in alts if len(alt) <= 30] == []
    for page in CHAPTERS:
        seen = forms[page][1280]
        assert len(seen["captions"]) == seen["figures"], page
        assert all(caption.startswith("Figure ") for caption in seen["captions"]), page
        assert seen["bare"] <= 1, f"{page}: pictures without a caption, besides the first one"


@pytest.mark.browser
@pytest.mark.xdist_group("form")
def test_the_first_page_leads_to_the_first_chapter(forms):
    assert forms["book/intro.html"][1280]["next"].endswith("chapters/01_the_score_function.html")
