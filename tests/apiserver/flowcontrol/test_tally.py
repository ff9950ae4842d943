"""What is counted of a schema's requests."""

from __future__ import annotations

from sampan.apiserver.flowcontrol.tally import Histogram, SchemaTally


def test_buckets_hold_what_is_not_above_their_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.total == 12.0


def test_reasons_are_counted_apart() -> None:
    tally = SchemaTally("level", "schema")
    for reason in ("queue-full", "time-out", "queue-full"):
        tally.reject(reason)
    tally.queued(3)
    assert (tally.rejected, sum(tally.lengths.counts)) == ({"queue-full": 2, "time-out": 1}, 1)
