"""Bodies of any kind get an answer: never the server's own failure, never a hang."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.shapes import GOOD, OBJECTS, TREES, nearly, torn
from fuzz.world import SOME, World, bounded, world
from sampan.api import codec, protobuf
from sampan.api.core.v1 import ConfigMap, Pod, Service

pytestmark = [pytest.mark.slow, pytest.mark.soak]
server = pytest.fixture(world, scope="module")
PATHS = {"configmaps": SOME[0], "pods": SOME[1], "services": SOME[2], "deployments": SOME[3], "customresourcedefinitions": SOME[4], "widgets": SOME[5]}
PATCHES = ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
VALIDATION = st.sampled_from(["", "&fieldValidation=Strict", "&fieldValidation=Ignore", "&fieldValidation=Warn"])
DRY = "?dryRun=All"
WIRES: list[tuple[str, type[Any]]] = [("configmaps", ConfigMap), ("pods", Pod), ("services", Service)]


def lists_read(server: World, plural: str) -> None:
    """What was written can be read in every form."""
    for accept in ("application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io",
                   "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"):
        assert server.ask("GET", PATHS[plural], headers={"accept": accept}).code == 200
    if plural not in ("widgets", "customresourcedefinitions"):
        assert server.ask("GET", PATHS[plural], headers={"accept": "application/vnd.kubernetes.protobuf"}).code == 200


@pytest.mark.parametrize("plural", PATHS)
def test_objects_that_are_nearly_right(server: World, plural: str) -> None:
    @bounded(60)
    @given(nearly(GOOD[plural]), VALIDATION)
    def check(body: dict[str, Any], validation: str) -> None:
        server.ask("POST", f"{PATHS[plural]}{DRY}{validation}", codec.encode(body))
        # and in earnest: what was taken can be read, written again and deleted
        made = server.ask("POST", PATHS[plural], codec.encode(body))
        if made.code == 201:
            name = made.value["metadata"]["name"]
            lists_read(server, plural)
            again = server.ask("PUT", f"{PATHS[plural]}/{name}", made.body)
            # a definition's own controller may have written in between; an endless finalizer may not be set anew
            assert again.code in ((200, 409, 422) if plural == "customresourcedefinitions" else (200, 422)), again.body
            server.ask("PATCH", f"{PATHS[plural]}/{name}", b'{"metadata":{"finalizers":null}}', {"content-type": PATCHES[0]})
            assert server.ask("DELETE", f"{PATHS[plural]}/{name}?gracePeriodSeconds=0").code in (200, 202, 404)

    check()


@pytest.mark.parametrize("plural", PATHS)
def test_patches_of_any_shape(server: World, plural: str) -> None:
    good, path = GOOD[plural], PATHS[plural]
    name = good["metadata"]["name"]
    server.ask("POST", path, codec.encode(good))

    @bounded(60)
    @given(st.one_of(OBJECTS, TREES, nearly(good)), st.sampled_from(PATCHES), VALIDATION, st.booleans())
    def check(body: Any, kind: str, validation: str, status: bool) -> None:
        tail = f"/status{DRY}" if status else DRY
        server.ask("PATCH", f"{path}/{name}{tail}&fieldManager=fuzz&force=true{validation}", codec.encode(body), {"content-type": kind})

    check()
    server.ask("DELETE", f"{path}/{name}?gracePeriodSeconds=0")


POINTERS = st.one_of(
    st.sampled_from(["", "/", "/metadata", "/metadata/labels/x", "/metadata/name", "/data/k", "/data", "/spec/ports/0", "/spec/ports/-", "/spec/ports/-1", "/kind",
                     "/spec/ports/99999999999999999999", "/a~1b", "/a~0b", "/a~2b", "//", "data", "/spec/containers/0/env/-", "/metadata/managedFields"]),
    st.text("/~01abc-", max_size=10))
OPERATIONS = st.lists(st.one_of(TREES, st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "nothing", None]), "path": st.one_of(POINTERS, TREES)},
    optional={"value": TREES, "from": st.one_of(POINTERS, TREES), "other": TREES})), max_size=5)


@pytest.mark.parametrize("plural", ["configmaps", "services", "widgets"])
def test_json_patches_of_any_shape(server: World, plural: str) -> None:
    good, path = GOOD[plural], PATHS[plural]
    server.ask("POST", path, codec.encode(good))

    @bounded(120)
    @given(st.one_of(OPERATIONS, TREES))
    def check(body: Any) -> None:
        server.ask("PATCH", f"{path}/a{DRY}", codec.encode(body), {"content-type": "application/json-patch+json"})

    check()
    server.ask("DELETE", f"{path}/a")


@pytest.mark.parametrize("plural", ["pods", "customresourcedefinitions", "widgets"])
def test_torn_json(server: World, plural: str) -> None:
    @bounded(80)
    @given(torn(codec.encode(GOOD[plural])))
    def check(body: bytes) -> None:
        server.ask("POST", PATHS[plural] + DRY, body)

    check()


def yaml_of(value: Any) -> bytes:
    import yaml

    return yaml.safe_dump(value).encode()


@pytest.mark.parametrize("plural", ["pods", "widgets"])
def test_torn_yaml(server: World, plural: str) -> None:
    extra = b"\nx: &a [1e999, .inf, .nan, 0x, 1:30, 2020-01-01, !!set {a}, !!binary x, ~, =, <<, !!omap [a: 1], !t y]\ny: *a\n? [k]\n: v\n"

    @bounded(100)
    @given(st.one_of(torn(yaml_of(GOOD[plural])), torn(yaml_of(GOOD[plural]) + extra)), st.sampled_from(["POST", "PATCH"]))
    def check(body: bytes, method: str) -> None:
        if method == "POST":
            server.ask("POST", PATHS[plural] + DRY, body, {"content-type": "application/yaml"})
        else:
            server.ask("PATCH", f"{PATHS[plural]}/a{DRY}&fieldManager=f", body, {"content-type": PATCHES[2]})

    check()


@pytest.mark.parametrize(("plural", "wire"), WIRES)
def test_torn_protobuf(server: World, plural: str, wire: type[Any]) -> None:
    body = protobuf.encode(codec.convert(wire, GOOD[plural] | {"metadata": {"name": "proto", "labels": {"a": "b"}}}))

    @bounded(150)
    @given(st.one_of(torn(body), st.binary(max_size=60).map(lambda tail: b"k8s\0" + tail)))
    def check(sent: bytes) -> None:
        server.ask("POST", PATHS[plural] + DRY, sent, {"content-type": "application/vnd.kubernetes.protobuf"})

    assert server.ask("POST", PATHS[plural] + DRY, body, {"content-type": "application/vnd.kubernetes.protobuf"}).code == 201
    check()


@bounded(60)
@given(body=st.one_of(TREES.map(codec.encode), st.binary(max_size=40)), path=st.sampled_from(
    [f"{SOME[1]}/a/eviction", f"{SOME[1]}/a/binding", f"{SOME[3]}/a/scale", f"{SOME[5]}/a/scale", f"{SOME[1]}/a/resize", f"{SOME[1]}/a/ephemeralcontainers",
     "/api/v1/namespaces/default/serviceaccounts/default/token", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
     "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "/api/v1/namespaces/default/finalize"]),
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]))
def test_subresources_and_reviews_take_anything(server: World, body: bytes, path: str, method: str) -> None:
    server.ask(method, path, body, {"content-type": "application/json" if method != "PATCH" else PATCHES[0]})


@bounded(80)
@given(body=st.one_of(TREES.map(codec.encode), st.binary(max_size=40), st.fixed_dictionaries({}, optional={
    "kind": TREES, "apiVersion": TREES, "gracePeriodSeconds": TREES, "propagationPolicy": TREES, "orphanDependents": TREES, "dryRun": TREES,
    "preconditions": st.one_of(TREES, st.fixed_dictionaries({}, optional={"uid": TREES, "resourceVersion": TREES}))}).map(codec.encode)),
    path=st.sampled_from([*SOME, *(f"{path}/none" for path in SOME)]))
def test_options_of_deletions_take_anything(server: World, body: bytes, path: str) -> None:
    if not path.endswith("customresourcedefinitions"):
        server.ask("DELETE", path, body)
