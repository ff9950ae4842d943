"""Operators over values of any type: the slow general way. The compiler goes around it where it knows the types.

Source: cel-spec `langdef.md`, "List of Standard Definitions"; words of cel-go `common/types/err.go`.
"""

from __future__ import annotations

import math
from typing import Any

from sampan.api.cel import temporal
from sampan.api.cel.errors import CelError
from sampan.api.cel.values import INT_MAX, INT_MIN, UINT_MAX, Duration, Timestamp, UInt, equal, joined, type_name

_NUMBERS = frozenset((int, float, UInt))
_ORDERED = frozenset((str, bytes, bool, Timestamp, Duration, int, float, UInt))


def no_overload(name: str, *values: Any) -> CelError:
    """What cel-go says when nothing fits at run time."""
    return CelError("no such overload")


def checked(value: int) -> int:
    """An int in its range.

    Raises:
        CelError: It is not.
    """
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelError("integer overflow")


def unsigned(value: int) -> UInt:
    """A uint in its range.

    Raises:
        CelError: It is not.
    """
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise CelError("unsigned integer overflow")


def add(a: Any, b: Any) -> Any:
    kind, other = type(a), type(b)
    if kind is other:
        if kind is int:
            return checked(a + b)
        if kind in (str, bytes, float):
            return a + b
        if kind is UInt:
            return unsigned(int(a) + int(b))
        if kind is Duration:
            return temporal.duration(a.nano + b.nano)
    if isinstance(a, list) and isinstance(b, list):
        return joined(a, b)
    if kind in (Timestamp, Duration) and other in (Timestamp, Duration) and not (kind is Timestamp and other is Timestamp):
        return temporal.timestamp(a.nano + b.nano)
    raise no_overload("_+_", a, b)


def subtract(a: Any, b: Any) -> Any:
    kind, other = type(a), type(b)
    if kind is other:
        if kind is int:
            return checked(a - b)
        if kind is float:
            return a - b
        if kind is UInt:
            return unsigned(int(a) - int(b))
        if kind is Duration or kind is Timestamp:
            return temporal.duration(a.nano - b.nano)
    if kind is Timestamp and other is Duration:
        return temporal.timestamp(a.nano - b.nano)
    raise no_overload("_-_", a, b)


def multiply(a: Any, b: Any) -> Any:
    kind = type(a)
    if kind is type(b):
        if kind is int:
            return checked(a * b)
        if kind is float:
            return a * b
        if kind is UInt:
            return unsigned(int(a) * int(b))
    raise no_overload("_*_", a, b)


def divide(a: Any, b: Any) -> Any:
    kind = type(a)
    if kind is type(b):
        if kind is float:
            return a / b if b else math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
        if kind is int or kind is UInt:
            if b == 0:
                raise CelError("division by zero")
            if kind is UInt:
                return UInt(int(a) // int(b))
            result = abs(a) // abs(b)
            return checked(result if (a < 0) == (b < 0) else -result)
    raise no_overload("_/_", a, b)


def modulo(a: Any, b: Any) -> Any:
    kind = type(a)
    if kind is type(b) and (kind is int or kind is UInt):
        if b == 0:
            raise CelError("modulus by zero")
        if kind is UInt:
            return UInt(int(a) % int(b))
        if a == INT_MIN and b == -1:
            raise CelError("integer overflow")
        result = abs(a) % abs(b)
        return result if a >= 0 else -result
    raise no_overload("_%_", a, b)


def negate(a: Any) -> Any:
    kind = type(a)
    if kind is int:
        return checked(-a)
    if kind is float:
        return -a
    if kind is Duration:
        return temporal.duration(-a.nano)
    raise no_overload("-_", a)


def _comparable(a: Any, b: Any) -> None:
    kind, other = type(a), type(b)
    if not ((kind is other and kind in _ORDERED) or (kind in _NUMBERS and other in _NUMBERS)):
        raise no_overload("_<_", a, b)


def less(a: Any, b: Any) -> bool:
    _comparable(a, b)
    return bool(a < b)


def less_equal(a: Any, b: Any) -> bool:
    _comparable(a, b)
    return bool(a <= b)


def greater(a: Any, b: Any) -> bool:
    _comparable(a, b)
    return bool(a > b)


def greater_equal(a: Any, b: Any) -> bool:
    _comparable(a, b)
    return bool(a >= b)


def not_equal(a: Any, b: Any) -> bool:
    return not equal(a, b)


def is_in(a: Any, b: Any) -> bool:
    """`a in b`"""
    from sampan.api.cel.values import contains
    if isinstance(b, list):
        return contains(b, a)
    if hasattr(b, "keys"):
        try:
            return a in b
        except TypeError:
            raise no_overload("@in", a, b) from None
    raise no_overload("@in", a, b)


def index(a: Any, b: Any) -> Any:
    """`a[b]`"""
    if isinstance(a, list):
        kind = type(b)
        if kind is int or kind is UInt or (kind is float and b.is_integer()):
            if 0 <= b < len(a):
                return a[int(b)]
            raise CelError(f"index out of bounds: {int(b)}")
        raise CelError(f"unsupported index type '{type_name(b)}' in list")
    if hasattr(a, "keys"):
        try:
            return a[b]
        except KeyError:
            shown = repr(b) if type(b) is UInt else f"{b}".lower() if type(b) is bool else b
            raise CelError(f"no such key: {shown}") from None
        except TypeError:
            raise no_overload("_[_]", a, b) from None
    raise no_overload("_[_]", a, b)
