"""CronJobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kinds.core.making import changed, created, findings
from sampan.api.resources import CRON_JOBS
from sampan.api.scalars import Time
from sampan.kinds.batch import cron_job

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
TEMPLATE = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}


def body(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "c"}, "spec": {"schedule": "*/10 * * * *", "jobTemplate": TEMPLATE, **spec}}


def test_nothing_is_due_before_the_first_time() -> None:
    job = created(CRON_JOBS, body())
    job.metadata.creationTimestamp = Time.of(NOW)
    assert cron_job.due(job, cron_job.schedule_of(job), NOW) == cron_job.Due(None)


def test_the_latest_of_several_missed_times_is_due() -> None:
    job = created(CRON_JOBS, body())
    job.status.lastScheduleTime = Time.of(NOW - timedelta(hours=1))
    found = cron_job.due(job, cron_job.schedule_of(job), NOW)
    assert found.latest == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert found.missed == 6
    assert not found.too_many


def test_more_than_a_hundred_missed_times_are_too_many() -> None:
    job = created(CRON_JOBS, body(schedule="* * * * *"))
    job.status.lastScheduleTime = Time.of(NOW - timedelta(days=30))
    found = cron_job.due(job, cron_job.schedule_of(job), NOW)
    assert found.latest == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert found.too_many


def test_a_deadline_leaves_out_what_is_too_late() -> None:
    job = created(CRON_JOBS, body(startingDeadlineSeconds=10))
    job.status.lastScheduleTime = Time.of(NOW - timedelta(hours=1))
    assert cron_job.due(job, cron_job.schedule_of(job), NOW).latest is None


def test_findings_about_schedule_zone_and_policy() -> None:
    assert findings(CRON_JOBS, body(schedule="TZ=UTC * * * * *", timeZone="", concurrencyPolicy="Maybe")) == [
        'spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
        'spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string',
        'spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"']


def test_a_name_leaves_room_for_those_of_jobs() -> None:
    long = body() | {"metadata": {"name": "c" * 53}}
    assert findings(CRON_JOBS, long) == [f'metadata.name: Invalid value: "{"c" * 53}": must be no more than 52 characters']


def test_a_changed_schedule_raises_the_generation() -> None:
    old = created(CRON_JOBS, body())
    new, wrong = changed(CRON_JOBS, old, {"spec": {"schedule": "@daily"}})
    assert (new.metadata.generation, wrong) == (2, [])


def test_a_zone_in_the_schedule_may_stay_but_not_come() -> None:
    plain, zoned = created(CRON_JOBS, body(schedule="* * * * *")), created(CRON_JOBS, body(schedule="TZ=UTC * * * * *"))
    at = 'spec.schedule: Invalid value: "TZ=UTC * * * * *": '
    assert changed(CRON_JOBS, zoned, {"spec": {"suspend": True}})[1] == []
    assert changed(CRON_JOBS, plain, {"spec": {"schedule": "TZ=UTC * * * * *"}})[1] == [
        f"{at}cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]
    assert changed(CRON_JOBS, zoned, {"spec": {"timeZone": "UTC"}})[1] == [
        f"{at}cannot use both timeZone field and TZ or CRON_TZ in schedule"]


def test_the_zone_of_the_machine_is_none_and_that_is_all() -> None:
    assert findings(CRON_JOBS, body(timeZone="Local")) == [
        'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones']


def test_limits_for_indexes_need_the_mode_also_where_nothing_fills_it_in() -> None:
    spec = {"spec": TEMPLATE["spec"] | {"backoffLimitPerIndex": 1}}
    assert findings(CRON_JOBS, body(jobTemplate=spec)) == [
        "spec.jobTemplate.spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]


def test_a_zone_in_the_schedule_is_warned_about_when_it_is_written_again() -> None:
    job = created(CRON_JOBS, body(schedule="TZ=UTC * * * * *"))
    assert cron_job.KIND.warnings(job, None) == []
    assert cron_job.KIND.warnings(job, job) == [
        "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"]


def test_a_time_zone_is_made_of_parts_that_can_be_file_names() -> None:
    for zone in ("Europe//Berlin", "-Europe/Berlin", "Europe/../UTC", "AVeryLongNameOfAZone", "/UTC"):
        assert findings(CRON_JOBS, body(timeZone=zone)) == [
            f'spec.timeZone: Invalid value: "{zone}": unknown time zone {zone}']
