"""Functions of the language itself: conversions, strings, times, optionals. Operators are the compiler's.

Source: cel-spec `langdef.md`, "List of Standard Definitions"; cel-go `ext/`, `cel/library.go` for optionals.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC
from typing import Any

from sampan.api.cel import temporal
from sampan.api.cel.arithmetic import checked, unsigned
from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import Functions, Overload, free, member, product, regex_cost, traversal
from sampan.api.cel.library.regex import matches
from sampan.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST_A,
    MAP_AB,
    STRING,
    TIMESTAMP,
    UINT,
    A,
    Type,
    optional_of,
    type_of,
)
from sampan.api.cel.values import NANO, NONE, Duration, Optional, Timestamp, TypeValue, UInt, type_name

_INT = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def _conversion(kind: str, wanted: str) -> CelError:
    return CelError(f"type conversion error from '{kind}' to '{wanted}'")


def to_int(value: Any) -> int:
    kind = type(value)
    if kind is str:
        if not _INT.fullmatch(value):
            raise _conversion("string", "int")
        return checked(int(value))
    if kind is float:
        if not -9.223372036854775808e18 < value < 9.223372036854775808e18:
            raise CelError("integer overflow")
        return int(value)
    return checked(value.nano // NANO if kind is Timestamp else value.nano if kind is Duration else int(value))


def to_uint(value: Any) -> UInt:
    if type(value) is str:
        if not _INT.fullmatch(value) or value[0] in "+-":
            raise _conversion("string", "uint")
    elif type(value) is float and not 0 <= value < 18446744073709551616.0:
        raise CelError("unsigned integer overflow")
    return unsigned(int(value))


def to_double(value: Any) -> float:
    if type(value) is str and not _DOUBLE.fullmatch(value):
        raise _conversion("string", "double")
    return float(value)


def double_text(value: float) -> str:
    """As Go's %g with the least digits does it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".0")
    if exponent:
        return f"{mantissa}e{exponent[0]}{exponent[1:].zfill(2)}" if exponent[0] in "+-" else f"{mantissa}e+{exponent.zfill(2)}"
    return mantissa


def to_string(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return double_text(value)
    if kind is bytes:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
    if kind is Timestamp:
        return temporal.timestamp_text(value)
    return temporal.duration_text(value) if kind is Duration else str(int(value)) if kind in (int, UInt) else str(value)


def to_bool(value: Any) -> bool:
    if value in ("true", "TRUE", "True", "t", "1", True):
        return True
    if value in ("false", "FALSE", "False", "f", "0", False):
        return False
    raise _conversion("string", "bool")


def to_timestamp(value: Any) -> Timestamp:
    if type(value) is str:
        return temporal.parse_timestamp(value)
    return temporal.timestamp(value * NANO) if type(value) is int else value


def to_duration(value: Any) -> Duration:
    if type(value) is str:
        return temporal.parse_duration(value)
    return temporal.duration(value) if type(value) is int else value


def to_type(value: Any) -> TypeValue:
    """`type(x)`"""
    return TypeValue(type_name(value))


def _field(of: Callable[[Any], int]) -> Callable[..., int]:
    def get(value: Timestamp, name: str = "UTC") -> int:
        return of(temporal.local(value, temporal.zone(name) if name != "UTC" else UTC))
    return get


_FIELDS: dict[str, Callable[[Any], int]] = {
    "getFullYear": lambda at: at.year, "getMonth": lambda at: at.month - 1, "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1, "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1, "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute, "getSeconds": lambda at: at.second,
}
_DURATION_UNITS = {"getHours": 3600 * NANO, "getMinutes": 60 * NANO, "getSeconds": NANO}


def _times() -> dict[str, list[Overload]]:
    found: dict[str, list[Overload]] = {}
    for name, of in _FIELDS.items():
        do = _field(of)
        found[name] = [member(f"timestamp_{name}", (TIMESTAMP,), INT, do),
                       member(f"timestamp_{name}_with_tz", (TIMESTAMP, STRING), INT, do)]
    for name, unit in _DURATION_UNITS.items():
        found[name].append(member(f"duration_{name}", (DURATION,), INT, lambda value, unit=unit: _truncated(value.nano, unit)))
    found["getMilliseconds"] = [
        member("timestamp_to_milliseconds", (TIMESTAMP,), INT, lambda value: value.nano % NANO // 10**6),
        member("timestamp_to_milliseconds_with_tz", (TIMESTAMP, STRING), INT, lambda value, zone: value.nano % NANO // 10**6),
        member("duration_to_milliseconds", (DURATION,), INT, lambda value: _truncated(value.nano, 10**6) % 1000 if value.nano >= 0
               else -(_truncated(-value.nano, 10**6) % 1000)),
    ]
    return found


def _truncated(nano: int, unit: int) -> int:
    return nano // unit if nano >= 0 else -(-nano // unit)


def _get(value: Optional) -> Any:
    if not value.has:
        raise CelError("optional.none() dereference")
    return value.value


def _zero(value: Any) -> bool:
    return value is None or value in (0, "", b"", False) or (hasattr(value, "__len__") and len(value) == 0)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise CelError(f"illegal base64 data: {error}") from None


def _conversions(types: tuple[Type, ...], result: Type, do: Callable[[Any], Any]) -> list[Overload]:
    return [free(f"{one}_to_{result}", (one,), result, do) for one in types]


_OPTIONAL = optional_of(A)
FUNCTIONS: Functions = {
    "int": _conversions((INT, UINT, DOUBLE, STRING, TIMESTAMP, DURATION), INT, to_int),
    "uint": _conversions((UINT, INT, DOUBLE, STRING), UINT, to_uint),
    "double": _conversions((DOUBLE, INT, UINT, STRING), DOUBLE, to_double),
    "bool": _conversions((BOOL, STRING), BOOL, to_bool),
    "string": [*_conversions((STRING, BOOL, INT, UINT, DOUBLE, TIMESTAMP, DURATION), STRING, to_string),
               free("bytes_to_string", (BYTES,), STRING, to_string, cost=traversal, estimate="bytes_to_string")],
    "bytes": [free("bytes_to_bytes", (BYTES,), BYTES, bytes),
              free("string_to_bytes", (STRING,), BYTES, str.encode, cost=traversal, estimate="string_to_bytes")],
    "timestamp": _conversions((STRING, INT, TIMESTAMP), TIMESTAMP, to_timestamp),
    "duration": _conversions((STRING, INT, DURATION), DURATION, to_duration),
    "dyn": [free("to_dyn", (A,), DYN, lambda value: value)],
    "type": [free("type", (A,), type_of(A), to_type)],
    "size": [one for kind in (STRING, BYTES, LIST_A, MAP_AB) for one in (
        free(f"size_{kind.name}", (kind,), INT, len), member(f"{kind.name}_size", (kind,), INT, len))],
    "startsWith": [member("starts_with_string", (STRING, STRING), BOOL, str.startswith, cost=traversal, estimate="prefix")],
    "endsWith": [member("ends_with_string", (STRING, STRING), BOOL, str.endswith, cost=traversal, estimate="prefix")],
    "contains": [member("contains_string", (STRING, STRING), BOOL, lambda text, part: part in text, cost=product, estimate="contains")],
    "matches": [member("matches_string", (STRING, STRING), BOOL, matches, cost=regex_cost, estimate="regex"),
                free("matches", (STRING, STRING), BOOL, matches, cost=regex_cost, estimate="free_regex")],
    **_times(),
    "optional.of": [free("optional_of", (A,), _OPTIONAL, Optional)],
    "optional.ofNonZeroValue": [free("optional_ofNonZeroValue", (A,), _OPTIONAL, lambda value: NONE if _zero(value) else Optional(value))],
    "optional.none": [free("optional_none", (), _OPTIONAL, lambda: NONE)],
    "hasValue": [member("optional_hasValue", (_OPTIONAL,), BOOL, lambda value: value.has)],
    "value": [member("optional_value", (_OPTIONAL,), A, _get)],
    "optional.unwrap": [free("optional_unwrap", (Type("list", "list", (_OPTIONAL,)),), LIST_A, lambda items: [one.value for one in items if one.has])],
    "unwrapOpt": [member("optional_unwrapOpt", (Type("list", "list", (_OPTIONAL,)),), LIST_A, lambda items: [one.value for one in items if one.has])],
    "base64.encode": [free("base64_encode_bytes", (BYTES,), STRING, lambda data: base64.b64encode(data).decode(), cost=traversal)],
    "base64.decode": [free("base64_decode_string", (STRING,), BYTES, _decoded, cost=traversal)],
}
