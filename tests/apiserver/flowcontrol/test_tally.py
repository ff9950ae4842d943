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
    assert tally.rejected == {"queue-full": 2, "time-out": 1}


def test_what_was_only_counted_is_in_the_histograms_once_it_is_settled() -> None:
    # given three requests of one seat, of which one waited, and two that were alone in their queues
    tally = SchemaTally("level", "schema")
    tally.narrow, tally.at_once, tally.first = 3, 2, 2
    tally.waited.observe(0.3)
    tally.lengths.observe(40)
    # when
    for _ in range(2):
        tally.settle()
    # then they are there once
    assert (tally.widths.counts[0], tally.widths.total) == (3, 3.0)
    assert (tally.waited.counts[0], sum(tally.waited.counts), tally.waited.total) == (2, 3, 0.3)
    assert (tally.lengths.buckets()[1], sum(tally.lengths.counts), tally.lengths.total) == (("10.0", 2.0), 3, 42.0)
