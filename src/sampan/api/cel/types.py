"""Types of expressions, and which fits where.

Source: cel-go `common/types/types.go`, `checker/types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["dyn", "error", "null", "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "list", "map",
               "object", "type", "opaque", "optional", "param"]


@dataclass(frozen=True, eq=False)
class Type:
    """One type. Objects have `fields` by the names that expressions use, `keys` tells the real name where it differs."""

    kind: Kind
    name: str
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Type] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    open: bool = False
    """An object that may have fields besides the declared ones (of unknown type)."""
    most: int | None = None
    """How many characters or items a value can have, None: unknown. For estimates of cost."""
    enough: int = 0
    """The least that a value takes in JSON. For estimates of cost."""
    info: Any = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.params))})" if self.params else self.name


def same(a: Type, b: Type) -> bool:
    """Whether they are one type."""
    return a is b or (a.kind == b.kind and a.name == b.name and len(a.params) == len(b.params)
                      and all(same(x, y) for x, y in zip(a.params, b.params, strict=True)))


DYN = Type("dyn", "dyn")
ERROR = Type("error", "!error!")
NULL = Type("null", "null_type")
BOOL = Type("bool", "bool")
INT = Type("int", "int")
UINT = Type("uint", "uint")
DOUBLE = Type("double", "double")
STRING = Type("string", "string")
BYTES = Type("bytes", "bytes")
TIMESTAMP = Type("timestamp", "timestamp")
DURATION = Type("duration", "duration")
A = Type("param", "A")
B = Type("param", "B")
NUMBERS = frozenset(("int", "uint", "double"))


def list_of(item: Type, most: int | None = None, enough: int = 0) -> Type:
    return Type("list", "list", (item,), most=most, enough=enough)


def map_of(key: Type, value: Type, most: int | None = None, enough: int = 0) -> Type:
    return Type("map", "map", (key, value), most=most, enough=enough)


def optional_of(value: Type) -> Type:
    return Type("optional", "optional_type", (value,))


def type_of(value: Type) -> Type:
    return Type("type", "type", (value,))


def opaque(name: str) -> Type:
    return Type("opaque", name)


def object_type(name: str, fields: Mapping[str, Type], **more: Any) -> Type:
    return Type("object", name, fields=fields, **more)


LIST_DYN, LIST_A, LIST_STRING, MAP_AB = list_of(DYN), list_of(A), list_of(STRING), map_of(A, B)

Bound = dict[str, Type]


def fits(wanted: Type, found: Type, bound: Bound) -> bool:
    """Whether a value of type `found` may stand where `wanted` is; binds type parameters in `bound`."""
    if wanted.kind == "param":
        known = bound.get(wanted.name)
        if known is None or (known.kind == "null" and found.kind in _NULLABLE):
            bound[wanted.name] = found
            return True
        if known.kind in ("dyn", "error") or found.kind in ("dyn", "error"):
            bound[wanted.name] = DYN if known.kind != "error" else found
            return True
        if fits(known, found, {}):
            return True
        if fits(found, known, {}):
            bound[wanted.name] = found
            return True
        return False
    if wanted.kind in ("dyn", "error") or found.kind in ("dyn", "error", "param"):
        return True
    if found.kind == "null":
        return wanted.kind in _NULLABLE
    if wanted.kind != found.kind or (wanted.name != found.name and wanted.kind in ("opaque", "object")):
        return False
    if wanted.kind == "type":
        return True
    return len(wanted.params) == len(found.params) and all(
        fits(one, other, bound) for one, other in zip(wanted.params, found.params, strict=True))


_NULLABLE = frozenset(("null", "object", "opaque", "timestamp", "duration", "dyn"))


def fill(type: Type, bound: Bound) -> Type:
    """The type with its parameters put in; dyn where nothing is known of one."""
    if type.kind == "param":
        return bound.get(type.name, DYN)
    if not type.params:
        return type
    params = tuple(fill(one, bound) for one in type.params)
    return Type(type.kind, type.name, params, type.fields, type.keys, type.open, type.most, type.enough, type.info)


def join(types: Sequence[Type]) -> Type:
    """The type of the items of a literal: their common one, else dyn."""
    if not types:
        return DYN
    first = types[0]
    for other in types[1:]:
        if not same(first, other):
            if fits(first, other, {}) and first.kind != "null":
                continue
            if fits(other, first, {}):
                first = other
                continue
            return DYN
    return first
