"""What some kinds do besides storing: claim addresses and ports before a write, let go of them after a deletion.

Owns the protocol. A `Claim` travels with the write: its `writes` and `compares` go into the same transaction.
Source: `BeginCreate`, `BeginUpdate` and `AfterDelete` of apiserver's generic registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sampan.store.base import Compare, Delete, Put


@dataclass
class Claim:
    """What was set aside for one write."""

    writes: list[Put | Delete] = field(default_factory=list)
    compares: list[Compare] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)

    def commit(self) -> None:
        """The write was made."""
        for call in self.done:
            call()

    def release(self) -> None:
        """The write was not made."""
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
        """The same for a change; what `old` has and `new` does not need is let go with the commit."""
        ...

    def delete(self, obj: Any) -> Claim:
        """What goes together with the object."""
        ...
