"""The EndpointSlices that mirror an Endpoints object. Pure.

Source: kube-controller-manager `endpointslicemirroring` (reconciler.go, reconciler_helpers.go, utils.go), `pkg/api/v1/endpoints/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from sampan.api.core.v1 import EndpointAddress, Endpoints, EndpointSubset, Service
from sampan.api.core.v1 import EndpointPort as CorePort
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, ENDPOINTS
from sampan.control.pods import owner_reference
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write

MANAGER = "endpointslicemirroring-controller.k8s.io"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"})
FAMILIES = ("IPv4", "IPv6")

Ports = tuple[tuple[str, int, str, str | None], ...]
Kindred = tuple[str, Ports]
Identity = tuple[str, str, str, str]
Place = tuple[str, str]  # an address and whose it is


def is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    """Written by hand, for a Service without a selector."""
    if service is None or service.spec.selector:
        return False
    meta = endpoints.metadata
    return meta.labels.get(SKIP_MIRROR) != "true" and LEADER not in meta.annotations


def decide(endpoints: Endpoints, slices: Sequence[EndpointSlice], most: int = 1000) -> Plan:
    """Bring `slices` (all that mirror it) to what the Endpoints say; `most` addresses of a subset at most."""
    wanted, events = _wanted(endpoints, most)
    existing: dict[Kindred, list[EndpointSlice]] = {}
    for one in slices:
        existing.setdefault((one.addressType, _slice_ports(one)), []).append(one)
    create: list[Kindred] = []
    writes: list[Write] = []
    gone = [one for kindred, found in existing.items() for one in (found[1:] if wanted.get(kindred) else found)]
    for kindred, found in sorted(wanted.items(), key=repr):
        there = existing.get(kindred)
        if not found:
            continue
        if not there:
            create.append(kindred)
        elif not _says(there[0], found, endpoints):
            new = _slice(endpoints, kindred, list(found.values())[:most], there[0])
            writes.append(Update(ENDPOINT_SLICES, replace(new, metadata=replace(new.metadata, generateName=""))))
    made: list[Write] = []
    for kindred in create:
        # one that would go is used again for one that would be made
        old = next((one for one in gone if one.addressType == kindred[0]), None)
        new = _slice(endpoints, kindred, list(wanted[kindred].values())[:most], old)
        if old is not None:
            gone.remove(old)
            writes.append(Update(ENDPOINT_SLICES, new))
        elif endpoints.metadata.deletionTimestamp is None:
            made.append(Create(ENDPOINT_SLICES, new))
    deletions = [Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, one.metadata.uid) for one in gone]
    return Plan((*made, *writes, *deletions), None, events)


def _wanted(endpoints: Endpoints, most: int) -> tuple[dict[Kindred, dict[Identity, Endpoint]], tuple[EventRecord, ...]]:
    """Endpoints by family and ports, each once; what was left out is told."""
    wanted: dict[Kindred, dict[Identity, Endpoint]] = {}
    skipped = 0
    for subset in _repacked(endpoints.subsets):
        ports = _ports(subset.ports)
        same = {family: wanted.setdefault((family, ports), {}) for family in FAMILIES}
        marked = _marked(subset)
        skipped += max(0, len(marked) - most)
        for address, ready in marked[:most]:
            endpoint = _endpoint(address, ready=ready)
            same["IPv6" if ":" in address.ip else "IPv4"][_identity(endpoint)] = endpoint
    if not skipped:
        return wanted, ()
    return wanted, (EventRecord(endpoints, "Warning", "TooManyAddressesToMirror",
                                f"A max of {most} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped"),)


def _repacked(subsets: Iterable[EndpointSubset]) -> list[EndpointSubset]:
    """Each address once for each port, not ready if it is that anywhere; ports that lead to the same addresses together.

    A port with an application protocol is another one in each subset, even if both say the same: upstream compares where that
    word is kept.
    """
    addresses: dict[Place, EndpointAddress] = {}
    ports: dict[object, tuple[CorePort | None, dict[Place, bool]]] = {}
    for number, subset in enumerate(subsets):
        for index, port in enumerate(subset.ports or [None]):
            key = port and (port.name, port.port, port.protocol, (number, index) if port.appProtocol is not None else None)
            places = ports.setdefault(key, (port, {}))[1]
            for address, ready in _marked(subset):
                place = (address.ip, (address.targetRef.uid or "") if address.targetRef else "")
                addresses.setdefault(place, address)
                places[place] = ready and places.get(place, True)
    merged: dict[frozenset[tuple[Place, bool]], list[CorePort]] = {}
    for port, places in ports.values():
        merged.setdefault(frozenset(places.items()), []).extend([port] if port is not None else [])
    return [EndpointSubset(
        addresses=[addresses[place] for place, ready in sorted(places) if ready],
        notReadyAddresses=[addresses[place] for place, ready in sorted(places) if not ready], ports=found)
        for places, found in merged.items()]


def _marked(subset: EndpointSubset) -> list[tuple[EndpointAddress, bool]]:
    """Its addresses, with whether they are ready."""
    return [(one, True) for one in subset.addresses] + [(one, False) for one in subset.notReadyAddresses]


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(addresses=[address.ip], conditions=EndpointConditions(ready=ready), targetRef=address.targetRef,
                    hostname=address.hostname or None, nodeName=address.nodeName)


def _identity(endpoint: Endpoint) -> Identity:
    ref = endpoint.targetRef
    return ",".join(sorted(endpoint.addresses or ())), endpoint.hostname or "", ref.namespace if ref else "", ref.name if ref else ""


def _says(one: EndpointSlice, wanted: Mapping[Identity, Endpoint], endpoints: Endpoints) -> bool:
    """Whether a slice says what it should, and is of these Endpoints, not of others that had their name."""
    there, meta = one.endpoints or [], endpoints.metadata
    labels = {key: value for key, value in one.metadata.labels.items() if key not in (MANAGED_BY, SERVICE_NAME)}
    stale = any(ref.kind == "Endpoints" and ref.name == meta.name and ref.uid != meta.uid for ref in one.metadata.ownerReferences)
    return (not stale and labels == meta.labels and one.metadata.annotations == _copied(meta.annotations) and len(there) == len(wanted)
            and all((found := wanted.get(_identity(old))) is not None and replace(old, hints=None) == found for old in there))


def _copied(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key not in NOT_COPIED}


def _ports(ports: Sequence[CorePort]) -> Ports:
    return tuple(sorted(((one.name, one.port, one.protocol, one.appProtocol) for one in ports), key=repr))


def _slice_ports(one: EndpointSlice) -> Ports:
    return tuple(sorted(((p.name or "", p.port or 0, p.protocol or "", p.appProtocol) for p in one.ports or ()), key=repr))


def _slice(endpoints: Endpoints, kindred: Kindred, found: list[Endpoint], old: EndpointSlice | None) -> EndpointSlice:
    """A slice as new, under the name of `old` if there is one."""
    family, ports = kindred
    of = endpoints.metadata
    meta = ObjectMeta(generateName=f"{of.name}-", namespace=of.namespace, labels={**of.labels, SERVICE_NAME: of.name, MANAGED_BY: MANAGER},
                      annotations=_copied(of.annotations), ownerReferences=[owner_reference(ENDPOINTS, endpoints)])
    if old is not None:
        meta = replace(meta, name=old.metadata.name, uid=old.metadata.uid, resourceVersion=old.metadata.resourceVersion)
    wire = [EndpointPort(name=name, port=port, protocol=protocol, appProtocol=app) for name, port, protocol, app in ports] or None
    return EndpointSlice(kind="EndpointSlice", apiVersion="discovery.k8s.io/v1", metadata=meta, addressType=family,
                         endpoints=found, ports=wire)
