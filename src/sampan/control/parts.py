"""Parts of one informer, by an index: many followers in one process, each of its own objects, and one watch.

Owns: telling each follower of what is, becomes and ceases to be its own. Leaves the objects to the informer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

from sampan.control.informer import Handler, IndexFunction, Informer

log = logging.getLogger(__name__)

T = TypeVar("T")


class Followed(Protocol[T]):
    """What a follower sees of an informer, or of a part of one."""

    synced: asyncio.Event

    def items(self) -> list[T]:
        """All objects (a new list of shared objects)."""
        ...

    def on_change(self, handler: Handler[T]) -> None:
        """See `Informer.on_change`."""
        ...


class Part(Generic[T]):
    """The objects of an informer that have one value in an index; kept current by `Parts`."""

    def __init__(self, parts: Parts[T], value: Hashable) -> None:
        self._parts, self._value = parts, value
        self.synced = parts.synced

    def items(self) -> list[T]:
        """See `Followed.items`."""
        return self._parts.items(self._value)

    def on_change(self, handler: Handler[T]) -> None:
        """See `Followed.on_change`."""
        self._parts.on_change(self._value, handler)


class Parts(Generic[T]):
    """All parts of one informer by one function; an object that moves is deleted from one and added to another."""

    def __init__(self, informer: Informer[T], function: IndexFunction) -> None:
        self.synced = informer.synced
        self._function, self._index = function, informer.index(function)
        self._handlers: dict[Hashable, list[Handler[T]]] = {}
        informer.on_change(self._changed)

    def of(self, value: Hashable) -> Part[T]:
        """The part that has this value."""
        return Part(self, value)

    def items(self, value: Hashable) -> list[T]:
        """What has this value now."""
        return self._index.get(value)

    def on_change(self, value: Hashable, handler: Handler[T]) -> None:
        """Tell of what has, gets and loses this value; what there is at once, as added."""
        self._handlers.setdefault(value, []).append(handler)
        for obj in self._index.get(value):
            _call((handler,), None, obj)

    def _changed(self, old: T | None, new: T | None) -> None:
        had = self._function(old) if old is not None else ()
        has = self._function(new) if new is not None else ()
        after = set(has)
        before = after if had == has else set(had)  # mostly an object stays where it is
        if before is not after:
            for value in before - after:
                _call(self._handlers.get(value, ()), old, None)
        for value in after:
            _call(self._handlers.get(value, ()), old if value in before else None, new)


def _call(handlers: Iterable[Handler[T]], old: T | None, new: T | None) -> None:
    for handler in handlers:
        try:
            handler(old, new)
        except Exception:
            # one follower's mistake must not keep the others from their news
            log.exception("the handler of a part failed")
