"""Which EndpointSlices a Service should have, with as few writes as possible. Pure.

Owns endpoints from pods, labels, placeholders, which slices are written, made and deleted. Leaves packing to `drafts`, hints to `hints`.
Source: `k8s.io/endpointslice` (reconciler.go, utils.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from sampan.api.core.v1 import Node, ObjectReference, Pod, Service
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, SERVICES
from sampan.control.key import key_of
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
from sampan.controllers.endpointslice import hints
from sampan.controllers.endpointslice.drafts import Draft, Drafts, Identity, Ports, fill, identity
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write

MANAGER = "endpointslice-controller.k8s.io"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
RESERVED = frozenset({SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL})
MOST_ENDPOINTS = 100

Wanted = dict[Ports, dict[Identity, Endpoint]]


@dataclass(frozen=True)
class Decision:
    """What to write and to tell; `missing`: what kept pods out that may yet be put right, so it is to be tried again."""

    plan: Plan
    missing: tuple[str, ...] = ()


def decide(service: Service, pods: Sequence[Pod], nodes: Mapping[str, Node], slices: Sequence[EndpointSlice],
           most: int = MOST_ENDPOINTS, trigger: str = "", topology: hints.Topology | None = None) -> Decision:
    """Bring `slices` (all that this controller manages for the Service) to what `pods` (all that it selects) serve.

    Args:
        service: As the cache has it.
        pods: Those that it selects.
        nodes: Those of the pods, by name.
        slices: Those with its name in their labels; others' of that name are deleted.
        most: Endpoints in a slice.
        trigger: When what is written was caused (`TriggerTimes`).
        topology: What is known of zones, and which Services have hints by them; hints that are given are noted there.
    """
    topology = hints.Topology() if topology is None else topology
    kinds = families(service)
    there = [one for one in slices if one.metadata.deletionTimestamp is None]
    writes: list[Write] = []
    events: list[EventRecord] = []
    missing: dict[str, None] = {}
    for family in kinds:
        wanted = _wanted(service, pods, nodes, family, missing)
        drafts = _drafts(service, wanted, [one for one in there if one.addressType == family], most)
        told = _hint(service, family, drafts, topology)
        writes += _writes(service, family, drafts, trigger)
        events += [EventRecord(service, "Normal" if one.reason == hints.ENABLED else "Warning", one.reason, one.message) for one in told]
    for one in there:
        if one.addressType not in kinds:
            topology.give_up(key_of(service), one.addressType)
            writes.append(_deletion(one))
    return Decision(Plan(tuple(writes), None, tuple(events)), tuple(missing))


def _wanted(service: Service, pods: Sequence[Pod], nodes: Mapping[str, Node], family: str, missing: dict[str, None]) -> Wanted:
    """Endpoints by ports; ports that a pod has are there even without an endpoint."""
    wanted: Wanted = {}
    meta = service.metadata
    for pod in pods:
        if not belongs(pod, terminating=True):
            continue
        same = wanted.setdefault(_ports(service, pod), {})
        node = nodes.get(pod.spec.nodeName)
        if node is None and not service.spec.publishNotReadyAddresses:
            # it may come yet; until then the pod can't be reached for all we know
            missing[f"skipping Pod {pod.metadata.name} for Service {meta.namespace}/{meta.name}: Node {pod.spec.nodeName} Not Found"] = None
            continue
        if ips := addresses(pod, family):
            endpoint = _endpoint(service, pod, node, ips)
            same[identity(endpoint)] = endpoint
    return wanted


def _ports(service: Service, pod: Pod) -> Ports:
    found = []
    for port in service.spec.ports:
        number = target_port(pod, port)
        if number is not None:
            found.append((port.name, port.protocol, number, port.appProtocol))
    return tuple(sorted(found, key=repr))


def _endpoint(service: Service, pod: Pod, node: Node | None, ips: list[str]) -> Endpoint:
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = service.spec.publishNotReadyAddresses or (serving and not terminating)
    zone = node.metadata.labels.get(hints.ZONE) if node is not None else None
    return Endpoint(
        addresses=ips, conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
        targetRef=ObjectReference(kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid),
        hostname=hostname(pod, service) or None, nodeName=pod.spec.nodeName or None, zone=zone or None,
    )


def labels_of(service: Service) -> dict[str, str]:
    """The labels that a slice of this Service has: the Service's own and those that say whose it is."""
    own = {HEADLESS_LABEL: ""} if is_headless(service) else {}
    return _own(service.metadata.labels) | own | {SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key not in RESERVED}


def _owned(one: EndpointSlice, service: Service) -> bool:
    return any(ref.uid == service.metadata.uid and ref.kind == "Service" and ref.apiVersion == "v1" for ref in one.metadata.ownerReferences)


def _drafts(service: Service, wanted: Wanted, slices: Sequence[EndpointSlice], most: int) -> Drafts:
    """What is to be done with the slices of a family; those of another Service of this name go."""
    drafts, by_ports, own = Drafts(), dict[Ports, list[Draft]](), _own(service.metadata.labels)
    for one in slices:
        draft = Draft.of(one, relabelled=_own(one.metadata.labels) != own)
        if _owned(one, service):
            by_ports.setdefault(draft.ports, []).append(draft)
        else:
            drafts.delete.append(draft)
    for ports in sorted(wanted, key=repr):
        drafts.add(fill(by_ports.get(ports, []), ports, wanted[ports], most))
    drafts.delete += [draft for ports, found in by_ports.items() if ports not in wanted for draft in found]
    if len(drafts.delete) == len(slices) and not drafts.create:
        # where there is no endpoint, a placeholder stands
        if len(drafts.delete) == 1 and _is_placeholder(drafts.delete[0].old, service):
            drafts.unchanged.append(drafts.delete.pop())
        else:
            drafts.create.append(Draft((), []))
    return drafts


def _is_placeholder(one: EndpointSlice | None, service: Service) -> bool:
    if one is None or one.endpoints or one.ports:
        return False
    there, wanted = one.metadata.labels, labels_of(service)
    return all(there.get(key, "") == wanted.get(key, "") for key in (*there, *wanted))


def _hint(service: Service, family: str, drafts: Drafts, topology: hints.Topology) -> list[hints.Told]:
    key, policy, zoned = key_of(service), service.spec.trafficDistribution, hints.by_zone(service.metadata.annotations)
    if zoned:
        told = topology.give(key, family, drafts)
        return [told] if told is not None else []
    told = topology.give_up(key, family, wanted=False)
    if policy in hints.CLOSE:
        hints.prefer(policy, drafts)
    else:
        hints.without(drafts)
    return [told] if told is not None else []


def _writes(service: Service, family: str, drafts: Drafts, trigger: str) -> list[Write]:
    """Creations, updates, deletions; a slice that would go is used again for one that would be made."""
    fresh, changed, gone = list(drafts.create), list(drafts.update), list[Draft]()
    reused: list[tuple[Draft, EndpointSlice]] = []
    for draft in drafts.delete:
        if fresh and draft.old is not None and _owned(draft.old, service):
            reused.append((fresh.pop(), draft.old))
        else:
            gone.append(draft)
    writes: list[Write] = []
    if service.metadata.deletionTimestamp is None:
        writes += [Create(ENDPOINT_SLICES, _made(service, family, draft, trigger)) for draft in fresh]
    writes += [Update(ENDPOINT_SLICES, _changed(service, draft, draft.old, trigger)) for draft in changed if draft.old is not None]
    writes += [Update(ENDPOINT_SLICES, _made(service, family, draft, trigger, old)) for draft, old in reused]
    return writes + [_deletion(draft.old) for draft in gone if draft.old is not None]


def _made(service: Service, family: str, draft: Draft, trigger: str, old: EndpointSlice | None = None) -> EndpointSlice:
    """A slice as new, under the name of `old` if one is used again."""
    meta = ObjectMeta(
        generateName=f"{service.metadata.name}-", namespace=service.metadata.namespace, labels=labels_of(service),
        annotations={TRIGGER_TIME: trigger} if trigger else {}, ownerReferences=[owner_reference(SERVICES, service)])
    if old is not None:
        meta = replace(meta, name=old.metadata.name, uid=old.metadata.uid, resourceVersion=old.metadata.resourceVersion)
    return EndpointSlice(kind="EndpointSlice", apiVersion="discovery.k8s.io/v1", metadata=meta, addressType=family,
                         endpoints=draft.endpoints or None, ports=_wire(draft.ports))


def _changed(service: Service, draft: Draft, old: EndpointSlice, trigger: str) -> EndpointSlice:
    annotations = {key: value for key, value in old.metadata.annotations.items() if key != TRIGGER_TIME}
    annotations |= {TRIGGER_TIME: trigger} if trigger else {}
    meta = replace(old.metadata, labels=labels_of(service), annotations=annotations)
    return replace(old, metadata=meta, endpoints=draft.endpoints or None)


def _wire(ports: Ports) -> list[EndpointPort] | None:
    return [EndpointPort(name=n, protocol=p, port=number, appProtocol=a) for n, p, number, a in ports] or None


def _deletion(one: EndpointSlice) -> Delete:
    return Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, one.metadata.uid)
