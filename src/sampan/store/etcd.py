"""`EtcdStore`: the contract of a store by etcd v3, which several API servers may share.

Owns transactions, reads, and the order that the contract asks for. Leaves calls and their errors to `etcdclient`, the
stream of changes and who is told of them to `etcdfeed`, times to live to `etcdleases`, history's end to `etcdcompaction`.

A transaction returns when the watch has brought its own change: the watch caches rely on it. What one server was
acknowledged another one sees after `catch_up`: it asks etcd for the newest revision (many callers share one question)
and waits until the watch has brought that. Volatile puts are plain ones.

Source: etcd `api/etcdserverpb/rpc.proto`; `k8s.io/apiserver/pkg/storage/etcd3/store.go`; KEP-2340 (consistent reads
from the cache).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.store.base import (
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
from sampan.store.etcdclient import (
    Endpoints,
    EtcdClient,
    EtcdTls,
    LeaseGone,
    RevisionCompacted,
    RevisionInFuture,
    message,
)
from sampan.store.etcdcompaction import SECONDS, Compaction
from sampan.store.etcdfeed import Feed, batches
from sampan.store.etcdleases import Leases

HEALTH_SECONDS = 2.0
PAGE_MOST = 1000
EQUAL, MOD = 0, 2  # of etcdserverpb.Compare
LEASE_TRIES = 2


@dataclass(frozen=True)
class EtcdSettings:
    """`timeout_seconds` bounds every call and the wait for what it has changed, `compaction_seconds` 0 leaves compaction to others."""

    tls: EtcdTls = field(default_factory=EtcdTls)
    timeout_seconds: float = 10.0
    compaction_seconds: float = SECONDS


class EtcdStore:
    """Opened with `open`; every method must be called on the event loop that opened it."""

    def __init__(self, client: EtcdClient, clock: AsyncClock, settings: EtcdSettings, revision: int) -> None:
        self._client, self._settings = client, settings
        self._feed = Feed(client, clock, revision)
        self._leases = Leases(client, clock)
        self._tasks = Tasks()
        self._asking: asyncio.Task[int | StoreError] | None = None
        self._asked_next: asyncio.Task[int | StoreError] | None = None
        self._closed = False
        self._tasks.start(self._feed.run(), "etcd watch")
        if settings.compaction_seconds:
            self._tasks.start(Compaction(client).run(clock, settings.compaction_seconds), "etcd compaction", keep_going=True)

    @classmethod
    async def open(cls, url: str, clock: AsyncClock, settings: EtcdSettings = EtcdSettings()) -> EtcdStore:
        """Connect to `etcd://HOST:PORT[,HOST:PORT]`.

        Raises:
            ConfigError: The address or a file can't be used.
            StoreUnavailable: etcd doesn't answer.
        """
        client = EtcdClient(Endpoints.parse(url), settings.tls, timeout_seconds=settings.timeout_seconds)
        try:
            return cls(client, clock, settings, await client.revision())
        except BaseException:
            await client.close()
            raise

    @property
    def revision(self) -> int:
        return self._feed.revision

    # -- writing --------------------------------------------------------------------------------------------------

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        self._check_open()
        if len({write.key for write in writes}) != len(writes):
            raise ValueError("a key is written twice in one transaction")
        response = await self._txn(writes, compares)
        revision = int(response.header.revision)
        # also when nothing was written: who tries again does so on what made it fail
        await self._follow(revision)
        if not response.succeeded:
            found = {compare.key: None for compare in compares} | {
                record.key: record for answer in response.responses for record in map(_record, answer.response_range.kvs)}
            raise CompareFailed(found)
        return revision

    async def _txn(self, writes: Sequence[Put | Delete], compares: Sequence[Compare]) -> Any:
        conditions = [message("Compare", result=EQUAL, target=MOD, key=compare.key.encode(), mod_revision=compare.mod_revision)
                      for compare in compares]
        look = [message("RequestOp", request_range=message("RangeRequest", key=compare.key.encode())) for compare in compares]
        for _ in range(LEASE_TRIES - 1):
            try:
                return await self._client.txn(conditions, [await self._operation(write) for write in writes], look)
            except LeaseGone:
                self._leases.forget()
        return await self._client.txn(conditions, [await self._operation(write) for write in writes], look)

    async def _operation(self, write: Put | Delete) -> Any:
        key = write.key.encode()
        if isinstance(write, Delete):
            return message("RequestOp", request_delete_range=message("DeleteRangeRequest", key=key))
        lease = await self._leases.lease(write.ttl_seconds) if write.ttl_seconds > 0 else 0
        return message("RequestOp", request_put=message("PutRequest", key=key, value=write.value, lease=lease))

    async def _follow(self, revision: int) -> None:
        if await self._feed.reached(revision, self._client.attempt_seconds):
            return
        # what etcd has acknowledged does not arrive: by another member it may
        self._feed.hangs()
        if not await self._feed.reached(revision, self._settings.timeout_seconds - self._client.attempt_seconds):
            why = f": {self._feed.problem}" if self._feed.problem else ""
            raise StoreUnavailable(f"etcd is at revision {revision}, its watch has only told of {self.revision}{why}")

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        return await in_turn(self, put, compare, then)

    # -- reading --------------------------------------------------------------------------------------------------

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        response = await self._range(revision, key=key.encode())
        return _record(response.kvs[0]) if response.kvs else None

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0,
                    count: bool = False) -> Page:
        start, end = max(prefix.encode(), after.encode() + b"\0" if after else b""), prefix_end(prefix.encode())
        if end != b"\0" and start >= end:
            return Page([], revision or self.revision, more=False, remaining=0 if count else -1)
        records: list[Record] = []
        while True:
            most = min(limit - len(records), PAGE_MOST) if limit > 0 else PAGE_MOST
            response = await self._range(revision, key=start, range_end=end, limit=most)
            revision = revision or int(response.header.revision)
            records += map(_record, response.kvs)
            if not response.more or 0 < limit <= len(records):
                return Page(records, revision, response.more, response.count - len(response.kvs) if count else -1)
            start = response.kvs[-1].key + b"\0"

    async def _range(self, revision: int, **fields: Any) -> Any:
        self._check_open()
        try:
            return await self._client.range(revision=revision, **fields)
        except RevisionCompacted:
            raise Compacted(revision, await self._oldest(revision)) from None
        except RevisionInFuture:
            raise FutureRevision(revision, self.revision) from None

    async def _oldest(self, revision: int) -> int:
        """What can still be read; only a watch is told by etcd."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds), aclosing(batches(self._client, revision)) as arriving:
                async for changes in arriving:
                    if changes:
                        break
        except Compacted as error:
            return error.oldest
        except TimeoutError:
            raise StoreUnavailable("etcd doesn't say what it has compacted") from None
        return revision

    # -- following ------------------------------------------------------------------------------------------------

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        self._check_open()
        if since > self.revision:
            if since > (current := await self._client.revision()):
                raise FutureRevision(since, current)
            await self._follow(since)
        at = max(since, 1)
        while at < self._feed.history.floor:
            at = await self._replay(prefix, at, sink)
        # no await below: nothing is published between the replay and the registration
        if replay := self._feed.history.since(prefix, at):
            sink(replay)
        return self._feed.subscribers.add(prefix, sink)

    async def _replay(self, prefix: str, since: int, sink: Sink) -> int:
        """Give `sink` what etcd has after `since`, until the history in memory has the rest; up to which revision."""
        at = since
        try:
            # from `since` itself: when that has been compacted, what came next may be incomplete
            async with asyncio.timeout(self._settings.timeout_seconds) as deadline, aclosing(batches(self._client, since)) as arriving:
                async for changes in arriving:
                    new = [change for change in changes if at < change.revision <= self.revision]
                    if found := [change for change in new if change.key.startswith(prefix)]:
                        sink(found)
                    at = new[-1].revision if new else at
                    if at >= self._feed.history.floor:
                        break
                    deadline.reschedule(asyncio.get_running_loop().time() + self._settings.timeout_seconds)
        except Compacted as error:
            raise Compacted(since, error.oldest) from None
        except TimeoutError:
            raise StoreUnavailable("etcd doesn't tell what happened before") from None
        return at

    # -- what a shared store has ----------------------------------------------------------------------------------

    async def catch_up(self) -> int:
        self._check_open()
        revision = await self._newest()
        await self._follow(revision)
        return revision

    async def _newest(self) -> int:
        """The newest revision by a question that is asked after this call. Raises StoreUnavailable."""
        question = self._question()
        # a caller who gives up leaves the others their answer
        await asyncio.wait([question])
        answer = StoreUnavailable("the store has been closed") if question.cancelled() else question.result()
        if isinstance(answer, StoreError):
            raise StoreUnavailable(answer.message) from answer
        return answer

    def _question(self) -> asyncio.Task[int | StoreError]:
        """One may be on its way, and one waits for it."""
        if self._asking is None or self._asking.done():
            self._asking = self._tasks.start(self._ask(), "etcd revision")
            return self._asking
        if self._asked_next is None:
            self._asked_next = self._tasks.start(self._ask_after(self._asking), "etcd revision")
        return self._asked_next

    async def _ask_after(self, before: asyncio.Task[int | StoreError]) -> int | StoreError:
        await asyncio.wait([before])
        # from now on others have to ask again
        self._asking, self._asked_next = self._asked_next, None
        return await self._ask()

    async def _ask(self) -> int | StoreError:
        try:
            return await self._client.revision()
        except StoreError as error:
            return error

    async def reached(self, revision: int, seconds: float) -> bool:
        self._check_open()
        return await self._feed.reached(revision, seconds)

    def when_lost(self, read_anew: Callable[[], Awaitable[None]]) -> None:
        self._feed.lost = read_anew

    async def problem(self) -> str:
        if self._closed:
            return "the store has been closed"
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._newest()
        except TimeoutError:
            return f"etcd at {self._client.endpoints} doesn't answer"
        except StoreError as error:
            return error.message
        return self._feed.problem

    # -- the end --------------------------------------------------------------------------------------------------

    async def compact(self, revision: int) -> None:
        self._check_open()
        try:
            await self._client.compact(revision)
        except RevisionCompacted:
            return
        except RevisionInFuture:
            raise FutureRevision(revision, self.revision) from None
        self._feed.history.forget(revision)

    async def close(self) -> None:
        self._closed = True
        await self._tasks.stop()
        self._feed.end()
        await self._client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store has been closed")


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all that start with `prefix`, as etcd wants it: a zero byte is the end of all."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def _record(found: Any) -> Record:
    return Record(found.key.decode(errors="replace"), found.value, found.mod_revision, found.create_revision)
