"""Structs to protobuf messages, byte for byte as Go's generated code writes them.

Owns the compiled writers: a message is a row of functions from a field's value to its bytes, made once a type.
Go's rules: fields that are no pointers are always written, zero or not; lists and maps when they have something,
map keys sorted; pointers when they are set. Leaves the envelope to `sampan.api.protobuf`.
Source: `Marshal` in the generated.pb.go of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

from sampan.api import codec
from sampan.api.protofields import Slot, class_of, slots
from sampan.api.protowire import BYTES, FIXED64, VARINT, delimited, tag, varint
from sampan.api.schema import Shape

Writer = Callable[[Any], bytes]

_EXTENSIONS = "apiextensions-apiserver/pkg/apis/apiextensions/v1."
_FIELDS_V1 = "apimachinery/pkg/apis/meta/v1.FieldsV1"
_SCHEMA = f"{_EXTENSIONS}JSONSchemaProps"


class Message:
    """Writes one type. `wire` is the class whose attributes are read: of an inlined type, its parent's."""

    def __init__(self, type_name: str, wire: Any) -> None:
        self._type, self._wire = type_name, wire

    @cached_property
    def _plan(self) -> list[tuple[str, Writer]]:
        return [(slot.attribute, _inlined(slot, self._wire) if slot.inline else _field(slot)) for slot in slots(self._type, self._wire)]

    @cached_property
    def encode(self) -> Writer:
        """The message of an object."""
        plan = self._plan
        if all(name for name, _ in plan) and len(plan) > 1:
            read, writers = attrgetter(*[name for name, _ in plan]), tuple(writer for _, writer in plan)

            def fast(value: Any) -> bytes:
                return b"".join([write(one) for write, one in zip(writers, read(value), strict=True)])

            return fast

        def encode(value: Any) -> bytes:
            return b"".join([write(getattr(value, name) if name else value) for name, write in plan])

        return encode

    @cached_property
    def zero(self) -> bytes:
        """The message of an object that has nothing."""
        return self.encode(self._wire())


@cache
def message(type_name: str) -> Message:
    """The writer of a Go type.

    Raises:
        KeyError: There is no such type.
    """
    wire = class_of(type_name)
    if wire is None:
        raise KeyError(type_name)
    return Message(type_name, wire)


def _inlined(slot: Slot, wire: Any) -> Writer:
    key, inner = tag(slot.number, BYTES), Message(slot.inline, wire)
    return lambda value: delimited(key, inner.encode(value))


def _field(slot: Slot) -> Writer:
    shape = slot.shape
    if shape.form == "list":
        assert shape.items is not None
        return _boxed(slot.number, shape.items) if slot.boxed else _repeated(slot.number, shape.items)
    if shape.form == "map":
        assert shape.items is not None
        return _map(slot.number, shape.items)
    return _one(slot.number, shape, pointer=shape.pointer)


def _repeated(number: int, items: Shape) -> Writer:
    write = _one(number, items, pointer=False)

    def many(values: Any) -> bytes:
        return b"".join([write(value) for value in values]) if values else b""

    return many


def _boxed(number: int, items: Shape) -> Writer:
    key, inner = tag(number, BYTES), _repeated(1, items)
    return lambda values: delimited(key, inner(values)) if values is not None else b""


def _map(number: int, items: Shape) -> Writer:
    key, name_key = tag(number, BYTES), tag(1, BYTES)
    if items.form == "list":
        assert items.items is not None
        write = _boxed(2, items.items)
    else:
        write = _one(2, items, pointer=False, in_map=True)

    def entries(values: Any) -> bytes:
        if not values:
            return b""
        return b"".join([delimited(key, delimited(name_key, name.encode()) + write(values[name])) for name in sorted(values)])

    return entries


def _one(number: int, shape: Shape, *, pointer: bool, in_map: bool = False) -> Writer:
    form = shape.form
    if form in ("int32", "int64", "bool"):
        return _number(number, pointer=pointer)
    if form == "float64":
        return _double(number, pointer=pointer)
    key = tag(number, BYTES)
    absent = b"" if pointer else key + b"\0"
    if form == "string":
        return _string(key, absent)
    if form == "object":
        inner = message(shape.type)
        return _object(key, inner, pointer=pointer)
    if form == "bytes":
        return lambda value: delimited(key, value) if value or (in_map and value is not None) else b""
    if shape.type == _FIELDS_V1:
        return lambda value: delimited(key, _raw(value)) if value is not None and bytes(value) else absent
    content = _CONTENTS.get(shape.type) or _CONTENTS[form]
    return lambda value: absent if value is None else delimited(key, content(value))


def _string(key: bytes, absent: bytes) -> Writer:
    empty = key + b"\0"

    def write(value: Any) -> bytes:
        if not value:
            return absent if value is None else empty
        return delimited(key, value.encode())

    return write


def _number(number: int, *, pointer: bool) -> Writer:
    key = tag(number, VARINT)
    absent = b"" if pointer else key + b"\0"
    return lambda value: absent if value is None else key + varint(value)


def _double(number: int, *, pointer: bool) -> Writer:
    key, pack = tag(number, FIXED64), struct.Struct("<d").pack
    absent = b"" if pointer else key + bytes(8)
    return lambda value: absent if value is None else key + pack(value)


def _object(key: bytes, inner: Message, *, pointer: bool) -> Writer:
    if pointer:
        return lambda value: b"" if value is None else delimited(key, inner.encode(value))
    return lambda value: delimited(key, inner.zero if value is None else inner.encode(value))


def _quantity(value: Any) -> bytes:
    return delimited(b"\n", value.encode())


def _time(value: Any) -> bytes:
    moment = datetime.fromisoformat(value)
    return b"\x08" + varint(int(moment.replace(microsecond=0).timestamp())) + b"\x10" + varint(moment.microsecond * 1000)


def _int_or_string(value: Any) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + delimited(b"\x1a", value.encode())
    return b"\x08\x00\x10" + varint(value) + b"\x1a\x00"


def _raw(value: Any) -> bytes:
    return delimited(b"\n", codec.encode(value))


def _schema(value: Any) -> bytes:
    wire = class_of(_SCHEMA)
    assert wire is not None
    return message(_SCHEMA).encode(codec.convert(wire, value))


def _schema_or_array(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join([delimited(b"\x12", _schema(item)) for item in value])
    return delimited(b"\n", _schema(value))


def _schema_or_bool(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x08\x01" if value else b"\x08\x00"
    return b"\x08\x01" + delimited(b"\x12", _schema(value))


def _schema_or_strings(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join([delimited(b"\x12", item.encode()) for item in value])
    return delimited(b"\n", _schema(value))


_CONTENTS: dict[str, Writer] = {
    "quantity": _quantity, "time": _time, "microtime": _time, "intstr": _int_or_string, "any": _raw,
    f"{_EXTENSIONS}JSONSchemaPropsOrArray": _schema_or_array,
    f"{_EXTENSIONS}JSONSchemaPropsOrBool": _schema_or_bool,
    f"{_EXTENSIONS}JSONSchemaPropsOrStringArray": _schema_or_strings,
}
"""By type or by form: what stands in the message of a special scalar."""
