"""The remote client: the common suite over TLS on loopback, with a client certificate and with a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.errors import Gone, ServiceUnavailable, Unauthorized
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.client.base import Client
from sampan.client.kubeconfig import Access
from sampan.client.remote import RemoteClient, event_of, listing
from sampan.testing import waiting
from sampan.testing.client import ClientConformance, config_map
from sampan.testing.https import serving

WIDGETS: Resource[dict[str, Any]] = Resource("example.com", "v1", "widgets", "Widget", "widget", namespaced=True)


class TestRemoteClient(ClientConformance):
    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        async with serving() as access:
            client = RemoteClient(access)
            try:
                yield client
            finally:
                await client.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def test() -> None:
        client = RemoteClient(Access("https://127.0.0.1:1", insecure=True))
        with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:1"):
            await client.list(CONFIG_MAPS)
        await client.close()

    asyncio.run(test())


def test_a_bad_token_is_unauthorized() -> None:
    async def test() -> None:
        async with serving() as access:
            client = RemoteClient(Access(access.server, access.ca, token="nobody"))
            with pytest.raises(Unauthorized):
                await client.list(CONFIG_MAPS)
            await client.close()

    asyncio.run(test())


def test_a_line_of_a_watch_is_an_event_or_the_error_that_ends_it() -> None:
    # given / when
    typed = event_of(PODS, b'{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","resourceVersion":"7"}}}')
    custom = event_of(WIDGETS, b'{"type":"ADDED","object":{"kind":"Widget","metadata":{"name":"w","resourceVersion":"8"}}}')
    bookmark = event_of(PODS, b'{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}')
    # then
    assert (typed.kind, typed.object.metadata.name, typed.revision) == ("MODIFIED", "p", "7")
    assert (custom.kind, custom.object["metadata"]["name"], custom.revision) == ("ADDED", "w", "8")
    assert (bookmark.kind, bookmark.revision) == ("BOOKMARK", "9")
    with pytest.raises(Gone, match="too old"):
        event_of(PODS, b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}')


def test_items_of_a_list_are_told_what_they_are() -> None:
    # given a list whose items do not say their kind
    found = listing(PODS, b'{"kind":"PodList","metadata":{"resourceVersion":"5","continue":"next"},"items":[{"metadata":{"name":"p"}}]}')
    custom = listing(WIDGETS, b'{"items":[{"metadata":{"name":"w"}}]}')
    # then
    assert (found.revision, found.continue_) == ("5", "next")
    assert [(one.kind, one.apiVersion, one.metadata.name) for one in found.items] == [("Pod", "v1", "p")]
    assert [(one["kind"], one["apiVersion"]) for one in custom.items] == [("Widget", "example.com/v1")]
    assert listing(PODS, b'{"items":null}').items == []


def test_a_trimmed_copy_has_no_managed_fields_and_its_update_leaves_the_servers() -> None:
    async def test() -> None:
        async with serving() as access:
            whole, trimmed = RemoteClient(access), RemoteClient(access, trim=True)
            # given an object with fields that somebody manages
            made = await whole.create(CONFIG_MAPS, config_map("a", k="v"))
            assert [entry.manager for entry in made.metadata.managedFields] == ["sampan"]
            # when it is listed and watched
            (listed,) = (await trimmed.list(CONFIG_MAPS, "default")).items
            watch = trimmed.watch(CONFIG_MAPS, "default", since="0")
            event = await anext(aiter(watch))
            await watch.aclose()  # type: ignore[attr-defined]
            # then it has none
            assert listed.metadata.managedFields == event.object.metadata.managedFields == []
            # and an update of such a copy takes none away
            changed = codec.clone(listed)
            changed.data = {"k": "w"}
            await trimmed.update(CONFIG_MAPS, changed)
            now = await whole.get(CONFIG_MAPS, "a", "default")
            assert (now.data, [entry.manager for entry in now.metadata.managedFields]) == ({"k": "w"}, ["sampan"])
            await whole.close()
            await trimmed.close()

    waiting.run(test())


def test_custom_objects_are_trimmed_too() -> None:
    line = b'{"type":"ADDED","object":{"kind":"Widget","metadata":{"name":"w","resourceVersion":"8","managedFields":[{"manager":"m"}]}}}'
    assert event_of(WIDGETS, line, trim=True).object["metadata"] == {"name": "w", "resourceVersion": "8"}
    assert listing(WIDGETS, b'{"items":[{}]}', trim=True).items == [{"kind": "Widget", "apiVersion": "example.com/v1"}]
