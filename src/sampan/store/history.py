"""What stores have in common: the newest changes in memory, and who is told of new ones.

Owns the log of recent transactions, bounded by age, bytes and number, and the subscriptions with their replay.
Leaves to each store what is older than the log.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from sampan.lib.clock import Clock
from sampan.store.base import Change, Record, Sink

CHANGE_OVERHEAD_BYTES = 200


@dataclass(frozen=True)
class Limits:
    """How much history is kept; whichever bound is met first."""

    seconds: float = 3600.0
    bytes: int = 64 << 20
    changes: int = 100_000


class Logged(NamedTuple):
    """One transaction: its changes, and the records they replaced where the store asked to keep them."""

    revision: int
    at: float
    size: int
    changes: Sequence[Change]
    previous: Sequence[Record | None]


class History:
    """The newest transactions, oldest first. Changes with a revision over `floor` are all here."""

    def __init__(self, clock: Clock, floor: int, limits: Limits) -> None:
        self.floor = floor
        self._clock, self._limits = clock, limits
        self._log: deque[Logged] = deque()
        self._size = self._changes = 0
        self._past: dict[str, list[_Replaced]] | None = None  # by key, oldest first; made when first asked for

    def add(self, revision: int, changes: Sequence[Change], previous: Sequence[Record | None] = ()) -> None:
        """Remember a transaction; forget what is beyond the limits."""
        size = CHANGE_OVERHEAD_BYTES * len(changes)
        for change in changes:
            size += len(change.value or b"")
        at = self._clock.monotonic()
        self._log.append(Logged(revision, at, size, changes, previous))
        self._size += size
        self._changes += len(changes)
        if self._past is not None:
            _note(self._past, self._log[-1])
        limits, oldest = self._limits, at - self._limits.seconds
        while self._log and (self._size > limits.bytes or self._changes > limits.changes or self._log[0].at < oldest):
            self._drop_first()

    def forget(self, revision: int) -> None:
        """Drop what reading at `revision` and later does not need."""
        while self._log and self._log[0].revision <= revision:
            self._drop_first()
        self.floor = max(self.floor, revision)

    def _drop_first(self) -> None:
        dropped = self._log.popleft()
        self._size -= dropped.size
        self._changes -= len(dropped.changes)
        self.floor = dropped.revision
        if self._past is not None:
            for change in dropped.changes:
                replaced = self._past[change.key]
                del replaced[0]
                if not replaced:
                    del self._past[change.key]

    def since(self, prefix: str, revision: int) -> list[Change]:
        """The changes below `prefix` after `revision` (≥ `floor`), oldest first."""
        return [change for logged in reversed(list(self._after(revision)))
                for change in logged.changes if change.key.startswith(prefix)]

    def newest(self, key: str, revision: int) -> Change | None:
        """The newest change of a key up to `revision` that is still here."""
        for logged in reversed(self._log):
            if logged.revision <= revision:
                for change in logged.changes:
                    if change.key == key:
                        return change
        return None

    def undo(self, prefix: str, revision: int) -> dict[str, Record | None]:
        """What differs from now in the state at `revision` (≥ `floor`): key to record, None where it did not exist."""
        was: dict[str, Record | None] = {}
        for logged in self._after(revision):
            for change, previous in zip(logged.changes, logged.previous, strict=True):
                if change.key.startswith(prefix):
                    was[change.key] = previous
        return was

    def replaced(self, key: str, revision: int) -> tuple[bool, Record | None]:
        """Whether a key changed after `revision` (≥ `floor`), and what it was then: None where it did not exist."""
        if self._past is None:
            self._past = {}
            for logged in self._log:
                _note(self._past, logged)
        replaced = self._past.get(key, ())
        at = bisect_right(replaced, revision, key=_revision)
        return (True, replaced[at].record) if at < len(replaced) else (False, None)

    def copy(self) -> History:
        """An independent history of the same transactions."""
        twin = History(self._clock, self.floor, self._limits)
        twin._log = self._log.copy()
        twin._size, twin._changes = self._size, self._changes
        return twin

    def _after(self, revision: int) -> Iterator[Logged]:
        for logged in reversed(self._log):
            if logged.revision <= revision:
                return
            yield logged


class _Replaced(NamedTuple):
    """What a change at `revision` has replaced."""

    revision: int
    record: Record | None


_revision = attrgetter("revision")


def _note(past: dict[str, list[_Replaced]], logged: Logged) -> None:
    for change, previous in zip(logged.changes, logged.previous, strict=True):
        past.setdefault(change.key, []).append(_Replaced(logged.revision, previous))


class Registration:
    """One subscription. `close` ends it, also from within its own sink."""

    def __init__(self, owner: Subscribers, prefix: str, sink: Sink) -> None:
        self.prefix, self.sink, self.open = prefix, sink, True
        self._owner = owner

    def close(self) -> None:
        if self.open:
            self.open = False
            self._owner.remove(self)


def _head(key: str) -> str:
    """`/registry/<group>/<resource>/`, by which subscriptions are found; shorter keys stand for themselves."""
    parts = key.split("/", 4)
    return "/".join(parts[:4]) + "/" if len(parts) == 5 else key


class Subscribers:
    """Who is told of which keys."""

    def __init__(self) -> None:
        self._by_head: dict[str, list[Registration]] = {}
        self._others: list[Registration] = []

    def add(self, prefix: str, sink: Sink) -> Registration:
        """Tell `sink` from now on."""
        made = Registration(self, prefix, sink)
        self._list(prefix).append(made)
        return made

    def remove(self, registration: Registration) -> None:
        self._list(registration.prefix).remove(registration)

    def _list(self, prefix: str) -> list[Registration]:
        # keys below such a prefix all have its head; a shorter prefix may be that of many heads
        if prefix.count("/") < 4:
            return self._others
        return self._by_head.setdefault(_head(prefix), [])

    def publish(self, changes: Iterable[Change]) -> None:
        """Give everybody what concerns them, in one call each.

        A sink that fails is reported to the loop and goes on being told: the others must not miss the change.
        """
        told: dict[Registration, list[Change]] = {}
        for change in changes:
            for registration in self._by_head.get(_head(change.key), ()):
                if change.key.startswith(registration.prefix):
                    told.setdefault(registration, []).append(change)
            for registration in self._others:
                if change.key.startswith(registration.prefix):
                    told.setdefault(registration, []).append(change)
        for registration, batch in told.items():
            if not registration.open:
                continue
            try:
                registration.sink(batch)
            except Exception as error:  # noqa: BLE001 - reported below
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"a subscriber of {registration.prefix} failed", "exception": error})
