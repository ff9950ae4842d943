"""Two API servers on one real etcd: who lives, and what both must not give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.errors import ApiError, InternalError, Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, ENDPOINTS, LEASES, SERVICES
from sampan.apiserver.allocation.ports import PREFIX, key_of_port
from sampan.apiserver.bootstrap import Addresses
from sampan.apiserver.servers import IDENTITY
from sampan.store.base import Delete
from sampan.store.etcd import EtcdStore
from sampan.testing.etcd import running_etcd
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import until

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def one_more(url: str, ip: str, port: int = 6443) -> AsyncIterator[RunningServer]:
    """A server on that etcd, found at `ip`."""
    clock = SystemClock()
    store = await EtcdStore.open(url, clock)
    try:
        async with running_server(clock=clock, store=store, settings=replace(LEAN, addresses=Addresses(ip, port)), seed=port + int(ip[-1])) as server:
            yield server
    finally:
        await store.close()


async def addresses(server: RunningServer) -> list[tuple[str, int]]:
    found = await server.client.get(ENDPOINTS, "kubernetes", "default")
    return [(address.ip, subset.ports[0].port) for subset in found.subsets for address in subset.addresses]


async def in_slice(server: RunningServer) -> list[str]:
    found: EndpointSlice = await server.client.get(ENDPOINT_SLICES, "kubernetes", "default")
    return [address for endpoint in found.endpoints for address in endpoint.addresses]


def test_the_service_kubernetes_names_every_server_that_lives() -> None:
    async def test() -> None:
        with running_etcd() as etcd:
            async with AsyncExitStack() as stack:
                # given two servers, and a third that listens on another port
                first = await stack.enter_async_context(one_more(etcd.url, "192.0.2.1"))
                async with one_more(etcd.url, "192.0.2.2") as second, one_more(etcd.url, "192.0.2.3", 7443):
                    wanted = [("192.0.2.1", 6443), ("192.0.2.2", 6443), ("192.0.2.3", 7443)]
                    assert await addresses(second) == wanted
                    assert await addresses(first) == wanted
                    assert await in_slice(first) == ["192.0.2.1", "192.0.2.2"]

                    async def introduced() -> bool:
                        leases = (await first.client.list(LEASES, "kube-system")).items
                        return len([lease for lease in leases if lease.metadata.labels.get(IDENTITY) == "kube-apiserver"]) == 3

                    await until(introduced)
                # when two have ended, then only the first is named
                assert await addresses(first) == [("192.0.2.1", 6443)]
                assert await in_slice(first) == ["192.0.2.1"]

    asyncio.run(test())


def node_port(name: str, port: int = 0) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="default"),
                   spec=ServiceSpec(type="NodePort", ports=[ServicePort(port=80, nodePort=port)]))


def test_two_servers_never_give_one_node_port_or_address_twice() -> None:
    async def test() -> None:
        with running_etcd() as etcd:
            async with one_more(etcd.url, "192.0.2.1") as first, one_more(etcd.url, "192.0.2.2") as second:

                async def make(server: RunningServer, service: Service) -> Service | ApiError:
                    try:
                        made: Service = await server.client.create(SERVICES, service)
                    except ApiError as error:
                        return error
                    return made

                # when both are asked for the same port at once, again and again
                for port in range(30100, 30120):
                    answers = await asyncio.gather(make(first, node_port(f"a{port}", port)), make(second, node_port(f"b{port}", port)))
                    refused = [answer for answer in answers if isinstance(answer, ApiError)]
                    # then one of them gets it, and the other is told in upstream's words
                    assert len(refused) == 1, answers
                    assert isinstance(refused[0], Invalid)
                    assert "provided port is already allocated" in refused[0].message
                # and whatever they choose themselves, nothing is given twice
                answers = await asyncio.gather(*(make(server, node_port(f"{name}{number}")) for number in range(20)
                                                 for name, server in (("c", first), ("d", second))))
                lost = [answer for answer in answers if isinstance(answer, ApiError)]
                assert all(isinstance(answer, InternalError) and "try again" in answer.message for answer in lost)
                services = (await second.client.list(SERVICES)).items
                ports = [port.nodePort for service in services for port in service.spec.ports if port.nodePort]
                ips = [service.spec.clusterIP for service in services]
                assert len(ports) == len(set(ports)) == 60 - len(lost)
                assert len(ips) == len(set(ips))

    asyncio.run(test())


def test_a_node_port_is_free_again_with_its_service_and_when_the_service_has_another() -> None:
    async def test() -> None:
        with running_etcd() as etcd:
            async with one_more(etcd.url, "192.0.2.1") as first, one_more(etcd.url, "192.0.2.2") as second:
                made: Service = await first.client.create(SERVICES, node_port("a", 30200))
                moved = codec.clone(made)
                moved.spec.ports[0].nodePort = 30201
                await second.client.update(SERVICES, moved)
                await first.client.create(SERVICES, node_port("b", 30200))
                await second.client.delete(SERVICES, "a", "default")
                await first.client.create(SERVICES, node_port("c", 30201))
                assert {record.key for record in (await first.store.range(PREFIX)).records} == {key_of_port(30200), key_of_port(30201)}

    asyncio.run(test())


def test_ports_that_nobody_has_noted_are_noted_when_a_server_starts() -> None:
    async def test() -> None:
        with running_etcd() as etcd:
            async with one_more(etcd.url, "192.0.2.1") as first:
                # given a Service of a version that noted no ports, and a note without a Service
                await first.client.create(SERVICES, node_port("a", 30300))
                await first.client.create(SERVICES, node_port("b", 30301))
                await first.store.transact([Delete(key_of_port(30300)), Delete("/registry/core/services/default/b")])
                # when another server starts
                async with one_more(etcd.url, "192.0.2.2") as second:
                    assert {record.key for record in (await second.store.range(PREFIX)).records} == {key_of_port(30300)}

    asyncio.run(test())
