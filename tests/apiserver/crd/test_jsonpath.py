"""Paths of columns and selectable fields."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.apiserver.crd.jsonpath import BadPath, compile_path, text_of

OBJ = {"spec": {"replicas": 3, "list": [{"name": "a", "n": 1}, {"name": "b", "n": 2}, {"name": "c", "n": 3}], "a.b": "dotted", "none": None},
       "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}}


@pytest.mark.parametrize(("path", "found"), [
    (".spec.replicas", [3]), (".spec.missing.deeper", []), (".spec.list[0].name", ["a"]), (".spec.list[-1].name", ["c"]), (".spec.list[9].name", []),
    (".spec.list[*].name", ["a", "b", "c"]), (".spec.list[0:2].name", ["a", "b"]), (".spec['a.b']", ["dotted"]), (".spec.a\\.b", ["dotted"]),
    (".spec.none", [None]), ('.status.conditions[?(@.type=="Ready")].status', ["True"]), (".spec.list[?(@.n>1)].name", ["b", "c"]),
    ('.spec.list[?(@.name!="a")].n', [2, 3]), ("..name", ["a", "b", "c"]),
])
def test_a_path_finds(path: str, found: list[Any]) -> None:
    assert compile_path(path)(OBJ) == found


@pytest.mark.parametrize("value", [None, 3, "text", [], {"spec": []}, {"spec": "x"}])
def test_a_path_finds_nothing_where_it_does_not_lead(value: Any) -> None:
    assert compile_path(".spec.replicas")(value) == []


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (True, "true"), (3, "3"), (1.5, "1.5")])
def test_values_are_told_as_go_prints_them(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_hostile_filter_is_read_once() -> None:
    # a pattern that may split the path in many ways would try them all: 2 to the power of its fields
    with pytest.raises(BadPath):
        compile_path("[?(@" + ".a" * 10_000 + "!")
    assert compile_path(r"[?(@.a.b\.c==1)].d")([{"a": {"b.c": 1}, "d": 2}, {"a": {"b": {"c": 1}}, "d": 3}]) == [2]
