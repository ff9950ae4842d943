"""The remote client: the common suite over TLS on loopback, with a client certificate and with a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sampan.api.errors import ServiceUnavailable, Unauthorized
from sampan.api.resources import CONFIG_MAPS
from sampan.client.base import Client
from sampan.client.kubeconfig import Access
from sampan.client.remote import RemoteClient
from sampan.testing.client import ClientConformance
from sampan.testing.https import serving


class TestRemoteClient(ClientConformance):
    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        async with serving() as access:
            client = RemoteClient(access)
            try:
                yield client
            finally:
                await client.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def test() -> None:
        client = RemoteClient(Access("https://127.0.0.1:1", insecure=True))
        with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1"):
            await client.list(CONFIG_MAPS)
        await client.close()

    asyncio.run(test())


def test_a_bad_token_is_unauthorized() -> None:
    async def test() -> None:
        async with serving() as access:
            client = RemoteClient(Access(access.server, access.ca, token="nobody"))
            with pytest.raises(Unauthorized):
                await client.list(CONFIG_MAPS)
            await client.close()

    asyncio.run(test())
