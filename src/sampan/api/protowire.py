"""The wire of protocol buffers: varints, tags, skipping what nobody knows. Errors are in the words of Go's decoders.

Owns nothing about Kubernetes. Everything is bounded by the message's end.
Source: protobuf's encoding; `skipGenerated` of apimachinery's generated code for the words.
"""

from __future__ import annotations

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
_MASK = 2**64 - 1


class Malformed(ValueError):
    """Bytes that are no such message; the text is Go's."""


def unexpected_end() -> Malformed:
    return Malformed("unexpected EOF")


def negative_length() -> Malformed:
    return Malformed("proto: negative length found during unmarshaling")


def varint(value: int) -> bytes:
    """A number ≥ -2⁶³ and < 2⁶⁴ (negative ones take ten bytes, as Go writes them)."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= _MASK
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = tuple(bytes((value,)) for value in range(0x80))


def tag(number: int, wire: int) -> bytes:
    """The key in front of a field."""
    return varint(number << 3 | wire)


def delimited(key: bytes, data: bytes) -> bytes:
    """A field that says its length."""
    size = len(data)
    return key + _SMALL[size] + data if size < 0x80 else key + varint(size) + data


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned number at `at`, and where it ends.

    Raises:
        Malformed: It does not end in time.
    """
    if at >= end:
        raise unexpected_end()
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        if shift >= 64:
            raise Malformed("proto: integer overflow")
        if at >= end:
            raise unexpected_end()
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at + 1
        shift += 7


def read_span(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a delimited field begins and ends.

    Raises:
        Malformed: It is longer than what is there.
    """
    if at < end and (size := data[at]) < 0x80:
        at += 1
    else:
        size, at = read_varint(data, at, end)
        if size >= 2**63:
            raise negative_length()
    stop = at + size
    if stop > end:
        raise unexpected_end()
    return at, stop


def skip(data: bytes, at: int, end: int, wire: int) -> int:
    """Where the value behind a key of this wire type ends; groups end with their end key.

    Raises:
        Malformed: It does not, or the type is none.
    """
    depth = 0
    while True:
        if wire == VARINT:
            _, at = read_varint(data, at, end)
        elif wire == FIXED64:
            at += 8
        elif wire == BYTES:
            _, at = read_span(data, at, end)
        elif wire == START_GROUP:
            depth += 1
        elif wire == END_GROUP:
            if depth == 0:
                raise Malformed("proto: unexpected end of group")
            depth -= 1
        elif wire == FIXED32:
            at += 4
        else:
            raise Malformed(f"proto: illegal wireType {wire}")
        if at > end:
            raise unexpected_end()
        if depth == 0:
            return at
        key, at = read_varint(data, at, end)
        wire = key & 7


def signed(value: int, bits: int) -> int:
    """What an unsigned number is in two's complement of so many bits (Go cuts off what is above)."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
