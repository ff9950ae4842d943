"""What was wanted over time."""

from __future__ import annotations

import pytest

from sampan.apiserver.flowcontrol.usage import Demand, TimingHistogram, Usage


def test_demand_rises_at_once_and_falls_slowly() -> None:
    demand = Demand()
    # when ten seconds want 20 seats half of the time
    demand.update({20: 5.0, 0: 5.0})
    assert (demand.average, demand.deviation, demand.smoothed, demand.high_watermark) == (10.0, 10.0, 20.0, 20)
    # and the next ten want none
    demand.update({0: 10.0})
    assert demand.smoothed == pytest.approx(20.0 * 0.977)
    assert demand.high_watermark == 0


def test_a_period_without_time_keeps_the_averages() -> None:
    demand = Demand()
    demand.update({4: 2.0})
    demand.update({7: 0.0})
    assert (demand.average, demand.high_watermark) == (4.0, 7)


def test_time_is_counted_in_nanoseconds_by_ratio() -> None:
    histogram = TimingHistogram((0.5, 1.0))
    histogram.add(0.25, 1.0)
    histogram.add(1.0, 0.5)
    assert histogram.buckets() == [("0.5", 1e9), ("1.0", 1.5e9), ("+Inf", 1.5e9)]
    assert histogram.total == 0.75


def test_a_level_is_measured_against_its_seats_and_its_queues() -> None:
    usage = Usage()
    usage.add([((2, 4, 5, 6), 1.0)], limit=4, room=10)
    assert [one.total for one in (usage.executing, usage.seats, usage.waiting, usage.demand)] == [0.5, 1.0, 0.5, 2.5]
