"""What has survived is set aside, but not for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from sampan.lib.collector import WHOLE_SECONDS, Collector


class Ticking:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def clock() -> Iterator[Ticking]:
    before, made = gc.get_threshold(), Ticking()
    collector = Collector(made)
    collector.settle()
    yield made
    collector.release()
    assert gc.get_threshold() == before


def test_a_young_cycle_is_collected(clock: Ticking) -> None:
    ring = weakref.ref(Ring())
    gc.collect()
    assert ring() is None
    assert clock.seconds == 0


def test_a_cycle_that_was_set_aside_is_collected_within_the_hour(clock: Ticking) -> None:
    # given a cycle that survives a collection and dies later
    kept = Ring()
    ring = weakref.ref(kept)
    gc.collect()
    del kept
    gc.collect()
    assert ring() is not None
    # when
    clock.seconds = WHOLE_SECONDS
    gc.collect()
    # then
    assert ring() is None
