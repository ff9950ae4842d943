"""The node agent: watches the pods bound to this node and keeps one worker for each.

Owns start, orphans (pods that the API has forgotten) and the way events, probes and objects reach workers.
Leaves one pod's life to `podworker`. Restarting the agent costs nothing: pods go on and are picked up from the
runtime's own lists. Source: kubelet `pkg/kubelet/kubelet.go` (syncLoop, HandlePodCleanups).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod, Service
from sampan.api.errors import ApiError
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS, SERVICES
from sampan.client.base import Client
from sampan.control.indexes import by_namespace
from sampan.control.informer import Informers
from sampan.control.parts import Followed
from sampan.lib.clock import Identity
from sampan.node.cgroups import Cgroups
from sampan.node.config import NodeSettings
from sampan.node.env import Sources
from sampan.node.fieldref import NodeFacts
from sampan.node.gathering import Gathering
from sampan.node.images import ImagePuller
from sampan.node.observe import Observer
from sampan.node.podworker import Node, PodWorker
from sampan.node.probes.manager import Prober
from sampan.node.references import ObjectWatches, References
from sampan.node.registration import Registration
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.spec import DNSConfig
from sampan.node.specs import POD_NAME, POD_NAMESPACE, POD_UID
from sampan.node.statuswriter import StatusWriter
from sampan.node.surroundings import parse_resolv_conf
from sampan.node.volumes.manager import VolumeManager

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
EventSink = Callable[[Pod, str, str, str], None]  # about, Normal or Warning, reason, message


@dataclass(frozen=True)
class Shared:
    """What the nodes of one process have together: this node's part of all pods, the watches of single objects, and the pods
    whose status waits for what their node is about to do.
    """

    pods: Followed[Pod]
    watches: ObjectWatches
    gathering: Gathering


class NodeAgent:
    """One node. `run` works until cancelled; containers go on without it."""

    def __init__(self, client: Client, runtime: Runtime, settings: NodeSettings, informers: Informers, *,
                 clock: AsyncClock, identity: Identity, event: EventSink,
                 shared: Shared | None = None) -> None:
        """`shared` None: the node watches its pods and their objects by itself."""
        self._client, self._runtime, self.settings, self._clock, self._event = client, runtime, settings, clock, event
        self._identity = identity
        self._tasks = Tasks()
        self._workers: dict[str, PodWorker] = {}
        self._shared = shared
        self._pods: Followed[Pod] = informers.of(PODS, fields=f"spec.nodeName={settings.name}") if shared is None else shared.pods
        self._services = informers.of(SERVICES)
        self._by_namespace = self._services.index(by_namespace)
        self.registration = Registration(client, runtime, settings, clock=clock, identity=identity)
        self.registered = asyncio.Event()
        self._facts = NodeFacts(settings.name, settings.ips, {"pods": settings.most_pods, **self.registration.capacity})
        self._resolver = _ResolvConf(settings.resolv_conf)

    def facts(self) -> NodeFacts:
        """What pods may know of the node."""
        return self._facts

    def pods(self) -> Iterable[Pod]:
        """The pods that this agent works for, as the API has them."""
        return self._pods.items()

    def pod(self, namespace: str, name: str) -> Pod | None:
        """One of them."""
        return next((p for p in self._pods.items() if p.metadata.name == name and p.metadata.namespace == namespace), None)

    async def run(self) -> None:
        """Register, then keep every pod of this node as its spec says."""
        async with self._tasks as tasks:
            await self._register()
            sources, references = self._sources(tasks)
            node = self._node(tasks, sources, references)
            tasks.start(self.registration.run(), "node lease and status")
            await self._pods.synced.wait()
            await self._services.synced.wait()
            self._pods.on_change(lambda old, new: self._changed(node, old, new))  # tells of those that are there, too
            await self._stop_orphans(node)
            tasks.start(node.observer.run(), "runtime events")
            self.registered.set()
            await tasks.wait()

    async def _register(self) -> None:
        while True:
            try:
                await self.registration.register()
                return
            except (ApiError, RuntimeFault) as error:
                log.warning("node not registered yet", extra={"error": str(error)})
                await self._clock.sleep(RETRY_SECONDS)

    def _sources(self, tasks: Tasks) -> tuple[Sources, References]:
        watches = self._shared.watches if self._shared is not None else ObjectWatches(
            self._client, tasks, clock=self._clock, identity=self._identity)
        references = References(watches, lambda uid: self._wake(uid, volumes=True))
        return Sources(references.config_map, references.secret, self._services_of), references

    def _services_of(self, namespace: str) -> list[Service]:
        return self._by_namespace.get(namespace)

    def _node(self, tasks: Tasks, sources: Sources, references: References) -> Node:
        settings = self.settings
        prober = Prober(self._runtime, tasks, clock=self._clock, changed=self._wake, event=self._event)
        return Node(
            settings=settings, runtime=self._runtime, tasks=tasks, clock=self._clock,
            observer=Observer(self._runtime, clock=self._clock, changed=self._wake),
            prober=prober,
            images=ImagePuller(self._runtime, tasks, clock=self._clock, event=self._event),
            volumes=VolumeManager(self._client, sources, settings, clock=self._clock, facts=self.facts),
            references=references, sources=sources,
            writer=StatusWriter(self._client, tasks, clock=self._clock),
            gathering=self._shared.gathering if self._shared is not None else None,
            facts=self.facts, host_dns=self._resolver.read if settings.files else DNSConfig, event=self._event,
            starting=asyncio.Semaphore(settings.start_at_once),
            cgroups=Cgroups() if settings.manage_cgroups else None,
            runtime_scheme=self.registration.runtime_name,
            memory_bytes=self.registration.capacity.get("memory", 0))

    def _wake(self, uid: str, *, volumes: bool = False) -> None:
        if (worker := self._workers.get(uid)) is not None:
            worker.wake(volumes=volumes)

    def _changed(self, node: Node, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None and (worker := self._workers.get(old.metadata.uid)) is not None:
                worker.orphan()
            return
        if old is not None and old.metadata.uid != new.metadata.uid and (gone := self._workers.get(old.metadata.uid)) is not None:
            gone.orphan()
        worker = self._workers.get(new.metadata.uid)
        if worker is None:
            self._start(node, PodWorker(node, new))
        else:
            worker.update(new)

    def _start(self, node: Node, worker: PodWorker) -> None:
        self._workers[worker.uid] = worker
        task = self._tasks.start(worker.run(), f"pod {worker.uid}", keep_going=True)
        task.add_done_callback(lambda _done: self._workers.pop(worker.uid, None))

    async def _stop_orphans(self, node: Node) -> None:
        """Stop what the runtime or the disk has of pods that the API no longer knows."""
        while True:
            try:
                sandboxes = await self._runtime.list_sandboxes()
                break
            except RuntimeFault as error:
                log.warning("the runtime cannot be listed", extra={"error": str(error)})
                await self._clock.sleep(RETRY_SECONDS)
        for sandbox in sandboxes:
            labels: Mapping[str, str] = sandbox.labels
            uid = labels.get(POD_UID, "")
            if uid and uid not in self._workers:
                log.info("stopping a pod that the API does not know", extra={"pod": labels.get(POD_NAME), "uid": uid})
                meta = ObjectMeta(name=labels.get(POD_NAME, ""), namespace=labels.get(POD_NAMESPACE, ""), uid=uid)
                worker = PodWorker(node, Pod(metadata=meta))
                worker.orphan()
                self._start(node, worker)
        for uid in node.volumes.known() - self._workers.keys():
            await asyncio.to_thread(node.volumes.tear_down, uid)


class _ResolvConf:
    """The machine's resolv.conf, read again only when it is another file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[object, DNSConfig] = (None, DNSConfig())

    def read(self) -> DNSConfig:
        """What it says now; nothing where there is none."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return DNSConfig()
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._known[0] != mark:
            self._known = (mark, parse_resolv_conf(self._path.read_text()))
        return self._known[1]
