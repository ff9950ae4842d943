"""The control loop of Jobs. Owns watching, claiming pods and what is remembered between looks; decisions are pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.api.batch.v1 import Job
from sampan.api.core.v1 import Pod
from sampan.api.errors import Conflict, NotFound, namespace_ends
from sampan.api.resources import JOBS, PODS
from sampan.api.selectors import format_selector, of_label_selector
from sampan.client.base import STRATEGIC_PATCH
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, ControlLoop, Result
from sampan.control.indexes import by_selector
from sampan.control.key import Key, controller_of, key_of, revision_of
from sampan.control.ownership import owner_keys
from sampan.control.podevents import pod_event
from sampan.control.pods import is_ready, is_terminal, is_terminating
from sampan.control.queue import WorkQueue
from sampan.control.writer import Outcome
from sampan.controllers.job.decide import Look, complete, deadline_in, is_complete, look, manage, untrack
from sampan.controllers.job.pods import Record, is_tracked
from sampan.controllers.job.tracking import After, strays, track
from sampan.kinds.batch.job import TRACKING_FINALIZER, is_finished, is_ours
from sampan.kinds.plan import Create, Delete, Patch, Plan


def tracked_by_job(pod: Any) -> Iterable[Hashable]:
    """Pods with the tracking finalizer by the key of their Job."""
    ref = controller_of(pod) if is_tracked(pod) else None
    return (Key(pod.metadata.namespace, ref.name),) if ref is not None and (ref.kind, ref.apiVersion) == ("Job", "batch/v1") else ()


def _matches(job: Job, labels: Mapping[str, str]) -> bool:
    return of_label_selector(job.spec.selector).matches(labels)


@dataclass(frozen=True)
class _Known:
    """What is remembered of a Job: its failures, and the version that was written here last."""

    uid: str
    record: Record = field(default_factory=Record)
    version: str = ""


class JobController(Controller):
    """Runs Jobs to their end."""

    name = "job-controller"
    backoff = Backoff(first_seconds=1.0, most_seconds=60.0)  # a pod whose creation was not answered is likely to be known by then

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._jobs, self._pods = self.informers.of(JOBS), self.informers.of(PODS)
        self._tracked = self._pods.index(tracked_by_job)
        self._known: dict[Key, _Known] = {}
        keys = owner_keys(JOBS, self._jobs, self._jobs.index(by_selector), _matches)
        self._claiming = Claiming(self.client, self.writer, JOBS, self._pods, TRACKING_FINALIZER)
        self._orphans = ControlLoop("job-orphan-pods", self._let_go, context.clock, workers=1, wait_for=[self._pods],
                                    queue=WorkQueue(context.clock, backoff=self.backoff))
        self.beside.append(self._orphans)
        self.loop.watch(self._jobs)
        self.loop.watch(self._pods, lambda pod: [*keys(pod), *(Key(*key) for key in tracked_by_job(pod))])  # type: ignore[misc]
        self._pods.on_change(self._look_for_orphans)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        job = self._jobs.get(key)
        await self.writer.catch_up(key)
        if not self.writer.fresh(key):
            return DONE
        await self._tidy(key, job)
        if job is None or is_finished(job) or not is_ours(job):
            return DONE
        known = self._known.get(key)
        known = known if known is not None and known.uid == job.metadata.uid else _Known(job.metadata.uid)
        pods = await self._claiming.hold(key, job, of_label_selector(job.spec.selector).matches)
        if known.version != job.metadata.resourceVersion:
            pods = await self._as_new_as(job, pods)
        state = look(job, pods, known.record, self.clock.now())
        leaving = job.metadata.deletionTimestamp is not None
        plan = manage(state) if state.verdict is not None or not leaving else Plan()
        outcome = await self._manage(key, job, plan)
        after = _after(state, outcome, managed=not leaving)
        if state.verdict is None and is_complete(state, after.active):
            complete(state)
        elif state.verdict is not None and len(outcome.done) < len(plan.writes):
            # some still run: nothing is told of an end that all pods have not been brought to; it is judged again
            state.verdict, state.is_new_verdict, after = None, False, replace(after, managed=False)
        await self._track(key, state, after)
        outcome.raise_first()
        waits = [wait for wait in (plan.requeue_after_seconds, deadline_in(state)) if wait is not None and wait > 0]
        return Result(min(waits, default=None))

    async def _track(self, key: Key, state: Look, after: After) -> None:
        """The status first, by compare and swap; only what it knows of loses its finalizer."""
        plan, free = track(state, after)
        written = (await self.writer.do(key, plan)).answers
        before = self._known.get(key)
        version = written[0].metadata.resourceVersion if written else before.version if before is not None else ""
        self._known[key] = _Known(state.job.metadata.uid, state.record, version)
        (await self._untrack(key, free)).raise_first()

    async def _as_new_as(self, job: Job, pods: list[Pod]) -> list[Pod]:
        """The pods, at least as new as a Job that somebody else wrote last.

        That may have been a controller before this one, whose writes arrive late: where the cache of pods is older than the Job it may
        show finalizers that are gone, of ends that are counted already. So the server is asked, if there are ends to count.
        """
        ended = any(is_tracked(pod) and (is_terminal(pod) or is_terminating(pod)) for pod in pods)
        if not ended or self._pods.revision >= revision_of(job):
            return pods
        page = await self.client.list(PODS, job.metadata.namespace, labels=format_selector(job.spec.selector))
        live = {pod.metadata.uid: pod for pod in page.items}
        return [live[pod.metadata.uid] for pod in pods if pod.metadata.uid in live]

    async def _untrack(self, key: Key, pods: Sequence[Pod]) -> Outcome:
        """Take finalizers off; a pod that is gone, or another one by now, has none any more."""
        outcome = await self.writer.apply(key, Plan(tuple(untrack(pod) for pod in pods)))
        outcome.failures = [(write, error) for write, error in outcome.failures if not isinstance(error, NotFound | Conflict)]
        return outcome

    async def _manage(self, key: Key, job: Job, plan: Plan) -> Outcome:
        """Do what was planned for pods. One that keeps its finalizer, since that could not be taken off, is not deleted: it would count as failed."""
        patches = tuple(write for write in plan.writes if isinstance(write, Patch))
        outcome = await self.writer.apply(key, Plan(patches))
        kept = {write.name for write in patches} - {write.name for write in outcome.done if isinstance(write, Patch)}
        rest = tuple(write for write in plan.writes if isinstance(write, Create) or (isinstance(write, Delete) and write.name not in kept))
        later = await self.writer.apply(key, Plan(rest), tell=lambda write, answer: pod_event(job, write, answer))
        failures = [(write, error) for write, error in outcome.failures + later.failures if not namespace_ends(error)]
        return Outcome(outcome.done + later.done, failures=failures)

    # pods that nobody counts any more

    async def _tidy(self, key: Key, job: Job | None) -> None:
        """No pod shall be held by a Job that is gone, over or another one."""
        if job is None or is_finished(job):
            self._known.pop(key, None)
        if job is None:
            self.writer.forget(key)
        left = strays(job, self._tracked.get(key))
        if left and (job is None or not is_finished(job)) and await self._lives(key, left):
            return
        (await self._untrack(key, left)).raise_first()

    async def _lives(self, key: Key, pods: Sequence[Pod]) -> bool:
        """Whether the server has the Job of these pods: the cache of Jobs may be older than that of pods."""
        try:
            live = await self.client.get(JOBS, key.name, key.namespace)
        except NotFound:
            return False
        return any((ref := controller_of(pod)) is not None and ref.uid == live.metadata.uid for pod in pods)

    def _look_for_orphans(self, _: Pod | None, new: Pod | None) -> None:
        if new is not None and is_tracked(new) and controller_of(new) is None:
            self._orphans.queue.add(key_of(new))

    async def _let_go(self, key: Key) -> Result:
        """A tracked pod without a managing owner: its finalizer goes. Who adopts it gives it another."""
        pod = self._pods.get(key)
        if pod is not None and is_tracked(pod) and controller_of(pod) is None:
            write = untrack(pod)
            try:
                # not the writer's: its memory is of Jobs, and a Job may have this pod's name
                await self.client.patch(PODS, write.name, write.namespace, write.patch, type=STRATEGIC_PATCH)
            except (NotFound, Conflict):
                return DONE  # it is gone, or another one
        return DONE


def _after(state: Look, outcome: Outcome, *, managed: bool) -> After:
    """How the Job stands after these writes."""
    gone = {write.name for write in outcome.done if isinstance(write, Delete)}
    created = sum(isinstance(write, Create) for write in outcome.done)
    ready = sum(is_ready(pod) for pod in state.active if pod.metadata.name not in gone)
    return After(len(state.active) + created - len(gone), ready, state.terminating + len(gone), managed)
