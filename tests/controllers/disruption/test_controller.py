"""Disruption budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from sampan.controllers.disruption.controller import DisruptionController
from sampan.testing.datadriven import transcripts

POD = {"containers": [{"name": "c", "image": "i"}]}



@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [DisruptionController(w.context)])


async def ready(world: World, name: str) -> None:
    await world.patch(PODS, name, {"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}, subresource="status")


def test_a_budget_counts_healthy_pods_and_fails_safe() -> None:
    async def scenario(world: World) -> None:
        for name in ("a", "b", "c"):
            await world.make(PODS, {"metadata": {"name": name, "labels": {"app": "w"}}, "spec": POD})
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "min"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        for name in ("a", "b", "c"):
            await ready(world, name)
        await world.settle()
        status = (await world.get(POD_DISRUPTION_BUDGETS, "min")).status
        assert (status.expectedPods, status.currentHealthy, status.disruptionsAllowed) == (3, 3, 1)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "u", "controller": True}
        await world.patch(PODS, "a", {"metadata": {"ownerReferences": [owner]}})
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "max"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        condition = (await world.get(POD_DISRUPTION_BUDGETS, "max")).status.conditions[0]
        assert (condition.reason, condition.message) == ("SyncFailed", 'found no controllers for pod "a"')

    run(lambda world: [DisruptionController(world.context)], scenario)


def test_a_percentage_is_taken_of_the_controllers_scale() -> None:
    async def scenario(world: World) -> None:
        rs = await world.make(REPLICA_SETS, {"metadata": {"name": "w"}, "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "w"}},
                                             "template": {"metadata": {"labels": {"app": "w"}}, "spec": POD}}})
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "w", "uid": rs.metadata.uid, "controller": True}
        for name in ("a", "b", "c"):
            await world.make(PODS, {"metadata": {"name": name, "labels": {"app": "w"}, "ownerReferences": [owner]}, "spec": POD})
            await ready(world, name)
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b"}, "spec": {"maxUnavailable": "34%", "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        status = (await world.get(POD_DISRUPTION_BUDGETS, "b")).status
        assert (status.expectedPods, status.desiredHealthy, status.disruptionsAllowed) == (4, 2, 1)

    run(lambda world: [DisruptionController(world.context)], scenario)
