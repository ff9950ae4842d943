"""Workloads while a fifth of the calls fail, some after they have taken effect: the end is that of a quiet run."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chaos.weather import Unreliable, Weather
from controllers.harness import World, run
from sampan.aio.clock import VirtualClock
from sampan.api.resources import DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS, STATEFUL_SETS
from sampan.control.controller import Context
from sampan.controllers.all import ALL
from sampan.controllers.settings import ManagerSettings

NAMES = ("deployment-controller", "replicaset-controller", "job-controller", "statefulset-controller", "garbage-collector-controller")


def template(label: str, policy: str = "Always") -> dict[str, Any]:
    return {"metadata": {"labels": {"app": label}}, "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}}


async def play(world: World) -> None:
    """Everything that is not going becomes ready; Jobs' pods succeed."""
    for pod in await world.all(PODS):
        if pod.status.phase == "Pending" and pod.metadata.deletionTimestamp is None:
            over = pod.spec.restartPolicy == "Never"
            conditions = [] if over else [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
            await world.patch(PODS, pod.metadata.name, {"status": {"phase": "Succeeded" if over else "Running", "conditions": conditions}},
                              subresource="status")


@pytest.mark.parametrize("seed", range(3))
def test_the_end_state_is_that_of_a_quiet_run(seed: int) -> None:
    weather = Weather(random.Random(seed), VirtualClock())

    def build(world: World) -> list[Any]:
        weather.clock, weather.bad = world.clock, True
        context = Context(Unreliable(world.server.client, weather), world.informers, world.clock, world.identity)  # type: ignore[arg-type]
        return [entry.make(context, ManagerSettings()) for entry in ALL if entry.name in NAMES]

    async def scenario(world: World) -> None:
        await world.make(NODES, {"metadata": {"name": "n1"}})
        select = {"selector": {"matchLabels": {"app": "d"}}}
        await world.make(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": {"replicas": 7, **select, "template": template("d")}})
        await world.make(STATEFUL_SETS, {"metadata": {"name": "s"}, "spec": {
            "serviceName": "s", "replicas": 3, "selector": {"matchLabels": {"app": "s"}}, "template": template("s")}})
        await world.make(JOBS, {"metadata": {"name": "j"}, "spec": {"completions": 5, "parallelism": 2, "template": template("j", "Never")}})
        for number in range(60):
            await world.clock.advance(5)
            await play(world)
            if number == 20:
                await world.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 4, "template": {"metadata": {"labels": {"new": "1"}}}}})
        assert {"failed call", "lost answer"} <= weather.counts.keys()
        weather.bad = False
        for _ in range(12):
            await world.clock.advance(120)
            await play(world)
            await world.settle()
        pods = await world.all(PODS)
        assert sorted(pod.metadata.name for pod in pods if pod.metadata.labels["app"] == "s") == ["s-0", "s-1", "s-2"]
        assert [pod.metadata.labels.get("new") for pod in pods if pod.metadata.labels["app"] == "d"] == ["1"] * 4
        assert sorted(rs.spec.replicas for rs in await world.all(REPLICA_SETS)) == [0, 4]
        job = await world.get(JOBS, "j")
        done = [pod for pod in pods if pod.metadata.labels["app"] == "j"]
        # an answer that was lost may cost a pod more; none is counted twice, none keeps its finalizer
        assert 5 <= job.status.succeeded <= len(done)
        assert {one.type for one in job.status.conditions} == {"SuccessCriteriaMet", "Complete"}
        assert all(not pod.metadata.finalizers for pod in done)

    run(build, scenario)
