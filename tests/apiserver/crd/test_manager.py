"""What is served while definitions come, change and go."""

from __future__ import annotations

import asyncio

from api_asking import Asker, with_server
from apiserver.crd.definitions import CRDS, condition, define, definition, gear, gears, until, version
from sampan.aio.tasks import Tasks

CRD = f"{CRDS}/gears.example.com"


def test_a_change_of_a_definition_is_never_seen_as_its_absence() -> None:
    async def check(asker: Asker) -> None:
        # given an object
        await define(asker, definition())
        await asker.must("POST", gears(), gear("a"))
        codes: set[int] = set()

        async def look() -> None:
            while True:
                codes.add((await asker.ask("GET", gears(name="a")))[0])
                await asyncio.sleep(0)

        tasks = Tasks()
        looking = tasks.start(look(), "look")
        # when the schema, the columns and the short names change
        for change in ({"versions": [version(schema={"type": "object", "properties": {"size": {"type": "integer"}}})]},
                       {"versions": [version(additionalPrinterColumns=[{"name": "Size", "type": "integer", "jsonPath": ".size"}])]}):
            code, _ = await asker.merge(CRD, {"spec": change})
            assert code == 200
            for _ in range(50):
                await asyncio.sleep(0)
        looking.cancel()
        # then it was there all the time
        assert codes == {200}

    with_server(check)


def test_another_storage_version_ends_no_request_with_a_404() -> None:
    async def check(asker: Asker) -> None:
        # given two versions of which the first is stored
        await define(asker, definition(version("v1"), version("v2", storage=False)))
        await asker.must("POST", gears(), gear("a"))
        # when the second one is to be stored
        code, _ = await asker.merge(CRD, {"spec": {"versions": [version("v1", storage=False), version("v2")]}})
        assert code == 200
        # then both are served on, 429 being the only other answer meanwhile
        for api in ("v1", "v2"):
            seen: set[int] = set()
            for _ in range(100):
                code, value = await asker.ask("GET", gears(api, "a"))
                seen.add(code)
                await asyncio.sleep(0)
            assert seen <= {200, 429}
            assert value["apiVersion"] == f"example.com/{api}"
        assert (await asker.must("GET", CRD))["status"]["storedVersions"] == ["v1", "v2"]

    with_server(check)


def test_a_version_that_is_no_longer_served_is_not_found_and_the_other_stays() -> None:
    async def check(asker: Asker) -> None:
        await define(asker, definition(version("v1"), version("v2", storage=False)))
        await asker.merge(CRD, {"spec": {"versions": [version("v1"), version("v2", storage=False) | {"served": False}]}})
        await until(asker, gears("v2"), lambda code, _: code == 404)
        assert (await asker.ask("GET", gears("v1")))[0] == 200

    with_server(check)


def test_names_that_are_taken_are_given_when_the_other_definition_is_gone() -> None:
    async def check(asker: Asker) -> None:
        # given two definitions that want one kind
        await define(asker, definition())
        await asker.must("POST", CRDS, definition(plural="wheels", kind="Gear"))
        wheels = f"{CRDS}/wheels.example.com"
        crd = await until(asker, wheels, lambda _, value: condition(value, "NamesAccepted").get("status") == "False")
        assert condition(crd, "NamesAccepted")["reason"] == "ListKindConflict"
        assert condition(crd, "Established")["status"] == "False"
        # when the first one goes
        await asker.ask("DELETE", CRD)
        # then the second is served
        await until(asker, wheels, lambda _, value: condition(value, "Established").get("status") == "True")
        await until(asker, "/apis/example.com/v1/namespaces/default/wheels", lambda code, _: code == 200)

    with_server(check)
