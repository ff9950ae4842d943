"""Which EndpointSlices a Service should have, with as few writes as possible. Pure.

Owns endpoints from pods, their distribution over slices of at most 100, hints, labels. Source: `k8s.io/endpointslice`
(reconciler.go, utils.go, trafficdist).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from sampan.api.core.v1 import Node, ObjectReference, Pod, Service
from sampan.api.discovery.v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, SERVICES
from sampan.control.pods import is_ready, is_terminating, owner_reference
from sampan.control.serving import (
    HEADLESS_LABEL,
    TRIGGER_TIME,
    addresses,
    belongs,
    families,
    hostname,
    is_headless,
    target_port,
)
from sampan.kinds.plan import Create, Delete, Plan, Update, Write

MANAGER = "endpointslice-controller.k8s.io"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
MOST_ENDPOINTS = 100
MISSING_NODE_RETRY_SECONDS = 1.0

# what tells slices apart: the address family and the ports, each (name, protocol, port, application protocol)
Ports = tuple[tuple[str | None, str | None, int | None, str | None], ...]
Kindred = tuple[str, Ports]


@dataclass
class _Draft:
    """Slices of one family and one set of ports, being brought up to date."""

    kindred: Kindred
    wanted: dict[tuple[Any, ...], Endpoint]
    unchanged: list[EndpointSlice] = field(default_factory=list)
    changed: dict[str, EndpointSlice] = field(default_factory=dict)
    empty: list[EndpointSlice] = field(default_factory=list)
    fresh: list[EndpointSlice] = field(default_factory=list)


def decide(service: Service, pods: Sequence[Pod], nodes: Mapping[str, Node], slices: Sequence[EndpointSlice],
           most: int = MOST_ENDPOINTS, trigger: str = "") -> Plan:
    """Bring `slices` (all that this controller manages for the Service) to what `pods` (all that it selects) serve.

    `trigger`: when what is written was caused (`TriggerTimes`).
    """
    wanted, missing_node = _wanted(service, pods, nodes)
    by_kindred: dict[Kindred, list[EndpointSlice]] = {}
    kinds = families(service)
    stray = [one for one in slices if one.addressType not in kinds]
    for one in slices:
        if one.addressType in kinds:
            by_kindred.setdefault((one.addressType, _ports(one)), []).append(one)
    drafts = [_draft(service, kindred, wanted.get(kindred, {}), by_kindred.get(kindred, []), most)
              for kindred in sorted(wanted.keys() | by_kindred.keys(), key=repr)]
    writes: list[Write] = [_deletion(one) for one in stray]
    for family in kinds:
        writes += _writes(service, family, [draft for draft in drafts if draft.kindred[0] == family], trigger)
    return Plan(tuple(writes), MISSING_NODE_RETRY_SECONDS if missing_node else None)


def _ports(one: EndpointSlice) -> Ports:
    return tuple(sorted(((p.name, p.protocol, p.port, p.appProtocol) for p in one.ports or ()), key=repr))


def _wanted(service: Service, pods: Sequence[Pod], nodes: Mapping[str, Node]) -> tuple[dict[Kindred, dict[tuple[Any, ...], Endpoint]], bool]:
    wanted: dict[Kindred, dict[tuple[Any, ...], Endpoint]] = {}
    missing_node = False
    for pod in pods:
        if not belongs(pod, terminating=True):
            continue
        node = nodes.get(pod.spec.nodeName)
        if node is None and pod.spec.nodeName and not service.spec.publishNotReadyAddresses:
            missing_node = True  # it may come yet; until then the pod can't be reached for all we know
            continue
        found = []
        for port in service.spec.ports:
            number = target_port(pod, port)
            if number is not None:
                found.append((port.name, port.protocol, number, port.appProtocol))
        ports: Ports = tuple(sorted(found, key=repr))
        for family in families(service):
            if ips := addresses(pod, family):
                endpoint = _endpoint(service, pod, node, ips)
                wanted.setdefault((family, ports), {})[_identity(endpoint)] = endpoint
    return wanted, missing_node


def _endpoint(service: Service, pod: Pod, node: Node | None, ips: list[str]) -> Endpoint:
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = service.spec.publishNotReadyAddresses or (serving and not terminating)
    endpoint = Endpoint(
        addresses=ips, conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
        targetRef=ObjectReference(kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid),
        hostname=hostname(pod, service) or None, nodeName=pod.spec.nodeName or None,
        zone=node.metadata.labels.get(ZONE) if node is not None else None,
    )
    if ready:
        endpoint.hints = _hints(service, endpoint)
    return endpoint


def _hints(service: Service, endpoint: Endpoint) -> EndpointHints | None:
    policy = service.spec.trafficDistribution
    if policy not in ("PreferClose", "PreferSameZone", "PreferSameNode"):
        return None
    zones = [ForZone(name=endpoint.zone)] if endpoint.zone else []
    nodes = [ForNode(name=endpoint.nodeName)] if endpoint.nodeName and policy == "PreferSameNode" else []
    return EndpointHints(forZones=zones, forNodes=nodes) if zones or nodes else None


def _identity(endpoint: Endpoint) -> tuple[Any, ...]:
    ref = endpoint.targetRef
    return (tuple(endpoint.addresses or ()), ref.uid if ref else "", ref.name if ref else "", endpoint.hostname, endpoint.nodeName)


def labels_of(service: Service) -> dict[str, str]:
    """The labels that a slice of this Service has: the Service's own and those that say whose it is."""
    own = {key: value for key, value in service.metadata.labels.items() if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL)}
    own |= {HEADLESS_LABEL: ""} if is_headless(service) else {}
    return own | {SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _draft(service: Service, kindred: Kindred, wanted: dict[tuple[Any, ...], Endpoint],
           slices: Sequence[EndpointSlice], most: int) -> _Draft:
    draft, labels = _Draft(kindred, dict(wanted)), labels_of(service)
    for one in slices:
        kept = [found for old in one.endpoints or () if (found := draft.wanted.pop(_identity(old), None)) is not None]
        if not kept and one.endpoints:
            draft.empty.append(one)
        elif kept != (one.endpoints or []) or one.metadata.labels != labels:
            draft.changed[one.metadata.name] = replace(one, endpoints=kept)
        else:
            draft.unchanged.append(one)
    left = list(draft.wanted.values())
    for name, one in sorted(draft.changed.items(), key=lambda item: -len(item[1].endpoints or ())):
        room = most - len(one.endpoints or ())
        draft.changed[name], left = replace(one, endpoints=[*(one.endpoints or ()), *left[:room]]), left[room:]
    while left:
        left = _place(draft, left, most)
    return draft


def _place(draft: _Draft, left: list[Endpoint], most: int) -> list[Endpoint]:
    """Put endpoints into the fullest unchanged slice that has room for all, or into a new one."""
    rest = left[:most]
    fitting = [one for one in draft.unchanged if len(one.endpoints or ()) + len(rest) <= most]
    if fitting:
        target = max(fitting, key=lambda one: len(one.endpoints or ()))
        draft.unchanged.remove(target)
        draft.changed[target.metadata.name] = replace(target, endpoints=[*(target.endpoints or ()), *rest])
    else:
        draft.fresh.append(EndpointSlice(endpoints=rest))
    return left[most:]


def _writes(service: Service, family: str, drafts: list[_Draft], trigger: str) -> list[Write]:
    empty = [one for draft in drafts for one in draft.empty]
    fresh = [(draft.kindred[1], new) for draft in drafts for new in draft.fresh]
    changed = [one for draft in drafts for one in draft.changed.values()]
    unchanged = [one for draft in drafts for one in draft.unchanged]
    # a placeholder stands where there is no endpoint, and only there
    holders = [one for one in unchanged + changed if not one.endpoints]
    if len(holders) < len(unchanged) + len(changed) or fresh:
        empty += holders
        unchanged = [one for one in unchanged if one.endpoints]
        changed = [one for one in changed if one.endpoints]
    elif not holders:
        fresh.append(((), EndpointSlice(endpoints=None)))
    writes: list[Write] = []
    for ports, new in fresh:
        reused = empty.pop() if empty else None
        writes.append(_write(service, family, ports, new.endpoints, reused, trigger))
    writes += [_write(service, family, _ports(one), one.endpoints, one, trigger) for one in changed]
    return writes + [_deletion(one) for one in empty]


def _write(service: Service, family: str, ports: Ports, endpoints: list[Endpoint] | None, old: EndpointSlice | None,
           trigger: str) -> Write:
    annotations = {TRIGGER_TIME: trigger} if trigger else {}
    wire = [EndpointPort(name=n, protocol=p, port=number, appProtocol=a) for n, p, number, a in ports] or None
    if old is not None:
        kept = {key: value for key, value in old.metadata.annotations.items() if key != TRIGGER_TIME}
        meta = replace(old.metadata, labels=labels_of(service), annotations={**kept, **annotations})
        return Update(ENDPOINT_SLICES, replace(old, metadata=meta, endpoints=endpoints, ports=wire))
    meta = ObjectMeta(
        generateName=f"{service.metadata.name}-", namespace=service.metadata.namespace, labels=labels_of(service),
        annotations=annotations, ownerReferences=[owner_reference(SERVICES, service)])
    return Create(ENDPOINT_SLICES, EndpointSlice(
        kind="EndpointSlice", apiVersion="discovery.k8s.io/v1", metadata=meta, addressType=family, endpoints=endpoints, ports=wire))


def _deletion(one: EndpointSlice) -> Delete:
    return Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, one.metadata.uid)
