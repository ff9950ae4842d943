"""What a fresh server holds: namespaces, priority classes, flow control, the `kubernetes` Service and its addresses.

Owns making what is missing at every start (never changing what is there, but for the server's own addresses). Leaves
RBAC objects to `sampan.apiserver.auth.policy`. `bootstrap.json` has what does not depend on settings, as a fresh
Kubernetes 1.36 shows it. Source: kubernetes `pkg/controlplane`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Namespace, Service
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointSlice
from sampan.api.discovery.v1 import EndpointPort as SlicePort
from sampan.api.errors import AlreadyExists, ApiError, InternalError, Invalid
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    IP_ADDRESSES,
    NAMESPACES,
    SERVICE_CIDRS,
    SERVICES,
)
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User

if TYPE_CHECKING:
    from sampan.apiserver.auth.policy import Step

log = logging.getLogger(__name__)

# an address of the Service that another server has taken: it is about to write the Service
TRIES, TRY_SECONDS = 100, 0.1
LOOPBACK = User("system:apiserver", groups=("system:masters", "system:authenticated"))
NAMESPACE_NAMES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Addresses:
    """Where the API server is found."""

    advertise: str = "192.0.2.1"
    """Must not be a loopback address: endpoints may not have one."""
    port: int = 6443
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)

    @property
    def service(self) -> str:
        """The first address of the service range: the `kubernetes` Service's."""
        return str(first_address(self.service_cidrs[0]))


Server = tuple[str, int]
"""Address and port."""


def subsets_of(servers: Sequence[Server]) -> list[EndpointSubset]:
    """Addresses by port, both in order."""
    return [EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip, its in servers if its == port],
                           ports=[EndpointPort(name="https", port=port, protocol="TCP")])
            for port in sorted({port for _, port in servers})]


def first_address(cidr: str) -> Any:
    network: IPv4Network | IPv6Network = ip_network(cidr)
    return network.network_address + 1


class Bootstrap:
    """Makes what is missing."""

    def __init__(self, registry: Registry, deleter: Deleter, catalog: Catalog, addresses: Addresses, *, client_ca: bytes = b"",
                 trust: Callable[[], dict[str, str]] = dict) -> None:
        """`trust`: what else extension API servers are told, read each time."""
        self._registry, self._deleter, self._catalog = registry, deleter, catalog
        self._addresses, self._client_ca, self._trust = addresses, client_ca, trust

    async def run(self, *, rbac: bool = True, full: bool = True, alone: bool = True) -> None:
        """Everything; without `full` only the namespaces and the Service, which is enough for most tests. Not `alone`:
        somebody else tells with `endpoints` which servers there are.
        """
        for name in NAMESPACE_NAMES:
            await self._ensure(NAMESPACES, Namespace(metadata=ObjectMeta(name=name)))
        await self._ensure(SERVICE_CIDRS, self._cidr())
        await self._service()
        if alone:
            await self.endpoints([(self._addresses.advertise, self._addresses.port)])
        if full:
            await asyncio.gather(*(self._ensure(served.resource, obj) for served, obj in self._static()))
            await self.authentication(self._client_ca)
        if rbac:
            await self._rbac()

    def _static(self) -> Iterator[tuple[Served, Any]]:
        for value in codec.loads(files("sampan.apiserver").joinpath("bootstrap.json").read_bytes()):
            group, _, version = value["apiVersion"].rpartition("/")
            served = self._catalog.by_kind(group, version, value["kind"])
            assert served is not None, value["kind"]
            for condition in (value.get("status") or {}).get("conditions") or ():
                condition["lastTransitionTime"] = self._registry.now()
            yield served, codec.convert(served.resource.wire, value)

    async def _rbac(self) -> None:
        from sampan.apiserver.auth import policy

        def find(resource: Resource[Any], namespace: str, name: str) -> Any:
            entry = self._registry.readers.of(resource).get(namespace, name)
            return None if entry is None else entry.object

        await asyncio.gather(*(self._step(step) for step in policy.reconcile(find)))

    async def _step(self, step: Step) -> None:
        if step.action == "create":
            await self._ensure(step.resource, step.object)
            return
        served, meta = self._catalog.of(step.resource), step.object.metadata
        if step.action == "replace":
            await self._deleter.delete(served, meta.namespace, meta.name, DeleteOptions(), self._write())
            await self._ensure(step.resource, step.object)
            return
        await self._registry.update(served, meta.namespace, meta.name, lambda _: codec.clone(step.object), self._write())

    @staticmethod
    def _write() -> Write:
        return Write(LOOPBACK, manager="kube-apiserver")

    async def _ensure(self, resource: Resource[Any], obj: Any) -> None:
        served = self._catalog.of(resource)
        meta = obj.metadata
        if self._registry.readers.of(served.stored).get(meta.namespace, meta.name) is not None:
            return
        obj.kind, obj.apiVersion = resource.kind, resource.group_version
        status = codec.clone(obj.status) if hasattr(obj, "status") and obj.status else None
        try:
            await self._registry.create(served, meta.namespace, obj, self._write())
        except AlreadyExists:
            return  # another server was faster
        if status is not None and "status" in served.subresources:
            await self._set_status(served, meta.namespace, meta.name, status)

    async def _set_status(self, served: Served, namespace: str, name: str, status: Any) -> None:
        def produce(old: Any) -> Any:
            new = codec.clone(old)
            new.status = status
            return new

        write = self._write()
        write.subresource = "status"
        await self._registry.update(served, namespace, name, produce, write)

    def _cidr(self) -> Any:
        return codec.convert(SERVICE_CIDRS.wire, {
            "metadata": {"name": "kubernetes"}, "spec": {"cidrs": list(self._addresses.service_cidrs)},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": self._registry.now(), "reason": "",
                                       "message": "Kubernetes default Service CIDR is ready"}]}})

    async def authentication(self, client_ca: bytes) -> None:
        """Tell extension API servers whose client certificates to believe. Source: `clusterauthenticationtrust`."""
        meta = ObjectMeta(namespace="kube-system", name="extension-apiserver-authentication")
        data = ({"client-ca-file": client_ca.decode()} if client_ca else {}) | self._trust()
        await self._ensure(CONFIG_MAPS, ConfigMap(metadata=meta, data=dict(data)))
        there = self._registry.readers.of(CONFIG_MAPS).get(meta.namespace, meta.name)
        if there is None or all((there.object.data or {}).get(key) == value for key, value in data.items()):
            return

        def produce(old: Any) -> Any:
            new = codec.clone(old)
            new.data = {**(new.data or {}), **data}
            return new

        await self._registry.update(self._catalog.of(CONFIG_MAPS), meta.namespace, meta.name, produce, self._write())

    async def _service(self) -> None:
        at = self._addresses
        service = codec.convert(Service, {
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": at.service, "clusterIPs": [at.service], "sessionAffinity": "None",
                     "ipFamilies": ["IPv6" if ":" in at.service else "IPv4"], "ipFamilyPolicy": "SingleStack",
                     "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": at.port}]}})
        await self._ensure_service(service)

    async def endpoints(self, servers: Sequence[Server]) -> None:
        """Make the Service `kubernetes` lead to these servers. A slice has one list of ports and one family: it names the
        servers that listen where the first one does.
        """
        if not servers:
            return  # the last one leaves: whoever comes next will say so
        meta = ObjectMeta(name="kubernetes", namespace="default", labels={"endpointslice.kubernetes.io/skip-mirror": "true"})
        endpoints = Endpoints(metadata=meta, subsets=subsets_of(servers))
        first, port = servers[0]
        alike = [ip for ip, its in servers if its == port and (":" in ip) == (":" in first)]
        slice_ = EndpointSlice(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels={"kubernetes.io/service-name": "kubernetes"}),
            addressType="IPv6" if ":" in first else "IPv4",
            endpoints=[Endpoint(addresses=[ip], conditions=EndpointConditions(ready=True)) for ip in alike],
            ports=[SlicePort(name="https", port=port, protocol="TCP")])
        await self._follow(ENDPOINTS, endpoints, "subsets")
        await self._follow(ENDPOINT_SLICES, slice_, "endpoints", "ports")

    async def _ensure_service(self, service: Any) -> None:
        for _ in range(TRIES - 1):
            try:
                return await self._ensure(SERVICES, codec.clone(service))
            except (InternalError, Invalid) as error:
                if isinstance(error, Invalid) and self._registry.readers.of(IP_ADDRESSES).get("", self._addresses.service) is None:
                    raise
                log.info("the Service kubernetes is made by another server: %s", error.message)
                await asyncio.sleep(TRY_SECONDS)
        return await self._ensure(SERVICES, service)

    async def _follow(self, resource: Resource[Any], wanted: Any, *fields: str) -> None:
        """Make it, or set its fields where the server has moved."""
        await self._ensure(resource, codec.clone(wanted))
        served = self._catalog.of(resource)

        there = self._registry.readers.of(served.stored).get("default", "kubernetes")
        if there is not None and all(getattr(there.object, name) == getattr(wanted, name) for name in fields):
            return

        def produce(old: Any) -> Any:
            new, fresh = codec.clone(old), codec.clone(wanted)
            for name in fields:
                setattr(new, name, getattr(fresh, name))
            return new

        try:
            await self._registry.update(served, "default", "kubernetes", produce, self._write())
        except ApiError as error:
            if error.code != 409:
                raise
