"""Quantities: texts that Go's `resource.Quantity` prints, and laws of arithmetic."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import quantity

CANONICAL = {
    "0": "0", "1": "1", "0.5": "500m", "1.5": "1500m", "1000m": "1", "1024Mi": "1Gi", "1025Mi": "1025Mi", "1.5Gi": "1536Mi",
    "0.5Ki": "512", "0.1Ki": "102400m", "1e3": "1e3", "1e4": "10e3", "1E": "1E", "0.1n": "1n", "-0.1m": "-100u", "-1.5": "-1500m",
    "100000": "100k", "1500M": "1500M", "123456789012345678901234567890": "123456789012345678901234567890",
    "99999999999999999999Ki": "9223372036854775807", " 1 ": "1",
    # upstream keeps these as they were written
    "1.500": "1.500", "+1": "+1", "0100m": "0100m",
    "1e1000000000": "10e999999999", "1e-1000000000": "1e-9",
}
numbers = st.integers(min_value=-(10**24), max_value=10**24)
formats = st.sampled_from([quantity.DECIMAL_SI, quantity.BINARY_SI, quantity.DECIMAL_EXPONENT])


@pytest.mark.parametrize(("text", "shown"), CANONICAL.items())
def test_a_quantity_is_shown_as_upstream_shows_it(text: str, shown: str) -> None:
    assert quantity.canonical(text) == shown


@pytest.mark.parametrize(("text", "words"), [
    ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("one", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("1e", "unable to parse quantity's suffix"), ("1mi", "unable to parse quantity's suffix"),
    ("1e99999999999999999999999", "unable to parse quantity's suffix"), (".e-12", "unable to parse numeric part of quantity"),
    ("9" * 5000, "unable to parse numeric part of quantity"),
])
def test_what_is_no_quantity_is_refused_in_upstream_s_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^(quant|unable)") as caught:
        quantity.canonical(text)
    assert str(caught.value) == words


def test_amounts_are_rounded_away_from_zero() -> None:
    assert [quantity.integer(text) for text in ("1500m", "-1500m", "1n", "2", "1Ki")] == [2, -2, 1, 2, 1024]
    assert [quantity.milli(text) for text in ("1u", "-1u", "2", "1500m", "0.1")] == [1, -1, 2000, 1500, 100]


def test_a_sum_takes_the_format_of_the_first_that_is_not_zero() -> None:
    assert quantity.add("1Gi", "512Mi") == "1536Mi"
    assert quantity.sub("0", "512Mi") == "-512Mi"
    assert quantity.total(["0", "1Ki", "3Ki"]) == "4Ki"
    assert quantity.total([]) == "0"


@given(numbers, formats)
def test_a_rendered_amount_reads_back_as_itself(amount: int, format: quantity.Format) -> None:
    # beyond these, suffixes end and binary amounts are capped
    if abs(amount) < 2**63:
        assert quantity.nano(quantity.of(amount, format)) == amount * 10**9


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP ", max_size=12))
def test_the_canonical_form_is_stable(text: str) -> None:
    try:
        shown = quantity.canonical(text)
    except ValueError:
        return
    assert quantity.canonical(shown) == shown


@given(numbers, numbers, formats)
def test_adding_and_taking_away_comes_back(a: int, b: int, format: quantity.Format) -> None:
    a, b = a % 10**15, b % 10**15
    left, right = quantity.of(Fraction(a, 1000), format), quantity.of(b)
    assert quantity.cmp(quantity.sub(quantity.add(left, right), right), left) == 0


def test_an_amount_finer_than_a_nano_is_rounded_up() -> None:
    assert quantity.of(Decimal("0.00000000001")) == "1n"
    assert quantity.of(0.25) == "250m"
