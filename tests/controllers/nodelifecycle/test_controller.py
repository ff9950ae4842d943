"""Nodes that fall silent: conditions, taints, pods, zones; and what hangs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import EVENTS, LEASES, NAMESPACES, NODES, PODS
from sampan.controllers.nodeipam.controller import NodeIpamController
from sampan.controllers.nodelifecycle.controller import NodeLifecycleController
from sampan.controllers.nodettl.controller import NodeTtlController
from sampan.controllers.podgc.controller import PodGarbageCollector
from sampan.controllers.settings import ManagerSettings
from sampan.controllers.tainteviction.controller import TaintEvictionController
from sampan.testing.datadriven import transcripts

SETTINGS = ManagerSettings(node_monitor_grace_period=40.0, node_eviction_rate=10.0)


def build(world: World) -> list[Any]:
    return [NodeLifecycleController(world.context, SETTINGS), TaintEvictionController(world.context), PodGarbageCollector(world.context),
            NodeIpamController(world.context, ["10.244.0.0/16"]), NodeTtlController(world.context)]


def stamp(world: World) -> str:
    return world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


async def node(world: World, name: str, zone: str, ready: str = "True") -> None:
    if await world.get(NODES, name) is None:
        await world.make(NODES, {"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}})
    await world.patch(NODES, name, {"status": {"conditions": [
        {"type": "Ready", "status": ready, "reason": "x", "lastHeartbeatTime": stamp(world), "lastTransitionTime": stamp(world)}]}}, subresource="status")
    await world.settle()


async def beat(world: World, *names: str) -> None:
    for name in names:
        spec = {"spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp(world)[:-1] + ".000000Z"}}
        if await world.get(LEASES, name, "kube-node-lease") is None:
            await world.make(LEASES, {"metadata": {"name": name}, **spec}, "kube-node-lease")
        else:
            await world.patch(LEASES, name, spec, "kube-node-lease")


async def pass_time(world: World, seconds: int, *alive: str) -> None:
    for _ in range(seconds // 10):
        await beat(world, *alive)
        await world.clock.advance(10)
        await world.settle()


async def pod(world: World, name: str, where: str, **spec: Any) -> None:
    await world.make(PODS, {"metadata": {"name": name}, "spec": {"nodeName": where, "containers": [{"name": "c", "image": "i"}], **spec}})
    await world.patch(PODS, name, {"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": stamp(world)}]}}, subresource="status")
    await world.settle()


async def taints(world: World, name: str) -> list[tuple[str, str]]:
    return [(taint.key.removeprefix("node.kubernetes.io/"), taint.effect) for taint in (await world.get(NODES, name)).spec.taints]


async def spaces(world: World) -> None:
    if await world.get(NAMESPACES, "kube-node-lease") is None:
        await world.make(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})


def test_a_silent_node_is_unknown_its_pods_out_of_service_and_evicted_after_their_toleration() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        await node(world, "a", "z1")
        await node(world, "b", "z2")
        tolerates = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
        await pod(world, "p", "a", tolerations=tolerates)
        assert await taints(world, "a") == []
        await pass_time(world, 60, "b")
        assert {one.type: one.status for one in (await world.get(NODES, "a")).status.conditions} == dict.fromkeys(
            ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"), "Unknown")
        assert await taints(world, "a") == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
        assert (await world.get(PODS, "p")).status.conditions[0].status == "False"
        assert await taints(world, "b") == []
        await pass_time(world, 310, "b")
        assert (await world.get(PODS, "p")).metadata.deletionTimestamp is not None
        await node(world, "a", "z1")
        assert await taints(world, "a") == []

    run(build, scenario)


def test_when_all_are_silent_nobody_is_evicted() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        await node(world, "a", "z1")
        await node(world, "b", "z2")
        await pass_time(world, 100)
        assert await taints(world, "a") == [("unreachable", "NoSchedule")]
        await node(world, "b", "z2")
        await pass_time(world, 60, "b")
        assert ("unreachable", "NoExecute") in await taints(world, "a")

    run(build, scenario)


def test_nodes_that_are_excluded_do_not_count_when_it_is_told_whether_all_are_silent() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        for name in ("a", "b"):
            await node(world, name, "z1")
        await world.patch(NODES, "b", {"metadata": {"labels": {"node.kubernetes.io/exclude-disruption": ""}}})
        # when the only one that counts falls silent
        await pass_time(world, 60, "b")
        # then nobody is driven away
        assert await taints(world, "a") == [("unreachable", "NoSchedule")]

    run(build, scenario)


def test_nodes_that_fall_silent_together_are_seen_together() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        names = ("a", "b", "c", "d", "e")
        await world.clock.advance(1)
        for name in names:
            await node(world, name, "z1")
            await world.clock.advance(0.5)
        # when most of a zone is silent, a little apart
        await pass_time(world, 60, "d", "e")
        # then the zone is in disruption before anybody is driven away
        assert [await taints(world, name) for name in names[:3]] == [[("unreachable", "NoSchedule")]] * 3

    run(build, scenario)


def test_a_taint_that_is_somebody_elses_does_not_hurry_ours() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        # given a zone in partial disruption, where nobody is driven away
        for name in ("a", "b", "c", "d", "e"):
            await node(world, name, "z1")
        await world.patch(NODES, "a", {"spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "value": "x", "effect": "NoExecute"}]}})
        # when
        await pass_time(world, 60, "d", "e")
        # then
        assert ("unreachable", "NoSchedule") in await taints(world, "a")
        assert ("unreachable", "NoExecute") not in await taints(world, "a")

    run(build, scenario)


def test_pods_of_a_node_that_is_gone_are_failed_and_deleted_after_a_while() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        await node(world, "a", "z1")
        await node(world, "b", "z2")
        await pod(world, "p", "a")
        await world.delete(NODES, "a")
        await world.settle()
        await pass_time(world, 30, "b")
        assert (await world.get(PODS, "p")) is not None
        await pass_time(world, 20, "b")
        assert (await world.get(PODS, "p")) is None
        assert "RegisteredNode" in {event.reason for event in await world.all(EVENTS)}

    run(build, scenario)


def test_nodes_get_ranges_of_their_own_and_a_ttl() -> None:
    async def scenario(world: World) -> None:
        await spaces(world)
        for name in ("a", "b", "c"):
            await node(world, name, "z1")
        ranges = [one.spec.podCIDR for one in await world.all(NODES)]
        assert ranges == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]
        assert (await world.get(NODES, "a")).metadata.annotations["node.alpha.kubernetes.io/ttl"] == "0"

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [NodeLifecycleController(world.context, SETTINGS)])
