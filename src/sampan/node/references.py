"""The config maps and secrets that this node's pods refer to: one watch an object, shared by the pods that need it.

A node may read only what its pods refer to (the Node authorizer says so), so each object is watched by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


class References:
    """Holds objects while pods need them and tells which pods a change concerns."""

    def __init__(self, client: Client, tasks: Tasks, *, clock: AsyncClock, identity: Identity,
                 changed: Callable[[str], None]) -> None:
        self._client, self._tasks, self._clock, self._identity = client, tasks, clock, identity
        self._changed = changed  # called with the uid of each pod that refers to a changed object
        self._informers: dict[Reference, tuple[Informer[Any], asyncio.Task[Any]]] = {}
        self._users: dict[Reference, set[str]] = {}
        self._held: dict[str, set[Reference]] = {}

    def hold(self, pod: Pod) -> None:
        """Watch what the pod refers to, until `release`."""
        uid, namespace = pod.metadata.uid, pod.metadata.namespace
        config_maps, secrets = objects_of(pod)
        wanted = {("configmaps", namespace, name) for name in config_maps} | {("secrets", namespace, name) for name in secrets}
        had = self._held.get(uid, set())
        self._held[uid] = wanted
        for reference in wanted - had:
            self._users.setdefault(reference, set()).add(uid)
            if reference not in self._informers:
                self._watch(reference)
        for reference in had - wanted:
            self._drop(reference, uid)

    def release(self, uid: str) -> None:
        """The pod is gone."""
        for reference in self._held.pop(uid, set()):
            self._drop(reference, uid)

    async def ready(self, uid: str) -> None:
        """Return when everything the pod refers to has been read once (an object that is missing counts)."""
        for reference in self._held.get(uid, set()):
            if (found := self._informers.get(reference)) is not None:
                await found[0].synced.wait()

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found: ConfigMap | None = self._get(("configmaps", namespace, name))
        return found

    def secret(self, namespace: str, name: str) -> Secret | None:
        found: Secret | None = self._get(("secrets", namespace, name))
        return found

    def _get(self, reference: Reference) -> Any:
        found = self._informers.get(reference)
        return None if found is None else found[0].get(Key(reference[1], reference[2]))

    def _watch(self, reference: Reference) -> None:
        plural, namespace, name = reference
        resource: Resource[Any] = CONFIG_MAPS if plural == "configmaps" else SECRETS
        informer = Informer(self._client, resource, clock=self._clock, identity=self._identity, namespace=namespace,
                            fields=f"metadata.name={name}")
        informer.on_change(lambda _old, _new: self._tell(reference))
        task = self._tasks.start(informer.run(), f"watch {plural} {namespace}/{name}", keep_going=True)
        self._informers[reference] = (informer, task)

    def _tell(self, reference: Reference) -> None:
        for uid in self._users.get(reference, ()):
            self._changed(uid)

    def _drop(self, reference: Reference, uid: str) -> None:
        users = self._users.get(reference, set())
        users.discard(uid)
        if not users:
            self._users.pop(reference, None)
            if (found := self._informers.pop(reference, None)) is not None:
                found[1].cancel()
