"""What is known about built-in types besides their Structs: patch strategies, list and map types, protobuf numbers, enums.

Owns the reading of `schema_facts.json` (written by `tools/generate_api.py`), lazily: the first question loads it.
A `Shape` describes one value as it stands in JSON; patches, server-side apply, strict decoding, OpenAPI and
protobuf walk objects by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

import msgspec

from sampan.api.resourceinfo import Resource

Form = Literal["string", "int32", "int64", "float64", "bool", "bytes", "any", "deduced", "quantity", "time", "microtime", "intstr", "object",
               "map", "list"]

_META = "apimachinery/pkg/apis/meta/v1"
_EXTENSIONS = "apiextensions-apiserver/pkg/apis/apiextensions/v1"
_SCALARS: dict[str, Form] = {
    "string": "string", "int32": "int32", "int64": "int64", "float64": "float64", "bool": "bool", "bytes": "bytes",
    "interface": "any",
    "apimachinery/pkg/api/resource.Quantity": "quantity",
    "apimachinery/pkg/util/intstr.IntOrString": "intstr",
    f"{_META}.Time": "time", f"{_META}.MicroTime": "microtime",
    # any JSON
    f"{_META}.FieldsV1": "any",
    "apimachinery/pkg/runtime.RawExtension": "any",
    f"{_EXTENSIONS}.JSON": "any",
    f"{_EXTENSIONS}.JSONSchemaPropsOrArray": "any",
    f"{_EXTENSIONS}.JSONSchemaPropsOrBool": "any",
    f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray": "any",
}
_MAP = re.compile(r"map<string,(.+)>")
_LIKE = {"api/core/v1.EphemeralContainerCommon": "api/core/v1.Container"}
"""Types that only stand in others are not published: what their lists are is known from those whose copies they are."""
_KEY_DEFAULTS = {
    "api/core/v1.ContainerPort": {"protocol": "TCP"},
    "api/core/v1.LocalObjectReference": {"name": ""},
    "api/core/v1.ServicePort": {"protocol": "TCP"},
}
_ZERO: dict[str, Any] = {"string": "", "int32": 0, "int64": 0, "bool": False}


@dataclass(frozen=True, eq=False)
class Shape:
    """The shape of one value. `type` names the Go type of an object, `items` what a map or list holds."""

    form: Form
    type: str = ""
    items: Shape | None = None
    pointer: bool = False
    atomic: bool = False
    """Applied as a whole: nobody owns a part of it."""
    list_type: Literal["", "atomic", "set", "map"] = ""
    list_keys: tuple[str, ...] = ()
    patch: frozenset[str] = frozenset()
    """Strategies of strategic merge patch: `merge`, `replace`, `retainKeys`."""
    merge_key: str = ""
    enum: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> dict[str, Field]:
        """An object's fields by their names in JSON, in the order of protobuf; embedded ones unfolded."""
        return _fields(self.type) if self.form == "object" else {}

    @cached_property
    def key_defaults(self) -> dict[str, Any]:
        """Of the items of a list map: the values that keys have when they are left out.

        As in upstream's schema: fields that are always written have their zero value for a default.
        """
        zero = {name: _ZERO[field.shape.form] for name, field in self.fields.items()
                if not field.omit_empty and not field.shape.pointer and field.shape.form in _ZERO}
        return zero | _KEY_DEFAULTS.get(self.type, {})


@dataclass(frozen=True, eq=False)
class Field:
    """One field of an object."""

    name: str
    shape: Shape
    number: int = 0
    wire: str = ""
    required: bool = False
    omit_empty: bool = False
    format: str = ""
    embedded: tuple[str, ...] = field(default=())
    """Go's names of the embedded structs that it stands in."""
    owner: str = ""
    """The type that it is declared in."""


ANY = Shape("any")


@cache
def facts() -> dict[str, Any]:
    """The whole table: `kinds` to types, and `types`."""
    data = resources.files("sampan.api").joinpath("schema_facts.json").read_bytes()
    return msgspec.json.decode(data)  # type: ignore[no-any-return]


@cache
def of_type(name: str) -> Shape:
    """The shape of a Go type like `api/core/v1.PodSpec`."""
    if form := _SCALARS.get(name):
        return Shape(form, name)
    if match := _MAP.fullmatch(name):
        inner = match[1]
        return Shape("map", name, items=_list(inner[2:]) if inner.startswith("[]") else of_type(inner))
    fact = facts()["types"].get(name)
    if fact is None:
        return Shape("string", name) if name == "time.Time" else ANY
    return Shape("object", name, atomic=fact.get("mapType") == "atomic")


def _list(item: str) -> Shape:
    return Shape("list", f"[]{item}", items=of_type(item))


def of_kind(group: str, version: str, kind: str) -> Shape | None:
    """The shape of a kind's objects, None for one that is not built in."""
    name = facts()["kinds"].get(f"{group}/{version}/{kind}" if group else f"{version}/{kind}")
    return of_type(name) if name else None


def of_resource(resource: Resource[Any]) -> Shape | None:
    """The shape of a resource's objects, None for a custom one."""
    return _of_built_in(resource) if resource.wire_path else None


@cache
def _of_built_in(resource: Resource[Any]) -> Shape | None:
    return of_kind(resource.group, resource.version, resource.kind)


@cache
def of_wire(wire: type) -> Shape:
    """The shape of a Struct class.

    Raises:
        KeyError: It is not a generated one.
    """
    return of_type(_by_module()[wire.__module__.removeprefix("sampan.api."), wire.__name__])


@cache
def _by_module() -> dict[tuple[str, str], str]:
    found = {}
    for name in facts()["types"]:
        package, _, short = name.rpartition(".")
        found[".".join(package.split("/")[-2:]), short] = name
    return found


@cache
def registered(group: str, version: str, kind: str) -> bool:
    """Whether the kind is a built-in one."""
    return (f"{group}/{version}/{kind}" if group else f"{version}/{kind}") in facts()["kinds"]


def _shape(fact: dict[str, Any]) -> Shape:
    base = of_type(fact["type"])
    patch = frozenset(filter(None, fact.get("patchStrategy", "").split(",")))
    merge_key, pointer = fact.get("patchMergeKey", ""), bool(fact.get("pointer"))
    if fact.get("repeated"):
        list_type = fact.get("listType", "")
        return Shape("list", f"[]{fact['type']}", items=base, list_type=list_type, atomic=list_type in ("", "atomic"),
                     list_keys=tuple(fact.get("listMapKeys", ())), patch=patch, merge_key=merge_key, pointer=pointer)
    atomic = fact["mapType"] == "atomic" if "mapType" in fact else base.atomic
    return Shape(base.form, base.type, items=base.items, pointer=pointer, atomic=atomic, patch=patch, merge_key=merge_key,
                 enum=tuple(fact.get("enum", ())))


def _published(type_name: str, wire: str) -> dict[str, Any]:
    fact = facts()["types"][type_name]["fields"].get(wire, {})
    return {key: fact[key] for key in ("listType", "listMapKeys", "required") if key in fact}


@cache
def _fields(type_name: str) -> dict[str, Field]:
    out: dict[str, Field] = {}
    fields = facts()["types"][type_name].get("fields", {})
    if like := _LIKE.get(type_name):
        fields = {wire: fact | _published(like, wire) for wire, fact in fields.items()}
    for wire, fact in sorted(fields.items(), key=lambda item: (item[1].get("number", 0), item[0])):
        go = fact.get("go", "")
        if fact.get("embedded") and (fact.get("inline") or wire == go) and fact["type"] not in _SCALARS:
            for name, inner in of_type(fact["type"]).fields.items():
                out[name] = Field(name, inner.shape, inner.number, inner.wire, inner.required, inner.omit_empty, inner.format,
                                  (go, *inner.embedded), inner.owner)
        elif wire != "-":
            out[wire] = Field(wire, _shape(fact), fact.get("number", 0), fact.get("wire", ""), bool(fact.get("required")),
                              bool(fact.get("omitempty") or fact.get("omitzero")), fact.get("format", ""), (), type_name)
    return out
