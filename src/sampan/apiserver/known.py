"""`Known`: objects that need not be decoded from their bytes, since who wrote those still had them.

What is written is as a rule read at once: by whoever watches, and by the next write of the same object. A writer tells which
object the bytes are of that it gives to the store; the cache that the store gives them back to takes it. Bounded twice: what
was told is forgotten when many others were told since, and entries let go of such objects, oldest first, when there are too many.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from sampan.apiserver.entries import Entry

TOLD_MOST = 256
KEPT_BYTES = 2 << 20
"""Of JSON. The objects take a few times as much."""


class Known:
    """One for all caches of a store."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[bytes, Any]] = {}
        self._kept: deque[Entry] = deque()
        self._bytes = 0

    def tell(self, value: bytes, obj: Any) -> None:
        """These bytes are about to be written, and decoding them would make an object equal to `obj`, which nobody changes from now on."""
        if len(self._told) >= TOLD_MOST:
            del self._told[next(iter(self._told))]
        self._told[id(value)] = (value, obj)

    def take(self, value: bytes) -> Any:
        """What was told of these very bytes, None if nothing was; once."""
        found = self._told.get(id(value))
        if found is None or found[0] is not value:
            return None
        del self._told[id(value)]
        return found[1]

    def keep(self, entry: Entry, obj: Any) -> None:
        """Have an entry keep its object for a while."""
        entry.adopt(obj)
        self._kept.append(entry)
        self._bytes += len(entry.body)
        while self._bytes > KEPT_BYTES:
            oldest = self._kept.popleft()
            self._bytes -= len(oldest.body)
            oldest.lighten()
