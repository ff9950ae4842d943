"""Watches over WebSockets: a message an event, in the protocol that is offered, refusals as HTTP answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType

from api_asking import MAPS, Asker, config_map
from sampan.testing.https import served
from sampan.testing.server import LEAN
from sampan.testing.waiting import PATIENCE_SECONDS

Check = Callable[[Asker, aiohttp.ClientSession, str], Awaitable[None]]
PROTOBUF = "application/vnd.kubernetes.protobuf;stream=watch"


def with_socket(check: Check) -> None:
    """Run a check on a server over TLS and a session that is its administrator's."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), served(settings=LEAN) as (running, access):
            context = ssl.create_default_context(cadata=access.ca.decode())
            with tempfile.TemporaryDirectory(prefix="sampan-test-") as folder:
                pair = Path(folder) / "pair.pem"
                pair.touch(mode=0o600)
                pair.write_bytes(access.client_certificate + b"\n" + access.client_key)
                context.load_cert_chain(pair)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
                await check(Asker(running), session, access.server.replace("https", "wss"))

    asyncio.run(run())


def test_each_event_is_a_text_message() -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        await asker.must("POST", MAPS, config_map("a", text="two\u2028lines\u0085"))
        async with session.ws_connect(f"{address}{MAPS}?watch=1") as socket:
            message = await socket.receive()
            event = json.loads(message.data)
            assert (message.type, event["type"], event["object"]["data"]) == (WSMsgType.TEXT, "ADDED", {"text": "two\u2028lines\u0085"})
            await asker.must("POST", MAPS, config_map("b"))
            await asker.ask("DELETE", f"{MAPS}/a")
            events = [json.loads((await socket.receive()).data) for _ in range(2)]
            assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "b"), ("DELETED", "a")]
            assert socket.protocol is None

    with_socket(check)


def test_a_watch_ends_with_its_timeout_and_errors_are_events() -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        async with session.ws_connect(f"{address}{MAPS}?watch=1&resourceVersion=1&timeoutSeconds=1") as socket:
            found = [message async for message in socket]
            assert [json.loads(message.data)["type"] for message in found] in ([], ["ERROR"])
            assert socket.close_code == 1000

    with_socket(check)


@pytest.mark.parametrize(("offered", "chosen"), [
    (("anything",), "anything"), (("base64url.bearer.authorization.k8s.io.eA", "v1.k8s.io"), "v1.k8s.io"), ((), None)])
def test_the_protocol_that_is_offered_is_spoken_and_a_token_is_none(offered: tuple[str, ...], chosen: str | None) -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        await asker.must("POST", MAPS, config_map("a"))
        async with session.ws_connect(f"{address}{MAPS}?watch=1", protocols=offered) as socket:
            assert socket.protocol == chosen
            assert json.loads((await socket.receive()).data)["type"] == "ADDED"

    with_socket(check)


def test_protobuf_comes_in_binary_messages_without_lengths() -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        for name in ("a", "b"):
            await asker.must("POST", MAPS, config_map(name))
        async with session.ws_connect(f"{address}{MAPS}?watch=1", headers={"Accept": PROTOBUF}) as socket:
            for name in (b"a", b"b"):
                message = await socket.receive()
                assert message.type is WSMsgType.BINARY
                assert message.data.startswith(b"\x0a\x05ADDED\x12")
                assert b"k8s\x00" in message.data
                assert b"\x0a\x01" + name in message.data

    with_socket(check)


@pytest.mark.parametrize(("path", "code"), [
    ("/api/v1/namespaces/default/nothings?watch=1", 404), (f"{MAPS}?watch=1&resourceVersion=x", 500),
    (f"{MAPS}?watch=1&labelSelector=%21%21", 400), (MAPS, 200)])
def test_what_is_no_watch_is_answered_as_ever(path: str, code: int) -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with session.ws_connect(address + path):
                pass
        assert caught.value.status == code

    with_socket(check)


def test_who_leaves_ends_the_watch() -> None:
    async def check(asker: Asker, session: aiohttp.ClientSession, address: str) -> None:
        from sampan.api.resources import CONFIG_MAPS

        cache = asker.server.server.caches.of(CONFIG_MAPS)
        before = cache.watchers
        async with session.ws_connect(f"{address}{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"):
            while cache.watchers == before:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.005)
        while cache.watchers != before:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    with_socket(check)
