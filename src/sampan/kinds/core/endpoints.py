"""Endpoints. Source: kubernetes `pkg/registry/core/endpoint`, `pkg/api/v1/endpoints/util.go`, `pkg/apis/core/validation`."""

from __future__ import annotations

from datetime import datetime

from sampan.api import addresses, field, names
from sampan.api.core.v1 import EndpointAddress, Endpoints, EndpointSubset
from sampan.api.errors import FieldError
from sampan.api.resources import ENDPOINTS
from sampan.kinds import checks
from sampan.kinds.core.pod_spec.containers import PROTOCOLS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import NONE, age

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"
_SHOWN = 3


def default(endpoints: Endpoints) -> None:
    """Ports are TCP unless said otherwise."""
    for subset in endpoints.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def validate(endpoints: Endpoints, old: Endpoints | None = None) -> list[FieldError]:
    """All findings; subsets that are those of the `old` one pass as they are."""
    errors: list[FieldError] = []
    if old is not None and endpoints.subsets == old.subsets:
        return errors
    for index, subset in enumerate(endpoints.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.notReadyAddresses:
            errors.append(field.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for position, one in enumerate(subset.addresses):
            _address(errors, one, f"{path}.addresses[{position}]")
        for position, one in enumerate(subset.notReadyAddresses):
            _address(errors, one, f"{path}.notReadyAddresses[{position}]")
        _ports(errors, subset, path)
    return errors


def _address(errors: list[FieldError], one: EndpointAddress, path: str) -> None:
    errors += addresses.ip_for_legacy_field(f"{path}.ip", one.ip)
    if one.hostname:
        errors += field.invalid_each(f"{path}.hostname", one.hostname, names.dns1123_label(one.hostname))
    if one.nodeName is not None:
        errors += field.invalid_each(f"{path}.nodeName", one.nodeName, names.dns1123_subdomain(one.nodeName))
    errors += checks.non_special_ip(one.ip, f"{path}.ip")


def _ports(errors: list[FieldError], subset: EndpointSubset, path: str) -> None:
    for index, port in enumerate(subset.ports):
        at = f"{path}.ports[{index}]"
        if port.name:
            errors += field.invalid_each(f"{at}.name", port.name, names.dns1123_label(port.name))
        elif len(subset.ports) > 1:
            errors.append(field.required(f"{at}.name"))
        errors += field.invalid_each(f"{at}.port", port.port, names.port_number(port.port))
        if port.protocol not in PROTOCOLS:
            errors.append(field.not_supported(f"{at}.protocol", port.protocol, PROTOCOLS) if port.protocol
                          else field.required(f"{at}.protocol"))
        if port.appProtocol is not None:
            errors += field.invalid_each(f"{at}.appProtocol", port.appProtocol, names.qualified_name(port.appProtocol))


def _shown(endpoints: Endpoints, _: datetime) -> str:
    if not endpoints.subsets:
        return NONE
    found = []
    for subset in endpoints.subsets:
        if subset.ports:
            found += [f"[{one.ip}]:{port.port}" if ":" in one.ip else f"{one.ip}:{port.port}"
                      for port in subset.ports for one in subset.addresses]
        else:
            found += [one.ip for one in subset.addresses]
    shown = ",".join(found[:_SHOWN])
    return f"{shown} + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else shown


def _warnings(endpoints: Endpoints, _: Endpoints | None) -> list[str]:
    """Addresses that are written oddly; the controller writes none such."""
    if endpoints.metadata.labels.get(MANAGED_BY) == CONTROLLER:
        return []
    return [warning for index, subset in enumerate(endpoints.subsets)
            for name, some in (("addresses", subset.addresses), ("notReadyAddresses", subset.notReadyAddresses))
            for position, one in enumerate(some)
            for warning in addresses.ip_warnings(f"subsets[{index}].{name}[{position}].ip", one.ip)]


KIND: Kind[Endpoints] = Kind(
    resource=ENDPOINTS,
    metadata="both",
    default=default,
    validate_create=validate,
    validate_update=validate,
    columns=(
        Column("Name", lambda endpoints, _: endpoints.metadata.name, format="name"),
        Column("Endpoints", _shown),
        Column("Age", age),
    ),
    allow_create_on_update=True,
    warnings=_warnings,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
