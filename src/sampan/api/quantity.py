"""Quantities: parsing, canonical form and exact arithmetic.

Owns what Go's `resource.Quantity` does: every quantity is an exact multiple of a nano, kept as an integer.
Results are cached by text: a cluster uses a few hundred different quantities a million times.
Source: apimachinery `pkg/api/resource/quantity.go`, `amount.go`, `suffix.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

from sampan.api.scalars import Quantity
from sampan.lib.memo import remembered

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]
DECIMAL_SI: Format = "DecimalSI"
BINARY_SI: Format = "BinarySI"
DECIMAL_EXPONENT: Format = "DecimalExponent"

_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_NUMBER = "unable to parse numeric part of quantity"
_WRONG_SUFFIX = "unable to parse quantity's suffix"

# clients send such texts: each character has one place, so that no text is read twice
_SCAN = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?((?:[eEinumkKMGTP]+[-+]?[0-9]*|[-+][0-9]*)?)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {0: ""} | {exponent: suffix for suffix, exponent in _BINARY.items()}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_MAX_INT64 = 2**63 - 1
_MAX_DIGITS = 4300  # beyond, Python refuses to read an integer
_MAX_EXPONENT = 1000  # arithmetic treats larger exponents as this one; the text keeps them
_NANO = 10**9
_CACHE = 1 << 14


class _Parsed(NamedTuple):
    text: Quantity
    nano: int
    format: Format


def canonical(text: str) -> Quantity:
    """The text as Go writes the quantity back.

    Raises:
        ValueError: It is not a quantity.
    """
    return _parse(text).text


def nano(quantity: str) -> int:
    """The exact amount in units of 10⁻⁹.

    Raises:
        ValueError: It is not a quantity.
    """
    return _parse(quantity).nano


@remembered(maxsize=_CACHE)
def milli(quantity: str) -> int:
    """The amount in thousandths, rounded away from zero (Go: `MilliValue`)."""
    return _away_from_zero(_parse(quantity).nano, 10**6)


@remembered(maxsize=_CACHE)
def integer(quantity: str) -> int:
    """The amount as a whole number, rounded away from zero (Go: `Value`)."""
    return _away_from_zero(_parse(quantity).nano, _NANO)


def approximate(quantity: str) -> float:
    """The amount as a float (Go: `AsApproximateFloat64`)."""
    return _parse(quantity).nano / _NANO


def format_of(quantity: str) -> Format:
    """The format that results of arithmetic take over from this quantity."""
    return _parse(quantity).format


def of(amount: float | Decimal | Fraction, format: Format = DECIMAL_SI) -> Quantity:
    """The quantity of an amount; what is finer than a nano is rounded away from zero."""
    if isinstance(amount, int):
        return _of_nano(amount * _NANO, format)
    exact = Fraction(amount) * _NANO
    return _of_nano(_away_from_zero(exact.numerator, exact.denominator), format)


def of_milli(amount: int, format: Format = DECIMAL_SI) -> Quantity:
    """The quantity of so many thousandths."""
    return _of_nano(amount * 10**6, format)


def add(a: str, b: str) -> Quantity:
    """The sum, in the format of a (of b where a is zero)."""
    left, right = _parse(a), _parse(b)
    return _of_nano(left.nano + right.nano, left.format if left.nano else right.format)


def sub(a: str, b: str) -> Quantity:
    """The difference, in the format of a (of b where a is zero)."""
    left, right = _parse(a), _parse(b)
    return _of_nano(left.nano - right.nano, left.format if left.nano else right.format)


def total(quantities: Iterable[str]) -> Quantity:
    """The sum, in the format of the first that is not zero."""
    amount, format = 0, DECIMAL_SI
    for quantity in quantities:
        parsed = _parse(quantity)
        if not amount:
            format = parsed.format
        amount += parsed.nano
    return _of_nano(amount, format)


def scale(quantity: str, factor: int) -> Quantity:
    """The quantity times a whole number, in its format."""
    parsed = _parse(quantity)
    return _of_nano(parsed.nano * factor, parsed.format)


def neg(quantity: str) -> Quantity:
    """The quantity with the other sign."""
    return scale(quantity, -1)


def cmp(a: str, b: str) -> int:
    """-1, 0 or 1 as a is less than, equal to or greater than b."""
    left, right = _parse(a).nano, _parse(b).nano
    return (left > right) - (left < right)


def is_zero(quantity: str) -> bool:
    """Whether the amount is zero."""
    return not _parse(quantity).nano


def _away_from_zero(amount: int, unit: int) -> int:
    return -(-amount // unit) if amount > 0 else -(amount // -unit) if amount % unit == 0 else amount // unit


def _of_nano(amount: int, format: Format) -> Quantity:
    return Quantity(_render(amount, -9, format))


def _suffix(suffix: str) -> tuple[int, Format]:
    if (exponent := _DECIMAL.get(suffix)) is not None:
        return exponent, DECIMAL_SI
    if (exponent := _BINARY.get(suffix)) is not None:
        return exponent, BINARY_SI
    match = _EXPONENT.fullmatch(suffix)
    if match is None or len(match[1]) > 20 or not -(2**63) <= int(match[1]) <= _MAX_INT64:
        raise ValueError(_WRONG_SUFFIX)
    return (int(match[1]) + 2**31) % 2**32 - 2**31, DECIMAL_EXPONENT  # Go cuts it to 32 bits


@remembered(maxsize=_CACHE)
def _parse(text: str) -> _Parsed:
    stripped = text.strip()
    if not stripped or (match := _SCAN.fullmatch(stripped)) is None:
        raise ValueError(_WRONG_FORMAT)
    sign, whole, fraction, suffix = match[1], match[2].lstrip("0") or "0", match[3] or "", match[4]
    exponent, format = _suffix(suffix)
    digits = whole + fraction
    if len(digits) > _MAX_DIGITS:
        raise ValueError(_WRONG_NUMBER)
    unsigned = int(digits)
    if (fast := _fast(unsigned, whole, fraction, exponent, format)) is not None:
        mantissa, power, keep = fast
        shown = stripped if keep else ""
    else:
        if not any(map(str.isdigit, stripped.partition("e")[0])):
            raise ValueError(_WRONG_NUMBER)  # a lone point is zero on the fast path only
        mantissa, power, format = _slow(unsigned, len(fraction), exponent, format)
        shown = ""
    if sign == "-":
        mantissa = -mantissa
    return _Parsed(Quantity(shown or _render(mantissa, power, format)), _nano(mantissa, power), format)


def _fast(unsigned: int, whole: str, fraction: str, exponent: int, format: Format) -> tuple[int, int, bool] | None:
    """Go's int64 path: mantissa, power of ten, and whether the text is kept as it was written."""
    digits = whole + fraction
    if format == BINARY_SI:
        if fraction or 15 - len(whole) - exponent * 3 // 10 - 1 < 0:
            return None
        mantissa = unsigned << exponent
        return (mantissa, 0, bool(unsigned & 7)) if mantissa <= _MAX_INT64 else None
    power = exponent - len(fraction)
    if len(digits) > 18 or power < -9:
        return None
    return unsigned, power, power % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _slow(unsigned: int, decimals: int, exponent: int, format: Format) -> tuple[int, int, Format]:
    """Go's path of any precision: rounds up to a nano, caps binary quantities."""
    power = -decimals
    if format == BINARY_SI:
        unsigned <<= exponent
    else:
        power += exponent
    if unsigned and power < -9:
        surplus = -9 - power
        # a divisor longer than the number leaves the smallest amount there is
        unsigned = -(-unsigned // 10**surplus) if surplus <= len(str(unsigned)) else 1
        power = -9
    if format == BINARY_SI:
        amount = _nano(unsigned, power)
        if amount > _MAX_INT64 * _NANO:
            unsigned, power = _MAX_INT64, 0
        if 0 < amount < _NANO:
            format = DECIMAL_SI
    return unsigned, power, format


def _nano(mantissa: int, power: int) -> int:
    return mantissa * 10 ** min(power + 9, _MAX_EXPONENT) if mantissa else 0


def _render(mantissa: int, power: int, format: Format) -> str:
    if not mantissa:
        return "0"
    if format == BINARY_SI:
        amount = _nano(mantissa, power)
        if abs(amount) >= 1024 * _NANO and amount % _NANO == 0:
            return _render_binary(amount // _NANO)
        format = DECIMAL_SI
    while mantissa % 10 == 0:
        mantissa //= 10
        power += 1
    while power % 3:
        mantissa *= 10
        power -= 1
    if format == DECIMAL_EXPONENT:
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX.get(power, '')}"


def _render_binary(amount: int) -> str:
    exponent = 0
    while amount % 1024 == 0:
        amount //= 1024
        exponent += 10
    return f"{amount}{_BINARY_SUFFIX.get(exponent, '')}"
