"""Events of events.k8s.io and their stored form."""

from __future__ import annotations

from typing import Any

import pytest

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
    told = findings(EVENTS_EVENTS, NEW | {"reportingController": "", "action": ""})
    assert [text.split(" must consist")[0] for text in told] == [
        "reportingController: Required value", 'reportingController: Invalid value: "": name part must be non-empty',
        'reportingController: Invalid value: "": name part', "action: Required value"]


@pytest.mark.parametrize(("change", "told"), [
    ({"type": "Odd"}, ['type: Invalid value: "": has invalid value: Odd']),
    ({"deprecatedCount": 3}, ['count: Invalid value: "": needs to be unset']),
    ({"series": {"count": 1}}, ['series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"]),
    ({"regarding": {"kind": "Pod", "namespace": "elsewhere"}}, []),
    ({"regarding": {"kind": "Node"}}, ['involvedObject.namespace: Invalid value: "": does not match event.namespace']),
])
def test_a_new_event_says_what_is_wrong_with_it(change: dict[str, Any], told: list[str]) -> None:
    assert findings(EVENTS_EVENTS, NEW | change) == told


def test_what_an_event_is_about_stays_and_is_shown_as_upstream_holds_it() -> None:
    old = codec.convert(EVENTS_EVENTS.wire, NEW)
    assert changed(EVENTS_EVENTS, old, {"related": {"kind": "Node", "name": "x"}, "type": ""})[1] == [
        'type: Invalid value: "": field is immutable',
        'related: Invalid value: {"Kind":"Node","Namespace":"","Name":"x","UID":"","APIVersion":"","ResourceVersion":"",'
        '"FieldPath":""}: field is immutable']


def test_only_the_series_moves() -> None:
    old = codec.convert(EVENTS_EVENTS.wire, NEW)
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}
    assert changed(EVENTS_EVENTS, old, series)[1] == []
    assert changed(EVENTS_EVENTS, old, {"note": "other"})[1] == ['message: Invalid value: "other": field is immutable']
