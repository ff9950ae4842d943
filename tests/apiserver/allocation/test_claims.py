"""Addresses and ports of services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from api_asking import SERVICES, Asker, with_server
from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.api.resources import IP_ADDRESSES
from sampan.apiserver.allocation.addresses import key_of, leaked, static_band, usable
from sampan.store.base import Compare, Delete, Put, StoreUnavailable
from sampan.store.memory import MemoryStore
from sampan.testing.server import running_server

IPS = "/apis/networking.k8s.io/v1/ipaddresses"


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def test_a_service_has_an_address_of_its_own_until_it_goes() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", SERVICES, service("a"))
        ip = made["spec"]["clusterIP"]
        assert (made["spec"]["clusterIPs"], made["spec"]["ipFamilies"], made["spec"]["ipFamilyPolicy"]) == ([ip], ["IPv4"], "SingleStack")
        assert (await asker.must("GET", f"{IPS}/{ip}"))["spec"]["parentRef"]["name"] == "a"
        code, value = await asker.ask("POST", SERVICES, service("b", clusterIP=ip))
        assert (code, value["details"]["causes"][0]["field"]) == (422, "spec.clusterIPs")
        await asker.must("DELETE", f"{SERVICES}/a")
        assert (await asker.ask("GET", f"{IPS}/{ip}"))[0] == 404

    with_server(test)


def test_concurrent_services_never_share_an_address_or_a_port() -> None:
    async def test(asker: Asker) -> None:
        made = await asyncio.gather(*(asker.must("POST", SERVICES, service(f"s{n}", type="NodePort")) for n in range(40)))
        assert len({one["spec"]["clusterIP"] for one in made}) == 40
        assert len({one["spec"]["ports"][0]["nodePort"] for one in made}) == 40

    with_server(test)


def test_a_refused_service_leaves_nothing_behind() -> None:
    async def test(asker: Asker) -> None:
        before = len((await asker.must("GET", IPS))["items"])
        assert (await asker.ask("POST", SERVICES, service("Bad")))[0] == 422
        assert (await asker.ask("POST", f"{SERVICES}?dryRun=All", service("dry")))[0] == 201
        assert len((await asker.must("GET", IPS))["items"]) == before

    with_server(test)


def test_changing_the_type_takes_and_gives_back() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", SERVICES, service("a", type="NodePort"))
        port = (await asker.must("GET", f"{SERVICES}/a"))["spec"]["ports"][0]["nodePort"]
        _, plain = await asker.merge(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})
        assert "nodePort" not in plain["spec"]["ports"][0]
        other = await asker.must("POST", SERVICES, service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}]))
        assert other["spec"]["ports"][0]["nodePort"] == port
        ip = plain["spec"]["clusterIP"]
        await asker.merge(f"{SERVICES}/a", {"spec": {"type": "ExternalName", "externalName": "x.example.com"}})
        assert (await asker.ask("GET", f"{IPS}/{ip}"))[0] == 404

    with_server(test)


def test_ports_outside_the_range_are_refused_in_upstreams_words() -> None:
    async def test(asker: Asker) -> None:
        _, value = await asker.ask("POST", SERVICES, service("a", type="NodePort", ports=[{"port": 80, "nodePort": 40000}]))
        assert value["details"]["causes"][0]["message"] == (
            "Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-32767")

    with_server(test)


def test_an_address_without_its_service_is_given_back_at_the_next_start() -> None:
    async def test() -> None:
        async with running_server() as first:
            # given an address that a crash left behind
            entry = first.server.caches.of(IP_ADDRESSES).get("", "10.96.0.1")
            assert entry is not None
            body = entry.body.replace(b"10.96.0.1", b"10.96.7.7").replace(b'"name":"kubernetes"', b'"name":"gone"')
            record = body.replace(f',"resourceVersion":"{entry.revision}"'.encode(), b"")
            await first.store.transact([Put(key_of("10.96.7.7"), record)])
            assert list(leaked(first.server.caches)) == [key_of("10.96.7.7")]
            await first.server.stop()
            # when a server starts on the same store
            async with running_server(store=first.store, seed=2) as second:
                assert leaked(second.server.caches) == {}

    asyncio.run(test())


def test_the_first_and_last_addresses_of_a_range_are_not_given() -> None:
    from ipaddress import ip_network

    first, last = usable(ip_network("10.96.0.0/16"))
    assert (first & 0xFFFF, last & 0xFFFF) == (1, 0xFFFE)
    assert [static_band(size) for size in (10, 254, 65534)] == [0, 16, 256]


def test_a_service_whose_writing_had_an_open_end_keeps_its_address() -> None:
    class Cut(MemoryStore):
        """Loses the answer to the write of one Service, not the write."""

        async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare] = ()) -> int:
            revision = await super().transact(writes, compares)
            if any(write.key.endswith("/services/default/a") for write in writes):
                raise StoreUnavailable("the connection was cut")
            return revision

    async def test() -> None:
        async with running_server(store=Cut(SystemClock())) as server:
            answer = await server.client.raw("POST", SERVICES, body=codec.encode(service("a")))
            assert answer.code == 503
            # then the Service that is there after all has its address, and nobody else can
            ip = codec.loads((await server.client.raw("GET", f"{SERVICES}/a")).body)["spec"]["clusterIP"]
            assert (await server.client.raw("GET", f"{IPS}/{ip}")).code == 200
            answer = await server.client.raw("POST", SERVICES, body=codec.encode(service("b", clusterIP=ip)))
            assert answer.code == 422

    asyncio.run(test())
