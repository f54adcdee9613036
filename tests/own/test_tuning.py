"""Tuning: paired differences, the rule, both tables, the second round, and that a kill loses
nothing. Most tests put a stated law of the loss in the place of the training."""

import csv
import itertools
import json
import math
import sys

import numpy as np
import pytest

from sdelib.own.data import Data
from sdelib.own.model import Model
from sdelib.own.tuning import bench, search, stopwatch, trackers
from sdelib.own.tuning import tuned as tuning
from sdelib.own.tuning.difference import Difference, level
from sdelib.own.tuning.figure import draw
from sdelib.own.tuning.knobs import KNOBS, Between, base_of, said, value_of
from sdelib.own.tuning.tuned import tune

QUICK = dict(steps=40, cpu=True, progress=False)


def spots(n=200, seed=0):
    draws = np.random.default_rng(seed)
    side = draws.integers(0, 2, n)
    return Data.of(0.2 * draws.normal(size=(n, 2)) + 2 * side[:, None], side, classes=("low", "up"))


def pictures(n=40, classes=()):
    draws = np.random.default_rng(0)
    labels = np.arange(n) % 2 if classes else None
    return Data.of(draws.integers(0, 255, (n, 8, 8)).astype(np.uint8), labels, classes=classes)


POINTS, IMAGES = spots(), pictures()


def rows(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def timeless(path):
    """The file but for what is a time."""
    head = [s for s in path.read_text(encoding="utf-8").splitlines() if s.startswith("#")]
    return head, [{k: v for k, v in r.items() if k not in ("seconds", "date")} for r in rows(path)]


@pytest.fixture
def law(monkeypatch):
    """law(mean, spread): trained models have the loss mean(setting, steps), which seeds change by
    spread(setting) and examples much more; a step takes width/16. The runs that were asked for."""
    done = []

    def use(mean, spread=lambda s: 0.0):
        def trained(data, setting, steps, seed, limit, *, cpu=False, checkpoint=None):
            done.append((setting, steps, seed))
            n = len(data.held_out(limit)[0])
            hard = np.random.default_rng(5).normal(size=(n, bench.BANDS))
            own = np.random.default_rng([ord(c) for c in setting.key]).normal(size=n)[:, None]
            each = 1 + hard + mean(setting, steps) + (2 * seed - 1) * spread(setting)
            return each + 0.001 * (own - own.mean()), [1.0, 0.5], 7

        monkeypatch.setattr(bench, "trained", trained)
        monkeypatch.setattr(search, "trained", trained)
        time = lambda s: s["width"] / 16
        costs = lambda data, s, base, cpu: (time(s) / time(base), 0.01)
        monkeypatch.setattr(bench, "relative", costs)
        monkeypatch.setattr(search, "relative", costs)
        return done

    return use


def learned(setting, steps):
    """More width is better, but for what it costs; the larger learning rate is better."""
    gain = 0.3 * (setting["width"] > 16)
    return 20 / steps - gain - 0.05 * (setting["lr"] > 3e-3) + 0.4 * (setting["lr"] < 1e-6)


# ---------------------------------------------------------------- with real, tiny trainings


def test_equal_rows_differ_by_nothing_and_no_learning_is_refused(tmp_path):
    base = {"width": 16, "lr": 1e-2}
    found = tune(POINTS, {"lr": [1e-9, 1e-2]}, base=base, out=tmp_path / "t.csv", rounds=1, **QUICK)
    slow, same = found.rounds[0].changes
    assert same.at_time == same.at_steps and same.at_time.value == 0 == same.at_time.error
    assert same.at_time.bands == (0.0,) * bench.BANDS and "last bit" in str(found)
    assert slow.at_time.worse and slow.at_time.value > 4 * slow.at_time.error > 0
    assert not (slow.taken or same.taken) and found.taken == {} and found.setting["lr"] == 1e-2
    # the same in another file, to the last bit; so seeds and noise are those of a run and no others
    again = tune(POINTS, {"lr": [1e-2]}, base=base, out=tmp_path / "u.csv", rounds=1, **QUICK)
    assert again.rounds[0].loss == found.rounds[0].loss
    first, other = (np.load(tmp_path / f"{name}.losses.npz") for name in "tu")
    shared = {*first.files} & {*other.files}
    assert len([name for name in shared if "facts" not in name]) == 2
    assert all(np.array_equal(first[name], other[name]) for name in shared if "facts" not in name)


def test_the_losses_are_those_of_the_models_own_training(tmp_path):
    tune(IMAGES, {"lr": 1e-3}, base={"widths": "8:8"}, steps=3, out=tmp_path / "t.csv", cpu=True)
    setting = base_of(IMAGES, {"widths": (8, 8)})
    model = setting.model(IMAGES, seed=1)
    curve = model.train(IMAGES, steps=3, seed=1, cpu=True, points=1, progress=False, batch_size=36)
    said = next(r for r in rows(tmp_path / "t.csv") if (r["change"], r["seed"]) == ("base", "1"))
    v = model.validation(IMAGES, device="cpu")
    assert float(said["loss"]) == pytest.approx(v.total, rel=1e-5) == curve.tables[-1].total
    assert float(said["error"]) == pytest.approx(v.total_error, rel=1e-5)
    for k in range(bench.BANDS):
        assert float(said[f"loss_{k + 1}"]) == pytest.approx(float(v.loss[k]), rel=1e-5)
        assert float(said[f"error_{k + 1}"]) == pytest.approx(float(v.error[k]), rel=1e-5)


@pytest.mark.fault
def test_a_tuning_that_is_stopped_goes_on_as_if_it_was_not(tmp_path, monkeypatch):
    how = dict(base={"width": "8"}, **QUICK | {"steps": 24})
    call = lambda name: tune(POINTS, {"lr": "1e-9,8e-3"}, out=tmp_path / f"{name}.csv", **how)
    whole = call("whole")
    train, calls = Model.train, itertools.count()

    def stops(self, *args, **more):
        objective = more["objective"]

        class Stopped:
            draw, loss = objective.draw, objective

            def __call__(self, *batch):
                if next(calls) == 2 * 24 + 22:  # in the third run, after its checkpoint
                    raise KeyboardInterrupt
                return objective(*batch)

        return train(self, *args, **more | {"objective": Stopped()})

    monkeypatch.setattr(Model, "train", stops)
    with pytest.raises(KeyboardInterrupt):
        call("part")
    assert len(rows(tmp_path / "part.csv")) == 2
    assert [p.name.split(".")[0] for p in tmp_path.glob("*.run.safetensors")] == ["part"]
    monkeypatch.setattr(Model, "train", train)
    part = call("part")
    assert timeless(tmp_path / "part.csv") == timeless(tmp_path / "whole.csv")
    assert part.rounds == whole.rounds and not [*tmp_path.glob("*.run.*")]


# ---------------------------------------------------------------- the rule, the tables, the rounds


def test_a_difference_and_its_two_errors():
    draws = np.random.default_rng(0)
    base = [draws.normal(size=(30, 4)) for _ in range(3)]
    gaps = [draws.normal(0.1, 1, size=(30, 4)) for _ in range(3)]
    d, g = Difference.of([b + e for b, e in zip(base, gaps)], base), np.stack(gaps)
    assert d.value == pytest.approx(g.mean()) and d.seeds == pytest.approx(g.mean((1, 2)))
    assert d.over_seeds == pytest.approx(g.mean((1, 2)).std(ddof=1) / math.sqrt(3))
    assert d.over_examples == pytest.approx(g.mean((0, 2)).std(ddof=1) / math.sqrt(30))
    assert d.error == pytest.approx(math.hypot(d.over_seeds, d.over_examples))
    assert d.bands == pytest.approx(g.mean((0, 1)))


def test_what_is_better():
    of = lambda *seeds, error=0.01: Difference(
        float(np.mean(seeds)), error, 0.0, seeds, (0.0,), (0.0,)
    )
    assert of(-0.03, -0.02).better and not of(-0.03, -0.02).worse
    assert not of(-0.06, 0.001).better  # not with every seed
    assert not of(-0.019, -0.019).better and not of(0.019, 0.019).worse
    assert of(0.03, 0.02).worse and of(math.nan, 0.0).worse and not of(math.nan, 0.0).better
    # two seeds that happen to agree: their error counts seven times, or as the median of all
    lucky, usual, other, zero = of(-0.02, -0.02, error=1e-6), of(0.1, 0.1), of(0.2, 0.2), of(0, 0)
    some = of(-0.02, -0.02, error=0.004)
    errors = lambda *found: [d.over_seeds for d in level(found)]
    assert errors(lucky, usual, other) == pytest.approx([7e-6, 0.01, 0.01])
    assert errors(some, usual, other) == pytest.approx([0.01, 0.01, 0.01])
    assert level([zero, usual])[0] == zero and level([of(math.nan, 0.0), usual])[0].worse
    assert some.better and not level([some, usual, other])[0].better
    three = of(-0.02, -0.02, -0.02, error=0.004)
    assert errors(three, usual, other)[0] == pytest.approx(2.26 * 0.004)


def test_equal_steps_and_equal_time_have_different_signs(tmp_path, law):
    done = law(learned)
    found = tune(POINTS, {"width": 64}, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    (wide,) = found.rounds[0].changes
    assert (wide.steps, wide.bought, wide.ratio[0]) == (40, 10, 4.0)
    assert wide.at_steps.value == pytest.approx(-0.3) and wide.at_steps.better
    assert wide.at_time.value == pytest.approx(20 / 10 - 20 / 40 - 0.3) and wide.at_time.worse
    assert wide.turns and not wide.taken and len(found.rounds) == 1 and found.taken == {}
    assert "the sign changes" in str(found) and "0.3000" in str(found)
    assert [(s["width"], steps, k) for s, steps, k in done] == [
        *((16, 40, k) for k in (0, 1)),
        *((64, steps, k) for k in (0, 1) for steps in (40, 10)),
    ]
    table = rows(tmp_path / "t.csv")
    assert [(r["at"], r["steps"]) for r in table][2:] == [("steps", "40"), ("time", "10")] * 2
    assert all(float(r["ratio"]) == 4 for r in table[2:])


def test_the_second_round_starts_from_what_was_taken(tmp_path, law):
    done = law(learned)
    vary = {"lr": "4e-3,8e-3,1e-9", "width": "32", "dropout": "0.2"}
    found = tune(POINTS, vary, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    first, second = found.rounds
    taken = [c.name for c in first.changes if c.taken]
    assert len(taken) == 1 and taken[0] in ("lr=0.004", "lr=0.008")
    assert second.base == found.setting and found.taken == {"lr": first.taken["lr"]}
    assert second.since.value == pytest.approx(-0.05, abs=1e-3) and second.taken == {}
    names = {c.name for c in second.changes}
    assert "back to lr=0.002" in names and taken[0] not in names and "width=32" in names
    back = next(c for c in second.changes if c.name.startswith("back"))
    assert back.at_time.value == pytest.approx(0.05, abs=1e-3) and back.at_time.worse
    other = ({"lr=0.004", "lr=0.008"} - {*taken}).pop()
    assert f"but {taken[0]} is better still" in str(found) and other in names
    assert len(done) == len({(s.key, steps, seed) for s, steps, seed in done})  # each run once
    assert {r["round"] for r in rows(tmp_path / "t.csv")} == {"1", "2"}


def test_chance_is_not_taken(tmp_path, law):
    """A gain with one seed, a loss with the other; and one that is less than two errors."""
    law(lambda s, steps: -0.01 * (s["lr"] != 2e-3), lambda s: 0.02 * (s["lr"] != 2e-3))
    found = tune(POINTS, {"lr": 1e-3}, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    d = found.rounds[0].changes[0].at_time
    assert d.seeds == pytest.approx((-0.03, 0.01)) and d.over_seeds == pytest.approx(0.02)
    assert found.taken == {} and "within 2 errors" in str(found) and len(found.rounds) == 1


@pytest.mark.fault
def test_what_does_not_stay_finite_is_refused(tmp_path, monkeypatch, law):
    law(lambda s, steps: math.nan if s["lr"] > 0.5 else 0.0)
    found = tune(POINTS, {"lr": 1}, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    (change,) = found.rounds[0].changes
    assert change.at_time.worse and not change.taken and "did not stay finite" in str(found)
    with pytest.raises(ValueError, match=r"base = .*lr=1 "):
        tune(POINTS, {"lr": 0.1}, base={"lr": 1, "width": 16}, out=tmp_path / "u.csv", **QUICK)


@pytest.mark.fault
def test_a_training_that_explodes_is_a_row_and_no_other_error_is(monkeypatch):
    def train(self, *args, **how):
        raise ValueError(train.words)

    monkeypatch.setattr(Model, "train", train)
    train.words = "the loss is nan at step 3: lower lr = 1"
    each, losses, size = bench.trained(POINTS, base_of(POINTS), 5, 0, 16, cpu=True)
    assert each.shape == (16, bench.BANDS) and np.isnan(each).all() and size > 0
    train.words = "batch_size = 10"
    with pytest.raises(ValueError, match="batch_size = 10"):
        bench.trained(POINTS, base_of(POINTS), 5, 0, 16, cpu=True)


# ---------------------------------------------------------------- the file


@pytest.mark.fault
def test_losses_without_a_row_and_rows_without_losses(tmp_path, law, monkeypatch):
    done, path = law(learned), tmp_path / "t.csv"
    call = lambda **how: tune(
        POINTS, {"lr": "8e-3"}, base={"width": 16}, out=path, **{**QUICK, **how}
    )
    found, table = call(), timeless(path)
    runs = len(done)
    text = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(text[:-3]), encoding="utf-8")  # killed between losses and row
    assert call().rounds == found.rounds and timeless(path) == table and len(done) == runs
    (tmp_path / "t.losses.npz").unlink()
    assert call().rounds == found.rounds and timeless(path) == table and len(done) == 2 * runs


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"steps": 41}, "steps = 40, not 41"),
        ({"seeds": 3}, "seeds = 2, not 3"),
        ({"limit": 5}, "held-out examples = 512, not 5"),
        ({"base": {"width": 8}}, "base width = 16, not 8"),
        ({"vary": {"lr": 1e-3}}, "vary.*lr=0.008.*lr=0.001"),
        ({"data": spots(seed=1)}, "data = .*SHA-256"),
    ],
)
def test_another_command_on_the_same_table(tmp_path, law, change, words):
    law(learned)
    how = dict(data=POINTS, vary={"lr": 8e-3}, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    tune(**how)
    before = (tmp_path / "t.csv").read_bytes()
    with pytest.raises(ValueError, match=words) as error:
        tune(**how | change)
    assert len(str(error.value)) < 500 + len(str(tmp_path))
    assert (tmp_path / "t.csv").read_bytes() == before


@pytest.mark.fault
def test_files_that_are_no_tables(tmp_path):
    other = tmp_path / "t.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"out = .*t\.csv"):
        tune(POINTS, {"lr": 1e-3}, out=other, **QUICK)
    assert other.read_text(encoding="utf-8") == "a,b\n1,2\n"
    with pytest.raises(ValueError, match=r"out = .*t\.png"):
        tune(POINTS, {"lr": 1e-3}, out=tmp_path / "t.png", **QUICK)
    assert tuning.table_at(tmp_path) == tmp_path / "tuning.csv"


# ---------------------------------------------------------------- what may be varied; time, steps


def test_values_as_text_and_as_they_are():
    base = base_of(IMAGES)
    of = lambda name, given, **how: value_of(name, given, base, IMAGES, **how)
    assert of("widths", "8:16") == (8, 16) == of("widths", [8, 16])
    assert of("lr", "1e-3") == 1e-3 == of("lr", 0.001) and of("batch", "8") == 8
    assert of("flips", "yes") is True and of("flips", False) is False
    assert of("lr", "1e-4..1e-2", search=True) == Between(1e-4, 1e-2)
    assert said("widths", (8, 16)) == "widths=8:16" and said("flips", True) == "flips=yes"
    assert tuning.several("widths", (8, 16)) == [(8, 16)] and tuning.several("lr", "1,2") == [
        "1",
        "2",
    ]
    # every knob that this data has reaches the network, the loss or the training
    changes = {"lr": 1e-4, "batch": 7, "ema": 0.5, "widths": (8, 8), "dropout": 0.3}
    changes |= {"preconditioned": False, "flips": True, "noise-mean": -2.0, "noise-std": 1.0}
    setting = base.with_(changes | {"spread": 0.5})
    model = setting.model(IMAGES)
    config, loss = model.network.config, setting.loss(model)
    assert (config["widths"], config["dropout"], config["preconditioned"]) == ([8, 8], 0.3, False)
    assert (loss.flips, loss.mean, loss.std, loss.spread) == (True, -2.0, 1.0, 0.5)
    assert setting.part("train") == {"lr": 1e-4, "batch_size": 7, "ema": 0.5}
    points = base_of(POINTS).with_({"width": 8, "depth": 2, "drop": 0.4})
    model = points.model(POINTS)
    assert (model.network.config["width"], model.network.config["depth"]) == (8, 2)
    assert points.loss(model).drop == 0.4
    assert {k for k, _ in [*setting.values, *points.values]} == {*KNOBS}


@pytest.mark.fault
@pytest.mark.parametrize(
    "data, name, given, words",
    [
        (POINTS, "speed", "1", r"vary = 'speed'.*lr \(number.*width \(whole"),
        (POINTS, "widths", "8:8", "vary = 'widths'.*a U-Net"),
        (IMAGES, "width", "8", "vary = 'width'.*an MLP"),
        (POINTS, "flips", "yes", "vary = 'flips'.*images"),
        (IMAGES, "drop", "0.1", "vary = 'drop'.*classes"),
        (POINTS, "lr", "0", "vary = 'lr=0'.*1e-12 to 1"),
        (POINTS, "lr", "fast", "vary = 'lr=fast'.*number"),
        (POINTS, "lr", "nan", "vary = 'lr=nan'"),
        (POINTS, "lr", "1e-4..1e-2", r"vary = 'lr=1e-4..1e-2'.*search"),
        (POINTS, "batch", "181", "vary = 'batch=181'.*to 180"),
        (POINTS, "batch", "1.5", "vary = 'batch=1.5'.*whole"),
        (POINTS, "width", "7", "width = 7"),
        (IMAGES, "widths", "9:8", "widths = "),
        (IMAGES, "widths", "8:x", "vary = 'widths=8:x'.*32:56"),
        (POINTS, "preconditioned", "maybe", "vary = 'preconditioned=maybe'.*yes or no"),
    ],
)
def test_what_cannot_be_varied(tmp_path, data, name, given, words):
    with pytest.raises(ValueError, match=words) as error:
        tune(data, {name: given}, out=tmp_path / "t.csv", **QUICK)
    assert len(str(error.value)) < 500 and not [*tmp_path.iterdir()]


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"seeds": 1}, "seeds = 1"),
        ({"rounds": 0}, "rounds = 0"),
        ({"steps": 0}, "steps = 0"),
        ({"minutes": 1}, "minutes = 1: .*not both"),
        ({"steps": None, "minutes": 0}, "minutes = 0"),
        ({"vary": {}}, "vary = {}"),
        ({"vary": {"lr": ""}}, "vary = "),
    ],
)
def test_numbers_that_make_no_tuning(tmp_path, change, words):
    how = dict(data=POINTS, vary={"lr": 8e-3}, out=tmp_path / "t.csv", **QUICK)
    with pytest.raises(ValueError, match=words):
        tune(**how | change)
    assert not [*tmp_path.iterdir()]


def test_the_time_of_a_step_is_a_ratio_of_pairs(monkeypatch):
    base = base_of(POINTS, {"width": 16})
    same = base.with_({"lr": 1e-3, "noise-std": 1.0, "ema": 0.5})
    assert stopwatch.relative(POINTS, same, base, cpu=True) == (1.0, 0.0)
    load = itertools.cycle([1.0, 1.0, 9.0, 9.0])  # the machine is busy for one pair in two
    block = lambda data, s, cpu: lambda: (next(load) * s["width"], 0.0)
    monkeypatch.setattr(stopwatch, "stepper", block)
    wide = base.with_({"width": 40})
    assert stopwatch.relative(POINTS, wide, base, cpu=True) == (2.5, 0.0)


def test_both_clocks_are_looked_at_once_a_step():
    processor, wall = stopwatch.stepper(POINTS, base_of(POINTS, {"width": 8}), True)()
    assert processor > 0 and wall > 0


def test_minutes_become_steps_once(tmp_path, law, monkeypatch):
    done = law(learned)
    monkeypatch.setattr(bench, "seconds", lambda data, base, cpu: 0.05)
    how = dict(base={"width": 16}, out=tmp_path / "t.csv", cpu=True, progress=False, rounds=1)
    tune(POINTS, {"width": "64", "lr": "1e-3"}, minutes=1, **how)
    spent = sum(0.05 * steps * s["width"] / 16 for s, steps, _ in done)
    assert 0.8 * 60 < spent <= 60
    steps = done[0][1]
    monkeypatch.setattr(bench, "seconds", lambda data, base, cpu: 1 / 0)  # known by now
    again = tune(POINTS, {"width": "64", "lr": "1e-3"}, minutes=1, **how)
    assert again.rounds[0].steps == steps and f"{steps} steps" in (tmp_path / "t.csv").read_text(
        encoding="utf-8"
    )
    monkeypatch.setattr(bench, "seconds", lambda data, base, cpu: 60.0)
    with pytest.raises(ValueError, match=r"minutes = 1.*0 steps"):
        tune(POINTS, {"lr": "1e-3"}, minutes=1, **how | {"out": tmp_path / "u.csv"})


# ---------------------------------------------------------------- figure, tracker, search


def test_the_figure(tmp_path, law, monkeypatch):
    law(learned)
    vary = {"lr": "8e-3,1e-9", "width": 64}
    found = tune(POINTS, vary, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    assert draw(found, tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"matplotlib is not installed.*sdelib\[tune\]"):
        draw(found, tmp_path / "u.png")


def test_runs_go_to_a_tracker(tmp_path, law, monkeypatch):
    from accelerate import tracking

    law(learned)
    seen = []

    class Fake:
        requires_logging_directory = True

        def __init__(self, name, logging_dir):
            seen.append((name, logging_dir))

        def start(self): ...

        def store_init_configuration(self, values):
            seen.append(values)

        def log(self, values, step):
            seen.append((step, values))

        def finish(self):
            seen.append("end")

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "fake", Fake)
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["fake"])
    log = trackers.logging_to("fake", tmp_path / "logs")
    tune(
        POINTS, {"lr": 8e-3}, base={"width": 16}, rounds=1, out=tmp_path / "t.csv", log=log, **QUICK
    )
    assert seen.count("end") == 4 and seen[0][1] == str(tmp_path / "logs")
    assert seen[1]["lr"] == 2e-3 and "seed=0" in seen[1]["run"]
    assert seen[2:4] == [(0, {"training loss": 1.0}), (1, {"training loss": 0.5})]
    assert seen[4][0] == 2 and seen[4][1]["validation loss"] > 0
    with pytest.raises(ValueError, match="log = 'other'.*fake"):
        trackers.logging_to("other", tmp_path)


def test_a_search_finds_what_is_better_and_goes_on(tmp_path, law):
    done = law(lambda s, steps: abs(math.log10(s["lr"] / 1e-2)) + 0.2 * (s["width"] > 16))
    how = dict(base={"width": 16}, out=tmp_path / "s.csv", **QUICK)
    call = lambda n, **more: search.search(
        POINTS, {"lr": "1e-4..1e-1", "width": "16,64"}, n, **how | more
    )
    found = call(2)
    assert len(rows(tmp_path / "s.csv")) == 2 and len(done) == 6
    found = call(10)  # eight more, the base is known
    assert len(done) == 6 + 16 and len(found.trials) == len(rows(tmp_path / "s.csv")) == 10
    values = [t.value for t in found.trials]
    best = found.trials[0]
    assert values == sorted(values) and best.value < -0.1 and best.better
    assert found.setting == best.setting and best.setting["width"] in (16, 64)
    for t in found.trials:
        assert t.steps == (40 if t.setting["width"] == 16 else 10)
        right = abs(math.log10(t.setting["lr"] / 1e-2)) + 0.2 * (t.setting["width"] > 16)
        assert t.value == pytest.approx(right - abs(math.log10(2e-3 / 1e-2)), abs=1e-9)
    with pytest.raises(ValueError, match="out = .*seeds = 2, not 3"):
        call(3, seeds=3)
    with pytest.raises(ValueError, match="vary = .*one range"):
        search.search(POINTS, {"lr": "1e-4..1e-2,1"}, 1, **how | {"out": tmp_path / "x.csv"})


def test_a_search_may_take_nothing(tmp_path, law):
    law(lambda s, steps: 0.1 * (s["lr"] != 2e-3))
    how = dict(base={"width": 16}, out=tmp_path / "s.csv", **QUICK)
    found = search.search(POINTS, {"lr": "1e-3,4e-3"}, 3, **how)
    assert found.setting == found.base and "took nothing" in str(found)


@pytest.mark.fault
def test_a_search_without_optuna(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"optuna is not installed.*sdelib\[tune\]"):
        search.search(POINTS, {"lr": "1e-3"}, 1, out=tmp_path / "s.csv", **QUICK)
    assert not [*tmp_path.iterdir()]


def test_a_row_is_what_the_losses_say(tmp_path, law):
    law(learned, lambda s: 0.01)
    found = tune(POINTS, {"lr": 8e-3}, base={"width": 16}, out=tmp_path / "t.csv", **QUICK)
    d = found.rounds[0].changes[0].at_time
    table = [r for r in rows(tmp_path / "t.csv") if (r["round"], r["change"]) == ("1", "lr=0.008")]
    assert [float(r["difference"]) for r in table] == pytest.approx(d.seeds, rel=1e-4)
    assert all(
        float(r["difference_error"]) == pytest.approx(d.over_examples, rel=1e-4) for r in table
    )
    plan = next(
        line
        for line in (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
        if line.startswith("# plan: ")
    )
    assert json.loads(plan[8:])["vary"] == ["lr=0.008"]
