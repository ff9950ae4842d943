"""Volumes and devices while a fifth of the calls fail, some after they have taken effect, and the controllers start anew.

The end is that of a quiet run: every claim that can be bound is, no volume belongs to two, nothing is attached twice.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from chaos.weather import Unreliable, Weather
from controllers.harness import World
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    VOLUME_ATTACHMENTS,
)
from sampan.cluster.controllers import ALL
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.storage.attach.decide import MANAGED
from sampan.testing.server import running_server

NAMES = ("persistentvolume-binder-controller", "persistentvolume-attach-detach-controller", "ephemeral-volume-controller",
         "resourceclaim-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
         "garbage-collector-controller")


async def furnish(world: World) -> None:
    """Eight volumes, ten claims; six pods on two nodes, each with a claim, an ephemeral volume and a device."""
    requests = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
    await world.make(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "t"}, "spec": {"spec": requests}})
    for number in range(2):
        await world.make(NODES, {"metadata": {"name": f"n{number}", "annotations": {MANAGED: "true"}}})
    for number in range(8):
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": f"v{number}"}, "spec": {
            "capacity": {"storage": f"{number + 1}Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "disk.example.com", "volumeHandle": f"h{number}"}}})
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    for number in range(10):
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": f"c{number}"}, "spec": claim})
    none = {**claim, "storageClassName": "none"}
    for number in range(6):
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": f"c{number}"}},
                   {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": none}}}]
        await world.make(PODS, {"metadata": {"name": f"p{number}"}, "spec": {
            "nodeName": f"n{number % 2}", "containers": [{"name": "c", "image": "i"}], "volumes": volumes,
            "terminationGracePeriodSeconds": 0, "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}})


async def attach(world: World) -> None:
    """What the driver's attacher does."""
    for one in await world.all(VOLUME_ATTACHMENTS):
        if not one.status.attached:
            await world.patch(VOLUME_ATTACHMENTS, one.metadata.name, {"status": {"attached": True}}, subresource="status")


async def check(world: World) -> None:
    claims, volumes = await world.all(PERSISTENT_VOLUME_CLAIMS), await world.all(PERSISTENT_VOLUMES)
    plain = [one for one in claims if one.spec.storageClassName == ""]
    bound = {one.spec.volumeName: one.metadata.uid for one in plain if one.status.phase == "Bound"}
    assert bound == {one.metadata.name: one.spec.claimRef.uid for one in volumes}
    assert len(bound) == 8
    assert sorted(one.metadata.name for one in claims if one.spec.storageClassName == "none") == [f"p{number}-scratch" for number in range(3, 6)]
    pods = await world.all(PODS)
    by_name = {one.metadata.name: one for one in claims}
    used = sorted(by_name[f"c{number}"].spec.volumeName for number in range(3, 6) if by_name[f"c{number}"].spec.volumeName)
    assert sorted(one.spec.source.persistentVolumeName for one in await world.all(VOLUME_ATTACHMENTS)) == used
    reported = [one.name for node in await world.all(NODES) for one in node.status.volumesAttached]
    assert len(reported) == len(set(reported)) == len(used)
    told = {pod.metadata.name: [one.resourceClaimName for one in pod.status.resourceClaimStatuses] for pod in pods}
    assert all(len(names) == 1 for names in told.values())
    assert {one.metadata.name for one in await world.all(RESOURCE_CLAIMS)} == {names[0] for names in told.values()}


@pytest.mark.parametrize("seed", range(4))
def test_the_end_state_is_that_of_a_quiet_run(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server:
            world, weather = World(server, clock), Weather(random.Random(seed), clock)
            client = Unreliable(server.client, weather)
            for life in range(3):
                # given controllers that know nothing of the lives before
                manager = Manager(lambda _user: client, ManagerSettings(controllers=NAMES), clock=clock, identity=server.identity, entries=ALL)  # type: ignore[arg-type, return-value]
                weather.bad = life < 2
                async with Tasks() as tasks:
                    tasks.start(manager.run(), "controllers")
                    if life == 0:
                        await furnish(world)
                    for number in range(12):
                        await clock.advance(5 if life < 2 else 120)
                        await attach(world)
                        if life == 1 and number == 3:
                            for gone in range(3):
                                await world.delete(PODS, f"p{gone}", grace_period_seconds=0)
                    await tasks.stop()
            assert {"failed call", "lost answer", "failed watch", "cut watch", "late event"} <= weather.counts.keys()
            await check(world)

    asyncio.run(main())
