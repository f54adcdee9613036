"""What chapter 13 says of results/quality.csv: the solvers, the floors, the processes."""

from __future__ import annotations

import math

from sdelib.book.quality_table import FLOWS, NAMES, NOISY, curves, floors, pairs, runs, stored


def test_every_solver_has_a_name_and_a_line():
    lines = curves()
    assert set(lines) == set(NAMES) and not set(FLOWS) & set(NOISY)
    assert all(points == sorted(points) for points in lines.values())


def test_with_few_evaluations_four_solvers_draw_garments():
    five = sorted((y, s) for s, points in curves().items() for x, y in points if x <= 5)
    assert [s for _, s in five[:4]] == ["dpm++2m", "dpm++2m-sde", "ddim", "ancestral"]
    assert five[3][0] < 30 and five[4][0] > 140
    assert stored("dpm++2m", 5) < 5 and stored("dpm++2m-sde", 18) < stored("dpm++2m", 18)


def test_at_eighteen_evaluations_the_textbooks_solvers_draw_noise_and_at_a_hundred_garments():
    late = {"exponential", "predictor-corrector", "probability-flow-euler"}
    flows = {"probability-flow-heun", "probability-flow-rk45"}
    textbook = {"euler-maruyama", "heun", "sra", "probability-flow-heun"}
    assert all(stored(s, 18) > 50 for s in textbook | late)
    good = {"dpm++2m", "ddim", "edm-heun", "ancestral"} | textbook | flows
    assert all(stored(s, 100) < 4 for s in good)
    assert stored("ancestral", 100) < stored("exponential", 100) / 4
    assert stored("edm-heun", 18) < stored("probability-flow-heun", 18) / 10


def test_with_a_thousand_evaluations_the_corrector_is_best():
    lowest = min((min(y for _, y in points), s) for s, points in curves().items())
    assert lowest[1] == "predictor-corrector" and max(x for x, _ in curves()[lowest[1]]) > 900


def test_as_many_of_each_class_are_nearer():
    real, told = floors("real"), floors("real told the class")
    assert set(real) == set(told) == {250, 500, 1000, 5000}
    assert all(told[n].mean() < real[n].mean() for n in real)


def test_every_solver_ends_on_every_process_and_some_do_not_notice_which():
    found = pairs()
    assert all(len(row) == 3 and all(map(math.isfinite, row.values())) for row in found.values())
    worst = [max(row.values()) for row in found.values()]
    assert worst == sorted(worst, reverse=True)
    euler = found["probability-flow-euler"]
    assert euler["VE 80"] > 3 * euler["VP"]
    blind = ("ddim", "dpm++2m", "dpm++2m-sde", "edm-heun", "edm-churn", "ancestral", "exponential")
    assert all(found[s]["VP"] == found[s]["sub-VP"] for s in blind)


def test_a_part_holds_what_it_is_asked_for():
    assert all(r["solver"] == "ddim" and r["part"] == "main" for r in runs("main", solver="ddim"))
    assert len(runs("default")) == 4 and stored("ddim", 5) == runs("main", solver="ddim")[0]["F"]


def test_captions_and_alternative_texts_say_what_the_table_says():
    sde, large = stored("dpm++2m-sde", 18), "denoiser told the class"
    assert round(sde, 1) == 1.5
    ends = {s: (points[0][1], stored(s, 100)) for s, points in curves().items()}
    assert [round(v, 1) for v in ends["dpm++2m"]] == [3.6, 2.1]
    assert [round(v) for v in ends["ddim"]] == [19, 2] and round(ends["ancestral"][0]) == 26
    late = [y for s, (_, y) in ends.items() if s in FLOWS and "euler" not in s]
    assert [round(min(late), 1), round(max(late), 1)] == [1.9, 2.7]
    assert round(stored("dpm++2m-sde", 5), 1) == 4.9 and round(stored("dpm++2m-sde", 35), 1) == 1.3
    assert [round(r["F"]) for r in runs("source")][::2] == [9, 42]
    assert round(stored("dpm++2m-sde", 35, "untold", "denoiser"), 1) == 3.4
    assert round(stored("dpm++2m-sde", 35, "large", large), 1) == 0.6
    near = [s for s, row in pairs().items() if max(row.values()) < 4]
    assert len(pairs()) == 19 and len(near) == 11
