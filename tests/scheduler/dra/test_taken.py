"""What claims have is kept current claim by claim: it is what a look at all of them says, whatever happened."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.scheduler.small import cluster, node

from sampan.api import codec
from sampan.api.resource.v1 import ResourceClaim, ResourceSlice
from sampan.api.resources import RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.control.key import Key
from sampan.scheduler.dra.devices import DeviceId, inventory, taken

DRIVER, NAMES = "d.example.com", tuple(f"c{index}" for index in range(5))


def claim(rng: random.Random, name: str, revision: int) -> ResourceClaim:
    results: list[dict[str, Any]] = []
    for _ in range(rng.randint(0, 3)):
        one: dict[str, Any] = {"request": "r", "driver": DRIVER, "pool": rng.choice("ab"), "device": rng.choice(("d0", "d1"))}
        kind = rng.choice(("whole", "share", "nothing", "admin"))
        if kind in ("share", "nothing"):
            one |= {"device": "shared", "shareID": f"{rng.randrange(10**12):012}", "consumedCapacity": {"memory": "1Gi"} if kind == "share" else {}}
        if kind == "admin":
            one["adminAccess"] = True
        results.append(one)
    status = {"allocation": {"devices": {"results": results}}} if rng.random() < 0.8 else {}
    return codec.convert(ResourceClaim, {"metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(revision)},
                                         "spec": {"devices": {}}, "status": status})


def counted(claims: list[ResourceClaim]) -> tuple[set[DeviceId], dict[DeviceId, int]]:
    """(devices that are given whole, GiB of those that are shared), by walking over all."""
    whole: set[DeviceId] = set()
    shares: dict[DeviceId, int] = {}
    for one in claims:
        for result in one.status.allocation.devices.results if one.status.allocation is not None else ():
            id = DeviceId(result.driver, result.pool, result.device)
            if result.adminAccess:
                continue
            if result.shareID is None:
                whole.add(id)
            else:
                shares[id] = shares.get(id, 0) + (1 if result.consumedCapacity else 0)
    return whole, shares


@pytest.mark.parametrize("seed", range(40))
def test_what_is_taken_is_what_a_look_at_all_claims_says(seed: int) -> None:
    rng = random.Random(seed)
    snapshot = cluster(node("a"), node("b"))
    for where in "ab":
        snapshot.world.put(RESOURCE_SLICES, codec.convert(ResourceSlice, {"metadata": {"name": where}, "spec": {
            "driver": DRIVER, "nodeName": where, "pool": {"name": where, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": name} for name in ("d0", "d1", "shared")]}}))
    for step in range(60):
        # when claims come, change, are decided on, given back and go
        name, what = rng.choice(NAMES), rng.choice(("put", "put", "assume", "restore", "remove"))
        one = claim(rng, name, step)
        if what == "put":
            snapshot.world.put(RESOURCE_CLAIMS, one)
        elif what == "assume":
            snapshot.world.assume(RESOURCE_CLAIMS, one)
        elif what == "restore":
            snapshot.world.restore(RESOURCE_CLAIMS, Key("default", name))
        else:
            snapshot.world.remove(RESOURCE_CLAIMS, one)
        if rng.random() < 0.5:
            continue  # nobody asks after each change
        # then
        whole, shares = counted(list(snapshot.world.items(RESOURCE_CLAIMS)))
        found = taken(snapshot)
        assert set(found.devices) == whole
        assert {id: sum(amounts.values()) // (10**9 * 2**30) for id, amounts in found.shares.items()} == shares
        by_row = {row: ids for row, ids in found.by_row(inventory(snapshot)).items() if ids}
        assert by_row == {row: frozenset(id for id in whole if id.pool == name) for name, row in snapshot.rows.items() if any(id.pool == name for id in whole)}
