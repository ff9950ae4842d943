"""A structural schema, compiled once: what pruning, defaulting and owning fields need to know at each level.

Source: apiextensions-apiserver `pkg/apiserver/schema/{structural,convert,kubeopenapi}.go`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sampan.api import field, schema
from sampan.api.schema import Field, Shape

JsonSchema = Mapping[str, Any]
_FORMS: dict[str, Literal["string", "int64", "float64", "bool"]] = {
    "string": "string", "integer": "int64", "number": "float64", "boolean": "bool",
}


@dataclass(eq=False)
class Node:
    """One level of a schema. `additional` is the schema of what `properties` does not name."""

    type: str = ""
    properties: dict[str, Node] = dataclasses.field(default_factory=dict)
    items: Node | None = None
    additional: Node | None = None
    preserve: bool = False
    """Fields that the schema does not name are kept."""
    embedded: bool = False
    """It is a whole object, with apiVersion, kind and metadata."""
    int_or_string: bool = False
    nullable: bool = False
    has_default: bool = False
    default: Any = None
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""

    @cached_property
    def defaults_below(self) -> bool:
        """Whether defaulting has anything to do here or deeper."""
        return any(one.has_default or one.defaults_below for one in self._below)

    @cached_property
    def embeds(self) -> bool:
        """Whether it or anything deeper is a whole object."""
        return self.embedded or any(one.embeds for one in self._below)

    @cached_property
    def tells_apart(self) -> bool:
        """Whether it or anything deeper is a list whose items must be unique."""
        return self.list_type in ("set", "map") or any(one.tells_apart for one in self._below)

    @property
    def _below(self) -> list[Node]:
        return [*self.properties.values(), *filter(None, (self.items, self.additional))]

    @cached_property
    def shape(self) -> Shape:
        """How fields are owned: what server-side apply goes by."""
        return _shape(self)

    def within(self, value: Any, path: field.Path) -> Iterator[tuple[Any, Node, field.Path]]:
        """What stands one level below in a value of this schema, with its own schema and path; nothing that no schema describes."""
        if isinstance(value, dict):
            for key, inner in value.items():
                known = self.properties.get(key)
                if known is not None:
                    yield inner, known, path / key
                elif self.additional is not None:
                    yield inner, self.additional, path.key(key)
        elif isinstance(value, list) and self.items is not None:
            for index, item in enumerate(value):
                yield item, self.items, path.index(index)


def compile_schema(source: JsonSchema | None) -> Node:
    """A schema as a definition has it (None: anything goes)."""
    if source is None:
        return Node(type="object", preserve=True)
    additional = source.get("additionalProperties")
    if isinstance(additional, bool):
        additional = {"nullable": True} if additional else None  # nothing is known of what is below
    items = source.get("items")
    return Node(
        type=source.get("type", ""),
        properties={name: compile_schema(one) for name, one in (source.get("properties") or {}).items()},
        items=compile_schema(items) if isinstance(items, Mapping) else None,
        additional=compile_schema(additional) if additional is not None else None,
        preserve=bool(source.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(source.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(source.get("x-kubernetes-int-or-string")),
        nullable=bool(source.get("nullable")),
        has_default=source.get("default") is not None,
        default=source.get("default"),
        list_type=source.get("x-kubernetes-list-type") or "",
        list_keys=tuple(source.get("x-kubernetes-list-map-keys") or ()),
        map_type=source.get("x-kubernetes-map-type") or "",
    )


# ---- shapes --------------------------------------------------------------------------------------------------------

_DEDUCED = Shape("deduced")
_META = schema.of_type("apimachinery/pkg/apis/meta/v1.ObjectMeta")
_TEXT = Shape("string")


class NodeShape(Shape):
    """The shape of an object with fields of its own."""

    known: dict[str, Field]

    @cached_property
    def fields(self) -> dict[str, Field]:
        return self.known

    @cached_property
    def key_defaults(self) -> dict[str, Any]:
        """Keys that an item leaves out have the schema's default."""
        return self.defaults

    defaults: dict[str, Any]


def _shape(node: Node, *, root: bool = False) -> Shape:
    if node.int_or_string:
        return Shape("intstr")
    if node.type in _FORMS:
        return Shape(_FORMS[node.type])
    if node.type == "array":
        atomic = node.list_type in ("", "atomic")
        return Shape("list", items=_shape(node.items) if node.items else _DEDUCED, atomic=atomic,
                     list_type="map" if node.list_type == "map" else "set" if node.list_type == "set" else "atomic",
                     list_keys=node.list_keys)
    if node.type != "object":
        return _DEDUCED
    if node.additional is not None and not node.properties:
        return Shape("map", items=_shape(node.additional), atomic=node.map_type == "atomic")
    if not node.properties and not root and not node.embedded:
        return Shape("any") if node.map_type == "atomic" else _DEDUCED if node.preserve else Shape("map", items=_DEDUCED)
    return _object(node, root=root)


def _object(node: Node, *, root: bool) -> NodeShape:
    fields = {name: Field(name, _shape(one)) for name, one in node.properties.items()}
    if root or node.embedded:
        fields |= {"apiVersion": Field("apiVersion", _TEXT), "kind": Field("kind", _TEXT), "metadata": Field("metadata", _META)}
    made = NodeShape("object", items=_DEDUCED if node.preserve else None, atomic=node.map_type == "atomic")
    object.__setattr__(made, "known", fields)
    object.__setattr__(made, "defaults", {name: one.default for name, one in node.properties.items() if one.has_default})
    return made


def root_shape(node: Node) -> Shape:
    """The shape of whole objects."""
    return _object(node, root=True)
