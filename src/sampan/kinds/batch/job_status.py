"""Validation of a Job's status: counts, conditions that exclude or need one another, ends that stay.

A rule about a field counts only in a write that changes the field, so that a status which broke it earlier, or which a
change of the spec made wrong, can still be written.
Source: kubernetes `pkg/apis/batch/validation/validation.go` (`ValidateJobUpdateStatus`),
`pkg/registry/batch/job/strategy.go` (`getStatusValidationOptions`).
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import field
from sampan.api.batch.v1 import Job, UncountedTerminatedPods
from sampan.api.scalars import Time
from sampan.kinds import checks, meta
from sampan.kinds.batch import indexes
from sampan.kinds.checks import Findings

_CONDITIONS = "status.conditions"


class _Status:
    """What the rules ask about one Job's status."""

    def __init__(self, job: Job) -> None:
        self.job, self.status = job, job.status
        conditions = job.status.conditions
        self.complete = meta.is_true(conditions, "Complete")
        self.failed = meta.is_true(conditions, "Failed")
        self.failing = meta.is_true(conditions, "FailureTarget")
        self.succeeded = meta.is_true(conditions, "SuccessCriteriaMet")
        self.finished = self.complete or self.failed

    def true(self, type: str) -> bool:
        return meta.is_true(self.status.conditions, type)

    @property
    def indexed(self) -> bool:
        return self.job.spec.completionMode == "Indexed"

    @property
    def uncounted(self) -> UncountedTerminatedPods:
        return self.status.uncountedTerminatedPods or UncountedTerminatedPods()


def _moment(time: Time | None) -> datetime | None:
    return None if time is None else time.moment()


def validate(new: Job, old: Job) -> Findings:
    """All findings about a change of the status."""
    now, was = _Status(new), _Status(old)
    out = checks.all_nonnegative(new.status, "status", "active", "succeeded", "failed", "ready", "terminating")
    out += _uncounted(now)
    out += _ends(now, was)
    out += _announced(now, was)
    out += _finished(now, was)
    out += _indexes(now, was)
    out += _pods(now, was)
    out += _success(now)
    return out + _steps(now, was)


def _uncounted(now: _Status) -> Findings:
    out: Findings = []
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for index, uid in enumerate(getattr(now.uncounted, kind)):
            at = f"status.uncountedTerminatedPods.{kind}[{index}]"
            if not uid:
                out.append(field.invalid(at, uid, "must not be empty"))
            elif uid in seen:
                out.append(field.duplicate(at, uid))
            seen.add(uid)
    return out


def _ends(now: _Status, was: _Status) -> Findings:
    """Complete excludes failure, and goes with a time of completion that is not before the start."""
    out: Findings = []
    completed = now.complete != was.complete
    start, end = _moment(now.status.startTime), _moment(now.status.completionTime)
    end_changed = end != _moment(was.status.completionTime)
    if (completed or now.failed != was.failed) and now.complete and now.failed:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot set Complete=True and Failed=true conditions"))
    if (completed or now.failing != was.failing) and now.complete and now.failing:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions"))
    at = "status.completionTime"
    if completed or end_changed:
        if end is not None and not now.complete:
            out.append(field.invalid(at, now.status.completionTime,
                                     "cannot set completionTime when there is no Complete=True condition"))
        if end is None and now.complete:
            out.append(field.required(at, "completionTime is required for Complete jobs"))
    if (end_changed or start != _moment(was.status.startTime)) and start is not None and end is not None and end < start:
        out.append(field.invalid(at, now.status.completionTime, "must be equal to or after `startTime`"))
    return out


def _announced(now: _Status, was: _Status) -> Findings:
    """Whatever ends a Job is told before it has ended. That failed indexes count for the first rule is upstream's."""
    out: Findings = []
    if (now.failed != was.failed or now.status.failedIndexes != was.status.failedIndexes) and now.failed and not now.failing:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot set Failed=True condition without the FailureTarget=true condition"))
    if (now.complete != was.complete or now.succeeded != was.succeeded) and now.complete and not now.succeeded:
        out.append(field.invalid_unshown(
            _CONDITIONS, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"))
    return out


def _finished(now: _Status, was: _Status) -> Findings:
    """A Job that ended has started, and has no pods that run or wait to be counted."""
    if not now.finished:
        return []
    out: Findings = []
    ended, status, spec = not was.finished, now.status, now.job.spec
    never_ran = spec.suspend is True and spec.completions == 0
    if (ended or status.active != was.status.active) and status.active > 0:
        out.append(field.invalid("status.active", status.active, "active>0 is invalid for finished job"))
    if (ended or was.status.startTime is not None) and status.startTime is None and not never_ran:
        out.append(field.required("status.startTime", "startTime is required for finished job"))
    waiting = now.uncounted
    if (ended or waiting != was.uncounted) and (waiting.failed or waiting.succeeded):
        shown = {"Succeeded": waiting.succeeded or None, "Failed": waiting.failed or None}
        out.append(field.invalid("status.uncountedTerminatedPods", shown,
                                 "must be empty for finished job"))
    return out


def _pods(now: _Status, was: _Status) -> Findings:
    """Pods that are going, and ready ones among those that run."""
    out: Findings = []
    status, before = now.status, was.status
    if (now.finished != was.finished or status.terminating != before.terminating) and now.finished and (status.terminating or 0) > 0:
        out.append(field.invalid("status.terminating", status.terminating, "terminating>0 is invalid for finished job"))
    if (status.ready != before.ready or status.active != before.active) and (status.ready or 0) > status.active:
        out.append(field.invalid("status.ready", status.ready, "cannot set more ready pods than active"))
    return out


def _indexes(now: _Status, was: _Status) -> Findings:
    """Sets of indexes that can be read, suit the Job and have nothing in common."""
    out: Findings = []
    spec, done, failed = now.job.spec, now.status.completedIndexes, now.status.failedIndexes
    done_changed, failed_changed = done != was.status.completedIndexes, failed != was.status.failedIndexes
    done_at, failed_at = "status.completedIndexes", "status.failedIndexes"
    if done_changed and spec.completions is not None:
        out += _readable(done, spec.completions, done_at)
    if failed_changed and spec.completions is not None and spec.backoffLimitPerIndex is not None and failed is not None:
        out += _readable(failed, spec.completions, failed_at)
    if done_changed and done and not now.indexed:
        out.append(field.invalid(done_at, done, "cannot set non-empty completedIndexes when non-indexed completion mode"))
    if failed_changed and failed is not None and spec.backoffLimitPerIndex is None:
        out.append(field.invalid(failed_at, failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"))
    if (done_changed or failed_changed) and spec.completions is not None and failed is not None:
        common = indexes.overlap(done, failed, spec.completions)
        if common is not None:
            out.append(field.invalid(failed_at, failed, f"failedIndexes and completedIndexes overlap at index: {common}"))
    return out


def _readable(text: str, completions: int, at: str) -> Findings:
    try:
        indexes.check(text, completions)
    except ValueError as error:
        return [field.invalid(at, text, f"error parsing {at.removeprefix('status.')}: {error}")]
    return []


def _success(now: _Status) -> Findings:
    """SuccessCriteriaMet excludes failure; with a success policy nothing completes without it."""
    out: Findings = []
    if now.succeeded and now.failed:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot set SuccessCriteriaMet=True and Failed=true conditions"))
    if now.succeeded and now.failing:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    if now.job.spec.successPolicy is not None and not now.succeeded and now.complete:
        out.append(field.invalid_unshown(
            _CONDITIONS, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"))
    return out


def _steps(now: _Status, was: _Status) -> Findings:
    """What may not be taken back: ends, counts, times."""
    out: Findings = []
    spec, status, before = now.job.spec, now.status, was.status
    for type in ("Failed", "Complete", "FailureTarget"):
        if was.true(type) and not now.true(type):
            out.append(field.invalid_unshown(_CONDITIONS, f"cannot disable the terminal {type}=True condition"))
    if status.failed < before.failed:
        out.append(field.invalid("status.failed", status.failed, "cannot decrease the failed counter"))
    elastic = now.indexed and spec.completions == spec.parallelism
    if not elastic and status.succeeded < before.succeeded:
        out.append(field.invalid("status.succeeded", status.succeeded, "cannot decrease the succeeded counter"))
    if None not in (status.completionTime, before.completionTime) and (
            _moment(status.completionTime) != _moment(before.completionTime)):
        out.append(field.invalid("status.completionTime", status.completionTime, field.IMMUTABLE))
    resuming = was.true("Suspended") and any(one.type == "Suspended" and one.status == "False" for one in status.conditions)
    if before.startTime is not None and _moment(status.startTime) != _moment(before.startTime) and not spec.suspend and not resuming:
        out.append(field.invalid("status.startTime", status.startTime, "field is immutable for unsuspended job once set"))
    if was.succeeded and not now.succeeded:
        out.append(field.invalid_unshown(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition"))
    if was.complete and not was.succeeded and now.succeeded:
        out.append(field.invalid_unshown(
            _CONDITIONS, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"))
    return out
