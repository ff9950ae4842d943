"""Connections against a loopback server that answers what each test tells it to, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from client.loops import on_every_loop
from sampan.aio.tasks import Tasks
from sampan.client.connections import MOST_AT_ONCE, Broken, Connections
from sampan.testing.waiting import PATIENCE_SECONDS, until

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: plain\r\n\r\nok"
Script = Callable[[int, int, bytes], bytes | None]
"""(number of the connection, number of the request on it, its bytes) → what is answered; None: the connection ends."""


class Server:
    """What it saw: (number of the connection, bytes of the request)."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.seen: list[tuple[int, bytes]] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, asked = self.connections, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
                request = head + await reader.readexactly(length)
                self.seen.append((number, request))
                asked += 1
                answer = self._script(number, asked, request)
                if answer is None:
                    return
                writer.write(answer)
                if b"close" in answer.lower() or answer.endswith(b"the end"):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[tuple[Server, Connections]]:
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    connections = Connections(f"http://127.0.0.1:{server.port}/base/", ssl.create_default_context())
    try:
        yield server, connections
    finally:
        connections.close()
        listener.close()


def run(script: Script, test: Callable[[Server, Connections], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with served(script) as (server, connections):
            await test(server, connections)

    on_every_loop(whole)


async def get(connections: Connections, target: str = "/x", method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    answer = await connections.ask(method, target, {"Accept": "application/json"}, body, PATIENCE_SECONDS)
    return answer.code, answer.body


def test_requests_one_after_the_other_share_a_connection_and_those_at_once_do_not() -> None:
    async def test(server: Server, connections: Connections) -> None:
        # when
        await get(connections)
        answer = await connections.ask("POST", "/y?z=1", {"Accept": "a/b"}, b"body", PATIENCE_SECONDS)
        await asyncio.gather(get(connections), get(connections))
        # then
        assert [number for number, _ in server.seen] == [1, 1, 1, 2]
        assert server.seen[0][1] == f"GET /base/x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept: application/json\r\n\r\n".encode()
        assert server.seen[1][1] == f"POST /base/y?z=1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept: a/b\r\nContent-Length: 4\r\n\r\nbody".encode()
        assert (answer.code, answer.headers["x-kind"], answer.body) == (200, "plain", b"ok")

    run(lambda *_: PLAIN, test)


def test_more_requests_than_connections_wait_their_turn() -> None:
    async def test(server: Server, connections: Connections) -> None:
        count = 5 * MOST_AT_ONCE
        assert await asyncio.gather(*(get(connections) for _ in range(count))) == [(200, b"ok")] * count
        assert len(server.seen) == count
        assert server.connections <= MOST_AT_ONCE

    run(lambda *_: PLAIN, test)


@pytest.mark.parametrize(("said", "method", "expected"), [
    (b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "GET", (404, b"abcde")),
    (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", "DELETE", (204, b"")),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n!", "POST", (201, b"!")),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", "HEAD", (200, b"")),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "GET", (200, b"until the end")),
    (b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbye", "GET", (503, b"bye")),
])
def test_answers_are_read_to_their_end_whatever_says_where_that_is(said: bytes, method: str, expected: tuple[int, bytes]) -> None:
    async def test(server: Server, connections: Connections) -> None:
        # when it is asked twice
        first, second = await get(connections, method=method), await get(connections, method=method)
        # then
        assert first == second == expected

    run(lambda *_: said, test)


def test_a_kept_connection_that_has_ended_is_tried_anew_only_where_that_does_no_harm() -> None:
    # given a server that ends each connection when it gets a second request on it
    def script(number: int, asked: int, request: bytes) -> bytes | None:
        return PLAIN if asked == 1 else None

    async def test(server: Server, connections: Connections) -> None:
        await get(connections)
        # when / then: asked again on a new one
        assert await get(connections) == (200, b"ok")
        assert server.connections == 2
        # when / then: a second POST could be a second object
        with pytest.raises(Broken, match="the server closed the connection"):
            await get(connections, method="POST", body=b"{}")
        assert server.connections == 2
        # when / then: a new connection that ends is no reason to go on
        assert await get(connections, method="POST", body=b"{}") == (200, b"ok")

    run(script, test)


def test_a_connection_that_ends_within_an_answer_gives_no_answer() -> None:
    async def test(server: Server, connections: Connections) -> None:
        with pytest.raises(Broken):
            await get(connections)
        assert server.connections == 1

    run(lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthis is not the end", test)


def test_what_is_no_http_is_said_to_be_none() -> None:
    async def test(server: Server, connections: Connections) -> None:
        with pytest.raises(Broken, match="malformed HTTP response"):
            await get(connections)

    run(lambda *_: b"SSH-2.0-OpenSSH_9.2\r\n\r\nthe end", test)


def test_a_request_that_nobody_waits_for_any_more_takes_its_connection_along() -> None:
    # given a server that does not answer the first request
    def script(number: int, asked: int, request: bytes) -> bytes | None:
        return b"" if number == 1 else PLAIN

    async def test(server: Server, connections: Connections) -> None:
        async with Tasks() as tasks:
            asking = tasks.start(get(connections, "/slow"), "slow")
            await until(lambda: server.seen, "the server has the request")
            asking.cancel()
        # when / then: nobody gets the answer of another request
        assert await get(connections) == (200, b"ok")
        assert [number for number, _ in server.seen] == [1, 2]

    run(script, test)


def test_a_server_that_does_not_answer_in_time_loses_the_connection_whatever_time_the_request_before_had() -> None:
    # given a server that answers the first request on each connection, and of the second only a part
    async def test(server: Server, connections: Connections) -> None:
        await get(connections)
        # when the next has less time, and the one after that is the first of its connection again
        with pytest.raises(TimeoutError):
            await connections.ask("GET", "/late", {}, b"", 0.05)
        assert await get(connections) == (200, b"ok")
        # then the timer that was set first lets a request be that came later
        with pytest.raises(TimeoutError):
            await connections.ask("POST", "/late", {}, b"x", 0.05)
        assert [number for number, _ in server.seen] == [1, 1, 2, 2]

    run(lambda number, asked, request: PLAIN if asked == 1 else PLAIN[:20], test)


def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    # given a server that answers the first request twice
    def script(number: int, asked: int, request: bytes) -> bytes | None:
        return PLAIN + PLAIN.replace(b"ok", b"no") if number == 1 else PLAIN

    async def test(server: Server, connections: Connections) -> None:
        assert await get(connections) == (200, b"ok")
        assert await get(connections) == (200, b"ok")

    run(script, test)


def test_connections_that_are_closed_are_not_used_again_but_what_is_under_way_ends() -> None:
    async def test(server: Server, connections: Connections) -> None:
        await get(connections)
        # when
        under_way = asyncio.ensure_future(get(connections))  # noqa: TID251
        await asyncio.sleep(0)
        connections.close()
        # then
        assert await under_way == (200, b"ok")
        await get(connections)
        assert [number for number, _ in server.seen] == [1, 1, 2]

    run(lambda *_: PLAIN, test)


@pytest.mark.parametrize(("target", "headers"), [
    ("/a\r\nX: y", {}), ("/a b", {}), ("/a", {"Impersonate-User": "me\r\nImpersonate-Group: system:masters"}),
])
def test_a_line_break_makes_no_second_header(target: str, headers: dict[str, str]) -> None:
    async def test(server: Server, connections: Connections) -> None:
        with pytest.raises(ValueError, match="one line each"):
            await connections.ask("GET", target, headers, b"", 10)
        assert server.seen == []

    run(lambda *_: PLAIN, test)
