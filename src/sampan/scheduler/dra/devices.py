"""Devices that drivers offer, by pool, with the rows that reach them and what is taken.

Source: dynamic-resource-allocation `structured/internal/*/pools_*.go`, `allocator_*.go`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np

from sampan.api import quantity
from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.core.v1 import NodeSelector
from sampan.api.resource.v1 import Device, ResourceClaim, ResourceSlice
from sampan.api.resources import RESOURCE_CLAIMS, RESOURCE_SLICES
from sampan.api.scalars import Quantity
from sampan.control.key import Key, key_of
from sampan.scheduler.nodeselect import selector_rows
from sampan.scheduler.snapshot import Mask, Snapshot

MOST_VERDICTS = 1_000_000


class DeviceId(NamedTuple):
    """What a claim's allocation names."""

    driver: str
    pool: str
    device: str


NO_DEVICES: frozenset[DeviceId] = frozenset()


@dataclass(frozen=True, eq=False)
class Offer:
    """A device that is on offer. `node`, `row`: the only node; `selector`, `rows`: its nodes; no selector: all nodes.

    `wrong`: what its pool is, so that nothing is taken from it: "being updated" or "invalid".
    """

    id: DeviceId
    device: Device
    row: int
    rows: Mask | None
    node: str
    selector: NodeSelector | None
    wrong: str

    @cached_property
    def variables(self) -> Mapping[str, Any]:
        """What an expression sees."""
        from sampan.api.cel.devices import variables

        return variables(self.id.driver, self.device)

    @property
    def shared(self) -> bool:
        """Several claims may have it, each a share of its capacity."""
        return bool(self.device.allowMultipleAllocations)

    def reaches(self, row: int) -> bool:
        """Whether it can be used on the node of a row."""
        return self.row == row or (self.rows is not None and bool(self.rows[row]))

    def attribute(self, name: str) -> Any:
        """The value of an attribute by its full name; None: it has none."""
        found = self.device.attributes.get(name)
        domain, _, short = name.rpartition("/")
        if found is None and domain == self.id.driver:
            found = self.device.attributes.get(short)
        if found is None:
            return None
        from sampan.api.cel.devices import attribute_value

        return attribute_value(found)


@dataclass(frozen=True, eq=False)
class Inventory:
    """All devices, in the order in which they are tried, and the counters that some of them share."""

    offers: tuple[Offer, ...]
    counters: Mapping[tuple[str, str, str, str], int]  # (driver, pool, set, counter) → billionths
    verdicts: dict[tuple[str, int], bool | str] = field(default_factory=dict)
    """(expression, place of an offer) → whether it holds, or why it has no answer."""
    memory: dict[bytes, dict[int, tuple[Any, str]]] = field(default_factory=dict)
    """What is asked for → row → what was taken there, and what was said then."""

    @cached_property
    def _by_row(self) -> dict[int, list[int]]:
        out: dict[int, list[int]] = defaultdict(list)
        for place, offer in enumerate(self.offers):
            if offer.rows is None:
                out[offer.row].append(place)
        return out

    @cached_property
    def row_of(self) -> dict[DeviceId, int]:
        """The only row of a device that reaches one."""
        return {offer.id: offer.row for offer in self.offers if offer.rows is None}

    @cached_property
    def _wide(self) -> list[int]:
        return [place for place, offer in enumerate(self.offers) if offer.rows is not None]

    def on(self, row: int) -> list[int]:
        """The places of the offers that reach a row, in their order."""
        own, wide = self._by_row.get(row, []), [place for place in self._wide if self.offers[place].reaches(row)]
        return sorted([*own, *wide]) if wide else own

    def rows(self, count: int) -> Mask:
        """bool[N]: something reaches the row."""
        out = np.zeros(count, np.bool_)
        out[[row for row in self._by_row if row >= 0]] = True
        for place in self._wide:
            out |= cast("Mask", self.offers[place].rows)
        return out

    def holds(self, expression: str, place: int) -> bool:
        """Whether a selector holds for an offer; asked once.

        Raises:
            CelError: It has no answer; what is no selector has none for any device.
        """
        known = self.verdicts.get((expression, place))
        if known is None:
            if len(self.verdicts) >= MOST_VERDICTS:
                self.verdicts.clear()
            known = self.verdicts[expression, place] = self._asked(expression, place)
        if isinstance(known, str):
            raise CelError(known)
        return known

    def _asked(self, expression: str, place: int) -> bool | str:
        from sampan.api.cel.devices import compile_selector  # the language is read in only where somebody uses it

        compiled = compile_selector(expression)
        if compiled.program is None:
            return f"CEL compile error: {compiled.problem}"
        try:
            value = compiled.program.evaluate(self.offers[place].variables)
        except (CelError, CostExceeded) as error:
            return f"CEL runtime error: {error}"
        return value if isinstance(value, bool) else f"CEL runtime error: the selector gave no bool but {type(value).__name__}"


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
    for (driver, pool), slices in sorted(pools.items(), key=lambda one: (_newest_binds(one[1]), one[0])):
        current = _newest(slices)
        wrong = _wrong(current)
        for one in current:
            for group in one.spec.sharedCounters:
                for name, counter in group.counters.items():
                    counters[driver, pool, group.name, name] = quantity.nano(counter.value)
            offers += [_offer(DeviceId(driver, pool, device.name), device, one, snapshot, wrong) for device in one.spec.devices]
    return Inventory(tuple(offers), counters)


def _newest(slices: list[ResourceSlice]) -> list[ResourceSlice]:
    newest = max(one.spec.pool.generation for one in slices)
    return sorted((one for one in slices if one.spec.pool.generation == newest), key=lambda one: one.metadata.name)


def _newest_binds(slices: list[ResourceSlice]) -> bool:
    """Whether the pool has devices that are to be bound first: such pools come last."""
    return any(device.bindingConditions for one in _newest(slices) for device in one.spec.devices)


def _wrong(slices: list[ResourceSlice]) -> str:
    """Why nothing is taken from a pool, in upstream's words; "": it is all there."""
    if len(slices) != slices[0].spec.pool.resourceSliceCount:
        return "being updated"
    names = [device.name for one in slices for device in one.spec.devices]
    groups = [group.name for one in slices for group in one.spec.sharedCounters]
    counters = {(group.name, name) for one in slices for group in one.spec.sharedCounters for name in group.counters}
    consumed = {(use.counterSet, name) for one in slices for device in one.spec.devices for use in device.consumesCounters for name in use.counters}
    unique = len(set(names)) == len(names) and len(set(groups)) == len(groups)
    return "" if unique and consumed <= counters else "invalid"


def _offer(id: DeviceId, device: Device, where: ResourceSlice, snapshot: Snapshot, wrong: str) -> Offer:
    source: Device | Any = device if where.spec.perDeviceNodeSelection else where.spec
    node, selector = source.nodeName or "", source.nodeSelector
    if node:
        return Offer(id, device, snapshot.rows.get(node, -1), None, node, None, wrong)
    rows = selector_rows(snapshot, selector) if selector is not None else np.full(len(snapshot.alive), bool(source.allNodes))
    return Offer(id, device, -1, rows, "", selector, wrong)


Use = tuple[DeviceId, Mapping[str, Quantity] | None]  # a device, or what is taken of one that is shared


class Taken:
    """What claims have, kept current claim by claim. Administrative access does not count."""

    def __init__(self) -> None:
        self.devices: dict[DeviceId, int] = {}  # how many claims say that they have it; one, if all is well
        self.shares: dict[DeviceId, dict[str, int]] = {}  # capacity → billionths
        self._sharers: dict[DeviceId, int] = {}
        self._uses: dict[Key, tuple[Use, ...]] = {}
        self._inventory: Inventory | None = None
        self._by_row: dict[int, frozenset[DeviceId]] = {}

    def update(self, key: Key, claim: ResourceClaim | None) -> None:
        """A claim is new, changed or gone."""
        for use in self._uses.pop(key, ()):
            self._count(use, -1)
        if claim is not None and (uses := tuple(_uses(claim))):
            self._uses[key] = uses
            for use in uses:
                self._count(use, 1)

    def by_row(self, found: Inventory) -> Mapping[int, frozenset[DeviceId]]:
        """The devices in use that reach one row only, by that row."""
        if self._inventory is not found:
            self._inventory, self._by_row = found, {}
            for id in self.devices:
                self._place(id, 1)
        return self._by_row

    def _count(self, use: Use, sign: int) -> None:
        id, share = use
        if share is not None:
            amounts = {**self.shares.get(id, {})}
            for name, amount in share.items():
                amounts[name] = amounts.get(name, 0) + sign * quantity.nano(amount)
            self.shares[id], self._sharers[id] = amounts, self._sharers.get(id, 0) + sign
            if not self._sharers[id]:  # a share may take nothing of any capacity
                del self.shares[id], self._sharers[id]
            return
        before = self.devices.get(id, 0)
        if before + sign:
            self.devices[id] = before + sign
        else:
            del self.devices[id]
        if not before or not before + sign:
            self._place(id, sign)

    def _place(self, id: DeviceId, sign: int) -> None:
        row = self._inventory.row_of.get(id, -1) if self._inventory is not None else -1
        if row >= 0:
            there = self._by_row.get(row, NO_DEVICES)
            self._by_row[row] = there | {id} if sign > 0 else there - {id}


def _uses(claim: ResourceClaim) -> Iterator[Use]:
    for one in claim.status.allocation.devices.results if claim.status.allocation is not None else ():
        if not one.adminAccess:
            yield DeviceId(one.driver, one.pool, one.device), one.consumedCapacity if one.shareID is not None else None


def taken(snapshot: Snapshot) -> Taken:
    """The devices that some claim has, and how much of those that are shared; the same object each time, not to be changed."""
    found: Taken | None = snapshot.memory.get("taken")
    world = snapshot.world
    if found is None:
        found = snapshot.memory["taken"] = Taken()
        world.changed_claims.update(key_of(claim) for claim in world.items(RESOURCE_CLAIMS))
    while world.changed_claims:
        key = world.changed_claims.pop()
        found.update(key, world.get(RESOURCE_CLAIMS, key.name, key.namespace))
    return found
