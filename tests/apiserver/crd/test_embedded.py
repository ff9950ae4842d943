"""Objects within objects."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.crd.embedded import coerce, validate
from sampan.apiserver.crd.node import compile_schema

NODE = compile_schema({"type": "object", "properties": {
    "e": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    "many": {"type": "array", "items": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}}}})


def embedded(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}} | more


def test_what_is_an_object_is_let_be() -> None:
    obj = {"e": embedded(), "many": [embedded(), embedded(metadata={"name": "b", "labels": {"x": "y"}})]}
    assert coerce(obj, NODE) == []
    assert validate(obj, NODE) == []


@pytest.mark.parametrize(("change", "path"), [
    ({"kind": ""}, "e.kind"), ({"apiVersion": ""}, "e.apiVersion"), ({"apiVersion": "a/b/c"}, "e.apiVersion"),
    ({"metadata": {"name": "a", "labels": {"not a key": "v"}}}, "e.metadata.labels"),
])
def test_what_is_none_is_refused_where_it_stands(change: dict[str, Any], path: str) -> None:
    assert path in {one.field for one in validate({"e": embedded(**change)}, NODE)}


def test_unknown_fields_of_its_metadata_go() -> None:
    obj = {"e": embedded(metadata={"name": "a", "nothing": 1})}
    assert coerce(obj, NODE) == ["e.metadata.nothing"]
    assert obj["e"]["metadata"]["name"] == "a"
    assert "nothing" not in obj["e"]["metadata"]
