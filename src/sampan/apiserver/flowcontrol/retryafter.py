"""What a client that was turned away is told to wait: longer while many are, shorter when fewer.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go`.
"""

from __future__ import annotations

LONGEST_SECONDS = 32


class Dropped:
    """Of one priority level. Doubles like TCP, falls by one."""

    __slots__ = ("_changed", "_count", "_history", "_second", "seconds")

    def __init__(self) -> None:
        self.seconds = 1
        self._changed = -LONGEST_SECONDS
        self._second, self._count = -1, 0
        self._history: list[tuple[int, int]] = []

    def drop(self, now: float) -> int:
        """One more; the seconds to tell its client."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return self.seconds
        if self._second >= 0:
            self._history.append((self._second, self._count))
        oldest = second - min(2 * self.seconds, LONGEST_SECONDS)
        self._history = [one for one in self._history if one[0] >= oldest]
        self._second, self._count = second, 1
        self._adjust(second)
        return self.seconds

    def _adjust(self, second: int) -> None:
        dropped = sum(number for at, number in self._history if second - self.seconds <= at < second)
        if second - self._changed >= self.seconds and dropped >= 3 * self.seconds:
            self.seconds, self._changed = min(2 * self.seconds, LONGEST_SECONDS), second
        elif dropped < self.seconds and self.seconds > 1:
            self.seconds -= 1
