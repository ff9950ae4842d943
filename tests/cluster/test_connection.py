"""One connection may hold so much for so long, and a bad one hurts nobody else. Real sockets, real TLS."""

from __future__ import annotations

import asyncio
import gc
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.client.kubeconfig import Access
from sampan.client.tls import tls_context
from sampan.cluster.connection import RESERVED_FILES, Cycle, Limits, raise_file_limit
from sampan.testing.https import served
from sampan.testing.server import RunningServer
from sampan.testing.waiting import PATIENCE_SECONDS, until

GENEROUS = Limits()
HASTY = Limits(head_seconds=2.0, unread_seconds=1.0)  # far above what a slow machine takes for a turn
LINE = b"GET /version HTTP/1.1\r\nHost: localhost\r\n"
MAPS = b"/api/v1/namespaces/default/configmaps"


class World:
    """A server and sockets to it."""

    def __init__(self, running: RunningServer, access: Access) -> None:
        self.running, self.address = running, access.server.removeprefix("https://").split(":")
        self._tls = tls_context(access)

    @asynccontextmanager
    async def connected(self, tls: ssl.SSLContext | bool = True) -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection(
            self.address[0], int(self.address[1]), ssl=(self._tls if tls is True else tls) or None, limit=1 << 12)
        try:
            yield Line(reader, writer)
        finally:
            writer.transport.abort()


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def code(self) -> int:
        """Of the next answer, whose body is read away."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        self.body = await self.reader.readexactly(length)
        return int(head.split()[1])

    async def ended(self) -> bytes:
        """Everything until the server closes."""
        try:
            return await self.reader.read(-1)
        except (ConnectionError, ssl.SSLError):
            return b""


def run(test: Callable[[World], Awaitable[None]], limits: Limits = GENEROUS) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), served(limits=limits) as (running, access):
            world = World(running, access)
            await test(world)
            # then, whatever happened, others are served
            async with world.connected() as line:
                line.send(LINE + b"\r\n")
                assert await line.code() == 200

    asyncio.run(whole())


def test_a_head_that_does_not_come_ends_the_connection() -> None:
    async def test(world: World) -> None:
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(world.connected()) for _ in range(5)]
            for line, start in zip(lines, (b"", b"G", LINE, LINE + b"X-Long: ", b"\r\n"), strict=True):
                line.send(start)
            for line in lines:
                assert await line.ended() == b""

    run(test, HASTY)


def test_a_head_that_dribbles_is_not_given_more_time_for_each_byte() -> None:
    async def test(world: World) -> None:
        async with world.connected() as line, Tasks() as tasks:
            line.send(LINE)
            ended = tasks.start(line.ended(), "end")
            sent = 0
            while not ended.done() and sent < 1000:
                line.send(b"X: y\r\n")
                sent += 1
                await asyncio.wait({ended}, timeout=0.02)
            assert 0 < sent < 1000

    run(test, HASTY)


def test_blank_lines_after_an_answer_keep_no_connection_alive() -> None:
    async def test(world: World) -> None:
        async with world.connected() as line:
            line.send(LINE + b"\r\n")
            assert await line.code() == 200
            line.send(b"\r\n")
            assert await line.ended() == b""

    run(test, HASTY)


def test_an_idle_connection_is_closed_and_one_that_is_used_again_and_again_is_not() -> None:
    async def test(world: World) -> None:
        async with world.connected() as idle, world.connected() as used, Tasks() as tasks:
            idle.send(LINE + b"\r\n")
            assert await idle.code() == 200
            ended = tasks.start(idle.ended(), "end")
            # when the other has been used all the time
            while not ended.done():
                used.send(LINE + b"\r\n")
                assert await used.code() == 200
                await asyncio.wait({ended}, timeout=0.05)
            # then it still answers, and is closed once it is idle
            used.send(LINE + b"\r\n")
            assert await used.code() == 200
            assert (await ended, await used.ended()) == (b"", b"")

    run(test, replace(GENEROUS, idle_seconds=1))


def test_a_request_that_takes_long_is_not_cut_by_the_deadline_of_heads() -> None:
    async def test(world: World) -> None:
        async with world.connected() as line:
            line.send(b"GET " + MAPS + b"?watch=true&timeoutSeconds=3&resourceVersion=0 HTTP/1.1\r\nHost: l\r\n\r\n")
            assert (await line.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert (await line.reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
            # and the connection is good for another request
            line.send(LINE + b"\r\n")
            assert await line.code() == 200

    run(test, HASTY)


@pytest.mark.parametrize("head", [
    b"GET /version?" + b"x" * (2 << 20), LINE + b"X-Large: " + b"x" * (2 << 20), LINE + b"X: y\r\n" * (400_000),
], ids=["long url", "large header", "many headers"])
def test_a_head_that_is_too_large_is_a_431(head: bytes) -> None:
    async def test(world: World) -> None:
        async with world.connected() as line:
            line.send(head)
            assert await line.code() == 431

    run(test)


def test_a_head_of_a_mebibyte_is_taken() -> None:
    async def test(world: World) -> None:
        async with world.connected() as line:
            line.send(LINE + b"X-Large: " + b"x" * 1_000_000 + b"\r\n\r\n")
            assert await line.code() == 200

    run(test)


SMUGGLED = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"Content-Length: +5\r\n\r\nabcde",
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: 99999999999999999999999\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    b"X: a\r\n b\r\n\r\n",
    b"X: a\x00b\r\n\r\n",
    b"X\r\n\r\n",
    b": empty\r\n\r\n",
]


def test_a_request_that_two_servers_could_read_in_two_ways_is_refused() -> None:
    async def test(world: World) -> None:
        for rest in SMUGGLED:
            async with world.connected() as line:
                line.send(b"POST " + MAPS + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + rest)
                assert (rest, await line.code()) == (rest, 400)
                assert await line.ended() == b"", "what follows must not be read as another request"

    run(test)


NOT_HTTP = [b"\x16\x03\x01 hello", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"G\x00T / HTTP/1.1\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\n\r\n", b"\x00" * 100]


def test_what_is_not_http_is_a_400() -> None:
    async def test(world: World) -> None:
        for text in NOT_HTTP:
            async with world.connected() as line:
                line.send(text)
                assert (text, await line.code()) == (text, 400)

    run(test)


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def test(world: World) -> None:
        async with world.connected() as line:
            made = [codec.encode({"metadata": {"name": f"p{number}"}}) for number in range(50)]
            for body in made:
                line.send(b"POST %b HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (MAPS, len(body), body))
            names = []
            for _ in made:
                assert await line.code() == 201
                names.append(codec.loads(line.body)["metadata"]["name"])
            assert names == [f"p{number}" for number in range(50)]

    run(test)


def test_a_body_that_does_not_come_is_a_504_and_the_connection_ends() -> None:
    async def test(world: World) -> None:
        world.running.app.body_seconds = 0.1
        async with world.connected() as line:
            line.send(b"POST " + MAPS + b" HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
            assert await line.code() == 504
            assert codec.loads(line.body)["message"] == "Timeout: request did not complete within the allotted timeout"
            assert await line.ended() == b""

    run(test)


def test_a_deletion_whose_conditions_never_came_is_not_done() -> None:
    async def test(world: World) -> None:
        client = world.running.client
        path = MAPS.decode() + "/kept"
        assert (await client.raw("POST", MAPS.decode(), body=b'{"metadata":{"name":"kept"}}')).code == 201
        async with world.connected() as line:
            line.send(b"DELETE " + path.encode() + b" HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n")
            await line.writer.drain()
        async with world.connected() as line:  # one request later the server has seen that the other has left
            line.send(LINE + b"\r\n")
            assert await line.code() == 200
        assert (await client.raw("GET", path)).code == 200

    run(test)


def test_half_a_handshake_disturbs_nobody() -> None:
    async def test(world: World) -> None:
        async with world.connected(tls=False) as silent, world.connected(tls=False) as babbling:
            silent.send(b"\x16\x03\x01\x02\x00\x01\x00")  # the start of a ClientHello
            babbling.send(b"GET / HTTP/1.1\r\n\r\n")
            assert not (await babbling.ended()).startswith(b"HTTP")

    run(test)


def test_too_many_connections_are_told_to_come_back() -> None:
    async def test(world: World) -> None:
        async with world.connected() as first, world.connected() as second:
            for line in (first, second):
                line.send(LINE + b"\r\n")
                assert await line.code() == 200
            async with world.connected() as third:
                assert await third.code() == 503
            # those that were there before go on
            first.send(LINE + b"\r\n")
            assert await first.code() == 200

    run(test, replace(GENEROUS, connections=2))


def test_a_watch_that_nobody_reads_is_cut_while_others_go_on() -> None:
    async def test(world: World) -> None:
        async with world.connected() as stuck:
            stuck.send(b"GET " + MAPS + b"?watch=true&resourceVersion=0 HTTP/1.1\r\nHost: l\r\n\r\n")
            await stuck.reader.readuntil(b"\r\n\r\n")
            # when it gets far more than fits into the sockets, and does not read
            async with world.connected() as writer:
                for number in range(30):
                    body = codec.encode({"metadata": {"name": f"big{number}"}, "data": {"k": "x" * 900_000}})
                    writer.send(b"POST %b HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                                % (MAPS, len(body), body))
                    assert await writer.code() == 201
                # and nobody reads for longer than that is allowed
                loop = asyncio.get_running_loop()
                end = loop.time() + 2 * HASTY.unread_seconds
                while loop.time() < end:
                    writer.send(LINE + b"\r\n")
                    assert await writer.code() == 200
            # then the server ends the connection: what was on the way comes, and no end of the stream
            received = await stuck.ended()
            assert not received.endswith(b"0\r\n\r\n")

    run(test, HASTY)


def test_connections_that_end_leave_nothing_to_the_collector() -> None:
    def cycles() -> int:
        return sum(isinstance(one, Cycle) for one in gc.get_objects())

    async def test(world: World) -> None:
        gc.collect()
        before = cycles()
        gc.disable()  # what is freed now is freed by its last reference
        try:
            for _ in range(5):
                async with world.connected() as line:
                    line.send(LINE + b"\r\n")
                    assert await line.code() == 200
                    line.send(b"GET " + MAPS + b"?watch=true&resourceVersion=0 HTTP/1.1\r\nHost: l\r\n\r\n")
                    await line.reader.readuntil(b"\r\n\r\n")
            await until(lambda: cycles() <= before, "the end of what belonged to the connections")
        finally:
            gc.enable()

    run(test)


def test_as_many_files_are_opened_as_the_process_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
        connections = raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
        assert connections == max(before[1] - RESERVED_FILES, RESERVED_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
