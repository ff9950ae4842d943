"""One version's view of objects that a webhook converts: a watch cache of its own, filled through the webhook.

Owns when objects are converted: all of them when the version is first asked for, then each as it changes, many at a time,
once for all readers. What can't be converted makes the view start anew with the next request, whose answer says why.
Leaves the converting to whoever hands in a `Convert`. Source: apiextensions-apiserver keeps a cacher a version likewise
(`pkg/apiserver/customresource_handler.go`, `crdConversionRESTOptionsGetter`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import ApiError, TooManyRequests
from sampan.api.resourceinfo import Resource
from sampan.apiserver.watchcache import Reading, WatchCache, key_prefix
from sampan.store.base import Change, Page, Record, Sink, StoreError, Subscription

log = logging.getLogger(__name__)

Object = dict[str, Any]
Convert = Callable[[list[Object]], Awaitable[list[Object]]]
"""Makes this version's objects of stored ones, in their order; never in place."""
AT_ONCE = 500


class _Converted:
    """A store's reading side with the values of one prefix converted. `revision` is how far it has come."""

    def __init__(self, store: Reading, convert: Convert, failed: Callable[[ApiError | StoreError], None]) -> None:
        self._store, self._convert, self._failed = store, convert, failed
        self.pending: deque[Change] = deque()
        self._turn = 0  # counts up when what is pending is given up
        self._sink: Sink | None = None
        self._pump: asyncio.Task[Any] | None = None
        self.tasks = Tasks()

    @property
    def revision(self) -> int:
        return self.pending[0].revision - 1 if self.pending else self._store.revision

    async def _values(self, values: Sequence[bytes]) -> list[bytes]:
        if not values:
            return []
        return [codec.encode(obj) for obj in await self._convert([codec.loads(value) for value in values])]

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0, count: bool = False) -> Page:
        page = await self._store.range(prefix, after=after, limit=limit, revision=revision, count=count)
        values = await self._values([record.value for record in page.records])
        return page._replace(records=[record._replace(value=value) for record, value in zip(page.records, values, strict=True)])

    async def get(self, key: str, *, revision: int = 0) -> Record | None:
        record = await self._store.get(key, revision=revision)
        return None if record is None else record._replace(value=(await self._values([record.value]))[0])

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription:
        """As a store's, but changes come a little later: those that were made already are there before this returns."""
        self.give_up()
        early: list[Change] = []
        following = False

        def note(changes: Sequence[Change]) -> None:
            if following:
                self._note(changes)
            else:
                early.extend(changes)

        subscription = await self._store.subscribe(prefix, since, note)
        try:
            while early:
                some = list(early)
                early.clear()
                sink(await self._changes(some))
        except BaseException:
            subscription.close()
            raise
        self._sink, following = sink, True
        return subscription

    def give_up(self) -> None:
        """Nothing that is pending will be told."""
        self._turn += 1
        self.pending.clear()

    def _note(self, changes: Sequence[Change]) -> None:
        self.pending.extend(changes)
        if self._pump is None or self._pump.done():
            self._pump = self.tasks.start(self._work(), "conversion", keep_going=True)

    async def _work(self) -> None:
        turn = self._turn
        while self.pending:
            some = [self.pending[place] for place in range(min(len(self.pending), AT_ONCE))]
            try:
                changes = await self._changes(some)
            except (ApiError, StoreError) as error:
                if turn == self._turn:
                    self._failed(error)
                return
            if turn != self._turn:
                turn = self._turn
                continue
            # no await below: the revision and what is told of it move together
            for _ in some:
                self.pending.popleft()
            if self._sink is not None:
                self._sink(changes)

    async def _changes(self, changes: Sequence[Change]) -> list[Change]:
        values = iter(await self._values([change.value for change in changes if change.value is not None]))
        return [change if change.value is None else change._replace(value=next(values)) for change in changes]

    async def drained(self) -> None:
        """Until all that has changed by now is told."""
        until = self._store.revision
        while self.pending and self.pending[0].revision <= until and self._pump is not None:
            await asyncio.wait((self._pump,))


class _Cache(WatchCache):
    """The view's cache; what the store lost makes the view start anew."""

    def __init__(self, resource: Resource[Any], store: Reading, view: View) -> None:
        super().__init__(resource, store)
        self._view = view

    async def read_anew(self) -> None:
        self._view.forget()


class View:
    """Give `cache` to the caches; `await current()` before reading from it."""

    def __init__(self, resource: Resource[Any], store: Reading, outward: Convert, inward: Convert) -> None:
        """`outward` makes objects of `resource` of stored ones, `inward` is the way back."""
        self._inward = inward
        self._store = _Converted(store, outward, self._failed)
        self.cache: WatchCache = _Cache(resource, self._store, self)
        self._loaded = self._closed = False
        self._loading: asyncio.Task[Any] | None = None

    async def current(self) -> None:
        """Until the cache has all that has been written by now.

        Raises:
            OtherStatus: Something can't be converted; the text says why.
        """
        if self._loaded:
            await self._store.drained()
        while not self._loaded:
            if self._closed:
                raise TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1})
            if self._loading is None:
                self._loading = self._store.tasks.start(self._load(), "conversion of all", keep_going=True)
            loading = self._loading
            await asyncio.wait((loading,))  # for all who wait: whoever leaves does not end it
            if not loading.cancelled() and (error := loading.result()) is not None:
                raise error

    async def _load(self) -> ApiError | StoreError | None:
        try:
            await self.cache.load()
        except (ApiError, StoreError) as error:
            return error
        else:
            self._loaded = True
            self.cache.generation += 1
            return None
        finally:
            self._loading = None

    async def inward(self, obj: Object) -> Object:
        """The object as it is stored; a new one.

        Raises:
            OtherStatus: It can't be converted.
        """
        return (await self._inward([obj]))[0]

    async def outward(self, obj: Object) -> Object:
        """A stored object as this version shows it; a new one.

        Raises:
            OtherStatus: It can't be converted.
        """
        return (await self._store._convert([obj]))[0]  # noqa: SLF001 - its other half

    def _failed(self, error: ApiError | StoreError) -> None:
        log.warning("a version of a custom resource is read anew", extra={"prefix": key_prefix(self.cache.resource), "why": str(error)})
        self.forget()

    def forget(self) -> None:
        """Start anew with the next request: all watches end."""
        self._loaded = False
        self._store.give_up()
        self.cache.close()

    async def close(self) -> None:
        """Convert nothing any more."""
        self._closed = True
        self.forget()
        await self._store.tasks.stop()
        self.cache.close()  # what a load that was under way may have begun
