"""What the site gives its reader around the text: a first page that says what this is, previews,
the system's colours, cards, a search without set-up cells, and nothing that leads nowhere."""

from __future__ import annotations

import json
import re
import subprocess
from types import SimpleNamespace

import bookmap
import edition
import finding
import lean
import mends
import pytest
import terms
import tips
import yaml
from docutils import nodes
from helpers import ROOT, SECONDS, SITE, complaints, look, widgets
from PIL import Image

from sdelib import __version__

INTRO = "book/intro.html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
ORDER = [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
PUBLISHED = edition.PLACEHOLDER not in CONFIG["repository"]["url"]
CHAPTER = "chapters/07_running_time_backwards.html"


# ---- the first page
# ---------------------------------------------------------------------------------


def test_chapters_come_first_and_what_stands_beside_them_last():
    chapters = [i for i, name in enumerate(ORDER) if name.startswith("chapters/")]
    beside = [i for i, name in enumerate(ORDER) if name in ("book/notation", "book/glossary")]
    assert ORDER[0].startswith("chapters/01_") and max(chapters) < min(beside)


@pytest.mark.browser
@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_screen_says_what_this_is_and_what_to_press(width, height, theme, site, new_tab):
    tab = new_tab(theme, viewport={"width": width, "height": height})
    found = complaints(tab)
    tab.goto(f"{site}/{INTRO}")
    [picture] = widgets(tab)
    bottom = lambda part: (box := part.bounding_box())["y"] + box["height"]
    start = tab.get_by_role("link", name="Start with chapter 1")
    draw = tab.get_by_role("link", name="Draw your own garments")
    for part in (tab.locator(".bd-article h1"), start, draw, picture.locator(".sde-plot")):
        assert bottom(part) <= height
    play = picture.get_by_role("button", name=re.compile("Play|Pause"))
    assert bottom(play) <= height
    if width == 1280:
        assert bottom(picture.locator(".sde-caption")) <= height
    assert tab.locator(".bd-article .cell_input").count() == 0
    assert "score" in tab.locator(".bd-article p").first.inner_text()
    assert found == []
    start.click()
    tab.wait_for_url("**/chapters/01_*")
    tab.go_back()
    tab.get_by_role("link", name="Draw your own garments").click()
    tab.wait_for_url("**/book/sampler.html")


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_picture_plays_once_from_noise_to_garments(motion, site, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 800}, reduced_motion=motion)
    tab.add_init_script(
        "window.seen = []; new MutationObserver(() => { const w = "
        "document.querySelector('.sde-where'); if (w?.textContent && seen.at(-1) !== "
        "w.textContent) seen.push(w.textContent); })"
        ".observe(document, { subtree: true, childList: true, characterData: true });"
    )
    tab.goto(f"{site}/{INTRO}")
    [picture] = widgets(tab)
    tab.wait_for_timeout(7000 if motion == "no-preference" else 1500)
    seen = tab.evaluate("seen")
    last = f"{int(re.search(r'of ([0-9]+)', seen[-1])[1])}"
    assert f", {last} of {last}" in seen[-1], seen  # it rests at the garments
    picture.get_by_role("button", name="Play").wait_for(timeout=SECONDS)
    if motion == "reduce":
        assert len(seen) == 1
    else:
        assert any(f", 1 of {last}" in text for text in seen)
    rest = look(picture)
    tab.wait_for_timeout(800)
    assert look(picture) == rest


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_map_has_every_chapter_and_leads_there(width, site, new_tab):
    tab = new_tab(viewport={"width": width, "height": 800})
    tab.goto(f"{site}/{INTRO}")
    rows = tab.locator(".map-list li")
    numbers = [int(row.get_attribute("data-chapter")) for row in rows.all()]
    assert numbers == sorted(int(name[9:11]) for name in ORDER if name.startswith("chapters/"))
    heights = {round(row.bounding_box()["height"]) for row in rows.all()}
    assert max(heights) - min(heights) <= 1  # so that the lines end at their chapters
    lines, box = tab.locator(".map-lines"), rows.first.bounding_box()
    assert lines.bounding_box()["width"] >= 50 and lines.get_attribute("aria-hidden") == "true"
    assert abs(lines.bounding_box()["y"] - box["y"]) <= 1
    seven = tab.locator('.map-list li[data-chapter="7"]')
    assert "Builds on 2, 6" in seven.inner_text() and "May be skipped" in seven.inner_text()
    assert all(box["x"] + box["width"] <= width for box in (r.bounding_box() for r in rows.all()))
    line = tab.locator('.map-lines path[data-to="7"]').first
    before = line.evaluate("p => getComputedStyle(p).stroke")
    seven.locator(".map-title").focus()
    assert line.evaluate("p => getComputedStyle(p).stroke") != before


def test_a_map_line_that_is_none_is_named():
    assert bookmap.rows(["# A", "1 | | x |", "2 | 1 | y | z"])[1]["from"] == [1]
    for line, words in (("1 | x", "is not"), ("1 | 2 | x |", "builds on")):
        with pytest.raises(ValueError, match=words):
            bookmap.rows([line])
    html = bookmap.picture(
        bookmap.rows(["1 | | x |", "2 | 1 | y |", "3 | 1, 2 | z | all of it"]),
        {1: ("a.html", "1. A"), 3: ("c.html", "3. C")},  # chapter 2 has no page
    )
    assert "b.html" not in html and html.count("<path") == 1 and "map-optional" in html


# ---- previews
# ---------------------------------------------------------------------------------------


def linked(tab, what: str):
    """The first link in the text whose preview has such a thing."""
    if tab.evaluate("!window.tippy"):  # nothing is loaded before the reader points at the text
        tab.locator("article.bd-article h1").dispatch_event("pointerover")
    tab.wait_for_function(
        "[...document.querySelectorAll('article.bd-article a[href]')].some(a => a._tippy)",
        timeout=SECONDS,
    )
    at = tab.evaluate(
        "what => [...document.querySelectorAll('article.bd-article a[href]')].findIndex(a => "
        "a.checkVisibility() && a._tippy && new DOMParser().parseFromString("
        "sdelibTips[a.getAttribute('href')], 'text/html').querySelector(what))",
        what,
    )
    assert at >= 0, f"no link of {tab.url} has a preview with {what}"
    return tab.locator("article.bd-article a[href]").nth(at)


@pytest.mark.browser
@pytest.mark.parametrize("what", ["div.citation", "div.math", ".tip-term"])
def test_a_preview_opens_by_hover_and_focus_and_escape_closes_it(what, site, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 900})
    found = complaints(tab)
    tab.goto(f"{site}/{CHAPTER}")
    link, tip = linked(tab, what), tab.locator("[data-tippy-root] .tip")
    link.scroll_into_view_if_needed()
    link.hover()
    tip.wait_for(timeout=SECONDS)
    assert tip.locator(what).count() == 1 and tip.inner_text().strip()
    assert tip.locator("[id]").count() == 0 and "\\(" not in tip.inner_text()
    tip.hover()  # the preview itself may be pointed at
    tab.wait_for_timeout(400)
    assert tip.is_visible()
    tab.keyboard.press("Escape")
    tip.wait_for(state="detached", timeout=SECONDS)
    tab.mouse.move(0, 0)
    link.focus()
    tip.wait_for(timeout=SECONDS)
    assert link.get_attribute("aria-describedby")
    tab.keyboard.press("Escape")
    tip.wait_for(state="detached", timeout=SECONDS)
    assert found == []


@pytest.mark.browser
def test_the_first_tap_previews_and_the_second_follows(site, new_tab):
    tab = new_tab(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    tab.goto(f"{site}/{CHAPTER}")
    link, tip = linked(tab, "div.citation"), tab.locator("[data-tippy-root] .tip")
    link.scroll_into_view_if_needed()
    link.tap()
    tip.wait_for(timeout=SECONDS)
    assert CHAPTER in tab.url
    box = tab.locator(".tippy-box").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    link.tap()
    tab.wait_for_url("**/bibliography.html#*", timeout=SECONDS)


def test_previews_are_small_whole_and_of_four_kinds(site):
    files = sorted((SITE / "_static" / "tips").rglob("*.js"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text.removeprefix("window.sdelibTips = ").removesuffix(";\n"))
        page = SITE / file.relative_to(SITE / "_static" / "tips").with_suffix(".html")
        assert 0 < len(text) < 400_000 and page.is_file()
        for to, tip in found.items():
            assert re.match(r'<(?:figure|p class="tip-term"|div)[ >]', tip.strip()), (file, to)
            assert "\\(" not in tip and "\\[" not in tip and ".png" not in tip, (file, to)
            for src in re.findall(r'<img[^>]*src="([^"]+)"', tip):
                assert (page.parent / src).is_file(), (file, src)
    assert not list((SITE / "_static").glob("tippy/**/*.js"))


def test_a_preview_of_another_form_is_said_and_the_build_goes_on(tmp_path, capsys):
    script = tmp_path / "a.js"
    script.write_text("something = {}", encoding="utf-8")
    with pytest.raises(ValueError, match="another form"):
        tips.collected(script)
    script.write_text(
        'selector_to_html = {"a[href=\\"b.html#c\\"]": "<p>x</p>"}\nskip_classes = []', "utf-8"
    )
    assert tips.collected(script) == {"b.html#c": "<p>x</p>"}
    assert tips.preview("<p>x</p>", {}, tmp_path / "a.html") == ""
    math = '<div class="math notranslate nohighlight" id="e">\\[x &lt; y\\]</div>'
    assert tips.preview(math, {(True, "x < y"): "<b>set</b>"}, tmp_path / "a.html") == (
        '<div class="math notranslate nohighlight"><b>set</b></div>'
    )
    mends.missed("a place")
    assert capsys.readouterr().err == "mend: a place\n"


# ---- the glossary
# -----------------------------------------------------------------------------------


def test_the_glossary_has_the_words_that_readers_bring(site):
    text = (SITE / "book" / "glossary.html").read_text(encoding="utf-8")
    found = set(re.findall(r'<dt id="term-([^"]+)"', text))
    assert len(found) >= 30
    for word in ("diffusion-model", "noise-prediction", "noise-schedule", "EMA", "DDPM", "SNR"):
        assert word in found
    assert all("<a " in part for part in re.findall(r"<dd>.*?</dd>", text, re.S))


def test_a_term_is_linked_once_and_never_in_code_or_links():
    find = terms.pattern({"score", "score matching", "VE"})
    hits = [h[0] for h in find.finditer("Scores, score matching, VE and verse, pre-score")]
    assert hits == ["Scores", "score matching", "VE"]
    assert terms.pattern({}) is None
    text = nodes.paragraph("", "", nodes.Text("a "), nodes.literal("", "score"))
    part = nodes.section("", nodes.title("", "score"), text)
    top = nodes.section("", nodes.paragraph("", "what the chapter is about: the score"), part)
    assert [t.astext() for t in terms.running(top)] == ["a "]


# ---- colours, footer, card, search, the rocket
# ------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_system_chooses_the_colours_until_the_reader_does(theme, site, browser):
    context = browser.new_context(color_scheme=theme)
    try:
        tab = context.new_page()
        tab.goto(f"{site}/{INTRO}", wait_until="commit")
        tab.wait_for_function("document.body", timeout=SECONDS)
        assert tab.evaluate("document.documentElement.dataset.theme") == theme
        tab.wait_for_load_state("load")
        assert tab.evaluate("document.documentElement.dataset.theme") == theme
        other = {"light": "dark", "dark": "light"}[theme]
        tab.evaluate("m => { localStorage.mode = localStorage.theme = m }", other)
        tab.reload()
        assert tab.evaluate("document.documentElement.dataset.theme") == other
    finally:
        context.close()


@pytest.mark.browser
def test_without_javascript_the_colours_are_there(site, new_tab):
    tab = new_tab(java_script_enabled=False, color_scheme="dark")
    tab.goto(f"{site}/{CHAPTER}")
    assert tab.locator("html").get_attribute("data-theme") == "light"


def test_the_footer_has_version_and_date_and_not_the_clocks(site, monkeypatch, tmp_path):
    text = (SITE / CHAPTER).read_text(encoding="utf-8")
    assert re.search(rf'Version {__version__}, <time datetime="20\d\d-\d\d-\d\d">', text)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert edition.date() == "1970-01-02"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr(edition, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("2026-01-02 and 2026-03-01", encoding="utf-8")
    gone = SimpleNamespace(returncode=128, stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: gone)
    assert edition.date() == "2026-03-01"


def test_a_shared_page_has_a_card_with_garments_and_its_own_words(site):
    with Image.open(SITE / edition.CARD) as card:
        assert card.size == edition.SIZE and len(card.getcolors(256) or []) > 20
    words = set()
    for name in ("book/intro", *ORDER):
        text = (SITE / f"{name}.html").read_text(encoding="utf-8")
        tag = lambda kind, text=text: re.search(
            rf'<meta property="og:{kind}" content="([^"]*)', text
        )
        assert tag("title") and tag("image")[1].endswith(edition.CARD) and tag("image:alt")
        assert tag("site_name")[1] == CONFIG["title"]
        if said := tag("description"):
            assert 20 < len(said[1]) <= 260 and "\\" not in said[1], name
            words.add(said[1])
    assert len(words) > 0.8 * len(ORDER)


@pytest.mark.browser
def test_the_search_shows_no_set_up_cells(site, new_tab):
    index = (SITE / "searchindex.js").read_text(encoding="utf-8")
    assert '"anywidget"' not in re.sub(r'"titles".*', "", index) or index.count("anywidget") < 3
    tab = new_tab(viewport={"width": 1280, "height": 900})
    tab.goto(f"{site}/search.html?q=Tweedie")
    tab.locator("#search-results ul.search li p.context").first.wait_for(timeout=SECONDS)
    shown = tab.locator("#search-results").inner_text()
    assert "pip install" not in shown and "SMOKE" not in shown


def test_set_up_cells_leave_a_copy_of_the_page():
    cell = nodes.container("", nodes.literal_block("", "import x"), classes=["cell", "tag_setup"])
    tree = nodes.document(None, None)
    tree += [cell, nodes.paragraph("", "words")]
    tree.deepcopy = lambda: nodes.Element("", *(child.deepcopy() for child in tree.children))
    assert finding.without(tree).astext().strip() == "words" and len(tree) == 2
    bare = nodes.section("", nodes.paragraph("", "words"))
    assert finding.without(bare) is bare


@pytest.mark.browser
@pytest.mark.skipif(PUBLISHED, reason="the book has an address")
def test_the_placeholder_is_no_place_to_go(site, new_tab):
    pages = [p for p in SITE.rglob("*.html") if "_static" not in p.parts]
    for page in pages:
        links = re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8"))
        assert not [link for link in links if edition.PLACEHOLDER in link], page
    tab = new_tab(viewport={"width": 1280, "height": 900})
    tab.goto(f"{site}/{CHAPTER}")
    tab.get_by_role("button", name="Launch interactive content").click()
    why = tab.locator(".btn-not-yet")
    assert "once the book is published" in why.inner_text()
    assert why.get_attribute("href").endswith("book/intro.html#how-to-read")
    assert why.bounding_box()["width"] <= 340


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_back_to_top_stays_out_of_the_widgets_way(width, site, new_tab):
    tab = new_tab(viewport={"width": width, "height": 800})
    tab.goto(f"{site}/{CHAPTER}")
    host = widgets(tab)[-1]
    tab.evaluate("scrollTo({ top: document.body.scrollHeight / 2, behavior: 'instant' })")
    for share in (0.95, 0.6, 0.3):  # the widget's head at this height of the screen
        tab.evaluate(
            "([w, share]) => scrollTo({ top: scrollY + w.getBoundingClientRect().top "
            "- share * innerHeight, behavior: 'instant' })",
            [host.element_handle(), share],
        )
        tab.mouse.wheel(0, -20)  # it appears when the reader goes up
        tab.wait_for_timeout(300)
        over = tab.evaluate(
            "w => { const b = document.getElementById('pst-back-to-top'), "
            "r = b.getBoundingClientRect(), s = w.getBoundingClientRect(); "
            "return b.checkVisibility({ visibilityProperty: true }) && r.width > 0 && "
            "r.left < s.right && r.right > s.left && r.top < s.bottom && r.bottom > s.top; }",
            host.element_handle(),
        )
        assert not over


def test_a_mend_that_finds_no_place_says_so(tmp_path, capsys, monkeypatch):
    (tmp_path / "_static" / "scripts").mkdir(parents=True)
    (tmp_path / "_static" / "documentation_options.js").write_text("x", encoding="utf-8")
    script = '<script src="_static/documentation_options.js"></script>'
    (tmp_path / "a.html").write_text(f"<html>{script}</html>", encoding="utf-8")
    monkeypatch.setattr(lean, "dress", lambda out: None)
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path))
    lean.mend(app, None)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(lean.MENDS) and all(line.startswith("mend: lean.py") for line in said)
