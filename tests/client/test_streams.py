"""Streams against a loopback server that says what each test tells it to, bit by bit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest

from client.loops import on_every_loop
from sampan.client.connections import Connections
from sampan.client.streams import MOST_HELD_BYTES, MOST_REFUSAL_BYTES, Broken, Stream
from sampan.testing.waiting import PATIENCE_SECONDS, until

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def run(talk: Talk, test: Callable[[Connections], Awaitable[None]]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def whole() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        connections = Connections(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", ssl.create_default_context())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await test(connections)
        connections.close()
        listener.close()

    on_every_loop(whole)


def says(*pieces: bytes, hangs: bool = False) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if hangs:
            await reader.read()

    return talk


async def asked(connections: Connections) -> Stream:
    return await connections.stream("/watch", {"Accept": "*/*"})


def test_pieces_come_as_they_are_said_until_the_end() -> None:
    going_on: asyncio.Event

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"one\n"))
        await going_on.wait()
        writer.write(chunk(b"two\n") + END)

    async def test(connections: Connections) -> None:
        nonlocal going_on
        going_on = asyncio.Event()
        stream = await asked(connections)
        assert stream.code == 200
        assert await anext(stream) == b"one\n"
        going_on.set()
        assert [piece async for piece in stream] == [b"two\n"]

    run(talk, test)


@pytest.mark.parametrize(("said", "before"), [
    (b"", True), (b"HTTP/1.1 200 OK\r\nTransfer-", True), (HEAD, False), (HEAD + b"5\r\nab", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", False), (b"not at all\r\n\r\n", True), (HEAD + b"zz\r\n", False),
])
def test_an_end_before_the_end_is_an_error(said: bytes, *, before: bool) -> None:
    async def test(connections: Connections) -> None:
        with pytest.raises(Broken) as caught:
            async for _ in await asked(connections):
                pass
        assert caught.value.unanswered == before

    run(says(said), test)


def test_without_a_length_the_end_of_the_connection_is_the_end() -> None:
    async def test(connections: Connections) -> None:
        assert b"".join([piece async for piece in await asked(connections)]) == b"all"

    run(says(b"HTTP/1.1 200 OK\r\n\r\nall"), test)


def test_what_comes_before_the_answer_is_not_the_answer() -> None:
    async def test(connections: Connections) -> None:
        stream = await asked(connections)
        assert stream.code == 403
        assert await stream.refusal() == b"no"

    run(says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), test)


def test_a_refusal_is_read_as_far_as_it_may_be_long() -> None:
    async def test(connections: Connections) -> None:
        stream = await asked(connections)
        assert len(await stream.refusal()) == MOST_REFUSAL_BYTES

    run(says(b"HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk(b"x" * (1 << 18))] * 8, hangs=True), test)


def test_who_reads_nothing_holds_the_server_back() -> None:
    sent = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for _ in range(1000):
            writer.write(chunk(b"x" * (1 << 16)))
            await writer.drain()
            sent += 1 << 16
        writer.write(END)

    async def test(connections: Connections) -> None:
        nonlocal sent
        sent = 0
        stream = await asked(connections)
        # given a reader that takes nothing: the connection is paused
        await until(lambda: stream._paused, "it is not read")
        assert stream._held < MOST_HELD_BYTES + (1 << 20)
        # when it reads, then nothing is missing
        assert sum([len(piece) async for piece in stream]) == 1000 << 16 == sent

    run(talk, test)


def test_closing_ends_whoever_waits() -> None:
    async def test(connections: Connections) -> None:
        stream = await asked(connections)
        stream.close()
        assert [piece async for piece in stream] == []

    run(says(HEAD, hangs=True), test)


def test_nobody_to_talk_to_is_an_error() -> None:
    async def test(connections: Connections) -> None:
        nobody = Connections("http://127.0.0.1:1", ssl.create_default_context())
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asked(nobody)

    run(says(HEAD), test)
