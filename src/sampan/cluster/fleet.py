"""Many simulated nodes in the control plane's process: real node agents on simulated runtimes, behind one port.

Owns what they share (informers, pods' addresses, the port) and starting them a few at a time. Every node has an address
of its own in 127.0.0.0/8, so that a request to the port says which one is meant.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod
from sampan.client.base import Client
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.lib.clock import Identity
from sampan.node.agent import NodeAgent
from sampan.node.config import NodeSettings
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_addresses import PodAddresses
from sampan.node.server.app import NodeServer, Served
from sampan.node.server.auth import Gate

AT_ONCE = 50
"""Nodes that register at a time; their leases are renewed as far apart as they began."""
TALKATIVE = 100
"""Nodes up to which events of the ordinary are written (Pulled, Created, Started); more tell of trouble only."""
GATHER_SECONDS = 0.1
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


class Fleet:
    """Make it, keep `run()` running; `ready` is set once every node has registered."""

    def __init__(self, settings: FleetSettings, client_for: Callable[[str], Client], informers: Informers, *,
                 clock: AsyncClock, identity: Identity) -> None:
        """`client_for` gives a client that is trusted to be that node (`system:node:NAME`)."""
        self.ready = asyncio.Event()
        self._settings, self._client_for, self._informers = settings, client_for, informers
        self._clock, self._identity = clock, identity
        self._addresses = PodAddresses(settings.pod_range)
        self._served: dict[str, Served] = {}

    async def run(self, context: ssl.SSLContext | None = None) -> None:
        """Work until cancelled. Without a context the nodes have no port."""
        names = self._settings.names
        async with Tasks() as tasks:
            if context is not None:
                tasks.start(NodeServer(self._served.get, clock=self._clock).run("0.0.0.0", self._settings.port, context), "nodes' port")
            for start in range(0, len(names), AT_ONCE):
                agents = [self._start(tasks, index) for index in range(start, min(start + AT_ONCE, len(names)))]
                for agent in agents:
                    await agent.registered.wait()
            self.ready.set()
            await tasks.wait()

    def _start(self, tasks: Tasks, index: int) -> NodeAgent:
        shared, name, ip = self._settings, self._settings.names[index], str(FIRST_ADDRESS + index)
        client = self._client_for(name)
        runtime = SimulatedRuntime(self._clock, self._identity, addresses=self._addresses)
        settings = NodeSettings(
            name=name, root=shared.folder / name, log_root=shared.folder / name / "logs", ips=(ip,), port=shared.port, cluster_dns=(shared.dns_ip,),
            cluster_domain=shared.domain, labels=shared.labels, manage_cgroups=False, manage_mounts=False, files=False,
            gather_seconds=GATHER_SECONDS if len(shared.names) > TALKATIVE else 0.0)
        recorder = EventRecorder(client, "kubelet", clock=self._clock, identity=self._identity, host=name)

        def event(about: Pod, kind: Any, reason: str, message: str) -> None:
            if kind != "Normal" or len(shared.names) <= TALKATIVE:
                recorder.record(about, kind, reason, message)

        agent = NodeAgent(client, runtime, settings, self._informers, clock=self._clock, identity=self._identity, event=event,
                          runtime_scheme="simulated")
        self._served[ip] = Served(agent, runtime, Gate(client, name, clock=self._clock))
        tasks.start(recorder.run(), f"events of {name}")
        tasks.start(agent.run(), f"node {name}")
        return agent
