"""`SqliteStore`: durable, one process, one file.

How a write goes, and why it is right:
- Decided on the event loop, in the order of submission, against an index in memory (key → newest row) that already
  counts what was decided before but is not written yet. A decision that writes something gets its revision and is
  queued; a decision that writes nothing (a compare failed, nothing to delete) waits until what it was based on is
  written, and is then checked against that.
- Written by one thread that commits whatever has queued as one transaction (`sqlitewriter`), without deciding anything.
- Published on the event loop when the commit is known: history, subscribers, then the callers. Nobody is shown
  a change that is not durable.
- When a commit fails, everything decided and not written fails with it, and the index goes back, newest first, to
  what is written. Revisions of failed writes are not given again.
Values are kept on disk only; reads go through a connection and a thread of their own, always up to a revision that
was published.

Volatile writes (node heartbeats) are published without a row, at revisions that were reserved durably in blocks.
A key's first one is written after all, with a mark; after a crash marked keys are written anew with what is known of
them, so no key's revision ever goes back, and reading at a revision that the crash forgot is `Compacted`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.store import sqlitefiles as files
from sampan.store import sqliterows as rows
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
    StoreError,
    StoreUnavailable,
    Subscription,
    in_turn,
)
from sampan.store.expiry import Expiry
from sampan.store.history import History, Limits, Subscribers
from sampan.store.ledger import Decision, Ledger
from sampan.store.retention import Retention
from sampan.store.sqliteload import Loaded, load
from sampan.store.sqlitewriter import Checkpointer, Job, Writer
from sampan.store.volatile import Volatile

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

REPLAYED_AT_ONCE = 1000
REMOVED_AT_ONCE = 256
TURNS_MOST = 2
"""So many turns of the event loop a write waits for others to share its commit: a few microseconds when there are none."""
# bridges a subscription's reading from disk and its registration; everything older comes from disk
RECENT = Limits(seconds=3600, bytes=2 << 20, changes=2048)


@dataclass(frozen=True)
class SqliteSettings:
    """`history` bounds what is kept on disk of the past; `connect` is for tests that break the disk."""

    history: Limits = Limits(seconds=3600, bytes=256 << 20, changes=100_000)
    connect: files.Connect = files.connect


@dataclass(eq=False)
class _Pending:
    """What was decided in one stretch and is not written yet.

    `done` is its caller's alone, who may give up and cancel it; `others` only want to know that it is over.
    """

    done: asyncio.Future[int]
    decisions: Sequence[Decision] = ()
    garbage: Sequence[tuple[int, int]] = field(default=())
    others: list[asyncio.Future[None]] = field(default_factory=list)

    def end(self, revision: int, error: StoreError | None) -> None:
        """It is written, or was not."""
        if not self.done.done():
            if error is None:
                self.done.set_result(revision)
            else:
                self.done.set_exception(error)
        for other in self.others:
            if not other.done():
                other.set_result(None)


class SqliteStore:
    """Opened with `open`; every method must be called on the event loop that opened it."""

    def __init__(self, path: Path, clock: AsyncClock, settings: SqliteSettings, loaded: Loaded) -> None:
        self._path, self._clock = path, clock
        self._loop = asyncio.get_running_loop()
        self._lock = loaded.lock
        self._ledger = Ledger(loaded.index, loaded.marked, loaded.revision, loaded.reserved)
        self._garbage: deque[tuple[int, int]] = loaded.garbage
        self._revision, self._floor, self._lost = loaded.revision, loaded.compacted, loaded.lost
        self._volatile = Volatile(loaded.marked, loaded.revision)
        self._history = History(clock, loaded.revision, RECENT)
        self._retention = Retention(settings.history, clock.monotonic(), loaded.revision)
        self._subscribers = Subscribers()
        self._expiry = Expiry(clock, self._expire)
        self._tasks = Tasks()
        self._compacting: asyncio.Task[None] | None = None
        self._pending: deque[_Pending] = deque()
        self._pending_keys: dict[str, _Pending] = {}
        self._outgoing: list[Job] = []
        self._closed = False
        self._reading = files.open_another(path, settings.connect)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store reader")
        self._checkpointer = Checkpointer(files.open_another(path, settings.connect), path)
        self._writer = Writer(loaded.connection, self._checkpointer, path,
                              partial(self._from_thread, self._committed), partial(self._from_thread, self._failed))
        for at, key, revision in loaded.deadlines:
            self._expiry.add(at, key, revision)

    @classmethod
    async def open(cls, folder: Path, clock: AsyncClock, settings: SqliteSettings = SqliteSettings()) -> SqliteStore:
        """Open the store in `folder`, made where it is not there.

        Raises:
            ConfigError: Another process has it open, or the folder cannot be used.
            NewerFormat: A newer version wrote it; it was not touched.
            StoreError: It is damaged, or there is no space.
        """
        loaded = await asyncio.to_thread(load, folder, settings.connect)
        return cls(folder / files.FILE, clock, settings, loaded)

    @property
    def revision(self) -> int:
        return self._revision

    # -- writing: deciding ----------------------------------------------------------------------------------------

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        if len(writes) > 1 and len({write.key for write in writes}) != len(writes):
            raise ValueError("a key is written twice in one transaction")
        if len(writes) >= rows.WRITES_MOST:
            raise ValueError(f"a transaction has at most {rows.WRITES_MOST - 1} writes")
        while True:
            self._check_open()
            holds, effective = self._ledger.holds(compares), self._ledger.effective(writes)
            if holds and effective:
                return await self._submit(self._ledger.decide(effective, self._clock.now().timestamp()))
            await self._settled([compare.key for compare in compares] + [write.key for write in writes])
            if not holds:
                # begun together, so that all are of one revision: what is told is a state that there was
                records = await asyncio.gather(*(self.get(compare.key) for compare in compares))
                found = {compare.key: record for compare, record in zip(compares, records, strict=True)}
                if any(_mod_revision(found[compare.key]) != compare.mod_revision for compare in compares):
                    raise CompareFailed(found)
            elif all([await self.get(write.key) is None for write in writes]):
                return self._revision

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        self._check_open()
        effective = self._ledger.effective(then)
        if put.volatile or not effective or not self._ledger.holds([compare]) or len({write.key for write in then}) != len(then):
            return await in_turn(self, put, compare, then)
        # no await below: nothing comes between the two
        now = self._clock.now().timestamp()
        first = self._ledger.decide([put], now)
        return await self._submit(first, self._ledger.decide(effective, now))

    async def _settled(self, keys: Sequence[str]) -> None:
        """Wait until what is pending for these keys now is written, or has failed."""
        for pending in {pending for key in keys if (pending := self._pending_keys.get(key))}:
            await self._over(pending)

    async def _over(self, pending: _Pending) -> None:
        if pending in self._pending:
            over = self._loop.create_future()
            pending.others.append(over)
            await over

    async def _submit(self, *decisions: Decision) -> int:
        """Have what was decided written, in one commit; the revision of the last."""
        # no await below: decided is queued
        last = decisions[-1]
        if last.volatile and not last.meta and not self._pending:
            self._publish(decisions)
            return last.revision
        job = Job(last.rows, last.meta)
        if len(decisions) > 1:
            job = Job([row for one in decisions for row in one.rows], [pair for one in decisions for pair in one.meta])
        pending = self._queue(job, decisions)
        for decision in decisions:
            for change in decision.changes:
                self._pending_keys[change.key] = pending
        return await pending.done

    def _queue(self, job: Job, decisions: Sequence[Decision] = (), garbage: Sequence[tuple[int, int]] = ()) -> _Pending:
        pending = _Pending(self._loop.create_future(), decisions, garbage)
        self._pending.append(pending)
        # what is decided in one turn of the loop, or in turns that follow one another, wakes the writer once and is one commit
        if not self._outgoing:
            self._loop.call_soon(self._hand_over, 0, 1)
        self._outgoing.append(job)
        return pending

    def _hand_over(self, before: int, turns: int) -> None:
        """Give the writer what there is, or wait one turn more if this one has brought some."""
        jobs = self._outgoing
        if before < len(jobs) and turns < TURNS_MOST:
            self._loop.call_soon(self._hand_over, len(jobs), turns + 1)
        elif jobs:
            self._outgoing = []
            self._writer.put(jobs)

    async def _expire(self, due: Sequence[tuple[str, int]]) -> None:
        await self.transact([Delete(key) for key, revision in due if self._ledger.mod_revision(key) == revision])

    # -- writing: what came of it ---------------------------------------------------------------------------------

    def _from_thread(self, callback: Callable[[T], None], argument: T) -> None:
        # a loop that ended without closing its store has nobody left to tell
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, argument)

    def _committed(self, jobs: int) -> None:
        """The oldest `jobs` of what is pending are written."""
        written = [self._pending.popleft() for _ in range(jobs)]
        self._publish([decision for pending in written for decision in pending.decisions])
        for pending in written:
            revision = self._revision
            for decision in pending.decisions:
                revision = decision.revision
                for change in decision.changes:
                    if self._pending_keys.get(change.key) is pending:
                        del self._pending_keys[change.key]
            pending.end(revision, None)

    def _publish(self, decisions: Sequence[Decision]) -> None:
        changes: list[Change] = []
        durable = written = size = 0
        for decision in decisions:
            revision = self._revision = decision.revision
            if decision.volatile:
                self._volatile.published(decision.changes)
            else:
                self._volatile.overwritten(decision.changes, self._floor)
                for id in decision.superseded:
                    self._garbage.append((revision, id))
                durable = revision
                written += len(decision.changes)
                for change in decision.changes:
                    size += len(change.value or b"")
            self._history.add(revision, decision.changes)
            for at, key in decision.deadlines:
                self._expiry.add(at, key, revision)
            changes += decision.changes
        compact_to = self._retention.wrote(self._clock.monotonic(), durable, written, size) if written else None
        self._subscribers.publish(changes)
        if compact_to and (self._compacting is None or self._compacting.done()):
            self._compacting = self._tasks.start(self._compact_in_background(compact_to), "store compaction")

    def _failed(self, error: StoreError) -> None:
        """The oldest of what is pending was not written: nor will be what was decided on top of it."""
        failed = list(self._pending)
        self._pending.clear()
        self._pending_keys.clear()
        for pending in reversed(failed):
            self._garbage.extendleft(reversed(pending.garbage))
            for decision in reversed(pending.decisions):
                self._ledger.undo(decision)
        # jobs put from now on are decided on what is written
        self._outgoing.clear()
        self._writer.resume()
        for pending in failed:
            pending.end(0, error)

    # -- reading --------------------------------------------------------------------------------------------------

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        self._check_open()
        at = revision or self._revision
        self._check_revision(at)
        if at == self._revision and (record := self._volatile.newest.get(key)):
            return record
        is_current = at == self._revision
        version = await self._read(rows.get, key, at)
        if version is None or is_current:
            return version.record if version else None
        return self._volatile.exact(version, at, self._history)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0,
                    count: bool = False) -> Page:
        self._check_open()
        at = revision or self._revision
        self._check_revision(at)
        is_current, in_memory = at == self._revision, self._volatile.current(prefix)
        found = await self._read(rows.state, prefix, after, limit + 1 if limit > 0 else 0, at)
        more = 0 < limit < len(found)
        del found[limit if more else len(found):]
        if is_current:
            records = [in_memory.get(version.record.key, version.record) for version in found]
        else:
            records = [self._volatile.exact(version, at, self._history) for version in found]
        remaining = 0 if count else -1
        if count and more:
            remaining = await self._read(rows.count, prefix, records[-1].key, at)
        return Page(records, at, more, remaining)

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        self._check_open()
        self._check_revision(since)
        at = since
        while at < self._history.floor:
            at = await self._replay(prefix, at, sink)
        # no await below: nothing is published between the replay and the registration
        if replay := self._history.since(prefix, at):
            sink(replay)
        return self._subscribers.add(prefix, sink)

    async def _replay(self, prefix: str, since: int, sink: Sink) -> int:
        """Give `sink` what is on disk after `since`, with the volatile states of now; up to which revision that was."""
        upto = self._revision
        in_memory = sorted((record for record in self._volatile.current(prefix).values() if record.mod_revision > since),
                           key=lambda record: record.mod_revision)
        states = deque(Change(r.key, r.value, r.mod_revision, r.create_revision, r.create_revision) for r in in_memory)
        last = rows.row_id(since + 1) - 1
        carried: list[Change] = []
        while True:
            found = await self._read(rows.changes, prefix, last, upto, REPLAYED_AT_ONCE)
            batch = carried + [change for _, change in found]
            carried = []
            if len(found) == REPLAYED_AT_ONCE:
                last = found[-1][0]
                # the last transaction may go on in the next part
                while batch and batch[-1].revision == found[-1][1].revision:
                    carried.insert(0, batch.pop())
            merged: list[Change] = []
            for change in batch:
                while states and states[0].revision < change.revision:
                    merged.append(states.popleft())
                merged.append(change)
            if len(found) < REPLAYED_AT_ONCE:
                merged += states
            if merged:
                sink(merged)
            if len(found) < REPLAYED_AT_ONCE:
                return upto

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._loop.run_in_executor(self._reader, read, self._reading, *arguments)
        except sqlite3.Error as error:
            raise files.translated(error, self._path) from error
        except RuntimeError as error:
            # the executor has been shut down meanwhile
            self._check_open()
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store has been closed")

    def _check_revision(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision < self._floor:
            raise Compacted(revision, self._floor)
        if self._lost[0] < revision <= self._lost[1]:
            raise Compacted(revision, self._lost[1] + 1)

    # -- keeping house --------------------------------------------------------------------------------------------

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision <= self._floor:
            return
        self._floor = revision
        # in small parts, so that writers get their turn in between
        while True:
            part: list[tuple[int, int]] = []
            while self._garbage and self._garbage[0][0] <= revision and len(part) < REMOVED_AT_ONCE:
                part.append(self._garbage.popleft())
            job = Job(meta=[("compacted", revision)], remove=[id for _, id in part])
            await self._queue(job, garbage=part).done
            if len(part) < REMOVED_AT_ONCE:
                return

    async def _compact_in_background(self, revision: int) -> None:
        try:
            await self.compact(revision)
        except StoreError as error:
            log.warning("old history stays for now: %s", error.message)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._expiry.stop()
        await self._tasks.stop()
        while self._pending:
            await self._over(self._pending[-1])
        last = [(self._ledger.index[key][0], key, record.create_revision, rows.revision_of(self._ledger.marked[key]), 0, 1,
                 record.value) for key, record in self._volatile.newest.items()]
        closing = self._queue(Job(last, [("closed", self._revision)]))
        try:
            await closing.done
        except StoreError as error:
            log.warning("closing the store as if after a crash, which loses heartbeats only: %s", error.message)
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._reader.shutdown()
        self._reading.close()
        self._checkpointer.stop()
        # the last connection to go moves the write-ahead log into the file
        self._writer.stop()
        self._lock.release()


def _mod_revision(record: Record | None) -> int:
    return record.mod_revision if record else 0
