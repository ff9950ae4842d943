"""The control loops of protected claims and protected volumes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.controllers.volumeprotection.decide import PVC_FINALIZER, claim, claims_of, is_used, volume


def by_claim(pod: Any) -> Iterable[Hashable]:
    """Pods by the keys of the claims that they use."""
    return [Key(pod.metadata.namespace, name) for name in claims_of(pod)]


class ClaimProtectionController(Controller):
    """Keeps claims as long as pods use them."""

    name = "persistentvolumeclaim-protection-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._claims, pods = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PODS)
        self._users = pods.index(by_claim)
        self.loop.watch(self._claims)
        self.loop.watch(pods, self._let_go)

    @staticmethod
    def _let_go(pod: Pod) -> list[Key]:
        return [Key(*key) for key in by_claim(pod)]  # type: ignore[misc]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._claims.get(key)
        if obj is None or not self.writer.fresh(key):
            return DONE
        used = is_used(self._users.get(key))
        if not used and obj.metadata.deletionTimestamp is not None and PVC_FINALIZER in obj.metadata.finalizers:
            used = await self._used_at_server(key, obj)
        await self.writer.do(key, claim(obj, used=used))
        return DONE

    async def _used_at_server(self, key: Key, _: PersistentVolumeClaim) -> bool:
        """Before a claim goes the server is asked: a pod may be younger than the cache."""
        pods = (await self.client.list(PODS, key.namespace)).items
        return is_used(pod for pod in pods if key.name in claims_of(pod))


class VolumeProtectionController(Controller):
    """Keeps volumes as long as they are bound."""

    name = "persistentvolume-protection-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._volumes = self.informers.of(PERSISTENT_VOLUMES)
        self.loop.watch(self._volumes)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._volumes.get(key)
        if obj is not None and self.writer.fresh(key):
            await self.writer.do(key, volume(obj))
        return DONE
