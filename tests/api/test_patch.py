"""Patches of the three kinds, on dicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import codec, patch, schema
from sampan.api.errors import ApiError, BadRequest, OtherStatus, RequestEntityTooLarge, UnsupportedMediaType
from sampan.api.resources import PODS

POD = schema.of_resource(PODS)
values = st.recursive(st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from("xy"),
                      lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def apply(content_type: str, tree: Any, body: Any) -> Any:
    return patch.parse(content_type, json.dumps(body).encode(), POD).apply(json.loads(json.dumps(tree)))


# ---- JSON patch


@pytest.mark.parametrize(("operations", "expected"), [
    ([{"op": "add", "path": "/l/-", "value": 9}], {"l": [1, 2, 9], "m": {"a/b": 1}}),
    ([{"op": "add", "path": "/l/0", "value": 9}], {"l": [9, 1, 2], "m": {"a/b": 1}}),
    ([{"op": "remove", "path": "/l/-1"}], {"l": [1], "m": {"a/b": 1}}),
    ([{"op": "replace", "path": "/m/a~1b", "value": 2}], {"l": [1, 2], "m": {"a/b": 2}}),
    ([{"op": "replace", "path": "/m/new", "value": 2}], {"l": [1, 2], "m": {"a/b": 1, "new": 2}}),
    ([{"op": "move", "from": "/m", "path": "/n"}], {"l": [1, 2], "n": {"a/b": 1}}),
    ([{"op": "copy", "from": "/l", "path": "/m/l"}, {"op": "add", "path": "/m/l/-", "value": 3}], {"l": [1, 2], "m": {"a/b": 1, "l": [1, 2, 3]}}),
    ([{"op": "test", "path": "/l/0", "value": 1}, {"op": "test", "path": "/none", "value": None}], {"l": [1, 2], "m": {"a/b": 1}}),
])
def test_operations_are_carried_out(operations: list[Any], expected: Any) -> None:
    assert apply(patch.JSON, {"l": [1, 2], "m": {"a/b": 1}}, operations) == expected


@pytest.mark.parametrize("operation", [
    {"op": "test", "path": "/l/0", "value": True}, {"op": "remove", "path": "/none"}, {"op": "add", "path": "/no/parent", "value": 1},
    {"op": "fly", "path": "/l"}, {"op": "add", "path": "/l/3", "value": 1}, {"op": "add", "path": "", "value": 1}, {"op": "add"},
    {"op": "move", "path": "/l"}, {"op": "remove", "path": "/l/x"}, {"op": "replace", "path": "", "value": 1},
])
def test_what_does_not_apply_is_a_422_with_a_constant_message(operation: Any) -> None:
    with pytest.raises(patch.Unprocessable) as caught:
        apply(patch.JSON, {"l": [1, 2]}, [operation])
    assert caught.value.status()["message"] == "the server rejected our request due to an error in our request"
    assert (caught.value.code, caught.value.reason, caught.value.details) == (422, "Invalid", {})


@pytest.mark.parametrize(("body", "words"), [
    (b'{"op":"add"}', "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
    (b"[1]", "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
    (b'[{"op":1}]', "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
    (b"[{bad", "error decoding patch: invalid character 'b' looking for beginning of object key string"),
    (b"[" * 20_000, "error decoding patch: invalid character '{' exceeded max depth"),
])
def test_a_body_that_is_no_json_patch_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        patch.parse(patch.JSON, body, POD)
    assert caught.value.message == words


def test_copying_is_bounded() -> None:
    copies = [{"op": "copy", "from": "/a", "path": f"/c{index}"} for index in range(4_000)]
    with pytest.raises(patch.Unprocessable) as caught:
        apply(patch.JSON, {"a": "x" * 1_000}, copies)
    assert "accumulated size" in caught.value.why


def test_too_many_operations_are_too_large() -> None:
    with pytest.raises(RequestEntityTooLarge, match="The allowed maximum operations in a JSON patch is 10000, got 10001"):
        apply(patch.JSON, {}, [{"op": "test", "path": "/a"}] * 10_001)


def test_members_that_mean_nothing_and_repeated_ones_are_told_of() -> None:
    parsed = patch.parse(patch.JSON, b'[{"op":"test","path":"/a","path":"/b","foo":1}]', POD)
    assert parsed.problems == ['json patch duplicate field "[0].path"', 'json patch unknown field "[0].foo"']


@given(objects, st.lists(st.fixed_dictionaries({"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
                                                "path": st.sampled_from(["", "/a", "/b/0", "/a/b", "/c/-", "/a/b/c"])},
                                               optional={"value": values, "from": st.sampled_from(["/a", "/b", "/a/b"])}), max_size=3))
def test_any_patch_applies_or_is_refused_and_applies_alike_again(tree: Any, operations: Any) -> None:
    parsed = patch.parse(patch.JSON, json.dumps(operations).encode(), POD)
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(parsed.apply(json.loads(json.dumps(tree))))
        except patch.Unprocessable as error:
            outcomes.append(error.why)
    assert outcomes[0] == outcomes[1]


# ---- merge patch


def test_a_merge_patch_replaces_lists_and_removes_by_null() -> None:
    assert apply(patch.MERGE, {"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"b": None, "c": [None, {"x": None}]}, "d": None, "e": {"f": None}}) == {
        "a": {"c": [None, {}]}, "e": {}}


@given(objects, objects)
def test_a_merge_patch_applied_twice_is_applied_once(tree: Any, body: Any) -> None:
    once = apply(patch.MERGE, tree, body)
    assert apply(patch.MERGE, once, body) == once


@pytest.mark.parametrize(("content_type", "body", "words"), [
    (patch.MERGE, b"[]", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
    (patch.MERGE, b"", "error decoding patch: unexpected end of JSON input"),
    (patch.STRATEGIC, b"{bad", "invalid character 'b' looking for beginning of object key string"),
])
def test_a_body_that_is_no_object_is_refused(content_type: str, body: bytes, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        patch.parse(content_type, body, POD)
    assert caught.value.message == words


def test_custom_resources_have_no_strategic_merge() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"accepted media types include: application/json-patch\+json, application/merge"):
        patch.parse(patch.STRATEGIC, b"{}", None)


# ---- strategic merge patch

WEB = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}], "tolerations": [{"key": "x"}],
                "volumes": [{"name": "v", "emptyDir": {}}]}, "metadata": {"finalizers": ["f", "g"], "labels": {"x": "1"}}}


def spec(body: Any) -> Any:
    return apply(patch.STRATEGIC, WEB, {"spec": body})["spec"]


def test_lists_merge_by_their_key_and_others_are_replaced() -> None:
    assert spec({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]})["containers"] == [
        {"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}]
    assert spec({"tolerations": [{"key": "y"}]})["tolerations"] == [{"key": "y"}]


def test_directives_delete_replace_order_and_retain() -> None:
    assert spec({"containers": [{"name": "a", "$patch": "delete"}]})["containers"] == [{"name": "b", "image": "1"}]
    assert spec({"containers": [{"name": "z"}, {"$patch": "replace"}]})["containers"] == [{"name": "z"}]
    assert spec({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})["containers"] == [
        {"name": "b", "image": "1"}, {"name": "a", "image": "1"}]
    assert spec({"$patch": "replace", "nodeName": "n"}) == {"nodeName": "n"}
    assert spec({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]})["volumes"] == [
        {"name": "v", "hostPath": {"path": "/"}}]
    meta = apply(patch.STRATEGIC, WEB, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["f"]}})["metadata"]
    assert meta["finalizers"] == ["g"]


def test_a_renamed_container_keeps_its_place_as_upstream_keeps_it() -> None:
    body = {"containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}], "$setElementOrder/containers": [{"name": "c"}]}
    assert [item["name"] for item in spec(body)["containers"]] == ["b", "c"]


@pytest.mark.parametrize(("body", "code", "words"), [
    ({"containers": [{"image": "x"}]}, 500, "map: map[image:x] does not contain declared merge key: name"),
    ({"containers": [{"name": "a", "$patch": "fly"}]}, 500, "unknown patch type: fly in map: map[$patch:fly name:a]"),
    ({"$patch": "fly"}, 500, "unknown patch type: fly in map: map[$patch:fly]"),
    ({"$retainKeys": ["a"], "nodeName": "n"}, 400, "invalid patch format of retainKeys"),
    ({"$setElementOrder/containers": {}}, 500, "expected a []interface {}, but received a map[string]interface {}"),
    ({"containers": [{"name": "a"}, "x"]}, 500, "list element types are not identical: [[map[image:1 name:a] map[image:1 name:b]] [map[name:a] x]]"),
])
def test_patches_that_make_no_sense_are_refused_as_upstream_refuses_them(body: Any, code: int, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        spec(body)
    assert (caught.value.code, caught.value.message) == (code, words)
    assert isinstance(caught.value, OtherStatus | BadRequest)


names = st.lists(st.sampled_from("pqrs"), unique=True, max_size=4)


@given(names, names)
def test_a_strategic_merge_keeps_every_key_once(live: list[str], wanted: list[str]) -> None:
    tree = {"spec": {"containers": [{"name": name, "image": "old"} for name in live]}}
    body = {"spec": {"containers": [{"name": name, "image": "new"} for name in wanted]}}
    found = apply(patch.STRATEGIC, tree, body)["spec"]["containers"]
    assert sorted(item["name"] for item in found) == sorted({*live, *wanted})
    assert [item["name"] for item in found if item["name"] in wanted] == wanted
    assert all((item["image"] == "new") == (item["name"] in wanted) for item in found)


# ---- what messages show


@pytest.mark.parametrize(("content_type", "body", "expected"), [
    (patch.MERGE, {"z": {"b": 1}}, '{"a": {"y": 1, "x": 2}, "l": [{"q": 1, "p": 2}], "z": {"b": 1, "c": 3}}'),
    (patch.MERGE, {"l": [{"q": 1, "p": 2}]}, '{"a": {"y": 1, "x": 2}, "l": [{"p": 2, "q": 1}], "z": {"c": 3, "b": 1}}'),
    (patch.JSON, [{"op": "test", "path": "/a/y", "value": 1}], '{"a": {"x": 2, "y": 1}, "l": [{"q": 1, "p": 2}], "z": {"c": 3, "b": 1}}'),
    (patch.JSON, [{"op": "add", "path": "/l/0/q", "value": 1}], '{"a": {"y": 1, "x": 2}, "l": [{"p": 2, "q": 1}], "z": {"c": 3, "b": 1}}'),
])
def test_what_a_patch_has_gone_through_is_shown_in_order(content_type: str, body: Any, expected: str) -> None:
    tree = {"z": {"c": 3, "b": 1}, "a": {"y": 1, "x": 2}, "l": [{"q": 1, "p": 2}]}
    assert patch.parse(content_type, json.dumps(body).encode(), POD).told(tree) == json.dumps(json.loads(expected), separators=(",", ":"))


def test_of_a_strategic_merge_patch_the_patch_is_shown() -> None:
    body = b'{"spec":{"replicas":"x","b":[1,null,true]},"metadata":{}}'
    assert patch.parse(patch.STRATEGIC, body, POD).told({}) == "map[metadata:map[] spec:map[b:[1 <nil> true] replicas:x]]"


def test_nothing_is_no_merge_patch() -> None:
    with pytest.raises(BadRequest, match="Invalid JSON Patch"):
        patch.parse(patch.MERGE, b"null", POD)


# ---- trees that are opened as far as a patch looks


@given(objects, objects)
def test_a_merge_patch_of_what_it_opens_is_that_of_the_whole(tree: dict[str, Any], change: dict[str, Any]) -> None:
    tree |= {"filling": "x" * patch.WORTH_OPENING_BYTES}
    parsed = patch.parse(patch.MERGE, json.dumps(change).encode(), None)
    opened = parsed.apply(parsed.tree(json.dumps(tree).encode(), {}))
    again = parsed.apply(parsed.tree(json.dumps(tree).encode(), {"a": None}))
    assert codec.to_builtins(opened) == codec.to_builtins(again) == apply(patch.MERGE, tree, change)


LIVE = {"kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}, "finalizers": ["a/b", "c/d"]},
        "filling": "x" * patch.WORTH_OPENING_BYTES, "spec": {"nodeSelector": {"x": "y"}, "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}], "tolerations": [{"key": "k"}]},
        "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}]}}


@pytest.mark.parametrize("change", [
    {"metadata": {"labels": {"x": None, "z": "1"}}},
    {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}},
    {"metadata": {"labels": {"$patch": "replace", "n": "1"}}},
    {"metadata": {"labels": 5}, "kind": {"x": 1}},
    {"status": {"$setElementOrder/conditions": [{"type": "Other"}, {"type": "Ready"}], "conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}},
    {"status": {"$setElementOrder/conditions": [{"type": "Other"}, {"type": "Ready"}]}},
    {"spec": {"containers": [{"name": "b", "$patch": "delete"}, {"name": "c", "image": "k"}]}},
    {"spec": {"$retainKeys": ["containers"], "containers": [{"name": "a", "image": "new"}]}},
    {"spec": {"nodeSelector": None, "tolerations": [{"key": "n"}]}},
    {"$patch": "replace", "spec": {"x": "y"}},
    {"spec": None, "status": {}},
])
def test_a_strategic_patch_of_what_it_opens_is_that_of_the_whole(change: Any) -> None:
    parsed = patch.parse(patch.STRATEGIC, json.dumps(change).encode(), POD)
    assert codec.to_builtins(parsed.apply(parsed.tree(json.dumps(LIVE).encode(), {}))) == apply(patch.STRATEGIC, LIVE, change)
