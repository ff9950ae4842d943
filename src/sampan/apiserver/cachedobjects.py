"""`Objects`: the current objects of one resource in the order of keys, and what they were a short while ago.

Owns the order, the index by field, and the ring of recent events by which older states are seen. Synchronous.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry, splice
from sampan.apiserver.known import Known
from sampan.apiserver.selection import Selection
from sampan.apiserver.watching import Event
from sampan.store.base import Change, Record

RING_EVENTS = 4096
RING_BYTES = 8 << 20  # of what only the ring holds: the states that were replaced


class Indexer(NamedTuple):
    """How the field that a resource is indexed by is found, in an object's stored bytes or in itself."""

    of_value: Callable[[bytes], str]
    of_object: Callable[[Any], str]


class _Space:
    """The objects of one namespace (cluster-scoped ones: of none)."""

    __slots__ = ("entries", "name", "names")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self.names: list[str] = []

    def from_(self, start: str) -> Iterator[Entry]:
        names, entries = self.names, self.entries
        return (entries[name] for name in (names[bisect_left(names, start):] if start else names))


class Objects:
    """`floor`: events with a revision over this one are all in the ring; `bytes`: of all objects as they leave."""

    def __init__(self, resource: Resource[Any], prefix: str, indexer: Indexer | None, known: Known | None = None) -> None:
        self.resource, self.prefix, self._indexer, self._known = resource, prefix, indexer, known or Known()
        self.floor = 0
        self.bytes = self._count = 0
        self._spaces: dict[str, _Space] = {}
        self._order: list[str] = []  # of namespaces: in the order of keys, that is with their slash
        self._by_index: dict[str, dict[str, Entry]] = {}
        self._ring: deque[Event] = deque()
        self._ring_bytes = 0

    # -- changing -------------------------------------------------------------------------------------------------

    def entry(self, record: Record | Change) -> Entry:
        """A stored value as an entry; the object becomes no part of this.

        Raises:
            ValueError: These are not the bytes of a stored object.
        """
        return self._entry(record, *self._place(record[0]), None)

    def _entry(self, record: Record | Change, namespace: str, name: str, obj: Any) -> Entry:
        """`obj`: what the value would be decoded to, where that is known."""
        key, value, revision = record[:3]
        assert value is not None, "a deletion has no state"
        indexed = ""
        if self._indexer is not None:
            indexed = self._indexer.of_object(obj) if obj is not None else self._indexer.of_value(value)
        return Entry(self.resource, key, namespace, name, splice(value, revision), revision, indexed)

    def _place(self, key: str) -> tuple[str, str]:
        rest = key[len(self.prefix):]
        if not self.resource.namespaced:
            return "", rest
        namespace, _, name = rest.partition("/")
        space = self._spaces.get(namespace)
        # one string a namespace, not one an object
        return (space.name if space else namespace), name

    def put(self, entry: Entry) -> None:
        """Fill in an object without an event."""
        space = self._spaces.get(entry.namespace)
        if space is None:
            space = self._spaces[entry.namespace] = _Space(entry.namespace)
            insort(self._order, entry.namespace + "/")
        old = space.entries.get(entry.name)
        if old is None:
            if space.names and entry.name < space.names[-1]:
                insort(space.names, entry.name)
            else:
                space.names.append(entry.name)
        elif old.indexed and old.indexed != entry.indexed:
            self._unindex(old)
        if old is None:
            self._count += 1
        else:
            self.bytes -= len(old.body)
        self.bytes += len(entry.body)
        space.entries[entry.name] = entry
        if entry.indexed:
            self._by_index.setdefault(entry.indexed, {})[entry.key] = entry

    def _remove(self, entry: Entry) -> None:
        space = self._spaces[entry.namespace]
        self._count -= 1
        self.bytes -= len(entry.body)
        del space.entries[entry.name]
        del space.names[bisect_left(space.names, entry.name)]
        if not space.names:
            del self._spaces[entry.namespace]
            del self._order[bisect_left(self._order, entry.namespace + "/")]
        if entry.indexed:
            self._unindex(entry)

    def _unindex(self, entry: Entry) -> None:
        having = self._by_index[entry.indexed]
        del having[entry.key]
        if not having:
            del self._by_index[entry.indexed]

    def apply(self, change: Change) -> Event | None:
        """Make a change; the event that it is, None where it changes nothing here."""
        namespace, name = self._place(change.key)
        old = self.get(namespace, name)
        new = None
        if change.value is not None:
            obj = self._known.take(change.value)
            new = self._entry(change, namespace, name, obj)
            self.put(new)
            if obj is not None:
                self._known.keep(new, obj)
        elif old is not None:
            self._remove(old)
        else:
            return None
        event = Event(change.revision, old, new)
        self._remember(event)
        return event

    def _remember(self, event: Event) -> None:
        self._ring.append(event)
        if event.old is not None:
            event.old.lighten()
            self._ring_bytes += len(event.old.body)
        while len(self._ring) > RING_EVENTS or self._ring_bytes > RING_BYTES:
            dropped = self._ring.popleft()
            self._ring_bytes -= len(dropped.old.body) if dropped.old else 0
            self.floor = dropped.revision

    # -- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object as it is now."""
        space = self._spaces.get(namespace)
        return space.entries.get(name) if space else None

    def select(self, selection: Selection, start: str = "") -> Iterator[Entry]:
        """In the order of keys, what an index alone can select, from `start` on: a name in the selection's
        namespace, or `namespace/name`. The caller judges each by `selection.holds` where `matches` is set.
        """
        namespace = selection.namespace
        if selection.name and (namespace or not self.resource.namespaced):
            entry = self.get(namespace, selection.name)
            found = [entry] if entry is not None and entry.name >= start and selection.holds(entry) else []
            return iter(found)
        if selection.indexed:
            from_key = self.prefix + (f"{namespace}/" if namespace else "") + start
            having = self._by_index.get(selection.indexed, {})
            return (having[key] for key in sorted(having)
                    if key >= from_key and (not namespace or having[key].namespace == namespace)
                    and (not selection.name or having[key].name == selection.name))
        if namespace or not self.resource.namespaced:
            return self.within(namespace, start)
        return self._everywhere_named(selection.name, start) if selection.name else self._everywhere(start)

    def within(self, namespace: str, start: str = "") -> Iterator[Entry]:
        """All of a namespace in the order of their names, from `start` on."""
        space = self._spaces.get(namespace)
        return space.from_(start) if space else iter(())

    def _everywhere_named(self, name: str, start: str) -> Iterator[Entry]:
        from_key = self.prefix + start
        found = (self._spaces[space[:-1]].entries.get(name) for space in self._order)
        return (entry for entry in found if entry is not None and entry.key >= from_key)

    def _everywhere(self, start: str) -> Iterator[Entry]:
        first, _, name = start.partition("/")
        at = bisect_left(self._order, first + "/") if start else 0
        spaces = [self._spaces[space[:-1]] for space in self._order[at:]]
        if not spaces or not start or spaces[0].name != first:
            return chain.from_iterable(space.from_("") for space in spaces)
        return chain(spaces[0].from_(name), chain.from_iterable(space.from_("") for space in spaces[1:]))

    def count(self, namespace: str, start: str) -> int:
        """How many objects there are from `start` on."""
        if namespace or not self.resource.namespaced:
            space = self._spaces.get(namespace)
            return len(space.names) - bisect_left(space.names, start) if space else 0
        first, _, name = start.partition("/")
        total = 0
        for space in self._spaces.values():
            if space.name == first:
                total += len(space.names) - bisect_left(space.names, name)
            elif space.name + "/" > first + "/":
                total += len(space.names)
        return total

    def since(self, revision: int) -> list[Event]:
        """The events after `revision` (≥ `floor`), oldest first."""
        found: list[Event] = []
        for event in reversed(self._ring):
            if event.revision <= revision:
                break
            found.append(event)
        found.reverse()
        return found

    def select_at(self, revision: int, selection: Selection, start: str = "") -> Iterator[Entry]:
        """As `select`, but as it was at `revision` (≥ `floor`)."""
        was = self._was(revision)
        if not was:
            return self.select(selection, start)
        from_key = self.prefix + (f"{selection.namespace}/" if selection.namespace else "") + start
        index = Selection(selection.namespace, selection.name, selection.indexed)
        older = sorted((entry for entry in was.values() if entry and entry.key >= from_key and index.holds(entry)),
                       key=lambda entry: entry.key)
        same = (entry for entry in self.select(selection, start) if entry.key not in was)
        return heapq.merge(same, older, key=lambda entry: entry.key)

    def count_at(self, revision: int, namespace: str, start: str) -> int:
        """As `count`, but as it was at `revision` (≥ `floor`)."""
        total = self.count(namespace, start)
        below = self.prefix + (f"{namespace}/" if namespace else "")
        for key, entry in self._was(revision).items():
            if key.startswith(below) and key >= below + start:
                total += (entry is not None) - (self.get(*self._place(key)) is not None)
        return total

    def _was(self, revision: int) -> dict[str, Entry | None]:
        """What differed from now: key to entry, None where there was none."""
        was: dict[str, Entry | None] = {}
        for event in reversed(self.since(revision)):
            entry = event.new or event.old
            assert entry is not None
            was[entry.key] = event.old
        return was
