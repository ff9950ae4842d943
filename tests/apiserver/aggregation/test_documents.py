"""What other API servers tell, read without trusting its form."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.aggregation import documents


def test_a_classic_list_becomes_what_aggregated_discovery_shows() -> None:
    listed = {"kind": "APIResourceList", "resources": [
        {"name": "gears", "singularName": "gear", "namespaced": True, "kind": "Gear", "verbs": ["get"], "shortNames": ["gr"], "categories": ["all"]},
        {"name": "gears/scale", "namespaced": True, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get"]},
        {"name": "lone/sub", "namespaced": False, "kind": "Sub", "verbs": ["create"]}, {"no": "name"}, "nothing"]}
    found = documents.of_classic(listed, "example.com", "v1")
    assert found == {"version": "v1", "freshness": "Current", "resources": [
        {"resource": "gears", "responseKind": {"group": "example.com", "version": "v1", "kind": "Gear"}, "scope": "Namespaced",
         "singularResource": "gear", "verbs": ["get"], "shortNames": ["gr"], "categories": ["all"], "subresources": [
             {"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}, "verbs": ["get"]}]},
        {"resource": "lone", "scope": "Cluster", "singularResource": "", "verbs": [], "subresources": [
            {"subresource": "sub", "responseKind": {"group": "example.com", "version": "v1", "kind": "Sub"}, "verbs": ["create"]}]}]}


def test_of_an_aggregated_document_only_the_version_is_taken() -> None:
    document = {"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": "a.example.com"}, "versions": [{"version": "v1", "resources": [{"resource": "x"}]}]},
        {"metadata": {"name": "b.example.com"}, "versions": [{"version": "v1", "resources": []}, {"version": "v2"}]}]}
    assert documents.of_aggregated(document, "a.example.com", "v1") == {"version": "v1", "resources": [{"resource": "x"}], "freshness": "Current"}
    assert documents.of_aggregated(document, "b.example.com", "v2") == {"version": "v2", "resources": [], "freshness": "Current"}
    assert documents.of_aggregated(document, "c.example.com", "v1") is None


@pytest.mark.parametrize("body", [b"", b"no", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_an_empty_one(body: bytes) -> None:
    found = documents.parse(body)
    assert found == {}
    assert documents.of_aggregated(found, "g", "v") is None
    assert documents.of_classic(found, "g", "v") is None
    assert documents.openapi_address(found, "g", "v") == ""


@pytest.mark.parametrize(("index", "address"), [
    ({"paths": {"apis/g/v": {"serverRelativeURL": "/openapi/v3/apis/g/v?hash=1"}}}, "/openapi/v3/apis/g/v?hash=1"),
    ({"paths": {"apis/g/v": {"serverRelativeURL": "https://elsewhere/"}}}, ""), ({"paths": {"apis/g/v": 3}}, ""), ({}, ""),
])
def test_an_address_is_one_of_the_server_itself(index: Any, address: str) -> None:
    assert documents.openapi_address(index, "g", "v") == address
