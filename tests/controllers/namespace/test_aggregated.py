"""Namespaces with objects of an API server behind this one: real sockets, TLS and certificates on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from api_asking import Asker
from apiserver.aggregation.extensions import announce, condition, files, front, serving
from sampan.aio.tasks import Tasks
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.controllers.namespace.controller import NamespaceController
from sampan.testing.waiting import PATIENCE_SECONDS, until

VERSION = "v1.stuff.example.com"
BASE = "/apis/stuff.example.com/v1"
RESOURCES = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "stuff.example.com/v1", "resources": [
    {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "verbs": ["list", "delete"]},
    {"name": "readings", "singularName": "reading", "namespaced": True, "kind": "Reading", "verbs": ["list"]}]}
REFUSED = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "things are kept until Monday"}


class Stuff:
    """Things that can be listed and deleted one by one, unless they are kept."""

    def __init__(self) -> None:
        self.things = {"shop": ["a", "b"], "bank": ["c"]}
        self.kept, self.code = False, 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.code != 200:
            return web.Response(status=self.code, text="out of order")
        if request.path == BASE:
            return web.json_response(RESOURCES)
        parts = request.path.removeprefix(f"{BASE}/namespaces/").split("/")
        if not request.path.startswith(f"{BASE}/namespaces/") or parts[1:2] != ["things"]:
            return web.Response(status=404, text="404 page not found\n")
        found = self.things.get(parts[0], [])
        if request.method == "GET":
            items = [{"apiVersion": "stuff.example.com/v1", "kind": "Thing", "metadata": {"name": name, "namespace": parts[0]}} for name in found]
            return web.json_response({"kind": "ThingList", "apiVersion": "stuff.example.com/v1", "metadata": {}, "items": items})
        if self.kept:
            return web.json_response(REFUSED, status=403)
        found.remove(parts[2])
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})


def with_stuff(check: Callable[[Asker, Stuff], Awaitable[None]]) -> None:
    """Run a check with the namespace controller at work and things behind the server."""

    async def run() -> None:
        stuff = Stuff()
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, serving(there, stuff.answer) as port, front(there) as asker:
            await announce(asker, port, VERSION)
            await condition(asker, VERSION, "True")
            server = asker.server
            informers = Informers(server.client, clock=server.clock, identity=server.identity)
            async with Tasks() as tasks:
                tasks.start(informers.run(), "informers")
                tasks.start(NamespaceController(Context(server.client, informers, server.clock, server.identity)).run(), "namespaces")
                await check(asker, stuff)

    asyncio.run(run())


async def deleted(asker: Asker, name: str) -> None:
    await asker.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    await asker.must("DELETE", f"/api/v1/namespaces/{name}")


async def gone(asker: Asker, name: str) -> None:
    async def away() -> bool:
        return (await asker.ask("GET", f"/api/v1/namespaces/{name}"))[0] == 404

    await until(away, f"the end of {name}")


async def told(asker: Asker, name: str, kind: str) -> str:
    """Wait until the namespace has this condition; its message."""
    async def found() -> Any:
        conditions = (await asker.must("GET", f"/api/v1/namespaces/{name}"))["status"].get("conditions", [])
        return next((one for one in conditions if (one["type"], one["status"]) == (kind, "True")), None)

    return str((await until(found, kind))["message"])


def test_things_go_one_by_one_with_their_namespace_and_others_stay() -> None:
    async def check(asker: Asker, stuff: Stuff) -> None:
        await deleted(asker, "shop")
        await gone(asker, "shop")
        assert stuff.things == {"shop": [], "bank": ["c"]}

    with_stuff(check)


def test_what_may_not_be_deleted_keeps_the_namespace_and_says_why() -> None:
    async def check(asker: Asker, stuff: Stuff) -> None:
        # given
        stuff.kept = True
        await deleted(asker, "shop")
        assert "things are kept until Monday" in await told(asker, "shop", "NamespaceDeletionContentFailure")
        # when
        stuff.kept = False
        # then
        await gone(asker, "shop")

    with_stuff(check)


def test_a_server_behind_that_fails_keeps_every_namespace_and_is_named() -> None:
    async def check(asker: Asker, stuff: Stuff) -> None:
        # given
        stuff.code = 500
        await condition(asker, VERSION, "False")
        await deleted(asker, "field")
        # then
        assert "stuff.example.com/v1" in await told(asker, "field", "NamespaceDeletionDiscoveryFailure")
        # when
        stuff.code = 200
        await condition(asker, VERSION, "True")
        # then
        await gone(asker, "field")

    with_stuff(check)
