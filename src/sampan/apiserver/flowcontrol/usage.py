"""What a level's seats were used for over time: averages for borrowing, time-weighted histograms for metrics.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/integrator.go`; `apf_controller.go`, `seatDemandStats`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping

Spent = dict[tuple[int, int, int, int], float]
"""Seconds by (requests executing, seats in use, requests waiting, seats waited for)."""

SMOOTHING = 0.977  # per adjustment: half of it is forgotten in five minutes
NANOSECONDS = 1_000_000_000

REQUEST_BOUNDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1.0)
SEAT_BOUNDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
DEMAND_BOUNDS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.8, 4.0, 6.0)


class Demand:
    """How many seats a level could have used, smoothed: rises at once, falls slowly."""

    __slots__ = ("average", "deviation", "high_watermark", "smoothed")

    def __init__(self) -> None:
        self.average = self.deviation = self.smoothed = 0.0
        self.high_watermark = 0

    def update(self, period: Mapping[int, float]) -> None:
        """One adjustment period is over: seconds by seats."""
        self.high_watermark = max(period, default=0)
        seconds = sum(period.values())
        if seconds <= 0:
            return
        self.average = sum(seats * passed for seats, passed in period.items()) / seconds
        square = sum(seats**2 * passed for seats, passed in period.items()) / seconds
        self.deviation = math.sqrt(max(square - self.average**2, 0.0))
        envelope = self.average + self.deviation
        self.smoothed = max(envelope, SMOOTHING * self.smoothed + (1 - SMOOTHING) * envelope)


class TimingHistogram:
    """As if a ratio was observed at the end of every nanosecond."""

    __slots__ = ("bounds", "seconds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.seconds = [0.0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, ratio: float, seconds: float) -> None:
        self.seconds[bisect_left(self.bounds, ratio)] += seconds
        self.total += ratio * seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and nanoseconds, as the text format has it."""
        found, below = [], 0.0
        for bound, seconds in zip((*map(str, self.bounds), "+Inf"), self.seconds, strict=True):
            below += seconds
            found.append((bound, float(round(below * NANOSECONDS))))
        return found


class Usage:
    """One level's histograms."""

    __slots__ = ("demand", "executing", "seats", "waiting")

    def __init__(self) -> None:
        self.executing, self.waiting = TimingHistogram(REQUEST_BOUNDS), TimingHistogram(REQUEST_BOUNDS)
        self.seats, self.demand = TimingHistogram(SEAT_BOUNDS), TimingHistogram(DEMAND_BOUNDS)

    def add(self, spent: Iterable[tuple[tuple[int, int, int, int], float]], *, limit: int, room: int) -> None:
        """`limit`: the level's seats; `room`: how many requests its queues hold."""
        for (executing, seats, waiting, asked), seconds in spent:
            self.executing.add(executing / limit, seconds)
            self.waiting.add(waiting / room, seconds)
            self.seats.add(seats / limit, seconds)
            self.demand.add((seats + asked) / limit, seconds)
