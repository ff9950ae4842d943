"""What may be a schema or something else is read as upstream reads it, at any depth."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.apiextensions.v1 import JSONSchemaProps
from sampan.api.errors import BadRequest
from sampan.kinds.apiextensions import variants


def read(schema: dict[str, Any]) -> Any:
    return codec.to_builtins(variants.read(codec.convert(JSONSchemaProps, schema)))


@pytest.mark.parametrize("schema", [
    {"type": "array", "items": {"type": "string"}}, {"items": [{"type": "string"}, {"minimum": 1}]},
    {"additionalProperties": True}, {"additionalProperties": {"items": {"type": "object"}}}, {"additionalItems": False},
    {"dependencies": {"a": ["b"], "c": {"type": "string"}}}, {"properties": {"a": {"allOf": [{"not": {"items": {"enum": [1, None]}}}]}}},
])
def test_what_fits_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert read(schema) == schema


def test_what_nobody_knows_is_left_out_inside_too() -> None:
    assert read({"items": {"type": "string", "color": "red", "items": {"nothing": 1}}}) == {"items": {"type": "string", "items": {}}}
    assert read({"items": "text"}) == {}


@pytest.mark.parametrize(("schema", "words"), [
    ({"items": {"x-kubernetes-validations": True}}, "cannot unmarshal bool into Go"),
    ({"items": {"properties": {"a": {"items": {"maxLength": "x"}}}}}, "cannot unmarshal string into Go"),
    ({"items": [1]}, "cannot unmarshal number into Go"),
    ({"additionalProperties": 1}, "boolean or JSON schema expected"),
    ({"properties": {"a": {"additionalItems": "x"}}}, "boolean or JSON schema expected"),
    ({"dependencies": {"a": [1]}}, "cannot unmarshal number into Go value of type string"),
])
def test_what_does_not_fit_is_a_bad_request(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        read(schema)


def test_schemas_in_schemas_without_end_are_a_bad_request() -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="exceeded max depth"):
        read(schema)
