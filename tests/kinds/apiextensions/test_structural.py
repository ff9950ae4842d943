"""Structural schemas."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.kinds.apiextensions import structural


def said(schema: dict[str, Any]) -> list[str]:
    return [str(error) for error in structural.validate_structural(schema, "s")]


@pytest.mark.parametrize(("schema", "expected"), [
    ({}, ["s.type: Required value: must not be empty at the root"]),
    ({"type": "string"}, ['s.type: Invalid value: "string": must be object at the root']),
    ({"type": "object", "properties": {"a": {"type": "array"}}}, ["s.properties[a].items: Required value: must be specified"]),
    ({"type": "object", "additionalProperties": {"type": "string"}},
     ["s.additionalProperties: Forbidden: must not be used at the root"]),
    ({"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}]}}},
     ["s.properties[a].oneOf[0].type: Forbidden: must be empty to be structural",
      "s.properties[a].type: Required value: must not be empty for specified object fields"]),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
     ["s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: "
      "missing closing ): `(`"]),
    ({"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]},
     ["s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"]),
    ({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
     ["s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is "
      "implicitly specified"]),
    ({"type": "object", "properties": {"e": {"x-kubernetes-embedded-resource": True, "type": "object"}}},
     ["s.properties[e].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without "
      "x-kubernetes-preserve-unknown-fields"]),
])
def test_what_is_not_structural_says_why(schema: dict[str, Any], expected: list[str]) -> None:
    assert said(schema) == expected


def test_the_two_ways_to_write_int_or_string_are_structural() -> None:
    either = [{"type": "integer"}, {"type": "string"}]
    for one in ({"anyOf": either}, {"allOf": [{"anyOf": either}, {"pattern": "a"}]}):
        assert said({"type": "object", "properties": {"port": {"x-kubernetes-int-or-string": True} | one}}) == []


def test_the_name_of_the_metadata_may_be_restricted() -> None:
    metadata = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}}
    assert said({"type": "object", "properties": {"metadata": metadata}}) == []


@pytest.mark.parametrize(("schema", "words"), [
    ({"type": "object", "properties": {"a": {"items": [{"type": "string"}]}}}, "OpenAPIV3Schema 'items' must be a schema, but is an array"),
    ({"allOf": [{"$ref": "#/x"}]}, "OpenAPIV3Schema '$ref' is not supported"),
    ({"not": {"$schema": "x"}}, "OpenAPIV3Schema 'schema' is not supported"),
    ({"type": "object"}, ""),
])
def test_some_keywords_have_no_place_in_structural_schemas(schema: dict[str, object], words: str) -> None:
    assert structural.unstructural(schema) == words
