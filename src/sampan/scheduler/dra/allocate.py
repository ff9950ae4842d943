"""Giving devices to claims on one node: the first set, in the order of the offers, that satisfies every request.

A depth-first search over requests, with constraints checked as devices are chosen. A device that several claims may
share is given in shares of its capacity. Source: dynamic-resource-allocation `structured/internal/*/allocator_*.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sampan.api import quantity
from sampan.api.cel.errors import CelError
from sampan.api.core.v1 import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from sampan.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceAllocationResult,
    DeviceClass,
    DeviceRequest,
    DeviceRequestAllocationResult,
    DeviceSubRequest,
    DeviceToleration,
    ExactDeviceRequest,
    ResourceClaim,
)
from sampan.api.resources import DEVICE_CLASSES
from sampan.api.scalars import Quantity, Time
from sampan.lib.errors import SampanError
from sampan.scheduler.dra import capacity
from sampan.scheduler.dra.devices import DeviceId, Inventory, Offer, Taken, inventory
from sampan.scheduler.snapshot import Snapshot

MOST_STEPS = 100_000
MOST_DEVICES = 32
Ask = ExactDeviceRequest | DeviceSubRequest


class TooHard(Exception):
    """The search was given up."""


class ClaimError(SampanError):
    """A claim or a class asks for what has no answer: no node is to be tried."""


class PoolError(SampanError):
    """Nothing was found on a node, where a pool is invalid."""


@dataclass(frozen=True)
class Slot:
    """One way to serve one request: its name in the result, what it asks for, and the places of the offers to try: for a request for all, those that match."""

    name: str
    ask: Ask
    places: tuple[int, ...] = ()
    selectors: tuple[tuple[str, str], ...] = ()
    """(whose it is, in messages; the expression), or none where the device class is not there."""

    @property
    def admin(self) -> bool:
        return isinstance(self.ask, ExactDeviceRequest) and bool(self.ask.adminAccess)


@dataclass(frozen=True)
class Choice:
    """A device, or a share of one, for a request."""

    slot: Slot
    offer: Offer
    share: dict[str, Quantity] | None = None


@dataclass
class Search:
    """The state of one search: what is taken, what was chosen."""

    snapshot: Snapshot
    row: int
    found: Inventory
    in_use: Mapping[DeviceId, int]
    taken: dict[DeviceId, set[int]]  # by this search, for which of the claims
    shares: dict[DeviceId, dict[str, int]]
    counters: dict[tuple[str, str, str, str], int]
    steps: int = 0
    chosen: list[list[Choice]] = field(default_factory=list)

    def free(self, slot: Slot, offer: Offer, index: int) -> bool:
        """Whether nobody has it, as far as the request of that claim minds."""
        if slot.admin:  # who only looks does not mind others, but looks once
            return index not in self.taken.get(offer.id, ())
        return offer.id not in self.in_use and not self.taken.get(offer.id)

    def take(self, slot: Slot, offer: Offer, index: int) -> Choice | None:
        """Take the device, or a share; None: not enough is left."""
        if not self.free(slot, offer, index):
            return None
        if not offer.shared:
            if not self._consume(offer, -1):
                return None
            self.taken.setdefault(offer.id, set()).add(index)
            return Choice(slot, offer)
        share = capacity.share(offer.device, slot.ask.capacity)
        used = self.shares.get(offer.id, {})
        if share is None or any(used.get(name, 0) + quantity.nano(amount) > quantity.nano(offer.device.capacity[name].value)
                                for name, amount in share.items()):
            return None
        if offer.id not in self.shares and not self._consume(offer, -1):
            return None
        self.shares[offer.id] = {name: used.get(name, 0) + quantity.nano(amount) for name, amount in share.items()}
        return Choice(slot, offer, share)

    def give_back(self, one: Choice, index: int, before: dict[str, int] | None) -> None:
        """Undo `take`; `before`: what was used of a shared device."""
        if one.share is None:
            self.taken[one.offer.id].discard(index)
            self._consume(one.offer, 1)
        elif before is not None:
            self.shares[one.offer.id] = before
        else:
            del self.shares[one.offer.id]
            self._consume(one.offer, 1)

    def _consume(self, offer: Offer, sign: int) -> bool:
        """Count what a device takes of shared counters; where that is too much, nothing is counted."""
        if _consume(self.counters, offer, sign):
            return True
        if sign < 0:
            _consume(self.counters, offer, 1)
        return False


def request_classes(request: DeviceRequest) -> list[tuple[str, str]]:
    """(name of the request in messages, device class) of everything that it asks for."""
    if request.exactly is not None:
        return [(request.name, request.exactly.deviceClassName)]
    return [(f"{request.name}/{one.name}", one.deviceClassName) for one in request.firstAvailable]


def allocate(claims: Sequence[ResourceClaim], snapshot: Snapshot, row: int, taken: Taken, now: datetime | None = None) -> list[AllocationResult] | None:
    """What each claim gets on the node of a row; None: not all of them can be served there.

    Raises:
        ClaimError: A selector has no answer, or a claim asks for more than can be.
        PoolError: They may be served once a pool is what it should be.
    """
    found = inventory(snapshot)
    search = Search(snapshot, row, found, taken.devices, {}, dict(taken.shares), _left(found, taken))
    for claim in claims:
        _check(search, claim)
    try:
        if not _claims(search, claims, 0):
            if any(found.offers[place].wrong == "invalid" for place in found.on(row)):
                raise PoolError("invalid resource pools were encountered")
            return None
    except TooHard:
        return None
    node = snapshot.node(row).metadata.name
    return [_result(claim, chosen, snapshot, node, now) for claim, chosen in zip(claims, search.chosen, strict=True)]


def _left(found: Inventory, taken: Taken) -> dict[tuple[str, str, str, str], int]:
    left = dict(found.counters)
    if left:
        for offer in found.offers:
            if offer.id in taken.devices or offer.id in taken.shares:
                _consume(left, offer, -1)
    return left


def _consume(left: dict[tuple[str, str, str, str], int], offer: Offer, sign: int) -> bool:
    """Count what a device takes of shared counters; whether all stay above zero."""
    enough = True
    for use in offer.device.consumesCounters:
        for name, counter in use.counters.items():
            key = (offer.id.driver, offer.id.pool, use.counterSet, name)
            left[key] = left.get(key, 0) + sign * quantity.nano(counter.value)
            enough = enough and left[key] >= 0
    return enough


def _claims(search: Search, claims: Sequence[ResourceClaim], index: int) -> bool:
    if index == len(claims):
        return True
    search.chosen.append([])
    if _requests(search, claims, index, 0):
        return True
    search.chosen.pop()
    return False


def _requests(search: Search, claims: Sequence[ResourceClaim], index: int, number: int) -> bool:
    requests = claims[index].spec.devices.requests or []
    if number == len(requests):
        return _claims(search, claims, index + 1)
    for slot in _slots(search, claims[index], requests[number]):
        everything = slot.ask.allocationMode == "All"
        count = len(slot.places) if everything else max(slot.ask.count, 1)
        if count and len(search.chosen[index]) + count <= MOST_DEVICES and _devices(search, claims, (index, number), slot, (0, count)):
            return True
    return False


def _devices(search: Search, claims: Sequence[ResourceClaim], at: tuple[int, int], slot: Slot, left: tuple[int, int]) -> bool:
    """`at`: the claim and its request; `left`: where to go on among the matching devices, and how many are wanted: each serves a request once."""
    (index, number), (start, count) = at, left
    if count == 0:
        return _requests(search, claims, index, number + 1)
    everything = slot.ask.allocationMode == "All"
    for place in range(start, len(slot.places) - count + 1):
        search.steps += 1
        if search.steps > MOST_STEPS:
            raise TooHard
        offer = search.found.offers[slot.places[place]]
        before = search.shares.get(offer.id)
        choice = _chosen(search, claims[index], index, slot, slot.places[place])
        if choice is not None:
            search.chosen[index].append(choice)
            if _devices(search, claims, at, slot, (place + 1, count - 1)):
                return True
            search.chosen[index].pop()
            search.give_back(choice, index, before)
        if everything:
            return False
    return False


def _chosen(search: Search, claim: ResourceClaim, index: int, slot: Slot, place: int) -> Choice | None:
    """The device, taken, if it can be had. Selectors are asked about those only that are come to: the others need not have an answer."""
    offer = search.found.offers[place]
    if not search.free(slot, offer, index) or not _fits(search.found, place, slot) or not _tolerated(offer, slot.ask.tolerations):
        return None
    if not _constraints(claim, search.chosen[index], slot, offer):
        if slot.ask.allocationMode == "All":
            meta, id = claim.metadata, offer.id
            raise ClaimError(f"claim {meta.namespace}/{meta.name}, request {slot.name.rsplit('/', 1)[-1]}: cannot add device "
                             f"{id.driver}/{id.pool}/{id.device} because a claim constraint would not be satisfied")
        return None
    return search.take(slot, offer, index)


def _check(search: Search, claim: ResourceClaim) -> None:
    """A claim that asks for all devices is judged before the search begins.

    Raises:
        ClaimError: A pool is not what it should be, or more devices are asked for than a claim can have.
    """
    name, least = f"{claim.metadata.namespace}/{claim.metadata.name}", 0
    for request in claim.spec.devices.requests or ():
        asks: list[tuple[str, Ask]] = ([(request.name, request.exactly)] if request.exactly is not None
                                       else [(one.name, one) for one in request.firstAvailable])
        counts = []
        for asked, ask in asks:
            if ask.allocationMode == "All":
                for place in search.found.on(search.row):
                    offer = search.found.offers[place]
                    if offer.wrong:
                        raise ClaimError(f"claim {name}, request {asked}: asks for all devices, but resource pool "
                                         f"{offer.id.driver}/{offer.id.pool} is currently {offer.wrong}")
                counts.append(len(_slot(search, claim, asked, ask).places))
            else:
                counts.append(max(ask.count, 1))
        least += min(counts)
    if least > MOST_DEVICES:
        raise ClaimError(f"claim {name}: number of requested devices {least} exceeds the claim limit of {MOST_DEVICES}")


def _constraints(claim: ResourceClaim, chosen: Sequence[Choice], slot: Slot, offer: Offer) -> bool:
    for one in claim.spec.devices.constraints:
        if one.requests and not _named(slot.name, one.requests):
            continue
        others = [before.offer for before in chosen if not one.requests or _named(before.slot.name, one.requests)]
        for name, same in ((one.matchAttribute, True), (one.distinctAttribute, False)):
            if name is None:
                continue
            value = offer.attribute(name)
            if value is None or any(_same(other.attribute(name), value) is not same for other in others):
                return False
    return True


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _named(name: str, requests: Sequence[str]) -> bool:
    return name in requests or name.split("/", 1)[0] in requests


def _slots(search: Search, claim: ResourceClaim, request: DeviceRequest) -> Iterator[Slot]:
    if request.exactly is not None:
        yield _slot(search, claim, request.name, request.exactly)
    for one in request.firstAvailable:
        yield _slot(search, claim, f"{request.name}/{one.name}", one)


def _slot(search: Search, claim: ResourceClaim, name: str, ask: Ask) -> Slot:
    found = search.snapshot.world.get(DEVICE_CLASSES, ask.deviceClassName)
    if found is None:
        return Slot(name, ask)
    meta, inventory_ = claim.metadata, search.found
    selectors = tuple((f"{owner}: selector #{number}", one.cel.expression)
                      for owner, those in ((f"class {found.metadata.name}", found.spec.selectors), (f"claim {meta.namespace}/{meta.name}", ask.selectors))
                      for number, one in enumerate(those) if one.cel is not None)
    slot = Slot(name, ask, tuple(place for place in inventory_.on(search.row) if not inventory_.offers[place].wrong), selectors)
    if ask.allocationMode == "All":
        return replace(slot, places=tuple(place for place in slot.places if _fits(inventory_, place, slot)))
    return slot


def _fits(found: Inventory, place: int, slot: Slot) -> bool:
    for name, expression in slot.selectors:
        try:
            if not found.holds(expression, place):
                return False
        except CelError as error:
            raise ClaimError(f"{name}: {error}") from None
    offer = found.offers[place]
    return offer.shared or capacity.offers(offer.device, slot.ask.capacity)


def _tolerated(offer: Offer, tolerations: Sequence[DeviceToleration]) -> bool:
    return all(taint.effect not in ("NoSchedule", "NoExecute") or any(
        one.effect in ("", taint.effect) and one.key in ("", taint.key) and (one.operator == "Exists" or one.value == taint.value)
        for one in tolerations) for taint in offer.device.taints)


def _result(claim: ResourceClaim, chosen: Sequence[Choice], snapshot: Snapshot, node: str, now: datetime | None) -> AllocationResult:
    results = [DeviceRequestAllocationResult(
        request=one.slot.name, driver=one.offer.id.driver, pool=one.offer.id.pool, device=one.offer.id.device,
        adminAccess=True if one.slot.admin else None, tolerations=one.slot.ask.tolerations,
        bindingConditions=one.offer.device.bindingConditions, bindingFailureConditions=one.offer.device.bindingFailureConditions,
        shareID=_share_id(claim, number, now) if one.share is not None else None, consumedCapacity=one.share or {},
    ) for number, one in enumerate(chosen)]
    return AllocationResult(devices=DeviceAllocationResult(results=results, config=_config(claim, chosen, snapshot)),
                            nodeSelector=_nodes([one.offer for one in chosen], node), allocationTimestamp=Time.of(now) if now is not None else None)


def _share_id(claim: ResourceClaim, number: int, now: datetime | None) -> str:
    """A uid for a share: no other share, before or after, has it."""
    found = hashlib.sha256(f"{claim.metadata.uid} {number} {now}".encode()).hexdigest()
    return f"{found[:8]}-{found[8:12]}-8{found[13:16]}-8{found[17:20]}-{found[20:32]}"


def _config(claim: ResourceClaim, chosen: Sequence[Choice], snapshot: Snapshot) -> list[DeviceAllocationConfiguration]:
    """What classes say, once for all requests of one class; then what the claim says, again for every request that it names."""
    of_class: dict[str, list[str]] = {}
    for name, class_name in dict.fromkeys((one.slot.name, one.slot.ask.deviceClassName) for one in chosen):
        of_class.setdefault(class_name, []).append(name)
    out = []
    for class_name, names in of_class.items():
        found: DeviceClass | None = snapshot.world.get(DEVICE_CLASSES, class_name)
        out += [DeviceAllocationConfiguration(source="FromClass", requests=names, opaque=one.opaque) for one in (found.spec.config if found else ())]
    served = list(dict.fromkeys(one.slot.name for one in chosen))
    for one in claim.spec.devices.config:
        times = sum(_named(name, one.requests) for name in served) if one.requests else 1
        out += [DeviceAllocationConfiguration(source="FromClaim", requests=one.requests, opaque=one.opaque)] * times
    return out


def _nodes(offers: Sequence[Offer], node: str) -> NodeSelector | None:
    """Where the devices can be used: one node if any is of it, what all selectors say otherwise."""
    if any(offer.node or offer.device.bindsToNode for offer in offers):
        term = NodeSelectorTerm(matchFields=[NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])])
        return NodeSelector(nodeSelectorTerms=[term])
    terms = [term for offer in offers if offer.selector is not None for term in offer.selector.nodeSelectorTerms or ()]
    if not terms:
        return None
    both = NodeSelectorTerm(matchExpressions=_once(one for term in terms for one in term.matchExpressions),
                            matchFields=_once(one for term in terms for one in term.matchFields))
    return NodeSelector(nodeSelectorTerms=[both])


def _once(requirements: Iterable[NodeSelectorRequirement]) -> list[NodeSelectorRequirement]:
    """Without what says the same again."""
    return list({(one.key, one.operator, frozenset(one.values)): one for one in reversed(list(requirements))}.values())[::-1]


__all__ = ["ClaimError", "PoolError", "allocate", "request_classes"]
