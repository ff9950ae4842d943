"""Defaults of structural schemas."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.crd.defaults import fill
from sampan.apiserver.crd.node import compile_schema


@pytest.mark.parametrize(("properties", "obj", "filled"), [
    ({"a": {"type": "string", "default": "x"}}, {}, {"a": "x"}),
    ({"a": {"type": "string", "default": "x"}}, {"a": "y"}, {"a": "y"}),
    ({"a": {"type": "string", "default": "x"}}, {"a": None}, {"a": "x"}),
    ({"a": {"type": "string", "default": "x", "nullable": True}}, {"a": None}, {"a": None}),
    ({"a": {"type": "string"}}, {"a": None}, {}),
    ({"a": {"type": "object", "properties": {"b": {"type": "integer", "default": 0}}}}, {}, {}),
    ({"a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 0}}}}, {}, {"a": {"b": 0}}),
    ({"a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "boolean", "default": False}}}}}, {"a": [{}, {"b": True}]},
     {"a": [{"b": False}, {"b": True}]}),
    ({"a": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "string", "default": "c"}}}}}, {"a": {"k": {}}},
     {"a": {"k": {"b": "c"}}}),
])
def test_what_is_missing_is_filled_in(properties: dict[str, Any], obj: Any, filled: Any) -> None:
    fill(obj, compile_schema({"type": "object", "properties": properties}))
    assert obj == filled


def test_each_object_gets_a_default_of_its_own() -> None:
    node = compile_schema({"type": "object", "properties": {"a": {"type": "array", "default": [1], "items": {"type": "integer"}}}})
    one: dict[str, Any] = {}
    two: dict[str, Any] = {}
    fill(one, node)
    fill(two, node)
    one["a"].append(2)
    assert two == {"a": [1]}
