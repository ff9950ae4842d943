"""The control loop of Services of type LoadBalancer. Runs only where there is a provider, as upstream's only with a cloud.

Owns when a provider is asked, events and finalizers. Leaves balancers to a `BalancerProvider`: its conformance is that both
methods may be called again and again, with the same end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sampan.api.core.v1 import LoadBalancerIngress, Node, Service
from sampan.api.errors import Conflict, NotFound
from sampan.api.resources import NODES, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.control.writer import Outcome
from sampan.controllers.service.decide import (
    asked,
    eligible,
    hosts,
    needs_cleanup,
    protect,
    release,
    show,
    wants_balancer,
)
from sampan.kinds.plan import Plan
from sampan.lib.errors import SampanError

RETRY_SECONDS, MOST_RETRY_SECONDS = 5.0, 300.0
MOST_NAMES = 20  # of nodes, in an event
NO_NODES = ("UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer")


class BalancerProvider(Protocol):
    """Who makes load balancers. Failures are SampanErrors; the Service is asked for again later."""

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> Sequence[LoadBalancerIngress]:
        """Have a balancer of the Service's ports that leads to these nodes (or to pods); where it is reached."""
        ...

    async def delete(self, service: Service) -> None:
        """Have none."""
        ...


class Refused(SampanError):
    """The API server did not take a write; says which."""


class ServiceController(Controller):
    """Gives Services of type LoadBalancer what they ask for."""

    name = "service-lb-controller"
    component = "service-controller"

    def __init__(self, context: Context, provider: BalancerProvider, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._provider = provider
        self._services, self._nodes = self.informers.of(SERVICES), self.informers.of(NODES)
        self._failures: dict[Key, int] = {}
        self._changed: set[Key] = set()  # Services that changed since they were given what they ask for
        self._served: dict[Key, tuple[Service, dict[str, str]]] = {}  # those that were, with the nodes that were told
        self.loop.wait_for(self._nodes)
        self.loop.wait_for(self._services)
        self._services.on_change(self._service_changed)
        self._nodes.on_change(self._node_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if old is not None and new is not None and asked(old) == asked(new):
            return
        one = new or old
        if one is not None and (new is None or wants_balancer(one) or needs_cleanup(one)):
            self._changed.add(key_of(one))
            self.loop.enqueue(one)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if hosts(eligible([old] if old else ())) == hosts(eligible([new] if new else ())):
            return
        for service in self._services.items():
            if wants_balancer(service):
                self.loop.enqueue(service)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        service = self._services.get(key)
        if not self.writer.fresh(key):
            return DONE
        changed = key in self._changed or key not in self._served
        self._changed.discard(key)
        try:
            await self._sync(key, service, changed=changed)
        except SampanError as error:
            if changed:
                self._changed.add(key)
            return self._failed(key, service, error)
        self._failures.pop(key, None)
        return DONE

    async def _sync(self, key: Key, service: Service | None, *, changed: bool) -> None:
        former = self._served.get(key)
        if former is not None and (service is None or service.metadata.uid != former[0].metadata.uid):
            await self._give_up(former[0])  # it went without its finalizer
            del self._served[key]
        if service is None:
            self.writer.forget(key)
        elif needs_cleanup(service):
            await self._give_up(service)
            self._served.pop(key, None)
            released = await self._write(key, release(service), "remove load balancer cleanup finalizer")
            if service.metadata.deletionTimestamp is None:
                await self._write(key, show(released.answers[0], ()), "update load balancer status")
        elif wants_balancer(service) and service.metadata.deletionTimestamp is None:
            if former is None or changed:
                await self._ensure(key, service)
            else:
                await self._tell_nodes(key, service, former[1])

    async def _give_up(self, service: Service) -> None:
        self.recorder.record(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        await self._provider.delete(service)
        self.recorder.record(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")

    async def _ensure(self, key: Key, service: Service) -> None:
        self.recorder.record(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        first = await self._write(key, protect(service), "add load balancer cleanup finalizer")
        service = first.answers[0] if first.answers else service
        nodes = eligible(self._nodes.items())
        if not nodes:
            self.recorder.record(service, "Warning", *NO_NODES)
        ingress = await self._provider.ensure(service, nodes)
        self._served[key] = service, hosts(nodes)
        self.recorder.record(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        await self._write(key, show(service, ingress), "update load balancer status")

    async def _write(self, key: Key, plan: Plan, what: str) -> Outcome:
        """Apply a plan.

        Raises:
            Conflict: Somebody was quicker.
            NotFound: The Service is gone.
            Refused: It failed otherwise.
        """
        outcome = await self.writer.apply(key, plan)
        for _, error in outcome.failures:
            raise error if isinstance(error, Conflict | NotFound) else Refused(f"failed to {what}: {error.message}")
        return outcome

    async def _tell_nodes(self, key: Key, service: Service, told: dict[str, str]) -> None:
        """Its balancer has other nodes to send to."""
        nodes = eligible(self._nodes.items())
        if hosts(nodes) == told:
            return
        await self._provider.ensure(service, nodes)
        self._served[key] = service, hosts(nodes)
        if nodes:
            self.recorder.record(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts")
        else:
            self.recorder.record(service, "Warning", *NO_NODES)

    def _failed(self, key: Key, service: Service | None, error: SampanError) -> Result:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if isinstance(error, Conflict | NotFound):
            pass  # somebody was quicker: nobody needs to know
        elif service is None or (key in self._served and self._served[key][0].metadata.uid != service.metadata.uid):
            self.recorder.record(self._served[key][0], "Warning", "DeleteLoadBalancerFailed", f"Error deleting load balancer: {error.message}")
        elif not needs_cleanup(service) and key in self._served and key not in self._changed:
            names = sorted(hosts(eligible(self._nodes.items())))
            shown = [*names[:MOST_NAMES], f"<{len(names) - MOST_NAMES} more>"] if len(names) > MOST_NAMES else names
            self.recorder.record(service, "Warning", "UpdateLoadBalancerFailed", (
                f"Error updating load balancer with new hosts [{' '.join(shown)}] [node names limited, total number of nodes: {len(names)}], "
                f"error: {error.message}"))
        else:
            what = f"failed to {'delete' if needs_cleanup(service) else 'ensure'} load balancer: {error.message}"
            self.recorder.record(service, "Warning", "SyncLoadBalancerFailed",
                                 f"Error syncing load balancer: {error.message if isinstance(error, Refused) else what}")
        return Result(min(RETRY_SECONDS * 2 ** min(failures - 1, 10), MOST_RETRY_SECONDS))
