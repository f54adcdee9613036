"""The book as one PDF: tags, language, title, outline, and links that lead somewhere."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pdf
import pytest
from helpers import CHAPTERS, ROOT, SITE, chromium, missing

PAGES = ["book/notation", "chapters/01_the_score_function", "chapters/03_langevin_dynamics"]
MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'


# ---- small things
# -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula, words",
    [
        ("<mi>x</mi><mo>=</mo><mo>−</mo><mn>2</mn>", "x = − 2"),
        ("<msub><mi>p</mi><mi>σ</mi></msub>", "p sub σ"),
        ("<msup><mi>x</mi><mn>2</mn></msup>", "x squared"),
        ("<msup><mi>e</mi><mrow><mo>−</mo><mi>t</mi></mrow></msup>", "e to the power (− t)"),
        ("<mfrac><mn>1</mn><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></mfrac>", "1 over (a + b)"),
        ("<msqrt><mi>T</mi></msqrt>", "the root of (T)"),
        ("<mover><mi>x</mi><mo>~</mo></mover>", "x tilde"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>",
            "∑ from (i = 1) to n",
        ),
        ("<msubsup><mi>x</mi><mi>t</mi><mn>2</mn></msubsup>", "x sub t squared"),
        (
            "<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr>"
            "<mtr><mtd><mi>c</mi></mtd></mtr></mtable>",
            "a, b; c",
        ),
        (
            "<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mo>=</mo><mi>b</mi></mtd></mtr></mtable>",
            "a = b",
        ),
        ("<mi>log</mi><mo>\u2061</mo><mi>p</mi>", "log p"),
        (
            "<munder><munder><mi>a</mi><mo>⏟</mo></munder><mtext>flow step</mtext></munder>",
            "a (that is: flow step)",
        ),
        ("<mi>f</mi><mo>\u2061</mo><mo>(</mo><mi>x</mi><mo>)</mo>", "f(x)"),
    ],
)
def test_a_formula_in_words(formula, words):
    found = pdf.in_words(ElementTree.fromstring(MATH.format(formula)))
    assert " ".join(found.split()) == words


@pytest.mark.parametrize(
    "text",
    [
        '<p class="a">x &lt; y &#8212; <em>z</em><br></p>',
        '<details open><summary>more</summary><img src="a.png" alt="&quot;"></details>',
        "<ul><li>one</li><li>two</li></ul>",
    ],
)
def test_a_tree_is_written_as_it_was_read(text):
    assert "".join(map(str, pdf.Tree(text).top.inside)) == text


def test_the_pages_of_a_pdf_are_counted_in_their_order():
    data = b"""%PDF-1.4
1 0 obj
<</Type /Catalog
/Pages 2 0 R
/Dests 6 0 R>>
endobj
2 0 obj
<</Type /Pages
/Kids [5 0 R 3 0 R]>>
endobj
3 0 obj
<</Type /Page>>
endobj
4 0 obj
<</Type /Page>>
endobj
5 0 obj
<</Type /Pages
/Kids [4 0 R]>>
endobj
6 0 obj
<</p1 [3 0 R /XYZ 0 1 0]
/a#2Db [4 0 R /XYZ 0 2 0]>>
endobj
"""
    assert pdf.sheets_of(data) == ({"p1": 2, "a-b": 1}, 2)


# ---- the joined page
# --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(the joined page as text, the PDF) of three pages; printing takes some seconds."""
    if not (SITE / "index.html").is_file():
        missing("the site is not built: run `make book`")
    out = tmp_path_factory.mktemp("pdf") / "part.pdf"

    def make() -> bytes:
        with chromium():  # skips, or fails, where there is none
            pass
        return pdf.make(out, PAGES)

    # In a thread of its own: this one may have a browser open, and Playwright allows one a thread.
    with ThreadPoolExecutor(1) as own:
        data = own.submit(make).result()
    return (out.parent / "book.html").read_text(encoding="utf-8"), data


def test_all_pages_but_the_list_of_ticks_are_in_it_in_the_order_of_the_contents():
    docs = [doc for _, docs in pdf.contents() for doc in docs]
    assert docs[0] == "book/intro" and docs[-1] == "book/third_party"
    chapters = [doc for doc in docs if doc.startswith("chapters/")]
    assert chapters == sorted(f"chapters/{path.stem}" for path in CHAPTERS)
    assert "book/progress" not in docs


@pytest.mark.browser
def test_ids_are_unique_and_links_lead_to_them(made):
    page = pdf.Tree(made[0]).top
    ids = [e.attrs["id"] for e in page.all() if e.attrs.get("id")]
    assert len(ids) == len(set(ids)) > 40
    links = [e.attrs["href"] for e in page.all() if e.tag == "a" and e.attrs.get("href")]
    inside = [href[1:] for href in links if href.startswith("#")]
    assert len(inside) > 40 and set(inside) <= set(ids)
    assert all(re.match(r"https?:|mailto:", href) for href in links if not href.startswith("#"))
    assert "p1-ex-3-1" in ids and "p1-hint-3.1" in inside and "p1-sol-3.1" in inside
    pointing = [i for e in page.all() for n in pdf.POINTING for i in (e.attrs.get(n) or "").split()]
    assert set(pointing) <= set(ids)


@pytest.mark.browser
def test_nothing_is_left_that_waits_for_a_click(made):
    page = pdf.Tree(made[0]).top
    left = {e.tag for e in page.all()} & pdf.GONE
    assert not left
    assert not [e for e in page.all() if e.tag == "img" and "loading" in e.attrs]
    assert all("open" in e.attrs for e in page.all() if e.tag == "details")
    words = page.text()
    assert "is open. " not in words and "answer = ..." not in words
    order = [words.index(w) for w in ("Contents", "1. The score", "Exercise (3.1", "Solution to")]
    assert order == sorted(order)
    widgets = [e for e in page.all() if "pdf-widget" in e.classes]
    assert widgets and all(e.find(lambda f: f.tag == "img").attrs["alt"] for e in widgets)


@pytest.mark.browser
def test_the_pdf_has_tags_language_title_outline_and_numbers(made, say):
    page, data = made
    assert data.startswith(b"%PDF-") and len(data) > 100_000
    catalogue = next(o for o in pdf.objects(data).values() if b"/Type /Catalog" in o)
    assert b"/StructTreeRoot" in catalogue and b"/Marked true" in catalogue
    assert b"/Lang (en)" in catalogue and b"/Outlines" in catalogue
    assert b"/DisplayDocTitle true" in catalogue
    assert b"/Title (Score-based generative modelling)" in data
    kinds = set(re.findall(rb"/S /(\w+)", data))
    assert {
        b"Document",
        b"H1",
        b"H2",
        b"H3",
        b"P",
        b"L",
        b"LI",
        b"Table",
        b"TH",
        b"Figure",
        b"Link",
    } <= kinds
    alts = data.count(b"/Alt (") + data.count(b"/Alt <")
    formulas = page.count('role="img"') - page.count('class="for-phones"')  # which paper lacks
    pictures = len(re.findall(r'<img (?![^>]*alt="")', page))  # a panel after the first is silent
    assert formulas > 50 and alts == formulas + pictures
    outline = re.findall(rb"/Title \((.*?)\)\n/Dest", data)
    assert {b"Contents", b"Part I: Scores", b"Hints", b"Solutions"} <= set(outline)
    places, sheets = pdf.sheets_of(data)
    numbers = [places[id] for id in ("p0", "p1", "part-1", "p2", "hints", "solutions")]
    assert numbers == sorted(numbers) and numbers[0] > 2 and numbers[-1] <= sheets
    say(f"{len(PAGES)} pages of the site: {sheets} of paper, {len(data) / 1e6:.1f} MB")


def test_make_knows_it():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\npdf: $(SITE)\n" in text and "'make pdf " in text
