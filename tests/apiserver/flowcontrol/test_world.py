"""What the caches say about how expensive a request is."""

from __future__ import annotations

import asyncio

from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.apiserver.flowcontrol.world import CacheWorld
from sampan.apiserver.parse import parse
from sampan.apiserver.selection import Selection, WatchQuery
from sampan.testing.server import running_server


def test_objects_are_counted_and_weighed() -> None:
    async def test() -> None:
        async with running_server() as server:
            world = CacheWorld(server.server.catalog, server.server.caches)
            info = parse("GET", "/api/v1/configmaps", {}, {})
            before = world.stored(info)
            assert before is not None
            await server.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="a"), data={"k": "x" * 1000}), "default")
            await server.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="b")), "default")
            more = world.stored(info)
            assert more is not None
            assert (more.objects - before.objects, 1200 < more.bytes - before.bytes < 3000) == (2, True)
            # when one shrinks and the other goes
            await server.client.patch(CONFIG_MAPS, "a", "default", {"data": None})
            await server.client.delete(CONFIG_MAPS, "b", "default")
            less = world.stored(info)
            assert less is not None
            assert (less.objects - before.objects, 0 < less.bytes - before.bytes < 1000) == (1, True)

    asyncio.run(test())


def test_watches_are_counted_where_they_would_be_told() -> None:
    async def test() -> None:
        async with running_server() as server:
            world, caches = CacheWorld(server.server.catalog, server.server.caches), server.server.caches
            selections = [Selection(), Selection(namespace="a"), Selection(namespace="a", name="p"), Selection(namespace="b"),
                          Selection(indexed="node-1")]
            watchers = [await caches.of(PODS).watch(WatchQuery(selection, resource_version="1")) for selection in selections]
            pod, other = parse("PUT", "/api/v1/namespaces/a/pods/p", {}, {}), parse("POST", "/api/v1/namespaces/a/pods", {}, {})
            assert (world.watchers(pod), world.watchers(other)) == (3, 2)
            for watcher in watchers:
                watcher.close()
                watcher.close()
            assert (world.watchers(pod), world.watchers(other)) == (0, 0)

    asyncio.run(test())


def test_of_what_is_not_stored_nothing_is_known() -> None:
    async def test() -> None:
        async with running_server() as server:
            world = CacheWorld(server.server.catalog, server.server.caches)
            for path in ("/apis/none.example.com/v1/things", "/apis/authorization.k8s.io/v1/subjectaccessreviews"):
                info = parse("POST", path, {}, {})
                assert (world.stored(info), world.watchers(info)) == (None, 0)

    asyncio.run(test())
