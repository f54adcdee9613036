"""The explorer: its frames, its messages, its page without a kernel, and its life with one."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import textwrap
import time

import notebooks
import numpy as np
import pytest
import torch
from helpers import (
    HOWS,
    ROOT,
    SECONDS,
    STATE,
    VIEW,
    complaints,
    drive,
    fault,
    look,
    move,
    served,
    widget_page,
    widgets,
)

from sdelib.widgets import BUDGET, Explorer, Paint, Slider, Switch, Table, bake
from sdelib.widgets.frames import LEVELS, decode, encode, field, images, particles

EXTENT = (-2.0, 3.0, -1.0, 1.0)
rng = np.random.default_rng(0)


# ---- frames
# ----------------------------------------------------------------------------------------


def again(frame):
    """The frame after a journey to the page."""
    (out,) = decode(encode([frame]))
    assert out.meta == frame.meta and out.view == frame.view
    return out


@pytest.mark.parametrize("low", [0.0, -0.7])
def test_density_is_off_by_half_a_quantum_at_most(low):
    p = rng.uniform(low, 2.0, (7, 11))
    quantum = (2.0 - (0 if low == 0 else -2.0)) / 255  # a signed density spans −max … max
    assert np.abs(
        again(field(density=p, extent=EXTENT)).values("density") - p
    ).max() <= quantum / 2 * (1 + 1e-9)


def test_arrows_are_off_by_half_a_quantum_of_the_drawn_length_at_most():
    v = rng.normal(size=(5, 6, 2)) * 10.0 ** rng.uniform(-3, 3, (5, 6, 1))
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    drawn = v / norm * np.sqrt(norm / norm.max())  # in [−1, 1], kept to 1/127
    frame = again(field(arrows=v, extent=EXTENT))
    assert np.abs(frame.arrays["arrows"] / 127 - drawn).max() <= 0.5 / 127 * (1 + 1e-9)
    assert frame.meta["longest"] == pytest.approx(norm.max())
    # back in its own units v = longest·u|u|, a map whose slope is 2|u| at most: error ≤
    # longest·(2|u|·e + e²), e = √2/254
    e = np.sqrt(2) / 254
    bound = norm.max() * (2 * np.sqrt(norm / norm.max()) * e + e**2)
    assert (
        np.linalg.norm(frame.values("arrows") - v, axis=-1, keepdims=True) <= bound * (1 + 1e-9)
    ).all()


def test_paths_and_points_are_off_by_half_a_quantum_at_most_even_outside_the_extent():
    x = np.cumsum(rng.normal(size=(9, 13, 2)), 0)
    quantum = np.array([5.0, 2.0]) / LEVELS
    assert (
        np.abs(again(particles(x, extent=EXTENT)).values("paths") - x) <= quantum / 2 * (1 + 1e-9)
    ).all()
    assert (
        np.abs(again(field(points=x[0], extent=EXTENT)).values("points") - x[0])
        <= quantum / 2 * (1 + 1e-9)
    ).all()


def test_positions_far_outside_stay_outside_on_their_side():
    far = again(field(points=[[1e9, 0], [-1e9, 0]], extent=EXTENT)).values("points")
    assert far[0, 0] > 3 + 6 * 5 and far[1, 0] < -2 - 6 * 5


def test_pixels_are_off_by_half_a_grey_level_at_most():
    p = rng.uniform(size=(5, 1, 4, 3))
    frame = again(images(p))
    assert np.abs(frame.values("pixels") - p[:, 0]).max() <= 0.5 / 255 * (1 + 1e-9)
    assert frame.meta["columns"] == 3


def test_tensors_that_need_gradients_are_taken():
    assert images(torch.full((1, 2, 2), 0.5, requires_grad=True)).arrays["pixels"].tolist() == [
        [[128, 128], [128, 128]]
    ]


def test_one_coordinate_over_time_is_recognised():
    t = np.linspace(0, 1, 5)[:, None].repeat(3, 1)
    over_time = particles(np.stack([t, rng.normal(size=(5, 3))], -1), extent=EXTENT)
    assert over_time.meta["timelike"] and over_time.meta["axes"] == ["t", "x"]
    assert not particles(rng.normal(size=(5, 3, 2)), extent=EXTENT).meta["timelike"]


def test_encoding_is_the_same_each_time_and_stores_equal_arrays_once():
    frames = [
        particles(rng.normal(size=(3, 4, 2)), extent=EXTENT, density=np.eye(4), note="ü")
        for _ in range(3)
    ]
    assert encode(frames) == encode(decode(encode(frames)))
    noise = rng.uniform(size=(40, 16, 16))
    assert len(encode([images(noise)] * 9)) < 1.1 * len(encode([images(noise)]))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: field(density=np.ones(3), extent=EXTENT), "density has shape"),
        (
            lambda: field(density=[[1.0, np.nan]], extent=EXTENT),
            "density has 1 values that are not finite",
        ),
        (lambda: field(arrows=np.ones((3, 3)), extent=EXTENT), "arrows has shape"),
        (lambda: field(points=np.ones((3, 3)), extent=EXTENT), "points has shape"),
        (lambda: field(points=["a"], extent=EXTENT), "points is not an array"),
        (lambda: field(density=np.ones((2, 2))), "extent = None: give"),
        (lambda: field(density=np.ones((2, 2)), extent=(1, 0, 0, 1)), "x0 < x1"),
        (lambda: field(extent=EXTENT), "at least one"),
        (lambda: particles(np.ones((2, 3)), extent=EXTENT), "paths has shape"),
        (lambda: particles(np.full((2, 3, 2), np.inf), extent=EXTENT), "paths has 12 values"),
        (lambda: particles(np.ones((2, 3, 2)), extent=EXTENT, groups=[0, 1]), "groups has shape"),
        (
            lambda: particles(np.ones((2, 3, 2)), extent=EXTENT, groups=[0, 1, 7]),
            "groups has values",
        ),
        (
            lambda: particles(
                np.ones((2, 3, 2)), extent=EXTENT, groups=[0, 1, 2], labels=["a", "b"]
            ),
            "labels has 2",
        ),
        (lambda: particles(np.ones((2, 3, 2)), extent=EXTENT, times=[0.0]), "times has shape"),
        (lambda: images(np.ones((2, 3))), "pixels has shape"),
        (lambda: images(np.full((1, 2, 2), 1.5)), r"clip them first"),
        (lambda: images(np.full((1, 2, 2), -0.01)), r"pixels has values from -0.01"),
        (lambda: images(np.ones((4, 2, 2)), columns=5), "columns = 5"),
    ],
)
def test_a_wrong_frame_names_the_argument(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# ---- controls and tables
# ---------------------------------------------------------------------------

STD = Slider("std", "noise σ", [0.5, 1.0, 2.0], log=True, start=1.0)
WHO = Switch("who", "law", {"one": 1, "two": 2})


def bump(std, who=1):
    x = torch.linspace(-3, 3, 24)
    p = torch.exp(-((x[:, None] - (who - 1.5)) ** 2 + x**2) / (2 * std**2))
    v = torch.stack(torch.meshgrid(-x[::3], -x[::3], indexing="xy"), -1)
    return field(density=p, arrows=v / std, extent=(-3, 3, -3, 3), note=f"std {std:g}, law {who}")


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Slider("a b", "x", [0, 1]), "name = 'a b'"),
        (lambda: Slider("a", "", [0, 1]), "label of a is empty"),
        (lambda: Slider("a", "x", [1]), "at least two"),
        (lambda: Slider("a", "x", [1, 1]), "ascending"),
        (lambda: Slider("a", "x", [0, np.inf]), "finite"),
        (lambda: Slider("a", "x", "ab"), "give numbers"),
        (lambda: Slider("a", "x", [0, 1.5], integer=True), "whole numbers"),
        (lambda: Slider("a", "x", [0, 1], log=True), "above 0"),
        (lambda: Slider("a", "x", [0, 1], start=0.5), "start of a = 0.5"),
        (lambda: Slider("a", "x", [0, 1], play="left"), "play of a = 'left'"),
        (lambda: Switch("a", "x", "ab"), "options of a"),
        (lambda: Switch("a", "x", ["u"]), "at least two"),
        (lambda: Switch("a", "x", ["u", "u"]), "different"),
        (lambda: Switch("a", "x", ["u", "v"], start="w"), "start of a = 'w'"),
        (lambda: bake([], bump), "controls is empty"),
        (lambda: bake([STD, STD], bump), "two of one name"),
        (lambda: Paint("a", "x", 8, 8, blocks=(3, 3)), "give 2 to 6 of them"),
        (lambda: Paint("a", "x", 8, 8, blocks=(1, 1)), "give 2 to 6 of them"),
        (lambda: Paint("a", "x", 2, 8, blocks=(3, 2)), r"from 1 to \(rows, columns\) = \(2, 8\)"),
        (lambda: Paint("a", "x", 8, 8, blocks=(2, 2), start="10"), "give 4 of 0 and 1"),
        (lambda: Paint("a", "x", 8, 8, blocks=(2, 2), picture=[[2.0]]), "picture of a"),
        (lambda: bake([1], bump), "Slider, Switch and Paint"),
        (lambda: bake([STD], lambda std: 3), "compute returned int"),
        (
            lambda: bake([STD], lambda std: images(np.ones((1, 2, 2))) if std < 1 else bump(std)),
            "different views",
        ),
    ],
)
def test_wrong_controls_name_the_argument(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_noise_plays_towards_the_data_unless_told_otherwise():
    way = lambda label, **more: Slider("a", label, [0, 1], **more).spec()["play"]
    assert way("noise σ") == way("Noise left σ") == way("time t", play="down") == "down"
    assert way("steps") == way("noise σ", play="up") == "up"
    table = bake([STD], bump)
    assert (
        "once" not in Explorer([STD], table).spec and Explorer([STD], table, once=True).spec["once"]
    )


def test_bake_calls_compute_for_every_combination_the_last_control_fastest():
    calls = []
    table = bake(
        [Slider("n", "n", [1, 2, 4], integer=True), WHO],
        lambda n, who: calls.append((n, who)) or bump(n, who),
    )
    assert calls == [(n, w) for n in (1, 2, 4) for w in (1, 2)]
    assert all(type(n) is int for n, _ in calls)
    assert [f.meta["note"] for f in table.frames][:3] == [
        "std 1, law 1",
        "std 1, law 2",
        "std 2, law 1",
    ]
    assert bake([STD], bump).encoded == bake([STD], bump, progress=True).encoded


def test_what_compute_raises_passes_through_bake():
    with pytest.raises(ZeroDivisionError):
        bake([STD], lambda std: 1 / 0)


def test_a_table_over_the_budget_says_its_size_and_what_to_reduce():
    def noise(std):  # three incompressible frames of 400 kB, times 4/3 in base64
        return images(rng.uniform(size=(1, 400, 1000)))

    with pytest.raises(
        ValueError,
        match=r"takes 1\.60 MB and a page has room for 1\.5 MB: 3 frames \(3 std\) of 533\.\d kB "
        r"\(pixels \(1, 400, 1000\)\)\. Reduce the stored values of a control to 94%",
    ):
        bake([STD], noise)
    assert BUDGET == 1_500_000


@pytest.mark.fault
def test_a_table_survives_its_file_and_a_damaged_file_is_named(tmp_path):
    table = bake([STD, WHO], bump)
    path = table.save(tmp_path / "deep" / "bump.table")
    assert Table.load(path).encoded == table.encoded and Table.load(path).axes == table.axes
    assert [p.name for p in path.parent.iterdir()] == ["bump.table"]  # nothing temporary is left
    first = path.read_bytes()
    assert table.save(path).read_bytes() == first
    path.write_bytes(first[: len(first) // 2])
    with pytest.raises(ValueError, match="bump.table is no table"):
        Table.load(path)
    with pytest.raises(FileNotFoundError):
        Table.load(tmp_path / "none")


def test_a_table_must_fit_the_controls():
    table = bake([STD], bump)
    for wrong in (
        [Slider("std", "σ", [0.5, 1.0])],
        [Slider("sd", "σ", [0.5, 1.0, 2.0])],
        [STD, WHO],
    ):
        with pytest.raises(ValueError, match="table was baked for"):
            Explorer(wrong, table)
    with pytest.raises(ValueError, match="table is a list"):
        Explorer([STD], [])
    with pytest.raises(ValueError, match="cannot be called"):
        Explorer([STD], table, 3)
    with pytest.raises(ValueError, match="3, but .* has 2 combinations"):
        Table({"std": [1, 2]}, table.frames)


def test_the_package_loads_without_anywidget():
    code = (
        "import sys; sys.modules['anywidget'] = None; from sdelib.widgets import *; "
        "c = [Slider('a', 'a', [0, 1])]; t = bake(c, lambda a: images([[[a]]])); Explorer(c, t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "ImportError: the explorer needs anywidget" in done.stderr


def test_painted_cells_come_as_a_mask_and_blocks_share_the_grid():
    control = Paint("hidden", "hide", 5, 7, blocks=(2, 3), start="100001")
    assert (
        len(control.keys) == len(set(control.keys)) == 64
        and control.keys[0] == "0" * 35
        and control.keys[-1] == "1" * 35
    )
    parts = [control.resolve(control.cells("0" * k + "1" + "0" * (5 - k))) for k in range(6)]
    assert (sum(part.astype(int) for part in parts) == 1).all(), "each cell is in one block"
    assert (control.resolve(control.start) == (parts[0] | parts[5])).all()
    for wrong in ("01", 3, "2" * 35, None):
        with pytest.raises(ValueError, match="give 35 of 0 and 1"):
            control.resolve(wrong)
    table = bake([control], lambda hidden: images(hidden[None].astype(float)))
    for key in control.keys:
        assert (table.frame(hidden=key).values("pixels")[0] == control.resolve(key)).all()


# ---- messages
# --------------------------------------------------------------------------------------


class Heard(list):
    """An explorer's answers, caught where they would leave for the page."""

    def __init__(self, explorer):
        explorer.send = lambda content, buffers=None: self.append(content)
        self.explorer = explorer

    def ask(self, values, id="x:1"):
        self.clear()
        self.explorer._receive(self.explorer, {"kind": "compute", "id": id, "values": values}, [])
        return self[-1]


def test_a_message_is_answered_with_the_frame():
    heard = Heard(Explorer([STD, WHO], bake([STD, WHO], bump), bump))
    answer = heard.ask({"std": 1.25, "who": "two"}, "x:7")
    assert [m["kind"] for m in heard] == ["working", "frame"] and {m["id"] for m in heard} == {
        "x:7"
    }
    assert answer["frame"] == encode([bump(1.25, 2)])
    assert heard.explorer.error == ""


@pytest.mark.parametrize(
    "values, words",
    [
        ({"std": 9.0, "who": "one"}, "std = 9.0: give a number from 0.5 to 2"),
        ({"std": float("nan"), "who": "one"}, "std = nan"),
        ({"std": "1", "who": "one"}, "std = '1'"),
        ({"std": True, "who": "one"}, "std = True"),
        ({"std": 1.0, "who": "three"}, r"who = 'three'"),
        ({"std": 1.0, "who": ["one"]}, r"who = \['one'\]"),
        ({"std": 1.0}, "give one for each of"),
        ({"std": 1.0, "who": "one", "os": 1}, "give one for each of"),
        (None, "values = None"),
    ],
)
def test_a_bad_message_is_answered_with_a_clear_error(values, words):
    heard = Heard(Explorer([STD, WHO], bake([STD, WHO], bump), bump))
    with pytest.raises(ValueError, match=words):
        heard.ask(values)
    assert heard[-1]["kind"] == "error" and re.search(words, heard[-1]["message"])
    assert re.search(words, heard.explorer.error)
    heard.ask({"std": 1.5, "who": "one"})
    assert heard[-1]["kind"] == "frame" and heard.explorer.error == ""


def test_an_error_in_compute_is_told_kept_and_raised():
    heard = Heard(Explorer([STD], bake([STD], bump), lambda std: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        heard.ask({"std": 1.5})
    assert heard[-1] == {
        "kind": "error",
        "id": "x:1",
        "message": "ZeroDivisionError: division by zero",
    }
    assert heard.explorer.error == "ZeroDivisionError: division by zero"


def test_an_explorer_without_compute_and_one_of_another_view_say_so():
    heard = Heard(Explorer([STD], bake([STD], bump)))
    with pytest.raises(ValueError, match="stored frames only"):
        heard.ask({"std": 1.5})
    heard = Heard(Explorer([STD], bake([STD], bump), lambda std: images([[[0.5]]])))
    with pytest.raises(ValueError, match="frame of the view images"):
        heard.ask({"std": 1.5})


def test_other_messages_are_left_alone():
    heard = Heard(Explorer([STD], bake([STD], bump), bump))
    for message in ("hello", {"kind": "other"}, None):
        heard.explorer._receive(heard.explorer, message, [])
    assert heard == []


def test_whole_numbers_stay_whole():
    control = Slider("n", "n", [1, 10], integer=True)
    assert type(control.resolve(5.0)) is int
    with pytest.raises(ValueError, match="whole number"):
        control.resolve(5.5)


@pytest.mark.parametrize(
    "frame",
    [
        bump(1.0),
        images(rng.uniform(size=(5, 8, 8))),
        particles(rng.normal(size=(6, 9, 2)), extent=EXTENT),
    ],
)
def test_the_output_has_the_widget_and_a_still_picture(frame):
    data, _ = Explorer([STD], bake([STD], lambda std: frame), alt="in words")._repr_mimebundle_()
    assert set(data) == {VIEW, "image/png", "text/plain"} and data["text/plain"] == "in words"
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG") and len(png) < 60_000


# ---- a page without a kernel
# -----------------------------------------------------------------------

CELL = """
import numpy as np, torch
from sdelib.widgets import Explorer, Paint, Slider, Switch, bake
from sdelib.widgets.frames import field, images, particles
rng = np.random.default_rng(0)
x = torch.linspace(-3, 3, 24)
z = rng.normal(size=(12, 20, 2)).cumsum(0)
noise = rng.uniform(size=(6, 8, 8))
STD = Slider("std", "noise σ", [0.5, 0.75, 1.0, 1.5, 2.0], log=True, unit="px")
def one(std):
    p = torch.exp(-(x[:, None] ** 2 + x**2) / (2 * std**2))
    v = torch.stack(torch.meshgrid(-x[::3], -x[::3], indexing="xy"), -1)
    return field(density=p, arrows=v / std**2, extent=(-3, 3, -3, 3), note=f"width {std:.3f}")
def two(std, law):
    return particles(std * z + law, extent=(-9, 9, -9, 9), times=np.linspace(1, 0, 12),
      note=f"spread {std:.3f}")
def three(std):
    return images(noise ** std, note=f"power {std:.3f}")
def four(hidden, std):
    return images(noise ** std * ~hidden, note=f"{hidden.sum()} hidden")
"""
SHOW = {
    "field": 'Explorer([STD], bake([STD], one), one, caption="Slide.", alt="a bump")',
    "particles": 'C = [STD, Switch("law", "law", {"left": -2, "right": 2})]\nExplorer(C, bake(C, '
    'two), two, alt="a cloud")',
    "images": 'Explorer([STD], bake([STD], three), three, alt="six pictures")',
    "paint": 'C = [Paint("hidden", "hide", 8, 8, blocks=(2, 2), start="1000", '
    'picture=noise[0]), STD]\nExplorer(C, bake(C, four), four, alt="six holes")',
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A folder with a page of an executed notebook's widgets, and the notebook."""
    import nbclient
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    folder = tmp_path_factory.mktemp("page")
    slider = "import ipywidgets; ipywidgets.IntSlider()"
    nb = new_notebook(
        cells=[
            new_code_cell(CELL),
            *(new_code_cell(s) for s in SHOW.values()),
            new_code_cell(slider),
        ]
    )
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbclient.NotebookClient(nb, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    nbformat.write(nb, folder / "nb.ipynb")

    models = nb.metadata.widgets[STATE]["state"]
    shown = [o.data[VIEW]["model_id"] for c in nb.cells for o in c.outputs if VIEW in o.data]
    assert len(shown) == 5
    return widget_page(
        folder, {id: {"state": without_code(models[id])} for id in shown}, "explorer"
    )


def without_code(model) -> dict:
    return {k: v for k, v in model["state"].items() if k not in ("_esm", "_css")}


@pytest.mark.browser
def test_another_anywidget_brings_its_module_to_the_page(tmp_path, new_tab):
    code = "export default { render({ model, el }) { el.textContent = model.get('word'); } }"
    state = {"_esm": code, "_css": "hr { height: 7px; }", "word": "its own"}
    widget_page(tmp_path, {"a": {"state": state}, "b": {"state": state}}, "explorer")
    tab = new_tab()
    found = complaints(tab)
    tab.goto((tmp_path / "index.html").as_uri())
    tab.wait_for_function("document.body.innerText.split('its own').length === 3", timeout=SECONDS)
    assert tab.locator("hr").bounding_box()["height"] >= 7 and found == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_moves_without_a_kernel(page, width, new_tab):
    with served(page) as address:
        tab = new_tab(
            viewport={"width": width, "height": 800}, has_touch=True, device_scale_factor=2
        )
        found = complaints(tab)
        tab.goto(f"{address}/index.html")
        assert drive(tab, *HOWS) == 4
        assert (
            tab.locator(".widget-notice").inner_text()
            == "This control needs a kernel: run the chapter to use it."
        )
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert found == []


@pytest.mark.browser
def test_the_page_works_from_the_file_system(page, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 800})
    found = complaints(tab)
    tab.goto((page / "index.html").as_uri())
    assert drive(tab) == 4
    assert found == []


@pytest.mark.browser
def test_a_value_that_is_not_stored_snaps_and_says_so(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 800})
        tab.goto(f"{address}/index.html")
        bump, cloud, *_ = widgets(tab)
        slider = bump.locator("input")
        move(tab, slider, 0.55)  # 0.5 is the stored 1.0; the next one, at 0.75, is 1.5
        look(bump)
        assert (
            bump.locator(".sde-status").inner_text()
            == "This page holds the values at the marks. You see the nearest: noise σ = 1 px. "
            "The others are computed where Python runs: press the rocket at the top."
        )
        assert bump.locator(".sde-note").inner_text() == "width 1.000"
        assert slider.get_attribute("aria-valuetext") == "1 px"
        assert bump.locator("canvas").get_attribute("role") == "img"
        assert (
            bump.locator("canvas").get_attribute("aria-label")
            == "a bump. noise σ = 1 px. width 1.000"
        )
        slider.focus()
        tab.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "1.5 px"
        assert bump.locator(".sde-status").inner_text() == ""

        right = cloud.get_by_role("radio", name="right")
        cloud.get_by_role("radio", name="left").focus()
        before = look(cloud)
        tab.keyboard.press("ArrowRight")
        assert right.get_attribute("aria-checked") == "true" and right.evaluate(
            "b => b === document.activeElement"
        )
        assert look(cloud) != before


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_play_runs_through_time_and_through_values(page, new_tab, motion):
    says = "([s, same, text]) => (s.getAttribute('aria-valuetext') === text) === same"
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 800}, reduced_motion=motion)
        tab.goto(f"{address}/index.html")
        bump, cloud, *_ = widgets(tab)
        for widget, slider, last in (
            (bump, bump.locator("input"), "0.5 px"),
            (cloud, cloud.locator("input").nth(1), "0"),
        ):
            widget.evaluate(
                "w => { w.drawn = 0; new MutationObserver(() => "
                "w.drawn++).observe(w, { attributeFilter: ['data-shown'] }); }"
            )
            (widget.get_by_role("button", name="Play") if widget == bump else slider).press(
                "Space"
            )  # a slider knows it too
            tab.wait_for_function(says, arg=[slider.element_handle(), False, last], timeout=SECONDS)
            tab.wait_for_function(says, arg=[slider.element_handle(), True, last], timeout=SECONDS)
            widget.get_by_role("button", name="Play").wait_for(
                timeout=SECONDS
            )  # "Pause" is "Play" again
            if motion == "reduce":
                assert widget.evaluate("w => w.drawn") <= 13  # steps, no flow


@pytest.mark.browser
def test_play_says_where_it_is_and_goes_round(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        tab.goto(f"{address}/index.html")
        bump, cloud, *_ = widgets(tab)
        where, slider = bump.locator(".sde-where"), bump.locator("input")
        says = "([w, text]) => w.textContent === text"
        assert where.inner_text() == "noise σ = 0.5 px, 5 of 5, towards the data"
        slider.press("End")
        first = "noise σ = 2 px, 1 of 5, towards the data"
        tab.wait_for_function(says, arg=[where.element_handle(), first], timeout=SECONDS)
        assert (
            cloud.locator(".sde-where").inner_text() == "t = 0, 12 of 12, towards the data"
        )  # its times go from 1 to 0

        loop = bump.get_by_role("button", name="Loop")
        loop.press("Enter")
        assert loop.get_attribute("aria-pressed") == "true"
        bump.get_by_role("button", name="Play").click()
        assert where.get_attribute("aria-live") == "off"
        for value in ("0.5 px", "2 px", "1.5 px"):  # to the data, and from the noise again
            tab.wait_for_function(
                "([s, text]) => s.getAttribute('aria-valuetext') === text",
                arg=[slider.element_handle(), value],
                timeout=SECONDS,
            )
        loop.click()
        bump.get_by_role("button", name="Play").wait_for(timeout=SECONDS)
        assert slider.get_attribute("aria-valuetext") == "0.5 px"
        assert where.get_attribute("aria-live") == "polite"


def with_spec(page, folder, **change):
    """A copy of the page whose first widget, the bump, has another spec: None removes a key of its
    slider."""
    text = (page / "index.html").read_text(encoding="utf-8")
    start = text.index(f'<script type="{STATE}">') + len(f'<script type="{STATE}">')
    end = text.index("</script>", start)
    states = json.loads(text[start:end])
    spec = next(s["state"]["spec"] for s in states["state"].values())
    for key, value in change.items():
        spec["controls"][0].pop(key) if value is None else spec.__setitem__(key, value)
    shutil.copytree(page, folder, dirs_exist_ok=True)
    new = text[:start] + json.dumps(states).replace("</", "<\\/") + text[end:]
    (folder / "index.html").write_text(new, encoding="utf-8")
    return (folder / "index.html").as_uri()


@pytest.mark.browser
def test_a_notebook_from_before_plays_to_the_right(page, tmp_path, new_tab):
    tab = new_tab(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    found = complaints(tab)
    tab.goto(with_spec(page, tmp_path, play=None))
    bump, *_ = widgets(tab)
    assert bump.locator(".sde-where").inner_text() == "noise σ = 0.5 px, 1 of 5"
    bump.get_by_role("button", name="Play").click()
    tab.wait_for_function(
        "s => s.getAttribute('aria-valuetext') === '2 px'",
        arg=bump.locator("input").element_handle(),
        timeout=SECONDS,
    )
    bump.get_by_role("button", name="Play").wait_for(timeout=SECONDS)
    assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_it_plays_once_by_itself_and_rests(page, tmp_path, new_tab, motion):
    tab = new_tab(viewport={"width": 1280, "height": 800}, reduced_motion=motion)
    tab.add_init_script(
        "window.seen = new Set(); new MutationObserver(() => { const w = "
        "document.querySelector('.sde-where'); if (w?.textContent) seen.add(w.textContent); })"
        ".observe(document, { subtree: true, childList: true, characterData: true });"
    )
    tab.goto(with_spec(page, tmp_path, once=True))
    bump, *_ = widgets(tab)
    tab.wait_for_timeout(3500)  # five values of 400 ms
    rest = "noise σ = 0.5 px, 5 of 5, towards the data"
    assert bump.locator(".sde-where").inner_text() == rest
    bump.get_by_role("button", name="Play").wait_for(timeout=SECONDS)
    assert tab.evaluate("seen.size") == (5 if motion == "no-preference" else 1)


@pytest.mark.browser
def test_the_picture_follows_the_theme(page, new_tab):
    with served(page) as address:
        tab = new_tab(viewport={"width": 1280, "height": 800})
        tab.goto(f"{address}/index.html")
        for widget in widgets(tab):
            light = look(widget)
            tab.evaluate("document.documentElement.dataset.theme = 'dark'")
            tab.wait_for_function(
                "w => w.dataset.theme === 'dark'", arg=widget.element_handle(), timeout=SECONDS
            )
            assert look(widget) != light
            tab.evaluate("document.documentElement.dataset.theme = 'light'")
            tab.wait_for_function(
                "w => w.dataset.theme === 'light'", arg=widget.element_handle(), timeout=SECONDS
            )
            assert look(widget) == light


@pytest.mark.fault
@pytest.mark.browser
def test_damaged_frames_are_reported_in_the_widget(page, tmp_path, new_tab):
    text = (page / "index.html").read_text(encoding="utf-8")
    shutil.copytree(page, tmp_path, dirs_exist_ok=True)
    (tmp_path / "index.html").write_text(
        re.sub(r'"frames": "(.{40})', lambda m: '"frames": "' + "A" * 40, text),
        encoding="utf-8",
    )
    tab = new_tab()
    found = complaints(tab)
    tab.goto((tmp_path / "index.html").as_uri())
    tab.wait_for_function(
        "document.querySelectorAll('.sde-x[data-error]').length === 4", timeout=SECONDS
    )
    assert "could not be drawn" in tab.locator(".sde-status").first.inner_text()
    assert found


# ---- with a kernel
# ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on an empty folder, and the folder."""
    folder, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(16)
    for name in ("work", "home"):
        (folder / name).mkdir()
    # JupyterLab asks about news in a corner, on top of whatever stands there.
    settings = folder / "home" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8"
    )
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    home = str(folder / "home")
    env = {
        **os.environ,
        "HOME": home,
        "JUPYTER_CONFIG_DIR": home,
        "JUPYTER_RUNTIME_DIR": home,
        "JUPYTER_DATA_DIR": home,
        "IPYTHONDIR": home,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    log = open(folder / "log.txt", "wb")  # noqa: SIM115
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={folder / 'work'}",
            f"--IdentityProvider.token={token}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(600):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (folder / "log.txt").read_text(encoding="utf-8")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", token, folder / "work"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def open_and_run(new_tab, lab, name, cells):
    """A notebook in JupyterLab, run: the page and its explorers."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    address, token, folder = lab
    nb = new_notebook(cells=[new_code_cell(c) for c in cells])
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(nb, folder / f"{name}.ipynb")
    tab = new_tab(viewport={"width": 1400, "height": 1000})
    tab.goto(
        f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?token={token}", timeout=2 * SECONDS
    )
    tab.wait_for_function(
        """path => {
        const panel = window.jupyterapp?.shell?.currentWidget;
        return panel?.context?.path === path && panel.context.isReady
            && panel.sessionContext?.session?.kernel?.connectionStatus === "connected";
    }""",
        arg=f"{name}.ipynb",
        timeout=2 * SECONDS,
    )
    tab.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    tab.wait_for_selector(".sde-x[data-ready]", timeout=2 * SECONDS)
    return tab, widgets(tab)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("lab")
def test_a_stored_notebook_that_nobody_ran_shows_the_pictures(lab, page, new_tab):
    import nbformat

    address, token, folder = lab
    nb = notebooks.tidy(nbformat.read(page / "nb.ipynb", as_version=4), "stored")
    nbformat.write(nb, folder / "stored.ipynb")
    tab = new_tab(viewport={"width": 1400, "height": 1000})
    url = f"{address}/lab/workspaces/stored/tree/stored.ipynb?token={token}"
    tab.goto(url, timeout=2 * SECONDS)
    pictures = tab.locator(".jp-OutputArea-output img")
    pictures.nth(3).wait_for(state="attached", timeout=2 * SECONDS)
    for k in range(4):
        pictures.nth(k).scroll_into_view_if_needed()
        assert pictures.nth(k).bounding_box()["width"] > 100
    assert tab.locator(".sde-x").count() == 0
    assert "rror" not in tab.locator(".jp-Notebook").inner_text()


def nudge(tab, widget):
    """Move the first slider, by the keyboard, to a value that is not stored."""
    slider = widget.locator("input").first
    slider.focus()
    tab.keyboard.press("ArrowRight")
    return slider.get_attribute("aria-valuetext")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("lab")
def test_a_kernel_computes_values_that_were_not_stored(lab, new_tab):
    three = "\n".join(
        f"{code.rpartition(chr(10))[0]}\ndisplay({code.rpartition(chr(10))[2]})"
        for name, code in SHOW.items()
        if name != "paint"
    )
    tab, found = open_and_run(new_tab, lab, "live", [CELL, three])
    tab.wait_for_function(
        "document.querySelectorAll('.sde-x[data-ready]').length === 3", timeout=SECONDS
    )
    for widget, words in zip(widgets(tab), ("width", "spread", "power"), strict=True):
        widget.scroll_into_view_if_needed()
        before = look(widget)
        value = nudge(tab, widget)
        number = float(value.removesuffix(" px"))
        assert number not in (0.5, 0.75, 1.0, 1.5, 2.0)
        tab.wait_for_function(
            "([w, note]) => w.querySelector('.sde-note').textContent === note",
            arg=[widget.element_handle(), f"{words} {number:.3f}"],
            timeout=SECONDS,
        )
        assert look(widget) != before
        assert widget.locator(".sde-status").inner_text() == "computed by the kernel"
        for _ in range(6):  # a quick reader: only the newest answer stays
            value = nudge(tab, widget)
        note = f"{words} {float(value.removesuffix(' px')):.3f}"
        tab.wait_for_function(
            "([w, note]) => w.querySelector('.sde-note').textContent === note && "
            "!w.hasAttribute('data-busy')",
            arg=[widget.element_handle(), note],
            timeout=SECONDS,
        )
        assert not fault(widget)
    assert drive(tab) == 3


@pytest.mark.fault
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("lab")
def test_an_error_in_compute_is_shown_in_the_widget(lab, new_tab):
    show = textwrap.dedent("""
        def broken(std):
            raise RuntimeError(f"no picture at {std}")
        Explorer([STD], bake([STD], one), broken)""")
    tab, [widget] = open_and_run(new_tab, lab, "broken", [CELL, show])
    value = nudge(tab, widget)
    tab.wait_for_selector(".sde-x[data-error]", timeout=SECONDS)
    assert fault(widget) == f"RuntimeError: no picture at {value.removesuffix(' px')}"
    with pytest.raises(AssertionError, match="no picture at"):
        drive(tab)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("lab")
def test_a_brush_paints_cells_and_the_kernel_computes_them(lab, new_tab):
    tab, [widget] = open_and_run(new_tab, lab, "paint", [CELL, SHOW["paint"]])
    widget.scroll_into_view_if_needed()
    before, box = look(widget), widget.locator(".sde-paint").bounding_box()
    tab.mouse.move(
        box["x"] + 0.56 * box["width"], box["y"] + 0.06 * box["height"]
    )  # cell (0, 4) of 8 × 8, in a part that is not hidden
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.56 * box["width"], box["y"] + 0.31 * box["height"], steps=8)
    tab.mouse.up()
    # 16 cells of the first part, and rows 0 to 3 of columns 4 and 5: the brush is two cells wide
    tab.wait_for_function(
        "w => w.querySelector('.sde-note').textContent === '24 hidden'",
        arg=widget.element_handle(),
        timeout=SECONDS,
    )
    assert look(widget) != before
    assert widget.locator(".sde-status").inner_text() == "computed by the kernel"
    assert drive(tab) == 1


@pytest.mark.fault
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("lab")
def test_a_dead_kernel_is_noticed_after_three_seconds(lab, new_tab):
    tab, [widget] = open_and_run(new_tab, lab, "dead", [CELL, SHOW["field"]])
    tab.evaluate("""async () => {
        await window.jupyterapp.shell.currentWidget.sessionContext.session.shutdown();
    }""")
    before = look(widget)
    nudge(tab, widget)
    tab.wait_for_function(
        "w => w.querySelector('.sde-status').textContent.startsWith('No kernel "
        "answers, so you see the nearest stored value: noise σ = 0.5 px')",
        arg=widget.element_handle(),
        timeout=SECONDS,
    )
    assert look(widget) == before
