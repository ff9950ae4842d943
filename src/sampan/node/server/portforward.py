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


class _Pairs:
    """Brings the two streams of each connection together."""

    def __init__(self, forward: PortForwardSession) -> None:
        self._forward = forward
        self._errors: dict[str, asyncio.Future[Stream]] = {}

    def _error_of(self, request: str) -> asyncio.Future[Stream]:
        if request not in self._errors:
            self._errors[request] = asyncio.get_running_loop().create_future()
        return self._errors[request]

    async def opened(self, stream: Stream) -> None:
        """One stream of the client; works until its connection has ended."""
        headers = {name.lower(): value for name, value in stream.headers.items()}
        request, kind = headers.get("requestid", ""), headers.get("streamtype", "")
        if kind == "error" and len(self._errors) < MOST_PAIRS:
            self._error_of(request).set_result(stream)
        elif kind == "data" and headers.get("port", "").isdigit():
            try:
                error = await asyncio.wait_for(self._error_of(request), PAIR_SECONDS)
                await self._connect(int(headers["port"]), stream, error)
            except TimeoutError:
                await stream.reset()
            finally:
                self._errors.pop(request, None)
        else:
            await stream.reset()

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
    session = Session(SocketTransport(socket), client=False, on_open=_Pairs(forward).opened)
    try:
        await session.closed.wait()
    finally:
        await session.close()
        await forward.close()
