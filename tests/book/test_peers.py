"""What chapter 8 says of five other libraries, held against the measured table."""

from __future__ import annotations

import pytest

from sdelib.book.peers import EULER, SHOWN, SRA, Peers


@pytest.fixture(scope="module")
def peers():
    return Peers()


@pytest.mark.parametrize("budget", [10, 20, 50, 100])
def test_the_same_method_gives_the_same_error(peers, budget):
    for library, name in (("torchsde", "euler"), ("diffrax", "Euler")):
        assert peers.alike(EULER, (library, name, "uniform VE"), budget)
    ours = peers.value(("sdelib", "ancestral", "karras"), budget)
    for library, name in (("k-diffusion", "euler_ancestral"), ("azula", "DDPM")):
        assert peers.value((library, name, "karras"), budget) == ours


def test_at_20_evaluations_sra_is_first_and_level_with_dpmpp_sde(peers):
    at20 = peers.at(20)
    assert min(at20, key=at20.get) == SRA
    assert peers.alike(SRA, ("k-diffusion", "dpmpp_sde", "karras"), 20)


def test_at_10_evaluations_ours_are_not_first(peers):
    at10 = peers.at(10)
    ours = min(error for method, error in at10.items() if method[0] == "sdelib")
    assert min(at10, key=at10.get) == ("k-diffusion", "dpmpp_sde", "karras")
    assert at10["k-diffusion", "dpmpp_2m_sde", "karras"] < ours


def test_the_grid_matters_more_than_the_name(peers):
    equal = (("sdelib", "sra"), ("diffrax", "SRA1"), ("torchsde", "srk additive"))
    worst = min(peers.value((*method, "uniform VE"), 10) for method in equal)
    assert worst > 10 * peers.value(SRA, 10)


def test_a_line_of_the_table(peers):
    assert peers.line(EULER).startswith("sdelib | euler_maruyama | uniform VE | ")
    assert all(peers.line(method).count("|") == 6 for method in SHOWN)
