"""/debug/api_priority_and_fairness/dump_*: levels, queues and requests as they are now, as columns of text.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/apf_controller_debug.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from sampan.apiserver.flowcontrol.levels import Level
from sampan.apiserver.flowcontrol.queueset import UNIT, Queue, Ticket
from sampan.apiserver.request import RequestInfo

PATH = "/debug/api_priority_and_fairness/"
LEVELS = ("PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests", "DispatchedRequests",
          "RejectedRequests", "TimedoutRequests", "CancelledRequests")
QUEUES = ("PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR", "InitialSeatsSum",
          "MaxSeatsSum", "TotalWorkSum")
REQUESTS = ("PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime", "InitialSeats",
            "FinalSeats", "AdditionalLatency", "StartTime")
DETAILS = ("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
LEAST_WIDTH = 8
NEVER = "0001-01-01T00:00:00Z"


def dump(what: str, levels: Iterable[Level], *, monotonic: float, now: datetime, details: bool = False) -> str | None:
    """`dump_priority_levels`, `dump_queues` or `dump_requests`; None: there is no such page."""
    if what == "dump_priority_levels":
        return table(LEVELS, map(_level, levels))
    if what == "dump_queues":
        return table(QUEUES, (_queue(level, queue) for level in levels for queue in level.set.queues))
    if what == "dump_requests":
        moments = Moments(monotonic, now)
        rows = (row + _details(ticket) if details else row for ticket, row in _requests(levels, moments))
        return table((*REQUESTS, *DETAILS) if details else REQUESTS, rows)
    return None


class Moments:
    """Steady time as wall time."""

    def __init__(self, monotonic: float, now: datetime) -> None:
        self._monotonic, self._now = monotonic, now

    def text(self, at: float) -> str:
        """RFC 3339, in UTC, without trailing zeros."""
        moment = self._now - timedelta(seconds=self._monotonic - at)
        fraction = f"{moment.microsecond:06}".rstrip("0")
        return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns that a comma ends, padded to the widest; upstream's tab writer does the same."""
    lines = [list(head), *map(list, rows)]
    cells = [[f"{cell}," for cell in line[:-1]] + [line[-1]] for line in lines]
    widths = [max(LEAST_WIDTH, 1 + max(len(line[column]) for line in cells)) for column in range(len(head) - 1)]
    return "".join("".join(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True)) + line[-1] + "\n" for line in cells)


def _level(level: Level) -> list[str]:
    queues = level.set
    active = sum(1 for queue in queues.queues if queue.waiting)
    return [level.name, str(active), *(str(fact).lower() for fact in (queues.idle, level.quiescing)), str(queues.waiting),
            str(queues.executing), str(queues.dispatched), str(queues.rejected), "0", str(queues.cancelled)]


def _queue(level: Level, queue: Queue) -> list[str]:
    return [level.name, str(queue.index), str(len(queue.waiting)), str(len(queue.executing)), str(queue.seats), _work(queue.next_r),
            str(sum(one.initial_seats for one in queue.waiting)), str(sum(one.seats for one in queue.waiting)), _work(queue.waiting_work)]


def _work(units: int) -> str:
    return f"{units // UNIT}.{units % UNIT:08}ss"


def _requests(levels: Iterable[Level], moments: Moments) -> Iterator[tuple[Ticket, list[str]]]:
    for level in levels:
        for queue in level.set.queues:
            for index, ticket in enumerate(queue.waiting):
                yield ticket, _request(level, ticket, moments, queue.index, index, started=False)
            for ticket in queue.executing:
                yield ticket, _request(level, ticket, moments, queue.index, -1)
        for ticket in level.set.without_queue:
            yield ticket, _request(level, ticket, moments, -1, -1)


def _request(level: Level, ticket: Ticket, moments: Moments, queue: int, index: int, *, started: bool = True) -> list[str]:
    return [level.name, ticket.tally.schema, str(queue), str(index), ticket.distinguisher, moments.text(ticket.arrived),
            str(ticket.initial_seats), str(ticket.final_seats), _latency(ticket.latency), moments.text(ticket.started) if started else NEVER]


def _latency(seconds: float) -> str:
    """As Go writes a duration of this size."""
    if seconds <= 0:
        return "0s"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def _details(ticket: Ticket) -> list[str]:
    info: RequestInfo | None = ticket.about
    if info is None:
        return [""] * len(DETAILS)
    version = f"{info.group}/{info.version}" if info.group else info.version
    return [info.user.name, info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource]
