"""The verbs on objects: preconditions, dry runs, generated names, finalizers, collections, conflicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sampan.aio.each import each
from sampan.api import codec
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import AlreadyExists, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, NAMESPACES, PODS
from sampan.client.base import DeleteOptions
from sampan.testing import waiting
from sampan.testing.server import RunningServer, running_server

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def with_server(check: Callable[[RunningServer], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running_server() as server:
            await check(server)

    waiting.run(run())


def test_a_stale_update_conflicts_and_nothing_is_lost() -> None:
    async def check(server: RunningServer) -> None:
        first = await server.client.create(CONFIG_MAPS, config_map("a", k="1"))
        newer = codec.clone(first)
        newer.data["k"] = "2"
        await server.client.update(CONFIG_MAPS, newer)
        with pytest.raises(Conflict, match="the object has been modified"):
            await server.client.update(CONFIG_MAPS, newer)
        assert (await server.client.get(CONFIG_MAPS, "a", "default")).data == {"k": "2"}

    with_server(check)


def test_an_update_that_changes_nothing_writes_nothing() -> None:
    async def check(server: RunningServer) -> None:
        first = await server.client.create(CONFIG_MAPS, config_map("a", k="1"))
        again = await server.client.update(CONFIG_MAPS, codec.clone(first))
        assert again.metadata.resourceVersion == first.metadata.resourceVersion

    with_server(check)


def test_concurrent_patches_all_arrive() -> None:
    async def check(server: RunningServer) -> None:
        await server.client.create(CONFIG_MAPS, config_map("a"))

        async def add(number: int) -> None:
            await server.client.patch(CONFIG_MAPS, "a", "default", {"data": {f"k{number}": "v"}})

        await each(range(50), add, 25)
        assert len((await server.client.get(CONFIG_MAPS, "a", "default")).data) == 50

    with_server(check)


def test_a_dry_run_stores_nothing() -> None:
    async def check(server: RunningServer) -> None:
        answer = await server.client.raw("POST", f"{MAPS}?dryRun=All", body=b'{"metadata":{"name":"a"}}', headers=JSON)
        assert answer.code == 201
        with pytest.raises(NotFound):
            await server.client.get(CONFIG_MAPS, "a", "default")

    with_server(check)


def test_names_are_generated_and_taken_ones_refused() -> None:
    async def check(server: RunningServer) -> None:
        made = [await server.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(generateName="x-", namespace="default"))) for _ in range(30)]
        names = {one.metadata.name for one in made}
        assert len(names) == 30
        assert all(name.startswith("x-") and len(name) == 7 for name in names)
        with pytest.raises(AlreadyExists):
            await server.client.create(CONFIG_MAPS, config_map(made[0].metadata.name))

    with_server(check)


def test_finalizers_hold_a_deleted_object_until_they_are_gone() -> None:
    async def check(server: RunningServer) -> None:
        held = config_map("a")
        held.metadata.finalizers = ["example.com/hold"]
        await server.client.create(CONFIG_MAPS, held)
        await server.client.delete(CONFIG_MAPS, "a", "default")
        found = await server.client.get(CONFIG_MAPS, "a", "default")
        assert found.metadata.deletionTimestamp is not None
        await server.client.patch(CONFIG_MAPS, "a", "default", {"metadata": {"finalizers": None}})
        with pytest.raises(NotFound):
            await server.client.get(CONFIG_MAPS, "a", "default")

    with_server(check)


def test_preconditions_guard_a_deletion() -> None:
    async def check(server: RunningServer) -> None:
        made = await server.client.create(CONFIG_MAPS, config_map("a"))
        with pytest.raises(Conflict):
            await server.client.delete(CONFIG_MAPS, "a", "default", DeleteOptions(uid="another"))
        await server.client.delete(CONFIG_MAPS, "a", "default", DeleteOptions(uid=made.metadata.uid))

    with_server(check)


def test_a_collection_is_deleted_by_selector_and_told() -> None:
    async def check(server: RunningServer) -> None:
        for number in range(30):
            one = config_map(f"m{number}")
            one.metadata.labels = {"odd": str(number % 2)}
            await server.client.create(CONFIG_MAPS, one)
        answer = await server.client.raw("DELETE", f"{MAPS}?labelSelector=odd%3D1")
        told = codec.loads(answer.body)
        assert (answer.code, told["kind"], len(told["items"])) == (200, "ConfigMapList", 15)
        left = await server.client.list(CONFIG_MAPS, "default")
        assert {one.metadata.labels["odd"] for one in left.items} == {"0"}

    with_server(check)


def test_a_watch_sees_what_a_list_did_not() -> None:
    async def check(server: RunningServer) -> None:
        listed = await server.client.list(CONFIG_MAPS, "default")
        await server.client.create(CONFIG_MAPS, config_map("a", k="1"))
        await server.client.patch(CONFIG_MAPS, "a", "default", {"data": {"k": "2"}})
        await server.client.delete(CONFIG_MAPS, "a", "default")
        seen = []
        async for event in server.client.watch(CONFIG_MAPS, "default", since=listed.revision):
            seen.append((event.kind, event.object.data["k"]))
            if len(seen) == 3:
                break
        assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]

    with_server(check)


def test_a_namespace_that_ends_takes_no_more_objects() -> None:
    async def check(server: RunningServer) -> None:
        await server.client.raw("POST", "/api/v1/namespaces", body=b'{"metadata":{"name":"x"}}', headers=JSON)
        await server.client.delete(NAMESPACES, "x")
        answer = await server.client.raw("POST", "/api/v1/namespaces/x/configmaps", body=b'{"metadata":{"name":"a"}}', headers=JSON)
        assert answer.code in (403, 404)
        with pytest.raises(NotFound):
            await server.client.get(PODS, "nobody", "x")

    with_server(check)
