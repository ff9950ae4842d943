"""Requests under flow control, on a real server: who is served, who waits, who is turned away, and what each is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.flowworld import GROUP, MAPS, World, queues, with_world
from sampan.api.errors import InternalError
from sampan.apiserver.flowcontrol.controller import asked_of, go_seconds, wait_seconds
from sampan.apiserver.flowcontrol.estimate import Asked
from sampan.apiserver.flowcontrol.inflight import FlowSettings
from sampan.apiserver.parse import parse, parse_query

SMALL = FlowSettings(reads=20, writes=0)
"""Twenty seats: the test's level has one of them with fresh objects, the others share the rest."""


def test_every_answer_names_its_schema_and_level_by_uid() -> None:
    async def test(world: World) -> None:
        for user, name in (("admin", "exempt"), ("quiet", "global-default")):
            schema = await world.must("GET", f"{GROUP}/flowschemas/{name}")
            level = await world.must("GET", f"{GROUP}/prioritylevelconfigurations/{name}")
            for path in (MAPS, f"{MAPS}/none", "/api/v1/nonsense"):
                _, _, headers = await world.ask(user, "GET", path)
                assert headers["x-kubernetes-pf-flowschema-uid"] == schema["metadata"]["uid"]
                assert headers["x-kubernetes-pf-prioritylevel-uid"] == level["metadata"]["uid"]

    with_world(test)


def test_an_impersonated_request_is_the_impersonated_users() -> None:
    async def test(world: World) -> None:
        schema = await world.must("GET", f"{GROUP}/flowschemas/global-default")
        _, _, headers = await world.ask("admin", "GET", MAPS, headers={"impersonate-user": "quiet", "impersonate-group": "system:authenticated"})
        assert headers["x-kubernetes-pf-flowschema-uid"] == schema["metadata"]["uid"]

    with_world(test)


def test_a_noisy_user_does_not_starve_another() -> None:
    async def test(world: World) -> None:
        # given a level with one seat, and a user who has it and fills queues with requests
        await world.level(queues(), shares=5)
        noisy = [world.slow("noisy", f"noisy-{number}") for number in range(8)]
        await world.clock.turns(20)
        level = world.flow.levels.by_name["mine"]
        assert (level.current, level.set.executing, level.set.waiting) == (1, 1, 7)
        # when another one comes last
        quiet = world.slow("quiet", "quiet")
        await world.clock.turns(20)
        assert level.set.waiting == 8
        order: list[str] = []
        for task in (*noisy, quiet):
            task.add_done_callback(lambda done: order.append(done.get_name()))
        world.let_go.set()
        answers = await asyncio.gather(*noisy, quiet)
        # then it is served among the first, and in the end everybody is
        assert order.index("quiet") <= 2
        assert [code for code, _, _ in answers] == [201] * 9
        assert level.set.idle

    with_world(test, flow=SMALL)


def test_administrators_are_served_while_others_wait() -> None:
    async def test(world: World) -> None:
        await world.level(queues())
        tasks = [world.slow("noisy", f"n{number}") for number in range(3)]
        await world.clock.turns(20)
        assert world.flow.levels.by_name["mine"].set.waiting == 2
        assert (await world.ask("admin", "GET", MAPS))[0] == 200
        world.let_go.set()
        await asyncio.gather(*tasks)

    with_world(test, flow=SMALL)


def test_a_full_queue_turns_away_in_upstreams_words() -> None:
    async def test(world: World) -> None:
        await world.level(queues(1, 1, 2))
        tasks = [world.slow("noisy", f"n{number}") for number in range(3)]
        await world.clock.turns(20)
        code, text, headers = await world.ask("noisy", "GET", MAPS)
        assert (code, text) == (429, "Too many requests, please try again later.\n")
        assert (headers["retry-after"], headers["content-type"]) == ("1", "text/plain; charset=utf-8")
        schema = await world.must("GET", f"{GROUP}/flowschemas/mine")
        assert headers["x-kubernetes-pf-flowschema-uid"] == schema["metadata"]["uid"]
        assert world.flow.levels.by_name["mine"].tally("mine").rejected == {"queue-full": 1}
        world.let_go.set()
        await asyncio.gather(*tasks)

    with_world(test, flow=SMALL)


def test_a_level_without_queues_turns_away_at_once() -> None:
    async def test(world: World) -> None:
        await world.level({"type": "Reject"})
        task = world.slow("noisy", "n")
        await world.clock.turns(20)
        assert (await world.ask("quiet", "GET", MAPS))[0] == 429
        assert world.flow.levels.by_name["mine"].tally("mine").rejected == {"concurrency-limit": 1}
        world.let_go.set()
        await task

    with_world(test, flow=SMALL)


def test_who_waits_too_long_is_turned_away() -> None:
    async def test(world: World) -> None:
        await world.level(queues())
        first, second = world.slow("noisy", "first"), world.slow("noisy", "second")
        await world.clock.advance(14.9)
        assert not second.done()
        await world.clock.advance(0.2)
        assert (await second)[0] == 429
        level = world.flow.levels.by_name["mine"]
        assert (level.tally("mine").rejected, level.set.waiting, level.set.cancelled) == ({"time-out": 1}, 0, 1)
        world.let_go.set()
        assert (await first)[0] == 201

    with_world(test, flow=SMALL)


def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind() -> None:
    async def test(world: World) -> None:
        await world.level(queues())
        first, second, third = (world.slow("noisy", name) for name in ("first", "second", "third"))
        await world.clock.turns(20)
        second.cancel()
        await world.clock.turns(20)
        assert world.flow.levels.by_name["mine"].set.waiting == 1
        world.let_go.set()
        assert [(await task)[0] for task in (first, third)] == [201, 201]
        assert world.flow.levels.by_name["mine"].set.idle

    with_world(test, flow=SMALL)


def test_a_client_that_leaves_when_its_turn_has_come_gives_its_seat_back() -> None:
    async def test(world: World) -> None:
        await world.level(queues())
        first, second, third = (world.slow("noisy", name) for name in ("first", "second", "third"))
        await world.clock.turns(20)
        level = world.flow.levels.by_name["mine"]
        waiting = next(queue.waiting[0] for queue in level.set.queues if queue.waiting)
        # when it is told that its turn has come, and cancelled before it can go on
        world.let_go.set()
        await waiting.wake
        (second if not second.done() else third).cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert level.set.idle
        assert level.set.seats_in_use == 0

    with_world(test, flow=SMALL)


def test_changes_of_the_objects_take_effect_at_once() -> None:
    async def test(world: World) -> None:
        await world.level({"type": "Reject"})
        tasks = [world.slow("noisy", "a")]
        await world.clock.turns(20)
        assert (await world.ask("quiet", "GET", MAPS))[0] == 429
        # when the schema sends the user elsewhere
        await world.must("PATCH", f"{GROUP}/flowschemas/mine", {"spec": {"priorityLevelConfiguration": {"name": "workload-low"}}},
                         kind="application/merge-patch+json")
        assert (await world.ask("quiet", "GET", MAPS))[0] == 200
        # and the level that nobody leads to is deleted while one is worked on there
        await world.must("DELETE", f"{GROUP}/prioritylevelconfigurations/mine")
        await world.ask("quiet", "GET", MAPS)
        assert world.flow.levels.by_name["mine"].quiescing
        world.let_go.set()
        assert (await tasks[0])[0] == 201
        await world.ask("quiet", "GET", MAPS)
        assert "mine" not in world.flow.levels.by_name

    with_world(test, flow=SMALL)


def test_a_watch_has_a_seat_until_its_first_events_are_out() -> None:
    async def test(world: World) -> None:
        await world.level({"type": "Reject"})
        level = world.flow.levels.by_name.get("mine")
        client = world.server.client_with(authorization="Bearer quiet")
        from sampan.api.resources import CONFIG_MAPS

        await world.must("POST", MAPS, {"metadata": {"name": "there"}})
        events: Any = client.watch(CONFIG_MAPS, "default")
        # given the first event has been read, of those that were there
        first = await anext(events)
        level = world.flow.levels.by_name["mine"]
        assert (first.object.metadata.name, level.set.executing) == ("kube-root-ca.crt" if first.object.metadata.name != "there" else "there", 1)
        # when the watch waits for more
        task = asyncio.ensure_future(anext(events))  # noqa: TID251 - a test waits for the next event meanwhile
        await world.clock.turns(5)
        # then its seat is free, and others use it
        assert (level.set.executing, level.set.seats_in_use) == (0, 0)
        assert (await world.ask("quiet", "GET", MAPS))[0] == 200
        await world.must("POST", MAPS, {"metadata": {"name": "new"}})
        assert (await task).object.metadata.name == "new"
        await events.aclose()

    with_world(test, flow=SMALL)


def test_watches_that_fail_keep_no_seat() -> None:
    async def test(world: World) -> None:
        await world.level({"type": "Reject"})
        for query in ("watch=1&resourceVersion=nonsense", "watch=1&labelSelector=!!", "watch=1&timeoutSeconds=x"):
            code, _, _ = await world.ask("quiet", "GET", f"{MAPS}?{query}")
            assert code in (400, 500)
        assert world.flow.levels.by_name["mine"].set.seats_in_use == 0

    with_world(test, flow=SMALL)


def test_watches_that_nobody_reads_keep_no_seat() -> None:
    async def test(world: World) -> None:
        await world.level({"type": "Reject"})
        with pytest.raises(InternalError, match="stream"):
            await world.server.client_with(authorization="Bearer quiet").raw("GET", f"{MAPS}?watch=1")
        assert world.flow.levels.by_name["mine"].set.seats_in_use == 0

    with_world(test, flow=SMALL)


def test_changes_that_many_watch_keep_seats_for_a_while() -> None:
    async def test(world: World) -> None:
        await world.level(queues(), shares=2000)
        client = world.server.client_with(authorization="Bearer admin")
        from sampan.api.resources import CONFIG_MAPS

        watches: list[Any] = [client.watch(CONFIG_MAPS, "default", since="1") for _ in range(30)]
        tasks = [asyncio.ensure_future(anext(watch)) for watch in watches]  # noqa: TID251 - a test holds several at once
        await world.clock.turns(5)
        assert (await world.ask("quiet", "POST", MAPS, {"metadata": {"name": "told"}}))[0] == 201
        level = world.flow.levels.by_name["mine"]
        assert (level.set.executing, level.set.seats_in_use > 1) == (0, True)
        await world.clock.advance(0.1)
        await world.ask("quiet", "GET", MAPS)
        assert level.set.seats_in_use == 0
        await asyncio.gather(*tasks)
        for watch in watches:
            await watch.aclose()

    with_world(test, flow=SMALL)


def test_wide_lists_take_more_than_one_seat() -> None:
    async def test(world: World) -> None:
        for number in range(12):
            await world.must("POST", MAPS, {"metadata": {"name": f"big-{number}"}, "data": {"text": "x" * 50_000}})
        await world.ask("quiet", "GET", MAPS)
        tally = world.flow.levels.by_name["global-default"].tally("global-default")
        assert tally.widths.total >= 6

    with_world(test)


def test_borrowing_goes_on_by_the_clock() -> None:
    async def test(world: World) -> None:
        low = world.flow.levels.by_name["workload-low"]
        before = low.demand.smoothed
        tasks = [world.slow("noisy", f"n{number}", {"impersonate-user": "system:serviceaccount:a:b", "impersonate-group": "system:serviceaccounts"})
                 for number in range(12)]
        await world.clock.advance(30.5)
        assert low.demand.smoothed > before
        assert low.demand.high_watermark == 12
        world.let_go.set()
        await asyncio.gather(*tasks)

    with_world(test, full=True)


def test_without_fairness_reads_and_writes_are_bounded_apart() -> None:
    async def test(world: World) -> None:
        task = world.slow("noisy", "n")
        await world.clock.turns(20)
        assert (await world.ask("quiet", "POST", MAPS, {"metadata": {"name": "x"}}))[0] == 429
        code, _, headers = await world.ask("quiet", "GET", MAPS)
        assert (code, "x-kubernetes-pf-flowschema-uid" in headers) == (200, False)
        world.let_go.set()
        await task
        assert (await world.ask("quiet", "POST", MAPS, {"metadata": {"name": "x"}}))[0] == 201

    with_world(test, flow=FlowSettings(fair=False, reads=1, writes=1))


@pytest.mark.parametrize(("target", "seconds"), [
    ("/api/v1/pods", 15.0), ("/api/v1/pods?timeout=8s", 2.0), ("/api/v1/pods?timeout=10m", 15.0), ("/api/v1/pods?timeout=nonsense", 15.0),
    ("/api/v1/pods?watch=1&timeout=8s", 15.0),
])
def test_a_quarter_of_its_time_is_what_a_request_may_wait(target: str, seconds: float) -> None:
    path, _, query = target.partition("?")
    assert wait_seconds(parse("GET", path, parse_query(query.encode()), {})) == seconds


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5s", 1.5), ("", 0.0), ("5", 0.0),
                                               ("s", 0.0), ("1m500ms", 60.5), ("\u00b2s", 0.0), ("\u0663s", 0.0)])
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert go_seconds(text) == seconds


@pytest.mark.parametrize(("query", "asked"), [
    ("", Asked()), ("limit=5", Asked(limit=5)), ("limit=5&resourceVersion=7", Asked(limit=5, from_cache=False)),
    ("limit=5&resourceVersion=0", Asked(limit=5)), ("resourceVersion=7&resourceVersionMatch=Exact", Asked(from_cache=False)),
    ("resourceVersion=7&resourceVersionMatch=NotOlderThan&limit=5", Asked(limit=5)), ("continue=abc", Asked(from_cache=False)),
    ("labelSelector=a", Asked(selective=True)), ("fieldSelector=metadata.name=p", Asked(single=True, selective=True)),
    ("watch=1&continue=abc", Asked()), ("limit=x", Asked()), ("limit=%C2%B2", Asked()), (f"limit={'1' * 5000}", Asked()),
])
def test_what_a_list_asks_for(query: str, asked: Asked) -> None:
    found: Any = parse_query(query.encode())
    info = parse("GET", "/api/v1/namespaces/a/pods", found, {})
    assert asked_of(info, "".join(found.get("resourceVersion", [])[:1])) == asked
