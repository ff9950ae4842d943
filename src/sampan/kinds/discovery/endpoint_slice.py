"""EndpointSlice: some of the addresses behind a service.

Source: kubernetes `pkg/apis/discovery/validation/validation.go`, `pkg/registry/discovery/endpointslice/strategy.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import addresses, field, names
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice
from sampan.api.resources import ENDPOINT_SLICES
from sampan.kinds import checks, label_selectors, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age, first_few

SERVICE_NAME = "kubernetes.io/service-name"
HOSTNAME = "kubernetes.io/hostname"
CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
PROTOCOLS = ("SCTP", "TCP", "UDP")
MAX_ADDRESSES, MAX_ENDPOINTS, MAX_HINTS, MAX_PORTS = 100, 1000, 8, 20000
MAX_TOPOLOGY_LABELS = 16


def is_ready(conditions: EndpointConditions) -> bool:
    """Unknown counts as ready."""
    return conditions.ready is not False


def is_serving(conditions: EndpointConditions) -> bool:
    """Unknown means: as `ready` says."""
    return is_ready(conditions) if conditions.serving is None else conditions.serving


def is_terminating(conditions: EndpointConditions) -> bool:
    """Unknown counts as not terminating."""
    return conditions.terminating is True


def as_stored(obj: EndpointSlice) -> None:
    obj.endpoints = obj.endpoints or None
    obj.ports = obj.ports or None
    for endpoint in obj.endpoints or ():
        endpoint.addresses = endpoint.addresses or None


def default(obj: EndpointSlice) -> None:
    for port in obj.ports or ():
        if port.name is None:
            port.name = ""
        if port.protocol is None:
            port.protocol = "TCP"


def prepare_create(obj: EndpointSlice) -> None:
    meta.first_generation(obj)
    for endpoint in obj.endpoints or ():
        endpoint.deprecatedTopology = {}  # this version can't write it


def prepare_update(new: EndpointSlice, old: EndpointSlice) -> None:
    """Endpoints that change lose their old topology; a node that it named before stays known."""
    changed = (new.metadata.labels, new.endpoints, new.ports, new.addressType) != (
        old.metadata.labels, old.endpoints, old.ports, old.addressType)
    new.metadata.generation = old.metadata.generation + changed
    if new.endpoints == old.endpoints:
        return
    known = {endpoint.deprecatedTopology.get(HOSTNAME) for endpoint in old.endpoints or ()}
    for endpoint in new.endpoints or ():
        node = endpoint.deprecatedTopology.get(HOSTNAME)
        if endpoint.nodeName is None and node is not None and node in known and not names.dns1123_subdomain(node):
            endpoint.nodeName = node
        endpoint.deprecatedTopology = {}


def validate(obj: EndpointSlice) -> Findings:
    return _validate(obj, None)


def judge_update(new: EndpointSlice, old: EndpointSlice) -> Findings:
    """Endpoints that did not change were judged when they were written."""
    return _validate(new, old) + field.immutable(new.addressType, old.addressType, "addressType")


def _validate(obj: EndpointSlice, old: EndpointSlice | None) -> Findings:
    out: Findings = []
    if not obj.addressType:
        out.append(field.required("addressType"))
    else:
        out += checks.one_of(obj.addressType, ADDRESS_TYPES, "addressType")
    out += _ports(obj.ports or [])
    endpoints = obj.endpoints or []
    if old is not None and obj.endpoints == old.endpoints:
        return out
    if len(endpoints) > MAX_ENDPOINTS:
        out.append(field.too_many("endpoints", len(endpoints), MAX_ENDPOINTS))
    else:
        for index, endpoint in enumerate(endpoints):
            out += _endpoint(endpoint, obj.addressType, f"endpoints[{index}]")
    return out


def _endpoint(endpoint: Endpoint, kind: str, at: str) -> Findings:
    out: Findings = []
    found = endpoint.addresses or []
    if not found:
        out.append(field.required(f"{at}.addresses", "must contain at least 1 address"))
    elif len(found) > MAX_ADDRESSES:
        out.append(field.too_many(f"{at}.addresses", len(found), MAX_ADDRESSES))
    for index, text in enumerate(found):
        out += _address(text, kind, f"{at}.addresses", index)
    if endpoint.nodeName is not None:
        out += checks.named(endpoint.nodeName, names.dns1123_subdomain, f"{at}.nodeName")
    if len(endpoint.deprecatedTopology) > MAX_TOPOLOGY_LABELS:
        out.append(field.too_many(f"{at}.deprecatedTopology", len(endpoint.deprecatedTopology), MAX_TOPOLOGY_LABELS))
    label_selectors.labels(out, endpoint.deprecatedTopology, f"{at}.deprecatedTopology")
    if endpoint.hostname is not None:
        out += checks.named(endpoint.hostname, names.dns1123_label, f"{at}.hostname")
    if endpoint.hints is not None:
        out += _hints(endpoint.hints, f"{at}.hints")
    return out


def _address(text: str, kind: str, path: str, index: int) -> Findings:
    at = f"{path}[{index}]"
    if kind == "FQDN":
        return names.fully_qualified_domain_name(at, text)
    if kind not in ("IPv4", "IPv6"):
        return []
    if errors := addresses.ip_for_legacy_field(at, text) if kind == "IPv4" else addresses.ip(at, text):
        return errors
    address = addresses.parse_ip_sloppy(text)
    out: Findings = []
    if address is not None and f"IPv{address.version}" != kind:
        out.append(field.invalid(path, text, f"must be an {kind} address"))
    return out + checks.non_special_ip(text, at)


def _hints(hints: EndpointHints, at: str) -> Findings:
    out: Findings = []
    for place, values in (("forZones", [zone.name for zone in hints.forZones]), ("forNodes", [n.name for n in hints.forNodes])):
        if len(values) > MAX_HINTS:
            return [*out, field.too_many(f"{at}.{place}", len(values), MAX_HINTS)]
        seen: set[str] = set()
        for index, name in enumerate(values):
            where = f"{at}.{place}[{index}].name"
            if name in seen:
                out.append(field.duplicate(where, name))
            seen.add(name)
            check = names.label_value if place == "forZones" else names.dns1123_subdomain
            out += checks.named(name, check, where)
    return out


def _ports(ports: list[EndpointPort]) -> Findings:
    if len(ports) > MAX_PORTS:
        return [field.too_many("ports", len(ports), MAX_PORTS)]
    out: Findings = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at, name = f"ports[{index}]", port.name or ""
        if name:
            out += checks.named(name, names.dns1123_label, f"{at}.name")
        if name in seen:
            out.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        if port.protocol is None:
            out.append(field.required(f"{at}.protocol"))
        else:
            out += checks.one_of(port.protocol, PROTOCOLS, f"{at}.protocol")
        if port.appProtocol is not None:
            out += checks.named(port.appProtocol, names.qualified_name, f"{at}.appProtocol")
    return out


def warnings(new: EndpointSlice, old: EndpointSlice | None) -> list[str]:
    out: list[str] = []
    if old is None and new.addressType == "FQDN":
        out.append("spec.addressType: FQDN endpoints are deprecated")
    if new.metadata.labels.get(MANAGED_BY) in CONTROLLERS:
        return out
    for index, endpoint in enumerate(new.endpoints or ()):
        for number, text in enumerate(endpoint.addresses or ()):
            out += addresses.ip_warnings(f"endpoints[{index}].addresses[{number}]", text)
    return out


def _ports_text(obj: EndpointSlice, _: datetime) -> str:
    if not obj.ports:
        return "<unset>"
    return first_few([_port_text(port) for port in obj.ports], 3)


def _port_text(port: EndpointPort) -> str:
    if port.port is not None:
        return str(port.port)
    return port.name or "*"


def _endpoints_text(obj: EndpointSlice, _: datetime) -> str:
    found = [text for endpoint in obj.endpoints or () for text in endpoint.addresses or ()]
    return first_few(found, 3) if found else "<unset>"


KIND: Kind[EndpointSlice] = Kind(
    resource=ENDPOINT_SLICES,
    metadata="object",
    default=default,
    as_stored=as_stored,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    judge_update=judge_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("AddressType", lambda obj, _: obj.addressType),
        Column("Ports", _ports_text),
        Column("Endpoints", _endpoints_text),
        Column("Age", age),
    ),
    warnings=warnings,
)
