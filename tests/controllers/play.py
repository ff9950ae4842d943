"""Transcripts played on the real API server with virtual time: controllers at work, a cluster's words as commands.

    apply                  create the YAML objects below, or merge them into those that are there (`---` between them);
                           an owner reference without a uid gets that of the owner as it is now (`in: NAMESPACE`, if that is another)
    status KIND NAME       merge the YAML below into the status subresource
    patch KIND NAME        merge the YAML below (`null` removes)
    delete KIND NAME       `propagation=…`, `grace=0`
    wait SECONDS           the clock moves on
    fail VERB KIND REASON  the next such write (or `list`) of a controller is answered with Conflict, NotFound or Unavailable (`times=2`)
    lose VERB KIND         the next such write of a controller takes effect, and its answer is lost (`times=2`)
    hold KINDS…            the caches hear nothing of these kinds any more, until `release`
    jump SECONDS           the controllers' time of day is set forward, or back; what waits goes on waiting as long as it would have
    restart                the controllers crash and start anew, with empty caches and no memory
    show KIND FIELDS…      one line an object; `in=NAMESPACE`, `name=NAME`; a field is a path like `spec.replicas` (`metadata.labels[a.b]`, too)
    events                 what was told since the last time

Every command waits until no controller has anything left to do. Generated names end in `*`: of several such objects a command takes the
one that `where=PATH:VALUE` is true of.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from controllers.harness import World
from controllers.jumps import Jumping
from controllers.late import Late
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import ApiError, Conflict, NotFound, ServiceUnavailable, Timeout
from sampan.api.resourceinfo import Resource
from sampan.api.resources import ALL, EVENTS, NAMESPACES
from sampan.client.base import DeleteOptions
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.testing.datadriven import Block, run
from sampan.testing.server import running_server

KINDS: dict[str, Resource[Any]] = {one.kind: one for one in reversed(ALL)}
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GENERATED = re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}$")
HASH = re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{8,10}\b")
ERRORS: dict[str, type[ApiError]] = {"Conflict": Conflict, "NotFound": NotFound, "Unavailable": ServiceUnavailable}


class Play:
    """One transcript's world. `build(world)` makes the controllers."""

    def __init__(self, world: World, build: Callable[[World], Sequence[Any]], tasks: Tasks) -> None:
        self.world, self._build, self._tasks = world, build, tasks
        self._running: list[asyncio.Task[Any]] = []
        self._told: set[str] = set()
        self._late, self._clock = Late(world.client), Jumping(world.clock)

    async def start(self) -> None:
        world = self.world
        world.informers = Informers(self._late, clock=world.clock, identity=world.identity)  # type: ignore[arg-type]
        world.context = Context(world.client, world.informers, self._clock, world.identity)  # type: ignore[arg-type]
        world.controllers = list(self._build(world))
        self._running = [self._tasks.start(world.informers.run(), "informers")]
        self._running += [self._tasks.start(one.run(), one.name) for one in world.controllers]
        await world.settle()

    async def command(self, block: Block) -> str:
        said = await getattr(self, block.name)(block)
        if block.name not in ("show", "events"):
            await self.world.settle()
        return said or "ok"

    async def apply(self, block: Block) -> str:
        for value in yaml.safe_load_all(block.input):
            resource, meta = KINDS[value["kind"]], value.setdefault("metadata", {})
            namespace = meta.setdefault("namespace", "default") if resource.namespaced else ""
            body = {"apiVersion": resource.group_version, **value}
            for ref in meta.get("ownerReferences") or ():
                if "uid" not in ref:
                    owner = KINDS[ref["kind"]]
                    found = await self.world.get(owner, ref["name"], ref.pop("in", namespace))
                    ref.update(apiVersion=owner.group_version, uid=found.metadata.uid)
            try:
                if await self.world.get(resource, meta["name"], namespace) is None:
                    await self.world.server.client.create(resource, codec.convert(resource.wire, body))
                else:
                    await self.world.server.client.patch(resource, meta["name"], namespace, body)
            except ApiError as error:
                return error.message
            if "status" in value:
                await self.world.server.client.patch(resource, meta["name"], namespace, {"status": value["status"]}, subresource="status")
        return ""

    async def status(self, block: Block) -> None:
        await self._merge(block, {"status": yaml.safe_load(block.input)}, "status")

    async def patch(self, block: Block) -> None:
        await self._merge(block, yaml.safe_load(block.input), "")

    async def _merge(self, block: Block, body: Any, subresource: str) -> None:
        resource = KINDS[block.words[0]]
        namespace = block.get("in", "default") if resource.namespaced else ""
        await self.world.server.client.patch(resource, await self._full(block, resource, namespace), namespace, body, subresource=subresource)

    async def _full(self, block: Block, resource: Resource[Any], namespace: str) -> str:
        name, (path, _, value) = block.words[1], block.get("where").partition(":")
        if not name.endswith("*"):
            return name
        found = (await self.world.server.client.list(resource, namespace)).items
        return str(next(one.metadata.name for one in found
                        if one.metadata.generateName == name[:-1] and (not path or shown(one, path) == value)))

    async def delete(self, block: Block) -> None:
        resource = KINDS[block.words[0]]
        namespace = block.get("in", "default") if resource.namespaced else ""
        grace = {"grace_period_seconds": block.number("grace")} if "grace" in block.args else {}
        options: dict[str, Any] = {**grace, **({"propagation": block.get("propagation")} if "propagation" in block.args else {})}
        name = await self._full(block, resource, namespace)
        await self.world.server.client.delete(resource, name, namespace, DeleteOptions(**options))

    async def wait(self, block: Block) -> None:
        await self.world.settle()
        await self.world.clock.advance(float(block.words[0]))

    async def fail(self, block: Block) -> None:
        failure = _failure(block, ERRORS[block.words[2]])
        if block.words[0] == "list":
            self.world.client.fail_list = lambda resource: failure("list", resource)
        else:
            self.world.client.fail = lambda verb, resource, _: failure(verb, resource)

    async def lose(self, block: Block) -> None:
        self.world.client.lose = _failure(block, Timeout)

    async def hold(self, block: Block) -> None:
        self._late.held |= {KINDS[word].plural for word in block.words}

    async def release(self, _: Block) -> None:
        await self._late.let_go()

    async def jump(self, block: Block) -> None:
        self._clock.offset += timedelta(seconds=float(block.words[0]))

    async def restart(self, _: Block) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.start()

    async def show(self, block: Block) -> str:
        resource, fields = KINDS[block.words[0]], block.words[1:]
        namespace = block.get("in", "default") if resource.namespaced else ""
        found = (await self.world.server.client.list(resource, namespace)).items
        lines = [" ".join([named(one), *(f"{path}={shown(one, path)}" for path in fields)])
                 for one in found if block.get("name", one.metadata.name) in (one.metadata.name, named(one))]
        return "\n".join(sorted(lines)) or "none"

    async def events(self, _: Block) -> str:
        found = await self.world.all(EVENTS)
        lines = []
        for one in sorted(found, key=lambda event: event.metadata.name):
            key = f"{one.metadata.uid} {one.count}"
            if key not in self._told:
                self._told.add(key)
                about = GENERATED.sub("*", one.involvedObject.name)
                message = HASH.sub("*", GENERATED.sub("*", one.message) if " pod: " in one.message else one.message)
                lines.append(f"{one.involvedObject.kind} {about}: {one.type} {one.reason}: {message}")
        return "\n".join(sorted(lines)) or "none"


def _failure(block: Block, error: type[ApiError]) -> Callable[[str, Any], ApiError | None]:
    """What the next calls of this verb and kind are answered with, and all others not."""
    verb, resource, left = block.words[0], KINDS[block.words[1]], [block.number("times", 1)]

    def answer(called: str, about: Any) -> ApiError | None:
        if called != verb or about != resource or not left[0]:
            return None
        left[0] -= 1
        return error("played by the test")

    return answer


def named(obj: Any) -> str:
    """An object's name; what was generated of it as `*`."""
    meta = obj.metadata
    return f"{meta.generateName}*" if meta.generateName else GENERATED.sub("*", meta.name)


def shown(obj: Any, path: str) -> str:
    """A field of an object; of a list of conditions its types, status and reasons."""
    value: Any = codec.to_builtins(obj)
    for part in (one.strip("[]") for one in re.findall(r"\[[^]]*\]|[^.[]+", path)):
        value = value.get(part) if isinstance(value, dict) else None
    if path.endswith("conditions") and isinstance(value, list):
        return ",".join(f"{one['type']}:{one['status']}:{one.get('reason', '')}" for one in value)
    return value if isinstance(value, str) else UID.sub("*", codec.encode(value).decode())


def play(path: Path, build: Callable[[World], Sequence[Any]], stage_of: type[Play] = Play) -> None:
    """Play one transcript from beginning to end; `stage_of` may know more commands."""
    async def main() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server, Tasks() as tasks:
            world = World(server, clock)
            if await world.get(NAMESPACES, "default") is None:
                await world.make(NAMESPACES, {"metadata": {"name": "default"}})
            stage = stage_of(world, build, tasks)
            await stage.start()
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(run, path, lambda block: asyncio.run_coroutine_threadsafe(stage.command(block), loop).result())

    asyncio.run(main())
