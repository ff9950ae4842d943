"""The formats of strings that schemas of custom resources know; any other format is ignored.

Source: apiextensions-apiserver `pkg/apiserver/validation/formats.go`, kube-openapi `pkg/validation/strfmt`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from string import ascii_letters
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

import re2

from sampan.api import addresses, names

LONGEST_EMAIL = 1000
"""With the name before it; what reads it takes time by the square of its length."""
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_GO_DURATION = re.compile(r"[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)")
_LOOSE_DURATION = re2.compile(r"\d+\s*([A-Za-zµ]+)")
_UNITS = frozenset(("ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day", "w", "wk", "week"))
_UNIT_STARTS = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_RGB_COLOR = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_MAC = re.compile(r"([0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}([:-][0-9a-fA-F]{2}){0,14})|([0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2,9})")
_CARD = re.compile(
    r"4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(0[0-5]|[68][0-9])[0-9]{11}|(2131|1800|35\d{3})\d{11}")


def _uuid(version: str) -> Callable[[str], bool]:
    variant = "[89ab]" if version in "45" and version else "[0-9a-f]"
    pattern = re.compile(rf"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version or '[0-9a-f]'}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}", re.IGNORECASE)
    return lambda text: pattern.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def _is_date_time(text: str) -> bool:
    date, _, time = text.lower().partition("t")
    match = _TIME.fullmatch(time)
    return _is_date(date) and match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def _is_duration(text: str) -> bool:
    if _GO_DURATION.fullmatch(text) is not None:
        return True
    units = (match[1].lower() for match in _LOOSE_DURATION.finditer(text))
    return any(unit in _UNITS or unit.startswith(_UNIT_STARTS) for unit in units)


def _is_hostname(text: str) -> bool:
    labels = text.split(".")
    if len(text.encode()) > 255 or any(len(label.encode()) > 63 for label in labels):
        return False
    if len(labels) == 1:
        # a hyphen may stand at the second place only: so upstream's pattern has it
        return _is_letter(text[:1]) and all(map(_is_letter, text[1:].removeprefix("-")))
    *hosts, top = labels
    if len(top) < 2 or not all(char in ascii_letters or category(char)[0] == "L" for char in top):
        return False
    return all(_is_letter(label[:1]) and _is_letter(label[-1:]) and all(char == "-" or _is_letter(char) for char in label) for label in hosts)


def _is_letter(char: str) -> bool:
    return bool(char) and (char in ascii_letters or char in "0123456789" or category(char)[0] in "LS")


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) or text.startswith("/")


def _is_email(text: str) -> bool:
    if len(text) > LONGEST_EMAIL:
        return False
    try:
        local, at, domain = parseaddr(text)[1].rpartition("@")
    except RecursionError:  # comments within comments
        return False
    return bool(local and at and domain) and " " not in domain


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _is_ipv4(text: str) -> bool:
    return isinstance(addresses.parse_ip(text), ipaddress.IPv4Address)


def _is_ipv6(text: str) -> bool:
    return isinstance(addresses.parse_ip(text), ipaddress.IPv6Address)


def _is_rgb(text: str) -> bool:
    match = _RGB_COLOR.fullmatch(text)
    return match is not None and all(int(part) <= 255 for part in match.groups())


def _is_isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((index + 1) * (10 if digit == "X" else int(digit)) for index, digit in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    return bool(re.fullmatch("[0-9]{13}", digits)) and sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(digits)) % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = (int(digit) * (2 if index % 2 else 1) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


CHECKS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": lambda text: re.fullmatch("[0-9a-fA-F]{24}", text) is not None,
    "uri": _is_uri, "email": _is_email, "hostname": _is_hostname, "ipv4": _is_ipv4, "ipv6": _is_ipv6,
    "cidr": lambda text: addresses.parse_cidr_sloppy(text) is not None, "mac": lambda text: _MAC.fullmatch(text) is not None,
    "uuid": _uuid(""), "uuid3": _uuid("3"), "uuid4": _uuid("4"), "uuid5": _uuid("5"),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text), "isbn10": _is_isbn10, "isbn13": _is_isbn13,
    "creditcard": _is_card, "ssn": lambda text: re.fullmatch(r"\d{3}[- ]?\d{2}[- ]?\d{4}", text) is not None,
    "hexcolor": lambda text: _HEX_COLOR.fullmatch(text) is not None, "rgbcolor": _is_rgb, "byte": _is_base64,
    "password": lambda _text: True, "date": _is_date, "duration": _is_duration, "datetime": _is_date_time,
    "k8sshortname": lambda text: not names.dns1123_label(text), "k8slongname": lambda text: not names.dns1123_subdomain(text),
}


_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def known_format(schema: Mapping[str, Any]) -> str:
    """A schema's format, where it is one that its type has; else empty."""
    form, kind = str(schema.get("format") or ""), schema.get("type", "")
    if not form or schema.get("x-kubernetes-int-or-string"):
        return ""
    return form if recognized(form, kind) else ""


def recognized(form: str, kind: str) -> bool:
    """Whether values of the type can be held to the format."""
    return form.replace("-", "") in CHECKS if kind in ("", "string") else form in _NUMBERS.get(kind, ())


def check_of(schema: Mapping[str, Any]) -> Callable[[str], bool] | None:
    """The check of a schema's format, where it says one that is known."""
    return CHECKS.get(known_format(schema).replace("-", ""))
