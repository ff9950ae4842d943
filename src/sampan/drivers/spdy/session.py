"""SPDY over a duplex transport: streams to read from and write to.

Owns: the pump, each stream's buffer, back-pressure. A session reads its transport only while no stream holds more than
`BUFFER_BYTES` unread: SPDY's peers have no flow control, so a reader that stops holds up the whole connection, as
upstream's does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from sampan.aio.tasks import Tasks
from sampan.drivers.spdy.frames import Connection, Event, GoAway, Opened, Received, Reset, SpdyError

BUFFER_BYTES = 1 << 20


class Transport(Protocol):
    """Bytes both ways: a socket, or a WebSocket that carries a tunnel. `read` gives b"" at the end."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class SocketTransport:
    """An asyncio stream pair as a `Transport`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Stream:
    """One stream of a session."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self._session, self._number, self.headers = session, number, headers
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._changed = asyncio.Event()
        self.buffered_bytes = 0
        self.reset_status = 0

    async def read(self) -> bytes:
        """The next bytes; b"" when the peer has closed or the connection has ended."""
        while not self._chunks and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        self.buffered_bytes -= len(chunk)
        self._session.drained()
        return chunk

    async def write(self, data: bytes) -> None:
        """Send; waits while the transport is full; ignored on a closed stream."""
        await self._session.send(self._number, data)

    async def close_write(self) -> None:
        """Half-close: the peer reads the end, and may go on sending."""
        await self._session.send(self._number, b"", fin=True)

    async def reset(self) -> None:
        """End both directions at once."""
        self.end()
        await self._session.reset(self._number)

    def feed(self, data: bytes) -> None:
        if data and not self._ended:
            self._chunks.append(data)
            self.buffered_bytes += len(data)
            self._changed.set()

    def end(self, reset_status: int = 0) -> None:
        self._ended, self.reset_status = True, reset_status
        self._changed.set()


class Session:
    """A connection. `open` makes streams; `on_open` gets those of the peer. Use as a context, or `close` it."""

    def __init__(self, transport: Transport, *, client: bool,
                 on_open: Callable[[Stream], Coroutine[Any, Any, None]] | None = None) -> None:
        self._transport = transport
        self._spdy = Connection(client)
        self._streams: dict[int, Stream] = {}
        self._on_open = on_open
        self._room = asyncio.Event()
        self._tasks = Tasks()
        self.closed = asyncio.Event()
        self._tasks.start(self._pump(), "spdy pump", keep_going=True)

    async def open(self, headers: Mapping[str, str], *, fin: bool = False) -> Stream:
        """A new stream; with `fin` we never send on it."""
        if self.closed.is_set():
            raise SpdyError("the connection has ended")
        number = self._spdy.open(headers, fin=fin)
        made = self._streams[number] = Stream(self, number, headers)
        await self._flush()
        return made

    async def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        if not self.closed.is_set():
            self._spdy.send(stream, data, fin=fin)
            self._forget(stream)
            await self._flush()

    async def reset(self, stream: int) -> None:
        self._streams.pop(stream, None)
        self._room.set()
        if not self.closed.is_set():
            self._spdy.reset(stream)
            await self._flush()

    def drained(self) -> None:
        """A stream was read from: the pump may go on."""
        self._room.set()

    async def close(self) -> None:
        """End the connection and all its streams; any time, more than once."""
        if not self.closed.is_set():
            self._spdy.go_away()
            await self._flush()
        self._end()
        await self._tasks.stop()
        await self._transport.close()

    async def _flush(self) -> None:
        if out := self._spdy.take():
            try:
                await self._transport.write(out)
            except OSError:
                self._end()

    async def _pump(self) -> None:
        try:
            while data := await self._transport.read():
                for event in self._spdy.receive(data):
                    self._handle(event)
                await self._flush()
                while any(stream.buffered_bytes > BUFFER_BYTES for stream in self._streams.values()):
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._end()

    def _handle(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._spdy.accept(event.stream)
            made = self._streams[event.stream] = Stream(self, event.stream, event.headers)
            if event.fin:
                made.end()
            if self._on_open is not None:
                self._tasks.start(self._on_open(made), "spdy stream", keep_going=True)
            return
        if isinstance(event, GoAway) or (stream := self._streams.get(event.stream)) is None:
            return
        if isinstance(event, Received):
            stream.feed(event.data)
        if isinstance(event, Reset):
            stream.end(event.status)
            self._forget(event.stream)
        elif event.fin:
            stream.end()
            self._forget(event.stream)

    def _forget(self, stream: int) -> None:
        """Let go of a stream that is closed both ways; who holds it may still read what came."""
        if not self._spdy.is_open(stream):
            self._streams.pop(stream, None)
            self._room.set()

    def _end(self) -> None:
        self.closed.set()
        for stream in self._streams.values():
            stream.end()
