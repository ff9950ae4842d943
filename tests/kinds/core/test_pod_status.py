"""What a pod's status may say of its containers."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, pod
from sampan.api.resources import PODS

GPU = {"name": "c", "image": "x", "resources": {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}, "claims": [{"name": "r", "request": "q"}]}}
MAPPING = {"containerName": "c", "resourceName": "example.com/gpu", "requestName": "r"}
IMAGE = "status.containerStatuses[0].volumeMounts[0].volumeStatus.imageVolumeStatus.imageRef"


def said(**status: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "c", "image": "x", "imageID": "i", "ready": True, "restartCount": 0, **status}]}


def device(name: str = "example.com/gpu", **health: Any) -> dict[str, Any]:
    return said(allocatedResourcesStatus=[{"name": name, "resources": [{"resourceID": "a", "health": "Healthy", **health}]}])


def mapped(*mappings: dict[str, str], name: str = "claim") -> dict[str, Any]:
    return {"extendedResourceClaimStatus": {"resourceClaimName": name, "requestMappings": list(mappings)}}


def findings(status: dict[str, Any], **spec: Any) -> list[str]:
    old = pod({"containers": [GPU], "resourceClaims": [{"name": "r", "resourceClaimName": "x"}], **spec})
    return changed(PODS, old, {"status": status}, "status")[1]


@pytest.mark.parametrize("status", [
    device(), device("claim:r/q"), said(user={"linux": {"uid": 1, "gid": 2, "supplementalGroups": [3]}}), mapped(MAPPING),
    said(volumeMounts=[{"name": "v", "mountPath": "/", "volumeStatus": {"image": {"imageRef": "i@sha256:0"}}}]),
    {"containerStatuses": [{"name": "other", "allocatedResourcesStatus": [{"name": "anything"}]}]}])
def test_what_is_right_is_taken(status: dict[str, Any]) -> None:
    assert findings(status) == []


@pytest.mark.parametrize(("status", "finding"), [
    (device("claim:r"), "status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: \"claim:r\": must match one of the container's "
                        "resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"),
    (device("cpu"), "status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: \"cpu\": must match one of the container's resource requests"),
    (device(health="Fine"), 'status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health: Unsupported value: "Fine": supported values: '
                            '"Healthy", "Unhealthy", "Unknown"'),
    (device(message=""), "status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].message: Required value: must be non-empty if specified"),
    (device(message="x" * 1025), "status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].message: Too long: may not be more than 1024 bytes"),
    (said(allocatedResourcesStatus=[{"name": "example.com/gpu", "resources": [{"resourceID": "a", "health": "Healthy"}] * 2}]),
     'status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].resourceID: Duplicate value: "a"'),
    ({"ephemeralContainerStatuses": [{"name": "d", "allocatedResourcesStatus": [{"name": "x"}]}]},
     "status.ephemeralContainerStatuses[0].allocatedResourcesStatus: Forbidden: must not be specified in container status"),
    (said(user={"linux": {"uid": -1, "gid": 2}}), "status.containerStatuses[0].user.linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
    (said(user={"linux": {"uid": 1, "gid": 2, "supplementalGroups": [1, 2**31]}}),
     "status.containerStatuses[0].user.linux.supplementalGroups[1]: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive"),
    (said(volumeMounts=[{"name": "v", "mountPath": "/", "volumeStatus": {"image": {}}}]), f"{IMAGE}: Required value: imageRef must not be empty"),
    (said(volumeMounts=[{"name": "v", "mountPath": "/", "volumeStatus": {"image": {"imageRef": "x" * 257}}}]), f"{IMAGE}: Too long: may not be more than 256 bytes"),
    (mapped(), "status.extendedResourceClaimStatus.requestMappings: Required value: at least one request mapping is required"),
    (mapped(MAPPING, name=""), "status.extendedResourceClaimStatus.resourceClaimName: Required value"),
    (mapped({**MAPPING, "containerName": "d"}), 'status.extendedResourceClaimStatus.requestMappings[0].containerName: Invalid value: "d": must match the name of '
                                                "an entry in spec.initContainers.name or spec.containers.name"),
    (mapped({**MAPPING, "resourceName": "cpu"}), 'status.extendedResourceClaimStatus.requestMappings[0].resourceName: Invalid value: "cpu": must match the extended '
                                                 "resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"),
])
def test_what_is_wrong_is_found(status: dict[str, Any], finding: str) -> None:
    assert findings(status) == [finding]


def test_a_mapping_is_there_once() -> None:
    assert findings(mapped(MAPPING, MAPPING)) == [
        f'status.extendedResourceClaimStatus.requestMappings[1].{name}: Duplicate value: "{value}"' for name, value in MAPPING.items()]


def test_a_windows_pod_has_no_linux_users() -> None:
    assert findings(said(user={"linux": {"uid": -1, "gid": 2}}), os={"name": "windows"}) == [
        "status.containerStatuses[0].user.linux: Forbidden: cannot be set for a windows pod"]
