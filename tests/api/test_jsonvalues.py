"""Numbers, texts and objects as a body spelt them."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.jsonvalues import PARSER, as_text, is_number, pairs, scalar, valid_unicode, word


def test_an_object_keeps_the_order_and_the_repetition_of_its_keys() -> None:
    # when
    tree = PARSER.decode('{"b": 1, "a": {"c": 1.50}, "b": 2}')
    # then
    assert [key for key, _ in pairs(tree)] == ["b", "a", "b"]
    assert list(pairs({"x": None})) == [("x", None)]


def test_a_number_keeps_its_spelling_until_it_is_read() -> None:
    # given
    _, value = PARSER.decode('{"a": 1.50}')[0]
    # then
    assert (as_text(value), scalar(value), is_number(value)) == ("1.50", 1.5, True)


@pytest.mark.parametrize(("text", "read"), [
    ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("9223372036854775808", float(2**63)), ("1e3", 1000.0),
])
def test_integers_stay_integers_while_they_fit_64_bits(text: str, read: float) -> None:
    # when
    value = scalar(PARSER.decode(text))
    # then
    assert (type(value), value) == (type(read), read)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_not_json_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PARSER.decode(text)


@pytest.mark.parametrize(("value", "name"), [
    ({}, "object"), (PARSER.decode("{}"), "object"), ([], "array"), (True, "bool"), (1, "number"), (PARSER.decode("1"), "number"), ("", "string"),
])
def test_values_are_called_what_json_calls_them(value: Any, name: str) -> None:
    assert word(value) == name


def test_half_a_surrogate_pair_is_replaced_and_other_values_are_left_alone() -> None:
    assert valid_unicode("a\ud800b") == "a\ufffdb"
    assert [scalar(one) for one in (True, None, 3, "é")] == [True, None, 3, "é"]
