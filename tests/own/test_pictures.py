"""Folders of pictures: as Pillow and torchvision see them, and what is said of a folder that is not
as it should be."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from sdelib.own import pictures
from sdelib.own.data import Data

SUFFIXES = ["png", "jpg", "webp", "bmp", "tif"]


def bytes_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def folder(place, n=6, shape=(9, 7, 3), suffix="png", **how):
    """A folder with n random pictures; the arrays."""
    place.mkdir(parents=True, exist_ok=True)
    raw = bytes_of(n, *shape)
    for k, pixels in enumerate(raw):
        Image.fromarray(pixels).save(place / f"{k:03d}.{suffix}", **how)
    return raw


def as_torchvision(path):
    """As torchvision's ImageFolder loads a picture."""
    from torchvision.datasets.folder import pil_loader

    return np.asarray(pil_loader(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_are_what_torchvision_loads(tmp_path, suffix):
    raw = folder(tmp_path, suffix=suffix)
    found = pictures.read(tmp_path).images
    files = sorted(tmp_path.iterdir())
    assert found.shape == raw.shape and found.dtype == np.uint8
    assert all(np.array_equal(a, as_torchvision(file)) for a, file in zip(found, files))
    if suffix in ("png", "bmp", "tif"):
        assert np.array_equal(found, raw)


def test_flat_or_a_sub_folder_a_class(tmp_path):
    folder(tmp_path / "flat", 20)
    flat = Data.open(tmp_path / "flat")
    assert flat.labels is None and flat.form.shape == (3, 9, 7) and flat.x.array.dtype == np.uint8
    for name, n in (("dog", 5), ("cat", 9), ("äpfel", 12)):
        folder(tmp_path / "sorted" / name, n)
    data = Data.open(str(tmp_path / "sorted") + "/")
    assert data.form.classes == ("cat", "dog", "äpfel")
    counts = np.bincount(data.labels) + np.bincount(data.held_labels, minlength=3)
    assert counts.tolist() == [9, 5, 12] and "cat 9, dog 5, äpfel 12" in data.describe()
    folder(tmp_path / "sorted" / "dog" / "more", 2)  # of a class, as torchvision has it
    assert Data.open(tmp_path / "sorted").labels.bincount().sum() + len(data.held) >= 25
    folder(tmp_path / "one" / "class", 5)
    one = Data.open(tmp_path / "one")
    assert one.labels is None and "one sub-folder, so no classes" in one.describe()


def test_every_mode_of_pillow(tmp_path):
    """A picture of each mode in one folder: all come as colours, and what is transparent on
    white."""
    colour = Image.fromarray(bytes_of(8, 8, 3))
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 255, 0, 200, 0])
    palette.save(tmp_path / "palette_clear.png", transparency=1)
    for name, image in {
        "a_grey": Image.fromarray(bytes_of(8, 8)),
        "b_one": Image.fromarray(np.eye(8) > 0),
        "c_deep": Image.fromarray(np.full((8, 8), 32896, np.uint16)),
        "d_clear": clear,
        "e_half": half,
        "f_palette": palette,
        "g_grey_clear": Image.new("LA", (8, 8), (10, 0)),
    }.items():
        image.save(tmp_path / f"{name}.png")
    colour.convert("CMYK").save(tmp_path / "h_cmyk.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pictures.read(tmp_path)
    names = sorted(p.stem for p in tmp_path.iterdir())
    image = dict(zip(names, found.images))
    assert found.images.shape == (9, 8, 8, 3) and "4 with transparent parts" in found.said
    assert np.array_equal(image["a_grey"][..., 0], bytes_of(8, 8))
    assert np.array_equal(image["b_one"][..., 1], 255 * np.eye(8))
    assert (image["c_deep"] == 128).all()  # 32896/65535; Pillow's own conversion gives 255
    assert (image["d_clear"] == 255).all() and (image["g_grey_clear"] == 255).all()
    assert image["e_half"][0, 0].tolist() == [255, 127, 127]
    assert image["f_palette"][0, 0].tolist() == [0, 200, 0]
    assert image["palette_clear"][0, 0].tolist() == [255, 255, 255]
    grey = pictures.read(tmp_path, grey=True).images
    assert grey.shape == (9, 8, 8) and np.array_equal(grey[names.index("a_grey")], bytes_of(8, 8))


def test_grey_pictures_stay_grey(tmp_path):
    raw = folder(tmp_path, shape=(9, 7))
    assert np.array_equal(pictures.read(tmp_path).images, raw)
    assert Data.open(tmp_path).form.shape == (1, 9, 7)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(tmp_path, turn):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    for suffix in ("jpg", "png", "webp"):
        folder(tmp_path / suffix, 3, (8, 16, 3), suffix, exif=exif)
        found = pictures.read(tmp_path / suffix).images
        with Image.open(tmp_path / suffix / f"000.{suffix}") as image:
            seen = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert np.array_equal(found[0], seen)
        assert found.shape[1:3] == ((8, 16) if turn < 5 else (16, 8))


def test_size_covers_and_cuts_about_the_middle(tmp_path):
    """A wide picture of three stripes keeps the middle one."""
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, 40:80] = 200
    for k in range(4):
        Image.fromarray(np.rot90(stripes, k)).save(tmp_path / f"{k}.png")
    Image.fromarray(stripes.repeat(8, 0).repeat(8, 1)).save(tmp_path / "large.jpg")
    found = pictures.read(tmp_path, size=10).images
    assert found.shape == (5, 10, 10, 3) and (found[:, 2:-2, 2:-2].astype(int) >= 198).all()
    assert pictures.read(tmp_path, size=(6, 18)).images.shape == (5, 6, 18, 3)
    assert pictures.read(tmp_path, size=[np.int64(6), 18], grey=True).images.shape == (5, 6, 18)


def test_colours_that_come_late(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "TOGETHER", 2)  # over the edge of what is decoded together
    raw = folder(tmp_path, 5, (4, 4))
    Image.fromarray(bytes_of(4, 4, 3)).save(tmp_path / "z.png")
    Image.fromarray(raw[0]).save(tmp_path / "zz.png")
    found = pictures.read(tmp_path).images
    assert found.shape == (7, 4, 4, 3) and np.array_equal(found[:5], raw[..., None].repeat(3, -1))
    assert np.array_equal(found[5], bytes_of(4, 4, 3)) and (found[6, ..., 2] == raw[0]).all()


def test_what_is_no_picture_is_passed_over_and_counted(tmp_path):
    folder(tmp_path)
    for name in (".DS_Store", "._000.png", "Thumbs.db", "notes.txt", "labels.json"):
        (tmp_path / name).write_bytes(b"no picture")
    folder(tmp_path / "__MACOSX", 2)
    folder(tmp_path / ".cache", 2)
    found = pictures.read(tmp_path)
    assert len(found.images) == 6 and "2 other files ignored" in found.said


# ---- folders that are not as they should be


BROKEN = {
    "nonsense": b"nonsense",
    "empty": b"",
    "half": None,
}


@pytest.mark.fault
@pytest.mark.parametrize("how", BROKEN)
def test_one_unreadable_picture_is_named_or_left_out(tmp_path, how):
    folder(tmp_path, 6, (40, 40, 3))
    bad = tmp_path / "002.png"
    raw = bad.read_bytes()
    bad.write_bytes(raw[: len(raw) // 2] if how == "half" else BROKEN[how])
    with pytest.raises(ValueError, match=r"002\.png = .*skip_unreadable") as error:
        Data.open(tmp_path)
    assert len(str(error.value)) < 500 and "delete" not in str(error.value)
    data = Data.open(tmp_path, skip_unreadable=True)
    assert len(data.x) + len(data.held) == 5 and "1 that cannot be read left out" in data.describe()


@pytest.mark.fault
def test_no_picture_at_all(tmp_path):
    for path in tmp_path, tmp_path / "sub":
        path.mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=r"has no pictures \(\.png.*give a folder") as error:
            Data.open(path)
        assert str(path) in str(error.value)
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"give the file, mine\.csv"):
        Data.open(tmp_path)
    (tmp_path / "a.png").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="none of its pictures can be read"):
        Data.open(tmp_path, skip_unreadable=True)


@pytest.mark.fault
def test_sizes_that_differ_are_named(tmp_path):
    folder(tmp_path, 4)
    Image.fromarray(bytes_of(30, 20, 3)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"000\.png has 9×7 .*large\.png 30×20: give size="):
        Data.open(tmp_path)
    assert Data.open(tmp_path, size=8).form.shape == (3, 8, 8)


@pytest.mark.fault
def test_folders_that_say_two_things(tmp_path):
    folder(tmp_path / "mixed")
    folder(tmp_path / "mixed" / "sub")
    with pytest.raises(ValueError, match=r"mixed.000\.png lies beside a sub-folder with .*sub"):
        Data.open(tmp_path / "mixed")
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder(tmp_path / "parts" / part / name)
    with pytest.raises(ValueError, match=r"parts.test has no pictures itself.*give one such"):
        Data.open(tmp_path / "parts")
    assert Data.open(tmp_path / "parts" / "train").form.classes == ("a", "b")


@pytest.mark.fault
def test_a_class_with_one_picture(tmp_path):
    folder(tmp_path / "many")
    folder(tmp_path / "few", 1)
    with pytest.raises(ValueError, match=r"class 'few' has 1 example: .*leave the class out"):
        Data.open(tmp_path)


@pytest.mark.fault
@pytest.mark.parametrize(
    "size, words", [(0, "height in size = 0"), ((8, 2.5), "width in size"), ((1, 2, 3), "size = ")]
)
def test_sizes_that_are_none(tmp_path, size, words):
    folder(tmp_path)
    with pytest.raises(ValueError, match=words):
        Data.open(tmp_path, size=size)


@pytest.mark.fault
def test_pictures_that_are_all_one_colour(tmp_path):
    for k in range(4):
        Image.new("RGB", (4, 4), "black").save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match="range.*every pixel of every image is the same"):
        Data.open(tmp_path)


@pytest.mark.fault
def test_a_hostile_folder_becomes_data_or_a_sentence(tmp_path):
    """Mixed sizes, a corrupt file, a palette, one class."""
    raw = folder(tmp_path / "things", 4, (12, 9, 3))
    Image.fromarray(raw[0]).resize((30, 5)).save(tmp_path / "things" / "wide.jpg")
    Image.fromarray(raw[0]).convert("P").save(tmp_path / "things" / "palette.png")
    (tmp_path / "things" / "corrupt.webp").write_bytes(b"RIFF\0\0\0\0WEBP")
    said = []
    for how in ({}, {"skip_unreadable": True}, {"size": 6}):
        with pytest.raises(ValueError) as error:
            Data.open(tmp_path, **how)
        said.append(str(error.value))
    assert "corrupt.webp" in said[0] and "wide.jpg" in said[1] and "corrupt.webp" in said[2]
    data = Data.open(tmp_path, size=6, skip_unreadable=True)
    assert data.form.shape == (3, 6, 6) and len(data.x) + len(data.held) == 6
    assert len(data.describe().splitlines()) == 5


def test_nothing_is_written_beside_the_pictures(tmp_path):
    folder(tmp_path)
    before = sorted((p.name, os.stat(p).st_mtime_ns) for p in tmp_path.iterdir())
    Data.open(tmp_path)
    assert before == sorted((p.name, os.stat(p).st_mtime_ns) for p in tmp_path.iterdir())
