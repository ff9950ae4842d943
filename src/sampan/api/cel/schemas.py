"""Structural schemas for expressions: their types, and how JSON becomes the values of those types.

`declare` makes the type; `adapter` tells what has to be changed in JSON before expressions may see it (None: nothing):
numbers that are doubles, dates, bytes, lists that are sets or maps. Sizes go into the types, for estimates of cost.
Source: apiserver `pkg/cel/common/schemas.go`, `values.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from sampan.api.cel import temporal
from sampan.api.cel.errors import CelError
from sampan.api.cel.escaping import escape
from sampan.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
    object_type,
)
from sampan.api.cel.values import MapList, SetList

JsonSchema = Mapping[str, Any]
Adapt = Callable[[Any], Any]
REQUEST_MOST = 3 * 1024 * 1024
"""Bytes of the largest request: what has no maximum of its own is bounded by it."""
_FORMATS = {"byte": ("bytes", 2), "date": ("timestamp", 12), "date-time": ("timestamp", 22), "duration": ("duration", 3)}
_META = object_type("metadata", {"name": STRING, "generateName": STRING})


def declare(schema: JsonSchema, *, resource: bool = False) -> Type | None:
    """The type of a value, None if expressions cannot see it. `resource`: it is a whole object, at the root or embedded."""
    if schema.get("x-kubernetes-int-or-string"):
        return Type("dyn", "dyn", most=REQUEST_MOST - 2, enough=1)
    resource = resource or bool(schema.get("x-kubernetes-embedded-resource"))
    match schema.get("type"):
        case "array":
            return _list(schema)
        case "object":
            return _object(schema, resource=resource)
        case "string":
            return _string(schema)
        case "boolean":
            return BOOL
        case "number":
            return DOUBLE
        case "integer":
            return INT
    return DYN if schema.get("x-kubernetes-preserve-unknown-fields") else None


def _list(schema: JsonSchema) -> Type | None:
    items = declare(schema.get("items") or {})
    if items is None:
        return None
    most = schema.get("maxItems")
    return list_of(items, (REQUEST_MOST - 2) // (_enough(items) + 1) if most is None else max(0, most), 2)


def _object(schema: JsonSchema, *, resource: bool) -> Type | None:
    additional, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if isinstance(additional, Mapping) and not properties and not resource:
        values = declare(additional)
        if values is None:
            return None
        most = schema.get("maxProperties")
        return map_of(STRING, values, (REQUEST_MOST - 2) // (_enough(values) + 4) if most is None else most, 2)
    fields: dict[str, Type] = {}
    keys: dict[str, str] = {}
    enough, required = 2, set(schema.get("required") or ())
    for name, one in properties.items():
        type, escaped = declare(one), escape(name)
        if type is None or escaped is None:
            continue
        fields[escaped], keys[escaped] = type, name
        if name in required and "default" not in one:
            enough += len(name) + _enough(type) + 4
    if resource:
        given = fields.get("metadata")
        meta = object_type("metadata", {**(given.fields if given else {}), **_META.fields}, keys=given.keys if given else {})
        fields |= {"apiVersion": STRING, "kind": STRING, "metadata": meta}
    elif not properties and schema.get("x-kubernetes-preserve-unknown-fields"):
        return DYN
    return object_type("object", fields, keys=keys, enough=enough)


def _string(schema: JsonSchema) -> Type:
    kind, enough = _FORMATS.get(schema.get("format", ""), ("", 2))
    if kind in ("timestamp", "duration"):
        return TIMESTAMP if kind == "timestamp" else DURATION
    limit = schema.get("maxLength")
    if "enum" in schema:
        limit = max((len(one) for one in schema["enum"] if isinstance(one, str)), default=0)
    most = REQUEST_MOST - 2 if limit is None else limit
    base = BYTES if kind == "bytes" else STRING
    return Type(base.kind, base.name, most=most, enough=enough)


def _enough(type: Type) -> int:
    """The least bytes that a value takes in JSON."""
    return type.enough or {"bool": 4, "int": 1, "double": 1, "timestamp": 12, "duration": 3}.get(type.kind, 2)


# ---- values --------------------------------------------------------------------------------------------------------


def adapter(schema: JsonSchema) -> Adapt | None:
    """What makes JSON a value of the declared type; None: it is one already."""
    if schema.get("x-kubernetes-int-or-string"):
        return None
    match schema.get("type"):
        case "number":
            return lambda value: float(value) if type(value) is int else value
        case "string":
            return _TEXTS.get(schema.get("format", ""))
        case "array":
            return _adapt_list(schema)
        case "object":
            return _adapt_object(schema)
    return None


def _text(make: Callable[[str], Any]) -> Adapt:
    def adapt(value: Any) -> Any:
        try:
            return make(value) if isinstance(value, str) else value
        except (CelError, ValueError):
            return value
    return adapt


_TEXTS: Mapping[str, Adapt] = {
    "byte": _text(base64.b64decode), "date": _text(lambda value: temporal.parse_timestamp(f"{value}T00:00:00Z")),
    "date-time": _text(temporal.parse_timestamp), "duration": _text(temporal.parse_duration),
}


def _adapt_list(schema: JsonSchema) -> Adapt | None:
    item = adapter(schema.get("items") or {})
    kind, keys = schema.get("x-kubernetes-list-type"), tuple(schema.get("x-kubernetes-list-map-keys") or ())
    if item is None and kind not in ("set", "map"):
        return None

    def adapt(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = list(map(item, value)) if item else value
        if kind == "map":
            made = MapList(items)
            made.keys = keys
            return made
        return SetList(items) if kind == "set" else items

    return adapt


def _adapt_object(schema: JsonSchema) -> Adapt | None:
    additional, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if isinstance(additional, Mapping):
        every = adapter(additional)
        if every is None:
            return None
        return lambda value: {key: every(one) for key, one in value.items()} if isinstance(value, dict) else value
    parts = {name: one for name, sub in properties.items() if (one := adapter(sub)) is not None}
    if not parts:
        return None
    return lambda value: value | {name: do(value[name]) for name, do in parts.items() if name in value} if isinstance(value, dict) else value
