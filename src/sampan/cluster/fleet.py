"""Many simulated nodes in the control plane's process: real node agents on simulated runtimes, behind one port.

Owns what they share (one watch of all pods and one of each object that pods refer to, pods' addresses, the port, how many
ordinary events they tell) and starting them a few at a time. Every node has an address of its own in 127.0.0.0/8, so that a
request to the port says which one is meant.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod
from sampan.api.resources import PODS
from sampan.client.base import Client
from sampan.control.events import EventRecorder
from sampan.control.indexes import by_node
from sampan.control.informer import Informers
from sampan.control.parts import Parts
from sampan.control.queue import TokenBucket
from sampan.lib.clock import Identity
from sampan.node.agent import EventSink, NodeAgent, Shared
from sampan.node.config import NodeSettings
from sampan.node.gathering import Gathering
from sampan.node.references import ObjectWatches
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_addresses import PodAddresses
from sampan.node.server.app import NodeServer, Served
from sampan.node.server.auth import Gate

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Nodes that register at a time; their leases are renewed as far apart as they began."""
EVENT_RATE, EVENT_BURST = 20.0, 2000
"""Ordinary events (Pulled, Created, Started) that the nodes tell together: so many a second once a burst (that of some 500
pods) is used up. What is more is counted and not told, as with the kubelet's `eventRecordQPS`. Warnings are always told."""
GATHER_SECONDS = 1.0
"""The longest that a pod's status waits while its containers are being started: those that are records start at once, so one
write tells of everything up to Running. A pull that takes longer is told of before it ends."""
FIRST_ADDRESS = IPv4Address("127.64.0.1")
MOST_NODES = 1 << 20


@dataclass(frozen=True)
class FleetSettings:
    """What is true of all nodes. `folder` is where their volumes and logs would be."""

    names: Sequence[str]
    folder: Path
    port: int
    pod_range: str
    dns_ip: str = "10.96.0.10"
    domain: str = "cluster.local"
    labels: dict[str, str] = field(default_factory=dict)


class OrdinaryEvents:
    """Lets so many events of the kind Normal pass, for all nodes together."""

    def __init__(self, clock: AsyncClock) -> None:
        self._clock = clock
        self._bucket = TokenBucket(EVENT_RATE, EVENT_BURST, clock.monotonic())
        self.left_out = 0

    def pass_on(self, tell: EventSink) -> EventSink:
        """What tells one node's events, less those that are too many."""
        def event(about: Pod, kind: str, reason: str, message: str) -> None:
            if kind != "Normal" or self._bucket.take(self._clock.monotonic()):
                tell(about, kind, reason, message)
            else:
                self._leave_out()
        return event

    def _leave_out(self) -> None:
        self.left_out += 1
        if self.left_out & (self.left_out - 1) == 0:  # at 1, 2, 4, 8 …
            log.info("ordinary events of simulated nodes are not told: too many a second", extra={"left_out": self.left_out})


class Fleet:
    """Make it, keep `run()` running; `ready` is set once every node has registered."""

    def __init__(self, settings: FleetSettings, client_for: Callable[[str], Client], informers: Informers, *,
                 watcher: Client, clock: AsyncClock, identity: Identity) -> None:
        """`client_for` gives a client that is trusted to be that node (`system:node:NAME`); `watcher` may read what any of them may."""
        self.ready = asyncio.Event()
        self._settings, self._client_for, self._informers, self._watcher = settings, client_for, informers, watcher
        self._clock, self._identity = clock, identity
        self._addresses = PodAddresses(settings.pod_range)
        self._parts = Parts(informers.of(PODS), by_node)
        self._ordinary = OrdinaryEvents(clock)
        self._served: dict[str, Served] = {}

    async def run(self, context: ssl.SSLContext | None = None) -> None:
        """Work until cancelled. Without a context the nodes have no port."""
        names = self._settings.names
        async with Tasks() as tasks:
            watches = ObjectWatches(self._watcher, tasks, clock=self._clock, identity=self._identity)
            common = watches, Gathering(tasks, clock=self._clock, seconds=GATHER_SECONDS)
            if context is not None:
                tasks.start(NodeServer(self._served.get, clock=self._clock).run("0.0.0.0", self._settings.port, context), "nodes' port")
            for start in range(0, len(names), AT_ONCE):
                agents = [self._start(tasks, index, common) for index in range(start, min(start + AT_ONCE, len(names)))]
                for agent in agents:
                    await agent.registered.wait()
            self.ready.set()
            await tasks.wait()

    def _start(self, tasks: Tasks, index: int, common: tuple[ObjectWatches, Gathering]) -> NodeAgent:
        shared, name, ip = self._settings, self._settings.names[index], str(FIRST_ADDRESS + index)
        client = self._client_for(name)
        runtime = SimulatedRuntime(self._clock, self._identity, addresses=self._addresses)
        settings = NodeSettings(
            name=name, root=shared.folder / name, log_root=shared.folder / name / "logs", ips=(ip,), port=shared.port, cluster_dns=(shared.dns_ip,),
            cluster_domain=shared.domain, labels=shared.labels, manage_cgroups=False, manage_mounts=False, files=False)

        @cache
        def recorder() -> EventRecorder:  # most nodes of many tell nothing for long
            made = EventRecorder(client, "kubelet", clock=self._clock, identity=self._identity, host=name)
            tasks.start(made.run(), f"events of {name}")
            return made

        def tell(about: Pod, kind: Any, reason: str, message: str) -> None:
            recorder().record(about, kind, reason, message)

        agent = NodeAgent(client, runtime, settings, self._informers, clock=self._clock, identity=self._identity,
                          event=self._ordinary.pass_on(tell), shared=Shared(self._parts.of(name), *common))
        self._served[ip] = Served(agent, runtime, Gate(client, name, clock=self._clock))
        tasks.start(agent.run(), f"node {name}")
        return agent
