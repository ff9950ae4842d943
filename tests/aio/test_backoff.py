"""Delays that grow."""

from __future__ import annotations

import pytest

from sampan.aio.backoff import Backoff


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.0), (-1, 0.0), (1, 0.5), (2, 1.0), (4, 4.0), (5, 6.0), (10_000, 6.0)])
def test_a_delay_doubles_with_each_failure_up_to_a_bound(failures: int, seconds: float) -> None:
    assert Backoff(first_seconds=0.5, most_seconds=6.0).delay_seconds(failures) == seconds


def test_the_factor_is_the_caller_s() -> None:
    assert [Backoff(1.0, 100.0, factor=3.0).delay_seconds(failures) for failures in (1, 2, 3)] == [1.0, 3.0, 9.0]
