"""Events of events.k8s.io and their stored form."""

from __future__ import annotations

from kinds.core.making import changed, findings
from sampan.api import codec
from sampan.api.core.v1 import Event as Stored
from sampan.api.resources import EVENTS_EVENTS
from sampan.kinds.events import event

NEW = {"metadata": {"name": "e", "namespace": "n"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "n"},
       "reason": "Pulled", "action": "Pull", "type": "Normal", "note": "m", "eventTime": "2026-01-01T00:00:00.000000Z",
       "reportingController": "example.com/c", "reportingInstance": "c-1"}


def test_both_forms_say_the_same() -> None:
    stored = codec.convert(Stored, {
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"}, "reason": "Pulled", "message": "m",
        "count": 2, "source": {"component": "kubelet"}, "firstTimestamp": "2026-01-01T00:00:00Z",
        "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}, "reportingComponent": "kubelet"})
    newer = event.from_core(stored)
    assert (newer.note, newer.deprecatedCount, newer.reportingController, newer.deprecatedSource.component) == (
        "m", 2, "kubelet", "kubelet")
    back = event.to_core(newer)
    back.kind = back.apiVersion = ""
    assert back == stored


def test_a_whole_event_passes() -> None:
    assert findings(EVENTS_EVENTS, NEW) == []


def test_a_new_event_has_its_time_and_who_reports() -> None:
    assert "eventTime: Required value" in findings(EVENTS_EVENTS, NEW | {"eventTime": None})
    assert findings(EVENTS_EVENTS, NEW | {"reportingController": "", "action": ""}) == [
        "reportingController: Required value", "action: Required value"]


def test_only_the_series_moves() -> None:
    old = codec.convert(EVENTS_EVENTS.wire, NEW)
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}
    assert changed(EVENTS_EVENTS, old, series)[1] == []
    assert changed(EVENTS_EVENTS, old, {"note": "other"})[1] == ['message: Invalid value: "other": field is immutable']
