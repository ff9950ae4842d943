"""A Swagger 2.0 document as the protobuf that kubectl and helm ask for when they check manifests.

Owns the field numbers of gnostic's `openapi.v2` messages, as far as our documents have such fields. Zero values are left
out (proto3); extensions (`x-…`) are named texts of YAML, which JSON is.
Source: gnostic-models `openapiv2/OpenAPIv2.proto`; kube-openapi `pkg/handler`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sampan.api import codec
from sampan.api.protowire import BYTES, VARINT, delimited, tag, varint

Writer = Callable[[Any], bytes]


def _text(number: int) -> Writer:
    key = tag(number, BYTES)
    return lambda value: delimited(key, str(value).encode()) if value else b""


def _texts(number: int) -> Writer:
    key = tag(number, BYTES)
    return lambda values: b"".join([delimited(key, str(value).encode()) for value in values])


def _number(number: int) -> Writer:
    key = tag(number, VARINT)
    return lambda value: key + varint(int(value)) if value else b""


def _one(number: int, inner: Writer) -> Writer:
    key = tag(number, BYTES)
    return lambda value: delimited(key, inner(value))


def _many(number: int, inner: Writer) -> Writer:
    one = _one(number, inner)
    return lambda values: b"".join([one(value) for value in values])


def _named(number: int, inner: Writer) -> Writer:
    """A map, as a list of messages with a name and a value."""
    key, name_key, value_key = tag(number, BYTES), tag(1, BYTES), tag(2, BYTES)

    def write(values: Mapping[str, Any]) -> bytes:
        return b"".join([
            delimited(key, delimited(name_key, name.encode()) + delimited(value_key, inner(value))) for name, value in values.items()])

    return write


def _any(value: Any) -> bytes:
    return delimited(b"\x12", codec.encode(value) + b"\n")


def _message(fields: Mapping[str, Writer], extensions: int = 0) -> Writer:
    extra = _named(extensions, _any) if extensions else None

    def write(value: Mapping[str, Any]) -> bytes:
        parts = [one(value[name]) for name, one in fields.items() if name in value]
        if extra is not None:
            parts.append(extra({name: item for name, item in value.items() if name.startswith("x-")}))
        return b"".join(parts)

    return write


def _schema(value: Any) -> bytes:
    return _SCHEMA(value)


def _additional(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    return delimited(b"\n", _schema(value))


def _types(value: Any) -> bytes:
    return _texts(1)([value] if isinstance(value, str) else value)


def _items(value: Any) -> bytes:
    return _many(1, _schema)(value if isinstance(value, list) else [value])


_SCHEMA = _message({
    "$ref": _text(1), "format": _text(2), "title": _text(3), "description": _text(4), "default": _one(5, _any),
    "maxLength": _number(11), "minLength": _number(12), "pattern": _text(13), "maxItems": _number(14), "minItems": _number(15),
    "uniqueItems": _number(16), "maxProperties": _number(17), "minProperties": _number(18), "required": _texts(19),
    "enum": _many(20, _any), "additionalProperties": _one(21, _additional), "type": _one(22, _types), "items": _one(23, _items),
    "allOf": _many(24, _schema), "properties": _one(25, _named(1, _schema)),
}, 31)

_BODY = _message({"description": _text(1), "name": _text(2), "in": _text(3), "required": _number(4), "schema": _one(5, _schema)}, 6)
_QUERY = _message({
    "required": _number(1), "in": _text(2), "description": _text(3), "name": _text(4), "type": _text(6), "format": _text(7),
    "uniqueItems": _number(20)}, 23)
_PATH = _message({
    "required": _number(1), "in": _text(2), "description": _text(3), "name": _text(4), "type": _text(5), "format": _text(6),
    "uniqueItems": _number(19)}, 22)
_OTHERS = {"header": _one(1, _PATH), "query": _one(3, _QUERY), "path": _one(4, _PATH)}


def _parameter(value: Mapping[str, Any]) -> bytes:
    where = value["in"]
    inner = delimited(b"\n", _BODY(value)) if where == "body" else delimited(b"\x12", _OTHERS[where](value))
    return delimited(b"\n", inner)


_RESPONSE = _one(1, _message({"description": _text(1), "schema": _one(2, _one(1, _schema))}, 5))
_OPERATION = _message({
    "tags": _texts(1), "summary": _text(2), "description": _text(3), "operationId": _text(5), "produces": _texts(6), "consumes": _texts(7),
    "parameters": _many(8, _parameter), "responses": _one(9, _named(1, _RESPONSE)), "deprecated": _number(11)}, 13)
_ITEM = _message({
    "get": _one(2, _OPERATION), "put": _one(3, _OPERATION), "post": _one(4, _OPERATION), "delete": _one(5, _OPERATION),
    "options": _one(6, _OPERATION), "head": _one(7, _OPERATION), "patch": _one(8, _OPERATION), "parameters": _many(9, _parameter)}, 10)
_API_KEY = _message({"type": _text(1), "name": _text(2), "in": _text(3), "description": _text(4)}, 5)

encode: Writer = _message({
    "swagger": _text(1), "info": _one(2, _message({"title": _text(1), "version": _text(2), "description": _text(3)})),
    "paths": _one(8, _named(2, _ITEM)), "definitions": _one(9, _named(1, _schema)),
    "security": _many(12, _named(1, _texts(1))), "securityDefinitions": _one(13, _named(1, _one(2, _API_KEY))),
}, 16)
"""A whole document."""
