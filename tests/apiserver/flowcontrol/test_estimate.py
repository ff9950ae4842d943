"""How wide requests are. The figures are upstream's constants: 100 kB a seat, ten watchers a seat."""

from __future__ import annotations

import pytest

from sampan.apiserver.flowcontrol.estimate import Asked, Stored, Work, list_work, mutating_work

MANY = Stored(objects=10_000, bytes=10_000 * 2_000)


@pytest.mark.parametrize(("asked", "stored", "most", "seats"), [
    (Asked(), MANY, 0, 10),  # streamed from the cache: never more than a megabyte at once
    (Asked(from_cache=False), MANY, 0, 100),
    (Asked(from_cache=False), MANY, 7, 7),  # the priority level's own bound
    (Asked(from_cache=False, limit=500), MANY, 0, 10),
    (Asked(from_cache=False, limit=500, selective=True), MANY, 0, 100),
    (Asked(limit=50), MANY, 0, 1),
    (Asked(single=True), MANY, 0, 1),
    (Asked(), Stored(0, 0), 0, 1),
    (Asked(from_cache=False), Stored(3, 0), 0, 45),  # sizes unknown: the largest
])
def test_lists_are_as_wide_as_the_memory_they_take(asked: Asked, stored: Stored, most: int, seats: int) -> None:
    assert list_work(asked, stored, most) == Work(seats)


@pytest.mark.parametrize(("watchers", "most", "work"), [
    (0, 0, Work()), (9, 0, Work()), (10, 0, Work(1, 1, 0.005)), (95, 0, Work(1, 10, 0.005)), (200, 0, Work(1, 10, 0.01)),
    (200, 4, Work(1, 4, 0.025)),
])
def test_changes_keep_seats_for_those_who_are_told(watchers: int, most: int, work: Work) -> None:
    assert mutating_work(watchers, most) == work


def test_work_is_counted_over_both_phases() -> None:
    work = Work(2, 5, 0.01)
    assert (work.seats, work.units) == (5, 600_000 + 5_000_000)
