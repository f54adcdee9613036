"""Every chapter, and the first page: it is built like the others, and its outputs are those of its
code.  That it runs: test_colab.py, and nbval."""

from __future__ import annotations

import re
import textwrap

import nbformat
import notebooks as tool
import yaml
from helpers import CHAPTERS, PAGES, ROOT, chapters, code, pages, read

from sdelib.widgets.bundle import STORED

TAGS = tool.FOLDED


# ---------------------------------------------------------------- how it is built


def test_the_table_of_contents_lists_every_chapter():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = {entry["file"] for part in toc["parts"] for entry in part["chapters"]}
    assert {f"chapters/{path.stem}" for path in CHAPTERS} == {
        file for file in listed if file.startswith("chapters/")
    }


@chapters
def test_the_number_in_the_title_is_that_of_the_file(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith(f"# {int(path.name[:2])}. ")


@pages
def test_code_cells_are_short(path):
    long = {
        k: n
        for k, cell in enumerate(read(path).cells)
        if cell.cell_type == "code" and (n := len(cell.source.splitlines())) > 20
    }
    assert not long, f"cells of more than 20 lines (cell: lines): {long}"


@pages
def test_lines_of_code_fit_the_page(path):
    """88 characters stand beside both sidebars; the set-up cell names an address."""
    long = {
        k: lines
        for k, cell in enumerate(read(path).cells)
        if cell.cell_type == "code" and "setup" not in tool.tags(cell)
        if (lines := [line for line in cell.source.splitlines() if len(line) > 88])
    }
    assert not long


@chapters
def test_every_picture_has_words_of_its_own(path):
    """A figure's cell has a caption that begins with the finding, a name, and an alternative text;
    pictures of widgets have theirs as arguments."""
    inside = False
    for k, cell in enumerate(read(path).cells):
        if cell.cell_type == "markdown":
            for fence in re.findall(r"```\{solution-(start|end)\}", cell.source):
                inside = fence == "start"
            continue
        plain = [
            o for o in cell.outputs if "image/png" in o.get("data", {}) and STORED not in o.metadata
        ]
        if not plain or inside:
            continue
        words = cell.metadata.get("mystnb", {})
        caption = words.get("figure", {}).get("caption", "")
        assert re.match(r"\*\*.+?[.?!]\*\*", caption, re.S), f"cell {k}: {caption!r}"
        assert words["figure"]["name"].startswith(f"fig-{path.name[:2]}-"), k
        assert len(words.get("image", {}).get("alt", "")) > 60, k
        assert len(plain) == 1, f"cell {k} has {len(plain)} pictures"


@pages
def test_only_the_agreed_tags(path):
    used = {tag for cell in read(path).cells for tag in tool.tags(cell)}
    assert not {tag for tag in used if tag not in TAGS and not tag.startswith("nbval-")}
    hidden = [
        k
        for k, cell in enumerate(read(path).cells)
        if cell.cell_type == "markdown" and tool.tags(cell)
    ]
    assert not hidden, f"text and formulas are never hidden: cells {hidden}"


@chapters
def test_one_setup_cell_with_the_one_address_and_one_parameters_cell(path):
    nb = read(path)
    setup = [cell.source.strip() for cell in code(nb) if "setup" in tool.tags(cell)]
    assert setup == [tool.setup_source()], (
        "copy it from chapters/README.md, or run `python tools/book/notebooks.py address`"
    )
    parameters = [cell.source for cell in code(nb) if "parameters" in tool.tags(cell)]
    assert len(parameters) == 1 and re.search(r"^SMOKE = False\b", parameters[0], re.M)


def test_the_setup_cell_stands_in_the_readme():
    assert textwrap.indent(tool.setup_source(), "   ") in (
        ROOT / "chapters" / "README.md"
    ).read_text(encoding="utf-8")


def test_every_public_address_is_the_one_in_the_configuration():
    repository = tool.address().removeprefix("https://github.com/")
    owner = repository.split("/")[0]
    for path in [*PAGES, ROOT / "README.md", ROOT / "chapters" / "README.md"]:
        found = set(re.findall(rf"github\.com/({owner}/[\w.-]+)", path.read_text(encoding="utf-8")))
        assert {name.rstrip(".").removesuffix(".git") for name in found} <= {repository}, path.name
    assert f"git clone {tool.address()}" in (ROOT / "README.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------- what is stored


@pages
def test_outputs_are_those_of_the_code(path):
    nb = read(path)
    stored = nb.metadata.get("sdelib", {}).get("source_sha256")
    assert stored, (
        f"{path.name} was never refreshed: make refresh "
        f"CHAPTER={path.name[:2] if path in CHAPTERS else 'intro'}"
    )
    assert stored == tool.source_hash(nb), (
        f"the code of {path.name} changed after its outputs were stored: make refresh"
    )
    assert not tool.faults(nb)
    if path in CHAPTERS:
        assert sum(bool(cell.outputs) for cell in code(nb)) >= 3


@pages
def test_what_is_stored_is_tidy_and_small(path):
    nb = read(path)
    assert nbformat.writes(tool.tidy(read(path), path.stem)) == nbformat.writes(nb), (
        "python tools/book/notebooks.py tidy"
    )
    assert path.stat().st_size <= 2e6, f"{path.name} has {path.stat().st_size / 1e6:.1f} MB"
