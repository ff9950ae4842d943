"""Bytes in, bytes out: bounds, compression, what a client sees when something breaks."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from sampan.api import codec
from sampan.apiserver.asgi import GZIP_FROM_BYTES, LARGEST_BODY_BYTES, App
from sampan.apiserver.handlers.base import Body
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Pieces, Tunnel
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS


async def ask(server: RunningServer, method: str, path: str, body: bytes = b"", *, pieces: int = 1,
              headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """As a network server would call the application, but as a trusted user through a token-less pipeline."""
    size = max(1, -(-len(body) // pieces))
    parts = [body[at:at + size] for at in range(0, len(body), size)] or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(dict(message))

    raw = [(key.lower().encode(), value.encode()) for key, value in (headers or {}).items()]
    target, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": target, "query_string": query.encode(), "headers": raw, "client": ("127.0.0.1", 1)}
    await server.app(scope, receive, send)
    start = sent[0]
    found = {key.decode(): value.decode() for key, value in start["headers"]}
    return start["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def run(test: Callable[[RunningServer], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), running_server() as server:
            await test(server)

    asyncio.run(whole())


TOKEN = {"authorization": "Bearer secret"}
MAPS = "/api/v1/namespaces/default/configmaps"


def with_token(test: Callable[[RunningServer], Awaitable[None]]) -> None:
    """The same with a static token, so that requests come in as from the network."""
    from dataclasses import replace

    from sampan.apiserver.request import ADMIN
    from sampan.testing.server import LEAN

    async def whole() -> None:
        settings = replace(LEAN, users={"secret": ADMIN})
        async with asyncio.timeout(PATIENCE_SECONDS), running_server(settings=settings) as server:
            await test(server)

    asyncio.run(whole())


def test_a_body_of_several_pieces_is_read_whole() -> None:
    async def test(server: RunningServer) -> None:
        body = codec.encode({"metadata": {"name": "a"}, "data": {"k": "x" * 100_000}})
        assert (await ask(server, "POST", MAPS, body, pieces=7, headers=TOKEN))[0] == 201

    with_token(test)


def test_bodies_over_three_mebibytes_are_refused_however_they_come() -> None:
    async def test(server: RunningServer) -> None:
        big = b"x" * (LARGEST_BODY_BYTES + 1)
        for headers in (TOKEN, TOKEN | {"content-length": str(len(big))}):
            code, _, body = await ask(server, "POST", MAPS, big, pieces=3, headers=headers)
            assert (code, codec.loads(body)["reason"]) == (413, "RequestEntityTooLarge")
        bomb = gzip.compress(big)
        assert (await ask(server, "POST", MAPS, bomb, headers=TOKEN | {"content-encoding": "gzip"}))[0] == 413

    with_token(test)


def test_large_answers_are_compressed_for_who_wants_it() -> None:
    async def test(server: RunningServer) -> None:
        body = codec.encode({"metadata": {"name": "a"}, "data": {"k": "x" * (GZIP_FROM_BYTES + 1)}})
        await ask(server, "POST", MAPS, body, headers=TOKEN)
        _, headers, packed = await ask(server, "GET", f"{MAPS}/a", headers=TOKEN | {"accept-encoding": "gzip, deflate"})
        _, plain_headers, plain = await ask(server, "GET", f"{MAPS}/a", headers=TOKEN)
        assert (headers["content-encoding"], gzip.decompress(packed)) == ("gzip", plain)
        assert "content-encoding" not in plain_headers

    with_token(test)


def test_strangers_are_401_and_nobody_is_anonymous() -> None:
    async def test(server: RunningServer) -> None:
        assert (await ask(server, "GET", MAPS, headers={"authorization": "Bearer wrong"}))[0] == 401
        code, _, body = await ask(server, "GET", MAPS)
        assert (code, "system:anonymous" in codec.loads(body)["message"]) == (403, True)

    with_token(test)


def test_an_unexpected_error_is_a_status_without_details_and_logged(caplog: Any) -> None:
    async def test(server: RunningServer) -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError("the secret reason")

        server.server.app.pipeline._handlers = {"list": broken}  # type: ignore[union-attr,dict-item]
        code, _, body = await ask(server, "GET", MAPS, headers=TOKEN)
        assert (code, codec.loads(body)["reason"]) == (500, "InternalError")
        assert b"secret reason" not in body

    with_token(test)
    assert "the secret reason" in caplog.text


def test_head_has_no_body_and_objects_have_no_head() -> None:
    async def test(server: RunningServer) -> None:
        assert (await ask(server, "HEAD", "/version", headers=TOKEN))[2] == b""
        assert (await ask(server, "HEAD", f"{MAPS}/a", headers=TOKEN))[0] == 405

    with_token(test)


def test_a_watch_ends_when_its_client_leaves() -> None:
    async def test(server: RunningServer) -> None:
        leave, first = asyncio.Event(), asyncio.Event()
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in asked:
                return message
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                first.set()

        scope = {"type": "http", "method": "GET", "path": "/api/v1/namespaces", "query_string": b"watch=1",
                 "headers": [(b"authorization", b"Bearer secret")], "client": None}
        answering = asyncio.get_running_loop().create_task(server.app(scope, receive, send))
        await first.wait()
        leave.set()
        await answering

    with_token(test)


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_answer_ends_when_its_client_leaves(*, packed: bool) -> None:
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield b"x" * 100_000

    class Always:
        async def handle(self, info: RequestInfo, body: Body) -> Answer:
            return Answer(200, Pieces(pieces))

    async def test() -> None:
        # given an answer of a hundred megabytes, and a client that leaves when it has the first
        sent: list[int] = []
        leave = asyncio.Event()

        async def receive() -> Any:
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(len(message.get("body", b"")))
            if sum(sent) > (1_000 if packed else 1_000_000):
                leave.set()

        scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "client": None,
                 "headers": [(b"accept-encoding", b"gzip")] if packed else []}
        # when
        await App(Always())(scope, receive, send)
        # then little more was made, and nothing says that it was all
        assert 1 < len(made) < 200
        assert sent[-1] > 0

    asyncio.run(test())


def test_half_an_upgrade_is_refused() -> None:
    ended: list[bool] = []

    class Joins:
        async def handle(self, info: RequestInfo, body: Body) -> Tunnel:
            return Tunnel("wss://node/exec", {}, trusted=True, ended=lambda: ended.append(True))

    async def test() -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        # when a plain HTTP request has the header, and nothing has made a WebSocket of it
        scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "client": None, "headers": [(b"upgrade", b"websocket")]}
        await App(Joins())(scope, receive, send)
        # then it is answered, and what was kept for the tunnel is given back
        assert sent[0]["status"] == 400
        assert codec.loads(sent[1]["body"])["message"] == "Upgrade request required"
        assert ended == [True]

    asyncio.run(test())


def test_the_in_process_extension_cannot_come_from_a_header() -> None:
    async def test(server: RunningServer) -> None:
        code, _, _ = await ask(server, "GET", MAPS, headers={"sampan": "admin", "x-remote-user": "admin", "x-remote-group": "system:masters"})
        assert code == 403

    run(test)


def test_a_long_list_comes_packed_in_pieces() -> None:
    async def check(server: RunningServer) -> None:
        # given more objects than are rendered in one turn of the loop
        for number in range(60):
            body = codec.encode({"metadata": {"name": f"m{number:04}"}, "data": {"text": "x" * 10_000}})
            code, _, answer = await ask(server, "POST", MAPS, body, headers=TOKEN)
            assert code == 201, answer
        _, plain_headers, plain = await ask(server, "GET", MAPS, headers=TOKEN)
        # when
        code, headers, packed = await ask(server, "GET", MAPS, headers={**TOKEN, "accept-encoding": "gzip"})
        # then
        assert (code, headers["content-encoding"]) == (200, "gzip")
        assert "content-length" not in headers | plain_headers  # it is not known before the last piece
        assert gzip.decompress(packed) == plain
        assert len(codec.loads(plain)["items"]) == 60

    with_token(check)
