"""Device expressions and allocation: selectors, counts, constraints, alternatives, shared counters."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scheduler.small import cluster, node, place, pod

from sampan.api import codec
from sampan.api.resource.v1 import DeviceClass, ResourceClaim, ResourceSlice
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.scheduler.dra.allocate import allocate
from sampan.scheduler.dra.devices import taken
from sampan.scheduler.dra.expression import Domains, ExpressionError, Quantity, compile_expression, version
from sampan.scheduler.snapshot import Snapshot

DEVICE = {"device": {"driver": "d.example.com", "attributes": Domains({"d.example.com": {"model": "large", "numa": 1, "v": version("1.10.0"), "ok": True}}),
                     "capacity": Domains({"d.example.com": {"memory": Quantity(40 * 2**30 * 10**9)}})}}


@pytest.mark.parametrize(("text", "value"), [
    ('device.driver == "d.example.com"', True),
    ('device.attributes["d.example.com"].model == "large" && device.attributes["d.example.com"].numa in [0, 1]', True),
    ('device.attributes["d.example.com"]["model"].startsWith("la") ? true : false', True),
    ('"model" in device.attributes["other"]', False),
    ('has(device.attributes["other"].model)', False),
    ('device.attributes["other"].model == "x" || device.driver.endsWith(".com")', True),
    ('device.driver == "no" && device.attributes["other"].model == "x"', False),
    ('device.capacity["d.example.com"].memory.compareTo(quantity("40Gi")) >= 0', True),
    ('device.capacity["d.example.com"].memory.isGreaterThan(quantity("40Gi"))', False),
    ('device.attributes["d.example.com"].v.isGreaterThan(semver("1.9.9"))', True),
    ('semver("1.0.0-alpha.2").isLessThan(semver("1.0.0"))', True),
    ('!(device.attributes["d.example.com"].numa * 2 + 1 < 3)', True),
    ("[1, 2, 3].exists(x, x > 2) && [1, 2].all(x, x > 0) && size('abc') == 3", True),
    ("7 / -2 == -3 && 7 % -2 == 1", True),
    ('device.attributes["d.example.com"].ok == 1', False),
    ('device.driver.matches("^d[.]")', True),
])
def test_an_expression_has_a_value(text: str, value: bool) -> None:
    assert compile_expression(text)(DEVICE) is value


@pytest.mark.parametrize("text", ['device.attributes["other"].model == "x"', "1", "1 < true", "device.nothing", "-true == true", "1 / 0 == 1"])
def test_an_expression_without_a_value_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)(DEVICE)


@pytest.mark.parametrize("text", ["", "(", "a b", "nope(1)", "x.nope()", "'", "(" * 200, "1 +", "a" * 20_000, "[1].exists(1, true)"])
def test_an_expression_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)


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
    first = allocate([claim(exactly())], snapshot, snapshot.rows["a"], set())
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


def test_a_pod_is_told_what_is_wrong_with_its_claims() -> None:
    snapshot = offered(device("g0"))
    snapshot.world.put(RESOURCE_CLAIMS, claim(exactly(selectors=[{"cel": {"expression": 'device.attributes["x"].y == 1'}}])))
    wanted = pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "c"}])
    assert "still not schedulable" in place(snapshot, wanted)
    assert "no such key: y" in place(snapshot, wanted)
    snapshot.world.put(RESOURCE_CLAIMS, claim({"name": "r", "exactly": {"deviceClassName": "nope"}}))
    assert place(snapshot, wanted).startswith("0/2 nodes are available: request r: device class nope does not exist. no new claims to deallocate")
