"""One object from data to samples: five lines a case, and what it promises of seeds, files and
kills."""

import json
import math
import random
import re

import numpy as np
import pytest
import torch

from sdelib.families import VP
from sdelib.networks import Denoiser, DenoiserMLP
from sdelib.own import fitting, schedule, weights
from sdelib.own.by_name import SOLVERS
from sdelib.own.data import Data
from sdelib.own.forms import Form
from sdelib.own.luck import luck
from sdelib.own.model import Model
from sdelib.own.sizes import pace_for

QUICK = dict(cpu=True, progress=False, batch_size=16, points=2)


def pictures(n=40, shape=(8, 8), classes=("ring", "square"), seed=0):
    draws = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = draws.integers(0, 80, (n, *shape)) + 100 * labels.reshape(-1, *[1] * len(shape))
    return Data.of(images.astype(np.uint8), labels if classes else None, classes=classes)


def spots(n=2000, seed=0):
    """Points on two spots, which a Gaussian is not."""
    draws = np.random.default_rng(seed)
    side = draws.integers(0, 2, n)
    return Data.of(0.2 * draws.normal(size=(n, 2)) + 2 * side[:, None], side, classes=("low", "up"))


def waves(n=40, length=16):
    phase = np.random.default_rng(0).uniform(0, 6, (n, 1))
    return Data.of(np.sin(phase + np.arange(length) / 3), kind="series")


def rows(n=60):
    import pandas

    draws = np.random.default_rng(0)
    columns = {"size": draws.normal(5, 2, n), "rooms": draws.integers(1, 9, n)}
    return Data.of(pandas.DataFrame(columns | {"kind": draws.choice(["flat", "house"], n)}))


CASES = {
    "grey pictures": (pictures, (8,)),
    "colour pictures of an odd size": (lambda: pictures(shape=(9, 6, 3), classes=()), (8, 16)),
    "points": (spots, (16,)),
    "series": (waves, (8, 16)),
    "a table": (rows, (16, 2)),
}


@pytest.fixture(scope="module")
def trained():
    """A model of points, in a second."""
    data = spots()
    model = Model.make(data, widths=(32,))
    before = model.validation(data)
    curve = model.train(data, steps=200, lr=5e-3, **QUICK | {"batch_size": 128, "points": 4})
    return data, model, curve, before


@pytest.mark.parametrize("data, widths", CASES.values(), ids=CASES)
def test_five_lines(tmp_path, data, widths):
    data = data()
    model = Model.make(
        data,
        widths=widths if len(widths) == 2 else (*widths, 16)[: 2 - (data.form.kind == "points")],
    )
    curve = model.train(data, steps=3, **QUICK)
    samples = model.sample(5, evaluations=4)
    end = {"images": ".png", "table": ".csv"}.get(data.form.kind, ".npz")
    path = samples.write(tmp_path / f"out{end}")

    assert path.is_file() and samples.x.shape == (5, *data.form.shape) and samples.nfe == 4
    assert torch.isfinite(samples.x).all() and len(samples.x.unique(dim=0)) == 5
    assert len(samples.decode()) == 5 == len(samples)
    assert curve.steps == (2, 3) and len(curve.losses) == 3
    assert all(math.isfinite(t.total) for t in curve.tables)
    again = Model.load(model.save(tmp_path / "m.safetensors"))
    assert again.form == model.form and again.provenance == json.loads(json.dumps(model.provenance))
    assert torch.equal(again.sample(5, evaluations=4).x, samples.x)
    assert again.digest == model.digest == weights.sha256(tmp_path / "m.safetensors")


def test_what_a_model_draws_is_the_law_where_its_network_is_exact():
    """An untrained network is the exact denoiser of N(m, σ_d² I), m far from 0; so the samples are,
    by the flow's and by the SDE's solvers, within five standard errors."""
    n, form = 2000, Form("points", (2,), 3.0, 0.5, 6.0, shift=(0.0, 0.0), factor=(1.0, 1.0))
    model = Model(DenoiserMLP(2, 8, data_mean=3.0, data_std=0.5), form)
    for solver in ("dpm++2m", "dpm++2m-sde", "edm-heun"):
        x = model.sample(n, solver=solver, steps=40, batch=1000).x.double()
        error = 0.5 / math.sqrt(n)
        assert (x.mean(0) - 3).abs().max() < 5 * error
        assert x.std(0).sub(0.5).abs().max() < 5 * error / math.sqrt(2) + 0.005
        assert abs(float(torch.corrcoef(x.T)[0, 1])) < 5 / math.sqrt(n)


def test_training_lowers_the_loss_on_what_is_held_out(trained):
    data, model, curve, before = trained
    after = model.validation(data, limit=200)
    gain = before.minus(after)
    assert gain.total > 5 * gain.total_error and gain.total > 0.1
    assert after.total == pytest.approx(float(curve.totals[-1]), abs=1e-5) and curve.lowest == 3
    assert curve.steps == (50, 100, 150, 200) and "loss" in str(curve)
    assert all(b > a > 0 for a, b in zip(curve.seconds, curve.seconds[1:]))
    assert model.provenance["validation"]["loss"] == pytest.approx(after.total, abs=1e-4)
    assert model.provenance["steps"] == 200 and model.provenance["objective"] == "DenoiserLoss"
    x = model.sample(300, label="each", seed=1).decode()
    assert (np.abs(x[0::2]) < 1).mean() > 0.9 and (np.abs(x[1::2] - 2) < 1).mean() > 0.9


@pytest.mark.parametrize("solver", sorted({*SOLVERS} - {"probability-flow-rk45"}))
def test_the_first_four_of_eight_are_those_of_four(trained, solver):
    how = dict(label="each", guidance=1.5, solver=solver, steps=4, seed=7)
    _, model, _, _ = trained
    eight = model.sample(8, **how).x
    for batch in (64, 3, 1):
        torch.testing.assert_close(model.sample(4, batch=batch, **how).x, eight[:4])
    assert len(eight.unique(dim=0)) == 8
    assert not torch.allclose(model.sample(4, **how | {"seed": 8}).x, eight[:4], atol=1e-3)


def test_a_float64_model_sees_the_same_noise(trained):
    _, model, _, _ = trained
    single = model.sample(4).x
    double = Model(model.network.double(), model.form).sample(4).x
    model.network.float()
    assert double.dtype == torch.float64 and single.dtype == torch.float32
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-4)


def test_a_class_by_name_by_number_and_in_turn(trained):
    _, model, _, _ = trained
    draw = lambda label, **how: model.sample(4, label=label, evaluations=6, **how)
    name = draw("up")
    for same in (1, "1", np.int64(1), [1, 1, 1, 1], torch.ones(4, dtype=torch.int32)):
        assert torch.equal(draw(same).x, name.x) and draw(same).labels.tolist() == [1] * 4
    each = draw("each")
    assert each.labels.tolist() == [0, 1, 0, 1] and torch.equal(each.x[1], name.x[1])
    assert draw(None).labels is None and not torch.equal(draw(None).x, name.x)
    assert torch.equal(draw("up", guidance=0).x, draw(None).x)
    strong = draw("up", guidance=2)
    assert strong.nfe == 6 and strong.about["steps"] == 2 and name.about["steps"] == 5


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"label": "middle"}, "label = 'middle'.*low"),
        ({"label": 2}, "label = 2"),
        ({"label": [0, 1]}, r"label = \[0, 1\]"),
        ({"label": [0, 1, 2, 0]}, r"label = \[0, 1, 2, 0\]"),
        ({"label": [0.0, 1.0, 1.0, 0.0]}, "label = "),
        ({"guidance": 2}, "guidance = 2"),
        ({"guidance": -1, "label": 0}, "guidance = -1"),
        ({"n": 0}, "n = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"batch": 0}, "batch = 0"),
        ({"evaluations": 1}, "evaluations = 1"),
        ({"solver": "best"}, "solver = 'best'"),
        ({"sde": VP(0.1, 40.0)}, "sigma = "),
    ],
)
def test_what_a_model_does_not_have(trained, change, words):
    with pytest.raises(ValueError, match=words):
        trained[1].sample(**{"n": 4, **change})


def test_no_class_without_classes():
    model = Model.make(pictures(classes=()), widths=(8, 8))
    for label in ("each", 0):
        with pytest.raises(ValueError, match=f"label = {label!r}"):
            model.sample(2, label=label)


def test_another_process_and_its_score(trained):
    """The same model under VP: the score at the start is that of the mixture's Gaussian."""
    _, model, _, _ = trained
    sde = VP()
    x = model.sample(200, sde=sde, solver="dpm++2m", steps=30).x
    y = model.sample(200, solver="dpm++2m", steps=30).x
    assert abs(float(x.mean() - y.mean())) < 0.3 and 0.7 < float(x.std() / y.std()) < 1.4
    t = torch.tensor(1.0)
    s, (scale, std) = model.score(sde, label="low")(x, t), sde.marginal(t)
    rough = -(x - scale * model.form.mean) / (std**2 + scale**2 * model.form.std**2)
    torch.testing.assert_close(s, rough, rtol=0.05, atol=0.05)
    assert model.score(label=1)(x, t).shape == x.shape


def test_what_is_written_says_how_it_was_made(tmp_path):
    from PIL import Image

    model = Model.make(pictures(), widths=(8, 8))
    model.save(tmp_path / "m.safetensors")
    samples = model.sample(4, label="ring", evaluations=3, seed=5)
    with Image.open(samples.write(tmp_path / "a.png", about={"command": "mine"})) as picture:
        said = json.loads(picture.text["sdelib"])
    assert said == samples.about | {"command": "mine"}
    assert said["weights"] == weights.sha256(tmp_path / "m.safetensors") and said["seed"] == 5
    assert (said["solver"], said["steps"], said["label"]) == ("dpm++2m", 2, "ring")
    assert "Fashion-MNIST" in said["measured"] and {"sdelib", "torch"} <= said.keys()
    model.train(pictures(), steps=1, **QUICK)  # the file is not this model any more
    assert model.digest == "" and model.sample(1, evaluations=2).about["weights"] != said["weights"]


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(ValueError, match=r"path = 'denoiser-small'.*form="):
        Model.load("denoiser-small")
    form = Form("images", (1, 28, 28), 0.286, 0.353, 23.0, tuple("abcdefghij"))
    model = Model.load("denoiser-small", form=form)
    assert model.sample(1, label="c", evaluations=2).x.shape == (1, 1, 28, 28)
    with pytest.raises(ValueError, match="path = 'mine'"):
        model.save("mine")
    with pytest.raises(ValueError, match=r"name = .*none\.safetensors"):
        Model.load(tmp_path / "none.safetensors")


def test_the_readers_luck_is_left_alone(trained):
    data, model, _, _ = trained
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    before = luck()
    made = Model.make(data, widths=(8,), dropout=0.3)
    made.train(data, steps=2, **QUICK)
    made.sample(2, evaluations=2), made.validation(data, limit=4), model.describe()
    after = luck()
    assert torch.equal(before[0]["rng"], after[0]["rng"]) and before[1] == after[1]


# ---------------------------------------------------------------- killed, resumed, extended


class Interrupted:
    """The model's own loss, until its k-th call."""

    def __init__(self, model, k):
        self.loss, self.left = model.objective(), k
        self.draw = self.loss.draw

    def __call__(self, *args):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.loss(*args)


def begin(**how):
    """A training with dropout from the very beginning."""
    model = Model.make(spots(100), widths=(8,), dropout=0.3)
    objective = Interrupted(model, how.pop("until")) if "until" in how else None
    curve = model.train(spots(100), objective=objective, **{**QUICK, "every": 4, **how})
    return model, curve


def same(a, b):
    (one, first), (two, second) = a, b
    assert torch.equal(first.losses, second.losses) and first.steps == second.steps
    assert [t.to_json() for t in first.tables] == [t.to_json() for t in second.tables]
    for p, q in zip(one.network.state_dict().values(), two.network.state_dict().values()):
        assert torch.equal(p, q)


@pytest.mark.fault
def test_a_killed_training_ends_as_the_unbroken_one_curve_and_all(tmp_path):
    path, whole = tmp_path / "run.safetensors", begin(steps=20, points=5)
    for k in (3, 9, 5):
        with pytest.raises(KeyboardInterrupt):
            begin(steps=20, points=5, checkpoint=path, until=k)
    resumed = begin(steps=20, points=5, checkpoint=path)
    same(resumed, whole)
    same(begin(steps=20, points=5, checkpoint=path, until=0), whole)
    blind = begin(steps=20, points=0)  # who looks changes nothing
    assert blind[1].tables == () and torch.equal(blind[1].losses, whole[1].losses)
    assert len(whole[1].steps) == 5 and resumed[0].provenance["steps"] == 20


@pytest.fixture
def rate(monkeypatch):
    """The machine does so many steps a second; a look at what is held out takes no time."""
    speed = [10.1]

    def scheduled(steps, minutes, checkpoint, extend, points, rate):
        known = lambda minutes: (1 / speed[0], 1e-9)
        return schedule.scheduled(steps, minutes, checkpoint, extend, points, known)

    monkeypatch.setattr(fitting, "scheduled", scheduled)
    monkeypatch.setattr(schedule.time, "perf_counter", lambda: 0.0)
    return speed


@pytest.mark.fault
def test_minutes_become_steps_once(tmp_path, rate):
    """A killed training by minutes goes on with its steps, however fast the machine is by then."""
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        begin(minutes=0.05, checkpoint=path, until=9)
    rate[0] = 1000.0
    model, curve = begin(minutes=0.05, checkpoint=path)
    assert len(curve.losses) == 30 == model.provenance["steps"] and "30" in curve.words
    assert model.provenance["minutes"] == 0.05 and model.provenance["seconds_a_step"] == 0.09901
    same((model, curve), begin(steps=30))
    with pytest.raises(ValueError, match=r"minutes = 0\.1: .*minutes = 0\.05, which were 30 steps"):
        begin(minutes=0.1, checkpoint=path)
    with pytest.raises(ValueError, match="steps = 30, not 31"):
        begin(steps=31, checkpoint=path)
    rate[0] = 5.05
    longer, more = begin(minutes=0.1, checkpoint=path, extend=True)
    assert len(more.losses) == 60 and more.steps == (15, 30, 45, 60)
    assert torch.equal(more.losses[:30], curve.losses)
    assert longer.provenance["extended"][0]["minutes"] == 0.1


def test_minutes_are_measured_on_a_copy(tmp_path):
    """Whatever was measured, the training is that of so many steps."""
    model, curve = begin(minutes=0.03)
    assert f"{len(curve.losses)} steps" in curve.words
    same((model, curve), begin(steps=len(curve.losses), points=len(curve.steps)))


@pytest.mark.fault
def test_trainings_that_are_refused():
    data = spots()
    model = Model.make(data, widths=(8,))
    cases = [
        (data, dict(steps=1, minutes=1), "minutes = 1: give steps or minutes"),
        (data, dict(steps=0), "steps = 0"),
        (data, dict(minutes=-1), "minutes = -1"),
        (data, dict(steps=1, points=-1), "points = -1"),
        (data, dict(steps=1, flips=True), "flips = True"),
        (data, dict(steps=1, extend=True), "extend = True"),
        (pictures(), dict(steps=1), "data.form.kind = 'images'"),
        (Data.of(np.random.rand(20, 3)), dict(steps=1), r"data.form.shape = \(3,\)"),
        (Data.of(np.random.rand(20, 2)), dict(steps=1), r"data.form.classes = \(\)"),
    ]
    for wrong, how, words in cases:
        with pytest.raises(ValueError, match=words):
            model.train(wrong, **how, **{k: v for k, v in QUICK.items() if k not in how})
    for what in (lambda: model.validation(pictures()), lambda: Model.make(data, widths=(1, 2, 3))):
        with pytest.raises(ValueError, match=r"data\.form\.kind|widths = "):
            what()


# ---------------------------------------------------------------- sizes


def form(kind, *shape, classes=()):
    scale = {"shift": (0.0,), "factor": (1.0,)} if kind != "images" else {}
    return Form(kind, shape, 0.4, 0.3, 200.0, classes, **scale)


@pytest.mark.parametrize(
    "kind, shape, n, size",
    [
        ("images", (1, 8, 8), 1617, (32, 56)),
        ("images", (1, 28, 28), 60_000, (64, 112)),
        ("images", (3, 64, 64), 100, (32, 64, 96)),
        ("series", (16,), 100, (32, 56)),
        ("series", (8,), 100, 256),
        ("points", (2,), 100, 128),
        ("table", (13,), 100, 256),
    ],
)
def test_a_network_fits_its_data(kind, shape, n, size):
    from sdelib.own.sizes import batch_for, network_for

    made = network_for(form(kind, *shape, classes=("a", "b")), n)
    assert made.config.get("width", tuple(made.config.get("widths", ()))) == size
    assert isinstance(made, Denoiser) == isinstance(size, tuple)
    assert made.config["dropout"] == (0.1 if n < 5000 else 0.0) and made.config["classes"] == 2
    assert (made.levels, made.shape) == ((0.002, 200.0), shape)
    assert (made.data_mean, made.data_std) == (0.4, 0.3)
    assert 1 <= batch_for(form(kind, *shape), n) <= n
    x = torch.rand(2, *shape)
    assert made.eval()(x, torch.tensor(0.5), 1).shape == x.shape


def test_the_pace():
    assert pace_for(1) == (1, 0.9) and pace_for(1000) == (100, 0.995)
    assert pace_for(10**6) == (200, 0.9995)


def test_the_loss_moves_with_the_data():
    model = Model.make(pictures(), widths=(8, 8))
    loss = model.objective()
    assert loss.data_std == model.form.std and loss.levels == model.levels
    assert loss.mean == pytest.approx(-1.2 + math.log(model.form.std / 0.353))
    assert model.objective(mean=-2.0, drop=0.2, flips=True).mean == -2.0
    for word in ("widths [8, 8]", "parameters", f"{model.form.sigma_max:g}"):
        assert re.search(re.escape(word), model.describe())


def test_the_wing_offers_them():
    import sdelib

    assert sdelib.own.Data is Data and sdelib.own.Model is Model
    assert not hasattr(sdelib.own, "Mode")
