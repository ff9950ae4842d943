"""What a share of a device takes: as asked, rounded up as its policy says, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.resource.v1 import CapacityRequirements, Device
from sampan.scheduler.dra.capacity import offers, share


def device(value: str, **policy: Any) -> Device:
    capacity: dict[str, Any] = {"value": value, **({"requestPolicy": policy} if policy else {})}
    return codec.convert(Device, {"name": "gpu-0", "capacity": {"memory": capacity}})


def asking(name: str, amount: str) -> CapacityRequirements:
    return codec.convert(CapacityRequirements, {"requests": {name: amount}})


@pytest.mark.parametrize(("amount", "enough"), [("40Gi", True), ("80Gi", True), ("81Gi", False)])
def test_a_whole_device_offers_what_it_has(amount: str, enough: bool) -> None:
    assert offers(device("80Gi"), asking("memory", amount)) is enough


def test_nothing_is_offered_of_a_capacity_that_the_device_lacks() -> None:
    # given
    wanted = asking("engines", "1")
    # then
    assert not offers(device("80Gi"), wanted)
    assert share(device("80Gi"), wanted) is None
    assert offers(device("80Gi"), None)


@pytest.mark.parametrize(("policy", "taken"), [({}, "80Gi"), ({"default": "10Gi"}, "10Gi")])
def test_who_asks_for_no_amount_takes_the_default_or_everything(policy: dict[str, Any], taken: str) -> None:
    assert share(device("80Gi", **policy), None) == {"memory": taken}


@pytest.mark.parametrize(("wanted", "taken"), [("5Gi", "10Gi"), ("10Gi", "10Gi"), ("11Gi", "20Gi"), ("41Gi", None)])
def test_with_valid_values_the_next_larger_one_is_taken(wanted: str, taken: str | None) -> None:
    # when
    found = share(device("80Gi", default="10Gi", validValues=["40Gi", "10Gi", "20Gi"]), asking("memory", wanted))
    # then
    assert found == ({"memory": taken} if taken else None)


@pytest.mark.parametrize(("wanted", "taken"), [("1Gi", "4Gi"), ("4Gi", "4Gi"), ("5Gi", "6Gi"), ("6Gi", "6Gi"), ("15Gi", "16Gi"), ("17Gi", None)])
def test_in_a_range_the_next_step_from_the_least_is_taken(wanted: str, taken: str | None) -> None:
    # given
    one = device("80Gi", default="8Gi", validRange={"min": "4Gi", "max": "16Gi", "step": "2Gi"})
    # when
    found = share(one, asking("memory", wanted))
    # then
    assert found == ({"memory": taken} if taken else None)


def test_a_share_larger_than_the_device_is_none() -> None:
    assert share(device("8Gi"), asking("memory", "9Gi")) is None
