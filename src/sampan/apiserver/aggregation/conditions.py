"""What can be said about an API server behind a Service without asking it. Pure.

Source: kube-aggregator `pkg/controllers/status/{local,remote}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sampan.api import goprint
from sampan.api.apiregistration.v1 import APIServiceCondition, APIServiceStatus
from sampan.api.scalars import Time
from sampan.apiserver.aggregation.table import AVAILABLE, Target
from sampan.kinds import meta


class Finding(NamedTuple):
    """The condition Available without its time."""

    status: str
    reason: str
    message: str


LOCAL = Finding("True", "Local", "Local APIServices are always available")
PASSED = Finding("True", "Passed", "all checks passed")


def judge(target: Target, service: Any, slices: Sequence[Any]) -> Finding | None:
    """Why nobody can be there; None where one has to ask.

    Args:
        target: What the APIService names.
        service: That Service, None where there is none.
        slices: Its EndpointSlices.
    """
    shown = f"service/{target.name} in {goprint.quote(target.namespace)}"
    if service is None:
        return Finding("False", "ServiceNotFound", f"{shown} is not present")
    if service.spec.type not in ("ClusterIP", "", None):
        return None
    ports = [port for port in service.spec.ports or () if port.port == target.port]
    if not ports:
        return Finding("False", "ServicePortError", f"{shown} is not listening on port {target.port}")
    if not slices:
        return Finding("False", "EndpointsNotFound", f"cannot find endpointslices for {shown}")
    name = ports[0].name or ""
    if not any(_serves(one, name) for one in slices):
        return Finding("False", "MissingEndpoints", f"endpointslices for {shown} have no addresses with port name {goprint.quote(name)}")
    return None


def _serves(one: Any, port: str) -> bool:
    return (any(endpoint.conditions.ready is not False for endpoint in one.endpoints or ())
            and any((found.name or "") == port and found.port for found in one.ports or ()))


def failed(why: str) -> Finding:
    """It was asked, and did not answer well."""
    return Finding("False", "FailedDiscoveryCheck", why)


def says(status: APIServiceStatus, finding: Finding) -> bool:
    """Whether the status says so already."""
    was = meta.condition(status.conditions or (), AVAILABLE)
    return was is not None and (was.status, was.reason, was.message) == finding


def put(status: APIServiceStatus, finding: Finding, now: Time) -> None:
    """Say so, in place; the time is that of the last change between available and not."""
    condition = APIServiceCondition(type=AVAILABLE, status=finding.status, lastTransitionTime=now, reason=finding.reason,
                                    message=finding.message)
    status.conditions = meta.with_condition(status.conditions or (), condition)
