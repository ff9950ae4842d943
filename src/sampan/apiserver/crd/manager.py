"""`Definitions`: follows custom resource definitions and serves what they define.

Owns when a custom resource comes into the catalog and leaves it, and the status of definitions. Leaves what the status
says to `names`, what is served to `serving`, and how a definition goes away to `ending`.
Source: apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `pkg/controller/{status,establish}`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import ApiError, NotFound
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.crd import names, serving
from sampan.apiserver.crd.ending import AGAIN, LOOPBACK, Ending
from sampan.apiserver.crd.serving import Converter, RulesFor
from sampan.apiserver.crd.views import Convert, View
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.watchcache import Caches, Entry, Watcher, WatchQuery
from sampan.kinds.apiextensions import rules
from sampan.kinds.apiextensions.custom_resource_definition import is_established
from sampan.store.base import StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What is served of a definition, and of which state of it."""

    crd: CustomResourceDefinition
    served: tuple[Served, ...]
    stored: Resource[Any]

    def same(self, crd: CustomResourceDefinition) -> bool:
        """Whether nothing changed that what is served depends on."""
        was = self.crd
        return (was.metadata.uid == crd.metadata.uid and was.spec == crd.spec
                and was.status.acceptedNames == crd.status.acceptedNames and was.status.storedVersions == crd.status.storedVersions
                and bool(was.metadata.deletionTimestamp) == bool(crd.metadata.deletionTimestamp))


def _stored_alike(one: Resource[Any], other: Resource[Any]) -> bool:
    return (one.version, one.kind, one.namespaced) == (other.version, other.kind, other.namespaced)


class Definitions:
    """`await start()` before requests come, then keep `run()` running."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, caches: Caches, clock: AsyncClock, *,
                 rules_for: RulesFor = rules.rules_for, converter_for: Callable[[CustomResourceDefinition], Converter] | None = None,
                 changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when what is served has changed."""
        self._registry, self._catalog, self._caches, self._clock = registry, catalog, caches, clock
        self._rules_for, self._converter_for, self._changed = rules_for, converter_for, changed
        self._served_as = catalog.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._known: dict[str, _Known] = {}
        self._one_at_a_time = asyncio.Lock()
        self._tasks = Tasks()
        self._ending = Ending(registry, deleter, catalog, caches, clock, self._tasks)

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
            self._ending.begin(crd)
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

    async def _serve(self, crd: CustomResourceDefinition) -> None:
        name = crd.metadata.name
        known = self._known.get(name)
        if self._ending.overlaps(crd) or (known is not None and known.same(crd)):
            return
        converter = self._converter_for(crd) if self._converter_for is not None and serving.by_webhook(crd) else None
        served = tuple(serving.build(crd, self._rules_for, converter, self._view))
        stored = serving.as_stored(crd).stored
        if known is not None:
            self._remove(known, keep=served)
            if not _stored_alike(known.stored, stored):
                # all watches end; until the objects are read anew requests are told to come again
                self._caches.drop(known.stored)
        if served:
            await self._caches.load(stored)
        for one in served:
            if isinstance(one.view, View):
                self._caches.adopt(one.resource, one.view.cache)
            self._catalog.add(one)
        if known is not None:
            self._close_views(known)
        self._known[name] = _Known(crd, served, stored)
        self._changed()
        log.info("custom resource is served", extra={"definition": name, "versions": [one.resource.version for one in served]})

    def _view(self, resource: Resource[Any], outward: Convert, inward: Convert) -> View:
        return View(resource, self._caches.store, outward, inward)

    def _close_views(self, known: _Known) -> None:
        for one in known.served:
            if isinstance(one.view, View):
                self._caches.abandon(one.resource)
                self._tasks.start(one.view.close(), "view of a definition that has changed", keep_going=True)

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
        self._close_views(known)
        self._caches.drop(known.stored)
        self._changed()
        log.info("custom resource is served no longer", extra={"definition": name})
