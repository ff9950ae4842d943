"""IP addresses and CIDRs in fields, as strict as Kubernetes 1.36, with upstream's words.

Source: apimachinery `pkg/util/validation/ip.go`, `k8s.io/utils/net` (the sloppy parsers that accept leading zeros).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from sampan.api import field
from sampan.api.errors import FieldError
from sampan.api.goprint import quote
from sampan.lib.memo import remembered

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SLOPPY_V4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_PREFIX = re.compile(r"[0-9]+")


@remembered(maxsize=1024, longest=64)
def parse_ip_sloppy(text: str) -> Address | None:
    """An address; octets of IPv4 may have leading zeros. No zones."""
    if _SLOPPY_V4.fullmatch(text) and len(text) < 64:
        octets = [int(octet) for octet in text.split(".")]
        return ipaddress.IPv4Address(bytes(octets)) if max(octets) < 256 else None
    if ":" not in text or "%" in text or not text.isascii():
        return None
    head, _, tail = text.rpartition(":")
    if "." in tail:
        embedded = parse_ip_sloppy(tail)
        if not isinstance(embedded, ipaddress.IPv4Address):
            return None
        text = f"{head}:{embedded}"
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        return None


@remembered(maxsize=1024, longest=64)
def parse_ip(text: str) -> Address | None:
    """An address without leading zeros (Go: `netip.ParseAddr` without zones)."""
    if _SLOPPY_V4.fullmatch(text) and re.search(r"(?:^|\.)0[0-9]", text):
        return None
    if ":" in text and re.search(r"[:.]0[0-9]+(?:\.|$)", text) and "." in text:
        return None
    return parse_ip_sloppy(text)


def canonical_ip(address: Address) -> str:
    """As Go prints `net.IP`: IPv4-mapped addresses as IPv4."""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped if mapped is not None else address)


def _parse_cidr_sloppy(text: str) -> tuple[Address, int] | None:
    head, slash, tail = text.partition("/")
    if not slash or not _PREFIX.fullmatch(tail) or len(tail) > 8:
        return None
    address = parse_ip_sloppy(head)
    if address is None or int(tail) > address.max_prefixlen:
        return None
    return address, int(tail)


def parse_cidr_sloppy(text: str) -> Network | None:
    """A network; leading zeros and host bits are accepted and dropped."""
    parsed = _parse_cidr_sloppy(text)
    return ipaddress.ip_network(parsed, strict=False) if parsed else None


def _parse(path: str, value: str, *, strict: bool) -> tuple[Address | None, list[FieldError]]:
    address = parse_ip_sloppy(value)
    if address is None:
        return None, [field.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    errors = []
    if strict and parse_ip(value) is None:
        errors.append(field.invalid(path, value, "must not have leading 0s"))
    elif strict and getattr(address, "ipv4_mapped", None) is not None:
        errors.append(field.invalid(path, value, "must not be an IPv4-mapped IPv6 address"))
    return address, errors


def ip(path: str, value: str) -> list[FieldError]:
    """`IsValidIP`: canonical form only."""
    address, errors = _parse(path, value, strict=True)
    if errors or address is None:
        return errors
    shown = canonical_ip(address)
    return [] if shown == value else [field.invalid(path, value, f"must be in canonical form ({quote(shown)})")]


def ip_for_legacy_field(path: str, value: str, *, strict: bool = True, old: Sequence[str] = ()) -> list[FieldError]:
    """`IsValidIPForLegacyField`: any form without leading zeros; values of the `old` object pass as they are."""
    return [] if value in old else _parse(path, value, strict=strict)[1]


def _parse_network(path: str, value: str, *, strict: bool) -> tuple[tuple[Address, int] | None, list[FieldError]]:
    parsed = _parse_cidr_sloppy(value)
    if parsed is None:
        return None, [field.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    if not strict:
        return parsed, []
    head, _, tail = value.partition("/")
    address, length = parsed
    if parse_ip(head) is None or (len(tail) > 1 and tail.startswith("0")):
        return parsed, [field.invalid(path, value, "must not have leading 0s in IP or prefix length")]
    if getattr(address, "ipv4_mapped", None) is not None:
        return parsed, [field.invalid(path, value, "must not have an IPv4-mapped IPv6 address")]
    if ipaddress.ip_network((address, length), strict=False).network_address != address:
        return parsed, [field.invalid(path, value, "must not have bits set beyond the prefix length")]
    return parsed, []


def cidr(path: str, value: str) -> list[FieldError]:
    """`IsValidCIDR`: canonical form only."""
    parsed, errors = _parse_network(path, value, strict=True)
    if errors or parsed is None:
        return errors
    shown = str(ipaddress.ip_network(parsed, strict=False))
    return [] if shown == value else [field.invalid(path, value, f"must be in canonical form ({quote(shown)})")]


def cidr_for_legacy_field(path: str, value: str, *, strict: bool = True, old: Sequence[str] = ()) -> list[FieldError]:
    """`IsValidCIDRForLegacyField`: any form without leading zeros or host bits; `old` values pass as they are."""
    return [] if value in old else _parse_network(path, value, strict=strict)[1]


def interface_address(path: str, value: str) -> list[FieldError]:
    """`IsValidInterfaceAddress`: an address with its prefix length, in canonical form."""
    parsed = _parse_cidr_sloppy(value)
    if parsed is None:
        words = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [field.invalid(path, value, words)]
    address, length = parsed
    if getattr(address, "ipv4_mapped", None) is not None and length > 32:
        length -= 96
    shown = f"{canonical_ip(address)}/{length}"
    return [] if shown == value else [field.invalid(path, value, f"must be in canonical form ({quote(shown)})")]


def ip_warnings(path: str, value: str) -> list[str]:
    """`GetWarningsForIP`: for values in forms that are accepted but not canonical."""
    address = parse_ip_sloppy(value)
    if address is None:
        return []
    if parse_ip(value) is None or getattr(address, "ipv4_mapped", None) is not None:
        return [f"{path}: non-standard IP address {quote(value)} is invalid: use {quote(canonical_ip(address))}"]
    if address.version == 6 and str(address) != value:
        return [f"{path}: IPv6 address {quote(value)} should be in RFC 5952 canonical format ({quote(str(address))})"]
    return []


def cidr_warnings(path: str, value: str) -> list[str]:
    """`GetWarningsForCIDR`."""
    parsed = _parse_cidr_sloppy(value)
    if parsed is None:
        return []
    address, length = parsed
    network = ipaddress.ip_network((address, length), strict=False)
    head, _, tail = value.partition("/")
    warnings = []
    if network.network_address != address:
        single = f"{canonical_ip(address)}/{address.max_prefixlen}"
        warnings.append(f"{path}: CIDR value {quote(value)} is ambiguous in this context "
                        f"(should be {quote(str(network))} or {quote(single)}?)")
    leading_zeros = parse_ip(head) is None or (len(tail) > 1 and tail.startswith("0"))
    if leading_zeros or getattr(address, "ipv4_mapped", None) is not None:
        warnings.append(f"{path}: non-standard CIDR value {quote(value)} is invalid: use {quote(str(network))}")
    if not warnings and address.version == 6 and f"{address}/{length}" != value:
        warnings.append(f"{path}: IPv6 CIDR value {quote(value)} should be in RFC 5952 canonical format "
                        f"({quote(f'{address}/{length}')})")
    return warnings
