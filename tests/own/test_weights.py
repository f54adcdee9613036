"""Bundled weights: what is saved comes back, and a damaged file is refused by name, with its
mend."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import torch

from sdelib.book.classifier import GarmentClassifier
from sdelib.families import VE, VP, SubVP
from sdelib.flow_matching import StraightPath
from sdelib.networks import Denoiser, ScoreMLP, ScoreUNet, VelocityMLP
from sdelib.own import specs, weights


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    return tmp_path


def random(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    return network


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScoreMLP(VE(0.02, 7.0, T=2.0), dim=3, width=16, data_mean=0.1, data_std=0.9),
        lambda: ScoreUNet(VE.power(25.0), (16, 24)),
        lambda: ScoreUNet(VP(0.2, 15.0), (16, 24), data_mean=0.1, data_std=0.2),
        lambda: ScoreMLP(SubVP(), width=16),
        lambda: GarmentClassifier(8, 12),
    ],
)
def test_round_trip_in_half_precision(bundled, make):
    network = random(make())
    path = weights.save("net", network, {"steps": 3, "command": "x"})
    assert path == bundled / "net.safetensors" and weights.names() == ["net"]
    back = weights.load("net")
    assert type(back) is type(network) and back.config == network.config
    if hasattr(network, "sde"):
        assert back.sde == network.sde and type(back.sde) is type(network.sde)
    for (name, p), q in zip(network.state_dict().items(), back.state_dict().values()):
        assert q.dtype == torch.float32 and torch.equal(q, p.half().float()), (
            name
        )  # exactly what half precision keeps
    assert not back.training and not any(p.requires_grad for p in back.parameters())
    assert weights.provenance("net") == {"steps": 3, "command": "x"}
    whole = sum(v.numel() for v in network.state_dict().values())
    assert path.stat().st_size < 2 * whole + 20_000  # two bytes a number, and the header


def test_the_file_is_safetensors_and_not_pickle(bundled):
    path = weights.save("net", ScoreMLP(VP(), width=16), {})
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "out.weight" in header and header["out.weight"]["dtype"] == "F16"
    assert not zipfile.is_zipfile(path) and not raw.startswith(b"\x80")
    assert path.stat().st_mode & 0o777 == 0o644  # others may read what a package installs


def test_saving_again_replaces_the_hash(bundled):
    weights.save("a", ScoreMLP(VP(), width=16), {})
    weights.save("b", ScoreMLP(VP(), width=16), {})
    first = weights.sums()["a.safetensors"]
    weights.save("a", random(ScoreMLP(VP(), width=16)), {})
    assert weights.names() == ["a", "b"] and weights.sums()["a.safetensors"] != first
    weights.load("a"), weights.load("b")


def test_an_unknown_name(bundled):
    weights.save("net", ScoreMLP(VP(), width=16), {})
    with pytest.raises(ValueError, match=r"called 'other'; there are \['net'\]"):
        weights.load("other")
    with pytest.raises(ValueError, match=r"called 'other.npz'; there are"):
        weights.checked("other.npz")


@pytest.mark.fault
def test_a_missing_file(bundled):
    weights.save("net", ScoreMLP(VP(), width=16), {}).unlink()
    with pytest.raises(ValueError, match=r"net\.safetensors is missing: .*git checkout"):
        weights.load("net")


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["one bit", "truncated", "empty"])
def test_a_damaged_file(bundled, damage):
    path = weights.save("net", ScoreMLP(VP(), width=16), {})
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(
        {"one bit": bytes(raw), "truncated": raw[: len(raw) // 2], "empty": b""}[damage]
    )
    with pytest.raises(
        ValueError, match=r"net\.safetensors is damaged: its SHA-256 is .*git checkout"
    ):
        weights.load("net")
    with pytest.raises(ValueError, match="damaged"):
        weights.provenance("net")


def test_a_truncated_file_whose_hash_was_recorded(bundled):
    """The hash is right, the content is not: the reader of safetensors says so, as a ValueError
    with the name."""
    path = weights.save("net", ScoreMLP(VP(), width=16), {})
    path.write_bytes(path.read_bytes()[:400])
    weights.record(path.name)
    with pytest.raises(ValueError, match=r"net\.safetensors is not a whole safetensors file"):
        weights.load("net")


def spec_of(name):
    return json.loads(weights.read_tensors(weights.checked(f"{name}.safetensors"))[1]["spec"])


def with_spec(folder, spec):
    tensors, _ = weights.read_tensors(folder / "net.safetensors")
    weights.write_tensors(folder / "net.safetensors", tensors, {"spec": json.dumps(spec)})
    weights.record("net.safetensors")


def test_the_file_says_how_its_network_is_rebuilt(bundled):
    weights.save("net", ScoreMLP(VE(0.02, 7.0), dim=3, width=16, data_mean=0.5), {})
    sde = {"class": "sdelib.families.VE", "sigma_min": 0.02, "sigma_max": 7.0, "T": 1.0}
    config = {"sde": sde, "dim": 3, "width": 16, "data_mean": 0.5, "data_std": 1.0}
    assert spec_of("net") == {"class": "sdelib.networks.ScoreMLP", "config": config}


def test_a_file_that_names_its_class_by_a_former_name_is_still_read(bundled):
    weights.save("net", Denoiser((16, 16)), {})
    assert spec_of("net")["class"] == "sdelib.networks.Denoiser"
    for old, new in specs.MOVED.items():
        with_spec(bundled, spec_of("net") | {"class": old})
        assert new == "sdelib.networks.Denoiser" and type(weights.load("net")) is Denoiser


def test_weights_are_float32_whatever_the_default_is(bundled, float64):
    weights.save("net", ScoreMLP(VP(), width=16).float(), {})
    assert {v.dtype for v in weights.load("net").state_dict().values()} == {torch.float32}


@pytest.mark.fault
@pytest.mark.parametrize(
    "name",
    [
        "sdelib.networks.Transformer",  # no such class
        "sdelib.transformers.Transformer",  # no such module
        "sdelib.own.weights.atomic",  # a function
        "sdelib.own.weights.Path",  # a class, but neither a network nor a dataclass
        "sdelib.Path",
        "sdelibrary.Network",
        "Transformer",
        "",
    ],
)
def test_weights_of_a_class_that_is_not_there(bundled, name):
    weights.save("net", ScoreMLP(VP(), width=16), {})
    with_spec(bundled, {"class": name, "config": {}})
    with pytest.raises(ValueError, match=re.escape(f"class = {name!r}")):
        weights.load("net")


@pytest.mark.fault
def test_a_module_outside_the_package_is_not_even_imported(bundled, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    weights.save("net", ScoreMLP(VP(), width=16), {})
    spec = spec_of("net")
    for wrong in (
        spec | {"class": "stranger.Net"},
        spec | {"config": spec["config"] | {"sde": {"class": "stranger.SDE"}}},
    ):
        with_spec(bundled, wrong)
        with pytest.raises(ValueError, match="stranger"):
            weights.load("net")


@pytest.mark.fault
def test_a_file_of_an_earlier_version_says_what_to_do(bundled):
    weights.save("net", ScoreMLP(VP(), width=16), {})
    with_spec(bundled, {"class": "ScoreMLP", "width": 16, "sde": {"class": "VP"}})
    with pytest.raises(ValueError, match=r"net\.safetensors .*tools/once/\w+\.py"):
        weights.load("net")


@pytest.mark.fault
def test_other_arguments_or_other_tensors(bundled):
    weights.save("net", ScoreMLP(VP(), width=16), {})
    spec = spec_of("net")
    for change in ({"deep": 3}, {"depth": 4}, {"width": 8}):
        with_spec(bundled, spec | {"config": spec["config"] | change})
        with pytest.raises(ValueError, match=r"net\.safetensors"):
            weights.load("net")


@pytest.mark.fault
def test_a_network_that_could_not_be_loaded_again_is_not_saved(bundled):
    class Mine(ScoreMLP):
        pass

    for network, word in ((torch.nn.Linear(2, 2), "config"), (Mine(VP(), width=16), "Mine")):
        with pytest.raises(ValueError, match=word):
            weights.save("net", network, {})
    assert list(bundled.iterdir()) == []


def test_tensors_that_are_no_network(bundled):
    weights.write_tensors(bundled / "moments.safetensors", {"mean": torch.zeros(1)}, {})
    weights.record("moments.safetensors")
    with pytest.raises(ValueError, match=r"moments\.safetensors holds \['mean'\], and no network"):
        weights.load("moments")


# ---- a file of one's own


def test_a_slash_or_a_suffix_makes_a_file():
    files = ["./a", "a.b", "x/y", Path("a"), Path("..") / "a"]
    assert [weights.own(name) for name in files] == [Path(name) for name in files]
    assert not any(map(weights.own, ("a", "a é", "..", ".x", "")))
    assert weights.own("~/a") == Path.home() / "a"


class Own(torch.nn.Module):
    """No `config`, two layers that share a weight, a buffer."""

    def __init__(self, width=4):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        )
        self.body[1].weight = self.body[0].weight
        self.register_buffer("seen", torch.arange(width))


@pytest.mark.parametrize("name", ["net.safetensors", "deep/net", "ünd so.weights"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ScoreMLP(VP(), width=16),
        lambda: ScoreUNet(StraightPath(), (16, 24)),
        lambda: VelocityMLP(StraightPath(), width=16),
        lambda: Denoiser((16, 16), classes=0),
    ],
)
def test_a_file_keeps_the_precision_of_training(bundled, make, dtype, name):
    network = random(make()).to(dtype)
    path = weights.save(bundled / name, network)
    assert path == bundled / name and weights.names() == [] and weights.provenance(path) == {}
    for there in (path, str(path)):
        back = weights.load(there)
        assert type(back) is type(network) and back.config == network.config
        for key, p in network.state_dict().items():
            q = back.state_dict()[key]
            assert q.dtype == p.dtype and torch.equal(p, q), key
        assert not back.training and not any(p.requires_grad for p in back.parameters())


@pytest.mark.parametrize("make", [lambda: ScoreUNet(StraightPath(), (16, 24)), VelocityMLP])
def test_a_network_of_any_path_is_bundled_and_loaded(bundled, make):
    network = make(StraightPath()) if make is VelocityMLP else make()
    weights.save("net", network)
    assert weights.load("net").config == network.config


def test_a_network_of_a_class_of_ones_own(bundled):
    """Nothing outside the package is imported: the file fills a network that is given."""
    network = random(Own())
    facts = {"class_names": ["a", "b"], "shape": [1, 8, 8], "range": [-1.0, 1.0]}
    path = weights.save(bundled / "own.safetensors", network, {"steps": 3}, data=facts)
    assert weights.provenance(path) == {"steps": 3} and weights.data_of(path) == facts
    back = weights.load(path, Own())
    assert back.body[0].weight is back.body[1].weight and torch.equal(back.seen, network.seen)
    assert torch.equal(back.body[0].weight, network.body[0].weight)
    with pytest.raises(ValueError, match=r"own\.safetensors.*Own.*load\("):
        weights.load(path)
    with pytest.raises(ValueError, match=r"(?s)own\.safetensors .*size mismatch"):
        weights.load(path, Own(5))
    assert weights.data_of(weights.save(bundled / "b.safetensors", network)) == {}


@pytest.mark.fault
def test_a_file_of_ones_own_that_is_not_there_or_damaged(bundled):
    with pytest.raises(ValueError, match="name = .*gone.safetensors"):
        weights.load(bundled / "gone.safetensors")
    with pytest.raises(ValueError, match="name = .*folder"):
        weights.save(bundled, Own())
    path = weights.save(bundled / "net.safetensors", ScoreMLP(VP(), width=16))
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"net\.safetensors is not a whole") as error:
        weights.load(path)
    assert "delete" not in str(error.value)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["..", ".x", ""])
def test_a_bundled_name_is_a_bare_one(bundled, name):
    with pytest.raises(ValueError, match=re.escape(f"name = {name!r}")):
        weights.save(name, ScoreMLP(VP(), width=16))
    assert list(bundled.iterdir()) == []


@pytest.mark.fault
def test_atomic_leaves_all_or_nothing(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    weights.atomic(target, lambda p: p.write_text("one", encoding="utf-8"))
    assert target.read_text(encoding="utf-8") == "one"

    def half(p):
        p.write_text("tw", encoding="utf-8")
        assert (
            target.read_text(encoding="utf-8") == "one" and p.parent == target.parent
        )  # written beside it, so the rename is atomic
        raise RuntimeError

    with pytest.raises(RuntimeError):
        weights.atomic(target, half)
    assert target.read_text(encoding="utf-8") == "one" and list(target.parent.iterdir()) == [target]


def test_every_bundled_file_is_whole():
    """What this checkout bundles: each file is listed, and has its hash; each network loads and
    says its provenance."""
    known = weights.sums()
    there = (
        {p.name for p in weights.BUNDLED.iterdir() if p.name != "SHA256SUMS"}
        if weights.BUNDLED.exists()
        else set()
    )
    assert there == known.keys()
    for name in known:
        weights.checked(name)
    for name in weights.names():
        if "spec" in weights.read_tensors(weights.checked(f"{name}.safetensors"))[1]:
            weights.load(name)
            assert {"command", "data", "steps", "seed", "date"} <= weights.provenance(
                name
            ).keys(), name
