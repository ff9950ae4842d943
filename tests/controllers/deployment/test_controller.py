"""Deployments and their ReplicaSets at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import Play, play
from sampan.api.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS
from sampan.controllers.deployment.controller import DeploymentController
from sampan.controllers.replicaset.controller import ReplicaSetController
from sampan.testing.datadriven import Block, transcripts


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def web(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "labels": {}}, "spec": {
        "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1"),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
        "progressDeadlineSeconds": 600, "revisionHistoryLimit": 2, **spec}}


def build(world: World) -> list[Any]:
    return [ReplicaSetController(world.context), DeploymentController(world.context)]


async def ready(world: World) -> None:
    for pod in await world.all(PODS):
        if not pod.status.conditions:
            now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.patch(PODS, pod.metadata.name, {"status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": now}]}}, subresource="status")
    await world.settle()


async def roll(world: World, image: str) -> None:
    await world.patch(DEPLOYMENTS, "web", {"spec": {"template": template(image)}})
    await world.settle()


async def sizes(world: World) -> dict[str, int]:
    return {rs.spec.template.spec.containers[0].image: rs.spec.replicas for rs in await world.all(REPLICA_SETS)}


def test_a_rollout_goes_step_by_step_within_its_bounds() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web())
        await world.settle()
        assert await sizes(world) == {"app:1": 4}
        await ready(world)
        status = (await world.get(DEPLOYMENTS, "web")).status
        assert (status.readyReplicas, status.updatedReplicas, status.availableReplicas) == (4, 4, 4)
        assert {c.type: c.reason for c in status.conditions} == {
            "Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
        await roll(world, "app:2")
        assert await sizes(world) == {"app:1": 3, "app:2": 2}
        await ready(world)
        assert await sizes(world) == {"app:1": 1, "app:2": 4}
        await ready(world)
        assert await sizes(world) == {"app:1": 0, "app:2": 4}
        assert (await world.get(DEPLOYMENTS, "web")).metadata.annotations["deployment.kubernetes.io/revision"] == "2"
        assert len(await world.all(PODS)) == 4

    run(build, scenario)


def test_going_back_to_an_old_template_reuses_its_replica_set_under_a_new_revision() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web())
        for image in ("app:2", "app:1"):
            await world.settle()
            await ready(world)
            await roll(world, image)
        for _ in range(4):
            await ready(world)
        assert await sizes(world) == {"app:1": 4, "app:2": 0}
        first = next(rs for rs in await world.all(REPLICA_SETS) if rs.spec.replicas)
        assert first.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
        assert first.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"

    run(build, scenario)


def test_history_is_kept_to_its_limit() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web(replicas=1))
        for number in range(2, 7):
            await world.settle()
            await ready(world)
            await roll(world, f"app:{number}")
        for _ in range(3):
            await ready(world)
        assert await sizes(world) == {"app:4": 0, "app:5": 0, "app:6": 1}

    run(build, scenario)


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web(strategy={"type": "Recreate"}))
        await world.settle()
        await ready(world)
        await roll(world, "app:2")
        assert await sizes(world) == {"app:1": 0, "app:2": 4}
        assert {pod.spec.containers[0].image for pod in await world.all(PODS)} == {"app:2"}

    run(build, scenario)


def test_a_rollout_that_stands_still_times_out_and_recovers() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web(progressDeadlineSeconds=5))
        await world.settle()
        await world.clock.advance(8)
        await world.settle()
        progressing = (await world.get(DEPLOYMENTS, "web")).status.conditions[-1]
        assert (progressing.status, progressing.reason) == ("False", "ProgressDeadlineExceeded")
        await ready(world)
        assert {c.reason for c in (await world.get(DEPLOYMENTS, "web")).status.conditions} == {
            "MinimumReplicasAvailable", "NewReplicaSetAvailable"}

    run(build, scenario)


def test_resizing_in_the_middle_of_a_rollout_is_shared() -> None:
    async def scenario(world: World) -> None:
        surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
        await world.make(DEPLOYMENTS, web(replicas=10, strategy=surge))
        await world.settle()
        await ready(world)
        await roll(world, "app:2")
        assert await sizes(world) == {"app:1": 8, "app:2": 5}
        await world.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 15}})
        await world.settle()
        assert await sizes(world) == {"app:1": 11, "app:2": 7}
        await world.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 6}})
        await world.settle()
        assert await sizes(world) == {"app:1": 4, "app:2": 5}
        messages = [event.message.split("-")[-1] for event in await world.all(EVENTS) if event.reason == "ScalingReplicaSet"]
        assert len(messages) == 10

    run(build, scenario)


def test_a_paused_deployment_rolls_nothing_out_but_scales() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web())
        await world.settle()
        await ready(world)
        await world.patch(DEPLOYMENTS, "web", {"spec": {"paused": True, "template": template("app:2")}})
        await world.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 6}})
        await world.settle()
        assert await sizes(world) == {"app:1": 6}
        conditions = {c.type: c.reason for c in (await world.get(DEPLOYMENTS, "web")).status.conditions}
        assert conditions["Progressing"] == "DeploymentPaused"
        await world.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}})
        await world.settle()
        assert set(await sizes(world)) == {"app:1", "app:2"}

    run(build, scenario)


def test_a_foreign_replica_set_of_the_same_name_makes_another_hash() -> None:
    async def scenario(world: World) -> None:
        await world.make(DEPLOYMENTS, web(replicas=0))
        await world.settle()
        name = (await world.all(REPLICA_SETS))[0].metadata.name
        await world.delete(DEPLOYMENTS, "web")
        await world.delete(REPLICA_SETS, name)
        await world.settle()
        await world.make(REPLICA_SETS, {"metadata": {"name": name}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": {**template("x"), "metadata": {"labels": {"app": "x"}}}}})
        await world.make(DEPLOYMENTS, web())
        await world.settle()
        assert (await world.get(DEPLOYMENTS, "web")).status.collisionCount == 1
        assert len(await world.all(REPLICA_SETS)) == 2
        assert len(await world.all(PODS)) == 4

    run(build, scenario)


class Stage(Play):
    """`sets` shows ReplicaSets by their age; `serve` does what their controller and the nodes do: every pod that is wanted is available."""

    async def _sets(self) -> list[Any]:
        return sorted(await self.world.all(REPLICA_SETS), key=lambda one: (one.metadata.creationTimestamp, one.spec.template.spec.containers[0].image))

    async def sets(self, _: Block) -> str:
        lines = []
        for one in await self._sets():
            note = {key.removeprefix("deployment.kubernetes.io/"): value for key, value in sorted(one.metadata.annotations.items())}
            lines.append(f"{one.spec.template.spec.containers[0].image} size={one.spec.replicas} available={one.status.availableReplicas} "
                         + " ".join(f"{key}={value}" for key, value in note.items()))
        return "\n".join(lines) or "none"

    async def serve(self, _: Block) -> None:
        for one in await self._sets():
            size = one.spec.replicas
            await self.world.patch(REPLICA_SETS, one.metadata.name, {"status": {
                "replicas": size, "readyReplicas": size, "availableReplicas": size, "observedGeneration": one.metadata.generation}}, subresource="status")


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "plays"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [DeploymentController(world.context)], Stage)
