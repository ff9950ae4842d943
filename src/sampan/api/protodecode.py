"""Protobuf messages to Structs, by Go's rules.

Owns the compiled readers: a message is a table from a field's key to the function that reads it, made once a type.
Unknown fields are skipped; what is left out is zero; texts that are no UTF-8 are repaired as Go repairs them in JSON.
Leaves the envelope to `sampan.api.protobuf`.
Source: `Unmarshal` in the generated.pb.go of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

import msgspec

from sampan.api import codec
from sampan.api.protofields import Slot, class_of, slots
from sampan.api.protowire import (
    BYTES,
    END_GROUP,
    FIXED64,
    VARINT,
    Malformed,
    read_span,
    read_varint,
    signed,
    skip,
    unexpected_end,
)
from sampan.api.quantity import canonical
from sampan.api.scalars import MicroTime, Quantity, Time
from sampan.api.schema import Shape

Values = dict[str, Any]
Reader = Callable[[bytes, int, int, Values, int], int]
"""(data, at, end, values to fill, depth) → where the field ends."""
Content = Callable[[bytes, int, int, int], Any]
"""(data, at, end, depth) → the value of a delimited field."""

MAX_DEPTH = 100
_EXTENSIONS = "apiextensions-apiserver/pkg/apis/apiextensions/v1."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BITS = {"int32": 32, "int64": 64}


class Message:
    """Reads one type. `wire` is the class that the attributes belong to: of an inlined type, its parent's."""

    def __init__(self, type_name: str, wire: Any) -> None:
        self._type, self._wire = type_name, wire

    @cached_property
    def _table(self) -> dict[int, Reader]:
        table: dict[int, Reader] = {}
        for slot in slots(self._type, self._wire):
            table |= _inlined(slot, self._wire) if slot.inline else _field(slot)
        return table

    def decode(self, data: bytes, at: int, end: int, depth: int = 0) -> Any:
        """The object that stands between `at` and `end`.

        Raises:
            Malformed: There is none.
        """
        values: Values = {}
        self.fill(data, at, end, values, depth + 1)
        return self._wire(**values)

    def fill(self, data: bytes, at: int, end: int, values: Values, depth: int) -> None:
        """Read the fields into `values`."""
        if depth > MAX_DEPTH:
            raise Malformed(f"exceeded max depth {MAX_DEPTH}")
        table = self._table
        while at < end:
            key = data[at]
            at += 1
            if key >= 0x80:
                key, at = read_varint(data, at - 1, end)
            read = table.get(key)
            at = read(data, at, end, values, depth) if read is not None else self._unknown(key, data, at, end)

    def _unknown(self, key: int, data: bytes, at: int, end: int) -> int:
        number, wire = signed(key >> 3, 32), key & 7
        name = self._type.rpartition(".")[2]
        if wire == END_GROUP:
            raise Malformed(f"proto: {name}: wiretype end group for non-group")
        if number <= 0:
            raise Malformed(f"proto: {name}: illegal tag {number} (wire type {key})")
        for slot in slots(self._type, self._wire):
            if slot.number == number:
                raise Malformed(f"proto: wrong wireType = {wire} for field {slot.go_name}")
        return skip(data, at, end, wire)


@cache
def message(type_name: str) -> Message:
    """The reader of a Go type.

    Raises:
        KeyError: There is no such type.
    """
    wire = class_of(type_name)
    if wire is None:
        raise KeyError(type_name)
    return Message(type_name, wire)


def _inlined(slot: Slot, wire: Any) -> dict[int, Reader]:
    inner = Message(slot.inline, wire)

    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        at, stop = read_span(data, at, end)
        inner.fill(data, at, stop, values, depth + 1)
        return stop

    return {slot.number << 3 | BYTES: read}


def _field(slot: Slot) -> dict[int, Reader]:
    shape, name = slot.shape, slot.attribute
    key = slot.number << 3
    if shape.form == "map":
        assert shape.items is not None
        return {key | BYTES: _entry(name, shape.items)}
    if shape.form != "list":
        if shape.form in ("int32", "int64", "bool"):
            return {key | VARINT: _number(name, shape)}
        if shape.form == "float64":
            return {key | FIXED64: _double(name)}
        return {key | BYTES: _single(name, content(shape))}
    assert shape.items is not None
    if slot.boxed:
        return {key | BYTES: _single(name, _strings)}
    if shape.items.form in ("int32", "int64", "bool"):
        one, packed = _numbers(name, shape.items)
        return {key | VARINT: one, key | BYTES: packed}
    return {key | BYTES: _appended(name, content(shape.items))}


def _single(name: str, inner: Content) -> Reader:
    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        at, stop = read_span(data, at, end)
        values[name] = inner(data, at, stop, depth)
        return stop

    return read


def _appended(name: str, inner: Content) -> Reader:
    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        at, stop = read_span(data, at, end)
        values.setdefault(name, []).append(inner(data, at, stop, depth))
        return stop

    return read


def _convert(form: str, value: int) -> int | bool:
    return value != 0 if form == "bool" else signed(value, _BITS[form])


def _number(name: str, shape: Shape) -> Reader:
    form = shape.form

    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        del depth
        value, at = read_varint(data, at, end)
        values[name] = _convert(form, value)
        return at

    return read


def _numbers(name: str, shape: Shape) -> tuple[Reader, Reader]:
    form = shape.form

    def one(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        del depth
        value, at = read_varint(data, at, end)
        values.setdefault(name, []).append(_convert(form, value))
        return at

    def packed(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        at, stop = read_span(data, at, end)
        while at < stop:
            at = one(data, at, stop, values, depth)
        return stop

    return one, packed


def _double(name: str) -> Reader:
    unpack = struct.Struct("<d").unpack_from

    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        del depth
        if at + 8 > end:
            raise unexpected_end()
        (values[name],) = unpack(data, at)
        return at + 8

    return read


def _entry(name: str, items: Shape) -> Reader:
    inner = _strings if items.form == "list" else content(items)
    absent: Callable[[], Any] = _ZEROS[items.form] if items.form in _ZEROS else lambda: inner(b"", 0, 0, 0)

    def read(data: bytes, at: int, end: int, values: Values, depth: int) -> int:
        at, stop = read_span(data, at, end)
        key, value = "", None
        while at < stop:
            tag, at = read_varint(data, at, stop)
            if tag == 0x0A:
                start, at = read_span(data, at, stop)
                key = _string(data, start, at, depth)
            elif tag == 0x12:
                start, at = read_span(data, at, stop)
                value = inner(data, start, at, depth)
            else:
                at = skip(data, at, stop, tag & 7)
        values.setdefault(name, {})[key] = absent() if value is None else value
        return stop

    return read


_ZEROS: dict[str, Callable[[], Any]] = {"string": str, "bytes": bytes, "list": list, "quantity": lambda: Quantity("0")}


def content(shape: Shape) -> Content:
    """How the inside of a delimited field is read."""
    if shape.form == "object":
        return message(shape.type).decode
    return _CONTENTS.get(shape.type) or _CONTENTS[shape.form]


def _string(data: bytes, at: int, end: int, depth: int) -> str:
    del depth
    return data[at:end].decode("utf-8", "replace")


def _bytes(data: bytes, at: int, end: int, depth: int) -> bytes:
    del depth
    return data[at:end]


def _fields(data: bytes, at: int, end: int) -> dict[int, Any]:
    """A small message whose fields nobody has a class for: numbers, and (start, end) of delimited ones (the last)."""
    found: dict[int, Any] = {}
    while at < end:
        key, at = read_varint(data, at, end)
        if key & 7 == VARINT:
            found[key >> 3], at = read_varint(data, at, end)
        elif key & 7 == BYTES:
            start, at = read_span(data, at, end)
            found.setdefault(-(key >> 3), []).append((start, at))
        else:
            at = skip(data, at, end, key & 7)
    return found


def _text(data: bytes, found: dict[int, Any], number: int) -> str:
    spans = found.get(-number)
    return data[slice(*spans[-1])].decode("utf-8", "replace") if spans else ""


def _quantity(data: bytes, at: int, end: int, depth: int) -> Quantity:
    del depth
    found = _fields(data, at, end)
    if -1 not in found:
        return Quantity("0")
    try:
        return canonical(_text(data, found, 1))
    except ValueError as error:
        raise Malformed(str(error)) from None


def _moment(data: bytes, at: int, end: int) -> datetime | None:
    if at == end:
        return None
    found = _fields(data, at, end)
    seconds, nanos = signed(found.get(1, 0), 64), signed(found.get(2, 0), 32)
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise Malformed("Time.MarshalJSON: year outside of range [0,9999]") from None


def _time(data: bytes, at: int, end: int, depth: int) -> Time | None:
    del depth
    moment = _moment(data, at, end)
    return None if moment is None else Time(f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z")


def _microtime(data: bytes, at: int, end: int, depth: int) -> MicroTime | None:
    del depth
    moment = _moment(data, at, end)
    return None if moment is None else MicroTime(f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z")


def _int_or_string(data: bytes, at: int, end: int, depth: int) -> int | str:
    del depth
    found = _fields(data, at, end)
    return _text(data, found, 3) if found.get(1, 0) else signed(found.get(2, 0), 32)


def _json(data: bytes, at: int, end: int, depth: int) -> Any:
    raw = _raw(data, at, end, depth)
    try:
        return codec.loads(raw) if raw else None
    except codec.DecodeError as error:
        raise Malformed(f"json: {error}") from None


def _raw(data: bytes, at: int, end: int, depth: int) -> bytes:
    del depth
    spans = _fields(data, at, end).get(-1)
    return data[slice(*spans[-1])] if spans else b""


def _fields_v1(data: bytes, at: int, end: int, depth: int) -> Any:
    raw = _raw(data, at, end, depth)
    _json(data, at, end, depth)
    return msgspec.Raw(raw)


def _strings(data: bytes, at: int, end: int, depth: int) -> list[str]:
    return [_string(data, start, stop, depth) for start, stop in _fields(data, at, end).get(-1, ())]


def _schema(data: bytes, span: tuple[int, int], depth: int) -> Any:
    return codec.to_builtins(message(f"{_EXTENSIONS}JSONSchemaProps").decode(data, *span, depth))


def _schema_or_array(data: bytes, at: int, end: int, depth: int) -> Any:
    found = _fields(data, at, end)
    if -2 in found:
        return [_schema(data, span, depth) for span in found[-2]]
    return _schema(data, found[-1][-1], depth) if -1 in found else None


def _schema_or_bool(data: bytes, at: int, end: int, depth: int) -> Any:
    found = _fields(data, at, end)
    return _schema(data, found[-2][-1], depth) if -2 in found else bool(found.get(1, 0))


def _schema_or_strings(data: bytes, at: int, end: int, depth: int) -> Any:
    found = _fields(data, at, end)
    if -2 in found:
        return [_string(data, start, stop, depth) for start, stop in found[-2]]
    return _schema(data, found[-1][-1], depth) if -1 in found else None


_CONTENTS: dict[str, Content] = {
    "string": _string, "bytes": _bytes, "quantity": _quantity, "time": _time, "microtime": _microtime,
    "intstr": _int_or_string, "any": _json,
    "apimachinery/pkg/apis/meta/v1.FieldsV1": _fields_v1,
    f"{_EXTENSIONS}JSONSchemaPropsOrArray": _schema_or_array,
    f"{_EXTENSIONS}JSONSchemaPropsOrBool": _schema_or_bool,
    f"{_EXTENSIONS}JSONSchemaPropsOrStringArray": _schema_or_strings,
}
"""By type or by form."""
