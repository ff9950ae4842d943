"""Cluster IPs and node ports are given once, kept over updates, and freed with their Service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sampan.aio.each import each
from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.errors import Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import SERVICES
from sampan.client.inprocess import InProcessClient
from sampan.testing import waiting
from sampan.testing.server import running_server


def service(name: str, **spec: Any) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(ports=[ServicePort(port=80)], **spec))


def with_client(check: Callable[[InProcessClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running_server() as server:
            await check(server.client)

    waiting.run(run())


def test_addresses_differ_and_are_kept_over_updates() -> None:
    async def check(client: InProcessClient) -> None:
        made = [await client.create(SERVICES, service(f"s{n}")) for n in range(20)]
        addresses = {one.spec.clusterIP for one in made}
        assert len(addresses) == 20
        assert all(address.startswith("10.96.") for address in addresses)
        changed = await client.patch(SERVICES, "s0", "default", {"spec": {"selector": {"a": "b"}}})
        assert changed.spec.clusterIP == made[0].spec.clusterIP

    with_client(check)


def test_a_named_address_is_given_once_and_again_after_deletion() -> None:
    async def check(client: InProcessClient) -> None:
        await client.create(SERVICES, service("a", clusterIP="10.96.7.7"))
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await client.create(SERVICES, service("b", clusterIP="10.96.7.7"))
        await client.delete(SERVICES, "a", "default")
        assert (await client.create(SERVICES, service("b", clusterIP="10.96.7.7"))).spec.clusterIP == "10.96.7.7"

    with_client(check)


def test_addresses_outside_the_range_are_refused() -> None:
    async def check(client: InProcessClient) -> None:
        with pytest.raises(Invalid, match="does not match the current range"):
            await client.create(SERVICES, service("a", clusterIP="10.1.2.3"))

    with_client(check)


def test_node_ports_come_and_go_with_the_type() -> None:
    async def check(client: InProcessClient) -> None:
        made = await client.create(SERVICES, service("a", type="NodePort"))
        port = made.spec.ports[0].nodePort
        assert 30000 <= port <= 32767
        with pytest.raises(Invalid, match="provided port is already allocated"):
            await client.create(SERVICES, Service(metadata=ObjectMeta(name="b", namespace="default"), spec=ServiceSpec(
                type="NodePort", ports=[ServicePort(port=80, nodePort=port)])))
        plain = await client.patch(SERVICES, "a", "default", {"spec": {"type": "ClusterIP", "ports": [{"port": 80, "nodePort": None}]}},
                                   type="application/strategic-merge-patch+json")
        assert plain.spec.ports[0].nodePort == 0

    with_client(check)


def test_many_at_once_never_share() -> None:
    async def check(client: InProcessClient) -> None:
        made: list[Service] = []

        async def make(number: int) -> None:
            made.append(await client.create(SERVICES, service(f"s{number}", type="NodePort")))

        await each(range(100), make, 50)
        assert len({one.spec.clusterIP for one in made}) == 100
        assert len({one.spec.ports[0].nodePort for one in made}) == 100

    with_client(check)


def test_a_headless_service_has_no_address() -> None:
    async def check(client: InProcessClient) -> None:
        assert (await client.create(SERVICES, service("a", clusterIP="None"))).spec.clusterIPs == ["None"]

    with_client(check)


def refused(client: InProcessClient, made: Service) -> Awaitable[list[str]]:
    async def attempt() -> list[str]:
        with pytest.raises(Invalid) as caught:
            await client.create(SERVICES, made)
        return [str(one) for one in caught.value.errors]

    return attempt()


def test_what_can_not_be_given_out_is_told_of_first_and_alone() -> None:
    async def check(client: InProcessClient) -> None:
        broken = Service(metadata=ObjectMeta(name="a", namespace="default"), spec=ServiceSpec(clusterIP="x"))
        assert await refused(client, broken) == [
            'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']
        assert await refused(client, service("a", clusterIP="fd00::1")) == [
            'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster']
        assert await refused(client, service("a", ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6"])) == [
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
            'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster']
        assert await refused(client, service("a", ipFamilies=["IPv4", "IPv6"])) == [
            'spec.ipFamilyPolicy: Invalid value: "SingleStack": '
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"]

    with_client(check)


def test_another_address_is_no_matter_of_giving_one_out() -> None:
    async def check(client: InProcessClient) -> None:
        await client.create(SERVICES, service("a", clusterIP="10.96.7.7"))
        with pytest.raises(Invalid, match="may not change once set"):
            await client.patch(SERVICES, "a", "default", {"spec": {"clusterIP": "10.1.2.3"}})

    with_client(check)


def test_a_headless_service_without_a_selector_may_be_of_both_families() -> None:
    async def check(client: InProcessClient) -> None:
        spec = (await client.create(SERVICES, service("a", clusterIP="None"))).spec
        assert (spec.ipFamilies, spec.ipFamilyPolicy) == (["IPv4", "IPv6"], "RequireDualStack")
        spec = (await client.create(SERVICES, service("b", clusterIP="None", selector={"a": "b"}))).spec
        assert (spec.ipFamilies, spec.ipFamilyPolicy) == (["IPv4"], "SingleStack")

    with_client(check)


def test_ports_of_one_number_share_a_node_port_and_keep_it_by_name() -> None:
    async def check(client: InProcessClient) -> None:
        ports = [ServicePort(name="tcp", port=80), ServicePort(name="udp", port=80, protocol="UDP")]
        made = await client.create(SERVICES, Service(metadata=ObjectMeta(name="a", namespace="default"),
                                                     spec=ServiceSpec(type="NodePort", ports=ports)))
        first, second = (port.nodePort for port in made.spec.ports)
        assert first == second
        moved = {"spec": {"ports": [{"name": "tcp", "port": 81}, {"name": "udp", "port": 80, "protocol": "UDP"}]}}
        changed = await client.patch(SERVICES, "a", "default", moved)
        assert [port.nodePort for port in changed.spec.ports] == [first, first]

    with_client(check)


def test_a_service_that_gets_a_name_elsewhere_lets_its_address_go() -> None:
    async def check(client: InProcessClient) -> None:
        await client.create(SERVICES, service("a", clusterIP="10.96.7.7"))
        gone = await client.patch(SERVICES, "a", "default", {"spec": {"type": "ExternalName", "externalName": "x.example.com"}})
        assert (gone.spec.clusterIP, gone.spec.clusterIPs, gone.spec.ipFamilies) == ("", [], [])
        await client.create(SERVICES, service("b", clusterIP="10.96.7.7"))
        back = await client.patch(SERVICES, "a", "default", {"spec": {"type": "ClusterIP", "externalName": None}})
        assert back.spec.clusterIP.startswith("10.96.")

    with_client(check)
