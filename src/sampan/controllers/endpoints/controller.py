"""The control loop of Endpoints. Owns watching and lookups; decisions are in `decide`."""

from __future__ import annotations

from sampan.api.core.v1 import Pod, Service
from sampan.api.resources import ENDPOINTS, PODS, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_label, by_map_selector, selected
from sampan.control.key import Key, key_of
from sampan.control.serving import TriggerTimes, has_endpoints, services_of
from sampan.controllers.endpoints.decide import MANAGED_BY, decide
from sampan.kinds.plan import Delete, Plan

BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS = 0.001, 1.0


class EndpointsController(Controller):
    """Publishes the pods of a Service in its Endpoints object."""

    name = "endpoints-controller"
    component = "endpoint-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._services, pods, self._endpoints = (self.informers.of(SERVICES), self.informers.of(PODS), self.informers.of(ENDPOINTS))
        self._pods = pods.index(by_label)
        self._concerned = services_of(self._services.index(by_map_selector))
        self._size: dict[Key, int] = {}
        self._triggers = TriggerTimes()
        self._ended: set[Key] = set()  # of these the object goes even if somebody else made it
        self._services.on_change(self._service_changed)
        self.loop.watch(self._services)
        self.loop.watch(self._endpoints)
        self.loop.wait_for(pods)
        pods.on_change(self._pod_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if new is not None:
            self._ended.discard(key_of(new))
        elif old is not None:
            self._ended.add(key_of(old))

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for key in self._concerned(old, new):
            size = self._size.get(key, 0)
            self.loop.queue.add_after(key, min(size * BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS) if size > 100 else 0)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        service, old = self._services.get(key), self._endpoints.get(key)
        if not self.writer.fresh(key):
            return DONE
        if service is None:
            self._size.pop(key, None)
            self._triggers.forget(key)
            if old is not None and (key in self._ended or MANAGED_BY in old.metadata.labels):
                await self.writer.do(key, Plan((Delete(ENDPOINTS, key.namespace, key.name, old.metadata.uid),)))
            self._ended.discard(key)
            return DONE
        if not has_endpoints(service):
            return DONE
        pods = selected(self._pods, key.namespace, service.spec.selector)
        self._size[key] = len(pods)
        await self.writer.do(key, decide(service, pods, old, self._triggers.since_last(service, pods)))
        return DONE
