"""What becomes of a ServiceCIDR. Pure. Source: kube-controller-manager `servicecidrs/servicecidrs_controller.go`, KEP-1880."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec.structs import replace

from sampan.api.meta.v1 import Condition
from sampan.api.networking.v1 import IPAddress, ServiceCIDR
from sampan.api.resources import SERVICE_CIDRS
from sampan.api.scalars import Time
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import Plan, Update

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY, ALLOCATOR = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
GRACE_SECONDS = 10.0  # API servers may not know yet that no address comes from it any more
STILL_USED = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"

Network = IPv4Network | IPv6Network


def networks(cidr: ServiceCIDR) -> list[Network]:
    """Its ranges, as they are valid."""
    found: list[Network] = []
    for text in cidr.spec.cidrs:
        try:
            found.append(ip_network(text))
        except ValueError:
            continue
    return found


def contains(outer: Network, inner: Network) -> bool:
    """Whether every address of `inner` is in `outer`."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def overlapping(cidr: ServiceCIDR, others: Iterable[ServiceCIDR]) -> list[ServiceCIDR]:
    """Those that contain it or are contained: its coming or going may change what they can do."""
    mine = networks(cidr)
    return [one for one in others if any(contains(a, b) or contains(b, a) for a in mine for b in networks(one))]


def holding(address: IPAddress, all_: Iterable[ServiceCIDR]) -> list[ServiceCIDR]:
    """The ServiceCIDRs that an allocated address lies in; none for addresses that nobody allocated."""
    if address.metadata.labels.get(MANAGED_BY) != ALLOCATOR:
        return []
    ip = ip_address(address.metadata.name)
    return [one for one in all_ if any(ip.version == network.version and ip in network for network in networks(one))]


def needed(cidr: ServiceCIDR, all_: Sequence[ServiceCIDR], addresses: Iterable[IPAddress]) -> bool:
    """Whether an address would be in no range without this one."""
    others = [one for one in all_ if one.metadata.name != cidr.metadata.name]
    ranges = [network for one in others for network in networks(one)]
    if all(any(contains(outer, network) for outer in ranges) for network in networks(cidr)):
        return False
    return any([one.metadata.name for one in holding(address, all_)] == [cidr.metadata.name] for address in addresses)


def decide(cidr: ServiceCIDR, all_: Sequence[ServiceCIDR], addresses: Iterable[IPAddress], now: datetime) -> Plan:
    """Protect it and call it ready; once it is deleted, let it go when nothing needs it."""
    finalizers = cidr.metadata.finalizers
    if cidr.metadata.deletionTimestamp is None:
        if FINALIZER not in finalizers:
            meta = replace(cidr.metadata, finalizers=[*finalizers, FINALIZER])
            return Plan((Update(SERVICE_CIDRS, replace(cidr, metadata=meta)),))
        return _ready(cidr, "True", "", "Kubernetes Service CIDR is ready", now)
    if needed(cidr, all_, addresses):
        return _ready(cidr, "False", "Terminating", STILL_USED, now)
    left = cidr.metadata.deletionTimestamp.moment() + timedelta(seconds=GRACE_SECONDS) - now
    if left > timedelta(0):
        return Plan(requeue_after_seconds=left.total_seconds())
    if FINALIZER not in finalizers:
        return Plan()
    meta = replace(cidr.metadata, finalizers=[one for one in finalizers if one != FINALIZER])
    return Plan((Update(SERVICE_CIDRS, replace(cidr, metadata=meta)),))


def _ready(cidr: ServiceCIDR, status: str, reason: str, message: str, now: datetime) -> Plan:
    conditions = with_condition(cidr.status.conditions, Condition(
        type="Ready", status=status, reason=reason, message=message, lastTransitionTime=Time.of(now)))
    if conditions == cidr.status.conditions:
        return Plan()
    return Plan((Update(SERVICE_CIDRS, replace(cidr, status=replace(cidr.status, conditions=conditions)), "status"),))
