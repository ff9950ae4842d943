"""CronJobs through days of virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import CRON_JOBS, EVENTS, JOBS
from sampan.controllers.cronjob.controller import CronJobController
from sampan.testing.datadriven import transcripts


def cron(schedule: str = "0 * * * *", **spec: Any) -> dict[str, Any]:
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1"}]}}}}
    return {"metadata": {"name": "c"}, "spec": {"schedule": schedule, "jobTemplate": template, **spec}}


def build(world: World) -> list[Any]:
    return [CronJobController(world.context)]


async def finish(world: World) -> None:
    for job in await world.all(JOBS):
        if not job.status.conditions:
            now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.patch(JOBS, job.metadata.name, {"status": {
                "startTime": now, "completionTime": now, "succeeded": 1, "uncountedTerminatedPods": {}, "conditions": [
                    {"type": name, "status": "True", "reason": "x", "lastProbeTime": now, "lastTransitionTime": now}
                    for name in ("SuccessCriteriaMet", "Complete")]}}, subresource="status")
    await world.settle()


async def hours(world: World, number: int) -> None:
    await world.settle()
    for _ in range(number):
        await world.clock.advance(3600)
        await world.settle()


def test_a_day_of_hours_makes_one_job_an_hour_and_keeps_three() -> None:
    async def scenario(world: World) -> None:
        await world.make(CRON_JOBS, cron())
        for _ in range(24):
            await hours(world, 1)
            await finish(world)
        assert len(await world.all(JOBS)) == 3
        status = (await world.get(CRON_JOBS, "c")).status
        assert (status.active, status.lastScheduleTime) == ([], "2026-01-02T00:00:00Z")
        events = await world.all(EVENTS)
        assert sum(event.count for event in events if event.reason == "SuccessfulCreate") <= 25

    run(build, scenario)


def test_forbid_skips_while_one_is_active_and_replace_deletes_it() -> None:
    async def scenario(world: World) -> None:
        await world.make(CRON_JOBS, cron(concurrencyPolicy="Forbid"))
        await hours(world, 3)
        assert len(await world.all(JOBS)) == 1
        await world.patch(CRON_JOBS, "c", {"spec": {"concurrencyPolicy": "Replace"}})
        await hours(world, 2)
        jobs = await world.all(JOBS)
        assert len(jobs) == 1
        assert jobs[0].metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T05:00:00Z"

    run(build, scenario)


def test_only_the_latest_of_many_missed_times_is_made_up_for() -> None:
    async def scenario(world: World) -> None:
        await world.make(CRON_JOBS, cron("* * * * *", suspend=True))
        await world.settle()
        await hours(world, 3)
        await world.patch(CRON_JOBS, "c", {"spec": {"suspend": False}})
        await world.settle()
        assert len(await world.all(JOBS)) == 1
        assert "TooManyMissedTimes" in {event.reason for event in await world.all(EVENTS)}

    run(build, scenario)


def test_a_start_that_is_too_late_is_left_out() -> None:
    async def scenario(world: World) -> None:
        await world.make(CRON_JOBS, cron(suspend=True, startingDeadlineSeconds=60))
        await world.settle()
        await world.clock.advance(3600 + 300)
        await world.patch(CRON_JOBS, "c", {"spec": {"suspend": False}})
        await world.settle()
        assert await world.all(JOBS) == []

    run(build, scenario)


def test_a_time_zone_moves_the_hour() -> None:
    async def scenario(world: World) -> None:
        await world.make(CRON_JOBS, cron("0 9 * * *", timeZone="Asia/Tokyo"))
        await world.clock.advance(86400)
        await world.settle()
        job = (await world.all(JOBS))[0]
        assert job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-02T09:00:00+09:00"

    run(build, scenario)


def test_a_job_made_before_the_status_was_written_is_not_made_twice() -> None:
    async def scenario(world: World) -> None:
        refuse: list[int] = [3]

        def fail(verb: str, resource: Any, obj: Any) -> Any:
            from sampan.api.errors import ServiceUnavailable

            if verb == "update" and resource is CRON_JOBS and refuse[0]:
                refuse[0] -= 1
                return ServiceUnavailable("later")
            return None

        world.client.fail = fail
        await world.make(CRON_JOBS, cron())
        await hours(world, 1)
        await world.clock.advance(1)
        await world.settle()
        assert refuse == [0]
        assert len(await world.all(JOBS)) == 1
        assert len((await world.get(CRON_JOBS, "c")).status.active) == 1

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [CronJobController(world.context)])
