"""How much work a request is: seats while it is executed, and seats kept afterwards for what it sets off.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/request/{width,list_work_estimator,mutating_work_estimator}.go`, with the
gate SizeBasedListCostEstimate on, as in 1.36.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

UNIT = 100_000_000
INITIAL_SECONDS = 0.003
BYTES_A_SEAT = 100_000
STREAMED_BYTES = 1_000_000
LARGEST_OBJECT_BYTES = 1_500_000
MOST_LIST_SEATS = 100
MOST_MUTATING_SEATS = 10
WATCHERS_A_SEAT = 10
EVENT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Work:
    """`initial` seats while it is executed; `final` seats for `latency_seconds` more, which the client does not see."""

    initial: int = 1
    final: int = 0
    latency_seconds: float = 0.0
    seats: int = field(init=False)
    units: int = field(init=False)
    """Of work, in 10⁻⁸ seat-seconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seats", max(self.initial, self.final))
        object.__setattr__(self, "units", round(self.initial * INITIAL_SECONDS * UNIT) + round(self.final * self.latency_seconds * UNIT))


ONE_SEAT = Work()


class Stored(NamedTuple):
    """What there is of a resource."""

    objects: int
    bytes: int

    @property
    def average_bytes(self) -> int:
        return self.bytes // self.objects if self.objects else 0


class Asked(NamedTuple):
    """What of it a list asks for. `from_cache`: its objects are not brought from the store for it alone."""

    single: bool = False
    limit: int = 0
    selective: bool = False
    from_cache: bool = True


def list_work(asked: Asked, stored: Stored, most_seats: int) -> Work:
    """By the memory that it takes. `most_seats`: of the priority level, 0 if it has no bound of its own."""
    most = min(most_seats or MOST_LIST_SEATS, MOST_LIST_SEATS)
    average = stored.average_bytes
    if average <= 0 and stored.objects:
        average = LARGEST_OBJECT_BYTES
    limited = min(asked.limit, stored.objects) if asked.limit > 0 else stored.objects
    if asked.single:
        loaded = 1
    elif not asked.from_cache and asked.selective:
        loaded = max(limited, stored.objects // 2)
    else:
        loaded = limited
    used = loaded * average
    if asked.from_cache:
        used = min(used, STREAMED_BYTES)
    seats = min(max(math.ceil(used / BYTES_A_SEAT), 1), most)
    return ONE_SEAT if seats == 1 else Work(seats)


def mutating_work(watchers: int, most_seats: int) -> Work:
    """By how many are told of the change."""
    if watchers < WATCHERS_A_SEAT:
        return ONE_SEAT
    most = min(most_seats or MOST_MUTATING_SEATS, MOST_MUTATING_SEATS)
    wanted = math.ceil(watchers / WATCHERS_A_SEAT)
    seats = min(wanted, most)
    return Work(1, seats, wanted * EVENT_SECONDS / seats)
