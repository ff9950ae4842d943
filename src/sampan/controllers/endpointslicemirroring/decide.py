"""The EndpointSlices that mirror an Endpoints object. Pure.

Source: kube-controller-manager `endpointslicemirroring/reconciler.go`, `utils.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sampan.api.core.v1 import EndpointAddress, Endpoints, EndpointSubset, Service
from sampan.api.core.v1 import EndpointPort as CorePort
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, ENDPOINTS
from sampan.control.pods import owner_reference
from sampan.kinds.plan import Create, Delete, Plan, Update, Write

MANAGER = "endpointslicemirroring-controller.k8s.io"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"})

Ports = tuple[tuple[str, int, str, str | None], ...]


def is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    """Written by hand, for a Service without a selector."""
    if service is None or service.spec.selector:
        return False
    meta = endpoints.metadata
    return meta.labels.get(SKIP_MIRROR) != "true" and LEADER not in meta.annotations


def decide(endpoints: Endpoints, slices: Sequence[EndpointSlice], most: int = 1000) -> Plan:
    """Bring `slices` (all that mirror it) to what the Endpoints say; `most` addresses of a subset at most."""
    wanted: dict[tuple[str, Ports], list[Endpoint]] = {}
    for subset in endpoints.subsets:
        for family, found in _by_family(subset, most).items():
            wanted.setdefault((family, _ports(subset.ports)), []).extend(found)
    spare = list(slices)
    writes: list[Write] = []
    for (family, ports), found in sorted(wanted.items(), key=repr):
        old = next((one for one in spare if one.addressType == family and _slice_ports(one) == ports), None) or \
            next((one for one in spare if one.addressType == family), None)
        if old is not None:
            spare.remove(old)
        new = _slice(endpoints, family, ports, found, old)
        if old is None:
            writes.append(Create(ENDPOINT_SLICES, new))
        elif new != old:
            writes.append(Update(ENDPOINT_SLICES, new))
    return Plan((*writes, *(Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, one.metadata.uid) for one in spare)))


def _by_family(subset: EndpointSubset, most: int) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    marked = [(address, True) for address in subset.addresses] + [(address, False) for address in subset.notReadyAddresses]
    for address, ready in marked[:most]:
        found.setdefault("IPv6" if ":" in address.ip else "IPv4", []).append(_endpoint(address, ready=ready))
    return found


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(addresses=[address.ip], conditions=EndpointConditions(ready=ready), targetRef=address.targetRef,
                    hostname=address.hostname or None, nodeName=address.nodeName)


def _ports(ports: Sequence[CorePort]) -> Ports:
    return tuple(sorted(((one.name, one.port, one.protocol, one.appProtocol) for one in ports), key=repr))


def _slice_ports(one: EndpointSlice) -> Ports:
    return tuple(sorted(((p.name or "", p.port or 0, p.protocol or "", p.appProtocol) for p in one.ports or ()), key=repr))


def _slice(endpoints: Endpoints, family: str, ports: Ports, found: list[Endpoint], old: EndpointSlice | None) -> EndpointSlice:
    meta = endpoints.metadata
    labels = {**meta.labels, SERVICE_NAME: meta.name, MANAGED_BY: MANAGER}
    annotations = {key: value for key, value in meta.annotations.items() if key not in NOT_COPIED}
    wire = [EndpointPort(name=name, port=port, protocol=protocol, appProtocol=app) for name, port, protocol, app in ports]
    if old is not None:
        same = [one for one in old.endpoints or () if one in found]
        ordered = same + [one for one in found if one not in same]
        return replace(old, metadata=replace(old.metadata, labels=labels, annotations=annotations), endpoints=ordered,
                       ports=wire if _slice_ports(old) != ports else old.ports)
    new = ObjectMeta(generateName=f"{meta.name}-", namespace=meta.namespace, labels=labels, annotations=annotations,
                     ownerReferences=[owner_reference(ENDPOINTS, endpoints)])
    return EndpointSlice(kind="EndpointSlice", apiVersion="discovery.k8s.io/v1", metadata=new, addressType=family,
                         endpoints=found, ports=wire)
