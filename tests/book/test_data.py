"""Where the images come from, what happens when they cannot be had, and the point sets."""

import math
import re
import shutil
import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import REAL

from sdelib.book.data import CLASSES, checkerboard, fashion_mnist, swiss_roll, two_moons
from sdelib.own import garments, weights

real_data = [
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="Fashion-MNIST is not here"),
]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No variable, an empty cache, no network."""

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv("SDELIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.download", no_network)
    return tmp_path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The bundled fallback, or one made here while there is none."""
    if not (weights.BUNDLED / "fallback.npz").exists():
        folder = tmp_path / "bundled"
        folder.mkdir()
        random = np.random.default_rng(0)
        np.savez_compressed(
            folder / "fallback.npz",
            images=random.integers(0, 256, (2500, 28, 28), dtype=np.uint8),
            labels=random.integers(0, 10, 2500, dtype=np.uint8),
        )
        monkeypatch.setattr(weights, "BUNDLED", folder)
        weights.record("fallback.npz")
    return weights.BUNDLED


# ---- the stand-in


def is_stand_in(found, n):
    assert not found.real and "not Fashion-MNIST" in found.source
    assert (
        len(found) == n
        and found.images.shape == (n, 1, 28, 28)
        and found.images.dtype == torch.float32
    )
    assert found.labels.shape == (n,) and found.labels.dtype == torch.int64
    assert float(found.images.min()) >= 0 and float(found.images.max()) <= 1
    assert set(found.labels.tolist()) <= set(range(10))


@pytest.mark.fault
def test_without_network_there_is_a_notice_and_the_stand_in(alone, stand_in):
    with pytest.warns(
        UserWarning,
        match=r"Fashion-MNIST cannot be had: the download .*no route to host.*not Fashion-MNIST",
    ):
        train = fashion_mnist()
    with pytest.warns(UserWarning, match="cannot be had"):
        test = fashion_mnist(train=False)
    assert len(train) + len(test) >= 2000
    is_stand_in(train, len(train))
    is_stand_in(test, 500)
    # the two parts share no image
    assert not set(map(bytes, train.images.numpy())) & set(map(bytes, test.images.numpy()))


def test_the_notice_points_at_the_caller(alone, stand_in):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fashion_mnist()
    assert [Path(w.filename).name for w in caught if "Fashion-MNIST" in str(w.message)] == [
        "test_data.py"
    ]


def test_download_false_and_the_variable_say_why(alone, stand_in, monkeypatch):
    with pytest.warns(UserWarning, match="download=False"):
        is_stand_in(fashion_mnist(download=False, train=False), 500)
    monkeypatch.setenv("SDELIB_DATA", "fallback")
    with pytest.warns(UserWarning, match="SDELIB_DATA=fallback"):
        is_stand_in(fashion_mnist(train=False), 500)


def test_an_empty_variable_is_no_root(alone, stand_in, monkeypatch):
    monkeypatch.setenv("SDELIB_DATA", "")
    with pytest.warns(UserWarning, match="the download"):
        fashion_mnist()


@pytest.mark.fault
@pytest.mark.parametrize("download", [True, False])
def test_without_a_home_folder_there_is_a_notice_and_the_stand_in(
    alone, stand_in, monkeypatch, download
):
    """HOME is unset, and the user has no entry in the list of users."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.warns(UserWarning, match="no home folder.*SDELIB_DATA"):
        is_stand_in(fashion_mnist(train=False, download=download), 500)
    with pytest.raises(ValueError, match="root = '~/data'"):
        fashion_mnist(root="~/data")


@pytest.mark.fault
def test_a_failed_download_restores_the_timeout(alone, stand_in):
    before = socket.getdefaulttimeout()
    with pytest.warns(UserWarning):
        fashion_mnist()
    assert socket.getdefaulttimeout() == before


@pytest.mark.fault
def test_a_damaged_stand_in_is_named(alone, stand_in, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(stand_in, folder)
    monkeypatch.setattr(weights, "BUNDLED", folder)
    raw = bytearray((folder / "fallback.npz").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "fallback.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=r"fallback\.npz is damaged"):
        fashion_mnist()


def test_the_bundled_stand_in_is_small():
    path = weights.BUNDLED / "fallback.npz"
    if not path.exists():
        pytest.skip("no fallback.npz is bundled yet")
    assert path.stat().st_size <= 1_000_000
    with np.load(path, allow_pickle=False) as f:
        assert len(f["images"]) >= 2000 and f["images"].dtype == np.uint8


# ---- where it is looked for


@pytest.mark.fault
@pytest.mark.parametrize("how", ["root", "variable"])
def test_a_root_without_data_is_named(alone, tmp_path, monkeypatch, how):
    empty = tmp_path / "empty"
    empty.mkdir()
    if how == "variable":
        monkeypatch.setenv("SDELIB_DATA", str(empty))
    with pytest.raises(
        ValueError,
        match=r"root = '.*empty' has no Fashion-MNIST: FashionMNIST/raw/ with .*train-images",
    ):
        fashion_mnist(root=empty if how == "root" else None)


def copy_of(folder: Path, part: str = "t10k") -> Path:
    """The real files whose names begin with `part` ("t": all four) under `folder`, as torchvision
    keeps them."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in garments.SHA256:
        if name.startswith(part):
            shutil.copy(REAL / "FashionMNIST" / "raw" / name, raw / name)
            (raw / name).chmod(0o644)
    return raw


class TestReal:
    pytestmark = real_data

    def test_train_and_test(self):
        train, test = fashion_mnist(root=REAL), fashion_mnist(root=REAL, train=False)
        for found, n in ((train, 60_000), (test, 10_000)):
            assert found.real and f"{n:,} images" in found.source
            assert found.images.shape == (n, 1, 28, 28) and found.images.dtype == torch.float32
            assert float(found.images.min()) == 0 and float(found.images.max()) == 1
            assert torch.bincount(found.labels).tolist() == [n // 10] * 10
        # the numbers that ScoreUNet's defaults and the book state, to three digits
        assert round(float(train.images.double().mean()), 3) == 0.286
        assert round(float(train.images.double().std()), 3) == 0.353

    def test_order_root_then_variable_then_cache(self, alone, monkeypatch):
        copy_of(alone / "cache" / "sdelib", "t")
        assert fashion_mnist(train=False).real  # the cache, without a network
        monkeypatch.setenv("SDELIB_DATA", str(alone / "nowhere"))
        with pytest.raises(ValueError, match="nowhere"):  # the variable goes before the cache
            fashion_mnist(train=False)
        assert fashion_mnist(root=REAL, train=False).real  # and the root before the variable

    @pytest.mark.fault
    @pytest.mark.parametrize("where", ["root", "cache"])
    @pytest.mark.parametrize("damage", ["one bit", "half", "empty"])
    def test_a_damaged_file_is_named_with_its_mend(self, alone, where, damage):
        folder = alone / "cache" / "sdelib" if where == "cache" else alone / "mine"
        path = copy_of(folder, "t") / "t10k-images-idx3-ubyte"
        raw = bytearray(path.read_bytes())
        raw[5000] ^= 1
        path.write_bytes({"one bit": raw, "half": raw[: len(raw) // 2], "empty": b""}[damage])
        with pytest.raises(ValueError, match=re.escape(str(path))) as error:
            fashion_mnist(root=folder if where == "root" else None, train=False)
        said = str(error.value)
        assert ("another data set" in said) == (damage == "one bit")  # its length is right
        assert "another root" in said and "delete" not in said

    @pytest.mark.fault
    def test_the_files_of_another_data_set_are_told_from_damaged_ones(self, alone):
        """MNIST and KMNIST have the names, the lengths and the shapes of Fashion-MNIST's files."""
        raw = copy_of(alone / "mine", "t")
        for name, header in (
            ("t10k-images-idx3-ubyte", (3, 10_000, 28, 28)),
            ("t10k-images-idx3-ubyte", (3, 7, 10, 10)),
            ("t10k-labels-idx1-ubyte", (1, 10_000)),
        ):
            before, (axes, *lengths) = (raw / name).read_bytes(), header
            head = bytes([0, 0, 8, axes]) + b"".join(k.to_bytes(4, "big") for k in lengths)
            (raw / name).write_bytes(head + bytes(math.prod(lengths)))
            with pytest.raises(ValueError, match=f"{name} .*another data set.*Data.open"):
                fashion_mnist(root=alone / "mine", train=False)
            (raw / name).write_bytes(before)

    @pytest.mark.parametrize("how", ["root", "variable", "cache"])
    def test_a_tilde_is_the_home_folder(self, alone, monkeypatch, how):
        monkeypatch.setenv("HOME", str(alone))
        copy_of(alone / ("mine/sdelib" if how == "cache" else "mine"), "t")
        names = {"root": "", "variable": "SDELIB_DATA", "cache": "XDG_CACHE_HOME"}
        if how != "root":
            monkeypatch.setenv(names[how], "~/mine")
        assert fashion_mnist(root="~/mine" if how == "root" else None, train=False).real

    @pytest.mark.fault
    def test_a_missing_file_is_named(self, alone):
        (copy_of(alone / "mine", "t") / "train-labels-idx1-ubyte").unlink()
        for train in (True, False):  # torchvision wants all four files, whichever part is read
            with pytest.raises(ValueError, match="no Fashion-MNIST: .*train-labels-idx1-ubyte"):
                fashion_mnist(root=alone / "mine", train=train)

    @pytest.mark.fault
    def test_half_a_cache_is_no_cache(self, alone, stand_in):
        copy_of(alone / "cache" / "sdelib")
        with pytest.warns(UserWarning, match="the download .*no route to host"):
            assert not fashion_mnist(train=False).real

    def test_a_download_fills_the_cache(self, alone, monkeypatch):
        """torchvision's download, with the four files served from here instead of the network."""

        def serve(self):
            raw = copy_of(Path(self.root), "t")
            assert all((raw / name).exists() for name in garments.SHA256)

        monkeypatch.setattr("torchvision.datasets.FashionMNIST.download", serve)
        assert len(fashion_mnist(train=False)) == 10_000
        monkeypatch.setattr("torchvision.datasets.FashionMNIST.download", None)
        assert len(fashion_mnist(train=False)) == 10_000  # the second time from the cache


# ---- point sets


def draw(f, n=20_000, seed=0, **options):
    x = f(n, generator=torch.Generator().manual_seed(seed), **options)
    assert x.shape == (n, 2) and x.dtype == torch.float32 and bool(torch.isfinite(x).all())
    assert torch.equal(x, f(n, generator=torch.Generator().manual_seed(seed), **options))
    assert not torch.equal(x, f(n, generator=torch.Generator().manual_seed(seed + 1), **options))
    return x.double()


def test_checkerboard():
    x = draw(checkerboard)
    assert float(x.abs().max()) <= 2
    cell = (x.floor().long() + 2).clamp(0, 3)
    assert bool((cell.sum(1) % 2 == 0).all())  # dark squares only
    counts = torch.bincount(cell[:, 0] * 4 + cell[:, 1], minlength=16)
    counts = counts[counts > 0].double()
    assert len(counts) == 8
    # 5 standard deviations of a binomial with p = 1/8
    assert float((counts - 2500).abs().max()) < 5 * math.sqrt(20_000 / 8 * 7 / 8)


def test_two_moons():
    x = draw(two_moons, noise=0.0)
    upper = (x + torch.tensor([0.5, 0.25])).norm(dim=1).sub(1).abs() < 1e-5
    lower = (x - torch.tensor([0.5, 0.25])).norm(dim=1).sub(1).abs() < 1e-5
    assert bool((upper | lower).all())  # on the two circles of radius 1
    assert bool(
        (x[upper & ~lower][:, 1] > -0.2501).all() and (x[lower & ~upper][:, 1] < 0.2501).all()
    )  # on their halves
    assert abs(float(upper.double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(20_000)
    # centred: the mean of sin over a half circle is 2/π, so each half has its mean at ±(2/π − ¼),
    # cancelling
    assert bool((x.mean(0).abs() < 5 * x.std(0) / math.sqrt(20_000)).all())
    # the two halves interleave: each reaches into the other's hollow
    assert float(x[upper][:, 0].max()) == pytest.approx(0.5, abs=0.01) and float(
        x[lower][:, 0].min()
    ) == pytest.approx(-0.5, abs=0.01)


def test_swiss_roll():
    x = draw(swiss_roll, noise=0.0)
    r = x.norm(dim=1)
    assert float(r.min()) >= 0.5 - 1e-5 and float(r.max()) <= 1.5 + 1e-5
    phi = 3 * math.pi * r
    torch.testing.assert_close(
        x, r[:, None] * torch.stack([phi.cos(), phi.sin()], 1), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("f", [two_moons, swiss_roll])
def test_noise_is_added(f):
    n, noise = 20_000, 0.2
    # the same draws up to the noise, which comes last
    clean, noisy = draw(f, noise=0.0), draw(f, noise=noise)
    assert abs(float((noisy - clean).std()) / noise - 1) < 5 / math.sqrt(2 * 2 * n)


@pytest.mark.fault
@pytest.mark.parametrize("f", [two_moons, swiss_roll, checkerboard])
def test_what_no_points_can_be_drawn_from(f, generator):
    for wrong in (None, 0, "generator"):
        with pytest.raises(ValueError, match=f"generator = {wrong!r}"):
            f(5, generator=wrong)
    for wrong in (0, 2.0, True):
        with pytest.raises(ValueError, match=f"n = {wrong}"):
            f(wrong, generator=generator)
    assert f(np.int64(5), generator=generator).shape == (5, 2)
    if f is not checkerboard:
        with pytest.raises(ValueError, match="noise = -1"):
            f(5, noise=-1, generator=generator)


def test_classes():
    assert len(CLASSES) == len(set(CLASSES)) == 10
