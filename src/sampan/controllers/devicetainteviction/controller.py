"""The control loop of pods on tainted devices, by pod."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import DeviceTaint, ResourceClaim, ResourceSlice
from sampan.api.resources import PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.devicetainteviction.decide import Device, cancelled, devices_of, evict, pod_leaves, taints_of


def by_pool(one: Any) -> Iterable[Hashable]:
    """Index: slices by driver and pool."""
    return ((one.spec.driver, one.spec.pool.name),)


def by_device(claim: Any) -> Iterable[Hashable]:
    """Index: claims by the devices that were allocated to them."""
    return devices_of(claim)


class DeviceTaintEvictionController(Controller):
    """Deletes pods that may not go on with their devices."""

    name = "device-taint-eviction-controller"

    def __init__(self, context: Context, *, workers: int = 10) -> None:
        super().__init__(context, workers=workers)
        self._pods, self._claims, self._slices = (self.informers.of(one) for one in (PODS, RESOURCE_CLAIMS, RESOURCE_SLICES))
        self._by_pool, self._by_device = self._slices.index(by_pool), self._claims.index(by_device)
        self._taints: dict[tuple[str, str], dict[str, list[DeviceTaint]]] = {}
        self._due: set[Key] = set()  # pods that wait for their time
        self.loop.wait_for(self._pods, self._claims, self._slices)
        self._pods.on_change(self._pod_changed)
        self._claims.on_change(self._claim_changed)
        self._slices.on_change(self._slice_changed)

    # what is heard

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or not new.spec.resourceClaims:
            return
        if old is None or (old.spec.nodeName, old.status.resourceClaimStatuses) != (new.spec.nodeName, new.status.resourceClaimStatuses):
            self.loop.enqueue(new)

    def _claim_changed(self, old: ResourceClaim | None, new: ResourceClaim | None) -> None:
        for claim in (old, new):
            if claim is not None and self._is_tainted(claim):
                self._enqueue_users(claim)

    def _is_tainted(self, claim: ResourceClaim) -> bool:
        """Pods of other claims need not be looked at, unless they wait for their time."""
        return any(device in self._taints.get((driver, pool), ()) for driver, pool, device in devices_of(claim)) or any(
            Key(claim.metadata.namespace, one.name) in self._due for one in claim.status.reservedFor)

    def _slice_changed(self, old: ResourceSlice | None, new: ResourceSlice | None) -> None:
        for pool in {(one.spec.driver, one.spec.pool.name) for one in (old, new) if one is not None}:
            before, after = self._taints.get(pool, {}), taints_of(self._by_pool.each(pool))
            if after:
                self._taints[pool] = after
            else:
                self._taints.pop(pool, None)
            for device in before.keys() | after.keys():
                if before.get(device) != after.get(device):
                    for claim in self._by_device.get((*pool, device)):
                        self._enqueue_users(claim)

    def _enqueue_users(self, claim: ResourceClaim) -> None:
        for one in claim.status.reservedFor:
            if not one.apiGroup and one.resource == "pods":
                self.loop.queue.add(Key(claim.metadata.namespace, one.name))

    # the work

    def _taints_of(self, device: Device) -> Sequence[DeviceTaint]:
        driver, pool, name = device
        return self._taints.get((driver, pool), {}).get(name, ())

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        pod = self._pods.get(key)
        if pod is None:
            self._due.discard(key)
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        due, now = pod_leaves(pod, lambda name: self._claims.get(Key(key.namespace, name)), self._taints_of), self.clock.now()
        if due is None:
            if key in self._due and pod.metadata.deletionTimestamp is None:
                self.writer.tell(cancelled(pod))
            self._due.discard(key)
            return DONE
        self._due.add(key)
        left = (due - now).total_seconds()
        if left > 0:
            return Result(left)
        await self.writer.do(key, evict(pod, now))
        self._due.discard(key)
        return DONE
