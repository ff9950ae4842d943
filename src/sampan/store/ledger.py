"""`Ledger`: what a durable store decides from, and how it takes decisions back.

Owns the index (key → id of its newest row or volatile write, create revision), the marks of keys whose newest row
announces volatile writes, and the revisions. It is ahead of the disk by what was decided and is not written yet; no
thread, no file and no clock. `undo` of decisions, newest first, restores exactly what was before them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sampan.store.base import Change, Compare, Delete, Put
from sampan.store.expiry import deadline
from sampan.store.sqliterows import Row, revision_of, row_id

RESERVED_AT_ONCE = 10_000


class Decision(msgspec.Struct):
    """One transaction, decided: what is to be written, and what there was before."""

    revision: int
    changes: list[Change] = []
    rows: list[Row] = []
    meta: list[tuple[str, int]] = []
    superseded: list[int] = []  # rows that are history once this is written
    deadlines: list[tuple[float, str]] = []
    volatile: bool = False  # the changes leave no rows
    newest_before: list[tuple[str, tuple[int, int] | None]] = []
    marks_before: list[tuple[str, int | None]] = []
    reserved_before: int = 0


class Ledger:
    """See the module's text. `marked`: key → id of its row that has the mark."""

    def __init__(self, index: dict[str, tuple[int, int]], marked: dict[str, int], given: int, reserved: int) -> None:
        self.index, self.marked, self.given, self.reserved = index, marked, given, reserved

    def mod_revision(self, key: str) -> int:
        """0 where there is no such key."""
        newest = self.index.get(key)
        return revision_of(newest[0]) if newest else 0

    def holds(self, compares: Sequence[Compare]) -> bool:
        """Whether all compares do."""
        return all(self.mod_revision(compare.key) == compare.mod_revision for compare in compares)

    def effective(self, writes: Sequence[Put | Delete]) -> list[Put | Delete]:
        """The writes that change anything."""
        return [write for write in writes if isinstance(write, Put) or write.key in self.index]

    def decide(self, writes: Sequence[Put | Delete], now: float) -> Decision:
        """Give effective writes the next revision; `now` is wall time."""
        self.given += 1
        decision = Decision(self.given)
        first = writes[0]
        if isinstance(first, Put) and first.volatile:  # else it is not, whatever the others are
            decision.volatile = all(isinstance(w, Put) and w.volatile and w.key in self.marked for w in writes)
        for number, write in enumerate(writes):
            id = row_id(self.given, number)
            newest = self.index.get(write.key)
            change = self._change(decision, id, write)
            if not decision.volatile:
                self._row(decision, id, write, change, newest, now)
        if decision.volatile and self.given > self.reserved:
            decision.reserved_before, self.reserved = self.reserved, self.given + RESERVED_AT_ONCE
            decision.meta.append(("reserved", self.reserved))
        return decision

    def _change(self, decision: Decision, id: int, write: Put | Delete) -> Change:
        newest = self.index.get(write.key)
        decision.newest_before.append((write.key, newest))
        created, replaced = (newest[1], revision_of(newest[0])) if newest else (decision.revision, 0)
        value = write.value if isinstance(write, Put) else None
        if value is None:
            del self.index[write.key]
        else:
            self.index[write.key] = (id, created)
        change = Change(write.key, value, decision.revision, created, replaced)
        decision.changes.append(change)
        return change

    def _row(self, decision: Decision, id: int, write: Put | Delete, change: Change, newest: tuple[int, int] | None,
             now: float) -> None:
        if newest:
            decision.superseded.append(self.marked.get(write.key, newest[0]))
        marks = isinstance(write, Put) and write.volatile
        if marks or write.key in self.marked:
            decision.marks_before.append((write.key, self.marked.pop(write.key, None)))
        if marks:
            self.marked[write.key] = id
        expires, created = 0, change.create_revision
        if isinstance(write, Delete):
            decision.superseded.append(id)
            created = -created
        elif write.ttl_seconds > 0:
            expires = int(deadline(now, write.ttl_seconds))
            decision.deadlines.append((expires, write.key))
        decision.rows.append((id, write.key, created, change.previous_revision, expires, int(marks), change.value))

    def undo(self, decision: Decision) -> None:
        """Take the newest decision back; its revision stays given."""
        for key, newest in decision.newest_before:
            if newest is None:
                self.index.pop(key, None)
            else:
                self.index[key] = newest
        for key, mark in decision.marks_before:
            if mark is None:
                self.marked.pop(key, None)
            else:
                self.marked[key] = mark
        if decision.meta:
            self.reserved = decision.reserved_before
