"""Slices: times that the server adds, and what it finds wrong. Words as a kube-apiserver 1.36.3 answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api import codec
from sampan.api.resource.v1 import ResourceSlice
from sampan.api.resources import RESOURCE_SLICES
from sampan.kinds.resource.resource_slice import touch

ONE = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
NONE = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
TAINT = {"key": "k", "effect": "NoExecute"}


def body(**spec: Any) -> dict[str, Any]:
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    return {"metadata": {"name": "s"}, "spec": {"driver": "d.io", "pool": pool, "nodeName": "n"} | spec}


def device(**given: Any) -> dict[str, Any]:
    return body(devices=[{"name": "d"} | given])


def test_a_taint_without_a_time_is_one_since_now() -> None:
    # given
    taints = [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"}]
    slice_ = codec.convert(ResourceSlice, {"spec": {"devices": [{"name": "d", "taints": taints}]}})
    # when
    touch(slice_, datetime(2026, 1, 1, tzinfo=UTC))
    # then
    assert [one.timeAdded for one in slice_.spec.devices[0].taints] == ["2026-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (body(), []),
    (body(nodeName=""), [
        'spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string',
        "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"]),
    (body(allNodes=True, perDeviceNodeSelection=False), [
        "spec.perDeviceNodeSelection: Invalid value: false: must be either unset or set to true",
        'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, '
        "`perDeviceNodeSelection` is required, but multiple fields are set"]),
    (body(devices=[{"name": "d"}], sharedCounters=[{"name": "c", "counters": {"a": {"value": "1"}}}]),
     ['spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed']),
    (body(sharedCounters=[{}]), ["spec.sharedCounters[0].name: Required value", "spec.sharedCounters[0].counters: Required value"]),
    (body(devices=[{"name": "d"}, {"name": "d"}]), ['spec.devices[1]: Duplicate value: "d"']),
    (body(devices=[{"name": f"d{n}", "taints": [TAINT]} for n in range(65)]), ["spec.devices: Too many: 65: must have at most 64 items"]),
    (device(attributes={"x": {}}), ['spec.devices[0].attributes[x]: Invalid value: "": exactly one value must be specified']),
    (device(attributes={"x": {"int": 1, "bool": True}}), [
        'spec.devices[0].attributes[x]: Invalid value: {"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,'
        '"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly one value must be specified']),
    (device(capacity={"m": {"value": "1", "requestPolicy": {}}}),
     ["spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true"]),
    (device(allNodes=True), [f"spec.devices[0]: Invalid value: null: {NONE}"]),
    (body(nodeName=None, perDeviceNodeSelection=True, devices=[{"name": "d"}, {"name": "e", "nodeName": "n", "allNodes": True}]), [
        f"spec.devices[0]: Required value: {ONE}", f'spec.devices[1]: Invalid value: "{{`nodeName`, `allNodes`}}": {ONE}']),
    (device(bindingConditions=["a", "a"], bindingFailureConditions=["a"]), [
        'spec.devices[0].bindingConditions[1]: Duplicate value: "a"',
        'spec.devices[0].bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with '
        "bindingConditions"]),
]


@pytest.mark.parametrize(("given", "expected"), CASES)
def test_findings(given: dict[str, Any], expected: list[str]) -> None:
    assert findings(RESOURCE_SLICES, given) == expected


def test_taints_that_stay_are_not_judged_again() -> None:
    old = created(RESOURCE_SLICES, device(taints=[{"key": "bad key", "effect": "x"}]))
    assert changed(RESOURCE_SLICES, old, device(taints=[{"key": "bad key", "effect": "x"}]))[1] == []
    assert len(changed(RESOURCE_SLICES, old, device(taints=[{"key": "worse key", "effect": "x"}]))[1]) == 2


def test_lists_of_values_are_dropped() -> None:
    found = findings(RESOURCE_SLICES, device(attributes={"x": {"ints": [1]}}))
    assert found == ['spec.devices[0].attributes[x]: Invalid value: "": exactly one value must be specified']
