"""HorizontalPodAutoscalers in both versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kinds.core.making import changed, created, findings
from sampan.api import codec
from sampan.api.resources import HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from sampan.kinds.autoscaling import horizontal_pod_autoscaler, v1

TARGET = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3} | spec}


def test_without_metrics_it_watches_the_cpu() -> None:
    hpa = created(HORIZONTAL_POD_AUTOSCALERS, body())
    assert (hpa.spec.minReplicas, hpa.spec.metrics) == (1, [v1.cpu_metric(80)])


def test_behaviour_is_filled_where_it_is_begun() -> None:
    behavior = created(HORIZONTAL_POD_AUTOSCALERS, body(behavior={"scaleUp": {"selectPolicy": "Min"}})).spec.behavior
    assert (behavior.scaleUp.selectPolicy, behavior.scaleUp.stabilizationWindowSeconds) == ("Min", 0)
    assert [(one.type, one.value, one.periodSeconds) for one in behavior.scaleUp.policies] == [("Pods", 4, 15), ("Percent", 100, 15)]
    assert behavior.scaleDown.stabilizationWindowSeconds is None


def test_the_old_version_keeps_what_it_can_not_say_in_annotations() -> None:
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 55}}},
               {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"}}}]
    hpa = created(HORIZONTAL_POD_AUTOSCALERS, body(metrics=metrics, behavior={"scaleDown": {"selectPolicy": "Disabled"}}))
    old = v1.from_v2(hpa)
    assert old.spec.targetCPUUtilizationPercentage == 55
    assert set(old.metadata.annotations) == {v1.METRICS, v1.BEHAVIOR}
    back = v1.to_v2(codec.decode(type(old), codec.encode(old)))
    assert back.spec == hpa.spec
    assert back.metadata.annotations == {}


def test_the_old_version_is_stored_as_the_new_one() -> None:
    old = created(HORIZONTAL_POD_AUTOSCALERS_V1, body(targetCPUUtilizationPercentage=55))
    assert v1.to_v2(old).spec.metrics == [v1.cpu_metric(55)]


def test_annotations_that_can_not_be_read_are_dropped() -> None:
    old = created(HORIZONTAL_POD_AUTOSCALERS_V1, body() | {"metadata": {"name": "h", "annotations": {v1.METRICS: "{"}}})
    assert v1.to_v2(old).spec.metrics == []


def test_limits_and_metrics_say_what_is_wrong_with_them() -> None:
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0,
                                                                         "averageValue": "1"}}}, {"type": "Pods"}]
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(minReplicas=0, metrics=metrics)) == [
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
        "spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
        "spec.metrics[1].pods: Required value: must populate information for the given metric source",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"]


def test_an_autoscaler_is_printed_with_its_targets() -> None:
    cells = {one.name: one.value(created(HORIZONTAL_POD_AUTOSCALERS, body()), datetime(2026, 1, 1, tzinfo=UTC))
             for one in horizontal_pod_autoscaler.KIND.columns}
    assert (cells["Reference"], cells["Targets"], cells["MinPods"], cells["MaxPods"]) == (
        "Deployment/d", "cpu: <unknown>/80%", "1", 3)


def test_a_metric_of_a_container_names_a_resource_and_a_container_that_can_be() -> None:
    metric = {"type": "ContainerResource", "containerResource": {
        "name": "pods", "container": "a.b", "target": {"type": "Utilization", "averageUtilization": 50}}}
    assert findings(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "h"}, "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "maxReplicas": 2, "metrics": [metric]}}) == [
        'spec.metrics[0].containerResource.name: Invalid value: "pods": must be a standard resource for containers',
        'spec.metrics[0].containerResource.container: Invalid value: "a.b": must not contain dots']


def test_a_target_names_the_group_of_its_version_unless_it_is_a_replication_controller() -> None:
    grouped = "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group"
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(scaleTargetRef=TARGET | {"apiVersion": "v1"})) == [grouped]
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(scaleTargetRef=TARGET | {"apiVersion": "a/b/c"})) == [
        'spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c']
    target = {"kind": "ReplicationController", "name": "d", "apiVersion": "v1"}
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(scaleTargetRef=target)) == []


def test_a_target_of_the_same_version_and_kind_is_not_asked_for_its_group_again() -> None:
    old = created(HORIZONTAL_POD_AUTOSCALERS, body(scaleTargetRef=TARGET | {"apiVersion": "v1"}))
    assert changed(HORIZONTAL_POD_AUTOSCALERS, old, {"spec": {"maxReplicas": 5}})[1] == []
    assert changed(HORIZONTAL_POD_AUTOSCALERS, old, {"spec": {"scaleTargetRef": {"kind": "Other"}}})[1] == [
        "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group"]


def test_no_maximum_is_required_and_a_negative_one_is_invalid() -> None:
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(maxReplicas=0))[0] == (
        "spec.maxReplicas: Required value: must be set and greater than 0")
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(maxReplicas=-1))[0] == (
        "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1")


def test_selectors_of_metrics_are_not_looked_at() -> None:
    metric = {"name": "m", "selector": {"matchLabels": {"a": "b c"}}}
    external = {"type": "External", "external": {"metric": metric, "target": {"type": "Value", "value": "1"}}}
    assert findings(HORIZONTAL_POD_AUTOSCALERS, body(metrics=[external])) == []
