"""Ephemeral volumes on the in-process API server."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.errors import Forbidden
from sampan.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS
from sampan.controllers.ephemeralvolume.controller import EphemeralVolumeController


def build(world: World) -> list[Any]:
    return [EphemeralVolumeController(world.context)]


def a_pod(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}],
                                                 "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]}}


def test_a_claim_is_made_and_made_again_when_somebody_deletes_it() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PODS, a_pod("web"))
        await world.settle()
        first = await world.get(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
        assert first.metadata.ownerReferences[0].name == "web"
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "web-scratch", {"metadata": {"finalizers": None}})
        await world.settle()
        # then
        assert (await world.get(PERSISTENT_VOLUME_CLAIMS, "web-scratch")).metadata.uid != first.metadata.uid

    run(build, scenario)


def test_a_foreign_claim_stands_in_the_way_until_it_is_gone() -> None:
    async def scenario(world: World) -> None:
        # given
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "web-scratch"}, "spec": spec})
        await world.make(PODS, a_pod("web"))
        await world.settle()
        await world.clock.advance(1)
        await world.settle()
        # then it is told, at growing intervals
        [event] = await world.all(EVENTS)
        assert event.reason == "FailedBinding"
        assert event.message == "ephemeral volume scratch: PVC default/web-scratch was not created for pod default/web (pod is not owner)"
        assert 2 <= event.count <= 12
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "web-scratch")
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "web-scratch", {"metadata": {"finalizers": None}})
        await world.settle()
        # then
        assert (await world.get(PERSISTENT_VOLUME_CLAIMS, "web-scratch")).metadata.ownerReferences[0].name == "web"

    run(build, scenario)


def test_a_refused_claim_is_told_and_tried_again() -> None:
    async def scenario(world: World) -> None:
        # given a quota that is used up
        world.client.fail = lambda verb, resource, _: Forbidden("exceeded quota: few") if resource is PERSISTENT_VOLUME_CLAIMS else None
        await world.make(PODS, a_pod("web"))
        await world.settle()
        # then
        assert (await world.all(EVENTS))[0].message == "ephemeral volume scratch: create PVC web-scratch: exceeded quota: few"
        # when there is room
        world.client.fail = lambda verb, resource, _: None
        await world.clock.advance(1)
        await world.settle()
        # then
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "web-scratch") is not None

    run(build, scenario)


def test_a_pod_on_its_way_out_gets_nothing() -> None:
    async def scenario(world: World) -> None:
        # given a pod that is being deleted before it is looked at
        body = a_pod("web")
        body["metadata"]["finalizers"] = ["example.com/wait"]
        world.client.fail = lambda verb, resource, _: Forbidden("not now") if resource is PERSISTENT_VOLUME_CLAIMS else None
        await world.make(PODS, body)
        await world.settle()
        await world.delete(PODS, "web", grace_period_seconds=0)
        world.client.fail = lambda verb, resource, _: None
        # when
        await world.clock.advance(60)
        await world.settle()
        # then
        assert await world.all(PERSISTENT_VOLUME_CLAIMS) == []

    run(build, scenario)
