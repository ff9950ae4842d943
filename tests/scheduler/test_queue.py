"""The queue: order, back-off, changes that help, pods that are held."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scheduler.small import pod

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.scheduler.plugins.base import Change
from sampan.scheduler.queue import LEFTOVER_SECONDS, MOST_MISSED, SchedulingQueue, State, Waiting
from sampan.scheduler.shape import Shape, shape_key

FIT = frozenset(("NodeResourcesFit",))
SHAPE = Shape(shape_key(pod("any")), pod("any"))


class Bench:
    """A queue at virtual time; `helping` says which changes help."""

    def __init__(self) -> None:
        self.clock, self.helping, self.asked = VirtualClock(), True, 0
        self.queue = SchedulingQueue(self.clock, self._helps)

    def _helps(self, change: Change, waiting: Waiting) -> bool:
        self.asked += 1
        return self.helping and (change.what != "pod gone" or change.row < 0 or waiting.nominated in (-1, change.row))

    def pop(self) -> str:
        found = self.queue.pop_now()
        return found.pod.metadata.name if found is not None else ""

    def refuse(self, name: str, nominated: int = -1) -> None:
        self.queue.refused(name, SHAPE, FIT, nominated)

    def advance(self, seconds: float) -> None:
        asyncio.run(self.clock.advance(seconds, turns=1))


def with_pods(*names: str, **spec: Any) -> Bench:
    bench = Bench()
    for name in names:
        bench.queue.put(pod(name, **spec))
    return bench


def test_the_most_important_comes_first_then_the_oldest() -> None:
    bench = with_pods("a", "b")
    bench.queue.put(pod("c", priority=5))
    assert [bench.pop() for _ in range(4)] == ["c", "a", "b", ""]


def test_of_refused_pods_the_one_whose_turn_is_longest_ago_comes_first() -> None:
    # given two pods that were refused, the first of them twice
    bench = with_pods("a", "b")
    bench.helping = False
    for name in ("a", "b"):
        assert bench.pop() == name
        bench.refuse(name)
    bench.queue.put(pod("a", labels={"again": "1"}))
    assert bench.pop() == "a"
    bench.refuse("a")
    # when something helps both, and a new one comes
    bench.advance(60)
    bench.helping = True
    bench.queue.changed(Change("node", row=0))
    bench.queue.put(pod("c"))
    # then
    assert [bench.pop() for _ in range(3)] == ["b", "a", "c"]


def test_of_pods_whose_back_off_ends_together_the_more_important_comes_first() -> None:
    # given a pod that was refused a little earlier than a more important one, and another that met an error before both
    bench = with_pods("erred")
    bench.pop()
    bench.queue.failed("erred")
    for name, priority in (("low", 0), ("high", 5)):
        bench.queue.put(pod(name, priority=priority))
        bench.pop()
        bench.refuse(name)
        bench.advance(0.1)
    # when something helps while all of them are to wait
    bench.queue.changed(Change("node", row=0))
    # then who met an error stands in nobody's way
    assert [bench.pop() for _ in range(3)] == ["high", "low", ""]
    bench.advance(0.8)
    assert bench.pop() == "erred"


def test_a_refused_pod_waits_until_something_helps() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.refuse("a")
    bench.helping = False
    bench.queue.changed(Change("node", row=0))
    assert bench.pop() == ""
    bench.helping = True
    bench.queue.changed(Change("node", row=0))
    assert bench.pop() == "a"  # nothing else is to be tried, so its back-off does not hold it


def test_with_others_to_try_the_back_off_holds() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.refuse("a")
    bench.queue.changed(Change("node", row=0))
    bench.queue.put(pod("b", priority=-1))
    assert bench.pop() == "b"
    bench.queue.changed(Change("node", row=0))
    bench.advance(1.0)
    bench.queue.put(pod("c", priority=-1))
    assert bench.pop() == "a"  # by now it is over


def test_after_an_error_the_back_off_holds_in_any_case() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.queue.failed("a")
    assert bench.pop() == ""
    bench.advance(1.0)
    assert bench.pop() == "a"
    bench.queue.failed("a")
    bench.advance(1.5)
    assert bench.pop() == ""
    bench.advance(0.5)
    assert bench.pop() == "a"


def test_a_change_while_a_pod_was_being_tried_is_not_missed() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.queue.changed(Change("node", row=0))
    bench.refuse("a")
    assert bench.pop() == "a"
    bench.helping = False
    bench.queue.changed(Change("node", row=0))
    bench.refuse("a")
    assert bench.pop() == ""
    bench.queue.changed(Change("node", row=0))  # after it was refused
    assert bench.pop() == ""


def test_too_many_changes_to_ask_about_count_as_help() -> None:
    bench = with_pods("a")
    bench.helping = False
    bench.pop()
    for _ in range(MOST_MISSED + 1):
        bench.queue.changed(Change("node", row=0))
    bench.refuse("a")
    assert bench.pop() == "a"


def test_a_held_pod_is_not_tried_until_it_is_released() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.refuse("a", nominated=3)
    bench.queue.hold("a")
    bench.queue.changed(Change("pod gone", row=3))
    assert bench.pop() == ""
    bench.queue.release("a")
    assert bench.pop() == "a"


def test_a_released_pod_waits_when_nothing_has_happened_and_is_tried_when_it_failed() -> None:
    bench = with_pods("a")
    for failed in (False, True):
        if bench.pop():
            bench.refuse("a", nominated=3)
        bench.queue.hold("a")
        bench.queue.release("a", now=failed)
    assert bench.pop() == "a"


def test_room_on_a_row_helps_the_pod_it_was_made_for_only() -> None:
    bench = with_pods("a", "b")
    for name, row in (("a", 1), ("b", 2)):
        assert bench.pop() == name
        bench.refuse(name, nominated=row)
    bench.queue.changed(Change("pod gone", row=2))
    assert (bench.pop(), bench.pop()) == ("b", "")


def test_pods_alike_are_asked_about_once() -> None:
    names = [f"p{number}" for number in range(100)]
    bench = with_pods(*names)
    for name in names:
        assert bench.pop() == name
        bench.refuse(name)
    bench.asked, bench.helping = 0, False
    bench.queue.changed(Change("node", row=0))
    assert bench.asked == 1


def test_a_changed_pod_is_tried_again_but_not_for_its_status() -> None:
    bench = with_pods("a")
    bench.pop()
    bench.refuse("a")
    told = pod("a")
    told.status.phase = "Pending"
    bench.queue.put(told)
    assert bench.pop() == ""
    bench.queue.put(pod("a", labels={"new": "label"}))
    assert bench.pop() == "a"


def test_nothing_is_left_over_for_ever() -> None:
    async def run() -> None:
        bench = with_pods("a")
        bench.pop()
        bench.refuse("a")
        async with Tasks() as tasks:
            ready = tasks.start(bench.queue.ready(), "ready")
            await bench.clock.advance(LEFTOVER_SECONDS - 1)
            assert not ready.done()
            await bench.clock.advance(2)
            assert ready.done()
            assert bench.pop() == "a"

    asyncio.run(run())


ACTIONS = ("put", "pop", "refuse", "fail", "hold", "release", "remove", "change", "wait")


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 4)), max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_pod_is_ever_lost(actions: list[tuple[str, int]]) -> None:
    bench, there, working = Bench(), set[str](), set[str]()
    for action, number in actions:
        name = f"p{number}"
        waiting = bench.queue.get(name)
        if action == "put":
            bench.queue.put(pod(name))
            there.add(name)
        elif action == "pop" and (found := bench.pop()):
            assert found in there - working
            working.add(found)
        elif action == "refuse" and name in working:
            bench.refuse(name, nominated=number % 2)
            working.discard(name)
        elif action == "fail" and name in working:
            bench.queue.failed(name)
            working.discard(name)
        elif action == "hold" and waiting is not None and waiting.state is State.REFUSED:
            bench.queue.hold(name)
        elif action == "release":
            bench.queue.release(name)
        elif action == "remove":
            bench.queue.remove(name)
            there.discard(name)
            working.discard(name)
        elif action == "change":
            bench.queue.changed(Change("node", row=number))
        elif action == "wait":
            bench.advance(0.7)
    for name in there:
        bench.queue.release(name)
        if name in working:
            bench.refuse(name)
    assert len(bench.queue) == len(there)
    bench.queue.changed(Change("node", row=0))
    bench.advance(20.0)
    assert {bench.pop() for _ in there} == there
    assert bench.pop() == ""
