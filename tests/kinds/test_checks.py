"""Checks that kinds share."""

from __future__ import annotations

import pytest

from sampan.api.meta.v1 import Condition
from sampan.api.scalars import Time
from sampan.kinds import checks


@pytest.mark.parametrize(("value", "total", "up", "down"), [(3, 10, 3, 3), ("25%", 10, 3, 2), ("0%", 10, 0, 0), ("100%", 7, 7, 7)])
def test_a_share_is_rounded_as_asked(value: int | str, total: int, up: int, down: int) -> None:
    assert (checks.scaled(value, total, round_up=True), checks.scaled(value, total, round_up=False)) == (up, down)


def test_what_stands_twice_is_found_where_it_stands_again() -> None:
    assert list(checks.repeated(["a", "b", "a", "a", "c", "b"])) == [2, 3, 5]
    assert list(checks.repeated(["a"] * 300_000)) == list(range(1, 300_000))


def test_text_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="not a percentage"):
        checks.scaled("many", 10, round_up=True)
    assert [str(one) for one in checks.at_most_100_percent("101%", "p")] == [
        'p: Invalid value: "101%": must not be greater than 100%']


def test_conditions_are_whole_and_each_type_stands_once() -> None:
    good = Condition(type="Ready", status="True", reason="Good", lastTransitionTime=Time("2026-01-01T00:00:00Z"))
    assert checks.conditions([good], "c") == []
    assert [str(one) for one in checks.conditions([good, Condition(type="Ready", status="Maybe")], "c")] == [
        'c[1].type: Duplicate value: "Ready"',
        'c[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        "c[1].lastTransitionTime: Required value", "c[1].reason: Required value"]


@pytest.mark.parametrize(("value", "words"), [
    ("10.0.0.1", None), ("127.0.0.1", "loopback"), ("169.254.0.1", "link-local range"), ("0.0.0.0", "unspecified"),
    ("224.0.0.1", "link-local multicast"), ("x", "must be a valid IP address"),
])
def test_addresses_that_nobody_can_be_reached_at(value: str, words: str | None) -> None:
    found = [str(one) for one in checks.non_special_ip(value, "p")]
    assert (words is None and not found) or (words is not None and words in found[0])
