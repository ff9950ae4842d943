"""A whole cluster in one process and in virtual time: the API server, and beside it processes that may crash at any time.

The controllers are spread over a few processes by the seed; the scheduler and each node are processes of their own. A
process that ended starts anew with empty caches; a node's containers outlive its agent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from chaos.weather import Unreliable, Weather
from objects import Objects
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.client.inprocess import InProcessClient
from sampan.cluster.controllers import ALL
from sampan.control.controller import Context, ControllerEntry
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.controllers.settings import ManagerSettings
from sampan.lib.clock import Identity
from sampan.node.agent import NodeAgent
from sampan.node.config import NodeSettings
from sampan.node.runtimes.programs import Program
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_images import SimulatedImages
from sampan.scheduler.scheduler import Scheduler
from sampan.testing.server import running_server

NODES = 4
MANAGERS = 4
CPU = 4000
KILL_SECONDS = 25.0  # on average from one process's end to that of another
DOWN_SECONDS = 12.0
SETTINGS = ManagerSettings(root_ca=b"-----BEGIN CERTIFICATE-----\n", horizontal_pod_autoscaler_downscale_stabilization=30.0)
PROGRAMS = {"work": Program(exit_after_seconds=4), "fail": Program(exit_after_seconds=2, exit_code=1)}

Part = tuple[str, Callable[[], Awaitable[None]]]


class Process:
    """Something that works, ends at any time and begins anew. `make(client)` gives its parts."""

    def __init__(self, name: str, weather: Weather, connect: Callable[[Process], Any], make: Callable[[Any], Sequence[Part]]) -> None:
        self.name, self.failure = name, ""
        self._weather, self._connect, self._make = weather, connect, make
        self._life: asyncio.Task[Any] | None = None
        self._over = False

    def kill(self) -> None:
        """It ends where it is."""
        if self._life is not None:
            self._life.cancel()

    def end(self) -> None:
        """It ends and does not come back."""
        self._over = True
        self.kill()

    async def run(self, tasks: Tasks) -> None:
        """Work until cancelled or over."""
        while not self._over:
            self._life = tasks.start(self._live(), self.name, keep_going=True)
            await asyncio.wait([self._life])
            if not self._life.cancelled() and (error := self._life.exception()) is not None:
                self.failure = f"{self.name} ended by itself: {error!r}"
            if self._weather.bad:
                await self._weather.clock.sleep(self._weather.rng.uniform(0.0, DOWN_SECONDS))

    async def _live(self) -> None:
        async with Tasks() as tasks:
            for name, run in self._make(self._connect(self)):
                tasks.start(run(), name)  # type: ignore[arg-type]
            await tasks.wait()


class Unexpected(logging.Handler):
    """Remembers what was logged with a traceback: nothing that the weather does is unexpected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


class World(Objects):
    """What the script gets: a client that never fails, the clock, the nodes, the weather."""

    def __init__(self, client: InProcessClient, clock: VirtualClock, weather: Weather) -> None:
        super().__init__(client)
        self.clock, self.weather = clock, weather
        self.identity = Identity(random.Random(weather.rng.random()))
        self.processes: dict[str, Process] = {}
        self.load_milli = 0
        self.unexpected = Unexpected()

    async def patch(self, resource: Resource[Any], name: str, patch: dict[str, Any], namespace: str = "default") -> Any:
        return await self.client.patch(resource, name, namespace if resource.namespaced else "", patch)

    async def all(self, resource: Resource[Any], labels: str = "", namespace: str = "") -> list[Any]:
        return (await self.client.list(resource, namespace, labels=labels)).items

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str, *, step: float = 1.0, most_seconds: float = 1800.0) -> None:
        """Let time pass until it is so."""
        end = self.clock.monotonic() + most_seconds
        while not await condition():
            assert self.clock.monotonic() < end, f"never came: {what}"
            await self.clock.advance(step)

    async def metrics(self, path: str) -> dict[str, Any]:
        """PodMetrics of the running pods that the query selects: they share the load of their app."""
        namespace, _, query = path.split("/namespaces/")[1].partition("/pods?")
        labels = parse_qs(query)["labelSelector"][0]
        running = [pod for pod in await self.all(PODS, labels, namespace) if pod.status.phase == "Running" and pod.metadata.deletionTimestamp is None]
        return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": [
            {"metadata": {"name": pod.metadata.name, "namespace": namespace}, "timestamp": Time.of(self.clock.now()), "window": "30s",
             "containers": [{"name": "c", "usage": {"cpu": f"{self.load_milli // len(running)}m", "memory": "1Mi"}}]} for pod in running]}

    # processes

    def connect(self, process: Process) -> Any:
        return Unreliable(self.client, self.weather, process.kill, self.metrics)

    def add(self, name: str, make: Callable[[Any], Sequence[Part]], tasks: Tasks) -> None:
        process = self.processes[name] = Process(name, self.weather, self.connect, make)
        tasks.start(process.run(tasks), f"life of {name}")

    async def kill_some(self) -> None:
        """While the weather is bad, end one process after the other at moments that the seed says."""
        rng = self.weather.rng
        while self.weather.bad:
            await self.clock.sleep(rng.expovariate(1 / KILL_SECONDS))
            for _ in range(rng.randrange(20)):
                await asyncio.sleep(0)
            if self.weather.strikes(1.0, "kill"):
                rng.choice(list(self.processes.values())).kill()


def manager(world: World, entries: Sequence[ControllerEntry]) -> Callable[[Any], Sequence[Part]]:
    """A process with these controllers."""
    def make(client: Any) -> Sequence[Part]:
        informers = Informers(client, clock=world.clock, identity=world.identity)
        context = Context(client, informers, world.clock, world.identity)
        made = [one for entry in entries if (one := entry.make(context, SETTINGS)) is not None]
        return [("informers", informers.run), *((one.name, one.run) for one in made)]

    return make


def scheduler(world: World) -> Callable[[Any], Sequence[Part]]:
    """A process with the scheduler."""
    def make(client: Any) -> Sequence[Part]:
        informers = Informers(client, clock=world.clock, identity=world.identity)
        recorder = EventRecorder(client, "default-scheduler", clock=world.clock, identity=world.identity)
        made = Scheduler(client, informers, clock=world.clock, event=recorder.record)
        return [("informers", informers.run), ("events", recorder.run), ("scheduler", made.run)]

    return make


def node(world: World, number: int, root: Path) -> Callable[[Any], Sequence[Part]]:
    """A process with a node's agent."""
    runtime = SimulatedRuntime(world.clock, world.identity, SimulatedImages(PROGRAMS), pod_cidr=f"10.244.{number}.0/24")
    settings = NodeSettings(name=f"node-{number}", root=root / str(number), log_root=root / "logs", ips=(f"192.0.2.{number + 1}",),
                            manage_cgroups=False, manage_mounts=False, files=False, capacity={"cpu": CPU, "memory": 1 << 32, "ephemeral-storage": 1 << 34})

    def make(client: Any) -> Sequence[Part]:
        informers = Informers(client, clock=world.clock, identity=world.identity)
        agent = NodeAgent(client, runtime, settings, informers, clock=world.clock, identity=world.identity, event=lambda *_: None)
        return [("informers", informers.run), ("agent", agent.run)]

    return make


@asynccontextmanager
async def world_of(root: Path, seed: int, *, bad: bool) -> AsyncIterator[World]:
    """A cluster whose nodes are ready, in bad weather or in good."""
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        world = World(server.client, clock, Weather(random.Random(seed), clock))
        entries = [entry for entry in ALL if entry.by_default]
        world.weather.rng.shuffle(entries)
        for number in range(MANAGERS):
            world.add(f"manager-{number}", manager(world, entries[number::MANAGERS]), tasks)
        world.add("scheduler", scheduler(world), tasks)
        for number in range(NODES):
            world.add(f"node-{number}", node(world, number, root), tasks)
        logging.getLogger("sampan").addHandler(world.unexpected)
        try:
            world.weather.bad = bad
            if bad:
                tasks.start(world.kill_some(), "kills")
            yield world
        finally:
            logging.getLogger("sampan").removeHandler(world.unexpected)


async def placed(world: World) -> dict[str, str]:
    """Every pod's uid and node."""
    return {pod.metadata.uid: pod.spec.nodeName for pod in await world.all(PODS) if pod.spec.nodeName}
