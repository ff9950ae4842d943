"""Volatile writes that were published: their newest state, and which reads of the past they make impossible.

A volatile write leaves no row. The row that a read of the past finds for a marked key is therefore exact only if no
volatile write came between it and the revision asked for; the history in memory may still know what that was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sampan.store.base import Change, Compacted, Record
from sampan.store.history import History
from sampan.store.sqliterows import Version


class Volatile:
    """`newest`: keys whose current state is in memory only."""

    def __init__(self, marked_at_open: Mapping[str, int], opened_at: int) -> None:
        """`marked_at_open`: the marked rows that were current when the store was opened, at revision `opened_at`."""
        self.newest: dict[str, Record] = {}
        self._at_open, self._opened_at = dict(marked_at_open), opened_at
        # key -> the revisions at which runs of volatile writes began, between two rows each
        self._runs: dict[str, list[int]] = {}

    def published(self, changes: Sequence[Change]) -> None:
        """These volatile writes are current now."""
        for key, value, revision, created, _ in changes:
            assert value is not None, "deletions are durable"
            if key not in self.newest:
                self._runs.setdefault(key, []).append(revision)
            self.newest[key] = Record(key, value, revision, created)

    def overwritten(self, changes: Sequence[Change], floor: int) -> None:
        """These durable writes are; nobody reads before `floor` any more."""
        for change in changes:
            if self.newest.pop(change.key, None) is None:
                continue
            runs = self._runs[change.key]
            # a run is of no interest once the next one began before what can be read
            while len(runs) > 1 and runs[1] <= floor:
                del runs[0]

    def current(self, prefix: str) -> dict[str, Record]:
        """The states below `prefix` that are in memory only."""
        return {key: record for key, record in self.newest.items() if key.startswith(prefix)} if self.newest else {}

    def exact(self, version: Version, revision: int, history: History) -> Record:
        """What the key was at `revision`, given the newest row up to it.

        Raises:
            Compacted: That is not known any more.
        """
        record = version.record
        if not version.volatile or record.mod_revision == revision:
            return record
        newest = self.newest.get(record.key)
        if newest and record.mod_revision < newest.mod_revision <= revision:
            return newest
        known = history.newest(record.key, revision)
        if known and known.revision > record.mod_revision:
            assert known.value is not None, "a deletion would have been the row that was found"
            return Record(known.key, known.value, known.revision, known.create_revision)
        if any(record.mod_revision < run <= revision for run in self._runs.get(record.key, ())):
            raise Compacted(revision, max(history.floor, revision + 1))
        if record.mod_revision < self._opened_at and self._at_open.get(record.key) != version.id:
            raise Compacted(revision, self._opened_at)
        return record
