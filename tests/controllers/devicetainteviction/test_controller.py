"""Pods on tainted devices, on the in-process API server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from controllers.harness import World, run
from controllers.jumps import with_jumps
from sampan.api.resources import EVENTS, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.controllers.devicetainteviction.controller import DeviceTaintEvictionController


def build(world: World) -> list[Any]:
    return [DeviceTaintEvictionController(world.context)]


async def a_slice(world: World, taints: list[dict[str, Any]]) -> None:
    await world.make(RESOURCE_SLICES, {"metadata": {"name": "s"}, "spec": {
        "driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "d0", "taints": taints}, {"name": "d1"}]}})


async def taint(world: World, *taints: dict[str, Any]) -> None:
    await world.patch(RESOURCE_SLICES, "s", {"spec": {"devices": [{"name": "d0", "taints": list(taints)}, {"name": "d1"}]}})
    await world.settle()


async def a_user(world: World, name: str, device: str, tolerations: list[dict[str, Any]] | None = None) -> None:
    """A pod on a node with a claim of its name that has the device."""
    requests = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
    await world.make(RESOURCE_CLAIMS, {"metadata": {"name": name}, "spec": requests})
    pod = await world.make(PODS, {"metadata": {"name": name}, "spec": {
        "nodeName": "n", "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0,
        "resourceClaims": [{"name": "one", "resourceClaimName": name}]}})
    result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": device, "tolerations": tolerations or []}
    await world.patch(RESOURCE_CLAIMS, name, {"status": {
        "allocation": {"devices": {"results": [result]}},
        "reservedFor": [{"resource": "pods", "name": name, "uid": pod.metadata.uid}]}}, subresource="status")
    await world.settle()


BROKEN = {"key": "example.com/broken", "value": "yes", "effect": "NoExecute"}


def test_a_pod_leaves_a_device_that_got_broken_the_others_stay() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_slice(world, [])
        await a_user(world, "on-d0", "d0")
        await a_user(world, "on-d1", "d1")
        # when
        await taint(world, BROKEN)
        # then
        assert await world.get(PODS, "on-d0") is None
        assert await world.get(PODS, "on-d1") is not None
        [event] = await world.all(EVENTS)
        assert (event.involvedObject.name, event.reason, event.message) == ("on-d0", "DeviceTaintManagerEviction", "Marking for deletion")

    run(build, scenario)


def test_a_toleration_runs_out() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_slice(world, [])
        await a_user(world, "web", "d0", [{"key": "example.com/broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}])
        await taint(world, BROKEN)
        # when
        await world.clock.advance(50)
        await world.settle()
        assert await world.get(PODS, "web") is not None
        await world.clock.advance(11)
        await world.settle()
        # then
        assert await world.get(PODS, "web") is None

    run(build, scenario)


def test_a_taint_that_goes_in_time_is_forgotten() -> None:
    async def scenario(world: World) -> None:
        # given
        await a_slice(world, [])
        await a_user(world, "web", "d0", [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}])
        await taint(world, BROKEN)
        # when
        await taint(world)
        await world.clock.advance(300)
        await world.settle()
        # then
        assert await world.get(PODS, "web") is not None
        assert [event.message for event in await world.all(EVENTS)] == ["Cancelling deletion"]

    run(build, scenario)


def test_a_pod_that_gets_a_tainted_device_leaves_too() -> None:
    async def scenario(world: World) -> None:
        # given a device that was tainted before
        await a_slice(world, [BROKEN])
        # when
        await a_user(world, "web", "d0")
        # then
        assert await world.get(PODS, "web") is None

    run(build, scenario)


def test_a_clock_that_is_set_moves_the_time_but_loses_no_pod() -> None:
    set_ones, clocks = with_jumps(build)

    async def scenario(world: World) -> None:
        # given a pod that has a minute left
        await a_slice(world, [])
        await a_user(world, "web", "d0", [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}])
        await taint(world, BROKEN)
        # when the time of day jumps back by ten
        clocks[0].offset = timedelta(minutes=-10)
        await world.clock.advance(120)
        await world.settle()
        # then the pod stays as long as the clock says
        assert await world.get(PODS, "web") is not None
        await world.clock.advance(600)
        await world.settle()
        assert await world.get(PODS, "web") is None

    run(set_ones, scenario)
