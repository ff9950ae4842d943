"""Volume and device controllers with no more rights than upstream's bootstrap roles give their accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controllers.harness import World
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import Forbidden
from sampan.api.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
from sampan.apiserver.request import User
from sampan.apiserver.server import Settings
from sampan.cluster.controllers import ALL
from sampan.control.controller import ControllerEntry
from sampan.controllers.manager import MANAGER_USER, Manager, account_user
from sampan.controllers.settings import ManagerSettings
from sampan.storage.attach.decide import MANAGED
from sampan.testing.server import running_server

NAMES = ("persistentvolume-binder-controller", "persistentvolume-attach-detach-controller", "persistentvolume-expander-controller",
         "ephemeral-volume-controller", "resourceclaim-controller", "device-taint-eviction-controller",
         "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
         "volumeattributesclass-protection-controller")
ENTRIES = [entry for entry in ALL if entry.name in NAMES]


class Noting:
    """A client that notes what was refused."""

    def __init__(self, client: Any, refused: list[str], user: str) -> None:
        self._client, self._refused, self._user = client, refused, user

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._client, name)
        if name == "watch":
            return method

        async def call(*args: Any, **more: Any) -> Any:
            try:
                return await method(*args, **more)
            except Forbidden as error:
                self._refused.append(f"{self._user}: {error.message}")
                raise

        return call


async def _volumes(world: World) -> None:
    """A claim of every kind of end, a pod with an attached volume, one with an ephemeral one."""
    await world.make(NODES, {"metadata": {"name": "n", "annotations": {MANAGED: "true"}}})
    await world.make(STORAGE_CLASSES, {"metadata": {"name": "ext"}, "provisioner": "disk.example.com", "allowVolumeExpansion": True})
    await world.make(VOLUME_ATTRIBUTES_CLASSES, {"metadata": {"name": "gold"}, "driverName": "disk.example.com", "parameters": {"a": "b"}})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    sources: dict[str, dict[str, Any]] = {"csi": {"driver": "disk.example.com", "volumeHandle": "h"}, "hostPath": {"path": "/tmp/x"}}
    for name, source, policy in (("a", "csi", "Retain"), ("b", "hostPath", "Recycle"), ("c", "hostPath", "Delete")):
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": f"only-{name}",
            "persistentVolumeReclaimPolicy": policy, source: sources[source]}})
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name}, "spec": {**spec, "storageClassName": f"only-{name}"}})
    await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "ext"}, "spec": {**spec, "storageClassName": "ext"}})
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "a"}}, {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]
    await world.make(PODS, {"metadata": {"name": "web"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}], "volumes": volumes}})
    await world.settle()
    [attachment] = await world.all(VOLUME_ATTACHMENTS)
    await world.patch(VOLUME_ATTACHMENTS, attachment.metadata.name, {"status": {"attached": True}}, subresource="status")
    await world.settle()
    assert len((await world.get(NODES, "n")).status.volumesAttached) == 1
    await world.delete(PODS, "web", grace_period_seconds=0)
    for name in ("a", "b", "c", "ext"):
        await world.delete(PERSISTENT_VOLUME_CLAIMS, name)
    await world.delete(VOLUME_ATTRIBUTES_CLASSES, "gold")
    await world.settle()
    await world.patch(PODS, "recycler-for-b", {"status": {"phase": "Succeeded"}}, subresource="status")
    await world.settle()
    assert {one.metadata.name: one.status.phase for one in await world.all(PERSISTENT_VOLUMES)} == {"a": "Released", "b": "Available"}
    assert await world.all(VOLUME_ATTACHMENTS) == []
    assert await world.all(VOLUME_ATTRIBUTES_CLASSES) == []


async def _devices(world: World) -> None:
    """A pod with a claim from a template, on a device that breaks."""
    requests = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
    await world.make(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "t"}, "spec": {"spec": requests}})
    pod = await world.make(PODS, {"metadata": {"name": "gpu"}, "spec": {
        "nodeName": "n", "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0,
        "resourceClaims": [{"name": "one", "resourceClaimTemplateName": "t"}]}})
    await world.settle()
    [claim] = await world.all(RESOURCE_CLAIMS)
    result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "d0"}
    await world.patch(RESOURCE_CLAIMS, claim.metadata.name, {"metadata": {"finalizers": ["resource.kubernetes.io/delete-protection"]}})
    await world.patch(RESOURCE_CLAIMS, claim.metadata.name, {"status": {
        "allocation": {"devices": {"results": [result]}}, "reservedFor": [{"resource": "pods", "name": "gpu", "uid": pod.metadata.uid}]}},
        subresource="status")
    await world.make(RESOURCE_SLICES, {"metadata": {"name": "s"}, "spec": {
        "driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "d0", "taints": [{"key": "broken", "effect": "NoExecute"}]}]}})
    await world.settle()
    assert await world.get(PODS, "gpu") is None
    freed = await world.get(RESOURCE_CLAIMS, claim.metadata.name)
    assert freed is None or freed.status.allocation is None


def test_bootstrap_roles_allow_all_that_is_done() -> None:
    refused: list[str] = []
    users = {f"token-{name}": User(name, groups=("system:authenticated", "system:serviceaccounts", "system:serviceaccounts:kube-system"))
             for name in {MANAGER_USER, *(account_user(entry.account) for entry in ENTRIES)}}

    async def main() -> None:
        clock = VirtualClock()
        settings = Settings(users=users, disabled_admission=frozenset(("ServiceAccount",)))
        async with running_server(clock=clock, settings=settings) as server:
            world = World(server, clock)

            def client_for(user: str) -> Any:
                return Noting(server.client_with(authorization=f"Bearer token-{user}"), refused, user)

            manager = Manager(client_for, ManagerSettings(controllers=NAMES), clock=clock, identity=server.identity, entries=ENTRIES)
            world.controllers = [manager]
            async with Tasks() as tasks:
                tasks.start(manager.run(), "controllers")
                await world.settle()
                await _volumes(world)
                await _devices(world)

    asyncio.run(main())
    assert refused == []


def test_every_volume_controller_is_listed_with_its_account() -> None:
    accounts: dict[str, ControllerEntry] = {entry.name: entry for entry in ENTRIES}
    assert set(accounts) == set(NAMES)
