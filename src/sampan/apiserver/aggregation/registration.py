"""The APIServices that the server itself keeps: one for every version that a custom resource has.

Owns those that carry the label `automanaged` with the value `true`; those of built-in groups are made once at the start,
and whatever has no such label is its maker's. Source: kubernetes `pkg/controlplane/controller/crdregistration`,
kube-aggregator `pkg/controllers/autoregister`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.apiregistration.v1 import APIService, APIServiceSpec
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta, Preconditions
from sampan.api.resources import API_SERVICES, CUSTOM_RESOURCE_DEFINITIONS
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.following import follow
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Caches
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

LABEL = "kube-aggregator.kubernetes.io/automanaged"
GROUP_PRIORITY, VERSION_PRIORITY = 1000, 100
LOOPBACK = User("system:apiserver", groups=("system:masters", "system:authenticated"))
AGAIN = Backoff(0.1, 30.0)


@dataclass(frozen=True)
class Changes:
    """What is to be done so that the wanted ones are there."""

    create: list[APIService] = field(default_factory=list)
    update: list[APIService] = field(default_factory=list)
    delete: list[APIService] = field(default_factory=list)


def wanted(definitions: Iterable[Any], built_in: frozenset[tuple[str, str]]) -> dict[str, APIService]:
    """By name; `built_in` are the (group, version) that are not a definition's to announce."""
    versions = {(one.spec.group, version.name) for one in definitions for version in one.spec.versions or () if version.served}
    return {f"{version}.{group}": _local(group, version) for group, version in sorted(versions - built_in)}


def _local(group: str, version: str) -> APIService:
    return APIService(metadata=ObjectMeta(name=f"{version}.{group}", labels={LABEL: "true"}),
                      spec=APIServiceSpec(group=group, version=version, groupPriorityMinimum=GROUP_PRIORITY, versionPriority=VERSION_PRIORITY))


def changes(want: Mapping[str, APIService], there: Mapping[str, APIService]) -> Changes:
    """What differs; of those that are there only the ones we keep are touched."""
    made = Changes()
    for name, service in want.items():
        current = there.get(name)
        if current is None:
            made.create.append(service)
        elif (current.metadata.labels or {}).get(LABEL) == "true" and current.spec != service.spec:
            fresh = codec.clone(current)
            fresh.spec = service.spec
            made.update.append(fresh)
    made.delete.extend(service for name, service in there.items()
                       if name not in want and (service.metadata.labels or {}).get(LABEL) == "true")
    return made


def _replaced_by(service: APIService) -> Callable[[Any], APIService]:
    return lambda _: codec.clone(service)


class Registration:
    """Keeps them, for as long as `run` does."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, caches: Caches, clock: AsyncClock) -> None:
        self._registry, self._deleter, self._caches, self._clock = registry, deleter, caches, clock
        self._served = catalog.of(API_SERVICES)
        self._built_in = frozenset((one.resource.group, one.resource.version) for one in catalog if one.custom is None)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        async with Tasks() as tasks:
            for resource in (CUSTOM_RESOURCE_DEFINITIONS, API_SERVICES):
                tasks.start(follow(self._caches, self._clock, resource, lambda _: self._changed.set(), again_seconds=AGAIN.first_seconds),
                            f"changes of {resource.plural}")
            while True:
                self._changed.clear()
                try:
                    await self._bring_about()
                except (ApiError, StoreError) as error:
                    failures += 1
                    log.warning("APIServices of custom resources are not kept", extra={"why": str(error), "failures": failures})
                    await self._clock.sleep(AGAIN.delay_seconds(failures))
                else:
                    failures = 0
                    await self._changed.wait()

    def _plan(self) -> Changes:
        definitions, services = ([entry.object for entry in self._caches.of(resource).entries()]
                                 for resource in (CUSTOM_RESOURCE_DEFINITIONS, API_SERVICES))
        return changes(wanted(definitions, self._built_in), {service.metadata.name: service for service in services})

    async def _bring_about(self) -> None:
        plan = self._plan()
        write = Write(LOOPBACK, manager="kube-apiserver")
        for service in plan.create:
            fresh = codec.clone(service)
            fresh.kind, fresh.apiVersion = API_SERVICES.kind, API_SERVICES.group_version
            try:
                await self._registry.create(self._served, "", fresh, write)
            except AlreadyExists:
                self._changed.set()  # another server was faster, and its may differ
        for service in plan.update:
            await self._registry.update(self._served, "", service.metadata.name, _replaced_by(service), write)
        for service in plan.delete:
            options = DeleteOptions(preconditions=Preconditions(uid=service.metadata.uid))
            try:
                await self._deleter.delete(self._served, "", service.metadata.name, options, write)
            except NotFound:
                log.debug("APIService is gone", extra={"apiservice": service.metadata.name})
