"""What a schema of a custom resource may say: keywords, list and map types, defaults, paths of fields.

Works on schemas as dicts, in their JSON form. Leaves CEL rules to their compiler: only their texts are looked at here.
Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`,
`pkg/apiserver/schema/defaulting/validation.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from sampan.api import field
from sampan.kinds import checks
from sampan.kinds.apiextensions.structural import EMBEDDED, LIST_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE, RULES, Schema
from sampan.kinds.checks import Findings

TYPES = ("array", "boolean", "integer", "number", "object", "string")
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_UNSUPPORTED = ("additionalItems", "patternProperties", "definitions", "dependencies", "$ref", "id")
_LOGIC = ("allOf", "oneOf", "anyOf")


@dataclass(frozen=True)
class Where:
    """Where in a resource a schema stands: in its metadata, and why no default may stand there."""

    root: bool = False
    inside_meta: bool = False
    no_default: str | None = None


def validate_schema(schema: Schema, path: str, where: Where = Where(root=True)) -> Findings:
    """Every finding about keywords, in this schema and below."""
    out = _keywords(schema, path, where)
    extra, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if schema.get("uniqueItems"):
        out.append(field.forbidden(f"{path}.uniqueItems",
                                   "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
    if extra is not None and properties and extra is not True:
        out.append(field.forbidden(f"{path}.additionalProperties",
                                   "additionalProperties and properties are mutual exclusive"))
    below = replace(where, root=False)
    if isinstance(extra, dict):
        inner = replace(below, no_default="inside additionalProperties applying to object metadata") if where.inside_meta \
            else below
        out += validate_schema(extra, f"{path}.additionalProperties", inner)
    for name, one in properties.items():
        inner = below
        if (where.root or schema.get(EMBEDDED)) and name in ("metadata", "kind", "apiVersion"):
            inner = replace(below, inside_meta=True, no_default=f"in top-level {name}" if where.root else below.no_default)
        out += validate_schema(one, f"{path}.properties[{name}]", inner)
    if isinstance(schema.get("not"), dict):
        out += validate_schema(schema["not"], f"{path}.not", below)
    for logic in _LOGIC:
        for index, one in enumerate(schema.get(logic) or ()):
            out += validate_schema(one, f"{path}.{logic}[{index}]", below)
    if isinstance(schema.get("items"), dict):
        out += validate_schema(schema["items"], f"{path}.items", below)
    return out + _extensions(schema, path) + _rules(schema, path)


def _keywords(schema: Schema, path: str, where: Where) -> Findings:
    out: Findings = []
    kind = schema.get("type", "")
    if kind:
        out += checks.one_of(kind, TYPES, f"{path}.type")
    if schema.get("default") is not None and where.no_default is not None:
        out.append(field.forbidden(f"{path}.default", f"must not be set {where.no_default}".strip()))
    out += [field.forbidden(f"{path}.{name}", f"{name} is not supported")
            for name in _UNSUPPORTED if schema.get(name) not in (None, "", {})]
    if kind == "null":
        out.append(field.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    if isinstance(schema.get("items"), list):
        out.append(field.forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if where.inside_meta and schema.get(EMBEDDED):
        out.append(field.forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta"))
    return out


def _typed(schema: Schema, wanted: str, extension: str, path: str) -> Findings:
    kind, words = schema.get("type", ""), f"must be {wanted} if {extension} is specified"
    if kind == wanted:
        return []
    return [field.invalid(f"{path}.type", kind, words) if kind else field.required(f"{path}.type", words)]


def _extensions(schema: Schema, path: str) -> Findings:
    out: Findings = []
    map_type, list_type, keys = schema.get(MAP_TYPE), schema.get(LIST_TYPE), schema.get(LIST_KEYS) or []
    if schema.get(PRESERVE) is False:
        out.append(field.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined"))
    if map_type is not None:
        out += _typed(schema, "object", MAP_TYPE, path)
        out += checks.one_of(map_type, ("atomic", "granular"), f"{path}.{MAP_TYPE}")
    if list_type is not None:
        wrong = _typed(schema, "array", LIST_TYPE, path)
        out += wrong or _set_items(schema, list_type, path)
        out += checks.one_of(list_type, ("atomic", "set", "map"), f"{path}.{LIST_TYPE}")
    if keys and list_type is None:
        out.append(field.required(f"{path}.{LIST_TYPE}", f"must be map if {LIST_KEYS} is non-empty"))
    elif keys and list_type != "map":
        out.append(field.invalid(f"{path}.{LIST_TYPE}", list_type, f"must be map if {LIST_KEYS} is non-empty"))
    if list_type == "map":
        out += _list_map(schema, keys, path)
    items = schema.get("items")
    if list_type in ("set", "map") and isinstance(items, dict):
        out += _correlated(items, list_type, keys, f"{path}.items")
    return out


def _set_items(schema: Schema, list_type: str, path: str) -> Findings:
    items = schema.get("items")
    if list_type != "set" or not isinstance(items, dict):
        return []
    words = f"must be atomic as item of a list with {LIST_TYPE}=set"
    if items.get("type") == "array" and items.get(LIST_TYPE) not in (None, "atomic"):
        return [field.invalid(f"{path}.items.{LIST_TYPE}", items.get(LIST_TYPE), words)]
    if items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        return [field.invalid(f"{path}.items.{MAP_TYPE}", items.get(LIST_TYPE), words)]
    return []


def _list_map(schema: Schema, keys: list[str], path: str) -> Findings:
    out: Findings = []
    items, at = schema.get("items"), f"{path}.{LIST_KEYS}"
    if not keys:
        out.append(field.required(at, f"must not be empty if {LIST_TYPE} is map"))
    if items is None:
        return [*out, field.required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")]
    if not isinstance(items, dict):
        return [*out, field.invalid(f"{path}.items", items, f"must only have a single schema if {LIST_TYPE} is map")]
    if items.get("type", "") != "object":
        return [*out, field.invalid(f"{path}.items.type", items.get("type", ""),
                                    f"must be object if parent array's {LIST_TYPE} is map")]
    for index, key in enumerate(keys):
        one = (items.get("properties") or {}).get(key)
        if one is None:
            out.append(field.invalid(at, keys, "entries must all be names of item properties"))
        elif one.get("type") in ("array", "object"):
            out.append(field.invalid(f"{path}.items.properties[{key}].type", items.get("type"),
                                     f"must be a scalar type if parent array's {LIST_TYPE} is map"))
        if key in keys[:index]:
            out.append(field.invalid(at, keys, "must not contain duplicate entries"))
    return out


def _correlated(items: Schema, list_type: str, keys: list[str], path: str) -> Findings:
    """Items that are told apart by their keys always have them."""
    out: Findings = []
    if items.get("nullable"):
        out.append(field.forbidden(f"{path}.nullable", f"cannot be nullable when {LIST_TYPE} is {list_type}"))
    for key in keys if list_type == "map" else ():
        one = (items.get("properties") or {}).get(key)
        if one is None:
            continue
        at = f"{path}.properties[{key}]"
        if key not in (items.get("required") or ()) and one.get("default") is None:
            out.append(field.required(f"{at}.default", f"this property is in {LIST_KEYS}, so it must have a default or be a "
                                                       "required property"))
        if one.get("nullable"):
            out.append(field.forbidden(f"{at}.nullable", f"this property is in {LIST_KEYS}, so it cannot be nullable"))
    return out


def _rules(schema: Schema, path: str) -> Findings:
    out: Findings = []
    for index, one in enumerate(schema.get(RULES) or ()):
        at = f"{path}.{RULES}[{index}]"
        rule, message = one.get("rule", "").strip(), one.get("message", "")
        if not rule:
            out.append(field.required(f"{at}.rule", "rule is not specified"))
        elif message and not message.strip():
            out.append(field.invalid(f"{at}.message", message, "must be non-empty if specified"))
        elif _has_newlines(message.strip()):
            out.append(field.invalid(f"{at}.message", message, "must not contain line breaks"))
        elif _has_newlines(rule) and not message.strip():
            out.append(field.required(f"{at}.message", "message must be specified if rule contains line breaks"))
        if one.get("messageExpression") and not one["messageExpression"].strip():
            out.append(field.required(f"{at}.messageExpression", "messageExpression must be non-empty if specified"))
        if one.get("reason") is not None:
            out += checks.one_of(one["reason"], REASONS, f"{at}.reason")
        if to := one.get("fieldPath", ""):
            if not to.strip():
                out.append(field.invalid(f"{at}.fieldPath", to, "must be non-empty if specified"))
            if _has_newlines(to):
                out.append(field.invalid(f"{at}.fieldPath", to, "must not contain line breaks"))
            if isinstance(resolve(schema, to), str):
                out.append(field.invalid(f"{at}.fieldPath", to, "must be a valid path"))
    return out


def _has_newlines(text: str) -> bool:
    return "\n" in text or "\r" in text


_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\['([^']+)'\]|\[(\d*)\]")


def resolve(schema: Schema, path: str, *, arrays: bool = True) -> Schema | str:
    """The schema of the field that `.spec.x['a.b']` leads to, or why there is none."""
    if not path:
        return "must not be empty"
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return f"expected [ or . but got: {path[at:]}" if at == 0 else f"unexpected character: {path[at]}"
        at = match.end()
        name = match[1] if match[1] is not None else match[2]
        if name is None:
            return "array notation is not allowed" if not arrays else "does not refer to a valid field"
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        if name in properties:
            schema = properties[name]
        elif isinstance(extra, dict):
            schema = extra
        else:
            return "does not refer to a valid field"
    return schema


def validate_defaults(schema: Schema, path: str, where: Where = Where(root=True)) -> Findings:
    """Defaults have no unknown fields and fit their schema and its rules; those that may not stand there at all are told by
    `validate_schema`.
    """
    out: Findings = []
    value = schema.get("default")
    if value is not None:
        at = f"{path}.default"
        if not _pruned(schema, value):
            out.append(field.invalid(at, value, "must not have unknown fields"))
        out += _fits(schema, value, at)
    if isinstance(schema.get("items"), dict):
        out += validate_defaults(schema["items"], f"{path}.items", Where())
    for name, one in (schema.get("properties") or {}).items():
        if not (where.root or schema.get(EMBEDDED)) or name not in ("metadata", "apiVersion", "kind"):
            out += validate_defaults(one, f"{path}.properties[{name}]", Where())
    return out


def _fits(schema: Schema, value: Any, at: str) -> Findings:
    """What is wrong with a value; rules are asked when nothing else is, as of an update that changes nothing, then as of a creation."""
    from sampan.kinds.apiextensions import rules, values  # their libraries take a while to import

    found: Findings = list(values.validate(schema, value, at))
    if found or (judge := rules.rules_for(schema)) is None:
        return found
    return list(judge.validate(value, value, at)) or list(judge.validate(value, None, at))


def _pruned(schema: Schema, value: Any) -> bool:
    """Whether pruning would leave the value as it is."""
    if isinstance(value, list):
        items = schema.get("items")
        return all(_pruned(items, one) for one in value) if isinstance(items, dict) else True
    if not isinstance(value, dict):
        return True
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, one in value.items():
        if name in properties:
            if not _pruned(properties[name], one):
                return False
        elif isinstance(extra, dict):
            if not _pruned(extra, one):
                return False
        elif not schema.get(PRESERVE) and extra is not True \
                and not (schema.get(EMBEDDED) and name in ("metadata", "kind", "apiVersion")):
            return False
    return True
