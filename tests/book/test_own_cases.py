"""The data sets of chapter 17, and the Gaussians that its networks are held against."""

from __future__ import annotations

import torch

from sdelib.book.known_law import KINDS, P_HUE, P_KIND, shapes
from sdelib.book.own_cases import Gaussians, coloured, digits, fewer, wine


def test_the_data_sets_are_what_the_chapter_says():
    data = digits()
    assert (len(data), len(data.held), data.form.shape) == (1438, 359, (1, 8, 8))
    assert coloured(n=200).form.classes == KINDS and coloured(False, n=200).labels is None
    assert wine().form.size == 13 and len(wine()) + len(wine().held) == 178


def test_fewer_examples_are_some_of_them_and_the_held_out_part_stays():
    data, some = digits(), fewer(digits(), 40)
    assert len(some) == 40 and len(some.held) == 359 and len(some.labels) == 40
    far = torch.cdist(some.batch(torch.arange(40)).flatten(1), data.x[:].flatten(1)).min(1)
    assert far.values.max() == 0
    assert torch.equal(some.labels, data.labels[far.indices])


def test_a_gaussian_denoises_as_its_formula_says_and_draws_what_it_fitted():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(4000) % 2
    x = torch.randn(4000, 1, 1, 2, generator=g) * torch.tensor([1.0, 0.5]) + y[:, None, None, None]
    law = Gaussians(x, y)
    at, sigma, label = torch.randn(5, 1, 1, 2, generator=g), torch.tensor(0.7), torch.arange(5) % 2
    found = law(at, sigma, label)
    for k in range(5):
        own = x[y == label[k]].flatten(1).double()
        m, C = own.mean(0), torch.cov(own.T)
        gain = C @ torch.linalg.inv(C + 0.49 * torch.eye(2, dtype=torch.float64))
        right = m + gain @ (at[k].flatten().double() - m)
        assert torch.allclose(found[k].flatten().double(), right, atol=1e-5)
    drawn = law.sample(4000, y, generator=g).flatten(1)
    for k in (0, 1):
        gap = drawn[y == k].mean(0) - x[y == k].flatten(1).mean(0)
        assert gap.abs().max() < 5 / 2000**0.5
        ratio = drawn[y == k].var(0) / x[y == k].flatten(1).var(0)
        assert (ratio - 1).abs().max() < 5 * (2 / 2000) ** 0.5
    assert Gaussians(x).sample(3, generator=g).shape == (3, 1, 1, 2)


def test_hues_by_another_law_leave_the_kinds_as_they_are():
    given = (P_KIND @ P_HUE).expand(3, 3)
    g = torch.Generator().manual_seed(0)
    _, kind, truth = shapes(6000, given=given, generator=g)
    counts = torch.bincount(3 * kind + truth.hue, minlength=9).double().reshape(3, 3)
    true = P_KIND[:, None] * given * 6000
    assert ((counts - true) ** 2 / true).sum() < 26.1  # p = 0.001 with 8 degrees of freedom
    assert ((counts - 6000 * P_KIND[:, None] * P_HUE) ** 2 / true).sum() > 1000
