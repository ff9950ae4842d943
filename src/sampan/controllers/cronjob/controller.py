"""The control loop of CronJobs. Owns watching, starting and the status write; decisions are in `decide`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from sampan.api.batch.v1 import CronJob, Job
from sampan.api.errors import AlreadyExists, ApiError, NotFound, namespace_ends
from sampan.api.resources import CRON_JOBS, JOBS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_controller
from sampan.control.key import Key, controller_of, key_of
from sampan.control.ownership import owner_keys
from sampan.controllers.cronjob.decide import Decision, decide, forgotten, surplus, until_new_schedule
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write


class CronJobController(Controller):
    """Starts Jobs when their time has come."""

    name = "cronjob-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._cron_jobs, self._jobs = self.informers.of(CRON_JOBS), self.informers.of(JOBS)
        self._owned = self._jobs.index(by_controller)
        self.loop.wait_for(self._cron_jobs)
        self._cron_jobs.on_change(self._changed)
        self.loop.watch(self._jobs, owner_keys(CRON_JOBS, self._cron_jobs, None, lambda *_: False))

    def _changed(self, old: CronJob | None, new: CronJob | None) -> None:
        """A new schedule counts from its next time on; everything else is looked at at once."""
        if old is None or new is None or _when(old) == _when(new):
            self.loop.enqueue(new or old)
            return
        try:
            self.loop.queue.add_after(key_of(new), until_new_schedule(new, self.clock.now()))
        except ValueError:
            self.recorder.record(new, "Warning", "UnParseableCronJobSchedule", f"unparseable schedule for cronjob: {new.spec.schedule}")

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._cron_jobs.get(key)
        if obj is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        jobs = self._owned.get(obj.metadata.uid)
        if forgotten(obj, jobs) and not await self._is_known(key, obj, forgotten(obj, jobs)):
            return DONE
        old = await self.writer.apply(key, Plan(tuple(surplus(obj, jobs))), tell=lambda write, answer: _tell(obj, write, answer))
        there = [ref.name for ref in obj.status.active if await self._is_there(Key(key.namespace, ref.name))]
        decision = decide(obj, jobs, there, self.clock.now(), cleaned={write.uid for write in old.done if isinstance(write, Delete)})
        for event in decision.events:
            self.writer.tell(event)
        outcome = await self.writer.apply(key, Plan(tuple(decision.deletes)), tell=lambda write, answer: _tell(obj, write, answer))
        outcome.raise_first()
        status = decision.status
        if decision.job is not None:
            job = await self._start(key, obj, decision)
            if job is not None:
                status = decision.started(job)
        if status != obj.status:
            await self.writer.do(key, Plan((Update(CRON_JOBS, replace(obj, status=status), "status"),)))
        return Result(decision.requeue_after_seconds)

    async def _is_known(self, key: Key, obj: CronJob, jobs: Sequence[Job]) -> bool:
        """Whether the server does not know more of these Jobs: a status whose answer was lost; the cache will have it soon."""
        try:
            live = await self.client.get(CRON_JOBS, key.name, key.namespace)
        except NotFound:
            return True
        if {job.metadata.uid for job in jobs}.isdisjoint(reference.uid for reference in live.status.active):
            return True
        self.writer.wrote(key, CRON_JOBS, live)
        return self.writer.fresh(key)

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
        return live if ref is not None and ref.uid == obj.metadata.uid else None


def _when(obj: CronJob) -> tuple[str, str | None]:
    return obj.spec.schedule, obj.spec.timeZone


def _tell(obj: CronJob, write: Write, answer: Any) -> EventRecord | None:
    failed = isinstance(answer, ApiError)
    if isinstance(write, Create):
        if isinstance(answer, AlreadyExists):
            return None
        if failed and namespace_ends(answer):
            return None
        if failed:
            return EventRecord(obj, "Warning", "FailedCreate", f"Error creating job: {answer.message}")
        return EventRecord(obj, "Normal", "SuccessfulCreate", f"Created job {answer.metadata.name}")
    if isinstance(write, Delete):
        if failed:
            return EventRecord(obj, "Warning", "FailedDelete", f"Deleted job: {answer.message}")
        return EventRecord(obj, "Normal", "SuccessfulDelete", f"Deleted job {write.name}")
    return None
