"""The loss by noise level: right where it is known, with errors that hold, and paired."""

import math

import pytest
import torch

from sdelib.denoiser import DenoiserLoss
from sdelib.networks import DenoiserMLP
from sdelib.own.curve import Curve
from sdelib.own.validation import Validation, edges, levels_and_noise, validate

LOSS = DenoiserLoss(-0.2, 1.4, data_std=1.0, levels=(0.002, 160.0))


def network(shift=0.0):
    """The exact denoiser of N(0, I), whose answers are moved by `shift` of their size."""
    torch.manual_seed(0)
    made = DenoiserMLP(2, 8)
    torch.nn.init.constant_(made.out.bias, shift)
    return made.eval()


def points(n, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def test_the_loss_of_an_exact_denoiser_is_one_in_every_band():
    """λ(σ) E‖D − x₀‖²/d = [(σ² + 1)/σ²]·[σ²/(σ² + 1)] = 1."""
    table = validate(network(), LOSS, points(1500), bands=6)
    assert table.examples == 1500 and table.each.shape == (1500, 6)
    assert ((table.loss - 1).abs() < 5 * table.error).all() and (table.error < 0.05).all()
    assert abs(table.total - 1) < 5 * table.total_error < 0.1
    assert table.total == pytest.approx(float(table.loss.mean()))


def test_its_errors_are_those_of_repetition():
    tables = [validate(network(), LOSS, points(40, seed), bands=4, seed=seed) for seed in range(60)]
    totals = torch.tensor([t.total for t in tables])
    told = torch.tensor([t.total_error for t in tables]).mean()
    assert 0.7 < totals.std() / told < 1.4  # ± 4.5 standard errors of a spread of 60 numbers


def test_a_paired_difference_is_known_far_better():
    """With F = c in each coordinate the loss rises by c² on average: the target has mean 0."""
    one, two = (validate(network(c), LOSS, points(300)) for c in (0.0, 0.05))
    gap = two.minus(one)
    assert abs(gap.total - 0.05**2) < 5 * gap.total_error
    assert gap.total_error < 0.2 * math.hypot(one.total_error, two.total_error)
    with pytest.raises(ValueError, match=r"other.each has shape \(40, 8\)"):
        one.minus(validate(network(), LOSS, points(40)))


def test_what_an_example_sees_depends_on_its_number_only():
    whole = validate(network(), LOSS, points(50), batch=1000).each
    for n, batch in ((50, 7), (50, 24), (20, 1000)):
        part = validate(network(), LOSS, points(50)[:n], batch=batch).each
        torch.testing.assert_close(part, whole[:n], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole, validate(network(), LOSS, points(50), seed=1).each)


def test_levels_go_through_every_band_evenly():
    at, (sigma, _) = edges(LOSS, 5), levels_and_noise(LOSS, 100, 5)
    assert at[0] == 0.002 and at[-1] == 160 and (at.diff() > 0).all()
    assert ((sigma > at[:-1]) & (sigma < at[1:])).all()
    u = torch.special.ndtr((sigma.log() - LOSS.mean) / LOSS.std).sort(0).values * 5 % 1
    even = (torch.arange(100) + 0.5)[:, None] / 100
    assert (u - even).abs().max() < 0.03  # a random order would be off by 0.1


def test_labels_are_told_and_nothing_is_mirrored_or_dropped():
    seen = []

    class Watched(DenoiserMLP):
        def forward(self, x, sigma, label=None):
            seen.append((x, label))
            return super().forward(x, sigma, label)

    loss = DenoiserLoss(drop=1.0, flips=True)
    validate(Watched(2, 8, classes=3), loss, points(4), torch.tensor([0, 2, 1, 1]), bands=2)
    assert seen[0][1].tolist() == [0, 0, 2, 2, 1, 1, 1, 1]
    validate(Watched(2, 8), loss, points(4), bands=2)
    assert seen[1][1].tolist() == [-1] * 8


def test_bad_arguments():
    for change, words in (({"bands": 0}, "bands = 0"), ({"batch": 0}, "batch = 0")):
        with pytest.raises(ValueError, match=words):
            validate(network(), LOSS, points(2), **change)
    with pytest.raises(ValueError, match="examples = 0"):
        validate(network(), LOSS, points(0))
    assert math.isnan(validate(network(), LOSS, points(1)).total_error)  # one has no spread


def test_a_curve_is_kept_as_json_and_says_when_the_loss_rose():
    tables = [validate(network(c), LOSS, points(30), bands=3) for c in (0.5, 0.0, 0.3)]
    watched = [[k, 1.5 * k, t.to_json()] for k, t in zip((10, 20, 30), tables)]
    curve = Curve.of(watched, torch.zeros(30))
    assert curve.steps == (10, 20, 30) and curve.seconds == (15, 30, 45) and curve.lowest == 1
    for a, b in zip(curve.tables, tables):
        assert (a.total, a.total_error, a.rows()) == (b.total, b.total_error, b.rows())
        assert isinstance(a, Validation) and len(a.rows()) == 3
    rise = tables[2].total - tables[1].total
    assert "lowest at step 20" in str(curve) and f"{rise:.4f} more" in str(curve)
    assert "lowest" not in str(Curve.of(watched[:2], torch.zeros(20)))
    assert curve.facts()["validation"]["loss"] == pytest.approx(tables[2].total, rel=1e-5)
    assert [r["step"] for r in curve.rows()] == [10, 20, 30] and "loss2" in curve.rows()[0]
    assert Curve.of([], torch.zeros(0)).facts() == {} and str(Curve.of([], torch.zeros(0)))
