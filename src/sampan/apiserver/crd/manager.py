"""`Definitions`: follows custom resource definitions and serves what they define.

Owns when a custom resource comes into the catalog and leaves it, the status of definitions, and that the objects of a
deleted definition are deleted before it. Leaves what the status says to `names`, and what is served to `serving`.
Source: apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `pkg/controller/{status,establish,finalizer}`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.each import each
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import ApiError, NotFound
from sampan.api.meta.v1 import DeleteOptions
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.crd import names, rules, serving
from sampan.apiserver.crd.names import Condition
from sampan.apiserver.crd.serving import Converter, RulesFor
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Caches, Entry, Watcher, WatchQuery
from sampan.kinds.apiextensions.custom_resource_definition import CLEANUP_FINALIZER, is_established
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

LOOPBACK = User("system:apiserver", groups=("system:masters", "system:authenticated"))
DELETIONS_AT_ONCE = 64
AGAIN = Backoff(0.05, 60.0)


@dataclass(frozen=True)
class _Known:
    """What is served of a definition, and of which state of it."""

    crd: CustomResourceDefinition
    served: tuple[Served, ...]

    def same(self, crd: CustomResourceDefinition) -> bool:
        """Whether nothing changed that what is served depends on."""
        was = self.crd
        return (was.metadata.uid == crd.metadata.uid and was.spec == crd.spec
                and was.status.acceptedNames == crd.status.acceptedNames and was.status.storedVersions == crd.status.storedVersions
                and bool(was.metadata.deletionTimestamp) == bool(crd.metadata.deletionTimestamp))


class Definitions:
    """`await start()` before requests come, then keep `run()` running."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, caches: Caches, clock: AsyncClock, *,
                 rules_for: RulesFor = rules.rules_for, converter_for: Callable[[CustomResourceDefinition], Converter | None] | None = None,
                 changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when what is served has changed."""
        self._registry, self._deleter, self._catalog, self._caches, self._clock = registry, deleter, catalog, caches, clock
        self._rules_for, self._converter_for, self._changed = rules_for, converter_for or (lambda _: None), changed
        self._served_as = catalog.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._built_in = {(one.resource.group, one.resource.plural) for one in catalog if one.custom is None}
        self._known: dict[str, _Known] = {}
        self._ending: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        self._tasks = Tasks()

    async def start(self) -> None:
        """Serve all that has been established before."""
        for crd in self._definitions():
            if is_established(crd):
                await self._serve(crd)

    async def run(self) -> None:
        """Work until cancelled."""
        async with self._tasks:
            while True:
                watcher = await self._cache.watch(WatchQuery())
                try:
                    gone = [name for name in self._known if self._cache.get("", name) is None]
                    await self._settle_all(gone)
                    await self._follow(watcher)
                except ApiError as error:
                    log.info("watching definitions again", extra={"why": error.message})
                finally:
                    watcher.close()
                await self._clock.sleep(AGAIN.first_seconds)

    # -- following ------------------------------------------------------------------------------------------------

    @property
    def _cache(self) -> Any:
        return self._caches.of(CUSTOM_RESOURCE_DEFINITIONS)

    def _definitions(self) -> list[CustomResourceDefinition]:
        return [entry.object for entry in self._cache.entries()]

    def _definition(self, name: str) -> CustomResourceDefinition | None:
        entry: Entry | None = self._cache.get("", name)
        return entry.object if entry is not None else None

    async def _follow(self, watcher: Watcher) -> None:
        while batch := await watcher.events():
            await self._settle_all(list(dict.fromkeys(entry.name for _, entry in batch)))

    async def _settle_all(self, changed: list[str]) -> None:
        for name in changed:
            await self._settle(name)
        groups = {name.partition(".")[2] for name in changed}
        # names that were given back may be what others of the group wait for
        for crd in self._definitions():
            if crd.spec.group in groups and crd.metadata.name not in changed and crd.spec.names != crd.status.acceptedNames:
                await self._settle(crd.metadata.name)

    async def _settle(self, name: str, failures: int = 0) -> None:
        try:
            async with self._one_at_a_time:
                await self._bring_about(name)
        except (ApiError, StoreError) as error:
            failures += 1
            log.warning("definition is not served yet", extra={"definition": name, "why": str(error), "failures": failures})
            self._tasks.start(self._settle_later(name, failures), f"definition {name}", keep_going=True)

    async def _settle_later(self, name: str, failures: int) -> None:
        await self._clock.sleep(AGAIN.delay_seconds(failures))
        await self._settle(name, failures)

    async def _bring_about(self, name: str) -> None:
        crd = self._definition(name)
        if crd is None:
            self._forget(name)
            return
        if crd.metadata.deletionTimestamp:
            self._end(crd)
        status = names.settled(crd, self._group(crd), self._registry.now())
        accepted = codec.clone(crd)
        accepted.status = status
        if is_established(accepted):
            await self._serve(accepted)
        if status != crd.status:
            await self._write_status(name, self._settle_status)

    def _group(self, crd: CustomResourceDefinition) -> list[CustomResourceDefinition]:
        return [one for one in self._definitions() if one.spec.group == crd.spec.group and one.metadata.name != crd.metadata.name]

    def _settle_status(self, crd: CustomResourceDefinition) -> None:
        crd.status = names.settled(crd, self._group(crd), self._registry.now())

    async def _write_status(self, name: str, change: Callable[[CustomResourceDefinition], None]) -> None:
        def produce(old: CustomResourceDefinition) -> CustomResourceDefinition:
            new = codec.clone(old)
            change(new)
            return new

        write = Write(LOOPBACK, subresource="status", manager="kube-apiserver")
        try:
            await self._registry.update(self._served_as, "", name, produce, write)
        except NotFound:
            log.debug("definition is gone", extra={"definition": name})

    # -- serving --------------------------------------------------------------------------------------------------

    def _overlaps(self, crd: CustomResourceDefinition) -> bool:
        return (crd.spec.group, crd.spec.names.plural) in self._built_in

    async def _serve(self, crd: CustomResourceDefinition) -> None:
        name = crd.metadata.name
        known = self._known.get(name)
        if self._overlaps(crd) or (known is not None and known.same(crd)):
            return
        served = tuple(serving.build(crd, self._rules_for, self._converter_for(crd)))
        if known is not None and known.served and (not served or served[0].stored != known.served[0].stored):
            self._forget(name)  # another storage version is kept in another cache
        elif known is not None:
            self._remove(known, keep=served)
        if served:
            await self._caches.load(served[0].stored)
        for one in served:
            self._catalog.add(one)
        self._known[name] = _Known(crd, served)
        self._changed()
        log.info("custom resource is served", extra={"definition": name, "versions": [one.resource.version for one in served]})

    def _remove(self, known: _Known, keep: tuple[Served, ...] = ()) -> None:
        kept = {one.resource.version for one in keep}
        for one in known.served:
            if one.resource.version not in kept:
                self._catalog.remove(one.resource.group, one.resource.version, one.resource.plural)

    def _forget(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is None:
            return
        self._remove(known)
        if known.served:
            self._caches.drop(known.served[0].stored)
        self._changed()
        log.info("custom resource is served no longer", extra={"definition": name})

    # -- ending ---------------------------------------------------------------------------------------------------

    def _end(self, crd: CustomResourceDefinition) -> None:
        """Delete its objects, then it; in a task of its own, since objects may have finalizers."""
        name = crd.metadata.name
        if name not in self._ending:
            self._ending.add(name)
            self._tasks.start(self._end_it(name), f"end of {name}", keep_going=True)

    async def _end_it(self, name: str) -> None:
        failures = 0
        try:
            while (crd := self._definition(name)) is not None and crd.metadata.deletionTimestamp:
                try:
                    await self._delete(crd)
                    return
                except (ApiError, StoreError) as error:
                    failures += 1
                    log.warning("definition is not deleted yet", extra={"definition": name, "why": str(error), "failures": failures})
                await self._clock.sleep(AGAIN.delay_seconds(failures))
        finally:
            self._ending.discard(name)

    async def _delete(self, crd: CustomResourceDefinition) -> None:
        name = crd.metadata.name
        if CLEANUP_FINALIZER in crd.metadata.finalizers:
            await self._write_status(name, lambda new: names.put(new.status, names.IN_PROGRESS, self._registry.now()))
            said = await self._delete_objects(crd)

            def finish(new: CustomResourceDefinition) -> None:
                new.metadata.finalizers = [one for one in new.metadata.finalizers if one != CLEANUP_FINALIZER]
                names.put(new.status, said, self._registry.now())

            crd = (await self._registry.adjust(self._served_as, "", name, finish)).object
        if not crd.metadata.finalizers:
            try:
                await self._deleter.delete(self._served_as, "", name, DeleteOptions(), Write(LOOPBACK))
            except NotFound:
                log.debug("definition is gone", extra={"definition": name})

    async def _delete_objects(self, crd: CustomResourceDefinition) -> Condition:
        if self._overlaps(crd):
            return names.OVERLAPPING
        if not is_established(crd):
            return names.NEVER_SERVED
        served = serving.as_stored(crd)
        await self._caches.load(served.stored)
        options, write = DeleteOptions(), Write(LOOPBACK)

        async def remove(entry: Entry) -> None:
            try:
                await self._deleter.delete(served, entry.namespace, entry.name, options, write)
            except NotFound:
                log.debug("object is gone", extra={"key": entry.key})

        try:
            await each(list(self._caches.of(served.stored).entries()), remove, DELETIONS_AT_ONCE)
        except ApiError as error:
            said = names.failed(error.message)
            await self._write_status(crd.metadata.name, lambda new: names.put(new.status, said, self._registry.now()))
            raise
        await self._until_empty(served.stored)
        return names.COMPLETED

    async def _until_empty(self, stored: Resource[Any]) -> None:
        while len(self._caches.of(stored)):
            watcher = await self._caches.of(stored).watch(WatchQuery())
            try:
                while len(self._caches.of(stored)) and await watcher.events():
                    pass
            finally:
                watcher.close()
            if len(self._caches.of(stored)):
                await self._clock.sleep(AGAIN.first_seconds)  # everything is being read anew
