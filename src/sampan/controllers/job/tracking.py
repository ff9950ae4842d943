"""What is written down about a Job: every end counted exactly once, conditions, the end. Pure.

A pod's end goes through three writes: its uid into `uncountedTerminatedPods`, its finalizer off, the counter up and the
uid out. Whatever crashes in between, the next look goes on from there. Source: kube-controller-manager
`job/job_controller.go` (trackJobStatusAndRemoveFinalizers, enactJobFinished).
"""

from __future__ import annotations

from msgspec.structs import replace

from sampan.api.batch.v1 import Job, JobStatus, UncountedTerminatedPods
from sampan.api.core.v1 import Pod
from sampan.api.resources import JOBS
from sampan.api.scalars import Time
from sampan.controllers.job.decide import Look, make, untrack
from sampan.controllers.job.pods import has_valid_index, index_of, is_failed, is_tracked, judge
from sampan.kinds.batch import indexes
from sampan.kinds.batch.job import is_indexed, is_suspended
from sampan.kinds.meta import condition
from sampan.kinds.plan import EventRecord, Patch, Plan, Update

MOST_UNCOUNTED = 500


def track(state: Look, active: int, terminating: int, *, managed: bool) -> Plan:
    """The status write and the removal of finalizers that go with it.

    Args:
        state: The look that was decided on.
        active: Active pods after what was made and deleted.
        terminating: Those being deleted, likewise.
        managed: Whether pods were managed in this round: only then suspension is told.
    """
    job, events = state.job, list[EventRecord]()
    old = job.status
    status = replace(old, active=active, terminating=terminating, ready=min(state.ready, active),
                     conditions=list(old.conditions), uncountedTerminatedPods=_settled(state))
    if status.startTime is None and not is_suspended(job):
        status.startTime = Time.of(state.now)
    status.succeeded, status.failed = _counted(state)
    untracked = _count_ends(state, status)
    if is_indexed(job):
        _note_indexes(state, status)
    if state.verdict is not None and state.is_new_verdict:
        status.conditions = [*status.conditions, state.verdict]
    elif managed and state.verdict is None:
        _suspension(state, status, events)
    if not untracked and _is_over(state, status, terminating):
        _finish(state, status, events)
    patches: tuple[Patch, ...] = tuple(untrack(pod) for pod in untracked)
    if status == old:
        return Plan(patches, None, tuple(events))
    return Plan((Update(JOBS, replace(job, status=status), "status"), *patches), None, tuple(events))


def _uncounted(job: Job) -> UncountedTerminatedPods:
    return job.status.uncountedTerminatedPods or UncountedTerminatedPods()


def _free(state: Look) -> set[str]:
    """Uids of pods that still have the finalizer."""
    return {pod.metadata.uid for pod in state.pods if is_tracked(pod) and pod.metadata.uid not in state.removing}


def _settled(state: Look) -> UncountedTerminatedPods:
    """The uncounted ones without those whose finalizer is gone: they are counted now."""
    old, held = _uncounted(state.job), _free(state) | set(state.removing)
    return UncountedTerminatedPods(succeeded=[uid for uid in old.succeeded if uid in held],
                                   failed=[uid for uid in old.failed if uid in held])


def _counted(state: Look) -> tuple[int, int]:
    old, left = _uncounted(state.job), _settled(state)
    return (state.job.status.succeeded + len(old.succeeded) - len(left.succeeded),
            state.job.status.failed + len(old.failed) - len(left.failed))


def _count_ends(state: Look, status: JobStatus) -> list[Pod]:
    """Note ended pods in `status`; returns those whose finalizer may go."""
    job, uncounted, free = state.job, status.uncountedTerminatedPods, []
    assert uncounted is not None
    for pod in state.pods:
        uid = pod.metadata.uid
        if not is_tracked(pod) or uid in state.removing or not _may_go(state, pod):
            continue
        if len(uncounted.succeeded) + len(uncounted.failed) >= MOST_UNCOUNTED:
            break
        free.append(pod)
        if pod.status.phase == "Succeeded" and uid not in uncounted.failed:
            if not is_indexed(job) and uid not in uncounted.succeeded:
                uncounted.succeeded.append(uid)
        elif _counts_as_failed(state, pod) and uid not in uncounted.failed and has_valid_index(job, pod) \
                and judge(job, pod).counts:
            uncounted.failed.append(uid)
    return free


def _counts_as_failed(state: Look, pod: Pod) -> bool:
    if state.verdict is None:
        return is_failed(state.job, pod)
    # what is stopped because the Job has succeeded is no failure; what is stopped because it failed is one
    return state.verdict.type == "FailureTarget" or pod.status.phase == "Failed"


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


def _is_over(state: Look, status: JobStatus, terminating: int) -> bool:
    uncounted = status.uncountedTerminatedPods
    assert uncounted is not None
    # the verdict is written first, the end only in a later round, when no pod is left to count
    return state.verdict is not None and not state.is_new_verdict and not uncounted.succeeded and not uncounted.failed \
        and terminating == 0 and not state.removing


def _finish(state: Look, status: JobStatus, events: list[EventRecord]) -> None:
    verdict, now = state.verdict, state.now
    assert verdict is not None
    if verdict.type == "SuccessCriteriaMet":
        status.conditions = [*status.conditions, make("Complete", "True", verdict.reason, verdict.message, now)]
        status.completionTime = Time.of(now)
        events.append(EventRecord(state.job, "Normal", "Completed", "Job completed"))
    else:
        status.conditions = [*status.conditions, make("Failed", "True", verdict.reason, verdict.message, now)]
        events.append(EventRecord(state.job, "Warning", verdict.reason, verdict.message))


def leftovers(pods: list[Pod]) -> Plan:
    """Take the finalizer off pods whose Job is gone or over."""
    return Plan(tuple(untrack(pod) for pod in pods if is_tracked(pod)))


