"""Who is about to say more, and waits a little with what there is to say: one timer for all pods of all nodes of a process.

Containers that are records start at once, so one write of a pod's status tells of everything up to Running.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks


class Gathering:
    """Calls whoever began to wait and has not ended it within `seconds`."""

    def __init__(self, tasks: Tasks, *, clock: AsyncClock, seconds: float) -> None:
        self._tasks, self._clock, self._seconds = tasks, clock, seconds
        self._waiting: dict[str, tuple[float, Callable[[], None]]] = {}  # the one who waits the longest first
        self._timed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, uid: str, overdue: Callable[[], None]) -> None:
        """Wait: `overdue` is called once, unless `end` comes before. Who waits already goes on waiting."""
        if uid in self._waiting:
            return
        self._waiting[uid] = self._clock.monotonic() + self._seconds, overdue
        if not self._timed:
            self._timed = True
            self._tasks.start(self._watch(), "pods that are about to say more", keep_going=True)

    def end(self, uid: str) -> None:
        """It has been said, or never will be."""
        self._waiting.pop(uid, None)

    async def _watch(self) -> None:
        try:
            while self._waiting:
                uid, (due, overdue) = next(iter(self._waiting.items()))
                left = due - self._clock.monotonic()
                if left > 0:
                    await self._clock.sleep(left)
                    continue
                del self._waiting[uid]
                overdue()
        finally:
            self._timed = False
