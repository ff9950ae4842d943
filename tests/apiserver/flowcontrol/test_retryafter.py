"""What clients that are turned away are told to wait."""

from __future__ import annotations

from sampan.apiserver.flowcontrol.retryafter import LONGEST_SECONDS, Dropped


def test_it_doubles_while_many_are_turned_away_and_falls_by_one() -> None:
    dropped = Dropped()
    # when ten a second are turned away
    told = [dropped.drop(second + tenth / 10) for second in range(200) for tenth in range(10)]
    assert told[:10] == [1] * 10
    assert told[-1] == LONGEST_SECONDS
    assert sorted(set(told)) == [1, 2, 4, 8, 16, 32]
    assert told == sorted(told)
    # and then one in forty seconds
    assert [dropped.drop(240.0 + 40 * number) for number in range(3)] == [31, 30, 29]


def test_a_few_do_not_change_it() -> None:
    dropped = Dropped()
    assert {dropped.drop(float(second)) for second in range(0, 100, 2)} == {1}
