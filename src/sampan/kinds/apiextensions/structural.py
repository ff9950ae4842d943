"""What makes the schema of a custom resource structural: types outside of logic, nothing said twice, metadata left alone.

Works on schemas as dicts, in their JSON form.
Source: apiextensions-apiserver `pkg/apiserver/schema/{validation,complete}.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from sampan.api import field
from sampan.kinds.checks import Findings

Schema = dict[str, Any]
Level = Literal["root", "item", "field"]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_KEYS = "x-kubernetes-list-map-keys"
LIST_TYPE = "x-kubernetes-list-type"
MAP_TYPE = "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"

_WITHOUT_PLACE = {"id": "id", "additionalItems": "additionalItems", "patternProperties": "patternProperties", "definitions": "definitions",
                  "dependencies": "dependencies", "$ref": "$ref", "$schema": "schema"}
_INT_OR_STRING_PATTERN = [{"type": "integer"}, {"type": "string"}]
_NO_TYPE = {"root": "must not be empty at the root", "item": "must not be empty for specified array items",
            "field": "must not be empty for specified object fields"}
_FORBIDDEN_WITHIN_LOGIC = (
    ("type", "must be empty to be structural"), ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"), ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"), ("nullable", "must be false to be structural"),
    (PRESERVE, "must be false to be structural"), (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"), (LIST_KEYS, "must be empty to be structural"),
    (LIST_TYPE, "must be undefined to be structural"), (MAP_TYPE, "must be undefined to be structural"),
    (RULES, "must be empty to be structural"),
)


def has_rules(schema: Schema) -> bool:
    """Whether any level has CEL rules."""
    return bool(schema.get(RULES)) or any(has_rules(one) for _, one in _below(schema))


def unstructural(schema: Schema) -> str:
    """The first keyword, at any level, that no structural schema has a place for, in words; "" when there is none.

    Source: `pkg/apiserver/schema/convert.go`.
    """
    for name, shown in _WITHOUT_PLACE.items():
        if schema.get(name) not in (None, "", {}) or (name == "dependencies" and schema.get(name) is not None):
            return f"OpenAPIV3Schema '{shown}' is not supported"
    if isinstance(schema.get("items"), list) and schema["items"]:
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    if schema.get(PRESERVE) is False:
        return f"internal error: '{PRESERVE}' must be true or undefined"
    logic = [one for name in ("allOf", "anyOf", "oneOf") for one in schema.get(name) or ()]
    below = [one for _, one in _below(schema)] + logic + ([schema["not"]] if isinstance(schema.get("not"), dict) else [])
    return next((found for one in below if (found := unstructural(one))), "")


def validate_structural(schema: Schema, path: str) -> Findings:
    """Every reason why a schema is not structural, sorted by text as upstream does."""
    return sorted(_invariants(schema, "root", path) + _completeness(schema, path), key=str)


def _invariants(schema: Schema, level: Level, path: str) -> Findings:
    out: Findings = []
    kind, items, extra = schema.get("type", ""), schema.get("items"), schema.get("additionalProperties")
    if kind == "array" and not isinstance(items, dict):
        out.append(field.required(f"{path}.items", "must be specified"))
    if isinstance(items, dict):
        out += _invariants(items, "item", f"{path}.items")
    for name, one in schema.get("properties", {}).items():
        out += _invariants(one, "field", f"{path}.properties[{name}]")
    if extra is not None:
        if level == "root":
            out.append(field.forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(extra, dict):
            out += _invariants(extra, "field", f"{path}.additionalProperties")
    if schema.get(INT_OR_STRING):
        out += [field.invalid(f"{path}.{name}", True, f"must be false if {INT_OR_STRING} is true")
                for name in (PRESERVE, EMBEDDED) if schema.get(name)]
    skip_any = schema.get("anyOf") == _INT_OR_STRING_PATTERN
    first_all = (schema.get("allOf") or [{}])[0]
    out += _values(schema, path, skip_any=skip_any, skip_first_all=first_all.get("anyOf") == _INT_OR_STRING_PATTERN)
    out += _type(schema, kind, level, path)
    return out + _metadata(schema, level, path)


def _type(schema: Schema, kind: str, level: Level, path: str) -> Findings:
    out: Findings = []
    if schema.get(EMBEDDED):
        words = f"must be object if {EMBEDDED} is true"
        if not kind:
            out.append(field.required(f"{path}.type", words))
        elif kind != "object":
            out.append(field.invalid(f"{path}.type", kind, words))
        if schema.get("additionalProperties") is not None:
            out.append(field.forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set"))
        if not schema.get(PRESERVE) and not schema.get("properties"):
            out.append(field.required(f"{path}.properties",
                                      f"must not be empty if {EMBEDDED} is true without {PRESERVE}"))
    elif not kind and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        out.append(field.required(f"{path}.type", _NO_TYPE[level]))
    if level == "root" and kind not in ("", "object"):
        out.append(field.invalid(f"{path}.type", kind, "must be object at the root"))
    return out


def _metadata(schema: Schema, level: Level, path: str) -> Findings:
    """Kind and apiVersion are strings; metadata is an object of which only the name may be restricted."""
    if level != "root" and not schema.get(EMBEDDED):
        return []
    out: Findings = []
    properties = schema.get("properties", {})
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type", "") != "string":
            out.append(field.invalid(f"{path}.properties[{name}].type", properties[name].get("type", ""), "must be string"))
    metadata, at = properties.get("metadata"), f"{path}.properties[metadata]"
    if metadata is None:
        return out
    if metadata.get("type", "") != "object":
        out.append(field.invalid(f"{at}.type", metadata.get("type", ""), "must be object"))
    rest = {key for key, value in metadata.items() if value not in (None, "", [], {}, False)} - {"type", "default"}
    if set(metadata.get("properties", {})) <= {"name", "generateName"}:
        rest.discard("properties")
    if level == "root" and rest:
        out.append(field.forbidden(at, "must not specify anything other than name and generateName, but metadata is "
                                       "implicitly specified"))
    return out


def _values(schema: Schema, path: str, *, skip_any: bool = False, skip_first_all: bool = False) -> Findings:
    """What stands under anyOf, allOf, oneOf and not; and the pattern."""
    out: Findings = []
    for index, one in enumerate(schema.get("anyOf") or ()):
        if not skip_any:
            out += _nested(one, f"{path}.anyOf[{index}]")
    for index, one in enumerate(schema.get("allOf") or ()):
        out += _nested(one, f"{path}.allOf[{index}]", skip_any=skip_first_all and index == 0)
    for index, one in enumerate(schema.get("oneOf") or ()):
        out += _nested(one, f"{path}.oneOf[{index}]")
    if isinstance(schema.get("not"), dict):
        out += _nested(schema["not"], f"{path}.not")
    if pattern := schema.get("pattern"):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            out.append(field.invalid(f"{path}.pattern", pattern,
                                     f"must be a valid regular expression, but isn't: {_regexp_words(pattern, error)}"))
    return out


def _regexp_words(pattern: str, error: Exception) -> str:
    text = str(error)
    if "unterminated subpattern" in text:
        return f"error parsing regexp: missing closing ): `{pattern}`"
    if "unterminated character set" in text:
        return f"error parsing regexp: missing closing ]: `{pattern[pattern.rfind('['):]}`"
    if "unbalanced parenthesis" in text:
        return f"error parsing regexp: unexpected ): `{pattern}`"
    if "nothing to repeat" in text:
        at = getattr(error, "pos", 0) or 0
        return f"error parsing regexp: missing argument to repetition operator: `{pattern[at:at + 1]}`"
    return f"error parsing regexp: {text}: `{pattern}`"


def _nested(schema: Schema, path: str, *, skip_any: bool = False) -> Findings:
    out = _values(schema, path, skip_any=skip_any)
    if isinstance(schema.get("items"), dict):
        out += _nested(schema["items"], f"{path}.items")
    for name, one in schema.get("properties", {}).items():
        out += _nested(one, f"{path}.properties[{name}]")
    for name, words in _FORBIDDEN_WITHIN_LOGIC:
        value = schema.get(name)
        if value not in (None, "", False, []) or (name == "additionalProperties" and value is False):
            out.append(field.forbidden(f"{path}.{name}", words))
    if "metadata" in schema.get("properties", {}):
        out.append(field.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context"))
    return out


def _completeness(schema: Schema | None, path: str) -> Findings:
    """What logic speaks of must be there outside of logic."""
    if schema is None:
        return []
    out = _said(schema, schema, path, path)
    for name, one in _below(schema):
        out += _completeness(one, f"{path}.{name}")
    return out


def every_schema(schema: Schema) -> Iterator[Schema]:
    """The schema, and every one in it, structural or not."""
    yield schema
    inner = [schema.get(name) for name in ("items", "not", "additionalProperties", "additionalItems")]
    inner += [one for name in ("allOf", "anyOf", "oneOf") for one in schema.get(name) or ()]
    inner += [one for name in ("properties", "patternProperties", "definitions", "dependencies") for one in (schema.get(name) or {}).values()]
    for one in inner:
        if isinstance(one, list):
            inner.extend(one)
        elif isinstance(one, dict):
            yield from every_schema(one)


def _below(schema: Schema) -> list[tuple[str, Schema]]:
    out = [(name, schema[name]) for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    return out + [(f"properties[{name}]", one) for name, one in schema.get("properties", {}).items()]


def _said(logic: Schema, schema: Schema, at: str, logic_at: str) -> Findings:
    out: Findings = []
    for name in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(logic.get(name) or ()):
            out += _said_within(one, schema, at, f"{logic_at}.{name}[{index}]")
    if isinstance(logic.get("not"), dict):
        out += _said_within(logic["not"], schema, at, f"{logic_at}.not")
    return out


def _said_within(logic: Schema, schema: Schema, at: str, logic_at: str) -> Findings:
    out = _said(logic, schema, at, logic_at)
    pairs = [("items", logic.get("items"), schema.get("items"))]
    pairs += [(f"properties[{name}]", one, schema.get("properties", {}).get(name))
              for name, one in logic.get("properties", {}).items()]
    for name, said, there in pairs:
        if not isinstance(said, dict):
            continue
        if not isinstance(there, dict):
            out.append(field.required(f"{at}.{name}", f"because it is defined in {logic_at}.{name}"))
        else:
            out += _said_within(said, there, f"{at}.{name}", f"{logic_at}.{name}")
    return out
