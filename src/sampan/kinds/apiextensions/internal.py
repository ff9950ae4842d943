"""A schema as upstream's messages show it: under the names of its unversioned type, with everything that is not set.

Source: apiextensions-apiserver `pkg/apis/apiextensions/types_jsonschema.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("ID", "id", ""), ("Schema", "$schema", ""), ("Ref", "$ref", None), ("Description", "description", ""), ("Type", "type", ""),
    ("Nullable", "nullable", False), ("Format", "format", ""), ("Title", "title", ""), ("Default", "default", None),
    ("Maximum", "maximum", None), ("ExclusiveMaximum", "exclusiveMaximum", False), ("Minimum", "minimum", None),
    ("ExclusiveMinimum", "exclusiveMinimum", False), ("MaxLength", "maxLength", None), ("MinLength", "minLength", None),
    ("Pattern", "pattern", ""), ("MaxItems", "maxItems", None), ("MinItems", "minItems", None), ("UniqueItems", "uniqueItems", False),
    ("MultipleOf", "multipleOf", None), ("Enum", "enum", None), ("MaxProperties", "maxProperties", None),
    ("MinProperties", "minProperties", None), ("Required", "required", None), ("Items", "items", None), ("AllOf", "allOf", None),
    ("OneOf", "oneOf", None), ("AnyOf", "anyOf", None), ("Not", "not", None), ("Properties", "properties", None),
    ("AdditionalProperties", "additionalProperties", None), ("PatternProperties", "patternProperties", None),
    ("Dependencies", "dependencies", None), ("AdditionalItems", "additionalItems", None), ("Definitions", "definitions", None),
    ("ExternalDocs", "externalDocs", None), ("Example", "example", None),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", None),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", False), ("XIntOrString", "x-kubernetes-int-or-string", False),
    ("XListMapKeys", "x-kubernetes-list-map-keys", None), ("XListType", "x-kubernetes-list-type", None),
    ("XMapType", "x-kubernetes-map-type", None), ("XValidations", "x-kubernetes-validations", None),
)
_RULE = (("Rule", "rule", ""), ("Message", "message", ""), ("MessageExpression", "messageExpression", ""), ("Reason", "reason", None),
         ("FieldPath", "fieldPath", ""), ("OptionalOldSelf", "optionalOldSelf", None))
_LISTS = frozenset(("allOf", "oneOf", "anyOf"))
_MAPS = frozenset(("properties", "patternProperties", "definitions"))


def rule(given: Mapping[str, Any]) -> dict[str, Any]:
    """A validation rule with all its fields."""
    return {name: given.get(wire, empty) for name, wire, empty in _RULE}


def schema(given: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with all its fields, and so everything in it."""
    return {name: _part(wire, given[wire]) if wire in given else empty for name, wire, empty in _FIELDS}


def _part(name: str, value: Any) -> Any:
    if name in _LISTS:
        return [schema(one) for one in value]
    if name in _MAPS:
        return {key: schema(value[key]) for key in sorted(value)}
    match name:
        case "not":
            return schema(value)
        case "items":
            return ({"Schema": None, "JSONSchemas": [schema(one) for one in value]} if isinstance(value, list)
                    else {"Schema": schema(value), "JSONSchemas": None})
        case "additionalProperties" | "additionalItems":
            return ({"Allows": value, "Schema": None} if isinstance(value, bool)
                    else {"Allows": True, "Schema": schema(value)})
        case "dependencies":
            return {key: {"Schema": None, "Property": one} if isinstance(one, list) else {"Schema": schema(one), "Property": None}
                    for key, one in sorted(value.items())}
        case "externalDocs":
            return {"Description": value.get("description", ""), "URL": value.get("url", "")}
        case "x-kubernetes-validations":
            return [rule(one) for one in value]
    return value
