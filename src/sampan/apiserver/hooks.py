"""What some kinds do besides storing: claim addresses and ports before a write, let go of them after a deletion.

Owns the protocol. A `Claim` travels with the write.
Source: `BeginCreate`, `BeginUpdate` and `AfterDelete` of apiserver's generic registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sampan.api.errors import ApiError
from sampan.store.base import Delete, Put


@dataclass
class Claim:
    """What was set aside for one write."""

    before: list[Put] = field(default_factory=list)
    """New keys, each written ahead in a transaction of its own: they are what keeps other servers out."""
    within: list[tuple[Put, ApiError]] = field(default_factory=list)
    """New keys, written together with the object if none of them is there; else the error of the one that is."""
    after: list[Put | Delete] = field(default_factory=list)
    """Written together with the object."""
    undo: list[Callable[[], None]] = field(default_factory=list)

    def release(self) -> None:
        """The write is over, made or not: what it needed is told by the store now."""
        for call in reversed(self.undo):
            call()


class Hook(Protocol):
    """One kind's."""

    def create(self, obj: Any, *, dry_run: bool) -> Claim:
        """Set aside what `obj` needs and write it into it.

        Raises:
            ApiError: It can't be had.
        """
        ...

    def update(self, new: Any, old: Any, *, dry_run: bool) -> Claim:
        """The same for a change; what `old` has and `new` does not need is let go with the write."""
        ...

    def delete(self, obj: Any) -> Claim:
        """What goes together with the object."""
        ...
