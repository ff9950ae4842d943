"""What the Endpoints object of a Service says. Pure.

Source: kube-controller-manager `endpoint/endpoints_controller.go`, `pkg/api/v1/endpoints/util.go` (RepackSubsets).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from sampan.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset, ObjectReference, Pod, Service
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINTS
from sampan.control.pods import is_ready
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
from sampan.kinds.plan import Create, Plan, Update

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST_ADDRESSES = 1000

Port = tuple[str, int, str, str | None]


def decide(service: Service, pods: Sequence[Pod], old: Endpoints | None, trigger: str = "") -> Plan:
    """Create or update the object unless it says the right thing already; its trigger time alone is no reason."""
    subsets, truncated = _truncated(_subsets(service, pods))
    labels = {key: value for key, value in service.metadata.labels.items() if key != HEADLESS_LABEL}
    labels |= {HEADLESS_LABEL: ""} if is_headless(service) else {}
    labels[MANAGED_BY] = "endpoint-controller"
    annotations = dict(old.metadata.annotations) if old is not None else {}
    was_over = annotations.pop(OVER_CAPACITY, None)
    annotations |= {OVER_CAPACITY: "truncated"} if truncated else {}
    same_mark = was_over == annotations.get(OVER_CAPACITY)
    if old is not None and same_mark and _but_headless(old.metadata.labels) == _but_headless(labels) and _canonical(old.subsets) == subsets:
        return Plan()
    annotations.pop(TRIGGER_TIME, None)
    annotations |= {TRIGGER_TIME: trigger} if trigger else {}
    if old is None:
        meta = ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace, labels=labels, annotations=annotations)
        return Plan((Create(ENDPOINTS, Endpoints(kind="Endpoints", apiVersion="v1", metadata=meta, subsets=subsets)),))
    meta = replace(old.metadata, labels=labels, annotations=annotations)
    return Plan((Update(ENDPOINTS, replace(old, metadata=meta, subsets=subsets)),))


def _but_headless(labels: Mapping[str, str]) -> dict[str, str]:
    """That a Service became headless is written with the next change only."""
    return {key: value for key, value in labels.items() if key != HEADLESS_LABEL}


def _subsets(service: Service, pods: Iterable[Pod]) -> list[EndpointSubset]:
    """One subset for each set of ports that has the same addresses."""
    publish, family = service.spec.publishNotReadyAddresses, families(service)[0]
    serving: dict[Port | None, tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
    for pod in sorted(pods, key=lambda one: (one.status.podIP, one.metadata.uid)):
        ips = addresses(pod, family) if belongs(pod, terminating=publish) else []
        if not ips:
            continue
        address = EndpointAddress(
            ip=ips[0], nodeName=pod.spec.nodeName, hostname=hostname(pod, service),
            targetRef=ObjectReference(kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid))
        for port in _ports(service, pod):
            ready, waiting = serving.setdefault(port, ([], []))
            (ready if publish or is_ready(pod) else waiting).append(address)
    merged: dict[tuple[tuple[str, ...], tuple[str, ...]], EndpointSubset] = {}
    for port, (ready, waiting) in serving.items():
        same = (tuple(one.targetRef.uid for one in ready if one.targetRef), tuple(one.targetRef.uid for one in waiting if one.targetRef))
        subset = merged.setdefault(same, EndpointSubset(addresses=ready, notReadyAddresses=waiting))
        if port is not None:
            subset.ports.append(EndpointPort(name=port[0], port=port[1], protocol=port[2], appProtocol=port[3]))
    return _canonical(list(merged.values()))


def _ports(service: Service, pod: Pod) -> list[Port | None]:
    if not service.spec.ports:
        return [None] if is_headless(service) else []
    found: list[Port | None] = []
    for port in service.spec.ports:
        number = target_port(pod, port)
        if number is not None:
            found.append((port.name, number, port.protocol, port.appProtocol))
    return found


def _canonical(subsets: Sequence[EndpointSubset]) -> list[EndpointSubset]:
    """In one order, whoever wrote it."""
    def by_address(one: EndpointAddress) -> tuple[str, str]:
        return one.ip, one.targetRef.uid if one.targetRef else ""

    ordered = [replace(
        one, addresses=sorted(one.addresses, key=by_address), notReadyAddresses=sorted(one.notReadyAddresses, key=by_address),
        ports=sorted(one.ports, key=lambda port: (port.name, port.port, port.protocol))) for one in subsets]
    return sorted(ordered, key=lambda one: [(port.name, port.port, port.protocol) for port in one.ports])


def _truncated(subsets: list[EndpointSubset]) -> tuple[list[EndpointSubset], bool]:
    """At most a thousand addresses: ready ones first, of each subset as many as is its share (rounded up, while there is room)."""
    ready, waiting = sum(len(one.addresses) for one in subsets), sum(len(one.notReadyAddresses) for one in subsets)
    if ready + waiting <= MOST_ADDRESSES:
        return subsets, False
    total, most = (ready, MOST_ADDRESSES) if ready > MOST_ADDRESSES else (waiting, MOST_ADDRESSES - ready)
    room, cut = most, []
    for one in subsets:
        listed = one.addresses if ready > MOST_ADDRESSES else one.notReadyAddresses
        kept = listed[:min(math.ceil(len(listed) / total * most), room)]
        room -= len(kept)
        cut.append(replace(one, addresses=kept, notReadyAddresses=[]) if ready > MOST_ADDRESSES else replace(one, notReadyAddresses=kept))
    return cut, True
