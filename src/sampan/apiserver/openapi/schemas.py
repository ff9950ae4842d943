"""Built-in types and custom resources as OpenAPI v3 schemas.

Owns the names of schemas and how shapes are written; descriptions can be handed in.
Source: kube-openapi `pkg/generators`, apiextensions `pkg/controller/openapi/builder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from sampan.api import schema
from sampan.api.schema import Field, Shape

PREFIX = "#/components/schemas/"
META = "apimachinery/pkg/apis/meta/v1"
PATCH = f"{META}.Patch"
_QUANTITY = "apimachinery/pkg/api/resource.Quantity"
_INT_OR_STRING = "apimachinery/pkg/util/intstr.IntOrString"
_EXTENSIONS = "apiextensions-apiserver/pkg/apis/apiextensions/v1"

# types that write themselves
_SPECIAL: dict[str, dict[str, Any]] = {
    _QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    _INT_OR_STRING: {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    f"{META}.Time": {"type": "string", "format": "date-time"},
    f"{META}.MicroTime": {"type": "string", "format": "date-time"},
    f"{META}.FieldsV1": {"type": "object"},
    PATCH: {"type": "object"},
    "apimachinery/pkg/runtime.RawExtension": {"type": "object"},
    f"{_EXTENSIONS}.JSON": {},
    f"{_EXTENSIONS}.JSONSchemaPropsOrArray": {},
    f"{_EXTENSIONS}.JSONSchemaPropsOrBool": {},
    f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray": {},
}
_PRIMITIVE: dict[str, dict[str, Any]] = {
    "string": {"type": "string"}, "int32": {"type": "integer", "format": "int32"}, "int64": {"type": "integer", "format": "int64"},
    "float64": {"type": "number", "format": "double"}, "bool": {"type": "boolean"}, "bytes": {"type": "string", "format": "byte"},
    "any": {"type": "object"},
}
_ZERO: dict[str, Any] = {"string": "", "int32": 0, "int64": 0, "float64": 0, "bool": False}

Descriptions = Mapping[str, Mapping[str, str]]
"""Name of a schema to texts of its fields, and of itself under the empty name."""


def name_of(type_name: str) -> str:
    """`api/core/v1.Pod` as `io.k8s.api.core.v1.Pod`."""
    return "io.k8s." + type_name.replace("/", ".")


def custom_name(group: str, version: str, kind: str) -> str:
    """The schema's name of a custom kind: the group's parts turned around."""
    return ".".join([*reversed(group.split(".")), version, kind])


def reference(type_name: str) -> dict[str, Any]:
    """A reference to a built-in type's schema."""
    return {"$ref": PREFIX + name_of(type_name)}


@cache
def _kinds_by_type() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for key, type_name in schema.facts()["kinds"].items():
        group_version, _, kind = key.rpartition("/")
        group, _, version = group_version.rpartition("/")
        found.setdefault(type_name, []).append({"group": group, "kind": kind, "version": version})
    return {name: sorted(kinds, key=lambda kind: (kind["group"], kind["version"], kind["kind"])) for name, kinds in found.items()}


def of_type(type_name: str, texts: Descriptions) -> dict[str, Any]:
    """The schema of a built-in type."""
    text = texts.get(name_of(type_name), {})
    out: dict[str, Any] = {"description": text[""]} if text.get("") else {}
    if (special := _SPECIAL.get(type_name)) is not None:
        return out | special
    fact = schema.facts()["types"][type_name]
    fields = schema.of_type(type_name).fields
    out["type"] = "object"
    if fields:
        out["properties"] = {name: _field(field, text.get(name, "")) for name, field in fields.items()}
    if required := [name for name, field in fields.items() if field.required]:
        out["required"] = required
    if fact.get("mapType"):
        out["x-kubernetes-map-type"] = fact["mapType"]
    if fact.get("unions"):
        out["x-kubernetes-unions"] = fact["unions"]
    if kinds := _kinds_by_type().get(type_name):
        out["x-kubernetes-group-version-kind"] = kinds
    return out


def _field(field: Field, text: str) -> dict[str, Any]:
    shape = field.shape
    out = _value(shape)
    if not shape.pointer and not field.omit_empty and shape.form in _ZERO:
        out["default"] = _ZERO[shape.form]
    if text:
        out["description"] = text
    if shape.enum:
        out["enum"] = list(shape.enum)
    if shape.form == "list":
        if shape.list_type:
            out["x-kubernetes-list-type"] = shape.list_type
        if shape.list_keys:
            out["x-kubernetes-list-map-keys"] = list(shape.list_keys)
    elif map_type := schema.facts()["types"].get(field.owner, {}).get("fields", {}).get(field.name, {}).get("mapType"):
        out["x-kubernetes-map-type"] = map_type
    if shape.merge_key:
        out["x-kubernetes-patch-merge-key"] = shape.merge_key
    if shape.patch:
        out["x-kubernetes-patch-strategy"] = ",".join(sorted(shape.patch))
    return out


def _value(shape: Shape) -> dict[str, Any]:
    if shape.form == "list":
        return {"type": "array", "items": _item(shape.items)}
    if shape.form == "map":
        return {"type": "object", "additionalProperties": _item(shape.items)}
    if shape.type in _SPECIAL:
        return {"allOf": [reference(shape.type)]}
    if shape.form == "object":
        out: dict[str, Any] = {"allOf": [reference(shape.type)]}
        if not shape.pointer:
            out["default"] = {}
        return out
    return dict(_PRIMITIVE.get(shape.form, {"type": "object"}))


def _item(shape: Shape | None) -> dict[str, Any]:
    if shape is None:
        return {}
    out = _value(shape)
    if shape.form in _ZERO:
        out["default"] = _ZERO[shape.form]
    return reference(shape.type) if set(out) == {"allOf"} else out


def closure(roots: Iterable[str]) -> list[str]:
    """The types that are reached from some types, sorted."""
    found: set[str] = set()
    waiting = [root for root in roots if root]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        if one not in _SPECIAL:
            waiting += [inner for field in schema.of_type(one).fields.values() for inner in _named(field.shape)]
    return sorted(found)


def _named(shape: Shape) -> list[str]:
    if shape.items is not None:
        return _named(shape.items)
    return [shape.type] if shape.form == "object" or shape.type in _SPECIAL else []


# ---- custom resources ----------------------------------------------------------------------------------------------

_LIKE = {"": "io.k8s.api.core.v1.ConfigMap", "List": "io.k8s.api.core.v1.ConfigMapList"}
"""Built-in types whose words about what every object, and every list, has are everybody's."""


def _standard(texts: Descriptions, like: str, meta: str) -> dict[str, dict[str, Any]]:
    said = texts.get(_LIKE[like], {})
    fields: dict[str, dict[str, Any]] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"},
                                         "metadata": {"allOf": [reference(f"{META}.{meta}")], "default": {}}}
    return {name: ({"description": said[name]} if said.get(name) else {}) | field for name, field in fields.items()}


def of_custom(group: str, version: str, kind: str, structural: dict[str, Any] | None, texts: Descriptions = MappingProxyType({})) -> dict[str, Any]:
    """The schema of a custom kind: its structural schema with what every object has."""
    if structural is None:
        out: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    else:
        out = dict(structural)
        out.pop("x-kubernetes-preserve-unknown-fields", None) if "properties" in out else None
        properties = dict(out.get("properties") or {})
        out["properties"] = properties | _standard(texts, "", "ObjectMeta")
    out["x-kubernetes-group-version-kind"] = [{"group": group, "kind": kind, "version": version}]
    return out


def list_of_custom(group: str, version: str, kind: str, list_kind: str, texts: Descriptions = MappingProxyType({})) -> dict[str, Any]:
    """The schema of its lists."""
    items = {"type": "array", "items": {"$ref": PREFIX + custom_name(group, version, kind)}}
    return {"type": "object", "required": ["items"], "properties": _standard(texts, "List", "ListMeta") | {"items": items},
            "x-kubernetes-group-version-kind": [{"group": group, "kind": list_kind, "version": version}]}
