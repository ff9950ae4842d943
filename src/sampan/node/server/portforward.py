"""Port-forward as kubectl 1.31 and newer do it: SPDY/3.1 inside a WebSocket.

Each connection is a pair of streams with one `requestID`: `error` comes first, then `data`. Source: KEP-4006,
`k8s.io/apimachinery/pkg/util/portforward`, kubelet `cri-client/pkg/portforward`.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSMsgType, web

from sampan.aio.tasks import Tasks
from sampan.drivers.spdy.session import Session, Stream
from sampan.node.runtimes.base import ByteStream, PortForwardSession
from sampan.node.runtimes.errors import RuntimeFault

log = logging.getLogger(__name__)

TUNNEL = "SPDY/3.1+portforward.k8s.io"
PAIR_SECONDS = 30.0
MOST_PAIRS = 512


class SocketTransport:
    """A WebSocket as SPDY's transport."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        # clients write empty messages too, which are not the end
        while (message := await self._socket.receive()).type is WSMsgType.BINARY:
            if message.data:
                return bytes(message.data)
        return b""

    async def write(self, data: bytes) -> None:
        if not self._socket.closed:
            await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()


class _Pair:
    """The two streams of one connection: the one for errors once it has come, and whether the one for data has."""

    def __init__(self) -> None:
        self.error: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        self.claimed = asyncio.Event()


class Pairs:
    """Brings the two streams of each connection together; one whose other half does not come is reset."""

    def __init__(self, forward: PortForwardSession) -> None:
        self._forward = forward
        self._pairs: dict[str, _Pair] = {}

    async def opened(self, stream: Stream) -> None:
        """One stream of the client; works until its connection has ended."""
        headers = {name.lower(): value for name, value in stream.headers.items()}
        request, kind, port = headers.get("requestid", ""), headers.get("streamtype", ""), headers.get("port", "")
        pair = self._pairs.get(request) or _Pair()
        good = kind == "error" and not pair.error.done()
        good |= kind == "data" and port.isascii() and port.isdecimal() and len(port) < 6 and not pair.claimed.is_set()
        if not good or (request not in self._pairs and len(self._pairs) >= MOST_PAIRS):
            await stream.reset()
            return
        self._pairs[request] = pair
        if kind == "error":
            await self._error(request, pair, stream)
        else:
            await self._data(request, pair, stream, int(port))

    async def _error(self, request: str, pair: _Pair, stream: Stream) -> None:
        pair.error.set_result(stream)
        try:
            await asyncio.wait_for(pair.claimed.wait(), PAIR_SECONDS)
        except TimeoutError:
            self._pairs.pop(request, None)
            await stream.reset()

    async def _data(self, request: str, pair: _Pair, stream: Stream, port: int) -> None:
        pair.claimed.set()
        try:
            error = await asyncio.wait_for(pair.error, PAIR_SECONDS)
            await self._connect(port, stream, error)
        except TimeoutError:
            await stream.reset()
        finally:
            self._pairs.pop(request, None)

    async def _connect(self, port: int, data: Stream, error: Stream) -> None:
        try:
            connection = await self._forward.open(port)
        except RuntimeFault as fault:
            await error.write(fault.message.encode())
            await error.close_write()
            await data.reset()
            return
        try:
            async with Tasks() as tasks:
                sending = tasks.start(_copy_in(data, connection), f"forward to {port}", keep_going=True)
                await _copy_out(connection, data)
                if problem := await connection.error():
                    await error.write(problem.encode())
                sending.cancel()
        finally:
            await error.close_write()
            await data.close_write()
            await connection.close()


async def _copy_in(data: Stream, connection: ByteStream) -> None:
    while chunk := await data.read():
        await connection.write(chunk)
    await connection.close_write()


async def _copy_out(connection: ByteStream, data: Stream) -> None:
    while chunk := await connection.read():
        await data.write(chunk)


async def tunnel(socket: web.WebSocketResponse, forward: PortForwardSession) -> None:
    """Serve one tunnel until the client goes away."""
    session = Session(SocketTransport(socket), client=False, on_open=Pairs(forward).opened)
    try:
        await session.closed.wait()
    finally:
        await session.close()
        await forward.close()
