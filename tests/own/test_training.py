"""Training: killed at any moment it ends where an unbroken run ends; it refuses what it cannot
continue."""

import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sdelib.families import VP
from sdelib.flow_matching import FlowMatchingLoss
from sdelib.networks import ScoreMLP
from sdelib.own import training, weights
from sdelib.own.runs import attributes, fingerprint
from sdelib.own.training import learning_rate, step_generator, train
from sdelib.score_matching import DenoisingLoss

HERE = Path(__file__).resolve().parent
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}


class Noisy(nn.Module):
    """A network whose training draws from torch's global generator (dropout) and keeps a buffer
    (batch norm)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Dropout(0.5), nn.Linear(16, 2)
        )

    def forward(self, x, t):
        return self.body(torch.cat([x, t[:, None]], dim=1))


OBJECTIVE = DenoisingLoss(VP(), t_min=1e-2)
OPTIONS = dict(steps=40, batch_size=16, lr=1e-2, warmup=5, every=7, cpu=True, progress=False)


def data(n=100):
    return (torch.randn(n, 2, generator=torch.Generator().manual_seed(0)),)


def run(network=None, objective=OBJECTIVE, **options):
    torch.manual_seed(5)
    return train(network or Noisy(), objective, data(), **{**OPTIONS, **options})


def same(a, b):
    assert torch.equal(a.losses, b.losses)
    for (name, p), q in zip(a.network.state_dict().items(), b.network.state_dict().values()):
        assert torch.equal(p, q), name


class Interrupted:
    """The objective, until its k-th call."""

    def __init__(self, k):
        self.loss, self.left, self.draw = OBJECTIVE, k, OBJECTIVE.draw

    def __call__(self, *args):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.loss(*args)


@pytest.mark.fault
@pytest.mark.parametrize("k", [3, 7, 20, 39])
def test_resumed_run_ends_as_the_unbroken_one(tmp_path, k):
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(objective=Interrupted(k), checkpoint=checkpoint)
    assert checkpoint.exists() == (k >= 7)
    torch.rand(100)  # the generator stands elsewhere when the run resumes
    same(run(checkpoint=checkpoint), run())
    # what was resumed did start from the checkpoint, and a finished run is only read again
    same(run(checkpoint=checkpoint, objective=Interrupted(0)), run())


def test_the_generator_is_restored():
    """Without restoring torch's global generator, dropout would differ: the losses do depend on
    it."""
    torch.manual_seed(5)
    network = Noisy()
    torch.manual_seed(6)
    other = train(network, OBJECTIVE, data(), **OPTIONS)
    assert not torch.equal(run().losses, other.losses)


SCRIPT = textwrap.dedent("""
    import sys, torch
    sys.path.insert(0, {tests!r})
    from test_training import Noisy, OBJECTIVE, data
    from sdelib.own.training import train
    from sdelib.own.weights import write_tensors
    torch.set_num_threads(1)
    torch.manual_seed(5)
    result = train(Noisy(), OBJECTIVE, data(), steps=250, batch_size=16, lr=1e-2, warmup=5,
                   every=4, cpu=True,
                   progress=False, checkpoint=sys.argv[1] if sys.argv[1] != "-" else None)
    write_tensors(sys.argv[2], {{"losses": result.losses, **result.network.state_dict()}}, {{}})
""")


@pytest.mark.fault
@pytest.mark.slow
def test_sigkill_at_a_random_moment(tmp_path):
    script, checkpoint = tmp_path / "run.py", tmp_path / "run.safetensors"
    script.write_text(SCRIPT.format(tests=str(HERE)), encoding="utf-8")

    def start(checkpoint, out):
        return subprocess.Popen(
            [sys.executable, str(script), str(checkpoint), str(tmp_path / out)], env=ENV
        )

    unbroken = start("-", "unbroken")
    killed, delays = 0, []
    for _ in range(3):
        process, began = start(checkpoint, "broken"), time.time()
        while process.poll() is None and (
            not checkpoint.exists() or checkpoint.stat().st_mtime < began
        ):
            time.sleep(0.01)
        delays.append(random.uniform(0, 0.4))
        time.sleep(delays[-1])
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 2, "the run is too short to be killed in its middle: raise its steps"
    assert start(checkpoint, "broken").wait() == 0 and unbroken.wait() == 0
    one, _ = weights.read_tensors(tmp_path / "unbroken")
    two, _ = weights.read_tensors(tmp_path / "broken")
    assert one.keys() == two.keys() and len(one["losses"]) == 250
    for name in one:
        assert torch.equal(one[name], two[name]), (
            f"{name} differs after kills {delays} s past a checkpoint"
        )


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"steps": 41}, "steps = 40, not 41"),
        ({"lr": 0.02}, r"lr = 0\.01, not 0\.02"),
        ({"batch_size": 20}, "batch_size = 16, not 20"),
        ({"ema": 0.9}, r"ema = 0\.999, not 0\.9"),
        ({"network": ScoreMLP(VP(), width=8)}, "network = 'Noisy', not 'ScoreMLP'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, words):
    checkpoint = tmp_path / "run.safetensors"
    run(checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=words) as error:
        run(checkpoint=checkpoint, **change)
    assert "run.safetensors" in str(error.value) and "delete" not in str(error.value)
    assert checkpoint.read_bytes() == before


def test_a_network_of_another_size_is_refused(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    run(ScoreMLP(VP(), width=8), checkpoint=checkpoint)
    with pytest.raises(ValueError, match="parameters = "):
        run(ScoreMLP(VP(), width=16), checkpoint=checkpoint)


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "header"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    checkpoint = tmp_path / "run.safetensors"
    run(checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "empty": b"",
            "garbage": os.urandom(4000),
            "header": b"\xff" * 8 + whole[8:],
        }[damage]
    )
    with pytest.raises(ValueError, match="run.safetensors") as error:
        run(checkpoint=checkpoint)
    assert "delete" not in str(error.value)


@pytest.mark.fault
def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    checkpoint = tmp_path / "other.safetensors"
    weights.write_tensors(checkpoint, {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="other.safetensors holds no training state"):
        run(checkpoint=checkpoint)


# ---- any module that PyTorch trains resumes bit for bit, or is refused before the first step


class Body(nn.Module):
    """A network of these layers, for 3 numbers in and 2 out."""

    def __init__(self, *layers, **parts):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), *layers, nn.Linear(16, 2))
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x, t):
        return self.body(torch.cat([x, t[:, None]], dim=1))


class Tied(Body):
    def __init__(self):
        super().__init__(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
        self.body[4].weight = self.body[2].weight


class Shared(Body):
    """Two parameters, one memory."""

    def __init__(self):
        super().__init__(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
        self.body[4].weight = nn.Parameter(self.body[2].weight.data)


class Counts(Body):
    """A number, a list, a tensor that is no buffer, a buffer that is not persistent, and one that
    comes later: all change the result."""

    def __init__(self):
        super().__init__()
        self.calls, self.seen, self.mean = 0, [], torch.zeros(2)
        self.register_buffer("hidden", torch.zeros(2), persistent=False)
        self.register_buffer("later", None)

    def forward(self, x, t):
        self.calls += 1
        self.seen.append(self.calls)
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        self.hidden += self.mean
        self.later = self.mean if self.later is None else self.later + self.mean
        drift = self.mean + self.hidden + self.later
        return super().forward(x, t) * (1 + 0.01 * len(self.seen)) + 0.1 * drift


class Late(Body):
    """A layer that is used from the tenth call on, and luck of Python's and numpy's."""

    def __init__(self):
        super().__init__(late=nn.Linear(2, 2), calls=0)

    def forward(self, x, t):
        self.calls += 1
        y = super().forward(x, t) * (1 + 0.1 * random.random() + 0.1 * np.random.rand())
        return self.late(y) if self.calls > 10 else y


class Whole(Body):
    """Parameters that are no real numbers."""

    def __init__(self):
        super().__init__()
        self.order = nn.Parameter(torch.arange(2), requires_grad=False)
        self.turn = nn.Parameter(torch.ones(2, dtype=torch.complex64))

    def forward(self, x, t):
        return (super().forward(x, t)[:, self.order] * self.turn).real


def frozen(network):
    network.body[0].weight.requires_grad_(False)
    return network


ZOO = {
    "tied": Tied,
    "two parameters of one memory": Shared,
    "frozen": lambda: frozen(Noisy()),
    "unused": lambda: Body(spare=nn.Linear(4, 4)),
    "counts": Counts,
    "late": Late,
    "whole and complex": Whole,
    "batch norm without affine": lambda: Body(nn.BatchNorm1d(16, affine=False, momentum=None)),
    "spectral norm": lambda: Body(
        nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16)),
        nn.utils.parametrizations.weight_norm(nn.Linear(16, 16)),
    ),
    "float64": lambda: Body(nn.Dropout(0.5)).double(),
}


def lucky(network, **options):
    random.seed(3), np.random.seed(4)
    where = {p.dtype for p in network.parameters()}
    points = tuple(d.double() for d in data()) if torch.float64 in where else data()
    return train(network, options.pop("objective", OBJECTIVE), points, **{**OPTIONS, **options})


def made(make):
    torch.manual_seed(5)
    return make()


@pytest.mark.fault
@pytest.mark.parametrize("make", ZOO.values(), ids=ZOO)
def test_a_module_of_any_kind_resumes_bit_for_bit(tmp_path, make):
    path = tmp_path / "run.safetensors"
    for k in (8, 9, 20):  # stopped three times
        with pytest.raises(KeyboardInterrupt):
            lucky(made(make), checkpoint=path, objective=Interrupted(k))
    resumed, unbroken = lucky(made(make), checkpoint=path), lucky(made(make))
    same(resumed, unbroken)
    assert not torch.equal(unbroken.losses[:20], unbroken.losses[20:])
    for (name, a), (_, b) in zip(attributes(resumed.network), attributes(unbroken.network)):
        if isinstance(b, (int, list, torch.Tensor)):
            assert torch.equal(a, b) if isinstance(b, torch.Tensor) else a == b, name


class Extra(Body):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: Body(luck=torch.Generator()), "network.luck = "),
        (lambda: Body(luck=np.random.default_rng(0)), "network.luck = "),
        (lambda: Body(last=deque([1])), "network.last = "),
        (lambda: Body(table=np.zeros(3)), "network.table = "),
        (lambda: Body(hidden=[nn.BatchNorm1d(2)]), "network.hidden = "),
        (lambda: Body(hidden={"mean": torch.zeros(2)}), "network.hidden = "),
        (lambda: Body(inner=Extra()), "inner = 'Extra'"),
    ],
)
def test_a_module_that_could_not_be_resumed_is_refused_before_the_first_step(tmp_path, make, name):
    path, stopped = tmp_path / "run.safetensors", Interrupted(0)
    with pytest.raises(ValueError, match=re.escape(name)):
        lucky(made(make), checkpoint=path, objective=stopped)
    assert not path.exists() and stopped.left == 0
    assert torch.isfinite(lucky(made(make)).losses).all()  # without a checkpoint it trains


@pytest.mark.fault
@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: nn.LazyLinear(2), "network.weight = "),
        (lambda: nn.Linear(3, 2).requires_grad_(False), "network = 'Linear'"),
        (nn.SiLU, "network = 'SiLU'"),
    ],
)
def test_a_network_that_cannot_be_trained(make, name):
    with pytest.raises(ValueError, match=name):
        run(make())


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        (dict(objective=DenoisingLoss(VP(), t_min=2e-2)), "objective.t_min = 0.01, not 0.02"),
        (dict(objective=DenoisingLoss(VP(), 1e-2, 3.0)), "objective.t_power = 1.0, not 3.0"),
        (
            dict(objective=DenoisingLoss(VP(beta_max=9.0), 1e-2)),
            "objective.sde.beta_max = 20.0, not 9.0",
        ),
        (dict(objective=FlowMatchingLoss()), "objective = 'DenoisingLoss', not 'FlowMatchingLoss'"),
        (dict(data_of=lambda x: x + 1), "data = '(100, 2) float32, SHA-256 "),
        (dict(network=lambda: ScoreMLP(VP(0.2))), "network.sde.beta_min = 0.1, not 0.2"),
        (
            dict(network=lambda: ScoreMLP(VP(), data_mean=0.5)),
            "network.data_mean = 0.0, not 0.5",
        ),
        (dict(torch_seed=6), "network.start_weights = "),
        (dict(compiled=True), "compiled = False, not True"),
        (dict(about={"--what": "b"}), "--what = 'a', not 'b'"),
    ],
)
def test_what_differs_from_the_run_of_a_checkpoint_is_named(tmp_path, change, words):
    path = tmp_path / "run.safetensors"

    def once(torch_seed=5, network=lambda: ScoreMLP(VP()), data_of=lambda x: x, **options):
        torch.manual_seed(torch_seed)
        given = {**OPTIONS, "steps": 4, "about": {"--what": "a"}, "objective": OBJECTIVE, **options}
        return train(network(), given.pop("objective"), map_of(data_of), checkpoint=path, **given)

    map_of = lambda f: tuple(map(f, data()))
    same(once(), once())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        once(**change)
    assert "run.safetensors" in str(error.value) and len(str(error.value)) < 2500
    assert path.read_bytes() == before


def test_an_attribute_of_a_layer_belongs_to_the_run(tmp_path):
    """Dropout has no weights; its share is named all the same."""
    path = tmp_path / "run.safetensors"
    lucky(made(lambda: Body(nn.Dropout(0.5))), checkpoint=path)
    with pytest.raises(ValueError, match=re.escape("network.body.2.p = 0.5, not 0.25")):
        lucky(made(lambda: Body(nn.Dropout(0.25))), checkpoint=path)


class Mine:
    """An objective of one's own, no dataclass, with a number and a teacher."""

    def __init__(self, scale, teacher):
        self.scale, self.teacher, self.calls = scale, teacher, 0

    def draw(self, x, *, generator):
        return (torch.randn(x.shape, generator=generator),)

    def __call__(self, network, x, z):
        self.calls += 1
        return (network(z, z[:, 0]) - self.scale * self.teacher(x)).square().mean(1)


def test_an_objective_of_ones_own(tmp_path):
    path = tmp_path / "run.safetensors"
    teacher = lambda seed: torch.manual_seed(seed) and nn.Linear(2, 2).requires_grad_(False)
    run(objective=Mine(2.0, teacher(1)), checkpoint=path)
    same(
        run(objective=Mine(2.0, teacher(1)), checkpoint=path), run(objective=Mine(2.0, teacher(1)))
    )
    for other, words in (
        (Mine(3.0, teacher(1)), "scale = 2.0, not 3.0"),
        (Mine(2.0, teacher(2)), "teacher"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"objective.{words}")):
            run(objective=other, checkpoint=path)


# ---- a finished training goes on


def test_extending_goes_on_from_the_end_and_says_so(tmp_path):
    path = tmp_path / "run.safetensors"
    first = run(checkpoint=path, provenance={"command": "one"})
    assert first.provenance == {"command": "one"}
    shutil.copy(path, tmp_path / "again.safetensors")
    more = dict(steps=60, extend=True, provenance={"command": "two"})
    longer = run(checkpoint=path, **more)
    assert torch.equal(longer.losses[:40], first.losses) and len(longer.losses) == 60
    (part,) = longer.provenance["extended"]
    assert longer.provenance["command"] == "one" and part["command"] == "two"
    assert (part["from"], part["to"]) == (40, 60) and "0.01" in part["learning_rate"]
    # stopped in its middle, it ends as the one that was not; finished, it is read again
    other = tmp_path / "again.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=other, objective=Interrupted(10), **more)
    again = run(checkpoint=other, **more)
    same(again, longer)
    same(run(checkpoint=other, objective=Interrupted(0), **more), longer)
    assert again.provenance == longer.provenance
    assert run(checkpoint=other, **more | {"steps": 70}).provenance["extended"][1]["from"] == 60


def test_the_schedule_of_an_extension(tmp_path, monkeypatch):
    """A warm-up, then a cosine, over the new steps."""
    seen, rate = [], training.learning_rate
    monkeypatch.setattr(training, "learning_rate", lambda *a: seen.append(a) or rate(*a))
    run(checkpoint=tmp_path / "run.safetensors", steps=8)
    run(checkpoint=tmp_path / "run.safetensors", steps=11, extend=True)
    assert seen == [(k, 8, 1e-2, 5) for k in range(8)] + [(k, 3, 1e-2, 5) for k in range(3)]


@pytest.mark.fault
def test_what_cannot_be_extended(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match="extend = True"):
        run(checkpoint=path, extend=True)
    with pytest.raises(ValueError, match="extend = True"):
        run(extend=True)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, objective=Interrupted(10))
    with pytest.raises(ValueError, match=r"extend = True: .*7 of its 40 steps"):
        run(checkpoint=path, steps=60, extend=True)
    run(checkpoint=path)
    with pytest.raises(ValueError, match="steps = 40, not 60: .*extend"):
        run(checkpoint=path, steps=60)
    with pytest.raises(ValueError, match="steps = 40, not 30"):
        run(checkpoint=path, steps=30, extend=True)
    with pytest.raises(ValueError, match="seed = 0, not 1"):
        run(checkpoint=path, steps=60, extend=True, seed=1)
    run(checkpoint=path, steps=60, extend=True)
    with pytest.raises(ValueError, match=r"extended_from\b.*40.*"):
        run(checkpoint=path, steps=60)  # it is not the run of 60 steps


@pytest.mark.fault
def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(objective=Interrupted(10), checkpoint=checkpoint)
    before = checkpoint.read_bytes()

    def broken(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", broken)
    with pytest.raises(OSError, match="No space left"):
        run(checkpoint=checkpoint)
    monkeypatch.undo()
    assert checkpoint.read_bytes() == before and list(tmp_path.iterdir()) == [checkpoint]
    same(run(checkpoint=checkpoint), run())


class Exploding:
    loss, draw, calls = OBJECTIVE, OBJECTIVE.draw, 0

    def __call__(self, *args):
        self.calls += 1
        return self.loss(*args) * (math.nan if self.calls > 10 else 1.0)


@pytest.mark.fault
def test_a_loss_that_is_not_finite_raises_and_keeps_the_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=r"the loss is nan at step 10: lower lr = 0\.01"):
        run(objective=Exploding(), checkpoint=checkpoint)
    same(run(checkpoint=checkpoint), run())  # the checkpoint of step 7 is a sound one


@pytest.mark.parametrize(
    "options, words",
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"lr": -1.0}, r"lr = -1\.0"),
        ({"lr": math.nan}, "lr = nan"),
        ({"every": 0}, "every = 0"),
        ({"ema": 1.0}, r"ema = 1\.0"),
        ({"ema": -0.1}, r"ema = -0\.1"),
        ({"batch_size": 101}, "batch_size = 101"),
        ({"steps": 2.5}, r"steps = 2\.5"),
        ({"steps": True}, "steps = True"),
        ({"checkpoint": Path(".")}, "checkpoint = .*folder"),
    ],
)
def test_bad_numbers_raise(options, words):
    with pytest.raises(ValueError, match=words):
        run(**options)


@pytest.mark.parametrize("wrong", [torch.zeros(60_000, 2), (), []])
def test_data_that_are_no_tuple_of_tensors(wrong):
    with pytest.raises(ValueError, match=r"data = .*\(images,\)") as error:
        train(Noisy(), OBJECTIVE, wrong, **OPTIONS)
    assert len(str(error.value)) < 500


def test_numbers_may_be_numpys(tmp_path):
    """Their run is the same run: its checkpoint knows it again."""
    counts = {name: np.int64(OPTIONS[name]) for name in ("steps", "batch_size", "warmup", "every")}
    mine = dict(counts, seed=np.int64(0), lr=np.float64(OPTIONS["lr"]))
    same(run(checkpoint=tmp_path / "run.safetensors", **mine), run())
    stopped = Interrupted(0)
    same(run(objective=stopped, checkpoint=tmp_path / "run.safetensors"), run())


def test_data_of_different_lengths_raises():
    with pytest.raises(ValueError, match=r"\[100, 99\]"):
        train(Noisy(), OBJECTIVE, (torch.zeros(100, 2), torch.zeros(99)), **OPTIONS)


def test_the_moving_average_and_the_optimiser_by_hand():
    """One linear weight, the loss ½(w − 1)²·…: AdamW with clipping and θ̄ ← βθ̄ + (1 − β)θ, written
    out."""

    class Weight(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return self.w * x

    class Square:
        def draw(self, x, *, generator):
            return ()

        def __call__(self, network, x):
            return (network(x) - x).square().mean(1)

    x = torch.ones(4, 1)
    result = train(
        Weight(),
        Square(),
        (x,),
        steps=6,
        batch_size=4,
        lr=0.1,
        warmup=2,
        ema=0.9,
        cpu=True,
        progress=False,
    )
    w, average, m, v, losses = 0.0, 0.0, 0.0, 0.0, []
    for k in range(6):
        losses.append((w - 1) ** 2)
        g = 2 * (w - 1)
        g = g / max(1.0, abs(g) + 1e-6)  # clipped to norm 1
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        lr = 0.1 * min(1, (k + 1) / 2) * 0.5 * (1 + math.cos(math.pi * k / 6))
        w -= lr * (m / (1 - 0.9 ** (k + 1))) / (math.sqrt(v / (1 - 0.99 ** (k + 1))) + 1e-8)
        beta = min(0.9, (1 + k) / (10 + k))
        average = beta * average + (1 - beta) * w
    torch.testing.assert_close(result.losses, torch.tensor(losses), rtol=1e-5, atol=1e-6)
    assert float(result.network.w.detach()) == pytest.approx(average, rel=1e-4)
    assert not result.network.training


def test_one_process_trains_in_one_precision_and_then_in_another():
    """accelerate keeps the first choice of a process unless it is told to forget it."""
    exact, rounded, again = (run(precision=p).losses for p in ("no", "bf16", "no"))
    assert (
        torch.equal(exact, again) and 0 < (exact - rounded).abs().max() < 0.1
    )  # a product is right to 2⁻⁹ of it


def test_learning_rate():
    lr = [learning_rate(k, 100, 1.0, 10) for k in range(100)]
    assert (
        lr[0] == pytest.approx(0.1)
        and max(lr) < 1
        and lr[50] == pytest.approx(0.5)
        and lr[99] < 1e-3
    )
    assert all(a < b for a, b in zip(lr[:9], lr[1:10])) and all(
        a > b for a, b in zip(lr[10:], lr[11:])
    )


def test_an_epoch_sees_each_example_once():
    n, size = 50, 8
    for epoch in range(3):
        batches = [training._batch(n, size, 0, epoch * 6 + k) for k in range(6)]
        assert len(torch.cat(batches).unique()) == 48
    assert not torch.equal(training._batch(n, size, 0, 0), training._batch(n, size, 0, 6))
    assert torch.equal(training._batch(n, size, 0, 3), training._batch(n, size, 0, 3))
    assert not torch.equal(training._batch(n, size, 0, 3), training._batch(n, size, 1, 3))


def test_step_generator_depends_on_seed_and_step_only():
    draw = lambda *key: torch.rand(3, generator=step_generator(*key))
    assert torch.equal(draw(0, 1), draw(0, 1))
    assert (
        len(
            {
                tuple(draw(*key).tolist())
                for key in ((0, 0), (0, 1), (1, 0), (1, 1), (0, -1), (11, 1), (1, 11))
            }
        )
        == 7
    )


TWO = textwrap.dedent("""
    import sys, torch
    sys.path.insert(0, {tests!r})
    from test_training import OBJECTIVE, data
    from sdelib.networks import ScoreMLP
    from sdelib.families import VP
    from sdelib.own.training import train
    from sdelib.own.weights import write_tensors
    from accelerate import Accelerator
    torch.set_num_threads(1)
    torch.manual_seed(5)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    result = train(ScoreMLP(VP(), width=16), OBJECTIVE, data(), steps=30, batch_size=16, lr=1e-2,
                   warmup=5, cpu=True, progress=False,
                   checkpoint=sys.argv[1])
    if accelerator.is_main_process:
        write_tensors(sys.argv[2], {{"losses": result.losses, **result.network.state_dict()}}, {{}})
""")


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """Two CPU processes (gloo) under torchrun, which is what accelerate launch starts: each takes
    half of the same batch; float32 rounding is left."""
    script = tmp_path / "two.py"
    script.write_text(TWO.format(tests=str(HERE)), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            "2",
            str(script),
            str(tmp_path / "run.safetensors"),
            str(tmp_path / "two"),
        ],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    torch.manual_seed(5)
    one = train(ScoreMLP(VP(), width=16), OBJECTIVE, data(), **{**OPTIONS, "steps": 30})
    two, _ = weights.read_tensors(tmp_path / "two")
    # Adam divides by √v, so rounding of 1e-7 in a gradient may grow: 1e-4 is far below the loss's
    # change of 0.1 and more
    torch.testing.assert_close(two["losses"], one.losses, rtol=1e-4, atol=1e-4)
    for name, p in one.network.state_dict().items():
        torch.testing.assert_close(two[name], p, rtol=1e-2, atol=1e-3)
    assert float((one.losses[0] - one.losses[-5:].mean()).abs()) > 0.05


# ---- examples that are no tensors, and a look on the way


class Bytes:
    """Examples that hold bytes, and give floats by index."""

    def __init__(self, stored):
        self.stored = stored

    def __len__(self):
        return len(self.stored)

    def __getitem__(self, index):
        return torch.as_tensor(np.asarray(self.stored[np.asarray(index)])).float() / 255


def mapped(tmp_path, name="x.npy"):
    points = np.random.default_rng(0).integers(0, 256, (100, 2)).astype(np.uint8)
    np.save(tmp_path / name, points)
    return np.load(tmp_path / name, mmap_mode="r")


def test_a_mapped_file_of_bytes_trains_as_floats_in_memory(tmp_path):
    stored, path = mapped(tmp_path), tmp_path / "run.safetensors"
    floats = torch.tensor(np.array(stored)).float() / 255
    once = lambda data, **how: train(made(Noisy), OBJECTIVE, (data,), **{**OPTIONS, **how})
    same(once(Bytes(stored)), once(floats))
    same(once(Bytes(stored), checkpoint=path), once(floats))
    same(once(Bytes(stored), checkpoint=path), once(floats))
    other = np.array(stored)
    other[77, 1] ^= 1
    with pytest.raises(ValueError, match="data = "):
        once(Bytes(other), checkpoint=path)


def test_a_fingerprint_is_read_part_by_part(tmp_path):
    """An array, its file and its tensor have one fingerprint; the file is not held in memory."""
    import tracemalloc

    numbers = np.random.default_rng(0).integers(0, 256, (50_000, 200)).astype(np.uint8)
    np.save(tmp_path / "big.npy", numbers)
    want = fingerprint([torch.from_numpy(numbers)])
    tracemalloc.start()
    assert fingerprint([np.load(tmp_path / "big.npy", mmap_mode="r")]) == want
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < numbers.nbytes / 5
    assert fingerprint([numbers]) == want != fingerprint([numbers[::-1]])
    parts = fingerprint([Bytes(numbers[:3000])])
    assert parts != fingerprint([Bytes(numbers[1:3001])]) and parts.startswith("(3000,) Bytes, SHA")


class Looking:
    """A watch that draws, and spoils the network that it is given."""

    def __init__(self, at=(8, 21, 40)):
        self.at, self.seen = at, {}

    def __call__(self, k, averaged):
        torch.rand(k), random.random(), np.random.rand()
        if k not in self.at:
            return None
        network = averaged()
        assert not network.training
        x = torch.ones(4, 2, dtype=network.body[0].weight.dtype)
        value = float(network(x, torch.full_like(x[:, 0], 0.5)).detach().sum())
        self.seen[k] = {n: p.detach().clone() for n, p in network.named_parameters()}
        with torch.no_grad():
            for p in [*network.parameters(), *network.buffers()]:
                p.zero_()
        return {"value": value}


@pytest.mark.parametrize("make", ZOO.values(), ids=ZOO)
def test_a_look_does_not_touch_the_training(make):
    watch = Looking()
    looked, blind = lucky(made(make), watch=watch), lucky(made(make))
    same(looked, blind)
    assert [k for k, _, _ in looked.watched] == [8, 21, 40] and blind.watched == []
    for name, p in looked.network.named_parameters():  # what it saw is the average
        assert torch.equal(p, watch.seen[40][name]), name
    values = [seen["value"] for _, _, seen in looked.watched]
    assert len({*values}) == 3 and all(map(math.isfinite, values))


@pytest.mark.fault
def test_what_was_watched_survives_a_kill(tmp_path):
    path, whole = tmp_path / "run.safetensors", run(watch=Looking())
    for k in (10, 16):
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=path, watch=Looking(), objective=Interrupted(k))
    resumed = run(checkpoint=path, watch=Looking())
    same(resumed, whole)
    facts = lambda result: [(k, seen) for k, _, seen in result.watched]
    assert facts(resumed) == facts(whole) and len(facts(whole)) == 3
    seconds = [s for _, s, _ in resumed.watched]
    assert all(b > a > 0 for a, b in zip(seconds, seconds[1:]))
