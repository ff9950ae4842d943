"""Work queues: de-duplication, exclusion, delays, back-off."""

from __future__ import annotations

import asyncio
import random

from sampan.aio.backoff import Backoff
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.control.queue import GATHER_TURNS, TokenBucket, WorkQueue


def test_a_key_added_twice_is_worked_on_once() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(VirtualClock())
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle()

    asyncio.run(scenario())


def test_a_key_added_while_in_work_comes_again_when_it_is_done() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(VirtualClock())
        queue.add("a")
        await queue.get()
        queue.add("a")
        async with Tasks() as tasks:
            second = tasks.start(queue.get(), "second worker")
            await asyncio.sleep(0)
            assert not second.done()
            queue.done("a")
            assert await second == "a"

    asyncio.run(scenario())


def test_a_gathered_key_waits_some_turns_of_the_loop_for_more() -> None:
    async def scenario() -> None:
        # given a key whose changes are gathered, and one that is not
        queue: WorkQueue[str] = WorkQueue(VirtualClock())
        queue.add_gathered("a")
        queue.add("b")
        # then the other one is not held up, and nothing counts as idle
        assert await queue.get() == "b"
        queue.done("b")
        assert not queue.idle()
        # when more comes of it meanwhile, then it is there once
        queue.add_gathered("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle()

    asyncio.run(scenario())


def test_a_key_gathered_while_in_work_comes_again_once_when_both_are_over() -> None:
    async def scenario(turns_in_work: int) -> None:
        # given a key in work of which more is gathered
        queue: WorkQueue[str] = WorkQueue(VirtualClock())
        queue.add("a")
        await queue.get()
        queue.add_gathered("a")
        # when its work ends before or after the gathering
        for _ in range(turns_in_work):
            await asyncio.sleep(0)
        queue.done("a")
        # then it comes once
        assert await queue.get() == "a"
        queue.done("a")
        for _ in range(2 * GATHER_TURNS):
            await asyncio.sleep(0)
        assert queue.idle()

    for turns in (0, 1, 2 * GATHER_TURNS):
        asyncio.run(scenario(turns))


def test_of_several_delays_the_shortest_counts() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add_after("a", 10)
        queue.add_after("a", 3)
        queue.add_after("b", 5)
        await clock.advance(2.9)
        assert queue.idle()
        await clock.advance(0.1)
        assert await queue.get() == "a"
        queue.done("a")
        await clock.advance(20)
        assert await queue.get() == "b"
        queue.done("b")
        assert queue.idle()
        assert queue.next_due_seconds() is None
        await queue.close()

    asyncio.run(scenario())


def test_failures_back_off_per_key_and_success_resets() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        queue: WorkQueue[str] = WorkQueue(clock, backoff=Backoff(1, 4))
        assert [queue.add_rate_limited("a") for _ in range(4)] == [1, 2, 4, 4]
        assert queue.add_rate_limited("b") == 1
        queue.forget("a")
        assert queue.add_rate_limited("a") == 1
        await queue.close()

    asyncio.run(scenario())


def test_many_failing_keys_share_a_rate() -> None:
    bucket = TokenBucket(10, 2, 0.0)
    assert [round(bucket.reserve(0.0), 3) for _ in range(4)] == [0.0, 0.0, 0.1, 0.2]


def test_no_key_is_ever_in_work_twice_nor_lost() -> None:
    async def scenario(seed: int) -> None:
        rng, clock = random.Random(seed), VirtualClock()
        queue: WorkQueue[int] = WorkQueue(clock)
        working: set[int] = set()
        wanted = dict.fromkeys(range(8), 0)

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in working
                working.add(key)
                wanted[key] = 0
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                working.remove(key)
                queue.done(key)

        async with Tasks() as tasks:
            for number in range(3):
                tasks.start(work(), f"worker {number}")
            for _ in range(200):
                key = rng.randrange(8)
                wanted[key] += 1
                if rng.random() < 0.5:
                    queue.add(key)
                else:
                    queue.add_after(key, rng.random())
                await clock.advance(rng.random() / 10, turns=1)
            await clock.advance(2)
            assert wanted == dict.fromkeys(range(8), 0)
            assert queue.idle()
        await queue.close()

    for seed in range(5):
        asyncio.run(scenario(seed))
