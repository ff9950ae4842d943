"""How far back a store's history goes: by age, bytes and number of changes, whichever is met first."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sampan.store.history import Limits


class Sample(NamedTuple):
    """What had been written in all when `revision` was the newest."""

    at: float
    revision: int
    changes: int
    bytes: int


class Retention:
    """Fed with every write; says from time to time up to which revision history may be forgotten."""

    PIECES = 4

    def __init__(self, limits: Limits, now: float, revision: int) -> None:
        """What is older than `revision` counts as written now: a restart may keep it for longer, never shorter."""
        self._limits = limits
        self._total = Sample(now, revision, 0, 0)
        self._samples: deque[Sample] = deque([self._total])

    def wrote(self, now: float, revision: int, changes: int, bytes: int) -> int | None:
        """Count a write; the revision to compact to, if it is time."""
        total = self._total = Sample(now, revision, self._total.changes + changes, self._total.bytes + bytes)
        if not self._passed(self._samples[-1], 1 / self.PIECES):
            return None
        self._samples.append(total)
        found = None
        while len(self._samples) > 1 and self._passed(self._samples[0], 1):
            found = self._samples.popleft()
        return found.revision if found else None

    def _passed(self, sample: Sample, part: float) -> bool:
        total, limits = self._total, self._limits
        return (total.at - sample.at >= limits.seconds * part or total.changes - sample.changes >= limits.changes * part
                or total.bytes - sample.bytes >= limits.bytes * part)
