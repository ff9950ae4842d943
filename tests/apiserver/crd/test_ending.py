"""Deleting a definition: objects first, and no 404 of the whole group before they are gone."""

from __future__ import annotations

import asyncio
from typing import Any

from api_asking import Asker, with_server
from apiserver.crd.definitions import CRDS, condition, define, definition, gear, gears, until
from sampan.aio.clock import VirtualClock
from sampan.testing.server import LEAN, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

HELD = {"finalizers": ["example.com/wait"]}
CRD = f"{CRDS}/gears.example.com"


def test_objects_go_first_and_one_with_a_finalizer_holds_the_definition() -> None:
    async def check(asker: Asker) -> None:
        # given a definition with an object that waits for somebody
        await define(asker, definition())
        await asker.must("POST", gears(), gear("a"))
        await asker.must("POST", gears(), gear("held", metadata=HELD))
        # when it is deleted
        code, answer = await asker.ask("DELETE", CRD)
        assert (code, condition(answer, "Terminating")["reason"]) == (200, "InstanceDeletionPending")
        # then requests for its objects are never told that nobody serves them
        seen: set[Any] = set()

        def gone(code: int, value: Any) -> bool:
            seen.add((code, value["kind"]))
            return code == 404

        await until(asker, gears(name="a"), gone)
        assert seen <= {(200, "Gear"), (404, "Status")}
        # and whoever sees one gone finds the others on their way
        held = await asker.must("GET", gears(name="held"))
        assert held["metadata"]["deletionTimestamp"]
        said = condition(await asker.must("GET", CRD), "Terminating")
        assert (said["status"], said["reason"]) == ("True", "InstanceDeletionInProgress")
        code, refused = await asker.ask("POST", gears(), gear("new"))
        assert (code, refused["message"]) == (
            403, 'gears.example.com "new" is forbidden: create not allowed while custom resource definition is terminating')
        # and when nothing holds it any more it is gone, with its paths
        code, _ = await asker.merge(gears(name="held"), {"metadata": {"finalizers": None}})
        assert code == 200
        await until(asker, CRD, lambda code, _: code == 404)
        assert await until(asker, gears(), lambda code, _: code == 404) == "404 page not found\n"

    with_server(check)


def test_a_definition_made_anew_is_not_taken_for_the_old_one() -> None:
    async def check(asker: Asker) -> None:
        for _ in range(3):
            await define(asker, definition())
            await asker.must("POST", gears(), gear("a"))
            await asker.ask("DELETE", CRD)
            await until(asker, CRD, lambda code, _: code == 404)
        await define(asker, definition())
        assert (await asker.must("GET", gears()))["items"] == []

    with_server(check)


def test_what_takes_a_minute_is_said_and_tried_again() -> None:
    async def check() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock, settings=LEAN) as server:
            asker = Asker(server)
            # given a deleted definition whose object waits
            await define(asker, definition())
            await asker.must("POST", gears(), gear("held", metadata=HELD))
            await asker.ask("DELETE", CRD)
            await until(asker, CRD, lambda _, value: condition(value, "Terminating")["reason"] == "InstanceDeletionInProgress")
            # when a minute goes by
            await clock.advance(60.01)
            # then the definition says so
            said = condition(await until(
                asker, CRD, lambda _, value: condition(value, "Terminating")["reason"] != "InstanceDeletionInProgress"), "Terminating")
            assert (said["reason"], said["message"]) == (
                "InstanceDeletionCheck", "could not confirm zero CustomResources remaining: timed out waiting for the condition")
            # and it still ends
            await asker.merge(gears(name="held"), {"metadata": {"finalizers": None}})
            await clock.advance(5)
            await until(asker, CRD, lambda code, _: code == 404)

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await check()

    asyncio.run(bounded())


def test_a_definition_without_objects_goes_at_once() -> None:
    async def check(asker: Asker) -> None:
        await define(asker, definition())
        await asker.ask("DELETE", CRD)
        await until(asker, CRD, lambda code, _: code == 404)

    with_server(check)
