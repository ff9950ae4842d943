"""One node agent on an in-process API server and the simulated runtime, with virtual time: what the component tests share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Container, Pod, PodSpec, ServiceAccount
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS, SERVICE_ACCOUNTS
from sampan.apiserver.server import Settings
from sampan.client.inprocess import InProcessClient
from sampan.control.indexes import by_node
from sampan.control.informer import Informers
from sampan.control.parts import Parts
from sampan.lib.clock import Identity
from sampan.node.agent import NodeAgent, Shared
from sampan.node.config import NodeSettings
from sampan.node.gathering import Gathering
from sampan.node.references import ObjectWatches
from sampan.node.runtimes.programs import Program
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_images import SimulatedImages
from sampan.testing.server import LEAN, running_server
from sampan.testing.waiting import until

NODE = "node-1"


@dataclass
class OneNode:
    """What a test gets."""

    client: InProcessClient
    clock: VirtualClock
    runtime: SimulatedRuntime
    root: Path
    identity: Identity
    gather_seconds: float = 0.0
    events: list[tuple[str, str]] = field(default_factory=list)
    tasks: Tasks | None = None
    agent: NodeAgent | None = None

    async def start_agent(self) -> asyncio.Task[None]:
        """An agent on the runtime that is there (again, after one was cancelled)."""
        assert self.tasks is not None
        informers = Informers(self.client, clock=self.clock, identity=self.identity)
        settings = NodeSettings(name=NODE, root=self.root, log_root=self.root / "logs", ips=("192.0.2.7",),
                                manage_cgroups=False, manage_mounts=False)
        gathering = Gathering(self.tasks, clock=self.clock, seconds=self.gather_seconds)
        watches = ObjectWatches(self.client, self.tasks, clock=self.clock, identity=self.identity)
        shared = Shared(Parts(informers.of(PODS), by_node).of(NODE), watches, gathering) if self.gather_seconds else None
        agent = NodeAgent(self.client, self.runtime, settings, informers, clock=self.clock, identity=self.identity,
                          event=lambda _about, _kind, reason, message: self.events.append((reason, message)),
                          shared=shared)

        self.agent = agent

        async def run() -> None:
            async with Tasks() as own:
                own.start(informers.run(), "informers")
                own.start(agent.run(), "agent")
                await own.wait()

        task = self.tasks.start(run(), "one node", keep_going=True)
        await self.until(agent.registered.is_set)
        return task

    async def create(self, *containers: Container, name: str = "web", **spec: Any) -> Pod:
        """A pod that is already bound to the node."""
        made = Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=PodSpec(
            containers=list(containers), nodeName=NODE, automountServiceAccountToken=False, **spec))
        created: Pod = await self.client.create(PODS, made)
        return created

    async def pod(self, name: str = "web") -> Pod:
        return await self.client.get(PODS, name, "default")

    async def until(self, condition: Callable[[], Any], what: str = "the condition") -> None:
        """Let things run, without moving the clock, until the condition holds."""
        await until(condition, what)

    async def until_phase(self, phase: str, name: str = "web") -> Pod:
        async def is_so() -> bool:
            return (await self.pod(name)).status.phase == phase

        await self.until(is_so, what=f"{name} is not {phase}")
        return await self.pod(name)


@asynccontextmanager
async def one_node(root: Path, programs: dict[str, Program] | None = None, *, settings: Settings = LEAN,
                   gather_seconds: float = 0.0) -> AsyncIterator[OneNode]:
    """A server, a node, an agent; with `gather_seconds` it is one of a fleet."""
    clock, identity = VirtualClock(), Identity(random.Random(7))
    async with running_server(clock=clock, settings=settings) as server, Tasks() as tasks:
        await server.client.create(SERVICE_ACCOUNTS, ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        runtime = SimulatedRuntime(clock, identity, SimulatedImages(programs or {}))
        made = OneNode(server.client, clock, runtime, root, identity, gather_seconds, tasks=tasks)
        await made.start_agent()
        yield made
