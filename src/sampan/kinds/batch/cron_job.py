"""CronJob: Jobs at times of a schedule.

Leaves schedules to `sampan.kinds.batch.schedule`.
Source: kubernetes `pkg/apis/batch/{validation/validation.go,v1/defaults.go}`, `pkg/registry/batch/cronjob/strategy.go`,
`pkg/controller/cronjob/utils.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sampan.api import field, selectors
from sampan.api.batch.v1 import CronJob, CronJobSpec, CronJobStatus
from sampan.api.resources import CRON_JOBS
from sampan.kinds import checks, meta
from sampan.kinds.apps.workload import NAME_COLUMN, name_warnings
from sampan.kinds.batch import job
from sampan.kinds.batch import schedule as schedules
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import default_pod_template
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, container_images, container_names, since

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
CONCURRENCY = ("Allow", "Forbid", "Replace")
MANY_MISSED = 100
_ZONE_PART = re.compile(r"[A-Za-z0-9._+][A-Za-z0-9._+-]{0,13}")


@dataclass(frozen=True)
class Due:
    """What a look at the clock found: the latest time that passed, and how many passed since the last run."""

    latest: datetime | None
    missed: int = 0

    @property
    def too_many(self) -> bool:
        """Worth a warning: clocks or deadlines are wrong."""
        return self.missed > MANY_MISSED


def schedule_of(obj: CronJob) -> schedules.Schedule:
    """The parsed schedule in the CronJob's time zone.

    Raises:
        ValueError: The schedule or the zone can't be read (stored before it became invalid).
    """
    zone = schedules.time_zone(obj.spec.timeZone) if obj.spec.timeZone is not None else None
    return schedules.parse(obj.spec.schedule, zone)


def due(obj: CronJob, schedule: schedules.Schedule, now: datetime, *, within_deadline: bool = True) -> Due:
    """The latest time at or before `now` that has not run yet (`mostRecentScheduleTime`).

    `within_deadline` leaves out times older than `startingDeadlineSeconds`.
    """
    earliest = _last_run(obj, now)
    deadline = obj.spec.startingDeadlineSeconds
    if within_deadline and deadline is not None:
        earliest = max(earliest, now - timedelta(seconds=min(deadline, 10**9)))
    first = schedule.next(earliest)
    if first is None or now < first:
        return Due(None)
    second = schedule.next(first)
    if second is None or now < second:
        return Due(first, 1)
    gap = max(1, round((second - first).total_seconds()))
    missed = int((now - first).total_seconds()) // gap + 1
    # one interval back from where even spacing would be: the library finds the rest, and `@every` keeps its phase
    latest, moment = None, schedule.next(first + timedelta(seconds=(missed - 2) * gap))
    while moment is not None and moment <= now:
        latest, moment = moment, schedule.next(moment)
    return Due(latest, missed)


def _last_run(obj: CronJob, now: datetime) -> datetime:
    last = obj.status.lastScheduleTime or obj.metadata.creationTimestamp
    return last.moment() if last is not None else now


def next_run(obj: CronJob, schedule: schedules.Schedule, now: datetime) -> datetime | None:
    """When to look again: the first time after `now`, counted from the last one so that `@every` keeps its phase."""
    latest = due(obj, schedule, now, within_deadline=False).latest
    if latest is None:
        return schedule.next(now) if not isinstance(schedule, schedules.Every) else schedule.next(_last_run(obj, now))
    return schedule.next(latest)


def default(obj: CronJob) -> None:
    spec = obj.spec
    default_pod_template(spec.jobTemplate.spec.template)
    job.default_failure_policy(spec.jobTemplate.spec)
    spec.concurrencyPolicy = spec.concurrencyPolicy or "Allow"
    if spec.suspend is None:
        spec.suspend = False
    if spec.successfulJobsHistoryLimit is None:
        spec.successfulJobsHistoryLimit = 3
    if spec.failedJobsHistoryLimit is None:
        spec.failedJobsHistoryLimit = 1


def prepare_create(obj: CronJob) -> None:
    obj.status = CronJobStatus()
    obj.metadata.generation = 1


def _validate(obj: CronJob, old: CronJobSpec | None) -> Findings:
    """Findings about the spec; a zone in the schedule or an unknown time zone that was there before may stay."""
    spec, template = obj.spec, obj.spec.jobTemplate.spec
    out = _schedule(spec, may_have_zone=old is not None and "TZ" in old.schedule)
    out += checks.nonnegative(spec.startingDeadlineSeconds, "spec.startingDeadlineSeconds")
    if old is None or old.timeZone != spec.timeZone:
        out += _time_zone(spec.timeZone, "spec.timeZone")
    if not spec.concurrencyPolicy:
        out.append(field.required("spec.concurrencyPolicy"))
    else:
        out += checks.one_of(spec.concurrencyPolicy, CONCURRENCY, "spec.concurrencyPolicy")
    out += job.validate_spec(template, "spec.jobTemplate.spec")
    if template.selector is not None:
        out.append(field.invalid("spec.jobTemplate.spec.selector", template.selector, "`selector` will be auto-generated"))
    if template.manualSelector:
        out.append(field.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    out += checks.all_nonnegative(spec, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    return out


def validate_create(obj: CronJob) -> Findings:
    """Jobs append eleven characters to the name."""
    out, name = _validate(obj, None), obj.metadata.name
    if len(name) > 52:
        out.append(field.invalid("metadata.name", name, "must be no more than 52 characters"))
    return out


def validate_update(new: CronJob, old: CronJob) -> Findings:
    return _validate(new, old.spec)


def _schedule(spec: CronJobSpec, *, may_have_zone: bool) -> Findings:
    at, text = "spec.schedule", spec.schedule
    if not text:
        return [field.required(at)]
    out: Findings = []
    try:
        schedules.parse(text)
    except ValueError as error:
        out.append(field.invalid(at, text, str(error)))
    if "TZ" in text:
        if not may_have_zone:
            out.append(field.invalid(at, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
        elif spec.timeZone is not None:
            out.append(field.invalid(at, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    return out


def _time_zone(zone: str | None, at: str) -> Findings:
    if zone is None:
        return []
    if not zone:
        return [field.invalid(at, zone, "timeZone must be nil or non-empty string")]
    if any(part in ("..", ".") or not _ZONE_PART.fullmatch(part) for part in zone.split("/")):
        return [field.invalid(at, zone, f"unknown time zone {zone}")]
    out: Findings = []
    if zone.lower() == "local":
        out.append(field.invalid(at, zone, "timeZone must be an explicit time zone as defined in "
                                           "https://www.iana.org/time-zones"))
    try:
        schedules.time_zone("" if zone == "Local" else zone)
    except ValueError as error:
        out.append(field.invalid(at, zone, str(error)))
    return out


def warnings(new: CronJob, old: CronJob | None) -> list[str]:
    """Those about the name when it is new, about the Jobs when the spec changed, and about a zone in the schedule."""
    out = name_warnings(new.metadata.name) if old is None else []
    if old is None or new.metadata.generation != old.metadata.generation:
        out += job.spec_warnings(new.spec.jobTemplate.spec, "spec.jobTemplate.spec", old.spec.jobTemplate.spec if old else None)
    if old is not None and "TZ" in new.spec.schedule:
        out.append("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
                   "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
    return out


def _flag(value: bool | None) -> str:
    return "<unset>" if value is None else "True" if value else "False"


def _last(obj: CronJob, now: datetime) -> str:
    last = obj.status.lastScheduleTime
    return "<none>" if last is None else since(last, now)


KIND: Kind[CronJob] = Kind(
    resource=CRON_JOBS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.change_spec,
    validate_create=validate_create,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec, metadata="none"),),
    columns=(
        NAME_COLUMN,
        Column("Schedule", lambda obj, _: obj.spec.schedule),
        Column("Timezone", lambda obj, _: obj.spec.timeZone or "<none>"),
        Column("Suspend", lambda obj, _: _flag(obj.spec.suspend), type="boolean"),
        Column("Active", lambda obj, _: len(obj.status.active), type="integer"),
        Column("Last Schedule", _last),
        Column("Age", age),
        Column("Containers", lambda obj, _: container_names(obj.spec.jobTemplate.spec.template.spec.containers), priority=1),
        Column("Images", lambda obj, _: container_images(obj.spec.jobTemplate.spec.template.spec.containers), priority=1),
        Column("Selector", lambda obj, _: selectors.format_column(obj.spec.jobTemplate.spec.selector), priority=1),
    ),
    warnings=warnings,
)
