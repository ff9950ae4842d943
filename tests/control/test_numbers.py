"""Arithmetic that workloads share."""

from __future__ import annotations

import pytest

from sampan.control.numbers import number_of, scaled


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12), ("-3", -3), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31))])
def test_a_number_of_an_annotation_is_read(text: str, number: int) -> None:
    assert number_of(text) == number


# what Python would take, or choke on: digits of other scripts, a number too long to be converted
@pytest.mark.parametrize("text", ["", "-", "+1", "1.5", " 1", "²", "١", "2147483648", "9" * 5000, "1_000", "0x1"])
def test_what_is_no_32_bit_number_is_none(text: str) -> None:
    assert number_of(text) is None


@pytest.mark.parametrize(("value", "up", "down"), [("25%", 3, 2), ("100%", 10, 10), (4, 4, 4), (None, 0, 0)])
def test_a_percentage_is_rounded_as_asked(value: int | str | None, up: int, down: int) -> None:
    assert (scaled(value, 10, round_up=True), scaled(value, 10, round_up=False)) == (up, down)
