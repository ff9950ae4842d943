"""Every change of etcd in order: one watch of all keys, taken up again where it broke.

Owns the newest revision that this process has been given, the subscribers, the recent history, and waiting for a
revision. Since the watch leaves no key out, there is no revision without an event: having been given revision N means
having been given everything up to N, and no progress notifications are needed.

A watch that was away for longer than etcd keeps history has missed changes nobody can name any more. Then `lost` is
called, which reads everything anew, and nobody is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import count, groupby
from operator import attrgetter
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.store.base import Change, Compacted, StoreError, StoreUnavailable
from sampan.store.etcdclient import EtcdClient
from sampan.store.history import History, Limits, Subscribers

log = logging.getLogger(__name__)

RECENT = Limits(seconds=600, bytes=32 << 20, changes=20_000)
RECONNECT_SECONDS = (0.05, 2.0)
DELETE = 1


class WentBack(StoreError):
    """etcd's revision is lower than what it has told before: it was restored from a copy."""


class Feed:
    """`run` it as a task; `revision` moves with what arrives."""

    def __init__(self, client: EtcdClient, clock: AsyncClock, revision: int) -> None:
        self._client, self._clock = client, clock
        self.revision = revision
        self.history = History(clock, revision, RECENT)
        self.subscribers = Subscribers()
        self.lost: Callable[[], Awaitable[None]] | None = None
        self.problem = ""
        """Why nothing arrives; empty: it does."""
        self._start = revision + 1
        self._anew = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._patience: asyncio.Timeout | None = None
        self._began = 0.0  # by the loop's clock

    async def run(self) -> None:
        """Follow etcd until cancelled."""
        try:
            await self._run()
        except Exception:
            self.problem = "the watch of etcd has failed; the log says why"
            raise

    async def _run(self) -> None:
        pause = RECONNECT_SECONDS[0]
        while True:
            began = self.revision
            try:
                self._began = asyncio.get_running_loop().time()
                async with asyncio.timeout(None) as self._patience:
                    await self._follow()
            except TimeoutError:
                self.problem = "the watch of etcd hangs"
                log.warning("the watch of etcd hangs, trying another member")
                self._start = self.revision
            except (Compacted, WentBack) as error:
                log.error("changes were missed, reading everything anew: %s", error.message)
                self.problem = error.message
                await self._read_anew()
                continue
            except StoreError as error:
                self.problem = error.message
                log.warning("the watch of etcd broke, taking it up again: %s", error.message)
                self._start = self.revision
            finally:
                self._patience = None
            pause = RECONNECT_SECONDS[0] if self.revision > began else min(pause * 2, RECONNECT_SECONDS[1])
            await self._clock.sleep(pause)

    async def _follow(self) -> None:
        if self._start <= self.revision and (now := await self._client.revision()) < self.revision:
            raise WentBack(f"etcd is at revision {now}, and was at {self.revision}")
        async with aclosing(batches(self._client, self._start)) as arriving:
            async for changes in arriving:
                self.problem = ""
                self._publish([change for change in changes if change.revision > self.revision])
        raise StoreUnavailable("etcd has ended the watch")

    def _publish(self, changes: Sequence[Change]) -> None:
        # no await below: whoever waits for the revision finds every subscriber told
        if not changes:
            return
        for revision, group in groupby(changes, attrgetter("revision")):
            self.history.add(revision, list(group))
        self.revision = changes[-1].revision
        # from now on the watch starts at what is known: if that is gone, so may be what followed it
        self._start = self.revision
        self.subscribers.publish(changes)
        self._wake()

    async def _read_anew(self) -> None:
        self._anew = True
        while self._anew:
            try:
                revision = await self._client.revision()
                self.revision, self._start = revision, revision + 1
                # what was subscribed has ended: whoever reads anew subscribes anew
                self.history, self.subscribers = History(self._clock, revision, RECENT), Subscribers()
                if self.lost is not None:
                    await self.lost()
                self._anew = False
            except StoreError as error:
                log.warning("not everything could be read anew, trying again: %s", error.message)
                await self._clock.sleep(RECONNECT_SECONDS[1])
        self._wake()

    def hangs(self) -> None:
        """What etcd has acknowledged does not arrive: take the watch up anew, by the next member. One that has only
        just begun is given its time.
        """
        young = asyncio.get_running_loop().time() - self._began < self._client.attempt_seconds
        if self._patience is not None and not self._patience.expired() and not young:
            self._patience.reschedule(0)

    def is_at(self, revision: int) -> bool:
        """Whether everybody has been given what was written up to `revision`."""
        return self.revision >= revision and not self._anew

    async def reached(self, revision: int, seconds: float) -> bool:
        """Wait until everybody has been given what was written up to `revision`; False: not in that time."""
        if self.is_at(revision):
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._order), future))
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return self.is_at(revision)
        return True

    def _wake(self) -> None:
        if self._anew:
            return
        while self._waiting and (self._waiting[0][0] <= self.revision or self._waiting[0][2].done()):
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def end(self) -> None:
        """Nothing will arrive any more."""
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(StoreUnavailable("the store has been closed"))
        self._waiting.clear()


async def batches(client: EtcdClient, start: int) -> AsyncGenerator[list[Change], None]:
    """The changes of all keys with a revision from `start` on: whole transactions; an empty list when it begins.

    Raises:
        Compacted: They are gone.
        StoreUnavailable: The stream broke.
    """
    events: list[Any] = []
    async with aclosing(client.watch(start)) as responses:
        async for response in responses:
            if response.canceled:
                if response.compact_revision:
                    raise Compacted(start, response.compact_revision)
                raise StoreUnavailable(f"etcd has ended the watch: {response.cancel_reason}")
            events += response.events
            if response.created or (events and not response.fragment):
                yield [change_of(event) for event in events]
                events = []


def change_of(event: Any) -> Change:
    """An event of a watch with `prev_kv`."""
    now, before = event.kv, event.prev_kv
    key = now.key.decode(errors="replace")
    if event.type == DELETE:
        return Change(key, None, now.mod_revision, before.create_revision, before.mod_revision)
    # what was before is empty where it has been compacted
    previous = 0 if now.version == 1 else before.mod_revision or now.create_revision
    return Change(key, now.value, now.mod_revision, now.create_revision, previous)
