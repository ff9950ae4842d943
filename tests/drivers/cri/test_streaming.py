"""Exec and port-forward, against a stream server that speaks SPDY as runtimes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sampan.drivers.cri.streaming import ERROR, PORT_FORWARD, STDOUT, PortForward, RemoteCommand, StreamRefused, connect
from sampan.drivers.spdy.session import Session, SocketTransport, Stream
from sampan.testing import waiting

Serve = Callable[[dict[str, Stream], Session], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, expected: int, answer: str = "101 Switching Protocols") -> AsyncIterator[str]:
    """A stream server that collects `expected` streams by type and then serves."""
    asked: list[str] = []
    ended = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {answer}\r\nConnection: Upgrade\r\n\r\nno such thing".encode() if "101" not in answer
                     else f"HTTP/1.1 {answer}\r\nConnection: Upgrade\r\n\r\n".encode())
        if "101" not in answer:
            await SocketTransport(reader, writer).close()
            ended.set()
            return
        streams: dict[str, Stream] = {}

        async def opened(stream: Stream) -> None:
            streams[stream.headers["streamtype"]] = stream
            if len(streams) == expected:
                await serve(streams, session)
        session = Session(SocketTransport(reader, writer), client=False, on_open=opened)
        await session.closed.wait()
        await session.close()
        ended.set()
    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/exec/token?x=1"
    if asked:
        assert asked[0].startswith("POST /exec/token?x=1 HTTP/1.1\r\n")
        assert "Upgrade: SPDY/3.1\r\n" in asked[0]
    await ended.wait()
    listener.close()


def test_output_comes_before_the_status_and_the_end() -> None:
    async def serve(streams: dict[str, Stream], _session: Session) -> None:
        while data := await streams["stdin"].read():
            await streams["stdout"].write(data.upper())
        await streams["stdout"].close_write()
        await streams["error"].write(b'{"status":"Success"}')
        await streams["error"].reset()

    async def body() -> None:
        async with server(serve, expected=3) as url:
            command = await RemoteCommand.open(url, stdin=True, stdout=True, stderr=False, tty=False)
            await command.send(b"hello")
            assert await command.receive() == (STDOUT, b"HELLO")
            await command.close_stdin()
            assert await command.receive() == (ERROR, b'{"status":"Success"}')
            assert await command.receive() is None
            await command.close()
    waiting.run(body())


def test_a_lost_connection_is_an_empty_status() -> None:
    async def serve(_streams: dict[str, Stream], session: Session) -> None:
        session._tasks.start(session.close(), "close", keep_going=True)

    async def body() -> None:
        async with server(serve, expected=2) as url:
            command = await RemoteCommand.open(url, stdin=False, stdout=True, stderr=False, tty=False)
            assert await command.receive() == (ERROR, b"")
            assert await command.receive() is None
            await command.close()
    waiting.run(body())


def test_a_terminal_has_a_resize_stream_and_no_stderr() -> None:
    async def serve(streams: dict[str, Stream], _session: Session) -> None:
        assert set(streams) == {"error", "stdout", "resize"}
        await streams["stdout"].write(await streams["resize"].read())

    async def body() -> None:
        async with server(serve, expected=3) as url:
            command = await RemoteCommand.open(url, stdin=False, stdout=True, stderr=True, tty=True)
            await command.resize(80, 24)
            assert await command.receive() == (STDOUT, b'{"Width": 80, "Height": 24}\n')
            await command.close()
    waiting.run(body())


def test_a_forwarded_port_has_data_and_an_error_stream() -> None:
    async def serve(streams: dict[str, Stream], _session: Session) -> None:
        assert streams["data"].headers["port"] == streams["error"].headers["port"] == "8080"
        await streams["data"].write(await streams["data"].read())
        await streams["data"].close_write()
        await streams["error"].write(b"it went away")
        await streams["error"].close_write()

    async def body() -> None:
        async with server(serve, expected=2) as url:
            forward = PortForward(await connect(url, PORT_FORWARD))
            stream = await forward.open(8080)
            await stream.write(b"ping")
            assert await stream.read() == b"ping"
            assert await stream.read() == b""
            assert await stream.error() == "it went away"
            await forward.close()
    waiting.run(body())


def test_a_refusal_has_the_servers_words() -> None:
    async def never(_streams: dict[str, Stream], _session: Session) -> None:
        raise AssertionError

    async def body() -> None:
        async with server(never, expected=1, answer="404 Not Found") as url:
            with pytest.raises(StreamRefused, match=r"404 Not Found: no such thing"):
                await connect(url, PORT_FORWARD)
        with pytest.raises(StreamRefused, match="does not answer"):
            await connect("http://127.0.0.1:9/exec", PORT_FORWARD)
    waiting.run(body())
