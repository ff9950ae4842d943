"""Answers that are remembered for a while: bounded, the oldest go first. Keys may hold secrets, so callers give digests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from sampan.lib.clock import Clock

T = TypeVar("T")


class Remembered(Generic[T]):
    """Values by key, each with a time to live of its own."""

    def __init__(self, clock: Clock, most: int = 8192) -> None:
        self._clock, self._most = clock, most
        self._known: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable) -> T | None:
        """The value, None when it is not known or too old."""
        found = self._known.get(key)
        if found is None:
            return None
        if found[0] <= self._clock.monotonic():
            del self._known[key]
            return None
        return found[1]

    def put(self, key: Hashable, value: T, seconds: float) -> None:
        """Remember a value for so long; not at all for 0 and less."""
        if seconds <= 0:
            return
        self._known[key] = (self._clock.monotonic() + seconds, value)
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
