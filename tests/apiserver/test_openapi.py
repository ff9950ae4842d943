"""OpenAPI documents: what kubectl and client generators read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sampan.api.errors import NotAcceptable
from sampan.api.resourceinfo import Resource, Subresource
from sampan.apiserver import kindtable
from sampan.apiserver.catalog import Served
from sampan.apiserver.openapi import descriptions
from sampan.apiserver.openapi.documents import Documents
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer
from sampan.kinds.kind import Kind

GEARS: Resource[Any] = Resource(
    "gears.example.com", "v1", "gears", "Gear", "gear", True,
    subresources=(Subresource("scale", "autoscaling/v1", "Scale", ("get", "patch", "update")),
                  Subresource("status", "gears.example.com/v1", "Gear", ("get", "patch", "update"))))
TEETH = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"teeth": {"type": "integer"}}}}}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"


def documents() -> Documents:
    return Documents(kindtable.catalog(), "v1.36.0")


def answer(made: Documents, path: str, accept: str = "", if_none_match: str = "", *, hash: str = "") -> Answer:
    headers = {"accept": accept, "if-none-match": if_none_match}
    info = RequestInfo("GET", path, {"hash": [hash]} if hash else {}, headers, "get")
    return asyncio.run(made.answer(info))


def read(made: Documents, path: str) -> Any:
    return json.loads(answer(made, path).joined())


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_index_leads_to_every_group_version_by_its_hash() -> None:
    made = documents()
    page = answer(made, "/openapi/v3")
    assert page.content_type == b"text/plain; charset=utf-8"
    paths = json.loads(page.joined())["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v2"} <= paths.keys()
    path, _, digest = paths["api/v1"]["serverRelativeURL"].partition("?hash=")
    assert answer(made, path, hash=digest).code == 200
    moved = answer(made, path, hash="old")
    assert (moved.code, dict(moved.headers)[b"location"].decode()) == (301, f"{path}?hash={digest}")


@pytest.mark.parametrize("key", ["api/v1", "apis/apps/v1", "apis/batch/v1", "apis/apiextensions.k8s.io/v1", "apis/resource.k8s.io/v1"])
def test_every_reference_leads_somewhere_and_operations_have_names_of_their_own(key: str) -> None:
    document = read(documents(), f"/openapi/v3/{key}")
    assert references(document) <= document["components"]["schemas"].keys()
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values() if isinstance(operation, dict)]
    assert len(names) == len(set(names)) > 0


def test_an_operation_is_upstream_s() -> None:
    read_lease = read(documents(), "/openapi/v3/apis/coordination.k8s.io/v1")["paths"][LEASE]["get"]
    assert read_lease["operationId"] == "readCoordinationV1NamespacedLease"
    assert read_lease["tags"] == ["coordination_v1"]
    assert read_lease["x-kubernetes-group-version-kind"] == {"group": "coordination.k8s.io", "kind": "Lease", "version": "v1"}
    assert list(read_lease["responses"]["200"]["content"]) == ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"]


def test_kubectl_finds_out_that_the_server_validates_fields() -> None:
    patch = read(documents(), "/openapi/v3/apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= {parameter["name"] for parameter in patch["parameters"]}


def test_schemas_have_what_patches_and_applies_go_by() -> None:
    schemas = read(documents(), "/openapi/v3/api/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert schemas["io.k8s.api.core.v1.PodSpec"]["required"] == ["containers"]
    assert schemas["io.k8s.api.core.v1.Container"]["properties"]["name"]["default"] == ""
    assert schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"] == {"oneOf": [{"type": "string"}, {"type": "number"}]}


def test_a_custom_resource_changes_its_own_document_only() -> None:
    # given
    catalog = kindtable.catalog()
    made = Documents(catalog, "v1.36.0")
    before = read(made, "/openapi/v3")["paths"]
    # when
    catalog.add(Served(GEARS, Kind(resource=GEARS), GEARS, custom=SimpleNamespace(schema=TEETH, list_kind="GearList")))
    # then
    after = read(made, "/openapi/v3")["paths"]
    assert {key: after[key] for key in before} == before
    document = read(made, "/openapi/v3/apis/gears.example.com/v1")
    gear = document["components"]["schemas"]["com.example.gears.v1.Gear"]
    assert gear["properties"]["spec"]["properties"] == {"teeth": {"type": "integer"}}
    assert gear["properties"]["kind"]["type"] == "string"
    assert gear["x-kubernetes-group-version-kind"] == [{"group": "gears.example.com", "kind": "Gear", "version": "v1"}]
    patch = document["paths"]["/apis/gears.example.com/v1/namespaces/{namespace}/gears/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert references(document) <= document["components"]["schemas"].keys()


def test_v2_is_swagger_with_plain_references() -> None:
    made = documents()
    document = read(made, "/openapi/v2")
    assert document["swagger"] == "2.0"
    pod = document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]
    assert pod["spec"] == {"$ref": "#/definitions/io.k8s.api.core.v1.PodSpec"}
    assert document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] == "string"
    create = document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert create["parameters"][0] == {"name": "body", "in": "body", "required": True,
                                       "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"}}
    assert references(document) <= document["definitions"].keys()


def test_an_unchanged_document_is_not_sent_again_and_v3_is_json_only() -> None:
    made = documents()
    page = answer(made, "/openapi/v2")
    assert answer(made, "/openapi/v2", if_none_match=dict(page.headers)[b"etag"].decode()).code == 304
    with pytest.raises(NotAcceptable):
        answer(made, "/openapi/v3/api/v1", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf")
    assert answer(made, "/openapi/v3/apis/nothing/v1").code == 404


def test_lists_in_ephemeral_containers_are_merged_as_in_others() -> None:
    ephemeral = read(documents(), "/openapi/v3/api/v1")["components"]["schemas"]["io.k8s.api.core.v1.EphemeralContainer"]
    assert ephemeral["required"] == ["name"]
    assert ephemeral["properties"]["ports"]["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]


def test_connections_have_their_options_and_proxies_paths_below_them() -> None:
    paths = read(documents(), "/openapi/v3/api/v1")["paths"]
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    options = {parameter["name"]: parameter["schema"]["type"] for parameter in paths[f"{pod}/exec"]["post"]["parameters"]}
    assert options == {"command": "string", "container": "string", "stderr": "boolean", "stdin": "boolean", "stdout": "boolean",
                       "tty": "boolean"}
    below = paths[f"{pod}/proxy/{{path}}"]
    assert below["get"]["operationId"] == "connectCoreV1GetNamespacedPodProxyWithPath"
    assert below["parameters"][-1]["name"] == "path"


def test_descriptions_are_taken_from_where_they_are(tmp_path: Path) -> None:
    # given
    file = tmp_path / "_definitions.json"
    file.write_text(json.dumps({"$defs": {"io.k8s.api.core.v1.Pod": {"description": "a pod", "properties": {
        "spec": {"description": "what is wanted"}, "kind": {"type": "string"}}}}}))
    # when
    made = Documents(kindtable.catalog(), "v1.36.0", lambda: descriptions.read(file))
    # then
    pod = read(made, "/openapi/v3/api/v1")["components"]["schemas"]["io.k8s.api.core.v1.Pod"]
    assert pod["description"] == "a pod"
    assert pod["properties"]["spec"]["description"] == "what is wanted"
    assert "description" not in pod["properties"]["kind"]
    assert read(made, "/openapi/v2")["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["description"] == "what is wanted"


def test_without_a_package_there_are_no_descriptions() -> None:
    assert descriptions.find("0.0") is None
    assert descriptions.read(None) == {}
