"""Packing endpoints into slices."""

from __future__ import annotations

import random

from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.controllers.endpointslice.drafts import Draft, fill, identity

MOST = 10


def endpoint(number: int, *, ready: bool = True) -> Endpoint:
    return Endpoint(addresses=[f"10.1.{number // 250}.{number % 250}"], conditions=EndpointConditions(ready=ready))


def slice_of(name: str, numbers: range) -> EndpointSlice:
    return EndpointSlice(metadata=ObjectMeta(name=name), endpoints=[endpoint(number) for number in numbers])


def test_all_endpoints_are_in_slices_once_and_none_is_too_full() -> None:
    rng = random.Random(7)
    for _ in range(300):
        # given some slices, and other endpoints wanted than there are
        slices, start = [], 0
        for name in range(rng.randrange(4)):
            size = rng.randrange(MOST + 1)
            slices.append(Draft.of(slice_of(str(name), range(start, start + size)), relabelled=rng.random() < 0.2))
            start += size
        wanted = {identity(one): one for one in (endpoint(n, ready=rng.random() < 0.8) for n in range(40) if rng.random() < 0.6)}
        # when
        found = fill(slices, (), wanted, MOST)
        # then
        there = [one for draft in (*found.create, *found.update, *found.unchanged) for one in draft.endpoints]
        assert sorted(map(identity, there)) == sorted(wanted)
        assert {identity(one): one.conditions.ready for one in there} == {key: one.conditions.ready for key, one in wanted.items()}
        assert all(len(draft.endpoints) <= MOST for draft in (*found.create, *found.update, *found.unchanged))
        assert len(found.update) + len(found.unchanged) + len(found.delete) == len(slices)


def test_what_did_not_change_is_not_written() -> None:
    # given two slices that say what is wanted
    slices = [Draft.of(slice_of("a", range(5))), Draft.of(slice_of("b", range(5, 8)))]
    wanted = {identity(one): one for one in map(endpoint, range(8))}
    # when
    found = fill(slices, (), wanted, MOST)
    # then
    assert found.unchanged == slices
    assert [*found.create, *found.update, *found.delete] == []


def test_some_more_go_into_the_slice_that_is_fullest_then() -> None:
    # given room for three in both
    slices = [Draft.of(slice_of("a", range(5))), Draft.of(slice_of("b", range(5, 12)))]
    wanted = {identity(one): one for one in map(endpoint, range(15))}
    # when
    found = fill(slices, (), wanted, MOST)
    # then
    assert [(draft.old.metadata.name, len(draft.endpoints)) for draft in found.update if draft.old] == [("b", 10)]
    assert [draft.old.metadata.name for draft in found.unchanged if draft.old] == ["a"]
