"""What is kept of free room is what one finds who adds up everything anew, whatever came and went in between."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.scheduler.small import cluster, node, pod

from sampan.scheduler import kept, room, snapshot
from sampan.scheduler.snapshot import Snapshot

PRIORITIES = (0, 5, 10)


def check(found: Snapshot) -> None:
    for priority in PRIORITIES:
        free = found.allocatable - found.requested
        for other, level in found.levels.items():
            free = free - level * (other >= priority)
        emptied = free.copy()
        for other, level in found.by_priority.items():
            emptied = emptied + level * (other < priority)
        assert np.array_equal(room.free(found, priority), free)
        assert np.array_equal(room.emptied(found, priority), emptied)
        assert np.array_equal(room.lacking(found, priority, ((0, 700), (3, 1))), np.stack([free[0] < 700, free[3] < 1]) & found.alive)


def turn(rng: random.Random, found: Snapshot) -> None:
    """Something comes, changes or goes: now and then a node, a resource that no node had, or more nodes than there was place for."""
    names = list(found.rows)
    priority = rng.choice(PRIORITIES)
    more = {"example.com/gpu": "1"} if rng.random() < 0.1 else None
    choice = rng.randrange(10)
    if choice < 4 and names:
        found.put_pod(pod(f"p{rng.randrange(40)}", f"{rng.randrange(1, 9)}00m", on=rng.choice(names), priority=priority, more=more))
    elif choice < 6:
        found.remove_pod(f"p{rng.randrange(40)}")
    elif choice < 8 and names:
        wanted = pod(f"n{rng.randrange(8)}", "1", priority=priority)
        found.nominate(wanted, found.shape(wanted), found.rows[rng.choice(names)])
    elif choice == 8:
        found.put_node(node(f"node-{rng.randrange(12)}", cpu=str(rng.randrange(1, 9)), more=more))
    elif names:
        found.remove_node(rng.choice(names))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_is_what_adding_up_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a snapshot that soon forgets what has changed
    monkeypatch.setattr(snapshot, "MOST_TOUCHED", 7)
    rng = random.Random(seed)
    found = cluster(node("node-0"))
    # when, then
    for _ in range(150):
        turn(rng, found)
        if rng.random() < 0.5:
            check(found)
    check(found)


def test_only_rows_that_changed_are_added_up_again() -> None:
    found = cluster(node("a"), node("b"))
    before, lacks = room.emptied(found, 0), room.lacking(found, 0, ((0, 3500),))
    assert not lacks.any(where=found.alive)
    moment = found.moment
    found.put_pod(pod("x", "1", on="b"))
    assert found.touched_since(moment) == [found.rows["b"]]
    # the columns stay the same, and so does what is kept for as many priorities as there may be
    assert room.emptied(found, 0) is before
    assert room.lacking(found, 0, ((0, 3500),)) is lacks
    assert [bool(lacks[0, found.rows[name]]) for name in "ab"] == [False, True]
    for priority in range(1, 2 * kept.MOST_KEPT):
        room.emptied(found, priority)
    assert len(found.memory["emptied"]) == kept.MOST_KEPT
