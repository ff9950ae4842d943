"""The control loop of EndpointSlices. Owns watching and lookups; decisions are in `decide`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Pod
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_label, by_map_selector, selected
from sampan.control.key import Key
from sampan.control.serving import TriggerTimes, has_endpoints, services_of
from sampan.controllers.endpointslice.decide import MANAGED_BY, MANAGER, MOST_ENDPOINTS, SERVICE_NAME, decide

BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS = 0.001, 1.0


def by_service(one: Any) -> Iterable[Hashable]:
    """Slices that this controller manages, by (namespace, name) of their Service."""
    labels = one.metadata.labels
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return ()
    return (Key(one.metadata.namespace, labels[SERVICE_NAME]),)


class EndpointSliceController(Controller):
    """Publishes where the pods of a Service can be reached."""

    name = "endpointslice-controller"
    component = "endpoint-slice-controller"

    def __init__(self, context: Context, *, workers: int = 5, most: int = MOST_ENDPOINTS) -> None:
        super().__init__(context, workers=workers)
        self._most = most
        self._services, pods = self.informers.of(SERVICES), self.informers.of(PODS)
        self._nodes, slices = self.informers.of(NODES), self.informers.of(ENDPOINT_SLICES)
        self._pods, self._slices = pods.index(by_label), slices.index(by_service)
        self._concerned = services_of(self._services.index(by_map_selector))
        self._size: dict[Key, int] = {}
        self._triggers = TriggerTimes()
        self.loop.watch(self._services)
        self.loop.watch(slices, self._service_of)
        self.loop.wait_for(pods, self._nodes)
        pods.on_change(self._pod_changed)

    @staticmethod
    def _service_of(one: EndpointSlice) -> list[Key]:
        return [Key(*key) for key in by_service(one)]  # type: ignore[misc]

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for key in self._concerned(old, new):
            # a Service of many pods is looked at less often: its cost grows with them
            self.loop.queue.add_after(key, min(self._size.get(key, 0) * BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS)
                                      if self._size.get(key, 0) > 100 else 0)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        service = self._services.get(key)
        if service is None:
            self.writer.forget(key)
            self._size.pop(key, None)
            self._triggers.forget(key)
            return DONE
        if not has_endpoints(service) or service.metadata.deletionTimestamp is not None or not self.writer.fresh(key):
            return DONE
        pods = selected(self._pods, key.namespace, service.spec.selector)
        self._size[key] = len(pods)
        names = {pod.spec.nodeName for pod in pods}
        nodes = {name: node for name in names if (node := self._nodes.get(Key("", name))) is not None}
        plan = decide(service, pods, nodes, self._slices.get(key), self._most, self._triggers.since_last(service, pods))
        await self.writer.do(key, plan)
        return Result(plan.requeue_after_seconds)
