"""Sets of field paths against plain sets of paths."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import fieldset

paths = st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']), min_size=1, max_size=3).map(tuple)
models = st.frozensets(paths, max_size=6)


def build(model: frozenset[tuple[str, ...]]) -> fieldset.FieldSet:
    fields: fieldset.FieldSet = {}
    for path in model:
        branch: Any = {}
        for element in reversed(path):
            branch = {element: branch}
        fields = fieldset.union(fields, branch)
    return fields


def model(fields: fieldset.FieldSet, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = set()
    for key, below in fields.items():
        if key == ".":
            continue
        if fieldset.is_member(below):
            found.add((*prefix, key))
        found |= model(below, (*prefix, key))
    return found


def below(path: tuple[str, ...], others: frozenset[tuple[str, ...]]) -> bool:
    return any(path[:len(other)] == other for other in others)


@given(models, models)
def test_operations_are_those_of_sets_of_paths(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> None:
    a, b = build(left), build(right)
    assert model(a) == left
    assert model(fieldset.union(a, b)) == left | right
    assert model(fieldset.intersection(a, b)) == left & right
    assert model(fieldset.difference(a, b)) == left - right
    assert model(fieldset.without(a, b)) == {path for path in left if not below(path, right)}
    assert model(fieldset.within(a, b)) == {path for path in left if below(path, right)}
    assert fieldset.holds(a, b) == (right <= left)


@given(models, models)
def test_a_set_that_loses_nothing_stays_what_it_was(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> None:
    a, b = build(left), build(right)
    assert (fieldset.difference(a, b) is a) == (not left & right)
    assert (fieldset.without(a, b) is a) == (not any(below(path, right) for path in left))


@given(models, models, st.sampled_from([("", ""), ("f:a", "f:\\u0061"), ('"y', '"\\u0079'), ("f:a", "f:<\\/")]))
def test_a_text_that_can_t_meet_a_set_does_not(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]], other: tuple[str, str]) -> None:
    # given a text that may be written as others write it
    raw = fieldset.encode(build(left)).decode().replace(*other).encode() if other[0] else fieldset.encode(build(left))
    # then
    meets = model(fieldset.decode(raw)) & right
    assert fieldset.may_meet(raw, build(right)) or not meets
    # and it is seen where nothing of the set is in the text
    assert not (fieldset.may_meet(fieldset.encode(build(left)), build(right)) and {path[0] for path in right}.isdisjoint(element for path in left for element in path))


@given(models)
def test_an_encoded_set_reads_back(paths: frozenset[tuple[str, ...]]) -> None:
    fields = build(paths)
    assert model(fieldset.decode(fieldset.encode(fields))) == paths
    assert fieldset.encode(fieldset.decode(fieldset.encode(fields))) == fieldset.encode(fields)


@given(models, models)
def test_equal_sets_have_one_form(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> None:
    assert fieldset.encode(fieldset.union(build(left), build(right))) == fieldset.encode(build(left | right))


def test_paths_are_shown_as_messages_show_them() -> None:
    fields = fieldset.decode(b'{"f:spec":{"f:ports":{"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:port":{}}},"f:s":{"v:\\"d\\"":{}}}}')
    assert list(fieldset.paths(fields)) == [
        '.spec.ports[port=80,protocol="TCP"]', '.spec.ports[port=80,protocol="TCP"].port', '.spec.s[="d"]']


@pytest.mark.parametrize("raw", [b"[]", b'{"a":{}}', b'{"f:a":1}', b"{", b'{"x:a":{}}', b'{"f:a":null}', b'{"f:a":{"":{}}}'])
def test_what_is_no_set_is_refused(raw: bytes) -> None:
    with pytest.raises(fieldset.BadFieldSet):
        fieldset.decode(raw)


def test_many_sets_become_one() -> None:
    assert fieldset.union_all([]) == {}
    sets = [fieldset.of_paths(("a", f"k{number}"), ("b",)) for number in range(50_000)]
    whole = fieldset.union_all(sets)
    assert len(whole["f:a"]) == 50_000
    assert whole["f:b"] == fieldset.of_paths(("b",))["f:b"]
