"""What a Job does next: which pods to make and to delete, and whether it is over. Pure.

`look` sorts out the pods and judges; `manage` plans pods. What is written down afterwards is `tracking`'s.
Source: kube-controller-manager `job/job_controller.go` (syncJob, manageJob).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from msgspec.structs import replace

from sampan.api.batch.v1 import Job, JobCondition
from sampan.api.core.v1 import Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod
from sampan.api.resources import JOBS, PODS
from sampan.api.scalars import Time
from sampan.control.pods import is_active, is_ready, is_terminal, is_terminating, pod_from_template
from sampan.controllers.job.pods import (
    INDEX,
    INDEX_FAILURES,
    INDEX_IGNORED_FAILURES,
    Record,
    all_failures_of_index,
    ended_at,
    failures_of_index,
    has_valid_index,
    index_of,
    is_failed,
    is_tracked,
    judge,
    least_useful_first,
    remaining_seconds,
    replaces_only_failed,
)
from sampan.kinds.batch import indexes
from sampan.kinds.batch.job import TRACKING_FINALIZER, is_indexed, is_suspended
from sampan.kinds.meta import condition
from sampan.kinds.plan import Create, Delete, Patch, Plan, Write

BURST = 500
LIMIT_REACHED = "Job has reached the specified backoff limit"
INTERIM = ("SuccessCriteriaMet", "FailureTarget")


@dataclass
class Look:
    """A Job and its pods at one moment, sorted out."""

    job: Job
    pods: Sequence[Pod]
    now: datetime
    record: Record
    started: Time | None = None  # since when it runs: now, if this is the first look at it
    active: list[Pod] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    done_indexes: set[int] = field(default_factory=set)
    failed_indexes: set[int] | None = None  # None: the Job has no limit per index
    held: dict[int, Pod] = field(default_factory=dict)  # failed pods that keep their index's failure count
    verdict: JobCondition | None = None  # SuccessCriteriaMet or FailureTarget
    is_new_verdict: bool = False

    @property
    def terminating(self) -> int:
        return sum(is_terminating(pod) and not is_terminal(pod) for pod in self.pods)

    @property
    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.active)


def has_limit_per_index(job: Job) -> bool:
    return job.spec.backoffLimitPerIndex is not None


def look(job: Job, pods: Sequence[Pod], record: Record, now: datetime) -> Look:
    """Count what has ended and judge.

    Args:
        job: As the server has it, not finished.
        pods: All that it owns, at least as new as what was last written for it.
        record: Failures remembered from earlier looks.
        now: The time.
    """
    state = Look(job, pods, now, record, job.status.startTime)
    if state.started is None and not is_suspended(job):
        state.started = Time.of(now)
    state.active = [pod for pod in pods if is_active(pod)]
    uncounted = job.status.uncountedTerminatedPods
    counted = ({*uncounted.succeeded}, {*uncounted.failed}) if uncounted else (set(), set())
    fresh = [pod for pod in pods if is_tracked(pod) and has_valid_index(job, pod)]
    succeeded = [pod for pod in fresh if pod.status.phase == "Succeeded" and pod.metadata.uid not in counted[0]]
    failed = [pod for pod in fresh if is_failed(job, pod) and pod.metadata.uid not in counted[1]]
    state.record = record.after(succeeded, failed)
    state.succeeded = job.status.succeeded + len(succeeded) + len(counted[0])
    state.failed = job.status.failed + sum(judge(job, pod).counts for pod in failed) + len(counted[1])
    if is_indexed(job):
        _look_at_indexes(state, succeeded, fresh)
    _judge(state)
    return state


def _look_at_indexes(state: Look, succeeded: Sequence[Pod], fresh: Sequence[Pod]) -> None:
    job, completions = state.job, state.job.spec.completions or 0
    known = indexes.each(indexes.parse(job.status.completedIndexes, completions))
    state.done_indexes = {*known, *(index for pod in succeeded if (index := index_of(pod)) is not None)}
    state.succeeded = len(state.done_indexes)
    if not has_limit_per_index(job):
        return
    limit = job.spec.backoffLimitPerIndex or 0
    state.failed_indexes = {*indexes.each(indexes.parse(job.status.failedIndexes or "", completions))}
    failed = [(index, pod) for pod in fresh if is_failed(job, pod) and (index := index_of(pod)) is not None]
    for index, pod in failed:
        verdict = judge(job, pod)
        if verdict.action == "FailIndex" or (verdict.counts and failures_of_index(pod) >= limit):
            state.failed_indexes.add(index)
    running = {index_of(pod) for pod in state.active}
    for index, pod in sorted(failed, key=lambda one: (all_failures_of_index(one[1]), ended_at(one[1]))):
        if index not in running and index not in state.done_indexes and index not in state.failed_indexes:
            state.held[index] = pod


# is it over?


def _judge(state: Look) -> None:
    job = state.job
    for type_ in INTERIM:
        found = condition(job.status.conditions, type_)
        if found is not None and found.status == "True":
            state.verdict = found
            return
    message = next((text for pod in state.pods if is_failed(job, pod) and (text := judge(job, pod).message)), "")
    if message:
        _fail(state, "PodFailurePolicy", message)
    elif state.failed > _limit(job) or _restarted_too_often(job, state.pods):
        _fail(state, "BackoffLimitExceeded", LIMIT_REACHED)
    elif (left := deadline_in(state)) is not None and left <= 0:
        _fail(state, "DeadlineExceeded", "Job was active longer than specified deadline")
    elif state.failed_indexes and job.spec.maxFailedIndexes is not None and \
            len(state.failed_indexes) > job.spec.maxFailedIndexes:
        _fail(state, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    elif state.failed_indexes and len(state.failed_indexes) + len(state.done_indexes) >= (job.spec.completions or 0):
        _fail(state, "FailedIndexes", "Job has failed indexes")
    elif (rule := _success_rule(state)) is not None:
        _decide(state, "SuccessCriteriaMet", "SuccessPolicy", f"Matched rules at index {rule}")


def is_complete(state: Look, active: int) -> bool:
    """Whether as many pods as wanted have succeeded, and none runs any more."""
    completions = state.job.spec.completions
    return active == 0 and (state.succeeded > 0 if completions is None else state.succeeded >= completions)


def complete(state: Look) -> None:
    """The Job has succeeded: note it."""
    _decide(state, "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")


def _fail(state: Look, reason: str, message: str) -> None:
    _decide(state, "FailureTarget", reason, message)


def _decide(state: Look, type_: str, reason: str, message: str) -> None:
    state.verdict = make(type_, "True", reason, message, state.now)
    state.is_new_verdict = True


def make(type_: str, status: str, reason: str, message: str, now: datetime) -> JobCondition:
    """A condition as of now."""
    return JobCondition(type=type_, status=status, reason=reason, message=message, lastProbeTime=Time.of(now),
                        lastTransitionTime=Time.of(now))


def _limit(job: Job) -> int:
    return job.spec.backoffLimit if job.spec.backoffLimit is not None else 6


def _restarted_too_often(job: Job, pods: Sequence[Pod]) -> bool:
    """Containers that restart in place count, too."""
    if job.spec.template.spec.restartPolicy != "OnFailure":
        return False
    running = [pod for pod in pods if pod.status.phase in ("Running", "Pending")]
    count = sum(status.restartCount for pod in running
                for status in (*pod.status.initContainerStatuses, *pod.status.containerStatuses))
    return count > 0 if _limit(job) == 0 else count >= _limit(job)


def deadline_in(state: Look) -> float | None:
    """Seconds until the Job has been active for too long; None: it has no deadline, or does not run."""
    job = state.job
    if job.spec.activeDeadlineSeconds is None or state.started is None or is_suspended(job):
        return None
    due = state.started.moment() + timedelta(seconds=job.spec.activeDeadlineSeconds)
    return (due - state.now).total_seconds()


def _success_rule(state: Look) -> int | None:
    policy, completions = state.job.spec.successPolicy, state.job.spec.completions or 0
    if not state.done_indexes:
        return None
    for number, rule in enumerate((policy.rules if policy else None) or ()):
        if rule.succeededIndexes is not None:
            named = indexes.parse(rule.succeededIndexes, completions)
            needed = rule.succeededCount if rule.succeededCount is not None else indexes.count(named)
            if indexes.among(named, state.done_indexes) >= needed:
                return number
        elif rule.succeededCount is not None and len(state.done_indexes) >= rule.succeededCount:
            return number
    return None


# pods


def manage(state: Look) -> Plan:
    """Which pods to make or to delete now, and when to look again if it is too early."""
    job, active = state.job, state.active
    if state.verdict is not None:
        return Plan(tuple(_deletion(pod) for pod in active))
    if is_suspended(job):
        return Plan(tuple(_removals(active)))
    parallelism = job.spec.parallelism if job.spec.parallelism is not None else 1
    if job.spec.completions is None:
        wanted = len(active) if state.succeeded > 0 else parallelism
    else:
        wanted = max(0, min(job.spec.completions - state.succeeded, parallelism))
    surplus = _surplus(state, max(0, len(active) - wanted))[:BURST]
    if surplus:
        return Plan(tuple(_removals(surplus)))
    missing = wanted - (state.terminating if replaces_only_failed(job) else 0) - len(active)
    if missing <= 0:
        return Plan()
    if not has_limit_per_index(job) and (wait := state.record.remaining_seconds(state.now)) > 0:
        return Plan(requeue_after_seconds=wait)
    return _creations(state, min(missing, BURST))


def _deletion(pod: Pod) -> Delete:
    return Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)


def _removals(pods: Sequence[Pod]) -> list[Write]:
    """Deletions of pods that shall not count: the finalizer goes first."""
    return [*(untrack(pod) for pod in pods if is_tracked(pod)), *map(_deletion, pods)]


def untrack(pod: Pod) -> Patch:
    """Take the tracking finalizer off a pod, whatever else has become of it."""
    meta = {"uid": pod.metadata.uid, "$deleteFromPrimitiveList/finalizers": [TRACKING_FINALIZER]}
    return Patch(PODS, pod.metadata.namespace, pod.metadata.name, {"metadata": meta}, strategic=True)


def _surplus(state: Look, least: int) -> list[Pod]:
    """Pods that are one too many: second pods of an index, indexes that are none, then the least useful."""
    extra: list[Pod] = []
    left = list(state.active)
    if is_indexed(state.job):
        extra, left = _duplicates(state)
    if len(extra) < least:
        extra += least_useful_first(left)[:least - len(extra)]
    return extra


def _duplicates(state: Look) -> tuple[list[Pod], list[Pod]]:
    by_index: dict[int | None, list[Pod]] = {}
    for pod in state.active:
        index = index_of(pod)
        by_index.setdefault(index if has_valid_index(state.job, pod) else None, []).append(pod)
    extra, left = by_index.pop(None, []), []
    for pods in by_index.values():
        ordered = least_useful_first(pods)
        extra += ordered[:-1]
        left.append(ordered[-1])
    return extra, left


def _creations(state: Look, missing: int) -> Plan:
    job = state.job
    if not is_indexed(job):
        pod = _pod(job)
        return Plan((Create(PODS, pod),) * missing)
    busy = {index_of(pod) for pod in state.active} | state.done_indexes | (state.failed_indexes or set())
    if replaces_only_failed(job):
        busy |= {index_of(pod) for pod in state.pods if is_terminating(pod) and not is_terminal(pod)}
    # not all of them are looked at: there may be two thousand million
    free = list(islice((index for index in range(job.spec.completions or 0) if index not in busy), missing))
    waits = {index: _wait(state, index) for index in free}
    ready = [index for index in free if waits[index] <= 0]
    if not ready and free:
        return Plan(requeue_after_seconds=min(waits.values()))
    return Plan(tuple(Create(PODS, _indexed(state, index)) for index in ready),
                min((wait for wait in waits.values() if wait > 0), default=None))


def _wait(state: Look, index: int) -> float:
    before = state.held.get(index)
    if before is None or not has_limit_per_index(state.job):
        return 0.0
    return remaining_seconds(all_failures_of_index(before) + 1, ended_at(before), state.now)


def _pod(job: Job) -> Pod:
    pod = pod_from_template(job.spec.template, JOBS, job)
    if TRACKING_FINALIZER not in pod.metadata.finalizers:
        pod.metadata.finalizers.append(TRACKING_FINALIZER)
    return pod


def _indexed(state: Look, index: int) -> Pod:
    job, pod = state.job, _pod(state.job)
    pod.metadata.generateName = f"{job.metadata.name[:63 - 5 - len(str(index)) - 2]}-{index}-"
    pod.metadata.labels[INDEX] = pod.metadata.annotations[INDEX] = str(index)
    pod.spec.hostname = f"{job.metadata.name}-{index}"
    reference = ObjectFieldSelector(fieldPath=f"metadata.labels['{INDEX}']")
    variable = EnvVar(name="JOB_COMPLETION_INDEX", valueFrom=EnvVarSource(fieldRef=reference))
    pod.spec.initContainers = [_with(one, variable) for one in pod.spec.initContainers]
    pod.spec.containers = [_with(one, variable) for one in pod.spec.containers or ()]
    if has_limit_per_index(job):
        _carry_failures(state, index, pod)
    return pod


def _with(container: Container, variable: EnvVar) -> Container:
    if any(one.name == variable.name for one in container.env):
        return container
    return replace(container, env=[*container.env, variable])


def _carry_failures(state: Look, index: int, pod: Pod) -> None:
    before = state.held.get(index)
    failures = failures_of_index(before) if before is not None else 0
    ignored = all_failures_of_index(before) - failures if before is not None else 0
    if before is not None and judge(state.job, before).counts:
        failures += 1
    elif before is not None:
        ignored += 1
    pod.metadata.annotations[INDEX_FAILURES] = str(failures)
    if ignored:
        pod.metadata.annotations[INDEX_IGNORED_FAILURES] = str(ignored)
