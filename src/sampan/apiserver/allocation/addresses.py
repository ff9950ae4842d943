"""Addresses of services: one IPAddress object each, written right before its Service.

Owns choosing and claiming. What is taken is what the IPAddress cache shows and what writes under way have claimed;
`leaked` finds those that a crash left without their Service. Source: kubernetes `pkg/registry/core/service/ipallocator`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from msgspec import Raw

from sampan.api import codec
from sampan.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from sampan.api.networking.v1 import IPAddress, IPAddressSpec, ParentReference
from sampan.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from sampan.api.scalars import Time
from sampan.apiserver.catalog import key_prefix
from sampan.apiserver.hooks import Claim
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Identity
from sampan.store.base import Delete, Put

Network = IPv4Network | IPv6Network
OWNED = Raw(b'{"f:metadata":{"f:labels":{".":{},"f:ipaddress.kubernetes.io/ip-family":{},"f:ipaddress.kubernetes.io/managed-by":{}}},'
            b'"f:spec":{"f:parentRef":{".":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}')
"""The fields of an IPAddress that the server writes: all."""
TRIES = 64
MOST_SCANNED = 1 << 16


class Unavailable(Exception):
    """Why an address can't be had, in upstream's words."""


def usable(network: Network) -> tuple[int, int]:
    """The first and last address of a range that services may have."""
    first, last = int(network.network_address) + 1, int(network.broadcast_address)
    return first, last - 1 if network.version == 4 else last


def static_band(size: int) -> int:
    """How many addresses at the start are left to those who name theirs. Source: KEP-3070."""
    return min(max(16, size // 16), 256) if size > 16 else 0


class Addresses:
    """Hands out service addresses."""

    def __init__(self, readers: Readers, identity: Identity, now: Callable[[], Time], defaults: tuple[str, ...]) -> None:
        self._taken, self._cidrs = readers.of(IP_ADDRESSES), readers.of(SERVICE_CIDRS)
        self._identity, self._now = identity, now
        self._defaults = tuple(ip_network(text) for text in defaults)
        self._pending: set[str] = set()

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the cluster, the primary one first."""
        return tuple("IPv6" if network.version == 6 else "IPv4" for network in self._defaults)

    def _networks(self, version: int) -> list[Network]:
        found: list[Network] = [network for network in self._defaults if network.version == version]
        for entry in self._cidrs.entries():
            if entry.object.metadata.deletionTimestamp:
                continue
            for text in entry.object.spec.cidrs or ():
                network = ip_network(text)
                if network.version == version and network not in found:
                    found.append(network)
        return found

    def claim(self, text: str, service: Any, claim: Claim) -> None:
        """Claim a named address.

        Raises:
            Unavailable: It is outside the ranges, or somebody has it.
        """
        address = ip_address(text)
        if not any(low <= int(address) <= high for low, high in map(usable, self._networks(address.version))):
            raise Unavailable("the provided network does not match the current range")
        if not self._free(address.compressed):
            raise Unavailable("provided IP is already allocated")
        self._take(address, service, claim)

    def next(self, family: str, service: Any, claim: Claim) -> str:
        """Claim any free address of a family.

        Raises:
            Unavailable: There is none.
        """
        for network in self._networks(6 if family == "IPv6" else 4):
            found = self._choose(network)
            if found is not None:
                self._take(found, service, claim)
                return found.compressed
        raise Unavailable("range is full")

    def _choose(self, network: Network) -> IPv4Address | IPv6Address | None:
        first, last = usable(network)
        band = static_band(last - first + 1)
        rng: random.Random = self._identity.rng
        kind = type(network.network_address)
        low = first + band if first + band <= last else first
        for _ in range(TRIES):
            address = kind(rng.randint(low, last))
            if self._free(address.compressed):
                return address
        for number in (*range(low, min(last, low + MOST_SCANNED) + 1), *range(first, low)):
            address = kind(number)
            if self._free(address.compressed):
                return address
        return None

    def _free(self, text: str) -> bool:
        return text not in self._pending and self._taken.get("", text) is None

    def _take(self, address: IPv4Address | IPv6Address, service: Any, claim: Claim) -> None:
        text = address.compressed
        self._pending.add(text)
        claim.undo.append(lambda: self._pending.discard(text))
        meta, now = service.metadata, self._now()
        obj = IPAddress(
            kind="IPAddress", apiVersion="networking.k8s.io/v1",
            metadata=ObjectMeta(
                name=text, uid=self._identity.uid(), creationTimestamp=now,
                labels={"ipaddress.kubernetes.io/ip-family": f"IPv{address.version}",
                        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"},
                managedFields=[ManagedFieldsEntry(manager="kube-apiserver", operation="Update", apiVersion="networking.k8s.io/v1", time=now,
                                                  fieldsType="FieldsV1", fieldsV1=OWNED)]),
            spec=IPAddressSpec(parentRef=ParentReference(resource="services", namespace=meta.namespace, name=meta.name)))
        claim.before.append(Put(key_of(text), codec.encode(obj)))

    def release(self, text: str, claim: Claim) -> None:
        """Let an address go with the write."""
        claim.after.append(Delete(key_of(ip_address(text).compressed)))


def leaked(readers: Readers, *, before: str = "") -> dict[str, int]:
    """Keys of service addresses whose Service is not there, with their revisions; of those made after `before` (a `Time`)
    it may be on its way.
    """
    services = readers.of(SERVICES)
    found = {}
    for entry in readers.of(IP_ADDRESSES).entries():
        parent = entry.object.spec.parentRef
        if parent is None or parent.resource != "services" or parent.group:
            continue
        if before and (entry.object.metadata.creationTimestamp or "") > before:
            continue
        service = services.get(parent.namespace, parent.name)
        if service is None or entry.name not in service.object.spec.clusterIPs:
            found[key_of(entry.name)] = entry.revision
    return found


def key_of(text: str) -> str:
    """Where an address's object is stored."""
    return key_prefix(IP_ADDRESSES) + text
