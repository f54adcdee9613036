"""tools/book/sweep.py, moved.py and students.py: the laboratory, the numbers that moved, and the
students' copies."""

from __future__ import annotations

import ast
import csv
import json
import re
import subprocess

import moved
import nbformat
import notebooks as tool
import papermill
import pytest
import students
import sweep
from helpers import CHAPTERS, code, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

# ---------------------------------------------------------------- a sweep


def tiny(
    path,
    found="print(f'The mean is {2.5 * SEED} of {SEED + 1} draws')\nassert SEED < 2, 'two "
    "is too many'",
):
    """A notebook that takes no time, with the cells that a chapter has."""
    parameters = new_code_cell("SEED = 0\nSMOKE = False", metadata={"tags": ["parameters"]})
    nb = new_notebook(
        cells=[parameters, new_markdown_cell("## What you found"), new_code_cell(found)]
    )
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(nb, path)
    return str(path)


def rows(folder) -> list[dict]:
    with (folder / "table.csv").open(encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_a_sweep_makes_a_table_and_goes_on_where_it_stopped(tmp_path, capsys):
    chapter, out = tiny(tmp_path / "tiny.ipynb"), tmp_path / "out"
    assert sweep.main([chapter, "--set", "SEED=1", "--out", str(out)]) == 0
    (row,) = rows(out)
    assert (row["SEED"], row["The mean is"], row["The mean is # of"], row["failed"]) == (
        "1",
        "2.5",
        "2.0",
        "",
    )
    assert float(row["seconds"]) > 0
    assert sorted(p.name for p in out.iterdir()) == ["table.csv", "tiny-SEED=1.ipynb"]

    capsys.readouterr()
    assert sweep.main([chapter, "--set", "SEED=1,2", "--out", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" s ")[2] for line in said[:2]] == [
        "there already",
        "AssertionError: two is too many",
    ]
    assert [(r["The mean is"], r["failed"][:14]) for r in rows(out)] == [
        ("2.5", ""),
        ("", "AssertionError"),
    ]
    assert (out / "tiny-SEED=2.failed.ipynb").is_file() and not (out / "tiny-SEED=2.ipynb").exists()

    tiny(
        tmp_path / "tiny.ipynb", "print(f'The mean is {3 * SEED}')"
    )  # other code: what is there does not count
    assert sweep.main([chapter, "--set", "SEED=1", "--out", str(out)]) == 0
    assert [r["The mean is"] for r in rows(out)] == ["3.0"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--set", "SED=1"], "the chapter has no parameter 'SED'; it has SEED, SMOKE"),
        (["--set", "SEED=many"], "give values of SEED"),
        (["--set", "SEED"], "give values of SEED"),
    ],
)
def test_a_sweep_names_what_it_does_not_know(options, words, tmp_path, capsys):
    assert (
        sweep.main([tiny(tmp_path / "tiny.ipynb"), *options, "--out", str(tmp_path / "out")]) == 2
    )
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_every_chapter_can_be_swept():
    for path in CHAPTERS:
        assert {"SEED", "SMOKE"} <= set(papermill.inspect_notebook(str(path))), path.name
        assert len(sweep.found(read(path))) >= 5, path.name


# ---------------------------------------------------------------- what moved


@pytest.mark.parametrize(
    "text, found",
    [
        ("F = 3.6, and 1,001 of 2 images", {"F =": 3.6, "F = # and": 1001, "= # and # of": 2}),
        ("off by −0.5 and 7e-15\nx1 at 10", {"off by": -0.5, "off by # and": 7e-15, "x1 at": 10}),
        ("1 2", {"number": 1, "#": 2}),
    ],
)
def test_numbers_have_the_names_of_the_words_before_them(text, found):
    assert {name: float(v) for name, v in moved.numbers(text).items()} == found


@pytest.mark.parametrize(
    "old, new, differ",
    [
        ("1.00", "1.01", False),
        ("1.00", "1.04", True),  # 2 % and one unit of the last place: 0.0302 here
        ("1,000", "1,021", False),
        ("1,000", "1,040", True),
        ("-3", "3", True),
        ("2e-05", "9e-05", True),
        ("0", "1", False),
    ],
)
def test_a_number_moves_by_more_than_the_tolerance_and_its_last_place(old, new, differ):
    assert moved.differs(old, new, 0.02) == differ


def page(text, source="f()", name="stdout"):
    return new_notebook(
        cells=[new_code_cell(source, outputs=[new_output("stream", name=name, text=text)])]
    )


def test_what_moved_is_told_and_what_did_not_is_not(tmp_path, capsys):
    old, new = page("F is 2.00 after 3.2 s\n"), page("F is 2.50 after 9.9 s\n")
    assert moved.moved(old, new) == ["cell 0 ('f()'): F is: 2.00 → 2.50"]
    assert moved.moved(old, old) == [] and moved.moved(old, new, tolerance=0.3) == []
    assert moved.moved(old, page("F is 2.50\n", source="g()")) == []  # other code has other numbers
    assert "other words" in moved.moved(old, page("G is 2.00\n"))[0]
    for name, nb in (("old", old), ("new", new)):
        nbformat.write(nb, tmp_path / f"{name}.ipynb")
    assert moved.main([str(tmp_path / "old.ipynb"), str(tmp_path / "new.ipynb")]) == 1
    assert capsys.readouterr().out == "new.ipynb: cell 0 ('f()'): F is: 2.00 → 2.50\n"
    assert moved.main([str(tmp_path / "old.ipynb")] * 2) == 0


def test_a_notebook_is_compared_with_a_commit(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    nbformat.write(page("F is 2.00\n"), tmp_path / "01_x.ipynb")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    nbformat.write(page("F is 3.00\n"), tmp_path / "01_x.ipynb")
    assert moved.main(["--since", "HEAD", str(tmp_path / "01_x.ipynb")]) == 1
    assert "F is: 2.00 → 3.00" in capsys.readouterr().out
    assert moved.main(["--since", "nothing", str(tmp_path / "01_x.ipynb")]) == 2


# ---------------------------------------------------------------- the students' copies


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("students")
    students.main(["--out", str(folder)])
    return folder


def split(nb) -> tuple[str, str]:
    """(what stands outside solutions, what stands inside) of a chapter, as text; found by the
    fences alone."""
    whole = "\n".join(cell.source for cell in nb.cells)
    inside = re.findall(r"```\{solution-start\}[^`]*```(.*?)```\{solution-end\}", whole, re.S)
    return re.sub(r"```\{solution-start\}.*?```\{solution-end\}", "", whole, flags=re.S), "\n".join(
        inside
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_copy_has_no_solution(path, copies):
    chapter, copy = read(path), read(copies / path.name)
    outside, inside = split(chapter)
    written = "\n".join(cell.source for cell in copy.cells)
    said = json.dumps([cell.outputs for cell in code(copy)], ensure_ascii=False)
    lines = [
        line.strip()
        for line in inside.splitlines()
        if len(line.strip()) > 12 and line.strip() not in outside
    ]
    assert len(lines) >= 3, "solutions were not found, so this test shows nothing"
    assert not [line for line in lines if line in written]
    assert "{solution" not in written and "{exercise" not in written and ": right." not in said
    exercises = set(re.findall(r"exercise-start\} (\S+)", outside))
    given = [
        node.args
        for cell in code(copy)
        if "check(" in cell.source
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"
    ]
    assert exercises and {name.value for name, _ in given} == exercises
    assert all(isinstance(answer, ast.Name) and answer.id == "answer" for _, answer in given)
    assert all(
        f'check("{name}"' in written and f"### Exercise {name} " in written for name in exercises
    )
    assert sum(cell.source.startswith("answer = ...") for cell in code(copy)) == len(exercises)
    nbformat.validate(copy)
    # All else is there, as it was.
    kept = [cell.source for cell in code(chapter) if cell.source.strip() not in inside]
    assert [cell.source for cell in code(copy)] == kept


def names(cells, kind) -> set[str]:
    """The names that cells set (ast.Store) or read (ast.Load); IPython's own lines are left out."""
    trees = [ast.parse(re.sub(r"^(\s*)%.*$", r"\1pass", cell.source, flags=re.M)) for cell in cells]
    found = {
        node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, kind)
    }
    if kind is ast.Store:
        found |= {
            node.name
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
        found |= {
            (a.asname or a.name).split(".")[0]
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for a in node.names
        }
        found |= {
            arg.arg
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.arguments)
            for arg in [*node.args, *node.kwonlyargs, *node.posonlyargs]
        }
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_copy_needs_nothing_that_a_solution_made(path, copies):
    chapter, copy = read(path), read(copies / path.name)
    kept = {cell.source for cell in code(copy)}
    solutions = [cell for cell in code(chapter) if cell.source not in kept]
    assert not names(solutions, ast.Store) - names(code(copy), ast.Store) & names(
        code(copy), ast.Load
    ) - names(code(copy), ast.Store)


def test_the_copies_say_where_the_data_come_from(copies):
    text = (copies / "README.md").read_text(encoding="utf-8")
    assert "SDELIB_DATA" in text and tool.address() in text
    assert all(path.name in text for path in CHAPTERS)


def test_old_copies_go_but_a_folder_of_something_else_stays(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    assert students.main(["--out", str(tmp_path)]) == 1 and "mine.txt" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_copy_runs_and_can_be_swept(copies, tmp_path):
    """The cheapest chapter with smoke parameters and another seed: every exercise is open, and the
    table has the numbers of the chapter."""
    (chapter,) = tool.notebooks(["06"])
    assert (
        sweep.main(
            [
                str(copies / chapter.name),
                "--set",
                "SEED=3",
                "--set",
                "SMOKE=True",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    (row,), (done,) = rows(tmp_path), tmp_path.glob("06*.ipynb")
    assert set(sweep.found(read(chapter))) <= set(row) and row["SEED"] == "3"
    answers = [cell for cell in code(read(done)) if cell.source.startswith("answer = ...")]
    assert answers and all("is open" in cell.outputs[0].text for cell in answers)
