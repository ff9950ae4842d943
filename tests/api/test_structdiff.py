"""What the walk over two Structs tells is what the walk over their JSON tells."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sampan.api import codec, goprint, schema, structdiff, typed
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, PODS, SERVICES
from sampan.api.typed import ABSENT, TypedError

CONTAINER: dict[str, Any] = {"name": "a", "image": "i"}
SPECS: list[dict[str, Any]] = [
    {},
    {"containers": []},
    {"containers": [CONTAINER]},
    {"containers": [CONTAINER | {"name": "not.alnum", "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]}]},
    {"containers": [CONTAINER | {"env": [{"name": "E", "value": "1"}], "resources": {"requests": {"cpu": "1"}}}, CONTAINER | {"name": "b"}]},
    {"containers": [CONTAINER | {"env": [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]}]},
    {"containers": [CONTAINER | {"env": [{"name": "E", "value": "3"}, {"name": "E", "value": "4"}], "command": ["sh"], "args": []}]},
    {"containers": [CONTAINER], "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}], "hostNetwork": True, "priority": 0},
    {"containers": [CONTAINER], "nodeSelector": {"a": "c", "d": "e"}, "volumes": [{"name": "v", "emptyDir": {}}], "terminationGracePeriodSeconds": 5},
    {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}], "affinity": {"nodeAffinity": {}}, "securityContext": {}},
    {"containers": [CONTAINER], "imagePullSecrets": [{}], "securityContext": {"runAsUser": 0, "sysctls": [{"name": "s", "value": "v"}]}},
    {"containers": [CONTAINER], "imagePullSecrets": [{"name": "s"}], "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]},
]
POD, DEPLOYMENT, SERVICE, DEFINITION = (schema.of_resource(one) for one in (PODS, DEPLOYMENTS, SERVICES, CUSTOM_RESOURCE_DEFINITIONS))


def told(resource: Resource[Any], old: dict[str, Any], new: dict[str, Any]) -> tuple[Any, Any]:
    """By the walk over Structs, by the walk over their trees."""
    shape = schema.of_resource(resource)
    assert shape is not None
    left, right = (codec.convert(resource.wire, one) for one in (old, new))
    if left == right:
        return None, None
    return structdiff.nodes(shape, left, right), typed.nodes(shape, codec.to_builtins(left), codec.to_builtins(right))


@given(st.integers(0, len(SPECS) - 1), st.integers(0, len(SPECS) - 1))
def test_pods_and_templates_differ_as_their_json_does(one: int, other: int) -> None:
    found, expected = told(PODS, {"spec": SPECS[one]}, {"spec": SPECS[other]})
    assert found == expected
    template: list[dict[str, Any]] = [{"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": SPECS[number]}}} for number in (one, other)]
    found, expected = told(DEPLOYMENTS, template[0], template[1])
    assert found == expected


@pytest.mark.parametrize(("old", "new"), [
    ({"spec": {"finalizers": ["a"]}}, {"spec": {"finalizers": ["a", "b"]}}),
    ({"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 80, "protocol": "UDP"}]}}),
    ({"spec": {"ports": [{"port": 80, "name": "a"}], "clusterIPs": ["10.0.0.1"]}}, {"spec": {"clusterIPs": []}}),
    ({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": None, "reason": "r", "message": ""}]}},
     {"status": {"conditions": [{"type": "A", "status": "False", "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": "r", "message": ""}]}}),
    ({}, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ports": [{"port": 1, "protocol": "TCP"}]}]}}}),
])
def test_services_differ_as_their_json_does(old: dict[str, Any], new: dict[str, Any]) -> None:
    old, new = ({key: value for key, value in one.items() if "finalizers" not in value} for one in (old, new))
    found, expected = told(SERVICES, old, new)
    assert found == expected


def test_json_that_is_carried_along_is_the_same_in_other_words() -> None:
    # given a default in a schema, which is any JSON, twice the same but for the blanks
    def tree(default: str) -> Any:
        properties = b'{"a":{"type":"object","default":%b},"not":{"not":{"type":"string"}}}' % default.encode()
        text = b'{"spec":{"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"properties":%b}}}]}}' % properties
        return codec.decode(CUSTOM_RESOURCE_DEFINITIONS.wire, text)

    assert DEFINITION is not None
    old, same, other = tree('{"b":1}'), tree('{"b": 1}'), tree('{"b": 2}')
    # then
    for new in (same, other):
        assert structdiff.nodes(DEFINITION, old, new) == typed.nodes(DEFINITION, codec.to_builtins(old), codec.to_builtins(new))


def test_a_value_that_is_there_on_one_side_alone_is_told_whole() -> None:
    assert POD is not None
    shape = POD.fields["spec"].shape
    for spec in SPECS:
        value = codec.convert(PODS.wire, {"spec": spec}).spec
        assert structdiff.whole(shape, value, leaf=False) == typed.nodes(shape, ABSENT, codec.to_builtins(value))[0]


def test_fields_that_don_t_count_may_be_all_but_one_or_all() -> None:
    assert SERVICE is not None
    service = codec.convert(SERVICES.wire, {"spec": {"type": "NodePort"}})
    everything = frozenset(("kind", "apiVersion", "metadata", "spec", "status"))
    assert structdiff.plan(SERVICES.wire, SERVICE, everything).values(service) == ()
    assert structdiff.plan(SERVICES.wire, SERVICE, everything - {"spec"}).values(service) == (service.spec,)
    assert structdiff.since_fresh(SERVICE, SERVICES.wire(), service, everything) == (({}, {}, {}), ())


def conditions(*found: tuple[str, str]) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status} for kind, status in found]}}


kinds = st.lists(st.tuples(st.sampled_from(["Ready", "a b", 'a"<b', "", "\u00e9"]), st.sampled_from(["True", "False"])), max_size=4)


@given(kinds, kinds)
def test_items_with_any_text_for_a_key_differ_as_their_json_does(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    found, expected = told(PODS, conditions(*one), conditions(*other))
    assert found == expected


@given(st.text())
def test_a_text_is_a_key_as_any_json_is(text: str) -> None:
    assume(not any("\ud800" <= letter <= "\udfff" for letter in text))
    assert typed.text_key("name", text) == "k:" + goprint.compact({"name": text})


def test_an_item_of_a_keyed_list_needs_a_key() -> None:
    assert POD is not None
    conditions = POD.fields["metadata"].shape.fields["ownerReferences"].shape
    owner = codec.convert(PODS.wire, {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}}).metadata.ownerReferences[0]
    assert structdiff.changed(conditions, ABSENT, [owner], leaf=False)[0] == typed.nodes(conditions, ABSENT, codec.to_builtins([owner]))[0]
    names = POD.fields["metadata"].shape.fields["finalizers"].shape
    with pytest.raises(TypedError, match="map type"):
        structdiff.changed(names, [], [owner], leaf=False)
