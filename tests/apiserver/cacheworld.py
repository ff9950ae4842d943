"""A store with caches over it, and short ways to write objects and read watches: for tests of the watch cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.apiserver.watchcache import Caches, WatchCache, Watcher, key_prefix
from sampan.store.base import Delete, Put
from sampan.store.history import Limits
from sampan.store.memory import MemoryStore
from sampan.testing.waiting import PATIENCE_SECONDS

WIDGETS: Resource[dict[str, Any]] = Resource(
    group="example.com", version="v1", plural="widgets", kind="Widget", singular="widget", namespaced=True)


class World:
    def __init__(self, limits: Limits = Limits()) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock, limits)
        self.caches = Caches(self.store, self.clock)
        self._uids = 0

    def uid(self) -> str:
        self._uids += 1
        return f"00000000-0000-4000-8000-{self._uids:012}"

    def body(self, resource: Resource[Any], namespace: str, name: str, *, labels: dict[str, str] | None = None,
             **rest: Any) -> bytes:
        meta = {"name": name} | ({"namespace": namespace} if namespace else {}) | {"uid": self.uid()}
        if labels:
            meta["labels"] = labels
        return json.dumps({"kind": resource.kind, "apiVersion": resource.group_version, "metadata": meta} | rest,
                          separators=(",", ":")).encode()

    def key(self, resource: Resource[Any], namespace: str, name: str) -> str:
        return key_prefix(resource) + (f"{namespace}/" if namespace else "") + name

    async def put(self, resource: Resource[Any], namespace: str, name: str, *, labels: dict[str, str] | None = None,
                  **rest: Any) -> int:
        return await self.store.transact(
            [Put(self.key(resource, namespace, name), self.body(resource, namespace, name, labels=labels, **rest))])

    async def pod(self, name: str, *, node: str = "", namespace: str = "a", **labels: str) -> int:
        spec = {"nodeName": node, "containers": []} if node else {"containers": []}
        return await self.put(PODS, namespace, name, labels=labels, spec=spec, status={})

    async def config_map(self, name: str, namespace: str = "a", data: str = "", **labels: str) -> int:
        return await self.put(CONFIG_MAPS, namespace, name, labels=labels, data={"k": data})

    async def delete(self, resource: Resource[Any], namespace: str, name: str) -> int:
        return await self.store.transact([Delete(self.key(resource, namespace, name))])

    async def cache(self, resource: Resource[Any] = CONFIG_MAPS) -> WatchCache:
        await self.caches.load(resource)
        return self.caches.of(resource)


def in_world(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test in a fresh world."""

    def run() -> None:
        async def body() -> None:
            world = World()
            await asyncio.wait_for(test(world), PATIENCE_SECONDS)
            await world.store.close()

        asyncio.run(body())

    run.__name__ = test.__name__
    return run


async def read(watcher: Watcher, count: int) -> list[tuple[str, Any]]:
    """So many events of a watch, as (type, object)."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        frames = await asyncio.wait_for(watcher.frames(), PATIENCE_SECONDS)
        assert frames, f"the watch ended after {found}"
        for line in frames.splitlines():
            event = json.loads(line)
            found.append((event["type"], event["object"]))
    assert len(found) == count, found
    return found


async def told(watcher: Watcher, count: int) -> list[tuple[str, str]]:
    """So many events of a watch, as (type, name)."""
    return [(kind, obj["metadata"].get("name", "")) for kind, obj in await read(watcher, count)]
