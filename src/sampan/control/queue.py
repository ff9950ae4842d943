"""Work queues of keys: each key at most once in the queue and at most once in work.

Owns de-duplication, in-flight exclusion, delayed adds, per-key exponential back-off with an overall rate limit, and waiting a
few turns of the event loop for more changes of a key (`add_gathered`).
A key added while it is in work is queued again when it is done. The queue is bounded by the number of keys.
Source: client-go `util/workqueue` (queue, delaying queue, default controller rate limiter).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks

K = TypeVar("K", bound=Hashable)

BACKOFF = Backoff(first_seconds=0.005, most_seconds=1000.0)
GATHER_TURNS = 16
"""Of the event loop: nothing where it has little to do, some hundredths of a second where it always has."""


class TokenBucket:
    """`rate` tokens a second, `burst` saved up at most; `reserve` says how long to wait for the next one."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._tokens, self._at = rate, burst, burst, now

    def reserve(self, now: float) -> float:
        """Take a token, in advance if need be; returns the seconds until it is there."""
        self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def take(self, now: float, rate: float | None = None) -> bool:
        """Take a token if one is there; `rate` is the one from now on, if given."""
        self._refill(now)
        self._rate = self._rate if rate is None else rate
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class WorkQueue(Generic[K]):
    """Keys to work on. All methods run on the event loop; only `get` waits."""

    def __init__(self, clock: AsyncClock, *, backoff: Backoff = BACKOFF, rate: float = 10.0, burst: float = 100.0) -> None:
        self._clock, self._backoff = clock, backoff
        self._bucket = TokenBucket(rate, burst, clock.monotonic())
        self._ready: deque[K] = deque()
        self._queued: set[K] = set()  # in `_ready`, or to be put there when done
        self._gathering: dict[K, None] = {}  # of `_queued`: not ready yet; in their order
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._order = count()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._tasks = Tasks()
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0

    def __len__(self) -> int:
        return len(self._queued)

    def add(self, key: K) -> None:
        """Queue the key unless it is queued."""
        if key in self._queued:
            return
        self._queued.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake()

    def add_gathered(self, key: K) -> None:
        """Queue the key `GATHER_TURNS` turns of the event loop from now: where changes come one by one and are looked at as a whole."""
        if key in self._queued:
            return
        self._queued.add(key)
        self._gathering[key] = None
        if len(self._gathering) == 1:
            asyncio.get_running_loop().call_soon(self._gather, GATHER_TURNS)

    def add_after(self, key: K, seconds: float) -> None:
        """Queue the key in `seconds`; of several delays of one key the shortest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key))
        self._arm()

    def add_rate_limited(self, key: K) -> float:
        """Queue the key after its back-off, which doubles at each call until `forget`; returns the seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(self._backoff.delay_seconds(failures), self._bucket.reserve(self._clock.monotonic()))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key did well: its next failure starts from the shortest back-off."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often the key failed in a row."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; the caller has it alone until `done`."""
        while not self._ready:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake()  # it was this one's turn: pass it on
                raise
        key = self._ready.popleft()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The work on the key is over; it comes again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._queued and key not in self._gathering:
            self._ready.append(key)
            self._wake()

    def idle(self) -> bool:
        """Nothing is queued or in work (keys that wait for their time do not count)."""
        return not self._queued and not self._working

    def next_due_seconds(self) -> float | None:
        """Seconds until the first delayed key is queued; None when none waits."""
        return min(self._due.values()) - self._clock.monotonic() if self._due else None

    async def close(self) -> None:
        """Stop the timer; the keys stay where they are."""
        await self._tasks.stop()
        self._timer = None

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _gather(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._gather, turns - 1)
            return
        gathered, self._gathering = self._gathering, {}
        for key in gathered:
            if key not in self._working:  # such a one comes when it is done
                self._ready.append(key)
                self._wake()

    def _arm(self) -> None:
        due = self._delayed[0][0]
        if self._timer is not None and not self._timer.done():
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._tasks.start(self._release(), "work queue timer")

    async def _release(self) -> None:
        while self._delayed:
            wait = self._delayed[0][0] - self._clock.monotonic()
            if wait > 0:
                self._timer_due = self._delayed[0][0]
                await self._clock.sleep(wait)
                continue
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
