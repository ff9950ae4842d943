"""Services of type LoadBalancer and a provider of balancers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import Play
from controllers.play import play as play_on_stage
from sampan.api.core.v1 import LoadBalancerIngress, Node, Service
from sampan.api.resources import EVENTS, NODES, SERVICES
from sampan.controllers.service.controller import ServiceController
from sampan.lib.errors import SampanError
from sampan.testing.datadriven import Block, transcripts


class Balancers:
    """A provider that has addresses, and can be out of them."""

    def __init__(self) -> None:
        self.served: dict[str, list[str]] = {}
        self.full = False

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> Sequence[LoadBalancerIngress]:
        if self.full:
            raise SampanError("no address is free")
        self.served[service.metadata.name] = [node.metadata.name for node in nodes]
        return [LoadBalancerIngress(ip="192.0.2.10")]

    async def delete(self, service: Service) -> None:
        if self.full:
            raise SampanError("the balancer does not answer")
        self.served.pop(service.metadata.name, None)


def play(scenario: Any) -> None:
    balancers = Balancers()

    async def with_balancers(w: World) -> None:
        await scenario(w, balancers)

    run(lambda w: [ServiceController(w.context, balancers)], with_balancers)


async def service(w: World, kind: str = "LoadBalancer", **spec: Any) -> None:
    await w.make(SERVICES, {"metadata": {"name": "web"}, "spec": {"type": kind, "ports": [{"port": 80}], **spec}})
    await w.settle()


async def node(w: World, name: str, **labels: str) -> None:
    await w.make(NODES, {"metadata": {"name": name, "labels": labels}})
    await w.patch(NODES, name, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")
    await w.settle()


async def reasons(w: World) -> list[str]:
    return sorted({event.reason for event in await w.all(EVENTS)})


def test_it_gets_an_address_and_a_finalizer() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        await node(w, "a")
        await node(w, "b", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""})
        await service(w)
        found = await w.get(SERVICES, "web")
        assert [one.ip for one in found.status.loadBalancer.ingress] == ["192.0.2.10"]
        assert found.metadata.finalizers == ["service.kubernetes.io/load-balancer-cleanup"]
        assert balancers.served == {"web": ["a"]}
        assert await reasons(w) == ["EnsuredLoadBalancer", "EnsuringLoadBalancer"]

    play(scenario)


def test_nodes_that_come_are_told() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        await service(w)
        assert balancers.served == {"web": []}
        await node(w, "a")
        assert balancers.served == {"web": ["a"]}

    play(scenario)


def test_a_deleted_one_waits_for_its_balancer_to_go() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        await service(w)
        balancers.full = True
        await w.delete(SERVICES, "web")
        await w.settle()
        assert await w.get(SERVICES, "web") is not None
        assert "SyncLoadBalancerFailed" in await reasons(w)
        balancers.full = False
        await w.clock.advance(6)
        await w.settle()
        assert await w.get(SERVICES, "web") is None
        assert balancers.served == {}

    play(scenario)


def test_a_change_of_type_gives_it_back() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        await service(w)
        await w.patch(SERVICES, "web", {"spec": {"type": "ClusterIP"}})
        await w.settle()
        found = await w.get(SERVICES, "web")
        assert (found.metadata.finalizers, found.status.loadBalancer.ingress, balancers.served) == ([], [], {})

    play(scenario)


def test_others_are_left_alone() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        await service(w, loadBalancerClass="example.com/other")
        assert (await w.get(SERVICES, "web")).metadata.finalizers == []
        assert balancers.served == {}

    play(scenario)


def test_a_provider_that_is_full_is_asked_again() -> None:
    async def scenario(w: World, balancers: Balancers) -> None:
        balancers.full = True
        await service(w)
        assert "SyncLoadBalancerFailed" in await reasons(w)
        balancers.full = False
        await w.clock.advance(6)
        await w.settle()
        assert [one.ip for one in (await w.get(SERVICES, "web")).status.loadBalancer.ingress] == ["192.0.2.10"]

    play(scenario)


class Stage(Play):
    """`balancers` shows what is served and by which nodes; after `full` the provider has none, until `empty`."""

    provider = Balancers()

    async def balancers(self, _: Block) -> str:
        return "\n".join(f"{name}: {' '.join(nodes)}" for name, nodes in sorted(self.provider.served.items())) or "none"

    async def full(self, _: Block) -> None:
        self.provider.full = True

    async def empty(self, _: Block) -> None:
        self.provider.full = False


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    Stage.provider = Balancers()
    play_on_stage(path, lambda w: [ServiceController(w.context, Stage.provider)], Stage)
