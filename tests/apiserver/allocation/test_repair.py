"""Addresses that nobody's Service has are taken back in a running server too, young ones are left."""

from __future__ import annotations

import asyncio

from sampan.aio.clock import VirtualClock
from sampan.api import codec
from sampan.api.networking.v1 import IPAddress
from sampan.api.resources import IP_ADDRESSES
from sampan.api.scalars import Time
from sampan.apiserver.allocation.addresses import key_of, leaked
from sampan.apiserver.allocation.repair import INTERVAL_SECONDS, Repair
from sampan.store.base import Put
from sampan.testing.server import RunningServer, running_server


def orphan(server: RunningServer, ip: str) -> Put:
    """The address of a Service that never came."""
    entry = server.server.caches.of(IP_ADDRESSES).get("", "10.96.0.1")
    assert entry is not None
    obj: IPAddress = codec.clone(entry.object)
    obj.metadata.name, obj.metadata.resourceVersion, obj.metadata.creationTimestamp = ip, "", Time.of(server.clock.now())
    assert obj.spec.parentRef is not None
    obj.spec.parentRef.name = "never-came"
    return Put(key_of(ip), codec.encode(obj))


def test_an_address_whose_service_never_came_is_taken_back_while_the_server_runs() -> None:
    async def test() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server:
            # given one, and later a young one, whose Service may be on its way
            await server.store.transact([orphan(server, "10.96.7.7")])
            await clock.advance(INTERVAL_SECONDS - 1)
            await server.store.transact([orphan(server, "10.96.7.8")])
            # when the server looks
            await clock.advance(2)
            # then the old one goes, and the young one once it is old
            assert list(leaked(server.server.caches)) == [key_of("10.96.7.8")]
            await clock.advance(INTERVAL_SECONDS)
            assert leaked(server.server.caches) == {}
            assert server.server.caches.of(IP_ADDRESSES).get("", "10.96.0.1") is not None

    asyncio.run(test())


def test_an_address_that_was_given_to_another_meanwhile_stays() -> None:
    class Late:
        """Another server writes the address anew just before it is taken back."""

        def __init__(self, server: RunningServer) -> None:
            self.server = server

        async def transact(self, writes: object, compares: object) -> int:
            await self.server.store.transact([orphan(self.server, "10.96.7.7")])
            return await self.server.store.transact(writes, compares)  # type: ignore[arg-type]

    async def test() -> None:
        async with running_server() as server:
            await server.store.transact([orphan(server, "10.96.7.7")])
            await Repair(Late(server), server.server.caches, server.clock).once(alone=True)  # type: ignore[arg-type]
            assert list(leaked(server.server.caches)) == [key_of("10.96.7.7")]

    asyncio.run(test())
