"""Exec, attach and port-forward: the one-shot URLs that a runtime answers, spoken to in SPDY/3.1.

Owns: the HTTP upgrade and the streams' names. SPDY, since a WebSocket of `v4.channel.k8s.io`, the only other language
that runtimes share, cannot half-close stdin.

Source: `k8s.io/streaming/pkg/spdy`, `remotecommand` protocol v4, `portforward.k8s.io`.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from sampan.aio.tasks import Tasks
from sampan.drivers.spdy.session import Session, SocketTransport, Stream
from sampan.lib.errors import SampanError

UPGRADE_SECONDS = 30.0
REMOTE_COMMAND = "v4.channel.k8s.io"
PORT_FORWARD = "portforward.k8s.io"
STDOUT, STDERR, ERROR = 1, 2, 3
MOST_HEADERS = 1 << 16


class StreamRefused(SampanError):
    """The runtime did not upgrade the connection; the message has its answer."""


async def connect(url: str, protocol: str) -> Session:
    """Upgrade a connection to the URL. Raises StreamRefused."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    request = (f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
               f"X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n")
    transport: SocketTransport | None = None
    try:
        async with asyncio.timeout(UPGRADE_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            transport = SocketTransport(reader, writer)
            await transport.write(request.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if not head.startswith(("HTTP/1.1 101", "HTTP/1.0 101")):
                body = (await reader.read(1000)).decode(errors="replace").strip()
                raise StreamRefused(f"the runtime refused the stream: {head.splitlines()[0]}: {body}")
    except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError, StreamRefused) as error:
        if transport is not None:
            await transport.close()
        if isinstance(error, StreamRefused):
            raise
        raise StreamRefused(f"the runtime's stream server at {parts.netloc} does not answer: {error!r}") from error
    return Session(transport, client=True)


class RemoteCommand:
    """An exec or attach: `receive` gives (channel, bytes), the last one of channel ERROR, then None."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stdin: Stream | None = None
        self._resize: Stream | None = None
        self._frames: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(maxsize=8)
        self._tasks = Tasks()
        self._ended = False

    @classmethod
    async def open(cls, url: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> RemoteCommand:
        """Connect and open the streams that the URL was asked for. Raises StreamRefused."""
        self = cls(await connect(url, REMOTE_COMMAND))
        session = self._session
        error = await session.open({"streamtype": "error"}, fin=True)
        if stdin:
            self._stdin = await session.open({"streamtype": "stdin"})
        outputs = []
        if stdout:
            outputs.append((STDOUT, await session.open({"streamtype": "stdout"}, fin=True)))
        if stderr and not tty:
            outputs.append((STDERR, await session.open({"streamtype": "stderr"}, fin=True)))
        if tty:
            self._resize = await session.open({"streamtype": "resize"})
        self._tasks.start(self._collect(error, outputs), "remote command", keep_going=True)
        return self

    async def receive(self) -> tuple[int, bytes] | None:
        if self._ended:
            return None
        frame = await self._frames.get()
        self._ended = frame is None
        return frame

    async def send(self, data: bytes) -> None:
        if self._stdin is not None and data:
            await self._stdin.write(data)

    async def close_stdin(self) -> None:
        if self._stdin is not None:
            await self._stdin.close_write()

    async def resize(self, width: int, height: int) -> None:
        if self._resize is not None:
            await self._resize.write(json.dumps({"Width": width, "Height": height}).encode() + b"\n")

    async def close(self) -> None:
        self._ended = True
        await self._tasks.stop()
        await self._session.close()

    async def _collect(self, error: Stream, outputs: list[tuple[int, Stream]]) -> None:
        """All output first, then the status: the runtime sends it when the command has ended."""
        async with asyncio.TaskGroup() as group:
            for channel, stream in outputs:
                group.create_task(self._copy(channel, stream))
        status = b""
        while chunk := await error.read():
            status += chunk
            if len(status) > MOST_HEADERS:
                break
        await self._frames.put((ERROR, status))
        await self._frames.put(None)

    async def _copy(self, channel: int, stream: Stream) -> None:
        while data := await stream.read():
            await self._frames.put((channel, data))


class ForwardedStream:
    """One connection through a port-forward; see `ByteStream` in `sampan.node.runtimes.base`."""

    def __init__(self, data: Stream, error: Stream) -> None:
        self._data, self._error = data, error

    async def read(self) -> bytes:
        return await self._data.read()

    async def write(self, data: bytes) -> None:
        await self._data.write(data)

    async def close_write(self) -> None:
        await self._data.close_write()

    async def error(self) -> str:
        said = b""
        while (chunk := await self._error.read()) and len(said) < MOST_HEADERS:
            said += chunk
        return said.decode(errors="replace")

    async def close(self) -> None:
        await self._data.reset()
        await self._error.reset()


class PortForward:
    """A port-forward into a sandbox."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._requests = 0

    async def open(self, port: int) -> ForwardedStream:
        """Connect to a port of the pod; the error stream tells when nobody listens there."""
        headers = {"port": str(port), "requestid": str(self._requests)}
        self._requests += 1
        error = await self._session.open({**headers, "streamtype": "error"}, fin=True)
        data = await self._session.open({**headers, "streamtype": "data"})
        return ForwardedStream(data, error)

    async def close(self) -> None:
        await self._session.close()
