"""The control loop of Services of type LoadBalancer. Runs only where there is a provider, as upstream's only with a cloud.

Owns when a provider is asked, events and finalizers. Leaves balancers to a `BalancerProvider`: its conformance is that both
methods may be called again and again, with the same end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sampan.api.core.v1 import LoadBalancerIngress, Node, Service
from sampan.api.resources import NODES, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.service.decide import eligible, needs_cleanup, protect, release, show, wants_balancer
from sampan.lib.errors import SampanError

RETRY_SECONDS, MOST_RETRY_SECONDS = 5.0, 300.0


class BalancerProvider(Protocol):
    """Who makes load balancers. Failures are SampanErrors; the Service is asked for again later."""

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> Sequence[LoadBalancerIngress]:
        """Have a balancer of the Service's ports that leads to these nodes (or to pods); where it is reached."""
        ...

    async def delete(self, service: Service) -> None:
        """Have none."""
        ...


class ServiceController(Controller):
    """Gives Services of type LoadBalancer what they ask for."""

    name = "service-lb-controller"
    component = "service-controller"

    def __init__(self, context: Context, provider: BalancerProvider, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._provider = provider
        self._services, self._nodes = self.informers.of(SERVICES), self.informers.of(NODES)
        self._failures: dict[Key, int] = {}
        self.loop.wait_for(self._nodes)
        self.loop.wait_for(self._services)
        self._services.on_change(self._service_changed)
        self._nodes.on_change(self._node_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if old is not None and new is not None and _asked(old) == _asked(new):
            return  # a status that was written here
        one = new or old
        if one is not None and (new is None or wants_balancer(one) or needs_cleanup(one)):
            self.loop.enqueue(one)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if bool(eligible([old] if old else ())) == bool(eligible([new] if new else ())):
            return
        for service in self._services.items():
            if wants_balancer(service):
                self.loop.enqueue(service)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        service = self._services.get(key)
        if service is None:
            self._failures.pop(key, None)
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        try:
            if needs_cleanup(service):
                self.recorder.record(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
                await self._provider.delete(service)
                await self.writer.do(key, release(service))
                self.recorder.record(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
            elif wants_balancer(service) and service.metadata.deletionTimestamp is None:
                await self._ensure(key, service)
        except SampanError as error:
            return self._failed(key, service, error)
        self._failures.pop(key, None)
        return DONE

    async def _ensure(self, key: Key, service: Service) -> None:
        first = protect(service)
        if first.writes:
            await self.writer.do(key, first)  # its change comes back here
            return
        nodes = eligible(self._nodes.items())
        self.recorder.record(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        if not nodes:
            self.recorder.record(service, "Warning", "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer")
        ingress = await self._provider.ensure(service, nodes)
        await self.writer.do(key, show(service, ingress))
        self.recorder.record(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")

    def _failed(self, key: Key, service: Service, error: SampanError) -> Result:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        what = "delete" if needs_cleanup(service) else "ensure"
        self.recorder.record(service, "Warning", "SyncLoadBalancerFailed",
                             f"Error syncing load balancer: failed to {what} load balancer: {error.message}")
        return Result(min(RETRY_SECONDS * 2 ** (failures - 1), MOST_RETRY_SECONDS))


def _asked(service: Service) -> object:
    """What of a Service a balancer depends on."""
    meta = service.metadata
    return service.spec, meta.annotations, meta.finalizers, meta.deletionTimestamp
