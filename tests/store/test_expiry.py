"""Deadlines, and what happens when the store refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sampan.aio.clock import VirtualClock
from sampan.store.base import StoreFull
from sampan.store.expiry import BATCH, RETRY_SECONDS, Expiry, deadline


def test_deadlines_are_never_early_and_late_by_little() -> None:
    for ttl in (1.0, 10.0, 100.0, 3600.0):
        at = deadline(1_000_000.3, ttl)
        assert 0 <= at - 1_000_000.3 - ttl <= max(1.0, min(60.0, ttl / 20))


def test_what_is_due_earlier_is_not_kept_waiting_by_what_is_due_later() -> None:
    async def body() -> None:
        clock, gone = VirtualClock(), []

        async def expire(due: Sequence[tuple[str, int]]) -> None:
            gone.extend(due)

        expiry, now = Expiry(clock, expire), clock.now().timestamp()
        expiry.add(now + 100, "/late", 1)
        await clock.turns(5)
        expiry.add(now + 10, "/early", 2)
        await clock.advance(11)
        assert gone == [("/early", 2)]
        await clock.advance(100)
        expiry.add(clock.now().timestamp() + 1, "/again", 3)
        await clock.advance(2)
        assert gone == [("/early", 2), ("/late", 1), ("/again", 3)]
        await expiry.stop()

    asyncio.run(body())


def test_batches_are_bounded_and_a_full_disk_is_tried_again() -> None:
    async def body() -> None:
        clock, batches, full = VirtualClock(), [], True

        async def expire(due: Sequence[tuple[str, int]]) -> None:
            batches.append(len(due))
            if full:
                raise StoreFull("no space")

        expiry, now = Expiry(clock, expire), clock.now().timestamp()
        for n in range(BATCH + 10):
            expiry.add(now + 1, f"/{n}", 1)
        await clock.advance(2)
        assert batches == [BATCH, 10]
        full = False
        await clock.advance(RETRY_SECONDS)
        assert sum(batches[2:]) == BATCH + 10
        await expiry.stop()

    asyncio.run(body())
