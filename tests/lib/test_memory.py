"""Giving memory back, and when."""

from __future__ import annotations

import platform

from sampan.lib.memory import Ebb, give_back


def test_glibc_gives_back() -> None:
    assert give_back() is (platform.libc_ver()[0] == "glibc")


def test_a_fall_is_told_once() -> None:
    ebb = Ebb(100)
    # when many come and leave slowly
    told = [ebb.fell(count) for count in (0, 150, 500, 450, 401, 400, 399, 350, 300)]
    # then every hundred of them counts once
    assert told == [False, False, False, False, False, True, False, False, True]


def test_what_comes_and_goes_a_little_at_a_time_is_nothing() -> None:
    ebb = Ebb(100)
    assert not any(ebb.fell(count) for count in (10, 60, 10, 90, 0, 99, 0))
