"""Watches: what is told to whom, from which revision on, and how a watch ends."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.cacheworld import WIDGETS, World, in_world, read, told
from sampan.aio.tasks import Tasks
from sampan.api.errors import Gone
from sampan.api.resources import CONFIG_MAPS, LEASES, PODS
from sampan.apiserver import watching
from sampan.apiserver.selection import Rendering
from sampan.apiserver.watchcache import Entry, Selection, WatchQuery
from sampan.testing.waiting import PATIENCE_SECONDS

X = Selection("a", text="t=x", matches=lambda entry: entry.labels.get("t") == "x")
NOT_X = Selection("a", text="t!=x", matches=lambda entry: entry.labels.get("t") != "x")


@in_world
async def test_a_watch_since_a_revision_tells_what_came_after(world: World) -> None:
    cache = await world.cache()
    since = await world.config_map("zero")
    await world.config_map("a", data="1")
    await world.config_map("a", data="2")
    watcher = await cache.watch(WatchQuery(Selection("a"), str(since)))
    gone = await world.delete(CONFIG_MAPS, "a", "a")
    await world.config_map("b", namespace="other")
    events = await read(watcher, 3)
    assert [(kind, obj["data"]["k"]) for kind, obj in events] == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]
    assert events[2][1]["metadata"]["resourceVersion"] == str(gone)


@in_world
async def test_objects_enter_and_leave_a_selector(world: World) -> None:
    cache = await world.cache()
    since = str(await world.config_map("zero"))
    live = [await cache.watch(WatchQuery(selection, since)) for selection in (X, NOT_X)]
    for label, data in (("y", ""), ("x", ""), ("x", "1"), ("y", "1"), ("y", "2")):
        await world.config_map("a", data=data, t=label)
    gone = await world.delete(CONFIG_MAPS, "a", "a")
    late = [await cache.watch(WatchQuery(selection, since)) for selection in (X, NOT_X)]
    for with_x, without in (live, late):
        events = await read(with_x, 3)
        assert [(kind, obj["metadata"]["labels"]["t"], obj["data"]["k"]) for kind, obj in events] == [
            ("ADDED", "x", ""), ("MODIFIED", "x", "1"), ("DELETED", "x", "1")]
        # who leaves is shown as it last was, under the revision of the change
        assert int(events[2][1]["metadata"]["resourceVersion"]) == gone - 2
        assert [kind for kind, _ in await read(without, 5)] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]


@pytest.mark.parametrize("version", ["", "0"])
def test_a_watch_from_nowhere_begins_with_what_is_there(version: str) -> None:
    @in_world
    async def body(world: World) -> None:
        await world.config_map("b")
        await world.config_map("a")
        cache = await world.cache()
        watcher = await cache.watch(WatchQuery(resource_version=version, bookmarks=True))
        await world.config_map("c")
        assert await told(watcher, 3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]

    body()


@in_world
async def test_initial_events_end_with_an_annotated_bookmark_if_bookmarks_are_wanted(world: World) -> None:
    await world.put(LEASES, "a", "l", spec={})
    cache = await world.cache(LEASES)
    revision = str(world.store.revision)
    watcher = await cache.watch(WatchQuery(resource_version=revision, bookmarks=True, initial=True))
    (added, _), (kind, mark) = await read(watcher, 2)
    assert (added, kind) == ("ADDED", "BOOKMARK")
    assert mark == {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "spec": {}, "metadata": {
        "annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": revision}}
    without = await cache.watch(WatchQuery(initial=True))
    await world.put(LEASES, "a", "m", spec={})
    assert await told(without, 2) == [("ADDED", "l"), ("ADDED", "m")]
    refused = await cache.watch(WatchQuery(initial=False, bookmarks=True))
    await world.put(LEASES, "a", "n", spec={})
    assert await told(refused, 1) == [("ADDED", "n")]


@in_world
async def test_a_watch_from_the_future_is_silent_until_then_and_fails_with_initial_events(world: World) -> None:
    cache = await world.cache()
    watcher = await cache.watch(WatchQuery(resource_version=str(world.store.revision + 1)))
    await world.config_map("a")
    await world.config_map("b")
    assert await told(watcher, 1) == [("ADDED", "b")]
    failed = await cache.watch(WatchQuery(resource_version="999", initial=True))
    ((kind, status),) = await read(failed, 1)
    assert (kind, status["code"], status["reason"]) == ("ERROR", 504, "Timeout")
    assert await failed.frames() == b""


@in_world
async def test_what_happened_before_the_cache_was_filled_is_replayed_from_history(world: World) -> None:
    await world.config_map("left", t="x")
    since = str(await world.config_map("gone", t="x"))
    await world.config_map("left", t="y")
    await world.config_map("made", t="x")
    await world.delete(CONFIG_MAPS, "a", "gone")
    cache = await world.cache()
    watcher = await cache.watch(WatchQuery(X, since))
    await world.config_map("later", t="x")
    assert await told(watcher, 4) == [("DELETED", "left"), ("ADDED", "made"), ("DELETED", "gone"), ("ADDED", "later")]


@in_world
async def test_a_watch_from_a_revision_that_is_gone_ends_with_410(world: World) -> None:
    since = await world.config_map("a")
    await world.config_map("a")
    await world.config_map("a")
    await world.store.compact(world.store.revision)
    cache = await world.cache()
    ((kind, status),) = await read(watcher := await cache.watch(WatchQuery(resource_version=str(since))), 1)
    assert kind == "ERROR"
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"] == f"too old resource version: {since} ({world.store.revision})"
    assert await watcher.frames() == b""
    with pytest.raises(Gone):
        await (await cache.watch(WatchQuery(resource_version=str(since)))).events()


@in_world
async def test_bookmarks_come_about_once_a_minute_to_those_who_want_them(world: World) -> None:
    cache = await world.cache()
    widgets = await world.cache(WIDGETS)
    revision = str(await world.config_map("a"))
    wants = await cache.watch(WatchQuery(resource_version=revision, bookmarks=True))
    custom = await widgets.watch(WatchQuery(resource_version=revision, bookmarks=True))
    unwanted = await cache.watch(WatchQuery(resource_version=revision))
    async with Tasks() as tasks:
        tasks.start(world.caches.run(), "bookmarks")
        await world.clock.advance(61)
        assert await read(wants, 1) == [("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1",
                                                      "metadata": {"resourceVersion": revision}})]
        assert (await read(custom, 1))[0][1]["kind"] == "Widget"
        later = str(await world.pod("elsewhere"))
        await world.clock.advance(60)
        assert (await read(wants, 1))[0][1]["metadata"]["resourceVersion"] == later
        await world.config_map("b")
        assert await told(unwanted, 1) == [("ADDED", "b")]
    assert await told(wants, 1) == [("ADDED", "b")], "what was queued before the end is read"
    assert await wants.frames() == b""


@in_world
async def test_an_event_is_framed_once_for_all_who_are_told_the_same(world: World) -> None:
    cache = await world.cache()
    alike = [await cache.watch(WatchQuery(Selection("a"))) for _ in range(3)]
    other = await cache.watch(WatchQuery())
    await world.config_map("a")
    frames = [await watcher.frames() for watcher in alike]
    assert frames[0] is frames[1] is frames[2] is await other.frames()


@in_world
async def test_watchers_in_this_process_share_the_decoded_object(world: World) -> None:
    cache = await world.cache()
    one, two = await cache.watch(WatchQuery()), await cache.watch(WatchQuery())
    await world.config_map("a", data="v")
    await world.delete(CONFIG_MAPS, "a", "a")
    (added, entry), (deleted, tombstone) = await one.events()
    assert (added, deleted, tombstone.revision) == ("ADDED", "DELETED", world.store.revision)
    same = await two.events()
    assert same[0][1].object is entry.object
    assert same[1][1].object is tombstone.object
    assert tombstone.object.metadata.resourceVersion == str(world.store.revision)


@in_world
async def test_only_watchers_that_may_care_are_asked(world: World) -> None:
    cache = await world.cache(PODS)
    asked: list[str] = []

    def asking(who: str, **place: str) -> WatchQuery:
        def matches(entry: Entry) -> bool:
            asked.append(who)
            return True
        return WatchQuery(Selection(text=who, matches=matches, **place))

    watchers = {who: await cache.watch(asking(who, **place)) for who, place in {
        "all": {}, "a": {"namespace": "a"}, "b": {"namespace": "b"}, "one": {"namespace": "a", "name": "one"},
        "two": {"namespace": "a", "name": "two"}, "n1": {"indexed": "n1"}, "n2": {"indexed": "n2"}, "any one": {"name": "one"}}.items()}
    await world.pod("one", node="n1")
    assert sorted(asked) == ["a", "all", "any one", "n1", "one"]
    await world.pod("one", node="n2")
    assert await told(watchers["n1"], 2) == [("ADDED", "one"), ("DELETED", "one")]
    assert await told(watchers["n2"], 1) == [("ADDED", "one")]
    assert len(cache._hub._places) == 8
    for watcher in watchers.values():
        watcher.close()
    assert (cache.watchers, cache._hub._places) == (0, {})


@in_world
async def test_one_that_does_not_read_is_cut_off_and_disturbs_nobody(world: World) -> None:
    cache = await world.cache()
    slow, fast = await cache.watch(WatchQuery()), await cache.watch(WatchQuery())
    read_by_fast = 0
    for n in range(watching.QUEUE_EVENTS + 10):
        await world.config_map(f"c{n % 7}")
        read_by_fast += (await fast.frames()).count(b"\n")
    assert read_by_fast == watching.QUEUE_EVENTS + 10
    assert cache.watchers == 1
    assert await slow.frames() == b""
    assert not slow._queue


@in_world
async def test_closing_wakes_who_waits(world: World) -> None:
    cache = await world.cache()
    watcher = await cache.watch(WatchQuery())
    async with Tasks() as tasks:
        waiting = tasks.start(watcher.frames(), "reader")
        await world.clock.turns(3)
        watcher.close()
        watcher.close()
        assert await asyncio.wait_for(waiting, PATIENCE_SECONDS) == b""
    assert await watcher.events() == []


@in_world
async def test_renderings_show_objects_in_their_own_way_the_first_one_apart(world: World) -> None:
    await world.config_map("a")
    cache = await world.cache()
    rendering = Rendering(
        "table", lambda entry: b'{"row":"%b"}' % entry.name.encode(), lambda entry: b'{"columns":1,"row":"%b"}' % entry.name.encode(),
        lambda revision, initial: b'{"mark":%d,"initial":%b}' % (revision, b"true" if initial else b"false"))
    watcher = await cache.watch(WatchQuery(initial=True, bookmarks=True, rendering=rendering))
    marked = world.store.revision
    await world.config_map("b")
    assert await read(watcher, 3) == [("ADDED", {"columns": 1, "row": "a"}), ("BOOKMARK", {"mark": marked, "initial": True}),
                                      ("ADDED", {"row": "b"})]
    plain = await cache.watch(WatchQuery(bookmarks=True, rendering=Rendering("partial", lambda entry: entry.body)))
    plain.bookmark()
    assert [kind for kind, _ in await read(plain, 3)] == ["ADDED", "ADDED", "BOOKMARK"]
