"""What a CronJob does at a moment: start a Job or not, which old ones go, what its status says. Pure.

Leaves schedules to `sampan.kinds.batch.cron_job`. Source: kube-controller-manager `cronjob/cronjob_controllerv2.go`, `utils.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.batch.v1 import CronJob, CronJobStatus, Job
from sampan.api.core.v1 import ObjectReference
from sampan.api.goprint import quote
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CRON_JOBS, JOBS
from sampan.api.scalars import Time
from sampan.control.pods import owner_reference
from sampan.kinds.batch import cron_job, schedule
from sampan.kinds.batch.job import finished
from sampan.kinds.plan import Delete, EventRecord


@dataclass
class Decision:
    """What to do: delete what is replaced, then create `job` (for the time `at`), then write `status` if it changed."""

    cron_job: CronJob
    status: CronJobStatus
    deletes: list[Delete] = field(default_factory=list)
    job: Job | None = None
    at: datetime | None = None
    events: list[EventRecord] = field(default_factory=list)
    requeue_after_seconds: float | None = None

    def tell(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Add an event."""
        self.events.append(EventRecord(self.cron_job, kind, reason, message))

    def started(self, job: Job) -> CronJobStatus:
        """The status once the Job has been created."""
        meta = job.metadata
        reference = ObjectReference(kind="Job", apiVersion="batch/v1", namespace=meta.namespace, name=meta.name, uid=meta.uid,
                                    resourceVersion=meta.resourceVersion)
        assert self.at is not None
        return replace(self.status, active=[*self.status.active, reference], lastScheduleTime=Time.of(self.at))


def decide(obj: CronJob, jobs: Sequence[Job], there: Collection[str], now: datetime, *, cleaned: Collection[str] = ()) -> Decision:
    """Look at a CronJob.

    Args:
        obj: As the server has it.
        jobs: Those that it owned when its old ones were deleted.
        there: Names of Jobs in its `status.active` that exist, its own or not.
        now: The time.
        cleaned: Uids of those that were (`surplus`): of these nobody speaks, but their success is noted.
    """
    decision = Decision(obj, replace(obj.status, active=[reference for reference in obj.status.active if reference.uid not in cleaned]))
    _look_at_jobs(decision, jobs, there)
    if obj.metadata.deletionTimestamp is None:
        _schedule(decision, now)
    return decision


def forgotten(obj: CronJob, jobs: Sequence[Job]) -> list[Job]:
    """Jobs of its own that run, and are not in its status: as far as the cache knows."""
    listed = {reference.uid for reference in obj.status.active}
    return [job for job in jobs if job.metadata.uid not in listed and finished(job) is None]


def until_new_schedule(obj: CronJob, now: datetime) -> float:
    """Seconds until a CronJob whose schedule or zone has just been changed is looked at: its next time, whatever was missed.

    Raises:
        ValueError: The schedule can't be read.
    """
    try:
        zone = schedule.time_zone(obj.spec.timeZone) if obj.spec.timeZone is not None else None
    except ValueError:
        zone = None  # the look will tell
    following = cron_job.next_run(obj, schedule.parse(obj.spec.schedule, zone), now)
    return max(0.0, (following - now).total_seconds()) if following is not None else 0.0


def _look_at_jobs(decision: Decision, jobs: Sequence[Job], there: Collection[str]) -> None:
    status = decision.status
    listed = {reference.uid for reference in status.active}
    for job in jobs:
        end, name = finished(job), job.metadata.name
        if job.metadata.uid not in listed and end is None:
            decision.tell("Warning", "UnexpectedJob", f"Saw a job that the controller did not create or forgot: {name}")
        elif job.metadata.uid in listed and end is not None:
            status.active = [reference for reference in status.active if reference.uid != job.metadata.uid]
            decision.tell("Normal", "SawCompletedJob", f"Saw completed job: {name}, condition: {end.type}")
        completed = job.status.completionTime if end is not None and end.type == "Complete" else None
        if completed is not None and (status.lastSuccessfulTime is None or completed > status.lastSuccessfulTime):
            status.lastSuccessfulTime = completed
    own = {job.metadata.uid for job in jobs}
    for reference in list(status.active):
        if reference.uid not in own and reference.name not in there:
            decision.tell("Normal", "MissingJob", f"Active job went missing: {reference.name}")
            status.active.remove(reference)


def _schedule(decision: Decision, now: datetime) -> None:
    obj = decision.cron_job
    if obj.spec.timeZone is not None:
        try:
            schedule.time_zone(obj.spec.timeZone)
        except ValueError as error:
            decision.tell("Warning", "UnknownTimeZone", f'invalid timeZone: "{obj.spec.timeZone}": {error}')
            return
    if obj.spec.suspend:
        return
    if "TZ" in obj.spec.schedule:
        decision.tell("Warning", "UnsupportedSchedule", (
            f"CRON_TZ or TZ used in schedule {quote(obj.spec.schedule)} is not officially supported, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"))
    try:
        times = cron_job.schedule_of(obj)
    except ValueError as error:
        decision.tell("Warning", "UnparseableSchedule", f"unparseable schedule: {quote(obj.spec.schedule)} : {error}")
        return
    following = cron_job.next_run(obj, times, now)
    if following is None:
        # a 31st of February: upstream finds no time between two runs
        decision.tell("Warning", "InvalidSchedule",
                      f"invalid schedule: {obj.spec.schedule} : time difference between two schedules is less than 1 second")
        return
    decision.requeue_after_seconds = max(0.0, (following - now).total_seconds())
    due = cron_job.due(obj, times, now)
    if due.too_many:
        decision.tell("Warning", "TooManyMissedTimes", "too many missed start times. Set or decrease "
                      ".spec.startingDeadlineSeconds or check clock skew")
    if due.latest is not None:
        _start(decision, due.latest, now)


def _start(decision: Decision, at: datetime, now: datetime) -> None:
    obj, status = decision.cron_job, decision.status
    deadline = obj.spec.startingDeadlineSeconds
    if deadline is not None and at + timedelta(seconds=deadline) < now:
        text = at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        decision.tell("Warning", "MissSchedule", f"Missed scheduled time to start a job: {text}")
        return
    name = job_name(obj, at)
    if any(reference.name == name for reference in status.active) or obj.status.lastScheduleTime == Time.of(at):
        return
    if obj.spec.concurrencyPolicy == "Forbid" and status.active:
        decision.tell("Normal", "JobAlreadyActive",
                      "Not starting job because prior execution is running and concurrency policy is Forbid")
        return
    if obj.spec.concurrencyPolicy == "Replace":
        decision.deletes = [_deletion(obj, reference.name, reference.uid) for reference in status.active]
        status.active = []
    decision.job, decision.at = _job(obj, name, at), at


def job_name(obj: CronJob, at: datetime) -> str:
    """The name of the Job of a time: the same however often it is tried."""
    return f"{obj.metadata.name}-{int(at.timestamp()) // 60}"


def _job(obj: CronJob, name: str, at: datetime) -> Job:
    template = obj.spec.jobTemplate
    zone = schedule.time_zone(obj.spec.timeZone) if obj.spec.timeZone else UTC
    stamp = at.astimezone(zone).isoformat(timespec="seconds").replace("+00:00", "Z")
    meta = ObjectMeta(
        name=name, namespace=obj.metadata.namespace, labels=dict(template.metadata.labels),
        annotations={**template.metadata.annotations, cron_job.SCHEDULED_AT: stamp},
        ownerReferences=[owner_reference(CRON_JOBS, obj)])
    return Job(kind="Job", apiVersion="batch/v1", metadata=meta, spec=codec.clone(template.spec))


def _deletion(obj: CronJob, name: str, uid: str) -> Delete:
    return Delete(JOBS, obj.metadata.namespace, name, uid, propagation="Background")


def surplus(obj: CronJob, jobs: Sequence[Job]) -> list[Delete]:
    """Deletions of finished Jobs over the history's limits, the oldest first. Done before anything is decided."""
    spec, deletes = obj.spec, list[Delete]()
    for type_, limit in (("Complete", spec.successfulJobsHistoryLimit), ("Failed", spec.failedJobsHistoryLimit)):
        ended = [job for job in jobs if (end := finished(job)) is not None and end.type == type_]
        if limit is None or len(ended) <= limit:
            continue
        ended.sort(key=lambda job: (job.status.startTime is None, job.status.startTime or "", job.metadata.name))
        deletes += [_deletion(obj, job.metadata.name, job.metadata.uid) for job in ended[:len(ended) - limit]]
    return deletes
