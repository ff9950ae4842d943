"""The cluster's DNS on one node: the zone kept from informers, the server, and its endpoint made known.

Every node answers for itself: the `kube-dns` Service has `internalTrafficPolicy: Local`, and each node keeps an
EndpointSlice with its own address. A question never leaves the node unless it is for somebody else's zone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Service
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from sampan.client.base import MERGE_PATCH, Client
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.network.dns.server import DnsServer
from sampan.network.dns.zone import Directory, Zone
from sampan.network.proxy.rules import SERVICE_NAME, by_service

log = logging.getLogger(__name__)

NAMESPACE, SERVICE = "kube-system", "kube-dns"
RETRY_SECONDS = 2.0


def _by_cluster_ip(service: Service) -> Iterable[Hashable]:
    return [ip for ip in service.spec.clusterIPs or [service.spec.clusterIP] if ip not in ("", "None")]


def _by_address(entry: EndpointSlice) -> Iterable[Hashable]:
    return {address for endpoint in entry.endpoints or () for address in endpoint.addresses or ()}


def directory(informers: Informers) -> Directory:
    """Look-ups over shared informers, all by index."""
    services, slices, namespaces = informers.of(SERVICES), informers.of(ENDPOINT_SLICES), informers.of(NAMESPACES)
    of_service = slices.index(by_service)
    by_ip, by_address = services.index(_by_cluster_ip), slices.index(_by_address)
    return Directory(
        service=lambda namespace, name: services.get(Key(namespace, name)),
        slices=lambda namespace, name: of_service.get(f"{namespace}/{name}"),
        namespace=lambda name: namespaces.get(Key("", name)) is not None,
        services_at=by_ip.get,
        slices_at=by_address.get,
    )


@dataclass(frozen=True)
class DnsSettings:
    """Where one node's server listens, what it answers for, and whom it asks about the rest."""

    node: str
    addresses: tuple[str, ...]
    domain: str = "cluster.local"
    upstreams: tuple[str, ...] = ()
    port: int = 53


class ClusterDns:
    """One node's cluster DNS."""

    def __init__(self, client: Client, informers: Informers, settings: DnsSettings, *, clock: AsyncClock, rng: Random) -> None:
        self._client, self._informers, self._clock, self._node = client, informers, clock, settings.node
        self._addresses, self._port = list(settings.addresses), settings.port
        self._zone = Zone(settings.domain, directory(informers), own_address=self._addresses[0] if self._addresses else "")
        servers = [(host, 53) for host in settings.upstreams if host not in self._addresses]
        self._server = DnsServer(self._zone, servers, clock=clock, rng=rng)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._informers.synced()
        listening = asyncio.Event()
        async with Tasks() as tasks:
            tasks.start(self._server.run(self._addresses, self._port, listening), "dns server")
            tasks.start(self._publish(listening), "dns endpoint")
            await tasks.wait()

    async def _publish(self, listening: asyncio.Event) -> None:
        await listening.wait()
        while not await self._write_endpoint():
            await self._clock.sleep(RETRY_SECONDS)
        self.ready.set()

    def endpoint_slice(self) -> EndpointSlice:
        """What the Service proxy of this node reads."""
        ready = EndpointConditions(ready=True, serving=True, terminating=False)
        return EndpointSlice(
            metadata=ObjectMeta(name=f"{SERVICE}-{self._node}", namespace=NAMESPACE, labels={
                SERVICE_NAME: SERVICE, "endpointslice.kubernetes.io/managed-by": "cluster-dns.sampan"}),
            addressType="IPv4",
            endpoints=[Endpoint(addresses=[address], conditions=ready, nodeName=self._node) for address in self._addresses],
            ports=[EndpointPort(name="dns", port=self._port, protocol="UDP"), EndpointPort(name="dns-tcp", port=self._port, protocol="TCP")])

    async def _write_endpoint(self) -> bool:
        wanted = self.endpoint_slice()
        try:
            try:
                await self._client.create(ENDPOINT_SLICES, wanted)
            except AlreadyExists:
                patch: dict[str, Any] = {"endpoints": wanted.endpoints, "ports": wanted.ports}
                await self._client.patch(ENDPOINT_SLICES, wanted.metadata.name, NAMESPACE, patch, type=MERGE_PATCH)
        except NotFound:
            return False  # the namespace is not there yet
        except ApiError as error:
            log.warning("the DNS endpoint is not published", extra={"error": str(error)})
            return False
        return True
