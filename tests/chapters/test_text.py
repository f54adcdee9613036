"""The chapters as text: the sources and tags of the notebook, and what changes when it does."""

from __future__ import annotations

import difflib

import jupytext
import nbformat
import notebooks
import pytest
import text as texts

PATHS = notebooks.notebooks()


def cells(nb) -> list[tuple]:
    """What a reviewer reads; that a program folds a tagged cell follows from its tags."""

    def said(cell) -> dict:
        return {k: v for k, v in cell.metadata.items() if k not in ("jupyter", "cellView")}

    return [(cell.cell_type, cell.source, said(cell)) for cell in nb.cells]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_text_says_all_that_its_notebook_says(path):
    nb = nbformat.read(path, as_version=4)
    written = texts.text(nb)
    assert cells(jupytext.reads(written, fmt=texts.FORMAT)) == cells(nb)
    assert "jupytext" not in written and "outputs" not in written.partition("\n# ")[0]


def test_every_text_is_that_of_its_notebook():
    assert not texts.stale(PATHS), "run `python tools/book/text.py write`"
    assert not texts.orphans()


def test_a_changed_sentence_is_a_line_of_text():
    nb = nbformat.read(PATHS[1], as_version=4)
    text = [k for k, c in enumerate(nb.cells) if c.cell_type == "markdown"]
    cell = nb.cells[next(k for k in text if k > 3 and k + 1 not in text)]
    before = texts.text(nb)
    cell.source += "\n\nOne more sentence."
    changed = list(difflib.ndiff(before.splitlines(), texts.text(nb).splitlines()))
    assert sorted(line for line in changed if line[0] in "+-") == ["+ ", "+ One more sentence."]


def test_a_text_of_another_hand_is_seen_and_undone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(texts, "FOLDER", tmp_path)
    monkeypatch.setattr(texts.tool, "ROOT", tmp_path)
    monkeypatch.setattr(texts.tool, "notebooks", lambda names=None: PATHS[:2])

    def main(what: str) -> int:
        monkeypatch.setattr("sys.argv", ["text.py", what])
        return texts.main()

    assert main("write") == 0 and main("check") == 0
    file = tmp_path / f"{PATHS[1].stem}.md"
    written = file.read_text(encoding="utf-8")
    file.write_text(written + "Mine.\n", encoding="utf-8")
    (tmp_path / "16_gone.md").write_text("x", encoding="utf-8")
    capsys.readouterr()
    assert main("check") == 1
    said = capsys.readouterr().out
    assert file.name in said and "16_gone.md" in said and "intro.md" not in said
    assert main("write") == 0 and file.read_text(encoding="utf-8") == written
    assert {f.name for f in tmp_path.iterdir()} == {f"{path.stem}.md" for path in PATHS[:2]}
