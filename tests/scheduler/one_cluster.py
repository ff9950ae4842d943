"""A scheduler on the in-process API server at virtual time, with calls that fail as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import NotFound
from sampan.api.resources import EVENTS, NODES, PODS
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.scheduler.config import SchedulerSettings
from sampan.scheduler.extenders import Post
from sampan.scheduler.scheduler import Scheduler
from sampan.testing.server import RunningServer, running_server

TURNS = 4000


class Faulty:
    """A client whose calls may fail: `fault(verb, resource, name, after)` raises before (False) or after (True) the call."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.fault: Callable[[str, str, str, bool], None] = lambda *_: None
        self.late: Callable[[str, str, str, bool], asyncio.Event | None] = lambda *_: None
        """What to wait for before or after a call."""
        self.calls: list[tuple[str, str, str]] = []

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._client, verb)
        if verb not in ("create", "update", "patch", "delete", "get"):
            return method

        async def call(resource: Any, *arguments: Any, **options: Any) -> Any:
            first = arguments[0] if arguments else ""
            name = first if isinstance(first, str) else first.metadata.name
            kind = f"{resource.plural}/{options['subresource']}" if options.get("subresource") else resource.plural
            self.calls.append((verb, kind, name))
            self.fault(verb, kind, name, False)
            if (until := self.late(verb, kind, name, False)) is not None:
                await until.wait()
            answer = await method(resource, *arguments, **options)
            self.fault(verb, kind, name, True)
            if (until := self.late(verb, kind, name, True)) is not None:
                await until.wait()
            return answer

        return call


@dataclass
class OneCluster:
    """What a test gets."""

    server: RunningServer
    clock: VirtualClock
    client: Faulty
    scheduler: Scheduler
    tasks: Tasks
    notes: list[tuple[str, str, str]] = field(default_factory=list)

    async def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Let everything run, at most so long in virtual time, until `true` answers with something."""
        end = self.clock.monotonic() + seconds
        while True:
            for _ in range(TURNS):
                answer = true()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0)
            if self.clock.monotonic() >= end:
                raise AssertionError("it did not come to that")
            await self.clock.advance(0.5)

    async def pod(self, name: str) -> Pod | None:
        try:
            return await self.server.client.get(PODS, name, "default")
        except NotFound:
            return None

    async def node_of(self, name: str) -> str:
        found = await self.pod(name)
        return found.spec.nodeName if found is not None else ""

    async def condition(self, name: str) -> str:
        found = await self.pod(name)
        return next((one.message for one in found.status.conditions if one.type == "PodScheduled" and one.status == "False"), "") if found else ""

    async def bound(self, *names: str) -> dict[str, str]:
        """Wait until they are, and say where."""
        out = {}
        for name in names:
            out[name] = await self.until(lambda name=name: self.node_of(name))
        return out

    async def refused(self, name: str) -> str:
        found: str = await self.until(lambda: self.condition(name))
        return found

    async def put(self, *objects: Pod | Node) -> None:
        for one in objects:
            await self.server.client.create(NODES if isinstance(one, Node) else PODS, one, "" if isinstance(one, Node) else "default")
            if isinstance(one, Node):  # admission has tainted it
                await self.server.client.patch(NODES, one.metadata.name, "", {"spec": {"taints": codec.to_builtins(one.spec.taints) or None}})

    async def events(self, reason: str) -> list[str]:
        return [one.message for one in (await self.server.client.list(EVENTS, "default")).items if one.reason == reason]


@asynccontextmanager
async def one_cluster(*objects: Pod | Node, settings: SchedulerSettings | None = None, post: Post | None = None) -> AsyncIterator[OneCluster]:
    """The objects are there before the scheduler starts."""
    clock = VirtualClock()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        client = Faulty(server.client)
        informers = Informers(server.client, clock=clock, identity=server.identity)
        recorder = EventRecorder(server.client, "default-scheduler", clock=clock, identity=server.identity)
        scheduler = Scheduler(client, informers, clock=clock, event=recorder.record, settings=settings, post=post)  # type: ignore[arg-type]
        recorder.give_way(scheduler.busy)
        found = OneCluster(server, clock, client, scheduler, tasks)
        await found.put(*objects)
        tasks.start(informers.run(), "informers")
        tasks.start(recorder.run(), "events")
        tasks.start(scheduler.run(), "scheduler")
        yield found
