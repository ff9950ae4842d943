"""Whom an endpoint is meant for: hints by `trafficDistribution`, or by the share of CPUs that each zone has. Pure.

Owns what is remembered of zones and of the Services that have hints by zone (`Topology`, a plain object that decisions are given).
Source: `k8s.io/endpointslice` (trafficdist/trafficdist.go, topologycache), KEP-4444, KEP-3015, KEP-2433.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sampan.api import quantity
from sampan.api.core.v1 import Node
from sampan.api.discovery.v1 import Endpoint, EndpointHints, ForNode, ForZone
from sampan.control.key import Key
from sampan.controllers.endpointslice.drafts import Draft, Drafts
from sampan.kinds.meta import is_true

ZONE = "topology.kubernetes.io/zone"
MODE, OLD_MODE = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
CLOSE = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
OVERLOAD = 0.2  # by so much may an endpoint have more than its share
DISABLED, ENABLED = "TopologyAwareHintsDisabled", "TopologyAwareHintsEnabled"
NO_NODE_INFORMATION = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
NO_ZONE = "One or more endpoints do not have a zone specified"
NONE_ALLOCATED = "No hints allocated for zones"


class Told(NamedTuple):
    """An event about the Service."""

    reason: str
    message: str


class Share(NamedTuple):
    """How many endpoints are meant for a zone."""

    maximum: int
    desired: float


def by_zone(annotations: Mapping[str, str]) -> bool:
    """Whether the Service asks for hints by the zones' CPUs; the older annotation counts where both stand."""
    return annotations.get(OLD_MODE, annotations.get(MODE, "")) in ("Auto", "auto")


def without(drafts: Drafts) -> None:
    """Take all hints away."""
    for one in [draft for draft in drafts.unchanged if any(endpoint.hints is not None for endpoint in draft.endpoints)]:
        _change(drafts, one)
    for one in (*drafts.create, *drafts.update):
        one.endpoints = [endpoint if endpoint.hints is None else replace(endpoint, hints=None) for endpoint in one.endpoints]


def prefer(policy: str, drafts: Drafts) -> None:
    """Mean each ready endpoint for its own zone, and its own node where the policy says so."""
    def due(endpoint: Endpoint) -> bool:
        return bool(endpoint.conditions.ready) and not _same(endpoint.hints, _own(endpoint, policy))

    for one in [draft for draft in drafts.unchanged if any(map(due, draft.endpoints))]:
        _change(drafts, one)
    for one in (*drafts.create, *drafts.update):
        one.endpoints = [replace(endpoint, hints=_own(endpoint, policy)) if due(endpoint) else endpoint for endpoint in one.endpoints]


def _own(endpoint: Endpoint, policy: str) -> EndpointHints | None:
    zones = [ForZone(name=endpoint.zone)] if endpoint.zone is not None else []
    nodes = [ForNode(name=endpoint.nodeName)] if endpoint.nodeName is not None and policy == "PreferSameNode" else []
    return EndpointHints(forZones=zones, forNodes=nodes) if zones or nodes else None


def _same(a: EndpointHints | None, b: EndpointHints | None) -> bool:
    nothing = EndpointHints()
    return (a or nothing) == (b or nothing)


def _change(drafts: Drafts, one: Draft) -> None:
    drafts.unchanged.remove(one)
    drafts.update.append(one)


def _ready(drafts: Iterable[Draft]) -> int:
    return sum(1 for draft in drafts for endpoint in draft.endpoints if endpoint.conditions.ready)


class Topology:
    """What zones have, and how many endpoints of each Service and family are meant for each."""

    def __init__(self) -> None:
        self._shares: dict[str, float] | None = None
        self._given: dict[Key, dict[str, dict[str, int]]] = {}
        self._populated: set[Key] = set()

    def __bool__(self) -> bool:
        """Whether some Service has hints by zone."""
        return bool(self._given)

    def learn(self, nodes: Iterable[Node]) -> None:
        """Each zone's share of the CPUs of ready nodes; one node that does not tell its own makes all unknown."""
        self._shares, cpus = None, Counter[str]()
        for node in nodes:
            if any(label in node.metadata.labels for label in EXCLUDED) or not is_true(node.status.conditions, "Ready"):
                continue
            zone, cpu = node.metadata.labels.get(ZONE, ""), quantity.milli(node.status.allocatable.get("cpu", "0"))
            if not zone or not cpu:
                return
            cpus[zone] += cpu
        if len(cpus) > 1:
            self._shares = {zone: cpu / cpus.total() for zone, cpu in sorted(cpus.items())}

    def overloaded(self) -> list[Key]:
        """The Services of which some zone has too few endpoints by now."""
        return [key for key, families in self._given.items() if any(self._too_few(given) for given in families.values())]

    def _too_few(self, given: Mapping[str, int]) -> bool:
        if not given:
            return False
        if not self._shares:
            return True
        total = float(sum(given.values()))
        return any(zone not in given or given[zone] < math.ceil(total * share * (1 / (1 + OVERLOAD))) for zone, share in self._shares.items())

    def give_up(self, key: Key, family: str, *, wanted: bool = True) -> Told | None:
        """The Service has no hints by zone any more; an event where it had some and does not want them (`wanted`)."""
        had = key in self._populated
        self._given.get(key, {}).pop(family, None)
        if not self._given.get(key):
            self._given.pop(key, None)
        self._populated.discard(key)
        return Told(DISABLED, f"Topology Aware Hints has been disabled, addressType: {family}") if had and not wanted else None

    def give(self, key: Key, family: str, drafts: Drafts) -> Told | None:
        """Have hints for zones by their shares; where that can't be, have none and say why."""
        number = _ready((*drafts.create, *drafts.update, *drafts.unchanged))
        shares = self._share_out(number)
        if isinstance(shares, str):
            return self._refuse(key, family, drafts, shares)
        given = self._kept(drafts, shares)
        changed = [*drafts.create, *drafts.update]
        if any(not endpoint.zone for one in changed for endpoint in one.endpoints if endpoint.conditions.ready):
            return self._refuse(key, family, drafts, NO_ZONE)
        for one in changed:
            given.update(endpoint.zone for endpoint in one.endpoints if endpoint.conditions.ready and endpoint.zone)
        giving, receiving = _exchange(shares, given)
        for one in changed:
            one.endpoints = [_meant_for(endpoint, giving, receiving, given) for endpoint in one.endpoints]
        if not given:
            return self._refuse(key, family, drafts, NONE_ALLOCATED)
        new = key not in self._populated
        self._given.setdefault(key, {})[family] = dict(given)
        self._populated.add(key)
        return Told(ENABLED, f"Topology Aware Hints has been enabled, addressType: {family}") if new else None

    def _refuse(self, key: Key, family: str, drafts: Drafts, why: str) -> Told:
        self.give_up(key, family)
        without(drafts)
        return Told(DISABLED, f"{why}, addressType: {family}")

    def _share_out(self, number: int) -> dict[str, Share] | str:
        if self._shares is None:
            return NO_NODE_INFORMATION
        counts = f"({number} endpoints, {len(self._shares)} zones)"
        if len(self._shares) > number:
            return f"Insufficient number of endpoints {counts}"
        minimum = {zone: math.ceil(share * number * (1 / (1 + OVERLOAD))) for zone, share in self._shares.items()}
        spare = number - sum(minimum.values())
        if spare < 0:
            return f"Unable to allocate minimum required endpoints to each zone without exceeding overload threshold {counts}"
        return {zone: Share(least + spare, max(self._shares[zone] * number, float(least))) for zone, least in minimum.items()}

    @staticmethod
    def _kept(drafts: Drafts, shares: Mapping[str, Share]) -> Counter[str]:
        """Count hints of slices that can stay as they are; the others are to be changed."""
        given = Counter[str]()
        for one in list(drafts.unchanged):
            ready = [endpoint for endpoint in one.endpoints if endpoint.conditions.ready]
            zones = [zone.name for endpoint in ready for zone in (endpoint.hints.forZones if endpoint.hints is not None else ())]
            here = Counter(zones)
            if any(endpoint.hints is None or not endpoint.hints.forZones for endpoint in ready) or \
                    any(zone not in shares or here[zone] + given[zone] > shares[zone].maximum for zone in here):
                _change(drafts, one)
            else:
                given += here
        return given


def _meant_for(endpoint: Endpoint, giving: Counter[str], receiving: Counter[str], given: Counter[str]) -> Endpoint:
    """For its own zone, or for another that has too few."""
    zone = endpoint.zone
    if not endpoint.conditions.ready or not zone:
        return endpoint
    if giving[zone] > 0 and (other := next((name for name in sorted(receiving) if receiving[name] > 0), None)) is not None:
        giving[zone] -= 1
        receiving[other] -= 1
        given[zone] -= 1
        given[other] += 1
        zone = other
    return replace(endpoint, hints=EndpointHints(forZones=[ForZone(name=zone)]))


def _exchange(shares: Mapping[str, Share], given: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone gives to others, and how many it gets."""
    spare = {zone: given.get(zone, 0) - share.desired for zone, share in shares.items()}
    giving, receiving = Counter[str](), Counter[str]()
    while True:
        gives = _most([(amount, zone) for zone, amount in spare.items() if zone not in receiving])
        gets = _most([(-amount, zone) for zone, amount in spare.items() if zone not in giving])
        if gives is None or gets is None or (gives[0] < 1 and gets[0] < 1) or gives[0] < 0.5 or gets[0] < 0.5:
            return giving, receiving
        giving[gives[1]] += 1
        spare[gives[1]] -= 1
        receiving[gets[1]] += 1
        spare[gets[1]] += 1


def _most(amounts: Sequence[tuple[float, str]]) -> tuple[float, str] | None:
    return max((one for one in amounts if one[0] > 0), default=None)
