"""Watchers of one resource: who cares about a change, in which words they are told, and what waits to be read.

Owns the groups (watchers with equal selections and renderings share each evaluation and each event's bytes), their
index (a change touches only groups that may care), and the bounded queues. Leaves where changes come from to the
watch cache. Source: `k8s.io/apiserver/pkg/storage/cacher`, `cache_watcher.go`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sampan.api import codec
from sampan.api.errors import ApiError
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry
from sampan.apiserver.selection import Rendering, Selection

QUEUE_EVENTS = 4096
QUEUE_BYTES = 16 << 20
BATCH_BYTES = 256 * 1024
BATCH_EVENTS = 1000

ADDED, MODIFIED, DELETED, BOOKMARK, ERROR = "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"


class Event:
    """One change of one object: `old` and `new` are None where there was, or is, none."""

    __slots__ = ("_gone", "new", "old", "revision")

    def __init__(self, revision: int, old: Entry | None, new: Entry | None) -> None:
        self.revision, self.old, self.new = revision, old, new
        self._gone: Entry | None = None

    @property
    def gone(self) -> Entry:
        """What a DELETED event shows: the previous state under the revision of the change."""
        if self._gone is None:
            assert self.old is not None, "nothing that was not there can leave"
            self._gone = self.old.at(self.revision)
        return self._gone

    def seen_by(self, selection: Selection) -> tuple[str, Entry] | None:
        """What this is to somebody who sees only what is selected."""
        new = self.new if self.new is not None and selection.holds(self.new) else None
        if self.old is not None and selection.holds(self.old):
            return (MODIFIED, new) if new is not None else (DELETED, self.gone)
        return (ADDED, new) if new is not None else None


class Delivery:
    """An event as one rendering shows it; framed once, when the first of its readers wants bytes."""

    __slots__ = ("_frame", "_rendering", "entry", "kind")

    def __init__(self, kind: str, entry: Entry, rendering: Rendering | None) -> None:
        self.kind, self.entry = kind, entry
        self._rendering = rendering
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The bytes for the wire."""
        if self._frame is None:
            self._frame = self.render()
        return self._frame

    def render(self, *, first: bool = False) -> bytes:
        """Make the bytes; `first`: those of a watch's first event."""
        rendering = self._rendering
        if rendering is None:
            return framed(self.kind, self.entry.body)
        if self.kind == BOOKMARK and rendering.bookmark is not None:
            body = rendering.bookmark(self.entry.revision, _ends_initial(self.entry))
        elif first and rendering.first is not None and self.kind != BOOKMARK:
            body = rendering.first(self.entry)
        else:
            body = rendering.render(self.entry)
        return (rendering.frame or framed)(self.kind, body)


def framed(kind: str, body: bytes) -> bytes:
    """An event as a line of JSON."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)


_INITIAL_END = "k8s.io/initial-events-end"


def bookmark(resource: Resource[Any], revision: int, *, initial_end: bool = False) -> Entry:
    """The object of a bookmark: nothing but kind, apiVersion and a resource version."""
    annotations = {_INITIAL_END: "true"} if initial_end else {}
    if resource.wire_path:
        meta = ObjectMeta(resourceVersion=str(revision), annotations=annotations)
        wire: Any = resource.wire
        obj = wire(kind=resource.kind, apiVersion=resource.group_version, metadata=meta)
    else:
        obj = {"kind": resource.kind, "apiVersion": resource.group_version,
               "metadata": {"resourceVersion": str(revision)} | ({"annotations": annotations} if initial_end else {})}
    return Entry(resource, "", "", "", codec.encode(obj), revision)


def _ends_initial(entry: Entry) -> bool:
    return _INITIAL_END.encode() in entry.body


class Watcher:
    """One watch. Read it with `frames` (bytes for the wire) or `events` (entries, in this process), never both.

    Reading never waits for other readers; one whose queue runs full is ended.
    """

    def __init__(self, group: Group, *, bookmarks: bool, after: int) -> None:
        self._group, self.bookmarks, self._after = group, bookmarks, after
        self._initial: Iterator[Delivery | None] | None = None
        self._queue: deque[Delivery] = deque()
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: ApiError | None = None
        rendering = group.rendering
        self._first_due = rendering is not None and rendering.first is not None
        self.when_begun: Callable[[], None] | None = None
        """Called once: what there was when the watch began has been read, or it has ended before."""

    # -- reading --------------------------------------------------------------------------------------------------

    async def frames(self) -> bytes:
        """Wait for events and return their frames joined (≤ about 256 KiB); empty bytes: the watch has ended.

        An error that ends the watch (410 Gone, …) is the last frame, of type ERROR, as upstream has it.
        """
        batch = await self._next()
        if batch:
            if self._first_due:
                return b"".join(self._frames_with_first(batch))
            if len(batch) == 1:
                return batch[0].frame
            return b"".join([delivery.frame for delivery in batch])
        if self._error is None:
            return b""
        error, self._error = self._error, None
        rendering = self._group.rendering
        return (rendering.frame if rendering and rendering.frame else framed)(ERROR, codec.encode(error.status()))

    def _frames_with_first(self, batch: list[Delivery]) -> Iterator[bytes]:
        for delivery in batch:
            if self._first_due and delivery.kind != BOOKMARK:
                self._first_due = False
                yield delivery.render(first=True)
            else:
                yield delivery.frame

    async def events(self) -> list[tuple[str, Entry]]:
        """Wait for events and return them as (ADDED, MODIFIED, DELETED or BOOKMARK, entry); empty: it has ended.

        Raises:
            ApiError: What ended the watch: `Gone` to list again.
        """
        batch = await self._next()
        if not batch and self._error is not None:
            error, self._error = self._error, None
            raise error
        return [(delivery.kind, delivery.entry) for delivery in batch]

    async def _next(self) -> list[Delivery]:
        while True:
            if self._initial is not None:
                batch, more = _batch(self._initial)
                if batch:
                    return batch
                if more:
                    await asyncio.sleep(0)
                    continue
                self._initial = None
            if self.when_begun is not None:
                self._tell_begun()
            if self._queue:
                return self._take()
            if self._ended:
                return []
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _tell_begun(self) -> None:
        told, self.when_begun = self.when_begun, None
        if told is not None:
            told()

    def _take(self) -> list[Delivery]:
        queue = self._queue
        if self._queued_bytes <= BATCH_BYTES:
            batch = list(queue)
            queue.clear()
            self._queued_bytes = 0
            return batch
        batch, size = [], 0
        while queue and size < BATCH_BYTES:
            delivery = queue.popleft()
            size += len(delivery.entry.body)
            batch.append(delivery)
        self._queued_bytes -= size
        return batch

    # -- being told -----------------------------------------------------------------------------------------------

    def offer(self, delivery: Delivery) -> None:
        """Queue an event; too slow a reader is cut off, and lists anew as after any end of a watch."""
        if delivery.entry.revision <= self._after and (
                delivery.kind != BOOKMARK or delivery.entry.revision < self._after):
            return
        if len(self._queue) >= QUEUE_EVENTS or self._queued_bytes > QUEUE_BYTES:
            # the rest would have a gap
            self._queue.clear()
            self.close()
            return
        self._queue.append(delivery)
        self._queued_bytes += len(delivery.entry.body)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def begin(self, initial: Iterable[Delivery | None]) -> None:
        """What is read before anything that is queued. None now and then where it takes long to find any."""
        self._initial = iter(initial)

    def fail(self, error: ApiError) -> None:
        """End the watch with an error as its last event."""
        self._error = error
        self.close()

    def bookmark(self) -> None:
        """Queue a bookmark now, if this watch wants any (upstream sends one shortly before a watch's timeout)."""
        if self.bookmarks:
            self._group.bookmark_to(self)

    def close(self) -> None:
        """End the watch: `frames` and `events` still have what was queued, then its end. Again: nothing happens."""
        if self._ended:
            return
        self._ended = True
        self._group.remove(self)
        self._tell_begun()
        if self._initial is not None:
            # not the queue without what comes before it
            self._initial = None
            self._queue.clear()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _batch(deliveries: Iterator[Delivery | None]) -> tuple[list[Delivery], bool]:
    """Some more, and whether there may be others."""
    batch: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        if delivery is None:
            return batch, True
        batch.append(delivery)
        size += len(delivery.entry.body)
        if size >= BATCH_BYTES or len(batch) >= BATCH_EVENTS:
            return batch, True
    return batch, False


class Group:
    """Watchers who are told the same."""

    def __init__(self, hub: Hub, selection: Selection, rendering: Rendering | None) -> None:
        self.hub, self.selection, self.rendering = hub, selection, rendering
        self.key = (selection, rendering.key if rendering else "")
        self.watchers: dict[Watcher, None] = {}

    def remove(self, watcher: Watcher) -> None:
        """It has ended."""
        if watcher in self.watchers:
            del self.watchers[watcher]
            self.hub.count(self.selection, -1)
        if not self.watchers:
            self.hub.forget(self)

    def bookmark_to(self, *watchers: Watcher) -> None:
        """Queue a bookmark for these."""
        if watchers:
            delivery = Delivery(BOOKMARK, bookmark(self.hub.resource, self.hub.revision()), self.rendering)
            for watcher in watchers:
                watcher.offer(delivery)


class Hub:
    """All watchers of a resource."""

    def __init__(self, resource: Resource[Any], revision: Callable[[], int]) -> None:
        """`revision`: the newest, that watchers have been told of."""
        self.resource, self.revision = resource, revision
        self._groups: dict[tuple[Selection, str], Group] = {}
        # the narrowest of what a selection has set -> the groups that have set it so
        self._places: dict[tuple[str, str, str], dict[Group, None]] = {}
        # watches by namespace and name; not those by an indexed field, which hear of few changes
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, selection: Selection, by: int) -> None:
        """There are so many more watches of it."""
        if selection.indexed:
            return
        place = (selection.namespace, selection.name)
        number = self._counts.get(place, 0) + by
        if number:
            self._counts[place] = number
        else:
            del self._counts[place]

    def interested(self, namespace: str, name: str) -> int:
        """How many watch all objects, those of the namespace, or the one of that name."""
        counts = self._counts
        if not counts:
            return 0
        count = counts.get(("", ""), 0)
        if namespace:
            count += counts.get((namespace, ""), 0)
        return count + counts.get((namespace, name), 0) if name else count

    def __len__(self) -> int:
        return sum(len(group.watchers) for group in self._groups.values())

    def add(self, selection: Selection, rendering: Rendering | None, *, bookmarks: bool, after: int) -> Watcher:
        """A watcher that is told of what follows; `after`: of nothing up to that revision."""
        key = (selection, rendering.key if rendering else "")
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(self, selection, rendering)
            self._places.setdefault(_place(selection), {})[group] = None
        watcher = Watcher(group, bookmarks=bookmarks, after=after)
        group.watchers[watcher] = None
        self.count(selection, 1)
        return watcher

    def forget(self, group: Group) -> None:
        """Nobody is left in it."""
        if self._groups.get(group.key) is group:
            del self._groups[group.key]
            place = _place(group.selection)
            del self._places[place][group]
            if not self._places[place]:
                del self._places[place]

    def tell(self, event: Event) -> None:
        """Give everybody who may care what the event is to them."""
        if not self._groups:
            return
        # what was made for one group serves others that show it alike
        made: dict[tuple[str, str], Delivery] = {}
        for group in self._concerned(event):
            seen = event.seen_by(group.selection)
            if seen is None:
                continue
            key = (seen[0], group.key[1])
            delivery = made.get(key)
            if delivery is None:
                delivery = made[key] = Delivery(*seen, group.rendering)
            for watcher in list(group.watchers):
                watcher.offer(delivery)

    def _concerned(self, event: Event) -> list[Group]:
        entry = event.new or event.old
        assert entry is not None
        places = [("", "", ""), ("namespace", entry.namespace, ""), ("name", "", entry.name),
                  ("name", entry.namespace, entry.name)]
        if not entry.namespace:
            del places[3], places[1]
        indexed = {e.indexed for e in (event.old, event.new) if e is not None and e.indexed}
        places += [("indexed", value, "") for value in indexed]
        return [group for place in places for group in self._places.get(place, ())]

    def bookmark(self) -> None:
        """Queue a bookmark for everybody who wants one."""
        for group in list(self._groups.values()):
            group.bookmark_to(*[watcher for watcher in group.watchers if watcher.bookmarks])

    def close(self) -> None:
        """End all watches."""
        for group in list(self._groups.values()):
            for watcher in list(group.watchers):
                watcher.close()


def _place(selection: Selection) -> tuple[str, str, str]:
    if selection.name:
        return ("name", selection.namespace, selection.name)
    if selection.indexed:
        return ("indexed", selection.indexed, "")
    if selection.namespace:
        return ("namespace", selection.namespace, "")
    return ("", "", "")
