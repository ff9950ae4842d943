"""Keys that delete themselves: when the next ones are due, and the task that waits for it.

Deadlines are wall time, so that they survive a restart. They are rounded up to a granularity that grows with the
time to live (an hour: a minute), so that many expirations share one transaction.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Awaitable, Callable, Sequence

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

BATCH = 500
RETRY_SECONDS = 30.0

# given (key, mod revision) of what is due: delete those that still have that revision
Expire = Callable[[Sequence[tuple[str, int]]], Awaitable[None]]


def deadline(now: float, ttl_seconds: float) -> float:
    """When a key written `now` goes: after its time to live, rounded up to the granularity."""
    step = min(60.0, max(1.0, ttl_seconds / 20))
    return math.ceil((now + ttl_seconds) / step) * step


class Expiry:
    """The deadlines of one store."""

    def __init__(self, clock: AsyncClock, expire: Expire) -> None:
        self._clock, self._expire = clock, expire
        self._heap: list[tuple[float, str, int]] = []
        self._tasks = Tasks()
        self._waiting: asyncio.Task[None] | None = None
        self._until = math.inf

    def add(self, at: float, key: str, revision: int) -> None:
        """Delete `key` at wall time `at` if it still has that mod revision then."""
        heapq.heappush(self._heap, (at, key, revision))
        if at < self._until:
            self._restart()

    def pending(self) -> list[tuple[float, str, int]]:
        """All deadlines (stale ones included), in no order."""
        return list(self._heap)

    async def stop(self) -> None:
        """Expire nothing any more."""
        await self._tasks.stop()

    def _restart(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._until = self._heap[0][0]
        self._waiting = self._tasks.start(self._run(), "store expiry")

    async def _run(self) -> None:
        while self._heap:
            self._until = self._heap[0][0]
            wait = self._until - self._clock.now().timestamp()
            if wait > 0:
                await self._clock.sleep(wait)
                continue
            # not interrupted by `add` from here on: what was taken off the heap must be deleted
            self._until = -math.inf
            await self._expire_due()
        self._until = math.inf

    async def _expire_due(self) -> None:
        now = self._clock.now().timestamp()
        due: list[tuple[float, str, int]] = []
        while self._heap and self._heap[0][0] <= now and len(due) < BATCH:
            due.append(heapq.heappop(self._heap))
        try:
            await self._expire([(key, revision) for _, key, revision in due])
        except StoreError as error:
            log.warning("cannot delete expired keys, trying again later: %s", error.message)
            for _, key, revision in due:
                heapq.heappush(self._heap, (now + RETRY_SECONDS, key, revision))
