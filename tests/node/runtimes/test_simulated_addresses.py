"""Addresses of simulated pods."""

from __future__ import annotations

import pytest

from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.simulated_addresses import PodAddresses


def test_every_address_is_given_once_until_it_comes_back() -> None:
    # given a range of eight: network, bridge and broadcast are nobody's
    addresses = PodAddresses("10.0.0.0/29")
    # when
    taken = [addresses.take() for _ in range(5)]
    # then
    assert taken == [f"10.0.0.{number}" for number in range(2, 7)]
    with pytest.raises(RuntimeFault, match=r"no free address in 10\.0\.0\.0/29"):
        addresses.take()
    addresses.give_back("10.0.0.4")
    assert addresses.take() == "10.0.0.4"


def test_another_range_follows() -> None:
    addresses = PodAddresses("10.0.0.0/24")
    addresses.move("10.1.0.0/24,fd00::/64")
    assert addresses.take() == "10.1.0.2"


def test_addresses_of_ipv6_are_written_as_rfc_5952_says() -> None:
    addresses = PodAddresses("fd00:10:244::/64")
    assert [addresses.take(), addresses.take()] == ["fd00:10:244::2", "fd00:10:244::3"]
