"""The order, the counts, the index and the ring, against a model of plain dicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.cacheworld import World
from sampan.api import codec
from sampan.api.resources import PODS
from sampan.apiserver import cachedobjects
from sampan.apiserver.cachedobjects import Objects
from sampan.apiserver.selection import Selection
from sampan.apiserver.watchcache import INDEXERS, key_prefix
from sampan.store.base import Change, Put

SPACES, NAMES, NODES = ("a", "a-b", "a.b", "b"), ("x", "x-1", "y", "10"), ("", "n1", "n2")
NODES_OF_PODS = INDEXERS[key_prefix(PODS)]
STEPS = st.lists(st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES), st.sampled_from((None, *NODES))), max_size=40)


@given(STEPS, st.sampled_from(("", *SPACES)), st.sampled_from(("", *NAMES)), st.sampled_from(NODES), st.integers(0, 40))
def test_every_selection_at_every_revision_is_what_a_model_says(
        steps: list[tuple[str, str, str | None]], namespace: str, name: str, node: str, back: int) -> None:
    world, objects = World(), Objects(PODS, key_prefix(PODS), NODES_OF_PODS)
    state: dict[str, tuple[int, str]] = {}
    states = [dict(state)]
    for revision, (space, pod, wanted) in enumerate(steps, 1):
        key = world.key(PODS, space, pod)
        value = None if wanted is None else world.body(PODS, space, pod, spec={"nodeName": wanted} if wanted else {})
        before = state.get(key)
        event = objects.apply(Change(key, value, revision, 1, before[0] if before else 0))
        assert (event is None) == (value is None and before is None)
        if wanted is None:
            state.pop(key, None)
        else:
            state[key] = (revision, wanted)
        states.append(dict(state))
    at = max(len(steps) - back, 0)

    def selected(of: dict[str, tuple[int, str]], start: str) -> list[tuple[str, int]]:
        below = key_prefix(PODS) + (f"{namespace}/" if namespace else "")
        return [(key, revision) for key, (revision, on) in sorted(of.items())
                if key.startswith(below) and key >= below + start and (not name or key.endswith("/" + name)) and (not node or on == node)]

    selection = Selection(namespace, name, node)
    for start in ("", "x-1", "y") if namespace else ("", "a/x-1", "a-b/", "b/y"):
        assert [(e.key, e.revision) for e in objects.select(selection, start)] == selected(state, start)
        assert [(e.key, e.revision) for e in objects.select_at(at, selection, start)] == selected(states[at], start)
        if not name and not node:
            assert objects.count(namespace, start) == len(selected(state, start))
            assert objects.count_at(at, namespace, start) == len(selected(states[at], start))
    assert len(objects) == len(state)


def test_the_ring_is_bounded_by_what_it_alone_holds() -> None:
    world, objects = World(), Objects(PODS, key_prefix(PODS), NODES_OF_PODS)
    body = world.body(PODS, "a", "x", spec={"padding": "x" * 100_000})
    for revision in range(1, 200):
        objects.apply(Change(world.key(PODS, "a", "x"), body, revision, 1, revision - 1))
    assert objects.floor == 199 - cachedobjects.RING_BYTES // len(objects.get("a", "x").body)  # type: ignore[union-attr]
    assert len(objects.since(objects.floor)) == 199 - objects.floor


def test_an_object_that_was_announced_is_not_decoded_again_if_these_are_its_bytes() -> None:
    world, objects = World(), Objects(PODS, key_prefix(PODS), NODES_OF_PODS)
    key, value = world.key(PODS, "a", "x"), world.body(PODS, "a", "x", spec={"nodeName": "n"})
    made = codec.decode(PODS.wire, value)
    # when it is written, and then somebody else writes where another was announced
    objects.expect(Put(key, value), made)
    objects.apply(Change(key, value, 7, 7, 0))
    objects.expect(Put(world.key(PODS, "a", "y"), value), made)
    objects.apply(Change(world.key(PODS, "a", "y"), world.body(PODS, "a", "y"), 8, 8, 0))
    # then
    first, other = objects.get("a", "x"), objects.get("a", "y")
    assert first is not None
    assert other is not None
    assert first.peek() is made
    assert first.object is made
    assert made.metadata.resourceVersion == "7"
    assert codec.decode(PODS.wire, first.body) == made
    assert list(objects.select(Selection(indexed="n"))) == [first]
    assert other.object is not made
    assert other.object.metadata.name == "y"


def test_of_objects_that_nobody_asks_for_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    world, objects, made = World(), Objects(PODS, key_prefix(PODS), None), []
    names = ("asked", "old", "new")
    for revision, name in enumerate(names, 1):
        key, value = world.key(PODS, "a", name), world.body(PODS, "a", name)
        # given room for one
        monkeypatch.setattr(cachedobjects, "KEPT_BYTES", 100 + len(value))
        made.append(codec.decode(PODS.wire, value))
        objects.expect(Put(key, value), made[-1])
        objects.apply(Change(key, value, revision, revision, 0))
        if name == "asked":
            assert objects.get("a", name).object is made[-1]  # type: ignore[union-attr]
    # then
    assert [objects.get("a", name).peek() is one for name, one in zip(names, made, strict=True)] == [True, False, True]  # type: ignore[union-attr]
