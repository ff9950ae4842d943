"""The order, the counts, the index and the ring, against a model of plain dicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apiserver.cacheworld import World
from sampan.api.resources import PODS
from sampan.apiserver import cachedobjects
from sampan.apiserver.cachedobjects import Objects
from sampan.apiserver.selection import Selection
from sampan.apiserver.watchcache import INDEXERS, key_prefix
from sampan.store.base import Change

SPACES, NAMES, NODES = ("a", "a-b", "a.b", "b"), ("x", "x-1", "y", "10"), ("", "n1", "n2")
STEPS = st.lists(st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES), st.sampled_from((None, *NODES))), max_size=40)


@given(STEPS, st.sampled_from(("", *SPACES)), st.sampled_from(("", *NAMES)), st.sampled_from(NODES), st.integers(0, 40))
def test_every_selection_at_every_revision_is_what_a_model_says(
        steps: list[tuple[str, str, str | None]], namespace: str, name: str, node: str, back: int) -> None:
    world, objects = World(), Objects(PODS, key_prefix(PODS), INDEXERS[key_prefix(PODS)])
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
    world, objects = World(), Objects(PODS, key_prefix(PODS), INDEXERS[key_prefix(PODS)])
    body = world.body(PODS, "a", "x", spec={"padding": "x" * 100_000})
    for revision in range(1, 200):
        objects.apply(Change(world.key(PODS, "a", "x"), body, revision, 1, revision - 1))
    assert objects.floor == 199 - cachedobjects.RING_BYTES // len(objects.get("a", "x").body)  # type: ignore[union-attr]
    assert len(objects.since(objects.floor)) == 199 - objects.floor
