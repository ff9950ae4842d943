"""One resource's objects in memory as ready-made bytes: reads and watches leave from here.

A `WatchCache` is filled from the store once and fed by its subscription from then on. By the store's contract a
subscriber has been given a change before `transact` returns, so the cache is never behind what this process wrote.
What is older than its ring of recent events is read from the store's history. `Caches` holds one a resource.
What is asked of them is in `selection`, what they hold in `entries` and `cachedobjects`, who watches in `watching`.

Source: `k8s.io/apiserver/pkg/storage/cacher`; for resource versions kubernetes.io/docs/reference/using-api/api-concepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from sampan.aio.clock import AsyncClock
from sampan.api.errors import ApiError, BadRequest, Gone, OtherStatus, TooManyRequests
from sampan.api.resourceinfo import Resource
from sampan.apiserver.cachedobjects import Indexer, Objects
from sampan.apiserver.entries import Entry
from sampan.apiserver.known import Known
from sampan.apiserver.listing import (
    LIST_TOO_OLD,
    ContinueExpired,
    ContinueToken,
    Listing,
    parse_resource_version,
    too_large,
)
from sampan.apiserver.selection import ALL, ListQuery, Rendering, Selection, WatchQuery
from sampan.apiserver.watching import ADDED, BOOKMARK, Delivery, Event, Hub, Watcher, bookmark
from sampan.store.base import Change, Compacted, Page, Record, Sink, Store, Subscription

__all__ = ["ALL", "Caches", "Entry", "ListQuery", "Listing", "Reader", "Readers", "Rendering", "Selection",
           "WatchCache", "WatchQuery", "Watcher", "key_prefix"]

LOADED_AT_ONCE = 1000
LOAD_TRIES = 5
FILTERED_AT_ONCE = 1000
REPLAY_MOST = 20_000
BOOKMARK_SECONDS = 60.0


class Reader(Protocol):
    """The reading side of a watch cache: what authorizers and admission plugins are given."""

    @property
    def revision(self) -> int: ...

    @property
    def generation(self) -> int:
        """Counts up with every change of this resource: for memoising what was computed from it."""
        ...

    def get(self, namespace: str, name: str) -> Entry | None: ...

    def entries(self, namespace: str = "", *, indexed: str = "") -> Iterator[Entry]:
        """In the order of keys; of one namespace or all, of one value of the indexed field (pods: their node) or all."""
        ...


class Readers(Protocol):
    """Every resource's reader, by `Resource`."""

    def of(self, resource: Any) -> Reader: ...


def key_prefix(resource: Resource[Any]) -> str:
    """Where the store has a resource: `/registry/<group or core>/<plural>/`."""
    return f"/registry/{resource.group or 'core'}/{resource.plural}/"


class _PodSpec(msgspec.Struct, gc=False):
    nodeName: str = ""


class _PodHead(msgspec.Struct, gc=False):
    spec: _PodSpec


_pod_head = msgspec.json.Decoder(_PodHead)


def node_of(body: bytes) -> str:
    """`spec.nodeName` of a pod."""
    # most of the time of a pod without a node is saved by looking first; what is found may be in an annotation
    return _pod_head.decode(body).spec.nodeName if b'"nodeName":"' in body else ""


INDEXERS: dict[str, Indexer] = {"/registry/core/pods/": Indexer(node_of, attrgetter("spec.nodeName"))}
"""The field that a resource is indexed by."""


class Reading(Protocol):
    """What a cache needs of a `Store`."""

    @property
    def revision(self) -> int: ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0, count: bool = False) -> Page: ...

    async def get(self, key: str, *, revision: int = 0) -> Record | None: ...

    async def subscribe(self, prefix: str, since: int, sink: Sink) -> Subscription: ...


class WatchCache:
    """One resource's objects. Reading needs no await and no copy; `list` and `watch` may wait for the store."""

    def __init__(self, resource: Resource[Any], store: Reading, known: Known | None = None) -> None:
        self.resource, self._store, self._known = resource, store, known
        self.generation = 0
        self._prefix = key_prefix(resource)
        self._objects = self._empty()
        self._hub = Hub(resource, lambda: store.revision)
        self._subscription: Subscription | None = None

    def _empty(self) -> Objects:
        return Objects(self.resource, self._prefix, INDEXERS.get(self._prefix), self._known)

    @property
    def revision(self) -> int:
        """The store's newest: what lists and bookmarks say."""
        return self._store.revision

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def bytes(self) -> int:
        """How much all objects are as JSON."""
        return self._objects.bytes

    @property
    def watchers(self) -> int:
        """How many watches there are."""
        return len(self._hub)

    def interested(self, namespace: str, name: str) -> int:
        """How many watches a change of this object is told to, as far as namespace and name tell."""
        return self._hub.interested(namespace, name)

    # -- filling --------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read all objects and follow their changes from then on. Once.

        Raises:
            StoreError: The store cannot be read.
        """
        for _ in range(LOAD_TRIES - 1):
            try:
                await self._load()
            except Compacted:
                continue  # history went by while it was read: anew, from the newest
            else:
                return
        await self._load()

    async def _load(self) -> None:
        revision, after, objects = self._store.revision, "", self._empty()
        while True:
            page = await self._store.range(self._prefix, after=after, limit=LOADED_AT_ONCE, revision=revision)
            for record in page.records:
                objects.put(objects.entry(record))
            if not page.more:
                break
            after = page.records[-1].key
            await asyncio.sleep(0)
        objects.floor = revision
        self._objects = objects
        self._subscription = await self._store.subscribe(self._prefix, revision, self._changed)

    async def read_anew(self) -> None:
        """Changes were missed: end all watches, whose clients list again, and read all objects.

        Raises:
            StoreError: The store cannot be read.
        """
        self.close()
        await self.load()
        self.generation += 1

    def _changed(self, changes: Sequence[Change]) -> None:
        self.generation += 1
        hub = self._hub
        for change in changes:
            event = self._objects.apply(change)
            if event is not None:
                hub.tell(event)

    def close(self) -> None:
        """Follow the store no longer; all watches end."""
        if self._subscription is not None:
            self._subscription.close()
        self._hub.close()

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object as it is now; `namespace` is empty for cluster-scoped ones."""
        return self._objects.get(namespace, name)

    def entries(self, namespace: str = "", *, indexed: str = "") -> Iterator[Entry]:
        """In the order of keys; of one namespace or all, of one indexed value or all. Read it before the next await."""
        if namespace and not indexed:
            return self._objects.within(namespace)
        return self._objects.select(Selection(namespace=namespace, indexed=indexed))

    def select(self, selection: Selection) -> Sequence[Entry]:
        """What is selected now, in the order of keys."""
        return [entry for entry in self._objects.select(selection) if selection.matches is None or selection.matches(entry)]

    # -- lists ----------------------------------------------------------------------------------------------------

    async def list(self, query: ListQuery) -> Listing:
        """Answer by upstream's rules for resourceVersion, resourceVersionMatch, limit and continue.

        Raises:
            BadRequest: The continue token or the resource version cannot be read, or they exclude each other.
            Gone: The revision is older than the history that is kept.
            Timeout: The revision has not been given yet.
        """
        token = None
        if query.continue_:
            token = ContinueToken.decode(query.continue_)
            if query.resource_version not in ("", "0"):
                raise BadRequest("specifying resource version is not allowed when using continue")
            exact = max(token.revision, 0)
        else:
            exact = self._exact(query)
        if exact > self.revision:
            raise too_large(exact, self.revision)
        try:
            return await self._list(query, token.start if token else "", exact)
        except Compacted:
            raise ContinueExpired(token) if token else Gone(LIST_TOO_OLD) from None

    def _exact(self, query: ListQuery) -> int:
        """The revision that the list must be of; 0: the newest will do."""
        try:
            asked = parse_resource_version(query.resource_version)
        except ValueError as error:
            raise BadRequest(f"invalid resource version: {error}") from None
        if query.match == "Exact" or (not query.match and query.limit > 0):
            return asked
        if asked > self.revision:
            raise too_large(asked, self.revision)
        return 0

    async def _list(self, query: ListQuery, start: str, exact: int) -> Listing:
        selection, limit = query.selection, max(query.limit, 0)
        revision = exact or self.revision
        objects = self._objects
        if revision < objects.floor:
            found = await self._from_store(selection, start, limit, revision)
        else:
            found = objects.select_at(revision, selection, start) if revision < self.revision else objects.select(selection, start)
        entries = await _filtered(found, selection, limit + 1 if limit else 0)
        if not limit or len(entries) <= limit:
            return Listing(entries, revision)
        remaining = None
        if not selection.by_selector:
            remaining = await self._remaining(selection, entries[limit], revision)
        last = entries[limit - 1]
        behind = f"{last.name}\0" if selection.namespace or not last.namespace else f"{last.namespace}/{last.name}\0"
        return Listing(entries[:limit], revision, ContinueToken(behind, revision).encode(), remaining)

    async def _remaining(self, selection: Selection, first: Entry, revision: int) -> int:
        objects = self._objects
        start = first.name if selection.namespace or not first.namespace else f"{first.namespace}/{first.name}"
        if revision == self.revision:
            return objects.count(selection.namespace, start)
        if revision >= objects.floor:
            return objects.count_at(revision, selection.namespace, start)
        prefix = self._prefix + (f"{selection.namespace}/" if selection.namespace else "")
        page = await self._store.range(prefix, after=first.key, limit=1, revision=revision, count=True)
        return 1 + len(page.records) + page.remaining

    async def _from_store(self, selection: Selection, start: str, limit: int, revision: int) -> Iterator[Entry]:
        """What is not in memory any more. With a limit, as much as fills it."""
        prefix = self._prefix + (f"{selection.namespace}/" if selection.namespace else "")
        after, found = prefix + start if start else "", []
        while True:
            page = await self._store.range(prefix, after=after, limit=max(limit + 1, LOADED_AT_ONCE), revision=revision)
            found += [entry for entry in map(self._objects.entry, page.records) if selection.holds(entry)]
            if not page.more or (limit and len(found) > limit):
                return iter(found)
            after = page.records[-1].key

    # -- watches --------------------------------------------------------------------------------------------------

    async def watch(self, query: WatchQuery) -> Watcher:
        """Start a watch. What fails after the query was understood (410, 504) is the watch's last event.

        Raises:
            OtherStatus: 500, the resource version is not a number.
        """
        try:
            since = parse_resource_version(query.resource_version)
        except ValueError as error:
            raise OtherStatus(str(error), code=500) from None
        now, selection = self.revision, query.selection
        watcher = self._hub.add(selection, query.rendering, bookmarks=query.bookmarks, after=max(since, now))
        try:
            if query.initial or (query.initial is None and since == 0):
                if since > now:
                    watcher.fail(too_large(since, now))
                else:
                    self._begin_with_all(watcher, query, now)
            elif 0 < since < now:
                await self._begin_since(watcher, query, since, now)
        except BaseException:
            watcher.close()  # nobody will read it
            raise
        return watcher

    def _begin_with_all(self, watcher: Watcher, query: WatchQuery, now: int) -> None:
        # taken at once: what changes later is in the watcher's queue
        entries = list(self._objects.select(query.selection))
        holds = query.selection.matches or (lambda _: True)

        def initial() -> Iterator[Delivery | None]:
            for number, entry in enumerate(entries):
                if holds(entry):
                    yield Delivery(ADDED, entry, query.rendering)
                elif number % FILTERED_AT_ONCE == 0:
                    yield None
            if query.initial and query.bookmarks:
                yield Delivery(BOOKMARK, bookmark(self.resource, now, initial_end=True), query.rendering)

        watcher.begin(initial())

    async def _begin_since(self, watcher: Watcher, query: WatchQuery, since: int, now: int) -> None:
        try:
            events = self._objects.since(since) if since >= self._objects.floor else await self._replay(since, now)
        except ApiError as error:
            watcher.fail(error)
            return
        seen = [event.seen_by(query.selection) for event in events]
        watcher.begin([Delivery(*item, query.rendering) for item in seen if item is not None])

    async def _replay(self, since: int, now: int) -> Sequence[Event]:
        """The events of (since, now] from the store's history.

        Raises:
            Gone: They are not kept any more, or too many.
        """
        changes: list[Change] = []

        def collect(batch: Sequence[Change]) -> None:
            changes.extend(batch)
            if len(changes) > REPLAY_MOST:
                raise Compacted(since, changes[-1].revision)

        try:
            (await self._store.subscribe(self._prefix, since, collect)).close()
            events: list[Event] = []
            state: dict[str, Entry | None] = {}
            for number, change in enumerate(changes):
                if change.revision > now:
                    break
                if number % FILTERED_AT_ONCE == FILTERED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                if change.key not in state:
                    record = await self._store.get(change.key, revision=since) if change.previous_revision else None
                    state[change.key] = self._objects.entry(record) if record else None
                old = state[change.key]
                new = self._objects.entry(change) if change.value is not None else None
                if old is not None or new is not None:
                    events.append(Event(change.revision, old, new))
                state[change.key] = new
            return events
        except Compacted as error:
            raise Gone(f"too old resource version: {since} ({error.oldest})") from None

    def bookmark(self) -> None:
        """Queue a bookmark for every watch that wants one."""
        self._hub.bookmark()


async def _filtered(found: Iterator[Entry], selection: Selection, most: int) -> list[Entry]:
    """Those that match, at most so many; in steps that give the loop to others."""
    matches = selection.matches
    if matches is None:
        return list(islice(found, most) if most else found)
    candidates, entries = list(found), []
    for start in range(0, len(candidates), FILTERED_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        entries += [entry for entry in candidates[start:start + FILTERED_AT_ONCE] if matches(entry)]
        if most and len(entries) >= most:
            return entries[:most]
    return entries


def _own_key(resource: Resource[Any]) -> str:
    return f"{key_prefix(resource)}#{resource.version}"


class Caches:
    """Every resource's cache; keeps the contract of `Readers`."""

    def __init__(self, store: Store, clock: AsyncClock) -> None:
        self.store, self._clock = store, clock
        self.known = Known()
        self._caches: dict[str, WatchCache] = {}
        self._by_resource: dict[Resource[Any], WatchCache] = {}
        self._loading: dict[str, asyncio.Future[None]] = {}

    def of(self, resource: Resource[Any]) -> WatchCache:
        """The cache of a resource that `load` has brought in.

        Raises:
            TooManyRequests: It has not been loaded yet.
        """
        found = self._by_resource.get(resource)
        if found is None:
            found = self._caches.get(key_prefix(resource))
            if found is None:
                raise TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1})
            self._by_resource[resource] = found
        return found

    def find(self, resource: Resource[Any]) -> WatchCache | None:
        """As `of`; None if it has not been loaded."""
        found = self._by_resource.get(resource)
        return found if found is not None else self._caches.get(key_prefix(resource))

    async def load(self, *resources: Resource[Any]) -> None:
        """Fill the caches of these resources; those that are there already stay as they are."""
        for resource in resources:
            await self._load(resource)

    async def _load(self, resource: Resource[Any]) -> None:
        prefix = key_prefix(resource)
        while prefix in self._loading:
            await asyncio.wait([self._loading[prefix]])
        if prefix in self._caches:
            return
        done = self._loading[prefix] = asyncio.get_running_loop().create_future()
        try:
            cache = WatchCache(resource, self.store, self.known)
            await cache.load()
            self._caches[prefix] = cache
        finally:
            del self._loading[prefix]
            done.set_result(None)

    async def read_anew(self) -> None:
        """Changes of the store were missed: read everything again.

        Raises:
            StoreError: The store cannot be read.
        """
        for cache in self.all():
            cache.close()  # all watches end before the first of them can tell half of it
        for cache in self.all():
            await cache.read_anew()

    def drop(self, resource: Resource[Any]) -> None:
        """Forget a resource that is served no longer: its watches end."""
        cache = self._caches.pop(key_prefix(resource), None)
        if cache is not None:
            for known in [known for known, of in self._by_resource.items() if of is cache]:
                del self._by_resource[known]
            cache.close()

    def adopt(self, resource: Resource[Any], cache: WatchCache) -> None:
        """Have this cache for exactly this resource, beside that of the version that is stored."""
        self._caches[_own_key(resource)] = self._by_resource[resource] = cache

    def abandon(self, resource: Resource[Any]) -> None:
        """Forget one that was adopted; another that has been adopted since stays."""
        cache = self._by_resource.pop(resource, None)
        if cache is not None and self._caches.get(_own_key(resource)) is cache:
            del self._caches[_own_key(resource)]

    def all(self) -> list[WatchCache]:
        """Every cache that is there."""
        return list(self._caches.values())

    async def run(self) -> None:
        """Send bookmarks, about one a minute, until cancelled; then end all watches."""
        try:
            while True:
                await self._clock.sleep(BOOKMARK_SECONDS)
                for cache in self.all():
                    cache.bookmark()
                    await asyncio.sleep(0)
        finally:
            for cache in self.all():
                cache.close()
