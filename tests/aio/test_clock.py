"""The virtual clock wakes sleepers in order, and only when it is moved."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.aio.tasks import Tasks


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    async def run() -> list[tuple[str, float]]:
        clock, woken = VirtualClock(), []

        async def sleeper(name: str, *naps: float) -> None:
            for nap in naps:
                await clock.sleep(nap)
                woken.append((name, clock.monotonic()))

        async with Tasks() as tasks:
            tasks.start(sleeper("a", 3, 3), "a")
            tasks.start(sleeper("b", 2, 5), "b")
            await clock.advance(6.5)
            return woken

    assert asyncio.run(run()) == [("b", 2.0), ("a", 3.0), ("a", 6.0)]


def test_time_stands_still_between_moves_and_wall_time_moves_along() -> None:
    async def run() -> None:
        clock = VirtualClock()
        before = clock.now()
        await clock.turns(50)
        assert clock.monotonic() == 0.0
        await clock.advance(86400)
        assert (clock.now() - before).days == 1
        assert clock.next_due_seconds() is None

    asyncio.run(run())


def test_a_cancelled_sleeper_is_forgotten() -> None:
    async def run() -> None:
        clock = VirtualClock()
        async with Tasks() as tasks:
            task = tasks.start(clock.sleep(5), "sleeper")
            await clock.turns(2)
            task.cancel()
            await clock.turns(2)
            assert clock.next_due_seconds() is None
            await clock.advance(10)

    asyncio.run(run())


def test_the_systems_clock_goes_forward() -> None:
    clock = SystemClock()
    first = clock.monotonic()
    asyncio.run(clock.sleep(0))
    assert clock.monotonic() >= first
    assert clock.now().tzinfo is not None
