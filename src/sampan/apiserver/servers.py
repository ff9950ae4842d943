"""Which API servers live, where several share one store: the addresses behind the Service `kubernetes`, and their leases.

Every server keeps a key with a time to live under `/registry/masterleases/`, and makes Endpoints and EndpointSlice name
all whose key is there. A server that ends takes its own away; one that is killed is gone when its key is. Beside that each
has a Lease in kube-system that says who it is; one that nobody has renewed for an hour is deleted.
Source: kubernetes `pkg/controlplane/reconcilers/lease.go`, `pkg/controlplane/apiserver/{server,lease}.go` (KEP-1965).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
from datetime import timedelta
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.api.coordination.v1 import Lease, LeaseSpec
from sampan.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from sampan.api.errors import ApiError, NotFound
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.resources import LEASES
from sampan.api.scalars import MicroTime
from sampan.apiserver.bootstrap import LOOPBACK, Addresses, Bootstrap, Server
from sampan.apiserver.catalog import Catalog
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry, Write
from sampan.lib.clock import Identity
from sampan.store.base import Delete, Put, Store, StoreError

log = logging.getLogger(__name__)

PREFIX = "/registry/masterleases/"
TTL_SECONDS, RENEW_SECONDS = 15.0, 10.0
LEASE_SECONDS = 3600
TELL_TRIES = 10
IDENTITY, HOSTNAME = "apiserver.kubernetes.io/identity", "kubernetes.io/hostname"


class LivingServers:
    """One server's part in it; keep `run()` running, `leave()` at the end."""

    def __init__(self, store: Store, registry: Registry, deleter: Deleter, catalog: Catalog, bootstrap: Bootstrap, *,
                 at: Addresses, clock: AsyncClock, identity: Identity) -> None:
        self._store, self._registry, self._deleter, self._catalog = store, registry, deleter, catalog
        self._bootstrap, self._at, self._clock = bootstrap, at, clock
        host = socket.gethostname()
        digest = hashlib.sha256(f"{host} {at.advertise} {at.port}".encode()).digest()[:16]
        self._name = "apiserver-" + base64.b32encode(digest).decode().rstrip("=").lower()
        self._host, self._holder = host, f"{self._name}_{identity.uid()}"

    @property
    def key(self) -> str:
        """Where this server says that it lives."""
        return f"{PREFIX}{self._at.advertise}:{self._at.port}"

    async def join(self) -> None:
        """Say that this server lives, and name all that do.

        Raises:
            StoreError: The store can't be reached.
            ApiError: An object can't be written.
        """
        address = EndpointSubset(addresses=[EndpointAddress(ip=self._at.advertise)],
                                 ports=[EndpointPort(name="https", port=self._at.port, protocol="TCP")])
        await self._store.transact([Put(self.key, codec.encode(Endpoints(subsets=[address])), ttl_seconds=TTL_SECONDS)])
        await self._tell()

    async def _tell(self) -> None:
        """Name all that live. Who comes or goes meanwhile may have been faster: what was written last is of what is true."""
        servers: list[Server] = []
        for _ in range(TELL_TRIES):
            before, servers = servers, await self.living()
            if servers == before:
                return
            await self._bootstrap.endpoints(servers)

    async def living(self) -> list[Server]:
        """All servers that live."""
        found = [codec.decode(Endpoints, record.value) for record in (await self._store.range(PREFIX)).records]
        return sorted((address.ip, port.port) for one in found for subset in one.subsets
                      for address in subset.addresses for port in subset.ports)

    async def run(self) -> None:
        """Stay until cancelled."""
        while True:
            try:
                await self.join()
                await self._renew()
                await self._forget()
            except (StoreError, ApiError) as error:
                log.warning("this server can't say that it lives, trying again: %s", error.message)
            await self._clock.sleep(RENEW_SECONDS)

    async def leave(self) -> None:
        """Nobody is to be sent here any more. What can't be written goes by itself."""
        try:
            await self._store.transact([Delete(self.key)])
            await self._tell()
        except (StoreError, ApiError) as error:
            log.warning("this server can't take its address away, it goes by itself: %s", error.message)

    # -- the Lease ------------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        served, now = self._catalog.of(LEASES), MicroTime.of(self._clock.now())
        spec = LeaseSpec(holderIdentity=self._holder, leaseDurationSeconds=LEASE_SECONDS, renewTime=now)

        def produce(old: Any) -> Any:
            new = codec.clone(old)
            new.spec = spec
            return new

        try:
            await self._registry.update(served, "kube-system", self._name, produce, self._write())
        except NotFound:
            labels = {IDENTITY: "kube-apiserver", HOSTNAME: self._host}
            lease = Lease(kind="Lease", apiVersion="coordination.k8s.io/v1",
                          metadata=ObjectMeta(name=self._name, namespace="kube-system", labels=labels), spec=spec)
            await self._registry.create(served, "kube-system", lease, self._write())

    async def _forget(self) -> None:
        """Leases of servers that are long gone."""
        oldest = MicroTime.of(self._clock.now() - timedelta(seconds=LEASE_SECONDS))
        for name in [entry.name for entry in self._registry.readers.of(LEASES).entries("kube-system")
                     if entry.labels.get(IDENTITY) and (entry.object.spec.renewTime or "") < oldest]:
            try:
                await self._deleter.delete(self._catalog.of(LEASES), "kube-system", name, DeleteOptions(), self._write())
            except NotFound:
                continue  # another server was faster

    @staticmethod
    def _write() -> Write:
        return Write(LOOPBACK, manager="kube-apiserver")
