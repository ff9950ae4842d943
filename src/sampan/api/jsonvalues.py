"""JSON as it was written: numbers keep their spelling, objects the order and the repetition of their keys.

Owns the parser that `sampan.api.strict` reads bodies again with, what its values are called, and how they become plain ones.
Source: `sigs.k8s.io/json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from sampan.api import goprint

INTEGER = re.compile(r"-?[0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they came, repeated ones too."""


def _constant(text: str) -> Any:
    raise ValueError(text)


PARSER = json.JSONDecoder(object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=_constant)


def word(value: Any) -> str:
    """What JSON calls the value, in Go's messages."""
    if isinstance(value, Pairs | dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, Number | int | float) else "string"


def is_number(value: Any) -> bool:
    """Whether it is one in JSON, which true and false are not."""
    return isinstance(value, Number | int | float) and not isinstance(value, bool)


def as_text(value: Any) -> str:
    """A text as it is, a number as it was written."""
    return str(value) if isinstance(value, str) else goprint.compact(value)


def valid_unicode(value: str) -> str:
    """The text as Go has it: half a surrogate pair is replaced."""
    return value if value.isascii() or not _SURROGATE.search(value) else _SURROGATE.sub("\ufffd", value)


def scalar(value: Any) -> Any:
    """A number, a text, true, false or null whose type nobody prescribes. Integers stay such where they fit 64 bits, as Go has them."""
    if not isinstance(value, Number):
        return valid_unicode(value) if isinstance(value, str) else value
    if INTEGER.fullmatch(value) and len(value) <= 20 and -(2**63) <= int(value) < 2**63:
        return int(value)
    return float(value)


def pairs(value: Any) -> Iterable[tuple[str, Any]]:
    """Keys and values of an object, parsed here or plain."""
    return value if isinstance(value, Pairs) else value.items()
