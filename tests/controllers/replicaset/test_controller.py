"""ReplicaSets at work."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.errors import Forbidden
from sampan.api.resources import EVENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from sampan.controllers.replicaset.controller import ReplicaSetController, ReplicationController

TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
WEB = {"metadata": {"name": "web"}, "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}}


def build(world: World) -> list[Any]:
    return [ReplicaSetController(world.context)]


def test_it_creates_what_is_missing_once_and_tells() -> None:
    async def scenario(world: World) -> None:
        await world.make(REPLICA_SETS, WEB)
        await world.settle()
        assert len(await world.all(PODS)) == 5
        assert (await world.get(REPLICA_SETS, "web")).status.replicas == 5
        assert {event.reason for event in await world.all(EVENTS)} == {"SuccessfulCreate"}
        assert len([call for call in world.client.calls if call[:2] == ("create", "pods")]) == 5
        await world.patch(REPLICA_SETS, "web", {"spec": {"replicas": 2}})
        await world.settle()
        assert len(await world.all(PODS)) == 2

    run(build, scenario)


def test_matching_orphans_are_adopted_and_pods_relabelled_are_released() -> None:
    async def scenario(world: World) -> None:
        friend = {"apiVersion": "v1", "kind": "ConfigMap", "name": "friend", "uid": "f"}
        await world.make(PODS, {"metadata": {"name": "lone", "labels": {"app": "web"}, "ownerReferences": [friend]}, "spec": TEMPLATE["spec"]})
        await world.make(PODS, {"metadata": {"name": "other", "labels": {"app": "db"}}, "spec": TEMPLATE["spec"]})
        await world.make(REPLICA_SETS, WEB)
        await world.settle()
        assert len(await world.all(PODS)) == 6
        assert [one.name for one in (await world.get(PODS, "lone")).metadata.ownerReferences] == ["web", "friend"]
        await world.patch(PODS, "lone", {"metadata": {"labels": {"app": "debug"}}})
        await world.settle()
        assert [one.name for one in (await world.get(PODS, "lone")).metadata.ownerReferences] == ["friend"]
        assert len(await world.all(PODS)) == 7

    run(build, scenario)


def test_a_refused_creation_stops_the_batch_sets_the_condition_and_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        refuse = Forbidden.on("pods", "", "web-x", "exceeded quota")
        world.client.fail = lambda verb, resource, obj: refuse if (verb, resource) == ("create", PODS) else None
        await world.make(REPLICA_SETS, WEB)
        await world.settle()
        # its own status write wakes it once more, each try ends with the first refusal
        assert len([call for call in world.client.calls if call[:2] == ("create", "pods")]) == 2
        failure = (await world.get(REPLICA_SETS, "web")).status.conditions[0]
        assert (failure.type, failure.reason, failure.message) == ("ReplicaFailure", "FailedCreate", refuse.message)
        world.client.fail = lambda verb, resource, obj: None
        await world.clock.advance(1)
        await world.settle()
        assert len(await world.all(PODS)) == 5
        assert (await world.get(REPLICA_SETS, "web")).status.conditions == []

    run(build, scenario)


def test_a_replication_controller_is_kept_by_the_same_decisions() -> None:
    async def scenario(world: World) -> None:
        await world.make(REPLICATION_CONTROLLERS, {"metadata": {"name": "rc"}, "spec": {
            "replicas": 2, "selector": {"app": "web"}, "template": TEMPLATE}})
        await world.settle()
        assert [pod.metadata.ownerReferences[0].kind for pod in await world.all(PODS)] == ["ReplicationController"] * 2
        assert (await world.get(REPLICATION_CONTROLLERS, "rc")).status.replicas == 2

    run(lambda world: [ReplicationController(world.context)], scenario)


def test_pods_that_ended_or_are_going_stay_whose_they_are_whatever_their_labels_say() -> None:
    async def scenario(world: World) -> None:
        await world.make(REPLICA_SETS, {**WEB, "spec": {**WEB["spec"], "replicas": 2}})
        await world.settle()
        ended, going = (pod.metadata.name for pod in await world.all(PODS))
        await world.patch(PODS, ended, {"status": {"phase": "Failed"}}, subresource="status")
        await world.patch(PODS, going, {"metadata": {"finalizers": ["x.example/keep"]}})
        await world.delete(PODS, going)
        await world.settle()
        assert (await world.get(REPLICA_SETS, "web")).status.terminatingReplicas == 1
        for name in (ended, going):
            await world.patch(PODS, name, {"metadata": {"labels": {"app": "gone"}}})
        await world.settle()
        assert [(await world.get(PODS, name)).metadata.ownerReferences[0].name for name in (ended, going)] == ["web", "web"]
        status = (await world.get(REPLICA_SETS, "web")).status
        assert (status.replicas, status.terminatingReplicas) == (2, 0)

    run(build, scenario)
