"""What is counted of one FlowSchema's requests at one priority level: plain numbers, made metrics of when somebody asks.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/metrics`.
"""

from __future__ import annotations

from bisect import bisect_left

DURATION_BOUNDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
LENGTH_BOUNDS = (0.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
SEATS_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
WATCHERS_BOUNDS = (0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0)


class Histogram:
    """How often a value was within which bounds, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and how many are not above them, as the text format has it."""
        found, below = [], 0
        for bound, number in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += number
            found.append((bound, float(below)))
        return found


class SchemaTally:
    """One FlowSchema's at one level.

    What is true of nearly every request is only counted as it comes (`at_once`, `first`, `narrow`), and in the histograms after `settle`.
    """

    __slots__ = ("at_once", "dispatched", "executing", "executions", "first", "lengths", "level", "narrow", "no_accommodation", "rejected",
                 "schema", "seats", "seats_waiting", "waited", "waited_in_vain", "waiting", "watchers", "watching", "widths")

    def __init__(self, level: str, schema: str) -> None:
        self.level, self.schema = level, schema
        self.executing = self.seats = self.waiting = self.seats_waiting = 0
        self.dispatched = self.no_accommodation = 0
        self.at_once = self.first = self.narrow = 0
        """Requests that waited no time; that were alone in their queue; that take one seat."""
        self.rejected: dict[str, int] = {}
        self.lengths = Histogram(LENGTH_BOUNDS)
        self.waited, self.waited_in_vain = Histogram(DURATION_BOUNDS), Histogram(DURATION_BOUNDS)
        self.executions, self.watching = Histogram(DURATION_BOUNDS), Histogram(DURATION_BOUNDS)
        self.watchers, self.widths = Histogram(WATCHERS_BOUNDS), Histogram(SEATS_BOUNDS)

    def settle(self) -> None:
        """Take what was only counted into the histograms."""
        self.waited.observe(0.0, self.at_once)
        self.lengths.observe(1, self.first)
        self.widths.observe(1, self.narrow)
        self.at_once = self.first = self.narrow = 0

    def reject(self, reason: str) -> None:
        """One was turned away: `queue-full`, `concurrency-limit`, `time-out` or `cancelled`."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
