"""What a model remembers of its data: own units into network units and back, as JSON, and into
files."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from sdelib.own.data import Data
from sdelib.own.forms import KINDS, Column, Form

pandas = pytest.importorskip("pandas")


def bytes_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def a_frame(n=60, seed=0):
    r = np.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "height": r.normal(170, 12, n),
            "rooms": r.integers(1, 9, n),
            "kind": r.choice(["flat", "house", "hut"], n, p=[0.7, 0.2, 0.1]),
            "sold": r.random(n) < 0.3,
            "year": r.integers(1990, 2020, n).astype(float),
        }
    )


def forms():
    r = np.random.default_rng(0)
    yield Data.of(bytes_of(30, 4, 5), np.arange(30) % 3, classes=("a", "b", "c")).form
    yield Data.of(bytes_of(30, 4, 5, 3)).form
    yield Data.of(r.normal(5, 3, (40, 2))).form
    yield Data.of(r.normal(size=(40, 16))).form
    yield Data.of(a_frame(), label_column="kind").form
    yield Data.of(a_frame()).form


@pytest.mark.parametrize("form", [*forms()], ids=lambda form: f"{form.kind}{form.shape}")
def test_as_json_and_back(form):
    facts = json.loads(json.dumps(form.to_json()))
    assert facts == form.to_json() and Form.from_json(facts) == form
    assert form.kind in KINDS and form.sigma_max >= 10 * form.std > 0


@pytest.mark.fault
@pytest.mark.parametrize("facts", [{}, {"kind": "points"}, {"odd": 1}])
def test_other_json_is_refused(facts):
    with pytest.raises(ValueError, match=r"facts.*Form\.to_json.*sigma_max"):
        Form.from_json(facts)


# ---- there and back


@pytest.mark.parametrize("shape", [(12, 5, 4), (12, 5, 4, 3), (12, 2, 5, 4)])
def test_images_come_back_bit_for_bit(shape):
    raw = bytes_of(*shape)
    form = Data.of(raw).form
    x = form.encode(raw)
    assert x.dtype == torch.float32 and x.shape[1:] == form.shape
    assert float(x.min()) >= 0 and float(x.max()) <= 1
    back = form.decode(x)
    assert back.dtype == np.uint8
    assert np.array_equal(back, raw if shape[1] != 2 else np.moveaxis(raw, 1, -1))
    assert torch.equal(form.encode(back), x)  # in the layout that decode gives
    assert np.array_equal(form.decode(torch.full_like(x, 7.0)), np.full_like(back, 255))


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(0, 99), st.booleans())
def test_points_and_series_come_back(shift, factor, seed, long):
    raw = shift + factor * np.random.default_rng(seed).normal(size=(20, 12 if long else 3))
    form = Data.of(raw).form
    assert form.kind == ("series" if long else "points")
    assert abs(form.mean) < 1e-5 and abs(form.std - 1) < 1e-5
    size = max(abs(shift), factor)
    assert np.allclose(form.decode(form.encode(raw)), raw, rtol=1e-6, atol=1e-6 * size)


def test_points_are_scaled_a_coordinate_and_series_as_a_whole():
    r = np.random.default_rng(0)
    raw = r.normal([3, -40], [0.1, 100], (500, 2))
    data = Data.of(raw)
    x = data.x[:]
    assert torch.allclose(x.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(x.std(0, correction=0), torch.ones(2), atol=1e-5)
    series = Data.of(np.cumsum(r.normal(size=(500, 20)), 1) + 7)
    assert len(series.form.shift) == len(series.form.factor) == 1
    x = series.x[:]
    assert abs(float(x.mean())) < 1e-5 and abs(float(x.std(correction=0)) - 1) < 1e-5
    assert float(x[:, -1].std()) > 2 * float(x[:, 0].std())  # a walk still widens


COLUMNS = st.lists(
    st.sampled_from(["number", "whole", "text", "truth", "told"]), min_size=1, max_size=5
)


@settings(max_examples=40, deadline=None)
@given(COLUMNS, st.integers(0, 1000))
def test_a_table_comes_back(kinds, seed):
    r = np.random.default_rng(seed)
    make = {
        "number": lambda: r.normal(3, 50, 40),
        "whole": lambda: r.integers(-1000, 1000, 40),
        "text": lambda: r.permutation(["a", "b", "c ", "ü,"] * 10),
        "truth": lambda: r.permutation([True, False] * 20),
        "told": lambda: r.permutation([1, 20, 300, 5] * 10),
    }
    frame = pandas.DataFrame({f"{kind}{i}": make[kind]() for i, kind in enumerate(kinds)})
    told = [name for name in frame if name.startswith("told")]
    data = Data.of(frame, categorical=told)
    form = data.form
    back = form.decode(form.encode(frame))
    assert [*back] == [*frame]
    for name, kind in zip(frame, kinds):
        if kind == "number":
            assert np.allclose(back[name], frame[name], rtol=1e-5, atol=1e-4)
        else:
            assert back[name].tolist() == frame[name].tolist()
    x = data.x[:]
    assert x.shape[1:] == form.shape == (sum(c.width for c in form.columns),)
    assert abs(form.mean) < 1e-4 and abs(form.std - 1) < 1e-4


def test_what_is_drawn_becomes_what_a_table_can_hold():
    """Noise comes back with whole numbers in their range and categories that exist."""
    frame = a_frame()
    data = Data.of(frame, label_column="kind")
    form = data.form
    kinds = {c.name: c.kind for c in form.columns}
    assert kinds == {"height": "number", "rooms": "whole", "sold": "category", "year": "whole"}
    x = 5 * torch.randn(200, *form.shape, generator=torch.Generator().manual_seed(0))
    drawn = form.decode(x, torch.arange(200) % 3)
    assert [*drawn] == ["height", "rooms", "sold", "year", "kind"]
    assert drawn["rooms"].dtype == np.int64 and drawn["rooms"].between(1, 8).all()
    assert set(drawn["sold"]) == {True, False} and set(drawn["kind"]) == {"flat", "house", "hut"}
    assert not drawn["height"].between(frame["height"].min(), frame["height"].max()).all()


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f: f.drop(columns="rooms"), "column = 'rooms'"),
        (lambda f: f.assign(kind=["tent", *f["kind"][1:]]), "row 1, column 'kind' is 'tent'.*hut"),
        (lambda f: f.assign(height=[1.0, np.nan, *f["height"][2:]]), "row 2, column 'height'"),
        (lambda f: f.assign(rooms="many"), "column 'rooms' is not all numbers"),
    ],
)
def test_another_table_is_refused(change, words):
    form = Data.of(a_frame()).form
    with pytest.raises(ValueError, match=words):
        form.encode(change(a_frame()))


@pytest.mark.fault
def test_another_shape_is_refused():
    form = Data.of(bytes_of(30, 4, 5)).form
    with pytest.raises(ValueError, match=r"shape of raw = \(3, 5, 4\).*\(n, 1, 4, 5\)"):
        form.encode(bytes_of(3, 5, 4))
    with pytest.raises(ValueError, match=r"shape of x = \(3, 4, 5\)"):
        form.decode(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="x is not finite"):
        form.decode(torch.full((3, 1, 4, 5), torch.nan))
    with pytest.raises(ValueError, match="kind = 'sound'"):
        Form("sound", (1,), 0.0, 1.0, 10.0)


def test_classes_by_name_and_number():
    form = Data.of(bytes_of(30, 4, 5), np.arange(30) % 3, classes=("cat", "dog", "7")).form
    assert [form.label(k) for k in ("dog", 2, "0", "7", np.int64(1))] == [1, 2, 0, 2, 1]
    for bad in ("bird", 3, -1, 0.5):
        with pytest.raises(ValueError, match="label = .*'cat', 'dog'"):
            form.label(bad)
    with pytest.raises(ValueError, match="label = 'cat': this data has no classes"):
        Data.of(bytes_of(30, 4, 5)).form.label("cat")


# ---- into files


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_holds_the_images_and_their_settings(tmp_path, channels):
    raw = bytes_of(6, 4, 5, channels)
    form = Data.of(raw).form
    about = {"seed": 3, "solver": "heun", "label": "ü"}
    path = form.write(form.encode(raw), tmp_path / "new" / "x.png", about=about)
    assert [p.name for p in path.parent.iterdir()] == ["x.png"]
    with Image.open(path) as picture:
        assert json.loads(picture.text["sdelib"]) == about
        assert picture.mode == ("L" if channels == 1 else "RGB")
        page = np.asarray(picture).reshape(picture.height, picture.width, channels)
    tiles = [page[i : i + 4, j : j + 5] for i in range(0, len(page), 6) for j in range(0, 20, 7)]
    tiles = [t for t in tiles if t.shape == (4, 5, channels)]
    assert len(tiles) >= 6 and all(np.array_equal(a, b) for a, b in zip(tiles, raw))


def test_a_folder_has_a_picture_each_and_is_read_again(tmp_path):
    raw, labels = bytes_of(8, 4, 5, 3), np.arange(8) % 2
    form = Data.of(raw, labels, classes=("a/b", "c")).form
    out = f"{tmp_path}/out/"
    form.write(form.encode(raw), out, labels=labels, about={"seed": 0})
    names = [p.relative_to(out).as_posix() for p in sorted((tmp_path / "out").rglob("*.png"))]
    assert names == [f"{c}/{k:05d}.png" for c, j in (("a_b", 0), ("c", 1)) for k in range(j, 8, 2)]
    back = Data.open(out)
    assert back.form.classes == ("a_b", "c") and len(back.x) + len(back.held) == 8
    form.write(form.encode(raw), out, labels=labels)  # the same run again
    with pytest.raises(ValueError, match=r"path = .*png.*another run"):
        form.write(form.encode(raw[:4]), out, labels=labels[:4])


def test_an_npz_is_read_again(tmp_path):
    raw, labels = bytes_of(8, 4, 5), np.arange(8) % 2
    form = Data.of(raw, labels, classes=("a", "b")).form
    path = form.write(form.encode(raw), tmp_path / "x.npz", labels=labels, about={"seed": 1})
    with np.load(path, allow_pickle=False) as f:
        assert np.array_equal(f["images"], raw) and np.array_equal(f["labels"], labels)
        assert json.loads(str(f["about"])) == {"seed": 1} and f["classes"].tolist() == ["a", "b"]
    again = Data.open(path)
    assert again.form.classes == ("a", "b") and again.form.shape == form.shape


def test_a_table_is_written_with_its_header(tmp_path):
    frame = a_frame()
    form = Data.of(frame, label_column="kind").form
    labels = torch.arange(60) % 3
    path = form.write(form.encode(frame), tmp_path / "x.csv", labels=labels)
    back = pandas.read_csv(path)
    assert [*back] == ["height", "rooms", "sold", "year", "kind"]
    assert back["rooms"].tolist() == frame["rooms"].tolist()
    assert back["kind"].tolist() == [form.classes[k] for k in labels]
    with np.load(form.write(form.encode(frame), tmp_path / "x.npz"), allow_pickle=False) as f:
        assert f["rooms"].tolist() == frame["rooms"].tolist() and "kind" not in f.files


def test_points_and_series_are_written(tmp_path):
    r = np.random.default_rng(0)
    for raw, name in ((r.normal(size=(9, 2)), "points"), (r.normal(size=(9, 11)), "series")):
        form = Data.of(raw).form
        path = form.write(form.encode(raw), tmp_path / f"{name}.npz")
        assert Data.open(path).form.kind == name
        back = pandas.read_csv(form.write(form.encode(raw), tmp_path / "x.csv"))
        assert [*back][:2] == ["x0", "x1"] and np.allclose(back.to_numpy(), raw, atol=1e-5)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["x.jpg", "x.csv", "x", "x.pt"])
def test_images_are_not_written_as_anything_else(tmp_path, name):
    form = Data.of(bytes_of(8, 4, 5)).form
    with pytest.raises(ValueError, match=f"path = '.*{name}'.*png.*npz.*folder"):
        form.write(torch.zeros(2, 1, 4, 5), tmp_path / name)
    assert not [*tmp_path.iterdir()]


@pytest.mark.fault
def test_what_cannot_be_written_is_said_before(tmp_path):
    form = Data.of(bytes_of(8, 4, 5), np.arange(8) % 2).form
    x = torch.zeros(2, 1, 4, 5)
    for labels in ([0], [0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="labels = .*from 0 to 1"):
            form.write(x, tmp_path / "x.npz", labels=labels)
    with pytest.raises(ValueError, match=r"len\(x\) = 0"):
        form.write(x[:0], tmp_path / "x.npz")
    two = Data.of(bytes_of(8, 2, 5, 5)).form
    with pytest.raises(ValueError, match="channels = 2.*npz"):
        two.write(torch.zeros(2, 2, 5, 5), tmp_path / "x.png")
    points = Data.of(np.random.default_rng(0).normal(size=(9, 2))).form
    with pytest.raises(ValueError, match=r"path = .*x\.png.*points can be written as .npz, .csv"):
        points.write(torch.zeros(2, 2), tmp_path / "x.png")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((OSError, ValueError), match="file"):
        form.write(x, tmp_path / "file" / "x.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_width_of_a_column():
    assert Column("a", "category", ("x", "y", "z")).width == 3 and Column("b", "whole").width == 1
