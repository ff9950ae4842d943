"""The control loop of ServiceCIDRs; IPAddresses and overlapping ServiceCIDRs wake it."""

from __future__ import annotations

from sampan.api.errors import Conflict
from sampan.api.networking.v1 import IPAddress, ServiceCIDR
from sampan.api.resources import IP_ADDRESSES, SERVICE_CIDRS
from sampan.control.controller import Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.servicecidr.decide import decide, holding, overlapping
from sampan.kinds.plan import Update


class ServiceCidrController(Controller):
    """Protects ranges that addresses come from."""

    name = "service-cidr-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._cidrs, self._addresses = self.informers.of(SERVICE_CIDRS), self.informers.of(IP_ADDRESSES)
        self.loop.watch(self._cidrs, self._woken_by)
        self.loop.wait_for(self._addresses)
        self._addresses.on_change(self._address_changed)

    def _woken_by(self, cidr: ServiceCIDR) -> list[Key]:
        return [key_of(cidr), *(key_of(one) for one in overlapping(cidr, self._cidrs.items()))]

    def _address_changed(self, old: IPAddress | None, new: IPAddress | None) -> None:
        if old is not None and new is not None:
            return  # an address never moves
        for one in holding(old or new, self._cidrs.items()):  # type: ignore[arg-type]
            if one.metadata.deletionTimestamp is not None:
                self.loop.enqueue(one)

    async def reconcile(self, key: Key) -> Result | None:
        """See `Controller.reconcile`."""
        cidr = self._cidrs.get(key)
        if cidr is None:
            self.writer.forget(key)
            return None
        if not self.writer.fresh(key):
            return None
        plan = decide(cidr, self._cidrs.items(), self._addresses.items() if cidr.metadata.deletionTimestamp else (), self.clock.now())
        outcome = await self.writer.apply(key, plan)
        for write, error in outcome.failures:
            if isinstance(write, Update) and write.subresource and cidr.metadata.deletionTimestamp is None and not isinstance(error, Conflict):
                self.recorder.record(cidr, "Warning", "KubernetesServiceCIDRError", "The ServiceCIDR Status can not be set to Ready=True")
        outcome.raise_first()
        return Result(plan.requeue_after_seconds)
