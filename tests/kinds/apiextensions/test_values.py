"""Objects against structural schemas: reasons, paths, and what an update lets be."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.kinds.apiextensions.values import validate, validate_update


def found(schema: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    return [(one.reason, one.field) for one in validate({"type": "object", "properties": {"a": schema}}, {"a": value})]


@pytest.mark.parametrize(("schema", "good", "bad", "reason"), [
    ({"type": "integer"}, 1, "1", "FieldValueTypeInvalid"), ({"type": "string"}, "x", 1, "FieldValueTypeInvalid"),
    ({"type": "integer", "minimum": 2}, 2, 1, "FieldValueInvalid"), ({"type": "integer", "maximum": 2, "exclusiveMaximum": True}, 1, 2, "FieldValueInvalid"),
    ({"type": "string", "maxLength": 2}, "äö", "äöü", "FieldValueTooLong"), ({"type": "string", "minLength": 1}, "a", "", "FieldValueInvalid"),
    ({"type": "string", "pattern": "^a+$"}, "aa", "b", "FieldValueInvalid"), ({"type": "string", "enum": ["x", "y"]}, "x", "z", "FieldValueNotSupported"),
    ({"type": "array", "maxItems": 1, "items": {"type": "string"}}, ["a"], ["a", "b"], "FieldValueTooMany"),
    ({"type": "array", "uniqueItems": False, "minItems": 1, "items": {"type": "string"}}, ["a"], [], "FieldValueInvalid"),
    ({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}, {"x": "1"}, {"x": "1", "y": "2"}, "FieldValueTooMany"),
    ({"type": "number", "multipleOf": 0.5}, 1.5, 1.4, "FieldValueInvalid"), ({"type": "string", "format": "ipv4"}, "10.0.0.1", "x", None),
    ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, "50%", True, None),
])
def test_a_value_is_judged(schema: dict[str, Any], good: Any, bad: Any, reason: str | None) -> None:
    assert found(schema, good) == []
    assert any(path == "a" and (reason is None or why == reason) for why, path in found(schema, bad))


def test_paths_lead_to_what_is_wrong() -> None:
    schema = {"type": "array", "items": {"type": "object", "required": ["b"], "properties": {"b": {"type": "object", "additionalProperties": {"type": "integer"}}}}}
    assert found(schema, [{"b": {"k": "x"}}, {}]) == [("FieldValueTypeInvalid", "a[0].b.k"), ("FieldValueRequired", "a[1].b")]


def test_an_update_lets_be_what_was_wrong_before() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}, "b": {"type": "integer", "maximum": 5}}}
    assert validate_update(schema, {"a": 9, "b": 1}, {"a": 9, "b": 0}) == []
    assert [one.field for one in validate_update(schema, {"a": 9, "b": 6}, {"a": 9, "b": 0})] == ["b"]
