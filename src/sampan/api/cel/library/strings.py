"""The strings extension.

Source: cel-go `ext/strings.go`, `ext/formatting.go`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import TRAVERSE, Functions, free, member, traversal, two_traversals
from sampan.api.cel.library.standard import double_text, to_string
from sampan.api.cel.types import DYN, INT, LIST_STRING, STRING, list_of
from sampan.api.cel.values import Duration, Timestamp, TypeValue, UInt, size_of, type_name

RESULT_MOST = 10 << 20
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code + 32: code for code in range(ord("A"), ord("Z") + 1)}
_VERB = re.compile(r"%(?:\.([0-9]{1,4}))?(.?)", re.DOTALL)
_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}


def char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at:at + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


def last_index_of(text: str, part: str, last: int | None = None) -> int:
    if last is not None and not 0 <= last <= len(text):
        raise CelError(f"index out of range: {last}")
    if not part:
        return len(text) if last is None else last
    return text.rfind(part) if last is None else text.rfind(part, 0, last + len(part))


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if old else len(text) + 1
    grown = len(text) + (times if count < 0 else min(times, count)) * (len(new) - len(old))
    if grown > RESULT_MOST:
        raise CelError("string too large")
    return text.replace(old, new, count)


def split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if not separator:
        chars = list(text)
        return chars if most < 0 or most >= len(chars) else [*chars[:most - 1], "".join(chars[most - 1:])]
    return text.split(separator, most - 1 if most > 0 else -1)


def substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    if end > len(text):
        raise CelError(f"index out of range: {end}")
    return text[start:end]


def join(items: list[Any], separator: str = "") -> str:
    if sum(len(item) for item in items if isinstance(item, str)) + len(separator) * len(items) > RESULT_MOST:
        raise CelError("string too large")
    if not all(type(item) is str for item in items):
        raise CelError("no such overload")
    return separator.join(items)


def quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


def format_text(text: str, args: list[Any]) -> str:
    """`'%s is %d'.format([…])`"""
    given = iter(args)
    used, room = 0, RESULT_MOST - len(text)

    def put(match: re.Match[str]) -> str:
        nonlocal used, room
        precision, verb = match.groups()
        if verb == "%":
            return "%"
        do = _VERBS.get(verb)
        if do is None:
            raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"' if verb
                           else "unexpected end of string")
        if used >= len(args):
            raise CelError(f"index {used} out of range")
        used += 1
        value = next(given)
        room = _room_after(value, room)
        return do(value, 6 if precision is None else int(precision))

    return _VERB.sub(put, text)


def _room_after(value: Any, room: int) -> int:
    """What is left of `room` once the value is shown: the same value may stand in many places of it.

    Raises:
        CelError: Nothing is.
    """
    if isinstance(value, str | bytes):
        room -= len(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            room = _room_after(item, _room_after(key, room - 2))
    elif isinstance(value, list):
        for item in value:
            room = _room_after(item, room - 2)
    else:
        room -= 1
    if room < 0:
        raise CelError("string too large")
    return room


def _shown(value: Any, _precision: int = 0) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{_shown(key)}: {_shown(item)}" for key, item in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if value is None:
        return "null"
    if type(value) is TypeValue:
        return value.name
    if type(value) in (str, bool, int, UInt, float, bytes, Timestamp, Duration):
        return to_string(value)
    raise CelError(f"error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, "
                   f"durations, and timestamps, was given {type_name(value)}")


def _verb(name: str, classes: tuple[type, ...], words: str, do: Callable[[Any, int], str]) -> Callable[[Any, int], str]:
    def render(value: Any, precision: int) -> str:
        if type(value) not in classes:
            raise CelError(f"error during formatting: {name} clause can only be used on {words}, was given {type_name(value)}")
        if precision > 1000:
            raise CelError("precision too large")
        return do(value, precision)
    return render


def _float(form: str) -> Callable[[Any, int], str]:
    def render(value: Any, precision: int) -> str:
        value = float(value)
        return f"{value:.{precision}{form}}" if math.isfinite(value) else double_text(value)
    return render


def _hex(form: str) -> Callable[[Any, int], str]:
    def render(value: Any, _precision: int) -> str:
        if type(value) in (int, UInt):
            return f"{int(value):{form}}"
        text = (value.encode() if type(value) is str else value).hex()
        return text.upper() if form == "X" else str(text)
    return render


_INTS, _NUMBERS = (int, UInt), (int, UInt, float)
_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _shown,
    "d": _verb("decimal", _NUMBERS, "integers", lambda value, _: _shown(value)),
    "f": _verb("fixed-point", _NUMBERS, "doubles", _float("f")),
    "e": _verb("scientific", _NUMBERS, "doubles", _float("e")),
    "b": _verb("binary", (*_INTS, bool), "integers and bools", lambda value, _: f"{int(value):b}"),
    "o": _verb("octal", _INTS, "integers", lambda value, _: f"{int(value):o}"),
    "x": _verb("hex", (*_INTS, str, bytes), "integers, byte buffers, and strings", _hex("x")),
    "X": _verb("hex", (*_INTS, str, bytes), "integers, byte buffers, and strings", _hex("X")),
}


def _joined_cost(args: Sequence[Any], result: Any) -> int:
    return math.ceil(size_of(result) * 2 * TRAVERSE) if result is not None else 0


_LIST = list_of(DYN)
FUNCTIONS: Functions = {
    "charAt": [member("string_char_at_int", (STRING, INT), STRING, char_at)],
    "indexOf": [member("string_index_of_string", (STRING, STRING), INT, index_of, cost=traversal, estimate="scan"),
                member("string_index_of_string_int", (STRING, STRING, INT), INT, index_of, cost=traversal, estimate="scan")],
    "lastIndexOf": [member("string_last_index_of_string", (STRING, STRING), INT, last_index_of, cost=traversal, estimate="scan"),
                    member("string_last_index_of_string_int", (STRING, STRING, INT), INT, last_index_of, cost=traversal, estimate="scan")],
    "lowerAscii": [member("string_lower_ascii", (STRING,), STRING, lambda text: text.translate(_LOWER), cost=traversal, estimate="copy")],
    "upperAscii": [member("string_upper_ascii", (STRING,), STRING, lambda text: text.translate(_UPPER), cost=traversal, estimate="copy")],
    "trim": [member("string_trim", (STRING,), STRING, str.strip, cost=traversal, estimate="copy")],
    "substring": [member("string_substring_int", (STRING, INT), STRING, substring, cost=traversal, estimate="copy"),
                  member("string_substring_int_int", (STRING, INT, INT), STRING, substring, cost=traversal, estimate="copy")],
    "replace": [member("string_replace_string_string", (STRING, STRING, STRING), STRING, replace, cost=two_traversals, estimate="replace"),
                member("string_replace_string_string_int", (STRING, STRING, STRING, INT), STRING, replace, cost=two_traversals, estimate="replace")],
    "split": [member("string_split_string", (STRING, STRING), LIST_STRING, split, cost=two_traversals, estimate="split"),
              member("string_split_string_int", (STRING, STRING, INT), LIST_STRING, split, cost=two_traversals, estimate="split")],
    "join": [member("list_join", (LIST_STRING,), STRING, join, cost=_joined_cost, estimate="join"),
             member("list_join_string", (LIST_STRING, STRING), STRING, join, cost=_joined_cost, estimate="join")],
    "reverse": [member("string_reverse", (STRING,), STRING, lambda text: text[::-1], cost=traversal, estimate="copy")],
    "strings.quote": [free("strings_quote", (STRING,), STRING, quote, cost=traversal, estimate="quote")],
    "format": [member("string_format", (STRING, _LIST), STRING, format_text, cost=traversal, estimate="format")],
}
