"""The control loop of EndpointSlices. Owns watching and lookups; decisions are in `decide`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.api.core.v1 import Node, Pod, Service
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.errors import Conflict, namespace_ends
from sampan.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.indexes import by_label, by_map_selector, selected
from sampan.control.key import Key, key_of
from sampan.control.serving import TriggerTimes, has_endpoints, services_of
from sampan.control.writer import Outcome
from sampan.controllers.endpointslice.decide import MANAGED_BY, MANAGER, MOST_ENDPOINTS, SERVICE_NAME, decide
from sampan.controllers.endpointslice.hints import ZONE, Topology, by_zone
from sampan.kinds.meta import is_true
from sampan.kinds.plan import Create, Delete, Update

BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS = 0.001, 1.0
SLICE_CHANGE_SECONDS = 1.0
ZONES, SLICE = Key("", ""), "/"  # no Service's keys: what is known of zones, and a slice by name


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
    backoff = Backoff(first_seconds=1.0, most_seconds=1000.0)

    def __init__(self, context: Context, *, workers: int = 5, most: int = MOST_ENDPOINTS) -> None:
        super().__init__(context, workers=workers)
        self._most = most
        self._services, pods = self.informers.of(SERVICES), self.informers.of(PODS)
        self._nodes, slices = self.informers.of(NODES), self.informers.of(ENDPOINT_SLICES)
        self._pods, self._slices = pods.index(by_label), slices.index(by_service)
        self._concerned = services_of(self._services.index(by_map_selector))
        self._size: dict[Key, int] = {}
        self._triggers, self._topology, self._zones_known = TriggerTimes(), Topology(), False
        self.loop.watch(self._services)
        self._slices_by_name = slices
        self._written: dict[Key, str] = {}  # the resource versions that this controller made
        self.loop.wait_for(pods, self._nodes, slices)
        slices.on_change(self._slice_changed)
        pods.on_change(self._pod_changed)
        self._nodes.on_change(self._node_changed)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        """Looked at a moment later: then it is known who changed it, and its Service may be gone, too."""
        concerned = {key for one in (old, new) if one is not None for key in by_service(one)}
        if new is not None and concerned and (old is None or list(by_service(old)) == list(by_service(new))):
            self.loop.queue.add_after(Key(new.metadata.namespace, SLICE + new.metadata.name), SLICE_CHANGE_SECONDS)
            return
        if new is None and old is not None:
            self._written.pop(key_of(old), None)
        for key in concerned:
            self.loop.queue.add_after(Key(*key), SLICE_CHANGE_SECONDS)  # type: ignore[misc]

    def _was_changed(self, key: Key) -> None:
        """Have the Service of a slice looked at if somebody else wrote the slice."""
        one = self._slices_by_name.get(Key(key.namespace, key.name.removeprefix(SLICE)))
        if one is not None and self._written.get(key_of(one)) != one.metadata.resourceVersion:
            for service in by_service(one):
                self.loop.queue.add(Key(*service))  # type: ignore[misc]

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for key in self._concerned(old, new):
            # a Service of many pods is looked at less often: its cost grows with them
            self.loop.queue.add_after(key, min(self._size.get(key, 0) * BATCH_SECONDS_PER_POD, MOST_BATCH_SECONDS)
                                      if self._size.get(key, 0) > 100 else 0)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if old is not None and new is not None and _zone_facts(old) == _zone_facts(new):
            return
        self._zones_known = False  # learnt again when somebody wants hints by zone
        if self._topology:
            self.loop.queue.add(ZONES)

    def _learn(self) -> None:
        if not self._zones_known:
            self._topology.learn(self._nodes.items())
            self._zones_known = True

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`; the key `ZONES` means that nodes changed, one that begins with `SLICE` that a slice did."""
        if key == ZONES:
            self._learn()
            for overloaded in self._topology.overloaded():
                self.loop.queue.add(overloaded)
            return DONE
        if key.name.startswith(SLICE):
            self._was_changed(key)
            return DONE
        service = self._services.get(key)
        if service is None:
            self.writer.forget(key)
            self._size.pop(key, None)
            self._triggers.forget(key)
            return DONE
        if not has_endpoints(service) or not self.writer.fresh(key):
            return DONE
        pods = selected(self._pods, key.namespace, service.spec.selector)
        self._size[key] = len(pods)
        names = {pod.spec.nodeName for pod in pods}
        nodes = {name: node for name in names if (node := self._nodes.get(Key("", name))) is not None}
        if by_zone(service.metadata.annotations):
            self._learn()
        trigger = self._triggers.since_last(service, pods)
        decision = decide(service, pods, nodes, self._slices.get(key), self._most, trigger, self._topology)
        outcome = await self.writer.apply(key, decision.plan)
        for answer in outcome.answers:
            self._written[key_of(answer)] = answer.metadata.resourceVersion
        self._finish(service, decision.missing, outcome)
        return DONE

    def _finish(self, service: Service, missing: Iterable[str], outcome: Outcome) -> None:
        """Tell what went wrong, and have it tried again.

        Raises:
            Postponed: Pods were left out for want of their nodes.
            ApiError: A write failed.
        """
        # slices of a namespace that ends are not made, which is as it should be
        outcome.failures = [(write, error) for write, error in outcome.failures if not namespace_ends(error)]
        where = f"{service.metadata.namespace}/{service.metadata.name}"
        errors = list(missing)
        for write, error in outcome.failures:
            assert isinstance(write, Create | Update | Delete)
            what = {Create: "create", Update: f"update {_name(write)}", Delete: f"delete {_name(write)}"}[type(write)]
            if not isinstance(error, Conflict):  # somebody was quicker: nobody needs to know
                errors.append(f"failed to {what} EndpointSlice for Service {where}: {error.message}")
        if errors:
            text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
            self.recorder.record(service, "Warning", "FailedToUpdateEndpointSlices", f"Error updating Endpoint Slices for Service {where}: {text}")
        outcome.raise_first()
        if errors:
            raise Postponed(errors[0])


def _name(write: Create | Update | Delete) -> str:
    return write.name if isinstance(write, Delete) else str(write.object.metadata.name)


def _zone_facts(node: Node) -> tuple[bool, str | None]:
    return is_true(node.status.conditions, "Ready"), node.metadata.labels.get(ZONE)
