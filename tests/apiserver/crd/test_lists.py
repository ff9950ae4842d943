"""Sets and keyed lists hold each of theirs once."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.crd.lists import validate_lists
from sampan.apiserver.crd.node import compile_schema

SET = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
KEYED = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"],
         "items": {"type": "object", "properties": {"k": {"type": "string"}, "p": {"type": "integer"}, "deep": SET}}}


@pytest.mark.parametrize(("schema", "value", "found"), [
    (SET, ["a", "b"], []), (SET, ["a", "b", "a"], [("FieldValueDuplicate", "a[2]")]),
    (KEYED, [{"k": "x", "p": 1}, {"k": "x", "p": 2}], []), (KEYED, [{"k": "x", "p": 1}, {"k": "x", "p": 1}], [("FieldValueDuplicate", "a[1]")]),
    (KEYED, [{"k": "x", "deep": ["1", "1"]}], [("FieldValueDuplicate", "a[0].deep[1]")]),
    ({"type": "array", "items": {"type": "string"}}, ["a", "a"], []),
    (SET, None, []), (SET, "no list", []),
])
def test_what_is_there_twice_is_told_once(schema: dict[str, Any], value: Any, found: list[tuple[str, str]]) -> None:
    node = compile_schema({"type": "object", "properties": {"a": schema}})
    assert [(one.reason, one.field) for one in validate_lists({"a": value}, node)] == found


def test_many_items_take_no_more_than_a_look_each() -> None:
    node = compile_schema({"type": "object", "properties": {"a": SET}})
    assert validate_lists({"a": [str(number) for number in range(20_000)]}, node) == []
