"""`sampan scheduler`'s work over HTTPS as the user system:kube-scheduler, with the rights of the server's own roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import Forbidden, NotFound
from sampan.api.resources import (
    DEVICE_CLASSES,
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STORAGE_CLASSES,
)
from sampan.apiserver.server import Settings
from sampan.client.remote import RemoteClient
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.lib.clock import Identity
from sampan.scheduler.scheduler import Scheduler
from sampan.testing import waiting
from sampan.testing.https import identified, served
from sampan.testing.waiting import until

SETTINGS = Settings(disabled_admission=frozenset(("ServiceAccount", "DefaultTolerationSeconds")))


class Watched:
    """A client that remembers what it was forbidden."""

    def __init__(self, client: RemoteClient) -> None:
        self._client, self.refused = client, list[str]()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return self._watch if name == "watch" else self._noting(method)

    def _noting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **more: Any) -> Any:
            try:
                return await method(*args, **more)
            except Forbidden as error:
                self.refused.append(error.message)
                raise

        return call

    async def _watch(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
        try:
            async for event in self._client.watch(*args, **more):
                yield event
        except Forbidden as error:
            self.refused.append(error.message)
            raise


@asynccontextmanager
async def scheduling(user: str) -> AsyncIterator[tuple[RemoteClient, Watched]]:
    """(the administrator's client, the client of a scheduler that runs as this user)."""
    async with served(settings=SETTINGS) as (_, access), Tasks() as tasks:
        admin, own = RemoteClient(access), RemoteClient(identified(access, user))
        watched: Any = Watched(own)
        clock, identity = SystemClock(), Identity()
        informers = Informers(watched, clock=clock, identity=identity)
        recorder = EventRecorder(watched, "default-scheduler", clock=clock, identity=identity)
        tasks.start(informers.run(), "informers")
        tasks.start(recorder.run(), "events")
        tasks.start(Scheduler(watched, informers, clock=clock, event=recorder.record).run(), "scheduler")
        try:
            yield admin, watched
        finally:
            await admin.close()
            await own.close()


async def create(client: RemoteClient, resource: Any, name: str, **value: Any) -> None:
    body = {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": {"name": name, **value.pop("metadata", {})}, **value}
    await client.create(resource, body, "default" if resource.namespaced else "")


async def pod(client: RemoteClient, name: str, cpu: str = "100m", **spec: Any) -> None:
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    await create(client, PODS, name, metadata={"labels": {"app": "x"}}, spec={"containers": [container], "terminationGracePeriodSeconds": 0, **spec})


async def everything(client: RemoteClient) -> None:
    """What takes each kind of write: bindings, evictions, nominations, volumes of two sorts, devices."""
    await create(client, PRIORITY_CLASSES, "high", value=1000)
    await create(client, STORAGE_CLASSES, "late", provisioner="d.example.com", volumeBindingMode="WaitForFirstConsumer")
    await create(client, STORAGE_CLASSES, "static", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer")
    for name, storage_class in (("made", "late"), ("found", "static")):
        await create(client, PERSISTENT_VOLUME_CLAIMS, name, spec={
            "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": {"requests": {"storage": "1Gi"}}})
    await create(client, PERSISTENT_VOLUMES, "v", spec={"accessModes": ["ReadWriteOnce"], "storageClassName": "static", "capacity": {"storage": "1Gi"},
                                                        "hostPath": {"path": "/x"}})
    await client.patch(PERSISTENT_VOLUMES, "v", "", {"status": {"phase": "Available"}}, subresource="status")
    await create(client, DEVICE_CLASSES, "gpu", spec={})
    await create(client, RESOURCE_SLICES, "s", spec={"driver": "d.example.com", "nodeName": "a", "devices": [{"name": "gpu-0"}],
                                                     "pool": {"name": "a", "generation": 1, "resourceSliceCount": 1}})
    await create(client, RESOURCE_CLAIMS, "c", spec={"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}})
    await create(client, POD_DISRUPTION_BUDGETS, "b", spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}})
    amounts = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    await create(client, NODES, "a", status={"capacity": amounts, "allocatable": amounts})
    await client.patch(NODES, "a", "", {"spec": {"taints": None}})
    await pod(client, "low", "1500m")


def test_the_scheduler_s_own_user_may_do_all_that_it_does() -> None:
    async def main() -> None:
        async with scheduling("system:kube-scheduler") as (admin, watched):
            await everything(admin)

            async def there(name: str) -> bool:
                return bool((await admin.get(PODS, name, "default")).spec.nodeName)

            async def gone() -> bool:
                try:
                    await admin.get(PODS, "low", "default")
                except NotFound:
                    return True
                return False

            async def chosen() -> bool:
                made, found = await admin.get(PERSISTENT_VOLUME_CLAIMS, "made", "default"), await admin.get(PERSISTENT_VOLUMES, "v")
                return "volume.kubernetes.io/selected-node" in made.metadata.annotations and found.spec.claimRef is not None

            async def told() -> bool:
                reasons = {one.reason for one in (await admin.list(EVENTS, "default")).items}
                return reasons >= {"Scheduled", "Preempted", "FailedScheduling"}

            await until(lambda: there("low"))
            await pod(admin, "high", "1500m", priorityClassName="high")
            await until(gone)
            await until(lambda: there("high"))
            await pod(admin, "device", resourceClaims=[{"name": "r", "resourceClaimName": "c"}])
            await until(lambda: there("device"))
            await pod(admin, "volumes", volumes=[{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in ("made", "found")])
            await until(chosen)
            await until(told)
            assert watched.refused == []

    waiting.run(main())


def test_somebody_else_may_not() -> None:
    async def main() -> None:
        async with scheduling("somebody") as (_, watched):
            async def refused() -> bool:
                return any("nodes is forbidden" in one for one in watched.refused)

            await until(refused)

    waiting.run(main())
