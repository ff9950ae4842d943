"""The end of a definition: its objects are deleted first, then it.

Owns the condition Terminating and the finalizer that holds a definition until no object is left. Objects that have
finalizers are marked before the others are removed: what they wait for takes longest, and whoever sees an object gone
may rely on all others being on their way. Leaves serving to `manager`, which serves a definition for as long as it is there.
Source: apiextensions-apiserver `pkg/controller/finalizer/crd_finalizer.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.each import each
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.api.meta.v1 import DeleteOptions, Preconditions
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from sampan.apiserver import metadata
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.crd import names, serving
from sampan.apiserver.crd.names import Condition
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Caches, Entry, WatchQuery
from sampan.kinds.apiextensions.custom_resource_definition import CLEANUP_FINALIZER, is_established
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

LOOPBACK = User("system:apiserver", groups=("system:masters", "system:authenticated"))
DELETIONS_AT_ONCE = 64
AGAIN = Backoff(0.05, 60.0)
CHECK_SECONDS = 60.0
"""After so long without all objects being gone they are deleted once more."""


class _Unconfirmed(Exception):
    """Objects are still there."""


class Ending:
    """Ends definitions, each in a task of its own: objects may have finalizers."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, caches: Caches, clock: AsyncClock, tasks: Tasks) -> None:
        self._registry, self._deleter, self._caches, self._clock, self._tasks = registry, deleter, caches, clock, tasks
        self._served_as = catalog.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._built_in = {(one.resource.group, one.resource.plural) for one in catalog if one.custom is None}
        self._ending: set[str] = set()

    def overlaps(self, crd: CustomResourceDefinition) -> bool:
        """Whether its objects would be those of a built-in kind."""
        return (crd.spec.group, crd.spec.names.plural) in self._built_in

    def begin(self, crd: CustomResourceDefinition) -> None:
        """End this definition, unless that is under way."""
        uid = crd.metadata.uid
        if uid not in self._ending:
            self._ending.add(uid)
            self._tasks.start(self._end(crd.metadata.name, uid), f"end of {crd.metadata.name}", keep_going=True)

    def _definition(self, name: str, uid: str) -> CustomResourceDefinition | None:
        """It and no later one of the same name."""
        entry: Entry | None = self._caches.of(CUSTOM_RESOURCE_DEFINITIONS).get("", name)
        if entry is None or entry.object.metadata.uid != uid or not entry.object.metadata.deletionTimestamp:
            return None
        return entry.object  # type: ignore[no-any-return]

    async def _end(self, name: str, uid: str) -> None:
        failures = 0
        try:
            while (crd := self._definition(name, uid)) is not None:
                try:
                    await self._delete(crd)
                    return
                except (ApiError, StoreError, _Unconfirmed) as error:
                    failures += 1
                    log.warning("definition is not deleted yet", extra={"definition": name, "why": str(error), "failures": failures})
                await self._clock.sleep(AGAIN.delay_seconds(failures))
        finally:
            self._ending.discard(uid)

    async def _delete(self, crd: CustomResourceDefinition) -> None:
        name, uid = crd.metadata.name, crd.metadata.uid
        if CLEANUP_FINALIZER in crd.metadata.finalizers:
            await self._say(crd, names.IN_PROGRESS)
            said = await self._delete_objects(crd)

            def finish(new: CustomResourceDefinition) -> None:
                self._same(new, uid)
                new.metadata.finalizers = [one for one in new.metadata.finalizers if one != CLEANUP_FINALIZER]
                names.put(new.status, said, self._registry.now())

            crd = (await self._registry.adjust(self._served_as, "", name, finish)).object
        if not crd.metadata.finalizers:
            try:
                await self._deleter.delete(self._served_as, "", name, DeleteOptions(preconditions=Preconditions(uid=uid)), Write(LOOPBACK))
            except NotFound:
                log.debug("definition is gone", extra={"definition": name})

    async def _say(self, crd: CustomResourceDefinition, condition: Condition) -> None:
        """Write the condition."""

        def produce(old: CustomResourceDefinition) -> CustomResourceDefinition:
            self._same(old, crd.metadata.uid)
            new = codec.clone(old)
            names.put(new.status, condition, self._registry.now())
            return new

        write = Write(LOOPBACK, subresource="status", manager="kube-apiserver")
        await self._registry.update(self._served_as, "", crd.metadata.name, produce, write)

    @staticmethod
    def _same(crd: CustomResourceDefinition, uid: str) -> None:
        if crd.metadata.uid != uid:
            raise Conflict.of("customresourcedefinitions", "apiextensions.k8s.io", crd.metadata.name, "another one has its name")

    async def _delete_objects(self, crd: CustomResourceDefinition) -> Condition:
        if self.overlaps(crd):
            return names.OVERLAPPING
        if not is_established(crd):
            return names.NEVER_SERVED
        served = serving.as_stored(crd)
        await self._caches.load(served.stored)
        try:
            await self._delete_all(served, list(self._caches.of(served.stored).entries()))
        except ApiError as error:
            await self._say(crd, names.failed(error.message))
            raise
        gone = self._tasks.start(self._until_empty(served.stored), "objects are going", keep_going=True)
        late = self._tasks.start(self._clock.sleep(CHECK_SECONDS), "objects are late", keep_going=True)
        try:
            await asyncio.wait((gone, late), return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await self._say(crd, names.UNCONFIRMED)
                raise _Unconfirmed(names.UNCONFIRMED.message)
            await gone
        finally:
            gone.cancel()
            late.cancel()
        return names.COMPLETED

    async def _delete_all(self, served: Served, entries: Sequence[Entry]) -> None:
        options, write = DeleteOptions(), Write(LOOPBACK)

        async def remove(entry: Entry) -> None:
            try:
                await self._deleter.delete(served, entry.namespace, entry.name, options, write)
            except NotFound:
                log.debug("object is gone", extra={"key": entry.key})

        held: Callable[[Entry], bool] = lambda entry: bool(metadata.meta_of(entry.object).finalizers)  # noqa: E731 - used once, both ways
        await each([entry for entry in entries if held(entry)], remove, DELETIONS_AT_ONCE)
        await each([entry for entry in entries if not held(entry)], remove, DELETIONS_AT_ONCE)

    async def _until_empty(self, stored: Resource[object]) -> None:
        while len(self._caches.of(stored)):
            watcher = await self._caches.of(stored).watch(WatchQuery())
            try:
                while len(self._caches.of(stored)) and await watcher.events():
                    pass
            finally:
                watcher.close()
            if len(self._caches.of(stored)):
                await self._clock.sleep(AGAIN.first_seconds)  # everything is being read anew
