"""The control loop of claims that grow."""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.errors import ApiError
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.key import Key
from sampan.controllers.expand import enlarge
from sampan.controllers.expand.decide import decide, grew, is_looked_at, is_theirs
from sampan.kinds.plan import EventRecord, Plan, Update


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
        if volume.spec.flexVolume is None:
            await self.writer.do(key, decide(claim, volume))
        elif is_looked_at(claim, volume):
            await self._enlarge(key, claim, volume)
        return DONE

    async def _enlarge(self, key: Key, claim: PersistentVolumeClaim, volume: PersistentVolume) -> None:
        """Do all but the node's part."""
        doing = "error updating pvc {} with resize in progress: {}"
        now, first = self.clock.now(), enlarge.first(claim, volume)
        if first is enlarge.Next.CLEAR:
            await self._write(key, enlarge.cleared(volume))
            return
        try:
            if first is enlarge.Next.BEGIN:
                claim = await self._write(key, enlarge.begun(claim, volume, now))
                doing = "error updating pv for pvc {}: {}"
                wanted = enlarge.size(claim, volume)
                volume = await self._write(key, enlarge.enlarged(volume, wanted))
                if volume.spec.volumeMode == "Block":
                    doing = "error marking pvc {} as resized: {}"
                    update, event = enlarge.finished(claim, wanted)
                    await self._write(key, update)
                    self.writer.tell(event)
                    return
            if first is not enlarge.Next.NOTHING:
                doing = "error marking pvc {} for node expansion: {}"
                claim = await self._write(key, enlarge.pending(claim, now))
                if (update_of := enlarge.remembered(claim, volume)) is not None:
                    await self._write(key, update_of)
        except ApiError as error:
            self.writer.tell(EventRecord(claim, "Warning", "VolumeResizeFailed", doing.format(key, error.message)))
            raise

    async def _write(self, key: Key, update: Update) -> Any:
        [answer] = (await self.writer.do(key, Plan((update,)))).answers
        return answer
