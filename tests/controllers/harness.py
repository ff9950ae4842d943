"""Controllers on a tiny server and a virtual clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from control.fake import FakeClient
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.lib.clock import Identity


class World:
    """A server with controllers at work; `settle` returns when none has anything left to do."""

    def __init__(self, seed: int = 1) -> None:
        self.clock, self.identity = VirtualClock(), Identity(random.Random(seed))
        self.client = FakeClient(self.clock, self.identity)
        self.informers = Informers(self.client, clock=self.clock, identity=self.identity)
        self.context = Context(self.client, self.informers, self.clock, self.identity)
        self.controllers: list[Any] = []

    async def settle(self) -> None:
        await self.clock.turns(30)
        for _ in range(200):
            if all(controller.idle() for controller in self.controllers):
                await self.clock.turns(30)
                if all(controller.idle() for controller in self.controllers):
                    return
            await self.clock.turns(30)
        raise AssertionError("controllers do not come to rest")

    def all(self, resource: Any) -> list[Any]:
        return list(self.client.objects.get(resource, {}).values())

    def get(self, resource: Any, name: str, namespace: str = "default") -> Any:
        return self.client.objects.get(resource, {}).get(Key(namespace, name))

    async def make(self, resource: Any, value: dict[str, Any], namespace: str = "default") -> Any:
        value = {"apiVersion": resource.group_version, "kind": resource.kind, **value}
        if resource.namespaced:
            value["metadata"] = {"namespace": namespace, **value["metadata"]}
        return await self.client.create(resource, codec.convert(resource.wire, value))

    async def patch(self, resource: Any, name: str, patch: dict[str, Any], namespace: str = "default") -> Any:
        return await self.client.patch(resource, name, namespace if resource.namespaced else "", patch)


def run(build: Callable[[World], Sequence[Any]], scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        world.controllers = list(build(world))
        async with Tasks() as tasks:
            tasks.start(world.informers.run(), "informers")
            for controller in world.controllers:
                tasks.start(controller.run(), controller.name)
            await world.settle()
            await scenario(world)

    asyncio.run(main())
