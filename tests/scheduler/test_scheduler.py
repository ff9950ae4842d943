"""The scheduler on a real API server: binds once whatever happens to its calls, makes room, tries again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.scheduler.one_cluster import OneCluster, one_cluster
from tests.scheduler.small import node, pod

from sampan.api import codec
from sampan.api.errors import Conflict, ServiceUnavailable, TooManyRequests
from sampan.api.resources import (
    DEVICE_CLASSES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STORAGE_CLASSES,
)
from sampan.client.base import DeleteOptions
from sampan.scheduler.binding import BUSY_CALLS
from sampan.scheduler.config import settings
from sampan.scheduler.extenders import Extender
from sampan.scheduler.scheduler import FEW_WAITING
from sampan.testing import waiting


def run(test: Coroutine[Any, Any, None]) -> None:
    waiting.run(test)


def binds(cluster: OneCluster) -> int:
    return sum(call[1] == "pods/binding" for call in cluster.client.calls)


def test_pods_are_bound_and_told_about() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b"), pod("p", "1"), pod("q", "1")) as cluster:
            assert set((await cluster.bound("p", "q")).values()) == {"a", "b"}
            where = await cluster.node_of("p")
            await cluster.until(lambda: cluster.events("Scheduled"))
            assert f"Successfully assigned default/p to {where}" in await cluster.events("Scheduled")
            assert binds(cluster) == 2

    run(test())


def test_a_refused_pod_says_why_and_is_bound_when_a_node_comes() -> None:
    async def test() -> None:
        async with one_cluster(node("small", cpu="1"), pod("p", "2")) as cluster:
            assert (await cluster.refused("p")).startswith("0/1 nodes are available: 1 Insufficient cpu.")
            await cluster.put(node("large", cpu="4"))
            assert await cluster.bound("p") == {"p": "large"}

    run(test())


def test_a_node_whose_taint_is_taken_away_gets_the_pod_that_waited_for_it() -> None:
    async def test() -> None:
        async with one_cluster(node("a", taints=[{"key": "k", "effect": "NoSchedule"}]), pod("p", "1")) as cluster:
            assert "untolerated taint" in await cluster.refused("p")
            await cluster.server.client.patch(NODES, "a", "", {"spec": {"taints": None}})
            assert await cluster.bound("p") == {"p": "a"}

    run(test())


def test_a_pod_looks_again_when_the_taints_of_a_node_change_whatever_it_waits_for() -> None:
    async def test() -> None:
        async with one_cluster(node("a", cpu="1"), node("b", cpu="1"), pod("p", "2")) as cluster:
            # given a pod that waits for a CPU
            assert (await cluster.refused("p")).startswith("0/2 nodes are available: 2 Insufficient cpu. ")
            # when a node is tainted / then its words are of today
            await cluster.server.client.patch(NODES, "a", "", {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})

            async def said() -> bool:
                return (await cluster.refused("p")).startswith("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). ")

            await cluster.until(said)

    run(test())


@pytest.mark.parametrize("waiting", [1, FEW_WAITING + 1])
def test_a_pod_that_waits_for_room_looks_again_when_one_leaves_unless_there_are_many(waiting: int) -> None:
    async def test() -> None:
        # given pods that wait for a CPU; meanwhile somebody takes the port that they want too
        wanted = [pod(f"p{i}", "2", port=80) for i in range(waiting)]
        async with one_cluster(node("a", cpu="2"), pod("small", "10m", on="a"), pod("large", "1", on="a"), *wanted) as cluster:
            last = wanted[-1].metadata.name
            assert "1 Insufficient cpu" in await cluster.refused(last)
            await cluster.put(pod("other", on="a", port=80))
            await cluster.clock.advance(1)
            # when a pod leaves that was not in the way
            await cluster.server.client.delete(PODS, "small", "default", DeleteOptions(grace_period_seconds=0))
            await cluster.clock.advance(15)
            # then few of them look again
            await cluster.until(lambda: not cluster.scheduler.busy())
            assert ("free ports" in await cluster.refused(last)) == (waiting == 1)

    run(test())


def test_of_many_that_wait_one_gets_the_room_of_a_pod_that_leaves() -> None:
    async def test() -> None:
        wanted = [pod(f"p{i}", "2") for i in range(FEW_WAITING + 1)]
        async with one_cluster(node("a", cpu="2"), pod("large", "1", on="a"), *wanted) as cluster:
            assert "1 Insufficient cpu" in await cluster.refused(wanted[-1].metadata.name)
            # when
            await cluster.server.client.delete(PODS, "large", "default", DeleteOptions(grace_period_seconds=0))

            async def bound() -> int:
                return sum([bool(await cluster.node_of(one.metadata.name)) for one in wanted])

            # then
            await cluster.until(bound)
            assert await bound() == 1

    run(test())


def test_many_that_wait_are_told_when_they_are_short_of_less() -> None:
    async def test() -> None:
        # given pods that wait for CPU and memory
        wanted = [pod(f"p{i}", "2", memory="1Ti") for i in range(FEW_WAITING + 1)]
        async with one_cluster(node("a", cpu="2"), pod("large", "1", on="a"), *wanted) as cluster:
            last = wanted[-1].metadata.name
            assert "1 Insufficient cpu, 1 Insufficient memory" in await cluster.refused(last)
            # when
            await cluster.server.client.delete(PODS, "large", "default", DeleteOptions(grace_period_seconds=0))

            async def less() -> bool:
                return "Insufficient cpu" not in await cluster.refused(last)

            # then
            await cluster.until(less)

    run(test())


def test_gates_hold_a_pod_back() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), pod("p", schedulingGates=[{"name": "wait"}]), pod("q")) as cluster:
            await cluster.bound("q")
            assert await cluster.node_of("p") == ""
            await cluster.server.client.patch(PODS, "p", "default", {"spec": {"schedulingGates": None}})
            await cluster.bound("p")

    run(test())


def lost(error: Exception, *, after: bool, times: int = 1) -> Callable[[str, str, str, bool], None]:
    left = [times]

    def fault(verb: str, kind: str, _name: str, done: bool) -> None:
        if verb == "create" and kind == "pods/binding" and done is after and left[0]:
            left[0] -= 1
            raise error

    return fault


@pytest.mark.parametrize("error", [ServiceUnavailable("gone for a moment"), TooManyRequests("slow down"), Conflict("changed meanwhile")])
@pytest.mark.parametrize("after", [False, True])
def test_a_binding_whose_answer_is_lost_is_neither_lost_nor_made_twice(error: Exception, after: bool) -> None:
    async def test() -> None:
        async with one_cluster(node("a", pods="2"), node("b", pods="2")) as cluster:
            cluster.client.fault = lost(error, after=after)
            await cluster.put(pod("p", "1"))
            await cluster.bound("p")
            await cluster.until(lambda: not cluster.scheduler.queue.get("p"))
            assert binds(cluster) == (1 if after else 2)
            # and nothing is counted where it is not: four pods fit on the two nodes, this one with three more
            await cluster.put(pod("q"), pod("r"), pod("s"))
            await cluster.bound("q", "r", "s")

    run(test())


@pytest.mark.parametrize("after", [False, True])
def test_a_binding_that_is_answered_late_keeps_its_room_and_nobody_waiting(after: bool) -> None:
    async def test() -> None:
        answered = asyncio.Event()
        async with one_cluster(node("a", cpu="1"), node("b", cpu="1")) as cluster:
            # given a server that lets the first binding wait for minutes: before or after it is made
            cluster.client.late = lambda verb, kind, name, done: answered if (kind, name, done) == ("pods/binding", "p", after) else None
            await cluster.put(pod("p", "1", nodeSelector={"kubernetes.io/hostname": "a"}))
            await cluster.until(lambda: binds(cluster) == 1)
            # when others come
            await cluster.put(pod("q", "1"), pod("r", "1"))
            where = await cluster.until(lambda: cluster.node_of("q")) or await cluster.node_of("r")
            await cluster.clock.advance(400)
            # then they get what is left, and no more
            assert where == "b"
            assert (await cluster.node_of("q") == "") != (await cluster.node_of("r") == "")
            assert (await cluster.node_of("p") == "a") is after
            answered.set()
            assert await cluster.bound("p") == {"p": "a"}
            await cluster.until(lambda: not cluster.scheduler.queue.get("p"))
            assert [name for _, kind, name in cluster.client.calls if kind == "pods/binding"].count("p") == 1

    run(test())


def test_while_many_calls_are_under_way_events_are_asked_to_give_way() -> None:
    async def test() -> None:
        answered = asyncio.Event()
        names = [f"p{number}" for number in range(BUSY_CALLS)]
        async with one_cluster(node("a")) as cluster:
            cluster.client.late = lambda _verb, kind, _name, done: answered if kind == "pods/binding" and not done else None
            # given pods whose bindings are not answered: one less than makes the scheduler busy, then one more
            await cluster.put(*(pod(name) for name in names[1:]))
            await cluster.until(lambda: binds(cluster) == BUSY_CALLS - 1)
            assert not cluster.scheduler.busy()
            await cluster.put(pod(names[0]))
            await cluster.until(lambda: binds(cluster) == BUSY_CALLS)
            assert cluster.scheduler.busy()
            # when / then
            answered.set()
            await cluster.bound(*names)
            await cluster.until(lambda: not cluster.scheduler.busy())

    run(test())


def test_a_server_that_does_not_answer_for_long_loses_no_pod() -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            down = [True]

            def fault(_verb: str, kind: str, _name: str, _done: bool) -> None:
                if kind.startswith("pods") and down[0]:
                    raise ServiceUnavailable("down")

            cluster.client.fault = fault
            await cluster.put(pod("p", "4"))
            await cluster.until(lambda: binds(cluster) >= 5)
            assert await cluster.node_of("p") == ""
            down[0] = False
            await cluster.bound("p")

    run(test())


def test_a_pod_deleted_while_it_is_bound_leaves_its_room() -> None:
    async def test() -> None:
        async with one_cluster(node("a", cpu="1")) as cluster:
            gone = asyncio.Event()

            def fault(verb: str, kind: str, name: str, done: bool) -> None:
                if verb == "create" and kind == "pods/binding" and name == "p" and not done and not gone.is_set():
                    gone.set()
                    raise ServiceUnavailable("not now")

            cluster.client.fault = fault
            await cluster.put(pod("p", "1"))
            await cluster.until(gone.is_set)
            await cluster.server.client.delete(PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
            await cluster.put(pod("q", "1"))
            await cluster.bound("q")

    run(test())


@pytest.mark.parametrize("seed", range(5))
def test_with_a_fifth_of_the_calls_failing_every_pod_is_bound_once_and_no_node_is_too_full(seed: int) -> None:
    async def test() -> None:
        rng = random.Random(seed)
        async with one_cluster(*(node(f"n{i}", cpu="2") for i in range(5))) as cluster:
            def fault(_verb: str, _kind: str, _name: str, _done: bool) -> None:
                if rng.random() < 0.1:  # before and after
                    raise rng.choice((ServiceUnavailable("x"), Conflict("y"), TooManyRequests("z")))

            cluster.client.fault = fault
            names = [f"p{i}" for i in range(20)]
            await cluster.put(*(pod(name, "500m") for name in names))
            where = {}
            for name in names:
                where[name] = await cluster.until(lambda name=name: cluster.node_of(name), 300)
            assert all(sum(1 for one in where.values() if one == f"n{i}") == 4 for i in range(5))

    run(test())


def test_room_is_made_for_the_important_and_kept_for_them() -> None:
    async def test() -> None:
        low = pod("low", "1", terminationGracePeriodSeconds=30)
        async with one_cluster(node("a", cpu="1"), low) as cluster:
            await cluster.bound("low")
            await cluster.put(pod("later", "1"))
            await cluster.refused("later")
            await cluster.server.client.create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                                                  "metadata": {"name": "high"}, "value": 1000})
            await cluster.put(pod("high", "1", priorityClassName="high"))

            async def leaving() -> bool:
                found = await cluster.pod("low")
                return found is not None and found.metadata.deletionTimestamp is not None

            await cluster.until(leaving)
            waiting = await cluster.pod("high")
            assert waiting is not None
            assert await cluster.until(lambda: _nominated(cluster, "high")) == "a"
            victim = await cluster.pod("low")
            assert victim is not None
            assert any(one.type == "DisruptionTarget" and one.reason == "PreemptionByScheduler" and
                       one.message == "default-scheduler: preempting to accommodate a higher priority pod" for one in victim.status.conditions)
            await cluster.server.client.delete(PODS, "low", "default", DeleteOptions(grace_period_seconds=0))
            assert await cluster.bound("high") == {"high": "a"}
            assert await cluster.node_of("later") == ""
            assert await cluster.until(lambda: cluster.events("Preempted")) == [f"Preempted by pod {waiting.metadata.uid} on node a"]

    run(test())


def test_room_that_was_kept_for_a_pod_goes_to_others_when_the_pod_is_gone() -> None:
    async def test() -> None:
        low = pod("low", "1", terminationGracePeriodSeconds=600)
        async with one_cluster(node("a", cpu="2"), low) as cluster:
            # given a pod for which room is being made, and another that would fit if it were not for that
            await cluster.bound("low")
            await cluster.server.client.create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                                                  "metadata": {"name": "high"}, "value": 1000})
            await cluster.put(pod("high", "2", priorityClassName="high"))
            assert await cluster.until(lambda: _nominated(cluster, "high")) == "a"
            await cluster.put(pod("later", "1"))
            assert "Insufficient cpu" in await cluster.refused("later")
            # when the first is deleted
            await cluster.server.client.delete(PODS, "high", "default", DeleteOptions(grace_period_seconds=0))
            # then the other has its place, although the victim is still there
            assert await cluster.bound("later") == {"later": "a"}
            assert await cluster.node_of("low") == "a"

    run(test())


def test_all_victims_leave_in_one_attempt_and_one_that_cannot_be_evicted_is_looked_at_again() -> None:
    async def test() -> None:
        lows = [pod(f"low-{i}", "1", terminationGracePeriodSeconds=0) for i in range(4)]
        async with one_cluster(node("a", cpu="4"), *lows) as cluster:
            await cluster.bound(*(one.metadata.name for one in lows))
            await cluster.server.client.create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                                                  "metadata": {"name": "high"}, "value": 1000})
            # given a server that once refuses to delete one of the victims
            refusals = [1]

            def fault(verb: str, kind: str, name: str, done: bool) -> None:
                if verb == "delete" and kind == "pods" and not done and refusals and name == refused_one():
                    refusals.pop()
                    raise ServiceUnavailable("not now")

            def refused_one() -> str:
                return next(name for verb, _, name in cluster.client.calls if verb == "delete")

            cluster.client.fault = fault
            await cluster.put(pod("high", "3", priorityClassName="high"))
            # when
            await cluster.bound("high")
            # then
            deleted = [name for verb, kind, name in cluster.client.calls if (verb, kind) == ("delete", "pods")]
            assert len(deleted) == 4
            assert len(set(deleted)) == 3
            assert len(await cluster.until(lambda: _as_many(cluster, 3))) == 3

    run(test())


async def _as_many(cluster: OneCluster, count: int) -> list[str] | None:
    found = await cluster.events("Preempted")
    return found if len(found) >= count else None


async def _nominated(cluster: OneCluster, name: str) -> str:
    found = await cluster.pod(name)
    return found.status.nominatedNodeName if found is not None else ""


def test_a_volume_is_bound_before_the_pod() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b")) as cluster:
            client = cluster.server.client
            await client.create(STORAGE_CLASSES, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"},
                                                  "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"})
            only = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]}}
            await client.create(PERSISTENT_VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "late", "local": {"path": "/x"}, "nodeAffinity": only}})
            await client.patch(PERSISTENT_VOLUMES, "v", "", {"status": {"phase": "Available"}}, subresource="status")
            await client.create(PERSISTENT_VOLUME_CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "late"}}, "default")
            await cluster.put(pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]))

            async def chosen() -> str:
                found = (await client.get(PERSISTENT_VOLUMES, "v")).spec.claimRef
                return found.name if found is not None else ""

            assert await cluster.until(chosen) == "c"
            assert await cluster.node_of("p") == ""  # the claim is not bound yet
            assert await cluster.until(lambda: _nominated(cluster, "p")) == "b"  # but others are told where it is going to be
            await client.patch(PERSISTENT_VOLUME_CLAIMS, "c", "default", {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                                                                          "spec": {"volumeName": "v"}})
            assert await cluster.bound("p") == {"p": "b"}
            assert await _nominated(cluster, "p") == ""

    run(test())


def test_a_pod_that_could_not_be_bound_says_so_and_is_tried_again() -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            refuse = [True]

            def fault(verb: str, kind: str, _name: str, after: bool) -> None:
                if (verb, kind) == ("create", "pods/binding") and not after and refuse[0]:
                    raise Conflict("not this time")

            cluster.client.fault = fault
            await cluster.put(pod("p", "1"))
            # then
            assert await cluster.refused("p") == "binding rejected: not this time"
            found = await cluster.pod("p")
            assert found is not None
            assert [(one.status, one.reason) for one in found.status.conditions if one.type == "PodScheduled"] == [("False", "SchedulerError")]
            # when
            refuse[0] = False
            assert await cluster.bound("p") == {"p": "a"}
            assert await cluster.condition("p") == ""

    run(test())


def test_devices_are_given_and_reserved_before_the_pod_is_bound() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b")) as cluster:
            client = cluster.server.client
            await cluster.put(pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}]))
            await cluster.until(lambda: len(cluster.scheduler.snapshot) == 2)
            await client.create(DEVICE_CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}})
            await client.create(RESOURCE_SLICES, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": {
                "driver": "d.example.com", "pool": {"name": "b", "generation": 1, "resourceSliceCount": 1}, "nodeName": "b", "devices": [{"name": "gpu-0"}]}})
            await client.create(RESOURCE_CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {
                "devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}, "default")
            assert await cluster.bound("p") == {"p": "b"}
            found = await client.get(RESOURCE_CLAIMS, "c", "default")
            assert found.status.allocation is not None
            assert [one.device for one in found.status.allocation.devices.results] == ["gpu-0"]
            assert [one.name for one in found.status.reservedFor] == ["p"]
            assert found.metadata.finalizers == ["resource.kubernetes.io/delete-protection"]

    run(test())


async def with_gpus(cluster: OneCluster, where: str, count: int) -> None:
    """Devices on a node, of a class that answers to `example.com/gpu`."""
    client = cluster.server.client
    await client.create(DEVICE_CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"},
                                         "spec": {"extendedResourceName": "example.com/gpu"}})
    await client.create(RESOURCE_SLICES, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": {
        "driver": "d.example.com", "pool": {"name": where, "generation": 1, "resourceSliceCount": 1}, "nodeName": where,
        "devices": [{"name": f"gpu-{index}"} for index in range(count)]}})


def test_an_extended_resource_is_served_by_devices_through_a_claim_of_the_pod_s_own() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b")) as cluster:
            client = cluster.server.client
            await cluster.put(pod("p", "1", more={"example.com/gpu": "2"}))
            assert "2 Insufficient example.com/gpu" in await cluster.refused("p")
            # when a class answers to the name, and devices come
            await with_gpus(cluster, "b", 3)
            # then
            assert await cluster.bound("p") == {"p": "b"}
            claim, = (await client.list(RESOURCE_CLAIMS, "default")).items
            assert claim.metadata.name.startswith("p-extended-resources-")
            assert [one.name for one in claim.metadata.ownerReferences] == ["p"]
            assert claim.status.allocation is not None
            assert [one.device for one in claim.status.allocation.devices.results] == ["gpu-0", "gpu-1"]
            assert [one.name for one in claim.status.reservedFor] == ["p"]
            found = (await client.get(PODS, "p", "default")).status.extendedResourceClaimStatus
            assert found is not None
            assert found.resourceClaimName == claim.metadata.name
            assert [(one.containerName, one.resourceName, one.requestName) for one in found.requestMappings or ()] == [
                ("main", "example.com/gpu", "container-0-request-1")]
            # and what it has is nobody else's
            await cluster.put(pod("q", "1", more={"example.com/gpu": "2"}), pod("r", "1", more={"deviceclass.resource.kubernetes.io/gpu": "1"}))
            assert await cluster.bound("r") == {"r": "b"}
            assert "2 cannot allocate all claims" in await cluster.refused("q")

    run(test())


@pytest.mark.parametrize("lost_too", [False, True])
def test_a_claim_for_extended_resources_goes_when_the_pod_is_not_bound(lost_too: bool) -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            client = cluster.server.client
            await with_gpus(cluster, "a", 1)
            refuse = lost(Conflict("changed meanwhile"), after=False)
            left = [1]

            # given a binding that is refused and, maybe, a server that does not let the claim go at first
            def fault(verb: str, kind: str, name: str, after: bool) -> None:
                refuse(verb, kind, name, after)
                if lost_too and (verb, kind) == ("delete", "resourceclaims") and left[0]:
                    left[0] -= 1
                    raise ServiceUnavailable("gone for a moment")

            cluster.client.fault = fault
            await cluster.put(pod("p", "1", more={"example.com/gpu": "1"}))
            # then it is bound in the end, with one claim
            await cluster.bound("p")
            assert binds(cluster) == 2
            claim, = (await client.list(RESOURCE_CLAIMS, "default")).items
            status = (await client.get(PODS, "p", "default")).status.extendedResourceClaimStatus
            assert status is not None
            assert status.resourceClaimName == claim.metadata.name
            assert sum(call[:2] == ("create", "resourceclaims") for call in cluster.client.calls) == 2
            assert cluster.scheduler.snapshot.world.get(RESOURCE_CLAIMS, "<extended-resources>-p", "default") is None

    run(test())


def test_a_pod_is_looked_at_when_the_last_of_its_claims_is_there() -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            client = cluster.server.client

            async def make(name: str) -> None:
                await client.create(RESOURCE_CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name}, "spec": {
                    "devices": {}}}, "default")

            # given a pod that waits for two claims, and one that is gone before it stops waiting
            await cluster.put(pod("p", resourceClaims=[{"name": "x", "resourceClaimName": "c"}, {"name": "y", "resourceClaimName": "d"}]),
                              pod("q", resourceClaims=[{"name": "x", "resourceClaimName": "c"}]), pod("other"))
            await cluster.bound("other")
            await client.delete(PODS, "q", "default", DeleteOptions(grace_period_seconds=0))
            # when / then
            await make("d")
            await cluster.clock.advance(30)
            assert await cluster.node_of("p") == ""
            await make("c")
            assert await cluster.bound("p") == {"p": "a"}
            assert await cluster.pod("q") is None

    run(test())


async def _devices(cluster: OneCluster, *nodes: str) -> None:
    client = cluster.server.client
    await client.create(DEVICE_CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}})
    for name in nodes:
        await client.create(RESOURCE_SLICES, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": f"s-{name}"}, "spec": {
            "driver": "d.example.com", "pool": {"name": name, "generation": 1, "resourceSliceCount": 1}, "nodeName": name, "devices": [{"name": "gpu-0"}]}})


def test_a_claim_without_an_answer_is_an_error() -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            await _devices(cluster, "a")
            asks = {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": 'device.attributes["x"].y == 1'}}]}
            await cluster.server.client.create(RESOURCE_CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {
                "devices": {"requests": [{"name": "r", "exactly": asks}]}}}, "default")
            await cluster.put(pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}]))
            assert await cluster.refused("p") == (
                'running "DynamicResources" filter plugin: claim default/c: selector #0: CEL runtime error: no such key: y')
            found = await cluster.pod("p")
            assert found is not None
            assert [one.reason for one in found.status.conditions if one.type == "PodScheduled"] == ["SchedulerError"]

    run(test())


def test_a_claim_that_has_its_devices_elsewhere_and_is_of_use_to_nobody_gets_others() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b")) as cluster:
            # given a claim with a device of another node than the one that the pod has to be on, and nobody uses it
            await _devices(cluster, "a", "b")
            client = cluster.server.client
            await client.create(RESOURCE_CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {
                "name": "c", "finalizers": ["resource.kubernetes.io/delete-protection"]}, "spec": {
                "devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}, "default")
            there = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}
            await client.patch(RESOURCE_CLAIMS, "c", "default", {"status": {"allocation": {"nodeSelector": there, "devices": {"results": [
                {"request": "r", "driver": "d.example.com", "pool": "b", "device": "gpu-0"}]}}}}, subresource="status")
            await cluster.clock.advance(1)
            # when / then
            await cluster.put(pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}], nodeSelector={"kubernetes.io/hostname": "a"}))
            assert await cluster.bound("p") == {"p": "a"}
            claim = await client.get(RESOURCE_CLAIMS, "c", "default")
            assert claim.status.allocation is not None
            assert [one.pool for one in claim.status.allocation.devices.results] == ["a"]
            said = next(one for one in await cluster.events("FailedScheduling") if "resourceclaim" in one)
            assert said.startswith("0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 resourceclaim not available on the node. "
                                   "deallocation of ResourceClaim completed, preemption: ")

    run(test())


@pytest.mark.parametrize("works", [True, False])
def test_a_pod_waits_for_its_devices_to_be_bound_and_lets_go_of_one_that_is_broken(works: bool) -> None:
    async def test() -> None:
        async with one_cluster(node("a")) as cluster:
            client = cluster.server.client
            await cluster.until(lambda: len(cluster.scheduler.snapshot) == 1)
            await client.create(DEVICE_CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}})
            await client.create(RESOURCE_SLICES, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": {
                "driver": "d.example.com", "pool": {"name": "a", "generation": 1, "resourceSliceCount": 1}, "nodeName": "a",
                "devices": [{"name": "gpu-0", "bindingConditions": ["Attached"], "bindingFailureConditions": ["Broken"]}]}})
            await client.create(RESOURCE_CLAIMS, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {
                "devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}, "default")
            await cluster.put(pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}]))

            async def allocated() -> bool:
                return (await client.get(RESOURCE_CLAIMS, "c", "default")).status.allocation is not None

            # given a device that was chosen: the pod waits
            await cluster.until(allocated)
            await cluster.clock.advance(5)
            assert await cluster.node_of("p") == ""
            # when the driver says how it went
            said = {"type": "Attached" if works else "Broken", "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            await client.patch(RESOURCE_CLAIMS, "c", "default", {"status": {"devices": [
                {"driver": "d.example.com", "pool": "a", "device": "gpu-0", "conditions": [said]}]}}, subresource="status")
            # then
            if works:
                assert await cluster.bound("p") == {"p": "a"}
                return

            async def told() -> bool:
                return any('running PreBind plugin "DynamicResources": device binding failed: claim=c, reason=Done, message=""' in one for one in await cluster.events("FailedScheduling"))

            async def free() -> bool:
                found = await client.get(RESOURCE_CLAIMS, "c", "default")
                return found.status.allocation is None and not found.status.devices

            await cluster.until(free)
            await cluster.until(told)
            assert await cluster.node_of("p") == ""

    run(test())


def test_an_extender_filters_ranks_and_binds() -> None:
    asked: list[str] = []

    async def post(extender: Extender, url: str, body: bytes) -> bytes:
        asked.append(url)
        said = codec.loads(body)
        if url.endswith("/filter"):
            return codec.encode({"NodeNames": [one for one in said["NodeNames"] if one != "a"], "FailedNodes": {"a": "not this one"}})
        if url.endswith("/rank"):
            return codec.encode([{"Host": name, "Score": 10 if name == "c" else 0} for name in said["NodeNames"]])
        await servers[0].server.client.create(PODS, {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": said["PodName"]},
                                                     "target": {"kind": "Node", "name": said["Node"]}}, "default", name=said["PodName"], subresource="binding")
        return b"{}"

    servers: list[OneCluster] = []
    config = settings({"extenders": [{"urlPrefix": "http://x", "filterVerb": "filter", "prioritizeVerb": "rank", "bindVerb": "bind", "weight": 5,
                                      "nodeCacheCapable": True, "managedResources": [{"name": "example.com/thing"}]}]})

    async def test() -> None:
        more = {"example.com/thing": "1"}
        async with one_cluster(*(node(name, more={"example.com/thing": "9"}) for name in "abc"), settings=config, post=post) as cluster:
            servers.append(cluster)
            await cluster.put(pod("plain"), pod("p", more=more))
            await cluster.bound("plain")
            assert await cluster.bound("p") == {"p": "c"}
            assert asked == ["http://x/filter", "http://x/rank", "http://x/bind"]  # the other pod is not its business

    run(test())


@pytest.mark.parametrize(("names_only", "answer"), [(True, "b"), (False, "b"), (False, "nothing"), (False, "nonsense")])
def test_an_extender_has_a_say_in_who_goes(names_only: bool, answer: str) -> None:
    asked: list[Any] = []

    async def post(_extender: Extender, _url: str, body: bytes) -> bytes:
        said = codec.loads(body)
        asked.append(said)
        chosen = said["NodeNameToMetaVictims"] if names_only else said["NodeNameToVictims"]
        if answer == "nonsense":
            return codec.encode({"nodeNameToMetaVictims": {"b": {"pods": []}}})
        found = {name: {"pods": [{"uid": one["UID"] if names_only else one["metadata"]["uid"]} for one in victims["Pods"]]}
                 for name, victims in chosen.items() if name == answer}
        return codec.encode({"nodeNameToMetaVictims": found})

    config = settings({"extenders": [{"urlPrefix": "http://x", "preemptVerb": "preempt", "nodeCacheCapable": names_only}]})

    async def test() -> None:
        lows = [pod(f"low-{name}", "1", nodeSelector={"kubernetes.io/hostname": name}, terminationGracePeriodSeconds=0) for name in "ab"]
        async with one_cluster(node("a", cpu="1"), node("b", cpu="1"), *lows, settings=config, post=post) as cluster:
            await cluster.bound("low-a", "low-b")
            await cluster.server.client.create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                                                  "metadata": {"name": "high"}, "value": 1000})
            await cluster.put(pod("high", "1", priorityClassName="high"))
            if answer == "b":
                assert await cluster.bound("high") == {"high": "b"}
                assert await cluster.node_of("low-a") == "a"
                assert sorted(asked[0]["NodeNameToMetaVictims" if names_only else "NodeNameToVictims"]) == ["a", "b"]
            else:
                words = "preemption: no candidate node for preemption" if answer == "nothing" else 'expected at least one victim pod on node "b"'
                assert words in await cluster.refused("high")
                assert await cluster.node_of("low-a") == "a"
                assert await cluster.node_of("low-b") == "b"

    run(test())


def test_nodes_that_leave_are_not_chosen_any_more() -> None:
    async def test() -> None:
        async with one_cluster(node("a"), node("b", cpu="1")) as cluster:
            await cluster.until(lambda: len(cluster.scheduler.snapshot) == 2)
            await cluster.server.client.delete(NODES, "a")
            await cluster.until(lambda: len(cluster.scheduler.snapshot) == 1)
            await cluster.put(pod("p"))
            assert await cluster.bound("p") == {"p": "b"}

    run(test())
