"""Jobs at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import EVENTS, JOBS, PODS
from sampan.controllers.job.controller import JobController
from sampan.testing.datadriven import transcripts

TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1"}]}}


def job(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "spec": {"template": TEMPLATE, **spec}}


def build(world: World) -> list[Any]:
    return [JobController(world.context)]


async def end(world: World, phase: str, *, index: str = "", count: int = 99, code: int = 1) -> None:
    chosen = [pod for pod in await world.all(PODS) if pod.status.phase == "Pending"
              and (not index or pod.metadata.annotations["batch.kubernetes.io/job-completion-index"] == index)]
    for pod in chosen[:count]:
        state = {"terminated": {"exitCode": 0 if phase == "Succeeded" else code, "finishedAt": world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}}
        await world.patch(PODS, pod.metadata.name, {"status": {"phase": phase, "containerStatuses": [
            {"name": "c", "image": "app:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}]}}, subresource="status")
    await world.settle()


async def conditions(world: World) -> dict[str, str]:
    return {c.type: c.reason for c in (await world.get(JOBS, "j")).status.conditions if c.status == "True"}


def test_a_job_runs_its_completions_and_counts_each_pod_once() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(completions=3, parallelism=2))
        await world.settle()
        assert len(await world.all(PODS)) == 2
        await end(world, "Succeeded", count=1)
        assert (await world.get(JOBS, "j")).status.succeeded == 1
        assert len(await world.all(PODS)) == 3
        await end(world, "Succeeded")
        status = (await world.get(JOBS, "j")).status
        assert (status.succeeded, status.active, status.failed) == (3, 0, 0)
        assert await conditions(world) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
        assert status.completionTime
        assert all(not pod.metadata.finalizers for pod in await world.all(PODS))
        assert [event.reason for event in await world.all(EVENTS)].count("Completed") == 1

    run(build, scenario)


def test_a_failed_pod_is_replaced_after_its_back_off_until_the_limit() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(backoffLimit=1))
        await world.settle()
        await end(world, "Failed")
        assert len(await world.all(PODS)) == 1
        await world.clock.advance(9)
        await world.settle()
        assert len(await world.all(PODS)) == 1
        await world.clock.advance(2)
        await world.settle()
        assert len(await world.all(PODS)) == 2
        await end(world, "Failed")
        assert await conditions(world) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
        assert (await world.get(JOBS, "j")).status.failed == 2

    run(build, scenario)


def test_an_indexed_job_gives_every_index_to_one_pod() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(completionMode="Indexed", completions=3, parallelism=2))
        await world.settle()
        pods = await world.all(PODS)
        assert sorted(pod.spec.hostname for pod in pods) == ["j-0", "j-1"]
        assert pods[0].spec.containers[0].env[0].name == "JOB_COMPLETION_INDEX"
        await end(world, "Succeeded", index="1")
        assert (await world.get(JOBS, "j")).status.completedIndexes == "1"
        await end(world, "Succeeded")
        await end(world, "Succeeded")
        status = (await world.get(JOBS, "j")).status
        assert (status.completedIndexes, status.succeeded) == ("0-2", 3)
        assert "Complete" in await conditions(world)

    run(build, scenario)


def test_suspending_takes_the_pods_away_without_counting_them() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(parallelism=2))
        await world.settle()
        await world.patch(JOBS, "j", {"spec": {"suspend": True}})
        await world.settle()
        status = (await world.get(JOBS, "j")).status
        assert (await world.all(PODS), status.failed, status.active, status.startTime) == ([], 0, 0, None)
        assert await conditions(world) == {"Suspended": "JobSuspended"}
        await world.patch(JOBS, "j", {"spec": {"suspend": False}})
        await world.settle()
        assert len(await world.all(PODS)) == 2

    run(build, scenario)


def test_a_pod_whose_finalizer_stays_is_not_deleted_and_the_others_are() -> None:
    async def scenario(world: World) -> None:
        # given two pods, of which one can't be patched at first
        await world.make(JOBS, job(parallelism=2))
        await world.settle()
        held = min(pod.metadata.name for pod in await world.all(PODS))
        world.client.fail = lambda verb, resource, obj: ServiceUnavailable("later") if (verb, obj) == ("patch", held) else None
        # when
        await world.patch(JOBS, "j", {"spec": {"suspend": True}})
        await world.settle()
        # then
        assert [pod.metadata.name for pod in await world.all(PODS) if pod.metadata.deletionTimestamp is None] == [held]
        # when it can
        world.client.fail = lambda verb, resource, obj: None
        await world.clock.advance(60)
        await world.settle()
        # then neither counts as failed
        assert await world.all(PODS) == []
        assert (await world.get(JOBS, "j")).status.failed == 0

    run(build, scenario)


def test_a_deadline_ends_the_job_and_its_pods() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(activeDeadlineSeconds=8))
        await world.settle()
        await world.clock.advance(9)
        await world.settle()
        assert await world.all(PODS) == []
        assert (await conditions(world))["Failed"] == "DeadlineExceeded"
        assert (await world.get(JOBS, "j")).status.failed == 1

    run(build, scenario)


def test_the_failure_policy_can_end_the_job_or_ignore_a_failure() -> None:
    async def scenario(world: World) -> None:
        rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
                 {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]
        await world.make(JOBS, job(backoffLimit=0, podFailurePolicy={"rules": rules}))
        await world.settle()
        await end(world, "Failed", code=7)
        await world.clock.advance(12)
        await world.settle()
        assert (await world.get(JOBS, "j")).status.failed == 0
        assert len(await world.all(PODS)) == 2
        await end(world, "Failed", code=42)
        failed = (await world.get(JOBS, "j")).status.conditions[-1]
        assert failed.reason == "PodFailurePolicy"
        assert failed.message.endswith("failed with exit code 42 matching FailJob rule at index 0")

    run(build, scenario)


def test_limits_per_index_fail_the_index_first_and_the_job_at_the_end() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1))
        await world.settle()
        await end(world, "Failed", index="1")
        await world.clock.advance(11)
        await world.settle()
        second = [pod for pod in await world.all(PODS) if pod.metadata.annotations.get("batch.kubernetes.io/job-index-failure-count") == "1"]
        assert len(second) == 1
        await end(world, "Failed", index="1")
        assert (await world.get(JOBS, "j")).status.failedIndexes == "1"
        await end(world, "Succeeded", index="0")
        assert (await conditions(world))["Failed"] == "FailedIndexes"

    run(build, scenario)


def test_the_success_policy_stops_the_rest() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(completionMode="Indexed", completions=3, parallelism=3,
                                   successPolicy={"rules": [{"succeededIndexes": "0"}]}))
        await world.settle()
        await end(world, "Succeeded", index="0")
        status = (await world.get(JOBS, "j")).status
        assert (status.succeeded, status.failed, status.completedIndexes) == (1, 0, "0")
        assert (await conditions(world))["Complete"] == "SuccessPolicy"
        assert len(await world.all(PODS)) == 1

    run(build, scenario)


def test_pods_of_a_deleted_job_are_let_go() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, job(parallelism=2))
        await world.settle()
        await world.delete(JOBS, "j", propagation="Background")
        await world.settle()
        assert all(not pod.metadata.finalizers for pod in await world.all(PODS))

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, build)
