"""A client that follows its kubeconfig, over TLS on loopback."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.aio.clock import VirtualClock
from sampan.api.resources import CONFIG_MAPS
from sampan.client import kubeconfig
from sampan.client.kubeconfig import Access
from sampan.client.remote import RemoteClient
from sampan.client.renewal import Follower
from sampan.testing.client import config_map
from sampan.testing.https import serving


def test_a_client_uses_what_its_file_says_from_then_on_and_its_watches_go_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving() as access:
            # given a client that may do everything, with a watch
            path = tmp_path / "kubeconfig"
            kubeconfig.write(path, kubeconfig.build("c", access))
            client = RemoteClient(kubeconfig.read(path))
            follower = Follower(client, path, VirtualClock())
            assert not await follower.look()
            watch = client.watch(CONFIG_MAPS, "default", since=(await client.list(CONFIG_MAPS, "default")).revision)
            waiting = asyncio.ensure_future(anext(watch))  # noqa: TID251 - awaited below
            await client.list(CONFIG_MAPS, "default")
            # when the file says that it is nobody in particular
            kubeconfig.write(path, kubeconfig.build("c", replace(access, client_certificate=b"", client_key=b"")))
            assert await follower.look()
            # then the next request is nobody's
            assert (await client.raw("GET", "/api/v1/namespaces/default/configmaps")).code == 403
            # and when it is somebody's again, what was being watched is told on the old connection
            kubeconfig.write(path, kubeconfig.build("c", access))
            other = RemoteClient(access)
            await other.create(CONFIG_MAPS, config_map("a", k="v"))
            assert (await waiting).object.metadata.name == "a"
            assert await follower.look()
            assert (await client.get(CONFIG_MAPS, "a", "default")).data == {"k": "v"}
            await watch.aclose()  # type: ignore[attr-defined]
            await other.close()
            await client.close()

    asyncio.run(test())


def test_a_file_that_refers_to_others_is_followed_there(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "token").write_text("one")
        path = tmp_path / "kubeconfig"
        path.write_text("clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority: ca.crt}}]\n"
                        "contexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n")
        async with serving() as access:
            (tmp_path / "ca.crt").write_bytes(access.ca)
            client = RemoteClient(kubeconfig.read(path))
            follower = Follower(client, path, VirtualClock())
            assert not await follower.look()
            (tmp_path / "ca.crt").write_bytes(access.ca * 2)
            assert await follower.look()
            assert client.access.ca == access.ca * 2
            await client.close()

    asyncio.run(test())


def test_a_file_that_breaks_is_told_once_and_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        path = tmp_path / "kubeconfig"
        access = Access("https://127.0.0.1:1", insecure=True)
        kubeconfig.write(path, kubeconfig.build("c", access))
        client = RemoteClient(access)
        follower = Follower(client, path, VirtualClock())
        for text in ("{", "[", "- x"):
            path.write_text(text)
            assert not await follower.look()
        assert client.access == access
        path.unlink()
        assert not await follower.look()
        await client.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(test())
    assert len(caplog.records) == 1
