"""Discovery against the facts of a fresh 1.36 server, and as custom resources come and go."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sampan.api.errors import NotAcceptable
from sampan.api.resourceinfo import Resource, Subresource
from sampan.apiserver import kindtable
from sampan.apiserver.catalog import Served
from sampan.apiserver.discovery import Documents, version_key
from sampan.kinds.kind import Kind

FACTS = Path(__file__).parents[2] / "tools" / "facts"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9"
GEARS: Resource[Any] = Resource(
    "example.com", "v1", "gears", "Gear", "gear", True, verbs=("delete", "get"), short_names=("gr",), categories=("tools",),
    subresources=(Subresource("scale", "autoscaling/v1", "Scale", ("get",)), Subresource("status", "example.com/v1", "Gear", ("get",))))


def page(documents: Documents, path: str, accept: str = "") -> Any:
    found = documents.answer(path, accept)
    assert found is not None
    return json.loads(found.body)


@pytest.mark.parametrize(("path", "facts"), [("/api", "discovery-api.json"), ("/apis", "discovery-apis.json")])
def test_the_aggregated_form_is_upstream_s(path: str, facts: str) -> None:
    found = page(Documents(kindtable.catalog()), path, AGGREGATED)
    expected = json.loads((FACTS / facts).read_text())
    assert found == expected


def test_the_classic_lists_name_groups_versions_and_resources() -> None:
    documents = Documents(kindtable.catalog(), "10.0.0.1:6443")
    assert page(documents, "/api") == {"kind": "APIVersions", "versions": ["v1"],
                                       "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}]}
    groups = {group["name"]: group for group in page(documents, "/apis")["groups"]}
    assert [version["version"] for version in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert page(documents, "/apis/apps")["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    core = {entry["name"]: entry for entry in page(documents, "/api/v1")["resources"]}
    assert core["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert core["pods/eviction"] == {"name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
                                     "kind": "Eviction", "verbs": ["create"]}
    assert "storageVersionHash" not in core["bindings"]
    assert list(core) == sorted(core)
    v1 = page(documents, "/apis/autoscaling/v1")["resources"][0]
    assert v1["storageVersionHash"] == "qwQve8ut294="  # stored as v2


@pytest.mark.parametrize("path", ["/apis/none", "/apis/apps/v9", "/api/v2", "/apis/apps/v1/deployments", "/nothing", "/apis/apps/v1/x/y"])
def test_what_is_not_there_has_no_document(path: str) -> None:
    assert Documents(kindtable.catalog()).answer(path) is None


def test_a_custom_resource_appears_and_goes() -> None:
    # given
    catalog = kindtable.catalog()
    documents = Documents(catalog)
    assert documents.answer("/apis/example.com") is None
    # when
    catalog.add(Served(GEARS, Kind(resource=GEARS), GEARS, custom=SimpleNamespace()))
    # then
    entries = page(documents, "/apis/example.com/v1")["resources"]
    assert [entry["name"] for entry in entries] == ["gears", "gears/scale", "gears/status"]
    assert entries[0]["verbs"] == ["delete", "get"]
    assert (entries[1]["group"], entries[1]["version"]) == ("autoscaling", "v1")
    last = page(documents, "/apis", AGGREGATED)["items"][-1]
    assert last["versions"][0]["resources"][0]["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Gear"}
    # when
    catalog.remove("example.com", "v1", "gears")
    # then
    assert documents.answer("/apis/example.com/v1") is None


def test_an_unchanged_document_is_not_sent_again() -> None:
    documents = Documents(kindtable.catalog())
    first = documents.answer("/apis", AGGREGATED)
    assert first is not None
    assert first.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    again = documents.answer("/apis", AGGREGATED, if_none_match=first.etag)
    assert again is not None
    assert (again.code, again.body) == (304, b"")


def test_the_client_s_order_of_forms_decides() -> None:
    documents = Documents(kindtable.catalog())
    assert page(documents, "/apis", "application/json," + AGGREGATED)["kind"] == "APIGroupList"
    yaml = documents.answer("/apis/apps/v1", "application/yaml")
    assert yaml is not None
    assert yaml.content_type == "application/yaml"
    with pytest.raises(NotAcceptable):
        documents.answer("/api/v1", "application/json;as=Table;v=v1;g=meta.k8s.io")


def test_the_index_names_every_group() -> None:
    paths = page(Documents(kindtable.catalog()), "/")["paths"]
    assert paths[:3] == ["/.well-known/openid-configuration", "/api", "/api/v1"]
    assert "/apis/apps/v1" in paths


def test_versions_are_sorted_as_kubernetes_prefers_them() -> None:
    given = ["v1alpha1", "foo", "v10", "v2", "v1beta2", "v1beta10", "v11alpha2", "bar"]
    assert sorted(given, key=version_key) == ["v10", "v2", "v1beta10", "v1beta2", "v11alpha2", "v1alpha1", "bar", "foo"]
