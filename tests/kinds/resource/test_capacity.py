"""What is wrong with policies about shares of a device's capacity. Words as a kube-apiserver 1.36.3 answered."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.resource.v1 import DeviceCapacity
from sampan.kinds.resource.capacity import validate

AT = "c.requestPolicy"
BOTH = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"default": "1", "validValues": ["1", "2"]}, []),
    ({"default": "1Gi", "validRange": {"min": "1Gi", "max": "4Gi", "step": "1Gi"}}, []),
    ({"default": "1", "validValues": ["1"], "validRange": {"min": "1"}}, [f"{AT}: Forbidden: {BOTH}"]),
    ({"validValues": ["1"]}, [f"{AT}.default: Required value: required when validValues is defined"]),
    ({"validRange": {"min": "1"}}, [f"{AT}.default: Required value: required when validRange is defined"]),
    ({"default": "3", "validValues": ["2", "1", "1", "8Gi"]}, [
        f'{AT}.validValues[1]: Invalid value: "1": values must be sorted in ascending order',
        f'{AT}.validValues[3]: Invalid value: "8Gi": option is larger than capacity value: 4Gi',
        f'{AT}.validValues[2]: Duplicate value: "1"',
        f'{AT}.validValues: Invalid value: "3": default value is not valid according to the requestPolicy']),
    ({"default": "1", "validRange": {"max": "2"}}, [f"{AT}.validRange.min: Required value: required when validRange is defined"]),
    ({"default": "5Gi", "validRange": {"min": "6Gi", "max": "5Gi"}}, [
        f'{AT}.validRange.min: Invalid value: "6Gi": min is larger than capacity value: 4Gi',
        f'{AT}.validRange.min: Invalid value: "5Gi": default is less than min: 6Gi',
        f'{AT}.validRange.max: Invalid value: "6Gi": min is larger than max: 5Gi',
        f'{AT}.validRange.max: Invalid value: "5Gi": max is larger than capacity value: 4Gi']),
    ({"default": "2Gi", "validRange": {"min": "1Gi", "step": "4Gi"}}, [
        f'{AT}.validRange.step: Invalid value: "4Gi": one step 5Gi is larger than capacity value: 4Gi',
        f'{AT}.validRange.step: Invalid value: "2Gi": value is not a multiple of a given step (4Gi) from (1Gi)']),
]


@pytest.mark.parametrize(("policy", "expected"), CASES)
def test_policies(policy: dict[str, Any], expected: list[str]) -> None:
    found = validate(codec.convert(DeviceCapacity, {"value": "4Gi", "requestPolicy": policy}), "c")
    assert [str(one) for one in found] == expected
