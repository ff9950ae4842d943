"""How Go prints values: `%q`, `%v` of floats, JSON with its HTML escapes.

Owns the text forms that upstream's messages are made of. Source: Go's `strconv.Quote`, `fmt`, `encoding/json`.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import msgspec

_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\", '"': r"\""}
_PLAIN = re.compile(r'[ !#-\[\]-~]*')
_HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_HTML_NEEDED = re.compile("[<>&\u2028\u2029]")
_encoder = msgspec.json.Encoder(enc_hook=str)
_sorting = msgspec.json.Encoder(enc_hook=str, order="deterministic")


def quote(text: str) -> str:
    """`%q`: in double quotes, everything that can't be printed escaped."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    if (known := _ESCAPES.get(char)) is not None:
        return known
    if char == " " or (char.isprintable() and not 0xD800 <= ord(char) <= 0xDFFF):
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float) -> str:
    """`%v` of an integer or a float64: shortest digits, an exponent below 1e-4 and from 1e6 on."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value:e}".partition("e")
    digits, _, power = repr(value).partition("e")
    scale = int(exponent)
    if scale < -4 or scale >= 6:
        if not power:
            shortest = digits.replace(".", "").replace("-", "").strip("0") or "0"
            mantissa = ("-" if value < 0 else "") + shortest[0] + ("." + shortest[1:] if shortest[1:] else "")
        else:
            mantissa = digits.removesuffix(".0")
        return f"{mantissa}e{'-' if scale < 0 else '+'}{abs(scale):02d}"
    return digits.removesuffix(".0")


def compact(value: Any) -> str:
    """`encoding/json`: no blanks, `<`, `>` and `&` escaped.

    The maps within Structs are sorted. A dict may stand for a Struct as well as for a map: `ordered` sorts one of these.
    """
    encoder = _sorting if _has_structs(value) else _encoder
    text = encoder.encode(_with_numbers(value)).decode()
    return _HTML_NEEDED.sub(lambda match: _HTML[match[0]], text)


def _has_structs(value: Any) -> bool:
    return isinstance(value, msgspec.Struct) or (isinstance(value, list) and any(map(_has_structs, value)))


def _with_numbers(value: Any) -> Any:
    """Floats as Go writes them in JSON: whole ones without a fraction, an exponent below 1e-6 and from 1e21 on."""
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        digits, _, power = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return msgspec.Raw(f"{digits}e{power[0]}{power[1:].lstrip('0')}".encode())
    return msgspec.Raw(f"{Decimal(repr(value)):f}".removesuffix(".0").encode())


def ordered(value: Any) -> Any:
    """A value with the keys of its maps in order, as Go writes them."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(inner) for inner in value] if isinstance(value, list) else value


def verbose(value: Any) -> str:
    """`%v` of a tree: maps with their keys in order, lists in brackets, texts as they are."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{verbose(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(verbose, value))}]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, int | float) else str(value)


def value(value: Any) -> str:
    """A value as field errors show it: numbers and booleans plain, strings quoted, the rest as JSON."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    return compact(value)
