"""EndpointSlices, Endpoints and mirrored ones at work."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.resources import ENDPOINT_SLICES, ENDPOINTS, EVENTS, NODES, PODS, SERVICES
from sampan.controllers.endpoints.controller import EndpointsController
from sampan.controllers.endpointslice.controller import EndpointSliceController
from sampan.controllers.endpointslicemirroring.controller import EndpointSliceMirroringController


def build(world: World) -> list[Any]:
    return [EndpointSliceController(world.context), EndpointsController(world.context), EndpointSliceMirroringController(world.context)]


async def serving(world: World, name: str, ip: str) -> None:
    if await world.get(PODS, name) is None:
        spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "app:1"}]}
        await world.make(PODS, {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec})
    await world.patch(PODS, name, {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}, subresource="status")


WEB = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}


async def addresses(world: World) -> list[str]:
    slices = [one for one in await world.all(ENDPOINT_SLICES) if one.metadata.labels["kubernetes.io/service-name"] == "web"]
    return sorted(ip for one in slices for endpoint in one.endpoints or () for ip in endpoint.addresses)


def test_pods_come_and_go_in_both_forms() -> None:
    async def scenario(world: World) -> None:
        await world.make(NODES, {"metadata": {"name": "n1"}})
        await world.make(SERVICES, WEB)
        await serving(world, "a", "10.1.0.1")
        await world.settle()
        await serving(world, "b", "10.1.0.2")
        await world.settle()
        assert await addresses(world) == ["10.1.0.1", "10.1.0.2"]
        endpoints = await world.get(ENDPOINTS, "web")
        assert [one.ip for one in endpoints.subsets[0].addresses] == ["10.1.0.1", "10.1.0.2"]
        await world.patch(PODS, "a", {"metadata": {"labels": {"app": "db"}}})
        await world.settle()
        assert await addresses(world) == ["10.1.0.2"]
        await world.delete(SERVICES, "web")
        await world.settle()
        assert await world.get(ENDPOINTS, "web") is None

    run(build, scenario)


def test_an_unrelated_pod_wakes_no_service() -> None:
    async def scenario(world: World) -> None:
        await world.make(NODES, {"metadata": {"name": "n1"}})
        await world.make(SERVICES, WEB)
        await world.settle()
        looked: list[Any] = []
        loop = world.controllers[0].loop
        reconcile = loop._reconcile

        async def counted(key: Any) -> Any:
            looked.append(key)
            return await reconcile(key)

        loop._reconcile = counted
        await world.make(PODS, {"metadata": {"name": "x", "labels": {"app": "other"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
        await world.settle()
        assert looked == []

    run(build, scenario)


def test_endpoints_written_by_hand_are_mirrored_and_taken_back() -> None:
    async def scenario(world: World) -> None:
        await world.make(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 5432}]}})
        await world.make(ENDPOINTS, {"metadata": {"name": "web"}, "subsets": [
            {"addresses": [{"ip": "198.51.100.1"}], "ports": [{"port": 5432}]}]})
        await world.settle()
        assert await addresses(world) == ["198.51.100.1"]
        await world.delete(ENDPOINTS, "web")
        await world.settle()
        assert await addresses(world) == []

    run(build, scenario)


async def told(world: World) -> list[str]:
    return [one.message for one in await world.all(EVENTS) if one.involvedObject.kind == "Service"]


def test_a_pod_whose_node_is_not_there_is_told_of_and_tried_again() -> None:
    async def scenario(world: World) -> None:
        await world.make(SERVICES, WEB)
        await serving(world, "a", "10.1.0.1")
        await world.settle()
        assert await addresses(world) == []
        assert "Error updating Endpoint Slices for Service default/web: skipping Pod a for Service default/web: Node n1 Not Found" in await told(world)
        await world.make(NODES, {"metadata": {"name": "n1"}})
        await world.clock.advance(10)
        await world.settle()
        assert await addresses(world) == ["10.1.0.1"]

    run(build, scenario)


async def zoned(world: World, name: str, zone: str, cpu: str) -> None:
    await world.make(NODES, {"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}})
    await world.patch(NODES, name, {"status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")


def test_hints_by_zone_follow_the_nodes() -> None:
    async def scenario(world: World) -> None:
        for name, zone in (("n1", "a"), ("n2", "b")):
            await zoned(world, name, zone, "4")
        await world.make(SERVICES, {**WEB, "metadata": {"name": "web", "annotations": {"service.kubernetes.io/topology-mode": "Auto"}}})
        await serving(world, "a", "10.1.0.1")
        await serving(world, "b", "10.1.0.2")
        await world.settle()
        assert await meant(world) == ["a", "b"]
        await zoned(world, "n3", "c", "4")
        await world.settle()
        assert await meant(world) == []
        assert (await told(world))[-1] == "Insufficient number of endpoints (2 endpoints, 3 zones), addressType: IPv4"

    run(build, scenario)


async def meant(world: World) -> list[str]:
    return sorted(zone.name for one in await world.all(ENDPOINT_SLICES) for endpoint in one.endpoints or ()
                  if endpoint.hints is not None for zone in endpoint.hints.forZones)


def test_slices_that_are_orphaned_before_their_service_goes_stay() -> None:
    async def scenario(world: World) -> None:
        await world.make(NODES, {"metadata": {"name": "n1"}})
        await world.make(SERVICES, WEB)
        await serving(world, "a", "10.1.0.1")
        await world.settle()
        await world.clock.advance(2)
        (name,) = [one.metadata.name for one in await world.all(ENDPOINT_SLICES) if one.metadata.generateName == "web-"]
        await world.patch(ENDPOINT_SLICES, name, {"metadata": {"ownerReferences": None}})
        await world.settle()
        await world.delete(SERVICES, "web")
        await world.clock.advance(10)
        await world.settle()
        assert await addresses(world) == ["10.1.0.1"]

    run(build, scenario)
