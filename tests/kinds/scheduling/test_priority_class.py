"""PriorityClasses."""

from __future__ import annotations

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import PRIORITY_CLASSES
from sampan.kinds.scheduling import priority_class


@pytest.mark.parametrize(("body", "expected"), [
    ({"metadata": {"name": "system-mine"}, "value": 1},
     "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine "
     "is not a known system priority class"),
    ({"metadata": {"name": "a"}, "value": 2_000_000_000},
     "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
    ({"metadata": {"name": "a"}, "value": 1, "preemptionPolicy": "Sometimes"},
     'preemptionPolicy: Unsupported value: "Sometimes": supported values: "PreemptLowerPriority", "Never"'),
])
def test_what_is_wrong_is_said_in_upstreams_words(body: dict[str, object], expected: str) -> None:
    assert findings(PRIORITY_CLASSES, body) == [expected]


def test_the_two_of_the_system_are_known() -> None:
    value, description = priority_class.SYSTEM_CLASSES["system-node-critical"]
    body = {"metadata": {"name": "system-node-critical"}, "value": value, "description": description}
    assert value == 2_000_001_000
    assert findings(PRIORITY_CLASSES, body) == []
    assert priority_class.is_system(created(PRIORITY_CLASSES, body))


def test_value_and_policy_stay() -> None:
    old = created(PRIORITY_CLASSES, {"metadata": {"name": "a"}, "value": 1})
    assert changed(PRIORITY_CLASSES, old, {"value": 2, "preemptionPolicy": "Never"})[1] == [
        "value: Forbidden: may not be changed in an update.", 'preemptionPolicy: Invalid value: "Never": field is immutable']


def test_a_policy_of_preemption_is_there_and_stays() -> None:
    body = {"metadata": {"name": "p"}, "value": 1}
    assert findings(PRIORITY_CLASSES, body | {"preemptionPolicy": ""}) == ["preemptionPolicy: Required value"]
    assert changed(PRIORITY_CLASSES, created(PRIORITY_CLASSES, body), {"value": 2_000_000_000, "preemptionPolicy": "x"})[1] == [
        "value: Forbidden: may not be changed in an update.", 'preemptionPolicy: Invalid value: "x": field is immutable']
