"""The in-process client: the common suite, and what only it can promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sampan.api.resources import CONFIG_MAPS
from sampan.client.base import Client
from sampan.testing.client import ClientConformance, config_map
from sampan.testing.server import running_server


class TestInProcessClient(ClientConformance):
    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        async with running_server() as server:
            yield server.client


def test_readers_share_the_servers_own_objects() -> None:
    async def test() -> None:
        async with running_server() as server:
            await server.client.create(CONFIG_MAPS, config_map("a"))
            # when the same object is read twice, and listed
            one = await server.client.get(CONFIG_MAPS, "a", "default")
            two = await server.client.get(CONFIG_MAPS, "a", "default")
            listed = (await server.client.list(CONFIG_MAPS, "default")).items[0]
            # then nothing was copied
            assert one is two is listed

    asyncio.run(test())


def test_a_client_without_a_trusted_user_is_authenticated_like_everybody() -> None:
    async def test() -> None:
        async with running_server() as server:
            answer = await server.client_with().raw("GET", "/api/v1/namespaces/default")
            assert answer.code == 403
            assert (await server.client_with(authorization="Bearer nobody").raw("GET", "/version")).code == 401

    asyncio.run(test())
