"""The control loop of claims that grow."""

from __future__ import annotations

from sampan.api.core.v1 import PersistentVolumeClaim
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.key import Key
from sampan.controllers.expand.decide import decide, grew, is_theirs


class ExpandController(Controller):
    """Tells who enlarges volumes whose claims ask for more."""

    name = "persistentvolume-expander-controller"
    component = "volume_expand"

    def __init__(self, context: Context, *, workers: int = 10) -> None:
        super().__init__(context, workers=workers)
        self._claims, self._volumes = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PERSISTENT_VOLUMES)
        self.loop.wait_for(self._claims, self._volumes)
        self._claims.on_change(self._claim_changed)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is not None and new.status.phase == "Bound" and (old is None or grew(old, new)):
            self.loop.enqueue(new)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        claim = self._claims.get(key)
        if claim is None:
            self.writer.forget(key)
        if claim is None or not self.writer.fresh(key) or not claim.spec.volumeName:
            return DONE
        volume = self._volumes.get(Key("", claim.spec.volumeName))
        if volume is None:
            volume = await self.client.get(PERSISTENT_VOLUMES, claim.spec.volumeName)
        if not is_theirs(claim, volume):
            raise Postponed(f"persistent Volume is not bound to PVC being updated : {key}")
        await self.writer.do(key, decide(claim, volume))
        return DONE
