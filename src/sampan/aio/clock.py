"""Clocks that can sleep: the system's, and a virtual one that a test advances.

Every component that waits takes an `AsyncClock`. `VirtualClock.advance` wakes sleepers in the order of their
deadlines and lets each run until it waits again, so a day passes in milliseconds, deterministically.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

from sampan.lib.clock import Clock


class AsyncClock(Clock, Protocol):
    """A `Clock` that can also wait."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of this clock's time have passed."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that asks the machine

    # itself, not a method that calls it: every request asks twice
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that stands still until `advance` moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        # from the start each time: summing up steps would drift by their rounding
        return self._start + timedelta(seconds=self._monotonic)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float, *, turns: int = 20) -> None:
        """Move time on; each sleeper that comes due gets `turns` turns of the event loop before the next."""
        end = self._monotonic + seconds
        await self.turns(turns)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._move_to(due)
            future.set_result(None)
            await self.turns(turns)
        self._move_to(end)
        await self.turns(turns)

    async def turns(self, turns: int) -> None:
        """Let everything that is ready run, `turns` times around the loop."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def next_due_seconds(self) -> float | None:
        """Seconds until the first sleeper is due; None when nobody sleeps."""
        live = [due for due, _, future in self._sleepers if not future.done()]
        return min(live) - self._monotonic if live else None

    def _move_to(self, monotonic: float) -> None:
        self._monotonic = monotonic
