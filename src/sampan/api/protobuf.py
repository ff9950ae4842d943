"""Kubernetes' protobuf: the envelope around a message, lists, events of a watch, and bodies turned to JSON.

Owns the prefix `k8s` with a zero byte and `runtime.Unknown` (typeMeta, raw, contentEncoding, contentType), and the frames of
`application/vnd.kubernetes.protobuf;stream=watch` (four bytes of length, then a bare WatchEvent).
Leaves messages to `protoencode` and `protodecode`. Custom resources have no messages: for them it is JSON.
Source: apimachinery `runtime/serializer/protobuf`, `pkg/util/framer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from sampan.api import codec, protodecode, protoencode, schema
from sampan.api.meta.v1 import ListMeta, PartialObjectMetadata
from sampan.api.protofields import class_of
from sampan.api.protowire import BYTES, END_GROUP, Malformed, delimited, read_varint, skip, tag

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
PREFIX = b"k8s\0"
PIECE_BYTES = 256 * 1024
_META = "apimachinery/pkg/apis/meta/v1."
_RAW, _ITEM = tag(2, BYTES), tag(2, BYTES)
_NO_ENCODING = delimited(tag(3, BYTES), b"") + delimited(tag(4, BYTES), b"")


class Unknown(NamedTuple):
    """An envelope: what its message is, and the message."""

    api_version: str
    kind: str
    raw: bytes


# ---- out -----------------------------------------------------------------------------------------------------------


@cache
def type_of(api_version: str, kind: str) -> str | None:
    """The Go type of a kind, None for one that has no message."""
    group, _, version = api_version.rpartition("/")
    name = schema.facts()["kinds"].get(f"{group}/{version}/{kind}" if group else f"{version}/{kind}")
    if name is None and group == "meta.k8s.io":
        name = f"{_META}{kind}"
    if name is None or class_of(name) is None:
        return None
    # kinds that are never sent this way (Table) have no numbers
    return name if any(fact.get("number") for fact in schema.facts()["types"][name]["fields"].values()) else None


def message(api_version: str, kind: str, obj: Any) -> bytes:
    """An object's message, bare: what a list has for an item.

    Raises:
        KeyError: The kind has none.
    """
    name = type_of(api_version, kind)
    if name is None:
        raise KeyError(f"{api_version} {kind}")
    return protoencode.message(name).encode(obj)


def _type_meta(api_version: str, kind: str) -> bytes:
    inner = delimited(tag(1, BYTES), api_version.encode()) + delimited(tag(2, BYTES), kind.encode())
    return delimited(tag(1, BYTES), inner)


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A message as a body."""
    return b"".join((PREFIX, _type_meta(api_version, kind), delimited(_RAW, raw), _NO_ENCODING))


def encode(obj: Any) -> bytes:
    """A Struct that has its kind and apiVersion, as a body.

    Raises:
        KeyError: The kind has no message.
    """
    return envelope(obj.apiVersion, obj.kind, message(obj.apiVersion, obj.kind, obj))


def encode_value(value: Any) -> bytes | None:
    """A Struct, or a dict as JSON has it, as a body; None where its kind has no message."""
    if not isinstance(value, dict):
        return encode(value) if type_of(value.apiVersion, value.kind) else None
    name = type_of(str(value.get("apiVersion", "")), str(value.get("kind", "")))
    wire = class_of(name) if name else None
    return encode(codec.convert(wire, value)) if wire is not None else None


def encode_list(api_version: str, kind: str, meta: ListMeta, items: Iterable[bytes]) -> Iterator[bytes]:
    """A list's body, in pieces, from its items' bare messages."""
    parts = [delimited(tag(1, BYTES), protoencode.message(f"{_META}ListMeta").encode(meta))]
    parts += [delimited(_ITEM, item) for item in items]
    body = envelope(api_version, kind, b"".join(parts))
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start:start + PIECE_BYTES]


def partial(version: str, metadata: Any) -> bytes:
    """PartialObjectMetadata with this ObjectMeta, bare."""
    return message(f"meta.k8s.io/{version}", "PartialObjectMetadata", PartialObjectMetadata(metadata=metadata))


def watch_event(kind: str, body: bytes) -> bytes:
    """An event with an object's body, framed."""
    event = delimited(tag(1, BYTES), kind.encode()) + delimited(tag(2, BYTES), delimited(tag(1, BYTES), body))
    return len(event).to_bytes(4, "big") + event


# ---- in ------------------------------------------------------------------------------------------------------------


def open_envelope(body: bytes) -> Unknown:
    """The envelope of a body.

    Raises:
        Malformed: It is none, in Go's words.
    """
    if not body:
        raise Malformed("empty data")
    if not body.startswith(PREFIX):
        raise Malformed(f"provided data does not appear to be a protobuf message, expected prefix [{' '.join(map(str, PREFIX))}]")
    if len(body) == len(PREFIX):
        raise Malformed("empty body")
    found = _delimited_fields(body, len(PREFIX), len(body))
    meta = found.get(1)
    said = _delimited_fields(body, *meta) if meta else {}
    return Unknown(_text(body, said.get(1)), _text(body, said.get(2)), body[slice(*found[2])] if 2 in found else b"")


def _delimited_fields(data: bytes, at: int, end: int) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    while at < end:
        key, at = read_varint(data, at, end)
        wire, number = key & 7, key >> 3
        if wire == END_GROUP:
            raise Malformed("proto: Unknown: wiretype end group for non-group")
        if number == 0:
            raise Malformed(f"proto: Unknown: illegal tag 0 (wire type {key})")
        stop = skip(data, at, end, wire)
        if wire == BYTES:
            _, start = read_varint(data, at, stop)
            found[number] = start, stop
        at = stop
    return found


def _text(data: bytes, span: tuple[int, int] | None) -> str:
    return data[slice(*span)].decode("utf-8", "replace") if span else ""


def decode(unknown: Unknown, *, api_version: str = "", kind: str = "") -> Any:
    """The object in an envelope, which has the kind and version given where it says none itself.

    Raises:
        Malformed: The message is broken.
        KeyError: Nobody knows the kind.
    """
    api_version, kind = unknown.api_version or api_version, unknown.kind or kind
    name = type_of(api_version, kind)
    if name is None:
        raise KeyError(f"{api_version} {kind}")
    obj = protodecode.message(name).decode(unknown.raw, 0, len(unknown.raw))
    obj.kind, obj.apiVersion = kind, api_version
    return obj


def decode_body(body: bytes) -> Any:
    """The object in a body.

    Raises:
        Malformed: There is none.
        KeyError: Nobody knows the kind.
    """
    return decode(open_envelope(body))
