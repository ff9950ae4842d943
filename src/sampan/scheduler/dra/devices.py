"""Devices that drivers offer, by pool, with the rows that reach them and what is taken.

Source: dynamic-resource-allocation `structured/internal/*/pools_*.go`, `allocator_*.go`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sampan.api import quantity
from sampan.api.core.v1 import NodeSelector
from sampan.api.resource.v1 import Device, DeviceAttribute, ResourceClaim, ResourceSlice
from sampan.api.resources import RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.scheduler.dra.expression import Domains, Quantity, version
from sampan.scheduler.nodeselect import selector_rows
from sampan.scheduler.snapshot import Mask, Snapshot


class DeviceId(NamedTuple):
    """What a claim's allocation names."""

    driver: str
    pool: str
    device: str


@dataclass(frozen=True, eq=False)
class Offer:
    """A device that is on offer. `node`: the only node; `selector`: its nodes; neither: all nodes."""

    id: DeviceId
    device: Device
    rows: Mask
    node: str
    selector: NodeSelector | None
    incomplete: bool

    def variables(self) -> Mapping[str, Any]:
        """What an expression sees."""
        driver = self.id.driver
        attributes, capacity = Domains(), Domains()
        for name, attribute in self.device.attributes.items():
            domain, _, short = name.rpartition("/")
            attributes.setdefault(domain or driver, {})[short] = attribute_value(attribute)
        for name, one in self.device.capacity.items():
            domain, _, short = name.rpartition("/")
            capacity.setdefault(domain or driver, {})[short] = Quantity(quantity.nano(one.value))
        return {"device": {"driver": driver, "attributes": attributes, "capacity": capacity,
                           "allowMultipleAllocations": bool(self.device.allowMultipleAllocations)}}

    def attribute(self, name: str) -> Any:
        """The value of an attribute by its full name; None: it has none."""
        found = self.device.attributes.get(name)
        domain, _, short = name.rpartition("/")
        if found is None and domain == self.id.driver:
            found = self.device.attributes.get(short)
        return attribute_value(found) if found is not None else None


def attribute_value(attribute: DeviceAttribute) -> Any:
    """Its one value, as expressions know it."""
    if attribute.int_ is not None:
        return attribute.int_
    if attribute.bool_ is not None:
        return attribute.bool_
    if attribute.version is not None:
        return version(attribute.version)
    if attribute.string is not None:
        return attribute.string
    return list(attribute.ints or attribute.bools or attribute.strings or [version(one) for one in attribute.versions])


@dataclass(frozen=True, eq=False)
class Inventory:
    """All devices, in the order in which they are tried, and the counters that some of them share."""

    offers: tuple[Offer, ...]
    counters: Mapping[tuple[str, str, str, str], int]  # (driver, pool, set, counter) → billionths


def inventory(snapshot: Snapshot) -> Inventory:
    """What the newest generation of every pool offers; remembered until a slice or a node changes."""
    version_now = (snapshot.world.version(RESOURCE_SLICES), snapshot.generation)
    known = snapshot.memory.get("devices")
    if known is None or known[0] != version_now:
        known = snapshot.memory["devices"] = (version_now, _gather(snapshot))
    found: Inventory = known[1]
    return found


def _gather(snapshot: Snapshot) -> Inventory:
    pools: dict[tuple[str, str], list[ResourceSlice]] = defaultdict(list)
    for one in snapshot.world.items(RESOURCE_SLICES):
        pools[one.spec.driver, one.spec.pool.name].append(one)
    offers: list[Offer] = []
    counters: dict[tuple[str, str, str, str], int] = {}
    for (driver, pool), slices in sorted(pools.items()):
        newest = max(one.spec.pool.generation for one in slices)
        current = sorted((one for one in slices if one.spec.pool.generation == newest), key=lambda one: one.metadata.name)
        incomplete = len(current) < current[0].spec.pool.resourceSliceCount
        for one in current:
            for group in one.spec.sharedCounters:
                for name, counter in group.counters.items():
                    counters[driver, pool, group.name, name] = quantity.nano(counter.value)
            offers += [_offer(DeviceId(driver, pool, device.name), device, one, snapshot, incomplete=incomplete) for device in one.spec.devices]
    return Inventory(tuple(offers), counters)


def _offer(id: DeviceId, device: Device, where: ResourceSlice, snapshot: Snapshot, *, incomplete: bool) -> Offer:
    source: Device | Any = device if where.spec.perDeviceNodeSelection else where.spec
    node, selector = source.nodeName or "", source.nodeSelector
    rows = np.zeros(len(snapshot.alive), np.bool_)
    if node:
        if node in snapshot.rows:
            rows[snapshot.rows[node]] = True
    elif selector is not None:
        rows = selector_rows(snapshot, selector)
    else:
        rows[:] = bool(source.allNodes)
    return Offer(id, device, rows, node, selector, incomplete)


def taken(snapshot: Snapshot, besides: Iterable[ResourceClaim] = ()) -> set[DeviceId]:
    """The devices that some claim has; administrative access does not count."""
    out = set()
    for claim in (*snapshot.world.items(RESOURCE_CLAIMS), *besides):
        if claim.status.allocation is not None:
            out |= {DeviceId(one.driver, one.pool, one.device) for one in claim.status.allocation.devices.results if not one.adminAccess}
    return out
