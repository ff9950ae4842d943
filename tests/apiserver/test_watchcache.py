"""Reads and lists of a watch cache: upstream's rules for resource versions, limits and tokens."""

from __future__ import annotations

import asyncio
import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.cacheworld import WIDGETS, World, in_world, told
from sampan.api.errors import BadRequest, Gone, OtherStatus, Timeout, TooManyRequests
from sampan.api.resources import CONFIG_MAPS, NAMESPACES, PODS
from sampan.apiserver.listing import ContinueToken
from sampan.apiserver.watchcache import ListQuery, Selection, WatchCache, WatchQuery
from sampan.store.base import Delete
from sampan.store.history import Limits

IN_A = Selection(namespace="a")


async def names(cache: WatchCache, **query: object) -> list[str]:
    return [entry.name for entry in (await cache.list(ListQuery(**query))).entries]  # type: ignore[arg-type]


@in_world
async def test_what_is_stored_before_and_after_the_start_is_there(world: World) -> None:
    await world.config_map("before")
    cache = await world.cache()
    generation = cache.generation
    revision = await world.config_map("after", data="x")
    entry = cache.get("a", "after")
    assert entry
    assert json.loads(entry.body)["metadata"]["resourceVersion"] == str(revision) == str(entry.revision)
    assert entry.object.data == {"k": "x"}
    assert [e.name for e in cache.entries()] == ["after", "before"]
    await world.delete(CONFIG_MAPS, "a", "before")
    assert cache.get("a", "before") is None
    assert cache.generation > generation


@in_world
async def test_lists_are_in_the_order_of_keys_over_all_namespaces(world: World) -> None:
    for namespace in ("b", "a-b", "a", "a.b"):
        for name in ("z", "a-b", "a0", "a", "a.b", "10", "9"):
            await world.config_map(name, namespace)
    cache = await world.cache()
    everything = [record.key for record in (await world.store.range("/registry/")).records]
    assert [entry.key for entry in (await cache.list(ListQuery())).entries] == everything
    assert await names(cache, selection=IN_A) == ["10", "9", "a", "a-b", "a.b", "a0", "z"]


@in_world
async def test_cluster_scoped_and_custom_objects_are_listed_and_found(world: World) -> None:
    await world.put(NAMESPACES, "", "kube-system")
    await world.put(WIDGETS, "a", "w", spec={"x": 1})
    namespaces, widgets = await world.cache(NAMESPACES), await world.cache(WIDGETS)
    assert await names(namespaces, selection=Selection(name="kube-system")) == ["kube-system"]
    assert await names(namespaces) == ["kube-system"]
    widget = widgets.get("a", "w")
    assert widget
    assert widget.object["spec"] == {"x": 1}


@in_world
async def test_names_and_nodes_are_found_by_index(world: World) -> None:
    await world.pod("one", node="n1")
    await world.pod("two", node="n2")
    await world.pod("two", node="n1", namespace="b")
    await world.put(PODS, "a", "trap", spec={"containers": []}, status={"message": '"nodeName":"n1"'})
    cache = await world.cache(PODS)
    assert await names(cache, selection=Selection(indexed="n1")) == ["one", "two"]
    assert await names(cache, selection=Selection(namespace="a", indexed="n1")) == ["one"]
    assert await names(cache, selection=Selection(name="two")) == ["two", "two"]
    assert await names(cache, selection=Selection(name="two", indexed="n2")) == ["two"]
    # a pod that moves leaves its old place
    await world.pod("one", node="n3")
    assert await names(cache, selection=Selection(indexed="n1")) == ["two"]
    assert await names(cache, selection=Selection(indexed="n3")) == ["one"]
    await world.delete(PODS, "a", "one")
    assert await names(cache, selection=Selection(indexed="n3")) == []


@in_world
async def test_pages_show_one_revision_while_the_world_goes_on(world: World) -> None:
    for n in range(5):
        await world.config_map(f"c{n}")
    cache = await world.cache()
    first = await cache.list(ListQuery(IN_A, limit=2))
    assert ([e.name for e in first.entries], first.remaining) == (["c0", "c1"], 3)
    await world.delete(CONFIG_MAPS, "a", "c2")
    await world.config_map("c3", data="changed")
    await world.config_map("c3a")
    second = await cache.list(ListQuery(IN_A, limit=2, continue_=first.continue_))
    assert [e.name for e in second.entries] == ["c2", "c3"]
    assert (second.entries[1].object.data, second.revision, second.remaining) == ({"k": ""}, first.revision, 1)
    third = await cache.list(ListQuery(IN_A, limit=2, continue_=second.continue_))
    assert ([e.name for e in third.entries], third.continue_, third.remaining) == (["c4"], "", None)
    # a token may be used again
    again = await cache.list(ListQuery(IN_A, limit=2, continue_=first.continue_))
    assert [e.name for e in again.entries] == ["c2", "c3"]
    assert ContinueToken.decode(first.continue_).start == "c1\0"


@in_world
async def test_a_page_that_just_ends_has_no_token(world: World) -> None:
    for n in range(4):
        await world.config_map(f"c{n}", namespace="ab"[n % 2])
    cache = await world.cache()
    assert (await cache.list(ListQuery(limit=4))).continue_ == ""
    page = await cache.list(ListQuery(limit=3))
    assert ContinueToken.decode(page.continue_).start == "b/c1\0"
    assert [e.name for e in (await cache.list(ListQuery(limit=3, continue_=page.continue_))).entries] == ["c3"]
    assert len(await names(cache, limit=-1)) == 4


@in_world
async def test_selected_pages_tell_no_remaining_count(world: World) -> None:
    for n in range(6):
        await world.config_map(f"c{n}", tier="ab"[n % 2])
    cache = await world.cache()
    tier = Selection("a", text="tier=a", matches=lambda entry: entry.labels.get("tier") == "a")
    page = await cache.list(ListQuery(tier, limit=2))
    assert ([e.name for e in page.entries], page.remaining) == (["c0", "c2"], None)
    assert [e.name for e in (await cache.list(ListQuery(tier, limit=2, continue_=page.continue_))).entries] == ["c4"]


@in_world
async def test_resource_versions_of_lists(world: World) -> None:
    one = await world.config_map("c1")
    two = await world.config_map("c2")
    cache = await world.cache()
    assert await names(cache, resource_version="0") == ["c1", "c2"]
    assert await names(cache, resource_version=str(one)) == ["c1", "c2"]
    assert await names(cache, resource_version=str(one), match="NotOlderThan") == ["c1", "c2"]
    assert await names(cache, resource_version=str(one), match="Exact") == ["c1"]
    assert await names(cache, resource_version=str(one), limit=1) == ["c1"]
    assert (await cache.list(ListQuery(resource_version=str(one), limit=1))).revision == one
    assert (await cache.list(ListQuery(resource_version=str(one)))).revision == two


@in_world
async def test_a_revision_that_was_not_given_yet_is_a_timeout(world: World) -> None:
    await world.config_map("c1")
    cache = await world.cache()
    for query in (ListQuery(resource_version="999"), ListQuery(resource_version="999", match="Exact")):
        with pytest.raises(Timeout) as late:
            await cache.list(query)
        assert late.value.message == f"Timeout: Too large resource version: 999, current: {world.store.revision}"
        assert late.value.details == {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                                      "retryAfterSeconds": 1}
        assert late.value.headers == {"Retry-After": "1"}


@in_world
async def test_what_cannot_be_read_is_a_bad_request(world: World) -> None:
    await world.config_map("c1")
    await world.config_map("c2")
    cache = await world.cache()
    with pytest.raises(BadRequest, match='invalid resource version: resourceVersion: Invalid value: "abc"'):
        await cache.list(ListQuery(resource_version="abc"))
    token = (await cache.list(ListQuery(limit=1))).continue_
    with pytest.raises(BadRequest, match="specifying resource version is not allowed when using continue"):
        await cache.list(ListQuery(continue_=token, resource_version="5"))
    with pytest.raises(OtherStatus) as odd:
        await cache.watch(WatchQuery(resource_version="abc"))
    assert odd.value.code == 500


@in_world
async def test_compacted_pages_offer_an_inconsistent_rest(world: World) -> None:
    for n in range(4):
        await world.config_map(f"c{n}")
    page_revision = world.store.revision
    await world.delete(CONFIG_MAPS, "a", "c2")
    cache = await world.cache()
    token = ContinueToken("a/c1\0", page_revision).encode()
    assert [e.name for e in (await cache.list(ListQuery(continue_=token))).entries] == ["c2", "c3"]
    await world.store.compact(world.store.revision)
    with pytest.raises(Gone, match="The provided continue parameter is too old") as gone:
        await cache.list(ListQuery(continue_=token))
    rest = await cache.list(ListQuery(continue_=gone.value.status()["metadata"]["continue"]))
    assert [e.name for e in rest.entries] == ["c3"]
    with pytest.raises(Gone, match="The resourceVersion for the provided list is too old"):
        await cache.list(ListQuery(resource_version=str(page_revision), match="Exact"))


@in_world
async def test_old_pages_come_from_the_stores_history(world: World) -> None:
    # given a cache that was filled after the revision that is asked for
    for n in range(6):
        await world.config_map(f"c{n}", tier="ab"[n % 2])
    then = world.store.revision
    for n in range(6):
        await world.delete(CONFIG_MAPS, "a", f"c{n}")
    cache = await world.cache()
    # then
    assert await names(cache, resource_version=str(then), match="Exact") == [f"c{n}" for n in range(6)]
    page = await cache.list(ListQuery(IN_A, limit=2, resource_version=str(then)))
    assert ([e.name for e in page.entries], page.remaining) == (["c0", "c1"], 4)
    tier = Selection("a", text="b", matches=lambda entry: entry.labels["tier"] == "b")
    assert await names(cache, selection=tier, limit=2, resource_version=str(then)) == ["c1", "c3"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("vwxyz"), st.booleans()), max_size=30),
       st.integers(1, 3), st.sampled_from(["", "a"]), st.integers(0, 30))
def test_pages_at_any_revision_are_the_state_of_that_revision(
        steps: list[tuple[str, str, bool]], limit: int, namespace: str, loaded_after: int) -> None:
    async def body() -> None:
        world = World()
        state: dict[tuple[str, str], int] = {}
        states = {world.store.revision: dict(state)}
        cache = None
        for step, (space, name, delete) in enumerate(steps):
            if step == loaded_after:
                cache = await world.cache()
            if delete:
                revision = await world.store.transact([Delete(world.key(CONFIG_MAPS, space, name))])
                state.pop((space, name), None)
            else:
                revision = state[space, name] = await world.config_map(name, space)
            states[revision] = dict(state)
        cache = cache or await world.cache()
        for revision, state in states.items():
            if revision == 1:
                continue
            wanted = sorted(((f"{s}/{n}", r) for (s, n), r in state.items() if namespace in ("", s)))
            got: list[tuple[str, int]] = []
            query = ListQuery(Selection(namespace), limit=limit, resource_version=str(revision))
            for page_number in count():
                page = await cache.list(query)
                got += [(f"{e.namespace}/{e.name}", e.revision) for e in page.entries]
                assert page.revision == revision
                if not page.continue_:
                    break
                assert page.remaining == len(wanted) - len(got), page_number
                query = ListQuery(Selection(namespace), limit=limit, continue_=page.continue_)
            assert got == wanted

    asyncio.run(body())


@in_world
async def test_a_cache_that_is_not_filled_says_so_and_one_that_is_dropped_ends_its_watches(world: World) -> None:
    with pytest.raises(TooManyRequests, match="initializing"):
        world.caches.of(CONFIG_MAPS)
    cache = await world.cache()
    await world.caches.load(CONFIG_MAPS)
    assert world.caches.of(CONFIG_MAPS) is cache
    watcher = await cache.watch(WatchQuery())
    world.caches.drop(CONFIG_MAPS)
    assert await watcher.frames() == b""
    with pytest.raises(TooManyRequests):
        world.caches.of(CONFIG_MAPS)


def test_filling_goes_on_when_history_goes_by_meanwhile() -> None:
    async def body() -> None:
        world = World(Limits(changes=5))
        for n in range(1500):
            await world.config_map(f"c{n:04}")
        cache = await world.cache()
        assert len(cache) == 1500
        watcher = await cache.watch(WatchQuery(resource_version=str(world.store.revision)))
        await world.config_map("new")
        assert await told(watcher, 1) == [("ADDED", "new")]

    asyncio.run(body())
