"""`ClientConformance`: what every `Client` does, whatever carries its requests.

A test module subclasses it and says how to get a client: `connect` is an async context manager that yields one for a
fresh server with the namespace `default`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import ConfigMap, Pod
from sampan.api.errors import AlreadyExists, Conflict, Invalid, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, NAMESPACES, PODS
from sampan.client.base import APPLY_PATCH, JSON_PATCH, STRATEGIC_PATCH, Client, DeleteOptions
from sampan.testing.waiting import PATIENCE_SECONDS


def config_map(name: str, **data: str) -> ConfigMap:
    """A config map to be created in `default`."""
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


class ClientConformance:
    """Subclass it and implement `connect`."""

    def connect(self) -> AbstractAsyncContextManager[Client]:
        """A client on a fresh server."""
        raise NotImplementedError

    def run(self, test: Callable[[Client], Any]) -> None:
        """Run one test with a client, within a deadline."""

        async def whole() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS), self.connect() as client:
                await test(client)

        asyncio.run(whole())

    def test_what_was_created_is_read_back_with_kind_and_revision(self) -> None:
        async def test(client: Client) -> None:
            made = await client.create(CONFIG_MAPS, config_map("a", k="v"))
            found = await client.get(CONFIG_MAPS, "a", "default")
            assert (found.kind, found.apiVersion, found.data) == ("ConfigMap", "v1", {"k": "v"})
            assert found.metadata.resourceVersion == made.metadata.resourceVersion != ""

        self.run(test)

    def test_errors_are_those_that_the_server_raised(self) -> None:
        async def test(client: Client) -> None:
            with pytest.raises(NotFound, match='configmaps "none" not found'):
                await client.get(CONFIG_MAPS, "none", "default")
            await client.create(CONFIG_MAPS, config_map("a"))
            with pytest.raises(AlreadyExists):
                await client.create(CONFIG_MAPS, config_map("a"))
            with pytest.raises(Invalid) as refused:
                await client.create(CONFIG_MAPS, config_map("No"))
            assert [error.field for error in refused.value.errors] == ["metadata.name"]

        self.run(test)

    def test_an_update_of_an_old_object_is_a_conflict(self) -> None:
        async def test(client: Client) -> None:
            old = await client.create(CONFIG_MAPS, config_map("a", k="1"))
            new = codec.clone(old)
            new.data = {"k": "2"}
            await client.update(CONFIG_MAPS, new)
            stale = codec.clone(old)
            stale.data = {"k": "3"}
            with pytest.raises(Conflict):
                await client.update(CONFIG_MAPS, stale)

        self.run(test)

    def test_all_patch_types_change_the_object(self) -> None:
        async def test(client: Client) -> None:
            await client.create(CONFIG_MAPS, config_map("a", a="1"))
            await client.patch(CONFIG_MAPS, "a", "default", {"data": {"b": "2"}})
            await client.patch(CONFIG_MAPS, "a", "default", [{"op": "add", "path": "/data/c", "value": "3"}], type=JSON_PATCH)
            await client.patch(CONFIG_MAPS, "a", "default", {"data": {"d": "4"}}, type=STRATEGIC_PATCH, unread=True)
            with pytest.raises(NotFound):
                await client.patch(CONFIG_MAPS, "none", "default", {"data": None}, unread=True)
            applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"e": "5"}}
            last = await client.patch(CONFIG_MAPS, "a", "default", applied, type=APPLY_PATCH, field_manager="test")
            assert last.data == {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}

        self.run(test)

    def test_lists_are_selected_and_come_in_chunks(self) -> None:
        async def test(client: Client) -> None:
            for name in "abc":
                labels = {"odd": "yes"} if name != "b" else {}
                await client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels=labels)))
            assert [o.metadata.name for o in (await client.list(CONFIG_MAPS, "default", labels="odd")).items] == ["a", "c"]
            assert [o.metadata.name for o in (await client.list(CONFIG_MAPS, fields="metadata.name=b")).items] == ["b"]
            first = await client.list(CONFIG_MAPS, "default", limit=2)
            rest = await client.list(CONFIG_MAPS, "default", limit=2, continue_=first.continue_)
            assert [o.metadata.name for o in (*first.items, *rest.items)] == ["a", "b", "c"]
            assert (first.continue_ != "", rest.continue_) == (True, "")
            assert {o.kind for o in first.items} == {"ConfigMap"}

        self.run(test)

    def test_a_watch_goes_on_from_a_list(self) -> None:
        async def test(client: Client) -> None:
            await client.create(CONFIG_MAPS, config_map("before"))
            since = (await client.list(CONFIG_MAPS, "default")).revision
            watch = client.watch(CONFIG_MAPS, "default", since=since, labels="!hidden")
            await client.create(CONFIG_MAPS, config_map("a", k="1"))
            await client.patch(CONFIG_MAPS, "a", "default", {"data": {"k": "2"}})
            await client.delete(CONFIG_MAPS, "a", "default")
            seen = []
            async for event in watch:
                if event.kind != "BOOKMARK":
                    seen.append((event.kind, event.object.metadata.name, event.object.data))
                    assert event.revision == event.object.metadata.resourceVersion
                if len(seen) == 3:
                    break
            await watch.aclose()  # type: ignore[attr-defined]
            assert seen == [("ADDED", "a", {"k": "1"}), ("MODIFIED", "a", {"k": "2"}), ("DELETED", "a", {"k": "2"})]

        self.run(test)

    def test_a_watch_ends_at_its_timeout(self) -> None:
        async def test(client: Client) -> None:
            watch = client.watch(CONFIG_MAPS, "default", since="0", timeout_seconds=1)
            assert [event async for event in watch if event.kind != "BOOKMARK"] == []

        self.run(test)

    def test_deletions_keep_to_their_conditions(self) -> None:
        async def test(client: Client) -> None:
            await client.create(CONFIG_MAPS, config_map("a"))
            with pytest.raises(Conflict):
                await client.delete(CONFIG_MAPS, "a", "default", DeleteOptions(uid="another"))
            await client.delete(CONFIG_MAPS, "a", "default")
            with pytest.raises(NotFound):
                await client.delete(CONFIG_MAPS, "a", "default")
            for name in ("b", "c"):
                await client.create(CONFIG_MAPS, config_map(name))
            await client.delete_all(CONFIG_MAPS, "default", fields="metadata.name=b")
            assert [o.metadata.name for o in (await client.list(CONFIG_MAPS, "default")).items] == ["c"]

        self.run(test)

    def test_the_status_is_written_by_itself(self) -> None:
        async def test(client: Client) -> None:
            pod = codec.convert(Pod, {"metadata": {"name": "p", "namespace": "default"},
                                      "spec": {"containers": [{"name": "c", "image": "x"}]}})
            made = await client.create(PODS, pod)
            new = codec.clone(made)
            new.status.phase, new.spec.priority = "Running", 7
            after = await client.update(PODS, new, subresource="status")
            assert (after.status.phase, after.spec.priority) == ("Running", made.spec.priority)

        self.run(test)

    def test_raw_answers_are_left_as_they_are(self) -> None:
        async def test(client: Client) -> None:
            answer = await client.raw("GET", "/api/v1/namespaces/none")
            assert answer.code == 404
            assert codec.loads(answer.body)["reason"] == "NotFound"
            assert (await client.raw("GET", "/version")).code == 200

        self.run(test)

    def test_cluster_scoped_objects_need_no_namespace(self) -> None:
        async def test(client: Client) -> None:
            assert (await client.get(NAMESPACES, "default")).metadata.name == "default"

        self.run(test)
