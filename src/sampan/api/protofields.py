"""Which field of a Struct stands where in its protobuf message.

Owns the way from a Go type to its Struct class and to `Slot`s, the encoder's and the decoder's common table.
In JSON an inlined struct's fields stand in its parent; in protobuf it is a message of its own (`Slot.inline`).
Lists have no class among the wire types: theirs are made here on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

import msgspec

from sampan.api import schema
from sampan.api.meta.v1 import ListMeta
from sampan.api.scalars import Wire, none
from sampan.api.schema import Shape

_SCALAR_PACKAGES = ("apimachinery/pkg/runtime", "apimachinery/pkg/api/resource", "apimachinery/pkg/util/intstr")
_NAMED_LISTS = {("apimachinery/pkg/apis/meta/v1.APIResource", "verbs")}
"""Lists that are messages with the list as their field 1."""


@dataclass(frozen=True)
class Slot:
    """One field of a message. `attribute` is the Struct's; an inlined message has none, but `inline`, its Go type."""

    number: int
    go_name: str
    attribute: str = ""
    shape: Shape = schema.ANY
    inline: str = ""
    boxed: bool = False
    """A list that is a message of its own."""


@cache
def class_of(type_name: str) -> type[Any] | None:
    """The Struct class of a Go type, None where it has none."""
    package, _, name = type_name.rpartition(".")
    fact = schema.facts()["types"].get(type_name)
    if fact is None or package in _SCALAR_PACKAGES:
        return None
    module = import_module("sampan.api." + ".".join(package.split("/")[-2:]))
    found = getattr(module, name, None)
    if found is None and "items" in fact.get("fields", {}):
        found = _list_class(name, fact["fields"]["items"]["type"])
    return cast("type[Any] | None", found)


def _list_class(name: str, item_type: str) -> type[Any]:
    item: Any = class_of(item_type) or Any
    return msgspec.defstruct(
        name, [("kind", str, ""), ("apiVersion", str, ""), ("metadata", ListMeta, msgspec.field(default_factory=ListMeta)),
               ("items", list[item] | None, msgspec.field(default_factory=none))],
        bases=(Wire,), kw_only=True)


@cache
def slots(type_name: str, wire: Any) -> tuple[Slot, ...]:
    """The fields of a message in the order of their numbers; `wire` is the class that has the attributes."""
    attributes = {one.encode_name: one.name for one in msgspec.structs.fields(wire)}
    shapes = schema.of_type(type_name).fields
    found = []
    for name, fact in schema.facts()["types"][type_name].get("fields", {}).items():
        number, go = fact.get("number", 0), fact.get("go", "")
        if not number:
            continue  # TypeMeta: the envelope has it
        if fact.get("embedded") and (fact.get("inline") or name == go):
            found.append(Slot(number, go, inline=fact["type"]))
        else:
            found.append(Slot(number, _go_name(name), attributes[name], shapes[name].shape, boxed=(type_name, name) in _NAMED_LISTS))
    return tuple(sorted(found, key=lambda slot: slot.number))


def _go_name(name: str) -> str:
    return "ObjectMeta" if name == "metadata" else name[:1].upper() + name[1:]
