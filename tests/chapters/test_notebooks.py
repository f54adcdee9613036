"""tools/book/notebooks.py: what makes stored outputs stable, and what it refuses to store."""

from __future__ import annotations

import copy
import json

import nbformat
import notebooks as tool
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sdelib.widgets.bundle import STORED

A, B, C, UNSEEN = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def view(model):
    return new_output(
        "display_data",
        data={tool.VIEW: {"model_id": model, "version_major": 2, "version_minor": 0}},
    )


def model(name, module="anywidget", **state):
    return {"model_name": name, "model_module": module, "model_module_version": "1", "state": state}


def notebook(*outputs, models=None):
    cells = [
        new_markdown_cell("# 1. Title"),
        new_code_cell("run()", outputs=list(outputs), execution_count=7),
    ]
    nb = new_notebook(cells=cells)
    if models:
        nb.metadata["widgets"] = {
            tool.STATE: {"version_major": 2, "version_minor": 0, "state": models}
        }
    return nb


def test_widget_ids_depend_on_the_name_and_the_order_only():
    def once(a, b, unseen):
        models = {
            unseen: model("LayoutModel"),
            b: model("LayoutModel"),
            a: model("AnyModel", layout=f"IPY_MODEL_{b}"),
        }
        return nbformat.writes(tool.tidy(notebook(view(a), models=models), "01"))

    assert once(A, B, UNSEEN) == once(C, A, B)
    assert A not in once(A, B, UNSEEN) and UNSEEN not in once(A, B, UNSEEN)
    assert len(tool.widget_models(nbformat.reads(once(A, B, C), as_version=4))) == 2


def test_progress_bars_are_dropped_and_other_widgets_stay():
    controls = "@jupyter-widgets/controls"
    models = {
        A: model("HBoxModel", controls, children=[f"IPY_MODEL_{B}"]),
        B: model("FloatProgressModel", controls),
        C: model("AnyModel"),
    }
    bar = stream(
        "training:  40%|####      | 4/10 [00:01<00:02,  3.1it/s]\rtraining: "
        "100%|##########| 10/10\n",
        "stderr",
    )
    nb = tool.tidy(notebook(view(A), bar, view(C), stream("loss 0.1\n"), models=models), "01")
    assert [o.get("text") for o in nb.cells[1].outputs] == [None, "loss 0.1\n"]
    assert [m["model_name"] for m in tool.widget_models(nb).values()] == ["AnyModel"]


def test_tidy_changes_nothing_the_second_time():
    nb = tool.tidy(notebook(stream("x\n"), view(A), models={A: model("AnyModel")}), "01")
    assert tool.tidy(copy.deepcopy(nb), "01") == nb
    assert nb.cells[1].execution_count == 1


def test_of_a_widget_its_picture_and_its_data_are_stored_and_no_code():
    code = dict(_esm="code", _css="style", layout=f"IPY_MODEL_{UNSEEN}")
    live, mixed = "sdelib.widgets.live.ExplorerWidget", "sdelib.widgets.mixture.MixtureWidget"
    models = {
        A: model("AnyModel", _anywidget_id=live, spec={"view": "field"}, frames="AAAA", **code),
        B: model("AnyModel", _anywidget_id=mixed, spec={"view": "mixture"}, **code),
        C: model("AnyModel", _anywidget_id="elsewhere.Other", _esm="its own"),
        UNSEEN: model("LayoutModel"),
    }
    shown = [view(A), view(B), view(C)]
    for output in shown[:2]:
        output.data["image/png"] = "iVBORw0K"
    nb = tool.tidy(notebook(*shown, models=models), "01")
    first, second, third = nb.cells[1].outputs
    assert first.data == second.data == {"image/png": "iVBORw0K"}
    assert first.metadata == {STORED: {"spec": {"view": "field"}, "frames": "AAAA"}}
    assert second.metadata == {STORED: {"spec": {"view": "mixture"}}}
    assert set(third.data) == {tool.VIEW} and not third.metadata
    assert [m["state"]["_esm"] for m in tool.widget_models(nb).values()] == ["its own"]
    assert tool.tidy(copy.deepcopy(nb), "01") == nb


@pytest.mark.parametrize(
    "output, words",
    [
        (stream("Warning: something\n", "stderr"), "writes to stderr"),
        (stream("saved to /home/me/book/x.npz\n"), "path of this machine"),
        (stream("<function f at 0x7f12ab34cd56>\n"), "address in memory"),
        (
            new_output("error", ename="ValueError", evalue="no", traceback=["no"]),
            "fails: ValueError: no",
        ),
    ],
)
def test_what_is_not_stored(output, words):
    (fault,) = tool.faults(notebook(output))
    assert words in fault and "cell 1 ('run()')" in fault


def test_what_may_be_stored():
    assert not tool.faults(
        notebook(stream("3.2 s, see https://example.org/home/me and a/home/b\n"))
    )


def test_a_cell_that_did_not_run_is_a_fault():
    nb = notebook()
    nb.cells[1].execution_count = None
    assert "did not run" in tool.faults(nb)[0]


@pytest.mark.parametrize(
    "text, kept", [("sampling took 3.4 s\n", True), ("sampling took 3.4 steps\n", False)]
)
def test_a_measured_time_alone_is_no_change(text, kept):
    before = tool.tidy(notebook(stream(text)), "01")
    after = tool.tidy(notebook(stream(text.replace("3.4", "3.9"))), "01")
    tool.keep_timings(after, before)
    assert (after.cells[1].outputs[0].text == text) == kept


def test_the_hash_sees_code_and_not_text():
    nb = notebook(stream("x\n"))
    first = tool.source_hash(nb)
    nb.cells[0].source = "# 1. Another title"
    assert tool.source_hash(nb) == first
    nb.cells[1].source += "  # and more"
    assert tool.source_hash(nb) != first


def test_outputs_are_not_stored_without_the_real_data(monkeypatch):
    monkeypatch.setenv("SDELIB_DATA", "fallback")
    with pytest.raises(tool.Refused, match="real Fashion-MNIST only"):
        tool.find_data()


def test_writing_is_skipped_when_nothing_changed(tmp_path):
    path = tmp_path / "01_x.ipynb"
    nb = tool.tidy(notebook(stream("x\n")), "01")
    assert tool.write(nb, path) and not tool.write(nb, path)
    assert json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"] == ["# 1. Title"]
    assert [p.name for p in tmp_path.iterdir()] == ["01_x.ipynb"]
