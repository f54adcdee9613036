"""The reference: every module on a page, every promised name with its entry, and links to it."""

from __future__ import annotations

import html
import re

import api
import pytest
from helpers import CHAPTERS, ROOT, SITE, missing

from sdelib.cli import COMMANDS

PAGES = sorted((ROOT / "book" / "api").glob("*.md"))


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    """Page of the reference → its HTML."""
    found = {p.stem: SITE / "book" / "api" / f"{p.stem}.html" for p in PAGES}
    if not all(page.is_file() for page in found.values()):
        missing("the site is not built: run `make book`")
    return {name: page.read_text(encoding="utf-8") for name, page in found.items()}


# ---- a docstring as it is set


@pytest.mark.parametrize(
    "line, made",
    [
        ("x_t = a*x + |dt|", r"x\_t = a\*x + \|dt\|"),
        ("see `solve`, `heun`", "see ``solve``\\ , ``heun``\\ "),
        ("1. no list", r"\1. no list"),
        ("- no list", r"\- no list"),
        (".. no:: directive", r"\.. no:: directive"),
        ("what follows::", r"what follows:\:"),
    ],
)
def test_no_mark_of_a_docstring_means_anything(line, made):
    assert api.escaped(line) == made


def test_a_block_stays_and_an_argument_begins_a_line():
    lines = ["Text.", "", "    a   b", "", "    c", "More", "x, y: (n, d).", "z: not given."]
    made = api.as_rst([*lines, "Raises ValueError."], {"x", "y"})
    block = [".. code-block:: text", "   :class: api-block", "", "       a   b", "", "       c", ""]
    assert block == made[made.index(block[0]) :][: len(block)]
    assert (
        made[made.index("x, y: (n, d).") - 1] == ""
        and made[made.index("Raises ValueError.") - 1] == ""
    )
    assert made[made.index("z: not given.") - 1] == "x, y: (n, d)."


def test_what_a_cell_imports_is_found():
    cell = "%pip x\nimport torch\nfrom sdelib import VE, solve as s\nimport sdelib.own.metrics as m"
    found = api.names_of(cell)
    assert {n: api.home(v) for n, v in found.items()} == {
        "VE": "sdelib.families.VE",
        "s": "sdelib.integration.solve",
        "m": "sdelib.own.metrics",
    }
    assert api.names_of("from sdelib import nothing\nx = (") == {}
    assert api.reach("sdelib._check") is None and api.reach("torch.nn") is None


# ---- the pages


def test_every_module_stands_on_one_page():
    pages = api.contents()
    commands = set(api.modules("cli"))  # they have a page of their own
    assert set(api.modules()) - commands == set(pages) and len(pages) > 50
    words = [w for p in PAGES for k, w in api.FENCE.findall(p.read_text(encoding="utf-8")) if w]
    named = [m for w in words for m in api.asked(w)]
    assert len(named) == len(set(named)), "a module stands on two pages"
    assert {p.stem for p in PAGES} == {"index", "commands", *(p[9:] for p in pages.values())}


def test_every_promised_name_has_an_entry(built):
    ids = {i for text in built.values() for i in re.findall(r'id="(sdelib\.[\w.]+)"', text)}
    wanted = {api.home(v): v for v in map(api.reach, api.listed()) if hasattr(v, "__qualname__")}
    said = {name for name, value in wanted.items() if (value.__doc__ or "").strip()}
    assert len(said) > 100
    assert {name for name in said if name.startswith("sdelib.")} - ids == set()


def test_the_table_leads_to_modules_and_chapters(built):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", built["index"], re.S)
    (row,) = [row for row in rows if 'href="solvers.html#api-integration"' in row]
    assert "../../chapters/08_solvers.html" in row
    assert len([row for row in rows if ".html#api-" in row]) == len(api.contents())


def test_the_help_of_every_command_is_there(built):
    for name in COMMANDS:
        assert f"python -m sdelib {name}" in built["commands"]


def test_no_page_has_an_address_in_memory(built):
    assert not [name for name, text in built.items() if re.search(r"at 0x[0-9a-f]{6,}", text)]


def test_code_and_text_of_the_chapters_lead_to_the_reference(built):
    ids = {i for text in built.values() for i in re.findall(r'id="([^"]+)"', text)}
    for path in CHAPTERS:
        text = (SITE / "chapters" / f"{path.stem}.html").read_text(encoding="utf-8")
        code = re.findall(r'<a class="api" href="\.\./book/api/\w+\.html#([^"]+)"', text)
        assert len(code) >= 5, path.stem
        assert {html.unescape(to) for to in code} <= ids
    notation = (SITE / "book" / "notation.html").read_text(encoding="utf-8")
    for to in ("scores.html#sdelib.langevin.langevin", "solvers.html#module-sdelib.grids"):
        assert f'href="api/{to}"' in notation, to
