"""The control loop of CronJobs. Owns watching, starting and the status write; decisions are in `decide`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sampan.api.batch.v1 import CronJob, Job
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.resources import CRON_JOBS, JOBS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_controller
from sampan.control.key import Key, controller_of
from sampan.control.ownership import owner_keys
from sampan.controllers.cronjob.decide import Decision, decide
from sampan.kinds.batch.job import is_finished
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write


class CronJobController(Controller):
    """Starts Jobs when their time has come."""

    name = "cronjob-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._cron_jobs, self._jobs = self.informers.of(CRON_JOBS), self.informers.of(JOBS)
        self._owned = self._jobs.index(by_controller)
        self.loop.watch(self._cron_jobs)
        self.loop.watch(self._jobs, owner_keys(CRON_JOBS, self._cron_jobs, None, lambda *_: False))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._cron_jobs.get(key)
        if obj is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        jobs = self._owned.get(obj.metadata.uid)
        there = [ref.name for ref in obj.status.active if await self._is_there(Key(key.namespace, ref.name))]
        decision = decide(obj, jobs, there, self.clock.now())
        outcome = await self.writer.apply(key, Plan(tuple(decision.deletes), None, tuple(decision.events)),
                                          tell=lambda write, answer: _tell(obj, write, answer))
        outcome.raise_first()
        status = decision.status
        if decision.job is not None:
            job = await self._start(key, obj, decision)
            if job is not None:
                status = decision.started(job)
        if status != obj.status:
            await self.writer.do(key, Plan((Update(CRON_JOBS, replace(obj, status=status), "status"),)))
        return Result(decision.requeue_after_seconds)

    async def _is_there(self, key: Key) -> bool:
        """In the cache, or at the server: a Job may be younger than the cache."""
        if self._jobs.get(key) is not None:
            return True
        try:
            await self.client.get(JOBS, key.name, key.namespace)
        except NotFound:
            return False
        return True

    async def _start(self, key: Key, obj: CronJob, decision: Decision) -> Job | None:
        assert decision.job is not None
        outcome = await self.writer.apply(key, Plan((Create(JOBS, decision.job),)),
                                          tell=lambda write, answer: _tell(obj, write, answer))
        if not outcome.failures:
            return outcome.answers[0]  # type: ignore[no-any-return]
        error = outcome.failures[0][1]
        if not isinstance(error, AlreadyExists):
            raise error
        # it was made before the status could be written, or the name is another's
        live = await self.client.get(JOBS, decision.job.metadata.name, key.namespace)
        ref = controller_of(live)
        if ref is None or ref.uid != obj.metadata.uid or is_finished(live):
            return None
        return live


def _tell(obj: CronJob, write: Write, answer: Any) -> EventRecord | None:
    failed = isinstance(answer, ApiError)
    if isinstance(write, Create):
        if isinstance(answer, AlreadyExists):
            return None
        if failed:
            return EventRecord(obj, "Warning", "FailedCreate", f"Error creating job: {answer.message}")
        return EventRecord(obj, "Normal", "SuccessfulCreate", f"Created job {answer.metadata.name}")
    if isinstance(write, Delete):
        if failed:
            return EventRecord(obj, "Warning", "FailedDelete", f"Deleted job: {answer.message}")
        return EventRecord(obj, "Normal", "SuccessfulDelete", f"Deleted job {write.name}")
    return None
