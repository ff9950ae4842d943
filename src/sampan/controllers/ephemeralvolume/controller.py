"""The control loop of pods with ephemeral volumes. Their claims go with the pods: the garbage collector sees to that."""

from __future__ import annotations

from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.errors import ApiError
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.key import Key, key_of
from sampan.control.volumes import by_claim
from sampan.controllers.ephemeralvolume.decide import decide, has_ephemeral, problem
from sampan.kinds.plan import Create, EventRecord, Write


class EphemeralVolumeController(Controller):
    """Makes the claims of ephemeral volumes, and makes them again while the pod lives."""

    name = "ephemeral-volume-controller"
    component = "ephemeral_volume"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._pods, self._claims = self.informers.of(PODS), self.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._users = self._pods.index(by_claim)
        self.loop.wait_for(self._pods, self._claims)
        self._pods.on_change(self._pod_changed)
        self._claims.on_change(self._claim_changed)

    def _pod_changed(self, _: Pod | None, new: Pod | None) -> None:
        if new is not None and new.metadata.deletionTimestamp is None and has_ephemeral(new):
            self.loop.enqueue(new)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is None and old is not None:
            for pod in self._users.each(key_of(old)):
                self._pod_changed(None, pod)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        pod = self._pods.get(key)
        if pod is None:
            self.writer.forget(key)
        if pod is None or pod.metadata.deletionTimestamp is not None or not self.writer.fresh(key):
            return DONE
        plan = decide(pod, lambda name: self._claims.get(Key(key.namespace, name)))

        def tell(write: Write, answer: object) -> EventRecord | None:
            if not isinstance(answer, ApiError):
                return None
            assert isinstance(write, Create)
            name: str = write.object.metadata.name
            return problem(pod, name.removeprefix(f"{key.name}-"), f"create PVC {name}: {answer.message}")

        await self.writer.do(key, plan, tell=tell)
        if plan.events:
            raise Postponed(plan.events[0].message)
        return DONE
