"""What is wrong with a text that is not JSON, in the words of Go's scanner.

Owns syntax errors only; it runs where a faster decoder has refused a body. No recursion, so any depth is safe.
Source: Go's `encoding/json/scanner.go`.
"""

from __future__ import annotations

import re

from sampan.api.goprint import quote

MAX_DEPTH = 10_000
TOO_DEEP = "exceeded max depth"
TRUNCATED = "unexpected end of JSON input"

_BLANK = re.compile(rb"[ \t\r\n]*")
_STRING_PART = re.compile(rb'[^"\\\x00-\x1f]*')
_LITERALS = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}
_DIGITS = re.compile(rb"[0-9]*")
_NO_BLANKS = ("in literal", "in \\u", "in numeric", "in exponent", "after decimal", "in string escape")
_HEX = b"0123456789abcdefABCDEF"


class _Bad(Exception):
    def __init__(self, at: int, context: str) -> None:
        self.at, self.context = at, context


def explain(body: bytes) -> str:
    """Go's message about the first error, empty where there is none."""
    try:
        _scan(body)
    except _Bad as bad:
        if bad.at >= len(body):
            # Go feeds its scanner one blank at the end: where blanks may stand, only the end is missing
            return f"invalid character ' ' {bad.context}" if bad.context.startswith(_NO_BLANKS) else TRUNCATED
        return f"invalid character {_shown(body[bad.at])} {bad.context}"
    return ""


def _shown(code: int) -> str:
    char = chr(code)
    if char == "'":
        return r"'\''"
    return "'\"'" if char == '"' else f"'{quote(char)[1:-1]}'"


def _scan(body: bytes) -> None:
    closers: list[int] = []
    at = _value(body, _skip(body, 0), closers)
    while closers:
        at = _skip(body, at)
        char = body[at] if at < len(body) else -1
        in_object = closers[-1] == 0x7D
        if char == closers[-1]:
            closers.pop()
            at += 1
        elif char == 0x2C:
            at = _skip(body, at + 1)
            at = _value(body, _key(body, at) if in_object else at, closers)
        else:
            raise _Bad(at, "after object key:value pair" if in_object else "after array element")
    at = _skip(body, at)
    if at < len(body):
        raise _Bad(at, "after top-level value")


def _skip(body: bytes, at: int) -> int:
    match = _BLANK.match(body, at)
    return match.end() if match else at


def _value(body: bytes, at: int, closers: list[int]) -> int:
    """Scan a scalar whole, or open objects and arrays up to the end of their first scalar (or their end)."""
    while True:
        char = body[at] if at < len(body) else -1
        if char not in (0x7B, 0x5B):
            return _scalar(body, at, char)
        if len(closers) >= MAX_DEPTH:
            raise _Bad(at, TOO_DEEP)
        closers.append(char + 2)
        at = _skip(body, at + 1)
        if at < len(body) and body[at] == char + 2:
            return at  # empty: the caller closes it
        if char == 0x7B:
            at = _key(body, at)


def _key(body: bytes, at: int) -> int:
    if at >= len(body) or body[at] != 0x22:
        raise _Bad(at, "looking for beginning of object key string")
    at = _skip(body, _string(body, at))
    if at >= len(body) or body[at] != 0x3A:
        raise _Bad(at, "after object key")
    return _skip(body, at + 1)


def _scalar(body: bytes, at: int, char: int) -> int:
    if char == 0x22:
        return _string(body, at)
    if (word := _LITERALS.get(char)) is not None:
        for offset in range(1, len(word)):
            if body[at + offset:at + offset + 1] != word[offset:offset + 1]:
                raise _Bad(at + offset, f"in literal {word.decode()} (expecting '{chr(word[offset])}')")
        return at + len(word)
    if char == 0x2D or 0x30 <= char <= 0x39:
        return _number(body, at)
    raise _Bad(at, "looking for beginning of value")


def _string(body: bytes, at: int) -> int:
    at += 1
    while True:
        match = _STRING_PART.match(body, at)
        at = match.end() if match else at
        char = body[at] if at < len(body) else -1
        if char == 0x22:
            return at + 1
        if char != 0x5C:
            raise _Bad(at, "in string literal")
        escape = body[at + 1] if at + 1 < len(body) else -1
        if escape == 0x75:
            for offset in range(2, 6):
                if at + offset >= len(body) or body[at + offset] not in _HEX:
                    raise _Bad(at + offset, r"in \u hexadecimal character escape")
            at += 6
        elif escape >= 0 and escape in b'bfnrt\\/"':
            at += 2
        else:
            raise _Bad(at + 1, "in string escape code")


def _number(body: bytes, at: int) -> int:
    if body[at] == 0x2D:
        at += 1
    if at < len(body) and body[at] == 0x30:
        at += 1
    else:
        at = _digits(body, at, "in numeric literal")
    if at < len(body) and body[at] == 0x2E:
        at = _digits(body, at + 1, "after decimal point in numeric literal")
    if at < len(body) and body[at] in b"eE":
        at += 1
        if at < len(body) and body[at] in b"+-":
            at += 1
        at = _digits(body, at, "in exponent of numeric literal")
    return at


def _digits(body: bytes, at: int, context: str) -> int:
    match = _DIGITS.match(body, at)
    end = match.end() if match else at
    if end == at:
        raise _Bad(at, context)
    return end
