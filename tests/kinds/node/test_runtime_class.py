"""RuntimeClasses."""

from __future__ import annotations

from kinds.core.making import changed, created, findings
from sampan.api.resources import RUNTIME_CLASSES
from sampan.kinds.all import kind_of


def test_a_handler_is_a_label_and_overhead_is_not_negative() -> None:
    found = findings(RUNTIME_CLASSES, {"metadata": {"name": "r"}, "handler": "Bad_", "overhead": {"podFixed": {"cpu": "-1"}}})
    assert [text.split(":")[0] for text in found] == ["handler", "overhead.limits[cpu]"]


def test_the_handler_stays() -> None:
    old = created(RUNTIME_CLASSES, {"metadata": {"name": "r"}, "handler": "a"})
    assert changed(RUNTIME_CLASSES, old, {"handler": "b"})[1] == ['handler: Invalid value: "b": field is immutable']


def test_overhead_and_tolerations_are_judged_as_those_of_pods() -> None:
    toleration = {"key": "k", "operator": "Exists", "value": "v"}
    body = {"metadata": {"name": "r"}, "overhead": {"podFixed": {"k": "1"}}, "scheduling": {"tolerations": [toleration, toleration]}}
    assert findings(RUNTIME_CLASSES, body) == [
        "handler: Required value",
        'overhead.limits[k]: Invalid value: "k": must be a standard resource type or fully qualified',
        'overhead.limits[k]: Invalid value: "k": must be a standard resource for containers',
        "scheduling.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
        "scheduling.tolerations[1].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
        'scheduling.tolerations[1]: Duplicate value: {"Key":"k","Operator":"Exists","Value":"v","Effect":"","TolerationSeconds":null}']


def test_old_names_of_node_labels_warn() -> None:
    obj = created(RUNTIME_CLASSES, {"handler": "a", "scheduling": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}})
    assert kind_of(RUNTIME_CLASSES).warnings(obj, None) == [
        'scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead']
