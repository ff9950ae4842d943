"""Disruption budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from sampan.controllers.disruption.controller import DisruptionController
from sampan.testing.datadriven import transcripts

FLEETS: Resource[Any] = Resource(group="x.io", version="v1", plural="fleets", kind="Fleet", singular="fleet", namespaced=True)
FLEETS_DEFINITION = {"metadata": {"name": "fleets.x.io"}, "spec": {
    "group": "x.io", "scope": "Namespaced", "names": {"plural": "fleets", "singular": "fleet", "kind": "Fleet", "listKind": "FleetList"},
    "versions": [{"name": "v1", "served": True, "storage": True,
                  "subresources": {"scale": {"specReplicasPath": ".spec.boats", "statusReplicasPath": ".status.boats"}},
                  "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"boats": {"type": "integer"}}}}}}}]}}
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


def test_a_custom_owner_is_asked_for_its_scale() -> None:
    async def scenario(world: World) -> None:
        # given a fleet of four boats, and a pod of it
        await world.make(CUSTOM_RESOURCE_DEFINITIONS, FLEETS_DEFINITION)
        await world.settle()
        fleet = await world.server.client.create(FLEETS, {
            "apiVersion": "x.io/v1", "kind": "Fleet", "metadata": {"name": "f", "namespace": "default"}, "spec": {"boats": 4}}, "default")
        owner = {"apiVersion": "x.io/v1", "kind": "Fleet", "name": "f", "uid": fleet["metadata"]["uid"], "controller": True}
        await world.make(PODS, {"metadata": {"name": "a", "labels": {"app": "f"}, "ownerReferences": [owner]}, "spec": POD})
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b"}, "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "f"}}}})
        await world.settle()
        status = (await world.get(POD_DISRUPTION_BUDGETS, "b")).status
        assert (status.expectedPods, status.desiredHealthy) == (4, 2)
        # when another fleet has its name
        await world.server.client.delete(FLEETS, "f", "default")
        await world.server.client.create(FLEETS, {
            "apiVersion": "x.io/v1", "kind": "Fleet", "metadata": {"name": "f", "namespace": "default"}, "spec": {"boats": 9}}, "default")
        await ready(world, "a")
        await world.settle()
        # then nobody is known to own the pod; likewise when there is none
        assert (await world.get(POD_DISRUPTION_BUDGETS, "b")).status.conditions[0].message == 'found no controllers for pod "a"'

    run(lambda world: [DisruptionController(world.context)], scenario)
