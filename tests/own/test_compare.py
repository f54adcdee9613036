"""A comparison: known answers for points, pictures and tables, and what it refuses."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sdelib.own.cases import Case
from sdelib.own.compare import compare
from sdelib.own.data import Data
from sdelib.own.given import as_given
from sdelib.own.told import AGREEMENT, CLOSE, DISTANCE, FRECHET, KID, NEAREST, number

ROWS = [DISTANCE, NEAREST, CLOSE]
MIX = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0.5, 2]])


def normal(n, seed, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(n, 3, generator=g) @ MIX.T + shift).numpy()


@pytest.fixture(scope="module")
def points():
    return Data.of(normal(4000, 0))


@pytest.fixture(scope="module")
def judged(points):
    """Fresh draws of the law, 300 of them: fewer than the 400 that are held out."""
    return compare(normal(300, 1), points)


def test_samples_of_the_law_and_a_gaussian_of_gaussian_data_are_at_the_floor(judged):
    """Both ratios are 1 within 4 of their own errors, which are small enough to say something; of
    no real example is used twice, so nothing pulls them below."""
    row = judged[DISTANCE]
    assert row.n == 300 and judged.against == "examples held out"
    assert abs(row.ratio - 1) < 4 * row.ratio_error < 1
    error = math.hypot(row.gaussian_error, row.real_error)
    assert abs(row.gaussian - row.real) < 4 * error < row.real
    assert not judged.neighbours.copying and abs(judged[NEAREST].ratio - 1) < 0.3
    assert "No copying" in judged.say()


def test_the_ratio_of_equal_laws_is_one_on_average_and_its_error_is_honest():
    """Twelve data sets and samples of one law: the mean ratio is 1 within 4 of its errors, and the
    stated error is at least the spread and at most √2 times it, within the noise of twelve."""
    g, told = torch.Generator().manual_seed(5), []
    for k in range(12):
        data, x = (torch.randn(n, 3, generator=g) @ MIX.T for n in (800, 60))
        data = Data.of(data)
        x = data.form.encode(x)
        told.append(Case(data, x, None, k, torch.Generator().manual_seed(k)).distance())
    ratio, error = torch.tensor([(row.ratio, row.ratio_error) for row in told]).T
    spread = float(ratio.std())
    assert abs(float(ratio.mean()) - 1) < 4 * spread / math.sqrt(12) < 0.5
    assert 1 / 2 < float(error.square().mean().sqrt()) / spread < 2 * math.sqrt(2)


@pytest.mark.parametrize(
    "ratio, words",
    [(1.1, "not told from"), (1.5, "farther than real"), (0.5, "do they repeat the training part")],
)
def test_the_words_follow_the_ratio(judged, ratio, words):
    row = replace(judged[DISTANCE], ratio=ratio, ratio_error=0.1)
    said = replace(judged, rows=(row, *judged.rows[1:])).say()
    assert words in said and f"{ratio:.2f} ± 0.10 times" in said


def test_the_distance_of_a_shift_is_its_length(points):
    """Along u a shift m is |uᵀm|, of mean square ‖m‖²/d; beside it the floor, and the spread of 128
    random directions, 5·√(2/128)/√... of it: within a tenth each way by far."""
    m = 10.0
    told = compare(normal(300, 2, m), points)[DISTANCE]
    x = points.form.encode(normal(2, 2, m)) - points.form.encode(normal(2, 2))
    length = float(x[0].norm()) / math.sqrt(3)
    # (uᵀm)²/‖m‖² has mean 1/3 and variance 4/45 in three dimensions
    spread = math.sqrt(4 / 45 / 128) / (2 / 3)
    assert told.samples == pytest.approx(length, rel=5 * spread + told.real / length)
    assert told.ratio > 5 and told.samples - told.samples_error > told.gaussian


def test_copies_are_called_copies_and_held_out_examples_are_not(points):
    copies = compare(points.batch(torch.arange(300)), points)
    assert copies.neighbours.copying and copies[NEAREST].samples == 0
    assert "They are copying" in copies.say() and copies.to_json()["neighbours"]["copying"]
    assert copies.neighbours.held == 400 and len(copies.neighbours.index) == copies.neighbours.n
    held = compare(points.batch(torch.arange(300), held=True), points)
    assert not held.neighbours.copying and "No copying" in held.say()


def test_it_is_told_in_a_table_in_words_and_in_json(judged):
    lines = judged.table().splitlines()
    assert len(lines) == 1 + len(judged.rows) and lines[1].startswith(DISTANCE)
    facts = json.loads(json.dumps(judged.to_json(), allow_nan=False))
    assert [r["measure"] for r in facts["rows"]][: len(ROWS)] == ROWS
    assert facts["rows"][0]["samples"] == judged[DISTANCE].samples
    assert facts["rows"][1]["gaussian"] is None
    assert [r.measure for r in judged.rows if not r.samples_error > 0] == []
    with pytest.raises(ValueError, match="measure = 'FID'"):
        judged["FID"]
    assert number(0.1234, 0.0123) == "0.123 ± 0.012" and number(math.nan) == "—"


def test_the_same_seed_gives_the_same_figures(points, judged):
    again, other = (compare(normal(300, 1), points, seed=s) for s in (0, 1))
    assert again.rows == judged.rows and other.rows != judged.rows


# ---- classes


def dots(n, seed, share=0.5):
    """Pictures 12×12×3 with a red square (class 0) or a green one (class 1) somewhere."""
    g = np.random.default_rng(seed)
    y = (g.random(n) >= share).astype(np.int64)
    x = g.integers(0, 60, (n, 12, 12, 3), dtype=np.uint8)
    for k, (i, j) in enumerate(g.integers(0, 8, (n, 2))):
        x[k, i : i + 4, j : j + 4, y[k]] += 150
    return x, torch.from_numpy(y)


@pytest.fixture(scope="module")
def pictures():
    x, y = dots(900, 0, 0.7)
    return Data.of(x, y.numpy(), classes=("red", "green"))


def colour(x):
    """A classifier whose answer is known: the channel that is brighter."""
    return x.mean((2, 3))[:, :2] * 100


@pytest.fixture(scope="module")
def coloured(pictures):
    """Fresh pictures, half of each class where the data have 7 to 3; 12 of 80 labels are wrong."""
    x, y = dots(80, 1)
    asked = y.clone()
    asked[:12] = 1 - asked[:12]
    return compare(SimpleNamespace(x=as_given(x, pictures)[0], labels=asked), pictures,
                   classifier=colour)  # fmt: skip


def test_the_share_that_is_as_asked(coloured):
    row = coloured[AGREEMENT]
    assert row.samples == pytest.approx(68 / 80) and row.real == 1.0
    assert row.samples_error == pytest.approx(math.sqrt((69 / 82) * (13 / 82) / 80))
    assert 0 < row.real_error < 0.05 and "drawn class by class" in coloured.say()


def test_features_have_their_floors(coloured):
    kid, frechet = coloured[KID], coloured[FRECHET]
    assert abs(kid.samples - kid.real) < 5 * math.hypot(kid.samples_error, kid.real_error)
    assert math.isnan(kid.ratio) and frechet.real > 0 and frechet.real_error > 0


def test_the_floor_has_the_classes_of_the_samples(pictures):
    """One class only: against all pictures it would be far, against its own it is at the floor; the
    Gaussian is then fitted to that class too."""
    x, y = dots(400, 2)
    green = x[y.numpy() == 1][:60]
    one = compare(green, pictures, labels=torch.ones(60), classifier=False)[DISTANCE]
    none = compare(green, pictures, classifier=False)[DISTANCE]
    assert abs(one.ratio - 1) < 4 * one.ratio_error
    assert none.ratio > 1 + 4 * none.ratio_error and none.samples > one.samples


def test_a_small_classifier_is_trained_where_there_is_none():
    (x, y), (real, classes) = dots(40, 3), dots(240, 4)
    told = compare(x, Data.of(real, classes.numpy(), hold=0.3), labels=y)
    assert told[AGREEMENT].samples > 0.9 and told[AGREEMENT].real > 0.9
    assert {KID, FRECHET} <= {r.measure for r in told.rows}


def test_any_embed_stands_in(points):
    told = compare(normal(300, 1), points, embed=lambda x: torch.cat([x, x.square()], 1))
    row = told[KID]
    assert abs(row.samples - row.real) < 5 * math.hypot(row.samples_error, row.real_error)
    assert AGREEMENT not in {r.measure for r in told.rows} and told[FRECHET].n == 300


# ---- other kinds


def test_a_table_and_a_series_are_compared_as_they_are_written():
    pandas = pytest.importorskip("pandas")
    g = np.random.default_rng(4)
    made = lambda n: pandas.DataFrame(
        {"size": g.normal(5, 2, n), "count": g.integers(0, 9, n), "kind": g.choice([*"abc"], n)}
    )
    table = Data.of(made(300))
    told = compare(made(60), table)[DISTANCE]
    assert abs(told.ratio - 1) < 4 * told.ratio_error and math.isfinite(told.gaussian)
    # a network's numbers are made into values of the table first
    x = table.batch(torch.arange(60)) + 1e-3
    assert torch.equal(as_given(x, table)[0], table.form.encode(table.form.decode(x)))
    waves = np.sin(g.random((300, 1)) * 6 + np.arange(24) / 4)
    series = Data.of(waves[:260], kind="series")
    told = compare(waves[260:], series)
    assert abs(told[DISTANCE].ratio - 1) < 4 * told[DISTANCE].ratio_error
    assert told.against == "all examples, trained on or held out"  # 26 are held out, 40 samples


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"samples": torch.zeros(19, 3, 12, 12)}, r"len\(samples\) = 19"),
        ({"samples": torch.zeros(30, 1, 12, 12)}, r"samples = \(30, 1, 12, 12\)"),
        ({"samples": torch.full((30, 3, 12, 12), math.nan)}, "samples is not finite"),
        ({"samples": "x.npz"}, "samples = 'x.npz'"),
        ({"labels": torch.zeros(29)}, r"labels = \(29,\)"),
        ({"labels": torch.arange(30) % 2 - 1}, "labels = .*15 of 30 are −1"),
        ({"labels": torch.full((30,), 2)}, "label = 2"),
    ],
)
def test_what_it_refuses(pictures, change, words):
    with pytest.raises(ValueError, match=words):
        compare(**({"samples": torch.zeros(30, 3, 12, 12), "data": pictures} | change))


@pytest.mark.fault
def test_labels_where_the_data_have_none_and_too_few_examples(points):
    with pytest.raises(ValueError, match="labels = .*no classes"):
        compare(normal(30, 0), points, labels=torch.zeros(30))
    with pytest.raises(ValueError, match="comparison = 15"):
        compare(normal(30, 0), Data.of(normal(30, 0)))
