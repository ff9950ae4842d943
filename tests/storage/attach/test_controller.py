"""CSI volumes on the in-process API server; the test is the scheduler, the driver's attacher and the node's agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from controllers.harness import World, run
from controllers.jumps import with_jumps
from controllers.late import with_lag
from sampan.aio.tasks import Tasks
from sampan.api.errors import InternalError
from sampan.api.resources import (
    CSI_DRIVERS,
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from sampan.storage.attach.controller import AttachDetachController
from sampan.storage.attach.decide import MANAGED, OUT_OF_SERVICE
from sampan.storage.binder.controller import VolumeBinder

UNIQUE = "kubernetes.io/csi/disk.example.com^vol-1"


def both(world: World) -> list[Any]:
    return [VolumeBinder(world.context), AttachDetachController(world.context)]


async def a_node(world: World, name: str) -> None:
    await world.make(NODES, {"metadata": {"name": name, "annotations": {MANAGED: "true"}},
                             "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    await world.patch(NODES, name, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")


async def a_volume(world: World, *modes: str) -> None:
    modes = modes or ("ReadWriteOnce",)
    await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": list(modes), "csi": {"driver": "disk.example.com", "volumeHandle": "vol-1"}}})
    await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {
        "storageClassName": "", "accessModes": list(modes), "resources": {"requests": {"storage": "1Gi"}}}})


async def a_pod(world: World, name: str, node: str) -> None:
    await world.make(PODS, {"metadata": {"name": name}, "spec": {
        "nodeName": node, "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}})


async def attached(world: World, node: str) -> list[str]:
    return [one.name for one in (await world.get(NODES, node)).status.volumesAttached]


async def places(world: World) -> list[str]:
    return sorted(one.spec.nodeName for one in await world.all(VOLUME_ATTACHMENTS))


async def do_attach(world: World) -> None:
    """What the driver's attacher does."""
    for one in await world.all(VOLUME_ATTACHMENTS):
        await world.patch(VOLUME_ATTACHMENTS, one.metadata.name, {"status": {"attached": True}}, subresource="status")
    await world.settle()


async def mounted(world: World) -> None:
    """The pod `web` on the node n1, where its volume is attached."""
    await a_node(world, "n1")
    await a_volume(world)
    await a_pod(world, "web", "n1")
    await world.settle()
    await do_attach(world)


async def mounted_on_a_silent_node(world: World) -> None:
    """The same, and then nothing is heard of the node any more."""
    await mounted(world)
    silent = {"conditions": [{"type": "Ready", "status": "Unknown"}], "volumesInUse": [UNIQUE]}
    await world.patch(NODES, "n1", {"status": silent}, subresource="status")


@asynccontextmanager
async def working(world: World) -> AsyncIterator[None]:
    """Controllers that know nothing of earlier ones, until the block ends."""
    async with Tasks() as tasks:
        world.controllers = both(world)
        for one in world.controllers:
            tasks.start(one.run(), one.name)
        await world.settle()
        yield
    world.controllers = []


async def events(world: World) -> list[tuple[str, str]]:
    return sorted((one.involvedObject.name, one.reason) for one in await world.all(EVENTS) if one.involvedObject.kind == "Pod")


async def remove(world: World, pod: str) -> None:
    await world.delete(PODS, pod, grace_period_seconds=0)
    await world.settle()


def test_a_volume_follows_its_pods() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_node(world, "n1")
        await a_node(world, "n2")
        await a_volume(world)
        # when a pod comes
        await a_pod(world, "web", "n1")
        await world.settle()
        assert await attached(world, "n1") == []
        await do_attach(world)
        # then
        assert await attached(world, "n1") == [UNIQUE]
        assert await events(world) == [("web", "SuccessfulAttachVolume")]
        # when one comes elsewhere
        await a_pod(world, "next", "n2")
        await world.settle()
        # then
        assert await places(world) == ["n1"]
        assert await events(world) == [("next", "FailedAttachVolume"), ("web", "SuccessfulAttachVolume")]
        # when the first is gone, but its node has not unmounted yet
        await world.patch(NODES, "n1", {"status": {"volumesInUse": [UNIQUE]}}, subresource="status")
        await remove(world, "web")
        assert await places(world) == ["n1"]
        # when it has
        await world.patch(NODES, "n1", {"status": {"volumesInUse": []}}, subresource="status")
        await world.settle()
        # then the volume goes over
        assert await places(world) == ["n2"]
        assert await attached(world, "n1") == []
        await do_attach(world)
        assert await attached(world, "n2") == [UNIQUE]

    run(both, scenario)


def test_two_nodes_never_get_one_volume_at_once() -> None:
    async def scenario(world: World) -> None:
        # given pods on five nodes that want it in the same instant
        await a_volume(world)
        await world.settle()
        for number in range(5):
            await a_node(world, f"n{number}")
            await a_pod(world, f"p{number}", f"n{number}")
        await world.settle()
        # then
        assert len(await places(world)) == 1

    run(both, scenario)


def test_a_cache_that_lags_gives_no_volume_away_twice() -> None:
    lagging_ones, lates = with_lag(both)

    async def scenario(world: World) -> None:
        # given
        [late] = lates
        await a_volume(world)
        for number in range(3):
            await a_node(world, f"n{number}")
        await world.settle()
        # when pods come while nothing is heard of attachments
        late.held.add("volumeattachments")
        for number in range(3):
            await a_pod(world, f"p{number}", f"n{number}")
            await world.settle()
        # then
        assert await places(world) == ["n0"]
        # when everything is heard
        await late.let_go()
        await world.settle()
        # then
        assert await places(world) == ["n0"]
        assert await events(world) == []
        # when it is attached there
        await do_attach(world)
        # then the others are told
        assert [name for name, reason in await events(world) if reason == "FailedAttachVolume"] == ["p1", "p2"]

    run(lagging_ones, scenario)


def test_a_shared_volume_is_attached_everywhere() -> None:
    async def scenario(world: World) -> None:
        await a_volume(world, "ReadWriteMany")
        for number in range(3):
            await a_node(world, f"n{number}")
            await a_pod(world, f"p{number}", f"n{number}")
        await world.settle()
        assert await places(world) == ["n0", "n1", "n2"]

    run(both, scenario)


def test_an_out_of_service_node_loses_its_volumes_at_once_a_silent_one_after_a_while() -> None:
    async def scenario(world: World) -> None:
        # given
        await mounted_on_a_silent_node(world)
        # when the pod is removed by force
        await remove(world, "web")
        await world.clock.advance(300)
        await world.settle()
        assert await places(world) == ["n1"]
        # then after six minutes
        await world.clock.advance(61)
        await world.settle()
        assert await places(world) == []
        # given again
        await a_pod(world, "web", "n1")
        await world.settle()
        await do_attach(world)
        await remove(world, "web")
        assert await places(world) == ["n1"]
        # when
        await world.patch(NODES, "n1", {"spec": {"taints": [{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]}})
        await world.settle()
        # then
        assert await places(world) == []

    run(both, scenario)


def test_a_clock_that_is_set_neither_hurries_nor_delays_a_detachment() -> None:
    set_ones, clocks = with_jumps(both)

    async def scenario(world: World) -> None:
        # given a silent node that has a volume mounted which no pod needs
        await mounted_on_a_silent_node(world)
        await remove(world, "web")
        # when the time of day jumps a day ahead
        clocks[0].offset = timedelta(days=1)
        await world.clock.advance(300)
        await world.settle()
        assert await places(world) == ["n1"]
        # and two days back
        clocks[0].offset = timedelta(days=-1)
        await world.clock.advance(61)
        await world.settle()
        # then it is six minutes
        assert await places(world) == []

    run(set_ones, scenario)


def test_what_a_driver_needs_no_attachment_for_is_not_attached() -> None:
    async def scenario(world: World) -> None:
        await world.make(CSI_DRIVERS, {"metadata": {"name": "disk.example.com"}, "spec": {"attachRequired": False}})
        await a_node(world, "n1")
        await a_volume(world)
        await a_pod(world, "web", "n1")
        await world.settle()
        assert await places(world) == []

    run(both, scenario)


def test_a_detachment_waits_until_the_nodes_status_is_written() -> None:
    async def scenario(world: World) -> None:
        # given
        await mounted(world)
        # when the status can't be written
        world.client.fail = lambda verb, resource, _: InternalError("no luck") if (verb, resource) == ("patch", NODES) else None
        await remove(world, "web")
        # then
        assert await places(world) == ["n1"]
        # when it can
        world.client.fail = lambda verb, resource, _: None
        await world.clock.advance(1)
        await world.settle()
        # then
        assert await places(world) == []
        assert await attached(world, "n1") == []

    run(both, scenario)


def test_attachments_are_found_again_after_a_restart() -> None:
    async def scenario(world: World) -> None:
        # given an attachment that an earlier process made
        async with working(world):
            await mounted(world)
        # when the pod is gone, and the volume's object before its attachment
        await world.delete(PERSISTENT_VOLUMES, "v")
        await world.patch(PERSISTENT_VOLUMES, "v", {"metadata": {"finalizers": None}})
        await remove(world, "web")
        assert await places(world) == ["n1"]
        # then the next process takes it away
        async with working(world):
            assert await places(world) == []
            assert await attached(world, "n1") == []

    run(lambda _: [], scenario)


def test_heartbeats_cost_nothing() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_node(world, "n1")
        await world.settle()
        before = len(world.client.calls)
        # when
        for second in range(20):
            condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-01-01T00:00:{second:02}Z"}
            await world.patch(NODES, "n1", {"status": {"conditions": [condition]}}, subresource="status")
        await world.settle()
        # then
        assert len(world.client.calls) == before

    run(both, scenario)


def test_a_node_that_is_deleted_keeps_its_volumes_as_long_as_its_pods_are_there() -> None:
    async def scenario(world: World) -> None:
        # given
        await mounted(world)
        # when
        await world.patch(NODES, "n1", {"status": {"volumesInUse": None}}, subresource="status")
        await world.delete(NODES, "n1")
        await world.settle()
        # then
        assert await places(world) == ["n1"]
        # when
        await remove(world, "web")
        # then
        assert await places(world) == []

    run(both, scenario)


def test_a_volume_of_a_plugin_that_a_driver_replaced_is_the_drivers() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_node(world, "n1")
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "awsElasticBlockStore": {"volumeID": "aws://z/vol-1"}}})
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {
            "storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        # when
        await a_pod(world, "web", "n1")
        await world.settle()
        # then
        [attachment] = await world.all(VOLUME_ATTACHMENTS)
        assert (attachment.spec.attacher, attachment.spec.source.persistentVolumeName) == ("ebs.csi.aws.com", "v")
        # when
        await do_attach(world)
        # then
        assert await attached(world, "n1") == ["kubernetes.io/csi/ebs.csi.aws.com^vol-1"]
        # when
        await remove(world, "web")
        # then
        assert await places(world) == []

    run(both, scenario)
