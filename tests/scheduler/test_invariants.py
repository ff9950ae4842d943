"""What holds of a whole cluster whatever happens to the scheduler's calls: they fail, are answered late, or are lost after they were made."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest
from tests.scheduler.one_cluster import OneCluster, one_cluster
from tests.scheduler.small import node, pod

from sampan.api.core.v1 import Pod
from sampan.api.errors import ApiError, Conflict, InternalError, ServiceUnavailable, TooManyRequests
from sampan.api.resources import DEVICE_CLASSES, PODS, PRIORITY_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.testing import waiting

NODES = tuple(f"n{index}" for index in range(4))
CPU_MILLI, GPUS = 2000, 2
LOW, MIDDLE, HIGH = (tuple(f"{kind}-{index}" for index in range(count)) for kind, count in (("low", 8), ("gpu", 6), ("high", 4)))
ERRORS: tuple[ApiError, ...] = (ServiceUnavailable("gone for a moment"), Conflict("changed meanwhile"), TooManyRequests("slow down"), InternalError("oops"))


def asked(one: Pod) -> int:
    text = str((one.spec.containers or [])[0].resources.requests["cpu"])
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000


class Trouble:
    """Calls that fail before or after they are made, and answers that take a while, until there is peace."""

    def __init__(self, seed: int, cluster: OneCluster) -> None:
        self._rng, self._cluster, self.peace = random.Random(seed), cluster, False
        cluster.client.fault, cluster.client.late = self.fault, self.late

    def fault(self, _verb: str, _kind: str, _name: str, _after: bool) -> None:
        if not self.peace and self._rng.random() < 0.1:
            raise self._rng.choice(ERRORS)

    def late(self, _verb: str, _kind: str, _name: str, _after: bool) -> asyncio.Event | None:
        if self.peace or self._rng.random() > 0.05:
            return None
        answered = asyncio.Event()
        asyncio.get_running_loop().call_later(0, self._cluster.tasks.start, self._answer(answered), "late answer")
        return answered

    async def _answer(self, answered: asyncio.Event) -> None:
        await self._cluster.clock.sleep(self._rng.choice((0.1, 2.0, 20.0)))
        answered.set()


class Ledger:
    """Every state of every pod that the API server told of."""

    def __init__(self) -> None:
        self.nodes: dict[str, list[str]] = defaultdict(list)  # uid → nodes that it was ever said to be on
        self.gone: list[Pod] = []

    async def follow(self, cluster: OneCluster, since: str) -> None:
        async for event in cluster.server.client.watch(PODS, "default", since=since):
            found: Pod = event.object
            if event.kind == "DELETED":
                self.gone.append(found)
            elif event.kind != "BOOKMARK" and found.spec.nodeName and found.spec.nodeName not in self.nodes[found.metadata.uid]:
                self.nodes[found.metadata.uid].append(found.spec.nodeName)


async def check(cluster: OneCluster) -> None:
    """What holds at any time, as the API server has it."""
    pods = (await cluster.server.client.list(PODS, "default")).items
    used: dict[str, int] = defaultdict(int)
    for one in pods:
        if one.spec.nodeName:
            used[one.spec.nodeName] += asked(one)
            # whoever is bound is said to be
            assert [(found.status, found.reason) for found in one.status.conditions if found.type == "PodScheduled"] == [("True", "")], one.metadata.name
            assert not one.status.nominatedNodeName
    assert all(amount <= CPU_MILLI for amount in used.values()), used
    given: list[tuple[str, str]] = []
    for claim in (await cluster.server.client.list(RESOURCE_CLAIMS, "default")).items:
        if claim.status.allocation is not None:
            given += [(one.pool, one.device) for one in claim.status.allocation.devices.results]
    assert len(given) == len(set(given)), given


async def furnished(cluster: OneCluster) -> None:
    client = cluster.server.client
    for name, value in (("high", 1000), ("middle", 100)):
        await client.create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value})
    await client.create(DEVICE_CLASSES, {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"},
                                         "spec": {"extendedResourceName": "example.com/gpu"}})
    for name in NODES:
        await client.create(RESOURCE_SLICES, {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": {
            "driver": "d.example.com", "nodeName": name, "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": f"gpu-{index}"} for index in range(GPUS)]}})


async def at_rest(cluster: OneCluster) -> bool:
    """Everything important is bound, and the scheduler counts what there is."""
    pods = (await cluster.server.client.list(PODS, "default")).items
    bound = {one.metadata.name: one for one in pods if one.spec.nodeName}
    snapshot = cluster.scheduler.snapshot
    return ({*MIDDLE, *HIGH} <= set(bound) and {one.metadata.uid for one in bound.values()} == set(snapshot.assigned)
            and not snapshot.nominated and not any(one.metadata.deletionTimestamp for one in pods))


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_given_twice_or_moved(seed: int) -> None:
    async def test() -> None:
        async with one_cluster(*(node(name, cpu="2") for name in NODES)) as cluster:
            await furnished(cluster)
            ledger, trouble = Ledger(), Trouble(seed, cluster)
            cluster.tasks.start(ledger.follow(cluster, (await cluster.server.client.list(PODS, "default")).revision), "ledger")
            # given a cluster that is half full of what is not important
            await cluster.put(*(pod(name, "500m", terminationGracePeriodSeconds=0) for name in LOW))
            await cluster.until(lambda: len(cluster.scheduler.snapshot.assigned) >= 6, 600)
            # when more comes than fits, all of it more important
            await cluster.put(*(pod(name, "250m", more={"example.com/gpu": "1"}, priorityClassName="middle") for name in MIDDLE),
                              *(pod(name, "1", priorityClassName="high") for name in HIGH))
            for _ in range(20):
                await cluster.clock.advance(3)
                await check(cluster)
            trouble.peace = True
            for _ in range(100):
                if await at_rest(cluster):
                    break
                await cluster.clock.advance(10)
            else:
                pytest.fail("it does not come to rest")
            # then
            await check(cluster)
            assert all(len(nodes) == 1 for nodes in ledger.nodes.values())
            assert {one.metadata.name for one in ledger.gone} <= set(LOW)  # only the less important had to go
            found = (await cluster.server.client.list(PODS, "default")).items
            left = {one.metadata.name for one in found}
            assert left | {one.metadata.name for one in ledger.gone} == {*LOW, *MIDDLE, *HIGH}
            # and every pod with devices has one claim, which is its own
            named = [one.status.extendedResourceClaimStatus.resourceClaimName for one in found if one.status.extendedResourceClaimStatus is not None]
            claims = {one.metadata.name: one for one in (await cluster.server.client.list(RESOURCE_CLAIMS, "default")).items}
            assert sorted(named) == sorted(claims)
            assert all(one.status.allocation is not None and len(one.status.reservedFor) == 1 for one in claims.values())

    waiting.run(test())
