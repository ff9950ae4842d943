"""Unknown fields go, and are told of by their paths."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.crd.node import compile_schema
from sampan.apiserver.crd.pruning import prune

KEEP = {"x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(("schema", "obj", "left", "gone"), [
    ({"properties": {"a": {"type": "integer"}}}, {"a": 1, "b": 2}, {"a": 1}, ["b"]),
    ({"properties": {"a": {"type": "object", "properties": {"x": {}}}}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, ["a.y"]),
    ({"properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"x": {}}}}}}, {"a": [{"x": 1}, {"y": 2}]}, {"a": [{"x": 1}, {}]}, ["a[1].y"]),
    ({"properties": {"a": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {}}}}}}, {"a": {"k": {"y": 1}}}, {"a": {"k": {}}}, ["a.k.y"]),
    (KEEP | {"properties": {"a": {"type": "object", "properties": {"x": {}}}}}, {"b": 1, "a": {"y": 1}}, {"b": 1, "a": {}}, ["a.y"]),
    ({"properties": {"a": {"type": "object"} | KEEP}}, {"a": {"any": {"thing": 1}}}, {"a": {"any": {"thing": 1}}}, []),
    ({"properties": {}}, {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "c": 1}, {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}}, ["c"]),
])
def test_only_what_the_schema_names_stays(schema: dict[str, Any], obj: Any, left: Any, gone: list[str]) -> None:
    assert prune(obj, compile_schema({"type": "object"} | schema)) == gone
    assert obj == left


def test_embedded_objects_keep_what_every_object_has() -> None:
    node = compile_schema({"type": "object", "properties": {"e": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"} | KEEP}}}})
    obj = {"e": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"x": 1}, "other": 1}}
    assert prune(obj, node) == ["e.other"]
    assert sorted(obj["e"]) == ["apiVersion", "kind", "metadata", "spec"]
