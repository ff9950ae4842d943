"""The config maps and secrets that pods refer to: one watch an object, shared by the pods that need it.

A node may read only what its pods refer to (the Node authorizer says so), so each object is watched by name. Nodes of one
process share these watches (`ObjectWatches`), so that each object that all of them need is read once.
Source: kubelet `pkg/kubelet/util/manager/watch_based_manager.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import ConfigMap, Pod, Secret
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, SECRETS
from sampan.client.base import Client
from sampan.control.informer import Informer
from sampan.control.key import Key
from sampan.lib.clock import Identity
from sampan.node.volumes.payload import objects_of

Reference = tuple[str, str, str]  # plural, namespace, name


@dataclass
class _Watch:
    informer: Informer[Any]
    task: asyncio.Task[Any]
    users: dict[object, Callable[[], None]] = field(default_factory=dict)


class ObjectWatches:
    """A watch for each object while somebody needs it."""

    def __init__(self, client: Client, tasks: Tasks, *, clock: AsyncClock, identity: Identity) -> None:
        self._client, self._tasks, self._clock, self._identity = client, tasks, clock, identity
        self._watches: dict[Reference, _Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def hold(self, reference: Reference, user: object, changed: Callable[[], None]) -> None:
        """Watch the object for `user` until it drops it; `changed` is called whenever it is another one."""
        found = self._watches.get(reference)
        if found is None:
            found = self._watches[reference] = self._start(reference)
        found.users[user] = changed

    def drop(self, reference: Reference, user: object) -> None:
        """This user does not need it any more."""
        found = self._watches.get(reference)
        if found is None:
            return
        found.users.pop(user, None)
        if not found.users:
            del self._watches[reference]
            found.task.cancel()

    def get(self, reference: Reference) -> Any:
        """The object; None where there is none or it has not been read yet."""
        found = self._watches.get(reference)
        return None if found is None else found.informer.get(Key(reference[1], reference[2]))

    async def ready(self, reference: Reference) -> None:
        """Return when the object has been read once (it may be missing)."""
        if (found := self._watches.get(reference)) is not None:
            await found.informer.synced.wait()

    def _start(self, reference: Reference) -> _Watch:
        plural, namespace, name = reference
        resource: Resource[Any] = CONFIG_MAPS if plural == "configmaps" else SECRETS
        informer = Informer(self._client, resource, clock=self._clock, identity=self._identity, namespace=namespace,
                            fields=f"metadata.name={name}")
        informer.on_change(lambda _old, _new: self._tell(reference))
        return _Watch(informer, self._tasks.start(informer.run(), f"watch {plural} {namespace}/{name}", keep_going=True))

    def _tell(self, reference: Reference) -> None:
        if (found := self._watches.get(reference)) is not None:
            for changed in list(found.users.values()):
                changed()


class References:
    """Holds objects while pods need them and tells which pods a change concerns."""

    def __init__(self, watches: ObjectWatches, changed: Callable[[str], None]) -> None:
        """`changed` is called with the uid of each pod that refers to a changed object."""
        self._watches, self._changed = watches, changed
        self._held: dict[str, set[Reference]] = {}

    def hold(self, pod: Pod) -> None:
        """Watch what the pod refers to, until `release`."""
        uid, namespace = pod.metadata.uid, pod.metadata.namespace
        config_maps, secrets = objects_of(pod)
        wanted = {("configmaps", namespace, name) for name in config_maps} | {("secrets", namespace, name) for name in secrets}
        had = self._held.get(uid, set())
        self._held[uid] = wanted
        for reference in wanted - had:
            self._watches.hold(reference, uid, partial(self._changed, uid))
        for reference in had - wanted:
            self._watches.drop(reference, uid)

    def release(self, uid: str) -> None:
        """The pod is gone."""
        for reference in self._held.pop(uid, set()):
            self._watches.drop(reference, uid)

    async def ready(self, uid: str) -> None:
        """Return when everything the pod refers to has been read once (an object that is missing counts)."""
        for reference in self._held.get(uid, set()):
            await self._watches.ready(reference)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found: ConfigMap | None = self._watches.get(("configmaps", namespace, name))
        return found

    def secret(self, namespace: str, name: str) -> Secret | None:
        found: Secret | None = self._watches.get(("secrets", namespace, name))
        return found
