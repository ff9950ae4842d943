"""The node as an API object: registered, its status kept, its lease renewed.

Source: kubelet `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus`, KEP-589 (leases),
`k8s.io/component-helpers/apimachinery/lease/controller.go`.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from sampan import __version__
from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.api.coordination.v1 import Lease, LeaseSpec
from sampan.api.core.v1 import (
    ContainerImage,
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
    Taint,
)
from sampan.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resources import LEASES, NODES
from sampan.api.scalars import MicroTime, Quantity, Time
from sampan.client.base import STRATEGIC_PATCH, Client
from sampan.lib.clock import Identity
from sampan.node.config import NodeSettings
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.status import Image, RuntimeStatus

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
KUBELET_VERSION = "v1.36.3"
MOST_IMAGES = 50
BY_SIZE = attrgetter("size_bytes")
FOREIGN = frozenset(("volumesAttached", "config", "features", "declaredFeatures"))  # written by others
RENEW_JITTER = 0.04
"""Of the time between two heartbeats: nodes that began together don't stay together."""
TICK_SECONDS = 0.5
"""Heartbeats fall on these: what many nodes of one process do at a time costs a third less than what each does alone."""
RENEW_TRIES = 5
RENEW_RETRY_SECONDS = 1.0


def machine_capacity(root: Path) -> dict[str, int]:
    """What this machine has: CPU in milli-CPU, memory and storage in bytes."""
    disk = os.statvfs(root if root.exists() else "/")
    return {
        "cpu": (os.cpu_count() or 1) * 1000,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "ephemeral-storage": disk.f_blocks * disk.f_frsize,
    }


def quantities(amounts: Mapping[str, int], most_pods: int) -> dict[str, Quantity]:
    """Capacity as the API has it."""
    out = {}
    for name, amount in amounts.items():
        if name == "cpu":
            out[name] = Quantity(str(amount // 1000) if amount % 1000 == 0 else f"{amount}m")
        elif name in ("memory", "ephemeral-storage"):
            out[name] = Quantity(f"{amount // 1024}Ki")
        else:
            out[name] = Quantity(str(amount))
    return out | {"pods": Quantity(str(most_pods))}


def architecture() -> str:
    """As Go names it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text().strip() if file.is_file() else ""


@cache
def system_info(runtime_version: str) -> NodeSystemInfo:
    """What the node is made of; read only. It stays so while the process runs."""
    release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    return NodeSystemInfo(
        machineID=_read("/etc/machine-id"), systemUUID=_read("/etc/machine-id"), bootID=_read("/proc/sys/kernel/random/boot_id"),
        kernelVersion=platform.release(), osImage=release.get("PRETTY_NAME", "Linux").strip('"'),
        containerRuntimeVersion=runtime_version, kubeletVersion=f"{KUBELET_VERSION}+sampan.{__version__}", kubeProxyVersion="",
        operatingSystem="linux", architecture=architecture())


def conditions(old: Mapping[str, NodeCondition], runtime: RuntimeStatus | None, problem: str, now: datetime,
               pressure: Mapping[str, bool]) -> list[NodeCondition]:
    """Ready and the pressures; a condition keeps the time of its last change. Pure."""
    stamp = Time.of(now)
    troubles = [problem] if problem else []
    if runtime is not None and not runtime.runtime_ready:
        troubles.append(f"container runtime is down: {runtime.runtime_message}")
    if runtime is not None and not runtime.network_ready:
        troubles.append(f"container runtime network not ready: {runtime.network_message}")
    ready = ("Ready", not troubles, "KubeletReady" if not troubles else "KubeletNotReady",
             "; ".join(troubles) or "kubelet is posting ready status")
    kinds = {"MemoryPressure": "Memory", "DiskPressure": "Disk", "PIDPressure": "PID"}
    words = {"Memory": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "KubeletHasInsufficientMemory"),
             "Disk": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "KubeletHasDiskPressure"),
             "PID": ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "KubeletHasInsufficientPID")}
    rows = []
    for kind, short in kinds.items():
        bad = pressure.get(kind, False)
        good_reason, good_message, bad_reason = words[short]
        rows.append((kind, bad, bad_reason if bad else good_reason, f"kubelet has {short.lower()} pressure" if bad else good_message))
    out = []
    for kind, holds, reason, message in [*rows, ready]:
        status, before = "True" if holds else "False", old.get(kind)
        since = before.lastTransitionTime if before is not None and before.status == status else stamp
        out.append(NodeCondition(type=kind, status=status, reason=reason, message=message, lastHeartbeatTime=stamp, lastTransitionTime=since))
    return out


def next_beat_seconds(now: float, interval_seconds: float, chance: float) -> float:
    """How long to sleep until the next heartbeat: the interval, up to `RENEW_JITTER` more by `chance` (0 to 1), then back to a tick. Pure."""
    due = now + interval_seconds * (1 + RENEW_JITTER * chance)
    return due - due % TICK_SECONDS - now


class Seen(NamedTuple):
    """What a node's status is made of: where it is the same again there is nothing to tell."""

    runtime: RuntimeStatus | None
    problem: str
    images: tuple[Image, ...]
    pressure: Mapping[str, bool]


class Registration:
    """Keeps the Node object and its lease."""

    def __init__(self, client: Client, runtime: Runtime, settings: NodeSettings, *, clock: AsyncClock, identity: Identity,
                 pressure: Callable[[], Mapping[str, bool]] = dict) -> None:
        self._client, self._runtime, self._settings, self._clock, self._pressure = client, runtime, settings, clock, pressure
        self._identity = identity
        self._capacity = dict(settings.capacity) or machine_capacity(settings.root)
        self.runtime_name, self._runtime_version = "", ""
        self.node: Node | None = None
        self._listed: Sequence[Image] = ()
        self._images: tuple[Image, ...] = ()

    @property
    def capacity(self) -> Mapping[str, int]:
        """CPU in milli-CPU, else bytes or counts."""
        return self._capacity

    async def register(self) -> Node:
        """Make the Node object, or take over the one that is there."""
        version = await self._runtime.version()
        self.runtime_name, self._runtime_version = version.name, f"{version.name}://{version.version}"
        settings = self._settings
        labels = {"kubernetes.io/hostname": settings.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture(),
                  "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": architecture(), **settings.labels}
        node = Node(
            metadata=ObjectMeta(name=settings.name, labels=labels,
                                annotations={"volumes.kubernetes.io/controller-managed-attach-detach": "true"}),
            spec=NodeSpec(providerID=settings.provider_id, podCIDR=settings.pod_range,
                          podCIDRs=[settings.pod_range] if settings.pod_range else [],
                          taints=[Taint(key=key, value=value, effect=effect) for key, value, effect in settings.taints]),
            status=self._status(None, await self._look()))
        try:
            self.node = await self._client.create(NODES, node)
        except AlreadyExists:
            found = await self._client.get(NODES, settings.name)
            missing = {key: value for key, value in labels.items() if found.metadata.labels.get(key) != value}
            if missing:
                found = await self._client.patch(NODES, settings.name, "", {"metadata": {"labels": missing}})
            self.node = found
            await self.report(await self._look())
        assert self.node is not None
        return self.node

    async def _look(self) -> Seen:
        runtime: RuntimeStatus | None = None
        images: Sequence[Image] = ()
        problem = ""
        try:
            runtime, images = await self._runtime.status(), await self._runtime.list_images()
        except RuntimeFault as error:
            problem = f"container runtime is down: {error}"
        if images is not self._listed:  # a list that is the same again is in order already
            self._listed, self._images = images, tuple(sorted(images, key=BY_SIZE, reverse=True)[:MOST_IMAGES])
        return Seen(runtime, problem, self._images, dict(self._pressure()))

    def _status(self, old: Node | None, seen: Seen) -> NodeStatus:
        settings = self._settings
        amounts = quantities(self._capacity, settings.most_pods)
        before = {c.type: c for c in old.status.conditions} if old is not None else {}
        return NodeStatus(
            capacity=amounts, allocatable=dict(amounts),
            conditions=conditions(before, seen.runtime, seen.problem, self._clock.now(), seen.pressure),
            addresses=[*(NodeAddress(type="InternalIP", address=ip) for ip in settings.ips), NodeAddress(type="Hostname", address=settings.name)],
            daemonEndpoints=NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=settings.port)),
            nodeInfo=system_info(self._runtime_version),
            images=[ContainerImage(names=[*image.digests, *image.tags], sizeBytes=image.size_bytes) for image in seen.images])

    async def report(self, seen: Seen) -> None:
        """Write the status; heartbeats are the lease's, so this is rare."""
        assert self.node is not None
        status, was = codec.to_builtins(self._status(self.node, seen)), codec.to_builtins(self.node.status)
        changed = {key: status.get(key) for key in {*status, *was} - FOREIGN if status.get(key) != was.get(key)}
        if "addresses" in changed:
            changed["addresses"] = [{"$patch": "replace"}, *(changed["addresses"] or [])]
        patch: dict[str, Any] = {"status": changed}
        self.node = await self._client.patch(NODES, self._settings.name, "", patch, type=STRATEGIC_PATCH, subresource="status")

    async def run(self) -> None:
        """Renew the lease every quarter of its time, report the status when it changed or every few minutes."""
        clock, rng = self._clock, self._identity.chance
        reported, told = clock.monotonic(), await self._look()
        lease: Lease | None = None
        while True:
            lease = await self._renew(lease)
            await clock.sleep(next_beat_seconds(clock.monotonic(), self._settings.lease_seconds / 4, rng.random()))
            seen = await self._look()
            if seen == told and clock.monotonic() - reported < self._settings.status_seconds:
                continue
            try:
                await self.report(seen)
                reported, told = clock.monotonic(), seen
            except ApiError as error:
                log.warning("node status not written", extra={"error": str(error)})

    async def _renew(self, lease: Lease | None) -> Lease | None:
        """One heartbeat, tried a few times; None where the lease has to be read anew.

        One that the server made wait tells of a time that is long past: another follows it.
        """
        clock, most_seconds = self._clock, self._settings.lease_seconds / 4
        for attempt in range(RENEW_TRIES):
            if attempt:
                await clock.sleep(RENEW_RETRY_SECONDS)
            began = clock.monotonic()
            try:
                lease = await self._beat(lease)
                if clock.monotonic() - began < most_seconds:
                    return lease
            except (Conflict, NotFound):
                lease = None
            except ApiError as error:
                log.warning("lease not renewed", extra={"try": attempt + 1, "error": str(error)})
        return lease

    async def _beat(self, lease: Lease | None) -> Lease:
        settings, now = self._settings, MicroTime.of(self._clock.now())
        if lease is None:
            try:
                lease = await self._client.get(LEASES, settings.name, LEASE_NAMESPACE)
            except NotFound:
                return await self._make_lease(now)
        spec = replace(lease.spec, renewTime=now, holderIdentity=settings.name, leaseDurationSeconds=settings.lease_seconds)
        return await self._client.update(LEASES, replace(lease, spec=spec))

    async def _make_lease(self, now: MicroTime) -> Lease:
        name = self._settings.name
        owner = [OwnerReference(apiVersion="v1", kind="Node", name=name, uid=self.node.metadata.uid)] if self.node is not None else []
        made: Lease = await self._client.create(LEASES, Lease(
            metadata=ObjectMeta(name=name, namespace=LEASE_NAMESPACE, ownerReferences=owner),
            spec=LeaseSpec(holderIdentity=name, leaseDurationSeconds=self._settings.lease_seconds, renewTime=now)))
        return made
