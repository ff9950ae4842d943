"""The reconcile loop: retries, requeues, never ends."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import Conflict
from sampan.control.controller import ControlLoop, Postponed, Result
from sampan.control.key import Key
from sampan.control.queue import WorkQueue


def test_a_failing_key_is_tried_again_ever_more_slowly_while_others_go_on() -> None:
    async def main() -> None:
        clock, tries, good = VirtualClock(), list[float](), list[Key]()

        async def reconcile(key: Key) -> None:
            if key.name == "bad":
                tries.append(clock.monotonic())
                if len(tries) < 8:
                    raise Conflict("changed") if len(tries) % 2 else RuntimeError("a mistake")
            else:
                good.append(key)

        loop = ControlLoop("test", reconcile, clock, workers=2)
        async with Tasks() as tasks:
            tasks.start(loop.run(), "loop")
            loop.queue.add(Key("", "bad"))
            await clock.advance(0.001)
            loop.queue.add(Key("", "good"))
            await clock.advance(10)
            assert len(tries) == 8
            pauses = [round(b - a, 3) for a, b in itertools.pairwise(tries)]
            assert pauses == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32]
            assert good == [Key("", "good")]
            assert loop.idle()

    asyncio.run(main())


def test_a_result_asks_to_be_called_again() -> None:
    async def main() -> None:
        clock, times = VirtualClock(), list[float]()

        async def reconcile(_: Key) -> Result:
            times.append(clock.monotonic())
            return Result(60.0 if len(times) < 3 else None)

        loop = ControlLoop("test", reconcile, clock)
        async with Tasks() as tasks:
            tasks.start(loop.run(), "loop")
            loop.queue.add(Key("", "a"))
            await clock.advance(3600)
            assert times == [0.0, 60.0, 120.0]

    asyncio.run(main())


def test_what_is_postponed_comes_again_with_back_off_and_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        clock, times = VirtualClock(), list[float]()

        async def reconcile(_: Key) -> None:
            times.append(round(clock.monotonic(), 3))
            if len(times) < 4:
                raise Postponed("somebody else's")

        loop = ControlLoop("test", reconcile, clock)
        async with Tasks() as tasks:
            tasks.start(loop.run(), "loop")
            loop.queue.add(Key("", "a"))
            await clock.advance(60)
            assert times == [0.0, 0.005, 0.015, 0.035]

    asyncio.run(main())
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert all(record.exc_info is None for record in caplog.records)


def test_a_queue_that_is_given_is_the_loops_although_it_is_empty() -> None:
    async def main() -> None:
        # given a queue that somebody else wakes
        clock, seen = VirtualClock(), list[Key]()
        queue: WorkQueue[Key] = WorkQueue(clock)

        async def reconcile(key: Key) -> None:
            seen.append(key)

        loop = ControlLoop("test", reconcile, clock, queue=queue)
        async with Tasks() as tasks:
            tasks.start(loop.run(), "loop")
            # when
            queue.add(Key("", "woken"))
            await clock.advance(1)
        # then
        assert seen == [Key("", "woken")]

    asyncio.run(main())
