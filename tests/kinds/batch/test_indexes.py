"""Sets of completion indexes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.kinds.batch import indexes


@given(st.sets(st.integers(0, 60)))
def test_what_is_rendered_is_read_back(values: set[int]) -> None:
    assert list(indexes.each(indexes.parse(indexes.render(values), 100))) == sorted(values)


def test_two_in_a_row_are_listed_and_three_are_a_range() -> None:
    assert indexes.render([1, 2, 4, 5, 6, 9]) == "1,2,4-6,9"


def test_indexes_beyond_the_completions_are_dropped() -> None:
    assert indexes.parse("0,3-7,9", 5) == [(0, 0), (3, 4)]


@pytest.mark.parametrize("text", ["1,1", "3-2", "a", "1-2-3", "9"])
def test_what_is_no_set_of_indexes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        indexes.check(text, 9)


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 60)))
def test_those_among_intervals_are_counted(named: set[int], values: set[int]) -> None:
    assert indexes.among(indexes.parse(indexes.render(named), 100), values) == len(named & values)


def test_the_width_of_an_interval_costs_nothing() -> None:
    # given as many indexes as a Job may have
    everything = indexes.parse("0-2147483646", 2**31 - 1)
    # then
    assert indexes.among(everything, {0, 7, 2**31 - 2}) == 3
    assert indexes.count(everything) == 2**31 - 1
