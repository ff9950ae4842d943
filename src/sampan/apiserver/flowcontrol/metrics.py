"""`apiserver_flowcontrol_*` and the requests in flight, under upstream's names, made when somebody asks.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/metrics/metrics.go`, `pkg/endpoints/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.flowcontrol.levels import Level
from sampan.apiserver.flowcontrol.queueset import UNIT
from sampan.apiserver.flowcontrol.tally import Histogram, SchemaTally

PREFIX = "apiserver_flowcontrol_"
LEVEL, SCHEMA = "priority_level", "flow_schema"

LEVEL_GAUGES: tuple[tuple[str, str, Callable[[Level], float]], ...] = (
    ("nominal_limit_seats", "Nominal number of execution seats configured for each priority level", lambda level: level.nominal),
    ("lower_limit_seats", "Configured lower bound on number of execution seats available to each priority level", lambda level: level.least),
    ("upper_limit_seats", "Configured upper bound on number of execution seats available to each priority level", lambda level: level.most),
    ("current_limit_seats", "current derived number of execution seats available to each priority level", lambda level: level.current),
    ("target_seats", "Seat allocation targets", lambda level: level.target),
    ("demand_seats_high_watermark", "High watermark, over last adjustment period, of demand_seats", lambda level: level.demand.high_watermark),
    ("demand_seats_average", "Time-weighted average, over last adjustment period, of demand_seats", lambda level: level.demand.average),
    ("demand_seats_stdev", "Time-weighted standard deviation, over last adjustment period, of demand_seats",
     lambda level: level.demand.deviation),
    ("demand_seats_smoothed", "Smoothed seat demands", lambda level: level.demand.smoothed),
    ("current_r", "R(time of last change)", lambda level: level.set.r / UNIT),
    ("dispatch_r", "R(time of last dispatch)", lambda level: level.set.dispatch_r / UNIT),
    ("latest_s", "S(most recently dispatched request)", lambda level: level.set.latest_s / UNIT),
)
SCHEMA_GAUGES: tuple[tuple[str, str, Callable[[SchemaTally], float]], ...] = (
    ("current_inqueue_requests", "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
     lambda tally: tally.waiting),
    ("current_inqueue_seats", "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
     lambda tally: tally.seats_waiting),
    ("current_executing_requests", "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API "
     "Priority and Fairness subsystem", lambda tally: tally.executing),
    ("current_executing_seats", "Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage "
     "otherwise) requests in the API Priority and Fairness subsystem", lambda tally: tally.seats),
)
SCHEMA_COUNTERS: tuple[tuple[str, str, Callable[[SchemaTally], float]], ...] = (
    ("dispatched_requests", "Number of requests executed by API Priority and Fairness subsystem", lambda tally: tally.dispatched),
    ("request_dispatch_no_accommodation", "Number of times a dispatch attempt resulted in a non accommodation due to lack of available "
     "seats", lambda tally: tally.no_accommodation),
)
SCHEMA_HISTOGRAMS: tuple[tuple[str, str, str, tuple[tuple[str, Callable[[SchemaTally], Histogram]], ...]], ...] = (
    ("request_wait_duration_seconds", "Length of time a request spent waiting in its queue", "execute",
     (("true", lambda tally: tally.waited), ("false", lambda tally: tally.waited_in_vain))),
    ("request_execution_seconds", "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API "
     "Priority and Fairness subsystem", "type", (("regular", lambda tally: tally.executions), ("watch", lambda tally: tally.watching))),
    ("request_queue_length_after_enqueue", "Length of queue in the API Priority and Fairness subsystem, as seen by each request after it "
     "is enqueued", "", (("", lambda tally: tally.lengths),)),
    ("watch_count_samples", "count of watchers for mutating requests in API Priority and Fairness", "",
     (("", lambda tally: tally.watchers),)),
    ("work_estimated_seats", "Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and "
     "Fairness", "", (("", lambda tally: tally.widths),)),
)


class FlowMetrics:
    """One more collector of `Metrics`."""

    def __init__(self, control: FlowControl) -> None:
        self._control = control

    def collect(self) -> Iterator[Any]:
        """prometheus-client's way of asking."""
        self._control.fold()
        levels = list(self._control.levels.by_name.values())
        yield from _of_levels(levels, self._control.levels.fair_fraction)
        yield from _of_schemas([tally for level in levels for tally in level.tallies.values()])
        yield from _utilization(levels)
        yield self._in_flight()

    def _in_flight(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily("apiserver_current_inflight_requests", "Maximal number of currently used inflight request limit of this "
                                   "apiserver per request kind in last second.", labels=["request_kind"])
        control = self._control
        for mutating, kind in ((False, "readOnly"), (True, "mutating")):
            family.add_metric([kind], control.high[mutating])
            control.high[mutating] = control.executing[mutating]
        return family


def _of_levels(levels: list[Level], fair_fraction: float) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    for name, text, value in LEVEL_GAUGES:
        family = GaugeMetricFamily(PREFIX + name, text, labels=[LEVEL])
        for level in levels:
            family.add_metric([level.name], value(level))
        yield family
    for name, text, discounted in (
            ("next_s_bounds", "min and max, over queues, of S(oldest waiting request in queue)", False),
            ("next_discounted_s_bounds", "min and max, over queues, of S(oldest waiting request in queue) - estimated work in progress", True)):
        family = GaugeMetricFamily(PREFIX + name, text, labels=[LEVEL, "bound"])
        for level in levels:
            for bound, start in zip(("min", "max"), level.set.next_starts(discounted=discounted), strict=True):
                family.add_metric([level.name, bound], start / UNIT)
        yield family
    yield GaugeMetricFamily(PREFIX + "seat_fair_frac", "Fair fraction of server's concurrency to allocate to each priority level that "
                            "can use it", value=fair_fraction)


def _of_schemas(tallies: list[SchemaTally]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    for name, text, value in SCHEMA_GAUGES:
        gauge = GaugeMetricFamily(PREFIX + name, text, labels=[LEVEL, SCHEMA])
        for tally in tallies:
            gauge.add_metric([tally.level, tally.schema], value(tally))
        yield gauge
    for name, text, value in SCHEMA_COUNTERS:
        counter = CounterMetricFamily(PREFIX + name, text, labels=[LEVEL, SCHEMA])
        for tally in tallies:
            counter.add_metric([tally.level, tally.schema], value(tally))
        yield counter
    rejected = CounterMetricFamily(PREFIX + "rejected_requests", "Number of requests rejected by API Priority and Fairness subsystem",
                                   labels=[LEVEL, SCHEMA, "reason"])
    for tally in tallies:
        for reason, number in tally.rejected.items():
            rejected.add_metric([tally.level, tally.schema, reason], number)
    yield rejected
    for name, text, label, kinds in SCHEMA_HISTOGRAMS:
        family = HistogramMetricFamily(PREFIX + name, text, labels=[LEVEL, SCHEMA, *([label] if label else [])])
        for tally in tallies:
            for kind, histogram in kinds:
                found = histogram(tally)
                if any(found.counts):
                    family.add_metric([tally.level, tally.schema, *([kind] if kind else [])], found.buckets(), found.total)
        yield family


def _utilization(levels: list[Level]) -> Iterator[Any]:
    from prometheus_client.core import HistogramMetricFamily

    requests = HistogramMetricFamily(
        PREFIX + "priority_level_request_utilization", "Observations, at the end of every nanosecond, of number of requests (as a fraction "
        "of the relevant limit) waiting or in any stage of execution (but only initial stage for WATCHes)", labels=["phase", LEVEL])
    seats = HistogramMetricFamily(
        PREFIX + "priority_level_seat_utilization", "Observations, at the end of every nanosecond, of utilization of seats for any stage "
        "of execution (but only initial stage for WATCHes)", labels=[LEVEL, "phase"])
    demand = HistogramMetricFamily(
        PREFIX + "demand_seats", "Observations, at the end of every nanosecond, of (the number of seats each priority level could use) / "
        "(nominal number of seats for that level)", labels=[LEVEL])
    for level in levels:
        usage = level.usage
        requests.add_metric(["executing", level.name], usage.executing.buckets(), usage.executing.total)
        requests.add_metric(["waiting", level.name], usage.waiting.buckets(), usage.waiting.total)
        seats.add_metric([level.name, "executing"], usage.seats.buckets(), usage.seats.total)
        demand.add_metric([level.name], usage.demand.buckets(), usage.demand.total)
    yield from (requests, seats, demand)
