"""A local, indexed, always fresh copy of one resource, fed by list and watch and shared by a whole process.

Owns: listing in pages, watching from the last revision, listing again after `Gone` or a long outage with jittered
back-off, indexes, handlers. Leaves what to do about a change to its handlers, which only enqueue keys.
Objects are shared and read-only; on the in-process client they are the server's own decoded ones.
Source: client-go `tools/cache` (reflector, shared informer, thread-safe store).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Hashable, Iterable
from itertools import count
from typing import Any, Generic, TypeVar

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import ApiError, Gone
from sampan.api.resourceinfo import Resource
from sampan.client.base import Client
from sampan.control.key import Key, key_of, revision_of, version_of
from sampan.lib.clock import Identity

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[T | None, T | None], None]
IndexFunction = Callable[[Any], Iterable[Hashable]]

PAGE = 2000  # objects of one page of a list: bounds what a remote list holds in memory twice
RETRY = Backoff(first_seconds=0.2, most_seconds=4.0)  # a server that comes back is noticed soon; jitter spreads many
SHORT_SECONDS = 1.0


class Index(Generic[T]):
    """Objects by a computed value; made by `Informer.index`, kept current by it."""

    def __init__(self, function: IndexFunction) -> None:
        self._function = function
        self._buckets: dict[Hashable, dict[Key, T]] = {}

    def get(self, value: Hashable) -> list[T]:
        """The objects that have this value (a new list of shared objects)."""
        bucket = self._buckets.get(value)
        return list(bucket.values()) if bucket else []

    def each(self, value: Hashable) -> Iterable[T]:
        """The same without a copy: to look at some of many; no await while iterating."""
        return self._buckets.get(value, {}).values()

    def keys(self, value: Hashable) -> list[Key]:
        """The keys of the objects that have this value."""
        return list(self._buckets.get(value, ()))

    def values(self) -> list[Hashable]:
        """Every value that some object has."""
        return list(self._buckets)

    def count(self, value: Hashable) -> int:
        """How many objects have this value."""
        return len(self._buckets.get(value, ()))

    def move(self, key: Key, old: T | None, new: T | None) -> None:
        """Take `old` out and `new` in (the informer calls this)."""
        before = self._function(old) if old is not None else ()
        after = self._function(new) if new is not None else ()
        buckets = self._buckets
        if before == after and new is not None:  # mostly an object stays where it is
            for value in after:
                buckets[value][key] = new
            return
        after = set(after)
        for value in set(before) - after:
            bucket = buckets[value]
            del bucket[key]
            if not bucket:
                del buckets[value]
        if new is not None:
            for value in after:
                buckets.setdefault(value, {})[key] = new


class Informer(Generic[T]):
    """One resource (or the part that `namespace`, `labels` and `fields` select), as of `revision`.

    `synced` is set once the first list is in. Get one from `Informers.of`, which shares and runs it.
    """

    def __init__(self, client: Client, resource: Resource[T], *, clock: AsyncClock, identity: Identity,
                 namespace: str = "", labels: str = "", fields: str = "") -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.revision = 0
        self._version = ""
        self._client, self._clock, self._identity = client, clock, identity
        self._namespace, self._labels, self._fields = namespace, labels, fields
        self._objects: dict[Key, T] = {}
        self._indexes: dict[IndexFunction, Index[T]] = {}
        self._handlers: list[Handler[T]] = []
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    # reading

    def get(self, key: Key) -> T | None:
        """The object, or None: absence is an ordinary answer."""
        return self._objects.get(key)

    def items(self) -> list[T]:
        """All objects (a new list of shared objects)."""
        return list(self._objects.values())

    def keys(self) -> list[Key]:
        """All keys."""
        return list(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    # what hangs on it

    def index(self, function: IndexFunction) -> Index[T]:
        """The index by `function(object)` → values; the same function gives the same index.

        Ready-made functions are in `sampan.control.indexes`.
        """
        index = self._indexes.get(function)
        if index is None:
            index = self._indexes[function] = Index(function)
            for key, obj in self._objects.items():
                index.move(key, None, obj)
        return index

    def on_change(self, handler: Handler[T]) -> None:
        """Call `handler(old, new)` after each change: (None, new) added, (old, new) changed, (old, None) deleted.

        Handlers run on the event loop, see the cache already changed and must only enqueue keys. What is there
        already is told at once, as added.
        """
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            self._tell((handler,), None, obj)

    def when(self, revision: int, call: Callable[[], None]) -> None:
        """Call once as soon as the cache has seen `revision` (at once if it has)."""
        if self.revision >= revision:
            call()
        else:
            heapq.heappush(self._waiting, (revision, next(self._order), call))

    # feeding

    async def run(self) -> None:
        """List, then watch, until cancelled."""
        failures, relist = 0, True
        while True:
            before, began = self.revision, self._clock.monotonic()
            try:
                if relist:
                    await self._list()
                    relist = False
                await self._watch()
                # a server ends watches now and then; only one that ends at once is a failure
                quick = self.revision == before and self._clock.monotonic() - began < SHORT_SECONDS
                failures = failures + 1 if quick else 0
            except Gone as error:
                relist = True
                failures = 1 if self.revision > before else failures + 1
                log.info("watch is too old, listing again", extra=self._about(error))
            except ApiError as error:
                failures = 1 if self.revision > before else failures + 1
                log.log(logging.WARNING if failures > 1 else logging.INFO, "list or watch failed",
                        extra=self._about(error))
            if failures:
                await self._clock.sleep(RETRY.delay_seconds(failures) * (0.5 + self._identity.chance.random()))

    async def _list(self) -> None:
        found: dict[Key, T] = {}
        continue_ = ""
        while True:
            page = await self._client.list(self.resource, self._namespace, labels=self._labels, fields=self._fields,
                                           limit=PAGE, continue_=continue_)
            for obj in page.items:
                found[key_of(obj)] = obj
            if not (continue_ := page.continue_):
                break
        # no await below: readers see the old state or the new one
        for key in [key for key in self._objects if key not in found]:
            self._put(key, None)
        for key, obj in found.items():
            old = self._objects.get(key)
            if old is None or version_of(old) != version_of(obj):
                self._put(key, obj)
        self._reached(page.revision)
        self.synced.set()

    async def _watch(self) -> None:
        stream = self._client.watch(self.resource, self._namespace, since=self._version, labels=self._labels,
                                    fields=self._fields)
        async for event in stream:
            if event.kind == "DELETED":
                key = key_of(event.object)
                if key in self._objects:
                    # the last state comes with the event: handlers shall see it, not the one before
                    self._objects[key] = self._swap(key, event.object)
                    self._put(key, None)
            elif event.kind != "BOOKMARK":
                self._put(key_of(event.object), event.object)
            self._reached(event.revision)

    def _swap(self, key: Key, last: T) -> T:
        for index in self._indexes.values():
            index.move(key, self._objects[key], last)
        return last

    def _put(self, key: Key, obj: T | None) -> None:
        old = self._objects.get(key)
        if obj is None:
            del self._objects[key]
        else:
            self._objects[key] = obj
        for index in self._indexes.values():
            index.move(key, old, obj)
        self._tell(self._handlers, old, obj)

    def _tell(self, handlers: Iterable[Handler[T]], old: T | None, new: T | None) -> None:
        for handler in handlers:
            try:
                handler(old, new)
            except Exception:
                # one component's mistake must not stop the cache of all others
                log.exception("an informer's handler failed", extra={"resource": self.resource.group_resource})

    def _reached(self, version: str) -> None:
        self._version = version
        if version.isdigit() and (revision := int(version)) > self.revision:
            self.revision = revision
        while self._waiting and self._waiting[0][0] <= self.revision:
            heapq.heappop(self._waiting)[2]()

    def _about(self, error: Exception) -> dict[str, object]:
        return {"resource": self.resource.group_resource, "error": str(error)}


class Informers:
    """The informers of one process: one a resource, whoever asks. `run` feeds them, also those asked for later."""

    def __init__(self, client: Client, *, clock: AsyncClock, identity: Identity) -> None:
        self._client, self._clock, self._identity = client, clock, identity
        self._informers: dict[tuple[str, ...], Informer[Any]] = {}
        self._tasks: Tasks | None = None
        self._running: dict[tuple[str, ...], asyncio.Task[None]] = {}

    def of(self, resource: Resource[T], *, namespace: str = "", labels: str = "", fields: str = "") -> Informer[T]:
        """The shared informer; made on first use. Ask for all objects where you can: a narrower one is another one."""
        name = (resource.group, resource.version, resource.plural, namespace, labels, fields)
        informer = self._informers.get(name)
        if informer is None:
            informer = self._informers[name] = Informer(
                self._client, resource, clock=self._clock, identity=self._identity, namespace=namespace,
                labels=labels, fields=fields)
            self._start(name, informer)
        return informer

    def known(self, resource: Resource[T]) -> Informer[T] | None:
        """The unfiltered informer of a resource, if somebody has asked for it."""
        return self._informers.get((resource.group, resource.version, resource.plural, "", "", ""))

    async def drop(self, resource: Resource[Any]) -> None:
        """Stop and forget a resource's informer (its definition is gone)."""
        name = (resource.group, resource.version, resource.plural, "", "", "")
        self._informers.pop(name, None)
        if (task := self._running.pop(name, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def synced(self) -> None:
        """Return when every informer asked for so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    async def run(self) -> None:
        """Feed all informers until cancelled."""
        async with Tasks() as tasks:
            self._tasks = tasks
            try:
                for name, informer in list(self._informers.items()):
                    self._start(name, informer)
                await tasks.wait()
            finally:
                self._tasks = None
                self._running.clear()

    def _start(self, name: tuple[str, ...], informer: Informer[Any]) -> None:
        if self._tasks is not None:
            self._running[name] = self._tasks.start(informer.run(), f"informer {name[2]}")


def newest(objects: Iterable[Any]) -> int:
    """The highest revision among objects."""
    return max(map(revision_of, objects), default=0)
