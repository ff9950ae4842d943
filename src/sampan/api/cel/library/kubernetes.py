"""Kubernetes' own types: quantities, addresses, networks, URLs, semantic versions, named formats.

Source: apiserver `pkg/cel/library/{quantity,ip,cidr,urls,semverlib,format}.go`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import total_ordering
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sampan.api import addresses, names, quantity
from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import Functions, Overload, free, member, traversal, two_traversals
from sampan.api.cel.types import BOOL, DOUBLE, INT, LIST_STRING, STRING, map_of, opaque, optional_of
from sampan.api.cel.values import INT_MAX, INT_MIN, NONE, Opaque, Optional

QUANTITY, IP, CIDR = opaque("kubernetes.Quantity"), opaque("net.IP"), opaque("net.CIDR")
URL, SEMVER, FORMAT = opaque("kubernetes.URL"), opaque("kubernetes.Semver"), opaque("kubernetes.NamedFormat")

_LINK_LOCAL_MULTICAST : dict[int, Any] = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/16")}


# ---- quantities ----------------------------------------------------------------------------------------------------


class QuantityValue(Opaque):
    type_name = "kubernetes.Quantity"

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantityValue) and quantity.cmp(self.text, other.text) == 0

    def __hash__(self) -> int:
        return hash(quantity.nano(self.text))


def to_quantity(text: str) -> QuantityValue:
    try:
        return QuantityValue(quantity.canonical(text))
    except ValueError as error:
        raise CelError(str(error)) from None


def _whole(value: QuantityValue) -> int | None:
    nano = quantity.nano(value.text)
    number, rest = divmod(nano, 10**9)
    return number if not rest and INT_MIN <= number <= INT_MAX else None


def _as_integer(value: QuantityValue) -> int:
    number = _whole(value)
    if number is None:
        raise CelError("cannot convert value to integer")
    return number


def _shift(do: Callable[[str, str], Any]) -> Callable[[QuantityValue, Any], QuantityValue]:
    return lambda value, other: QuantityValue(do(value.text, other.text if isinstance(other, QuantityValue) else str(other)))


def _check(make: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            make(text)
        except CelError:
            return False
        return True
    return check


# ---- addresses -----------------------------------------------------------------------------------------------------


class IpValue(Opaque):
    type_name = "net.IP"

    def __init__(self, address: Any) -> None:
        self.address, self.size = address, 4 if address.version == 4 else 16

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IpValue) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __str__(self) -> str:
        return addresses.canonical_ip(self.address)


class CidrValue(Opaque):
    type_name = "net.CIDR"

    def __init__(self, address: Any, bits: int) -> None:
        self.address, self.bits, self.size = address, bits, (bits + 7) // 8
        self.network = ipaddress.ip_network(f"{address}/{bits}", strict=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CidrValue) and (self.address, self.bits) == (other.address, other.bits)

    def __hash__(self) -> int:
        return hash((self.address, self.bits))

    def __str__(self) -> str:
        return f"{addresses.canonical_ip(self.address)}/{self.bits}"


def _address(text: str) -> Any:
    try:
        if "%" in text:
            raise CelError(f'IP address "{text}" with zone value is not allowed')
        found = ipaddress.ip_address(text)
    except ValueError:
        raise CelError(f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP') from None
    if found.version == 6 and found.ipv4_mapped is not None:
        raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def to_ip(text: str) -> IpValue:
    return IpValue(_address(text))


def to_cidr(text: str) -> CidrValue:
    address, slash, bits = text.partition("/")
    try:
        if not slash or not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0"):
            raise ValueError
        found = _address(address)
        if int(bits) > found.max_prefixlen:
            raise ValueError
    except ValueError:
        raise CelError(f'network address parse error during conversion from string: netip.ParsePrefix("{text}"): no \'/\'' if not slash else
                       f'network address parse error during conversion from string: netip.ParsePrefix("{text}"): bad bits after slash') from None
    return CidrValue(found, int(bits))


def _canonical(text: str) -> bool:
    return addresses.canonical_ip(_address(text)) == text


def _contains_ip(net: CidrValue, other: Any) -> bool:
    address = (other if isinstance(other, IpValue) else to_ip(other)).address
    return bool(address.version == net.network.version and address in net.network)


def _contains_cidr(net: CidrValue, other: Any) -> bool:
    inner = other if isinstance(other, CidrValue) else to_cidr(other)
    return inner.network.version == net.network.version and inner.bits >= net.bits and inner.network.network_address in net.network


# ---- URLs ----------------------------------------------------------------------------------------------------------


class UrlValue(Opaque):
    type_name = "kubernetes.URL"

    def __init__(self, text: str) -> None:
        self.text, self.parts = text, urlsplit(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UrlValue) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def host(self) -> str:
        return self.parts.netloc.rpartition("@")[2]


def to_url(text: str) -> UrlValue:
    failed = CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    if (not text.startswith("/") and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text)) or re.search(r"[\x00-\x20\x7f]|%(?![0-9a-fA-F]{2})", text):
        raise failed
    try:
        value = UrlValue(text)
        _ = value.parts.port
    except ValueError:
        raise failed from None
    return value


def _query(url: UrlValue) -> dict[str, list[str]]:
    return parse_qs(url.parts.query, keep_blank_values=True)


# ---- versions ------------------------------------------------------------------------------------------------------

_SEMVER = re.compile(r"(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII)


@total_ordering
class SemverValue(Opaque):
    type_name = "kubernetes.Semver"

    def __init__(self, numbers: tuple[int, int, int], pre: tuple[str, ...]) -> None:
        self.numbers = numbers
        self.order = (numbers, not pre, tuple((not one.isdigit(), len(one) if one.isdigit() else 0, one) for one in pre))  # numbers have no leading zeros

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SemverValue) and self.order == other.order

    def __lt__(self, other: SemverValue) -> bool:
        return self.order < other.order

    def __hash__(self) -> int:
        return hash(self.order)


def to_semver(text: str, normalize: bool = False) -> SemverValue:
    if normalize:
        text = text.removeprefix("v")
        core, mark, rest = text, "", ""
        if cut := re.search(r"[-+]", text):
            core, mark, rest = text[:cut.start()], cut[0], text[cut.end():]
        parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in core.split(".")]
        text = ".".join([*parts, "0", "0"][:max(3, len(parts))]) + mark + rest
    match = _SEMVER.fullmatch(text)
    pre = tuple((match[4] or "").split(".")) if match and match[4] else ()
    if match is None or any(not one or (one.isdigit() and len(one) > 1 and one[0] == "0") for one in pre):
        raise CelError("No Major.Minor.Patch elements found" if text.count(".") < 2 else f'Invalid character(s) found in version "{text}"')
    return SemverValue((int(match[1]), int(match[2]), int(match[3])), pre)


def _cmp(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


# ---- formats -------------------------------------------------------------------------------------------------------


class FormatValue(Opaque):
    type_name = "kubernetes.NamedFormat"

    def __init__(self, name: str, check: Callable[[str], Any]) -> None:
        self.name, self.check = name, check


def _prefixed(check: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: check(text[:-1] + "a" if text.endswith("-") else text)


def _regex_messages(pattern: str, words: str) -> Callable[[str], list[str]]:
    compiled = re.compile(pattern)
    return lambda text: [] if compiled.fullmatch(text) else [words]


def _url_messages(text: str) -> list[str]:
    try:
        to_url(text)
    except CelError as error:
        return [str(error)]
    return []


def _date_messages(text: str) -> list[str]:
    from sampan.api.cel.temporal import parse_timestamp
    try:
        parse_timestamp(text if "T" in text else f"{text}T00:00:00Z")
    except CelError:
        return ["invalid date" if "T" not in text else "invalid datetime"]
    return []


_FORMATS: dict[str, Callable[[str], Any]] = {
    "dns1123Label": names.dns1123_label, "dns1123Subdomain": names.dns1123_subdomain, "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name, "labelValue": names.label_value,
    "dns1123LabelPrefix": _prefixed(names.dns1123_label), "dns1123SubdomainPrefix": _prefixed(names.dns1123_subdomain),
    "dns1035LabelPrefix": _prefixed(names.dns1035_label), "uri": _url_messages, "date": _date_messages, "datetime": _date_messages,
    "uuid": _regex_messages(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "does not match the UUID format"),
    "byte": _regex_messages(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", "invalid base64"),
}


def _named(name: str) -> Optional:
    check = _FORMATS.get(name)
    return Optional(FormatValue(name, check)) if check else NONE


def _verdict(value: FormatValue, text: str) -> Optional:
    found = value.check(text)
    return Optional(list(found)) if found else NONE


def _nominal(names_: dict[str, tuple[Any, Any, Callable[..., Any]]]) -> dict[str, list[Overload]]:
    return {name: [member(f"{params[0].name}_{name}", params, result, do)] for name, (params, result, do) in names_.items()}


FUNCTIONS: Functions = {
    "quantity": [free("string_to_quantity", (STRING,), QUANTITY, to_quantity, cost=traversal, estimate="parse")],
    "isQuantity": [free("is_quantity_string", (STRING,), BOOL, _check(to_quantity), cost=traversal, estimate="parse")],
    **_nominal({
        "sign": ((QUANTITY,), INT, lambda value: _cmp(quantity.nano(value.text), 0)),
        "isInteger": ((QUANTITY,), BOOL, lambda value: _whole(value) is not None),
        "asInteger": ((QUANTITY,), INT, _as_integer),
        "asApproximateFloat": ((QUANTITY,), DOUBLE, lambda value: quantity.approximate(value.text)),
        "family": ((IP,), INT, lambda value: value.address.version),
        "isUnspecified": ((IP,), BOOL, lambda value: value.address.is_unspecified),
        "isLoopback": ((IP,), BOOL, lambda value: value.address.is_loopback),
        "isLinkLocalMulticast": ((IP,), BOOL, lambda value: value.address in _LINK_LOCAL_MULTICAST[value.address.version]),
        "isLinkLocalUnicast": ((IP,), BOOL, lambda value: value.address.is_link_local),
        "isGlobalUnicast": ((IP,), BOOL, lambda value: not (value.address.is_multicast or value.address.is_loopback or value.address.is_unspecified
                                                           or value.address.is_link_local or str(value.address) == "255.255.255.255")),
        "masked": ((CIDR,), CIDR, lambda value: CidrValue(value.network.network_address, value.bits)),
        "prefixLength": ((CIDR,), INT, lambda value: value.bits),
        "getScheme": ((URL,), STRING, lambda value: value.parts.scheme),
        "getHost": ((URL,), STRING, lambda value: value.host),
        "getHostname": ((URL,), STRING, lambda value: value.host[1:value.host.index("]")] if value.host.startswith("[") else value.host.partition(":")[0]),
        "getPort": ((URL,), STRING, lambda value: str(value.parts.port) if value.parts.port is not None else ""),
        "getEscapedPath": ((URL,), STRING, lambda value: value.parts.path),
        "getQuery": ((URL,), map_of(STRING, LIST_STRING), _query),
        "major": ((SEMVER,), INT, lambda value: value.numbers[0]),
        "minor": ((SEMVER,), INT, lambda value: value.numbers[1]),
        "patch": ((SEMVER,), INT, lambda value: value.numbers[2]),
        "validate": ((FORMAT, STRING), optional_of(LIST_STRING), _verdict),
    }),
    "isGreaterThan": [member("quantity_is_greater_than", (QUANTITY, QUANTITY), BOOL, lambda one, other: quantity.cmp(one.text, other.text) > 0),
                      member("semver_is_greater_than", (SEMVER, SEMVER), BOOL, lambda one, other: one > other)],
    "isLessThan": [member("quantity_is_less_than", (QUANTITY, QUANTITY), BOOL, lambda one, other: quantity.cmp(one.text, other.text) < 0),
                   member("semver_is_less_than", (SEMVER, SEMVER), BOOL, lambda one, other: one < other)],
    "compareTo": [member("quantity_compare_to", (QUANTITY, QUANTITY), INT, lambda one, other: quantity.cmp(one.text, other.text)),
                  member("semver_compare_to", (SEMVER, SEMVER), INT, _cmp)],
    "add": [member("quantity_add", (QUANTITY, QUANTITY), QUANTITY, _shift(quantity.add)),
            member("quantity_add_int", (QUANTITY, INT), QUANTITY, _shift(quantity.add))],
    "sub": [member("quantity_sub", (QUANTITY, QUANTITY), QUANTITY, _shift(quantity.sub)),
            member("quantity_sub_int", (QUANTITY, INT), QUANTITY, _shift(quantity.sub))],
    "ip": [free("string_to_ip", (STRING,), IP, to_ip, cost=traversal, estimate="parse"),
           member("cidr_ip", (CIDR,), IP, lambda value: IpValue(value.address))],
    "isIP": [free("is_ip", (STRING,), BOOL, _check(to_ip), cost=traversal, estimate="parse")],
    "ip.isCanonical": [free("ip_is_canonical", (STRING,), BOOL, _canonical, cost=two_traversals, estimate="parse_twice")],
    "cidr": [free("string_to_cidr", (STRING,), CIDR, to_cidr, cost=traversal, estimate="parse")],
    "isCIDR": [free("is_cidr", (STRING,), BOOL, _check(to_cidr), cost=traversal, estimate="parse")],
    "containsIP": [member("cidr_contains_ip", (CIDR, IP), BOOL, _contains_ip, cost=two_traversals, estimate="network"),
                   member("cidr_contains_ip_string", (CIDR, STRING), BOOL, _contains_ip, cost=two_traversals, estimate="network")],
    "containsCIDR": [member("cidr_contains_cidr", (CIDR, CIDR), BOOL, _contains_cidr, cost=two_traversals, estimate="network"),
                     member("cidr_contains_cidr_string", (CIDR, STRING), BOOL, _contains_cidr, cost=two_traversals, estimate="network")],
    "url": [free("string_to_url", (STRING,), URL, to_url, cost=traversal, estimate="parse")],
    "isURL": [free("is_url_string", (STRING,), BOOL, _check(to_url), cost=traversal, estimate="parse")],
    "semver": [free("string_to_semver", (STRING,), SEMVER, to_semver, cost=traversal, estimate="parse"),
               free("string_bool_to_semver", (STRING, BOOL), SEMVER, to_semver, cost=traversal, estimate="parse")],
    "isSemver": [free("is_semver_string", (STRING,), BOOL, _check(to_semver), cost=traversal, estimate="parse"),
                 free("is_semver_string_bool", (STRING, BOOL), BOOL, lambda text, normal: _check(lambda one: to_semver(one, normal))(text),
                      cost=traversal, estimate="parse")],
    "format.named": [free("format-named", (STRING,), optional_of(FORMAT), _named)],
    **{f"format.{name}": [free(f"format-{name}", (), FORMAT, lambda name=name, check=check: FormatValue(name, check))]
       for name, check in _FORMATS.items()},
    "string": [free("ip_to_string", (IP,), STRING, str), free("cidr_to_string", (CIDR,), STRING, str)],
    "jsonpatch.escapeKey": [free("string_jsonpatch_escapeKey_string", (STRING,), STRING,
                                 lambda text: text.replace("~", "~0").replace("/", "~1"), cost=traversal)],
}
