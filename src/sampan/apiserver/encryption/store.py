"""The store around the store: seals what is written, opens what is read, and knows what it could not open.

Without a configuration it only looks for sealed values. One that can't be opened is as if it were not there for who reads
the store; `unreadable` says which and why, and `refuse` tells clients in upstream's words. It stays where it is.
Source: apiserver `pkg/storage/etcd3/store.go` (TransformFromStorage and what follows).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from sampan.api.errors import InternalError
from sampan.apiserver.catalog import Served
from sampan.apiserver.encryption.ciphers import PLAIN, SEALED, CannotOpen
from sampan.apiserver.encryption.config import Encryption
from sampan.apiserver.request import RequestInfo
from sampan.store.base import (
    Change,
    Compare,
    CompareFailed,
    Delete,
    Page,
    Put,
    Record,
    SharedStore,
    Sink,
    Store,
    Subscription,
)

log = logging.getLogger(__name__)


class EncryptedStore:
    """Keeps the contract of `Store`."""

    def __init__(self, inner: Store, encryption: Encryption | None = None) -> None:
        self._inner, self._encryption = inner, encryption
        self.unreadable: dict[str, str] = {}
        """Keys whose value can't be opened now, and why."""
        self._stale: dict[str, int] = {}

    @property
    def revision(self) -> int:
        return self._inner.revision

    def is_stale(self, key: str, revision: int) -> bool:
        """Whether the value of this revision would be sealed otherwise today, so that writing it again is worth while."""
        return self._stale.get(key) == revision

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        """See `Store.get`; None too where the value can't be opened."""
        record = await self._inner.get(key, revision=revision)
        return None if record is None else self._record(record)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0, count: bool = False) -> Page:
        """See `Store.range`; what can't be opened is left out."""
        while True:
            page = await self._inner.range(prefix, after=after, limit=limit, revision=revision, count=count)
            opened = [self._record(record) for record in page.records]
            readable = [record for record in opened if record is not None]
            if len(readable) == len(opened):
                return page._replace(records=readable)
            await self._look_at(record.key for record, one in zip(page.records, opened, strict=True) if one is None)
            if readable or not page.more:
                return page._replace(records=readable)
            after, revision = page.records[-1].key, page.revision  # a whole page that nobody can read

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
        """See `Store.transact`."""
        try:
            return await self._inner.transact(self._all_sealed(writes), compares)
        except CompareFailed as error:
            raise self._opened(error) from None

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        """See `Store.put_then`."""
        [first] = self._all_sealed([put])
        assert isinstance(first, Put)
        try:
            return await self._inner.put_then(first, compare, self._all_sealed(then))
        except CompareFailed as error:
            raise self._opened(error) from None

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        """See `Store.subscribe`; a value that can't be opened is a deletion."""
        past: set[str] = set()
        live = False

        def opened(changes: Sequence[Change]) -> None:
            if self._encryption is None and not self.unreadable and not any(map(_is_sealed, changes)):
                sink(changes)
                return
            found = [self._change(change) for change in changes]
            for old, new in zip(changes, found, strict=True):
                lost = new.value is None and old.value is not None
                if not live:
                    if lost or old.key in self.unreadable:
                        past.add(old.key)
                elif lost:
                    why = self.unreadable[old.key] = self._why(old.key, old.value or b"")
                    log.error("a stored value can't be read", extra={"key": old.key, "why": why})
                else:
                    self.unreadable.pop(old.key, None)
            sink(found)

        subscription = await self._inner.subscribe(prefix, since, opened)
        live = True
        await self._look_at(past)  # what happened before may have been undone since
        return subscription

    async def compact(self, revision: int) -> None:
        """See `Store.compact`."""
        await self._inner.compact(revision)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._inner.close()

    # -- values of a transaction -------------------------------------------------------------------------------------

    def _all_sealed(self, writes: Sequence[Put | Delete]) -> Sequence[Put | Delete]:
        if self._encryption is None:
            return writes
        return [self._sealed(one) if isinstance(one, Put) else one for one in writes]

    def _opened(self, error: CompareFailed) -> CompareFailed:
        return CompareFailed({key: None if one is None else self._record(one) for key, one in error.found.items()})

    # -- one value ---------------------------------------------------------------------------------------------------

    def _sealed(self, put: Put) -> Put:
        assert self._encryption is not None
        providers = self._encryption.of(put.key)
        if providers is PLAIN:
            return put
        return Put(put.key, providers.seal(put.value, put.key), put.ttl_seconds, put.volatile)

    def _record(self, record: Record) -> Record | None:
        value = self._open(record.key, record.value, record.mod_revision)
        return record if value is record.value else None if value is None else record._replace(value=value)

    def _change(self, change: Change) -> Change:
        if change.value is None:
            return change
        value = self._open(change.key, change.value, change.revision)
        return change if value is change.value else change._replace(value=value)

    def _open(self, key: str, stored: bytes, revision: int) -> bytes | None:
        """The plain value, the very same bytes where nothing was sealed; None: nobody can read it."""
        if self._encryption is None:
            return stored if not stored.startswith(SEALED) else None
        providers = self._encryption.of(key)
        try:
            value, stale = providers.open(stored, key)
        except CannotOpen:
            return None
        if (stale or key in self._stale) and revision >= self._stale.get(key, 0):  # a look at the past changes nothing
            self._stale[key] = revision
            if not stale:
                del self._stale[key]
        return value

    def _why(self, key: str, stored: bytes) -> str:
        """Why a value can't be opened; empty when it can."""
        try:
            (PLAIN if self._encryption is None else self._encryption.of(key)).open(stored, key)
        except CannotOpen as error:
            return str(error)
        return ""

    async def _look_at(self, keys: Iterable[str]) -> None:
        """Find out which of these can't be opened as they are now."""
        found: list[str] = []
        for key in keys:
            record = await self._inner.get(key)
            if record is not None and (why := self._why(key, record.value)):
                self.unreadable[key] = why
                found.append(key)
            else:
                self.unreadable.pop(key, None)
        if found:
            log.error("stored values can't be read", extra={"values": len(found), "first": found[0], "why": self.unreadable[found[0]]})

    def problem_with_keys(self) -> str:
        """What can't be read, in one sentence; empty when all can."""
        if not self.unreadable:
            return ""
        key, why = next(iter(self.unreadable.items()))
        return f"{len(self.unreadable)} stored value{'' if len(self.unreadable) == 1 else 's'} can't be read, the first is {key}: {why}"


class SharedEncryptedStore(EncryptedStore):
    """The same around a store that other processes write too."""

    def __init__(self, inner: SharedStore, encryption: Encryption | None = None) -> None:
        super().__init__(inner, encryption)
        self._shared = inner

    async def catch_up(self) -> int:
        """See `SharedStore.catch_up`."""
        return await self._shared.catch_up()

    async def reached(self, revision: int, seconds: float) -> bool:
        """See `SharedStore.reached`."""
        return await self._shared.reached(revision, seconds)

    def when_lost(self, read_anew: Callable[[], Awaitable[None]]) -> None:
        """See `SharedStore.when_lost`."""
        async def forget_and_read() -> None:
            self.unreadable.clear()
            await read_anew()
        self._shared.when_lost(forget_and_read)

    async def problem(self) -> str:
        """See `SharedStore.problem`."""
        return await self._shared.problem()


def _is_sealed(change: Change) -> bool:
    return change.value is not None and change.value.startswith(SEALED)


def around(store: Store, encryption: Encryption | None) -> EncryptedStore:
    """The store that an API server works with."""
    return SharedEncryptedStore(store, encryption) if isinstance(store, SharedStore) else EncryptedStore(store, encryption)


def refuse(unreadable: Mapping[str, str], served: Served, info: RequestInfo) -> None:
    """Say that what the request is about can't be read.

    Raises:
        InternalError: It can't.
    """
    if info.verb == "create" and not info.subresource:
        return
    prefix = served.prefix + (f"{info.namespace}/" if info.namespace and served.resource.namespaced else "")
    if info.name:
        why = unreadable.get(prefix + info.name, "")
    else:
        why = next((f'unable to transform key "{key}": {text}' for key, text in unreadable.items() if key.startswith(prefix)), "")
    if why:
        raise InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
