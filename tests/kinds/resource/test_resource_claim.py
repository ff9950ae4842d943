"""Dynamic resource allocation: claims, classes and slices."""

from __future__ import annotations

from typing import Any

from kinds.core.making import changed, created, findings
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES


def claim(**request: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
        {"name": "r", "exactly": {"deviceClassName": "gpu"}} | request]}}}


def test_a_request_is_for_one_device_unless_it_says_else() -> None:
    exactly = created(RESOURCE_CLAIMS, claim()).spec.devices.requests[0].exactly
    assert (exactly.allocationMode, exactly.count) == ("ExactCount", 1)
    assert findings(RESOURCE_CLAIMS, claim()) == []


def test_a_request_says_what_is_wrong_with_it() -> None:
    assert findings(RESOURCE_CLAIMS, claim(exactly=None)) == [
        "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"]
    wrong = {"deviceClassName": "", "allocationMode": "All", "count": 2, "selectors": [{}]}
    assert findings(RESOURCE_CLAIMS, claim(exactly=wrong)) == [
        "spec.devices.requests[0].exactly.deviceClassName: Required value",
        "spec.devices.requests[0].exactly.selectors[0].cel: Required value",
        "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'"]


def test_what_is_claimed_stays() -> None:
    old = created(RESOURCE_CLAIMS, claim())
    wrong = changed(RESOURCE_CLAIMS, old, claim(name="other"))[1]
    assert [text.split(":")[0] for text in wrong] == ["spec"]
    template = {"metadata": {"name": "t"}, "spec": {"spec": claim()["spec"]}}
    assert findings(RESOURCE_CLAIM_TEMPLATES, template) == []


def test_a_claim_is_reserved_only_when_it_is_allocated() -> None:
    old = created(RESOURCE_CLAIMS, claim())
    reserved = {"status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}}
    assert changed(RESOURCE_CLAIMS, old, reserved, "status")[1] == [
        "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]
    result = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "d0"}
    assert changed(RESOURCE_CLAIMS, old, {"status": reserved["status"] | {"allocation": {"devices": {"results": [result]}}}},
                   "status")[1] == []


def test_configuration_is_an_object_for_a_driver() -> None:
    body = {"metadata": {"name": "gpu"}, "spec": {"config": [{"opaque": {"driver": "d.example.com", "parameters": [1]}}]}}
    assert findings(DEVICE_CLASSES, body) == [
        'spec.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object']


def test_a_slice_says_where_its_devices_are_and_what_they_can() -> None:
    devices = [{"name": "d0", "attributes": {"v": {"version": "1"}, "none": {}}, "capacity": {"a b": {"value": "1"}}}]
    spec = {"driver": "d.example.com", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": devices}
    found = findings(RESOURCE_SLICES, {"metadata": {"name": "s"}, "spec": spec})
    assert found[0].startswith("spec: Required value: exactly one of `nodeName`")
    assert [text.split(":")[0] for text in found[1:]] == [
        "spec.devices[0].attributes[none]", "spec.devices[0].attributes[v].version", "spec.devices[0].capacity"]


REQUEST = "spec.devices.requests[0]"
NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def test_references_are_to_requests_of_the_claim() -> None:
    body = claim()
    body["spec"]["devices"]["constraints"] = [{"requests": ["x", "r/y"], "matchAttribute": "a"}, {}]
    assert findings(RESOURCE_CLAIMS, body) == [
        f'spec.devices.constraints[0].requests[0]: Invalid value: "x": {NO_REQUEST}',
        f'spec.devices.constraints[0].requests[1]: Invalid value: "r/y": {NO_REQUEST}',
        'spec.devices.constraints[0].matchAttribute: Invalid value: "a": a fully qualified name must be a domain and a name separated '
        "by a slash",
        'spec.devices.constraints[1]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple '
        "fields are set"]


def test_tolerations_of_requests() -> None:
    wrong = {"deviceClassName": "gpu", "tolerations": [{"operator": "Exists", "value": "v"}, {"operator": "x", "effect": "y"}]}
    assert findings(RESOURCE_CLAIMS, claim(exactly=wrong)) == [
        f'{REQUEST}.exactly.tolerations[0].value: Invalid value: "v": must be empty for operator `Exists`',
        f'{REQUEST}.exactly.tolerations[1].operator: Unsupported value: "x": supported values: "Equal", "Exists"',
        f'{REQUEST}.exactly.tolerations[1].effect: Unsupported value: "y": supported values: "NoExecute", "NoSchedule", "None"']


def test_a_template_shows_its_metadata_in_its_spec() -> None:
    old = created(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "t"}, "spec": {"spec": claim()["spec"]}})
    new = {"metadata": {"name": "t"}, "spec": {"metadata": {"labels": {"a": "b"}, "uid": "x"}, "spec": {"devices": {"requests": []}}}}
    assert changed(RESOURCE_CLAIM_TEMPLATES, old, new)[1] == [
        "spec.metadata.uID: Forbidden: cannot be set",
        'spec: Invalid value: {"uid":"x","labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}: '
        "field is immutable"]


def test_shares_are_named_by_uuids() -> None:
    old = created(RESOURCE_CLAIMS, claim())
    for share, words in (("x", "error validating uid: invalid UUID length: 1"), ("é", "error validating uid: invalid UUID length: 2"),
                         ("0" * 32, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
                                    "hexadecimal characters")):
        result = {"request": "r", "driver": "d.io", "pool": "p", "device": "d0", "shareID": share}
        found = changed(RESOURCE_CLAIMS, old, {"status": {"allocation": {"devices": {"results": [result]}}}}, "status")[1]
        assert found == [f'status.allocation.devices.results[0].shareID: Invalid value: "{share}": {words}']
