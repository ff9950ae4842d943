"""The control loop of Jobs. Owns watching, claiming pods and what is remembered between looks; decisions are pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.api.batch.v1 import Job
from sampan.api.resources import JOBS, PODS
from sampan.api.selectors import of_label_selector
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_selector
from sampan.control.key import Key, controller_of
from sampan.control.ownership import owner_keys
from sampan.control.podevents import pod_event
from sampan.control.writer import Outcome
from sampan.controllers.job.decide import complete, deadline_in, is_complete, look, manage
from sampan.controllers.job.pods import Record, is_tracked
from sampan.controllers.job.tracking import leftovers, track
from sampan.kinds.batch.job import is_finished, is_ours
from sampan.kinds.plan import Create, Delete, Patch, Plan


def tracked_by_job(pod: Any) -> Iterable[Hashable]:
    """Pods with the tracking finalizer by the key of their Job."""
    ref = controller_of(pod) if is_tracked(pod) else None
    return (Key(pod.metadata.namespace, ref.name),) if ref is not None and ref.kind == "Job" else ()


def _matches(job: Job, labels: Mapping[str, str]) -> bool:
    return of_label_selector(job.spec.selector).matches(labels)


class JobController(Controller):
    """Runs Jobs to their end."""

    name = "job-controller"
    backoff = Backoff(first_seconds=1.0, most_seconds=60.0)  # a pod whose creation was not answered is likely to be known by then

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._jobs, pods = self.informers.of(JOBS), self.informers.of(PODS)
        self._tracked = pods.index(tracked_by_job)
        self._records: dict[Key, tuple[str, Record]] = {}
        keys = owner_keys(JOBS, self._jobs, self._jobs.index(by_selector), _matches)
        self._claiming = Claiming(self.client, self.writer, JOBS, pods)
        self.loop.watch(self._jobs)
        self.loop.watch(pods, lambda pod: [*keys(pod), *(Key(*key) for key in tracked_by_job(pod))])  # type: ignore[misc]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        job = self._jobs.get(key)
        if not self.writer.fresh(key):
            return DONE
        if job is None or is_finished(job):
            return await self._tidy(key, job)
        if not is_ours(job):
            return DONE
        pods = await self._claiming.hold(key, job, of_label_selector(job.spec.selector).matches)
        uid, record = self._records.get(key, ("", Record()))
        record = record if uid == job.metadata.uid else Record()
        state = look(job, pods, (), record, self.clock.now())
        plan, outcome = Plan(), Outcome()
        if job.metadata.deletionTimestamp is None:
            plan = manage(state)
            outcome = await self._manage(key, job, plan)
        created = sum(isinstance(write, Create) for write in outcome.done)
        deleted = sum(isinstance(write, Delete) for write in outcome.done)
        active = len(state.active) + created - deleted
        if state.verdict is None and job.metadata.deletionTimestamp is None and is_complete(state, active):
            complete(state)
        touched = {write.name for write in plan.writes if isinstance(write, Delete | Patch)}
        state.removing = {pod.metadata.uid for pod in pods if pod.metadata.name in touched}
        after = track(state, active, state.terminating + deleted, managed=job.metadata.deletionTimestamp is None)
        await self.writer.do(key, after)
        self._records[key] = (job.metadata.uid, state.record)
        outcome.raise_first()
        waits = [wait for wait in (plan.requeue_after_seconds, deadline_in(state)) if wait is not None and wait > 0]
        return Result(min(waits, default=None))

    async def _manage(self, key: Key, job: Job, plan: Plan) -> Outcome:
        """Do what was planned for pods. One that keeps its finalizer, since that could not be taken off, is not deleted: it would count as failed."""
        patches = tuple(write for write in plan.writes if isinstance(write, Patch))
        outcome = await self.writer.apply(key, Plan(patches))
        kept = {write.name for write in patches} - {write.name for write in outcome.done if isinstance(write, Patch)}
        rest = tuple(write for write in plan.writes if isinstance(write, Create) or (isinstance(write, Delete) and write.name not in kept))
        later = await self.writer.apply(key, Plan(rest), tell=lambda write, answer: pod_event(job, write, answer))
        return Outcome(outcome.done + later.done, failures=outcome.failures + later.failures)

    async def _tidy(self, key: Key, job: Job | None) -> Result:
        """No pod shall be held by a Job that is gone or over."""
        if job is None:
            self.writer.forget(key)
        self._records.pop(key, None)
        await self.writer.do(key, leftovers(self._tracked.get(key)))
        return DONE
