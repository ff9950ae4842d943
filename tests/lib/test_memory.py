"""Giving memory back, and when."""

from __future__ import annotations

import platform

from sampan.lib.memory import Ebb, give_back


def test_glibc_gives_back() -> None:
    assert give_back() is (platform.libc_ver()[0] == "glibc")


def test_a_fall_is_told_once_when_it_is_over() -> None:
    ebb = Ebb(100)
    # when many come, and leave in a few moments
    told = [ebb.fell(count) for count in (0, 150, 500, 450, 30, 2, 2, 2, 1, 1)]
    # then it counts when nobody leaves any more
    assert told == [False] * 6 + [True] + [False] * 3


def test_a_step_that_takes_long_counts_too() -> None:
    ebb = Ebb(100)
    # when they leave one after the other, with pauses
    told = [ebb.fell(count) for count in (500, 450, 450, 401, 400, 400, 350, 300, 301, 300, 300)]
    # then each hundred counts at the next pause
    assert told == [False] * 5 + [True] + [False] * 4 + [True]


def test_what_comes_and_goes_a_little_at_a_time_is_nothing() -> None:
    ebb = Ebb(100)
    assert not any(ebb.fell(count) for count in (10, 60, 10, 90, 0, 99, 0, 0))
