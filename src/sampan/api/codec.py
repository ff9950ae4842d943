"""Bytes ↔ Structs: the one encoder, and a decoder per wire type, built on first use and kept.

Owns the fast path. Where msgspec refuses a body (`DecodeError`), `sampan.api.strict` walks it again and names
every path as upstream does.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec

from sampan.api.quantity import canonical
from sampan.api.scalars import MicroTime, Quantity, Time

T = TypeVar("T")
DecodeError = msgspec.DecodeError

_encoder = msgspec.json.Encoder(enc_hook=str)
_loose = msgspec.json.Decoder()


def _scalar(kind: type, value: Any) -> Any:
    if type(value) is str:
        # what objects are full of first
        if kind is Time:
            return _known_time(value) if len(value) <= _TIME_LENGTH else Time.parse(value)
        if kind is Quantity:
            return canonical(value)
        if kind is MicroTime:
            return MicroTime.parse(value)
        raise TypeError(f"no decoder for {kind}")
    if kind is not Quantity or isinstance(value, bool) or not isinstance(value, (int, float)):
        expected = "string" if kind is not Quantity and type(value) in (int, float) else kind.__name__.lower()
        raise ValueError(f"expected a {expected}, got {type(value).__name__}")
    return canonical(str(value))


_TIME_LENGTH = len("2026-01-02T03:04:05Z")
# the same few times stand in many objects, and an object's in all its versions
_known_time = lru_cache(maxsize=4096)(Time.parse)


@cache
def _decoder(wire: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wire, dec_hook=_scalar)


def encode(value: Any) -> bytes:
    """The JSON of a Struct, dict or scalar."""
    return _encoder.encode(value)


def decode(wire: type[T], body: bytes | str) -> T:
    """Decode, validate structurally and canonicalise scalars.

    Raises:
        msgspec.ValidationError: A field has the wrong type or is not known (a subclass of DecodeError).
        msgspec.DecodeError: It is not JSON.
    """
    known: Any = wire
    found: T = (_loose if known is dict else _decoder(known)).decode(body)
    return found


def loads(body: bytes | str) -> Any:
    """JSON to dicts and lists.

    Raises:
        msgspec.DecodeError: It is not JSON.
    """
    return _loose.decode(body)


def convert(wire: type[T], value: Any) -> T:
    """Dicts to Structs, with the same rules as `decode`.

    Raises:
        msgspec.ValidationError: A field has the wrong type or is not known.
    """
    if wire is dict:
        return value  # type: ignore[no-any-return]
    return decode(wire, encode(value))


def to_builtins(value: Any) -> Any:
    """Structs to dicts and lists, as their JSON would be read back."""
    return _loose.decode(_encoder.encode(value))


def clone(value: T) -> T:
    """A deep copy of a Struct or dict that may be changed."""
    return decode(type(value), encode(value))


def spread(value: T) -> T:
    """A copy of a Struct whose own parts are copies as well (metadata, spec, status). All below is shared: put something in its place,
    change nothing of it.
    """
    old: Any = value
    out = old.__copy__()
    for name in out.__struct_fields__:
        part: Any = getattr(out, name)
        if isinstance(part, msgspec.Struct):
            setattr(out, name, part.__copy__())  # type: ignore[attr-defined]
    made: T = out
    return made
