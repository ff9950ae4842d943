"""Servers with keys, on stores that are read raw."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api_asking import Asker
from sampan.aio.clock import SystemClock, VirtualClock
from sampan.api import codec
from sampan.api.resources import SECRETS as SECRETS_RESOURCE
from sampan.apiserver.encryption.config import Encryption, load
from sampan.apiserver.encryption.store import EncryptedStore, SharedEncryptedStore, around
from sampan.lib.errors import ConfigError
from sampan.store.base import Compare, CompareFailed, Put, SharedStore, Store
from sampan.store.etcd import EtcdSettings, EtcdStore
from sampan.store.memory import MemoryStore
from sampan.store.sqlite import SqliteStore
from sampan.testing.etcd import running_etcd
from sampan.testing.server import LEAN, running_server
from sampan.testing.store import StoreConformance
from sampan.testing.waiting import PATIENCE_SECONDS

SECRETS = "/api/v1/namespaces/default/secrets"
KEY = "/registry/core/secrets/default/a"


def keys(*names: str, identity: bool = False, plain_first: bool = False) -> Encryption:
    secrets = [{"name": name, "secret": base64.b64encode(name.encode() * 32).decode()} for name in names]
    providers: list[dict[str, Any]] = [{"aesgcm": {"keys": secrets}}] if names else []
    return load(codec.encode({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": [
        {"resources": ["secrets"], "providers": [*([{"identity": {}}] if plain_first else []), *providers, *([{"identity": {}}] if identity else [])]}]}), "f")


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": "hunter2"}}


@asynccontextmanager
async def asking(store: Store, encryption: Encryption | None) -> AsyncIterator[Asker]:
    async with asyncio.timeout(PATIENCE_SECONDS), running_server(store=store, settings=replace(LEAN, encryption=encryption)) as server:
        yield Asker(server)


async def raw(store: Store, key: str = KEY) -> bytes:
    record = await store.get(key)
    assert record is not None
    return record.value


def on_memory(test: Callable[[Store], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = MemoryStore(SystemClock())
        await test(store)
        await store.close()
    asyncio.run(whole())


async def _sealed_on_disk_and_plain_outside(store: Store) -> None:
    async with asking(store, keys("a")) as asker:
        await asker.must("POST", SECRETS, secret("a"))
        got = await asker.must("GET", f"{SECRETS}/a")
    assert base64.b64decode(got["data"]["password"]) == b"hunter2"
    stored = await raw(store)
    assert stored.startswith(b"k8s:enc:aesgcm:v1:a:")
    assert b"aHVudGVyMg" not in stored
    # what is not configured is as it was
    assert (await raw(store, "/registry/core/namespaces/default")).startswith(b"{")
    async with asking(store, keys("a")) as asker:  # a server that starts on it
        assert (await asker.must("GET", SECRETS))["items"][0]["data"] == got["data"]


def test_in_memory() -> None:
    on_memory(_sealed_on_disk_and_plain_outside)


def test_on_disk(tmp_path: Path) -> None:
    async def whole() -> None:
        store = await SqliteStore.open(tmp_path, SystemClock())
        await _sealed_on_disk_and_plain_outside(store)
        await store.close()
    asyncio.run(whole())
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"k8s:enc:aesgcm:v1:a:" in files
    assert b"aHVudGVyMg" not in files


def test_without_the_key_a_secret_is_an_error_and_all_else_goes_on() -> None:
    async def test(store: Store) -> None:
        async with asking(store, keys("a")) as asker:
            await asker.must("POST", SECRETS, secret("a"))
        async with asking(store, keys("b")) as asker:
            assert await asker.must("POST", SECRETS, secret("b"))
            code, status = await asker.ask("GET", f"{SECRETS}/a")
            assert (code, status["message"]) == (500, "Internal error occurred: no matching key was found for the provided AES transformer")
            code, status = await asker.ask("GET", SECRETS)
            assert (code, status["message"]) == (
                500, f'Internal error occurred: unable to transform key "{KEY}": no matching key was found for the provided AES transformer')
            assert (await asker.ask("GET", f"{SECRETS}/b"))[0] == 200
            assert (await asker.ask("DELETE", f"{SECRETS}/a"))[0] == 500
            assert (await asker.ask("POST", SECRETS, secret("a")))[0] == 409
            assert (await asker.ask("GET", "/api/v1/namespaces/kube-system/secrets"))[0] == 200
            assert (await asker.ask("GET", "/api/v1/namespaces/default/configmaps"))[0] == 200
        async with asking(store, None) as asker:  # and without any configuration
            code, status = await asker.ask("GET", f"{SECRETS}/a")
            assert (code, status["message"]) == (500, "Internal error occurred: identity transformer tried to read encrypted data")
        async with asking(store, keys("b", "a")) as asker:  # with both keys it is back
            assert len((await asker.must("GET", SECRETS))["items"]) == 2
    on_memory(test)


def test_writing_what_is_there_seals_it_with_the_new_key_and_only_once() -> None:
    async def test(store: Store) -> None:
        async with asking(store, None) as asker:
            await asker.must("POST", SECRETS, secret("a"))
        for encryption, prefix in ((keys("a", identity=True), b"k8s:enc:aesgcm:v1:a:"), (keys("b", "a"), b"k8s:enc:aesgcm:v1:b:"),
                                   (keys("b", plain_first=True), b"{")):
            async with asking(store, encryption) as asker:
                found = await asker.must("GET", f"{SECRETS}/a")
                # `kubectl get secrets -o json | kubectl replace -f -`
                written = await asker.must("PUT", f"{SECRETS}/a", found)
                assert written["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]
                assert (await raw(store)).startswith(prefix)
                again = await asker.must("PUT", f"{SECRETS}/a", written)
                assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]
    on_memory(test)


def test_watches_see_plain_values() -> None:
    async def test(store: Store) -> None:
        async with asking(store, keys("a")) as asker:
            made = await asker.must("POST", SECRETS, secret("a"))
            watch = asker.server.client.watch(SECRETS_RESOURCE, "default")
            event = await anext(aiter(watch))
            await watch.aclose()
            assert (event.kind, event.object.data) == ("ADDED", {"password": base64.b64decode(made["data"]["password"])})
    on_memory(test)


def test_a_value_that_another_server_seals_with_an_unknown_key_is_gone_until_it_is_readable_again() -> None:
    async def test(store: Store) -> None:
        mine, theirs = around(store, keys("a")), around(store, keys("b"))
        start = store.revision
        told: list[tuple[str, bytes | None]] = []
        await mine.subscribe("/", start, lambda changes: told.extend((one.key, one.value) for one in changes))
        await mine.transact([Put(KEY, b"1")])
        await theirs.transact([Put(KEY, b"2")])
        assert mine.unreadable == {KEY: "no matching key was found for the provided AES transformer"}
        assert await mine.get(KEY) is None
        await mine.transact([Put(KEY, b"3")])
        assert (mine.unreadable, told) == ({}, [(KEY, b"1"), (KEY, None), (KEY, b"3")])
    on_memory(test)


def test_the_past_marks_nothing_as_unreadable_or_stale_that_is_neither() -> None:
    async def test(store: Store) -> None:
        start = store.revision
        mine, theirs = around(store, keys("a", "b")), around(store, keys("c"))
        await around(store, keys("b")).transact([Put(KEY, b"0")])
        await theirs.transact([Put(KEY, b"1")])
        now = await mine.transact([Put(KEY, b"2")])
        (await mine.subscribe("/", start, lambda _: None)).close()
        assert (mine.unreadable, mine.is_stale(KEY, now)) == ({}, False)
    on_memory(test)


def test_pages_on_which_nothing_can_be_read_are_passed_over() -> None:
    async def test(store: Store) -> None:
        await around(store, keys("b")).transact([Put(f"{KEY}{n}", b"") for n in range(5)])
        mine = around(store, keys("a"))
        await mine.transact([Put(f"{KEY}9", b"x")])
        page = await mine.range("/registry/", limit=2)
        assert [(record.key, record.value) for record in page.records] == [(f"{KEY}9", b"x")]
        assert len(mine.unreadable) == 5
    on_memory(test)


def test_a_failed_compare_shows_plain_values() -> None:
    async def test(store: Store) -> None:
        mine = around(store, keys("a"))
        await mine.transact([Put(KEY, b"1")])
        with pytest.raises(CompareFailed) as caught:
            await mine.transact([Put(KEY, b"2")], [Compare(KEY, 0)])
        found = caught.value.found[KEY]
        assert found is not None
        assert found.value == b"1"
    on_memory(test)


def test_only_a_shared_store_is_wrapped_as_one() -> None:
    store = around(MemoryStore(SystemClock()), None)
    assert isinstance(store, EncryptedStore)
    assert not isinstance(store, SharedEncryptedStore | SharedStore)


EVERYTHING = load(codec.encode({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": [
    {"resources": ["*.*"], "providers": [{"aesgcm": {"keys": [{"name": "k", "secret": base64.b64encode(b"k" * 32).decode()}]}}]}]}), "f")


class TestEncryptedStore(StoreConformance):
    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        store = around(MemoryStore(clock), EVERYTHING)
        yield store
        await store.close()


@pytest.mark.e2e
def test_in_etcd() -> None:
    async def whole(url: str) -> None:
        store = await EtcdStore.open(url, SystemClock(), EtcdSettings(compaction_seconds=0, timeout_seconds=5))
        assert isinstance(around(store, None), SharedEncryptedStore | SharedStore)
        await _sealed_on_disk_and_plain_outside(store)
        await store.close()

    with running_etcd() as etcd:
        asyncio.run(whole(etcd.url))


def test_a_server_whose_own_objects_are_sealed_says_what_it_needs() -> None:
    async def test(store: Store) -> None:
        async with asking(store, EVERYTHING):
            pass
        with pytest.raises((ConfigError, ExceptionGroup)) as caught:
            async with asking(store, None):
                pass
        error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
        assert isinstance(error, ConfigError)
        assert "stored values can't be read, the first is /registry/core/" in error.message
        assert "--encryption-provider-config" in error.hint
    on_memory(test)
