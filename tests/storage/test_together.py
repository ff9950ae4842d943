"""Volumes and devices from a pod's wish to its end: all controllers, the scheduler, simulated nodes, virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from controllers.test_together import Cluster
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.resources import (
    DEVICE_CLASSES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
)
from sampan.client.base import DeleteOptions
from sampan.cluster.controllers import ALL
from sampan.control.informer import Informers
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.scheduler.scheduler import Scheduler
from sampan.testing import waiting
from sampan.testing.server import running_server

CONTAINERS = [{"name": "c", "image": "i"}]
REQUEST = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@asynccontextmanager
async def cluster(nodes: int) -> AsyncIterator[Cluster]:
    """Nodes are objects here: the test says what happens on them."""
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        informers = Informers(server.client, clock=clock, identity=server.identity)
        settings = ManagerSettings(controllers=("*", "-node-lifecycle-controller"))
        manager = Manager(lambda _user: server.client, settings, clock=clock, identity=server.identity, entries=ALL, informers=informers)
        scheduler = Scheduler(server.client, informers, clock=clock, event=lambda *_: None)
        tasks.start(informers.run(), "informers")
        tasks.start(manager.run(), "controllers")
        tasks.start(scheduler.run(), "scheduler")
        made = Cluster(server.client, clock)
        for number in range(nodes):
            name = f"n{number}"
            await made.make(NODES, name, metadata={"labels": {"kubernetes.io/hostname": name}})
            await made.client.patch(NODES, name, "", {"status": {
                "allocatable": {"cpu": "8", "memory": "8Gi", "pods": "20"}, "conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")
            await made.client.patch(NODES, name, "", {"spec": {"taints": None}})  # that of nodes that are not ready
        yield made


def in_cluster(check: Callable[[Cluster], Awaitable[None]], nodes: int = 2) -> None:
    async def run() -> None:
        async with cluster(nodes) as made:
            await check(made)

    waiting.run(run())


async def a_local_volume(c: Cluster, name: str, node: str) -> None:
    where = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}
    await c.make(PERSISTENT_VOLUMES, name, spec={
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local", "local": {"path": "/disk"}, "nodeAffinity": where})


def test_a_statefulset_on_local_volumes_stays_with_them() -> None:
    async def check(c: Cluster) -> None:
        # given a volume on each node, to be bound when a pod comes
        await c.make(STORAGE_CLASSES, "local", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer")
        for number in range(2):
            await a_local_volume(c, f"disk-{number}", f"n{number}")
        # when
        await c.make(STATEFUL_SETS, "db", spec={
            "serviceName": "db", "replicas": 2, "podManagementPolicy": "Parallel", "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": CONTAINERS, "terminationGracePeriodSeconds": 0}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {**REQUEST, "storageClassName": "local"}}]})

        async def placed() -> bool:
            return all(pod.spec.nodeName for pod in await c.all(PODS)) and len(await c.all(PODS)) == 2

        await c.until(placed, "both pods have a node")
        # then each is where its volume is
        before = {}
        for pod in await c.all(PODS):
            claim = await c.get(PERSISTENT_VOLUME_CLAIMS, f"data-{pod.metadata.name}")
            assert claim.status.phase == "Bound"
            assert claim.spec.volumeName == f"disk-{pod.spec.nodeName[1:]}"
            before[pod.metadata.name] = pod.spec.nodeName
        assert set(before.values()) == {"n0", "n1"}
        # when both pods are replaced
        for name in before:
            await c.client.delete(PODS, name, "default", DeleteOptions(grace_period_seconds=0))
        await c.until(placed, "the new pods have a node")
        # then they are where they were
        assert {pod.metadata.name: pod.spec.nodeName for pod in await c.all(PODS)} == before

    in_cluster(check)


def test_a_provisioner_is_told_the_node_and_its_volume_lets_the_pod_go_there() -> None:
    async def check(c: Cluster) -> None:
        # given
        await c.make(STORAGE_CLASSES, "fast", provisioner="disk.example.com", volumeBindingMode="WaitForFirstConsumer")
        claim = await c.make(PERSISTENT_VOLUME_CLAIMS, "data", spec={**REQUEST, "storageClassName": "fast"})
        await c.make(PODS, "web", spec={"containers": CONTAINERS, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]})
        # when the scheduler has chosen, the binder asks the provisioner

        async def asked() -> bool:
            annotations = (await c.get(PERSISTENT_VOLUME_CLAIMS, "data")).metadata.annotations
            return {"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner"} <= annotations.keys()

        await c.until(asked, "the provisioner is asked")
        assert not (await c.get(PODS, "web")).spec.nodeName
        node = (await c.get(PERSISTENT_VOLUME_CLAIMS, "data")).metadata.annotations["volume.kubernetes.io/selected-node"]
        # and it makes the volume
        reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default", "name": "data", "uid": claim.metadata.uid}
        await c.make(PERSISTENT_VOLUMES, "pvc-1", metadata={"annotations": {"pv.kubernetes.io/provisioned-by": "disk.example.com"}}, spec={
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "claimRef": reference,
            "persistentVolumeReclaimPolicy": "Delete", "csi": {"driver": "disk.example.com", "volumeHandle": "h"}})

        async def running() -> bool:
            return (await c.get(PODS, "web")).spec.nodeName == node

        # then
        await c.until(running, "the pod is on the chosen node")
        assert (await c.get(PERSISTENT_VOLUME_CLAIMS, "data")).spec.volumeName == "pvc-1"

    in_cluster(check)


def test_a_device_goes_from_one_pod_to_the_next() -> None:
    async def check(c: Cluster) -> None:
        # given one device and a template
        await c.make(DEVICE_CLASSES, "gpu", spec={"selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}]})
        await c.make(RESOURCE_SLICES, "s", spec={"driver": "gpu.example.com", "nodeName": "n0", "devices": [{"name": "gpu0"}],
                                                "pool": {"name": "n0", "generation": 1, "resourceSliceCount": 1}})
        requests = {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}}
        await c.make(RESOURCE_CLAIM_TEMPLATES, "gpu", spec={"spec": requests})
        pod: dict[str, Any] = {"containers": CONTAINERS, "terminationGracePeriodSeconds": 0, "restartPolicy": "Never",
                               "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]}
        for name in ("first", "second"):
            await c.make(PODS, name, spec=pod)

        async def one_placed() -> bool:
            return sum(bool(one.spec.nodeName) for one in await c.all(PODS)) == 1

        await c.until(one_placed, "one pod has the device")
        await c.clock.advance(30)
        [winner] = [one for one in await c.all(PODS) if one.spec.nodeName]
        [loser] = [one for one in await c.all(PODS) if not one.spec.nodeName]
        # when it is over
        await c.client.patch(PODS, winner.metadata.name, "default", {"status": {"phase": "Succeeded"}}, subresource="status")

        async def handed_over() -> bool:
            return (await c.get(PODS, loser.metadata.name)).spec.nodeName == "n0"

        # then
        await c.until(handed_over, "the other has it")
        [claim] = await c.all(RESOURCE_CLAIMS)
        assert [one.name for one in claim.status.reservedFor] == [loser.metadata.name]

    in_cluster(check)
