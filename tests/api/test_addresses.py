"""Addresses and networks in fields."""

from __future__ import annotations

import pytest

from sampan.api import addresses


@pytest.mark.parametrize(("value", "words"), [
    ("10.0.0.1", []), ("::1", []), ("x", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ("010.0.0.1", ["must not have leading 0s"]), ("::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]),
    ("FE80:0:0:0:0:0:0:0abc", []), ("fe80::1%eth0", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
    ("1.2.3.4.5", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
])
def test_an_address_of_a_legacy_field(value: str, words: list[str]) -> None:
    found = addresses.ip_for_legacy_field("f", value)
    assert [error.detail.removeprefix(f'Invalid value: "{value}": ') for error in found] == words


@pytest.mark.parametrize(("value", "words"), [
    ("10.0.0.0/8", []), ("10.0.0.1/8", ["must not have bits set beyond the prefix length"]),
    ("10.0.0.0/08", ["must not have leading 0s in IP or prefix length"]),
    ("10.0.0.0", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
    ("10.0.0.0/33", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
    ("FE80::/64", ['must be in canonical form ("fe80::/64")']),
])
def test_a_network(value: str, words: list[str]) -> None:
    found = addresses.cidr("f", value)
    assert [error.detail.removeprefix(f'Invalid value: "{value}": ') for error in found] == words


def test_old_values_stay_good() -> None:
    assert addresses.ip_for_legacy_field("f", "010.0.0.1", old=["010.0.0.1"]) == []


def test_forms_that_are_not_canonical_get_a_warning() -> None:
    assert addresses.ip_warnings("f", "FE80::1") == ['f: IPv6 address "FE80::1" should be in RFC 5952 canonical format ("fe80::1")']
    assert addresses.ip_warnings("f", "010.0.0.1") == ['f: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"']
    assert addresses.cidr_warnings("f", "10.0.0.1/8") == [
        'f: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
    ]
