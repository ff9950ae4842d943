"""Extended resources by devices: which class answers, what the claim asks for, where nodes serve themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.scheduler.small import cluster, node, place, pod, settle

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import DeviceClass, ResourceClaim, ResourceSlice
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.scheduler.dra.extended import by_devices, claim_on, left_over, mappings, shares_now
from sampan.scheduler.plugins.balanced_allocation import NodeResourcesBalancedAllocation
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy
from sampan.scheduler.reserve import reserve
from sampan.scheduler.snapshot import Snapshot

GPU, OWN_NAME = "example.com/gpu", "deviceclass.resource.kubernetes.io/gpu"


def device_class(name: str = "gpu", resource: str | None = GPU, made: str = "2026-01-01T00:00:00Z") -> DeviceClass:
    return codec.convert(DeviceClass, {"metadata": {"name": name, "creationTimestamp": made}, "spec": {"extendedResourceName": resource} if resource else {}})


def with_devices(snapshot: Snapshot, **count: int) -> Snapshot:
    for where, number in count.items():
        snapshot.world.put(RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": f"slice-{where}"}, "spec": {
            "driver": "d.example.com", "pool": {"name": where, "generation": 1, "resourceSliceCount": 1}, "nodeName": where,
            "devices": [{"name": f"gpu-{index}"} for index in range(number)]}}))
    return snapshot


def wants(count: int = 1, name: str = "p", resource: str = GPU) -> Pod:
    return pod(name, "1", more={resource: str(count)})


def test_a_device_class_answers_to_the_name_that_it_says_and_always_to_its_own() -> None:
    snapshot = with_devices(cluster(node("a"), node("b")), b=2)
    # given no class
    assert place(snapshot, wants()).startswith("0/2 nodes are available: 2 Insufficient example.com/gpu.")
    # when / then
    snapshot.world.put(DEVICE_CLASSES, device_class())
    assert place(snapshot, wants(2)) == "b"
    assert place(snapshot, wants(2, resource=OWN_NAME)) == "b"
    assert place(snapshot, wants(3)) == ("0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, "
                                         "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.")


def test_of_several_classes_the_newest_answers_then_the_first_by_name() -> None:
    snapshot = cluster(node("a"))
    for one in (device_class("old"), device_class("b", made="2026-02-01T00:00:00Z"), device_class("a", made="2026-02-01T00:00:00Z")):
        snapshot.world.put(DEVICE_CLASSES, one)
    assert snapshot.world.device_class_of[GPU] == "a"
    # when that one is gone
    snapshot.world.remove(DEVICE_CLASSES, device_class("a"))
    assert snapshot.world.device_class_of[GPU] == "b"
    assert "deviceclass.resource.kubernetes.io/a" not in snapshot.world.device_class_of


def test_a_node_that_has_the_resource_itself_serves_it_itself() -> None:
    # given a node with a device plugin's two, and one with four devices
    snapshot = with_devices(cluster(node("plugin", more={GPU: "2"}), node("devices")), devices=4)
    snapshot.world.put(DEVICE_CLASSES, device_class())
    shape = snapshot.shape(wants(2))
    # then
    assert claim_on(wants(2), shape, snapshot, snapshot.rows["plugin"]) is None
    assert claim_on(wants(2), shape, snapshot, snapshot.rows["devices"]) is not None
    assert place(snapshot, wants(3)) == "devices"
    snapshot.put_node(node("devices", unschedulable=True))
    assert place(snapshot, wants(2)) == "plugin"
    assert "1 Insufficient example.com/gpu" in place(snapshot, wants(3))


def test_the_claim_has_a_request_a_container_and_resource_and_belongs_to_the_pod() -> None:
    snapshot = with_devices(cluster(node("a")), a=4)
    snapshot.world.put(DEVICE_CLASSES, device_class())

    def container(name: str, **amounts: str) -> dict[str, Any]:
        return {"name": name, "image": "x", "resources": {"requests": {key.replace("gpu", GPU): value for key, value in amounts.items()}}}

    wanted = codec.convert(Pod, {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": {
        "containers": [container("first", gpu="1"), container("none", cpu="1"), container("two", cpu="1", gpu="2", memory="1Gi")]}})
    shape = snapshot.shape(wanted)
    found = claim_on(wanted, shape, snapshot, 0)
    # then
    assert found is not None
    assert [(one.name, one.exactly.deviceClassName, one.exactly.count) for one in found.spec.devices.requests or () if one.exactly] == [
        ("container-0-request-0", "gpu", 1), ("container-2-request-1", "gpu", 2)]
    assert (found.metadata.generateName, found.metadata.annotations) == ("p-extended-resources-", {"resource.kubernetes.io/extended-resource-claim": "true"})
    assert [(one.kind, one.name, one.uid, one.controller) for one in found.metadata.ownerReferences] == [("Pod", "p", "u", True)]
    assert [(one.containerName, one.resourceName, one.requestName) for one in mappings(shape, snapshot, found)] == [
        ("first", GPU, "container-0-request-0"), ("two", GPU, "container-2-request-1")]


def test_what_an_attempt_has_left_is_found_by_its_owner() -> None:
    snapshot = cluster(node("a"))

    def claim(name: str, uid: str, said: str = "true") -> ResourceClaim:
        return codec.convert(ResourceClaim, {"metadata": {
            "name": name, "namespace": "default", "annotations": {"resource.kubernetes.io/extended-resource-claim": said},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": True}]}, "spec": {"devices": {}}})

    for one in (claim("another-s", "q"), claim("no-such-claim", "p", "false")):
        snapshot.world.put(RESOURCE_CLAIMS, one)
    assert left_over(wants(), snapshot.world) is None
    snapshot.world.put(RESOURCE_CLAIMS, claim("mine", "p"))
    assert (found := left_over(wants(), snapshot.world)) is not None
    assert found.metadata.name == "mine"


def test_a_pod_that_asks_for_nothing_of_the_kind_costs_nothing() -> None:
    snapshot = cluster(node("a"))
    shape = snapshot.shape(pod("p", "1"))
    assert (shape.extended, by_devices(shape, snapshot), snapshot.is_intricate(shape)) == (frozenset(), (), False)


@hypothesis_settings(max_examples=40, deadline=None)
@for_all(plugins=st.lists(st.integers(0, 3), min_size=1, max_size=4), devices=st.lists(st.integers(0, 3), min_size=4, max_size=4),
         pods=st.lists(st.integers(1, 3), max_size=12))
def test_no_device_and_no_unit_of_a_plugin_is_given_twice(plugins: list[int], devices: list[int], pods: list[int]) -> None:
    # given nodes of which some have the resource, others devices, some both
    names = [f"n{index}" for index in range(len(plugins))]
    snapshot = cluster(*(node(name, cpu="100", more={GPU: str(units)} if units else None) for name, units in zip(names, plugins, strict=True)))
    with_devices(snapshot, **dict(zip(names, devices, strict=False)))
    snapshot.world.put(DEVICE_CLASSES, device_class())
    free = {name: units or many for name, units, many in zip(names, plugins, devices, strict=False)}
    given: list[tuple[str, str]] = []
    # when pods come one after the other
    for number, count in enumerate(pods):
        wanted = wants(count, f"p{number}")
        where = settle(snapshot, wanted)
        # then each finds a node exactly when one has enough left
        assert bool(where) == any(left >= count for left in free.values())
        if not where:
            continue
        free[where] -= count
        assert free[where] >= 0
        got = reserve(wanted, snapshot.shape(wanted), snapshot, snapshot.rows[where], datetime(2026, 1, 1, tzinfo=UTC)).extended
        results = got.status.allocation.devices.results if got is not None and got.status.allocation is not None else []
        assert [one.pool for one in results] == [where] * (0 if plugins[names.index(where)] else count)
        given += [(one.pool, one.device) for one in results]
    assert len(given) == len(set(given))


def test_devices_count_where_nodes_are_compared_by_a_resource_that_they_stand_behind() -> None:
    # given a node with four devices of which one is in use, one with two of a plugin, and one whose devices the class has no answer for
    snapshot = with_devices(cluster(node("a"), node("b", more={GPU: "2"}), node("c")), a=4, b=2)
    snapshot.world.put(RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": "slice-c"}, "spec": {
        "driver": "other", "pool": {"name": "c", "generation": 1, "resourceSliceCount": 1}, "nodeName": "c", "devices": [{"name": "x"}]}}))
    selectors = [{"cel": {"expression": 'device.driver == "d.example.com" || device.attributes["none"].x == 1'}}]
    snapshot.world.put(DEVICE_CLASSES, codec.convert(DeviceClass, {"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": GPU, "selectors": selectors}}))
    result = {"request": "r", "driver": "d.example.com", "pool": "a", "device": "gpu-0"}
    snapshot.world.put(RESOURCE_CLAIMS, codec.convert(ResourceClaim, {
        "metadata": {"name": "held", "namespace": "default"}, "status": {"allocation": {"devices": {"results": [result]}}}}))
    rows = [snapshot.rows[name] for name in "abc"]
    # then
    used, capacity = shares_now(snapshot, GPU)
    assert (used[rows].tolist(), capacity[rows].tolist()) == ([1, 0, 0], [4, 2, 0])
    # and the fuller node is better if that is what is wanted: three quarters of a, half of b
    plugin = NodeResourcesFit(Strategy("MostAllocated", ((GPU, 1),)))
    scores = plugin.score(snapshot.shape(wants(2)), snapshot, snapshot.alive)
    assert scores is not None
    assert scores[rows].tolist() == [75, 100, 0]
    assert shares_now(snapshot, "cpu")[1][rows].tolist() == [4000, 4000, 4000]


def test_devices_count_in_how_balanced_a_node_is() -> None:
    snapshot = with_devices(cluster(node("a", cpu="4")), a=4)
    snapshot.world.put(DEVICE_CLASSES, device_class())
    balanced = NodeResourcesBalancedAllocation(("cpu", GPU)).score(snapshot.shape(wants(1)), snapshot, snapshot.alive)
    one_sided = NodeResourcesBalancedAllocation(("cpu", GPU)).score(snapshot.shape(wants(4)), snapshot, snapshot.alive)
    assert balanced is not None
    assert one_sided is not None
    assert (balanced[0], one_sided[0]) == (75, 56)


def asking(*init: tuple[int, str], main: int = 0) -> Pod:
    def container(name: str, count: int, policy: str = "") -> dict[str, Any]:
        amount = {GPU: str(count)} if count else {}
        return {"name": name, "image": "x", "resources": {"requests": amount, "limits": amount}, **({"restartPolicy": policy} if policy else {})}

    return codec.convert(Pod, {"metadata": {"name": "p", "namespace": "default", "uid": "p"}, "spec": {
        "initContainers": [container(f"i{index}", count, policy) for index, (count, policy) in enumerate(init)], "containers": [container("main", main)]}})


@pytest.mark.parametrize(("wanted", "requests", "serving"), [
    # an init container uses what is meant for the main one
    (asking((1, ""), main=1), {"container-1-request-0": 1}, {"main": ["container-1-request-0"], "i0": ["container-1-request-0"]}),
    # what it needs beyond that is asked for
    (asking((3, ""), main=1), {"container-0-request-0": 2, "container-1-request-0": 1},
     {"main": ["container-1-request-0"], "i0": ["container-1-request-0", "container-0-request-0"]}),
    # and serves the others too, which do not run at the same time
    (asking((2, ""), (3, "")), {"container-1-request-0": 3}, {"i0": ["container-1-request-0"], "i1": ["container-1-request-0"]}),
    # a sidecar keeps its own, which those before it may use and those after it not
    (asking((1, ""), (1, "Always"), (1, ""), main=0), {"container-1-request-0": 1, "container-2-request-0": 1},
     {"i1": ["container-1-request-0"], "i0": ["container-1-request-0"], "i2": ["container-2-request-0"]}),
], ids=["used again", "some more", "the most", "sidecar"])
def test_containers_that_end_before_others_begin_use_their_devices(wanted: Pod, requests: dict[str, int], serving: dict[str, list[str]]) -> None:
    snapshot = with_devices(cluster(node("a")), a=8)
    snapshot.world.put(DEVICE_CLASSES, device_class())
    shape = snapshot.shape(wanted)
    assert {one.request: one.amount for one in by_devices(shape, snapshot)} == requests
    claim = claim_on(wanted, shape, snapshot, 0)
    assert claim is not None
    found: dict[str, list[str]] = {}
    for one in mappings(shape, snapshot, claim):
        found.setdefault(one.containerName, []).append(one.requestName)
    assert found == serving
