"""The proxy of a node on a real API server in virtual time; what it loads goes to a list instead of the kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, SERVICES
from sampan.client.inprocess import InProcessClient
from sampan.control.informer import Informers
from sampan.drivers.nft import NftFailed
from sampan.network.proxy.backends.nftables import Settings
from sampan.network.proxy.proxy import FULL_SECONDS, RETRY_SECONDS, ServiceProxy
from sampan.testing import waiting
from sampan.testing.server import running_server

SETTINGS = Settings(pod_ranges={4: "10.244.0.0/16"})


@dataclass
class World:
    client: InProcessClient
    clock: VirtualClock
    loads: list[str] = field(default_factory=list)
    """What was loaded, a text each time."""
    refuses: int = 0

    async def apply(self, commands: Iterable[str]) -> None:
        if self.refuses:
            self.refuses -= 1
            raise NftFailed("no such table")
        self.loads.append("\n".join(commands))

    async def service(self, name: str, address: str, *pods: str) -> None:
        await self.client.create(SERVICES, Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(
            clusterIP=address, ports=[ServicePort(name="http", port=80)])))
        await self.client.create(ENDPOINT_SLICES, EndpointSlice(
            metadata=ObjectMeta(name=name, namespace="default", labels={"kubernetes.io/service-name": name}), addressType="IPv4",
            ports=[EndpointPort(name="http", port=8080, protocol="TCP")],
            endpoints=[Endpoint(addresses=[pod], conditions=EndpointConditions(ready=True)) for pod in pods]))
        await self.clock.advance(1)


@asynccontextmanager
async def world(refuses: int = 0) -> AsyncIterator[World]:
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        made = World(server.client, clock, refuses=refuses)
        await made.service("first", "10.96.0.5", "10.244.0.2")
        informers = Informers(server.client, clock=clock, identity=server.identity)
        proxy = ServiceProxy(informers, SETTINGS, made.apply, node="n1", clock=clock)
        tasks.start(informers.run(), "informers")
        tasks.start(proxy.run(), "proxy")
        await clock.advance(1)
        assert proxy.synced.is_set() == (refuses == 0)
        yield made


def test_what_there_is_is_loaded_at_once_and_then_differences() -> None:
    async def test() -> None:
        async with world() as w:
            # given
            (everything,) = w.loads
            assert "10.96.0.5" in everything
            assert "10.244.0.2" in everything
            # when a Service comes
            await w.service("second", "10.96.0.6", "10.244.0.3")
            # then that is loaded, and nothing of the other
            news = "\n".join(w.loads[1:])
            assert "10.96.0.6" in news
            assert "10.96.0.5" not in news
            # when it goes
            loads = len(w.loads)
            await w.client.delete(SERVICES, "second", "default")
            await w.clock.advance(1)
            # then its rules go
            assert "delete" in "\n".join(w.loads[loads:])
            assert "10.96.0.6" in "\n".join(w.loads[loads:])

    waiting.run(test())


def test_after_a_refusal_everything_is_loaded() -> None:
    async def test() -> None:
        async with world() as w:
            # given a kernel that refuses once
            w.refuses = 1
            await w.service("second", "10.96.0.6", "10.244.0.3")
            # when it is tried again
            await w.clock.advance(RETRY_SECONDS)
            # then with everything
            assert any("10.96.0.5" in load and "10.96.0.6" in load for load in w.loads[1:])

    waiting.run(test())


def test_rules_that_cannot_be_loaded_at_first_are_tried_again() -> None:
    async def test() -> None:
        async with world(refuses=2) as w:
            assert w.loads == []
            await w.clock.advance(2 * RETRY_SECONDS)
            assert "10.96.0.5" in w.loads[0]

    waiting.run(test())


def test_now_and_then_everything_is_loaded_though_nothing_changes() -> None:
    async def test() -> None:
        async with world() as w:
            await w.clock.advance(FULL_SECONDS - 10)
            assert len(w.loads) == 1
            await w.clock.advance(20)
            assert w.loads == [w.loads[0]] * 2

    waiting.run(test())
