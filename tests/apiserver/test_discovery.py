"""Discovery against the facts of a fresh 1.36 server, and as custom resources come and go."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sampan.api.errors import NotAcceptable, NotFound
from sampan.api.resourceinfo import Resource, Subresource
from sampan.apiserver import kindtable
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.discovery import Discovery, version_rank
from sampan.apiserver.parse import parse
from sampan.apiserver.response import Answer
from sampan.kinds.kind import Kind

FACTS = Path(__file__).parents[2] / "tools" / "facts"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9"


def custom(group: str, version: str) -> Served:
    resource: Resource[Any] = Resource(
        group, version, "gears", "Gear", "gear", True, verbs=("delete", "get"), short_names=("gr",), categories=("tools",),
        subresources=(Subresource("scale", "autoscaling/v1", "Scale", ("get",)),
                      Subresource("status", f"{group}/{version}", "Gear", ("get",))))
    return Served(resource, Kind(resource=resource), resource, custom=SimpleNamespace())


def answer(discovery: Discovery, path: str, **headers: str) -> Answer:
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    found = discovery.answer(parse("GET", path, {}, given), path.strip("/").split("/"))
    assert isinstance(found, Answer)
    return found


def page(discovery: Discovery, path: str, **headers: str) -> Any:
    found = answer(discovery, path, **headers)
    assert found.code == 200
    return json.loads(found.joined())


@pytest.fixture
def catalog() -> Catalog:
    return kindtable.catalog()


@pytest.fixture
def discovery(catalog: Catalog) -> Discovery:
    return Discovery(catalog, "10.0.0.1:6443")


@pytest.mark.parametrize(("path", "facts"), [("/api", "discovery-api.json"), ("/apis", "discovery-apis.json")])
def test_the_aggregated_form_is_upstream_s(discovery: Discovery, path: str, facts: str) -> None:
    found = page(discovery, path, accept=AGGREGATED)
    expected = json.loads((FACTS / facts).read_text())
    assert found == expected
    assert list(found) == list(expected)


def test_the_classic_roots_name_versions_and_groups(discovery: Discovery) -> None:
    assert page(discovery, "/api") == {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [
        {"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}]}
    groups = {group["name"]: group for group in page(discovery, "/apis")["groups"]}
    assert [version["version"] for version in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert page(discovery, "/apis/apps")["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}


def test_a_classic_list_has_resources_and_their_subresources(discovery: Discovery) -> None:
    core = {entry["name"]: entry for entry in page(discovery, "/api/v1")["resources"]}
    assert core["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert core["pods/eviction"] == {"name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
                                     "kind": "Eviction", "verbs": ["create"]}
    assert "storageVersionHash" not in core["bindings"]
    # stored as v2
    assert page(discovery, "/apis/autoscaling/v1")["resources"][0]["storageVersionHash"] == "qwQve8ut294="


@pytest.mark.parametrize("path", ["/apis/apps/v9", "/api/v2", "/apis/apps/v1/x/y"])
def test_what_is_not_in_a_group_that_is_there_is_a_status(discovery: Discovery, path: str) -> None:
    with pytest.raises(NotFound):
        answer(discovery, path)


def test_a_group_that_is_not_there_is_go_s_page(discovery: Discovery) -> None:
    found = answer(discovery, "/apis/none.example.com/v1")
    assert (found.code, found.body) == (404, b"404 page not found\n")


def test_a_custom_resource_appears_and_goes(catalog: Catalog, discovery: Discovery) -> None:
    assert answer(discovery, "/apis/example.com").code == 404
    before = answer(discovery, "/apis", accept=AGGREGATED).headers
    # when
    catalog.add(custom("example.com", "v1"))
    # then
    entries = page(discovery, "/apis/example.com/v1")["resources"]
    assert [entry["name"] for entry in entries] == ["gears", "gears/scale", "gears/status"]
    assert (entries[1]["group"], entries[1]["version"]) == ("autoscaling", "v1")
    last = page(discovery, "/apis", accept=AGGREGATED)["items"][-1]
    assert last["versions"][0]["resources"][0]["responseKind"] == {"group": "example.com", "version": "v1", "kind": "Gear"}
    assert answer(discovery, "/apis", accept=AGGREGATED).headers != before
    # when
    catalog.remove("example.com", "v1", "gears")
    # then
    assert answer(discovery, "/apis/example.com/v1").code == 404


def test_custom_groups_follow_by_name_with_their_newest_version_first(catalog: Catalog, discovery: Discovery) -> None:
    for group, version in (("z.example.com", "v1beta1"), ("a.example.com", "v1"), ("z.example.com", "v2"), ("z.example.com", "v10")):
        catalog.add(custom(group, version))
    assert list(discovery.groups())[-2:] == ["a.example.com", "z.example.com"]
    assert list(discovery.groups()["z.example.com"]) == ["v10", "v2", "v1beta1"]
    assert "/apis/z.example.com/v10" in discovery.paths()


def test_an_unchanged_document_is_not_sent_again(discovery: Discovery) -> None:
    first = answer(discovery, "/apis", accept=AGGREGATED)
    assert first.content_type == b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    tag = dict(first.headers)[b"etag"].decode()
    again = answer(discovery, "/apis", accept=AGGREGATED, if_none_match=tag)
    assert (again.code, again.body) == (304, b"")
    assert answer(discovery, "/apis", accept=AGGREGATED, if_none_match='"other"').code == 200


def test_the_client_s_order_of_forms_decides(discovery: Discovery) -> None:
    assert page(discovery, "/apis", accept="application/json," + AGGREGATED)["kind"] == "APIGroupList"
    assert page(discovery, "/apis", accept=AGGREGATED.replace("v=v2", "v=v9"))["kind"] == "APIGroupList"
    assert answer(discovery, "/apis/apps/v1", accept="application/yaml").content_type == b"application/yaml"
    with pytest.raises(NotAcceptable):
        answer(discovery, "/api/v1", accept="application/json;as=Table;v=v1;g=meta.k8s.io")


def test_versions_are_sorted_as_kubernetes_prefers_them() -> None:
    given = ["v1alpha1", "foo", "v10", "v2", "v1beta2", "v1beta10", "v11alpha2", "bar"]
    # beta before alpha, then the greater number, as upstream's CompareKubeAwareVersionStrings
    assert sorted(given, key=version_rank) == ["v10", "v2", "v1beta10", "v1beta2", "v11alpha2", "v1alpha1", "bar", "foo"]
