"""What a budget buys is what was measured, and says where."""

import pytest

from sdelib.own.budget import MEASURED, choose, table
from sdelib.own.by_name import SOLVERS


def measured(budget, **match):
    rows = [r for r in table("quality.csv") if (r["part"], r["network"]) == ("main", MEASURED)]
    rows = [r for r in rows if r["budget"] == str(budget)]
    return sorted(
        (r for r in rows if match.items() <= r.items()), key=lambda r: float(r["frechet"])
    )


@pytest.mark.parametrize("budget", [5, 10, 18, 35, 50, 100])
def test_the_best_of_a_measured_budget_is_taken(budget):
    rows, made = measured(budget), choose(budget)
    assert len(rows) > 10 and (made.solver, made.grid) == (rows[0]["solver"], rows[0]["grid"])
    assert (made.steps, made.evaluations) == (int(rows[0]["steps"]), int(rows[0]["evaluations"]))
    assert f"{float(rows[0]['frechet']):.2f}" in made.why and "Fashion-MNIST" in made.why
    other = choose(budget, solver="edm-heun")
    assert f"{float(measured(budget, solver='edm-heun')[0]['frechet']):.2f}" in other.why


def test_fewer_evaluations_that_did_better_are_named():
    assert "35 had 1.31" in choose(100).why and "had" not in choose(18).why


@pytest.mark.parametrize("price", [1, 2])
def test_no_budget_is_passed(price):
    for n in range(2 * price, 130):
        made = choose(n, price=price)
        assert (
            made.evaluations
            <= n
            < made.evaluations + price * (SOLVERS[made.solver].evaluations + 1)
        )
    assert choose(3, solver="edm-heun").evaluations == 3


def test_what_is_given_is_taken():
    made = choose(18, solver="heun", steps=7, grid="uniform")
    assert (made.solver, made.steps, made.grid, made.evaluations) == ("heun", 7, "uniform", 15)
    assert "not among what was measured" in made.why
    assert choose(18, steps=40).steps == 40
    assert choose(18, solver="milstein").grid == "karras"


@pytest.mark.fault
@pytest.mark.parametrize(
    "change, words",
    [
        ({"evaluations": 1}, "evaluations = 1"),
        ({"evaluations": 3, "price": 2}, "evaluations = 3"),
        ({"evaluations": 2.5}, "evaluations = 2.5"),
        ({"steps": 0}, "steps = 0"),
        ({"solver": "rk4"}, "solver = 'rk4'.*euler-maruyama"),
        ({"grid": "even"}, "grid = 'even'.*karras"),
    ],
)
def test_what_there_is_not(change, words):
    with pytest.raises(ValueError, match=words):
        choose(**change)


def test_a_table_that_is_not_there():
    with pytest.raises(ValueError, match="name = 'none.csv'"):
        table("none.csv")
