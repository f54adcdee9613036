"""Data: arrays, .npy, .npz, .csv and IDX files as examples, what is held out, what is said of them,
and the sentence where one cannot be learned from."""

import gzip
import math
import pickle
import struct

import numpy as np
import pytest
import torch

from sdelib.book.data import largest_distance as exact_distance
from sdelib.denoiser import DenoiserLoss
from sdelib.networks import Denoiser
from sdelib.own import csv_files, examples, garments, training, weights
from sdelib.own.data import Data

pandas = pytest.importorskip("pandas")


def random(seed=0):
    return np.random.default_rng(seed)


def bytes_of(*shape, seed=0):
    return random(seed).integers(0, 256, shape, dtype=np.uint8)


def rows_of(data):
    """The stored rows of both parts together, in their first order."""
    order = np.argsort(np.concatenate([data.x.rows, data.held.rows]))
    return torch.cat([data.x[:], data.held[:]])[order]


# ---- parts and batches


def test_a_tenth_is_held_out_by_the_seed():
    raw = bytes_of(203, 4, 4)
    data = Data.of(raw, seed=3)
    assert len(data.x) == 183 and len(data.held) == 20 and len(data) == 183
    assert sorted([*data.x.rows, *data.held.rows]) == [*range(203)]
    same, other = Data.of(raw, seed=3), Data.of(raw, seed=4)
    assert np.array_equal(same.held.rows, data.held.rows)
    assert not np.array_equal(other.held.rows, data.held.rows)
    assert len(Data.of(raw, hold=0.5).held) == 102  # 101.5, to the even number


def test_each_class_is_held_out_in_its_share():
    labels = np.repeat(["a", "b", "c", "d"], [2, 3, 45, 150])
    data = Data.of(bytes_of(200, 4, 4), labels)
    held = data.held_labels.bincount().tolist()
    assert held[:2] == [1, 1] and held[2] in (4, 5) and held[3] == 15
    assert data.form.classes == ("a", "b", "c", "d")
    for part, places in ((data.x, data.labels), (data.held, data.held_labels)):
        assert places.dtype == torch.int64
        assert [data.form.classes[k] for k in places] == labels[part.rows].tolist()


def test_batches_are_the_stored_numbers():
    raw = bytes_of(50, 3, 5, 4)
    data = Data.of(raw)
    index = torch.tensor([4, 0, 40])
    batch = data.batch(index)
    assert batch.dtype == torch.float32 and batch.shape == (3, 3, 5, 4)
    assert torch.equal(batch, torch.from_numpy(raw[data.x.rows[index]]).float() / 255)
    held = data.batch(torch.tensor([1]), held=True)
    assert torch.equal(held[0], torch.from_numpy(raw[data.held.rows[1]]).float() / 255)
    assert data.x.array.dtype == np.uint8 and np.shares_memory(data.x.array, raw)
    assert torch.equal(data.x[4], batch[0]) and torch.equal(torch.as_tensor(data.x)[4], batch[0])
    assert len([*data.x]) == len(data.x) == data.x.shape[0]


def test_what_is_held_out_is_given_by_the_piece():
    data = Data.of(bytes_of(100, 4, 4), np.arange(100) % 2)
    x, labels = data.held_out()
    assert len(x) == len(labels) == 10 and torch.equal(x, data.held[:])
    few, some = data.held_out(4)
    assert torch.equal(few, x[:4]) and torch.equal(some, labels[:4])
    other, _ = data.held_out(4, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(other, few) and all(
        (x == image).flatten(1).all(1).any() for image in other
    )
    assert Data.of(bytes_of(100, 4, 4)).held_out(3)[1] is None


def test_a_network_trains_on_it_and_goes_on_from_its_checkpoint(tmp_path):
    raw = bytes_of(40, 8, 8)
    how = {"batch_size": 4, "progress": False, "cpu": True, "warmup": 1}

    def run(steps, data, **more):
        torch.manual_seed(0)
        network = Denoiser((8, 8))
        return training.train(network, DenoiserLoss(), data.training(), steps=steps, **how, **more)

    data = Data.of(raw)
    assert data.training()[1].tolist() == [-1] * 36
    tensors = [torch.as_tensor(part) for part in data.training()]
    stored = run(2, data).losses
    torch.manual_seed(0)
    whole = training.train(Denoiser((8, 8)), DenoiserLoss(), tensors, steps=2, **how).losses
    assert torch.equal(stored, whole)
    kept = tmp_path / "kept.checkpoint.safetensors"
    run(1, data, checkpoint=kept)
    assert run(2, data, checkpoint=kept, extend=True).losses.isfinite().all()
    raw[data.x.rows[7], 0, 0] ^= 1
    with pytest.raises(ValueError, match="data = '2 tensors, SHA-256 .*, not '2 tensors"):
        run(2, Data.of(raw), checkpoint=kept)


# ---- what is measured


@pytest.mark.parametrize("blocks", [1, 7])
def test_mean_and_std_are_those_of_the_training_part(monkeypatch, blocks):
    raw = random().normal(0.5, 0.1, (90, 6, 5)).clip(0, 1)
    data = Data.of(raw)
    part = raw[data.x.rows]
    assert math.isclose(data.form.mean, part.mean(), rel_tol=1e-5)
    assert math.isclose(data.form.std, part.std(), rel_tol=1e-5)
    monkeypatch.setattr(examples.Examples.blocks, "__defaults__", (1, 30 * blocks))
    assert np.allclose(examples.moments(data.x), (data.form.mean, data.form.std), rtol=1e-5)
    assert np.allclose(examples.largest_distance(data.x), exact_distance(data.x[:]), rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_noise_level_spans_the_data(seed):
    points = random(seed).standard_t(2, (3000, 3))  # far ones, on one side or on two
    data = Data.of(points)
    distance = exact_distance(data.x[:])
    assert math.isclose(examples.largest_distance(data.x), distance, rel_tol=1e-4)
    assert distance <= data.form.sigma_max <= 1.1 * max(distance, 10)
    assert Data.of(points[:, :1] > 0, kind="points").form.sigma_max == 10  # 10 standard deviations


def test_rounded_up():
    found = [examples.rounded_up(v) for v in (22.46, 10.0, 10.01, 0.0312, 99.2, 1234.0)]
    assert found == [23.0, 10.0, 11.0, 0.032, 100.0, 1300.0]


# ---- arrays in memory and in files


@pytest.mark.parametrize(
    "shape, form",
    [
        ((9, 28, 28), (1, 28, 28)),
        ((9, 28, 20, 3), (3, 28, 20)),
        ((9, 3, 28, 20), (3, 28, 20)),
        ((9, 4, 5, 3), (3, 4, 5)),
        ((9, 1, 8, 8), (1, 8, 8)),
        ((9, 8, 8, 4), (4, 8, 8)),
        ((9, 3, 3, 3), (3, 3, 3)),
    ],
)
def test_the_channels_are_found(shape, form):
    raw = bytes_of(*shape)
    data = Data.of(raw)
    assert data.form.kind == "images" and data.form.shape == form
    last = raw if raw.ndim == 3 or shape[1] == form[0] else np.moveaxis(raw, -1, 1)
    assert np.array_equal((rows_of(data) * 255).round().numpy(), last.reshape(9, *form))


@pytest.mark.parametrize(
    "shape, kind, found",
    [
        ((9,), None, ("points", (1,))),
        ((9, 2), None, ("points", (2,))),
        ((9, 8), None, ("points", (8,))),
        ((9, 9), None, ("series", (9,))),
        ((9, 9), "points", ("points", (9,))),
        ((9, 4), "series", ("series", (4,))),
    ],
)
def test_points_or_series(shape, kind, found):
    data = Data.of(random().normal(size=shape), kind=kind)
    assert (data.form.kind, data.form.shape) == found


@pytest.mark.parametrize(
    "scale",
    [
        lambda u: u.astype(np.uint8),
        lambda u: u.astype(np.int64),
        lambda u: u.astype(np.float64),
        lambda u: (u / 255).astype(np.float32),
        lambda u: u.astype(np.uint16) * np.uint16(257),
        lambda u: torch.from_numpy(u / 255).to(torch.float32),
        lambda u: torch.from_numpy(u.astype(np.uint8)),
    ],
)
def test_images_of_all_types_are_one(scale):
    raw = bytes_of(20, 5, 5).astype(np.float64)
    raw[0, 0, :2] = 0, 255
    data = Data.of(scale(raw))
    assert np.allclose(rows_of(data)[:, 0].numpy() * 255, raw, atol=1e-4)
    truths = Data.of(raw > 100)
    assert set(rows_of(truths).flatten().tolist()) == {0.0, 1.0}


def test_npy_stays_on_the_disk_and_npz_brings_labels(tmp_path):
    raw, labels = bytes_of(30, 6, 6, 3), np.arange(30) % 3
    np.save(tmp_path / "x.npy", raw)
    data = Data.open(tmp_path / "x.npy")
    base = data.x.array
    while not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    assert isinstance(base, np.memmap) and base.mode == "r"
    assert torch.equal(rows_of(data), torch.from_numpy(raw).permute(0, 3, 1, 2).float() / 255)
    for names in (("images", "labels"), ("x", "y"), ("arr_0", "arr_1"), ("faces", "target")):
        np.savez(tmp_path / "x.npz", **dict(zip(names, (raw, labels))))
        found = Data.open(str(tmp_path / "x.npz"))
        assert found.form.classes == ("0", "1", "2") and found.form.shape == (3, 6, 6)
    np.savez_compressed(tmp_path / "s.npz", series=random().normal(size=(9, 4)), about="{}")
    assert Data.open(tmp_path / "s.npz").form.kind == "series"
    np.save(tmp_path / "p.npy", random().normal(size=(9, 20)))
    assert Data.open(tmp_path / "p.npy", kind="points").form.kind == "points"


@pytest.mark.parametrize(
    "labels, classes, names",
    [
        ([3, 1] * 10, (), ("1", "3")),
        ([1.0, 0.0] * 10, (), ("0", "1")),
        (["b", "a"] * 10, (), ("a", "b")),
        (["b", "a"] * 10, ("b", "a"), ("b", "a")),
        (np.array([[1], [0]] * 10), ("x", "y"), ("x", "y")),
        ([True, False] * 10, (), ("False", "True")),
        (torch.tensor([10, 9] * 10), (), ("9", "10")),
        (np.array(["b", "a"] * 10, dtype=object), (), ("a", "b")),
    ],
)
def test_labels_are_numbers_or_names(labels, classes, names):
    data = Data.of(bytes_of(20, 4, 4), labels, classes=classes)
    assert data.form.classes == names
    first = data.x.rows.tolist().index(0) if 0 in data.x.rows else None
    place = (
        data.labels[first] if first is not None else data.held_labels[[*data.held.rows].index(0)]
    )
    value = np.ravel(np.asarray(labels))[0]
    assert names[place] == (
        classes[value] if classes == ("x", "y") else str(value).removesuffix(".0")
    )


def test_one_class_says_nothing():
    data = Data.of(bytes_of(20, 4, 4), np.ones(20, int))
    assert data.labels is None and data.form.classes == () and "one class" in data.describe()


def test_five_lines_say_what_was_found(tmp_path):
    np.savez(tmp_path / "mine.npz", images=bytes_of(40, 6, 5, 3), labels=["cat", "dog"] * 20)
    lines = Data.open(tmp_path / "mine.npz").describe().splitlines()
    assert len(lines) == 5 and max(map(len, lines)) < 200
    assert "40 images" in lines[0] and str(tmp_path / "mine.npz") in lines[0]
    assert "6×5 pixels" in lines[1] and "3 channels" in lines[1] and "0 to 255, uint8" in lines[2]
    assert "2: cat 20, dog 20" in lines[3] and "4 of them" in lines[4] and "36" in lines[4]
    frame = pandas.DataFrame({f"x{i}": random(i).normal(size=30) for i in range(9)})
    lines = Data.of(frame, labels=np.arange(30) % 15).describe().splitlines()
    assert len(lines) == 5 and "9 columns" in lines[1] and "and 3 more" in lines[2]
    assert "15: 0 2, 1 2" in lines[3] and "and 3 more" in lines[3]


# ---- arrays that cannot be learned from


FINE = bytes_of(20, 4, 4)


@pytest.mark.fault
@pytest.mark.parametrize(
    "x, words",
    [
        (np.array([{}, 1, "a"], dtype=object), "x: type = 'object'"),
        (np.array(["a", "b", "c"]), "x: type"),
        (np.zeros((5, 4), complex), "x: type = 'complex128'"),
        ([[1, 2], [3]], "x is no array.*one shape"),
        (np.zeros((0, 4, 4)), r"x: shape = \(0, 4, 4\).*three or more"),
        (np.zeros((2, 4)), r"x: shape = \(2, 4\)"),
        (np.zeros((5, 4, 4, 3, 2)), "x: shape"),
        (bytes_of(9, 7, 8, 5), r"x: shape = \(9, 7, 8, 5\).*1 to 4 channels"),
        (random().normal(size=(9, 4, 4)), r"x: range = \(-.*floats in \[0, 1\]"),
        (random().uniform(0, 900, (9, 4, 4)), "x: range"),
        (random().integers(0, 17, (9, 8, 8)).astype(float), "largest pixel = 16.0.*x / 16"),
        (random().integers(0, 2, (9, 8, 8), dtype=np.uint8), "largest pixel = 1.0.*x / 1"),
        (random().integers(0, 17, (9, 8, 8)), "largest pixel = 16.0.*x / 16"),
        (np.full((9, 4, 4), 0.5), "x: range.*the same"),
        (np.where(np.arange(144).reshape(9, 4, 4) == 37, np.nan, 0.5), r"image 2, at \(0, 1, 1\)"),
        (np.where(np.arange(40).reshape(20, 2) == 7, np.nan, 0.5), "row 4, column 2 is nan"),
        (np.where(np.arange(40).reshape(20, 2) == 7, -np.inf, 0.5), "row 4, column 2 is -inf"),
        (np.stack([np.arange(9.0), np.full(9, 0.1)], 1), "x: column 2 = '0.1'.*never changes"),
        (np.ones((9, 20)), "x = '1': it never changes"),
    ],
)  # fmt: skip
def test_arrays_that_are_refused(x, words):
    with pytest.raises(ValueError, match=words) as error:
        Data.of(x)
    assert len(str(error.value)) < 500


@pytest.mark.fault
@pytest.mark.parametrize(
    "how, words",
    [
        ({"labels": np.arange(19)}, r"shape of labels = \(19,\).*\(20,\)"),
        ({"labels": np.eye(20)}, r"shape of labels = \(20, 20\)"),
        ({"labels": np.full(20, np.nan)}, "type of labels = 'float64'"),
        ({"labels": [0.5, 1.5] * 10}, "type of labels"),
        ({"labels": [0] * 19 + [1]}, "class '1' has 1 example:"),
        ({"labels": [0, 1] * 10, "classes": ("a", "b", "c")}, "class 'c' has 0 examples"),
        ({"labels": [0, 2] * 10, "classes": ("a", "b")}, r"labels = \(0, 2\).*from 0 to 1"),
        ({"labels": ["a", "b"] * 10, "classes": ("a", "d")}, "classes = .*there are .*'b'"),
        ({"classes": ("a", "b")}, "classes = .*give labels"),
        ({"kind": "points"}, "kind = 'points'"),
        ({"kind": "sound"}, "kind = 'sound'"),
        ({"hold": 0}, "hold = 0"),
        ({"hold": 1.5}, "hold = 1.5"),
        ({"seed": -1}, "seed = -1"),
        ({"label_column": "y"}, "label_column = 'y'"),
        ({"categorical": ["y"]}, "categorical = "),
    ],
)
def test_options_that_do_not_fit(how, words):
    with pytest.raises(ValueError, match=words):
        Data.of(FINE, **how)
    Data.of(FINE)


def pickled(path):
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


@pytest.mark.fault
@pytest.mark.parametrize(
    "name, write, words",
    [
        ("x.npy", pickled, "Python objects"),
        ("x.npy", lambda p: p.write_bytes(pickle.dumps([1, 2])), "no whole .npy|Python objects"),
        ("x.npy", lambda p: p.write_bytes(b""), "no whole .npy file"),
        ("x.npz", lambda p: p.write_bytes(b"PK\3\4 half"), "no whole .npz file"),
        ("x.npz", lambda p: np.savez(p, o=np.array([{}, 1], dtype=object)), "Python objects"),
        ("x.npz", lambda p: np.savez(p, a=FINE, b=FINE), r"arrays of .*'a', 'b'.*called images"),
        ("x.npz", lambda p: np.savez(p, images=FINE, series=FINE), "arrays of"),
        ("x.npz", lambda p: np.savez(p, labels=[1, 2]), "arrays of"),
        ("x.npz", lambda p: np.savez(p, images=FINE, labels=[1, 2]), r"shape of labels = \(2,\)"),
        ("x.npy", lambda p: np.save(p, FINE / 8.0 - 4), "range"),
        ("x.txt", lambda p: p.write_text("a", encoding="utf-8"), "it is none of a folder"),
        ("x.h5", lambda p: None, "no such file or folder.*fashion-mnist"),
    ],
)
def test_files_that_are_refused(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=words) as error:
        Data.open(tmp_path / name)
    said = str(error.value)
    assert str(tmp_path / name) in said and len(said) < 500 and "delete" not in said


@pytest.mark.fault
def test_half_an_npy_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", bytes_of(50, 20, 20))
    raw = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match=r"x\.npy cannot be read: it is no whole .npy file"):
        Data.open(tmp_path / "x.npy")


# ---- .csv


def a_csv(path, text):
    path.write_text(text, encoding="utf-8")
    return path


TABLE = "height,rooms,kind,sold\n" + "".join(
    f"{1.5 + k / 7},{k % 5},{'flat house'.split()[k % 2]},{k % 3 == 0}\n" for k in range(30)
)


@pytest.mark.parametrize("rows", [500_000, 7, 1])
def test_a_csv_is_read_in_parts(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(csv_files, "ROWS", rows)
    path = a_csv(tmp_path / "t.csv", TABLE)
    data = Data.open(path, label_column="kind")
    assert data.form.kind == "table" and data.form.classes == ("flat", "house")
    assert [c.name for c in data.form.columns] == ["height", "rooms", "sold"]
    assert [c.kind for c in data.form.columns] == ["number", "whole", "category"]
    assert data.form.label_column == "kind" and data.x.array.dtype == np.float32
    frame = pandas.read_csv(path)
    back = data.form.decode(rows_of(data))
    assert np.allclose(back["height"], frame["height"], rtol=1e-6)
    assert back["rooms"].tolist() == frame["rooms"].tolist()
    assert back["sold"].tolist() == frame["sold"].tolist()
    names = [data.form.classes[k] for k in data.labels]
    assert names == frame["kind"].iloc[data.x.rows].tolist()
    of = Data.of(frame, label_column="kind")
    assert of.form.columns == data.form.columns and np.array_equal(of.x.array, data.x.array)


def test_a_column_that_is_text_in_one_part_only(tmp_path, monkeypatch):
    """Numbers in the first part, names in the second: one category all the same."""
    monkeypatch.setattr(csv_files, "ROWS", 8)
    lines = [f"{k % 7},{'1 2 x'.split()[k % 2 if k < 16 else 2]}" for k in range(24)]
    data = Data.open(a_csv(tmp_path / "t.csv", "a,b\n" + "\n".join(lines) + "\n"))
    assert data.form.columns[1].values == ("1", "2", "x")
    assert np.bincount(data.x.array[:, 1].astype(int)).tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    "text", ["a;b\n1,5;2\n", "a\tb\n1\t2\n", "\ufeffa,b\n1,2\n", '"a", "b"\n1, 2\n']
)
def test_other_separators(tmp_path, text):
    head, row = text.splitlines()
    rows = [row.replace("2", str(k % 7)).replace("1", str(k % 3)) for k in range(1, 20)]
    data = Data.open(a_csv(tmp_path / "t.csv", "\n".join([head, *rows])))
    assert [c.name for c in data.form.columns] == ["a", "b"]


def test_numbers_that_name_categories(tmp_path):
    data = Data.open(a_csv(tmp_path / "t.csv", TABLE), categorical=["rooms"])
    column = data.form.columns[1]
    assert column.kind == "category" and column.values == (0, 1, 2, 3, 4)
    assert data.form.shape == (1 + 5 + 2 + 2,)


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: "", "is empty|first line"),
        (lambda t: "height,rooms\n", "rows = 0|is empty"),
        (lambda t: t.replace("1.5,0", "1.5,", 1), "row 1 has no value in column 'rooms'"),
        (lambda t: t.replace("1.5,0", "inf,0", 1), "row 1, column 'height' is inf"),
        (lambda t: t.replace("1.5,0", "abc,0", 1), "column 'height': row 1 is 'abc'.*numbers"),
        (lambda t: "\n".join(f"{line},n{k}" for k, line in enumerate(t.split())),
         "column 'n0' is text such as 'n1' with 30 values in 30 rows.*categorical="),
        (lambda t: "\n".join(f"{line},7" for line in t.split()).replace("sold,7", "sold,c"),
         "column 'c' = 7.0: it never changes"),
        (lambda t: "\n".join(f"{line},x" for line in t.split()).replace("sold,x", "sold,c"),
         "column 'c' = 'x': it never changes"),
        (lambda t: t.split("\n", 1)[1].replace("flat", "1").replace("house", "2")
         .replace("True", "1").replace("False", "0"), "first line of .*has to name the columns"),
        (lambda t: "\n".join(f"{k or ''}," + line for k, line in enumerate(t.split())),
         "column = 1: it has no name.*index=False"),
        (lambda t: t + "1,2,3,4,5,6\n", "is no table"),
        (lambda t: t.replace("sold", " rooms"), "columns = .*'rooms'.*this name"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path, change, words):
    path = a_csv(tmp_path / "t.csv", change(TABLE))
    with pytest.raises(ValueError, match=words) as error:
        Data.open(path)
    assert len(str(error.value)) < 500
    assert str(path) in str(error.value)


@pytest.mark.fault
@pytest.mark.parametrize(
    "how, words",
    [
        ({"label_column": "color"}, "column = 'color': .*'height', 'rooms'"),
        ({"categorical": ["color"]}, "column = 'color'"),
        ({"label_column": "height"}, "class '1.5' has 1 example"),
        ({"size": 8}, "size = 8: a .csv file does not take it"),
        ({"grey": True}, "grey = True"),
        ({"skip_unreadable": True}, "skip_unreadable = True"),
        ({"kind": "points"}, "kind = 'points'"),
    ],
)
def test_options_that_do_not_fit_a_csv(tmp_path, how, words):
    with pytest.raises(ValueError, match=words):
        Data.open(a_csv(tmp_path / "t.csv", TABLE), **how)


@pytest.mark.fault
def test_text_of_another_encoding(tmp_path):
    (tmp_path / "t.csv").write_bytes(TABLE.replace("house", "häuser").encode("latin-1"))
    with pytest.raises(ValueError, match=r"t\.csv is no(t| table).*UTF-8"):
        Data.open(tmp_path / "t.csv")


@pytest.mark.fault
def test_frames_that_are_refused():
    frame = pandas.DataFrame(
        {"a": random().normal(size=20), "when": pandas.Timestamp("2020-01-01")}
    )
    with pytest.raises(ValueError, match="column 'when' = .*number or a text"):
        Data.of(frame)
    frame = pandas.DataFrame({"a": random().normal(size=20), "y": ["u", "v"] * 10})
    with pytest.raises(ValueError, match="labels = .*'y' has the labels"):
        Data.of(frame, ["u", "v"] * 10, label_column="y")
    with pytest.raises(ValueError, match="columns = 0.*beside the label"):
        Data.of(frame[["y"]], label_column="y")
    numbered = frame.rename(columns={"a": 0, "y": 1})
    assert [c.name for c in Data.of(numbered).form.columns] == ["0", "1"]


# ---- IDX files


def write_idx(path, array, packed=False):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    raw = head + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if packed else raw)


@pytest.mark.parametrize("inside", ["", "raw", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("style", ["-", ".", "gz"])
def test_idx_files_of_another_set(tmp_path, inside, style):
    """MNIST and KMNIST have the names of Fashion-MNIST's files; EMNIST has longer ones."""
    raw, labels, test = bytes_of(40, 6, 5), (np.arange(40) % 4).astype(np.uint8), bytes_of(9, 6, 5)
    at, z, s = tmp_path / inside, ".gz" * (style == "gz"), "." if style == "." else "-"
    for part, x, y in (("train", raw, labels), ("t10k", test, labels[:9])):
        write_idx(at / f"{part}-images{s}idx3-ubyte{z}", x, z)
        write_idx(at / f"{part}-labels{s}idx1-ubyte{z}", y, z)
    data = Data.open(tmp_path)
    assert data.form.shape == (1, 6, 5) and data.form.classes == ("0", "1", "2", "3")
    assert torch.equal(rows_of(data)[:, 0], torch.from_numpy(raw).float() / 255)
    assert Data.open(at / f"t10k-images{s}idx3-ubyte{z}").x.array.shape == (9, 1, 6, 5)
    lone = Data.open(at / f"train-images{s}idx3-ubyte{z}")
    assert lone.form == data.form
    (at / f"train-labels{s}idx1-ubyte{z}").unlink()
    assert Data.open(tmp_path).labels is None


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["half", "type", "empty", "gz"])
def test_idx_files_that_are_damaged(tmp_path, damage):
    path = tmp_path / ("train-images-idx3-ubyte" + ".gz" * (damage == "gz"))
    write_idx(path, bytes_of(40, 6, 5), damage == "gz")
    raw = path.read_bytes()
    other = {"type": b"\0\0\x0d" + raw[3:], "empty": b""}
    path.write_bytes(other.get(damage, raw[: len(raw) // 2]))
    with pytest.raises(ValueError, match="train-images.*half a file.*: move it away and fetch"):
        Data.open(tmp_path)


@pytest.mark.fault
def test_idx_files_of_which_none_is_for_training(tmp_path):
    for part in "ab":
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", bytes_of(9, 4, 4))
    with pytest.raises(ValueError, match="images in .*a-images.*the file itself"):
        Data.open(tmp_path)
    write_idx(tmp_path / "a-labels-idx1-ubyte", np.zeros(7, np.uint8))
    with pytest.raises(ValueError, match=r"shape of labels = \(7,\)"):
        Data.open(tmp_path / "a-images-idx3-ubyte")
    with pytest.raises(ValueError, match="size = 8: IDX files"):
        Data.open(tmp_path / "b-images-idx3-ubyte", size=8)


# ---- Fashion-MNIST, by its word


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A tiny Fashion-MNIST whose hashes are the right ones."""
    for part, n in (("train", 60), ("t10k", 20)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        write_idx(tmp_path / f"FashionMNIST/raw/{part}-images-idx3-ubyte", bytes_of(n, 28, 28))
        write_idx(tmp_path / f"FashionMNIST/raw/{part}-labels-idx1-ubyte", labels)
    raw = tmp_path / "FashionMNIST" / "raw"
    monkeypatch.setattr(garments, "SHA256", {p.name: weights.sha256(p) for p in raw.iterdir()})
    monkeypatch.setenv("SDELIB_DATA", str(tmp_path))
    return tmp_path


def test_fashion_mnist_by_its_word_and_by_its_folder(fashion, monkeypatch):
    word, folder = Data.open("fashion-mnist"), Data.open(fashion)
    for data in (word, folder):
        assert data.form.classes == garments.CLASSES and len(data.x) + len(data.held) == 60
        assert "Fashion-MNIST" in data.describe()
    assert torch.equal(word.x[:], folder.x[:])
    monkeypatch.setenv("HOME", str(fashion.parent))
    monkeypatch.setenv("SDELIB_DATA", f"~/{fashion.name}")
    assert Data.open("fashion-mnist").form == word.form
    assert Data.open(f"~/{fashion.name}").form.classes == garments.CLASSES
    with pytest.raises(ValueError, match="size = 9: Fashion-MNIST does not take it"):
        Data.open("fashion-mnist", size=9)


def test_the_stand_in_says_that_it_is_one(monkeypatch):
    monkeypatch.setenv("SDELIB_DATA", "fallback")
    with pytest.warns(UserWarning, match="SDELIB_DATA=fallback.*not Fashion-MNIST") as caught:
        data = Data.open("fashion-mnist")
    assert caught[0].filename == __file__
    assert "not Fashion-MNIST" in data.describe() and data.form.classes == garments.CLASSES


@pytest.mark.fault
def test_the_files_of_another_set_are_told_how_to_be_trained_on(fashion):
    """The message of `fashion_mnist` for whole files of another set; what it says works."""
    from sdelib.book.data import fashion_mnist

    write_idx(fashion / "FashionMNIST/raw/train-images-idx3-ubyte", bytes_of(60, 28, 28, seed=1))
    with pytest.raises(ValueError, match=r"another data set.*Data\.open.*--data") as error:
        fashion_mnist()
    assert "delete" not in str(error.value)
    with pytest.raises(ValueError, match="another data set"):
        Data.open("fashion-mnist")
    assert Data.open(fashion).form.classes == tuple("0123456789")
