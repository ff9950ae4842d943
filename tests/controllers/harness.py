"""Controllers on the in-process API server and a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import ApiError, NotFound
from sampan.api.resources import NAMESPACES
from sampan.client.base import DeleteOptions
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.testing.server import RunningServer, running_server


class Failing:
    """A client that counts its calls and fails as a test says."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, str, str]] = []
        self.fail: Callable[[str, Any, Any], ApiError | None] = lambda verb, resource, obj: None
        self.fail_list: Callable[[Any], ApiError | None] = lambda resource: None
        self.lose: Callable[[str, Any], ApiError | None] = lambda verb, resource: None  # asked once the write has taken effect

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "list":
            return self._list
        if name not in ("create", "update", "patch", "delete"):
            return method

        async def call(resource: Any, obj: Any, *args: Any, **more: Any) -> Any:
            self.calls.append((name, resource.plural, obj if isinstance(obj, str) else obj.metadata.name))
            if (error := self.fail(name, resource, obj)) is not None:
                raise error
            answer = await method(resource, obj, *args, **more)
            if (error := self.lose(name, resource)) is not None:
                raise error
            return answer

        return call

    async def _list(self, resource: Any, *args: Any, **more: Any) -> Any:
        if (error := self.fail_list(resource)) is not None:
            raise error
        return await self._client.list(resource, *args, **more)


class World:
    """A server with controllers at work; `settle` returns when none has anything left to do."""

    def __init__(self, server: RunningServer, clock: VirtualClock) -> None:
        self.server, self.clock, self.identity = server, clock, server.identity
        self.client = Failing(server.client)
        self.informers = Informers(self.client, clock=clock, identity=server.identity)  # type: ignore[arg-type]
        self.context = Context(self.client, self.informers, clock, server.identity)  # type: ignore[arg-type]
        self.controllers: list[Any] = []

    async def settle(self) -> None:
        await self.clock.turns(30)
        for _ in range(400):
            if all(controller.idle() for controller in self.controllers):
                await self.clock.turns(30)
                if all(controller.idle() for controller in self.controllers):
                    return
            await self.clock.turns(30)
        raise AssertionError("controllers do not come to rest")

    async def all(self, resource: Any) -> list[Any]:
        return (await self.server.client.list(resource)).items

    async def get(self, resource: Any, name: str, namespace: str = "default") -> Any:
        try:
            return await self.server.client.get(resource, name, namespace if resource.namespaced else "")
        except NotFound:
            return None

    async def make(self, resource: Any, value: dict[str, Any], namespace: str = "default") -> Any:
        value = {"apiVersion": resource.group_version, "kind": resource.kind, **value}
        if resource.namespaced:
            value["metadata"] = {"namespace": namespace, **value["metadata"]}
        return await self.server.client.create(resource, codec.convert(resource.wire, value))

    async def patch(self, resource: Any, name: str, patch: dict[str, Any], namespace: str = "default",
                    subresource: str = "") -> Any:
        return await self.server.client.patch(resource, name, namespace if resource.namespaced else "", patch,
                                              subresource=subresource)

    async def delete(self, resource: Any, name: str, namespace: str = "default", **options: Any) -> None:
        await self.server.client.delete(resource, name, namespace if resource.namespaced else "", DeleteOptions(**options))


def run(build: Callable[[World], Sequence[Any]], scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock) as server:
            world = World(server, clock)
            if await world.get(NAMESPACES, "default") is None:
                await world.make(NAMESPACES, {"metadata": {"name": "default"}})
            world.controllers = list(build(world))
            async with Tasks() as tasks:
                tasks.start(world.informers.run(), "informers")
                for controller in world.controllers:
                    tasks.start(controller.run(), controller.name)
                await world.settle()
                await scenario(world)

    asyncio.run(main())
