"""The control loop of Endpoints. Owns watching and lookups; decisions are in `decide`."""

from __future__ import annotations

from sampan.api.core.v1 import Endpoints, Pod
from sampan.api.errors import ApiError, Conflict, NotFound, namespace_ends
from sampan.api.resources import ENDPOINTS, PODS, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_label, by_map_selector, selected
from sampan.control.key import Key, key_of
from sampan.control.serving import TriggerTimes, has_endpoints, services_of
from sampan.controllers.endpoints.decide import decide
from sampan.kinds.plan import Create, Delete, Plan, Update

LEADER = "control-plane.alpha.kubernetes.io/leader"
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
        self._found: set[Key] = set()  # Endpoints that were there at the beginning, until they have been looked at
        self.loop.watch(self._services)
        self.loop.wait_for(pods, self._endpoints)
        self._endpoints.on_change(self._endpoints_changed)
        pods.on_change(self._pod_changed)

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        # what somebody writes into them stays until pods or the Service change
        if new is None and old is not None:
            self.loop.enqueue(old)

    async def run(self) -> None:
        """Work until cancelled; begin with what was left behind by Services that went unseen."""
        await self._services.synced.wait()
        await self._endpoints.synced.wait()
        for one in self._endpoints.items():
            if LEADER not in one.metadata.annotations:
                self._found.add(key_of(one))
                self.loop.enqueue(one)
        await super().run()

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
            # what was found at the beginning may be newer than what is known of Services
            if old is not None and not (key in self._found and await self._lives(key)):
                await self.writer.do(key, Plan((Delete(ENDPOINTS, key.namespace, key.name, old.metadata.uid),)))
            return DONE
        if not has_endpoints(service):
            self._found.discard(key)
            return DONE
        pods = selected(self._pods, key.namespace, service.spec.selector)
        self._size[key] = len(pods)
        self._found.discard(key)
        outcome = await self.writer.apply(key, decide(service, pods, old, self._triggers.since_last(service, pods)))
        # of a namespace that ends none are made, which is as it should be
        outcome.failures = [(write, error) for write, error in outcome.failures if not namespace_ends(error)]
        for write, error in outcome.failures:
            if isinstance(write, Create | Update) and not isinstance(error, Conflict):
                self.recorder.record(write.object, "Warning", *_failed(write, key, error))
        outcome.raise_first()
        return DONE

    async def _lives(self, key: Key) -> bool:
        """Whether the server has the Service, asked once."""
        try:
            await self.client.get(SERVICES, key.name, key.namespace)
        except NotFound:
            self._found.discard(key)
            return False
        self._found.discard(key)
        return True


def _failed(write: Create | Update, key: Key, error: ApiError) -> tuple[str, str]:
    """Reason and message of what is told of a write that was refused."""
    where = f"{key.namespace}/{key.name}: {error.message}"
    if isinstance(write, Create):
        return "FailedToCreateEndpoint", f"Failed to create endpoint for service {where}"
    return "FailedToUpdateEndpoint", f"Failed to update endpoint {where}"
