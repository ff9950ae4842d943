"""Keywords, defaults and paths of schemas."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.kinds.apiextensions import openapi


def said(schema: dict[str, Any]) -> list[str]:
    return [str(error) for error in openapi.validate_schema(schema, "s")]


@pytest.mark.parametrize(("schema", "expected"), [
    ({"type": "weird"}, ['s.type: Unsupported value: "weird": supported values: "array", "boolean", "integer", "number", '
                         '"object", "string"']),
    ({"$ref": "#/x"}, ["s.$ref: Forbidden: $ref is not supported"]),
    ({"uniqueItems": True}, ["s.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
                             "quadratic"]),
    ({"properties": {"x": {}}, "additionalProperties": {"type": "string"}},
     ["s.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"]),
    ({"type": "string", "x-kubernetes-list-type": "set"},
     ['s.type: Invalid value: "string": must be array if x-kubernetes-list-type is specified']),
    ({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["z"], "items": {"type": "object"}},
     ['s.x-kubernetes-list-map-keys: Invalid value: ["z"]: entries must all be names of item properties']),
    ({"properties": {"metadata": {"properties": {"name": {"default": "x"}}}}},
     ["s.properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata"]),
    ({"x-kubernetes-validations": [{"rule": " "}, {"rule": "a\nb"}]},
     ["s.x-kubernetes-validations[0].rule: Required value: rule is not specified",
      "s.x-kubernetes-validations[1].message: Required value: message must be specified if rule contains line breaks"]),
])
def test_what_is_wrong_is_said_in_upstreams_words(schema: dict[str, Any], expected: list[str]) -> None:
    assert said(schema) == expected


def test_keys_of_a_list_are_always_there() -> None:
    items = {"type": "object", "properties": {"k": {"type": "string"}}}
    schema = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items}
    assert [text.split(":")[0] for text in said(schema)] == ["s.items.properties[k].default"]
    assert said(schema | {"items": items | {"required": ["k"]}}) == []


def test_defaults_fit_their_schema_and_have_no_unknown_fields() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": 1},
                                               "b": {"type": "object", "default": {"x": 1}}}}
    assert [str(error) for error in openapi.validate_defaults(schema, "s")] == [
        's.properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"',
        's.properties[b].default: Invalid value: {"x":1}: must not have unknown fields']


def test_paths_lead_through_properties_and_maps() -> None:
    schema = {"properties": {"a": {"additionalProperties": {"type": "string"}}}}
    assert openapi.resolve(schema, ".a['x.y']") == {"type": "string"}
    assert openapi.resolve(schema, ".b") == "does not refer to a valid field"
    assert openapi.resolve(schema, ".a[0]", arrays=False) == "array notation is not allowed"


@pytest.mark.parametrize(("schema", "words"), [
    ({"type": "integer", "minimum": 5, "default": 3}, "s.properties[a].default: Invalid value: 3:  in body should be greater than or equal to 5"),
    ({"type": "string", "pattern": "^x", "default": "y"}, "s.properties[a].default: Invalid value: \"y\":  in body should match '^x'"),
    ({"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}, "default": {}}, "s.properties[a].default.b: Required value"),
    ({"type": "integer", "default": 1, "x-kubernetes-validations": [{"rule": "self > 1"}]},
     's.properties[a].default: Invalid value: 1: failed rule: self > 1'),
])
def test_defaults_are_held_to_every_keyword_and_rule(schema: dict[str, object], words: str) -> None:
    found = openapi.validate_defaults({"type": "object", "properties": {"a": schema}}, "s")
    assert [str(error) for error in found] == [words]
