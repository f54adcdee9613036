"""What the site does for its reader: answers and progress, formulas and search, the next page,
paper, and few bytes."""

from __future__ import annotations

import csv
import json
import re
from urllib.parse import urlsplit

import lean
import pytest
import yaml
from helpers import ROOT, SECONDS, SITE, complaints, javascript, measured_by
from reader import test_of as judged_by

from sdelib.book.exercises import EXERCISES, Number
from sdelib.book.exercises.expression import Unclear, value

tool = measured_by("site")
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
NUMBERS = {name: e.test for name, e in EXERCISES.items() if isinstance(e.test, Number)}
FIRST = "chapters/01_the_score_function.html"
KEY = "score-book.progress.1"
PROGRESS = "book/progress.html"
TITLE = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]


def page_of(name: str) -> str:
    """The page on which an exercise stands."""
    (path,) = (p for p in CHAPTERS if p.stem.startswith(f"{int(name.split('.')[0]):02d}_"))
    return f"chapters/{path.stem}.html"


def says(tab, name: str, typed: str) -> tuple[str, str]:
    """(right, close, wrong or unclear; the words) that the page answers to what is typed."""
    form = tab.locator(f'form[data-answer="{name}"]')
    form.locator("input[type=text]").fill(typed)
    form.locator("input[type=text]").press("Enter")
    return form.get_attribute("data-verdict"), form.locator(".reader-verdict").inner_text()


# ---- answers
# ---------------------------------------------------------------------------------------

EXPRESSIONS = json.loads((ROOT / "tests" / "book" / "expressions.json").read_text(encoding="utf-8"))
ANSWER = """
const vm = await import("node:vm"), window = {};
vm.runInNewContext(fs.readFileSync(data.path, "utf8"), { window });
const { value, judge } = window.scoreBookAnswer;
"""


def in_node(code: str, **data):
    """What JavaScript with the functions of book/_static/answer.js returns."""
    return javascript(ANSWER + code, path=str(ROOT / "book" / "_static" / "answer.js"), **data)


def in_python(typed: str) -> float | str:
    try:
        return value(typed)
    except Unclear as reason:
        return str(reason)


def test_page_and_notebook_read_the_same_numbers():
    """Each case of tests/book/expressions.json gives the same number or the same words in both."""
    typed = [text for cases in EXPRESSIONS.values() for text, _ in cases]
    found = in_node(
        "return data.typed.map(t => { try { return value(t) } catch (e) { return e.message } });",
        typed=typed,
    )
    for text, there in zip(typed, found, strict=True):
        here = in_python(text)
        assert there == (here if isinstance(here, str) else pytest.approx(here, rel=1e-14)), text


def test_page_and_notebook_give_the_same_verdicts():
    """On a fine net around every number, its roundings, and both edges of every rule."""
    asked, verdicts = [], []
    for name, test in NUMBERS.items():
        around = [test.value * (1 + k / 997) for k in range(-120, 121)]
        around += [float(f"{a:.{digits}e}") for a in around for digits in (0, 1, 2, 3)]
        around += [
            test.value + sign * edge * nudge
            for edge in (test.relative * abs(test.value), test.absolute, 0.1 * abs(test.value))
            for sign in (-1, 1)
            for nudge in (1 - 1e-6, 1 + 1e-6)
        ]
        asked += [[a, judged_by(name)] for a in around]
        verdicts += [test.judge(a) for a in around]
    assert set(verdicts) == {"right", "close", "wrong"}
    assert in_node("return data.asked.map(([a, test]) => judge(a, test));", asked=asked) == verdicts


TYPED = [
    ("1.9365", "right", "the only mode"),
    ("sqrt(15)/2", "right", ""),
    ("19.365×10^-1", "right", ""),
    ("1.94", "right", ""),
    ("1.9", "close", "Close: 1.9 is less than 10 % off, and the number is asked to three digits."),
    ("3.75", "wrong", "3.75 is not the number. The hint is open below."),
    ("1,936", "unclear", "two ways: type 1936 or 1.936"),
    ("", "unclear", "Nothing is typed yet"),
    ("alert(1)", "unclear", "is not a number"),
    ("<b>2", "unclear", "<b>2"),
]


@pytest.mark.browser
def test_a_number_may_be_typed_in_many_ways(site, new_tab):
    tab = new_tab()
    found = complaints(tab)
    tab.goto(f"{site}/{FIRST}")
    done = tab.locator('input[data-exercise="1.2"]')
    for typed, verdict, words in TYPED:
        done.uncheck()
        seen = says(tab, "1.2", typed)
        assert seen[0] == verdict and words in seen[1], (typed, seen)
        assert done.is_checked() is (verdict == "right")
    assert "to three digits" in tab.locator('label[for="answer-1.2"]').inner_text()
    assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
def test_a_hint_waits_behind_a_click(scripts, site, new_tab):
    """Every exercise has one, also without JavaScript; a wrong answer opens it too."""
    tab = new_tab(java_script_enabled=scripts)
    tab.goto(f"{site}/{FIRST}")
    names = sorted(name for name in EXERCISES if page_of(name) == FIRST)
    hints = tab.locator("details.reader-hint").all()
    assert len(hints) == len(names)
    for name, hint in zip(names, hints):
        words = hint.locator("p")
        assert not words.is_visible()
        assert EXERCISES[name].hint.replace("`", "")[1:] in words.text_content()
        assert hint.locator("summary").inner_text().split("\n")[0].startswith("Hint")
        hint.locator("summary").press("Enter")
        assert words.is_visible()
        hint.locator("summary").press("Enter")
        assert not words.is_visible()
    if scripts:
        words = tab.locator('form[data-answer="1.2"] + details p')
        assert says(tab, "1.2", "what?")[0] == "unclear" and not words.is_visible()
        assert says(tab, "1.2", "3")[0] == "wrong" and words.is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem[:2])
def test_the_page_judges_a_number_as_the_chapter_does(path, site, new_tab):
    """At both edges of the tolerance, inside and outside by a millionth, for every number that the
    chapter asks for."""
    tab = new_tab()
    found = complaints(tab)
    tab.goto(f"{site}/chapters/{path.stem}.html")
    names = [name for name in NUMBERS if page_of(name) == f"chapters/{path.stem}.html"]
    assert [
        form.get_attribute("data-answer") for form in tab.locator("form[data-answer]").all()
    ] == sorted(names, key=lambda n: [*map(int, n.split("."))])
    for name in names:
        test = NUMBERS[name]
        up = max(
            test.value + test.absolute,
            *(
                test.value * f
                for f in (1 + test.relative, 1 / (1 - test.relative), 1 - test.relative)
            ),
        )
        down = 2 * test.value - up
        for edge in (up, down):
            for nudge in (1 - 1e-6, 1 + 1e-6):
                typed = repr(test.value + (edge - test.value) * nudge)
                assert says(tab, name, typed)[0] == test.judge(float(typed)), (name, typed)
        assert says(tab, name, repr(test.value))[0] == "right" and test(test.value) == ""
        assert says(tab, name, repr(3 * test.value + 7))[0] == "wrong" and test(3 * test.value + 7)
    assert found == []


def test_every_exercise_is_on_a_page_and_most_numbers_are_asked_there():
    text = "".join(p.read_text(encoding="utf-8") for p in CHAPTERS)
    assert set(EXERCISES) == {f"{a}.{b}" for a, b in re.findall(r":label: ex-(\d+)-(\d+)", text)}
    assert len(NUMBERS) > 0.4 * len(EXERCISES)


# ---- progress
# --------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_ticks_and_answers_are_kept_and_listed_and_forgotten(width, site, new_tab):
    tab = new_tab(viewport={"width": width, "height": 800}, has_touch=width == 390)
    found = complaints(tab)
    tab.goto(f"{site}/{FIRST}")
    says(tab, "1.2", "1.9365")
    tab.locator("input[data-chapter]").check()
    tab.locator('input[data-exercise="1.4"]').check()
    tab.reload()
    assert (
        tab.locator("input[data-chapter]").is_checked()
        and tab.locator("#answer-1\\.2").input_value() == "1.9365"
    )
    assert tab.locator('form[data-answer="1.2"] .reader-verdict').inner_text() == "Right."
    assert tab.locator(".bd-sidebar-primary a[data-read]").count() == 1
    tab.goto(f"{site}/{PROGRESS}")
    total = tab.locator(".reader-total")
    assert (
        total.inner_text()
        == f"1 of {len(CHAPTERS)} chapters read, 2 of {len(EXERCISES)} exercises done."
    )
    assert tab.locator(".reader-progress input[data-exercise]").count() == len(EXERCISES)
    assert (
        tab.locator('.reader-count[data-of="chapters/01_the_score_function"]').inner_text()
        == "2 of 4 done"
    )
    tab.locator('.reader-list input[data-exercise="1.4"]').press(" ")  # by keyboard, here too
    assert f"1 of {len(EXERCISES)} exercises" in total.inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.on("dialog", lambda d: d.accept())
    tab.locator(".reader-forget").click()
    assert total.inner_text().startswith("0 of") and json.loads(
        tab.evaluate(f"localStorage['{KEY}']")
    ) == {"read": {}, "done": {}, "answers": {}}
    assert found == []


@pytest.mark.browser
def test_two_tabs_agree(site, new_tab):
    one = new_tab()
    one.goto(f"{site}/{FIRST}")
    two = one.context.new_page()
    two.goto(f"{site}/{PROGRESS}")
    one.locator("input[data-chapter]").check()
    two.wait_for_function(
        "document.querySelector('.reader-total').textContent.startsWith('1 of')", timeout=SECONDS
    )
    two.locator('.reader-list input[data-exercise="2.1"]').check()
    one.locator('input[data-exercise="1.1"]').check()  # does not undo the other tab's tick
    assert json.loads(one.evaluate(f"localStorage['{KEY}']"))["done"] == {"2.1": True, "1.1": True}


# ---- a file of one's own
# ---------------------------------------------------------------------------


def load(tab, content: bytes, name: str = "progress.json") -> str:
    """Choose a file by the button, as a reader does; what the page says to it."""
    tab.evaluate("document.querySelector('.reader-told').textContent = ''")
    with tab.expect_file_chooser() as chooser:
        tab.locator(".reader-load").press("Enter")
    file = {"name": name, "mimeType": "application/json", "buffer": content}
    chooser.value.set_files(file)
    tab.wait_for_function("document.querySelector('.reader-told').textContent", timeout=SECONDS)
    return tab.locator(".reader-told").inner_text()


def kept(tab) -> dict:
    return json.loads(tab.evaluate(f"localStorage['{KEY}']"))


@pytest.mark.browser
@pytest.mark.parametrize("how", ["served", "as files"])
def test_progress_travels_in_a_file_and_is_added_to_what_is_there(how, site, new_tab, tmp_path):
    at = site if how == "served" else SITE.as_uri()
    one, two = new_tab(), new_tab()
    found = complaints(one)
    one.goto(f"{at}/{FIRST}")
    says(one, "1.2", "sqrt(15)/2")
    one.locator("input[data-chapter]").check()
    one.goto(f"{at}/{PROGRESS}")
    one.locator('.reader-list input[data-exercise="2.1"]').check()
    with one.expect_download() as download:
        one.locator(".reader-save").press("Enter")
    download.value.save_as(tmp_path / "progress.json")
    assert re.fullmatch(
        r"score-book-progress-\d{4}(-\d\d){2}\.json", download.value.suggested_filename
    )
    assert download.value.suggested_filename in one.locator(".reader-told").inner_text()
    text = (tmp_path / "progress.json").read_text(encoding="utf-8")
    file = json.loads(text)
    assert file["book"] == TITLE and file["version"] == 1
    assert {part: file[part] for part in ("read", "done", "answers")} == kept(one)

    found += complaints(two)
    two.goto(f"{at}/{FIRST}")
    says(two, "1.3", "78400")
    says(two, "1.2", "1.94")
    two.goto(f"{at}/{PROGRESS}")
    before = kept(two)
    assert load(two, text.encode()) == (
        "Loaded. New here: 1 chapter read, 1 exercise done, 0 answers. "
        "What was here before is still here."
    )
    after = kept(two)
    assert after["done"] == before["done"] | {"2.1": True}
    assert after["read"] == kept(one)["read"]
    assert after["answers"] == {"1.3": "78400", "1.2": "1.94"}  # its own answer stays
    assert two.locator(".reader-total").inner_text().startswith("1 of 17 chapters read, 3 of")
    assert "0 chapters read, 0 exercises done" in load(two, text.encode())
    assert kept(two) == after and found == []


@pytest.mark.browser
def test_a_wrong_file_changes_nothing_and_is_told(site, new_tab):
    tab = new_tab()
    found = complaints(tab)
    tab.goto(f"{site}/{PROGRESS}")
    tab.locator('.reader-list input[data-exercise="2.1"]').check()
    before, other = kept(tab), "does not hold the progress of this book. Nothing was changed."
    right = {"book": TITLE, "version": 1, "done": {"1.1": True}}
    for content, words in [
        (b"\x89PNG\r\n", other),
        (b"", other),
        (b"null", other),
        (b"[1]", other),
        (json.dumps({**right, "book": "Another"}).encode(), other),
        (json.dumps(right).encode() + b" " * 1_000_001, other),
        (json.dumps({**right, "version": 2}).encode(), "of another version of the book."),
    ]:
        assert words in load(tab, content), content[:40]
        assert kept(tab) == before
    rubbish = {**right, "read": 3, "done": {"1.1": "yes", "1.2": True}, "answers": {"1.2": [1]}}
    assert "0 chapters read, 1 exercise done, 0 answers" in load(tab, json.dumps(rubbish).encode())
    assert kept(tab) == {"read": {}, "done": {"2.1": True, "1.2": True}, "answers": {}}
    assert found == []


@pytest.mark.browser
def test_the_buttons_for_a_file_are_on_one_page_and_can_be_used_by_everyone(site, new_tab):
    tab = new_tab()
    tab.goto(f"{site}/{FIRST}")
    assert tab.locator(".reader-save, .reader-load, input[type=file]").count() == 0
    tab.goto(f"{site}/{PROGRESS}")
    for name in ("Save to a file", "Load from a file", "Forget all of it"):
        button = tab.get_by_role("button", name=name)
        button.focus()
        assert button.evaluate("b => b === document.activeElement && b.matches(':focus-visible')")
    assert tab.locator(".reader-told").get_attribute("role") == "status"
    assert not tab.locator(".reader-file").is_visible()  # the button opens it


@pytest.mark.browser
@pytest.mark.parametrize(
    "kept",
    [
        "{",
        "null",
        "[]",
        '{"read": 3, "done": {"1.1": "yes", "1.2": true}, "answers": {"1.2": 5}, "more": 1}',
    ],
)
def test_what_another_version_left_behind_breaks_nothing(kept, site, new_tab):
    tab = new_tab()
    found = complaints(tab)
    tab.add_init_script(f"localStorage['{KEY}'] = localStorage['{KEY}'] ?? {json.dumps(kept)}")
    tab.goto(f"{site}/{FIRST}")
    assert (
        tab.locator('input[data-exercise="1.2"]').is_checked() is ("1.2" in kept)
        and not tab.locator('input[data-exercise="1.1"]').is_checked()
    )
    tab.locator('input[data-exercise="1.1"]').check()
    assert json.loads(tab.evaluate(f"localStorage['{KEY}']"))["done"]["1.1"] is True and found == []


@pytest.mark.browser
def test_a_browser_that_keeps_nothing_says_so_and_still_checks(site, new_tab):
    tab = new_tab()
    found = complaints(tab)
    tab.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new "
        "DOMException('blocked', 'SecurityError'); } })"
    )
    tab.goto(f"{site}/{FIRST}")
    assert says(tab, "1.2", "1.9365")[0] == "right"
    tab.goto(f"{site}/{PROGRESS}")
    assert "does not let the page remember" in tab.locator(".reader-total").inner_text()
    assert [text for text in found if "localStorage" not in text and "blocked" not in text] == []


# ---- without JavaScript, on paper
# ------------------------------------------------------------------


@pytest.mark.browser
def test_without_javascript_formulas_are_set_and_no_dead_box_is_shown(site, new_tab):
    context = new_tab().context.browser.new_context(java_script_enabled=False)
    try:
        tab = context.new_page()
        tab.goto(f"{site}/{FIRST}")
        formulas = tab.locator("mjx-container")
        assert (
            formulas.count() - tab.locator(".for-phones").count()
            == tab.locator(".math").count()
            > 20
            and formulas.first.bounding_box()["height"] > 8
        )
        assert (
            tab.locator("mjx-assistive-mml math").count() == formulas.count()
        )  # what a screen reader reads
        assert not any(
            box.is_visible() for box in tab.locator(".reader-exercise, .reader-chapter").all()
        )
        assert "jax" not in re.sub(
            r"<mjx|</mjx|MathJax\b|mjx-", "", tab.content().lower().split("<body")[0]
        )
    finally:
        context.close()


@pytest.mark.browser
def test_formulas_match_the_letters_around_them(site, new_tab):
    """MathJax's x is as high as the text's x, within 5 %."""
    tab = new_tab()
    tab.goto(f"{site}/{FIRST}")
    tab.evaluate("() => document.fonts.ready")
    text, formula = tab.evaluate("""() => {
        const m = document.querySelector("p .math mjx-container"), ex = e => {
          const b = document.createElement("span");
          b.style.cssText = "display:inline-block;height:1ex;width:1px";
            e.append(b); const h = b.getBoundingClientRect().height; b.remove(); return h; };
        return [ex(m.closest("p")), 0.442 * parseFloat(getComputedStyle(m).fontSize)];
    }""")
    assert formula == pytest.approx(text, rel=0.05)


@pytest.mark.browser
def test_on_paper_there_is_the_text_and_nothing_to_click(site, new_tab):
    tab = new_tab("dark", viewport={"width": 1000, "height": 800})
    tab.goto(f"{site}/{FIRST}")
    tab.evaluate(
        "() => addEventListener('beforeprint', () => { window.printed = "
        "document.documentElement.dataset.theme; })"
    )  # after the page's own
    assert len(tab.pdf()) > 100_000
    assert tab.evaluate("[window.printed, document.documentElement.dataset.theme]") == [
        "light",
        "dark",
    ]
    tab.emulate_media(media="print")
    for gone in (
        ".bd-sidebar-primary",
        ".bd-sidebar-secondary",
        ".bd-header-article",
        ".reader-exercise",
        ".reader-chapter",
        ".sde-actions",
        ".prev-next-footer",
    ):
        assert not any(e.is_visible() for e in tab.locator(gone).all()), gone
    assert (
        tab.locator("#jb-print-docs-body h1").is_visible()
        and tab.locator(".sde-x canvas").first.is_visible()
    )
    assert tab.evaluate(
        "[...document.querySelectorAll('.bd-article pre')].every(p => p.scrollWidth "
        "<= p.clientWidth + 1)"
    )  # no line is cut


# ---- ways through the book
# -------------------------------------------------------------------------


@pytest.mark.browser
def test_next_leads_through_the_whole_book_and_previous_back(site, new_tab):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    order = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    tab = new_tab(java_script_enabled=False)
    tab.goto(f"{site}/{order[0]}.html")
    assert tab.locator("a.left-prev").count() == 0
    for before, here in zip(order, order[1:]):
        tab.goto(tab.locator("a.right-next").evaluate("a => a.href"))
        assert urlsplit(tab.url).path == f"/{here}.html"
        assert (
            urlsplit(tab.locator("a.left-prev").evaluate("a => a.href")).path == f"/{before}.html"
        )
    assert tab.locator("a.right-next").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_search_finds_words_of_the_chapters(width, site, new_tab):
    tab = new_tab(viewport={"width": width, "height": 800})
    found = complaints(tab)
    tab.goto(f"{site}/{FIRST}")
    tab.keyboard.press("Control+k")
    tab.locator("dialog input[type=search], .search-button__wrapper input[type=search]").first.fill(
        "Tweedie"
    )
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=Tweedie*", timeout=SECONDS)
    results = tab.locator("#search-results ul.search li")
    results.first.wait_for(timeout=SECONDS)
    tab.wait_for_function(
        "document.querySelector('.search-summary, #search-results "
        "p')?.textContent.match(/\\d+ page/)",
        timeout=SECONDS,
    )
    hrefs = results.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any(h.startswith("chapters/14_inverse_problems.html") for h in hrefs)
    results.locator("a").first.click()
    tab.wait_for_load_state()
    assert "/chapters/" in tab.url or "/book/" in tab.url
    assert found == []


# ---- weight and paint, as they were measured
# ------------------------------------------------------------------------------


def test_the_stored_table_has_every_page_within_its_budget():
    lines = [
        line
        for line in (ROOT / "results" / "site.csv").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    rows = {row["page"]: row for row in csv.DictReader(lines)}
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    wanted = {
        f"{toc['root']}.html",
        *(f"{c['file']}.html" for part in toc["parts"] for c in part["chapters"]),
    }
    assert wanted <= set(rows), (
        f"run python tools/measure/site.py: {wanted - set(rows)} are not in results/site.csv"
    )
    for page, row in rows.items():
        assert int(row["compressed_bytes"]) <= 1.5e6, page
        assert all(int(row[f"first_paint_ms_{width}"]) <= 600 for width in tool.WIDTHS), page
        assert all(float(row[f"layout_shift_{width}"]) <= 0.1 for width in tool.WIDTHS), (
            page
        )  # "good" in Chromium's own scale


# ---- the stylesheet
# --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "css, kept",
    [
        (".a{x:1}.b{y:2}", ".a{x:1}"),
        (".a .b{x:1}.b,.a{y:2}", ".a{y:2}"),
        ("p{x:1}#id{y:2}", "p{x:1}#id{y:2}"),
        ("@media print{.b{x:1}}@media screen{.a{x:1}.b{y:2}}", "@media screen{.a{x:1}}"),
        (
            "@font-face{src:url(b.woff)}@keyframes k{0%{x:1}to{y:2}}",
            "@font-face{src:url(b.woff)}@keyframes k{0%{x:1}to{y:2}}",
        ),
        (".a:not(.b){x:1}.b:not(.a){y:2}", ".a:not(.b){x:1}"),
        ('.a::before{content:"}.b{"}', '.a::before{content:"}.b{"}'),
        (".collapsing{x:1}.tooltip-inner{y:2}", ".collapsing{x:1}.tooltip-inner{y:2}"),
        ("/*! a licence */.b{x:1}/* a remark */.a{y:2}", "/*! a licence */.a{y:2}"),
        ('@charset "UTF-8";.a{x:1}', '@charset "UTF-8";.a{x:1}'),
        ('.a:is(.b,.c){x:1}.a[class*=".b"]{y:2}', '.a:is(.b,.c){x:1}.a[class*=".b"]{y:2}'),
    ],
)
def test_rules_for_what_the_site_does_not_have_are_left_out(css, kept):
    assert lean.pruned(css, {"a"}) == kept


def test_a_stylesheet_that_ends_too_early_is_an_error():
    with pytest.raises(ValueError, match="not closed"):
        lean.pruned("@font-face{src:url(x)", {"a"})
