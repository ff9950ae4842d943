"""Allocation of devices: selectors, counts, constraints, alternatives, shared counters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.scheduler.small import HOST, cluster, node, place, pod

from sampan.api import codec
from sampan.api.resource.v1 import (
    AllocatedDeviceStatus,
    AllocationResult,
    DeviceAllocationResult,
    DeviceClaimConfiguration,
    DeviceClass,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceSlice,
)
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.scheduler.dra.allocate import ClaimError, allocate
from sampan.scheduler.dra.devices import Taken, taken
from sampan.scheduler.plugins.base import PluginError
from sampan.scheduler.plugins.dynamic_resources import DynamicResources, useless_claim
from sampan.scheduler.reserve import ReserveError, devices_ready
from sampan.scheduler.snapshot import Snapshot


def offered(*devices: dict[str, Any], where: str = "a", snapshot: Snapshot | None = None, **more: Any) -> Snapshot:
    snapshot = snapshot or cluster(node("a"), node("b"))
    snapshot.world.put(DEVICE_CLASSES, codec.convert(DeviceClass, {"metadata": {"name": "gpu"}, "spec": {}}))
    snapshot.world.put(RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": f"slice-{where}"}, "spec": {
        "driver": "d.example.com", "pool": {"name": where, "generation": 1, "resourceSliceCount": 1}, "nodeName": where, "devices": list(devices), **more}}))
    return snapshot


def device(name: str, numa: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "attributes": {"numa": {"int": numa}}, **more}


def claim(*requests: dict[str, Any], constraints: Any = (), name: str = "c") -> ResourceClaim:
    return codec.convert(ResourceClaim, {"metadata": {"name": name, "namespace": "default", "uid": name},
                                         "spec": {"devices": {"requests": list(requests), "constraints": list(constraints)}}})


def exactly(name: str = "r", count: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count, **more}}


def given(snapshot: Snapshot, *claims: ResourceClaim, on: str = "a") -> list[list[str]] | None:
    found = allocate(claims, snapshot, snapshot.rows[on], taken(snapshot))
    return None if found is None else [[f"{one.request}={one.device}" for one in result.devices.results] for result in found]


def test_devices_are_taken_in_order_and_only_once() -> None:
    snapshot = offered(device("g0"), device("g1"), device("g2"))
    assert given(snapshot, claim(exactly(count=2)), claim(exactly(), name="d")) == [["r=g0", "r=g1"], ["r=g2"]]
    assert given(snapshot, claim(exactly(count=4))) is None
    assert given(snapshot, claim(exactly()), on="b") is None


def test_a_constraint_makes_the_search_go_on() -> None:
    snapshot = offered(device("g0", 0), device("g1", 1), device("g2", 1))
    same, other = [{"matchAttribute": "d.example.com/numa"}], [{"distinctAttribute": "d.example.com/numa"}]
    assert given(snapshot, claim(exactly(count=2), constraints=same)) == [["r=g1", "r=g2"]]
    assert given(snapshot, claim(exactly("x"), exactly("y"), constraints=same)) == [["x=g1", "y=g2"]]
    assert given(snapshot, claim(exactly(count=2), constraints=other)) == [["r=g0", "r=g1"]]
    assert given(snapshot, claim(exactly(count=3), constraints=other)) is None


def test_the_first_alternative_that_can_be_had_is_taken() -> None:
    snapshot = offered(device("g0"))
    either = {"name": "r", "firstAvailable": [{"name": "two", "deviceClassName": "gpu", "count": 2}, {"name": "one", "deviceClassName": "gpu", "count": 1}]}
    assert given(snapshot, claim(either)) == [["r/one=g0"]]


def test_all_means_all_of_them_and_looking_is_no_use() -> None:
    snapshot = offered(device("g0"), device("g1"))
    everything = {"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "All"}}
    assert given(snapshot, claim(everything)) == [["r=g0", "r=g1"]]
    first = allocate([claim(exactly())], snapshot, snapshot.rows["a"], Taken())
    assert first is not None
    held = claim(exactly())
    held.status.allocation = first[0]
    snapshot.world.put(RESOURCE_CLAIMS, held)
    assert given(snapshot, claim(everything, name="d")) is None
    watching = {"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "All", "adminAccess": True}}
    assert given(snapshot, claim(watching, name="d")) == [["r=g0", "r=g1"]]


def test_tainted_devices_need_a_toleration() -> None:
    snapshot = offered(device("g0", taints=[{"key": "broken", "effect": "NoSchedule"}]))
    assert given(snapshot, claim(exactly())) is None
    assert given(snapshot, claim(exactly(tolerations=[{"key": "broken", "operator": "Exists"}]))) == [["r=g0"]]


def test_parts_of_one_device_share_its_counters() -> None:
    def part(name: str, size: str) -> dict[str, Any]:
        return device(name, consumesCounters=[{"counterSet": "card", "counters": {"memory": {"value": size}}}])

    snapshot = offered(part("half", "20Gi"), part("whole", "40Gi"), part("other-half", "20Gi"),
                       sharedCounters=[{"name": "card", "counters": {"memory": {"value": "40Gi"}}}])
    assert given(snapshot, claim(exactly(count=2))) == [["r=half", "r=other-half"]]
    assert given(snapshot, claim(exactly(count=3))) is None


def test_an_older_generation_and_an_incomplete_pool_are_not_on_offer() -> None:
    snapshot = offered(device("old"))
    offered(device("new"), where="a", snapshot=snapshot)
    newer = codec.convert(ResourceSlice, {"metadata": {"name": "newer"}, "spec": {"driver": "d.example.com", "nodeName": "a", "devices": [device("fresh")],
                                                                                  "pool": {"name": "a", "generation": 2, "resourceSliceCount": 1}}})
    snapshot.world.put(RESOURCE_SLICES, newer)
    assert given(snapshot, claim(exactly())) == [["r=fresh"]]


WANTED = pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}])


def test_a_pod_is_told_what_is_wrong_with_its_claims() -> None:
    # given a selector that has no answer for a device
    snapshot = offered(device("g0"))
    snapshot.world.put(RESOURCE_CLAIMS, claim(exactly(selectors=[{"cel": {"expression": 'device.attributes["x"].y == 1'}}])))
    # then the pod is not judged at all
    with pytest.raises(PluginError, match='running "DynamicResources" filter plugin: claim default/c: selector #0: CEL runtime error: no such key: y'):
        place(snapshot, WANTED)
    snapshot.world.put(RESOURCE_CLAIMS, claim({"name": "r", "exactly": {"deviceClassName": "nope"}}))
    assert place(snapshot, WANTED).startswith("0/2 nodes are available: request r: device class nope does not exist. no new claims to deallocate")


def test_only_devices_that_are_come_to_need_an_answer() -> None:
    snapshot = offered(device("g0", capacity={"memory": {"value": "1Gi"}}), device("g1"))
    asks = exactly(selectors=[{"cel": {"expression": 'device.capacity["d.example.com"].memory.compareTo(quantity("1Gi")) >= 0'}}])
    assert given(snapshot, claim(asks)) == [["r=g0"]]
    with pytest.raises(ClaimError, match="no such key: memory"):
        given(snapshot, claim(asks, {**asks, "name": "s"}))


EVERYTHING = {"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "All"}}


@pytest.mark.parametrize(("pool", "devices", "words"), [
    ({"resourceSliceCount": 2}, ("g0",), "being updated"),
    ({}, ("g0", "g0"), "invalid"),
])
def test_nothing_is_taken_from_a_pool_that_is_not_what_it_should_be(pool: dict[str, Any], devices: tuple[str, ...], words: str) -> None:
    # given such a pool on one node, and nothing on the other
    snapshot = offered(*map(device, devices), pool={"name": "a", "generation": 1, "resourceSliceCount": 1, **pool})
    # then what asks for one finds none
    snapshot.world.put(RESOURCE_CLAIMS, claim(exactly()))
    others = "1 invalid resource pools were encountered" if words == "invalid" else "2 cannot allocate all claims"
    assert others in place(snapshot, WANTED)
    # and there is no telling how many all are
    snapshot.world.put(RESOURCE_CLAIMS, claim(EVERYTHING))
    with pytest.raises(PluginError, match=f"claim default/c, request r: asks for all devices, but resource pool d.example.com/a is currently {words}"):
        place(snapshot, WANTED)


def test_all_cannot_be_had_where_one_is_tainted_or_a_constraint_stands_in_the_way() -> None:
    snapshot = offered(device("g0"), device("g1", 1, taints=[{"key": "broken", "effect": "NoSchedule"}]))
    assert given(snapshot, claim(EVERYTHING)) is None
    tolerant = {"name": "r", "exactly": {**EVERYTHING["exactly"], "tolerations": [{"operator": "Exists"}]}}  # type: ignore[dict-item]
    assert given(snapshot, claim(tolerant)) == [["r=g0", "r=g1"]]
    with pytest.raises(ClaimError, match=r"claim default/c, request r: cannot add device .*/a/g1 because a claim constraint would not be satisfied"):
        given(snapshot, claim(tolerant, constraints=[{"matchAttribute": "d.example.com/numa"}]))


def test_a_claim_has_no_more_than_thirty_two_devices() -> None:
    snapshot = offered(*(device(f"g{i}") for i in range(40)))
    assert given(snapshot, claim(exactly(count=20), exactly("s", 12))) is not None
    with pytest.raises(ClaimError, match="claim default/c: number of requested devices 33 exceeds the claim limit of 32"):
        given(snapshot, claim(exactly(count=20), exactly("s", 13)))
    # an alternative that would be too many is passed over
    either = {"name": "s", "firstAvailable": [{"name": "many", "deviceClassName": "gpu", "count": 13}, {"name": "few", "deviceClassName": "gpu", "count": 1}]}
    found = given(snapshot, claim(exactly(count=20), either))
    assert found is not None
    assert found[0][-1] == "s/few=g20"


def test_who_looks_at_a_device_keeps_others_of_the_same_pod_from_it() -> None:
    snapshot = offered(device("g0"), device("g1"))
    watching = exactly("w", adminAccess=True)
    assert given(snapshot, claim(watching, exactly())) == [["w=g0", "r=g1"]]
    assert given(snapshot, claim(watching, {**watching, "name": "v"})) == [["w=g0", "v=g1"]]
    assert given(snapshot, claim(watching), claim(watching, name="d")) == [["w=g0"], ["w=g0"]]


def test_pools_whose_devices_are_bound_first_come_last() -> None:
    snapshot = offered(device("g0", bindingConditions=["Attached"]))
    offered(device("g1"), where="z", snapshot=snapshot, nodeName="a")
    assert given(snapshot, claim(exactly())) == [["r=g1"]]


def test_what_a_class_says_is_told_once_for_all_requests_and_what_the_claim_says_for_each() -> None:
    snapshot = offered(device("g0"), device("g1"))
    opaque = {"driver": "d.example.com", "parameters": {}}
    snapshot.world.put(DEVICE_CLASSES, codec.convert(DeviceClass, {"metadata": {"name": "gpu"}, "spec": {"config": [{"opaque": opaque}]}}))
    asking = claim(exactly(), exactly("s"))
    asking.spec.devices.config = codec.convert(list[DeviceClaimConfiguration], [{"opaque": opaque}, {"requests": ["r", "s"], "opaque": opaque}])
    found = allocate([asking], snapshot, snapshot.rows["a"], taken(snapshot))
    assert found is not None
    assert [(one.source, one.requests) for one in found[0].devices.config] == [
        ("FromClass", ["r", "s"]), ("FromClaim", []), ("FromClaim", ["r", "s"]), ("FromClaim", ["r", "s"])]


def test_a_node_that_has_the_first_alternative_is_better() -> None:
    # given two small devices on a node, and a large one on the other
    large = {"cel": {"expression": 'device.attributes["d.example.com"].numa == 1'}}
    snapshot = offered(device("g0", 1))
    offered(device("g1"), device("g2"), where="b", snapshot=snapshot)
    either = {"name": "r", "firstAvailable": [{"name": "large", "deviceClassName": "gpu", "count": 1, "selectors": [large]},
                                              {"name": "two", "deviceClassName": "gpu", "count": 2}]}
    snapshot.world.put(RESOURCE_CLAIMS, claim(either))
    # then
    shape = snapshot.shape(WANTED)
    scores = DynamicResources().score(shape, snapshot, snapshot.alive)
    assert scores is not None
    assert [scores[snapshot.rows[name]] for name in "ab"] == [100, 87]
    assert place(snapshot, WANTED) == "a"
    assert DynamicResources().score(snapshot.shape(pod("q")), snapshot, snapshot.alive) is None


def test_a_claim_whose_devices_are_out_of_reach_may_have_others() -> None:
    # given a claim that has a device of a node where the pod cannot be
    snapshot = offered(device("g0"))
    held = claim(exactly())
    found = allocate([held], snapshot, snapshot.rows["a"], taken(snapshot))
    assert found is not None
    held.status.allocation = found[0]
    snapshot.world.put(RESOURCE_CLAIMS, held)
    wanted = pod("p", resourceClaims=WANTED.spec.resourceClaims, nodeSelector={HOST: "b"})
    assert "1 resourceclaim not available on the node" in place(snapshot, wanted)
    # then it gives it back, unless somebody else uses it
    assert useless_claim(wanted, snapshot.shape(wanted), snapshot) is held
    held.status.reservedFor = [ResourceClaimConsumerReference(resource="pods", name="other", uid="other")]
    assert useless_claim(wanted, snapshot.shape(wanted), snapshot) is None


def shared(name: str = "g0", **policy: Any) -> dict[str, Any]:
    return device(name, allowMultipleAllocations=True, capacity={"memory": {"value": "40Gi", **({"requestPolicy": policy} if policy else {})}})


def wanting(memory: str = "", **more: Any) -> dict[str, Any]:
    return exactly(**({"capacity": {"requests": {"memory": memory}}} if memory else {}), **more)


def results(snapshot: Snapshot, *claims: ResourceClaim) -> list[Any] | None:
    found = allocate(claims, snapshot, snapshot.rows["a"], taken(snapshot), datetime(2026, 1, 1, tzinfo=UTC))
    return None if found is None else [one for result in found for one in result.devices.results]


def test_a_device_that_may_be_shared_is_given_until_its_capacity_is_used_up() -> None:
    # given a claim that has three quarters of it
    snapshot = offered(shared())
    first = results(snapshot, claim(wanting("30Gi")))
    assert first is not None
    assert [(one.device, one.consumedCapacity) for one in first] == [("g0", {"memory": "30Gi"})]
    held = claim(wanting("30Gi"))
    held.status.allocation = AllocationResult(devices=DeviceAllocationResult(results=first))
    snapshot.world.put(RESOURCE_CLAIMS, held)
    # then the rest is there for others, and no more; one that does not say how much wants all of it
    assert results(snapshot, claim(wanting("11Gi"), name="d")) is None
    assert results(snapshot, claim(wanting(), name="d")) is None
    rest = results(snapshot, claim(wanting("10Gi"), name="d"))
    assert rest is not None
    assert rest[0].shareID not in (None, first[0].shareID)


def test_a_request_has_one_share_of_a_device_and_another_request_may_have_more() -> None:
    snapshot = offered(shared())
    assert given(snapshot, claim(wanting("20Gi", count=2))) is None
    assert given(snapshot, claim(wanting("20Gi"), wanting("20Gi", name="s"))) == [["r=g0", "s=g0"]]
    assert given(snapshot, claim(wanting("20Gi"), wanting("21Gi", name="s"))) is None
    assert given(offered(shared(), shared("g1")), claim(wanting("20Gi", count=2))) == [["r=g0", "r=g1"]]


@pytest.mark.parametrize(("policy", "asked", "wanted"), [
    ({"default": "1Gi"}, "", "1Gi"),
    ({"default": "1Gi", "validValues": ["1Gi", "8Gi", "20Gi"]}, "2Gi", "8Gi"),
    ({"default": "1Gi", "validValues": ["1Gi", "8Gi"]}, "9Gi", None),
    ({"default": "4Gi", "validRange": {"min": "4Gi", "max": "20Gi", "step": "4Gi"}}, "1Gi", "4Gi"),
    ({"default": "4Gi", "validRange": {"min": "4Gi", "max": "20Gi", "step": "4Gi"}}, "9Gi", "12Gi"),
    ({"default": "4Gi", "validRange": {"min": "4Gi", "max": "20Gi", "step": "4Gi"}}, "21Gi", None),
    ({"default": "4Gi", "validRange": {"min": "4Gi"}}, "5Gi", "5Gi"),
    ({"default": "4Gi", "validRange": {"min": "4Gi"}}, "41Gi", None),
])
def test_a_policy_says_how_much_a_share_takes(policy: dict[str, Any], asked: str, wanted: str | None) -> None:
    found = results(offered(shared(**policy)), claim(wanting(asked)))
    assert (found[0].consumedCapacity["memory"] if found is not None else None) == wanted


def test_a_device_that_is_given_whole_must_have_what_is_asked_for() -> None:
    snapshot = offered(device("small", capacity={"memory": {"value": "8Gi"}}), device("large", capacity={"memory": {"value": "16Gi"}}))
    found = results(snapshot, claim(wanting("10Gi")))
    assert found is not None
    assert [(one.device, one.shareID, one.consumedCapacity) for one in found] == [("large", None, {})]


def test_a_device_that_binds_to_its_node_keeps_the_claim_there() -> None:
    def everywhere(**more: Any) -> Snapshot:
        snapshot = cluster(node("a"), node("b"))
        snapshot.world.put(DEVICE_CLASSES, codec.convert(DeviceClass, {"metadata": {"name": "gpu"}, "spec": {}}))
        snapshot.world.put(RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": "s"}, "spec": {
            "driver": "d.example.com", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "allNodes": True, "devices": [device("g0", **more)]}}))
        return snapshot

    free, bound = (allocate([claim(exactly())], one, one.rows["a"], Taken()) for one in (everywhere(), everywhere(bindsToNode=True)))
    assert free is not None
    assert bound is not None
    assert free[0].nodeSelector is None
    assert bound[0].nodeSelector is not None


SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@hypothesis_settings(max_examples=60, deadline=None)
@for_all(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=6), SIZES)
def test_what_was_remembered_of_rows_is_what_a_search_of_each_row_says(nodes: list[tuple[int, bool]], counts: list[int]) -> None:
    # given nodes with some devices, a few of them of another model, and claims that come one after the other
    snapshot = cluster(*(node(f"n{i}") for i in range(len(nodes))))
    for index, (count, special) in enumerate(nodes):
        offered(*(device(f"g{index}-{j}", int(special)) for j in range(count)), where=f"n{index}", snapshot=snapshot)
    for number, count in enumerate(counts):
        selectors = [{"cel": {"expression": 'device.attributes["d.example.com"].numa == 0'}}] if number % 2 else []
        one = claim(exactly(count=count, selectors=selectors), name=f"c{number}")
        snapshot.world.put(RESOURCE_CLAIMS, one)
        wanted = snapshot.shape(pod(f"p{number}", resourceClaims=[{"name": "r", "resourceClaimName": f"c{number}"}]))
        # when all rows are asked about at once
        verdict = DynamicResources().filter(wanted, snapshot)
        # then each row is told what a search of it alone says
        fits = [row for row in snapshot.rows.values() if allocate([one], snapshot, row, taken(snapshot)) is not None]
        assert sorted(row for row in snapshot.rows.values() if verdict is None or verdict.fits[row]) == sorted(fits)
        if fits:
            found = allocate([one], snapshot, fits[0], taken(snapshot))
            held = claim(exactly(count=count, selectors=selectors), name=f"c{number}")
            held.status.allocation = found[0] if found is not None else None
            snapshot.world.put(RESOURCE_CLAIMS, held)


def test_a_claim_is_ready_when_the_conditions_of_its_devices_are() -> None:
    snapshot = offered(device("g0", bindingConditions=["Attached"], bindingFailureConditions=["Broken"]))
    held = claim(exactly())
    found = allocate([held], snapshot, snapshot.rows["a"], Taken())
    assert found is not None
    held.status.allocation = found[0]

    def told(**conditions: str) -> ResourceClaim:
        held.status.devices = [codec.convert(AllocatedDeviceStatus, {
            "driver": "d.example.com", "pool": "a", "device": "g0",
            "conditions": [{"type": name, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                           for name, status in conditions.items()]})]
        return held

    assert not devices_ready(held)
    assert not devices_ready(told(Attached="False"))
    assert devices_ready(told(Attached="True", Broken="False"))
    with pytest.raises(ReserveError, match='device binding failed: claim=c, reason=R, message="m"'):
        devices_ready(told(Attached="True", Broken="True"))
