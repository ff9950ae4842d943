"""Caches that lag behind: what a loop decides from old state, and must not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from controllers.harness import World
from sampan.control.controller import Context
from sampan.control.informer import Informers

Build = Callable[[World], Sequence[Any]]


class Late:
    """A client whose watches of some resources bring nothing while they are held."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.held: set[str] = set()
        self._tickets: Counter[str] = Counter()
        self._open = asyncio.Condition()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def watch(self, resource: Any, *args: Any, **more: Any) -> AsyncIterator[Any]:
        async for event in self._client.watch(resource, *args, **more):
            async with self._open:
                await self._open.wait_for(lambda: resource.plural not in self.held or self._tickets[resource.plural] > 0)
                self._tickets[resource.plural] -= resource.plural in self.held
            yield event

    async def let_one_go(self, plural: str) -> None:
        """The next event of a resource that is held is seen."""
        self._tickets[plural] += 1
        async with self._open:
            self._open.notify_all()

    async def let_go(self) -> None:
        """Everything that happened meanwhile is seen."""
        self.held.clear()
        async with self._open:
            self._open.notify_all()


def with_lag(build: Build) -> tuple[Build, list[Late]]:
    """The same controllers with informers that listen through a `Late` client, and the list that this will be in."""
    lates: list[Late] = []

    def lagging(world: World) -> Sequence[Any]:
        lates.append(Late(world.client))
        world.informers = Informers(lates[0], clock=world.clock, identity=world.identity)  # type: ignore[arg-type]
        world.context = Context(world.client, world.informers, world.clock, world.identity)  # type: ignore[arg-type]
        return build(world)

    return lagging, lates
