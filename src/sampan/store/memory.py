"""`MemoryStore`: the contract of a store without a disk; `fork` copies it in a moment.

Everything happens on the event loop without waiting, so a transaction is atomic by construction.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from sampan.aio.clock import AsyncClock
from sampan.store.base import (
    Change,
    Compacted,
    Compare,
    CompareFailed,
    Delete,
    FutureRevision,
    Page,
    Put,
    Record,
    Sink,
    StoreUnavailable,
    Subscription,
    in_turn,
)
from sampan.store.expiry import Expiry, deadline
from sampan.store.history import History, Limits, Subscribers


class MemoryStore:
    """Keeps all in dicts; gone with the process."""

    def __init__(self, clock: AsyncClock, limits: Limits = Limits()) -> None:
        self._clock, self._limits = clock, limits
        self._records: dict[str, Record] = {}
        self._keys: list[str] = []  # sorted
        self._revision = 1
        self._history = History(clock, 1, limits)
        self._subscribers = Subscribers()
        self._expiry = Expiry(clock, self._expire)
        self._closed = False

    @property
    def revision(self) -> int:
        return self._revision

    def fork(self, clock: AsyncClock | None = None) -> MemoryStore:
        """An independent store with the same content, revision and history; values are shared, they never change.

        Subscriptions stay with the original. Times to live go on by `clock` (default: the same clock).
        """
        self._check_open()
        twin = MemoryStore(clock or self._clock, self._limits)
        twin._records, twin._keys = self._records.copy(), self._keys.copy()
        twin._revision, twin._history = self._revision, self._history.copy()
        for at, key, revision in self._expiry.pending():
            twin._expiry.add(at, key, revision)
        return twin

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        self._check_open()
        if not revision or revision == self._revision:
            return self._records.get(key)
        self._check_revision(revision)
        changed, was = self._history.replaced(key, revision)
        return was if changed else self._records.get(key)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0,
                    count: bool = False) -> Page:
        self._check_open()
        at = revision or self._revision
        self._check_revision(at)
        was = self._history.undo(prefix, at) if at < self._revision else {}
        keys = [key for key in self._current_keys(prefix) if key not in was]
        if was:
            keys = sorted(keys + [key for key, record in was.items() if record is not None])
        start = bisect_right(keys, after) if after else 0
        end = start + limit if limit > 0 else len(keys)
        records = [was.get(key) or self._records[key] for key in keys[start:end]]
        return Page(records, at, end < len(keys), max(len(keys) - end, 0) if count else -1)

    def _current_keys(self, prefix: str) -> list[str]:
        start = bisect_right(self._keys, prefix)
        if start and self._keys[start - 1] == prefix:
            start -= 1
        # no character sorts behind the last code point, and none of our keys has it
        end = bisect_right(self._keys, prefix + "\U0010ffff", start)
        return self._keys[start:end]

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        # no await below: compares and writes are one step
        self._check_open()
        if len(writes) > 1 and len({write.key for write in writes}) != len(writes):
            raise ValueError("a key is written twice in one transaction")
        for compare in compares:
            if self._mod_revision(compare.key) != compare.mod_revision:
                raise CompareFailed({one.key: self._records.get(one.key) for one in compares})
        effective = [write for write in writes if isinstance(write, Put) or write.key in self._records]
        if not effective:
            return self._revision
        self._revision += 1
        previous = [self._records.get(write.key) for write in effective]
        changes = [self._apply(write, before) for write, before in zip(effective, previous, strict=True)]
        self._history.add(self._revision, changes, previous)
        self._subscribers.publish(changes)
        return self._revision

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        return await in_turn(self, put, compare, then)

    def _mod_revision(self, key: str) -> int:
        record = self._records.get(key)
        return record.mod_revision if record else 0

    def _apply(self, write: Put | Delete, before: Record | None) -> Change:
        now = self._revision
        replaced = before.mod_revision if before else 0
        created = before.create_revision if before else now
        if isinstance(write, Delete):
            del self._records[write.key]
            del self._keys[bisect_right(self._keys, write.key) - 1]
            return Change(write.key, None, now, created, replaced)
        if before is None:
            insort(self._keys, write.key)
        self._records[write.key] = Record(write.key, write.value, now, created)
        if write.ttl_seconds > 0:
            self._expiry.add(deadline(self._clock.now().timestamp(), write.ttl_seconds), write.key, now)
        return Change(write.key, write.value, now, created, replaced)

    async def _expire(self, due: Sequence[tuple[str, int]]) -> None:
        await self.transact([Delete(key) for key, revision in due if self._mod_revision(key) == revision])

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        self._check_open()
        self._check_revision(since)
        # no await below: nothing is written between the replay and the registration
        if replay := self._history.since(prefix, since):
            sink(replay)
        return self._subscribers.add(prefix, sink)

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        self._history.forget(revision)

    async def close(self) -> None:
        self._closed = True
        await self._expiry.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store has been closed")

    def _check_revision(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision < self._history.floor:
            raise Compacted(revision, self._history.floor)
