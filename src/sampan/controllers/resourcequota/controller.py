"""The control loop of quotas. Owns which resources are watched: those that some quota counts."""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import ResourceQuota
from sampan.api.resourceinfo import Resource
from sampan.api.resources import EVENTS_EVENTS, RESOURCE_QUOTAS
from sampan.control.catalog import Catalog
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_namespace
from sampan.control.informer import Index, Informer
from sampan.control.key import Key, key_of
from sampan.controllers.resourcequota.decide import counts, decide, frees

ADDED_SECONDS = 5.0  # admission has charged what was added: looked at again only in case that was lost



class ResourceQuotaController(Controller):
    """Keeps quotas' usage true."""

    name = "resourcequota-controller"

    def __init__(self, context: Context, *, workers: int = 5, resync_seconds: float = 300.0) -> None:
        super().__init__(context, workers=workers)
        self._resync_seconds = resync_seconds
        self._quotas = self.informers.of(RESOURCE_QUOTAS)
        self._by_namespace = self._quotas.index(by_namespace)
        self._catalog = Catalog(self.informers)
        self._watched: dict[Resource[Any], tuple[Informer[Any], Index[Any]]] = {}
        self.loop.wait_for(self._catalog.definitions)
        self.loop.wait_for(self._quotas)
        self._quotas.on_change(self._quota_changed)
        self._catalog.on_change(self._resource_changed)

    def _quota_changed(self, old: ResourceQuota | None, new: ResourceQuota | None) -> None:
        # admission writes the usage before the object that it admits is there: counting then would take it back
        if old is None or new is None or old.spec != new.spec:
            self.loop.enqueue(old if new is None else new)

    def _resource_changed(self, old: Resource[Any] | None, new: Resource[Any] | None) -> None:
        """A custom resource went (and its informer with it), or came: quotas that count it are looked at."""
        if old is not None:
            self._watched.pop(old, None)
        if new is None:
            return
        for quota in self._quotas.items():
            if counts(quota, new):
                self.loop.enqueue(quota)

    def _resources(self, quota: ResourceQuota) -> list[Resource[Any]]:
        return [one for one in self._catalog.with_verbs("list", "watch", "create")
                if one.namespaced and one is not EVENTS_EVENTS and counts(quota, one)]

    def _watch(self, resource: Resource[Any]) -> tuple[Informer[Any], Index[Any]]:
        if resource not in self._watched:
            informer = self.informers.of(resource)
            self._watched[resource] = informer, informer.index(by_namespace)
            informer.on_change(lambda old, new: self._changed(resource, old, new))
        return self._watched[resource]

    def _changed(self, resource: Resource[Any], old: Any, new: Any) -> None:
        obj = old if new is None else new
        quotas = self._by_namespace.get(key_of(obj).namespace)
        if not quotas:
            return
        if frees(old, new):
            delay = 0.0
        elif old is None:
            delay = ADDED_SECONDS
        else:
            return
        for quota in quotas:
            if counts(quota, resource):
                self.loop.queue.add_after(key_of(quota), delay)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        quota = self._quotas.get(key)
        if quota is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        objects = {}
        for resource in self._resources(quota):
            informer, index = self._watch(resource)
            if not informer.synced.is_set():
                # not waited for here: a custom resource may never be listed, and must not hold up the other quotas
                informer.when(1, lambda: self.loop.queue.add(key))
                return Result(self._resync_seconds)
            objects[resource] = index.get(key.namespace)
        plan = decide(quota, objects, self.clock.now())
        await self.writer.do(key, plan)
        return Result(min(plan.requeue_after_seconds or self._resync_seconds, self._resync_seconds))
