"""What is written down about a Job: every end counted exactly once, conditions, the end. Pure.

A pod's end goes through three writes: its uid into `uncountedTerminatedPods`, its finalizer off, the counter up and the
uid out. Whatever crashes in between, the next look goes on from there. Source: kube-controller-manager
`job/job_controller.go` (trackJobStatusAndRemoveFinalizers, enactJobFinished).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from sampan.api.batch.v1 import Job, JobStatus, UncountedTerminatedPods
from sampan.api.core.v1 import Pod
from sampan.api.resources import JOBS
from sampan.api.scalars import Time
from sampan.control.key import controller_of
from sampan.controllers.job.decide import Look, make
from sampan.controllers.job.pods import has_valid_index, index_of, is_failed, is_tracked, judge
from sampan.kinds.batch import indexes
from sampan.kinds.batch.job import is_finished, is_indexed, is_ours, is_suspended
from sampan.kinds.meta import condition
from sampan.kinds.plan import EventRecord, Plan, Update

MOST_UNCOUNTED = 500


@dataclass(frozen=True)
class After:
    """How a Job stands after what was done for its pods.

    Args:
        active: Active pods after what was made and deleted.
        ready: How many of them are ready.
        terminating: Those being deleted, likewise.
        managed: Whether pods were managed in this round: only then suspension is told.
    """

    active: int
    ready: int
    terminating: int
    managed: bool


def track(state: Look, after: After) -> tuple[Plan, list[Pod]]:
    """The status write with its events, and the pods that lose their finalizer once it is done.

    Nobody loses it whose end the status does not know: a status that could not be written ends the round.
    """
    job, events = state.job, list[EventRecord]()
    old = job.status
    status = replace(old, active=after.active, terminating=after.terminating, ready=after.ready, startTime=state.started,
                     conditions=list(old.conditions), uncountedTerminatedPods=_settled(state))
    status.succeeded, status.failed = _counted(state)
    free = _count_ends(state, status)
    if is_indexed(job):
        _note_indexes(state, status)
    if state.verdict is not None and state.is_new_verdict:
        status.conditions = [*status.conditions, state.verdict]
    elif after.managed and state.verdict is None:
        _suspension(state, status, events)
    if not free and _is_over(state, status):
        _finish(state, status, events)
    writes = (Update(JOBS, replace(job, status=status), "status"),) if status != old else ()
    return Plan(writes, None, tuple(events)), free


def _uncounted(job: Job) -> UncountedTerminatedPods:
    return job.status.uncountedTerminatedPods or UncountedTerminatedPods()


def _settled(state: Look) -> UncountedTerminatedPods:
    """The uncounted ones without those whose finalizer is gone: they are counted now."""
    old, held = _uncounted(state.job), {pod.metadata.uid for pod in state.pods if is_tracked(pod)}
    return UncountedTerminatedPods(succeeded=[uid for uid in old.succeeded if uid in held],
                                   failed=[uid for uid in old.failed if uid in held])


def _counted(state: Look) -> tuple[int, int]:
    old, left = _uncounted(state.job), _settled(state)
    return (state.job.status.succeeded + len(old.succeeded) - len(left.succeeded),
            state.job.status.failed + len(old.failed) - len(left.failed))


def _count_ends(state: Look, status: JobStatus) -> list[Pod]:
    """Note ended pods in `status`; returns those whose finalizer may go, no more than one status can tell of."""
    job, uncounted = state.job, status.uncountedTerminatedPods
    assert uncounted is not None
    known = {*uncounted.succeeded, *uncounted.failed}
    pods = sorted(state.pods, key=lambda pod: -1 if (index := index_of(pod)) is None else index) if is_indexed(job) else state.pods
    free, noted = list[Pod](), len(known)
    for pod in pods:
        uid = pod.metadata.uid
        if not is_tracked(pod) or not _may_go(state, pod):
            continue
        free.append(pod)
        if pod.status.phase == "Succeeded" and uid not in uncounted.failed:
            if is_indexed(job):
                noted += has_valid_index(job, pod)
            elif uid not in known:
                uncounted.succeeded.append(uid)
                noted += 1
        elif _counts_as_failed(state, pod) and uid not in uncounted.failed and has_valid_index(job, pod) and judge(job, pod).counts:
            uncounted.failed.append(uid)
            noted += 1
        if noted >= MOST_UNCOUNTED:
            break
    return free


def _counts_as_failed(state: Look, pod: Pod) -> bool:
    """Where the Job fails, everything that has not ended well does."""
    return is_failed(state.job, pod) or (state.verdict is not None and state.verdict.type == "FailureTarget")


def _may_go(state: Look, pod: Pod) -> bool:
    if state.job.metadata.deletionTimestamp is not None or state.verdict is not None or pod.status.phase == "Succeeded":
        return True
    if not is_failed(state.job, pod):
        return False
    held = state.held.get(index) if (index := index_of(pod)) is not None else None
    return held is None or held.metadata.uid != pod.metadata.uid


def _note_indexes(state: Look, status: JobStatus) -> None:
    status.succeeded = len(state.done_indexes)
    status.completedIndexes = indexes.render(state.done_indexes)
    if state.failed_indexes is not None:
        status.failedIndexes = indexes.render(state.failed_indexes)


def _suspension(state: Look, status: JobStatus, events: list[EventRecord]) -> None:
    job, found = state.job, condition(status.conditions, "Suspended")
    suspended = is_suspended(job)
    if found is None and not suspended:
        return
    if found is not None and (found.status == "True") == suspended:
        return
    word = "suspended" if suspended else "resumed"
    new = make("Suspended", "True" if suspended else "False", f"Job{word.title()}", f"Job {word}", state.now)
    status.conditions = [new if one is found else one for one in status.conditions] + ([new] if found is None else [])
    status.startTime = None if suspended else Time.of(state.now)
    events.append(EventRecord(job, "Normal", word.title(), f"Job {word}"))


def _is_over(state: Look, status: JobStatus) -> bool:
    uncounted = status.uncountedTerminatedPods
    assert uncounted is not None
    # the verdict is written first, the end only in a later round, when no pod is left to count
    return state.verdict is not None and not state.is_new_verdict and not uncounted.succeeded and not uncounted.failed \
        and status.terminating == 0


def _finish(state: Look, status: JobStatus, events: list[EventRecord]) -> None:
    verdict, now = state.verdict, state.now
    assert verdict is not None
    if verdict.type == "SuccessCriteriaMet":
        status.conditions = [*status.conditions, make("Complete", "True", verdict.reason, verdict.message, now)]
        status.completionTime = Time.of(now)
        completions = state.job.spec.completions
        if completions is not None and status.succeeded > completions:
            events.append(EventRecord(state.job, "Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached"))
        events.append(EventRecord(state.job, "Normal", "Completed", "Job completed"))
    else:
        status.conditions = [*status.conditions, make("Failed", "True", verdict.reason, verdict.message, now)]
        events.append(EventRecord(state.job, "Warning", verdict.reason, verdict.message))


def strays(job: Job | None, pods: Sequence[Pod]) -> list[Pod]:
    """Those of a Job's tracked pods, found by its name, that nobody counts any more: it is gone, another one or over."""
    if job is None:
        return [*pods]
    others = [pod for pod in pods if (ref := controller_of(pod)) is None or ref.uid != job.metadata.uid]
    return [*pods] if is_finished(job) and is_ours(job) else others


