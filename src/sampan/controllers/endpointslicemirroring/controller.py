"""The control loop of mirrored Endpoints."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.api.errors import namespace_ends
from sampan.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.endpointslicemirroring.decide import MANAGED_BY, MANAGER, SERVICE_NAME, decide, is_mirrored
from sampan.kinds.plan import Delete, Plan


def by_service(one: Any) -> Iterable[Hashable]:
    """Slices that mirror, by (namespace, name) of their Service."""
    labels = one.metadata.labels
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return ()
    return (Key(one.metadata.namespace, labels[SERVICE_NAME]),)


class EndpointSliceMirroringController(Controller):
    """Copies Endpoints written by hand into EndpointSlices."""

    name = "endpointslice-mirroring-controller"
    component = "endpoint-slice-mirroring-controller"
    backoff = Backoff(first_seconds=1.0, most_seconds=100.0)

    def __init__(self, context: Context, *, workers: int = 5, most: int = 1000) -> None:
        super().__init__(context, workers=workers)
        self._most = most
        self._endpoints, self._services = self.informers.of(ENDPOINTS), self.informers.of(SERVICES)
        slices = self.informers.of(ENDPOINT_SLICES)
        self._slices = slices.index(by_service)
        self.loop.watch(self._endpoints)
        self.loop.watch(self._services)
        self.loop.watch(slices, lambda one: [Key(*key) for key in by_service(one)])  # type: ignore[misc]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        if not self.writer.fresh(key):
            return DONE
        endpoints, slices = self._endpoints.get(key), self._slices.get(key)
        if endpoints is not None and is_mirrored(endpoints, self._services.get(key)):
            outcome = await self.writer.apply(key, decide(endpoints, slices, self._most))
            # of a namespace that ends none are made, which is as it should be
            outcome.failures = [(write, error) for write, error in outcome.failures if not namespace_ends(error)]
            outcome.raise_first()
        elif slices:
            doomed = [Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, one.metadata.uid) for one in slices]
            await self.writer.do(key, Plan(tuple(doomed)))
        return DONE
