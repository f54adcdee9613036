"""What the chapters say and show: the source of a thing, a sentence, a measured table."""

from __future__ import annotations

import functools

import pytest

from sdelib.book.notebook import read_table, say, show_source, table


def twice(x):
    """Two times x."""
    return 2 * x


class Doubling:
    """An object that stands for a function."""

    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __call__(self, x):
        return twice(x)


@pytest.mark.parametrize("thing", [twice, Doubling(twice), Doubling(Doubling(twice))])
def test_the_source_of_a_function_or_of_what_wraps_one(thing):
    assert show_source(thing).data.strip() == "def twice(x):\n    return 2 * x"
    assert '"""Two times x."""' in show_source(thing, docstring=True).data


def test_the_source_of_a_class_and_of_a_method():
    assert show_source(Doubling).data.startswith("class Doubling:")
    assert show_source(Doubling.__call__).data.startswith("def __call__(self, x):\n    return")


def test_a_table_is_said_line_by_line():
    said = say(table("t | mean", *([t, f"{t / 2:.1f}"] for t in (1, 2)))).data
    assert said == "| t | mean |\n| ---|--- |\n| 1 | 0.5 |\n| 2 | 1.0 |"


def test_a_sentence_and_a_table():
    assert (
        say(f"""
        The value is **{1.5:.1f}**.""").data
        == "The value is **1.5**."
    )
    rows = read_table("quality.csv")
    assert len(rows) > 10 and {"frechet", "solver"} <= rows[0].keys()
    with pytest.raises(ValueError, match="name = 'none.csv'"):
        read_table("none.csv")
