"""Objects opened as far as somebody looks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import codec
from sampan.api.opening import joined, opened

values = st.recursive(st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from('x{["\\'),
                      lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=12)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
ways = st.recursive(st.none(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6).map(lambda way: way or {})


def test_what_is_not_looked_at_stays_text() -> None:
    # given
    text = b'{"metadata":{"name":"a","labels":{"x":"y"}},"spec":{"many":[1,2,3]},"status":{}}'
    # when
    tree = opened(text, {"metadata": {"name": None, "none": None}, "status": None})
    # then
    assert tree["metadata"]["name"] == "a"
    assert tree["metadata"]["labels"] == msgspec.Raw(b'{"x":"y"}')
    assert isinstance(tree["spec"], msgspec.Raw)
    assert tree["status"] == {}
    assert "none" not in tree["metadata"]


def test_what_is_no_object_is_decoded_wherever_the_way_leads() -> None:
    assert opened(b'{"a":[1],"b":null,"c":"{"}', {"a": {"x": None}, "b": {"x": None}, "c": {"x": None}}) == {"a": [1], "b": None, "c": "{"}


def test_text_that_is_no_object_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        opened(b"[1]", {})


@given(objects, ways)
def test_an_opened_object_says_what_it_said(tree: dict[str, Any], way: dict[str, Any]) -> None:
    assert codec.to_builtins(opened(codec.encode(tree), way)) == tree


@given(objects, ways, ways)
def test_joined_ways_lead_where_either_does(tree: dict[str, Any], one: dict[str, Any], other: dict[str, Any]) -> None:
    text, both = codec.encode(tree), joined(one, other)
    assert _decoded(opened(text, both)) >= _decoded(opened(text, one)) | _decoded(opened(text, other))


def _decoded(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in tree.items():
        if not isinstance(value, msgspec.Raw):
            found |= {prefix + key} | (_decoded(value, f"{prefix}{key}.") if isinstance(value, dict) else set())
    return found
