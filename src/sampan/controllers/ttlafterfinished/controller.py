"""The control loop of finished Jobs with a time to live."""

from __future__ import annotations

from sampan.api.resources import JOBS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.ttlafterfinished.decide import decide, expires_in


class TtlAfterFinishedController(Controller):
    """Deletes Jobs when their time is over."""

    name = "ttl-after-finished-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._jobs = self.informers.of(JOBS)
        self.loop.watch(self._jobs, lambda job: [key_of(job)] if expires_in(job, self.clock.now()) is not None else [])

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        job = self._jobs.get(key)
        if job is None or not self.writer.fresh(key):
            return DONE
        if expires_in(job, self.clock.now()) == 0:
            # the time to live may have been made longer a moment ago
            job = await self.client.get(JOBS, key.name, key.namespace)
        plan = decide(job, self.clock.now())
        await self.writer.do(key, plan)
        return Result(plan.requeue_after_seconds)
